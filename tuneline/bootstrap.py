"""Percentile bootstrap intervals over rows (Efron 1979)."""

from collections.abc import Callable
from typing import Any

import numpy as np

LEVEL = 95  # per cent


def intervals(
    measure: Callable[[np.ndarray], dict[str, Any]], rows: int, samples: int, seed: int
) -> dict[str, list[float]]:
    """The central 95 % of each measure over `samples` resamples of `rows` rows: [low, high].

    `measure` takes an int array (samples, rows) of row numbers and gives arrays (samples,).
    """
    picks = np.random.default_rng(seed).integers(0, rows, (samples, rows))
    tail = (100 - LEVEL) / 2
    return {
        name: [round(float(edge), 4) for edge in np.percentile(values, [tail, 100 - tail])]
        for name, values in measure(picks).items()
    }
