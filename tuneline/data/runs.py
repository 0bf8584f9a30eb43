"""Texts as runs of characters, and how many of the texts share each.

A text is cut into shingles: its overlapping runs of SHINGLE characters, white space folded, its ends marked. Each
has a level: 0 for what few texts share, one more for each doubling of their number. It is told by longer runs than
the shingle, those in which it stands, and the one that most texts have: " the " is in every text and no template;
"Translate into French: " is. What a tenth of the texts or less share is a template only where it is longer: many who
write to a help desk ask "how do I reset my password", and mean it; a paragraph that comes again is not what they ask.

All of it is a pure function of the set of texts: no seed of Python's, no order, no number of processes in it.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from tuneline.bulk.lines import Mapped, parts

SHINGLE = 4  # characters; short enough that a query of three words still has a dozen
LONG = 12  # characters; a template below it cannot make texts near by itself, for what it holds is soon outweighed
LONGER = 40  # the same for a template of a smaller share of the texts
SHARE = 0.1
FEW = 10  # texts that may share a long run before it is taken for a template's
CHUNK = 1 << 17  # characters that are worked on at once: what they take stays in the processor's cache
CELLS = 1 << 16, 1 << 23  # at least and at most, of each row of the sketch that counts long runs
ODD = np.uint64(0x9E3779B97F4A7C15)  # 2^64 ÷ golden ratio
LEVEL_BITS, HASH_BITS = 4, 44
COUNTED = 1 << 16  # texts whose runs are counted at once: their counts are 64 MiB
HASH = np.uint64((1 << HASH_BITS) - 1)


class Runs(NamedTuple):
    """Shingles of one text or, one text after the other, of several: `ends[i]` is where those of text i end."""

    hashes: np.ndarray  # uint64, of HASH_BITS; sorted and without repeats within a text
    levels: np.ndarray  # uint8
    ends: np.ndarray


class Commons:
    """How common each run is among different texts, in levels.

    A run that at most `few` of them share is at level 0: FEW, or in a larger set the root of its size, so that a
    passage's dozen copies among thousands of texts are no template and look-alikes stay few beside all. Level k is up
    to few × 2^k; `top` is the level of runs that more than half share. Runs of LONG characters count from SHARE of the
    texts on, runs of LONGER always. Counts are by a count-min sketch [1] of two rows, and so are never too low.

    [1] Cormode and Muthukrishnan, "An improved data stream summary: the count-min sketch and its applications", 2005.
    """

    def __init__(self, texts: Sequence[str], mapped: Mapped = map) -> None:
        self.size = len(texts)
        self.few = max(FEW, int(len(texts) ** 0.5))
        self.top = max(1, int(np.ceil(np.log2(max(1, len(texts)) / self.few))))
        wanted = 1 << (8 * sum(map(len, texts)) // self.few).bit_length()  # by chance, a cell has less than few ÷ 4
        self.counts = np.zeros((2, min(max(wanted, CELLS[0]), CELLS[1])), np.uint32)
        for counts in mapped(partial(_count, self.counts.shape), parts(texts, COUNTED)):
            self.counts += counts

    def cut(self, texts: Sequence[str]) -> Iterator[Runs]:
        """The shingles of the texts with their levels, many texts at a time."""
        for block in _blocks(texts):
            short = _mix(_rolled(block.signs, 1, SHINGLE)) & HASH
            levels = self._levels(block)
            inside = block.places + SHINGLE <= block.sizes
            keys = (block.owners << np.uint64(HASH_BITS) | short) << np.uint64(LEVEL_BITS) | levels
            keys = np.sort(keys[inside])
            whole = keys >> np.uint64(LEVEL_BITS)
            first = np.ones(len(keys), bool)  # of its equals, and so the one of the lowest level
            first[1:] = whole[1:] != whole[:-1]
            keys = keys[first]
            owners = (keys >> np.uint64(HASH_BITS + LEVEL_BITS)).astype(np.int64)
            yield Runs(
                whole[first] & HASH,
                (keys & np.uint64((1 << LEVEL_BITS) - 1)).astype(np.uint8),
                np.cumsum(np.bincount(owners, minlength=block.count)),
            )

    def _levels(self, block: "_Block") -> np.ndarray:
        """The level of the shingle that starts at each place: by the commonest run that it lies in."""
        short, long = (self._reach(block, length) for length in (LONG, LONGER))
        counts = np.maximum(np.where(short > SHARE * self.size, short, 0), long)
        return np.clip(np.ceil(np.log2(np.maximum(counts, 1) / self.few)), 0, self.top).astype(np.uint64)

    def _reach(self, block: "_Block", length: int) -> np.ndarray:
        """How many texts have the commonest run of a length that holds the shingle from each place on."""
        long, valid = _long_runs(block, length)
        counts = np.minimum(
            *(row[cells] for row, cells in zip(self.counts, _cells(long, self.counts.shape[1]), strict=True))
        )
        counts = np.where(valid, counts, 0)
        reach, width = counts, 1
        while width <= length - SHINGLE:  # the greatest of `width` places, of twice as many in the next turn
            step = min(width, length - SHINGLE + 1 - width)
            reach = np.concatenate([reach[:step], np.maximum(reach[step:], reach[:-step])])
            width += step
        return reach


def _count(shape: tuple[int, int], texts: Sequence[str]) -> np.ndarray:
    """How many of the texts have a long run in each cell."""
    counts = np.zeros(shape, np.uint32)
    for block in _blocks(texts):
        for length in (LONG, LONGER):
            long, valid = _long_runs(block, length)
            # Each once a text: one that says a thing a thousand times makes no template of it.
            keys, _ = _counted(block.owners[valid] << np.uint64(HASH_BITS) | long[valid])
            for row, cells in zip(counts, _cells(keys & HASH, shape[1]), strict=True):
                found, times = _counted(cells)
                row[found] += times.astype(np.uint32)
    return counts


def _cells(hashes: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """A hash's cell in each row of so many: by its lowest bits and by its highest."""
    low = hashes & np.uint64(size - 1)
    return low.astype(np.int64), (hashes >> np.uint64(HASH_BITS + 1 - size.bit_length())).astype(np.int64)


