"""Which of many texts are alike: candidates by MinHash, each checked by its exact similarity.

Two texts are as similar as the shares of their shingles are that both have (Jaccard) — wherever one draws the line
between what belongs to a template and what makes a text itself. That line is drawn below each level (see
tuneline.data.runs) in turn: all shingles count, then those that at most half of the texts share, a quarter, and so on
down to those of few. The least of these similarities counts, from the finest line on at which both have something left.

So texts that differ in three words below a page of instructions are compared by these words; texts of no template by
all that they say, as always; and queries that are drawn from the same few phrases, of which only a name is rare, not by
the name alone. Where no line leaves a text anything that not every second one has, it is like its equals only. What
this misses: of more than `few` copies of one text (see Commons) each with another slip, the common part counts as a
template, and only the slips are compared.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, partial

import numpy as np

from tuneline.bulk.lines import Mapped, parts
from tuneline.data.runs import SHINGLE, Commons, Runs, folded

PERMUTATIONS = 96  # of what is left of a text at the finest line
COARSE = 32  # of what is left of it at the coarsest
SLACK = 0.2, 0.3  # so much below a threshold MinHash's estimate at either line may be: 3.5 standard deviations or more
MISSED = 0.005  # of pairs just at the threshold, those that no band may find
BUCKET = 256  # texts of a bucket that are candidates
CHECKED = 64  # candidates of a text that are checked, the likeliest first
CACHED = 1 << 22  # shingles, of 9 bytes each
SEED = 1


def shingles(text: str) -> frozenset[str]:
    """The text's overlapping runs of SHINGLE characters, white space folded, ends marked."""
    padded = folded(text)
    return frozenset(padded[i : i + SHINGLE] for i in range(max(1, len(padded) - SHINGLE + 1)))


def jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    """|a ∩ b| ÷ |a ∪ b|, 0 to 1."""
    return len(a & b) / len(a | b)


