"""The offline writer: a French case for a record, by the frames of writer.yaml.

It says every leaf, several in a sentence where a frame joins them, in one of three voices: somebody of the family
speaks (`je`), somebody else does (`il`), or a note is kept. Nothing fills a text up: its length is that of its facts,
and of a few distractors, true sentences that are no facts of the record. The same text for the same random state.
"""

import random
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from num2words import num2words

from tuneline.words import MONTHS

from ..records.reading import get
from ..records.schema import Master, Record, path_of
from . import people
from .checks import faults
from .draw import PROS, Dimensions, contradictions
from .noise import CLOSE, OPEN, add_noise, keep

TRIES = 25
SLOT = re.compile(r"\{(\w+)(?::(\w+))?\}")
OPTION = re.compile(r"<([^<>]*)>")
RELATIONS = {  # what the deceased is to the one who asks: a man, a woman
    "enfant": ("mon père", "ma mère"), "conjoint": ("mon mari", "ma femme"),
    "beau_enfant": ("mon beau-père", "ma belle-mère"), "fratrie": ("mon frère", "ma sœur"),
    "petit_enfant": ("mon grand-père", "ma grand-mère"), "partenaire_pacs": ("mon compagnon", "ma compagne"),
    "concubin": ("mon compagnon", "ma compagne"), "associe": ("mon associé", "mon associée"),
    "neveu_ou_niece": ("mon oncle", "ma tante"), "parent": ("mon fils", "ma fille"),
    "ex_conjoint": ("mon ex-mari", "mon ex-femme"), "disposant": ("je", "je"),
}  # fmt: skip
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
SHARES = {
    1.0: ("la totalité",), 0.5: ("la moitié", "50 %"), 0.25: ("un quart", "25 %"), 0.75: ("trois quarts", "75 %"),
    0.3333: ("un tiers", "33,33 %"), 0.6667: ("deux tiers", "66,67 %"), 0.2: ("un cinquième", "20 %"),
    0.1: ("10 %", "un dixième"), 0.6: ("60 %", "trois cinquièmes"), 0.4: ("40 %",), 0.8: ("80 %",),
}  # fmt: skip
COUPLE = {"famille.conjoint": "conjoint", "famille.partenaire_pacs": "partenaire_pacs", "famille.concubin": "concubin"}
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
LEADS = frozenset(
    "nom denomination donataire bien allegue tribunal_saisi assureur capital_deces legs exheredation date_mariage"
    " annee_mariage date_pacs annee_pacs duree_vie_commune actif_brut existe deposee nombre_contrats demandeur"
    " etabli".split()
)
DIED = ("nom", "date_deces", "annee_deces", "age_au_deces", "commune_deces", "date_naissance")
ASIDES = {"court": (0, 0, 0, 1), "moyen": (0, 0, 1, 1, 2), "long": (0, 1, 1, 2, 3), "tres_long": (1, 2, 3, 4)}
OBJECTS = "objet_demande succession_ouverte qualite".split()
VOWEL = rf"(?={OPEN}?(?:[aeiouyàâéèêëîïôûœAEIOUÀÂÉÈÊÎÔŒ]|h[aeéiuoô]|H[eéuoô]|Yv))"
ELIDED = (
    (re.compile(rf"\b([dD])e {VOWEL}(?!{OPEN}?(?:onze|oui|huit|haut|hors))"), r"\1'"),
    (re.compile(rf"\b([jJnNsS]|[qQ]u|[lL]orsqu|[pP]uisqu)e {VOWEL}(?!{OPEN}?(?:onze|huit))"), r"\1'"),
    (re.compile(rf"\b([sS])i (?={OPEN}?ils?\b)"), r"\1'"),
    (re.compile(r"\bde le "), "du "), (re.compile(r"\bde les "), "des "),
    (re.compile(rf"\bà le (?={OPEN}?\w)"), "au "), (re.compile(r"\bà les (?=\w)"), "aux "),
    (re.compile(r"\b([sm])a (?=(?:ex-|autre|amie|associée|épouse))"), r"\1on "),
)  # fmt: skip
SPOKEN = (  # what is said of me
    (re.compile(r"\b(désigne|nomme) moi\b"), r"me \1"), (re.compile(r"\bmoi est\b"), "je suis"),
    (re.compile(r"\bmoi a\b"), "j'ai"), (re.compile(r"\bmoi (réside|demande|vit|occupe)\b"), r"je \1"),
    (re.compile(r"\b(a|avait) (laissé|donné|remis|fait) ([^.;]*?) ?\bà moi\b"), r"m'\1 \2 \3"),
    (re.compile(r"\ba été faite à moi\b"), "m'a été faite"), (re.compile(r"\best reproché à moi\b"), "m'est reproché"),
)  # fmt: skip


