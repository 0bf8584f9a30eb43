"""What each merge of byte-pair encoding buys, on a generated text whose words follow Zipf's law.

Words are built from syllables and drawn with Zipfian frequencies. Merges are learned from the counts of the training
words; words of the held-out text that training never saw, and the words of a second language, are carried along with
the count zero, so that one pass yields the segmentation of all of them after every number of merges.
"""

import heapq
from collections import Counter, defaultdict
from functools import cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

TYPES, TRAINING_WORDS, HELD_OUT_WORDS, FOREIGN_TYPES = 30_000, 300_000, 100_000, 5_000
LETTERS_ONSET, LETTERS_VOWEL, LETTERS_CODA = "ptkbdgmnslrfvhj", "aeiou", "nrstlm"
VOCABULARIES = (32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)
MODELS = {"small": (256, 4), "medium": (768, 12), "large": (4096, 32)}  # width and layers


def syllables(rng: np.random.Generator) -> tuple[list[str], np.ndarray]:
    """All syllables of a language, and their probabilities."""
    codas = ["", "", *LETTERS_CODA]
    every = sorted({first + vowel + last for first in LETTERS_ONSET for vowel in LETTERS_VOWEL for last in codas})
    weights = 1 / (np.arange(len(every)) + 3.0)
    return [every[index] for index in rng.permutation(len(every))], weights / weights.sum()


@cache
def words(seed: int, number: int) -> list[str]:
    """Distinct words of a language, on the whole from short to long; each begins with a mark."""
    rng = np.random.default_rng(seed)
    sounds, shares = syllables(rng)
    found: dict[str, None] = {}
    while len(found) < number:
        length = 1 + rng.binomial(4, min(0.2 + 0.5 * len(found) / number, 0.7))
        found["_" + "".join(sounds[index] for index in rng.choice(len(sounds), length, p=shares))] = None
    return list(found)


def zipf(number: int) -> np.ndarray:
    """Probabilities of words by frequency rank, after Zipf and Mandelbrot."""
    weights = 1 / (np.arange(1, number + 1) + 2.7)
    return weights / weights.sum()


class Trainer:
    """Byte-pair encoding on counted words, with the counts of all pairs kept up to date."""

    def __init__(self, texts: list[str], counts: np.ndarray) -> None:
        self.pieces = [list(text) for text in texts]
        self.counts = counts.tolist()
        self.vocabulary = sorted({piece for pieces in self.pieces for piece in pieces})
        self.pairs: Counter[tuple[str, str]] = Counter()
        self.places: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
        for index in range(len(texts)):
            self._count(index, 1)
        self.heap = [(-count, pair) for pair, count in self.pairs.items() if count > 0]
        heapq.heapify(self.heap)

    def merge(self) -> int:
        """Join the most frequent pair everywhere; return its count."""
        while True:
            count, pair = heapq.heappop(self.heap)
            if self.pairs[pair] == -count:
                break
        changed: set[tuple[str, str]] = set()
        for index in self.places.pop(pair):
            pieces = joined(self.pieces[index], pair)
            if len(pieces) < len(self.pieces[index]):
                changed.update(self._count(index, -1))
                self.pieces[index] = pieces
                changed.update(self._count(index, 1))
        for other in changed:
            if self.pairs[other] > 0:
                heapq.heappush(self.heap, (-self.pairs[other], other))
        self.vocabulary.append("".join(pair))
        return -count

    def _count(self, index: int, sign: int) -> list[tuple[str, str]]:
        """Add the pairs of a word to the counts, or take them off; `places` may name words that lost the pair."""
        found = list(pairwise(self.pieces[index]))
        for pair in found:
            self.pairs[pair] += sign * self.counts[index]
            if sign > 0:
                self.places[pair].add(index)
        return found


