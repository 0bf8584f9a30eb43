"""What a submitted case must be: of the asked length, prose, with every fact of its target, French, and new."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tuneline.ordering.checks import MISSING, Known, Refusal, check, count_words

from ..records.schema import Master, Record
from .facts import missing_facts

if TYPE_CHECKING:
    from .dimensions import Dimensions

FIELD_NAME = re.compile(r"(?<![\w@./])[A-Za-zÀ-ÿ]+_[\w]*[A-Za-zÀ-ÿ](?![\w@]|\.\w)")  # not of a file
STRUCTURE = re.compile(
    r"^\s*\w+\[\d+\](?:\{[\w, ]+\})?\s*:"  # TOON
    r"|\{[^{}\n]*:[^{}\n]*\}"  # JSON
    r"|<(?!(?:b|i|u|em|strong|p|a|li|small)>)(\w+)>[^<\n]*</\1>",  # XML, but for how a mail sets its text
    re.MULTILINE,
)
QUOTED = re.compile(r"[\"'“][\w ]+[\"'”]\s*:\s*[\"'\[{\d]")  # one is a quotation, two are JSON
ASSIGNED = re.compile(r"^\s*[\w'’ ]{1,40}?\s*(?:=|->|=>|→|⇒)\s*\S|\|[^|\n]*\|")  # `key = value`, arrows, a table's row
KEY_AND_VALUE = re.compile(r"^\s*(?:[-*•]\s*)?(?P<key>[\w'’ ]{1,40}?)\s*:\s+(?P<value>\S.*)")
SEGMENTS = re.compile(r"\n|;|(?<=[^\d\s]),(?= )|(?<=\d),(?= )")
MAIL = frozenset("de a à cc cci objet sujet date envoyé envoye pour re tr ref réf ps nb".split())
# Without them words are no sentences: 35 % and more of what people write, hardly any of a list of fields.
SMALL_WORDS = frozenset(
    "le la les l un une des du de d à a au aux en et ou où que qu qui dont ce cette ces c s se sa son ses mon ma mes m"
    " notre nos votre vos leur leurs je j il elle on nous vous ils elles ne n pas par pour sur dans avec sans est sont"
    " ai as ont était avait y si mais donc car plus lui moi sera été"
    " my the is from us he had was to i do have this or not of and she they we it".split()  # English is another refusal
)
FEWEST_SMALL = 0.2
LANGUAGE = "fr"
KEYS = 3  # lines `name: value` that are a list of fields
LEAST = 12  # words by which to tell
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
    """The first piece of the text that is data and not prose: fields, JSON, TOON, names and values, no sentences."""
    for pattern in (FIELD_NAME, STRUCTURE):
        if found := pattern.search(text):
            return _short(found.group())
    quoted = [match.group() for match in QUOTED.finditer(text)]
    assigned = [part for part in re.split(r"[\n;]", text) if ASSIGNED.search(part)]
    if len(quoted) >= 2 or len(assigned) >= KEYS:
        return _short(" / ".join((quoted + assigned)[:KEYS]))
    return _list_of_fields(text, master) or _no_sentences(text)


def _short(found: str) -> str:
    return " ".join(found.split())[:120]


def _list_of_fields(text: str, master: Master) -> str | None:
    """`name: value` on lines, or after semicolons and commas; what somebody says and a mail's head are none."""
    names = {path.rsplit(".", 1)[-1] for path in master.leaves}
    parts = [part for part in SEGMENTS.split(text) if part.strip()]
    found = [match for part in parts if (match := KEY_AND_VALUE.match(part))]
    keys = [match["key"].strip().lower() for match in found]
    once = [match for match, key in zip(found, keys, strict=True) if key not in MAIL and keys.count(key) == 1]
    keyed = [match.group() for match in once if count_words(match["value"]) <= VALUE_WORDS]
    fields = [match.group() for match in once if match["key"].strip().lower().replace(" ", "_") in names]
    if len(fields) >= KEYS or (len(keyed) > KEYS and 2 * len(keyed) > len(parts)):
        return _short(" / ".join(line.strip() for line in (fields or keyed)[:KEYS]))
    return None


def _no_sentences(text: str) -> str | None:
    """A row of names, numbers and words."""
    words = re.findall(r"[^\W\d_]+", text.lower())
    small = sum(word in SMALL_WORDS for word in words)
    return _short(text)[:60] if len(words) >= LEAST and small < FEWEST_SMALL * len(words) else None
