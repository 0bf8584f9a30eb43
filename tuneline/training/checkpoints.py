"""Where the checkpoints of a run lie, which no other run clears up, and what is left of them."""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

from tuneline.models.base import Base
from tuneline.running.processes import rank
from tuneline.training.settings import SAME, Settings


def kept(checkpoints: Path) -> str:
    """Which step a run that has failed left behind."""
    steps = [int(path.name.split("-")[-1]) for path in checkpoints.glob("*") if path.name.split("-")[-1].isdigit()]
    return f"the checkpoint of step {max(steps)} is kept in {checkpoints}" if steps else "there is no checkpoint yet"


def checkpoint_folder(state: Path, out: Path, tokens: Path, base: Base, settings: Settings) -> Path:
    """Where a run of exactly these inputs keeps its checkpoints: another input has another folder."""
    telling = {name: value for name, value in asdict(settings).items() if name not in SAME}
    digest = hashlib.sha256(json.dumps(telling, sort_keys=True).encode())
    for folder in (tokens, base.folder):
        for file in sorted(path for path in folder.iterdir() if path.is_file()):
            digest.update(file.name.encode())
            with file.open("rb") as opened:  # of many GB, some of them
                digest.update(hashlib.file_digest(opened, "sha256").digest())
    return state / "checkpoints" / out.name / digest.hexdigest()[:16]


@contextmanager
def in_use(checkpoints: Path) -> Iterator[None]:
    """For `clear_up` of another run of the adapter: such as an experiment that runs at the same time."""
    if rank():
        yield
        return
    checkpoints.mkdir(parents=True, exist_ok=True)
    with opened(checkpoints) as folder:
        with suppress(OSError):  # a file system without locks: nothing is cleared up there
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            yield
        finally:
            for empty in (checkpoints, checkpoints.parent):
                with suppress(OSError):
                    empty.rmdir()


def clear_up(adapter: Path) -> None:
    """Removes the checkpoints of an adapter's runs, those that were stopped before too, but for what is in use."""
    for checkpoints in adapter.iterdir() if adapter.is_dir() else ():
        with suppress(OSError), opened(checkpoints) as folder:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(checkpoints)
    with suppress(OSError):
        adapter.rmdir()


@contextmanager
def opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
