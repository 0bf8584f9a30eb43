"""The rules that a coherent succession record keeps, by name, with their article of law where they have one.

A rule speaks only of facts that are there. Taking a leaf out of a record breaks none, but for the leaves
that excuse: a child that died before or renounced, a foreign law. A value of a wrong type counts as
absent; `Master.problems` is what finds it. The law is the French one, for deaths since 2007.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

from .schema import Record, flatten, read_day

CLOSE = 0.01  # relative: amounts are rounded when they are told
SUM = 0.002  # shares have four decimals
COMMUNITIES = ("communaute_reduite_aux_acquets", "communaute_de_meubles_et_acquets", "communaute_universelle")
ALONE = "entreprise_individuelle"
NO_PACS_BEFORE = date(1999, 11, 15)
USUFRUCT = ((20, 0.9), (30, 0.8), (40, 0.7), (50, 0.6), (60, 0.5), (70, 0.4), (80, 0.3), (90, 0.2))  # CGI art. 669
Span = tuple[date, date]  # first and last day that it may have been


@dataclass(frozen=True)
class Rule:
    says: str
    article: str | None
    check: Callable[[Record], str | None]  # what is wrong, in French; None when the rule holds


RULES: dict[str, Rule] = {}


def broken(record: Record) -> dict[str, str]:
    """Name of each rule that the record breaks → what is wrong."""
    found = {name: rule.check(record) for name, rule in RULES.items()}
    return {name: wrong for name, wrong in found.items() if wrong}


def _rule(name: str, says: str, article: str | None = None) -> Callable:
    def add(check: Callable[[Record], str | None]) -> Callable[[Record], str | None]:
        RULES[name] = Rule(says, article, check)
        return check

    return add


# Reading a record


def get(node: Any, path: str) -> Any:
    """The value at a path without lists; None where there is none."""
    for name in path.split("."):
        if not isinstance(node, dict) or name not in node:
            return None
        node = node[name]
    return node


def objects(node: Any, path: str) -> list[Record]:
    found = get(node, path)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def number(node: Any, path: str) -> float | None:
    found = get(node, path)
    is_number = isinstance(found, int | float) and not isinstance(found, bool) and math.isfinite(found)
    return found if is_number else None


def text(node: Any, path: str) -> str | None:
    found = get(node, path)
    return found if isinstance(found, str) else None


def span(node: Any, day_path: str, year_path: str | None = None) -> Span | None:
    """From a day or, without one, from a year; None when neither is there."""
    if day := read_day(get(node, day_path)):
        return day, day
    year = number(node, year_path) if year_path else None
    if year is None or not 1 <= year <= 9998:
        return None
    return date(int(year), 1, 1), date(int(year), 12, 31)


def birth(record: Record) -> Span | None:
    return span(record, "famille.defunt.date_naissance", "famille.defunt.annee_naissance")


def death(record: Record) -> Span | None:
    return span(record, "famille.defunt.date_deces", "famille.defunt.annee_deces")


def years_between(first: date, last: date) -> int:
    """Whole years, as ages are counted."""
    return last.year - first.year - ((last.month, last.day) < (first.month, first.day))


def _before(one: Span | None, other: Span | None) -> bool:
    """Surely before."""
    return bool(one and other and one[1] < other[0])


def _age_fits(age: float, born: Span, then: Span) -> bool:
    """Within a year."""
    return years_between(born[1], then[0]) - 1 <= age <= years_between(born[0], then[1]) + 1


def _close(one: float, other: float) -> bool:
    return abs(one - other) <= CLOSE * max(abs(one), abs(other))


def _children(record: Record) -> list[Record]:
    return objects(record, "famille.enfants")


def _child_count(record: Record) -> int | None:
    """Children that the reserve counts (C. civ. art. 913); None when that cannot be told."""
    count = number(record, "famille.nombre_enfants")
    return None if count is None or _someone_is_gone(record) else int(count)


def _someone_is_gone(record: Record) -> bool:
    """A child died before or renounced: whether it still counts depends on its own descendants."""
    options = objects(record, "operations_de_partage.options")
    gone = any(child.get("decede") is True or child.get("renoncant") is True for child in _children(record))
    return gone or any(option.get("option") == "renonciation" for option in options)


def _law_is_foreign(record: Record) -> bool:
    laws = (get(record, f"contexte.international.loi_{which}") for which in ("applicable", "choisie"))
    return any(law not in (None, "france") for law in laws)


def _has_children(record: Record) -> bool | None:
    """Whether descendants come to the estate; None when that cannot be told."""
    count = number(record, "famille.nombre_enfants")
    if count == 0:
        return False
    if _someone_is_gone(record):
        return None
    return True if count or _children(record) else None


def _contracts(record: Record) -> list[Record]:
    return objects(record, "assurance_vie.contrats")


def _donations(record: Record) -> list[Record]:
    return objects(record, "liberalites.donations")


# Union


@_rule("situation_et_conjoint", "Seul un défunt marié laisse un conjoint.", "C. civ. art. 732")
def _(record: Record) -> str | None:
    situation = text(record, "famille.defunt.situation")
    if get(record, "famille.conjoint") and situation not in (None, "marie"):
        return f"un conjoint, et le défunt est dit {situation}"
    return None


@_rule("situation_et_pacs", "Seul un défunt pacsé laisse un partenaire de PACS.", "C. civ. art. 515-1")
def _(record: Record) -> str | None:
    situation = text(record, "famille.defunt.situation")
    if get(record, "famille.partenaire_pacs") and situation not in (None, "pacse"):
        return f"un partenaire de PACS, et le défunt est dit {situation}"
    return None


@_rule("pacs_ou_mariage", "Nul n'est à la fois marié et pacsé.", "C. civ. art. 515-2")
def _(record: Record) -> str | None:
    if get(record, "famille.conjoint") and get(record, "famille.partenaire_pacs"):
        return "un conjoint et un partenaire de PACS"
    return None


@_rule("situation_et_concubin", "Un concubin suppose le concubinage, ou une séparation de fait.", "C. civ. art. 515-8")
def _(record: Record) -> str | None:
    situation = text(record, "famille.defunt.situation")
    if not get(record, "famille.concubin"):
        return None
    if situation not in (None, "concubinage", "marie"):
        return f"un concubin, et le défunt est dit {situation}"
    if get(record, "famille.conjoint.separation_de_fait") is False:
        return "un concubin, et des époux qui n'étaient pas séparés"
    return None


@_rule("celibataire_jamais_marie", "Un célibataire n'a jamais été marié.")
def _(record: Record) -> str | None:
    married = any(get(union, "nature") == "mariage" for union in objects(record, "famille.unions_precedentes"))
    if married and text(record, "famille.defunt.situation") == "celibataire":
        return "célibataire, avec un mariage passé"
    return None


@_rule("fin_de_l_union", "Le divorce met fin au mariage, la dissolution au PACS.", "C. civ. art. 227 et 515-7")
def _(record: Record) -> str | None:
    only = {"divorce": "mariage", "dissolution_du_pacs": "pacs"}
    for union in objects(record, "famille.unions_precedentes"):
        nature, end = text(union, "nature"), text(union, "fin")
        if nature and end in only and nature != only[end]:
            return f"{nature} qui finit par {end}"
    return None


@_rule("pas_de_bigamie", "Un mariage est dissous avant le suivant.", "C. civ. art. 147")
def _(record: Record) -> str | None:
    married = span(record, "famille.conjoint.date_mariage", "famille.conjoint.annee_mariage")
    for union in objects(record, "famille.unions_precedentes"):
        if get(union, "nature") == "mariage" and _before(married, span(union, "", "annee_fin")):
            return f"mariage précédent dissous en {get(union, 'annee_fin')}, après le mariage"
    return None


@_rule("mariage_du_vivant", "Le mariage se place dans la vie du défunt, après ses 15 ans.", "C. civ. art. 144")
def _(record: Record) -> str | None:
    married = span(record, "famille.conjoint.date_mariage", "famille.conjoint.annee_mariage")
    if _before(death(record), married):
        return "mariage après le décès"
    born = birth(record)
    if married and born and years_between(born[0], married[1]) < 15:
        return "mariage avant les 15 ans du défunt"
    return None


@_rule("pacs_du_vivant", "Le PACS est enregistré du vivant, depuis le 15 novembre 1999.", "C. civ. art. 515-3")
def _(record: Record) -> str | None:
    signed = span(record, "famille.partenaire_pacs.date_pacs", "famille.partenaire_pacs.annee_pacs")
    if signed and signed[1] < NO_PACS_BEFORE:
        return "PACS avant que la loi l'ait créé"
    if _before(death(record), signed):
        return "PACS après le décès"
    return None


@_rule("duree_de_vie_commune", "La vie commune finit au décès : début, durée et décès s'accordent à un an près.")
def _(record: Record) -> str | None:
    began, died = span(record, "", "famille.concubin.annee_debut"), death(record)
    length = number(record, "famille.concubin.duree_vie_commune")
    if _before(died, began):
        return "vie commune commencée après le décès"
    if began and died and length is not None and not _age_fits(length, began, died):
        return f"{length} ans de vie commune ne vont pas de {began[0].year} à {died[0].year}"
    return None


# Persons and their ages


@_rule("deces_apres_naissance", "Le défunt est né avant de mourir.")
def _(record: Record) -> str | None:
    return "décès avant la naissance" if _before(death(record), birth(record)) else None


@_rule("age_du_defunt", "L'âge au décès s'accorde avec les dates à un an près.")
def _(record: Record) -> str | None:
    age, born, died = number(record, "famille.defunt.age_au_deces"), birth(record), death(record)
    if age is not None and born and died and not _age_fits(age, born, died):
        return f"{age} ans au décès ne vont pas avec les dates"
    return None


@_rule("ages_de_l_enonce", "Un âge dit au jour de l'énoncé s'accorde avec la naissance à un an près.")
def _(record: Record) -> str | None:
    now, died = span(record, "contexte.date_consultation"), death(record)
    for person in (get(record, "famille.conjoint"), *_children(record)):
        age, born = number(person, "age"), span(person, "date_naissance")
        if age is None or born is None or get(person, "decede"):
            continue
        if now and not _age_fits(age, born, now):
            return f"{get(person, 'nom')} : {age} ans ne vont pas avec la naissance"
        if died and age < years_between(born[1], died[0]) - 1:
            return f"{get(person, 'nom')} : {age} ans, moins qu'au décès"
    return None


@_rule("date_et_annee", "Une date et l'année du même fait s'accordent.")
def _(record: Record) -> str | None:
    leaves = flatten(record)
    for place, year in leaves.items():
        *above, name = place.rsplit(".", 1)
        if not name.startswith("annee"):
            continue
        twin = ".".join([*above, name.replace("annee", "date", 1)])
        day = read_day(leaves.get(twin))
        if day and day.year != year:
            return f"{twin} et {name}"
    return None


@_rule("personnes_distinctes", "Le défunt, son survivant et ses enfants sont des personnes différentes.")
def _(record: Record) -> str | None:
    people = [get(record, f"famille.{who}.nom") for who in ("defunt", "conjoint", "partenaire_pacs", "concubin")]
    people += [child.get("nom") for child in _children(record)]
    named = sorted(name for name in people if isinstance(name, str))
    return next((f"{one} est deux personnes" for one, other in pairwise(named) if one == other), None)


@_rule("demandeur_et_role", "Le demandeur qui est le survivant en porte le nom ; il n'est pas le défunt.")
def _(record: Record) -> str | None:
    name, role = text(record, "contexte.demandeur.nom"), text(record, "contexte.demandeur.qualite")
    if name and name == text(record, "famille.defunt.nom"):
        return f"{name} est le demandeur et le défunt"
    other = text(record, f"famille.{role}.nom") if role in ("conjoint", "partenaire_pacs", "concubin") else None
    if name and other and name != other:
        return f"le demandeur est {role} et se nomme {name}, non {other}"
    return None


@_rule("enfants_comptes", "Il n'y a pas plus d'enfants nommés que d'enfants.")
def _(record: Record) -> str | None:
    count, named = number(record, "famille.nombre_enfants"), len(_children(record))
    return f"{named} enfants nommés pour {count:g}" if count is not None and named > count else None


@_rule(
    "naissance_des_enfants",
    "Un enfant par le sang naît après les 12 ans du défunt, et au plus 300 jours après son décès.",
    "C. civ. art. 311",
)
def _(record: Record) -> str | None:
    born, died = birth(record), death(record)
    for child in _children(record):
        day = read_day(child.get("date_naissance"))
        if day is None or child.get("filiation") in ("adoption_pleniere", "adoption_simple"):
            continue
        if born and years_between(born[0], day) < 12:
            return f"{child.get('nom')} est né avant les 12 ans du défunt"
        if died and day > died[1] + timedelta(days=300):
            return f"{child.get('nom')} est né plus de 300 jours après le décès"
    return None


@_rule("enfant_predecede", "Un enfant mort avant le défunt n'hérite ni ne renonce.", "C. civ. art. 725")
def _(record: Record) -> str | None:
    heirs = {text(option, "heritier") for option in objects(record, "operations_de_partage.options")}
    for child in _children(record):
        if child.get("decede") is not True:
            continue
        if child.get("renoncant") is True or (text(child, "nom") or "") in heirs:
            return f"{child.get('nom')} est prédécédé et opte"
        if _before(death(record), span(child, "", "annee_deces")):
            return f"{child.get('nom')} est prédécédé, mais mort après le défunt"
    return None


@_rule("representation", "On représente un parent prédécédé ou renonçant.", "C. civ. art. 751 et 754")
def _(record: Record) -> str | None:
    children = {text(child, "nom"): child for child in _children(record)}
    for grandchild in objects(record, "famille.petits_enfants"):
        parent = children.get(text(grandchild, "parent"), {})
        if (
            grandchild.get("represente_son_parent") is True
            and parent.get("decede") is False
            and parent.get("renoncant") is False
        ):
            return f"{grandchild.get('nom')} représente {parent.get('nom')}, qui hérite"
    return None


@_rule("parent_du_petit_enfant", "Un petit-enfant est issu d'un enfant du défunt.")
def _(record: Record) -> str | None:
    named = {name for child in _children(record) if (name := text(child, "nom"))}
    count = number(record, "famille.nombre_enfants")
    if count is None or len(named) < count:
        return None
    for grandchild in objects(record, "famille.petits_enfants"):
        if (parent := text(grandchild, "parent")) and parent not in named:
            return f"{parent} n'est pas un enfant du défunt"
    return None


# Numbers


def _numbers(record: Record, *starts: str) -> Iterator[tuple[str, float]]:
    for place, value in flatten(record).items():
        name = place.rsplit(".", 1)[-1]
        if isinstance(value, int | float) and not isinstance(value, bool) and name.startswith(starts):
            yield place, value


@_rule("nombres_positifs", "Un montant, une part, une durée sont plus grands que 0 ; un compte peut être 0.")
def _(record: Record) -> str | None:
    for place, value in _numbers(record, ""):
        if value < 0 or (value == 0 and not place.rsplit(".", 1)[-1].startswith(("nombre", "age"))):
            return f"{place} vaut {value:g}"
    return None


@_rule("parts_au_plus_un", "Une part n'est pas plus grande que le tout.")
def _(record: Record) -> str | None:
    found = _numbers(record, "part", "quote_part")
    return next((f"{place} vaut {value:g}" for place, value in found if value > 1), None)


@_rule("ages_et_annees_plausibles", "Un âge est d'au plus 120 ans, une année entre 1850 et 2100.")
def _(record: Record) -> str | None:
    old = next((f"{place} vaut {age:g}" for place, age in _numbers(record, "age") if age > 120), None)
    odd = next(
        (f"{place} vaut {year:g}" for place, year in _numbers(record, "annee") if not 1850 <= year <= 2100), None
    )
    return old or odd


@_rule("parts_qui_font_un", "Les parts de tous font le tout, et jamais davantage.")
def _(record: Record) -> str | None:
    shared = {"indivisaires": (objects(record, "indivision.indivisaires"), "quote_part", True)}
    shared["lots"] = (objects(record, "operations_de_partage.lots"), "part", True)
    association = get(record, "liberalites.legs_association")
    legacies = [*objects(record, "liberalites.legs"), *([association] if isinstance(association, dict) else [])]
    shared["legs"] = ([one for one in legacies if one.get("en_usufruit") is not True], "part", False)
    for at, contract in enumerate(_contracts(record)):
        shared[f"beneficiaires du contrat {at + 1}"] = (objects(contract, "beneficiaires"), "part", True)
    for who, (items, name, whole) in shared.items():
        parts = [part for item in items if (part := number(item, name)) is not None]
        if sum(parts) > 1 + SUM or (whole and len(parts) == len(items) > 1 and sum(parts) < 1 - SUM):
            return f"les parts des {who} font {sum(parts):g}"
    return None


@_rule("actif_net", "L'actif net est l'actif brut moins le passif.")
def _(record: Record) -> str | None:
    gross, debts, net = (number(record, f"patrimoine.{name}") for name in ("actif_brut", "passif", "actif_net"))
    if gross is not None and net is not None and net > gross * (1 + CLOSE):
        return f"actif net {net:g} pour un actif brut de {gross:g}"
    if None not in (gross, debts, net) and abs(gross - debts - net) > CLOSE * gross:
        return f"{gross:g} - {debts:g} n'est pas {net:g}"
    return None


@_rule("dettes_dans_le_passif", "Les dettes ne dépassent pas le passif.")
def _(record: Record) -> str | None:
    total = number(record, "patrimoine.passif")
    debts = sum(number(debt, "montant") or 0 for debt in objects(record, "patrimoine.dettes"))
    return f"dettes de {debts:g}, passif de {total:g}" if total is not None and debts > total * (1 + CLOSE) else None


# Liberalities, and what the law keeps for the heirs


@_rule("donateur_et_donataire", "Nul ne se donne à soi-même.", "C. civ. art. 894")
def _(record: Record) -> str | None:
    for gift in _donations(record):
        if gift.get("donateur") and gift.get("donateur") == gift.get("donataire"):
            return f"{gift['donateur']} est donateur et donataire"
    return None


@_rule("donation_du_vivant", "Le défunt donne de son vivant.", "C. civ. art. 894")
def _(record: Record) -> str | None:
    name = text(record, "famille.defunt.nom")
    for gift in _donations(record):
        if gift.get("donateur") not in (None, name):
            continue
        given = span(gift, "date", "annee")
        if _before(death(record), given) or _before(given, birth(record)):
            return "donation hors de la vie du défunt"
    return None


@_rule("donation_entre_epoux", "La donation au dernier vivant suppose des époux.", "C. civ. art. 1094-1")
def _(record: Record) -> str | None:
    gift, situation = get(record, "liberalites.donation_entre_epoux"), text(record, "famille.defunt.situation")
    if not gift or get(gift, "existe") is False:
        return None
    if situation in ("celibataire", "pacse") or get(record, "famille.partenaire_pacs"):
        return "donation entre époux sans mariage"
    if _before(death(record), span(gift, "date", "annee")):
        return "donation entre époux après le décès"
    return None


@_rule("testament_du_vivant", "Le testament est fait avant le décès, et après 16 ans.", "C. civ. art. 895 et 904")
def _(record: Record) -> str | None:
    made, born = span(record, "liberalites.testament.date", "liberalites.testament.annee"), birth(record)
    if _before(death(record), made):
        return "testament après le décès"
    if made and born and years_between(born[0], made[1]) < 16:
        return "testament avant 16 ans"
    return None


@_rule("legs_et_testament", "Un legs suppose un testament.", "C. civ. art. 895")
def _(record: Record) -> str | None:
    if get(record, "liberalites.testament.existe") is not False:
        return None
    told = [name for name in get(record, "liberalites.testament") if name != "existe"]
    if told or get(record, "liberalites.legs") or get(record, "liberalites.legs_association"):
        return "pas de testament, et on en dit le contenu"
    if any(get(record, f"famille.{who}.legataire") is True for who in ("partenaire_pacs", "concubin")):
        return "un légataire, et pas de testament"
    return None


@_rule("legs_universel", "Un legs universel porte sur toute la succession, non sur un bien.", "C. civ. art. 1003")
def _(record: Record) -> str | None:
    for legacy in objects(record, "liberalites.legs"):
        if legacy.get("nature") == "universel" and "objet" in legacy:
            return f"legs universel d'un seul bien à {legacy.get('beneficiaire')}"
    return None


@_rule("testament_sans_date", "On ne reproche pas l'absence de date à un testament daté.", "C. civ. art. 970")
def _(record: Record) -> str | None:
    motive = text(record, "liberalites.testament.motif_contestation")
    if motive == "absence_de_date" and get(record, "liberalites.testament.date"):
        return "testament daté, contesté pour absence de date"
    return None


def reserve_share(children: int, has_spouse: bool) -> float:
    """The share of the estate kept for the heirs (C. civ. art. 913 and, for the spouse alone, 914-1)."""
    if children:
        return {1: 1 / 2, 2: 2 / 3}.get(children, 3 / 4)
    return 1 / 4 if has_spouse else 0.0


@_rule(
    "reserve_et_quotite", "La réserve et la quotité disponible font un, selon le nombre d'enfants.", "C. civ. art. 913"
)
def _(record: Record) -> str | None:
    reserve = number(record, "liberalites.reserve.part_reserve")
    quota = number(record, "liberalites.reserve.part_quotite_disponible")
    if reserve is not None and quota is not None and abs(reserve + quota - 1) > SUM:
        return f"réserve {reserve:g} et quotité {quota:g}"
    children = _child_count(record)
    if not children or _law_is_foreign(record):
        return None
    expected = reserve_share(children, False)
    if reserve is not None and abs(reserve - expected) > SUM:
        return f"réserve de {reserve:g} pour {children} enfants"
    if quota is not None and abs(quota - (1 - expected)) > SUM:
        return f"quotité de {quota:g} pour {children} enfants"
    return None


@_rule("reserve_du_conjoint", "Sans descendant, le conjoint a un quart de réserve.", "C. civ. art. 914-1")
def _(record: Record) -> str | None:
    if number(record, "famille.nombre_enfants") != 0 or _law_is_foreign(record):
        return None
    if text(record, "famille.defunt.situation") != "marie" and not get(record, "famille.conjoint"):
        return None
    reserve = number(record, "liberalites.reserve.part_reserve")
    quota = number(record, "liberalites.reserve.part_quotite_disponible")
    if (reserve is not None and abs(reserve - 0.25) > SUM) or (quota is not None and abs(quota - 0.75) > SUM):
        return "la réserve du conjoint seul est d'un quart"
    return None


@_rule("montant_de_la_quotite", "La quotité disponible est sa part de la masse de calcul.", "C. civ. art. 922")
def _(record: Record) -> str | None:
    mass = number(record, "liberalites.reserve.masse_de_calcul")
    share = number(record, "liberalites.reserve.part_quotite_disponible")
    amount = number(record, "liberalites.reserve.montant_quotite_disponible")
    if None not in (mass, share, amount) and not _close(mass * share, amount):
        return f"{share:g} de {mass:g} n'est pas {amount:g}"
    return None


@_rule("option_du_conjoint", "L'usufruit légal suppose des enfants, tous communs.", "C. civ. art. 757")
def _(record: Record) -> str | None:
    option = text(record, "famille.conjoint.option_legale")
    if _law_is_foreign(record):
        return None
    if option and _has_children(record) is False:
        return "une option légale du conjoint sans enfant"
    others = [child for child in _children(record) if child.get("filiation") in ("premier_lit", "hors_mariage")]
    if option == "usufruit_de_la_totalite" and others:
        return f"usufruit légal en présence de {others[0].get('nom')}, qui n'est pas commun"
    return None


@_rule(
    "part_du_conjoint",
    "Le conjoint a un quart avec des enfants, la moitié avec père et mère, trois quarts avec l'un d'eux, sinon tout.",
    "C. civ. art. 757, 757-1 et 757-2",
)
def _(record: Record) -> str | None:
    part, has_children = number(record, "famille.conjoint.part_en_propriete"), _has_children(record)
    if part is None or has_children is None or _law_is_foreign(record):
        return None
    if has_children:
        return None if abs(part - 0.25) <= SUM else f"{part:g} en présence d'enfants"
    alive = [get(record, f"famille.parents.{who}") for who in ("pere_vivant", "mere_vivante")]
    if not all(isinstance(one, bool) for one in alive):
        return None
    expected = 1 - sum(alive) / 4
    return None if abs(part - expected) <= SUM else f"{part:g} au lieu de {expected:g}"


# The couple's property


def _regime(record: Record) -> str | None:
    return text(record, "famille.conjoint.regime_matrimonial")


@_rule("biens_communs", "Des biens communs supposent une communauté.", "C. civ. art. 1401")
def _(record: Record) -> str | None:
    if all(thing.get("qualification") != "commun" for thing in objects(record, "patrimoine.biens")):
        return None
    if _regime(record) not in (None, *COMMUNITIES):
        return f"un bien commun sous {_regime(record)}"
    if text(record, "famille.defunt.situation") in ("celibataire", "pacse"):
        return "un bien commun sans mariage"
    return None


@_rule(
    "clauses_de_communaute", "Préciput et attribution intégrale supposent une communauté.", "C. civ. art. 1515 et 1524"
)
def _(record: Record) -> str | None:
    for clause in ("clause_attribution_integrale", "clause_de_preciput"):
        if get(record, f"famille.conjoint.{clause}") is True and _regime(record) not in (None, *COMMUNITIES):
            return f"{clause} sous {_regime(record)}"
    return None


@_rule("communaute_par_contrat", "Un autre régime que le régime légal suppose un contrat.", "C. civ. art. 1387 et 1400")
def _(record: Record) -> str | None:
    never = all(
        get(record, f"famille.conjoint.{how}") is False for how in ("contrat_de_mariage", "changement_de_regime")
    )
    chosen = ("communaute_universelle", "separation_de_biens", "participation_aux_acquets")
    return f"{_regime(record)} sans contrat" if never and _regime(record) in chosen else None


@_rule("recompenses", "Une récompense suppose une communauté.", "C. civ. art. 1433 et 1437")
def _(record: Record) -> str | None:
    names = ("actif_de_communaute", "recompense_due_par", "montant_recompense")
    told = [name for name in names if get(record, f"operations_de_partage.liquidation_du_regime.{name}")]
    return f"{told[0]} sous {_regime(record)}" if told and _regime(record) not in (None, *COMMUNITIES) else None


@_rule(
    "creance_de_participation", "La créance de participation va avec la participation aux acquêts.", "C. civ. art. 1569"
)
def _(record: Record) -> str | None:
    claim = get(record, "operations_de_partage.liquidation_du_regime.creance_de_participation")
    wrong = claim is not None and _regime(record) not in (None, "participation_aux_acquets")
    return f"créance de participation sous {_regime(record)}" if wrong else None


# Life insurance


@_rule("assure_est_le_defunt", "Le capital est versé au décès de l'assuré, qui est le défunt.")
def _(record: Record) -> str | None:
    name = text(record, "famille.defunt.nom")
    for contract in _contracts(record):
        ended = "capital_deces" in contract or "regime_fiscal" in contract
        if ended and name and contract.get("assure") not in (None, name):
            return f"l'assuré est {contract['assure']}, le défunt {name}"
    return None


@_rule("beneficiaire_n_est_pas_l_assure", "L'assuré décédé n'est pas son propre bénéficiaire.")
def _(record: Record) -> str | None:
    for contract in _contracts(record):
        named = {text(one, "nom") for one in objects(contract, "beneficiaires")}
        if text(contract, "assure") in named - {None}:
            return f"{contract['assure']} est assuré et bénéficiaire"
    return None


@_rule("primes_et_regime_fiscal", "Avant 70 ans, 990 I ; après 70 ans, 757 B.", "CGI art. 990 I et 757 B")
def _(record: Record) -> str | None:
    for contract in _contracts(record):
        young, old = ("primes_avant_70_ans" in contract), ("primes_apres_70_ans" in contract)
        age, regime = number(contract, "age_au_versement"), contract.get("regime_fiscal")
        if age is not None and not (young and old):
            young, old = young or age < 70, old or age >= 70
        if (regime == "article_990_i" and old) or (regime == "article_757_b" and young):
            return f"primes {'après' if old else 'avant'} 70 ans sous {regime}"
    return None


@_rule("primes_et_age", "L'âge aux versements s'accorde avec les primes, la souscription et le décès.")
def _(record: Record) -> str | None:
    born, died = birth(record), death(record)
    at_death = number(record, "famille.defunt.age_au_deces")
    oldest = years_between(born[0], died[1]) if born and died else None if at_death is None else at_death + 1
    for contract in _contracts(record):
        young, old = ("primes_avant_70_ans" in contract), ("primes_apres_70_ans" in contract)
        age, signed = number(contract, "age_au_versement"), span(contract, "date_souscription", "annee_souscription")
        if age is not None and young != old and (age >= 70) != old:
            return f"primes {'après' if old else 'avant'} 70 ans, versées à {age:g} ans"
        if oldest is not None and ((old and oldest < 70) or (age is not None and age > oldest)):
            return "primes versées à un âge que le défunt n'a pas atteint"
        if young and born and signed and years_between(born[1], signed[0]) >= 70:
            return "primes avant 70 ans sur un contrat souscrit après"
    return None


@_rule("souscription_du_vivant", "Le contrat est souscrit avant le décès.")
def _(record: Record) -> str | None:
    late = [c for c in _contracts(record) if _before(death(record), span(c, "date_souscription", "annee_souscription"))]
    return "contrat souscrit après le décès" if late else None


@_rule("beneficiaire_exonere", "Conjoint et partenaire sont exonérés ; un enfant ne l'est pas.", "CGI art. 796-0 bis")
def _(record: Record) -> str | None:
    taxed = ("enfant", "petit_enfant", "bel_enfant", "concubin", "neveu_ou_niece", "cousin", "ami")
    for contract in _contracts(record):
        liable = [one for one in objects(contract, "beneficiaires") if one.get("lien") in taxed]
        if contract.get("regime_fiscal") == "exonere" and liable:
            return f"{liable[0].get('nom')} n'est pas exonéré"
    return None


@_rule("contrats_comptes", "Il n'y a pas plus de contrats décrits que de contrats.")
def _(record: Record) -> str | None:
    count, told = number(record, "assurance_vie.nombre_contrats"), len(_contracts(record))
    return f"{told} contrats décrits pour {count:g}" if count is not None and told > count else None


# Business, usufruct


@_rule(
    "engagement_dutreil",
    "Un engagement suppose un pacte, et sa nature la forme de l'entreprise.",
    "CGI art. 787 B et 787 C",
)
def _(record: Record) -> str | None:
    firm = get(record, "patrimoine.entreprise")
    kind, made = text(firm, "engagement"), span(firm, "date_engagement", "annee_engagement")
    if get(firm, "pacte_dutreil") is False and (kind or made):
        return "un engagement de conservation sans pacte"
    if kind and text(firm, "forme") == ALONE:
        return f"engagement {kind} pour une entreprise individuelle"
    if kind == "post_mortem" and _before(made, death(record)):
        return "engagement post mortem avant le décès"
    if kind in ("collectif", "unilateral") and _before(death(record), made):
        return f"engagement {kind} après le décès"
    return None


@_rule("associes", "Une entreprise individuelle n'a ni associé, ni parts, ni agrément.")
def _(record: Record) -> str | None:
    firm = get(record, "patrimoine.entreprise")
    shared = ("associe", "part_detenue", "clause_d_agrement", "compte_courant_d_associe")
    told = [name for name in shared if get(firm, name)]
    return f"{told[0]} dans une entreprise individuelle" if told and text(firm, "forme") == ALONE else None


@_rule("agrement", "On ne refuse l'agrément que si une clause le prévoit.")
def _(record: Record) -> str | None:
    firm = get(record, "patrimoine.entreprise")
    wrong = get(firm, "agrement_refuse") is True and get(firm, "clause_d_agrement") is False
    return "agrément refusé sans clause" if wrong else None


def usufruct_share(age: float) -> float:
    """The usufruct's share of the whole by the age, in whole years, of who has it (CGI art. 669)."""
    return next((share for last, share in USUFRUCT if age <= last), 0.1)


