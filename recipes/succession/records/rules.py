"""The rules that a coherent succession record keeps, by name, with their article of law where they have one.

Most are rows of `rules.csv`: facts that never stand together. The others, which compute, are functions here.
A rule of level `refuse` is broken by what cannot be; one of level `alert` asks a reader to look, and refuses
nothing. A rule speaks only of facts that are there. Taking a leaf out of a record breaks none, but for the leaves
that excuse: a child that died before or renounced, a foreign law, a will, the date of an old contract. A value of a
wrong type counts as absent; `Master.problems` is what finds it. The law is the French one, for deaths since 2007.
"""

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path

from .reading import birth, death, get, is_number, number, objects, span, text, years_between
from .schema import Record, flatten, read_day
from .table import law_is_foreign, read_never, wrong_of_row

ALERT, REFUSE = LEVELS = ("alert", "refuse")
SUM = 0.002  # shares have four decimals
OLD_CONTRACT = date(1991, 11, 20)  # from then on, premiums after 70 are taxed by CGI art. 757 B
USUFRUCT = ((20, 0.9), (30, 0.8), (40, 0.7), (50, 0.6), (60, 0.5), (70, 0.4), (80, 0.3), (90, 0.2))  # CGI art. 669
NET = ("actif_net", "solde", "actif_de_communaute", "compte_courant_d_associe")  # may be below 0


@dataclass(frozen=True)
class Rule:
    says: str
    article: str | None
    check: Callable[[Record], str | None]  # what is wrong, in French; None when the rule holds
    level: str = REFUSE  # one of LEVELS


def read_table(path: Path) -> dict[str, Rule]:
    """The rules of the table. Raises ValueError with the row's name when a level or a condition is none."""
    with path.open(encoding="utf-8", newline="") as lines:
        return {row["rule"]: _read_row(row) for row in csv.DictReader(lines)}


def _read_row(row: dict[str, str]) -> Rule:
    never = read_never(row["never"])
    if row["level"] not in LEVELS or not all(one.left for conditions in never for one in conditions):
        raise ValueError(f"rule {row['rule']}: a level is one of {', '.join(LEVELS)}, a condition begins with a name")
    check = partial(wrong_of_row, each=row["each"].split(), never=never, says=row["says"])
    return Rule(row["says"], row["article"] or None, check, row["level"])


RULES: dict[str, Rule] = read_table(Path(__file__).with_suffix(".csv"))


def broken(record: Record) -> dict[str, str]:
    """Name of each rule that the record breaks → what is wrong."""
    return _found(record, REFUSE)


def alerts(record: Record) -> dict[str, str]:
    """Name of each rule that asks to look at the record → what it found."""
    return _found(record, ALERT)


def _found(record: Record, level: str) -> dict[str, str]:
    found = {name: rule.check(record) for name, rule in RULES.items() if rule.level == level}
    return {name: wrong for name, wrong in found.items() if wrong}


def _rule(name: str, says: str, article: str | None = None, level: str = REFUSE) -> Callable:
    def add(check: Callable[[Record], str | None]) -> Callable[[Record], str | None]:
        RULES[name] = Rule(says, article, check, level)
        return check

    return add


# Numbers


def _numbers(record: Record, *starts: str) -> Iterator[tuple[str, float]]:
    for place, value in flatten(record).items():
        if is_number(value) and (not starts or place.rsplit(".", 1)[-1].startswith(starts)):
            yield place, value


@_rule("nombres_positifs", "Un montant, une part, une durée n'est pas négatif ; un actif net ou un solde peut l'être.")
def _(record: Record) -> str | None:
    found = _numbers(record)
    return next((f"{at} vaut {value:g}" for at, value in found if value < 0 and not at.endswith(NET)), None)


@_rule("parts_au_plus_un", "Une part n'est pas plus grande que le tout.")
def _(record: Record) -> str | None:
    found = _numbers(record, "part", "quote_part")
    return next((f"{place} vaut {value:g}" for place, value in found if value > 1), None)


@_rule("ages_et_annees_plausibles", "Un âge est d'au plus 122 ans, une année entre 1850 et 2100.")
def _(record: Record) -> str | None:
    found = ((at, value, at.rsplit(".", 1)[-1]) for at, value in _numbers(record, "age", "annee"))
    odd = (at for at, value, name in found if not (value <= 122 if name.startswith("age") else 1850 <= value <= 2100))
    return next((f"{at} n'est pas plausible" for at in odd), None)


