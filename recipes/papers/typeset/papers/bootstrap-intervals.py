"""Intervals for small test sets: how often do they cover, how wide are they, and what does pairing buy?

Test sets are drawn from known distributions of rows, so that the true score is known. Every row carries a numerator
and a denominator, and a score is the ratio of the sums over the rows: a mean has the denominator one, and a pooled
F1 has twice the hits over twice the hits plus both kinds of error. Coverage is the share of the simulated test sets
whose 95 % interval holds the true score.
"""

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np
from matplotlib.axes import Axes

NORMAL = NormalDist()
Z = NORMAL.inv_cdf(0.975)
TEST_SETS = 4000
BATCH = 80  # test sets that share one set of resamples
RESAMPLES = 1000
SIZES = (30, 50, 100, 200, 300)
GAP_SIZES = (30, 50, 100, 200, 300, 500, 800)
CELLS = (0.82, 0.08, 0.03, 0.07)  # both right, only the new one, only the old one, both wrong
EQUAL_CELLS = (0.82, 0.055, 0.055, 0.07)
SOURCES, ROWS_A_SOURCE, SOURCE_MEAN, ALIKE = 30, 4, 0.85, 0.3

Rows = tuple[np.ndarray, np.ndarray]
Sampler = Callable[[np.random.Generator, int, int], Rows]


def exact_match(mean: float) -> Sampler:
    """Rows that are right with the probability `mean`, else wrong."""

    def draw(rng: np.random.Generator, rows: int, sets: int) -> Rows:
        scores = (rng.random((rows, sets)) < mean).astype(float)
        return scores, np.ones_like(scores)

    return draw


def graded(rng: np.random.Generator, rows: int, sets: int) -> Rows:
    """70 % of the rows score 1, 8 % score 0, the others lie between (beta, mean 2/3)."""
    kind = rng.random((rows, sets))
    scores = np.where(kind < 0.7, 1.0, np.where(kind < 0.78, 0.0, rng.beta(4, 2, (rows, sets))))
    return scores, np.ones_like(scores)


def pooled_f1(rng: np.random.Generator, rows: int, sets: int) -> Rows:
    """Rows with 1 to 4 slots, a quality of their own (beta, mean 8/9) and 0.3 spurious slots a row."""
    slots = rng.integers(1, 5, (rows, sets))
    hits = rng.binomial(slots, rng.beta(8, 1, (rows, sets)))
    spurious = rng.poisson(0.3, (rows, sets))
    return 2.0 * hits, hits + slots + spurious.astype(float)


GRADED_MEAN = 0.7 + 0.22 * 4 / 6
POOLED_F1 = 2 * 2.5 * 8 / 9 / (2.5 * 8 / 9 + 2.5 + 0.3)


def student(rows: int) -> float:
    """The 97.5 % point of Student's t with rows - 1 degrees of freedom (series in 1/ν)."""
    nu = rows - 1
    return Z + (Z**3 + Z) / (4 * nu) + (5 * Z**5 + 16 * Z**3 + 3 * Z) / (96 * nu**2)


def expanded_tail(rows: int) -> float:
    """The tail to cut off on either side so that the percentile interval of a mean is as wide as Student's."""
    return NORMAL.cdf(-student(rows) * (rows / (rows - 1)) ** 0.5)


def bootstrap_ends(rows: Rows, rng: np.random.Generator, tails: tuple[float, ...]) -> np.ndarray:
    """Bootstrap intervals of the ratio of sums: an array of tails × lower and upper ends × test sets."""
    above, below = rows
    size, sets = above.shape
    ends = np.empty((len(tails), 2, sets))
    shares = [share for tail in tails for share in (tail, 1 - tail)]
    for start in range(0, sets, BATCH):
        part = slice(start, start + BATCH)
        weights = rng.multinomial(size, np.full(size, 1 / size), RESAMPLES).astype(float)
        scores = weights @ above[:, part] / (weights @ below[:, part])
        ends[:, :, part] = np.quantile(scores, shares, axis=0).reshape(len(tails), 2, -1)
    return ends