@_rule("bareme_de_l_usufruit", "La part de l'usufruit suit l'âge de l'usufruitier.", "CGI art. 669")
def _(record: Record) -> str | None:
    parted = get(record, "patrimoine.demembrement")
    age, share = number(parted, "age_usufruitier"), number(parted, "part_usufruit")
    if age is not None and share is not None and abs(share - usufruct_share(age)) > SUM:
        return f"usufruit de {share:g} à {age:g} ans"
    return None


@_rule("valeur_de_l_usufruit", "La valeur de l'usufruit est sa part de la pleine propriété.", "CGI art. 669")
def _(record: Record) -> str | None:
    parted = get(record, "patrimoine.demembrement")
    names = ("valeur_pleine_propriete", "part_usufruit", "valeur_usufruit")
    whole, share, value = (number(parted, name) for name in names)
    if whole is not None and value is not None and value > whole:
        return "usufruit qui vaut plus que la pleine propriété"
    if None not in (whole, share, value) and not _close(whole * share, value):
        return f"{share:g} de {whole:g} n'est pas {value:g}"
    return None


@_rule("usufruitier_et_nu_proprietaire", "Ce sont deux personnes.", "C. civ. art. 578")
def _(record: Record) -> str | None:
    owner = text(record, "patrimoine.demembrement.usufruitier")
    same = owner and owner == text(record, "patrimoine.demembrement.nu_proprietaire")
    return f"{owner} est usufruitier et nu-propriétaire" if same else None


