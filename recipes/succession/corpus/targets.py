"""Targets: what a case to be written must hold, drawn so that it is sparse, valid, coherent and on topic.

A whole invented estate is drawn first (`world.py`), then some of its leaves are kept: those that make
the topics, those that the amounts and dates asked for need, and others until the size is right.
"""

import random
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from typing import Any

from ..records.rules import broken
from ..records.schema import Master, Record, flatten, path_of
from .contradictions import CONTRADICTED, Contradiction, contradict
from .world import draw_world

TRIES = 200
LEAVES = {"simple": (8, 15), "intermediaire": (14, 26), "complexe": (25, 45), "hard_negative": (8, 22)}
FEW = (2, 6)  # leaves where the question is no matter of succession
MOST = {"court": 14, "moyen": 28, "long": 45, "tres_long": 45}  # leaves that a text of the length can say
OTHER_DOMAINS = (
    "divorce bail_d_habitation droit_du_travail consommation voisinage permis_de_construire accident_de_la_route "
    "droit_des_societes"
).split()

# A topic is there when all paths of one of its groups are; `=value` asks for that value.
TOPICS: dict[str, tuple[tuple[str, ...], ...]] = {
    "famille_recomposee": (
        ("famille.enfants[].filiation=premier_lit",),
        ("famille.beaux_enfants[].nom",),
        ("famille.unions_precedentes[].nom", "famille.unions_precedentes[].fin"),
    ),
    "donations_reduction": (("liberalites.donations[].donataire", "liberalites.donations[].nature"),),
    "assurance_vie": (
        ("assurance_vie.contrats[].assureur", "assurance_vie.contrats[].beneficiaires[].nom"),
        ("assurance_vie.contrats[].assureur", "assurance_vie.contrats[].clause_beneficiaire"),
    ),
    "indivision_partage": (
        ("indivision.bien", "indivision.indivisaires[].quote_part"),
        ("indivision.bien", "indivision.vente_souhaitee"),
        ("operations_de_partage.partage.nature", "operations_de_partage.lots[].bien"),
    ),
    "ordre_heritiers": (
        ("famille.fratrie[].nom", "famille.fratrie[].lien"),
        ("famille.petits_enfants[].nom", "famille.petits_enfants[].parent"),
        ("famille.parents.pere_vivant", "famille.parents.mere_vivante"),
        ("famille.autres_proches[].nom", "famille.autres_proches[].lien"),
    ),
    "regimes_matrimoniaux": (
        ("famille.conjoint.nom", "famille.conjoint.regime_matrimonial"),
        ("famille.conjoint.nom", "famille.conjoint.contrat_de_mariage"),
        ("operations_de_partage.liquidation_du_regime.recompense_due_par",),
    ),
    "entreprise_dutreil": (
        ("patrimoine.entreprise.denomination", "patrimoine.entreprise.pacte_dutreil"),
        ("patrimoine.entreprise.denomination", "patrimoine.entreprise.forme"),
    ),
    "testament_legs": (
        ("liberalites.legs[].beneficiaire", "liberalites.legs[].nature"),
        ("liberalites.testament.forme", "liberalites.testament.conteste"),
    ),
    "international_procedure": (
        ("contexte.international.pays_residence_defunt", "contexte.international.loi_applicable"),
        ("contexte.international.biens_a_l_etranger", "contexte.international.pays_des_biens"),
        ("contexte.international.heritier_a_l_etranger", "contexte.international.pays_residence_heritier"),
        ("contexte.procedure.nature", "contexte.procedure.tribunal_saisi"),
    ),
    "pacs_concubinage": (("famille.partenaire_pacs.nom",), ("famille.concubin.nom",)),
    "demembrement_usufruit": (
        ("patrimoine.demembrement.bien", "patrimoine.demembrement.usufruitier"),
        ("patrimoine.demembrement.bien", "patrimoine.demembrement.nu_proprietaire"),
    ),
    "dettes_passif": (("patrimoine.dettes[].nature",),),
}
# What is mostly told where a topic is; the rest of the record is told less.
BRANCHES = {
    "famille_recomposee": ("famille.enfants", "famille.beaux_enfants", "famille.unions", "famille.nombre_enfants"),
    "donations_reduction": ("liberalites.donations", "liberalites.reserve", "operations_de_partage.rapport"),
    "assurance_vie": ("assurance_vie",),
    "indivision_partage": (
        "indivision",
        "operations_de_partage.partage",
        "operations_de_partage.lots",
        "operations_de_partage.soulte",
        "operations_de_partage.attribution",
    ),
    "ordre_heritiers": ("famille.fratrie", "famille.petits", "famille.parents", "famille.autres", "famille.enfants"),
    "regimes_matrimoniaux": ("famille.conjoint", "operations_de_partage.liquidation", "patrimoine.biens[].qualif"),
    "entreprise_dutreil": ("patrimoine.entreprise",),
    "testament_legs": ("liberalites.testament", "liberalites.legs", "liberalites.reserve"),
    "international_procedure": ("contexte.international", "contexte.procedure", "patrimoine.biens[].pays"),
    "pacs_concubinage": ("famille.partenaire_pacs", "famille.concubin"),
    "demembrement_usufruit": ("patrimoine.demembrement", "famille.conjoint.option", "liberalites.donation_entre"),
    "dettes_passif": ("patrimoine.dettes", "patrimoine.passif", "patrimoine.actif", "operations_de_partage.options"),
}
OFTEN = {
    "famille.defunt.nom": 14,
    "famille.defunt.date_deces": 10,
    "famille.defunt.annee_deces": 10,
    "famille.defunt.situation": 4,
    "contexte.demandeur.nom": 9,
    "contexte.objet_demande": 3,
    "famille.conjoint.nom": 5,
    "famille.partenaire_pacs.nom": 6,
    "famille.concubin.nom": 6,
    "famille.enfants[].nom": 4,
    "famille.nombre_enfants": 4,
    "contexte.domaine": 0.2,
}
# Where a role's own list stands: who asks is mostly in it.
ROLES = {
    "enfant": "famille.enfants[].nom",
    "petit_enfant": "famille.petits_enfants[].nom",
    "beau_enfant": "famille.beaux_enfants[].nom",
    "fratrie": "famille.fratrie[].nom",
    "associe": "patrimoine.entreprise.associe",
    "tiers": "famille.autres_proches[].nom",
}
# A leaf that says little, or says another thing, without these.
WITH: dict[str, tuple[str, ...]] = {
    "famille.enfants[].nom": ("famille.enfants[].decede", "famille.enfants[].renoncant"),
    "famille.petits_enfants[].represente_son_parent": ("famille.petits_enfants[].parent",),
    "famille.parents.pere": ("famille.parents.pere_vivant",),
    "famille.parents.mere": ("famille.parents.mere_vivante",),
    "famille.parents.pere_vivant": ("famille.parents.mere_vivante",),
    "famille.parents.mere_vivante": ("famille.parents.pere_vivant",),
    "famille.conjoint.nom": ("famille.conjoint.separation_de_fait",),
    "famille.unions_precedentes[].nom": ("famille.unions_precedentes[].nature",),
    "famille.unions_precedentes[].annee_fin": ("famille.unions_precedentes[].fin",),
    "famille.fratrie[].nom": ("famille.fratrie[].decede", "famille.fratrie[].lien"),
    "famille.autres_proches[].nom": ("famille.autres_proches[].lien",),
    "contexte.international.valeur_biens_etranger": ("contexte.international.pays_des_biens",),
    "contexte.international.heritier_a_l_etranger": ("contexte.international.pays_residence_heritier",),
    "contexte.international.pays_residence_heritier": ("contexte.international.heritier_a_l_etranger",),
    "contexte.international.biens_a_l_etranger": ("contexte.international.pays_des_biens",),
    "contexte.procedure.ville_tribunal": ("contexte.procedure.tribunal_saisi",),
    "contexte.procedure.date_assignation": ("contexte.procedure.nature",),
    "liberalites.testament.motif_contestation": ("liberalites.testament.conteste",),
    "liberalites.legs[].beneficiaire": ("liberalites.legs[].en_usufruit", "liberalites.legs[].objet"),
    "liberalites.legs_association.montant": ("liberalites.legs_association.denomination",),
    "liberalites.legs_association.part": ("liberalites.legs_association.denomination",),
    "liberalites.donations[].donataire": ("liberalites.donations[].objet",),
    "liberalites.donation_entre_epoux.date": ("liberalites.donation_entre_epoux.existe",),
    "liberalites.donation_entre_epoux.annee": ("liberalites.donation_entre_epoux.existe",),
    "liberalites.reserve.indemnite_de_reduction": ("liberalites.reserve.depassement",),
    "assurance_vie.contrats[].beneficiaires[].part": ("assurance_vie.contrats[].beneficiaires[].nom",),
    "patrimoine.biens[].nature": ("patrimoine.biens[].pays",),
    "patrimoine.biens[].loyer_mensuel": ("patrimoine.biens[].loue",),
    "patrimoine.comptes[].retraits_suspects": ("patrimoine.comptes[].procuration",),
    "patrimoine.entreprise.agrement_refuse": ("patrimoine.entreprise.clause_d_agrement",),
    "patrimoine.entreprise.engagement": ("patrimoine.entreprise.pacte_dutreil",),
    "patrimoine.entreprise.date_engagement": ("patrimoine.entreprise.engagement",),
    "patrimoine.entreprise.annee_engagement": ("patrimoine.entreprise.engagement",),
    "patrimoine.demembrement.usufruitier": ("patrimoine.demembrement.bien",),
    "patrimoine.demembrement.age_usufruitier": ("patrimoine.demembrement.usufruitier",),
    "patrimoine.demembrement.part_usufruit": ("patrimoine.demembrement.usufruitier",),
    "patrimoine.demembrement.valeur_usufruit": ("patrimoine.demembrement.usufruitier",),
    "patrimoine.demembrement.valeur_pleine_propriete": ("patrimoine.demembrement.bien",),
    "patrimoine.demembrement.origine": ("patrimoine.demembrement.usufruitier",),
    "patrimoine.demembrement.creance_de_restitution": ("patrimoine.demembrement.quasi_usufruit",),
    "patrimoine.demembrement.quasi_usufruit": ("patrimoine.demembrement.usufruitier", "patrimoine.demembrement.bien"),
    "indivision.commune_du_bien": ("indivision.bien",),
    "indivision.valeur_du_bien": ("indivision.bien",),
    "indivision.occupant": ("indivision.bien",),
    "indivision.occupation_privative": ("indivision.occupant",),
    "indivision.indemnite_occupation_mensuelle": ("indivision.occupant",),
    "indivision.duree_occupation_mois": ("indivision.occupant",),
    "indivision.depenses_avancees": ("indivision.depenses_payees_par",),
    "indivision.depenses_payees_par": ("indivision.depenses_avancees",),
    "indivision.gerant": ("indivision.bien",),
    "indivision.date_debut": ("indivision.existe",),
    "indivision.majorite_des_deux_tiers": ("indivision.vente_souhaitee",),
    "operations_de_partage.options[].heritier": ("operations_de_partage.options[].option",),
    "operations_de_partage.acte_de_notoriete.date": ("operations_de_partage.acte_de_notoriete.etabli",),
    "operations_de_partage.declaration.date_depot": ("operations_de_partage.declaration.deposee",),
    "operations_de_partage.liquidation_du_regime.montant_recompense": (
        "operations_de_partage.liquidation_du_regime.recompense_due_par",
    ),
    "operations_de_partage.partage.mise_a_prix": ("operations_de_partage.partage.licitation",),
    "operations_de_partage.partage.date": ("operations_de_partage.partage.nature",),
    "operations_de_partage.rapport.montant": ("operations_de_partage.rapport.heritier_tenu",),
    "operations_de_partage.recel.montant": ("operations_de_partage.recel.auteur",),
    "operations_de_partage.recel.auteur": ("operations_de_partage.recel.allegue",),
    "operations_de_partage.soulte.montant": ("operations_de_partage.soulte.debiteur",),
    "operations_de_partage.soulte.creancier": ("operations_de_partage.soulte.debiteur",),
    "operations_de_partage.attribution_preferentielle.bien": (
        "operations_de_partage.attribution_preferentielle.demandeur",
    ),
    "operations_de_partage.attribution_preferentielle.accordee": (
        "operations_de_partage.attribution_preferentielle.demandeur",
        "operations_de_partage.attribution_preferentielle.bien",
    ),
}
# Who somebody is: told of everybody whom the record names.
INTRODUCTIONS = (
    "contexte.demandeur.nom",
    "contexte.nom_notaire",
    "famille.defunt.nom",
    "famille.conjoint.nom",
    "famille.partenaire_pacs.nom",
    "famille.concubin.nom",
    "famille.enfants[].nom",
    "famille.petits_enfants[].nom",
    "famille.beaux_enfants[].nom",
    "famille.fratrie[].nom",
    "famille.autres_proches[].nom",
    "patrimoine.entreprise.associe",
)
ANCHORS = {  # what is known by its name, beside the items of lists that the schema says
    "patrimoine.entreprise": ("denomination",),
    "liberalites.donations[]": ("donataire",),
    "assurance_vie.contrats[]": ("assureur",),
}
# What only a death settles: not told where it is not sure that there was one.
AFTER_A_DEATH = (
    "famille.defunt.",
    "famille.conjoint.option",
    "famille.conjoint.part",
    "famille.enfants[].renoncant",
    "famille.petits_enfants[].represente",
    "contexte.succession_ouverte",
    "contexte.etape",
    "contexte.objet_demande",
    "contexte.procedure",
    "contexte.international.pays_residence_defunt",
    "contexte.international.loi_applicable",
    "liberalites.legs[].delivrance",
    "liberalites.donations[].valeur_au_deces",
    "liberalites.donations[].reduction",
    "liberalites.donation_entre_epoux.option",
    "liberalites.reserve",
    "assurance_vie.contrats[].capital",
    "assurance_vie.contrats[].regime",
    "patrimoine.actif",
    "patrimoine.passif",
    "patrimoine.comptes[].solde",
    "patrimoine.dettes[].decouverte",
    "patrimoine.entreprise.engagement",
    "patrimoine.entreprise.date_engagement",
    "patrimoine.entreprise.agrement",
    "patrimoine.demembrement.origine",
    "indivision.date_debut",
    "indivision.duree",
    "indivision.indemnite",
    "operations_de_partage.acte",
    "operations_de_partage.inventaire",
    "operations_de_partage.options",
    "operations_de_partage.declaration",
    "operations_de_partage.rapport",
    "operations_de_partage.recel",
    "operations_de_partage.partage",
    "operations_de_partage.lots",
    "operations_de_partage.soulte",
    "operations_de_partage.attribution",
)
KEY_FACTS = (  # what one would ask for first, missing where the case is incomplete
    "famille.defunt.date",
    "famille.defunt.annee",
    "famille.defunt.age",
    "famille.defunt.situation",
    "famille.nombre",
    "famille.enfants[].filiation",
    "famille.enfants[].date",
    "famille.conjoint.regime",
    "famille.conjoint.contrat",
    "famille.conjoint.date_mariage",
    "famille.conjoint.annee_mariage",
    "liberalites.donations[].date",
    "liberalites.donations[].annee",
    "liberalites.testament.date",
    "liberalites.testament.annee",
    "liberalites.legs[].part",
    "assurance_vie.contrats[].regime",
    "assurance_vie.contrats[].age",
    "assurance_vie.contrats[].date",
    "assurance_vie.contrats[].annee",
    "patrimoine.actif",
    "patrimoine.passif",
)


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
    def topics(self) -> list[str]:
        return [topic for topic in (self.topic, self.second_topic) if topic]


