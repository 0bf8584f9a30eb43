"""Which page to evict: six replacement policies on Zipf-distributed requests with and without scans.

Ordinary requests draw one of 10,000 pages with a probability proportional to 1/rank^0.9. Scans read pages of a
separate table once (or twice in a row) and never come back to them while they are cached. Ordinary requests alone are
scored, after a warm-up; every policy sees exactly the same trace.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
from matplotlib.axes import Axes

PAGES = 10_000
EXPONENT = 0.9
REQUESTS = 100_000
WARM_UP = 30_000
GAP = 4_000  # ordinary requests between two scans
SIZES = (100, 200, 500, 1000, 2000)
SCANS = (0, 250, 500, 1000, 2000, 4000)
SCAN_TABLE = 1_000_000  # first page number of the scanned table


class Lru:
    """Evict the page that was not used for the longest time."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.pages: OrderedDict[int, None] = OrderedDict()

    def request(self, page: int) -> bool:
        """Serve one request and tell whether it was a hit."""
        if page in self.pages:
            self.pages.move_to_end(page)
            return True
        if len(self.pages) >= self.size:
            self.pages.popitem(last=False)
        self.pages[page] = None
        return False


class Fifo(Lru):
    """Evict the page that was loaded first."""

    def request(self, page: int) -> bool:
        return page in self.pages or super().request(page)


class Random:
    """Evict any page."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.slots: list[int] = []
        self.pages: set[int] = set()
        self.victims: Iterator[int] = iter(np.random.default_rng(7).integers(size, size=4 * REQUESTS).tolist())

    def request(self, page: int) -> bool:
        if page in self.pages:
            return True
        if len(self.slots) < self.size:
            self.slots.append(page)
        else:
            victim = next(self.victims)
            self.pages.remove(self.slots[victim])
            self.slots[victim] = page
        self.pages.add(page)
        return False


class Lfu:
    """Evict the page with the fewest hits since it was loaded, the least recent one first."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.count: dict[int, int] = {}
        self.groups: dict[int, OrderedDict[int, None]] = {1: OrderedDict()}
        self.lowest = 1

    def request(self, page: int) -> bool:
        count = self.count.get(page, 0)
        if count:
            del self.groups[count][page]
            if count == self.lowest and not self.groups[count]:
                self.lowest += 1
        else:
            if len(self.count) >= self.size:
                victim, _ = self.groups[self.lowest].popitem(last=False)
                del self.count[victim]
            self.lowest = 1
        self.count[page] = count + 1
        self.groups.setdefault(count + 1, OrderedDict())[page] = None
        return count > 0


class Segmented:
    """Segmented LRU: a page enters a fifth of the cache on probation and is protected from its second use on."""

    def __init__(self, size: int) -> None:
        self.protected_size = size - size // 5
        self.size = size
        self.probation: OrderedDict[int, None] = OrderedDict()
        self.protected: OrderedDict[int, None] = OrderedDict()

    def request(self, page: int) -> bool:
        if page in self.protected:
            self.protected.move_to_end(page)
            return True
        hit = page in self.probation
        if hit:
            del self.probation[page]
            self.protected[page] = None
            if len(self.protected) > self.protected_size:
                demoted, _ = self.protected.popitem(last=False)
                self.probation[demoted] = None
        else:
            if len(self.probation) + len(self.protected) >= self.size:
                self.probation.popitem(last=False)
            self.probation[page] = None
        return hit


class TwoQueues:
    """2Q: a queue for newcomers, a list of the names it dropped, and an LRU list for those asked for again."""

    def __init__(self, size: int) -> None:
        self.size, self.in_size, self.out_size = size, size // 4, size // 2
        self.entry: OrderedDict[int, None] = OrderedDict()
        self.ghosts: OrderedDict[int, None] = OrderedDict()
        self.main: OrderedDict[int, None] = OrderedDict()

    def make_room(self) -> None:
        """Drop a newcomer, keeping its name, or else the least recent page of the main list."""
        if len(self.entry) + len(self.main) < self.size:
            return
        if len(self.entry) < self.in_size:
            self.main.popitem(last=False)
            return
        dropped, _ = self.entry.popitem(last=False)
        self.ghosts[dropped] = None
        if len(self.ghosts) > self.out_size:
            self.ghosts.popitem(last=False)

    def request(self, page: int) -> bool:
        if page in self.main:
            self.main.move_to_end(page)
            return True
        if page in self.entry:
            return True
        known = page in self.ghosts
        self.make_room()
        if known:
            self.ghosts.pop(page, None)
            self.main[page] = None
        else:
            self.entry[page] = None
        return False


POLICIES: dict[str, Callable] = {
    "LRU": Lru,
    "FIFO": Fifo,
    "random": Random,
    "LFU": Lfu,
    "SLRU": Segmented,
    "2Q": TwoQueues,
}
STYLES = {"LRU": "ko-", "FIFO": "C7s--", "random": "C1^:", "LFU": "C2v-.", "SLRU": "C0D-", "2Q": "C3x--"}


def popularity() -> np.ndarray:
    """Probability of every page, most popular first."""
    weights = np.arange(1, PAGES + 1) ** -EXPONENT
    return weights / weights.sum()


