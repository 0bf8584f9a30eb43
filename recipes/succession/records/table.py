"""The rows of `rules.csv`: facts of a record that never stand together.

`never` is alternatives between `|`, each of conditions between `&`. A name is a path, one of an item of `each`
when it begins with a dot, or one of FACTS below. A condition is

- a name: something is told there; `unless …` in front of any condition turns it round;
- `= a b`: one of these values; `not a b`: told, and none of these; `differs_from NAME`: two different values;
- `is`, `is_not`, `among`, `not_among`: names of persons; a first name alone may be the same person as a full one;
- `before`: surely so, of two dates, years, or one of them `+ years`; `may_precede`: possibly so;
- `misfits FROM TO`: an age or a length, more than a year off; `under FROM TO`: less than it was already then;
- `>`, `<`, `differs` of numbers, products, differences, `sum(NAME)` and `count(NAME)`; `more`: more than one leaf.
"""

import re
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any, NamedTuple

from .reading import (
    COMMUNITIES,
    Span,
    age_fits,
    death,
    event,
    get,
    is_before,
    is_number,
    objects,
    values,
    years_between,
    years_later,
)
from .schema import Record, read_day

CLOSE = 0.01  # relative: amounts are rounded when they are told
NOT_ALL_DUE = (
    "cautionnement",
    "frais_d_obseques",
)  # CGI art. 768, 775
OTHERS_TOO = ("decouverte_apres_acceptation", "assurance_emprunteur")
OPTIONS, LEGACIES = "operations_de_partage.options", "liberalites.testaments.legs"


class Case(NamedTuple):
    record: Record
    item: Any = None

    def values(self, name: str) -> list[Any]:
        """What is told at a name."""
        if name in FACTS:
            found = FACTS[name](self.record)
            return found if isinstance(found, list) else [found] if found else []
        return values(self.item, name[1:]) if name.startswith(".") else values(self.record, name)

    def when(self, words: list[str]) -> Span | None:
        """A name of a date, a day, or either with `+ years`."""
        name, years = words[0], int(words[2]) if len(words) == 3 else 0
        if day := read_day(name):
            return day, day
        if name in FACTS:
            return FACTS[name](self.record)
        found = event(self.item, name[1:]) if name.startswith(".") else event(self.record, name)
        return (years_later(found[0], years), years_later(found[1], years)) if found and years else found

    def amount(self, words: list[str]) -> float | None:
        """Of numbers with `*` and `-` between them, from left to right; None when one is not told."""
        found = [self._one(word) for word in words[::2]]
        if None in found:
            return None
        total = found[0]
        for sign, value in zip(words[1::2], found[1:], strict=True):
            total = total * value if sign == "*" else total - value
        return total

    def _one(self, word: str) -> float | None:
        if re.fullmatch(r"[\d.]+", word):
            return float(word)
        kind, _, name = word.rstrip(")").rpartition("(")
        told = self.values(name)
        if kind == "count":
            return len(told) or None
        found = [value for value in told if is_number(value)]
        return sum(found) if found and (kind or len(told) == 1) else None


# Facts that follow from several leaves; told when they are true or not empty


def law_is_foreign(record: Record) -> bool:
    laws = (get(record, f"contexte.international.loi_{which}") for which in ("applicable", "choisie"))
    return any(law not in (None, "france") for law in laws)


def _is_abroad(record: Record) -> bool:
    told = get(record, "contexte.international")
    return isinstance(told, dict) and any(value not in (None, False, "france") for value in told.values())


def _homonyms(record: Record) -> list[str]:
    """Full names that two of the family bear."""
    groups = "defunt conjoint partenaire_pacs concubin enfants petits_enfants fratrie beaux_enfants".split()
    named = [name for group in groups for name in values(record, f"famille.{group}.nom") if isinstance(name, str)]
    named += [name for who in ("pere", "mere") for name in values(record, f"famille.parents.{who}")]
    return sorted(n for n, times in Counter(filter(_is_text, named)).items() if times > 1 and " " in n)


def _own_debts(record: Record) -> list[float]:
    """What surely weighs on the estate: not what an insurer, the couple or a debtor pays, nor what came up later."""
    regime = get(record, "famille.conjoint.regime_matrimonial")
    married = get(record, "famille.conjoint") or get(record, "famille.defunt.etat_civil") in ("marie", "veuf")
    if married and regime in (None, *COMMUNITIES):
        return []
    debts = [d for d in objects(record, "patrimoine.dettes") if not any(d.get(why) is True for why in OTHERS_TOO)]
    found = [d.get("montant") for d in debts if d.get("nature") not in NOT_ALL_DUE]
    return [sum(filter(is_number, found))]


