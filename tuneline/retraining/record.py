"""The registry's own record: what each version is, by its hash, and when it came into service.

Git's tags say it too, and may be lost: by a prune, a clone without them, a hand. The record is never shortened, so that
a number that was given once is never another adapter's. One JSON line an event, in .tuneline/registry.jsonl.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from tuneline.files import dump_json

RECORD = Path(".tuneline/registry.jsonl")


@dataclass(frozen=True)
class Registered:
    """`content`: DVC's hash of the adapter's folder; None where the commit has none that DVC knows."""

    name: str
    version: str
    commit: str
    content: str | None


@dataclass(frozen=True)
class Assigned:
    """`number`: of the assignment to the stage; the highest counts."""

    name: str
    version: str
    commit: str
    number: int


def read_record(root: Path) -> list[Registered | Assigned]:
    """What is recorded, in its order; a line that a killed process left half-written is none."""
    return list(_events(root / RECORD))


def _events(path: Path) -> Iterator[Registered | Assigned]:
    if not path.is_file():
        return
    for line in path.read_text("utf-8").split("\n"):
        try:
            found = json.loads(line)
            yield (Assigned if "number" in found else Registered)(**found)
        except (ValueError, TypeError):
            continue


def add_to_record(root: Path, event: Registered | Assigned) -> None:
    """Once: an event that is there already is not written again."""
    if event in read_record(root):
        return
    path = root / RECORD
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as record:
        end = record.seek(0, 2)
        record.seek(max(0, end - 1))
        torn = b"" if record.read() in (b"", b"\n") else b"\n"
        record.write(torn + dump_json(asdict(event)).encode() + b"\n")


def folder_hash(folder: Path) -> str:
    """As DVC hashes a folder: MD5 of the list of its files' MD5 and paths, and `.dir`."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    listed = [
        {"md5": hashlib.md5(path.read_bytes()).hexdigest(), "relpath": path.relative_to(folder).as_posix()}
        for path in files
    ]
    listed.sort(key=lambda file: file["relpath"])
    return hashlib.md5(json.dumps(listed, sort_keys=True).encode()).hexdigest() + ".dir"
