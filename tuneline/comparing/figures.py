"""Figures that moved, each with the 95 % interval of its change, so that noise is told from effect.

The interval is paired, row by row, where both sides' predictions are at hand and the figure is the mean of the rows'
own, or what their answers give when they are scored anew; a test row that one side alone was asked counts on that side.
Else it is that of two independent figures, from the intervals that the reports have: too wide where the rows are the
same, and never too narrow.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import hypot
from pathlib import PurePosixPath
from typing import Any

from tuneline.comparing.pairing import OVER_SHOTS, ROUNDED, SIDES, TUNED, Pairs, Row
from tuneline.comparing.rescoring import recipe_of
from tuneline.comparing.sides import Side, Store

APART = "unpaired"
NOISE = "noise.json"  # beside them: what `make noise` has measured


@dataclass(frozen=True)
class Figure:
    """One that differs. interval: (low, high) of the change; None where no spread of it is known.

    before, now: None where that side has no such figure. how: PAIRED, APART, or how many of the rows are paired.
    """

    folder: str  # the adapter's or recipe's
    name: str
    before: float | None
    now: float | None
    interval: tuple[float, float] | None = None
    how: str = ""

    @property
    def change(self) -> float | None:
        return None if self.before is None or self.now is None else self.now - self.before

    @property
    def is_count(self) -> bool:
        return all(value is None or isinstance(value, int) for value in (self.before, self.now))

    @property
    def is_noise(self) -> bool:
        return self.interval is not None and self.interval[0] <= 0 <= self.interval[1]


def moved_figures(before: Side, now: Side, changed: set[str], store: Store) -> list[Figure]:
    """The figures that differ of all files that the pipeline, as it is now, calls metrics."""
    metrics = now.patterns("metrics")
    found = []
    for path in sorted(path for path in changed if metrics.match(path) and path.endswith((".json", ".yaml"))):
        old, new = (
            dict(flat(side.json(path) if path.endswith(".json") else side.yaml(path))) for side in (before, now)
        )
        spread = Spread(PurePosixPath(path).parent, before, now, store)
        for name in dict.fromkeys([*new, *old]):
            if old.get(name) != new.get(name):
                found.append(_figure(PurePosixPath(path).parent.name, name, old.get(name), new.get(name), spread))
    return found


def _figure(folder: str, name: str, old: float | None, new: float | None, spread: "Spread") -> Figure:
    if old is None or new is None:
        return Figure(folder, name, old, new)
    return Figure(folder, name, old, new, *spread.of(name, old, new))


def flat(value: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """(path, number) of each number in nested objects: {"a": {"b": 1}} gives ("a.b", 1)."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from flat(inner, f"{name}.{key}".strip("."))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield name, value


class Spread:
    """What is known of the noise of the figures of one evaluation, whose files lie in `folder`."""

    def __init__(self, folder: PurePosixPath, before: Side, now: Side, store: Store) -> None:
        self._reports = [side.json(str(folder / "report.json")) or {} for side in (before, now)]
        self._rows = [store.rows(side.outs.get(str(folder / "predictions.jsonl"))) for side in (before, now)]
        recipe = recipe_of(folder.name, now.lock)
        self._recipe = recipe and now.root / recipe
        trained = {side.outs.get(f"adapters/{folder.name}") for side in (before, now)}
        self._floors = ((now.json(str(folder / NOISE)) or {}).get("floor") or {}) if len(trained) == 2 else {}

    def of(self, name: str, old: float, new: float) -> tuple[tuple[float, float] | None, str]:
        """(interval of the change, how it was found)."""
        side, _, figure = name.partition(".")
        interval, how = self._of_rows(name, old, new)
        if interval is None or side != TUNED or figure not in self._floors:
            return interval, how
        floor, (low, high) = self._floors[figure], interval
        down, up = hypot(new - old - low, floor), hypot(high - new + old, floor)
        return (new - old - down, new - old + up), how

    @cached_property
    def _pairs(self) -> Pairs | None:
        return None if None in self._rows else Pairs(*self._rows, self._recipe)

    def _of_rows(self, name: str, old: float, new: float) -> tuple[tuple[float, float] | None, str]:
        side, _, figure = name.partition(".")
        pairs = self._pairs if side in (*SIDES, OVER_SHOTS) else None
        if pairs and (found := pairs.interval(side, figure, (old, new))):
            return found, pairs.how
        edges = [_edges(report, side, figure, value) for report, value in zip(self._reports, (old, new), strict=True)]
        if None in edges:
            return None, ""
        down = hypot(old - edges[0][1], new - edges[1][0])
        up = hypot(old - edges[0][0], new - edges[1][1])
        return (new - old - down, new - old + up), APART


def _edges(report: Row, side: str, figure: str, value: float) -> tuple[float, float] | None:
    """None where there is no interval, or it is that of another value: a report of another run."""
    edges = report.get("intervals", {}).get(side, {}).get(figure)
    if not edges or None in edges or not edges[0] - ROUNDED <= value <= edges[1] + ROUNDED:
        return None
    return tuple(edges)
