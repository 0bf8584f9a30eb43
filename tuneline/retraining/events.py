"""logs/finetuning.log: what happened, one JSON line an event, written by several processes, rotated by size."""

import io
import json
import os
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tuneline.files import whole_file
from tuneline.locks import held

NAME = "finetuning.log"
MOST_BYTES = 5_000_000  # of one file
OLD_FILES = 5  # finetuning.log.1 is the youngest
MOST_SIGNS = 1000  # of a text; an error may quote all that was sent
INPUTS = "TUNELINE_LOG_INPUTS"  # 1: texts of an application are written too
TEXTS = frozenset("input inputs output outputs text prompt messages answer summary source reference content".split())
SECRET = re.compile(r".+_API_KEY|HF_TOKEN|TUNELINE_TOKEN|TUNELINE_HMAC_\w+")


def log_event(folder: Path, event: str, **fields: Any) -> None:
    """Appends {"time", "event", **fields} to finetuning.log in `folder`.

    Keys and tokens of the environment and of .env beside `folder` are replaced by ***, wherever they stand. Fields
    that hold an application's texts are written as their length, unless TUNELINE_LOG_INPUTS=1. A log that cannot be
    written ends no run: that is said on stderr.
    """
    line = format_event(event, fields, secrets(folder.parent), os.environ.get(INPUTS) == "1")
    try:
        _append(folder, line.encode("ascii"))
    except OSError as error:
        print(f"{folder / NAME}: {error.strerror}", file=sys.stderr)


def format_event(event: str, fields: dict[str, Any], hidden: list[str], inputs: bool) -> str:
    """The line of an event, its end included: ASCII, so that no text can end it early."""

    def clean(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {clean(str(name)): clean(inner, str(name)) for name, inner in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [clean(inner, key) for inner in value]
        if value is None or isinstance(value, bool | int | float):
            return value
        text = str(value)
        if key in TEXTS and not inputs:
            return f"({len(text)} signs)"
        for secret in hidden:
            text = text.replace(secret, "***")
        return text if inputs or len(text) <= MOST_SIGNS else f"{text[:MOST_SIGNS]}… ({len(text)} signs)"

    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return json.dumps({"time": now, "event": event, **clean(fields)}) + "\n"


def drop_events(folder: Path, gone: Callable[[str], bool]) -> int:
    """Takes the events out of the log of which `gone` is true, given the line; how many."""
    count = 0
    with held(folder / f".{NAME}.lock", waiting=lambda: None):
        for path in sorted(folder.glob(f"{NAME}*")):
            lines = path.read_text("utf-8", errors="replace").splitlines(keepends=True)
            kept = [line for line in lines if not gone(line)]
            if len(kept) < len(lines):
                count += len(lines) - len(kept)
                with whole_file(path) as part:
                    part.write_text("".join(kept), encoding="utf-8")
    return count


def secrets(root: Path) -> list[str]:
    """The values of the environment and of `root`/.env whose names are of a SECRET, longest first.

    Whatever .env holds, it ends no run.
    """
    from dotenv import dotenv_values

    try:
        text = (root / ".env").read_text("utf-8", errors="replace")
    except OSError:
        text = ""
    known = [*dotenv_values(stream=io.StringIO(text)).items(), *os.environ.items()]
    return sorted({value for name, value in known if value and SECRET.fullmatch(name)}, key=len, reverse=True)


def _append(folder: Path, line: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / NAME
    with held(folder / f".{NAME}.lock", waiting=lambda: None):
        size = path.stat().st_size if path.exists() else 0
        if size and size + len(line) > MOST_BYTES:
            for number in range(OLD_FILES - 1, 0, -1):
                older = folder / f"{NAME}.{number}"
                if older.exists():
                    older.replace(folder / f"{NAME}.{number + 1}")
            path.replace(folder / f"{NAME}.1")
        with path.open("ab", buffering=0) as log:
            # A process that was killed while it wrote may have left half a line.
            log.write(line if _ends_whole(path) else b"\n" + line)


def _ends_whole(path: Path) -> bool:
    with path.open("rb") as log:
        if log.seek(0, os.SEEK_END) == 0:
            return True
        log.seek(-1, os.SEEK_END)
        return log.read(1) == b"\n"