@_rule("date_et_annee", "Une date et l'année du même fait s'accordent.")
def _(record: Record) -> str | None:
    leaves = flatten(record)
    for place, year in _numbers(record, "annee"):
        above, _, name = place.rpartition(".")
        twin = f"{above}.{name.replace('annee', 'date', 1)}"
        day = read_day(leaves.get(twin))
        if day and day.year != year:
            return f"{twin} et {name}"
    return None


# What the law keeps for the heirs


def reserve_share(children: int, has_spouse: bool) -> float:
    """The share of the estate kept for the heirs (C. civ. art. 913; 914-1 for the spouse alone; else 916)."""
    if children:
        return {1: 1 / 2, 2: 2 / 3}.get(children, 3 / 4)
    return 1 / 4 if has_spouse else 0.0


def _someone_is_gone(record: Record) -> bool:
    """A child died before or renounced: whether it still counts depends on its own descendants (art. 913)."""
    gone = any(c.get("decede") is True or c.get("renoncant") is True for c in objects(record, "famille.enfants"))
    options = objects(record, "operations_de_partage.options")
    return gone or any(option.get("option") == "renonciation" for option in options)


def _off_the_reserve(record: Record, children: int, has_spouse: bool) -> str | None:
    expected = reserve_share(children, has_spouse)
    for name, right in (("part_reserve", expected), ("part_quotite_disponible", 1 - expected)):
        share = number(record, f"liberalites.reserve.{name}")
        if share is not None and abs(share - right) > SUM:
            return f"{name} de {share:g} au lieu de {right:.4g}, pour {children} enfants"
    return None


@_rule(
    "reserve_et_quotite",
    "La réserve et la quotité disponible font un, selon le nombre d'enfants ; sans descendant, le conjoint a un quart, "
    "et nul autre n'est réservataire.",
    "C. civ. art. 913, 914-1 et 916",
)
def _(record: Record) -> str | None:
    shares = [number(record, f"liberalites.reserve.part_{which}") for which in ("reserve", "quotite_disponible")]
    if None not in shares and abs(sum(shares) - 1) > SUM:
        return f"réserve {shares[0]:g} et quotité {shares[1]:g}"
    count, situation = number(record, "famille.nombre_enfants"), text(record, "famille.defunt.etat_civil")
    if count is None or count < 0 or law_is_foreign(record) or _someone_is_gone(record):
        return None
    has_spouse = bool(get(record, "famille.conjoint")) or situation == "marie"
    known = count or has_spouse or situation
    return _off_the_reserve(record, int(count), has_spouse and not count) if known else None


@_rule(
    "reserve_et_enfants_nommes",
    "La réserve ne va pas avec les enfants nommés : y en a-t-il d'autres ?",
    "C. civ. art. 913",
    ALERT,
)
def _(record: Record) -> str | None:
    named = len(objects(record, "famille.enfants"))
    told = number(record, "famille.nombre_enfants") is not None
    if not named or told or law_is_foreign(record) or _someone_is_gone(record):
        return None
    return _off_the_reserve(record, named, False)


@_rule(
    "part_du_conjoint",
    "Le conjoint a un quart avec des enfants, la moitié avec père et mère, trois quarts avec l'un d'eux, sinon tout.",
    "C. civ. art. 757, 757-1 et 757-2",
)
def _(record: Record) -> str | None:
    part, count = number(record, "famille.conjoint.part_en_propriete"), number(record, "famille.nombre_enfants")
    if part is None or law_is_foreign(record):
        return None
    if count != 0:
        known = (count or objects(record, "famille.enfants")) and not _someone_is_gone(record)
        return f"{part:g} en présence d'enfants" if known and abs(part - 0.25) > SUM else None
    alive = [get(record, f"famille.parents.{who}") for who in ("pere_vivant", "mere_vivante")]
    if not all(isinstance(one, bool) for one in alive):
        return None
    expected = 1 - sum(alive) / 4
    return None if abs(part - expected) <= SUM else f"{part:g} au lieu de {expected:g}"


def _gifts_of_the_reporting_heir(record: Record) -> tuple[str | None, list[Record]]:
    heir = text(record, "operations_de_partage.rapport.heritier_tenu")
    gifts = [gift for gift in objects(record, "liberalites.donations") if gift.get("donataire") == heir]
    return heir, gifts if heir else []


