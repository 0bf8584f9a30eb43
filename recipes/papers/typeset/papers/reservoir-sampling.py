"""Reservoir sampling by simulation: uniformity, random numbers consumed, finite precision, and weighted samples.

A stream is the integers 0 … N − 1; no clock is read, every cost is a count. The plain method (Algorithm R) looks at
every item; the skipping method (Algorithm L) draws how many items to pass over. The weighted part keeps the items
with the smallest exponential keys and asks what totals such a sample gives.
"""

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes

Sampler = Callable[[int, int, np.random.Generator], np.ndarray]

SIZE = 100
ITEMS, KEPT = 1000, 100
RUNS = 20_000


def algorithm_r(n: int, k: int, rng: np.random.Generator, slip: int = 0) -> np.ndarray:
    """A sample of k among n: item i (from 0) takes a random slot of i + 1, if that is below k; slip is a mistake."""
    sample = np.arange(k)
    items = np.arange(k, n)
    slots = rng.integers(0, items + 1 - slip)
    taken = slots < k
    sample[slots[taken]] = items[taken]
    return sample


def slipped(n: int, k: int, rng: np.random.Generator) -> np.ndarray:
    """Algorithm R with the common mistake of one: the slot is drawn among i instead of i + 1."""
    return algorithm_r(n, k, rng, slip=1)


def uniform(rng: np.random.Generator) -> float:
    """A random number in (0, 1], whose logarithm exists."""
    return 1.0 - rng.random()


