"""What a submitted case must be: of the asked length, prose, with every fact of its target, French, and new."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tuneline.ordering.checks import MISSING, Known, Refusal, check, count_words

from ..records.schema import Master, Record
from .facts import missing_facts

if TYPE_CHECKING:
    from .targets import Dimensions

FIELD_NAME = re.compile(r"(?<![\w@.])[A-Za-zÀ-ÿ]+_[\w]*[A-Za-zÀ-ÿ](?![\w@])")
STRUCTURE = re.compile(
    r"[\"'“][\w ]+[\"'”]\s*:\s*[\"'\[{\d]"  # JSON
    r"|^\s*\w+\[\d+\](?:\{[\w, ]+\})?\s*:"  # TOON
    r"|\{[^{}\n]*:[^{}\n]*\}"
    r"|</?\w+>\s*\w+\s*</\w+>",
    re.MULTILINE,
)
KEY_AND_VALUE = re.compile(r"^\s*(?:[-*•]\s*)?(?P<key>[\w'’ ]{1,40}?)\s*:\s+(?P<value>\S.*)")
LANGUAGE = "fr"
KEYS = 3  # lines `name: value` that are a list of fields
VALUE_WORDS = 8  # in more words, what stands after the colon is a sentence


def check_case(
    text: str,
    target: Record,
    dimensions: "Dimensions",
    master: Master,
    known: Known,
    words: Mapping[str, tuple[int, int]],
) -> list[Refusal]:
    """Why the text is no case for the target; nothing when it is one. `words`: length → fewest and most words."""
    return check(text, faults(text, target, master), words[dimensions.length], LANGUAGE, known)


def faults(text: str, target: Record, master: Master) -> list[Refusal]:
    """The facts that are missing, one each, and what the text must not hold."""
    found = [Refusal(MISSING, str(fact)) for fact in missing_facts(target, text, master)]
    if fields := field_dump(text, master):
        found.append(Refusal("field_dump", f"say it in sentences, without names of fields: {fields}"))
    return found


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