def _will(record: Record) -> bool:
    legatee = any(True in values(record, f"famille.{who}.legataire") for who in ("partenaire_pacs", "concubin"))
    said = get(record, "liberalites.testament")
    return said is True or legatee or (said is not False and bool(objects(record, "liberalites.testaments")))


def _no_will(record: Record) -> bool:
    """It is said that there is none, and not because one was revoked or is contested."""
    gone = any(True in (one.get("revoque"), one.get("conteste")) for one in objects(record, "liberalites.testaments"))
    return get(record, "liberalites.testament") is False and not gone


def _legacies(record: Record) -> list[float]:
    told = objects(record, LEGACIES)
    return [sum(filter(is_number, (one.get("part") for one in told if one.get("en_usufruit") is not True)))]


def _children(record: Record, keep: Callable[[Record], bool]) -> list[str]:
    told = [child.get("nom") for child in objects(record, "famille.enfants") if keep(child)]
    return [name for name in told if _is_text(name)]


def _all_children(record: Record) -> list[str]:
    """When each of them is named."""
    named, count = _children(record, lambda child: True), get(record, "famille.nombre_enfants")
    return named if is_number(count) and len(named) >= count else []


def _opted(record: Record, renounced: bool) -> list[str]:
    told = [o for o in objects(record, OPTIONS) if (o.get("option") == "renonciation") is renounced and o.get("option")]
    return [name for option in told if _is_text(name := option.get("heritier"))]


def _renounced(record: Record) -> list[str]:
    """Without the spouse, whom half of the community is left."""
    spouse = get(record, "famille.conjoint.nom")
    found = _opted(record, True) + _children(record, lambda child: child.get("renoncant") is True)
    return [name for name in found if not _is_text(spouse) or not _may_be(name, spouse)]


def _unopened(record: Record) -> bool:
    context = get(record, "contexte")
    return get(context, "succession_ouverte") is False or get(context, "etape") == "anticipation"


def _has_reward(record: Record) -> bool:
    names = ("actif_de_communaute", "recompenses")
    return any(get(record, f"operations_de_partage.liquidation_du_regime.{name}") for name in names)


def _spouses_gift(record: Record) -> bool:
    gift = get(record, "liberalites.donation_entre_epoux")
    return bool(gift) and get(gift, "existe") is not False


def _conception_limit(record: Record) -> Span | None:
    """The last day on which a child of the deceased can have been born (C. civ. art. 311): 300 days later."""
    died = death(record)
    return died and (died[0] + timedelta(days=300), died[1] + timedelta(days=300))


def _is_not_common(child: Record) -> bool:
    told = child.get("commun_avec_survivant")
    return told is False or (told is None and child.get("filiation") in ("premier_lit", "hors_mariage"))


FACTS: dict[str, Callable[[Record], Any]] = {
    "abroad": _is_abroad,
    "accepting": lambda record: _opted(record, False),
    "all_children": _all_children,
    "conception_limit": _conception_limit,
    "foreign_law": law_is_foreign,
    "homonyms": _homonyms,
    "legacies": _legacies,
    "living_heirs": lambda record: _children(
        record,
        lambda child: child.get("decede") is False and child.get("renoncant") is False and not child.get("indigne"),
    ),
    "no_contract": lambda record: (
        get(record, "famille.conjoint.contrat_de_mariage") is False and not _is_abroad(record)
    ),
    "no_will": _no_will,
    "not_common": lambda record: any(map(_is_not_common, objects(record, "famille.enfants"))),
    "own_debts": _own_debts,
    "renounced": _renounced,
    "reward": _has_reward,
    "spouses_gift": _spouses_gift,
    "universal_legacies": lambda record: [values(record, f"{LEGACIES}.nature").count("universel")],
    "unopened": _unopened,
    "will": _will,
}


# Conditions


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _may_be(one: str, other: str) -> bool:
    """Whether all the words of one name are in the other."""
    first, second = set(one.lower().split()), set(other.lower().split())
    return first <= second or second <= first


def _persons(case: Case, words: list[str]) -> list[str]:
    return [value for name in words for value in case.values(name) if _is_text(value)]


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if is_number(value) else str(value)


