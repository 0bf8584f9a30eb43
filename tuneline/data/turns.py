"""Conversations that hold one another: by exchanges, each a user's turn with an assistant's that answers it.

A conversation is within another where all its exchanges stand there, in any order and whatever stands between: a
conversation and its continuation, a row that is a turn of a longer one. Compared are texts and calls, white space and
case folded.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable

from tuneline.data.runs import FEW
from tuneline.files import Row, dump_json

Exchanges = frozenset[bytes]


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
                    "\x1e".join([*asked, _folded(message)]).encode("utf-8", "surrogatepass"), digest_size=16
                ).digest()
            )
            answered = True
    return frozenset(found)


class Conversations:
    """Different sets of exchanges, numbered as they come, and which of them hold which.

    `numbers`: by row; None where it has no exchange. `related`: those that hold a set or are held by it, itself first.
    `small_talk`: the numbers of those that are not looked for in others, as each exchange of theirs is in more than
    FEW conversations and more than the root of their number: a greeting ties nothing together.
    """

    def __init__(self, rows: Iterable[Row]) -> None:
        numbers: dict[Exchanges, int] = {}
        found = map(exchanges, rows)
        self.numbers = [numbers.setdefault(one, len(numbers)) if one else None for one in found]
        self.related = [[number] for number in range(len(numbers))]
        self.small_talk: set[int] = set()
        if any(len(one) > 1 for one in numbers):
            self._relate(list(numbers))

    def _relate(self, sets: list[Exchanges]) -> None:
        """By each one's rarest exchange: all that hold it are looked at, and however many begin alike, few are."""
        times = Counter(exchange for one in sets for exchange in one)
        most = max(FEW, int(len(sets) ** 0.5))
        holders: dict[bytes, list[int]] = defaultdict(list)
        for number, one in enumerate(sets):
            for exchange in one:
                if times[exchange] <= most:
                    holders[exchange].append(number)
        for number, one in enumerate(sets):
            rarest = min(one, key=lambda exchange: (times[exchange], exchange))
            if times[rarest] > most:
                self.small_talk.add(number)
            for other in holders.get(rarest, ()):
                if other != number and one < sets[other]:
                    self.related[number].append(other)
                    self.related[other].append(number)


def _folded(message: Row) -> str:
    calls = message.get("tool_calls")
    said = f"{message.get('content') or ''} {dump_json(calls) if calls else ''}"
    return " ".join(said.split()).casefold()
