"""Adding a million numbers: the errors and the costs of four summation algorithms.

Naive, pairwise, Kahan and Neumaier summation are run on the same data in single and in double precision. Errors are
measured against the exact sum (math.fsum, checked with fractions.Fraction); costs are counted by running the same
code on numbers that count their own additions and keep the length of the longest chain of dependent ones.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import numpy as np
from matplotlib.axes import Axes

TRIALS = 8
SIZES = [4**k for k in range(4, 11)]  # 256 … 1,048,576
CONDITIONS = [10.0**k for k in range(2, 33, 2)]
STYLES = {"naive": "o-", "pairwise": "s--", "Kahan": "^:", "Neumaier": "x-."}


def naive(values: Sequence) -> object:
    """Left to right, one addition for each number after the first."""
    total = values[0]
    for x in values[1:]:
        total = total + x
    return total


def pairwise(values: Sequence) -> object:
    """Neighbours are added, then neighbouring sums, until one is left."""
    while len(values) > 1:
        pairs = [a + b for a, b in zip(values[0::2], values[1::2], strict=False)]
        values = [*pairs, values[-1]] if len(values) % 2 else pairs
    return values[0]


def kahan(values: Sequence) -> object:
    """The rounding error of each step is taken off the next number."""
    total = values[0]
    correction = total - total
    for x in values[1:]:
        y = x - correction
        t = total + y
        correction = (t - total) - y
        total = t
    return total


def neumaier(values: Sequence) -> object:
    """The rounding errors are added up beside the sum (here without a branch) and given back at the end."""
    total = values[0]
    lost = total - total
    for x in values[1:]:
        t = total + x
        z = t - total
        lost = lost + ((total - (t - z)) + (x - z))
        total = t
    return total + lost


ALGORITHMS: dict[str, Callable] = {"naive": naive, "pairwise": pairwise, "Kahan": kahan, "Neumaier": neumaier}


@dataclass
class Counted:
    """A number without a value: it counts additions and knows how many had to be finished one after another."""

    tally: list[int]
    depth: int = 0

    def __add__(self, other: "Counted") -> "Counted":
        self.tally[0] += 1
        return Counted(self.tally, max(self.depth, other.depth) + 1)

    __sub__ = __add__


def cost(algorithm: Callable, n: int) -> tuple[int, int]:
    """Additions and subtractions for n numbers, and the longest dependent chain among them."""
    tally = [0]
    result = algorithm([Counted(tally) for _ in range(n)])
    return tally[0], result.depth


def kahan_running(rows: np.ndarray) -> Iterator[np.ndarray]:
    """Kahan's sum after each column, for all rows side by side."""
    total = rows[:, 0].copy()
    correction = np.zeros_like(total)
    yield total
    for x in np.ascontiguousarray(rows.T)[1:]:
        y = x - correction
        t = total + y
        correction = (t - total) - y
        total = t
        yield total


def neumaier_running(rows: np.ndarray, sums: np.ndarray) -> np.ndarray:
    """Neumaier's sum after each column, from the naive running sums."""
    before, after, x = sums[:, :-1], sums[:, 1:], rows[:, 1:]
    z = after - before
    errors = (before - (after - z)) + (x - z)
    corrected = sums.copy()
    corrected[:, 1:] += np.cumsum(errors, axis=1)
    return corrected


def halving(rows: np.ndarray) -> np.ndarray:
    """Pairwise sums of rows whose length is a power of two."""
    while rows.shape[1] > 1:
        rows = rows[:, 0::2] + rows[:, 1::2]
    return rows[:, 0]


def exact_sum(values: list[float]) -> tuple[float, float]:
    """The exact sum as a double and what the double leaves out (itself rounded, far below what is measured)."""
    nearest = math.fsum(values)
    return nearest, math.fsum([*values, -nearest])


def relative_error(computed: float, exact: tuple[float, float]) -> float:
    nearest, rest = exact
    return ((float(computed) - nearest) - rest) / nearest


def relative_errors(computed: np.ndarray, exact: list[tuple[float, float]]) -> np.ndarray:
    return np.array([relative_error(c, e) for c, e in zip(computed, exact, strict=True)])


def rms(errors: np.ndarray) -> float:
    return float(np.sqrt(np.mean(errors**2)))


@cache
def uniform_errors(kind: str) -> dict[str, list[float]]:
    """Root mean square relative error of each algorithm at each size, for uniform numbers in [0, 1)."""
    rows = np.random.default_rng(1).random((TRIALS, SIZES[-1])).astype(kind)
    sums = np.cumsum(rows, axis=1)
    corrected = neumaier_running(rows, sums)
    wanted = set(SIZES)
    compensated = {n: total for n, total in enumerate(kahan_running(rows), 1) if n in wanted}
    errors: dict[str, list[float]] = {name: [] for name in ALGORITHMS}
    for n in SIZES:
        head = rows[:, :n]
        exact = [exact_sum(row) for row in head.tolist()]
        results = (sums[:, n - 1], halving(head), compensated[n], corrected[:, n - 1])
        for name, computed in zip(ALGORITHMS, results, strict=True):
            errors[name].append(rms(relative_errors(computed, exact)))
    return errors