def contradictions(record: Record, dimensions: Dimensions) -> list[Contradiction]:
    """What the text of a target tells in two ways; nothing but for the mode faits_contradictoires."""
    if dimensions.hard_negative_mode != "faits_contradictoires":
        return []
    return contradict(record, dimensions.amounts, dimensions.dates, dimensions.signature())


def on_topic(record: Record, topic: str) -> bool:
    """Whether the record holds what makes the topic."""
    leaves = flatten(record)
    there = {path_of(place) for place in leaves}
    there |= {f"{path_of(place)}={value}" for place, value in leaves.items()}
    return any(all(path in there for path in group) for group in TOPICS[topic])


def leaf_range(dimensions: Dimensions) -> tuple[int, int]:
    """Fewest and most leaves of a target: by complexity, and no more than a text of the length can say."""
    if dimensions.hard_negative_mode == "hors_perimetre":
        return FEW
    low, high = LEAVES[dimensions.complexity]
    high = min(high, MOST[dimensions.length])
    return min(low, high - 4), high


def unfit(record: Record, dimensions: Dimensions, master: Master) -> list[str]:
    """Why the record is no target of these dimensions; nothing when it is one."""
    leaves = flatten(record)
    kinds = [master.leaves[path].kind for place in leaves if (path := path_of(place)) in master.leaves]
    amounts, dates, years = (kinds.count(kind) for kind in ("montant", "date", "annee"))
    low, high = leaf_range(dimensions)
    out_of_scope = dimensions.hard_negative_mode == "hors_perimetre"
    found = [*master.problems(record), *(f"{name}: {wrong}" for name, wrong in broken(record).items())]
    if not low <= len(leaves) <= high:
        found.append(f"{len(leaves)} leaves, not {low} to {high}")
    if not out_of_scope:
        found += [f"not about {topic}" for topic in dimensions.topics if not on_topic(record, topic)]
    least, most = {"sans_montant": (0, 0), "un_montant": (1, 1)}.get(dimensions.amounts, (2, high))
    if not (0 if out_of_scope else least) <= amounts <= most:
        found.append(f"{amounts} amounts for {dimensions.amounts}")
    if dimensions.dates == "exactes" and not dates and not out_of_scope:
        found.append("no date")
    if (dimensions.dates != "exactes" and dates) or (dimensions.dates == "aucune" and years):
        found.append(f"{dates} dates and {years} years for {dimensions.dates}")
    if dimensions.dates == "approximatives" and not out_of_scope and not {"annee", "age", "duree"} & set(kinds):
        found.append("no year, no age")
    if dimensions.hard_negative_mode == "faits_contradictoires" and not contradictions(record, dimensions):
        found.append("nothing to contradict")
    if dimensions.hard_negative_mode == "pas_de_deces_clair" and "defunt" in record.get("famille", {}):
        found.append("a deceased")
    return found


