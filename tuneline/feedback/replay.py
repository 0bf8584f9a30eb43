"""Traffic of an application that there is not: texts of a recipe, each with an output of a known kind.

A text comes in as many variants as its `vary` has combinations, and never twice in the same one. The
output is the human summary of that variant, or one that is worse in a stated way; `meta.truth` says which. The
n-th sample depends on the texts and the seed alone, so that a replay goes on where the last one ended.
"""

import itertools
import math
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from tuneline.feedback.gate import GOOD
from tuneline.feedback.store import Sample
from tuneline.given import each_line
from tuneline.language.sentences import sentences

SOURCES = ("traffic_en.jsonl", "traffic_fr.jsonl")
TASK, MODEL = "summarization", "replayed"
OTHER, TRUNCATED, INVENTED, LEAD, VAGUE = "other", "truncated", "invented", "lead", "vague"
# Of 20 samples: 45 % good. `lead` (the text's first sentence) and `vague` are middling, which is not good.
SHARES = {GOOD: 9, OTHER: 3, INVENTED: 3, TRUNCATED: 2, LEAD: 2, VAGUE: 1}
DECK = [kind for kind, count in SHARES.items() for _ in range(count)]
VAGUE_OUTPUTS = {
    "en": (
        "The text describes a situation, gives some details about it and says what will happen next.",
        "This is about a recent matter that concerns several people and about what they decided to do.",
        "A number of things are changing, for various reasons, and those concerned have been informed.",
    ),
    "fr": (
        "Le texte décrit une situation, donne quelques détails et indique ce qui va se passer ensuite.",
        "Il est question d'un sujet récent qui concerne plusieurs personnes et de ce qu'elles ont décidé.",
        "Plusieurs choses vont changer, pour diverses raisons, et les personnes concernées sont prévenues.",
    ),
}
NUMBER = re.compile(r"\d+")


@dataclass(frozen=True)
class Text:
    """A text with its human summary. `vary`: a string of it → what may stand in its place."""

    id: str
    language: str
    topic: str
    input: str
    output: str
    vary: dict[str, tuple[str, ...]]

    @property
    def variants(self) -> int:
        return math.prod(1 + len(others) for others in self.vary.values())

    def choices(self, number: int) -> dict[str, str]:
        """What stands in the place of each varied string in variant 0 (the text as written), 1, 2 …"""
        chosen = {}
        for string, others in self.vary.items():
            number, at = divmod(number, 1 + len(others))
            chosen[string] = (string, *others)[at]
        return chosen


def read_texts(folder: Path) -> list[Text]:
    """The traffic of a recipe's source folder, in its order.

    Raises click.ClickException that names every row that cannot be used.
    """
    texts: list[Text] = []
    wrong: list[str] = []
    for path in (folder / name for name in SOURCES):
        if not path.is_file():
            raise click.ClickException(f"{path} is not there; it is the traffic that is replayed")
        for line, row in each_line(path):
            faults = list(_faults(row))
            wrong += [f"{path}:{line}: {fault}" for fault in faults]
            if not faults:
                vary = {string: tuple(others) for string, others in row["vary"].items()}
                texts.append(Text(*(row[key] for key in ("id", "language", "topic", "input", "output")), vary))
    ids = [text.id for text in texts]
    wrong += [f"{folder}: two texts are called {one}" for one in sorted({one for one in ids if ids.count(one) > 1})]
    if wrong:
        raise click.ClickException("; ".join(wrong[:10]))
    return texts


def _faults(row: Any) -> Iterator[str]:
    keys = ("id", "language", "topic", "input", "output")
    if not isinstance(row, dict) or not all(isinstance(row.get(key), str) and row[key].strip() for key in keys):
        yield f"needs the texts {', '.join(keys)}"
        return
    if row["language"] not in VAGUE_OUTPUTS:
        yield f"language is one of {', '.join(VAGUE_OUTPUTS)}"
    vary = row.get("vary", {})
    if not isinstance(vary, dict) or not all(isinstance(others, list) and others for others in vary.values()):
        yield "vary is an object of lists"
        return
    for string, others in vary.items():
        if not _pattern([string]).search(row["input"]):
            yield f"{string!r} of vary is not in the input"  # two variants would have the same input
        for other in others:
            if not isinstance(other, str) or not other.strip() or other == string:
                yield f"vary: {other!r} cannot stand for {string!r}"
        if len(set(others)) < len(others):
            yield f"vary: {string!r} has an alternative twice"


