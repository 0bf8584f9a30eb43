"""Bloom filters by simulation: the predicted and the measured rate of false positives, at and beyond the planned size.

Keys are consecutive integers passed through a 64-bit mixing function; absent keys come from a range that no filter
has seen, so every positive answer about them is false. The simulated filter keeps a byte for every bit, which changes
no rate; the memory quoted in the text is that of packed bits.
"""

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes

PLANNED = 100_000
FILTERS = 4
PROBES = 2_000_000
FIRST_ABSENT = 1 << 40
BLOCK_BITS = 512
BITS_PER_ELEMENT = (4, 6, 8, 10, 12, 16, 20)
LOADS = (0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0)

Array = np.ndarray
Position = Callable[[Array, int, int, int], Array]


def mix(values: Array, seed: int) -> Array:
    """The finaliser of splitmix64 over values shifted by a multiple of the golden ratio."""
    z = values.astype(np.uint64) + np.uint64(seed * 0x9E3779B97F4A7C15 % 2**64)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def double_hashing(keys: Array, i: int, m: int, seed: int) -> Array:
    """Position i from two hash values: h1 + i·h2 modulo m."""
    step = mix(keys, 2 * seed + 2) | np.uint64(1)
    return (mix(keys, 2 * seed + 1) + np.uint64(i) * step) % np.uint64(m)


def independent(keys: Array, i: int, m: int, seed: int) -> Array:
    """Position i from a hash function of its own."""
    return mix(keys, 1000 * (seed + 1) + i) % np.uint64(m)


def truncated(keys: Array, i: int, m: int, seed: int) -> Array:
    """Double hashing of a 24-bit digest of the key."""
    return double_hashing(mix(keys, 77) >> np.uint64(40), i, m, seed)