@_rule("rapport", "On ne rapporte pas une donation faite hors part successorale.", "C. civ. art. 843")
def _(record: Record) -> str | None:
    heir, gifts = _gifts_of_the_reporting_heir(record)
    beside = gifts and all(gift.get("hors_part_successorale") is True for gift in gifts)
    return f"{heir} rapporterait une donation hors part" if beside else None


@_rule(
    "rapport_exige",
    "Un présent d'usage, ou la donation d'un renonçant, ne se rapporte que si le disposant l'a voulu.",
    "C. civ. art. 845 et 852",
    ALERT,
)
def _(record: Record) -> str | None:
    heir, gifts = _gifts_of_the_reporting_heir(record)
    told = objects(record, "operations_de_partage.options")
    gone = {text(option, "heritier") for option in told if option.get("option") == "renonciation"}
    gone |= {text(child, "nom") for child in objects(record, "famille.enfants") if child.get("renoncant") is True}
    if heir and heir in gone:
        return f"{heir} renonce et rapporte"
    usual = gifts and all(gift.get("nature") == "present_d_usage" for gift in gifts)
    return f"{heir} rapporterait un présent d'usage" if usual else None


# Life insurance and usufruct


def _premiums(contract: Record) -> tuple[bool, bool]:
    """Whether some were paid before 70, and after."""
    return "primes_avant_70_ans" in contract, "primes_apres_70_ans" in contract


@_rule(
    "primes_et_regime_fiscal",
    "Avant 70 ans, 990 I ; après 70 ans, 757 B, pour un contrat souscrit depuis le 20 novembre 1991.",
    "CGI art. 990 I et 757 B",
)
def _(record: Record) -> str | None:
    for contract in objects(record, "assurance_vie.contrats"):
        young, old = _premiums(contract)
        age, regime = number(contract, "age_au_versement"), contract.get("regime_fiscal")
        signed = span(contract, "date_souscription", "annee_souscription")
        if age is not None and not (young and old):
            young, old = young or age < 70, old or age >= 70
        is_old = signed is not None and signed[0] < OLD_CONTRACT
        if (regime == "article_990_i" and old and not is_old) or (regime == "article_757_b" and young):
            return f"primes {'après' if old else 'avant'} 70 ans sous {regime}"
    return None


@_rule("primes_et_age", "L'âge aux versements s'accorde avec les primes, la souscription et le décès.")
def _(record: Record) -> str | None:
    born, died = birth(record), death(record)
    at_death = number(record, "famille.defunt.age_au_deces")
    oldest = years_between(born[0], died[1]) if born and died else None if at_death is None else at_death + 1
    for contract in objects(record, "assurance_vie.contrats"):
        young, old = _premiums(contract)
        age, signed = number(contract, "age_au_versement"), span(contract, "date_souscription", "annee_souscription")
        if age is not None and young != old and (age >= 70) != old:
            return f"primes {'après' if old else 'avant'} 70 ans, versées à {age:g} ans"
        if oldest is not None and ((old and oldest < 70) or (age is not None and age > oldest)):
            return "primes versées à un âge que le défunt n'a pas atteint"
        if young and born and signed and years_between(born[1], signed[0]) >= 70:
            return "primes avant 70 ans sur un contrat souscrit après"
    return None


def usufruct_share(age: float) -> float:
    """The usufruct's share of the whole by the age, in whole years, of who has it (CGI art. 669)."""
    return next((share for last, share in USUFRUCT if age <= last), 0.1)


@_rule("bareme_de_l_usufruit", "La part de l'usufruit suit l'âge de l'usufruitier, ou la durée.", "CGI art. 669")
def _(record: Record) -> str | None:
    parted = get(record, "patrimoine.demembrement")
    share, years = number(parted, "part_usufruit"), number(parted, "duree_usufruit")
    ages = [age for one in objects(parted, "usufruitiers") if (age := number(one, "age")) is not None]
    if share is None or (years is None and len(ages) != 1):
        return None
    for_life = usufruct_share(ages[0]) if len(ages) == 1 else 1.0
    expected = for_life if years is None else min(0.23 * -(-years // 10), for_life)  # never more than one for life
    is_off = share > expected + SUM if years is not None and not ages else abs(share - expected) > SUM
    return f"usufruit de {share:g} au lieu de {expected:g}" if is_off else None
