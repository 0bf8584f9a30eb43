"""Records for cases to be written: an invented family, and blocks of `estates.yaml` that tell of it.

A record is drawn sparse, valid, coherent and on its topics. Its leaves are as many as the length asked for can say:
a text's length follows from what it tells.
"""

import random
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from ..records.rules import alerts, broken, reserve_share, usufruct_share
from ..records.schema import Master, Record, flatten, path_of
from . import people
from .contradictions import CONTRADICTED, Contradiction, contradict

TRIES = 120
LEAVES = {"court": (4, 11), "moyen": (9, 21), "long": (18, 33), "tres_long": (28, 50)}
RICHNESS = {"court": 0.25, "moyen": 0.5, "long": 0.75, "tres_long": 0.9}  # how often a detail of the family is told
DOMAINS = (
    "divorce bail_d_habitation droit_du_travail consommation voisinage permis_de_construire accident_de_la_route "
    "droit_des_societes"
).split()
PROS = ("notaire", "avocat", "narrateur_neutre")
NO_KIN = (*PROS, "tiers", "creancier", "legataire", "associe")
CHILDLESS = ("fratrie", "neveu_ou_niece", "parent")
KEY_FACTS = (
    "famille.defunt.date",
    "famille.defunt.annee",
    "famille.defunt.age",
    "famille.defunt.etat",
    "famille.nombre_e",
)
LANDS = "belgique suisse luxembourg allemagne espagne portugal italie royaume_uni canada maroc algerie tunisie".split()
SPECIAL = ("topic", "if", "ask", "dead", "conflict", "lay", "adopt", "gone", "renounced", "unworthy", "handicap",
           "separated", "legatee")  # fmt: skip


@dataclass(frozen=True)
class Dimensions:
    """One combination of what a case is to be; the values are those of dimensions.yaml."""

    persona: str
    voice: str
    form: str
    length: str
    noise: str
    amounts: str
    dates: str
    complexity: str
    hard_negative_mode: str | None
    topic: str
    second_topic: str | None

    def signature(self) -> str:
        """The same for the same combination only."""
        return "/".join(value or "-" for value in astuple(self))

    @property
    def topics(self) -> tuple[str, ...]:
        return tuple(topic for topic in (self.topic, self.second_topic) if topic)

    @property
    def is_alive(self) -> bool:
        return self.persona == "disposant" or self.hard_negative_mode == "pas_de_deces_clair"


@cache
def blocks() -> list[dict[str, Any]]:
    return yaml.safe_load((Path(__file__).with_name("estates.yaml")).read_text("utf-8"))["blocks"]


def contradictions(record: Record, dimensions: Dimensions) -> list[Contradiction]:
    """What a text of the record tells in two ways; nothing where the dimensions do not ask for it."""
    if dimensions.hard_negative_mode != "faits_contradictoires":
        return []
    return contradict(record, dimensions.amounts, dimensions.dates, dimensions.signature())