# Joint ownership and partition


@_rule("deux_tiers_pour_vendre", "Qui s'oppose avec plus d'un tiers empêche les deux tiers.", "C. civ. art. 815-5-1")
def _(record: Record) -> str | None:
    against = text(record, "indivision.opposant_a_la_vente")
    if get(record, "indivision.majorite_des_deux_tiers") is not True or not against:
        return None
    shares = [
        number(one, "quote_part") for one in objects(record, "indivision.indivisaires") if one.get("nom") == against
    ]
    return f"{against} a {shares[0]:g}" if shares and shares[0] and shares[0] > 1 / 3 + SUM else None


@_rule("indivision_qui_existe", "On ne décrit pas une indivision qui n'existe pas.")
def _(record: Record) -> str | None:
    shared = get(record, "indivision")
    return "pas d'indivision, et on la décrit" if get(shared, "existe") is False and len(shared) > 1 else None


@_rule("actes_apres_le_deces", "Option, notoriété, déclaration et partage suivent le décès.", "C. civ. art. 720 et 770")
def _(record: Record) -> str | None:
    paths = ("acte_de_notoriete.date", "declaration.date_depot", "partage.date")
    acts = {path: span(record, f"operations_de_partage.{path}") for path in paths}
    acts |= {
        f"option de {o.get('heritier')}": span(o, "date") for o in objects(record, "operations_de_partage.options")
    }
    return next((f"{what} avant le décès" for what, when in acts.items() if _before(when, death(record))), None)