def wilson_ends(right: np.ndarray, rows: int) -> np.ndarray:
    """Both ends of Wilson's interval for `right` successes among `rows`."""
    share = right / rows
    half = Z * np.sqrt(share * (1 - share) / rows + Z**2 / (4 * rows**2))
    return np.array([share + Z**2 / (2 * rows) - half, share + Z**2 / (2 * rows) + half]) / (1 + Z**2 / rows)


def student_ends(scores: np.ndarray) -> np.ndarray:
    """Both ends of Student's interval for the mean of every column."""
    rows = len(scores)
    half = student(rows) * scores.std(axis=0, ddof=1) / rows**0.5
    return np.array([scores.mean(axis=0) - half, scores.mean(axis=0) + half])


def coverage_and_width(ends: np.ndarray, truth: float) -> tuple[float, float]:
    """Share of the intervals that hold the truth (up to rounding), and their mean width."""
    held = (ends[0] <= truth + 1e-9) & (ends[1] >= truth - 1e-9)
    return float(held.mean()), float((ends[1] - ends[0]).mean())


def compare(sampler: Sampler, truth: float, size: int, seed: int) -> dict[str, tuple[float, float]]:
    """Coverage and mean width of each kind of interval on test sets of one size."""
    rng = np.random.default_rng(seed)
    rows = sampler(rng, size, TEST_SETS)
    plain, expanded = bootstrap_ends(rows, rng, (0.025, expanded_tail(size)))
    ends = {"percentile": plain, "expanded": expanded}
    if (rows[1] == 1).all():
        ends["Student"] = student_ends(rows[0])
    if set(np.unique(rows[0])) == {0.0, 1.0}:
        ends["Wilson"] = wilson_ends(rows[0].sum(axis=0), size)
    return {name: coverage_and_width(end, truth) for name, end in ends.items()}


def shared_sources(seed: int) -> dict[str, tuple[float, float]]:
    """Coverage and width when rows come in groups: resampling rows against resampling whole sources."""
    rng = np.random.default_rng(seed)
    strength = 1 / ALIKE - 1
    ease = rng.beta(SOURCE_MEAN * strength, (1 - SOURCE_MEAN) * strength, (SOURCES, TEST_SETS))
    right = (rng.random((ROWS_A_SOURCE, SOURCES, TEST_SETS)) < ease).astype(float)
    single = right.reshape(-1, TEST_SETS)
    grouped = right.sum(axis=0)
    by_row = bootstrap_ends((single, np.ones_like(single)), rng, (0.025,))[0]
    tails = (0.025, expanded_tail(SOURCES))
    by_source, expanded = bootstrap_ends((grouped, np.full_like(grouped, ROWS_A_SOURCE)), rng, tails)
    ends = {"rows": by_row, "sources": by_source, "sources, expanded": expanded}
    return {name: coverage_and_width(end, SOURCE_MEAN) for name, end in ends.items()}


def detections(cells: tuple[float, ...], rows: int, seed: int, sets: int = 1000) -> dict[str, float]:
    """Share of the comparisons of two models that each rule calls a difference."""
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(rows, cells, sets)
    again = rng.multinomial(rows, counts[:, None, :] / rows, (sets, RESAMPLES))
    paired = np.quantile(again[..., 1] - again[..., 2], [0.025, 0.975], axis=1)
    new, old = (rng.binomial(rows, (counts[:, [0]] + counts[:, [only]]) / rows, (sets, RESAMPLES)) for only in (1, 2))
    apart = np.quantile(new - old, [0.025, 0.975], axis=1)
    new_ends, old_ends = (np.quantile(model, [0.025, 0.975], axis=1) for model in (new, old))
    return {
        "paired": float(((paired[0] > 0) | (paired[1] < 0)).mean()),
        "pairing ignored": float(((apart[0] > 0) | (apart[1] < 0)).mean()),
        "no overlap": float(((new_ends[0] > old_ends[1]) | (new_ends[1] < old_ends[0])).mean()),
    }


def half_widths(cells: tuple[float, ...], rows: int) -> tuple[float, float]:
    """Half the 95 % interval of the difference by the normal formula: paired and unpaired."""
    both, only_new, only_old, _ = cells
    gap = only_new - only_old
    new, old = both + only_new, both + only_old
    paired = only_new + only_old - gap**2
    return Z * (paired / rows) ** 0.5, Z * ((new * (1 - new) + old * (1 - old)) / rows) ** 0.5