def joined(pieces: list[str], pair: tuple[str, str]) -> list[str]:
    """The pieces with every occurrence of the pair joined, from the left."""
    result: list[str] = []
    for piece in pieces:
        if result and (result[-1], piece) == pair:
            result[-1] += piece
        else:
            result.append(piece)
    return result


class Lengths(NamedTuple):
    """What was measured at each vocabulary size."""

    training: np.ndarray  # uses of each native word in the training text
    held_out: np.ndarray  # and in the held-out text
    pieces: dict[int, np.ndarray]  # tokens of every word, native words first, by vocabulary size
    uses: dict[int, np.ndarray]  # uses of every token in the training text, by vocabulary size
    merges: dict[int, int]  # count of the last merge, by vocabulary size


@cache
def measured() -> Lengths:
    """Train once and note the lengths of all words at every vocabulary size."""
    rng = np.random.default_rng(21)
    training = rng.multinomial(TRAINING_WORDS, zipf(TYPES))
    held_out = rng.multinomial(HELD_OUT_WORDS, zipf(TYPES))
    used = np.flatnonzero(training + held_out)
    every, training, held_out = words(22, TYPES), training[used], held_out[used]
    native = [every[index] for index in used]
    counts = np.concatenate([training, np.zeros(FOREIGN_TYPES, int)])
    trainer = Trainer(native + words(23, FOREIGN_TYPES), counts)
    result = Lengths(training, held_out, {}, {}, {})
    for size in VOCABULARIES:
        while len(trainer.vocabulary) < size:
            result.merges[size] = trainer.merge()
        result.pieces[size] = np.array([len(pieces) for pieces in trainer.pieces])
        result.uses[size] = token_uses(trainer)
    return result


def token_uses(trainer: Trainer) -> np.ndarray:
    """How often each token of the vocabulary occurs in the training text as it is segmented now."""
    uses = Counter(dict.fromkeys(trainer.vocabulary, 0))
    for pieces, count in zip(trainer.pieces, trainer.counts, strict=True):
        for piece in pieces:
            uses[piece] += count
    return np.array(list(uses.values()))


def tokens_a_word() -> dict[str, list[float]]:
    """Mean tokens a word at every vocabulary size, over the held-out text, its word classes and the second language."""
    training, held_out, pieces, *_ = measured()
    rank, known = np.arange(len(training)), training > 0
    classes = {
        "100 most frequent": rank < 100,
        "all words": rank >= 0,
        "rank above 5000": (rank >= 5000) & known,
        "never seen": ~known,
    }
    result = {
        name: [float(np.average(pieces[size][rank], weights=held_out * members)) for size in VOCABULARIES]
        for name, members in classes.items()
    }
    result["other language"] = [
        float(np.average(pieces[size][len(rank) :], weights=zipf(FOREIGN_TYPES))) for size in VOCABULARIES
    ]
    return result


def operations_a_word(width: int, layers: int) -> np.ndarray:
    """Operations of one forward pass for a held-out word, at every vocabulary size."""
    sizes = np.array(VOCABULARIES)
    return np.array(tokens_a_word()["all words"]) * (24 * layers * width**2 + 2 * width * sizes)


def least_useful_count(width: int, layers: int, size: int, tokens: float) -> float:
    """The count in the training text below which one more merge costs more operations than it saves."""
    return TRAINING_WORDS * tokens / (12 * layers * width + size)


def length_by_vocabulary(ax: Axes) -> None:
    """Figure 1: tokens a word against the size of the vocabulary, by class of words."""
    for (name, lengths), style in zip(tokens_a_word().items(), ("o-", "s--", "^-", "v--", "D:"), strict=True):
        ax.plot(VOCABULARIES, lengths, style, color="black", mfc="white", markersize=4, label=name)
    ax.set_xscale("log", base=2)
    ax.set_xticks(VOCABULARIES[::2], [str(size) for size in VOCABULARIES[::2]])
    ax.set_xlabel("tokens in the vocabulary")
    ax.set_ylabel("tokens a word")
    ax.set_ylim(0, 10)
    ax.legend(fontsize="small", ncols=2, loc="upper right")