@_rule("enonce_apres_le_deces", "L'énoncé d'une succession ouverte suit le décès.", "C. civ. art. 720")
def _(record: Record) -> str | None:
    died = death(record)
    if _before(span(record, "contexte.date_consultation"), died):
        return "énoncé avant le décès"
    unopened = get(record, "contexte.succession_ouverte") is False or text(record, "contexte.etape") == "anticipation"
    return "un décès, et une succession qui n'est pas ouverte" if died and unopened else None


@_rule("renoncant_sans_lot", "Qui renonce n'a jamais été héritier : il n'a ni lot ni autre option.", "C. civ. art. 805")
def _(record: Record) -> str | None:
    told = objects(record, "operations_de_partage.options")
    options = {text(option, "heritier"): text(option, "option") for option in told}
    gone = {name for name, option in options.items() if option == "renonciation"}
    gone |= {text(child, "nom") for child in _children(record) if child.get("renoncant") is True}
    kept = {text(child, "nom") for child in _children(record) if child.get("renoncant") is False}
    accepted = {name for name, option in options.items() if option and option != "renonciation"}
    receive = {text(lot, "attributaire") for lot in objects(record, "operations_de_partage.lots")}
    both = sorted((gone & (kept | accepted | receive)) - {None})
    return f"{both[0]} renonce et reçoit" if both else None