def replay(texts: list[Text], count: int, offset: int = 0, seed: int = 0) -> Iterator[Sample]:
    """Samples offset, offset + 1, … of the sequence that the seed determines; no two have the same input.

    Raises click.ClickException when the texts have not so many variants.
    """
    most = sum(text.variants for text in texts)
    if offset + count > most:
        raise click.ClickException(f"the {len(texts)} texts give {most} samples, not {offset + count}")
    for number, (text, variant) in itertools.islice(enumerate(_order(texts, seed)), offset, offset + count):
        yield _sample(texts, text, variant, _kind(number, seed), random.Random(f"{seed}/sample/{number}"))


def _order(texts: list[Text], seed: int) -> Iterator[tuple[Text, int]]:
    """Each (text, variant) once: every text comes once before any comes again."""
    orders = {text.id: random.Random(f"{seed}/{text.id}").sample(range(text.variants), text.variants) for text in texts}
    for lap in itertools.count():
        lasting = [text for text in texts if text.variants > lap]
        if not lasting:
            return
        random.Random(f"{seed}/lap/{lap}").shuffle(lasting)
        for text in lasting:
            yield text, orders[text.id][lap]


def _kind(number: int, seed: int) -> str:
    """Each 20 samples in a row have the kinds as in SHARES."""
    block, at = divmod(number, len(DECK))
    return random.Random(f"{seed}/kinds/{block}").sample(DECK, len(DECK))[at]


def _sample(texts: list[Text], text: Text, variant: int, kind: str, rng: random.Random) -> Sample:
    chosen = text.choices(variant)
    source, good = substitute(text.input, chosen), substitute(text.output, chosen)
    output = good
    if kind == OTHER:
        output = _other(texts, text, source, rng)
    elif kind == TRUNCATED:
        output = truncated(good, rng)
    elif kind == INVENTED:
        output = invented(text, chosen, source, rng)
    elif kind == LEAD:
        output = sentences(source)[0]
    elif kind == VAGUE:
        output = rng.choice(VAGUE_OUTPUTS[text.language])
    if kind != GOOD and output == good:  # it has nothing that could be replaced, or is one word
        kind, output = OTHER, _other(texts, text, source, rng)
    meta = {"truth": kind, "language": text.language, "topic": text.topic, "text": text.id, "variant": variant}
    return Sample(TASK, source, output, MODEL, meta)


def substitute(text: str, chosen: dict[str, str]) -> str:
    """Replaces whole strings, all at once, the longest first."""
    if not chosen:
        return text
    return _pattern(chosen).sub(lambda found: chosen[found[0]], text)


def _pattern(strings: Any) -> re.Pattern[str]:
    longest_first = sorted(strings, key=lambda string: (-len(string), string))
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)")


def _other(texts: list[Text], text: Text, source: str, rng: random.Random) -> str:
    """The summary of another text of the language."""
    others = [one for one in texts if one.language == text.language and one.id != text.id]
    if not others:
        raise click.ClickException(f"{text.id} is the only text in its language: no other's summary to replay")
    return rng.choice(others).output


def truncated(summary: str, rng: random.Random) -> str:
    """The summary up to the middle of one of its sentences."""
    words = summary.split()
    last = max(1, round(len(words) * rng.uniform(0.4, 0.75)))
    return " ".join(words[:last]).rstrip(".,;:!?… ")


def invented(text: Text, chosen: dict[str, str], source: str, rng: random.Random) -> str:
    """The summary with its names, dates and figures replaced by ones that are not in the text."""
    wrong = {}
    for string, others in text.vary.items():
        free = [one for one in (string, *others) if one != chosen[string] and one not in source]
        if free and _pattern([string]).search(text.output):
            wrong[chosen[string]] = rng.choice(free)
    summary = substitute(substitute(text.output, chosen), wrong)
    if wrong:
        return summary
    return NUMBER.sub(lambda found: _other_number(found[0], source, rng), summary)


def _other_number(figures: str, source: str, rng: random.Random) -> str:
    """One of as many digits that the text has not."""
    known = set(NUMBER.findall(source))
    low = 10 ** (len(figures) - 1)
    free = [number for number in (str(rng.randrange(low, 10 * low)) for _ in range(50)) if number not in known]
    return free[0] if free else figures