class CannotWrite(ValueError):
    """No text holds the target's facts and passes the checks."""


@dataclass(frozen=True)
class Frame:
    leaves: dict[str, str | None]  # leaf → the value that it must have
    only: frozenset[str]  # moi, je, il, mort, vivant
    text: str
    note: str

    def fits(self, node: Record, tags: frozenset[str]) -> bool:
        told = all(name in node and want in (None, _plain(node[name])) for name, want in self.leaves.items())
        return told and self.only <= tags


@dataclass(frozen=True)
class Words:
    """writer.yaml, read."""

    say: dict[str, list[Frame]]
    items: dict[str, dict[str, Any]]
    rest: dict[str, Any]


@cache
def read_words() -> Words:
    """Raises ValueError where a frame is none."""
    raw = yaml.safe_load(Path(__file__).with_name("writer.yaml").read_text("utf-8"))
    say = {path: [read_frame(one) for one in frames.splitlines() if one] for path, frames in raw.pop("say").items()}
    items = {
        path: {
            kind: told if kind in ("wrap", "what") else [read_frame(one) for one in told.splitlines()]
            for kind, told in of.items()
        }
        for path, of in raw.pop("items").items()
    }
    return Words(say, items, raw)


def read_frame(said: str) -> Frame:
    """`nom age=3 @je | text | note`."""
    leaves, text, *note = re.split(r" \| ", said)
    words = leaves.split()
    told = {name: (want if mark else None) for name, mark, want in (w.partition("=") for w in words if w[0] != "@")}
    if not told or len(note) > 1:
        raise ValueError(f"writer.yaml: {said!r} is no `leaves | sentence | note`")
    return Frame(told, frozenset(word[1:] for word in words if word[0] == "@"), text, note[0] if note else text)


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