def skip_sample(n: int, k: int, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    """Algorithm L: a sample of k among n, and the number of replacements made."""
    sample, replacements = np.arange(k) if n < 2**62 else np.arange(k).astype(object), 0
    w = np.exp(np.log(uniform(rng)) / k)
    i = k + int(np.log(uniform(rng)) / np.log1p(-w))
    while i < n:
        sample[rng.integers(k)] = i
        replacements += 1
        w *= np.exp(np.log(uniform(rng)) / k)
        i += 1 + int(np.log(uniform(rng)) / np.log1p(-w))
    return sample, replacements


def algorithm_l(n: int, k: int, rng: np.random.Generator) -> np.ndarray:
    """The sample of Algorithm L alone."""
    return skip_sample(n, k, rng)[0]


def inclusion(sampler: Sampler, n: int, k: int, runs: int, seed: int) -> np.ndarray:
    """How often each of n items was in the sample, over a number of runs."""
    rng = np.random.default_rng(seed)
    return sum((np.bincount(sampler(n, k, rng), minlength=n) for _ in range(runs)), np.zeros(n))


def chi_square(counts: np.ndarray, k: int, runs: int) -> float:
    """Pearson's sum, scaled for sampling without replacement: about n − 1 when all items are equally likely."""
    n = len(counts)
    expected = runs * k / n
    return float(((counts - expected) ** 2).sum() / (expected * (1 - k / n)) * (n - 1) / n)


def expected_replacements(n: float, k: int) -> float:
    """k (H_n − H_k), by the expansion of the harmonic numbers."""
    return float(k * (np.log(n / k) + 1 / (2 * n) - 1 / (2 * k)))


def draws_l(n: int, k: int, runs: int, seed: int) -> float:
    """Random numbers that Algorithm L consumes, a mean over runs: two to begin and three a replacement."""
    rng = np.random.default_rng(seed)
    return 2 + 3 * float(np.mean([skip_sample(n, k, rng)[1] for _ in range(runs)]))


def random_numbers(ax: Axes) -> None:
    """Figure: random numbers consumed against the length of the stream, sample of 100."""
    lengths = [10**e for e in range(3, 13)]
    grid = np.logspace(2.05, 12, 100)
    ax.plot(grid, grid - SIZE, "--", color="black", label="Algorithm R, N − k")
    ax.plot(
        grid, [2 + 3 * expected_replacements(n, SIZE) for n in grid], "-", color="black", label="Algorithm L, expected"
    )
    measured = [draws_l(n, SIZE, 20, 3) for n in lengths]
    ax.plot(lengths, measured, "o", color="black", markerfacecolor="white", label="Algorithm L, measured")
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlabel("length of the stream N (items)")
    ax.set_ylabel("random numbers drawn")
    ax.legend()


def single_precision_end(k: int, seed: int) -> int:
    """The position at which Algorithm L in single precision, with log(1 − w), finds that 1 − w has become 1."""
    rng = np.random.default_rng(seed)
    w, i = np.float32(uniform(rng) ** (1 / k)), k
    while np.float32(1) - w < np.float32(1):
        i += 1 + int(np.log(uniform(rng)) / np.log(np.float32(1) - w))
        w *= np.float32(uniform(rng) ** (1 / k))
    return i


def weights() -> np.ndarray:
    """The weights of 1,000 items: the item of rank r weighs 1/r."""
    return 1 / np.arange(1, ITEMS + 1)


def smallest_keys(runs: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """For each run, the KEPT items of smallest key (exponential / weight), and the next smallest key."""
    rng = np.random.default_rng(seed)
    kept, threshold = np.empty((runs, KEPT), dtype=int), np.empty(runs)
    for run in range(runs):
        keys = rng.exponential(size=ITEMS) / weights()
        order = np.argpartition(keys, KEPT)
        kept[run], threshold[run] = order[:KEPT], keys[order[KEPT]]
    return kept, threshold


def weighted_inclusion(ax: Axes) -> None:
    """Figure: probability of inclusion by weight, measured, against the proportional one."""
    kept, _ = smallest_keys(5000, 11)
    share = np.bincount(kept.ravel(), minlength=ITEMS) / len(kept)
    shown = np.unique(np.logspace(0, 3, 25).astype(int)) - 1
    w = weights()
    ax.plot(w, proportional(), "--", color="black", label="proportional")
    ax.plot(w[shown], share[shown], "o", color="black", markerfacecolor="white", label="measured")
    ax.set_xscale("log")
    ax.set_xlabel("weight of the item (first item = 1)")
    ax.set_ylabel("probability of inclusion")
    ax.legend()


def proportional() -> np.ndarray:
    """Probabilities proportional to weight that add up to KEPT, the heaviest items being certain."""
    w = weights()
    certain = 0
    while w[certain] * (KEPT - certain) > w[certain:].sum():
        certain += 1
    return np.concatenate([np.ones(certain), w[certain:] * (KEPT - certain) / w[certain:].sum()])


def jump_replacements(n: int, k: int, seed: int) -> int:
    """Replacements of a weighted reservoir with jumps, over n items of random weight (two random numbers each)."""
    rng = np.random.default_rng(seed)
    w = rng.permutation(1 / np.arange(1, n + 1))
    total = np.cumsum(w)
    keys = rng.exponential(size=k) / w[:k]
    position, count = k - 1, 0
    while True:
        worst = int(keys.argmax())
        position = int(np.searchsorted(total, total[position] + rng.exponential() / keys[worst]))
        if position >= n:
            return count
        below = -np.expm1(-w[position] * keys[worst])
        keys[worst] = -np.log1p(-uniform(rng) * below) / w[position]
        count += 1


def report_uniformity() -> None:
    """Uniformity of the three variants, and where the mistake of one shows."""
    for name, sampler in (("R", algorithm_r), ("L", algorithm_l), ("slipped", slipped)):
        counts = inclusion(sampler, 1000, 10, RUNS, 5)
        first, rest = counts[:10].mean(), counts[10:].mean()
        print(f"{name}: chi-square {chi_square(counts, 10, RUNS):.1f}, first ten {first:.1f}, rest {rest:.1f}")
    for name, sampler in (("R", algorithm_r), ("slipped", slipped)):
        print(f"{name}, k 1, N 3, 3000 runs: {inclusion(sampler, 3, 1, 3000, 6).astype(int)}")


def report_draws() -> None:
    """Table 1."""
    print("N, k: replacements, R, L expected, L measured over 20 runs, ratio")
    for n, k in ((10**4, 100), (10**6, 100), (10**8, 100), (10**6, 10_000), (10**8, 1000)):
        swaps = expected_replacements(n, k)
        measured = draws_l(n, k, 20 if k < 10_000 else 5, 3)
        print(f"{n:.0e} {k}: {swaps:.0f} {n - k} {2 + 3 * swaps:.0f} {measured:.0f} {(n - k) / (2 + 3 * swaps):.1f}")


def report_break_even() -> None:
    """The ratio N / k at which both methods draw as many random numbers, for a large sample."""
    x = np.linspace(2, 20, 100_000)
    print(f"break-even at N / k = {x[np.argmax(x - 1 > 3 * np.log(x))]:.2f}")


def report_costs() -> None:
    """Seconds under assumed costs: 5 or 500 ns a draw, 2 GB/s, records of 200 bytes, 100 microseconds a seek."""
    n, k = 10**8, 1000
    touched = k + expected_replacements(n, k)
    print(f"draws {n * 5e-9:.1f} s or {n * 5e-7:.0f} s, scan of {n * 200 / 1e9:.0f} GB {n * 200 / 2e9:.0f} s")
    print(
        f"{touched:.0f} records touched, {touched * 1e-4:.2f} s; a proportion from {k}: ± {50 / np.sqrt(k):.2f} points"
    )


def report_precision() -> None:
    """Where single precision ends, and how far double precision goes."""
    for k in (1, 100):
        ends = [single_precision_end(k, seed) for seed in range(20)]
        print(f"single precision, k {k}: ends at a median of {np.median(ends):.3g}, {min(ends):.3g} to {max(ends):.3g}")
    n = 10**20
    rng = np.random.default_rng(8)
    counts = [skip_sample(n, 100, rng)[1] for _ in range(10)]
    print(f"N 1e20, k 100: {np.mean(counts):.0f} replacements, expected {expected_replacements(n, 100):.0f}")


def report_totals(name: str, kept: np.ndarray, probability: np.ndarray) -> None:
    """Two totals by Horvitz and Thompson: the number of items, and the weight of the lighter half."""
    w = weights()
    items = (1 / probability).sum(axis=1)
    light = (w[kept] / probability * (kept >= 500)).sum(axis=1)
    for what, estimate, truth in (("items", items, ITEMS), ("light weight", light, w[500:].sum())):
        spread = estimate.std()
        error = spread / np.sqrt(RUNS)
        print(f"{what}, {name}: mean {estimate.mean():.4f} ± {error:.4f} of {truth:.4f}, one run ± {spread:.4f}")


def report_weighted() -> None:
    """Inclusion by rank, two totals by two sets of probabilities, and the cost of jumping."""
    kept, threshold = smallest_keys(RUNS, 12)
    share = np.bincount(kept.ravel(), minlength=ITEMS) / RUNS
    w, target = weights(), proportional()
    print(f"{(target == 1).sum()} items are certain by proportion")
    for rank in (1, 5, 20, 30, 100):
        print(f"rank {rank}: target {target[rank - 1]:.3f}, measured {share[rank - 1]:.3f}")
    tail = share[500:].mean() / target[500:].mean()
    print(f"ranks 501 to 1000: {share[500:].mean():.4f}, target {target[500:].mean():.4f}, ratio {tail:.3f}")
    by_threshold = -np.expm1(-w[kept] * threshold[:, None])
    for name, probability in (("proportional", target[kept]), ("threshold", by_threshold)):
        report_totals(name, kept, probability)
    counts = [jump_replacements(10**6, SIZE, seed) for seed in range(5)]
    print(f"jumps, N 1e6, k 100: {np.mean(counts):.0f} replacements, {SIZE + 2 * np.mean(counts):.0f} random numbers")


if __name__ == "__main__":
    report_uniformity()
    report_draws()
    report_break_even()
    report_costs()
    report_precision()
    report_weighted()