@_rule("lots_dans_la_masse", "Les lots ne dépassent pas la masse à partager.", "C. civ. art. 825")
def _(record: Record) -> str | None:
    mass = number(record, "operations_de_partage.partage.masse_partageable")
    lots = sum(number(lot, "valeur") or 0 for lot in objects(record, "operations_de_partage.lots"))
    return f"lots de {lots:g}, masse de {mass:g}" if mass is not None and lots > mass * (1 + CLOSE) else None


@_rule("soulte_entre_deux", "Nul ne se doit une soulte.", "C. civ. art. 826")
def _(record: Record) -> str | None:
    debtor = text(record, "operations_de_partage.soulte.debiteur")
    return (
        f"{debtor} se la doit" if debtor and debtor == text(record, "operations_de_partage.soulte.creancier") else None
    )


@_rule("notaire_commis", "Le tribunal commet un notaire au partage judiciaire.", "CPC art. 1364")
def _(record: Record) -> str | None:
    partition = get(record, "operations_de_partage.partage")
    wrong = get(partition, "notaire_commis") and text(partition, "nature") == "amiable"
    return "notaire commis pour un partage amiable" if wrong else None


@_rule("licitation_et_mise_a_prix", "Une mise à prix suppose une licitation.", "CPC art. 1377")
def _(record: Record) -> str | None:
    partition = get(record, "operations_de_partage.partage")
    wrong = get(partition, "licitation") is False and get(partition, "mise_a_prix") is not None
    return "mise à prix sans licitation" if wrong else None


