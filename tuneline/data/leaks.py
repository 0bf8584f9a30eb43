"""What of a held-out row stands in another row, so that training on it would show the answer."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache

from tuneline.data.corpus import Corpus
from tuneline.data.similarity import Index, Texts, numbered
from tuneline.data.turns import NONE
from tuneline.rows import answer

REMEMBERED = 1 << 14  # questions whose look-alikes are looked for once, though several rows have them
Found = dict[str, str | float]  # what a drop says of the held-out row: `of`, its id, and `similarity` or `detail`


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
        self.said: dict[int, list[int]] = defaultdict(list)  # and by conversation
        for kinds in (("test", "valid"), ("valid", "")):  # who is held out, whom they forbid
            held_out, others = ([place for place, name in enumerate(corpus.sets) if name == kind] for kind in kinds)
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
        near, answers = lru_cache(REMEMBERED)(self.index.near), cache(self._answers)
        unsure: dict[int, list[dict[int, int]]] = {}
        for place in places:
            adapter, reply = self.corpus.adapters[place], self.corpus.replies[place]
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

    def _answers(self, number: int, adapter: int) -> dict[int, int]:
        """The different answers to a held-out question, each with the place of the first row that has it."""
        first: dict[int, int] = {}
        for place in self._asked_with(number, adapter):
            first.setdefault(self.corpus.replies[place], place)
        return first

    def shown(self, place: int) -> set[str]:
        """The ids of all held-out rows that a forbidden row would show; `found` names one of them."""
        adapter, reply = self.corpus.adapters[place], self.corpus.replies[place]
        mates = list(self._turn_mates(place))
        for _, other in self.index.near(self.corpus.questions[place]):
            known = self._answers(other, adapter)
            alike = (mate for mate in self._asked_with(other, adapter) if self.corpus.replies[mate] == reply)
            mates += self._asked_with(other, adapter) if len(known) == 1 else alike
        return {str(self.found[place]["of"]), *map(self.corpus.id, mates)}

    def _by_turns(self, place: int) -> int | None:
        """The first held-out row that holds the row's turns or is held by it."""
        return next(self._turn_mates(place), None)

    def _turn_mates(self, place: int) -> Iterator[int]:
        number = self.corpus.conversations.numbers[place]
        related = () if number == NONE else self.corpus.conversations.related(number)
        mates = (mate for one in related for mate in self.said.get(one, ()))
        return self._together(self.corpus.adapters[place], mates)

    def _asked_with(self, number: int, adapter: int) -> Iterator[int]:
        """The held-out rows with that question."""
        return self._together(adapter, self.asked[number])

    def _together(self, adapter: int, mates: Iterable[int]) -> Iterator[int]:
        return (mate for mate in mates if together(adapter, self.corpus.adapters[mate]))

    def _by_answers(self, unsure: dict[int, list[dict[int, int]]]) -> None:
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
        return {"of": self.corpus.id(mate), **how}


def together(adapter: int, other: int) -> bool:
    """Whether some adapter trains on both rows: on its own, and on those that are every adapter's."""
    return adapter == other or 0 in (adapter, other)
