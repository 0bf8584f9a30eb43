"""Facts that a text tells in two ways, and that its record therefore leaves out.

They follow from the record alone: whoever has it can tell the writer what to contradict.
"""

import copy
import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from tuneline.recipe.toon import encode

from ..records.reading import NO_PACS_BEFORE, birth, death, get, number, objects, span
from ..records.rules import broken
from ..records.schema import Record, flatten, read_day

LAST_DAY = date(2025, 12, 31)
APART = timedelta(days=45)  # at least, between two days of the same fact
REGIMES = "communaute_reduite_aux_acquets separation_de_biens communaute_universelle participation_aux_acquets".split()
AFTER = ("contexte.", "operations_de_partage.", "indivision.", "patrimoine.entreprise.")  # what may follow a death

COMMON = "famille.defunt.age_au_deces"  # open in most records: the others go before it

# Place → what would settle it, and goes with it.
CONTRADICTED: dict[str, tuple[str, ...]] = {
    "famille.defunt.date_deces": ("famille.defunt.annee_deces",),
    "famille.defunt.annee_deces": ("famille.defunt.date_deces",),
    "famille.defunt.age_au_deces": ("famille.defunt.date_naissance", "famille.defunt.annee_naissance"),
    "famille.nombre_enfants": ("liberalites.reserve", "famille.conjoint.part"),
    "famille.conjoint.regime_matrimonial": (
        "famille.conjoint.contrat_de_mariage",
        "famille.conjoint.changement_de_regime",
        "famille.conjoint.clause",
        "patrimoine.biens[].qualification",
        "operations_de_partage.liquidation_du_regime",
        "assurance_vie.contrats[].fonds_communs",
    ),
    "famille.conjoint.date_mariage": ("famille.conjoint.annee_mariage",),
    "famille.conjoint.annee_mariage": ("famille.conjoint.date_mariage",),
    "famille.partenaire_pacs.date_pacs": ("famille.partenaire_pacs.annee_pacs",),
    "famille.partenaire_pacs.annee_pacs": ("famille.partenaire_pacs.date_pacs",),
    "famille.concubin.annee_debut": ("famille.concubin.duree_vie_commune",),
    "liberalites.testaments[0].forme": ("liberalites.testaments[0].motif", "liberalites.testaments[0].notaire"),
    "liberalites.testaments[0].date": ("liberalites.testaments[0].annee", "liberalites.testaments[0].motif"),
    "liberalites.testaments[0].annee": ("liberalites.testaments[0].date", "liberalites.testaments[0].motif"),
    "patrimoine.biens[0].valeur": (),
    "liberalites.donations[0].valeur_au_jour_de_la_donation": (),
}


@dataclass(frozen=True)
class Contradiction:
    """`first` and `second` are values of the leaf at `place`, which the record does not have."""

    place: str
    first: Any
    second: Any


def contradict(record: Record, amounts: str, dates: str, salt: str) -> list[Contradiction]:
    """One or two facts that the record leaves open, each with two values that fit all the rest of it.

    `amounts` and `dates` are the dimensions' values: no amount is told where none is asked for. The same
    for the same record and salt; empty where the record leaves nothing open.
    """
    rng = random.Random(hashlib.sha256(f"{salt}\n{encode(record)}".encode()).digest())
    found = []
    for place in (place for place in CONTRADICTED if _is_open(record, place, amounts, dates)):
        values = _two_values(record, place, rng)
        if values and not any(broken(_told(record, place, value)) for value in values):
            found.append(Contradiction(place, *rng.sample(values, 2)))
    rng.shuffle(found)
    found.sort(key=lambda one: one.place == COMMON and rng.random() < 0.8)
    return sorted(found[: rng.choice((1, 1, 2))], key=lambda one: one.place)


def _told(record: Record, place: str, value: Any) -> Record:
    """The record with the value at a place beside which it has something already."""
    told = copy.deepcopy(record)
    *above, name = place.replace("[0]", ".0").split(".")
    node: Any = told
    for step in above:
        node = node[int(step) if step.isdigit() else step]
    node[name] = value
    return told


