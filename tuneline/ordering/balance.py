"""Which case to ask for next, so that the corpus comes nearest to all its target shares at once.

Adding a case with value v to a dimension of n cases changes the sum of the squared deviations from the
target counts least where the deficit, share(v) · (n + 1) - count(v), is largest. Dimensions add up, so
the best combination is the one with the smallest sum of regrets (the largest deficit less the chosen
one), over the combinations that may be: some values exclude each other, some dimensions are of some
combinations only, and a second value of a dimension counts as a mention like the first.
"""

import random
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from tuneline.ordering.shares import Combination, Shares, holds

WITH, WITHOUT = "with", "without"  # a second value, where the rest of the combination leaves it open
TOLERANCE = 1.0  # cases that a value may lag behind, so that the dimensions do not march in step
CALM = 100  # cases to go from which on every value is to come out exactly
TRIES = 100  # draws to find a combination that is not a recent one


class Counts:
    """How often each value of each dimension is there."""

    def __init__(self, shares: Shares) -> None:
        self.shares = shares
        counted = [*shares.values, *shares.second, *(_leading(name) for name in shares.doubled)]
        self.values: dict[str, Counter[str]] = {name: Counter() for name in counted}

    def add(self, combination: Combination, times: int = 1) -> None:
        """Counts a case, or takes it back (`times` -1); a seed case may know some dimensions only."""
        for name in self.shares.names:
            dimension = self.shares.dimension_of(name)
            self._add(dimension, dimension, combination.get(name), times)
        for name, second in self.shares.second.items():
            self._add(_leading(second.of), second.of, combination.get(second.of), times)
            is_known = all(combination.get(one) for one in (second.of, *second.always))
            if is_known and not holds(second.always, combination):
                self.values[name][WITH if combination.get(name) else WITHOUT] += times

    def _add(self, counted: str, dimension: str, value: str | None, times: int) -> None:
        if value in self.shares.values[dimension]:  # another vocabulary's value is no value of ours
            self.values[counted][value] += times

    def deficits(self, name: str, shares: Mapping[str, float], more: int = 1) -> dict[str, float]:
        """Cases that each value lacks once the dimension has so many more."""
        there = self.values[name]
        total = sum(there.values()) + more
        return {value: share * total - there[value] for value, share in shares.items()}

    def deviations(self) -> dict[str, dict[str, float]]:
        """Dimension → value → share that is there less the target share, in points; of two values each counts."""
        found = {}
        for name, shares in self.shares.values.items():
            total = sum(self.values[name].values())
            if total:
                found[name] = {v: 100 * (self.values[name][v] / total - share) for v, share in shares.items()}
        return found

    def mean_deviation(self) -> float:
        """The mean over all values of all dimensions of the absolute deviation, in points."""
        every = [abs(points) for values in self.deviations().values() for points in values.values()]
        return sum(every) / len(every) if every else 0.0


class Balance:
    """Draws combinations: the same one for the same seed, number and counts."""

    def __init__(self, shares: Shares, seed: int) -> None:
        self.shares, self.seed = shares, seed

    def next(self, counts: Counts, recent: Collection[str], remaining: int, number: int) -> dict[str, str | None]:
        """The combination of instruction `number`; `recent` are signatures that it must not repeat.

        `remaining` counts what is still to be handed out, this one included. Where every combination is
        a recent one, the best of them is repeated.
        """
        rng = random.Random(f"{self.seed}/{number}")
        tolerance = TOLERANCE if remaining > CALM else 0.0
        best = drawn = self._draw(counts, tolerance, rng)
        for _ in range(TRIES):
            if self.shares.signature(drawn) not in recent:
                return drawn
            tolerance += 0.5
            drawn = self._draw(counts, tolerance, rng)
        return best

    def _draw(self, counts: Counts, tolerance: float, rng: random.Random) -> dict[str, str | None]:
        chosen: dict[str, str | None] = {}
        for names, combinations in self.shares.groups:
            regrets = [self._regrets(counts, name) for name in names]
            costs = [sum(r[v] for r, v in zip(regrets, combination, strict=True)) for combination in combinations]
            chosen |= zip(names, _near_best(combinations, costs, tolerance, rng), strict=True)
        for dimension, name in self.shares.doubled.items():
            mentions = 2 if self._has_second(name, counts, chosen, tolerance, rng) else 1
            values = self._values(dimension, mentions, counts, tolerance, rng)
            chosen |= {dimension: values[0], name: values[1] if mentions == 2 else None}
        return {name: chosen[name] for name in self.shares.names}

    def _regrets(self, counts: Counts, name: str) -> dict[str | None, float]:
        deficits = counts.deficits(name, self.shares.values[name])
        most = max(deficits.values())
        return {None: 0.0, **{value: most - deficit for value, deficit in deficits.items()}}

    def _has_second(self, name: str, counts: Counts, chosen: Combination, tolerance: float, rng: random.Random) -> bool:
        second = self.shares.second[name]
        if holds(second.always, chosen):
            return True
        lacking = counts.deficits(name, {WITH: second.share, WITHOUT: 1 - second.share})
        return _near_best(list(lacking), [-d for d in lacking.values()], tolerance, rng) == WITH

    def _values(self, dimension: str, mentions: int, counts: Counts, tolerance: float, rng: random.Random) -> list[str]:
        """So many different values; the one that leads less often than it should leads."""
        shares = self.shares.values[dimension]
        lacking = counts.deficits(dimension, shares, mentions)
        named: list[str] = []
        for _ in range(mentions):
            left = [value for value in lacking if value not in named]
            named.append(_near_best(left, [-lacking[value] for value in left], tolerance, rng))
        leading = counts.deficits(_leading(dimension), shares)
        return sorted(named, key=lambda value: -leading[value])


def _leading(dimension: str) -> str:
    """Where the first values of a dimension that has second ones are counted by themselves."""
    return f"first {dimension}"


def _near_best(options: list, costs: Iterable[float], tolerance: float, rng: random.Random) -> Any:
    costs = list(costs)
    bar = min(costs) + tolerance + 1e-9
    return rng.choice([option for option, cost in zip(options, costs, strict=True) if cost <= bar])
