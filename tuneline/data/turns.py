"""Conversations that hold one another: by exchanges, each a user's turn with an assistant's that answers it.

A conversation is within another where all its exchanges stand there, in any order and whatever stands between: a
conversation and its continuation, a row that is a turn of a longer one. Compared are texts and calls, white space and
case folded.
"""

import hashlib
from array import array
from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from tuneline.data.runs import FEW
from tuneline.files import Row, dump_json

Exchanges = frozenset[bytes]
SIZE = 16  # bytes of an exchange's hash
NONE = -1


def exchanges(row: Row) -> Exchanges:
    """Hashes of the row's exchanges; none of a row of plain text."""
    found, asked, answered = set(), [], True
    for message in row.get("messages", ()):
        if message["role"] == "user":
            asked = [*([] if answered else asked), _folded(message)]
            answered = False
        elif message["role"] == "assistant" and asked:
            found.add(
                hashlib.blake2b(
                    "\x1e".join([*asked, _folded(message)]).encode("utf-8", "surrogatepass"), digest_size=SIZE
                ).digest()
            )
            answered = True
    return frozenset(found)


def packed(row: Row) -> bytes:
    """The same one after the other: of very many rows, a set for each would be too much."""
    return b"".join(sorted(exchanges(row)))


def _unpacked(some: bytes) -> Exchanges:
    return frozenset(some[at : at + SIZE] for at in range(0, len(some), SIZE))


class Conversations:
    """Different sets of exchanges, packed, numbered as they come, and which of them hold which.

    `numbers`: by row; NONE where it has no exchange. `small_talk`: the numbers of those that are not looked for in
    others, as each exchange of theirs is in more than FEW conversations and more than the root of their number: a
    greeting ties nothing together.
    """

    def __init__(self, rows: Iterable[bytes]) -> None:
        numbers: dict[bytes, int] = {}
        self.numbers = array("q", (numbers.setdefault(one, len(numbers)) if one else NONE for one in rows))
        self._related: dict[int, list[int]] = defaultdict(list)
        self.small_talk: set[int] = set()
        if any(len(one) > SIZE for one in numbers):
            self._relate(list(numbers))

    def related(self, number: int) -> list[int]:
        """Those that hold a set or are held by it, itself first."""
        return [number, *self._related.get(number, ())]

    def _relate(self, sets: list[bytes]) -> None:
        """By each one's rarest exchange: all that hold it are looked at, and however many begin alike, few are."""
        sizes = np.fromiter(map(len, sets), np.int64, len(sets)) // SIZE
        owners = np.repeat(np.arange(len(sets)), sizes)
        _, which, times = np.unique(
            np.frombuffer(b"".join(sets), f"S{SIZE}"), return_inverse=True, return_counts=True
        )  # numbered in the order of their bytes
        most = max(FEW, int(len(sets) ** 0.5))
        order = np.lexsort((which, times[which], owners))
        rarest = which[order][np.cumsum(sizes) - sizes]
        self.small_talk = set(np.flatnonzero(times[rarest] > most).tolist())
        holders = owners[np.argsort(which, kind="stable")]
        starts = np.cumsum(times) - times
        for number in np.flatnonzero((times[rarest] > 1) & (times[rarest] <= most)).tolist():
            own, start = _unpacked(sets[number]), starts[rarest[number]]
            for other in holders[start : start + times[rarest[number]]].tolist():
                if len(sets[number]) < len(sets[other]) and own < _unpacked(sets[other]):
                    self._related[number].append(other)
                    self._related[other].append(number)


def _folded(message: Row) -> str:
    calls = message.get("tool_calls")
    said = f"{message.get('content') or ''} {dump_json(calls) if calls else ''}"
    return " ".join(said.split()).casefold()
