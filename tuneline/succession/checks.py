"""What a submitted case must be: of the asked length, prose, with every fact of its target, French, and new."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tuneline.language import other_language
from tuneline.succession.facts import missing_facts
from tuneline.succession.schema import Master, Record

if TYPE_CHECKING:
    from tuneline.succession.targets import Dimensions

MISSING = "missing"  # the reason of a fact that the text does not say; its detail names the fact
FIELD_NAME = re.compile(r"(?<![\w@.])[A-Za-zÀ-ÿ]+_[\w]*[A-Za-zÀ-ÿ](?![\w@])")
STRUCTURE = re.compile(
    r"[\"'“][\w ]+[\"'”]\s*:\s*[\"'\[{\d]"  # JSON
    r"|^\s*\w+\[\d+\](?:\{[\w, ]+\})?\s*:"  # TOON
    r"|\{[^{}\n]*:[^{}\n]*\}"
    r"|</?\w+>\s*\w+\s*</\w+>",
    re.MULTILINE,
)
KEY_AND_VALUE = re.compile(r"^\s*(?:[-*•]\s*)?(?P<key>[\w'’ ]{1,40}?)\s*:\s+(?P<value>\S.*)")
KEYS = 3  # lines `name: value` that are a list of fields
VALUE_WORDS = 8  # in more words, what stands after the colon is a sentence
LANGUAGE_SIGNS = 300  # of a text, by which its language is told: a longer look costs the server a millisecond


@dataclass(frozen=True)
class Refusal:
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


def check_case(
    text: str,
    target: Record,
    dimensions: "Dimensions",
    master: Master,
    known: Known,
    words: Mapping[str, tuple[int, int]],
) -> list[Refusal]:
    """Why the text is no case for the target; nothing when it is one.

    In the order in which a writer would mend it: the facts that are missing, one refusal each, what the
    text must not hold, its length, its language, what it is too near to. `words`: length → fewest and
    most words, as dimensions.yaml has it.
    """
    found = [Refusal(MISSING, str(fact)) for fact in missing_facts(target, text, master)]
    if fields := field_dump(text, master):
        found.append(Refusal("field_dump", f"say it in sentences, without names of fields: {fields}"))
    found += _length(text, *words[dimensions.length])
    if language := other_language(text[:LANGUAGE_SIGNS], "fr"):
        found.append(Refusal("language", f"the text is to be in French, this looks like {language}"))
    if not found and (near := known.nearest(text)):
        found.append(Refusal("near_duplicate", f"{near[0]:.0%} the same as a known case: {near[1][:80]}…"))
    return found


def _length(text: str, least: int, most: int) -> list[Refusal]:
    many = count_words(text)
    if least <= many <= most:
        return []
    reason = "too_short" if many < least else "too_long"
    return [Refusal(reason, f"{many} words; the text is to be of {least} to {most} words")]


def field_dump(text: str, master: Master) -> str | None:
    """The first piece of the text that is data and not prose: a field's name, JSON, TOON, a list of `name: value`."""
    for pattern in (FIELD_NAME, STRUCTURE):
        if found := pattern.search(text):
            return " ".join(found.group().split())[:60]
    lines = [line for line in text.splitlines() if line.strip()]
    found = [match for line in lines if (match := KEY_AND_VALUE.match(line))]
    keyed = [match.group() for match in found if count_words(match["value"]) <= VALUE_WORDS]
    names = {path.rsplit(".", 1)[-1] for path in master.leaves}
    fields = [match.group() for match in found if match["key"].strip().lower().replace(" ", "_") in names]
    if len(fields) >= KEYS or (len(keyed) > KEYS and 2 * len(keyed) > len(lines)):
        return " / ".join(line.strip() for line in (fields or keyed)[:KEYS])[:120]
    return None
