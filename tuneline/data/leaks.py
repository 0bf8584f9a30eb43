"""What of a held-out row stands in another row, so that training on it would show the answer."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from functools import cache

from tuneline.data.similarity import Index, Texts, numbered
from tuneline.data.turns import Conversations
from tuneline.files import Row
from tuneline.rows import answer, question

Found = dict[str, str | float]  # what a drop says of the held-out row: `of`, its id, and `similarity` or `detail`


class Corpus:
    """Rows with what they are compared by; a list has a place for each row.

    `questions`: the number of its question in `texts`; `replies`: hashes of the answers, white space and case folded,
    the same one for all rows of plain text, which are question and answer at once. `least`: as of Texts.
    """

    def __init__(self, rows: list[Row], least: float) -> None:
        self.rows = rows
        self.questions, texts = numbered(_compared(rows))
        self.texts = Texts(texts, least)
        self.replies = [b"" if "text" in row else _digest(answer(row)) for row in rows]
        self.conversations = Conversations(rows)


class Leaks:
    """`found`: what a held-out row forbids, by the place of each row.

    Forbidden is a row that asks nearly what a held-out row asks, whatever it answers. But where the held-out rows
    themselves ask one question with several answers, it is an instruction, and only a row with nearly one of these
    answers is. So is a row that holds the turns of a held-out one, or stands within it. Validation rows are held to
    the same, by the test rows. `cut_short`: how many rows had more look-alikes than are compared (see Index).
    """

    def __init__(self, corpus: Corpus, threshold: float) -> None:
        self.corpus, self.threshold = corpus, threshold
        self.found: dict[int, Found] = {}
        self.cut_short = 0
        self.index = Index(corpus.texts, threshold)
        self.asked: dict[int, list[int]] = defaultdict(list)  # places of held-out rows by question
        self.said: dict[int | None, list[int]] = defaultdict(list)  # and by conversation
        for kinds in (("test", "valid"), ("valid", None)):  # who is held out, whom they forbid
            held_out, others = ([n for n, row in enumerate(corpus.rows) if row.get("set") == kind] for kind in kinds)
            for place in held_out:
                if place not in self.found:
                    self._hold_out(place)
            if self.asked:
                self._look_through(others)

    def _hold_out(self, place: int) -> None:
        self.index.add(self.corpus.questions[place])
        self.asked[self.corpus.questions[place]].append(place)
        self.said[self.corpus.conversations.numbers[place]].append(place)

    def _look_through(self, places: Iterable[int]) -> None:
        near, answers = cache(self.index.near), cache(self._answers)
        unsure: dict[int, list[dict[bytes, int]]] = {}
        for place in places:
            adapter, reply = self.corpus.rows[place].get("adapter", ""), self.corpus.replies[place]
            known = [(score, answers(other, adapter)) for score, other in near(self.corpus.questions[place])]
            sure = ((score, mates) for score, mates in known if len(mates) == 1 or reply in mates)
            if score_and_mates := next(sure, None):
                score, mates = score_and_mates
                mate = mates.get(reply, next(iter(mates.values())))
                self.found[place] = self._tell(mate, similarity=round(score, 4))
            elif (mate := self._by_turns(place)) is not None:
                self.found[place] = self._tell(mate, detail="by its turns")
            elif several := [mates for _, mates in known if mates]:
                unsure[place] = several
        self.cut_short += sum(self.corpus.questions[place] in self.index.cut_short for place in places)
        if unsure:
            self._by_answers(unsure)

    def _answers(self, number: int, adapter: str) -> dict[bytes, int]:
        """The different answers to a held-out question, each with the place of the first row that has it."""
        first: dict[bytes, int] = {}
        for place in self._asked_with(number, adapter):
            first.setdefault(self.corpus.replies[place], place)
        return first

    def shown(self, place: int) -> set[str]:
        """The ids of all held-out rows that a forbidden row would show; `found` names one of them."""
        adapter, reply = self.corpus.rows[place].get("adapter", ""), self.corpus.replies[place]
        mates = list(self._turn_mates(place))
        for _, other in self.index.near(self.corpus.questions[place]):
            known = self._answers(other, adapter)
            alike = (mate for mate in self._asked_with(other, adapter) if self.corpus.replies[mate] == reply)
            mates += self._asked_with(other, adapter) if len(known) == 1 else alike
        return {str(self.found[place]["of"]), *(self.corpus.rows[mate]["id"] for mate in mates)}

    def _by_turns(self, place: int) -> int | None:
        """The first held-out row that holds the row's turns or is held by it."""
        return next(self._turn_mates(place), None)

    def _turn_mates(self, place: int) -> Iterator[int]:
        number, adapter = self.corpus.conversations.numbers[place], self.corpus.rows[place].get("adapter", "")
        related = () if number is None else self.corpus.conversations.related[number]
        mates = (mate for one in related for mate in self.said.get(one, ()))
        return (mate for mate in mates if together(adapter, self.corpus.rows[mate].get("adapter", "")))

    def _asked_with(self, number: int, adapter: str) -> Iterator[int]:
        """The held-out rows with that question."""
        return (mate for mate in self.asked[number] if together(adapter, self.corpus.rows[mate].get("adapter", "")))

    def _by_answers(self, unsure: dict[int, list[dict[bytes, int]]]) -> None:
        """Of rows with a held-out instruction, those with nearly one of its answers."""
        mates = sorted({mate for several in unsure.values() for known in several for mate in known.values()})
        places = [*mates, *unsure]
        numbers, texts = numbered(answer(self.corpus.rows[place]).casefold() for place in places)
        number_of = dict(zip(places, numbers, strict=True))
        index = Index(Texts(texts, self.threshold), self.threshold)
        for mate in mates:
            index.add(number_of[mate])
        allowed: dict[int, dict[int, int]] = {}  # by the identity of known answers: number → place
        for place, several in unsure.items():
            for known in several:
                if id(known) not in allowed:
                    allowed[id(known)] = {number_of[mate]: mate for mate in known.values()}
                mate_of = allowed[id(known)]
                if near := index.near(number_of[place], mate_of.__contains__):
                    score, number = near[0]
                    self.found[place] = self._tell(mate_of[number], answer_similarity=round(score, 4))
                    break
        self.cut_short += len(index.cut_short)

    def _tell(self, mate: int, **how: str | float) -> Found:
        return {"of": self.corpus.rows[mate]["id"], **how}