class _Case:
    """One try."""

    def __init__(self, record: Record, dimensions: Dimensions, master: Master, rng: random.Random) -> None:
        self.record, self.of, self.master, self.rng = record, dimensions, master, rng
        self.words, self.values = read_words(), read_words().rest["values"]
        persona = dimensions.persona
        self.speaks = dimensions.voice == "premiere_personne" and persona not in PROS
        pro_note = dimensions.form == "note_professionnelle" and persona in PROS
        self.is_note = dimensions.voice == "note_dossier" or (pro_note and rng.random() < 0.7)
        self.alive = dimensions.is_alive
        self.asker = get(record, "contexte.demandeur.nom")
        self.deceased = get(record, "famille.defunt.nom")
        self.sex, self.other_sex, self.asker_sex = self._sexes()
        self.told: set[str] = set()
        self.beside: dict[str, str] = {}  # name → what she or he is to the deceased, said with the first mention
        self.named_last = False  # the deceased, in the sentence before
        self.money = rng.choice(("{} €", "{} €", "{} €", "{} euros", "{}€"))
        self.group = rng.choice((" ", " ", " ", "\u202f", "."))
        self.short_days = rng.random() < 0.2
        self.persona = persona

    def _sexes(self) -> tuple[str, str, str]:
        """Of the deceased, of who survives, and of who asks."""
        other = {"f": "m", "m": "f"}
        partner = next((name for path in COUPLE if (name := get(self.record, f"{path}.nom"))), None)
        couple = people.sex_of(partner or "")
        asker = people.sex_of(self.asker or "")
        if self.of.persona in ("conjoint", "partenaire_pacs", "concubin") and asker:
            couple = asker
        sex = people.sex_of(self.deceased or "") or (other[couple] if couple else self.rng.choice("fm"))
        couple = couple or other[sex]
        mine = {
            "conjoint": couple,
            "partenaire_pacs": couple,
            "concubin": couple,
            "ex_conjoint": other[sex],
            "parent": "f",
        }
        return sex, couple, asker or mine.get(self.of.persona) or self.rng.choice("fm")

    # The whole

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
        said = _filled(self._choose(rng.choice(self.words.rest["other_domains"][domain])), slots)
        said = _elided(said)
        if self.of.form == "mail_brouillon":
            return f"{self._pick('openings', 'mail_brouillon')}\n\n{said}\n\n{self._pick('closings', 'mail_brouillon')}"
        if self.of.form == "oral_retranscrit":
            return f"{self._pick('openings', 'oral_retranscrit')} {said}".strip()
        return said

    def _pick(self, section: str, key: str) -> str:
        return self.rng.choice(self.words.rest[section][key])

    def _choose(self, words: str) -> str:
        """`<a|b>` → one of the two."""
        while OPTION.search(words):
            words = OPTION.sub(lambda found: self.rng.choice(found[1].split("|")), words, count=1)
        return words

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
            said.append(_filled(self.rng.choice(self.words.rest["contradictions"]), {"first": first, "second": second}))
        return said

    def _of_two(self, place: str, value: Any) -> str:
        path = path_of(place)
        if path == "famille.nombre_enfants":
            return keep(
                "un seul enfant" if value == 1 else "pas d'enfant" if not value else f"{_in_words(value)} enfants"
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
                rng.choice(groups[1:]).append(_filled(rng.choice(rest["ambiguous"]), slots))

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

    # Groups of facts

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

    def _is_me(self, path: str, node: Record) -> bool:
        if not self.speaks:
            return False
        if path in COUPLE or path in (
            "famille.defunt",
            "liberalites.donation_entre_epoux",
            "operations_de_partage.liquidation_du_regime",
            "assurance_vie.contrats[]",
        ):
            mine = COUPLE.get(path)
            return self.persona == mine if mine else self.persona in COUPLE.values()
        if path == "famille.parents":
            return self.persona == "parent"
        if path == "patrimoine.entreprise":
            return bool(self.asker) and node.get("associe") == self.asker
        return bool(self.asker) and node.get("nom") == self.asker

    def _tags(self, path: str, node: Record) -> frozenset[str]:
        found = {"je" if self.speaks else "il", "vivant" if self.alive else "mort"}
        return frozenset(found | ({"moi"} if self._is_me(path, node) else set()))

    def _kin(self) -> set[str]:
        """Who is told with what they are to the deceased."""
        found = {self.asker} if self.asker else set()
        for path in ("enfants", "petits_enfants", "autres_proches", "fratrie", "unions_precedentes"):
            found |= {item["nom"] for item in get(self.record, f"famille.{path}") or [] if "nom" in item}
        return found | {name for path in COUPLE if (name := get(self.record, f"{path}.nom"))}

    def _cover(self, path: str, left: Record) -> list[str]:
        """Sentences that say all of the node's leaves, mostly several in one, and first what the node is known by."""
        whole, tags, said = dict(left), self._tags(path, left), []
        if "lien_donataire" in left and "donataire" in left:
            lien = left.pop("lien_donataire")
            if left["donataire"] not in self._kin():
                self.beside[left["donataire"]] = self._lien(path, {"nom": left["donataire"]}, lien, "nu")
        while left:
            frames = [one for one in self.words.say.get(path, ()) if one.fits(left, tags)]
            if not frames:
                raise CannotWrite(f"writer.yaml: nothing says {path}: {', '.join(left)}")
            first = [one for one in frames if "nom" in one.leaves]
            frames = first or [one for one in frames if LEADS & set(one.leaves)] or frames
            frames = [one for one in frames if "moi" in one.only] or frames
            frame = self.rng.choices(frames, [30.0 ** len(one.leaves) for one in frames])[0]
            said.append(self._render(frame, path, whole))
            left = {name: value for name, value in left.items() if name not in frame.leaves}
        return said

    def _render(self, frame: Frame, path: str, node: Record) -> str:
        words = self._choose(frame.note if self.is_note else frame.text)
        said = self._filled_text(words, {}, path, node)
        self.named_last = "{D}" in words or "{Dn}" in words
        return said

    def _wrapped(self, path: str, nodes: list[Record]) -> list[str]:
        items = self._items(path, nodes)
        text, _, note = self.words.items[path]["wrap"][0].partition(" | ")
        words = self._choose(note if self.is_note and note else text)
        return [self._filled_text(words, {"items": items})]

    def _items(self, path: str, nodes: list[Record]) -> str:
        return _joined([self._item(path, node) for node in nodes])

    def _item(self, path: str, node: Record) -> str:
        of, tags, left = self.words.items[path], self._tags(path, node), dict(node)
        if {
            node.get("nom"),
            node.get("beneficiaire"),
            node.get("heritier"),
        } & self._kin() and path != "famille.autres_proches[]":
            left.pop("lien", None) if not path.startswith("famille.") else None
        heads = [one for one in of["head"] if one.fits(left, tags) and self._leaves_all(path, one, left, tags)]
        heads = heads or [Frame({}, frozenset(), of["what"], of["what"])]
        frame = self.rng.choices(heads, [30.0 ** len(one.leaves) for one in heads])[0]
        said, lists = [self._filled_text(self._choose(frame.text), {}, path, node)], of.get("more", []) + of["head"]
        left = {name: value for name, value in left.items() if name not in frame.leaves}
        while left:
            fitting = [one for one in lists if one.fits(left, tags)]
            if not fitting:
                raise CannotWrite(f"writer.yaml: nothing says {path}: {', '.join(left)}")
            one = max(fitting, key=lambda one: len(one.leaves))
            words = one.note if self.is_note else one.text
            said.append(self._filled_text(self._choose(words), {}, path, node))
            left = {name: value for name, value in left.items() if name not in one.leaves}
        first, *more = said
        brackets = [one for one in more if one.startswith("(")]
        return ", ".join([" ".join([first, *brackets]), *(one for one in more if one and one not in brackets)])

    def _leaves_all(self, path: str, head: Frame, node: Record, tags: frozenset[str]) -> bool:
        left = {name: value for name, value in node.items() if name not in head.leaves}
        more = self.words.items[path].get("more", [])
        return left.keys() <= {name for one in more if one.fits(left, tags) for name in one.leaves}

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
                said.append(f"{_joined(names)} : {note}" if self.is_note else f"{_joined(names)} {verb} {many}")
                for node in those:
                    node.pop(leaf)
        for node in rest:
            left = {name: value for name, value in node.items() if name != "nom"}
            said += self._cover_person("famille.enfants[]", left, node)
        return said

    def _cover_person(self, path: str, left: Record, node: Record) -> list[str]:
        tags, said = self._tags(path, node), []
        while left:
            frames = [one for one in self.words.say[path] if one.fits(left, tags)]
            if not frames:
                raise CannotWrite(f"writer.yaml: nothing says {path}: {', '.join(left)}")
            mine = [one for one in frames if "moi" in one.only] or frames
            frame = max(mine, key=lambda one: (len(one.leaves), self.rng.random()))
            said.append(self._render(frame, path, node))
            left = {name: value for name, value in left.items() if name not in frame.leaves}
        return said

    def _count(self, count: float | None, named: list[Record], common: bool) -> str:
        """How many children there are, and their names."""
        rng, mine = self.rng, self.persona == "enfant" and self.speaks
        names = sorted((self._person(node["nom"]) for node in named), key="moi".__eq__)
        if mine and count and len(named) == count - 1 and "moi" not in names:
            names.append("moi")
        number = (
            None if count is None else keep(_in_words(count) if count <= 16 and rng.random() < 0.8 else f"{count:g}")
        )
        D = self._mention()
        if count == 0:
            return "Sans enfant" if self.is_note else self._filled_text(f"{D} n'{{avait}} pas d'enfant", {})
        if self.is_note:
            whose = "communs" if common else ""
            if names and number:
                return f"{number} enfant{'s' * (count > 1)} {whose * (count > 1)} : {_joined(names)}".replace("  ", " ")
            return (
                f"Enfants {whose} : {_joined(names)}".replace("  ", " ")
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
            return f"{lead}{', dont ' if some else ' : '}{_joined(names)}{own}" if names else lead
        if mine and count == 1:
            said = "je suis fils unique" if self.asker_sex == "m" else "je suis fille unique"
            return said + (own.replace("né ", "née " if self.asker_sex == "f" else "né ") if common else "")
        couple = self.persona in COUPLE.values() and self.speaks and common
        if couple and number:
            whole = "un enfant" if count == 1 else f"{number} enfants"
            return f"nous avons {rng.choice(('', 'eu '))}ensemble {whole}{lead_names}{_joined(names)}"
        if number:
            children = "un enfant" if count == 1 else f"{number} enfants"
            laisse = self._filled_text("{laisse}", {})
            return (
                f"{D} {laisse} {children}"
                + (f"{lead_names}{_joined(names)}" if names else "")
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
            return f"parmi les enfants, il y a {_joined(names)}{own}" if others else ""
        return f"parmi {self._filled_text('{ses}', {})} enfants, il y a {_joined(names)}{own}"

    # Words

    def _filled_text(self, words: str, extra: dict[str, str], path: str = "", node: Record | None = None) -> str:
        return SLOT.sub(lambda found: self._slot(found[1], found[2], extra, path, node or {}), words)

    def _slot(self, name: str, form: str | None, extra: dict[str, str], path: str, node: Record) -> str:
        if name in extra:
            return extra[name]
        if name in node:
            return self._leaf(name, form, path, node)
        made = self._about_deceased(name)
        if made is not None:
            return made
        if name == "N":
            return self._again(path, node)
        if name in ("e", "es"):
            ending = {"f": "e", "fp": "es", "mp": "" if name == "es" else "s"}
            return ending.get(self._gender(path, node), "")
        if name == "pf":
            return "une petite-fille" if people.sex_of(node.get("nom") or "") == "f" else "un petit-fils"
        many = node.get("nombre", 1) > 1
        plain = {
            "d_eux": "d'entre eux",
            "vient": "viennent" if many else "vient",
            "est_n": "sont nés" if many else "est né",
        }
        if name in plain:
            return plain[name]
        raise CannotWrite(f"writer.yaml: {path}: nothing fills {{{name}}}")

    def _about_deceased(self, name: str) -> str | None:
        woman, me, alive = self.sex == "f", self.persona == "disposant" and self.speaks, self.alive
        verbs = {
            "a": ("ai", "a", "a"), "est": ("suis", "est", "est"), "avait": ("ai", "a", "avait"),
            "etait": ("suis", "est", "était"), "laisse": ("ai", "a", "laisse"),
            "a_donne": ("ai donné", "a donné", "avait donné"),
            "a_aux": ("a", "a", "avait"), "etait_aux": ("suis", "est", "était"), "etaient": ("sont", "sont", "étaient"),
            "etait_plat": ("est", "est", "était"),
        }  # fmt: skip
        if name in verbs:
            return verbs[name][0 if me else 1 if alive else 2]
        own = {"son": "mon", "sa": "ma", "ses": "mes"}
        if name in own:
            return own[name] if me else name
        partner = {"m": "mari", "f": "femme"}[self.other_sex]
        near = "voisine" if self.asker_sex == "f" else "voisin"
        plain = {
            "De": "e" if woman else "", "il": "je" if me else "elle" if woman else "il",
            "lui": "moi" if me else "elle" if woman else "lui", "veuf": "veuve" if woman else "veuf",
            "sa_moitie": f"{'m' if me else 's'}{'a' if partner == 'femme' else 'on'} {partner}",
            "son_voisin": f"s{'a' if near == 'voisine' else 'on'} {near}", "son_cote": "son côté",
        }  # fmt: skip
        if name in plain:
            return plain[name]
        if name == "D":
            return self._mention()
        if name == "Dn":
            return self._mention(named=True)
        if name in ("deD", "deDn"):
            self.named_last = False
            return f"de {self._mention(named=name == 'deDn')}"
        return None

    def _mention(self, named: bool = False) -> str:
        """The deceased, as who speaks would say."""
        woman = self.sex == "f"
        if self.persona == "disposant" and self.speaks:
            return "je"
        if self.named_last and not named and self.rng.random() < 0.85:
            return "elle" if woman else "il"
        noun = "la défunte" if woman else "le défunt"
        if self.alive:
            noun = "l'intéressée" if woman else "l'intéressé"
        if self.speaks and self.persona in RELATIONS:
            noun = RELATIONS[self.persona][woman]
            if self.persona == "enfant" and self.rng.random() < 0.35:
                noun = "maman" if woman else "papa"
        elif self.of.voice == "parole_rapportee" and self.persona in RELATIONS and self.persona != "disposant":
            noun = re.sub(r"^m(a|on) ", lambda found: f"s{found[1]} ", RELATIONS[self.persona][woman])
        if not named or not self.deceased:
            if self.deceased and self.deceased in self.told and not self.speaks and self.rng.random() < 0.4:
                self.named_last = True
                return f"{'Mme' if woman else 'M.'} {keep(self.deceased.split(' ', 1)[-1])}"
            self.named_last = True
            return noun
        self.told.add(self.deceased)
        if self.speaks and self.persona in RELATIONS:
            return f"{noun}, {keep(self.deceased)},"
        title = self.rng.choice(("Mme ", "")) if woman else self.rng.choice(("M. ", ""))
        if self.of.voice == "parole_rapportee" and self.persona in RELATIONS and self.persona != "disposant":
            return f"{noun}, {keep(self.deceased)},"
        return f"{title}{keep(self.deceased)}"

    def _leaf(self, name: str, form: str | None, path: str, node: Record) -> str:
        value, at = node[name], f"{path}.{name}" if path else name
        if isinstance(value, list):
            items = self._items(f"{at}[]", value)
            if form == "ont":
                many = len(value) > 1 or value[0].get("nombre", 1) > 1
                comma = "," if "," in items else ""
                return "j'ai" if items == "moi" else f"{items}{comma} {'ont' if many else 'a'}"
            return items
        if path == "contexte.demandeur" and name == "nom":
            self.told.add(value)
            return keep(value)
        if name in ("lien", "lien_donataire"):
            return self._lien(path, node, value, form)
        return self._said(at, value, form)

    def _said(self, at: str, value: Any, form: str | None) -> str:
        leaf = self.master.leaves[at]
        kind, name = leaf.kind, at.rsplit(".", 1)[-1]
        if kind == "nom":
            return self._named(name, value, form)
        if kind == "montant":
            return keep(self._amount(value))
        if kind == "date":
            return keep(self._day(value))
        if kind == "part":
            known = SHARES.get(round(value, 4))
            return keep(self.rng.choice(known) if known else f"{value * 100:.4g} %".replace(".", ","))
        if kind in ("age", "duree"):
            unit = "mois" if name.endswith("mois") else "an" if value == 1 else "ans"
            return keep(f"{value:g} {unit}".replace(".", ","))
        if kind == "nombre" and form == "enfants":
            return "aucun enfant" if not value else keep("un enfant" if value == 1 else f"{_in_words(value)} enfants")
        if kind == "nombre":
            return keep(_in_words(value) if value <= 16 and self.rng.random() < 0.7 else f"{value:g}")
        if kind == "denomination" and form in ("a", "de"):
            the = {"Banque": "la ", "Caisse": "la ", "Financière": "la ", "Crédit": "le "}.get(value.split(" ")[0], "")
            return f"{'à' if form == 'a' else 'de'} {the}{keep(value)}"
        if kind != "enum":
            return keep(f"{value:g}" if kind == "annee" else value)
        return self._enumerated(at, name, value, form)

    def _named(self, name: str, value: str, form: str | None) -> str:
        if name in ("nom_notaire", "nom_avocat", "notaire_depositaire", "notaire_commis"):
            self.told.add(value)
            return keep(value)
        person = self._person(value)
        if form == "a":
            return "j'ai" if person == "moi" else f"{person} a"
        if name == "donateur" and person == "moi":
            return "je"
        return person

    def _enumerated(self, at: str, name: str, value: str, form: str | None) -> str:
        if value in self.values["nature_bien"] and name in ("nature", "objet", "bien"):
            _, one, the, bare = self.values["nature_bien"][value]
            return {"un": one, "le": the, "nu": bare, "de": f"de {the}"}.get(form or "un", one)
        if at.rsplit(".", 1)[-1].startswith(("pays", "nationalite", "loi_")):
            where, man, law = self.values["pays"][value]
            return {"en": where, "adj": man, "adjf": law}[form or "en"]
        key = "fratrie_lien" if at.startswith("famille.fratrie") else name
        told = self.values[key][value]
        at_form = {"un": 1, "de": 2 if len(told) > 2 else 1, "nu": 1, "nom": 1, "par": 1}.get(form or "", 0)
        return told[min(at_form, len(told) - 1)]

    def _lien(self, path: str, node: Record, value: str, form: str | None) -> str:
        if path == "famille.fratrie[]":
            return self.values["fratrie_lien"][value][0]
        told = self.values["lien"][value]
        sex = (
            people.sex_of(
                str(node.get("nom") or node.get("beneficiaire") or node.get("donataire") or node.get("heritier") or "")
            )
            or "m"
        )
        pick = lambda one: one[sex] if isinstance(one, dict) else one  # noqa: E731
        if form == "pluriel":
            return told[2]
        if form == "un_des":
            return f"de {pick(told[0])}"
        if form in ("app", "nu"):
            if form == "app" and self.speaks and self.asker and self.asker in node.values():
                return ""
            said = pick(told[1])
            if self.persona == "disposant" and self.speaks:
                said = re.sub(r"^s(on|a) ", r"m\1 ", said)
            return said
        return self._filled_text(pick(told[0]), {})

    def _again(self, path: str, node: Record) -> str:
        """The node's person, known by now."""
        name = node.get("nom")
        if path == "contexte.demandeur":
            return self._person(self.asker) if self.asker else "la personne qui demande"
        if name:
            return self._person(name)
        roles = {"famille.conjoint": ("le mari", "la femme"), "famille.concubin": ("le compagnon", "la compagne"),
                 "famille.partenaire_pacs": ("le partenaire", "la partenaire")}  # fmt: skip
        if path in roles:
            return (
                "le conjoint"
                if path == "famille.conjoint" and self.rng.random() < 0.3
                else roles[path][self.other_sex == "f"]
            )
        return "l'un des enfants"

    def _gender(self, path: str, node: Record) -> str:
        nature = node.get("nature") or node.get("bien")
        if (nature in self.values["nature_bien"] and not path.endswith("demembrement")) or path == "indivision":
            return self.values["nature_bien"][nature][0] if nature in self.values["nature_bien"] else "m"
        if path == "contexte.demandeur" or self._is_me(path, node):
            return self.asker_sex
        if path in COUPLE:
            return people.sex_of(node.get("nom") or "") or self.other_sex
        if nature in self.values["nature_bien"]:
            return self.values["nature_bien"][nature][0]
        return people.sex_of(node.get("nom") or "") or "m"

    def _person(self, name: str) -> str:
        if self.speaks and name == self.asker:
            return "moi"
        if name == self.deceased and self.deceased in self.told and not self.is_note:
            noun = self._mention()
            return (
                noun
                if noun not in ("il", "elle", "je")
                else ("la défunte" if self.sex == "f" else "le défunt")
                if not self.speaks
                else RELATIONS.get(self.persona, ("le défunt", "la défunte"))[self.sex == "f"]
            )
        if name not in self.told:
            self.told.add(name)
            return f"{keep(name)}, {self.beside[name]}," if name in self.beside else keep(name)
        short = self.rng.random() < (0.8 if self.speaks else 0.2 if self.is_note else 0.5)
        return keep(name.split(" ")[0] if short else name)

    def _amount(self, value: float) -> str:
        if (
            value % 1000 == 0
            and abs(value) >= 10_000
            and self.of.noise in ("fautes_et_abreviations", "tres_brouillon")
            and self.rng.random() < 0.4
        ):
            return f"{value / 1000:g} k€".replace(".", ",")
        digits = f"{value:,.2f}".removesuffix(".00").replace(",", "x").replace(".", ",").replace("x", self.group)
        return self.money.format(digits)

    def _day(self, value: str) -> str:
        day = date.fromisoformat(value)
        if self.short_days:
            return f"{day:%d/%m/%Y}"
        return f"{'1er' if day.day == 1 else day.day} {MONTHS['fr'][day.month - 1]} {day.year}"

    # Its form

    def _merged(self, group: Iterable[str]) -> list[str]:
        """Some short sentences together."""
        said: list[str] = []
        for one in group:
            if not one:
                continue
            joins = (
                said
                and not self.is_note
                and len(said[-1]) + len(one) < 110
                and not f"{said[-1]}{one}".count(".")
                and self.rng.random() < 0.25
            )
            if joins and ";" not in said[-1] + one:
                said[-1] = f"{said[-1]}{self.rng.choice((', et ', ' ; '))}{one}"
            else:
                said.append(one)
        return said

    def _laid_out(self, body: list[list[str]], question: str) -> str:
        form, rng = self.of.form, self.rng
        asks_first = form == "question_directe" and rng.random() < 0.3
        sentences = [[self._spoken(one) if form == "oral_retranscrit" else one for one in group] for group in body]
        paragraphs = [" ".join(_sentence(one) for one in group) for group in sentences if group]
        if self.is_note:
            head = [self._pick("openings", "note")] if rng.random() < 0.6 else []
            bullets = rng.random() < 0.3
            lines = [f"- {one}" if bullets else one for one in paragraphs]
            return "\n".join([*head, *lines, _sentence(question)])
        many = len(paragraphs) > 4 and self.of.length in ("long", "tres_long")
        if many or (form == "mail_brouillon" and len(paragraphs) > 2):
            cut = sorted(rng.sample(range(1, len(paragraphs)), min(2 if many else 1, len(paragraphs) - 1)))
            paragraphs = [" ".join(paragraphs[a:b]) for a, b in zip([0, *cut], [*cut, None], strict=True)]
        glue = "\n\n" if len(paragraphs) > 1 and (many or form == "mail_brouillon") else " "
        said = [_sentence(question), *paragraphs] if asks_first else [*paragraphs, _sentence(question)]
        text = (
            glue.join(said[:-1]) + (" " if glue == " " else rng.choice((" ", "\n\n"))) + said[-1]
            if len(said) > 1
            else said[0]
        )
        opening, closing = self._frame()
        outer = "\n\n" if form == "mail_brouillon" else " "
        whole = outer.join(one for one in (opening, text, closing) if one)
        return f"{whole}\n{keep(self.signature)}" if self.signature else whole

    def _frame(self) -> tuple[str, str]:
        form = self.of.form
        if form == "mail_brouillon":
            pro = self.persona in ("notaire", "avocat")
            return self._pick("openings", "mail_pro" if pro else form), self._pick("closings", form)
        if form in ("oral_retranscrit", "message_conflictuel") and (self.speaks or form == "oral_retranscrit"):
            return self._pick("openings", form), self._pick("closings", form)
        return "", ""

    def _spoken(self, sentence: str) -> str:
        if self.rng.random() < 0.35:
            return f"{self.rng.choice(self.words.rest['oral'])}, {sentence[:1].lower()}{sentence[1:]}"
        return sentence


def _plain(value: Any) -> str | None:
    return str(value).lower() if isinstance(value, bool) else value if isinstance(value, str) else str(value)


def _filled(words: str, slots: dict[str, str]) -> str:
    return SLOT.sub(lambda found: slots.get(found[1], found[0]), words)


def _joined(items: list[str]) -> str:
    if len(items) == 1:
        return items[0]
    if any("," in item for item in items):
        return " ; ".join(items)
    return f"{', '.join(items[:-1])} et {items[-1]}"


def _in_words(number: float) -> str:
    return num2words(int(number), lang="fr")


def _elided(words: str) -> str:
    for pattern, by in ELIDED:
        words = pattern.sub(by, words)
    return words


def _sentence(words: str) -> str:
    """With its elisions, a capital, and a full stop where it has no other end."""
    words = _elided(" ".join(words.split()))
    for pattern, by in SPOKEN:
        words = pattern.sub(by, words)
    words = re.sub(r",+(?=[,.;:?]| :| ;)", "", words.replace(" ,", ",")).rstrip(", ")
    at = next((place for place, sign in enumerate(words) if sign.isalnum()), 0)
    words = words[:at] + words[at].upper() + words[at + 1 :] if words else words
    return words if not words or words.rstrip(CLOSE)[-1] in ".?!:…," else f"{words}."
