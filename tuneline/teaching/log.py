"""The log of what teachers and judges answered: append-only segments, so that an answer is paid once.

A segment is a JSON Lines file that one process appends to, a line by one write: two processes never
write to the same file, and a process that is killed loses at most the line it was writing. The key
of an answer is the hash of all that determined it.
"""

import errno
import fcntl
import json
import math
import os
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, Self

from tuneline.files import dump_json, whole_file


@dataclass(frozen=True)
class Answer:
    """What a model said, and what it took. `finish`: stop, length (cut) or refusal."""

    text: str
    finish: str
    tokens_in: int
    tokens_out: int
    seconds: float
    model: str
    discount: float = 1.0  # what was paid as a share of the list price: batches cost half


class AnswerLog:
    """Answers by key. Only their places are held in memory, about 200 bytes an answer."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.places: dict[bytes, tuple[int, int]] = {}  # key → segment's number, offset
        self.segments: list[Path] = []
        self.read: dict[Path, int] = {}  # bytes of a segment that are known, of other processes' ones
        self.passed_over: list[str] = []  # places of whole lines that are no answers: somebody has written by hand
        self.own: int | None = None  # descriptor of the segment that this process appends to
        self.own_path: Path | None = None
        self.size = 0
        self.refresh()

    def refresh(self) -> None:
        """Takes up what other processes have added since."""
        for path in sorted(self.folder.glob("*.jsonl")):
            if path != self.own_path and path.stat().st_size > self.read.get(path, -1):
                self._load(path)

    def _load(self, path: Path) -> None:
        """From where it was read to its last whole line."""
        if path not in self.read:
            self.segments.append(path)
        offset, number = self.read.get(path, 0), self.segments.index(path)
        with path.open("rb") as lines:
            lines.seek(offset)
            for line in lines:
                # Without its newline a line is torn: the process that wrote it was killed.
                if not line.endswith(b"\n"):
                    break
                if key := _key_of(line):
                    self.places.setdefault(key, (number, offset))
                elif line.strip():  # what was there is not blanked
                    self.passed_over.append(f"{path}, line {1 + path.read_bytes()[:offset].count(NEWLINE)}")
                offset += len(line)
        self.read[path] = offset

    def __contains__(self, key: str) -> bool:
        return bytes.fromhex(key) in self.places

    def __len__(self) -> int:
        return len(self.places)

    def get(self, key: str) -> Answer | None:
        place = self.places.get(bytes.fromhex(key))
        if place is None:
            return None
        line = _line_at(self.segments[place[0]], place[1])
        if not line.strip():  # blanked since
            return None
        record = json.loads(line)
        return Answer(**{name: record[name] for name in Answer.__dataclass_fields__})

    def add(self, key: str, answer: Answer) -> None:
        """Appends the answer; a key that is there keeps its first one."""
        if key not in self:
            # Half a surrogate pair is no UTF-8; its JSON escape is.
            line = dump_json({"key": key, **asdict(answer)}) + "\n"
            self._append(bytes.fromhex(key), line.encode("utf-8", "backslashreplace"))

    def add_all(self, other: Self) -> None:
        """Appends what only the other log has."""
        for line in other.lines():
            key = _key_of(line)
            if key and key not in self.places:
                self._append(key, line)

    def start(self) -> None:
        """Makes the segment that this process appends to. Raises OSError when the folder takes none."""
        if self.own is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            path = self.folder / f"{uuid.uuid4().hex}.jsonl"
            self.own = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o644)
            self.segments.append(path)
            self.own_path, self.own_number, self.size = path, len(self.segments) - 1, 0

    def _append(self, key: bytes, line: bytes) -> None:
        self.start()
        if os.write(self.own, line) != len(line):
            os.ftruncate(self.own, self.size)  # else the next line would begin within this one
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.own_path))
        self.places[key] = (self.own_number, self.size)
        self.size += len(line)

    def sync(self) -> None:
        """What was added is on the disk, not only with the system."""
        if self.own is not None:
            os.fsync(self.own)

    def close(self) -> None:
        self.sync()
        if self.own is not None:
            os.close(self.own)
            self.own = None
            if not self.size:
                self.own_path.unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def lines(self) -> Iterator[bytes]:
        """Every answer's line once, by key."""
        for key in sorted(self.places):
            number, offset = self.places[key]
            if (line := _line_at(self.segments[number], offset)).strip():
                yield line


