"""Files that appear whole or not at all, JSON Lines, and what a stage says on stderr while it makes them."""

import errno
import json
import math
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any, Self

import click
import simplejson

if TYPE_CHECKING:
    from tqdm import tqdm

Row = dict
WIDTH = 100  # columns of a line for people
UNSEEN = {sign: chr(0x2400 + sign) for sign in range(32) if chr(sign) not in "\n\t"}  # control signs: their pictures
OTHERS = (range(0x7F, 0xA0), range(0x202A, 0x202F), range(0x2066, 0x206A), range(0xD800, 0xE000))
UNSEEN |= {sign: "�" for signs in OTHERS for sign in signs}
PATIENCE = 1.0  # seconds before a bar shows
EVERY = 10.0  # seconds from one line of a bar to the next, where stderr is a file


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A path to write to that becomes `path` when the block ends well: written beside, synced, renamed.

    Raises OSError before the block begins where it cannot (check_file).
    """
    check_file(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        yield part
        _sync(part)
        part.replace(path)
        _sync(path.parent)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """`whole_file` for a folder; the one that stood at `path` is replaced, and never seen half deleted.

    Raises OSError before the block begins where it cannot (check_folder).
    """
    check_folder(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part, old = path.with_name(f".{path.name}.part"), path.with_name(f".{path.name}.old.part")
    if old.exists() and not path.exists():
        old.replace(path)  # a run was killed between the two renames below
    shutil.rmtree(part, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)
    part.mkdir()
    try:
        yield part
        for file in (part, *part.rglob("*")):
            file.chmod(file.stat().st_mode | (0o555 if file.is_dir() else 0o444))  # safetensors lets none but the owner
            _sync(file)
        if path.exists():
            path.replace(old)
        part.replace(path)
        _sync(path.parent)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def check_file(path: Path) -> None:
    """Raises OSError where no file can stand, since a folder does: told before the hours that fill it."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))


def check_folder(path: Path) -> None:
    """Raises OSError where no folder can be put, since a file stands there, or a folder that cannot be taken away."""
    if path.exists() and not path.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
    if path.exists() and not os.access(path, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_COMPACT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def dump_json(value: object) -> str:
    """Compact JSON as it stands in rows and in answers: no spaces, no escapes of letters, numbers by their digits."""
    try:
        return _COMPACT.encode(value)
    except TypeError:  # a Number
        return simplejson.dumps(value, ensure_ascii=False, separators=(",", ":"), use_decimal=True)


def load_json(text: str) -> Any:
    """JSON as people write it: a number with a fraction or an exponent is a Number, which keeps its digits.

    Raises ValueError also for what JSON leaves open and nobody means: a key twice in an object, NaN and Infinity, a
    number that no computer's double holds, what is nested too deep.
    """
    try:
        return STRICT.decode(text)
    except RecursionError:
        raise ValueError("nested too deep") from None


class Number(Decimal):
    """A number that is written as it was read: 1.10, 1e3."""

    __slots__ = ("digits",)

    def __new__(cls, digits: str) -> Self:
        made = super().__new__(cls, digits)
        made.digits = digits
        return made

    def __str__(self) -> str:
        return self.digits


def _number(digits: str) -> Number:
    if math.isinf(float(digits)):
        raise ValueError(f"{digits} is too large a number")
    return Number(digits)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} stands twice")
    return made


STRICT = json.JSONDecoder(parse_float=_number, parse_constant=_refuse, object_pairs_hook=_once)


def read_jsonl(path: Path) -> list[Row]:
    """The lines of a file that a stage wrote.

    Raises click.ClickException with file and line when a line is not an object of JSON.
    """
    return list(iterate_jsonl(path))


def read_rows(path: Path) -> list[Row]:
    """`read_jsonl` for rows on their way: numbers of their fields keep their digits."""
    return list(iterate_jsonl(path, Number))


def iterate_jsonl(path: Path, fraction: Callable[[str], Any] = float) -> Iterator[Row]:
    """`read_jsonl` one line at a time, for files that need not fit into memory. `fraction`: what one becomes."""
    decoder = json.JSONDecoder(parse_float=fraction)
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            yield parse_row(line, decoder, f"{path}:{number}")


