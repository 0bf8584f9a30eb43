"""French as it is written: elisions, what is said of me, lists, and a sentence's two ends."""

import re

from num2words import num2words

from .noise import CLOSE, OPEN

VOWEL = rf"(?={OPEN}?(?:[aeiouyàâéèêëîïôûœAEIOUÀÂÉÈÊÎÔŒ]|h[aeéiuoô]|H[eéuoô]|Yv))"
ELIDED = (
    (re.compile(rf"\b([dD])e {VOWEL}(?!{OPEN}?(?:onze|oui|huit|haut|hors))"), r"\1'"),
    (re.compile(rf"\b([jJnNsS]|[qQ]u|[lL]orsqu|[pP]uisqu)e {VOWEL}(?!{OPEN}?(?:onze|huit))"), r"\1'"),
    (re.compile(rf"\b([sS])i (?={OPEN}?ils?\b)"), r"\1'"),
    (re.compile(r"\bde le "), "du "), (re.compile(r"\bde les "), "des "),
    (re.compile(rf"\bà le (?={OPEN}?\w)"), "au "), (re.compile(r"\bà les (?=\w)"), "aux "),
    (re.compile(r"\b([sm])a (?=(?:ex-|autre|amie|associée|épouse))"), r"\1on "),
)  # fmt: skip
SPOKEN = (  # what is said of me
    (re.compile(r"\b(désigne|nomme) moi\b"), r"me \1"), (re.compile(r"\bmoi est\b"), "je suis"),
    (re.compile(r"\bmoi a\b"), "j'ai"), (re.compile(r"\bmoi (réside|demande|vit|occupe)\b"), r"je \1"),
    (re.compile(r"\b(a|avait) (laissé|donné|remis|fait) ([^.;]*?) ?\bà moi\b"), r"m'\1 \2 \3"),
    (re.compile(r"\ba été faite à moi\b"), "m'a été faite"), (re.compile(r"\best reproché à moi\b"), "m'est reproché"),
)  # fmt: skip


def joined(items: list[str]) -> str:
    if len(items) == 1:
        return items[0]
    if any("," in item for item in items):
        return " ; ".join(items)
    return f"{', '.join(items[:-1])} et {items[-1]}"


def in_words(number: float) -> str:
    return num2words(int(number), lang="fr")


def elided(words: str) -> str:
    for pattern, by in ELIDED:
        words = pattern.sub(by, words)
    return words


def sentence(words: str) -> str:
    """With its elisions, a capital, and a full stop where it has no other end."""
    words = elided(" ".join(words.split()))
    for pattern, by in SPOKEN:
        words = pattern.sub(by, words)
    words = re.sub(r",+(?=[,.;:?]| :| ;)", "", words.replace(" ,", ",")).rstrip(", ")
    at = next((place for place, sign in enumerate(words) if sign.isalnum()), 0)
    words = words[:at] + words[at].upper() + words[at + 1 :] if words else words
    return words if not words or words.rstrip(CLOSE)[-1] in ".?!:…," else f"{words}."
