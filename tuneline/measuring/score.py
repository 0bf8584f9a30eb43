"""What an answer is worth, as data: figures by row, and how the rows make the figures of a test set."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tuneline.files import Row

# How the rows make a figure: its mean over the rows that have it, or that mean with each row as heavy as its `weight`
# (of a ratio: the ratio of the sums); or, over all right, missed and invented pairs of all rows (micro), the share of
# what was given, the share of what was wanted, or the harmonic mean of the two; or the mean over the kinds that the
# references are of, each alike, of F1 by (actual, predicted) kind.
MEAN, WEIGHTED, PRECISION, RECALL, F1, MACRO_F1 = "mean", "weighted mean", "precision", "recall", "f1", "macro f1"
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
    weight: of the row in a WEIGHTED figure: its bytes, say.
    """

    figures: Mapping[str, float | bool | None]
    right: Counter[Pair] = field(default_factory=Counter)
    missed: Counter[Pair] = field(default_factory=Counter)
    invented: Counter[Pair] = field(default_factory=Counter)
    pair: tuple[str, str] | None = None
    groups: Mapping[str, str] = field(default_factory=dict)
    marks: Row = field(default_factory=dict)
    weight: float = 1.0


def compared(wanted: Counter[Pair], given: Counter[Pair]) -> dict[str, Counter[Pair]]:
    """`right`, `missed` and `invented` of a Score."""
    return {"right": wanted & given, "missed": wanted - given, "invented": given - wanted}


Figures = Mapping[str, str]  # name → one of the above


def summarize(scores: Sequence[Score], figures: Figures, rows: np.ndarray | None = None) -> dict[str, Any]:
    """The figures over scores: floats, or arrays of S samples; nan where no row counts.

    `rows`: int array (S, N) of row numbers, for the bootstrap. With no pair in the answers or in the references,
    precision, recall and F1 are 0.
    """
    found: dict[str, Any] = {}
    for way in dict.fromkeys(WAYS[how] for how in figures.values()):
        found |= way(scores, {name: how for name, how in figures.items() if WAYS[how] is way}, rows)
    return {name: found[name] for name in figures}


def _means(scores: Sequence[Score], figures: Figures, rows: np.ndarray | None) -> dict[str, Any]:
    values = np.array([[score.figures[name] for name in figures] for score in scores], dtype=float)  # None becomes nan
    weights = np.array([[s.weight if how == WEIGHTED else 1.0 for how in figures.values()] for s in scores])
    values, weights = (part.reshape(len(scores), len(figures)) for part in (values, weights))
    if rows is not None:
        values, weights = values[rows], weights[rows]
    averaged = mean_where(np.nan_to_num(values), ~np.isnan(values) * weights)
    return dict(zip(figures, np.moveaxis(averaged, -1, 0), strict=True))


def _micro(scores: Sequence[Score], figures: Figures, rows: np.ndarray | None) -> dict[str, Any]:
    totals = np.array([[s.right.total(), s.missed.total(), s.invented.total()] for s in scores], dtype=float)
    totals = totals if rows is None else totals[rows]
    right, missed, invented = np.moveaxis(totals.sum(axis=-2), -1, 0)
    micro = {
        PRECISION: share(right, right + invented),
        RECALL: share(right, right + missed),
        F1: share(2 * right, 2 * right + missed + invented),
    }
    return {name: micro[how] for name, how in figures.items()}


def _macro_f1(scores: Sequence[Score], figures: Figures, rows: np.ndarray | None) -> dict[str, Any]:
    """By the scores' pairs. A kind that no reference of a resample is of does not count; nan where none does."""
    kinds = dict.fromkeys(score.pair[0] for score in scores if score.pair)
    place = {kind: at for at, kind in enumerate(kinds)}
    places = [[place.get(kind, len(kinds)) for kind in score.pair or ("", "")] for score in scores]
    wanted, given = np.array(places, dtype=int).reshape(len(scores), 2).T
    right = np.where(wanted == given, wanted, len(kinds))
    picks = np.arange(len(scores)) if rows is None else rows
    wanted, given, right = (_counts(part[picks], len(kinds)) for part in (wanted, given, right))
    each = share(2 * right, wanted + given)
    return dict.fromkeys(figures, mean_where(each[..., None], wanted[..., None] > 0)[..., 0])


def _counts(places: np.ndarray, size: int) -> np.ndarray:
    """How often each of 0 … size - 1 stands in each line of an int array (…, N): floats (…, size)."""
    lines = places.reshape(-1, places.shape[-1])
    apart = lines + np.arange(len(lines))[:, None] * (size + 1)  # a line's numbers are its own; `size` is no kind
    counts = np.bincount(apart.ravel(), minlength=len(lines) * (size + 1)).astype(float)
    return counts.reshape(*places.shape[:-1], size + 1)[..., :size]


# What makes the figures of a way, a function (scores, figures, rows) → name → float or array (S,).
WAYS = {
    MEAN: _means,
    WEIGHTED: _means,
    PRECISION: _micro,
    RECALL: _micro,
    F1: _micro,
    MACRO_F1: _macro_f1,
}


def mean_where(values: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Mean over the rows, each as heavy as it counts, of arrays (…, rows, figures): (…, figures)."""
    total = counted.sum(axis=-2)
    part = (values * counted).sum(axis=-2)
    return np.divide(part, total, out=np.full(part.shape, np.nan), where=total > 0)


def share(part: Any, whole: Any) -> Any:
    """part ÷ whole, 0 where there is nothing; arrays alike."""
    return np.divide(part, whole, out=np.zeros_like(whole), where=whole > 0)


def rounded(value: Any) -> float | None:
    """None for nan, which is no JSON."""
    return None if np.isnan(value) else round(float(value), 4)
