"""The answers of two sides to the same rows: the interval of a figure's change, each resample of the rows for both."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from tuneline.comparing.rescoring import measures_of, score_anew
from tuneline.measuring.bootstrap import intervals
from tuneline.measuring.score import MEAN, Score, summarize
from tuneline.recipe.own import Measures

SAMPLES, SEED = 1000, 0
ROUNDED = 1e-4  # figures are written with four digits
PAIRED = "paired"
SIDES = BASE, SHOTS, TUNED = "base", "shots", "tuned"  # whose figures an evaluation has: shots where it was asked so
OVER_SHOTS = "change_over_shots"  # tuned less shots
Row = dict[str, Any]
Scores = list[list[Score]]  # before and now, each in the order of the pairs


def asked(row: Row) -> tuple[str, str]:
    """(id, all that was asked): what two answers have in common that may be compared."""
    return row["id"], repr([row.get(name) for name in ("messages", "text", "reference")])


class Pairs:
    """The rows of predictions.jsonl that either side was asked; None stands for one that a side was not."""

    def __init__(self, before: Sequence[Row], now: Sequence[Row], recipe: Path | None) -> None:
        """`recipe`: its folder, whose measures may score answers anew."""
        old, new = ({asked(row): row for row in rows} for rows in (before, now))
        keys = dict.fromkeys([*old, *new])
        self.rows = [[rows.get(key) for key in keys] for rows in (old, new)]
        self.shared = len(old.keys() & new.keys())
        self._recipe = recipe
        self._anew: dict[str, Scores | None] = {}  # by side

    @property
    def how(self) -> str:
        """PAIRED, or how many of the rows are."""
        count = len(self.rows[0])
        return PAIRED if self.shared == count else f"{self.shared:,} of {count:,} rows {PAIRED}"

    def interval(self, side: str, figure: str, told: tuple[float, float]) -> tuple[float, float] | None:
        """The central 95 % of the change of a side's figure, which is `told` before and now.

        None where no row is shared, and where neither the rows' own figures nor their answers, scored anew, make what
        is told.
        """
        parts = (TUNED, SHOTS) if side == OVER_SHOTS else (side,)
        for how, scores in self._ways(parts, figure) if self.shared else ():
            values = _Values(how, figure, scores)
            if np.allclose([values.of(at, None) for at in (0, 1)], told, atol=ROUNDED):
                low, high = intervals(values.change, len(self.rows[0]), SAMPLES, SEED)[""]
                return None if low is None else (low, high)
        return None

    def _ways(self, parts: Sequence[str], figure: str) -> Iterator[tuple[str, list[Scores]]]:
        """(how the rows make the figure, the scores of each part): as recorded, whose mean it may be, then anew."""
        yield MEAN, [[[_recorded(row, part, figure) for row in rows] for rows in self.rows] for part in parts]
        how = self._measures and self._measures.FIGURES.get(figure)
        if how and None not in (anew := [self._scored_anew(part) for part in parts]):
            yield how, anew

    @cached_property
    def _measures(self) -> Measures | None:
        return self._recipe and measures_of(self._recipe, [row for row in self.rows[1] if row])

    def _scored_anew(self, side: str) -> Scores | None:
        if side not in self._anew:
            found = [score_anew(self._measures, rows, side) for rows in self.rows]
            self._anew[side] = None if None in found else found
        return self._anew[side]


class _Values:
    """A figure of one side, or of one less another, over the rows or resamples of them."""

    def __init__(self, how: str, figure: str, scores: list[Scores]) -> None:
        self.figures, self.figure, self.scores = {figure: how}, figure, scores

    def of(self, at: int, picks: np.ndarray | None) -> Any:
        """`at`: 0 before, 1 now."""
        first, *less = (summarize(scores[at], self.figures, picks)[self.figure] for scores in self.scores)
        return first - less[0] if less else first

    def change(self, picks: np.ndarray) -> dict[str, Any]:
        return {"": self.of(1, picks) - self.of(0, picks)}


def _recorded(row: Row | None, side: str, figure: str) -> Score:
    return Score({figure: row["figures"].get(side, {}).get(figure) if row else None})