class Texts:
    """Different texts, numbered as they come, with what it takes to find the like of each.

    `least`: the lowest similarity that will be asked for.
    """

    def __init__(self, texts: Sequence[str], least: float, mapped: Mapped = map) -> None:
        self.texts = texts
        self.commons = Commons(texts, mapped)
        self.finest, self.signatures = self._sign(mapped)
        self.bands = _bands(least)
        self.starts, self.buckets, self.sizes = self._buckets()
        mean = sum(map(len, texts)) // max(1, len(texts)) + 1
        self.runs = lru_cache(maxsize=max(CHECKED, CACHED // mean))(self._runs)

    def similarities(self, number: int, others: Sequence[int]) -> np.ndarray:
        """Of a text with others, 0 to 1; 1 for itself, and for texts of the same shingles."""
        finest = self.finest[number]
        own = self.runs(number)
        runs = [self.runs(other) for other in others]
        hashes, levels = (np.concatenate([one[part] for one in runs]) for part in range(2))
        owners = np.repeat(np.arange(len(runs)), [len(one.hashes) for one in runs])
        places = np.searchsorted(own.hashes, hashes)
        places[places == len(own.hashes)] = 0
        shared = own.hashes[places] == hashes
        both = self._up_to(np.maximum(own.levels[places], levels)[shared], owners[shared], len(runs))
        either = self._up_to(levels, owners, len(runs)) + self._up_to(own.levels) - both
        found = (both[:, finest:] / either[:, finest:]).min(axis=1)
        comparable = (self.finest[others] == finest) & (finest < self.commons.top)
        return np.where(np.asarray(others) == number, 1.0, np.where(comparable, found, 0.0))

    def buckets_of(self, number: int) -> np.ndarray:
        """Those that another text is in, too."""
        return self.buckets[self.starts[number] : self.starts[number + 1]]

    def estimates(self, number: int, others: np.ndarray) -> np.ndarray:
        """Similarities at the finest line and at the coarsest, with standard deviations of 0.05 and 0.09 at most."""
        same = self.signatures[others] == self.signatures[number]
        return np.stack([same[:, :PERMUTATIONS].mean(axis=1), same[:, PERMUTATIONS:].mean(axis=1)])

    def _runs(self, number: int) -> Runs:
        return next(self.commons.cut([self.texts[number]]))

    def _up_to(self, levels: np.ndarray, owners: np.ndarray | int = 0, count: int = 1) -> np.ndarray:
        """How many shingles each owner has up to each level."""
        size = self.commons.top + 1
        return np.bincount(owners * size + levels, minlength=count * size).reshape(count, size).cumsum(axis=1)

    def _sign(self, mapped: Mapped) -> tuple[np.ndarray, np.ndarray]:
        """(the finest level that each text has anything at, the MinHashes of its shingles there and below the top)."""
        finest = np.zeros(len(self.texts), np.uint8)
        signatures = np.zeros((len(self.texts), PERMUTATIONS + COARSE), np.uint32)
        done = 0
        for levels, hashes in mapped(partial(signed, self.commons), parts(self.texts)):
            part = slice(done, done + len(levels))
            finest[part], signatures[part] = levels, hashes
            done = part.stop
        return finest, signatures

    def _buckets(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(where each text's buckets start, all buckets' numbers, how many texts each bucket has).

        Texts that agree in a band share a bucket.
        """
        count, rows = self.bands
        numbers = np.flatnonzero(self.finest < self.commons.top)
        owners, buckets, sizes, made = [], [], [], 0
        factors = _factors(rows)
        for band in range(count):
            part = self.signatures[numbers, band * rows : (band + 1) * rows].astype(np.uint64)
            keys = ((part + np.uint64(1)) * factors).sum(axis=1, dtype=np.uint64) + self.finest[numbers]
            _, found, times = np.unique(keys, return_inverse=True, return_counts=True)
            several = times > 1
            shared = several[found]
            owners.append(numbers[shared])
            buckets.append((np.cumsum(several) - 1)[found[shared]] + made)
            sizes.append(times[several])
            made += len(sizes[-1])
        owner, bucket = np.concatenate(owners), np.concatenate(buckets)
        order = np.argsort(owner, kind="stable")
        starts = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=len(self.texts)))])
        return starts, bucket[order], np.concatenate(sizes)


def signed(commons: Commons, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """(finest levels, MinHashes) of some of the texts; see Texts."""
    levels, hashes = [], []
    for runs in commons.cut(texts):
        finest = np.minimum.reduceat(runs.levels, np.concatenate([[0], runs.ends[:-1]]))
        own = np.repeat(finest, np.diff(runs.ends, prepend=0))
        both = (runs.levels == own, PERMUTATIONS), (runs.levels < max(1, commons.top), COARSE)
        levels.append(finest)
        hashes.append(np.concatenate([_min_hashes(runs, chosen, count) for chosen, count in both], axis=1))
    return np.concatenate(levels), np.concatenate(hashes)


class Index:
    """Some of the texts, that can be asked for those at least `threshold` similar to another.

    `cut_short` has the texts for which more candidates were there than are checked, and no like one among these.
    """

    def __init__(self, texts: Texts, threshold: float) -> None:
        self.texts, self.threshold = texts, threshold
        most = np.minimum(texts.sizes, BUCKET)
        self.starts = np.cumsum(most) - most  # of each bucket in `members`
        self.members = np.zeros(most.sum(), np.int32)
        self.counts = np.zeros(len(most), np.int32)  # of members
        self.added = np.zeros(len(texts.texts), bool)
        self.crowded = np.zeros(len(most), bool)
        self.cut_short: set[int] = set()

    def add(self, number: int) -> None:
        if self.added[number]:
            return
        self.added[number] = True
        buckets = self.texts.buckets_of(number)
        if not len(buckets):
            return
        counts = self.counts[buckets]
        room = counts < BUCKET
        self.members[(self.starts[buckets] + counts)[room]] = number
        self.counts[buckets[room]] += 1
        self.crowded[buckets[~room]] = True

    def near(self, number: int, wanted: Callable[[int], bool] = lambda number: True) -> list[tuple[float, int]]:
        """(similarity, number) of each near text of those wanted, itself included, nearest first."""
        buckets = self.texts.buckets_of(number)
        others = self._members_of(buckets)
        if self.added[number]:
            others.add(number)
        likely = self._likeliest(number, [other for other in others if wanted(other)])
        scores = self.texts.similarities(number, likely[:CHECKED]).tolist() if likely else []
        found = [(score, other) for score, other in zip(scores, likely, strict=False) if score >= self.threshold]
        if not found and (len(likely) > CHECKED or self.crowded[buckets].any()):
            self.cut_short.add(number)
        return sorted(found, key=lambda pair: (-pair[0], pair[1]))

    def _members_of(self, buckets: np.ndarray) -> set[int]:
        if not len(buckets):
            return set()
        starts, counts = self.starts[buckets], self.counts[buckets]
        ends = counts.cumsum()
        return set(self.members[np.repeat(starts - ends + counts, counts) + np.arange(ends[-1])].tolist())

    def _likeliest(self, number: int, others: list[int]) -> list[int]:
        if not others:
            return []
        candidates = np.array(sorted(others))
        estimates = self.texts.estimates(number, candidates)
        likely = (estimates >= self.threshold - np.array([SLACK]).T).all(axis=0)
        return candidates[likely][np.argsort(-estimates.min(axis=0)[likely], kind="stable")].tolist()


def numbered(texts: Iterable[str]) -> tuple[list[int], list[str]]:
    """(the number of each text among the different ones, these in the order of coming); white space is folded."""
    numbers: dict[str, int] = {}
    folded = ((" ".join(text.split()), text) for text in texts)  # a text that is so already is not held twice
    found = [numbers.setdefault(text if one == text else one, len(numbers)) for one, text in folded]
    return found, list(numbers)


def _bands(least: float) -> tuple[int, int]:
    """(bands, rows of a band): the longest ones that miss at most MISSED of the pairs with this similarity."""
    for rows in range(16, 1, -1):
        bands = PERMUTATIONS // rows
        if (1 - least**rows) ** bands <= MISSED:
            return bands, rows
    return PERMUTATIONS, 1


def _factors(count: int) -> np.ndarray:
    return np.random.default_rng(SEED).integers(0, 1 << 63, count, dtype=np.uint64) * np.uint64(2) + np.uint64(1)


def _min_hashes(runs: Runs, chosen: np.ndarray, count: int) -> np.ndarray:
    """Of the chosen shingles of each text, the least under `count` hash functions; of none, the greatest number."""
    hashes = runs.hashes[chosen].astype(np.uint32)
    ends = np.concatenate([[0], np.cumsum(chosen)])[runs.ends]
    sizes = np.diff(ends, prepend=0)
    some = sizes > 0
    signature = np.full((count, len(ends)), 0xFFFFFFFF, np.uint32)
    mixed, high = np.empty_like(hashes), np.empty_like(hashes)  # one place in memory for all functions: twice as fast
    for row, factor in zip(signature, _factors(count), strict=True):
        np.multiply(hashes, np.uint32(factor & np.uint64(0xFFFFFFFF)), out=mixed)
        np.right_shift(mixed, np.uint32(15), out=high)
        mixed ^= high
        mixed *= np.uint32(factor >> np.uint64(32)) | np.uint32(1)
        if len(hashes):
            row[some] = np.minimum.reduceat(mixed, (ends - sizes)[some])
    return signature.T