@cache
def ordinary(drift: bool = False) -> np.ndarray:
    """The scored requests; with drift, another set of pages becomes popular after half of them."""
    ranks = np.random.default_rng(1).choice(PAGES, size=REQUESTS, p=popularity())
    if drift:
        ranks[REQUESTS // 2 :] = np.random.default_rng(2).permutation(PAGES)[ranks[REQUESTS // 2 :]]
    return ranks


def trace(scan: int = 0, reads: int = 1, drift: bool = False) -> np.ndarray:
    """Ordinary requests with a scan of fresh pages after every `GAP` of them, each page read `reads` times in a row."""
    parts = []
    for number, chunk in enumerate(np.split(ordinary(drift), REQUESTS // GAP)):
        fresh = SCAN_TABLE + number * scan + np.arange(scan)
        parts += [chunk, np.repeat(fresh, reads)]
    return np.concatenate(parts)


def miss_ratio(policy: str, size: int, requests: np.ndarray) -> float:
    """Share of misses among the ordinary requests after the warm-up."""
    store = POLICIES[policy](size)
    hits = np.fromiter(map(store.request, requests.tolist()), bool, len(requests))
    return float(1 - hits[requests < SCAN_TABLE][WARM_UP:].mean())


def best_fixed(size: int) -> float:
    """Miss ratio when the most popular pages are held for ever."""
    return float(1 - popularity()[:size].sum())


def solve(occupancy: Callable[[float], float], size: int) -> float:
    """Characteristic time at which the expected number of pages held equals the size of the cache."""
    low, high = 0.0, 1e9
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if occupancy(middle) < size else (low, middle)
    return low


def predicted_lru(size: int) -> float:
    """Miss ratio of LRU by the characteristic-time approximation."""
    p = popularity()
    time = solve(lambda t: float((1 - np.exp(-p * t)).sum()), size)
    return float((p * np.exp(-p * time)).sum())


def predicted_fifo(size: int) -> float:
    """Miss ratio of FIFO and of random eviction by the same approximation."""
    p = popularity()
    time = solve(lambda t: float((p * t / (1 + p * t)).sum()), size)
    return float((p / (1 + p * time)).sum())


@cache
def by_size(policy: str) -> list[float]:
    """Miss ratios without scans."""
    requests = trace()
    return [miss_ratio(policy, size, requests) for size in SIZES]


@cache
def by_scan(policy: str) -> list[float]:
    """Miss ratios of a cache of 1,000 pages over the length of the scans."""
    return [miss_ratio(policy, 1000, trace(scan)) for scan in SCANS]


def without_scans(ax: Axes) -> None:
    """Miss ratio over the size of the cache, requests without scans."""
    for policy, style in STYLES.items():
        ax.semilogx(SIZES, by_size(policy), style, ms=4, lw=1.0, label=policy)
    ax.semilogx(SIZES, [best_fixed(size) for size in SIZES], color="0.5", lw=2.0, ls=":", label="best fixed set")
    ax.set_xlabel("cache size (pages of 10,000)")
    ax.set_ylabel("miss ratio")
    ax.set_ylim(0.2, 1.05)
    ax.legend(fontsize=7, ncols=2)


def with_scans(ax: Axes) -> None:
    """Miss ratio of ordinary requests over the length of the scan between them."""
    for policy, style in STYLES.items():
        ax.plot(SCANS, by_scan(policy), style, ms=4, lw=1.0, label=policy)
    ax.set_xlabel("pages read by each scan")
    ax.set_ylabel("ordinary requests missed")
    ax.set_ylim(0.35, 0.65)
    ax.legend(fontsize=7, ncols=3)


def equal_size(target: float, requests: np.ndarray) -> int:
    """Smallest LRU cache, in steps of 50 pages, that misses no more than the target."""
    size = 1000
    while miss_ratio("LRU", size, requests) > target:
        size += 50
    return size


def report_cost(policy: str, miss: float) -> None:
    """Print time, reads and discs for a miss ratio: hits of 0.2 µs, misses of 100 µs, 10,000 requests a second."""
    access, reads = 0.2 * (1 - miss) + 100 * miss, 10_000 * miss
    print(f"{policy} {access:.1f} µs, {reads:.0f} reads/s, {reads * 8.192e-3:.1f} MB/s, {reads / 120:.1f} discs")


def main() -> None:
    """Print every number quoted in the text."""
    print("distinct pages requested", len(np.unique(ordinary())), "top share", popularity()[:100].sum())
    print("sizes", SIZES, "best fixed", [round(best_fixed(size), 3) for size in SIZES])
    print("predicted LRU", [round(predicted_lru(size), 3) for size in SIZES])
    print("predicted FIFO", [round(predicted_fifo(size), 3) for size in SIZES])
    print("scans", SCANS)
    mixes = {"twice": trace(2000, reads=2), "drift": trace(drift=True)}
    for policy in POLICIES:
        print(policy, "sizes", [round(value, 3) for value in by_size(policy)])
        print(policy, "scans", [round(value, 3) for value in by_scan(policy)])
        print(policy, {name: round(miss_ratio(policy, 1000, requests), 3) for name, requests in mixes.items()})
    for policy in ("LRU", "2Q"):
        report_cost(policy, by_scan(policy)[4])
    for label, target, requests in (
        ("without scans", by_size("SLRU")[3], trace()),
        ("with scans", by_scan("SLRU")[4], trace(2000)),
    ):
        pages = equal_size(target, requests)
        print(f"LRU pages that match SLRU {label}: {pages}, a thousand times as many: {pages * 8.192e-3:.1f} GB")


if __name__ == "__main__":
    main()