def parse_row(line: bytes, decoder: json.JSONDecoder, place: str) -> Row:
    """Raises click.ClickException with `place`, its file and line, when it is no object of JSON."""
    try:
        row, what = decoder.decode(line.decode("utf-8")), "JSON, but no row"
    except ValueError as error:
        row, what = None, f"not JSON ({error})"
    if not isinstance(row, dict):
        raise click.ClickException(f"{place}: {what}; make the file again with `dvc repro --force`")
    return row


def write_jsonl(path: Path, rows: Iterable[Row]) -> None:
    # Half a surrogate pair is no UTF-8; its JSON escape is.
    with whole_file(path) as part, part.open("w", encoding="utf-8", errors="backslashreplace") as out:
        out.writelines(dump_json(row) + "\n" for row in rows)


def write_json(path: Path, value: object) -> None:
    """A small file for people and for `dvc metrics`: indented, a newline at the end."""
    with whole_file(path) as part:
        part.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def write_counts(path: Path, rows_in: int, rows_out: int, dropped: Iterable[Row], **more: int) -> None:
    """A stage's metrics: rows in, rows out, what else it counts, and drops by their `reason`."""
    reasons: dict[str, int] = {}
    for row in dropped:
        reasons[row["reason"]] = reasons.get(row["reason"], 0) + 1
    write_json(path, {"in": rows_in, "out": rows_out, **more, "dropped": dict(sorted(reasons.items()))})


class Clock:
    """Of a stage, from its first line to its last. For the terminal alone: what it shows is in no output."""

    def __init__(self, stage: str, name: str) -> None:
        self.stage, self.name, self.began = stage, name, time.monotonic()
        if sys.stderr.isatty():  # its first seconds may be silent; what it says first is written over this
            click.echo(f"{stage} {name} …\r", nl=False, err=True)

    def tell(self, rows: str, figure: str) -> None:
        """The line with which a stage ends: its name, what went in and came out, seconds, the figure that counts."""
        sys.stdout.flush()  # a table stands above it in a file too
        name = self.name if len(self.name) <= 24 else f"{self.name[:23]}…"
        line = f"{self.stage:8} {name:13} {rows:28} {time.monotonic() - self.began:7,.1f} s  {figure}"
        click.echo(line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…", err=True)


def say(text: str) -> None:
    """What a stage has to tell before its line, on stderr, in lines of at most 100 columns."""
    click.echo(fill(text, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False), err=True)


def printable(text: str) -> str:
    """For the terminal, which does not obey what an outsider's text may have: control signs, half a pair, other ways to
    write."""
    return text.translate(UNSEEN)


def bar(label: str, each: Iterable[Any] | None = None, total: int | None = None, initial: int = 0) -> "tqdm":
    """What is done of a long step: a bar that goes when it ends, or where stderr is a file, a line at each tenth."""
    from tqdm import tqdm

    class Lines(tqdm):
        def display(self, msg: str | None = None, pos: int | None = None) -> None:
            if msg is None:  # not the end
                click.echo(str(self)[:WIDTH], err=True)

    if total is None and hasattr(each, "__len__"):
        total = len(each)
    known = {"desc": label, "total": total, "file": sys.stderr, "initial": initial, "leave": False}
    if sys.stderr.isatty():
        columns = min(WIDTH, shutil.get_terminal_size().columns)
        shape = "{desc} {percentage:3.0f}% {bar} {n_fmt} of {total_fmt}{postfix} [{elapsed}<{remaining}]"
        return tqdm(each, **known, delay=PATIENCE, ncols=columns, bar_format=shape if total else None)
    shape = "{desc}: {n_fmt} of {total_fmt}{postfix}, {elapsed} so far, {remaining} more"
    tenth = max(1, (total or 1000) // 10)
    return Lines(each, **known, delay=EVERY, mininterval=EVERY, maxinterval=1e9, miniters=tenth, bar_format=shape)
