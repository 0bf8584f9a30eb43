"""Rows that need not fit into memory: read from their file by place, chosen by place, written as they come."""

import json
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any, overload

from tuneline.files import Number, Row, dump_json, parse_row, whole_file

PART = 5_000  # rows that are worked on at once
Mapped = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]  # as `map`, wherever the work is done

_decoder = json.JSONDecoder(parse_float=Number)


class Lines(Sequence[Row]):
    """Rows of a file that a stage wrote, read anew each time they are asked for: 8 bytes of memory each.

    A slice is the same for some of them, and may be told to another process. Raises click.ClickException with file and
    line when a line is no object of JSON.
    """

    def __init__(self, path: Path, ends: array | None = None, start: int = 0, first: int = 1) -> None:
        """`ends`: where each line ends, in bytes; `start`: where the first one begins, and `first` its number."""
        self.path, self.start, self.first = path, start, first
        if ends is None:
            with path.open("rb") as lines:
                ends = array("Q", accumulate(map(len, lines)))
        self.ends = ends

    def __len__(self) -> int:
        return len(self.ends)

    def __iter__(self) -> Iterator[Row]:
        with self.path.open("rb") as file:
            file.seek(self.start)
            for index in range(len(self)):
                yield self._row(file.readline(), index)

    @overload
    def __getitem__(self, index: int) -> Row: ...

    @overload
    def __getitem__(self, index: slice) -> "Lines": ...

    def __getitem__(self, index: int | slice) -> "Row | Lines":
        if isinstance(index, slice):
            first, last, step = index.indices(len(self))
            assert step == 1
            return Lines(self.path, self.ends[first:last], self._begin(first), self.first + first)
        index = range(len(self))[index]
        begin = self._begin(index)
        self._file.seek(begin)
        return self._row(self._file.read(self.ends[index] - begin), index)

    def __reduce__(self) -> tuple[Any, ...]:
        return Lines, (self.path, self.ends, self.start, self.first)

    @cached_property
    def _file(self) -> Any:
        return self.path.open("rb", buffering=0)

    def _begin(self, index: int) -> int:
        return self.ends[index - 1] if index else self.start

    def _row(self, line: bytes, index: int) -> Row:
        return parse_row(line, _decoder, f"{self.path}:{self.first + index}")


class Picked(Sequence[Row]):
    """Some of other rows, by their places there, each with more about it. Equal to the list of the same rows."""

    def __init__(self, rows: Sequence[Row], places: Iterable[int] = (), more: Callable[[int], Row] = lambda at: {}):
        self.rows, self.places, self.more = rows, array("q", places), more

    def __len__(self) -> int:
        return len(self.places)

    def __iter__(self) -> Iterator[Row]:
        return map(self._row, self.places)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return Picked(self.rows, self.places[index], self.more)
        return self._row(self.places[index])

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, Picked | list) else NotImplemented

    def _row(self, place: int) -> Row:
        row, more = self.rows[place], self.more(place)
        return {**row, **more} if more else row


def parts(rows: Sequence[Any], size: int = PART) -> list[Sequence[Any]]:
    """The rows, or other things, in parts of one size, in their order."""
    return [rows[at : at + size] for at in range(0, len(rows), size)]


def dumped(rows: Iterable[Row]) -> str:
    """The rows as they stand in a file."""
    return "".join(f"{dump_json(row)}\n" for row in rows)


@contextmanager
def text_writer(path: Path) -> Iterator[Callable[[str], Any]]:
    """`whole_file` for text that comes some at a time."""
    # Half a surrogate pair is no UTF-8; its JSON escape is.
    with whole_file(path) as part, part.open("w", encoding="utf-8", errors="backslashreplace") as out:
        yield out.write
