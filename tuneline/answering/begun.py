"""Answers that are whole while others are not: what a run that is stopped leaves to the next one of the same inputs."""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from tuneline.running.processes import rank


class Begun:
    """Ids of answers by the ids of their prompts. `file`: where more are kept, a line each; None keeps none.

    `made`: how many were not known, of all processes.
    """

    def __init__(self, known: dict[str, list[int]] | None = None, file: BinaryIO | None = None) -> None:
        self.known, self.file, self.made = known or {}, file, 0

    def of(self, prompt: Sequence[int]) -> list[int] | None:
        return self.known.get(_key(prompt))

    def keep(self, prompt: Sequence[int], answer: list[int]) -> None:
        if self.file:
            self.file.write(json.dumps({"prompt": _key(prompt), "answer": answer}).encode() + b"\n")
            self.file.flush()


@contextmanager
def begun(folder: Path, stage: str, telling: Sequence[object]) -> Iterator[Begun]:
    """Of a stage whose answers `telling` and a prompt determine. Where the block ends well, what was kept goes, and
    what runs of the stage with other inputs have left in `folder`, but for those that run now.

    Each process of several keeps its own, and knows all.
    """
    name = f"{stage}-{hashlib.sha256(json.dumps(telling).encode()).hexdigest()[:16]}"
    path = folder / f"{name}-{rank()}.jsonl"
    folder.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        if not _locked(file):  # another run of the same inputs, or a file system without locks
            yield Begun()
            return
        file.truncate(len(_whole(path)))
        lines = [json.loads(line) for one in sorted(folder.glob(f"{name}-*")) for line in _whole(one).splitlines()]
        yield Begun({line["prompt"]: line["answer"] for line in lines}, file)
        path.unlink(missing_ok=True)
    for other in folder.glob(f"{stage}-*"):
        with suppress(OSError), other.open("ab") as file:
            if _locked(file):
                other.unlink()
    with suppress(OSError):
        folder.rmdir()


def files_of(folder: Path | None) -> list[tuple[str, int, int]]:
    """Name, size and time of each file of a folder: which weights these are, without reading them."""
    told = ((path.name, path.stat()) for path in sorted(folder.iterdir()) if path.is_file()) if folder else ()
    return [(name, status.st_size, status.st_mtime_ns) for name, status in told]


def _locked(file: BinaryIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return os.fstat(file.fileno()).st_nlink > 0  # it may have gone in the meantime


def _whole(path: Path) -> bytes:
    """The lines that were written to their end."""
    raw = path.read_bytes()
    return raw[: raw.rfind(b"\n") + 1]


def _key(prompt: Sequence[int]) -> str:
    return hashlib.sha256(json.dumps(list(prompt)).encode()).hexdigest()[:32]