def rows_needed(share: float, half_width: float) -> int:
    """Rows at which the normal 95 % interval of a share has the given half width."""
    return math.ceil(Z**2 * share * (1 - share) / half_width**2)


def coverage_by_size(ax: Axes) -> None:
    """Figure 1: coverage against rows for exact match with a true score of 0.95."""
    results = [compare(exact_match(0.95), 0.95, size, 100 + size) for size in SIZES]
    styles = {"percentile": "o-", "expanded": "s--", "Wilson": "^:"}
    for name, style in styles.items():
        ax.plot(
            SIZES,
            [100 * result[name][0] for result in results],
            style,
            color="black",
            markerfacecolor="white",
            label=name,
            markersize=4,
        )
    ax.axhline(95, color="gray", linewidth=0.8)
    ax.set_xlabel("rows in the test set")
    ax.set_ylabel("coverage (%)")
    ax.legend(title="interval")


def differences_found(ax: Axes) -> None:
    """Figure 2: how often a true gain of five points is called a difference, by rule and number of rows."""
    results = [detections(CELLS, size, 300 + size) for size in GAP_SIZES]
    styles = {"paired": "o-", "pairing ignored": "s--", "no overlap": "^:"}
    for name, style in styles.items():
        ax.plot(
            GAP_SIZES,
            [100 * result[name] for result in results],
            style,
            color="black",
            markerfacecolor="white",
            label=name,
            markersize=4,
        )
    ax.set_xlabel("rows in the test set")
    ax.set_ylabel("gain detected (% of trials)")
    ax.set_ylim(0, 100)
    ax.set_xscale("log")
    ax.set_xticks(GAP_SIZES, [str(size) for size in GAP_SIZES])
    ax.set_xticks([], minor=True)
    ax.legend(loc="upper left")


def show(title: str, results: dict[str, tuple[float, float]]) -> None:
    """Print coverages and widths, in per cent and points."""
    print(title, "; ".join(f"{name} {100 * c:.1f} % width {100 * w:.1f}" for name, (c, w) in results.items()))


def main() -> None:
    """Print every figure that the text quotes."""
    for size in SIZES:
        show(f"exact match 0.95, {size}:", compare(exact_match(0.95), 0.95, size, 100 + size))
        show(f"exact match 0.85, {size}:", compare(exact_match(0.85), 0.85, size, 400 + size))
        show(f"graded {GRADED_MEAN:.3f}, {size}:", compare(graded, GRADED_MEAN, size, 500 + size))
        show(f"pooled F1 {POOLED_F1:.3f}, {size}:", compare(pooled_f1, POOLED_F1, size, 600 + size))
        print(f"  expanded tail {100 * expanded_tail(size):.2f} %; no error at 0.95: {0.95**size:.3f}")
        low = wilson_ends(np.array([float(size)]), size)[0, 0]
        print(f"  Wilson's lower end without an error {low:.3f}; three over n {3 / size:.3f}")
    print(f"error of a simulated coverage: {100 * (0.95 * 0.05 / TEST_SETS) ** 0.5:.2f} points")
    show("shared sources:", shared_sources(700))
    paired, unpaired = half_widths(CELLS, 1)
    print(f"variances of a difference: paired {(paired / Z) ** 2:.4f}, pairing ignored {(unpaired / Z) ** 2:.4f}")
    print("rows for a score of 0.9:", {half: rows_needed(0.9, half / 100) for half in (5, 3, 1)})
    print(f"2000 resamples of 300 rows: {2000 * 300} draws, {2000 * 300 * 8 / 1e6:.1f} MB of indices")
    print(f"design effect {1 + (ROWS_A_SOURCE - 1) * ALIKE:.2f}")
    for size in GAP_SIZES:
        found = {name: f"{100 * share:.1f}" for name, share in detections(CELLS, size, 300 + size).items()}
        alarms = {name: f"{100 * share:.1f}" for name, share in detections(EQUAL_CELLS, size, 800 + size).items()}
        paired, unpaired = (100 * half for half in half_widths(CELLS, size))
        print(f"{size}: found {found}; false alarms {alarms}; half widths {paired:.1f} and {unpaired:.1f}")


if __name__ == "__main__":
    main()
