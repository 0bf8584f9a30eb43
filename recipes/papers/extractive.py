"""Sentences that a document's own words single out: what the offline teacher knows of a text it never saw."""

import re
from collections import Counter

from tuneline.language.sentences import sentences as split

from .personas import WORD, reading_grade

NOT_PROSE = re.compile(r"^\W*(?:figure|fig\.|table)\s*\d|^\||[=≤≥∑Σ∏√]", re.IGNORECASE)
LENGTHS = range(6, 33)  # words
COMMON = 4  # letters; shorter words say little


def sentences(text: str) -> list[str]:
    """The plain sentences of a section, in their order: no captions, tables, equations, fragments."""
    found = []
    for paragraph in text.split("\n\n"):
        if NOT_PROSE.match(paragraph):
            continue
        plain = re.sub(r"[*_`]|\s*\[\d+(?:,\s*\d+)*\]", "", paragraph)
        for sentence in split(" ".join(plain.split()), initials=False):
            if (
                len(WORD.findall(sentence)) in LENGTHS
                and (sentence[0].isupper() or sentence[0].isdigit())  # else the rest of one before an equation
                and sentence.endswith((".", "!"))
                and not NOT_PROSE.search(sentence)
            ):
                found.append(sentence)
    return found


def document_entry(fields: dict[str, str]) -> dict[str, str]:
    """What ${seed.…} may name of a document: its section, and sentences that stand out.

    The first, the two that most others are about, the simplest two, one with a figure. Where there is no
    sentence, one says what the section is called.
    """
    found = sentences(fields["text"])
    name = re.sub(r"^[\d.A-Z]*\d[.\d]*\s+|^[A-Z]\s+", "", fields["section"].rpartition(" / ")[2])
    lines = found or [f"This part is about {name.lower()}."]
    weights = Counter(word.casefold() for line in lines for word in WORD.findall(line) if len(word) > COMMON)

    def centrality(line: str) -> float:
        words = [word.casefold() for word in WORD.findall(line) if len(word) > COMMON]
        return sum(weights[word] for word in words) / (len(words) or 1)

    key = max(lines, key=centrality)
    plain = sorted(lines, key=reading_grade)
    others = [line for line in lines if line != key]
    return {
        "text": name,
        "value": name,
        "title": fields["title"],
        "first": lines[0],
        "key": key,
        "next": max(others, key=centrality) if others else key,
        "simple": plain[0],
        "simpler": " ".join(line for line in lines if line in plain[:2]),
        "figure": next((line for line in lines if re.search(r"\d", line)), key),
    }