class _Block(NamedTuple):
    """The characters of some texts one after the other; the last three are of each character's text."""

    signs: np.ndarray
    count: int
    owners: np.ndarray  # its number in the block
    places: np.ndarray  # the character's own in it
    sizes: np.ndarray


def folded(text: str) -> str:
    """White space folded, the ends marked."""
    return f"^{' '.join(text.split())}$"


def _blocks(texts: Iterable[str]) -> Iterator[_Block]:
    part: list[str] = []
    size = 0
    for text in texts:
        part.append(folded(text).ljust(SHINGLE, "\0"))
        size += len(part[-1])
        if size >= CHUNK or len(part) == 1 << 15:
            yield _block(part)
            part, size = [], 0
    if part:
        yield _block(part)


def _block(texts: list[str]) -> _Block:
    signs = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    sizes = np.fromiter(map(len, texts), np.int64, len(texts))
    starts = np.cumsum(sizes) - sizes
    owners = np.repeat(np.arange(len(texts), dtype=np.uint64), sizes)
    return _Block(signs, len(texts), owners, np.arange(len(signs)) - np.repeat(starts, sizes), np.repeat(sizes, sizes))


def _long_runs(block: _Block, length: int) -> tuple[np.ndarray, np.ndarray]:
    """(hash of the run of so many characters from each place on, whether it ends in the same text)."""
    short = _mix(_rolled(block.signs, 1, SHINGLE))
    return _mix(_rolled(short, SHINGLE, length // SHINGLE)) & HASH, block.places + length <= block.sizes


def _rolled(values: np.ndarray, step: int, count: int) -> np.ndarray:
    """Σ values[i + k × step] × ODD^(k + 1) for k < count; past the end there is nothing."""
    total = np.zeros_like(values)
    for k in range(count - 1, -1, -1):
        total[: max(0, len(values) - k * step)] += values[k * step :]
        total *= ODD
    return total


def _mix(values: np.ndarray) -> np.ndarray:
    """The finalizer of SplitMix64: every bit depends on every bit."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _counted(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(the different values, sorted, how often each is there)."""
    values = np.sort(values)
    first = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]])[: len(values)])
    return values[first], np.diff(first, append=len(values))
