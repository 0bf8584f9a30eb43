"""The offline writer: a French case for a record, by the frames of writer.yaml.

It says every leaf, several in a sentence where a frame joins them, in one of three voices: somebody of the family
speaks (`je`), somebody else does (`il`), or a note is kept. Nothing fills a text up: its length is that of its facts,
and of a few distractors, true sentences that are no facts of the record. The same text for the same random state.
"""

import random
import re
from typing import Any

from tuneline.language.words import MONTHS

from ..records.reading import get
from ..records.schema import Master, Record, path_of
from . import people
from .checks import faults
from .dimensions import Dimensions, contradictions
from .form import Form
from .frames import filled
from .french import elided, in_words, joined
from .noise import add_noise, keep
from .voice import COUPLE, CannotWrite

TRIES = 25
QUALITIES = {  # what the one who asks is, with « du défunt » after it
    "enfant": ("un fils", "une fille"), "conjoint": ("le mari", "la femme"),
    "beau_enfant": ("un beau-fils", "une belle-fille"),
    "fratrie": ("un frère", "une sœur"), "petit_enfant": ("un petit-fils", "une petite-fille"),
    "partenaire_pacs": ("le partenaire de PACS", "la partenaire de PACS"), "concubin": ("le compagnon", "la compagne"),
    "associe": ("un associé", "une associée"), "neveu_ou_niece": ("un neveu", "une nièce"),
    "parent": ("le père", "la mère"), "ex_conjoint": ("l'ancien mari", "l'ancienne femme"),
    "legataire": ("un légataire", "une légataire"),
    "creancier": ("un créancier", "une créancière"), "tiers": ("un voisin", "une voisine"),
    "notaire": ("le notaire", "la notaire"), "avocat": ("l'avocat", "l'avocate"),
    "narrateur_neutre": ("une connaissance", "une connaissance"),
}  # fmt: skip
GROUPS = {  # a leaf of several children
    ("filiation", "premier_lit"): ("d'un premier mariage", "d'un premier lit"),
    ("filiation", "hors_mariage"): ("nés hors mariage", "nés hors mariage"),
    ("commun_avec_survivant", True): ("nés de ce mariage", "enfants communs"),
}  # fmt: skip
AFFAIRS = (
    ("patrimoine", "patrimoine.biens", "patrimoine.comptes", "patrimoine.dettes"),
    ("liberalites.donations", "liberalites.donation_entre_epoux", "liberalites.reserve",
     "operations_de_partage.rapport"),
    ("liberalites", "liberalites.testaments"), ("assurance_vie", "assurance_vie.contrats"), ("patrimoine.entreprise",),
    ("patrimoine.demembrement",), ("indivision",), ("operations_de_partage.liquidation_du_regime",),
    ("operations_de_partage.acte_de_notoriete", "operations_de_partage.options", "operations_de_partage",
     "operations_de_partage.declaration"),
    ("operations_de_partage.recel", "operations_de_partage.partage", "operations_de_partage.lots",
     "operations_de_partage.soulte", "operations_de_partage.attribution_preferentielle"),
    ("contexte", "contexte.procedure"), ("contexte.international",),
)  # fmt: skip
KIN = (
    "famille.petits_enfants",
    "famille.beaux_enfants",
    "famille.parents",
    "famille",
    "famille.fratrie",
    "famille.autres_proches",
)
DIED = ("nom", "date_deces", "annee_deces", "age_au_deces", "commune_deces", "date_naissance")
ASIDES = {"court": (0, 0, 0, 1), "moyen": (0, 0, 1, 1, 2), "long": (0, 1, 1, 2, 3), "tres_long": (1, 2, 3, 4)}
OBJECTS = "objet_demande succession_ouverte qualite".split()


def write_case(target: Record, dimensions: Dimensions, master: Master, rng: random.Random) -> str:
    """A text that says every fact of the target. Raises CannotWrite when none of many tries does."""
    said: list[str] = []
    for _ in range(TRIES):
        text = _Case(target, dimensions, master, rng).text()
        text = add_noise(text, dimensions.noise, rng)
        said = [f"{reason}: {detail}" for reason, detail in faults(text, target, master)]
        if not said:
            return text
    raise CannotWrite(f"{dimensions.signature()}: {'; '.join(said)}")


