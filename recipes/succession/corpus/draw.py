"""Records for cases to be written: an invented family, and blocks of `estates.yaml` that tell of it.

A record is drawn sparse, valid, coherent and on its topics. Its leaves are as many as the length asked for can say:
a text's length follows from what it tells.
"""

import random
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from ..records.rules import alerts, broken
from ..records.schema import Master, Record, flatten, path_of
from . import people
from .dimensions import Dimensions, contradictions
from .family import NO_KIN, find, years
from .thinning import Thinned

TRIES = 120
LEAVES = {"court": (4, 11), "moyen": (9, 21), "long": (18, 33), "tres_long": (28, 50)}
DOMAINS = (
    "divorce bail_d_habitation droit_du_travail consommation voisinage permis_de_construire accident_de_la_route "
    "droit_des_societes"
).split()
SPECIAL = ("topic", "if", "ask", "dead", "conflict", "lay", "adopt", "gone", "renounced", "unworthy", "handicap",
           "separated", "legatee")  # fmt: skip


@cache
def blocks() -> list[dict[str, Any]]:
    return yaml.safe_load((Path(__file__).with_name("estates.yaml")).read_text("utf-8"))["blocks"]


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


class _Estate(Thinned):
    """One family with its estate; `told` grows block by block."""

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
                self._put("famille.defunt.age_au_deces", years(self.born, self.died))
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
            self.persona == "legataire" or find(self.told, "liberalites.testaments")
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
        if any(path in clash and find(self.told, path) for path in paths):
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


def in_order(node: Any, schema: dict[str, Any]) -> Any:
    """With the leaves in the schema's order."""
    if schema["type"] == "object" and isinstance(node, dict):
        return {name: in_order(node[name], below) for name, below in schema["properties"].items() if name in node}
    if schema["type"] == "array" and isinstance(node, list):
        return [in_order(one, schema["items"]) for one in node]
    return node
