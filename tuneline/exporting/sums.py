"""SHA256SUMS, as `sha256sum -c` reads it; and DVC's hash of a folder."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

SUMS = "SHA256SUMS"


def write_sums(folder: Path) -> None:
    lines = [f"{_digest(path, 'sha256')}  {path.relative_to(folder).as_posix()}\n" for path in _files(folder)]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")


def summed(folder: Path) -> list[str]:
    """The paths that its list has."""
    lines = (folder / SUMS).read_text("utf-8", errors="replace").splitlines()
    return [name for line in lines if (name := line.partition("  ")[2])]


def folder_hash(folder: Path) -> str:
    """As DVC hashes a folder: MD5 of the list of its files' MD5 and paths, and `.dir`."""
    listed = [{"md5": _digest(path, "md5"), "relpath": path.relative_to(folder).as_posix()} for path in _files(folder)]
    return hashlib.md5(json.dumps(listed, sort_keys=True).encode()).hexdigest() + ".dir"


def _files(folder: Path) -> Iterator[Path]:
    found = (path for path in folder.rglob("*") if path.is_file())
    yield from sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def _digest(path: Path, kind: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, kind).hexdigest()
