"""Percentile bootstrap intervals over rows (Efron 1979)."""

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import numpy as np

LEVEL = 95  # per cent
Name = TypeVar("Name", bound=Hashable)


def intervals(
    measure: Callable[[np.ndarray], dict[Name, Any]], rows: int, samples: int, seed: int
) -> dict[Name, list[float | None]]:
    """The central 95 % of each measure over `samples` resamples of `rows` rows: [low, high].

    A resample in which no row counts is nan, and left out; with nothing left both ends are None.

    `measure` takes an int array (samples, rows) of row numbers and gives arrays (samples,).
    """
    picks = np.random.default_rng(seed).integers(0, rows, (samples, rows))
    tail = (100 - LEVEL) / 2
    return {
        name: [None, None]
        if np.isnan(values).all()
        else [round(float(edge), 4) for edge in np.nanpercentile(values, [tail, 100 - tail])]
        for name, values in measure(picks).items()
    }


def paired_interval(differences: np.ndarray, samples: int, seed: int) -> tuple[float, float]:
    """(low, high): the central 95 % of the mean over resamples of rows, of two answers' differences by row.

    `differences` is a float array (rows,), without nan and not empty.
    """
    low, high = intervals(lambda picks: {"mean": differences[picks].mean(axis=1)}, len(differences), samples, seed)[
        "mean"
    ]
    return float(low), float(high)
