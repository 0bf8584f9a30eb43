"""The facts of a record that its text must say, and which of them a text does not say.

Looked for are names (persons, places, organisations), amounts, dates, years, ages, lengths of time, shares, numbers of
things and the matrimonial regime, in the ways in which French writes them. An amount that stands by the word of another
leaf (`OWNERS`) is that leaf's; what is denied is not said. Free texts, other enumerations and booleans can be said in
too many ways, and are not looked for.
"""

import re
import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any, NamedTuple

from text_to_num import text2num

from tuneline.language.words import MONTHS, NUMBERS, unaccented

from ..records.schema import Master, Record, flatten, path_of, read_day

ABBREVIATED = {
    "janv": 1,
    "jan": 1,
    "mar": 3,
    "juill": 7,
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
DENOMINATORS |= {f"{word}{plural}": n for word, n in (("dixieme", 10), ("centieme", 100)) for plural in ("", "s")}
SCALES = {
    "million": 1_000_000,
    "millions": 1_000_000,
    "milliard": 1_000_000_000,
    "milliards": 1_000_000_000,
    "mille": 1_000,
    "milles": 1_000,
}
NUMBER_WORDS = {unaccented(word) for word in NUMBERS["fr"]} | {"vingts", "octante", "cent", "mille", "mil"}
JOINED_WORDS = NUMBER_WORDS | {"et", "cents", "million", "millions"}  # a number does not begin with one of the four
LONGEST_NUMBER = 30  # tokens, hyphens too
BETWEEN = re.compile(r"(?<!vingt)(?<!nte) et\b| et(?! une?\b| onze\b)")  # an « et » of two numbers, not within one
THINGS = r"(?:biens?|succession|parts?|propriete|patrimoine|heritage|capital|societe|maison|appartement|actif|lot)"
HOLDERS = r"(?:proprietaire|heriti\w+|legataire|beneficiaire|associee?|actionnaire|titulaire)"
WHOLE = re.compile(
    r"totalite|integralite|en entier|\bentier(?:e|ement)?\b|100 ?%|(?:de|a|pour|d') ?tout\b(?! (?:de suite|a fait))"
    rf"|\btou(?:t|te|tes|s) (?:(?:l[ae]s?|[mst](?:on|a|es)|leurs?|nos?|vos?) |l')(?:\w+ )?{THINGS}"
    r"|tout (?:lui|me|nous|leur|revien\w+)|(?:prend|garde|recueille|herite|laisse|legue|donne|recoit|a) tout\b"
    rf"|\b(?:seule?|unique) {HOLDERS}|{HOLDERS} (?:unique|exclusi\w+|a part entiere)|\bpleine propriete"
)
EQUAL = re.compile(r"parts? egales?|egalite|egalement entre|equitable")
DENIED = re.compile(r"\b(?:ce )?n'(?:est|etait|etaient) pas [^.;!?,]{1,80}? qu(?:i|e|')\b[^.;!?]*")
NOT_THIS = re.compile(r"\b(?:ni|pas|non)\s+(?:(?:M\.|Mme|Mlle|monsieur|madame)\s+|(?:à|de|d['’])\s*)?(?=[A-ZÀ-Ý])")
DENIED_WORD = "xnix"
DENIALS = ("ni", "pas", "non")  # right before a value
SKIPPED = ("le", "la", "les", "l", "'", "de", "d", "du", "en", "a", "au", "m", "mme")  # between it and the value
OTHER_MONEY = "$ £ dollar dollars franc francs livre livres chf usd gbp fcfa dirham dirhams dinar dinars".split()
YEAR_BEFORE = "en depuis annee des vers fin debut courant avant apres jusqu jusque".split()
PAID = re.compile(r"pay\w*|fait|font|vaut|valent|cout\w+|solde|montant|somme|facture|dette|dois?|doit|regl\w+|verse\w*")
BORN = ("ne", "nee", "naissance", "nait")
MINDED = "a est ont qui conteste demande reclame dit pretend veut s vient acquereur detenteur intervient peut".split()
TO_WHOM = "moi mon ma mes son sa ses notre nos leur leurs lui elle eux chacun chacune l la le".split()  # « à »
SINCE = ("depuis", "pendant", "durant", "voici", "voila")  # a length, no age
# Words of amounts: a number beside one of them is not another's.
OWNERS = {
    "actif_brut": "actif brut",
    "actif_net": "actif net",
    "passif": "passif",
    "capital_deces": "capital",
    "solde": "solde",
    "montant_soulte": "soulte",
    "loyer_mensuel": "loyer",
    "droits_dus": "droits de succession",
    "mise_a_prix": "mise a prix",
    "masse_partageable": "masse a partager",
}
NEAR, AFTER = 12, 3  # tokens between such a word and its number, before it and after it
REGIMES = {
    "separation_de_biens_avec_societe_d_acquets": r"societe d'acquets",
    "regime_etranger": r"regime (?:legal )?(?!legal|matrimonial|de |des |a |d')\w{4,}"
    r"|droit (?!civil|commun|francais)\w{4,}|loi (?!francaise)\w{4,}|etranger",
    "separation_de_biens": r"separ\w+ (?:judiciaire )?(?:\w+ )?de biens|separatiste|regime de la separation",
    "communaute_universelle": r"universelle",
    "communaute_de_meubles_et_acquets": r"meubles et (?:d')?acquets|communaute|ancien regime legal",
    "communaute_reduite_aux_acquets": r"reduite aux acquets|communaute|communs? en biens|regime legal|sans contrat",
    "participation_aux_acquets": r"participation",
}
ARTICLES = ("un", "une")  # more often than numbers
COUNTED = r"enfants?|fils|filles?|garcons?|freres?|soeurs?|contrats?|salarie\w*|heritiers?"
NONE_OF = re.compile(rf"(?:sans|aucune?|pas (?:eu )?d|n'\w+ (?:jamais eu |pas |eu )?(?:pas )?d|ni)[ ']*(?:{COUNTED})")
ONE_OF = re.compile(rf"\b(?:une?|seule?|unique) (?:\w+ )?(?:{COUNTED})|(?:{COUNTED}) (?:unique|\w+ unique)|unique")
# Words that are no names when they are written small among others that are.
ORDINARY = frozenset(
    "rose pierre tours vienne marguerite violette olive colombe victoire constant blanche claire prudence aimee"
    " clemence angelique desire france marine ambre iris reine sens lens nice die roche petit grand blanc noir brun"
    " legrand rousseau boulanger marchand mercier berger chevalier fontaine riviere moulin bois pre mange gros ".split()
)
CLOSE = 0.005  # a third may be said 33 %
TOKEN = re.compile(
    r"(?P<iso>\d{4}(?P<dash>[-/])\d{1,2}(?P=dash)\d{1,2}(?!\d))"
    r"|(?P<day>\d{1,2}(?P<between>[/.-])\d{1,2}(?P=between)(?:\d{4}|\d{2})(?!\d)|\d\d \d\d (?:19|20)\d\d(?!\d))"
    r"|(?P<number>\d{1,3}(?:[ .']\d{3})+(?!\d)(?:,\d+)?|\d+(?:[.,]\d+)?)"
    r"|(?P<word>[a-z]+)|(?P<sign>[^\sa-z0-9])"
)
GROUPED = re.compile(r"\d{1,3}(?:[ .']\d{3})+(?:,\d+)?")
LOOKED_FOR = ("nom", "denomination", "lieu", "montant", "date", "annee", "age", "duree", "part", "nombre", "regime")
REGIME = "famille.conjoint.regime_matrimonial"


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
    leaves = ((place, master.leaves[path_of(place)].kind, value) for place, value in flatten(record).items())
    kinds = ((place, "regime" if place == REGIME else kind, value) for place, kind, value in leaves)
    return [Fact(place, kind, value) for place, kind, value in kinds if kind in LOOKED_FOR]


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


TITLES = ("maitre", "me", "monsieur", "madame", "mademoiselle", "mme", "mlle", "dr", "docteur")


def _words(text: str) -> list[str]:
    return [SAINTS.get(word, word) for word in re.findall(r"[a-z0-9]+", fold(text))]


def _named(text: str) -> list[str]:
    """The words of a name without a title before it."""
    words = _words(text)
    return words[1:] if len(words) > 1 and words[0] in TITLES else words


def _together(words: Sequence[str]) -> str:
    """Of words that stand together, with a hyphen or without."""
    return "[ ~]".join(map(re.escape, words))


def _joined(text: str) -> str:
    """All words, one space between them, `~` for a hyphen within a word; ordinary words that are no names here go."""
    found, capitals = [], re.search(r"[a-zà-ÿ,;] (?:[A-ZÀ-Ý][a-zà-ÿ]|[A-ZÀ-Ý]{3})", text)
    for match in re.finditer(r"(-?)([^\W_]+)", text.replace("’", "'").replace("‑", "-").replace("‐", "-")):
        word = fold(match[2])
        if capitals and word in ORDINARY and match[2].islower():
            word = "…"
        found.append(("~" if match[1] and found else " ") + SAINTS.get(word, word))
    return "".join(found) + " "


def _initials(first: Sequence[str]) -> str:
    """« J.-P. », « JP » and « J. », but not the M. of Monsieur."""
    letters = [word[0] for word in first]
    if letters == ["m"]:
        return ""
    return f"(?:{''.join(letters)}|{'[ ~]'.join(letters)})"


def _place(words: list[str]) -> str:
    """« au Mans », « aux Sables »; « Villeneuve/Lot » for « sur-Lot »."""
    said = _together(words).replace("[ ~]sur[ ~]", "(?:[ ~]sur)?[ ~]")
    if len(words) > 1 and words[0] in ("le", "les"):
        return f"(?:{words[0]}|{'au|du' if words[0] == 'le' else 'aux|des'})[ ~]{_together(words[1:])}"
    return said


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
        self.numbers: list[_Number] = []
        folded = fold(text)
        if DENIED.search(folded):
            text = folded = DENIED.sub(" ", folded)
        self.folded = " ".join(folded.split())
        self._text_read = text
        self.tokens = [_Token(m.lastgroup or "", m.group()) for m in TOKEN.finditer(folded)]
        self.texts = [token.text for token in self.tokens]
        self.dates: set[date] = set()
        self.years: set[int] = set()
        self.parts: set[float] = set()
        self.ages: set[float] = set()
        self.months: set[float] = set()
        self.lengths: set[float] = set()
        self.counts: set[float] = set()
        self.amounts: dict[float, set[str]] = {}  # value → the leaves by whose words it stands; empty: by none
        self.owners = self._find_owners()
        self.was_born = False
        self._read()

    @cached_property
    def all_parts(self) -> set[float]:
        """With those that are said without a number."""
        whole = {1.0} if WHOLE.search(self.folded) else set()
        heirs = (self._equal_heirs() or range(2, 9)) if EQUAL.search(self.folded) else ()
        return self.parts | whole | {1 / count for count in heirs}

    @cached_property
    def all_counts(self) -> set[float]:
        """With those that are said without a number: « sans enfant », « fils unique »."""
        none = {0.0} if NONE_OF.search(self.folded) else set()
        return self.counts | none | ({1.0} if ONE_OF.search(self.folded) else set())

    @cached_property
    def words(self) -> str:
        return _joined(NOT_THIS.sub(f" {DENIED_WORD} ", self._text_read))

    def _equal_heirs(self) -> set[float]:
        """Of how many the text speaks beside « parts égales »."""
        places = [at for at, word in enumerate(self.texts) if re.match(r"egal|equitable", word)]
        near = [n for n in self.numbers for at in places if abs(n.start - at) <= 8 and 2 <= n.value <= 12]
        return {number.value for number in near}

    def says(self, fact: Fact, surnames: frozenset[str] = frozenset()) -> bool:
        """`surnames`: the last words of the names that the record has."""
        value = fact.value
        if fact.kind == "nom":
            return self._names(value, surnames)
        if fact.kind in ("denomination", "lieu"):
            return self._stands(_place(_words(value)))
        if fact.kind == "date":
            return read_day(value) in self.dates
        if fact.kind == "annee":
            return value in self.years
        if fact.kind == "part":
            return any(abs(value - part) < CLOSE for part in self.all_parts)
        if fact.kind == "duree" and fact.place.endswith("mois"):
            return value in self.months
        if fact.kind == "nombre":
            return value in self.all_counts
        if fact.kind == "regime":
            return bool(re.search(REGIMES[value], self.folded))
        if fact.kind == "montant":
            return self._is_amount(fact)
        found = self.ages if fact.kind == "age" else self.lengths | {months / 12 for months in self.months}
        return any(abs(value - one) < 0.005 for one in found)

    def _is_amount(self, fact: Fact) -> bool:
        """The amount is told, and not only beside the word of another leaf."""
        leaf = path_of(fact.place).rsplit(".", 1)[-1]
        found = [owners for value, owners in self.amounts.items() if abs(abs(fact.value) - value) < 0.005]
        word = "montant_soulte" if leaf == "montant" and ".soulte." in fact.place else leaf
        return any(not owners or word in owners or word not in OWNERS for owners in found)

    def _stands(self, said: str) -> bool:
        return bool(re.search(rf"(?<! xnix)(?: {said}) ", self.words))

    def _names(self, name: str, surnames: frozenset[str]) -> bool:
        words = _named(name)
        compound = len(_words(name.split(" ")[0])) if len(words) == len(_words(name)) else 1
        first, last = _together(words[:compound]), _together(words[compound:])
        if not words or self._stands(_together(words)) or (last and self._stands(f"{last} {first}")):
            return bool(words)
        if not last:
            return False
        initials = _initials(words[:compound])
        if initials and self._stands(f"{initials} {last}"):
            return True
        apart = re.sub(rf" {last} et {first}(?= )", " ", self.words)
        if not re.search(rf"(?<! xnix) {last} ", apart):
            return False
        others = surnames - {words[-1]}
        after = re.finditer(rf"(?<! xnix) {first}(?= ([^\s~]+)|\s*$)", apart)
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
            elif end := self._date_in_words(at):
                at = end
            else:
                if token.text in DENOMINATORS or token.text == "moitie":
                    self._add_bare_fraction(at)
                at += 1
        self.numbers = numbers
        self._sort(numbers)

    def _text(self, at: int) -> str:
        return self.texts[at] if 0 <= at < len(self.texts) else ""

    def _add_digits(self, token: _Token) -> None:
        said = re.split(r"[/. -]", token.text)
        year, month, day = map(int, said if token.kind == "iso" else reversed(said))
        self._add_date(day, month, year, len(said[-1]) == 2 and token.kind == "day")

    def _add_date(self, day: int, month: int, year: int, is_short: bool) -> None:
        """A year of two digits is of this century up to 2030, else of the last one; of a birth it may be of either."""
        near = (2000 if year <= 30 else 1900) + year
        for full in ({near, 1900 + year} if self.was_born else {near}) if is_short else (year,):
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
                    return float(text2num(re.sub(r"\bmil\b", "mille", said.replace("zero", "zéro")), "fr")), places[
                        count - 1
                    ] + 1
        return None

    def _scaled(self, value: float, end: int) -> tuple[float, int]:
        """With the k of 12 k€, the million of 1,2 million, the mille of 12 mille."""
        unit, after = self._text(end), self._text(end + 1)
        if unit in ("k", "ke", "keur", "keuros"):
            return value * 1_000, end + 1
        if unit in ("m", "meur") and (
            unit == "meur" or after == "€" or self.texts[end + 1 : end + 4] == ["d", "'", "euros"]
        ):
            return value * 1_000_000, end + 1
        if unit == "md" and after in ("€", "d"):
            return value * 1_000_000_000, end + 1
        if unit in ("cents", "cent") and self._text(end - 1) in NUMBER_WORDS and 11 <= value < 20:
            return value * 100, end + 1  # « douze cents »
        if unit == "€" and value == int(value) and re.fullmatch(r"\d\d", after):
            return value + int(after) / 100, end + 2  # « 84€50 »
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

    def _date_in_words(self, at: int) -> int | None:
        """« premier mars 2021 », « mars 2021, le 3 »; where it ends."""
        if self._text(at) == "premier":
            return self._written_date(_Number(1, at, at + 1, False))
        return self._day_last(at) if self._text(at) in MONTH_OF else None

    def _written_date(self, number: _Number) -> int | None:
        """« 3 mars 2021 », « 1er mars 2021 », « trois mars deux mille vingt et un »; where it ends."""
        if not 1 <= number.value <= 31 or number.value != int(number.value):
            return None
        if self._is_denied(number):
            return None
        days, at = [int(number.value)], number.end + (self._text(number.end) == "er")
        while self._text(at) in ("et", "au", ",") and (other := self._plain_number(at + 1)) and other[0] <= 31:
            days.append(int(other[0]))  # « les 3 et 5 mars »
            at = other[1] + (self._text(other[1]) == "er")
        month = MONTH_OF.get(self._text(at))
        if month is None:
            return None
        at += 1
        while self._text(at) in (".", ",", "'", "en", "de", "l", "annee"):
            at += 1
        year = self._year(at)
        if year is None:
            return None
        self.was_born = any(word in self.texts[max(0, number.start - 6) : number.start] for word in BORN)
        for day in days:
            self._add_date(day, month, year[0], year[0] < 100)
        return year[1]

    def _year(self, at: int) -> tuple[int, int] | None:
        """« 2021 », « 21 », « deux mille vingt et un », « dix-neuf cent quatre-vingt-dix-neuf », and where it ends."""
        read = self._number(at)
        if read is None or read.value != int(read.value):
            return None
        if read.value == 19 and (rest := self._number(read.end)) and 100 <= rest.value < 200:
            return 1800 + int(rest.value), rest.end
        return (int(read.value), read.end) if read.value < 100 or 1500 <= read.value <= 2200 else None

    def _day_last(self, at: int) -> int | None:
        """« mars 2021, le 3 »; where it ends."""
        year = self._number(at + 1)
        if year is None or not year.is_bare or self.texts[year.end : year.end + 2] != [",", "le"]:
            return None
        day = self._number(year.end + 2)
        if day is None or not 1 <= day.value <= 31:
            return None
        self._add_date(int(day.value), MONTH_OF[self._text(at)], int(year.value), False)
        return day.end

    def _add_bare_fraction(self, at: int) -> None:
        """« la moitié », « le tiers », « par quart »; a third party and a quarter of a century are none."""
        word = self._text(at)
        if self._is_third_party(at) or (word == "quart" and self._text(at + 2) in ("siecle", "heure")):
            return
        self.parts.add(1 / DENOMINATORS.get(word, 2))

    def _is_third_party(self, at: int) -> bool:
        """« un tiers conteste », « un tiers a écrit », but not « un tiers à moi »."""
        after, to = self._text(at + 1), self._text(at + 2)
        return self._text(at) == "tiers" and after in MINDED and not (after == "a" and to in TO_WHOM)

    def _find_owners(self) -> list[tuple[int, int, str]]:
        """Where the words of amounts stand: from which token, up to which, of which leaf."""
        said = [(leaf, words.split()) for leaf, words in OWNERS.items() if words in self.folded]
        places = range(len(self.texts)) if said else ()
        return [(at, at + len(w), leaf) for at in places for leaf, w in said if self.texts[at : at + len(w)] == w]

    def _sort(self, numbers: Sequence[_Number]) -> None:
        """Puts each number where its unit says; a list shares the unit of its last number, « 250-260 k€ » its scale."""
        unit_after, scale = "", 1.0
        owned = self._owners_of(numbers)
        for index in range(len(numbers) - 1, -1, -1):
            number, following = numbers[index], numbers[index + 1] if index + 1 < len(numbers) else None
            joiner = self.texts[number.end : following.start] if following else [""]
            shares = following is not None and self._only_joins(number.end, following.start)
            shares = shares and not (number.is_bare and unit_after in ("years", "months"))  # « en 2021, à 70 ans »
            unit = self._unit(number) or (
                unit_after if shares and not ("," in joiner and unit_after == "money") else ""
            )
            scale = self._scale(number) if self._unit(number) else scale
            if self._is_denied(number):
                continue
            is_scaled = unit == "money" and not self._unit(number) and number.value < 1_000 <= scale
            if shares and is_scaled and joiner in (["-"], ["et"], ["a"]):
                self._add_amount(number.value * scale, owned[index])
            self._put(number, unit, following, owned[index])
            unit_after = unit

    def _scale(self, number: _Number) -> float:
        """1 000 for « 260 k€ » and « 260 000 € »."""
        return 1_000_000.0 if number.value % 1_000_000 == 0 else 1_000.0 if number.value % 1_000 == 0 else 1.0

    def _owners_of(self, numbers: Sequence[_Number]) -> list[set[str]]:
        """By whose words each number stands: right after it, else between the number before and it."""
        found: list[set[str]] = []
        past, last = 0, set()
        for number in numbers:
            if self._text(number.start) in ARTICLES:
                found.append(set())
                continue
            after = {
                leaf for start, _, leaf in self.owners if 0 < start - number.end <= AFTER and self._is_of(number, start)
            }
            from_here = max(
                [past, number.start - NEAR, *(at + 1 for at in range(past, number.start) if self._ends(at))]
            )
            before = {leaf for start, end, leaf in self.owners if from_here <= start and end <= number.start}
            joined = number.start - past <= 2 and past > 0
            last = after or before or (last if joined else set())
            found.append(last)
            past = number.end + 1
        return found

    def _is_of(self, number: _Number, start: int) -> bool:
        """« 3 000 € de passif », « 120 000 € d'actif brut »."""
        return all(self.texts[at] in ("€", "euros", "euro", "de", "d", "'") for at in range(number.end, start))

    def _ends(self, at: int) -> bool:
        return self.texts[at] in (".", ";", "!", "?")

    def _is_denied(self, number: _Number) -> bool:
        at = number.start - 1
        while self._text(at) in SKIPPED:
            at -= 1
        return self._text(at) in DENIALS

    def _only_joins(self, start: int, end: int) -> bool:
        return end - start <= 2 and all(
            self.texts[at] in (",", "et", "ou", "/", ";", "-", "a") for at in range(start, end)
        )

    def _unit(self, number: _Number) -> str:
        word, after = self._text(number.end), self._text(number.end + 1)
        if word in ("an", "ans", "annee", "annees", "a") and (word != "a" or self._text(number.start - 1) in ("", ",")):
            return "years"
        if word == "mois":
            return "months"
        if word == "%" or word in ("pourcent", "pourcents", "pct") or (word == "pour" and after in ("cent", "100")):
            return "percent"
        if word in OTHER_MONEY:
            return "other money"
        is_money = word in ("€", "euro", "euros", "eur") or (word == "d" and self._text(number.end + 2) == "euros")
        return "money" if is_money or self._text(number.start - 1) == "€" or self._text(number.end - 2) == "€" else ""

    def _put(self, number: _Number, unit: str, following: _Number | None, owners: set[str]) -> None:
        value, after = number.value, self._text(number.end)
        if after == "-":
            after = self._text(number.end + 1)
        if unit == "years":
            self._add_length(number, following)
        elif unit == "months":
            self._add_months(value)
        elif unit == "percent":
            self.parts.add(value / 100)
        elif after in DENOMINATORS and value <= DENOMINATORS[after]:
            is_party = value == 1 and self._is_third_party(number.end)
            if not is_party and self._text(number.end + 2) != "siecle":
                self.parts.add(value / DENOMINATORS[after])
        elif unit != "other money":
            self._put_bare(number, unit, following, owners)

    def _put_bare(self, number: _Number, unit: str, following: _Number | None, owners: set[str]) -> None:
        """A number with no unit but that of money, maybe: a share, a year, an age, an amount, a count."""
        value = number.value
        if following and value and self._is_ratio(number, following):
            self.parts.add(0.5 if value == following.value == 50 else value / following.value)
        if 0 < value < 1:
            self.parts.add(value)
        before = self.texts[max(0, number.start - 3) : number.start]
        is_year = number.is_bare and 1850 <= value <= 2100
        in_time = bool(before) and (before[-1] in YEAR_BEFORE or before[-1] in MONTH_OF)
        is_paid = not in_time and any(PAID.fullmatch(word) for word in before)
        if value == int(value) and 1850 <= value <= 2100 and unit != "money" and not is_paid:
            self.years.add(int(value))
        if before[-1:] == ["en"] and value < 100:
            self.years |= {1900 + int(value), 2000 + int(value)}
        if before[-2:] in (["agee", "de"], ["age", "de"]):
            self.ages.add(value)
        if self._text(number.end) in ("e", "eme", "ieme") and self._text(number.end + 1) == "annee":
            self.ages.add(value - 1)  # « dans sa 92e année »
        if unit != "money" and value == int(value) and self._text(number.start) not in ARTICLES:
            self.counts.add(value)
        if unit == "money" or (value >= 100 and (not is_year or not in_time)):
            self._add_amount(value, owners)
            if re.fullmatch(r"\d{1,3},\d{3}", self._text(number.start)):
                self._add_amount(value * 1_000, owners)  # « 250,000 € »

    def _add_amount(self, value: float, owners: set[str]) -> None:
        """A second place of the same amount that stands by no word, or by another, says it too."""
        if value in self.amounts and not (self.amounts[value] and owners):
            owners = set()
        self.amounts[value] = self.amounts.get(value, set()) | owners

    def _add_months(self, value: float) -> None:
        self.months.add(value)
        if value >= 12:
            self.ages.add(value / 12)

    def _add_length(self, number: _Number, following: _Number | None) -> None:
        """« 72 ans », « un an et demi », « deux ans et trois mois »; « il y a deux ans » is no age."""
        value, end = number.value, number.end
        before = self.texts[max(0, number.start - 2) : number.start]
        if before != ["y", "a"] and before[-1:] not in ([word] for word in SINCE):
            self.ages.add(value)
        self.lengths.add(value)
        self.months.add(12 * value)
        if self._text(end + 1) == "et" and self._text(end + 2) in ("demi", "demie"):
            self.months.add(12 * value + 6)
        if following and following.start <= end + 2 and self._unit(following) == "months":
            self.months.add(12 * value + following.value)

    def _is_ratio(self, number: _Number, following: _Number) -> bool:
        """« 1/3 », « 60 sur 100 », « 60 parts, sur les 100 », « 50/50 »."""
        between = [word for word in self.texts[number.end : following.start] if word not in (",", "les", "des")]
        joined = between == ["/"] or (between[-1:] == ["sur"] and len(between) <= 2)
        return joined and number.value <= following.value