class Claims:
    """Which questions a process has asked and waits for, so that no second one pays for them.

    A claim is the lock of one byte of a file that stays empty, at the place that the key names: the kernel takes it
    back when the process is gone, however it went. Locks are between processes, not between tasks of one.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "claims.lock"
        self.file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def take(self, key: str) -> bool:
        """False where another process has it."""
        try:
            fcntl.lockf(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _place_of(key))
        except (BlockingIOError, PermissionError):  # POSIX leaves open which of the two it is
            return False
        return True

    def free(self, key: str) -> None:
        fcntl.lockf(self.file, fcntl.LOCK_UN, 1, _place_of(key))

    def close(self) -> None:
        os.close(self.file)


def blank(folder: Path, gone: Callable[[str, str], bool]) -> int:
    """Writes blanks over the answers of which `gone`, given key and text, is true: how many.

    Each lies where it lay, since other processes know the places of those behind it. A line that is no answer is asked
    about whole, without a key. Killed in the middle of a line, it is completed by the next call.
    """
    count = 0
    for path in sorted(folder.glob("*.jsonl")):
        offset, lines = 0, path.read_bytes().splitlines(keepends=True)
        with path.open("r+b") as segment:
            for line in lines:
                said = line.rstrip(b"\n")
                if said.strip() and (said.startswith(b" ") or gone(*_told(said))):
                    os.pwrite(segment.fileno(), b" " * len(said), offset)
                    count += 1
                offset += len(line)
            os.fsync(segment.fileno())
    return count


def thin(path: Path, gone: Callable[[str, str], bool]) -> int:
    """The same for a snapshot, which nobody appends to: their lines go. How many."""
    lines = path.read_bytes().splitlines(keepends=True)
    kept = [line for line in lines if not gone(*_told(line.rstrip(b"\n")))]
    if len(kept) < len(lines):
        with whole_file(path) as part:
            part.write_bytes(b"".join(kept))
    return len(lines) - len(kept)


def _told(line: bytes) -> tuple[str, str]:
    if key := _key_of(line):
        return key.hex(), json.loads(line)["text"]
    return "", line.decode("utf-8", "replace")


TEXTS, WHOLE, NUMBERS = ("text", "finish", "model"), ("tokens_in", "tokens_out"), ("seconds", "discount")
NEWLINE = b"\n"
KEY = 32  # bytes of a hash


def _place_of(key: str) -> int:
    """Of 2**62, so that two keys are one place by no chance that counts."""
    return int(key[:16], 16) >> 2


def _key_of(line: bytes) -> bytes | None:
    """None when the line is no whole answer."""
    try:
        record = json.loads(line)
        right = (
            all(type(record[name]) is str for name in TEXTS)
            and all(type(record[name]) is int for name in WHOLE)
            and all(type(record[name]) in (int, float) for name in NUMBERS)
            and all(0 <= record[name] < math.inf for name in (*WHOLE, *NUMBERS))  # what was paid is their sum
        )
        key = bytes.fromhex(record["key"])
        return key if right and len(key) == KEY else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _line_at(path: Path, offset: int) -> bytes:
    file = _open_segment(path)
    file.seek(offset)
    return file.readline()


@lru_cache(maxsize=64)
def _open_segment(path: Path) -> BinaryIO:
    return path.open("rb")


def log_folders(*places: Path) -> list[str]:
    """Names of the models that any of the places has a log of."""
    return sorted({folder.name for place in places for folder in place.glob("*") if folder.is_dir()})


def unite(sources: list[Path], out: Path) -> int:
    """Writes the answers of all `sources` (folders of segments) to one segment; the number of answers.

    Sorted by key, the first answer of a key kept: the same answers give the same bytes.
    """
    seen: dict[str, bytes] = {}
    for folder in sources:
        with AnswerLog(folder) as log:
            for line in log.lines():
                seen.setdefault(json.loads(line)["key"], line)
    with whole_file(out) as part:
        part.write_bytes(b"".join(seen[key] for key in sorted(seen)))
    return len(seen)