class _Case(Form):
    """One try."""

    def text(self) -> str:
        if domain := get(self.record, "contexte.domaine"):
            return self._out_of_scope(domain)
        intro, question = self._intro(), self._question()
        groups = [intro, *self._family(), *self._affairs()]
        self._add_asides(groups)
        body = [group if group is intro else self._merged(group) for group in groups if group]
        return self._laid_out(body, question)

    def _out_of_scope(self, domain: str) -> str:
        rng = self.rng
        slots = {
            "n": str(rng.randint(2, 9)), "mois": rng.choice(MONTHS["fr"]), "nom": rng.choice(people.SURNAMES),
            "petit": str(rng.randint(6, 95) * 10), "ville": rng.choice(people.COMMUNES),
        }  # fmt: skip
        said = filled(self._choose(rng.choice(self.words.rest["other_domains"][domain])), slots)
        said = elided(said)
        if self.of.form == "mail_brouillon":
            return f"{self._pick('openings', 'mail_brouillon')}\n\n{said}\n\n{self._pick('closings', 'mail_brouillon')}"
        if self.of.form == "oral_retranscrit":
            return f"{self._pick('openings', 'oral_retranscrit')} {said}".strip()
        return said

    def _intro(self) -> list[str]:
        rest, said = self.words.rest["intro"], []
        asker = dict(get(self.record, "contexte.demandeur") or {})
        open_ = get(self.record, "contexte.succession_ouverte")
        signs = self.of.form == "mail_brouillon" and self.rng.random() < 0.6
        self.signature = self.asker if signs and self.speaks else None
        if self.signature:
            asker.pop("nom", None)
        asker = {name: value for name, value in asker.items() if name not in OBJECTS}
        if not self.speaks and self.persona not in ("notaire", "avocat", "narrateur_neutre"):
            name = self._person(asker.pop("nom")) if "nom" in asker else None
            key = "note" if self.is_note else self.of.voice if self.of.voice in rest else "troisieme_personne"
            said.append(self._filled_text(self.rng.choice(rest[key]), {"qui": self._who(name), "Qui": self._who(name)}))
        elif not self.speaks and self.persona in rest["pro"] and not self.is_note:
            said.append(self.rng.choice(rest["pro"][self.persona]))
        deceased = self._node("famille.defunt", get(self.record, "famille.defunt") or {})
        if self.alive:
            if self.persona == "disposant" and self.asker:
                deceased.pop("nom", None)
                self.told.add(self.asker)
            if self.persona == "disposant" and self.speaks:
                said.append(self.rng.choice(rest["preparer"]))
            elif open_ is False:
                said.append(self.rng.choice(rest["vivant"]))
            else:
                said.append(self._filled_text(self.rng.choice(rest["inconnu"]), {}))
        died = {name: value for name, value in deceased.items() if name in DIED}
        first = self._cover("famille.defunt", died)
        if self.speaks and self.persona in ("creancier", "legataire", "tiers"):
            first.insert(1, self._filled_text(self.rng.choice(rest[self.persona]), {}))
        mine = self._cover("contexte.demandeur", asker)
        parts = [mine, first] if self.rng.random() < 0.3 or self.persona == "disposant" else [first, mine]
        said += [one for part in parts for one in part]
        said += self._cover("famille.defunt", {n: v for n, v in deceased.items() if n not in died})
        return said + self._twice()

    def _who(self, name: str | None) -> str:
        quality = QUALITIES.get(self.persona, ("une personne", "une personne"))[self.asker_sex == "f"]
        if self.persona == "disposant":
            return name or "une personne qui prépare sa succession"
        about = "de la défunte" if self.sex == "f" else "du défunt"
        about = "de la personne dont il s'agit" if self.alive else about
        return f"{name}, {re.sub('^(un|une|le|la) ', '', quality)} {about}," if name else f"{quality} {about}"

    def _family(self) -> list[list[str]]:
        couple = [one for path in COUPLE for one in self._group(path)]
        couple += self._group("famille.unions_precedentes")
        return [couple, self._children(), [one for path in KIN for one in self._group(path)]]

    def _affairs(self) -> list[list[str]]:
        affairs = list(AFFAIRS)
        self.rng.shuffle(affairs)
        groups = [[one for path in paths for one in self._group(path)] for paths in affairs]
        return [group for group in groups if group]

    def _question(self) -> str:
        asked = get(self.record, "contexte.objet_demande") or "none"
        own = {"conjoint": "droits_du_conjoint", "partenaire_pacs": "droits_du_partenaire_ou_concubin",
               "concubin": "droits_du_partenaire_ou_concubin", "beau_enfant": "droits_des_beaux_enfants"}  # fmt: skip
        told = self.words.rest["questions"]
        if self.speaks and own.get(self.persona) == asked:
            return self._choose(told[f"{asked}_moi"][0])
        return self._choose(told[asked][2 if self.is_note else 0 if self.speaks else 1])

    def _twice(self) -> list[str]:
        """What is told in two ways."""
        said = []
        for one in contradictions(self.record, self.of):
            words = self.words.rest["contradicted"][path_of(one.place)]
            first, second = (
                self._filled_text(words, {"x": self._of_two(one.place, x)}) for x in (one.first, one.second)
            )
            said.append(filled(self.rng.choice(self.words.rest["contradictions"]), {"first": first, "second": second}))
        return said

    def _of_two(self, place: str, value: Any) -> str:
        path = path_of(place)
        if path == "famille.nombre_enfants":
            return keep(
                "un seul enfant" if value == 1 else "pas d'enfant" if not value else f"{in_words(value)} enfants"
            )
        return self._said(path, value, "nu")

    def _add_asides(self, groups: list[list[str]]) -> None:
        """Distractors among the groups, and sometimes a pronoun of which one cannot tell whom it means."""
        rng, rest = self.rng, self.words.rest
        kinds = ["note"] if self.is_note else ["autre", "doute", "souhait"] if self.speaks else ["tiers"]
        pool = [one for kind in kinds for one in rest["distractors"][kind]]
        for words in rng.sample(pool, rng.choice(ASIDES[self.of.length])):
            rng.choice(groups[1:]).append(self._filled_text(words, self._strangers()))
        named = sorted(self.told - {self.asker, self.deceased})
        if self.of.noise == "ambigu" and len(named) > 1:
            one, other = rng.sample(named, 2)
            if people.sex_of(one) == people.sex_of(other):
                slots = {"a": keep(one.split(" ")[0]), "b": keep(other.split(" ")[0])}
                rng.choice(groups[1:]).append(filled(rng.choice(rest["ambiguous"]), slots))

    def _strangers(self) -> dict[str, str]:
        rng = self.rng
        parent = rng.choice(("un cousin", "ma belle-mère", "une tante", "un oncle", "ma belle-sœur", "une collègue"))
        return {
            "parent": parent, "Parent": parent, "ville": keep(rng.choice(people.COMMUNES)),
            "n": str(rng.randint(3, 18)), "annee": str(rng.randint(1996, 2018)),
            "euros": keep(self._amount(rng.randint(3, 90) * 1000)),
            "frais": keep(self._amount(rng.randint(8, 45) * 100)),
            "prenom": keep(rng.choice(people.WOMEN[1955] + people.MEN[1955])),
        }  # fmt: skip

    def _is_implied(self, item: Any) -> bool:
        """The one who asks, of whom nothing more is told than the intro does."""
        if not isinstance(item, dict) or not self.asker or item.get("nom") != self.asker:
            return False
        return set(item) <= {"nom", "lien"} or (set(item) == {"nom", "nature", "fin"} and item["fin"] == "divorce")

    def _group(self, path: str) -> list[str]:
        node = get(self.record, path)
        self.named_last = self.named_last and self.rng.random() < 0.5
        if isinstance(node, dict):
            return self._cover(path, self._node(path, node))
        if isinstance(node, list):
            at, node = f"{path}[]", [item for item in node if not self._is_implied(item)]
            if not node:
                return []
            if "wrap" in self.words.items.get(at, {}):
                return self._wrapped(at, node)
            return [one for item in node for one in self._cover(at, dict(item))]
        return []

    def _node(self, path: str, node: Record) -> Record:
        """Its own leaves, and its lists of things that are said in it; without what goes without saying."""
        lists = {n for n, v in node.items() if "wrap" not in self.words.items.get(f"{path}.{n}[]", {"wrap": 1})}
        kept = {n: v for n, v in node.items() if n in lists or not isinstance(v, dict | list)}
        if path == "contexte":
            pro = {"notaire": "notaire_saisi", "avocat": "avocat_saisi"}.get(self.persona)
            gone = {*OBJECTS, pro, *(["conflit"] if self.of.form == "message_conflictuel" else [])}
            kept = {n: v for n, v in kept.items() if n not in gone and not (n == "etape" and v == "anticipation")}
            return {n: v for n, v in kept.items() if n != "domaine"}
        if path == "liberalites" and get(self.record, "liberalites.testaments"):
            kept.pop("testament", None)
        if path == "famille":
            return {n: v for n, v in kept.items() if n == "nombre_freres_et_soeurs"}
        if path == "famille.defunt":
            spouse, partner, other = (get(self.record, path) or {} for path in COUPLE)
            says_so = set("nom date_mariage annee_mariage date_pacs annee_pacs duree_vie_commune annee_debut".split())
            if kept.get("etat_civil") == "marie" and says_so & set(self._node("famille.conjoint", spouse)):
                kept.pop("etat_civil")
            if kept.get("vie_de_couple") and says_so & (
                set(self._node("famille.partenaire_pacs", partner)) | set(self._node("famille.concubin", other))
            ):
                kept.pop("vie_de_couple")
            if self.persona == "ex_conjoint" and self.speaks and kept.get("etat_civil") == "divorce":
                kept.pop("etat_civil")
        if self._is_me(path, node) and node.get("nom") == self.asker:
            kept.pop("nom", None)
        if path == "famille.parents" and self._is_me(path, node) and node.get("mere") == self.asker:
            kept.pop("mere", None)
        if path in COUPLE and self._is_me(path, node) and node.get("age") == get(self.record, "contexte.demandeur.age"):
            kept.pop("age", None)
        return kept

    def _children(self) -> list[str]:
        count, nodes = get(self.record, "famille.nombre_enfants"), get(self.record, "famille.enfants") or []
        named = [node for node in nodes if "nom" in node]
        rest = [dict(node) for node in nodes]
        self.named_last = False
        common = bool(named) and len(named) == len(nodes) and all(n.get("commun_avec_survivant") is True for n in nodes)
        said = [one for one in [self._count(count, named, common)] if one]
        if common and said:
            for node in rest:
                node.pop("commun_avec_survivant")
        for (leaf, value), (many, note) in GROUPS.items():
            those = [node for node in rest if node.get(leaf) == value and "nom" in node]
            if len(those) > 1:
                names = [self._person(node["nom"]) for node in those]
                verb = "sommes" if "moi" in names else "sont"
                names = sorted(names, key="moi".__eq__)
                said.append(f"{joined(names)} : {note}" if self.is_note else f"{joined(names)} {verb} {many}")
                for node in those:
                    node.pop(leaf)
        for node in rest:
            left = {name: value for name, value in node.items() if name != "nom"}
            said += self._cover_person("famille.enfants[]", left, node)
        return said

    def _count(self, count: float | None, named: list[Record], common: bool) -> str:
        """How many children there are, and their names."""
        rng, mine = self.rng, self.persona == "enfant" and self.speaks
        names = sorted((self._person(node["nom"]) for node in named), key="moi".__eq__)
        if mine and count and len(named) == count - 1 and "moi" not in names:
            names.append("moi")
        number = (
            None if count is None else keep(in_words(count) if count <= 16 and rng.random() < 0.8 else f"{count:g}")
        )
        D = self._mention()
        if count == 0:
            return "Sans enfant" if self.is_note else self._filled_text(f"{D} n'{{avait}} pas d'enfant", {})
        if self.is_note:
            whose = "communs" if common else ""
            if names and number:
                return f"{number} enfant{'s' * (count > 1)} {whose * (count > 1)} : {joined(names)}".replace("  ", " ")
            return (
                f"Enfants {whose} : {joined(names)}".replace("  ", " ")
                if names
                else f"{number} enfant{'s' * (count > 1)}"
                if number
                else ""
            )
        some = count is not None and len(names) < count
        lead_names = ", dont " if some else ", "
        own = ", tous nés de ce mariage" if common and len(names) > 1 else ", né de ce mariage" if common else ""
        if mine and number and count > 1:
            lead = rng.choice((f"nous sommes {number} enfants", f"nous sommes {number}", f"on est {number} enfants"))
            return f"{lead}{', dont ' if some else ' : '}{joined(names)}{own}" if names else lead
        if mine and count == 1:
            said = "je suis fils unique" if self.asker_sex == "m" else "je suis fille unique"
            return said + (own.replace("né ", "née " if self.asker_sex == "f" else "né ") if common else "")
        couple = self.persona in COUPLE.values() and self.speaks and common
        if couple and number:
            whole = "un enfant" if count == 1 else f"{number} enfants"
            return f"nous avons {rng.choice(('', 'eu '))}ensemble {whole}{lead_names}{joined(names)}"
        if number:
            children = "un enfant" if count == 1 else f"{number} enfants"
            laisse = self._filled_text("{laisse}", {})
            return (
                f"{D} {laisse} {children}"
                + (f"{lead_names}{joined(names)}" if names else "")
                + (
                    f"{',' * bool(names)} {'tous ' * (count > 1)}{'nés' if count > 1 else 'né'} de ce mariage"
                    if common
                    else ""
                )
            )
        if not names:
            return ""
        if mine and "moi" in names:
            others = [name for name in names if name != "moi"]
            return f"parmi les enfants, il y a {joined(names)}{own}" if others else ""
        return f"parmi {self._filled_text('{ses}', {})} enfants, il y a {joined(names)}{own}"
