"""What any submitted text must be, whatever it is about: of the asked length, in its language, and new."""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from tuneline.data.language import LETTERS, other_language

MISSING = "missing"  # the reason of a fact that the text does not say; its detail names the fact
LANGUAGE_SIGNS = 300  # of a text, by which its language is told: a longer look costs the server a millisecond


class Refusal(NamedTuple):
    """A recipe's faults are such pairs, too."""

    reason: str
    detail: str


class Known:
    """Texts that a new one must not be near to, by MinHash [1] over runs of characters.

    [1] Broder, "On the resemblance and containment of documents", 1997.
    """

    RUN = 5  # characters
    BANDS, ROWS = 24, 6  # of the signature: texts that agree in a band are compared
    COMPARED = 20  # texts at most, those first that agree in most bands

    def __init__(self, threshold: float = 0.7) -> None:
        """`threshold`: the Jaccard similarity from which a text is a near duplicate, 0 to 1."""
        self.threshold = threshold
        rng = np.random.default_rng(1)
        count = self.BANDS * self.ROWS
        self.factors = rng.integers(1, 1 << 63, count, dtype=np.uint64) | np.uint64(1)
        self.offsets = rng.integers(0, 1 << 63, count, dtype=np.uint64)
        self.runs: list[np.ndarray] = []  # of each text: its runs' hashes, sorted, without repeats
        self.texts: list[str] = []
        self.buckets: dict[tuple[int, bytes], list[int]] = {}

    def add(self, text: str) -> None:
        runs = self._runs(text)
        for bucket in self._bands(runs):
            self.buckets.setdefault(bucket, []).append(len(self.runs))
        self.runs.append(np.unique(runs.astype(np.uint32)))
        self.texts.append(text)

    def nearest(self, text: str) -> tuple[float, str] | None:
        """(similarity, text) of the known text that is nearest, if it is at least as near as the threshold."""
        runs = self._runs(text)
        agreeing = Counter(number for bucket in self._bands(runs) for number in self.buckets.get(bucket, ()))
        candidates = [number for number, _ in agreeing.most_common(self.COMPARED)]
        folded = np.unique(runs.astype(np.uint32))
        found = [(_jaccard(folded, self.runs[number]), -number) for number in candidates]
        similarity, number = max(found, default=(0.0, 0))
        return (similarity, self.texts[-number]) if similarity >= self.threshold else None

    def _runs(self, text: str) -> np.ndarray:
        """The hashes of the text's overlapping runs of characters, case and white space folded."""
        folded = " ".join(text.lower().split()).ljust(self.RUN)
        signs = np.frombuffer(folded.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
        many = len(signs) - self.RUN + 1
        hashed = np.zeros(many, np.uint64)
        for start in range(self.RUN):
            hashed = (hashed + signs[start : start + many]) * np.uint64(0x9E3779B97F4A7C15)
            hashed ^= hashed >> np.uint64(29)
        return np.unique(hashed)

    def _bands(self, runs: np.ndarray) -> list[tuple[int, bytes]]:
        mixed = runs[None, :] * self.factors[:, None] + self.offsets[:, None]
        signature = (mixed >> np.uint64(32)).min(axis=1)
        return [(band, signature[band * self.ROWS : (band + 1) * self.ROWS].tobytes()) for band in range(self.BANDS)]


def _jaccard(one: np.ndarray, other: np.ndarray) -> float:
    shared = len(np.intersect1d(one, other, assume_unique=True))
    return shared / (len(one) + len(other) - shared)


def count_words(text: str) -> int:
    """Runs between white space that hold a letter or a digit."""
    return sum(any(sign.isalnum() for sign in word) for word in text.split())


def read_language(language: str | None) -> None:
    """Reads the model that tells languages: not while an agent waits."""
    if language:
        other_language("a" * LETTERS, language)


def check(
    text: str, faults: Iterable[tuple[str, str]], limits: tuple[int, int] | None, language: str | None, known: Known
) -> list[Refusal]:
    """Why the text is refused; nothing when it is not.

    In the order in which a writer would mend it: the recipe's faults, its length (`limits`: fewest and most words),
    its language, and where nothing else is wrong, what it is too near to.
    """
    found = [Refusal(*fault) for fault in faults]
    found += _length(text, *limits) if limits else []
    if language and (other := other_language(text[:LANGUAGE_SIGNS], language)):
        found.append(Refusal("language", f"the text is to be in {language}, this looks like {other}"))
    if not found and (near := known.nearest(text)):
        found.append(Refusal("near_duplicate", f"{near[0]:.0%} the same as a known case: {near[1][:80]}…"))
    return found


def _length(text: str, least: int, most: int) -> list[Refusal]:
    many = count_words(text)
    if least <= many <= most:
        return []
    reason = "too_short" if many < least else "too_long"
    return [Refusal(reason, f"{many} words; the text is to be of {least} to {most} words")]
