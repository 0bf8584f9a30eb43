"""Faults that people make, put everywhere but where a fact is said.

Six kinds, with one intensity: accents left out, homophones, agreement, no capitals and full stops, abbreviations that
are in use. Amounts and days are told in other forms by the writer. No letters are swapped: nobody types so.
"""

import random
import re
from collections.abc import Callable

OPEN, CLOSE = "\ue000", "\ue001"  # around what no fault may touch
KEPT = re.compile(f"{OPEN}[^{CLOSE}]*{CLOSE}")
WORD = re.compile(r"-?[^\W\d_]+(?:'[^\W\d_]+)?")  # « -on » of « tient-on » has none of the faults of « on »
INTENSITY = {
    "propre": 0.0,
    "ambigu": 0.0,
    "legeres_fautes": 0.05,
    "fautes_et_abreviations": 0.14,
    "tres_brouillon": 0.3,
}
HOMOPHONES = {
    "à": "a", "où": "ou", "ces": "ses", "ça": "sa", "c'est": "ses", "est": "et", "son": "sont", "on": "ont",
    "leur": "leurs", "s'est": "c'est", "quand": "quant", "donné": "donner", "vendre": "vendres", "payer": "payé",
    "laissé": "laisser", "reste": "restes", "peut": "peu", "dois": "doit", "ai": "est", "mes": "mais",
}  # fmt: skip
ABBREVIATIONS = {
    "quand": "qd", "toujours": "tjs", "donc": "dc", "pour": "pr", "dans": "ds", "beaucoup": "bcp", "décédé": "dcd",
    "décédée": "dcd", "même": "mm", "bonjour": "bjr", "avec": "ac", "jamais": "jms", "problème": "pb", "tout": "tt",
    "parce": "pcq", "quelqu'un": "qqn", "rendez": "rdv", "maintenant": "mtn", "nous": "ns", "vous": "vs",
    "appartement": "appart", "après": "ap", "plus": "+",
}  # fmt: skip
ACCENTS = str.maketrans("éèêëàâîïôûùüçÉÈÀÇ", "eeeeaaiiouuucEEAC")


def keep(text: str) -> str:
    """Text that no noise touches."""
    return f"{OPEN}{text}{CLOSE}"


def add_noise(text: str, noise: str, rng: random.Random) -> str:
    """`text` with the faults of a value of the dimension `noise`, and without the marks OPEN and CLOSE."""
    share = INTENSITY[noise]
    if share:
        bare, plain = rng.random() < 2 * share, rng.random() < 1.5 * share
        shortens = noise in ("fautes_et_abreviations", "tres_brouillon")
        text = _outside(text, lambda piece: WORD.sub(lambda found: _fault(found[0], share, bare, shortens, rng), piece))
        if plain:
            text = _outside(
                text, lambda piece: re.sub(r"\.(?= )", lambda _: rng.choice((" ", ".", ",")), piece.lower())
            )
    return text.replace(OPEN, "").replace(CLOSE, "")


def _outside(text: str, change: Callable[[str], str]) -> str:
    """The text with `change` made in all that is not kept."""
    found, at = [], 0
    for kept in KEPT.finditer(text):
        found += [change(text[at : kept.start()]), kept.group()]
        at = kept.end()
    return "".join([*found, change(text[at:])])


def _fault(word: str, share: float, bare: bool, shortens: bool, rng: random.Random) -> str:
    """A homophone, an abbreviation, a lost accent or a lost agreement."""
    if shortens and word.lower() in ABBREVIATIONS and rng.random() < 4 * share:
        return ABBREVIATIONS[word.lower()]
    if word in HOMOPHONES and rng.random() < 2 * share:
        return HOMOPHONES[word]
    if bare or (rng.random() < 2 * share and word != word.translate(ACCENTS)):
        word = word.translate(ACCENTS)
    ends = len(word) > 4 and word.endswith(("ées", "és", "ée", "nts", "es")) and rng.random() < share
    return word[:-1] if ends else word
