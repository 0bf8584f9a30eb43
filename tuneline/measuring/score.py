"""What an answer is worth, as data: figures by row, and how the rows make the figures of a test set."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tuneline.files import Row

# How the rows make a figure: its mean over the rows that have it, or, over all right, missed and invented pairs of
# all rows (micro), the share of what was given, the share of what was wanted, or the harmonic mean of the two.
MEAN, PRECISION, RECALL, F1 = "mean", "precision", "recall", "f1"
Pair = tuple[str, str]  # path of a field, value as JSON
UNJUDGED = "(unjudged)"  # the predicted kind where no judge told it: on the heat map, and no mistake of the model's


@dataclass(frozen=True)
class Score:
    """One answer.

    figures: each a number or a truth; None where the row does not count.
    right, missed, invented: pairs of the reference and the answer, where an answer is a record of fields.
    pair: (actual, predicted), where an answer is one of several kinds.
    groups: name → the group of the row, by whose values there is a table.
    marks: what stands beside the prediction: a reason, say.
    """

    figures: Mapping[str, float | bool | None]
    right: Counter[Pair] = field(default_factory=Counter)
    missed: Counter[Pair] = field(default_factory=Counter)
    invented: Counter[Pair] = field(default_factory=Counter)
    pair: tuple[str, str] | None = None
    groups: Mapping[str, str] = field(default_factory=dict)
    marks: Row = field(default_factory=dict)


def compared(wanted: Counter[Pair], given: Counter[Pair]) -> dict[str, Counter[Pair]]:
    """`right`, `missed` and `invented` of a Score."""
    return {"right": wanted & given, "missed": wanted - given, "invented": given - wanted}


def summarize(scores: Sequence[Score], figures: Mapping[str, str], rows: np.ndarray | None = None) -> dict[str, Any]:
    """The figures over scores: floats, or arrays of S samples; nan where no row counts.

    `rows`: int array (S, N) of row numbers, for the bootstrap. With no pair in the answers or in the references,
    precision, recall and F1 are 0.
    """
    means = [name for name, how in figures.items() if how == MEAN]
    values = np.array([[score.figures[name] for name in means] for score in scores], dtype=float)  # None becomes nan
    totals = np.array([[s.right.total(), s.missed.total(), s.invented.total()] for s in scores], dtype=float)
    values = values.reshape(len(scores), len(means))
    if rows is not None:
        values, totals = values[rows], totals[rows]
    known = ~np.isnan(values)
    averaged = mean_where(np.nan_to_num(values), known)
    right, missed, invented = np.moveaxis(totals.sum(axis=-2), -1, 0)
    micro = {
        PRECISION: share(right, right + invented),
        RECALL: share(right, right + missed),
        F1: share(2 * right, 2 * right + missed + invented),
    }
    by_name = dict(zip(means, np.moveaxis(averaged, -1, 0), strict=True))
    return {name: by_name[name] if how == MEAN else micro[how] for name, how in figures.items()}


def mean_where(values: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Mean over the rows that count, of arrays (…, rows, figures): (…, figures)."""
    total = counted.sum(axis=-2)
    part = (values * counted).sum(axis=-2)
    return np.divide(part, total, out=np.full(part.shape, np.nan), where=total > 0)


def share(part: Any, whole: Any) -> Any:
    """part ÷ whole, 0 where there is nothing; arrays alike."""
    return np.divide(part, whole, out=np.zeros_like(whole), where=whole > 0)


def rounded(value: Any) -> float | None:
    """None for nan, which is no JSON."""
    return None if np.isnan(value) else round(float(value), 4)
