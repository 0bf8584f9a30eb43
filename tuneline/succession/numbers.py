"""French numbers in words, both ways, from 0 to 999 999 999."""

from collections.abc import Sequence

MOST = 999_999_999
UNITS = (
    "zéro un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize dix-sept dix-huit "
    "dix-neuf"
).split()
TENS = {20: "vingt", 30: "trente", 40: "quarante", 50: "cinquante", 60: "soixante"}
# As read: without accents, one word each.
_UNITS = {word: value for value, word in enumerate("zero un deux trois quatre cinq six sept huit neuf".split())}
_UNITS["une"] = 1
_TEENS = {word: value for value, word in enumerate("dix onze douze treize quatorze quinze seize".split(), 10)}
_TENS = {word: value for value, word in TENS.items()} | {"septante": 70, "huitante": 80, "octante": 80, "nonante": 90}
_TENS["vingts"] = 20
WORDS = frozenset({*_UNITS, *_TEENS, *_TENS, "cent", "cents", "mille", "million", "millions"})


def in_words(number: int) -> str:
    """`in_words(281)` is « deux cent quatre-vingt-un », in the spelling of before 1990: hyphens below a hundred only.

    Raises ValueError outside 0 to 999 999 999.
    """
    if not 0 <= number <= MOST:
        raise ValueError(f"{number} is not between 0 and {MOST}")
    millions, rest = divmod(number, 1_000_000)
    thousands, rest = divmod(rest, 1_000)
    said = []
    if millions:
        said.append(f"{_below_thousand(millions, True)} million{'s' if millions > 1 else ''}")
    if thousands:
        said.append("mille" if thousands == 1 else f"{_below_thousand(thousands, False)} mille")
    if rest or not said:
        said.append(_below_thousand(rest, True))
    return " ".join(said)


def _below_thousand(number: int, is_last: bool) -> str:
    """Before `mille`, which is no noun, vingt and cent take no s."""
    hundreds, rest = divmod(number, 100)
    if not hundreds:
        return _below_hundred(rest, is_last)
    said = "cent" if hundreds == 1 else f"{UNITS[hundreds]} cent"
    if rest:
        return f"{said} {_below_hundred(rest, is_last)}"
    return f"{said}s" if hundreds > 1 and is_last else said


def _below_hundred(number: int, is_last: bool) -> str:
    if number < 20:
        return UNITS[number]
    if number >= 80:
        return f"quatre-vingt-{UNITS[number - 80]}" if number > 80 else f"quatre-vingt{'s' if is_last else ''}"
    ten = min(number // 10 * 10, 60)
    rest = number - ten
    if rest in (1, 11):
        return f"{TENS[ten]} et {UNITS[rest]}"
    return f"{TENS[ten]}-{UNITS[rest]}" if rest else TENS[ten]


def read_words(words: Sequence[str], start: int = 0) -> tuple[int, int] | None:
    """The number that the words from `start` say, and where it ends; None when they say none.

    `words` are in lower case, without accents, hyphenated ones apart. The longest number is read:
    « deux mille vingt et un » is one, « deux trois » are two.
    """
    total, at, most = 0, start, MOST + 1
    for name, scale in (("million", 1_000_000), ("mille", 1_000)):
        read = _read_below_thousand(words, at)
        if read and _word(words, read[1]).removesuffix("s" if scale > 1_000 else "") == name:
            total, at, most = total + read[0] * scale, read[1] + 1, scale
        elif scale == 1_000 and _word(words, at) == name:
            total, at, most = total + scale, at + 1, scale
    read = _read_below_thousand(words, at)
    if read and read[0] < most and (read[0] or at == start):
        total, at = total + read[0], read[1]
    return (total, at) if at > start else None


def _word(words: Sequence[str], at: int) -> str:
    return words[at] if at < len(words) else ""


def _read_below_thousand(words: Sequence[str], at: int) -> tuple[int, int] | None:
    hundreds = 0
    unit = _UNITS.get(_word(words, at), 0)
    if _word(words, at) == "cent":
        hundreds, at = 100, at + 1
    elif unit > 1 and _word(words, at + 1) in ("cent", "cents"):
        hundreds, at = unit * 100, at + 2
    read = _read_below_hundred(words, at)
    if not hundreds:
        return read
    return (hundreds + read[0], read[1]) if read and read[0] else (hundreds, at)


def _read_below_hundred(words: Sequence[str], at: int) -> tuple[int, int] | None:
    word = _word(words, at)
    if word == "quatre" and _word(words, at + 1) in ("vingt", "vingts"):
        ten, after = 80, at + 2
    elif word in _TENS:
        ten, after = _TENS[word], at + 1
    elif word in _TEENS:
        if word == "dix" and _UNITS.get(_word(words, at + 1), 0) in (7, 8, 9):
            return 10 + _UNITS[words[at + 1]], at + 2
        return _TEENS[word], at + 1
    else:
        return (_UNITS[word], at + 1) if word in _UNITS else None
    joined = after + 1 if _word(words, after) == "et" else after
    rest = _read_small(words, joined, ten in (60, 80))
    if rest and (joined == after or rest[0] in (1, 11)):
        return ten + rest[0], rest[1]
    return ten, after


def _read_small(words: Sequence[str], at: int, to_nineteen: bool) -> tuple[int, int] | None:
    """1 to 9, or to 19 after soixante and quatre-vingt."""
    word = _word(words, at)
    if _UNITS.get(word, 0):
        return _UNITS[word], at + 1
    return _read_below_hundred(words, at) if to_nineteen and word in _TEENS else None
