"""Faults of writing, put everywhere but where a fact is said."""

import random
import re
from collections.abc import Callable

OPEN, CLOSE = "\ue000", "\ue001"  # around what no fault may touch
KEPT = re.compile(f"{OPEN}[^{CLOSE}]*{CLOSE}")
WORD = re.compile(r"[^\W\d_]+", re.UNICODE)
# Faults that everybody makes and that leave the meaning.
SLIPS = {
    "à": "a", "où": "ou", "ces": "ses", "c'est": "s'est", "ça": "sa", "quand": "quant", "était": "étais",
    "avait": "avais", "décédé": "décèdé", "héritiers": "heritier", "contrat": "contra",
    "question": "questions", "voudrais": "voudrait", "sais": "sait", "même": "meme", "très": "trés",
    "après": "aprés", "notaire": "notère", "testament": "testamment", "donation": "dontation",
    "succession": "sucession", "appartement": "apartement", "propriété": "proprieté", "assurance": "asurance",
    "valeur": "valeure", "comment": "coment", "maintenant": "mintenant", "réponse": "reponse",
}  # fmt: skip
ABBREVIATIONS = {
    "beaucoup": "bcp", "quand": "qd", "toujours": "tjrs", "problème": "pb", "rendez-vous": "rdv", "pour": "pr",
    "dans": "ds", "quelque": "qq", "bonjour": "bjr", "maintenant": "mtn", "même": "mm", "vraiment": "vrmt",
    "est-ce": "esk", "parce": "pcq", "nous": "ns", "vous": "vs", "temps": "tps", "merci": "mci",
    "comment": "cmt", "question": "quest°", "succession": "success°", "testament": "testam.", "notaire": "not.",
    "appartement": "appart", "donation": "donat°",
}  # fmt: skip
ACCENTS = str.maketrans("éèêëàâîïôûùüçÉÈÀÇ", "eeeeaaiiouuucEEAC")


def add_noise(text: str, noise: str, rng: random.Random) -> str:
    """`text` with the faults of a value of the dimension `noise`, and without the marks OPEN and CLOSE."""
    if noise == "legeres_fautes":
        text = _each_word(text, lambda word: _slip(word, rng, 0.06))
    elif noise == "fautes_et_abreviations":
        text = _each_word(text, lambda word: _shorten(_slip(word, rng, 0.12), rng, 0.6))
    elif noise == "tres_brouillon":
        text = _each_word(text, lambda word: _shorten(_slip(word, rng, 0.2), rng, 0.7).translate(ACCENTS))
        text = _outside(
            text, lambda piece: re.sub(r"[.;](?=\s)", lambda _: rng.choice((" ", ",", "...")), piece.lower())
        )
    return text.replace(OPEN, "").replace(CLOSE, "")


def _outside(text: str, change: Callable[[str], str]) -> str:
    """The text with `change` made in all that is not kept."""
    found, at = [], 0
    for kept in KEPT.finditer(text):
        found += [change(text[at : kept.start()]), kept.group()]
        at = kept.end()
    return "".join([*found, change(text[at:])])


def _each_word(text: str, change: Callable[[str], str]) -> str:
    return _outside(text, lambda piece: WORD.sub(lambda found: change(found.group()), piece))


def _slip(word: str, rng: random.Random, share: float) -> str:
    """A usual fault, a lost accent, a letter doubled or lost, two letters exchanged."""
    usual = SLIPS.get(word)
    if rng.random() >= share * (3 if usual else 1):
        return word
    if usual:
        return usual
    bare = word.translate(ACCENTS)
    if bare != word:
        return bare
    if len(word) < 6:
        return word
    at = rng.randrange(2, len(word) - 2)
    how = rng.randrange(3)
    if how == 0:
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return word[:at] + word[at] + word[at:] if how == 1 else word[:at] + word[at + 1 :]


def _shorten(word: str, rng: random.Random, share: float) -> str:
    short = ABBREVIATIONS.get(word)
    return short if short and rng.random() < share else word