def draw_target(dimensions: Dimensions, master: Master, rng: random.Random) -> Record:
    """The same for the same dimensions and state of `rng`.

    Raises RuntimeError when none of many draws fits, which would be a fault of this module.
    """
    if dimensions.hard_negative_mode == "hors_perimetre":
        return {"contexte": {"domaine": rng.choice(DOMAINS)}}
    said: list[str] = []
    for number in range(TRIES):
        record = in_order(_Estate(dimensions, master, rng).record(), master.schema)
        said = _other_than_asked(record, dimensions, master, number > TRIES // 4) or _wrong(record, dimensions, master)
        if not said and (number > TRIES // 2 or not alerts(record)):
            return record
    raise RuntimeError(f"no target for {dimensions.signature()}: {'; '.join(said)}")


def unfit(record: Record, dimensions: Dimensions, master: Master) -> list[str]:
    """Why the record is none for these dimensions; nothing when it is one."""
    return _wrong(record, dimensions, master) + _other_than_asked(record, dimensions, master, False)


def _wrong(record: Record, dimensions: Dimensions, master: Master) -> list[str]:
    found = [*master.problems(record), *(f"{name}: {wrong}" for name, wrong in broken(record).items())]
    if dimensions.hard_negative_mode == "faits_contradictoires" and not contradictions(record, dimensions):
        found.append("nothing to contradict")
    return found


def _other_than_asked(record: Record, dimensions: Dimensions, master: Master, lenient: bool) -> list[str]:
    """`lenient`: there may be fewer amounts and dates than were asked for, and more leaves."""
    leaves, found = flatten(record), []
    kinds = [master.leaves[path].kind for place in leaves if (path := path_of(place)) in master.leaves]
    amounts, dates, years = (kinds.count(kind) for kind in ("montant", "date", "annee"))
    least, most = {"sans_montant": (0, 0), "un_montant": (1, 1)}.get(dimensions.amounts, (2, 99))
    low, high = LEAVES[dimensions.length]
    if amounts > most or (amounts < least and not lenient):
        found.append(f"{amounts} amounts for {dimensions.amounts}")
    if (dimensions.dates != "exactes" and dates) or (dimensions.dates == "aucune" and years):
        found.append(f"{dates} dates and {years} years for {dimensions.dates}")
    if dimensions.dates == "exactes" and not dates and not lenient:
        found.append("no date")
    if not low - 4 * lenient <= len(leaves) <= high + 10 * lenient:
        found.append(f"{len(leaves)} leaves, not {low} to {high}")
    return found


class _Estate:
    """One family with its estate; `told` grows block by block."""

    def __init__(self, dimensions: Dimensions, master: Master, rng: random.Random) -> None:
        self.of, self.master, self.rng = dimensions, master, rng
        self.alive, self.persona = dimensions.is_alive, dimensions.persona
        self.rich = RICHNESS[dimensions.length]
        self.told: Record = {}
        self.asked: list[str] = []
        self.shared: dict[str, Any] = {}
        self.land = rng.choice(LANDS)
        self._draw_family()

    # The family

    def _draw_family(self) -> None:
        rng, topics = self.rng, self.of.topics
        self.status = self._status()
        self.died = date(2019, 1, 1) + timedelta(days=rng.randint(0, 2000))
        born = rng.randint(1928, 1962) if self.persona not in ("parent",) else rng.randint(1975, 1994)
        self.born = date(born, rng.randint(1, 12), rng.randint(1, 28))
        cast = people.People(rng)
        self.sex = rng.choice("fm")
        surname = cast.surname()
        name = lambda sex, year, family=None: cast.name(sex, year, family)  # noqa: E731
        other = {"f": "m", "m": "f"}[self.sex] if rng.random() < 0.95 else self.sex
        kin = lambda low, high: (rng.choice("fm"), born + rng.randint(low, high), surname)  # noqa: E731
        self.ages: dict[str, int] = {}
        who: dict[str, tuple] = {
            "D": (self.sex, born, surname),
            "S": (other, born + rng.randint(-6, 8), surname if self.status == "marie" and rng.random() < 0.6 else None),
            "E": (other, born + rng.randint(-5, 5), None),
            **{f"K{n}": kin(24, 38) for n in range(1, 6)},
            **{f"G{n}": kin(50, 64) for n in (1, 2)},
            **{f"B{n}": (rng.choice("fm"), born + rng.randint(26, 38), None) for n in (1, 2)},
            **{f"F{n}": kin(-6, 8) for n in (1, 2)},
            "N1": kin(25, 36), "P": ("m", born - 27, surname), "M": ("f", born - 25, surname),
            "T": (rng.choice("fm"), born + rng.randint(5, 30), None), "A": (rng.choice("fm"), born + 4, None),
            "L": (rng.choice("fm"), 1965, None), "V": (rng.choice("fm"), 1975, None),
        }  # fmt: skip
        if born + 38 > 1998:
            who |= {f"K{n}": (rng.choice("fm"), born + rng.randint(22, 26), surname) for n in range(1, 6)}
        self.names = {role: name(*of) for role, of in who.items()}
        family = [role for role in who if role[0] in "KGF" or role == "N1"]
        if rng.random() < (0.4 if self.persona in PROS else 0.65):  # as one speaks of one's own
            self.names |= {role: self.names[role].split(" ")[0] for role in family}
        if rng.random() < 0.2 and self.persona not in PROS:
            self.names["S"] = self.names["S"].split(" ")[0]
        self.sexes = {role: of[0] for role, of in who.items()}
        self.ages = {role: max(1, self.died.year - of[1]) for role, of in who.items()}
        needs = (
            "donations_reduction" in topics
            or "indivision_partage" in topics
            or self.persona in ("enfant", "petit_enfant")
        )
        self.kids = 0 if self._is_childless() else rng.choice((1, 2, 2, 2, 3, 3, 4) if needs else (0, 1, 2, 2, 3))
        if self.persona in ("enfant", "petit_enfant"):
            self.kids = max(self.kids, 1 if "famille_recomposee" not in topics else 2)
        wants_bed = "famille_recomposee" in topics or self.persona == "ex_conjoint"
        self.first_bed = bool(self.kids) and (rng.random() < (0.85 if wants_bed else 0.15))
        self.adopted = bool(self.kids) and "famille_recomposee" in topics and rng.random() < 0.4
        self.ended = (
            "divorce" if self.status == "divorce" or (self.status == "marie" and rng.random() < 0.6) else "deces"
        )
        self.steps = self.persona == "beau_enfant" or ("famille_recomposee" in topics and self.status == "marie")
        self.wedding = born + rng.randint(24, 34) + (12 if self.first_bed else 0)
        self.wedding = min(self.wedding, self.died.year - 3)
        self.asker = {
            "enfant": f"K{max(self.kids, 1)}", "conjoint": "S", "partenaire_pacs": "S", "concubin": "S",
            "beau_enfant": "B1", "fratrie": "F2", "petit_enfant": "G1", "neveu_ou_niece": "N1", "parent": "M",
            "ex_conjoint": "E", "disposant": "D", "associe": "A", "legataire": "T",
        }.get(self.persona)  # fmt: skip

    def _status(self) -> str:
        fixed = {"conjoint": "marie", "partenaire_pacs": "pacs", "concubin": "concubinage", "ex_conjoint": "divorce"}
        if self.persona in fixed:
            return fixed[self.persona]
        wanted = {
            "regimes_matrimoniaux": ["marie"] * 4 + ["pacs"],
            "demembrement_usufruit": ["marie"] * 3 + ["veuf"],
            "famille_recomposee": ["marie"] * 3 + ["veuf", "divorce"],
            "pacs_concubinage": ["pacs"] * 3 + ["concubinage"] * 3 + ["divorce", "celibataire"],
            "ordre_heritiers": ["celibataire", "veuf", "divorce", "marie"],
        }
        pool = next(
            (wanted[topic] for topic in self.of.topics if topic in wanted), ["marie", "veuf", "divorce", "celibataire"]
        )
        pool = [one for one in pool if one != "marie" or self.persona not in ("neveu_ou_niece",)] or pool
        return self.rng.choice(pool)

    def _is_childless(self) -> bool:
        if self.persona in CHILDLESS:
            return True
        heirs = "ordre_heritiers" in self.of.topics and self.persona not in ("enfant", "petit_enfant")
        return heirs and self.rng.random() < 0.6

    def _holds(self, condition: str) -> bool:
        has_spouse = self.status == "marie"
        return {
            "kids": self.kids >= 1, "kids2": self.kids >= 2, "kids_two": self.kids == 2, "spouse": has_spouse,
            "first_bed": self.first_bed and self.kids >= 1, "common": not self.first_bed and not self.adopted,
            "partner": self.status == "pacs", "companion": self.status == "concubinage",
            "couple": self.status in ("pacs", "concubinage"), "no_spouse": self.status not in ("marie", "celibataire"),
            "single": self.status in ("celibataire", "divorce", "veuf"), "steps": self.steps,
            "step_group": self.steps and self.persona != "beau_enfant", "adopted": self.adopted,
            "ex": self.ended == "divorce" and self.status in ("marie", "divorce"),
            "siblings": not self.kids and self.status != "marie", "half": not self.kids and self.persona != "parent",
            "abroad": self.rng.random() < 0.3, "alive": self.alive, "diary": self.persona in PROS,
            "named_asker": bool(self.asker) and "nom" in self.told.get("contexte", {}).get("demandeur", {}),
        }[condition]  # fmt: skip

    # The record

    def record(self) -> Record:
        self._tell_asker()
        self._tell_deceased()
        self._tell_couple()
        for topic in self.of.topics:
            if not self._add_block(topic):
                return {}
        self._tell_children()
        self._tell_own_place()
        self._grow()
        if self.of.form == "message_conflictuel" or self.shared.get("conflict"):
            self._put("contexte.conflit", True)
        if self.asked and self.rng.random() < 0.92:
            self._put("contexte.objet_demande", self.asked[0])
        return self._thinned()

    def _often(self, share: float) -> bool:
        return self.rng.random() < share

    def _put(self, path: str, value: Any) -> None:
        node: Any = self.told
        *above, name = path.split(".")
        for step in above:
            node = node[int(step)] if step.isdigit() else node.setdefault(step, {})
        node.setdefault(name, value) if isinstance(node, dict) else None

    def _tell_asker(self) -> None:
        self._put("contexte.demandeur", {})
        if self.asker and (
            self._often(0.35 + 0.4 * self.rich) or self.persona in ("disposant", "fratrie", "legataire")
        ):
            self._put("contexte.demandeur.nom", self.names[self.asker])
        self._put("contexte.demandeur.qualite", self.persona)
        if self.asker and self._often(0.15):
            self._put("contexte.demandeur.age", self.ages[self.asker] + self.rng.randint(0, 1))
        if self.persona == "notaire" and not self.alive:
            self._put("contexte.notaire_saisi", True)
        if self.persona == "avocat":
            self._put("contexte.avocat_saisi", True)
        if self.alive and (self.persona == "disposant" or self._often(0.6)):
            self._put("contexte.succession_ouverte", False)
            self._put("contexte.etape", "anticipation")

    def _tell_deceased(self) -> None:
        if self.alive and self.persona != "disposant" and self._often(0.5):
            self.shared["unnamed"] = True
        elif self._often(0.9):
            self._put("famille.defunt.nom", self.names["D"])
        if not self.alive:
            self._put("famille.defunt.date_deces", str(self.died))
            if self._often(0.3 * self.rich + 0.1) or self.of.dates != "exactes":
                self._put("famille.defunt.age_au_deces", _years(self.born, self.died))
            elif self._often(0.2 * self.rich):
                self._put("famille.defunt.date_naissance", str(self.born))
            if self._often(0.35 * self.rich):
                self._put("famille.defunt.commune_deces", self.rng.choice(people.COMMUNES))
        if self.status in ("marie", "veuf", "divorce", "celibataire"):
            self._put("famille.defunt.etat_civil", self.status)
        else:
            self._put("famille.defunt.vie_de_couple", self.status)
            if self._often(0.3):
                self._put("famille.defunt.etat_civil", "divorce")

    def _tell_couple(self) -> None:
        at = {"marie": "conjoint", "pacs": "partenaire_pacs", "concubinage": "concubin"}.get(self.status)
        if not at:
            if self.status == "veuf" and self._often(0.5 + self.rich / 3):
                self._put(
                    "famille.unions_precedentes",
                    [self._filled({"nom~": "E", "nature": "mariage", "fin": "deces", "annee_fin~": "year 1990 2014"})],
                )
            return
        asks = self.asker == "S"
        if self._often(0.9) and not (asks and "nom" not in self.told["contexte"]["demandeur"]):
            self._put(f"famille.{at}.nom", self.names["S"])
        if at == "conjoint" and self._often(0.6):
            self._put("famille.conjoint.date_mariage", self._make_vows())
        if at == "partenaire_pacs":
            self._put("famille.partenaire_pacs.date_pacs", str(date(self.rng.randint(2003, self.died.year - 1), 5, 14)))
        if self._often(0.25 * self.rich):
            self._put(f"famille.{at}.age", self.ages["S"])

    def _tell_children(self) -> None:
        if not self.kids:
            if self._often(0.75):
                self._put("famille.nombre_enfants", 0)
            return
        named = self._often(0.45 + self.rich / 2) or bool(
            {"gone", "renounced", "unworthy", "adopt", "handicap"} & set(self.shared)
        )
        if not named or self._often(0.75):
            self._put("famille.nombre_enfants", self.kids)
        has_spouse = self.status == "marie"
        if not named and self._often(0.5):
            if self.first_bed and self.kids > 1:
                self._put("famille.enfants", [{**({"nombre": 2} if self.kids > 2 else {}), "filiation": "premier_lit"}])
            return
        if not named:
            return
        common = has_spouse and self._often(0.6)
        told = []
        for number in range(1, self.kids + 1):
            child: dict[str, Any] = {"nom": self.names[f"K{number}"]}
            if f"K{number}" == self.asker and "nom" not in self.told["contexte"]["demandeur"]:
                continue
            is_first = self.first_bed and (number == 1 or (number == 2 and self.kids > 3))
            if number == 1 and self.shared.get("adopt"):
                child["filiation"] = self.rng.choice(("adoption_simple", "adoption_simple", "adoption_pleniere"))
            elif is_first:
                child["filiation"] = "premier_lit" if self.status == "marie" or self._often(0.7) else "hors_mariage"
            elif common or (self.first_bed and has_spouse):
                child["commun_avec_survivant"] = True
            if self._often(0.08 * self.rich) and not self.shared.get("gone"):
                child["age"] = self.ages[f"K{number}"]
            elif self._often(0.06 * self.rich):
                child["date_naissance"] = self._make_birthday(f"K{number}")
            role = f"K{number}"
            if self.shared.get("gone") == role:
                child |= {"decede": True, "annee_deces": self.died.year - self.rng.randint(2, 12)}
                if not any("parent" in one for one in self.told["famille"].get("petits_enfants", ())):
                    child["nombre_enfants"] = self.rng.randint(1, 3)
            if self.shared.get("renounced") == role and self._often(0.5):
                child["renoncant"] = True
            if self.shared.get("unworthy") == role:
                child["indigne"] = True
            if self.shared.get("handicap") == role:
                child["handicap"] = True
            told.append(child)
        extra = self.shared.get("adoption", {})
        if not told:
            self._put("famille.nombre_enfants", self.kids)
            return
        if extra and "filiation" in told[0] and self.shared.get("adopt"):
            told[0] |= {
                key: value
                for key, value in extra.items()
                if told[0]["filiation"] == "adoption_simple" or key != "secours_et_soins"
            }
        self._put("famille.enfants", told)

    def _tell_own_place(self) -> None:
        """Who asks is told where the family is."""
        named = self.told["contexte"]["demandeur"].get("nom")
        if self.persona == "beau_enfant" and named:
            mine = self.told.setdefault("famille", {}).setdefault("beaux_enfants", [])
            if not any(one.get("nom") == named for one in mine):
                mine.insert(0, {"nom": named})
        if self.persona == "fratrie" and named:
            mine = self.told["famille"].setdefault("fratrie", [])
            if not any(one.get("nom") == named for one in mine):
                mine.append({"nom": named, "lien": self._value("sibling F2")})
        if self.persona == "parent" and named:
            self._put("famille.parents.mere", named)
            self._put("famille.parents.mere_vivante", True)
        if self.persona == "legataire":
            wills = self.told.setdefault("liberalites", {}).setdefault("testaments", [{"forme": "olographe"}])
            self.told["liberalites"]["testament"] = True
            mine = wills[-1].setdefault("legs", [])
            if not any(one.get("beneficiaire") == named for one in mine):
                mine.append(
                    {"beneficiaire": named, "objet": self.rng.choice(("maison", "bijoux", "vehicule", "meubles"))}
                )
        if self.persona == "creancier" and not self.told.get("patrimoine", {}).get("dettes"):
            self._merge(
                "patrimoine.dettes",
                [{"nature": self.rng.choice(("autre", "pret_familial")), "montant": self._make_thousands("1", "40")}],
            )
        if self.persona == "associe":
            firm = self.told.get("patrimoine", {}).get("entreprise")
            if firm is None:
                self._add(next(one for one in blocks() if one["topic"] == "entreprise_dutreil"))
                firm = self.told["patrimoine"]["entreprise"]
            if named and firm.get("forme") != "entreprise_individuelle":
                firm["associe"] = named
        if self.persona == "ex_conjoint" and named:
            ended = self.told["famille"].setdefault("unions_precedentes", [])
            if not any(one.get("nom") == named for one in ended):
                ended.append({"nom": named, "nature": "mariage", "fin": "divorce"})
        if self.persona == "petit_enfant" and named:
            mine = self.told["famille"].setdefault("petits_enfants", [])
            if not any(one.get("nom") == named or "nombre" in one for one in mine):
                mine.append({"nom": named})
        if self.persona == "neveu_ou_niece" and named:
            mine = self.told["famille"].setdefault("autres_proches", [])
            if not any(one.get("nom") == named for one in mine):
                mine.append({"nom": named, "lien": "neveu_ou_niece"})

    # Blocks

    def _add_block(self, topic: str) -> bool:
        fitting = [one for one in blocks() if one["topic"] == topic and self._fits(one)]
        if not fitting:
            return False
        self._add(self.rng.choice(fitting))
        return True

    def _fits(self, block: dict[str, Any]) -> bool:
        if (block.get("dead") and self.alive) or (block.get("lay") and self.persona in NO_KIN):
            return False
        if block.get("conflict") and self.of.form == "note_professionnelle" and self.persona == "narrateur_neutre":
            return False
        if block.get("liberalites.testament") is False and (
            self.persona == "legataire" or _get(self.told, "liberalites.testaments")
        ):
            return False
        if set(block) & set(self.shared) & {"gone", "renounced", "unworthy"}:
            return False
        paths = {key.split(".")[0] + "." + key.split(".")[1] for key in block if "." in key}
        clash = (
            "patrimoine.entreprise",
            "patrimoine.demembrement",
            "liberalites.testaments",
            "operations_de_partage.declaration",
        )
        if any(path in clash and _get(self.told, path) for path in paths):
            return False
        return all(self._holds(one) for one in block.get("if", ()))

    def _add(self, block: dict[str, Any]) -> None:
        coins: dict[str, bool] = {}
        for key, value in block.items():
            if key in SPECIAL:
                continue
            name, mark, how = key.partition("~")
            if mark and not self._coin(how, coins):
                continue
            if name.startswith("famille.enfants.0."):
                if self._often(0.5):
                    self.shared.setdefault("adoption", {})[name.rsplit(".", 1)[1]] = self._value(value)
                continue
            self._merge(name, self._filled(value, coins))
        for key in ("adopt", "gone", "renounced", "unworthy", "handicap"):
            if key in block:
                self.shared[key] = block[key]
        if block.get("conflict"):
            self.shared["conflict"] = True
        if block.get("separated"):
            self._merge(
                "famille.conjoint",
                {"separation_de_fait": True, **({"divorce_en_cours": True} if self._often(0.4) else {})},
            )
        if block.get("legatee") and self.status in ("pacs", "concubinage") and self._often(0.7):
            self._put(f"famille.{'partenaire_pacs' if self.status == 'pacs' else 'concubin'}.legataire", True)
        self.asked += [self.rng.choice(block["ask"])] if "ask" in block else []

    def _coin(self, how: str, coins: dict[str, bool]) -> bool:
        if how == "~":
            return self._often(0.25 * (0.5 + self.rich))
        found = self._often(0.3 + 0.4 * self.rich)
        return coins.setdefault(how, found) if how else found

    def _filled(self, value: Any, coins: dict[str, bool] | None = None) -> Any:
        coins = {} if coins is None else coins
        if isinstance(value, list):
            return [self._filled(one, {}) for one in value]
        if isinstance(value, dict):
            found = {}
            for key, inner in value.items():
                name, mark, how = key.partition("~")
                if mark and not self._coin(how, coins):
                    continue
                drawn = self._filled(inner, coins)
                if drawn not in (None, {}, []):
                    found[name] = drawn
            return found
        return self._value(value)

    def _value(self, said: Any) -> Any:
        if not isinstance(said, str):
            return said
        said = self.rng.choice(said.split(" | "))
        word, *rest = said.split()
        if said in self.names:
            return self.names[said]
        if said.replace(".", "").isdigit():
            return float(said)
        if said in ("true", "false"):
            return said == "true"
        made = self._make_thousands if word == "€" else getattr(self, f"_make_{word}", None)
        if made:
            return made(*rest)
        pool = getattr(people, said, None) if said.isupper() else None
        if isinstance(pool, dict):
            pool = pool[self.sex]
        return self.rng.choice(pool) if pool else said

    def _make_thousands(self, low: str, high: str) -> float:
        value = self.rng.randint(int(low) * 10, int(high) * 10) * 100
        step = self.rng.choice((1000, 1000, 1000, 500, 100) if value < 60_000 else (5000, 5000, 1000, 500))
        return max(step, value // step * step)

    def _make_euros(self, low: str, high: str) -> int:
        return self.rng.randint(int(low) // 10, int(high) // 10) * 10

    def _make_year(self, low: str, high: str) -> int:
        return self.rng.randint(int(low), min(int(high), self.died.year - 1))

    def _make_day(self, low: str, high: str, label: str = "") -> str:
        year = self._make_year(low, high)
        day = f"{year}-{self.rng.randint(1, 12):02}-{self.rng.randint(1, 28):02}"
        return self.shared.setdefault(f"day {label}", day) if label else day

    def _make_since(self, low: str, high: str) -> str | None:
        if self.alive:
            return None
        return str(self.died + timedelta(days=self.rng.randint(int(low) * 30, int(high) * 30)))

    def _make_later(self) -> str:
        return str(self.died + timedelta(days=self.rng.randint(1500, 2200)))

    def _make_death(self) -> str | None:
        return None if self.alive else str(self.died)

    def _make_wedding(self) -> int:
        return self.wedding

    def _make_began(self) -> int:
        return self.died.year - self.rng.randint(6, 28)

    def _make_together(self) -> int:
        return self.rng.randint(6, 30)

    def _make_age(self, role: str) -> int:
        return self.ages[role]

    def _make_int(self, low: str, high: str) -> int:
        return self.rng.randint(int(low), int(high))

    def _make_kids(self) -> int:
        return self.kids

    def _make_ended(self) -> str:
        return self.ended

    def _make_sibling(self, role: str) -> str:
        return {"f": "soeur", "m": "frere"}[self.sexes[role]]

    def _make_half(self, role: str) -> str:
        return {"f": "demi_soeur", "m": "demi_frere"}[self.sexes[role]]

    def _make_vows(self) -> str:
        return self.shared.setdefault("vows", f"{self.wedding}-{self.rng.randint(4, 10):02}-{self.rng.randint(14, 28)}")

    def _make_contract(self) -> str:
        return str(date.fromisoformat(self._make_vows()) - timedelta(days=self.rng.randint(3, 40)))

    def _make_birthday(self, role: str) -> str:
        return f"{self._make_birth_year(role)}-{self.rng.randint(1, 12):02}-{self.rng.randint(1, 28):02}"

    def _make_birth_year(self, role: str) -> int:
        return self.died.year - self.ages[role]

    def _make_old_age(self) -> int | None:
        return 70 + (self.ages["D"] - 72) // 2 if self.ages["D"] > 75 else None

    def _make_quota(self) -> int:
        return round(self._make_mass() * (1 - reserve_share(self.kids, False)))

    def _make_whole(self) -> int:
        return self.shared.setdefault("whole", self.rng.randint(24, 90) * 5000)

    def _make_usufruct_worth(self, role: str) -> int:
        return round(self._make_whole() * usufruct_share(self.ages[role]))

    def _make_couple(self) -> str:
        return "partenaire_pacs" if self.status == "pacs" else "concubin"

    def _make_one_land(self) -> str:
        return self.land

    def _make_place(self) -> str:
        return self.rng.choice(people.COMMUNES)

    def _make_firm(self) -> str:
        return f"{self.shared.setdefault('trade', self.rng.choice(people.FIRMS))} {self.names['D'].split(' ', 1)[1]}"

    def _make_activity(self) -> str:
        return people.ACTIVITIES[self.shared.setdefault("trade", self.rng.choice(people.FIRMS))]

    def _make_mass(self) -> int:
        return self.shared.setdefault("mass", self.rng.randint(24, 140) * 6000)

    def _make_reserved(self) -> float:
        return round(reserve_share(self.kids, False), 4)

    def _make_free(self) -> float:
        return round(1 - reserve_share(self.kids, False), 4)

    def _make_usufruct(self, role: str) -> float:
        return usufruct_share(self.ages[role])

    def _make_net(self) -> float | None:
        held = self.told.get("patrimoine", {})
        return held["actif_brut"] - held["passif"] if {"actif_brut", "passif"} <= set(held) else None

    def _merge(self, path: str, value: Any) -> None:
        if value in (None, {}, []):
            return
        node: Any = self.told
        *above, name = path.split(".")
        for step in above:
            node = node.setdefault(step, {})
        if isinstance(value, dict):
            for key, inner in value.items():
                self._merge(f"{path}.{key}", inner)
        elif isinstance(value, list) and isinstance(node.get(name), list):
            known = {one.get(key) for one in node[name] for key in ("nom", "donataire", "assureur")} - {None}
            fresh = [
                one for one in value if one and not known & {one.get(key) for key in ("nom", "donataire", "assureur")}
            ]
            node[name] += [one for one in fresh if one not in node[name]]
        elif isinstance(value, list):
            node[name] = [one for one in value if one]
        else:
            node.setdefault(name, value)

    # Its size

    def _grow(self) -> None:
        """More blocks, until the record has as many leaves as its length can say."""
        low, high = LEAVES[self.of.length]
        wanted = self.rng.randint(low + 1, high)
        pool = [one for one in blocks() if one["topic"] in ("any", "any", *self.of.topics)]
        self.rng.shuffle(pool)
        for block in pool:
            size = len(flatten(self.told))
            needs = self.of.amounts in ("plusieurs_montants", "montants_et_dates") and self._count("montant") < 2
            if size >= wanted and not (needs and size < high):
                return
            if (
                self._fits(block)
                and size + len(block) < high + 3
                and not ({"conflict", "gone"} & set(block) and self.of.topics == ())
            ):
                if block["topic"] != "any" and len(self.told.get("assurance_vie", {})) > 1:
                    continue
                if {"gone", "renounced", "unworthy", "adopt"} & set(block):
                    continue  # the children are told by now
                self._add({key: value for key, value in block.items() if key != "ask"})
                if "handicap" in block:
                    self._mark_handicap(block["handicap"])

    def _mark_handicap(self, role: str) -> None:
        for child in self.told.get("famille", {}).get("enfants", ()):
            if child.get("nom") == self.names[role]:
                child["handicap"] = True

    def _count(self, kind: str) -> int:
        return sum(
            self.master.leaves[path_of(place)].kind == kind
            for place in flatten(self.told)
            if path_of(place) in self.master.leaves
        )

    def _thinned(self) -> Record:
        """Without the amounts and dates that the dimensions do not want, nor what a hard negative leaves out."""
        leaves = flatten(self.told)
        gone = set(self._unwanted(leaves))
        if self.of.hard_negative_mode == "infos_incompletes":
            gone |= {place for place in leaves if place.startswith(KEY_FACTS)}
            gone |= {"famille.defunt.nom"} if self._often(0.5) else set()
        if self.of.hard_negative_mode == "faits_contradictoires":
            twice = [place for place in CONTRADICTED if place in leaves]
            if twice:
                place = self.rng.choice(twice)
                gone |= {other for other in leaves if other == place or other.startswith(CONTRADICTED[place] or ("-",))}
        for place in [one for one in gone if one.endswith(("].montant", "].originaire", "].final"))]:
            above = place.rsplit(".", 1)[0]
            if above.startswith(("operations_de_partage.declaration", "operations_de_partage.liquidation")):
                gone |= {other for other in leaves if other.startswith(above.split("[")[0])}
        if self.shared.get("unnamed") or self.of.hard_negative_mode == "pas_de_deces_clair":
            gone |= {place for place in leaves if "date_deces" in place}
        return _nested({**{p: v for p, v in leaves.items() if p not in gone}, **self._years(leaves, gone)})

    def _unwanted(self, leaves: dict[str, Any]) -> Iterator[str]:
        kinds = {
            place: self.master.leaves[path_of(place)].kind for place in leaves if path_of(place) in self.master.leaves
        }
        money = [place for place, kind in kinds.items() if kind == "montant"]
        if self.of.amounts in ("sans_montant", "un_montant"):
            keep = self.rng.choice(money) if money and self.of.amounts == "un_montant" else None
            yield from (place for place in money if place != keep)
        days = [place for place, kind in kinds.items() if kind == "date"]
        if self.of.dates == "exactes":
            yield from (place for place in days if self._becomes_year(place))
        else:
            yield from days
        if self.of.dates == "aucune":
            yield from (place for place, kind in kinds.items() if kind == "annee")

    def _becomes_year(self, place: str) -> bool:
        """Some exact dates are told by their year all the same."""
        if self._twin(place) is None or place == "famille.defunt.date_deces":
            return False
        return self.shared.setdefault(f"year {path_of(place)}", self._often(0.3))

    def _twin(self, place: str) -> str | None:
        twin = place.rsplit(".", 1)[0] + "." + place.rsplit(".", 1)[1].replace("date", "annee", 1)
        return twin if path_of(twin) in self.master.leaves else None

    def _years(self, leaves: dict[str, Any], gone: set[str]) -> dict[str, Any]:
        if self.of.dates == "aucune":
            return {}
        wanted = [place for place in gone if place in leaves and self.master.leaves[path_of(place)].kind == "date"]
        if self.of.hard_negative_mode in ("infos_incompletes", "faits_contradictoires"):
            wanted = [place for place in wanted if not place.startswith(("famille.defunt.", "famille.conjoint.date_m"))]
        found = {twin: int(leaves[place][:4]) for place in wanted if (twin := self._twin(place)) and twin not in leaves}
        return {place: year for place, year in found.items() if not (self.alive and "deces" in place)}


def _years(born: date, then: date) -> int:
    return then.year - born.year - ((then.month, then.day) < (born.month, born.day))


def _get(record: Any, path: str) -> Any:
    for step in path.split("."):
        record = record.get(step) if isinstance(record, dict) else None
    return record


def _nested(leaves: dict[str, Any]) -> Record:
    """The record of some places; items of lists move together."""
    found: dict[str, Any] = {}
    for place, value in leaves.items():
        *above, name = place.split(".")
        node: Any = found
        for step in above:
            key, _, index = step.partition("[")
            node = node.setdefault(key, {})
            node = node.setdefault(int(index[:-1]), {}) if index else node
        node[name] = int(value) if isinstance(value, float) and value == int(value) and name != "x" else value
    return _listed(found)


def _listed(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    if node and all(isinstance(key, int) for key in node):
        return [_listed(node[key]) for key in sorted(node)]
    return {key: _listed(value) for key, value in node.items()}


def in_order(node: Any, schema: dict[str, Any]) -> Any:
    """With the leaves in the schema's order."""
    if schema["type"] == "object" and isinstance(node, dict):
        return {name: in_order(node[name], below) for name, below in schema["properties"].items() if name in node}
    if schema["type"] == "array" and isinstance(node, list):
        return [in_order(one, schema["items"]) for one in node]
    return node