def _is_open(record: Record, place: str, amounts: str, dates: str) -> bool:
    leaves = flatten(record)
    settled = any(other.startswith((place, *CONTRADICTED[place])) for other in _general(leaves, place))
    name = place.rsplit(".", 1)[1]
    if settled or (name.startswith("valeur") and amounts in ("sans_montant", "un_montant")):
        return False
    if name.startswith("date") and dates != "exactes":
        return False
    if name in ("annee_deces", "annee_mariage", "annee_pacs", "annee") and dates != "approximatives":
        return False
    if name.startswith("annee") and dates == "aucune":
        return False
    beside = "famille.enfants[0]" if name == "nombre_enfants" else place.rsplit(".", 1)[0]
    return any(other.startswith(f"{beside}.") for other in leaves)


def _general(leaves: dict[str, Any], place: str) -> Iterator[str]:
    """Places, and paths of the items of lists where `place` itself is in none."""
    for other in leaves:
        yield other
        if "[" not in place:
            yield other.replace("[0]", "[]")


def _two_values(record: Record, place: str, rng: random.Random) -> list[Any]:
    """Two values that fit the record, or none."""
    name = place.rsplit(".", 1)[1]
    if name == "regime_matrimonial":
        return rng.sample(REGIMES, 2)
    if name == "forme":
        return ["olographe", "authentique"]
    if name == "nombre_enfants":
        return [len(objects(record, "famille.enfants")), len(objects(record, "famille.enfants")) + 1]
    if name.startswith("valeur"):
        value = rng.randint(20, 300) * 1_000
        return [value, value + rng.randint(5, 60) * 1_000]
    if name == "age_au_deces":
        return _two_ages(record, rng)
    first, last = _life(record) if name.endswith("deces") else _event(record, name)
    if name.startswith("date"):
        return _two_days(first, last, rng)
    years = list(range(first.year, last.year + 1))
    return rng.sample(years, 2) if len(years) > 1 else []


def _two_ages(record: Record, rng: random.Random) -> list[int]:
    children = [number(child, "age") or 0 for child in objects(record, "famille.enfants")]
    age = max(int(max(children, default=0)) + 24, rng.randint(74, 88))
    return [age, age + rng.randint(3, 8)]


def _two_days(first: date, last: date, rng: random.Random) -> list[str]:
    days = (last - first).days
    if days < 3 * APART.days:
        return []
    one = first + timedelta(days=rng.randint(0, days - APART.days))
    other = one + timedelta(days=rng.randint(APART.days, (last - one).days))
    return [str(one), str(other)]


def _life(record: Record) -> tuple[date, date]:
    """First and last day on which the deceased can have died; at most three years apart."""
    first, last = date(2012, 1, 1), LAST_DAY
    for place, value in flatten(record).items():
        name = place.rsplit(".", 1)[1]
        if not name.startswith(("date", "annee")) or place.startswith("famille.defunt.date_deces"):
            continue
        day = read_day(value) or (date(int(value), 12, 31) if isinstance(value, int | float) else None)
        if day and place.startswith(AFTER):
            last = min(last, day) if not place.startswith("patrimoine.") else last
        elif day:
            first = max(first, day)
    return max(first, last - timedelta(days=1_000)), last


def _event(record: Record, name: str) -> tuple[date, date]:
    """First and last day on which a marriage, a PACS, a life together or a will can have begun."""
    died, born = death(record), birth(record)
    last = (died[0] if died else _life(record)[0]) - timedelta(days=400)
    years = {"annee_debut": 25, "date_pacs": 18, "annee_pacs": 18, "date": 12, "annee": 12}.get(name, 40)
    first = last - timedelta(days=365 * years)
    if born:
        first = max(first, date(born[1].year + 25, 1, 1))
    for union in objects(record, "famille.unions_precedentes"):
        if ended := span(union, "", "annee_fin"):
            first = max(first, ended[1])
    if name.endswith("pacs"):
        first = max(first, date(NO_PACS_BEFORE.year + 1, 1, 1))
    if get(record, "famille.conjoint") and name == "annee_debut":
        married = span(record, "famille.conjoint.date_mariage", "famille.conjoint.annee_mariage")
        first = max(first, married[1]) if married else first
    return first, last