def blocked(keys: Array, i: int, m: int, seed: int) -> Array:
    """Position i inside one block of 512 bits, 9 bits of a second hash value choosing it (i < 7)."""
    block = mix(keys, 2 * seed + 1) % np.uint64(m // BLOCK_BITS)
    inside = (mix(keys, 2 * seed + 2) >> np.uint64(9 * i)) % np.uint64(BLOCK_BITS)
    return block * np.uint64(BLOCK_BITS) + inside


class Bloom:
    """A filter of m bits with k positions a key."""

    def __init__(self, m: int, k: int, seed: int = 0, position: Position = double_hashing) -> None:
        self.m, self.k, self.seed, self.position = m, k, seed, position
        self.bits = np.zeros(m, dtype=bool)

    def add(self, first: int, last: int) -> None:
        """Insert the keys first … last − 1."""
        keys = np.arange(first, last, dtype=np.uint64)
        for i in range(self.k):
            self.bits[self.position(keys, i, self.m, self.seed)] = True

    def positives(self, keys: Array) -> tuple[Array, int]:
        """The keys that the filter reports as present, and the number of bits read to find out."""
        reads = 0
        for i in range(self.k):
            reads += len(keys)
            keys = keys[self.bits[self.position(keys, i, self.m, self.seed)]]
        return keys, reads

    def fill(self) -> float:
        """Fraction of the bits that are set."""
        return float(self.bits.mean())


def absent(count: int) -> Array:
    """Keys that were never inserted."""
    return np.arange(FIRST_ABSENT, FIRST_ABSENT + count, dtype=np.uint64)


def predicted(bits: float, k: int, load: float = 1.0) -> float:
    """The textbook rate of false positives for a number of bits an element at load 1."""
    return float((1 - np.exp(-k * load / bits)) ** k)


def best_k(bits: float) -> int:
    """The whole number of hash functions with the smallest predicted rate."""
    return min(range(1, 40), key=lambda k: predicted(bits, k))


def measured(bits: int, k: int, load: float = 1.0, probes: int = PROBES, position: Position = double_hashing) -> float:
    """The rate of false positives over FILTERS seeds, with load · PLANNED keys inserted."""
    hits, keys = 0, absent(probes // FILTERS)
    for seed in range(FILTERS):
        bloom = Bloom(bits * PLANNED // BLOCK_BITS * BLOCK_BITS, k, seed, position)
        bloom.add(0, round(load * PLANNED))
        hits += len(bloom.positives(keys)[0])
    return hits / probes


def overfilled(ax: Axes) -> None:
    """Figure: the rate against the load, for 7 and 4 hash functions and 10 bits an element."""
    loads = np.linspace(0.5, 4, 100)
    for k, line, marker in ((7, "-", "o"), (4, "--", "s")):
        ax.plot(loads, [predicted(10, k, x) for x in loads], line, color="black", label=f"predicted, k = {k}")
        rates = [measured(10, k, x, probes=400_000) for x in LOADS]
        ax.plot(LOADS, rates, marker, color="black", markerfacecolor="white", label=f"measured, k = {k}")
    ax.set_yscale("log")
    ax.set_xlabel("load (inserted / planned elements)")
    ax.set_ylabel("rate of false positives")
    ax.legend()


def number_of_hashes(ax: Axes) -> None:
    """Figure: the rate against the number of hash functions at load 1, 1.5 and 2, 10 bits an element."""
    ks = range(1, 13)
    for load, line, marker in ((1.0, "-", "o"), (1.5, "--", "s"), (2.0, ":", "^")):
        rates = [measured(10, k, load, probes=200_000) for k in ks]
        ax.plot(ks, rates, line, marker=marker, color="black", markerfacecolor="white", label=f"load {load:g}")
    ax.set_yscale("log")
    ax.set_xlabel("number of hash functions k")
    ax.set_ylabel("measured rate of false positives")
    ax.set_ylim(0.003, 0.6)
    ax.legend(loc="lower center", ncol=3)


def chain_rate(slices: list[tuple[int, int, int]], inserted: int, probes: int = 400_000) -> float:
    """Rate of a chain of filters (capacity, m, k), each filled to its capacity before the next one is opened."""
    found, first = [], 0
    for number, (capacity, m, k) in enumerate(slices):
        bloom = Bloom(m, k, seed=10 + number)
        bloom.add(first, min(first + capacity, inserted))
        first += capacity
        found.append(bloom.positives(absent(probes))[0])
    return len(np.unique(np.concatenate(found))) / probes


def chain_plan(rate: float, slices: int) -> list[tuple[int, int, int]]:
    """Capacities that double and rates that halve, so that the rates add up to less than the one given."""
    plan = []
    for number in range(slices):
        bits = np.log2(2 ** (number + 1) / rate) / np.log(2)
        capacity = PLANNED * 2**number
        plan.append((capacity, int(np.ceil(capacity * bits)), best_k(float(bits))))
    return plan


def report_sizes() -> None:
    """Table 1 and the reads a lookup."""
    print("bits  k  predicted  measured  ratio")
    for bits in BITS_PER_ELEMENT:
        k = best_k(bits)
        p, q = predicted(bits, k), measured(bits, k)
        print(f"{bits:4d} {k:2d}  {p:.6f}  {q:.6f}  {q / p:.3f}  hits {round(q * PROBES)}")
    for k in (4, 7):
        bloom = Bloom(10 * PLANNED, k)
        bloom.add(0, PLANNED)
        reads = bloom.positives(absent(PROBES))[1] / PROBES
        missed = PLANNED - len(bloom.positives(np.arange(PLANNED, dtype=np.uint64))[0])
        print(f"k {k}: {reads:.3f} bits read for an absent key, fill {bloom.fill():.4f}, false negatives {missed}")


def report_overfilling() -> None:
    """Rates by load and number of hash functions, and the count recovered from the fill."""
    for load in (1.0, 1.5, 2.0, 3.0, 4.0):
        rates = [f"k={k} {measured(10, k, load):.4f} ({predicted(10, k, load):.4f})" for k in (3, 4, 5, 7)]
        bloom = Bloom(10 * PLANNED, 7)
        bloom.add(0, round(load * PLANNED))
        fill = bloom.fill()
        estimate = -bloom.m / bloom.k * np.log(1 - fill)
        error = estimate / (load * PLANNED) - 1
        print(f"load {load}: {', '.join(rates)}; fill {fill:.4f}, fill^7 {fill**7:.4f}, count off by {error:+.4%}")


def report_remedies() -> None:
    """Four times the planned elements: overfilled, rebuilt, chained."""
    plan = chain_plan(0.01, 3)
    inserted = 4 * PLANNED
    one = sum(m for _, m, _ in plan[:1])
    total = sum(m for _, m, _ in plan)
    rebuilt = inserted * np.log2(100) / np.log(2)
    print(f"chain plan {plan}")
    print(f"chain: {chain_rate(plan, inserted):.4%}, {total / 8e3:.0f} kB, {total / inserted:.1f} bits an element")
    print(f"first filter {one / 8e3:.0f} kB; rebuilt: {rebuilt / 8e3:.0f} kB, {rebuilt / inserted:.2f} bits")


def report_hashing() -> None:
    """The same filter with other ways to choose positions."""
    for bits, k in ((10, 7), (20, 14)):
        for position in (double_hashing, independent, truncated):
            print(f"{bits} bits, k {k}, {position.__name__}: {measured(bits, k, position=position):.6f}")
    print(f"floor of a 24-bit digest {PLANNED / 2**24:.6f}; of 32 bits and 10 million keys {1e7 / 2**32:.6f}")
    for bits in (10, 16):
        print(f"blocked, {bits} bits, k 7: {measured(bits, 7, position=blocked):.6f} ({predicted(bits, 7):.6f})")


def report_costs() -> None:
    """What the rates mean: drive reads of 100 microseconds for a million absent keys, and memory."""
    for p in (1.0, 0.01, predicted(10, 7, 2), predicted(10, 4, 2)):
        print(f"rate {p:.4f}: {1e6 * p:.0f} reads, {1e6 * p * 1e-4:.2f} s")
    print(f"1 %: {np.log2(100) / np.log(2):.2f} bits an element, a factor of ten {np.log2(10) / np.log(2):.2f} more")
    print(f"over the lower bound by {1 / np.log(2) - 1:.3f}; 10 million at 10 bits {1e7 * 10 / 8e6:.1f} MB")
    print(f"that is {1e7 * 10 / 64 / 1e6:.2f} million words; fill at load 1.15: {1 - np.exp(-7 * 1.15 / 10):.3f}")


if __name__ == "__main__":
    report_costs()
    report_sizes()
    report_overfilling()
    report_remedies()
    report_hashing()