def together(adapter: str, other: str) -> bool:
    """Whether some adapter trains on both rows: on its own, and on those that are every adapter's."""
    return adapter == other or "" in (adapter, other)


def _compared(rows: list[Row]) -> Iterator[str]:
    """The questions, a system text that several rows have word for word replaced by one private character [1].

    It says that they have the same one, and nothing more: ten examples under one long system prompt are not alike.
    [1] U+E000 to U+F8FF, private use.
    """
    systems = Counter(message["content"] for row in rows for message in _system(row))
    shared = (text for text, times in systems.items() if times > 1)
    names = {text: chr(0xE000 + number % 6400) for number, text in enumerate(shared)}
    return (question(_named(row, names)) for row in rows)


def _system(row: Row) -> list[Row]:
    return [message for message in row.get("messages", ()) if message["role"] == "system"]


def _named(row: Row, names: dict[str, str]) -> Row:
    if not _system(row):
        return row
    renamed = [{**one, "content": names.get(one["content"], one["content"])} for one in _system(row)]
    return {**row, "messages": [*renamed, *(one for one in row["messages"] if one["role"] != "system")]}


def _digest(text: str) -> bytes:
    """Of a text whose white space and case are folded."""
    folded = " ".join(text.split()).casefold()
    return hashlib.blake2b(folded.encode("utf-8", "surrogatepass"), digest_size=16).digest()
