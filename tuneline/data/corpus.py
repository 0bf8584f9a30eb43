"""Rows as columns of what they are compared by: of very many rows, this fits into memory and nothing else of them."""

import hashlib
import sys
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from tuneline.bulk.lines import Mapped, Picked, parts
from tuneline.data.similarity import Texts, numbered
from tuneline.data.turns import Conversations, packed
from tuneline.files import Row, dump_json
from tuneline.recipe.documents import has_own_place
from tuneline.rows import answer, message_text, question

Check = Callable[[Row], tuple[str, str] | None]
DIGEST = 16  # bytes
ORDER = {"test": 0, "valid": 1}  # of the sets; the others stand behind them


class Looks(NamedTuple):
    """What some rows are compared by: a list has a place for each row, bytes have DIGEST for each."""

    sets: list[str]  # empty of a row of none
    adapters: list[str]  # empty of every adapter's
    sources: list[bool]
    own: list[bool]  # whether it has a place of its own
    systems: list[tuple[str, ...]]
    asked: list[str]  # without the system texts
    groups: bytes
    contents: bytes
    replies: bytes  # white space and case folded; the same for all rows of plain text
    said: bytes  # the same with the tools among which it was found: with others, it would not be the same
    exchanges: list[bytes]
    wrong: list[tuple[str, str] | None]


BYTES = {"groups", "contents", "replies", "said"}


def look(rows: Iterable[Row], check: Check) -> Looks:
    """`check`: what is wrong with a row that a strategy made."""
    columns: Looks = Looks(*([] for _ in Looks._fields))
    for row in rows:
        for column, value in zip(columns, _look(row, check), strict=True):
            column.append(value)
    return Looks(*(b"".join(column) if name in BYTES else column for name, column in columns._asdict().items()))


def _look(row: Row, check: Check) -> tuple[Any, ...]:
    """In the order of Looks."""
    is_source = row["origin"] == "source"
    systems, asked = _asked(row)
    tools = dump_json(row.get("tools", []))
    reply = bytes(DIGEST) if "text" in row else digest(" ".join(answer(row).split()).casefold())
    return (
        sys.intern(row.get("set", "")),
        sys.intern(row.get("adapter", "")),
        is_source,
        has_own_place(row),
        systems,
        asked,
        digest(row["group"]),
        digest(question(row), answer(row), tools),
        reply,
        digest(reply.hex(), tools),
        packed(row),
        None if is_source else check(row),
    )


def _asked(row: Row) -> tuple[tuple[str, ...], str]:
    """(the system texts, the question without them, white space folded)."""
    if "text" in row:
        return (), " ".join(row["text"].casefold().split())
    systems = tuple(message["content"] for message in row["messages"] if message["role"] == "system")
    others = (message for message in row["messages"][:-1] if message["role"] != "system")
    return systems, " ".join(" ".join(map(message_text, others)).casefold().split())


def digest(*parts: str) -> bytes:
    return hashlib.blake2b("\x1f".join(parts).encode("utf-8", "surrogatepass"), digest_size=DIGEST).digest()


class Corpus:
    """Rows, those of the held-out sets first and made ones last, with what they are compared by.

    A column has a place for each row; what is compared as a whole is a number there, that of the adapter that is none
    is 0. `questions`: of the question in `texts`. `wrong`: what `check` says, by place. `least`: as of Texts. `mapped`:
    as `map`, in whatever process.
    """

    def __init__(self, rows: Sequence[Row], least: float, check: Check, mapped: Mapped = map) -> None:
        looks = _joined(mapped(partial(look, check=check), parts(rows)))
        held_out = [ORDER.get(name, len(ORDER)) for name in looks.sets]
        order = np.lexsort((~np.array(looks.sources, bool), held_out)).tolist()
        self.rows = Picked(rows, order)
        self.sets = [looks.sets[at] for at in order]
        self.own = [looks.own[at] for at in order]
        self.wrong = {place: looks.wrong[at] for place, at in enumerate(order) if looks.wrong[at]}
        numbers = {name: number for number, name in enumerate(["", *sorted({*looks.adapters} - {""})])}
        self.voices = len(numbers)
        self.adapters = array("q", (numbers[looks.adapters[at]] for at in order))
        digests = (looks.groups, looks.contents, looks.replies, looks.said)
        columns = (array("q", numbers_of(column)[order].tobytes()) for column in digests)
        self.groups, self.contents, self.replies, self.said = columns
        self.conversations = Conversations(looks.exchanges[at] for at in order)
        questions, texts = numbered(_compared(looks, order))
        self.questions = array("q", questions)
        del looks, questions  # they are large, and what comes next is, too
        self.texts = Texts(texts, least, mapped)

    def keys(self, place: int, what: int) -> list[int]:
        """`what`, a number, as of the row's adapter and of every adapter's."""
        return [what * self.voices + adapter for adapter in dict.fromkeys((self.adapters[place], 0))]

    def id(self, place: int) -> str:
        return self.rows[place]["id"]


def _joined(parts: Iterable[Looks]) -> Looks:
    columns = list(zip(*parts, strict=True)) or [[]] * len(Looks._fields)
    together = zip(Looks._fields, columns, strict=True)
    return Looks(*(b"".join(some) if name in BYTES else list(chain.from_iterable(some)) for name, some in together))


def numbers_of(digests: bytes | bytearray) -> np.ndarray:
    """A number for each different digest."""
    return np.unique(np.frombuffer(digests, f"S{DIGEST}"), return_inverse=True)[1].astype(np.int64)


def _compared(looks: Looks, order: list[int]) -> Iterator[str]:
    """The questions, a system text that several rows have word for word replaced by one private character [1].

    It says that they have the same one, and nothing more: ten examples under one long system prompt are not alike.
    [1] U+E000 to U+F8FF, private use.
    """
    systems = Counter(text for at in order for text in looks.systems[at])
    shared = (text for text, times in systems.items() if times > 1)
    names = {text: chr(0xE000 + number % 6400) for number, text in enumerate(shared)}
    for at in order:
        own = [names.get(text) or text.casefold() for text in looks.systems[at]]
        yield " ".join([*own, looks.asked[at]]) if own else looks.asked[at]
