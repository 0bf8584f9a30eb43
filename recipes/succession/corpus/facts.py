"""The facts of a record that its text must say, and which of them a text does not say.

Looked for are names (persons, places, organisations), amounts, dates, years, ages, lengths of time and
shares, in the ways in which French writes them. Numbers of things, free texts, enumerations and
booleans can be said in too many ways, and are not looked for.
"""

import re
import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

from text_to_num import text2num

from tuneline.words import MONTHS, NUMBERS, unaccented

from ..records.schema import Master, Record, flatten, path_of, read_day

ABBREVIATED = {
    "janv": 1,
    "jan": 1,
    "fevr": 2,
    "fev": 2,
    "avr": 4,
    "juil": 7,
    "sept": 9,
    "oct": 10,
    "nov": 11,
    "dec": 12,
}
MONTH_OF = {unaccented(name): number for number, name in enumerate(MONTHS["fr"], 1)} | ABBREVIATED
DENOMINATORS = {"demi": 2, "demie": 2, "tiers": 3, "quart": 4, "quarts": 4} | {
    f"{stem}ieme{plural}": number
    for plural in ("", "s")
    for stem, number in zip(
        "cinqu six sept huit neuv dix onz douz seiz vingt".split(), (*range(5, 13), 16, 20), strict=True
    )
}
SCALES = {"million": 1_000_000, "millions": 1_000_000, "mille": 1_000}
NUMBER_WORDS = {unaccented(word) for word in NUMBERS["fr"]} | {"vingts", "octante", "cent", "mille"}
JOINED_WORDS = NUMBER_WORDS | {"et", "cents", "million", "millions"}  # a number does not begin with one of the four
LONGEST_NUMBER = 30  # tokens, hyphens too
BETWEEN = re.compile(r"(?<!vingt)(?<!nte) et\b| et(?! une?\b| onze\b)")  # an « et » of two numbers, not within one
WHOLE = re.compile(r"totalite|integralite|en entier|entiere|tout(?:e|es)?\b|tous\b|seule?\b|unique|100 ?%")
EQUAL = re.compile(r"parts? egales?|egalite|egalement entre|equitable")
CLOSE = 0.005  # a third may be said 33 %
TOKEN = re.compile(
    r"(?P<iso>\d{4}-\d{1,2}-\d{1,2}(?!\d))"
    r"|(?P<day>\d{1,2}(?P<between>[/.-])\d{1,2}(?P=between)(?:\d{4}|\d{2})(?!\d))"
    r"|(?P<number>\d{1,3}(?:[ .']\d{3})+(?!\d)(?:,\d+)?|\d+(?:[.,]\d+)?)"
    r"|(?P<word>[a-z]+)|(?P<sign>[^\sa-z0-9])"
)
GROUPED = re.compile(r"\d{1,3}(?:[ .']\d{3})+(?:,\d+)?")
LOOKED_FOR = ("nom", "denomination", "lieu", "montant", "date", "annee", "age", "duree", "part")


@dataclass(frozen=True)
class Fact:
    place: str  # in the record
    kind: str  # one of LOOKED_FOR
    value: Any

    def __str__(self) -> str:
        return f"{self.place}: {_said(self.kind, self.value)}"


def _said(kind: str, value: Any) -> str:
    if kind == "montant":
        return f"{value:,.2f}".removesuffix(".00").replace(",", " ").replace(".", ",") + " €"
    if kind == "part":
        return f"{value * 100:.4g} %".replace(".", ",")
    return f"{value:g} ans" if kind == "age" else f"{value:g}" if kind in ("annee", "duree") else str(value)


def facts_of(record: Record, master: Master) -> list[Fact]:
    """The record's facts that a text can be searched for, in its order."""
    leaves = ((place, master.leaves[path_of(place)], value) for place, value in flatten(record).items())
    return [Fact(place, leaf.kind, value) for place, leaf, value in leaves if leaf.kind in LOOKED_FOR]


def missing_facts(record: Record, text: str, master: Master) -> list[Fact]:
    """The facts that the text does not say.

    A person's first name and surname may stand apart, as in « Léa et Hugo Garnier »; accents, case and
    hyphens do not matter, initials are no names. A date needs its day, month and year.
    """
    facts = facts_of(record, master)
    surnames = frozenset(_words(fact.value)[-1] for fact in facts if fact.kind == "nom" and _words(fact.value))
    reading = Reading(text)
    return [fact for fact in facts if not reading.says(fact, surnames)]


def fold(text: str) -> str:
    """Lower case, without accents or ligatures; the many spaces and apostrophes are one."""
    plain = unicodedata.normalize("NFKD", text.casefold().replace("œ", "oe").replace("æ", "ae"))
    return ACCENTS.sub("", plain).translate(SIGNS)


ACCENTS = re.compile(r"[\u0300-\u036f]+")
SIGNS = str.maketrans({"’": "'", "⁄": "/", "–": "-", "—": "-", "‑": "-", "‐": "-", "\xad": None})
SAINTS = {"st": "saint", "ste": "sainte"}