@_rule("recel_allegue", "On ne nomme pas l'auteur d'un recel que personne ne reproche.", "C. civ. art. 778")
def _(record: Record) -> str | None:
    hidden = get(record, "operations_de_partage.recel")
    return "recel non allégué, et décrit" if get(hidden, "allegue") is False and len(hidden) > 1 else None


# Court and abroad


@_rule("conseils_saisis", "Un notaire ou un avocat nommé est chargé du dossier.")
def _(record: Record) -> str | None:
    for who in ("notaire", "avocat"):
        if get(record, f"contexte.{who}_saisi") is False and get(record, f"contexte.nom_{who}"):
            return f"un {who} nommé qui n'est pas saisi"
    return None


@_rule("loi_choisie", "La loi choisie régit la succession.", "Règl. (UE) 650/2012 art. 22")
def _(record: Record) -> str | None:
    chosen, applied = (text(record, f"contexte.international.loi_{which}") for which in ("choisie", "applicable"))
    return f"loi choisie {chosen}, loi applicable {applied}" if chosen and applied and chosen != applied else None


@_rule("biens_a_l_etranger", "On ne situe pas hors de France des biens qui n'y sont pas.")
def _(record: Record) -> str | None:
    abroad = get(record, "contexte.international")
    places = [thing.get("pays") for thing in objects(record, "patrimoine.biens")] + [get(abroad, "pays_des_biens")]
    if get(abroad, "biens_a_l_etranger") is False:
        if get(abroad, "valeur_biens_etranger") is not None:
            return "des biens à l'étranger évalués, et il n'y en a pas"
        return next((f"un bien en {place}" for place in places if place not in (None, "france")), None)
    return "biens à l'étranger situés en France" if get(abroad, "pays_des_biens") == "france" else None
