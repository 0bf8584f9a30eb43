"""Who speaks, and how she or he names people, amounts and days."""

import random
import re
from datetime import date

from tuneline.language.words import MONTHS

from ..records.reading import get
from ..records.schema import Master, Record
from . import people
from .dimensions import PROS, Dimensions
from .frames import OPTION, SLOT, read_words
from .noise import keep

RELATIONS = {  # what the deceased is to the one who asks: a man, a woman
    "enfant": ("mon père", "ma mère"), "conjoint": ("mon mari", "ma femme"),
    "beau_enfant": ("mon beau-père", "ma belle-mère"), "fratrie": ("mon frère", "ma sœur"),
    "petit_enfant": ("mon grand-père", "ma grand-mère"), "partenaire_pacs": ("mon compagnon", "ma compagne"),
    "concubin": ("mon compagnon", "ma compagne"), "associe": ("mon associé", "mon associée"),
    "neveu_ou_niece": ("mon oncle", "ma tante"), "parent": ("mon fils", "ma fille"),
    "ex_conjoint": ("mon ex-mari", "mon ex-femme"), "disposant": ("je", "je"),
}  # fmt: skip
COUPLE = {"famille.conjoint": "conjoint", "famille.partenaire_pacs": "partenaire_pacs", "famille.concubin": "concubin"}


class CannotWrite(ValueError):
    """No text holds the target's facts and passes the checks."""


class Voice:
    """Of one try at one case: it remembers who was told, and so can be named in short."""

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

    def _pick(self, section: str, key: str) -> str:
        return self.rng.choice(self.words.rest[section][key])

    def _choose(self, words: str) -> str:
        """`<a|b>` → one of the two."""
        while OPTION.search(words):
            words = OPTION.sub(lambda found: self.rng.choice(found[1].split("|")), words, count=1)
        return words

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
        return SLOT.sub(lambda found: self._about_deceased(found[1]) or "", pick(told[0]))

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