def cancelling(condition: float, rng: np.random.Generator, n: int = 4096) -> list[float]:
    """n numbers in random order that cancel but for one small remainder: Σ|x| / |Σx| is about `condition`."""
    half = rng.standard_normal(n // 2 - 8)
    remainder = rng.random(16) * np.abs(half).sum() / (4 * condition)
    values = np.concatenate([half, -half, remainder])
    return rng.permutation(values).tolist()


@cache
def cancelling_errors() -> dict[str, list[float]]:
    """Median relative error in double precision at each condition number."""
    rng = np.random.default_rng(2)
    errors: dict[str, list[float]] = {name: [] for name in ALGORITHMS}
    for condition in CONDITIONS:
        samples = [cancelling(condition, rng) for _ in range(TRIALS + 1)]
        for name, algorithm in ALGORITHMS.items():
            found = [abs(relative_error(algorithm(xs), exact_sum(xs))) for xs in samples]
            errors[name].append(float(np.median(found)))
    return errors


def order_errors() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Naive and pairwise errors in single precision of heavy-tailed positive numbers, by their order."""
    rows = np.random.default_rng(3).lognormal(0.0, 2.0, (TRIALS, 2**20)).astype(np.float32)
    ascending = np.sort(rows, axis=1)
    exact = [exact_sum(row) for row in rows.tolist()]
    orders = {"random": rows, "ascending": ascending, "descending": ascending[:, ::-1]}
    return {
        name: (
            relative_errors(np.cumsum(data, axis=1)[:, -1], exact),
            relative_errors(halving(data), exact),
        )
        for name, data in orders.items()
    }


def axis_errors() -> dict[str, float]:
    """NumPy's own sum of a tall single-precision table: down the columns, and along contiguous copies of them."""
    table = np.random.default_rng(4).random((2**20, 4), dtype=np.float32)
    columns = np.ascontiguousarray(table.T)
    results = {
        "table.sum(axis=0)": table.sum(axis=0),
        "contiguous": columns.sum(axis=1),
        "axis=0, double": table.sum(axis=0, dtype=np.float64),
    }
    exact = [exact_sum(column) for column in columns.tolist()]
    return {name: rms(relative_errors(found, exact)) for name, found in results.items()}


def error_by_length(ax: Axes) -> None:
    for name, errors in uniform_errors("float32").items():
        ax.loglog(SIZES, errors, STYLES[name], label=name, markersize=4)
    ax.axhline(2.0**-24, color="0.6", linewidth=0.8)
    ax.annotate("unit roundoff", (SIZES[0], 2.0**-24), xytext=(0, 3), textcoords="offset points", fontsize=7)
    ax.set_xlabel("numbers added")
    ax.set_ylabel("relative error (rms)")
    ax.set_ylim(3e-9, 4e-4)
    ax.legend(fontsize=7, ncol=2, loc="upper left")


def error_by_condition(ax: Axes) -> None:
    for name, errors in cancelling_errors().items():
        ax.loglog(CONDITIONS, np.clip(errors, 1e-18, 1.0), STYLES[name], label=name, markersize=4)
    ax.set_xlabel("condition number of the sum")
    ax.set_ylabel("relative error (median)")
    ax.set_ylim(1e-26, 1e2)
    ax.legend(fontsize=7, ncol=2, loc="lower center")


def print_small_examples() -> None:
    tenths = np.full(10**6, 0.1, dtype=np.float32)
    print("a million single-precision tenths, naive:", np.cumsum(tenths)[-1], "exact", math.fsum(tenths.tolist()))
    print("a million double-precision tenths, naive:", np.cumsum(np.full(10**6, 0.1))[-1])
    ceiling = np.float32(2**24)
    print("2^24 + 1 in single precision:", int(ceiling + np.float32(1)), "=", 2**24)
    hard = [1.0, 1e100, 1.0, -1e100]
    print("1, 1e100, 1, -1e100:", {name: algorithm(hard) for name, algorithm in ALGORITHMS.items()})


def print_bounds() -> None:
    unit = 2.0**-24
    errors = uniform_errors("float32")
    n = SIZES[-1]
    print(f"u {unit:.2e}; bounds at n = {n}: naive {n * unit:.4f}, pairwise {math.log2(n) * unit:.2e}")
    print(f"naive bound / naive error: {n * unit / errors['naive'][-1]:.0f}")
    print(f"naive error, {n} over {SIZES[0]} numbers: {errors['naive'][-1] / errors['naive'][0]:.0f} times")
    print(f"naive / Kahan at n: {errors['naive'][-1] / errors['Kahan'][-1]:.0f}")
    print(f"naive error as an amount, of a sum near {n // 2}: {errors['naive'][-1] * n / 2:.1f}")


def print_check() -> None:
    row = np.random.default_rng(5).random(1000)
    values = row.tolist()
    exact = sum(map(Fraction, values), Fraction(0))
    print("fsum is the exact sum rounded:", math.fsum(values) == float(exact))
    running = np.cumsum(row[None, :], axis=1)
    compensated = [float(total[0]) for total in kahan_running(row[None, :])][-1]
    same = (
        naive(values) == running[0, -1],
        neumaier(values) == neumaier_running(row[None, :], running)[0, -1],
        kahan(values) == compensated,
    )
    print("row-wise and plain code agree to the last bit:", same)


if __name__ == "__main__":
    print_check()
    print_small_examples()
    for algorithm_name, summation in ALGORITHMS.items():
        print("operations and chain, n = 1024:", algorithm_name, *cost(summation, 1024))
    for precision in ("float32", "float64"):
        for algorithm_name, found_errors in uniform_errors(precision).items():
            print(precision, algorithm_name, [f"{e:.2e}" for e in found_errors])
    print_bounds()
    for algorithm_name, found_errors in cancelling_errors().items():
        print("condition", algorithm_name, [f"{e:.1e}" for e in found_errors])
    for order, (plain, paired) in order_errors().items():
        print(f"order {order}: naive rms {rms(plain):.2e} mean {plain.mean():.2e}, pairwise rms {rms(paired):.2e}")
    for how, error in axis_errors().items():
        print("numpy", how, f"{error:.2e}")
