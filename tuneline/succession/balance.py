"""Which case to ask for next, so that the corpus comes nearest to all its target shares at once.

Adding a case with value v to a dimension of n cases changes the sum of the squared deviations from the
target counts least where the deficit, share(v) · (n + 1) - count(v), is largest. Dimensions add up, so
the best combination is the one with the smallest sum of regrets (the largest deficit less the chosen
one), over the combinations that may be: some values exclude each other, a hard negative has a mode, and
a second topic counts as a mention like the first.
"""

import itertools
import random
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import click
import yaml

from tuneline.succession.targets import Dimensions

PLAIN = ("persona", "voice", "form", "length", "noise", "amounts", "dates", "complexity", "hard_negative_mode")
HARD = "hard_negative"
WITH, WITHOUT = "with", "without"  # a second topic, where the complexity leaves it open
TOLERANCE = 1.0  # cases that a value may lag behind, so that the dimensions do not march in step
CALM = 100  # cases to go from which on every value is to come out exactly
TRIES = 100  # draws to find a combination that is not a recent one


@dataclass(frozen=True)
class Shares:
    """What dimensions.yaml asks for; the shares of a dimension's values sum to 1."""

    values: dict[str, dict[str, float]]  # dimension → value → share
    second_always: frozenset[str]  # complexities that always have a second topic
    second_else: float  # the share with one among the others
    words: dict[str, tuple[int, int]]  # length → fewest and most words
    never: tuple[dict[str, str], ...] = ()  # values that exclude each other

    def allows(self, combination: Mapping[str, str | None]) -> bool:
        return not any(all(combination.get(name) == value for name, value in pair.items()) for pair in self.never)

    @cached_property
    def groups(self) -> list[tuple[tuple[str, ...], list[tuple[str | None, ...]]]]:
        """(dimensions, the combinations of their values that may be) for dimensions bound to each other."""
        bound = [{"complexity", "hard_negative_mode"}, *(set(pair) for pair in self.never)]
        groups: list[set[str]] = [{name} for name in PLAIN]
        for names in bound:
            joined = set().union(*(group for group in groups if group & names))
            groups = [group for group in groups if not group & names] + [joined]
        found = []
        for group in sorted(groups, key=lambda group: min(map(PLAIN.index, group))):
            names = tuple(name for name in PLAIN if name in group)
            values = [[*self.values[name], *([None] if name == "hard_negative_mode" else [])] for name in names]
            combinations = (dict(zip(names, combination, strict=True)) for combination in itertools.product(*values))
            may_be = [tuple(c.values()) for c in combinations if _has_its_mode(c) and self.allows(c)]
            if not may_be:
                raise click.ClickException(f"dimensions.yaml: `never` leaves no combination of {', '.join(names)}")
            found.append((names, may_be))
        return found


def _has_its_mode(combination: Mapping[str, str | None]) -> bool:
    if "complexity" not in combination:
        return True
    return (combination["complexity"] == HARD) == (combination["hard_negative_mode"] is not None)


def read_shares(path: Path) -> Shares:
    """Raises click.ClickException that names every section that is missing, unknown or not of its form."""
    try:
        read = yaml.safe_load(path.read_text("utf-8"))
    except FileNotFoundError:
        raise click.ClickException(f"{path} is missing; it has the target shares of each dimension") from None
    except yaml.YAMLError as error:
        raise click.ClickException(f"{path}: {' '.join(str(error).split())}") from None
    needed = {*PLAIN, "topic", "second_topic", "words"}
    if not isinstance(read, dict) or not needed <= set(read) <= {*needed, "never"}:
        raise click.ClickException(f"{path}: needs the sections {', '.join(sorted(needed))}, and may have never")
    wrong, values = [], {}
    for name in (*PLAIN, "topic"):
        shares = read[name]
        if not isinstance(shares, dict) or not all(isinstance(s, int | float) and s > 0 for s in shares.values()):
            wrong.append(f"{name} is not of the form {{value: share above 0}}")
        elif abs(sum(shares.values()) - 100) > 1e-6:
            wrong.append(f"the shares of {name} sum to {sum(shares.values()):g}, not to 100")
        else:
            values[name] = {str(value): share / 100 for value, share in shares.items()}
    never = read.get("never") or []
    for pair in never:
        if unknown := [f"{n}: {v}" for n, v in pair.items() if n not in PLAIN or v not in values.get(n, {})]:
            wrong.append(f"never names {', '.join(unknown)}, which is no value of a dimension")
    if set(read["words"]) != set(read["length"]):
        wrong.append("words names other lengths than length")
    if wrong:
        raise click.ClickException(f"{path}: {'; '.join(wrong)}")
    second = read["second_topic"]
    words = {str(length): (int(least), int(most)) for length, (least, most) in read["words"].items()}
    shares = Shares(values, frozenset(second["always"]), float(second["else"]), words, tuple(never))
    _ = shares.groups  # says what `never` leaves no combination of
    return shares