def draw_target(dimensions: Dimensions, master: Master, rng: random.Random) -> Record:
    """A sparse record for a case of these dimensions: valid, coherent, on topic, of the size asked for.

    The same for the same dimensions and state of `rng`. Raises RuntimeError when none of many draws
    fits, which would be a fault of this module.
    """
    for _ in range(TRIES):
        record = _Selection(dimensions, master, rng).record()
        wrong = unfit(record, dimensions, master)
        if not wrong:
            return record
    raise RuntimeError(f"no target for {dimensions.signature()}: {'; '.join(wrong)}")


class _Selection:
    """Which leaves of a world a target keeps."""

    def __init__(self, dimensions: Dimensions, master: Master, rng: random.Random) -> None:
        self.dimensions, self.master, self.rng = dimensions, master, rng
        self.mode = dimensions.hard_negative_mode
        self.world = draw_world(dimensions.persona, dimensions.topics, rng)
        self.leaves = self._with_dates(flatten(self.world))
        self.groups = [] if self.mode == "hors_perimetre" else [self._group(topic) for topic in dimensions.topics]
        self.beside: str | None = None  # a leaf to tell beside the fact that is contradicted
        self._leave_out()
        self.columns: dict[str, list[str]] = {}
        for place in self.leaves:
            self.columns.setdefault(path_of(place), []).append(place)
        self.anchors = {path: self._anchors(path) for path in self.columns}
        self.introduced: dict[str, list[str]] = {}  # name → the places that say who it is
        for path in INTRODUCTIONS:
            for place in self.columns.get(path, ()):
                self.introduced.setdefault(self.leaves[place], []).append(place)
        self.kept: set[str] = set()

    def _with_dates(self, leaves: dict[str, Any]) -> dict[str, Any]:
        """Dates as the dimension wants them; some exact ones become years all the same."""
        wanted = self.dimensions.dates
        as_year: dict[str, bool] = {}
        found = {}
        for place, value in leaves.items():
            leaf = self.master.leaves[path_of(place)]
            if wanted == "aucune" and leaf.kind in ("date", "annee"):
                continue
            if leaf.kind != "date" or wanted == "aucune":
                found[place] = value
                continue
            above, name = place.rsplit(".", 1)
            year = f"{above}.{name.replace('date', 'annee', 1)}"
            has_year = path_of(year) in self.master.leaves
            is_death = leaf.path == "famille.defunt.date_deces"
            turns = as_year.setdefault(leaf.path, has_year and not is_death and self.rng.random() < 0.25)
            if wanted == "approximatives" or turns:
                if has_year:
                    found[year] = int(value[:4])
            else:
                found[place] = value
        return found

    def _group(self, topic: str) -> tuple[str, ...]:
        """The paths that make the topic here, drawn among what the world has."""
        there = {path_of(place) for place in self.leaves if not self._is_left_out(place)}
        values = {f"{path_of(place)}={value}" for place, value in self.leaves.items()}
        fitting = [
            group
            for group in TOPICS[topic]
            if all(path.split("=")[0] in there and ("=" not in path or path in values) for path in group)
        ]
        chosen = self.rng.choice(fitting) if fitting else ()
        return tuple(path.split("=")[0] for path in chosen)

    def _is_left_out(self, place: str) -> bool:
        if self.mode != "pas_de_deces_clair":
            return False
        gone = self.world["famille"]["defunt"]["nom"]
        return path_of(place).startswith(AFTER_A_DEATH) or self.leaves[place] == gone

    def _leave_out(self) -> None:
        """Takes from the leaves what a hard negative does not tell, never what makes a topic."""
        made = {path for group in self.groups for path in group}
        if self.mode == "pas_de_deces_clair":
            self.leaves = {place: value for place, value in self.leaves.items() if not self._is_left_out(place)}
        elif self.mode == "infos_incompletes":
            self._drop([place for place in self.leaves if path_of(place).startswith(KEY_FACTS)], made)
            if self.rng.random() < 0.5:
                self._drop(["famille.defunt.nom"], made)
        elif self.mode == "faits_contradictoires":
            twice = [place for place in CONTRADICTED if place in self.leaves and path_of(place) not in made]
            if twice:
                place = self.rng.choice(twice)
                gone = (place, *CONTRADICTED[place])
                self._drop([other for other in self.leaves if path_of(other).startswith(gone) or other == place], made)
                self.beside = "famille.enfants[].nom" if place == "famille.nombre_enfants" else self._beside(place)
        elif self.mode == "hors_perimetre":
            asked = ("contexte.demandeur.nom", "contexte.demandeur.age", "contexte.demandeur.commune")
            told = (*asked, "contexte.date_consultation", "contexte.conflit", "contexte.avocat_saisi")
            self.leaves = {place: value for place, value in self.leaves.items() if place in told}
            self.leaves["contexte.domaine"] = self.rng.choice(OTHER_DOMAINS)

    def _drop(self, places: Iterable[str], made: set[str]) -> None:
        for place in places:
            if path_of(place) not in made:
                self.leaves.pop(place, None)

    def _beside(self, place: str) -> str | None:
        near = [path_of(other) for other in self.leaves if _above(path_of(other)) == _above(path_of(place))]
        named = [path for path in near if path.endswith((".nom", ".existe", ".nature", ".donataire"))]
        return (named or near or [None])[0]

    def record(self) -> Record:
        low, high = leaf_range(self.dimensions)
        size = self.rng.randint(low, high)
        self._thin_amounts()
        must = [path for group in self.groups for path in group]
        must += ["contexte.domaine"] if self.mode == "hors_perimetre" else ["contexte.demandeur.qualite"]
        must += [self.beside] if self.beside else []
        must += ["patrimoine.entreprise.denomination"] if self.dimensions.persona == "associe" else []
        for path in [*must, *self._needed_amounts(), *self._needed_date()]:
            self._keep(path)
        for path in self._in_order():
            if len(self.kept) >= size:
                break
            grown = self.kept | self._closure(path)
            if len(grown) <= size:
                self.kept = grown
        self._vary(low)
        return _nested({place: self.leaves[place] for place in self.leaves if place in self.kept}, self.master)

    def _thin_amounts(self) -> None:
        """None or one amount where that is asked for; the one belongs to a topic if it can."""
        amounts = self._places_of("montant")
        wanted = {"sans_montant": 0, "un_montant": 1}.get(self.dimensions.amounts)
        if wanted is None:
            return
        near = [place for place in amounts if self._branch_weight(path_of(place)) > 1]
        keep = self.rng.choice(near or amounts) if wanted and amounts else None
        for place in amounts:
            if place != keep:
                del self.leaves[place]
        self.columns = {
            path: [place for place in places if place in self.leaves] for path, places in self.columns.items()
        }
        self.columns = {path: places for path, places in self.columns.items() if places}

    def _needed_amounts(self) -> list[str]:
        """Columns of at least as many amounts as asked for, the topics' first."""
        least = {"sans_montant": 0, "un_montant": 1}.get(self.dimensions.amounts, 2)
        columns = sorted({path_of(place) for place in self._places_of("montant")})
        self.rng.shuffle(columns)
        columns.sort(key=self._branch_weight, reverse=True)
        chosen: list[str] = []
        while columns and sum(len(self.columns[path]) for path in chosen) < least:
            chosen.append(columns.pop(0))
        return chosen

    def _needed_date(self) -> list[str]:
        """A column of dates, or of years where these are asked for: mostly that of the death."""
        wanted = {"exactes": ("date",), "approximatives": ("annee", "age", "duree")}.get(self.dimensions.dates, ())
        columns = sorted({path_of(place) for kind in wanted for place in self._places_of(kind)})
        if not columns:
            return []
        died = [path for path in columns if path in ("famille.defunt.date_deces", "famille.defunt.annee_deces")]
        if died and self.rng.random() < 0.8:
            return died
        near = [path for path in columns if self._branch_weight(path) > 1]
        return [self.rng.choice(near or columns)]

    def _places_of(self, kind: str) -> list[str]:
        return [place for place in self.leaves if self.master.leaves[path_of(place)].kind == kind]

    def _branch_weight(self, path: str) -> float:
        return 6 if any(path.startswith(BRANCHES[topic]) for topic in self.dimensions.topics) else 1

    def _in_order(self) -> list[str]:
        """All columns, likelier ones first (weighted sampling without replacement, Efraimidis and Spirakis)."""
        opened = {_above(path) for group in self.groups for path in group}
        role = ROLES.get(self.dimensions.persona)

        def weight(path: str) -> float:
            near = 1.0 if path.startswith(("contexte", "famille")) or _above(path) in opened else 0.4
            return max(OFTEN.get(path, near), self._branch_weight(path), 5 if path == role else 0)

        keys = {path: self.rng.random() ** (1 / weight(path)) for path in self.columns}
        if "contexte.domaine" in keys and self.mode != "hors_perimetre":
            keys["contexte.domaine"] = self.rng.random() ** 5
        return sorted(keys, key=keys.__getitem__, reverse=True)

    def _keep(self, path: str) -> None:
        self.kept |= self._closure(path)

    def _closure(self, path: str) -> set[str]:
        """The column's places, and those that must stand with them."""
        found: set[str] = set()
        waiting = list(self.columns.get(path, []))
        while waiting:
            place = waiting.pop()
            if place in found:
                continue
            found.add(place)
            path, above = path_of(place), _above(place)
            for anchor in self.anchors[path]:
                # All items of a list are told, not those alone that have the leaf.
                waiting += self.columns.get(anchor, []) if path not in INTRODUCTIONS else []
            for other in WITH.get(path, ()):
                twin = f"{above}.{other.rsplit('.', 1)[1]}"
                waiting += [twin] if twin in self.leaves else []
            waiting += self.introduced.get(self.leaves[place], ()) if self.master.leaves[path].kind == "nom" else ()
        return found

    def _anchors(self, path: str) -> list[str]:
        parts = path.split("[]")
        lists = ["[]".join(parts[:count]) + "[]" for count in range(1, len(parts))]
        known = {at: (*self.master.identities.get(at, ()), *ANCHORS.get(at, ())) for at in (*lists, _above(path))}
        return [f"{at}.{name}" for at, names in known.items() for name in names]

    def _vary(self, low: int) -> None:
        """Sometimes a detail is told of some items of a list only."""
        sparing = {path for paths in WITH.values() for path in paths} | {
            path for group in self.groups for path in group
        }
        for path, places in self.columns.items():
            told = [place for place in places if place in self.kept]
            if len(told) < 2 or path in sparing or path in self.anchors[path]:
                continue
            may_vary = self.master.leaves[path].kind not in ("montant", "date", "part")
            if may_vary and len(self.kept) > low and self.rng.random() < 0.12:
                self.kept.discard(self.rng.choice(told))


def _above(path: str) -> str:
    return path.rsplit(".", 1)[0]


def _nested(leaves: dict[str, Any], master: Master) -> Record:
    """The record of some places: in the schema's order, the items of lists moved together."""
    record: Record = {}
    for place, value in leaves.items():
        *above, name = place.split(".")
        node: Any = record
        for step in above:
            key, _, index = step.partition("[")
            node = node.setdefault(key, {})
            node = node.setdefault(int(index[:-1]), {}) if index else node
        node[name] = value
    return _in_schema_order(record, master.schema)


def _in_schema_order(node: Any, schema: dict[str, Any]) -> Any:
    if schema["type"] == "object":
        return {
            name: _in_schema_order(node[name], below) for name, below in schema["properties"].items() if name in node
        }
    if schema["type"] == "array":
        return [_in_schema_order(node[index], schema["items"]) for index in sorted(node)]
    return node