def work_by_vocabulary(ax: Axes) -> None:
    """Figure 2: operations a word against the size of the vocabulary, relative to the best size, for three models."""
    for (name, shape), style in zip(MODELS.items(), ("o-", "s--", "^:"), strict=True):
        work = operations_a_word(*shape)
        label = f"{name}, {shape[1]} layers of {shape[0]}"
        ax.plot(VOCABULARIES, work / work.min(), style, color="black", mfc="white", markersize=4, label=label)
    ax.set_xscale("log", base=2)
    ax.set_xticks(VOCABULARIES[::2], [str(size) for size in VOCABULARIES[::2]])
    ax.set_xlabel("tokens in the vocabulary")
    ax.set_ylabel("operations a word (best = 1)")
    ax.legend(fontsize="small")


def print_text() -> None:
    """Sections 2 and 3: the text, the lengths, the merges and the uses of the tokens."""
    training, held_out, pieces, uses, merges = measured()
    native = len(training)
    print(f"{(training > 0).sum()} words in training, {(training == 0).sum()} only in the held-out text,")
    print(f"  {100 * held_out[training == 0].sum() / HELD_OUT_WORDS:.1f} % of its running words")
    top, rest = held_out[:100].sum() / HELD_OUT_WORDS, held_out[5000:].sum() / HELD_OUT_WORDS
    print(f"the first 100 words are {100 * top:.1f} % of the text, those beyond 5000 {100 * rest:.1f} %")
    for seed, number in ((22, TYPES), (23, FOREIGN_TYPES)):
        signs = np.average([len(word) for word in words(seed, number)], weights=zipf(number))
        print(f"{number} words: {signs:.2f} signs with the mark, out of {len(set(''.join(words(seed, number))))}")
    for name, lengths in tokens_a_word().items():
        print(f"{name}:", ", ".join(f"{size}: {mean:.2f}" for size, mean in zip(VOCABULARIES, lengths, strict=True)))
    for size in VOCABULARIES:
        seldom, never = (uses[size] < 100).mean(), (uses[size] == 0).mean()
        known = np.average(pieces[size][:native], weights=training)
        print(f"{size}: last merge {merges[size]}, training text {known:.3f} tokens a word,", end=" ")
        print(f"under 100 uses {100 * seldom:.0f} %, none {100 * never:.1f} % ({(uses[size] == 0).sum()})")


def print_costs() -> None:
    """Section 4: memory, operations and the count below which a merge does not pay."""
    mean = dict(zip(VOCABULARIES, tokens_a_word()["all words"], strict=True))
    for name, (width, layers) in MODELS.items():
        body, cache_bytes = 12 * layers * width**2, 4 * layers * width
        print(f"{name}: body {body / 1e6:.1f} M, {2 * width} bytes a row, cache {cache_bytes} bytes a token")
        for size in (2048, 4096, 8192, 16384):
            table, floor = size * width * 2 / 1e6, least_useful_count(width, layers, size, mean[size])
            share = 100 * size * width / body
            print(f"  {size}: table {table:.1f} MB ({8 * table:.0f} in training), {share:.1f} % of the body,", end=" ")
            print(f"a merge pays above {floor:.1f} uses")
        saved = (mean[8192] - mean[16384]) * cache_bytes
        print(f"  8192 to 16384: {saved / 1e3:.2f} kB of cache a word, repaid by {8192 * width * 2 / saved:.0f} words")
        work = operations_a_word(width, layers)
        relative = ", ".join(f"{size}: {x:.3f}" for size, x in zip(VOCABULARIES, work / work.min(), strict=True))
        print(f"  operations: {relative}")
    for size in (2048, 16384):
        print(f"logits of 8 × 1024 positions at {size}: {8 * 1024 * size * 4 / 1e6:.0f} MB")


if __name__ == "__main__":
    print_text()
    print_costs()