def _words(text: str) -> list[str]:
    return [SAINTS.get(word, word) for word in re.findall(r"[a-z0-9]+", fold(text))]


class _Token(NamedTuple):  # a text has hundreds: a dataclass takes three times as long to make
    kind: str
    text: str


class _Number(NamedTuple):
    value: float
    start: int
    end: int  # the token after it
    is_bare: bool  # four digits and nothing else: it may be a year


class Reading:
    """What a text says: its words, and the values of its numbers by what they count."""

    def __init__(self, text: str) -> None:
        folded = fold(text)
        self.folded = " ".join(folded.split())
        self.words = f" {' '.join(_words(text))} "
        self.tokens = [_Token(m.lastgroup or "", m.group()) for m in TOKEN.finditer(folded)]
        self.texts = [token.text for token in self.tokens]
        self.dates: set[date] = set()
        self.years: set[int] = set()
        self.parts: set[float] = set()
        self.ages: set[float] = set()
        self.months: set[float] = set()
        self.amounts: set[float] = set()
        self._read()
        if WHOLE.search(self.folded):
            self.parts.add(1.0)
        if EQUAL.search(self.folded):
            self.parts |= {1 / heirs for heirs in range(2, 9)}

    def says(self, fact: Fact, surnames: frozenset[str] = frozenset()) -> bool:
        """`surnames`: the last words of the names that the record has."""
        value = fact.value
        if fact.kind == "nom":
            return self._names(value, surnames)
        if fact.kind in ("denomination", "lieu"):
            return f" {' '.join(_words(value))} " in self.words
        if fact.kind == "date":
            return read_day(value) in self.dates
        if fact.kind == "annee":
            return value in self.years
        if fact.kind == "part":
            return any(abs(value - part) < CLOSE for part in self.parts)
        if fact.kind == "duree" and fact.place.endswith("mois"):
            return value in self.months
        found = self.amounts if fact.kind == "montant" else self.ages
        return any(abs(value - one) < 0.005 for one in found)

    def _names(self, name: str, surnames: frozenset[str]) -> bool:
        first, _, last = name.partition(" ")
        first, last = " ".join(_words(first)), " ".join(_words(last))
        if f" {first} {last} ".replace("  ", " ") in self.words or f" {last} {first} " in self.words:
            return True
        if f" {last} " not in self.words:
            return False
        others = surnames - {last.split(" ")[-1]}
        after = re.finditer(rf" {re.escape(first)}(?= (\w+)| $)", self.words)
        return any(found.group(1) not in others for found in after)

    # Numbers

    def _read(self) -> None:
        numbers: list[_Number] = []
        at = 0
        while at < len(self.tokens):
            token = self.tokens[at]
            if token.kind in ("iso", "day"):
                self._add_digits(token)
                at += 1
            elif number := self._number(at):
                end = self._written_date(number)
                if end is None:
                    numbers.append(number)
                at = max(end or number.end, at + 1)
            else:
                if token.text in DENOMINATORS or token.text == "moitie":
                    self._add_bare_fraction(at)
                at += 1
        self._sort(numbers)

    def _text(self, at: int) -> str:
        return self.texts[at] if 0 <= at < len(self.texts) else ""

    def _add_digits(self, token: _Token) -> None:
        parts = [int(part) for part in re.split(r"[/.-]", token.text)]
        year, month, day = parts if token.kind == "iso" else reversed(parts)
        self._add_date(day, month, year, len(re.split(r"[/.-]", token.text)[-1]) == 2 and token.kind == "day")

    def _add_date(self, day: int, month: int, year: int, is_short: bool) -> None:
        """A year of two digits is of this century or the last one."""
        for full in (1900 + year, 2000 + year) if is_short else (year,):
            self.years.add(full)
            try:
                self.dates.add(date(full, month, day))
            except ValueError:
                continue

    def _number(self, at: int) -> _Number | None:
        read = self._plain_number(at)
        if read is None:
            return None
        value, end = read
        is_bare = end == at + 1 and bool(re.fullmatch(r"\d{4}", self._text(at)))
        value, scaled_end = self._scaled(value, end)
        return _Number(value, at, scaled_end, is_bare and scaled_end == end)

    def _plain_number(self, at: int) -> tuple[float, int] | None:
        token = self.tokens[at] if at < len(self.tokens) else None
        if token is None:
            return None
        if token.kind == "number":
            digits = token.text
            if GROUPED.fullmatch(digits):
                digits = re.sub(r"[ .']", "", digits)
            return float(digits.replace(",", ".")), at + 1
        return self._number_in_words(at) if token.text in NUMBER_WORDS else None

    def _number_in_words(self, at: int) -> tuple[float, int] | None:
        """The longest number from `at`, hyphenated or not: « mille vingt et un » is one, « deux trois » are two."""
        places = []
        for near in range(at, min(at + LONGEST_NUMBER, len(self.texts))):
            if self.texts[near] in JOINED_WORDS:
                places.append(near)
            elif self.texts[near] != "-":
                break
        for count in range(len(places), 0, -1):
            said = " ".join(self.texts[near] for near in places[:count])
            if not BETWEEN.search(said):
                with suppress(ValueError):
                    return float(text2num(said.replace("zero", "zéro"), "fr")), places[count - 1] + 1
        return None

    def _scaled(self, value: float, end: int) -> tuple[float, int]:
        """With the k of 12 k€, the million of 1,2 million, the mille of 12 mille."""
        unit, after = self._text(end), self._text(end + 1)
        if unit in ("k", "ke", "keur", "keuros"):
            return value * 1_000, end + 1
        if unit in ("m", "meur") and (unit == "meur" or after == "€"):
            return value * 1_000_000, end + 1
        if scale := SCALES.get(self._text(end - 1)):
            return value + self._half(end) * scale, end + 2 * bool(self._half(end))
        scale = SCALES.get(unit)
        if scale is None or value >= 1_000:
            return value, end
        value, end = value * scale, end + 1
        if self._half(end):
            return value + scale / 2, end + 2
        rest = self._number(end)
        return (value + rest.value, rest.end) if rest and rest.value < scale else (value, end)

    def _half(self, at: int) -> float:
        """0.5 for « et demi »."""
        return 0.5 if (self._text(at), self._text(at + 1)) in (("et", "demi"), ("et", "demie")) else 0.0

    def _written_date(self, number: _Number) -> int | None:
        """« 3 mars 2021 », « 1er mars 2021 », « trois mars deux mille vingt et un »; where it ends."""
        at = number.end + (self._text(number.end) == "er")
        month = MONTH_OF.get(self._text(at))
        if month is None or not 1 <= number.value <= 31:
            return None
        at += 1 + (self._text(at + 1) == ".")
        year = self._number(at)
        if year is None or year.value != int(year.value):
            return None
        is_short = year.value < 100
        self._add_date(int(number.value), month, int(year.value), is_short)
        return year.end

    def _add_bare_fraction(self, at: int) -> None:
        """« la moitié », « le tiers », « par quart »."""
        self.parts.add(1 / DENOMINATORS.get(self._text(at), 2))

    def _sort(self, numbers: Sequence[_Number]) -> None:
        """Puts each number where its unit says; a list shares the unit of its last number."""
        unit_after = ""
        for index in range(len(numbers) - 1, -1, -1):
            number = numbers[index]
            shares = index + 1 < len(numbers) and self._only_joins(number.end, numbers[index + 1].start)
            unit = self._unit(number) or (unit_after if shares else "")
            unit_after = "" if unit == "money" else unit  # « en 2011, 380 000 € »
            self._put(number, unit, numbers[index + 1] if index + 1 < len(numbers) else None)

    def _only_joins(self, start: int, end: int) -> bool:
        return end - start <= 2 and all(
            self.texts[at] in (",", "et", "ou", "/", ";", "-", "a") for at in range(start, end)
        )

    def _unit(self, number: _Number) -> str:
        word = self._text(number.end)
        if word in ("an", "ans", "annee", "annees"):
            return "years"
        if word == "mois":
            return "months"
        if (
            word == "%"
            or word in ("pourcent", "pct")
            or (word == "pour" and self._text(number.end + 1) in ("cent", "100"))
        ):
            return "percent"
        return "money" if word in ("€", "euro", "euros", "eur") else ""

    def _put(self, number: _Number, unit: str, following: _Number | None) -> None:
        value, after = number.value, self._text(number.end)
        if unit == "years":
            self._add_length(value, number.end, following)
        elif unit == "months":
            self.months.add(value)
        elif unit == "percent":
            self.parts.add(value / 100)
        elif after in DENOMINATORS and value <= DENOMINATORS[after]:
            self.parts.add(value / DENOMINATORS[after])
        else:
            if following and value and self._is_ratio(number, following):
                self.parts.add(value / following.value)
            if 0 < value < 1:
                self.parts.add(value)
            is_year = number.is_bare and 1850 <= value <= 2100
            if value == int(value) and 1850 <= value <= 2100 and unit != "money":
                self.years.add(int(value))
            if self._text(number.start - 1) == "en" and value < 100:
                self.years |= {1900 + int(value), 2000 + int(value)}
            if not is_year or unit == "money":
                self.amounts.add(value)

    def _add_length(self, value: float, end: int, following: _Number | None) -> None:
        """« 72 ans », « un an et demi », « deux ans et trois mois »."""
        self.ages.add(value)
        self.months.add(12 * value)
        if self._text(end + 1) == "et" and self._text(end + 2) in ("demi", "demie"):
            self.months.add(12 * value + 6)
        if following and following.start <= end + 2 and self._unit(following) == "months":
            self.months.add(12 * value + following.value)

    def _is_ratio(self, number: _Number, following: _Number) -> bool:
        """« 1/3 », « 60 sur 100 », « 60 parts sur 100 »."""
        between = self.texts[number.end : following.start]
        joined = between == ["/"] or (between[-1:] == ["sur"] and len(between) <= 2)
        return joined and number.value <= following.value