class Counts:
    """How often each value of each dimension is there."""

    def __init__(self, shares: Shares) -> None:
        self.shares = shares
        self.values: dict[str, Counter[str]] = {name: Counter() for name in (*PLAIN, "topic", "first", "second")}

    def add(self, combination: Mapping[str, str | None], times: int = 1) -> None:
        """Counts a case, or takes it back (`times` -1); a seed case may know some dimensions only."""
        for name in PLAIN:
            self._add(name, name, combination.get(name), times)
        self._add("topic", "topic", combination.get("topic"), times)
        self._add("topic", "topic", combination.get("second_topic"), times)
        self._add("first", "topic", combination.get("topic"), times)
        complexity = combination.get("complexity")
        if complexity and combination.get("topic") and complexity not in self.shares.second_always:
            self.values["second"][WITH if combination.get("second_topic") else WITHOUT] += times

    def _add(self, counted: str, dimension: str, value: str | None, times: int) -> None:
        if value in self.shares.values[dimension]:  # another vocabulary's value is no value of ours
            self.values[counted][value] += times

    def deficits(self, name: str, shares: Mapping[str, float], more: int = 1) -> dict[str, float]:
        """Cases that each value lacks once the dimension has so many more."""
        there = self.values[name]
        total = sum(there.values()) + more
        return {value: share * total - there[value] for value, share in shares.items()}

    def deviations(self) -> dict[str, dict[str, float]]:
        """Dimension → value → share that is there less the target share, in points; topics by mentions."""
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

    def next(self, counts: Counts, recent: Collection[str], remaining: int, number: int) -> Dimensions:
        """The combination of instruction `number`; `recent` are signatures that it must not repeat.

        `remaining` counts what is still to be handed out, this one included. Where every combination is
        a recent one, one of them is repeated.
        """
        rng = random.Random(f"{self.seed}/{number}")
        tolerance = TOLERANCE if remaining > CALM else 0.0
        for _ in range(TRIES):
            drawn = self._draw(counts, tolerance, rng)
            if drawn.signature() not in recent:
                break
            tolerance += 0.5
        return drawn

    def _draw(self, counts: Counts, tolerance: float, rng: random.Random) -> Dimensions:
        chosen: dict[str, Any] = {}
        for names, combinations in self.shares.groups:
            regrets = [self._regrets(counts, name) for name in names]
            costs = [sum(r[v] for r, v in zip(regrets, combination, strict=True)) for combination in combinations]
            chosen |= zip(names, _near_best(combinations, costs, tolerance, rng), strict=True)
        first, second = self._topics(counts, chosen["complexity"], tolerance, rng)
        return Dimensions(**chosen, topic=first, second_topic=second)

    def _regrets(self, counts: Counts, name: str) -> dict[str | None, float]:
        deficits = counts.deficits(name, self.shares.values[name])
        most = max(deficits.values())
        return {None: 0.0, **{value: most - deficit for value, deficit in deficits.items()}}

    def _topics(self, counts: Counts, complexity: str, tolerance: float, rng: random.Random) -> tuple[str, str | None]:
        shares = self.shares.values["topic"]
        if complexity in self.shares.second_always:
            mentions = 2
        else:
            open_share = {WITH: self.shares.second_else, WITHOUT: 1 - self.shares.second_else}
            lacking = counts.deficits("second", open_share)
            near = _near_best(list(lacking), [-d for d in lacking.values()], tolerance, rng)
            mentions = 2 if near == WITH else 1
        lacking = counts.deficits("topic", shares, mentions)
        named: list[str] = []
        for _ in range(mentions):
            left = [topic for topic in lacking if topic not in named]
            named.append(_near_best(left, [-lacking[topic] for topic in left], tolerance, rng))
        first = counts.deficits("first", shares)
        named.sort(key=lambda topic: -first[topic])  # the topic that leads less often than it should leads
        return named[0], named[1] if mentions == 2 else None


def _near_best(options: list, costs: Iterable[float], tolerance: float, rng: random.Random) -> Any:
    costs = list(costs)
    bar = min(costs) + tolerance + 1e-9
    return rng.choice([option for option, cost in zip(options, costs, strict=True) if cost <= bar])