def _are_the_same(case: Case, left: list[str], right: list[str]) -> bool:
    both = set(_persons(case, left)) & set(_persons(case, right))
    return bool(both - set(_homonyms(case.record)))


def _are_others(case: Case, left: list[str], right: list[str]) -> bool:
    one, other = _persons(case, left), _persons(case, right)
    return bool(one and other) and not any(_may_be(a, b) for a in one for b in other)


def _fits(case: Case, left: list[str], right: list[str]) -> tuple[float, Span, Span] | None:
    """The age or length, from when, until when; None when one of them is not told."""
    age, since, until = case.amount(left), case.when(right[:1]), case.when(right[1:])
    return (age, since, until) if age is not None and since and until else None


def _compare(case: Case, left: list[str], sign: str, right: list[str]) -> bool:
    one, other = case.amount(left), case.amount(right)
    if one is None or other is None:
        return False
    if sign == "differs":
        return abs(one - other) > CLOSE * max(abs(one), abs(other), *(abs(case._one(w) or 0) for w in left[::2]))
    return one > other if sign == ">" else one < other


def _among(case: Case, left: list[str], right: list[str]) -> bool:
    return bool(set(_persons(case, left)) & set(_persons(case, right)))


def _may_precede(case: Case, left: list[str], right: list[str]) -> bool:
    one, other = case.when(left), case.when(right)
    return bool(one and other and one[0] < other[1])


def _under(case: Case, left: list[str], right: list[str]) -> bool:
    found = _fits(case, left, right)
    return bool(found and found[0] < years_between(found[1][1], found[2][0]) - 1)


def _misfits(case: Case, left: list[str], right: list[str]) -> bool:
    found = _fits(case, left, right)
    return bool(found and not age_fits(*found))


SIGNS: dict[str, Callable[[Case, list[str], list[str]], bool]] = {
    "=": lambda case, left, right: any(_plain(value) in right for value in case.values(left[0])),
    "not": lambda case, left, right: any(_plain(value) not in right for value in case.values(left[0])),
    "differs_from": lambda case, left, right: bool(
        (one := case.values(left[0])) and (other := case.values(right[0])) and one != other
    ),
    "is": _are_the_same,
    "is_not": _are_others,
    "among": _among,
    "not_among": _are_others,
    "before": lambda case, left, right: is_before(case.when(left), case.when(right)),
    "may_precede": _may_precede,
    "misfits": _misfits,
    "under": _under,
    "more": lambda case, left, right: any(isinstance(v, dict) and len(v) > 1 for v in case.values(left[0])),
    **{sign: lambda case, left, right, sign=sign: _compare(case, left, sign, right) for sign in (">", "<", "differs")},
}


class Condition(NamedTuple):
    turned: bool  # `unless`
    left: list[str]
    sign: str  # one of SIGNS; empty where the names alone are asked for
    right: list[str]

    def holds(self, case: Case) -> bool:
        found = SIGNS[self.sign](case, self.left, self.right) if self.sign else bool(case.values(self.left[0]))
        return found is not self.turned

    def told(self, case: Case) -> list[str]:
        """`name value` of what it looks at."""
        names = [re.sub(r"^(sum|count)\(|\)$", "", word) for word in self.left + self.right]
        found = [(name, case.values(name)) for name in names if "." in name and name not in FACTS]
        return [f"{name.rsplit('.', 1)[-1]} {_plain(v)}" for name, vs in found for v in vs if not isinstance(v, dict)]


def read_condition(said: str) -> Condition:
    words = said.split()
    turned = words[0] == "unless"
    words = words[turned:]
    at = next((place for place, word in enumerate(words) if word in SIGNS), len(words))
    return Condition(turned, words[:at], " ".join(words[at : at + 1]), words[at + 1 :])


def read_never(said: str) -> list[list[Condition]]:
    """The alternatives, of conditions that are not to stand together."""
    return [[read_condition(one) for one in alternative.split("&")] for alternative in said.split("|")]


def wrong_of_row(record: Record, each: list[str], never: list[list[Condition]], says: str) -> str | None:
    """What is told that never stands together, in French; None when nothing is."""
    for case in [Case(record, item) for path in each for item in objects(record, path)] if each else [Case(record)]:
        for conditions in never:
            if all(condition.holds(case) for condition in conditions):
                told = dict.fromkeys(word for one in conditions if not one.turned for word in one.told(case))
                return ", ".join(told)[:200] or says
    return None
