"""An invented family, coherent to the day: who died, the couple, the children, other kin, who inherits."""

import random
from datetime import date, timedelta
from typing import Any

from ..records.reading import COMMUNITIES, NO_PACS_BEFORE, years_between
from ..records.schema import Record
from . import people as pools
from .people import COMMUNES, People

LAST_DAY = date(2025, 12, 31)
SURVIVORS = {"marie": "conjoint", "pacse": "partenaire_pacs", "concubinage": "concubin"}
AGES = {
    "petit_enfant": (72, 96),
    "associe": (46, 78),
    "conjoint": (50, 92),
    "concubin": (46, 86),
    "partenaire_pacs": (46, 84),
}
Relative = dict[str, Any]  # name, sex, born, lien; more than a record says


class Family:
    """Each method draws one part; the order of the calls in `__init__` is the order of what depends on what."""

    def __init__(self, persona: str, topics: set[str], rng: random.Random) -> None:
        self.persona, self.topics, self.rng = persona, topics, rng
        self.people = People(rng)
        self.situation, self.has_concubin = self._draw_situation()
        self.is_blended = "famille_recomposee" in topics or persona == "beau_enfant" or self._chance(0.12)
        self._draw_life()
        self.survivors: list[Relative] = []
        self.children: list[Relative] = []
        self.grandchildren: list[Relative] = []
        self.siblings: list[Relative] = []
        self.others: list[Relative] = []
        self.famille: Record = {"defunt": self._deceased()}
        self._add_unions()
        self._add_children()
        self._add_grandchildren()
        self._add_kin()

    # Small draws

    def _chance(self, share: float) -> bool:
        return self.rng.random() < share

    def _wants(self, topic: str, otherwise: float) -> bool:
        return topic in self.topics or self._chance(otherwise)

    def _any(self, *options: Any) -> Any:
        return self.rng.choice(options)

    def _weighted(self, **weights: float) -> str:
        return self.rng.choices(list(weights), list(weights.values()))[0]

    def _euros(self, low: int, high: int) -> int:
        """Most amounts are round, as they are told; some are to the euro."""
        amount = low * (high / low) ** self.rng.random()
        if self._chance(0.12):
            return int(amount)
        step = 10 ** (len(str(int(amount))) - 2) // self._any(1, 1, 2) or 1
        return max(low, round(amount / step) * step)

    def _day(self, first: date, last: date) -> date:
        return first + timedelta(days=self.rng.randrange(max(0, (last - first).days) + 1))

    def _in_years(self, low: int, high: int) -> date:
        """A day of one of the years, both included, before the death."""
        first = date(low, 1, 1)
        return self._day(first, max(first, min(date(max(low, high), 12, 31), self.death - timedelta(days=30))))

    def _since_death(self, low: int, high: int) -> str:
        """A day so many days after the death, not after the day of the case."""
        return str(min(self.death + timedelta(days=self.rng.randint(low, high)), self.today))

    # The deceased and the couple

    def _draw_situation(self) -> tuple[str, bool]:
        """(situation, is there a concubin beside a spouse)."""
        forced = {"conjoint": "marie", "partenaire_pacs": "pacse"}.get(self.persona)
        couples = "pacs_concubinage" in self.topics
        if self.persona == "concubin":
            separated = "regimes_matrimoniaux" in self.topics or self._chance(0.1)
            return ("marie", True) if separated else ("concubinage", False)
        if forced:
            return forced, forced == "marie" and couples
        if couples:
            separated = 0.7 if "regimes_matrimoniaux" in self.topics else 0.12
            return ("marie", True) if self._chance(separated) else (self._any("pacse", "concubinage"), False)
        if "regimes_matrimoniaux" in self.topics:
            return "marie", False
        if "demembrement_usufruit" in self.topics and self._chance(0.65):
            return "marie", False
        if "famille_recomposee" in self.topics:
            return self._weighted(marie=70, pacse=15, concubinage=15), False
        if self.persona == "beau_enfant":
            return self._weighted(marie=60, pacse=10, concubinage=10, veuf=20), False
        return self._weighted(marie=42, veuf=24, divorce=13, celibataire=9, pacse=6, concubinage=6), False

    def _draw_life(self) -> None:
        low, high = AGES.get(self.persona, (58, 95))
        may_be_young = self.persona not in ("enfant", "petit_enfant", "beau_enfant", "associe") and not self.is_blended
        if "ordre_heritiers" in self.topics and may_be_young and self._chance(0.4):
            low, high = 30, 56
        if self.is_blended:
            low = max(low, 60)
        year = self.rng.choices(range(2013, 2026), [1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 8, 10, 9])[0]
        self.death = self._day(date(year, 1, 1), date(year, 8 if year == 2025 else 12, 31 if year < 2025 else 28))
        wait = self.rng.choice((60, 200, 400, 900, 1_500))
        self.today = min(self._day(self.death + timedelta(days=20), self.death + timedelta(days=wait)), LAST_DAY)
        self.age = self.rng.randint(low, high)
        first = _years_ago(self.death, self.age + 1) + timedelta(days=1)
        self.birth = self._day(first, _years_ago(self.death, self.age))
        self.sex = self.rng.choice("fm")
        self.surname = self.people.surname()
        self.name = self.people.name(self.sex, self.birth.year, self.surname)
        keeps_name = self.sex == "m" or self.situation == "celibataire"
        self.birth_surname = self.surname if keeps_name else self.people.surname()
        self.home = self.rng.choice(COMMUNES)

    def _deceased(self) -> Record:
        return {
            "nom": self.name,
            "date_naissance": str(self.birth),
            "date_deces": str(self.death),
            "age_au_deces": self.age,
            "commune_deces": self.home if self._chance(0.5) else self.rng.choice(COMMUNES),
            "dernier_domicile": self.home,
            "profession": self.rng.choice(pools.PROFESSIONS[self.sex]),
            "situation": self.situation,
            **({"mesure_de_protection": self._protection()} if self.age > 70 and self._chance(0.2) else {}),
            **({"en_etablissement": True} if self.age > 75 and self._chance(0.3) else {}),
        }

    def _protection(self) -> str:
        kinds = "tutelle curatelle sauvegarde_de_justice habilitation_familiale mandat_de_protection_future".split()
        return self.rng.choice(kinds)

    def _partner(self, lien: str, keeps_name: float) -> Relative:
        other = {"f": "m", "m": "f"}[self.sex]
        older = self.rng.randint(-9, 9)
        born = self._day(date(self.birth.year + older, 1, 1), date(self.birth.year + older, 12, 31))
        surname = None if self._chance(keeps_name) else self.surname
        return {"name": self.people.name(other, born.year, surname), "sex": other, "born": born, "lien": lien}

    def _add_unions(self) -> None:
        """The survivor and the former unions; `couple_from`, `ex_surname` and `first_end` are for the children."""
        born, died = self.birth.year, self.death.year
        start = born + self.rng.randint(20, 30)
        self.first_start, self.first_end, self.ex_surname = start, None, self.people.surname()
        self.couple_from = start
        has_survivor = self.situation in SURVIVORS
        if self.is_blended and has_survivor:
            self.first_end = start + self.rng.randint(7, 17)
            self.couple_from = self.first_end + self.rng.randint(1, 7)
            nature = self._weighted(mariage=80, concubinage=20)
            ends = {"mariage": ("divorce", "divorce", "deces"), "concubinage": ("separation",)}
            self._add_former_union(nature, self.rng.choice(ends[nature]), self.first_end)
        elif self.situation in ("divorce", "veuf"):
            end = self._in_years(start + 8, died - 1).year
            self._add_former_union("mariage", "deces" if self.situation == "veuf" else "divorce", end)
        if self.situation == "marie":
            self._add_spouse()
        elif self.situation == "pacse":
            self._add_pacs()
        if self.situation == "concubinage" or self.has_concubin:
            self._add_concubin()

    def _add_former_union(self, nature: str, end: str, year: int) -> None:
        sex = {"f": "m", "m": "f"}[self.sex]
        name = self.people.name(sex, self.birth.year, self.ex_surname)
        owes = end == "divorce" and self._chance(0.2)
        self.famille["unions_precedentes"] = [
            {
                "nom": name,
                "nature": nature,
                "fin": end,
                "annee_fin": year,
                **({"prestation_compensatoire": self._euros(20_000, 200_000)} if owes else {}),
            }
        ]

    def _add_spouse(self) -> None:
        spouse = self._partner("conjoint", 0.4 if self.sex == "m" else 0.9)
        self.survivors.append(spouse)
        married = self._in_years(self.couple_from, self.couple_from)
        regime = self._weighted(
            communaute_reduite_aux_acquets=52,
            separation_de_biens=22,
            communaute_universelle=12,
            participation_aux_acquets=7,
            communaute_de_meubles_et_acquets=7 if married.year < 1966 else 1,
        )
        is_universal = regime == "communaute_universelle"
        # Without a contract: the legal regime, which was that of movables and acquests until February 1966.
        legal = "communaute_de_meubles_et_acquets" if married < date(1966, 2, 1) else "communaute_reduite_aux_acquets"
        changed = is_universal and self._chance(0.4)
        has_clause = regime in COMMUNITIES and regime != legal
        self.famille["conjoint"] = {
            "nom": spouse["name"],
            "date_naissance": str(spouse["born"]),
            "age": years_between(spouse["born"], self.today),
            "date_mariage": str(married),
            "regime_matrimonial": regime,
            "contrat_de_mariage": regime != legal and not changed,
            **({"changement_de_regime": True} if changed else {}),
            **({"clause_attribution_integrale": True} if is_universal and self._chance(0.6) else {}),
            **({"clause_de_preciput": True} if has_clause and self._chance(0.2) else {}),
            **({"separation_de_fait": True} if self.has_concubin else {}),
            **({"divorce_en_cours": True} if self.has_concubin and self._chance(0.5) else {}),
            **({} if self.has_concubin else {"occupe_le_logement": self._chance(0.8)}),
        }

    def _add_pacs(self) -> None:
        partner = self._partner("partenaire_pacs", 1)
        self.survivors.append(partner)
        first = max(self.couple_from, NO_PACS_BEFORE.year + 1)
        signed = self._in_years(first, self.death.year - 1)
        self.couple_from = signed.year
        self.famille["partenaire_pacs"] = {
            "nom": partner["name"],
            "age": years_between(partner["born"], self.today),
            "date_pacs": str(signed),
            "regime": self._weighted(separation_des_patrimoines=70, indivision=30),
            "occupe_le_logement": self._chance(0.8),
        }

    def _add_concubin(self) -> None:
        partner = self._partner("concubin", 1)
        self.survivors.append(partner)
        began = self._in_years(self.couple_from + 8 * self.has_concubin, self.death.year - 2).year
        if not self.has_concubin:
            self.couple_from = began
        self.famille["concubin"] = {
            "nom": partner["name"],
            "age": years_between(partner["born"], self.today),
            "annee_debut": began,
            "duree_vie_commune": max(1, self.death.year - began),
            "occupe_le_logement": self._chance(0.8),
        }

    # Descendants

    def _child_total(self) -> int:
        if self.persona in ("enfant", "petit_enfant"):
            none = 0.0
        elif self.persona == "fratrie":
            none = 0.75
        elif "famille_recomposee" in self.topics:
            none = 0.0
        elif "ordre_heritiers" in self.topics:
            none = 0.55
        else:
            none = 0.25 if self.situation == "celibataire" or self.persona in ("tiers", "associe", "concubin") else 0.1
        if self._chance(none) or self.age < 34:
            return 0
        least = 2 if "indivision_partage" in self.topics else 1
        return max(least, int(self._weighted(**{"1": 26, "2": 40, "3": 24, "4": 10})))

    def _add_children(self) -> None:
        total = self._child_total()
        couple = self.survivors[0] if self.survivors else None
        of_couple = 0
        if couple:
            last = min(self.birth.year, couple["born"].year) + 42
            last = min(last, self.death.year - 1)
            of_couple = total if self.couple_from <= last else 0
            if self.is_blended and of_couple:
                of_couple = self.rng.randint(0, total - 1) if total > 1 else 0
        for number in range(total):
            common = number >= total - of_couple
            if common:
                window = (self.couple_from, min(self.couple_from + 13, last))
            else:
                end = self.first_end or self.first_start + 12
                window = (self.first_start, min(end, self.birth.year + 42, self.death.year - 1))
            self.children.append(self._child(common, couple, window))
        self.children.sort(key=lambda child: child["born"])
        self._mark_gone()
        self.famille["nombre_enfants"] = total
        self.famille["enfants"] = [self._child_record(child) for child in self.children]
        with_step = couple or self.situation == "veuf"
        if with_step and (self.persona == "beau_enfant" or (self.is_blended and self._chance(0.55))):
            self._add_stepchildren(couple)

    def _child(self, common: bool, couple: Relative | None, window: tuple[int, int]) -> Relative:
        born = self._in_years(window[0], window[1])
        if common:
            surname = self.surname if self.sex == "m" else couple["name"].split(" ", 1)[1]
        else:
            surname = self.surname if self.sex == "m" or not self.is_blended else self.ex_surname
        sex = self.rng.choice("fm")
        child = {"name": self.people.name(sex, born.year, surname), "sex": sex, "born": born, "lien": "enfant"}
        if common:
            child["filiation"] = self._any(*["commun"] * 12, "adoption_pleniere")
        elif couple:
            child["filiation"] = self._any(*["premier_lit"] * 9, "hors_mariage")
        elif self._chance(0.1):
            child["filiation"] = self._any("hors_mariage", "adoption_simple", "adoption_pleniere")
        if "famille_recomposee" in self.topics and not common and not self.children:
            child["filiation"] = "premier_lit"
        return child

    def _mark_gone(self) -> None:
        """Who died before the deceased, or renounced; one child stays for the persona enfant."""
        wanted = {"petit_enfant": 0.75}.get(self.persona, 0.35 if "ordre_heritiers" in self.topics else 0.06)
        may_die = [child for child in self.children if child["born"].year < self.death.year - 4]
        if may_die and (len(self.children) > 1 or self.persona == "petit_enfant") and self._chance(wanted):
            gone = self.rng.choice(may_die)
            first = gone["born"].year + (26 if self.persona == "petit_enfant" else 3)
            gone["died"] = self.rng.randint(min(first, self.death.year - 1), self.death.year - 1)
        here = [child for child in self.children if "died" not in child]
        renounces = 0.2 if self.topics & {"ordre_heritiers", "dettes_passif"} else 0.04
        if len(here) > 2 - (self.persona == "petit_enfant") and self._chance(renounces):
            self.rng.choice(here)["renounced"] = True

    def _child_record(self, child: Relative) -> Record:
        age = years_between(child["born"], self.today)
        kept = {"nom": child["name"], "filiation": child.get("filiation"), "date_naissance": str(child["born"])}
        if "died" in child:
            return {**kept, "decede": True, "annee_deces": child["died"]}
        return {
            **kept,
            "age": age,
            **({"renoncant": True} if "renounced" in child else {}),
            **({"handicap": True} if self._chance(0.05) else {}),
            **({"nombre_enfants": self.rng.randint(1, 3)} if age > 30 and self._chance(0.3) else {}),
        }

    def _add_stepchildren(self, couple: Relative | None) -> None:
        parent = couple["born"].year if couple else self.birth.year
        surname = self.people.surname()
        found = []
        for _ in range(self._any(1, 1, 2)):
            born = self._in_years(parent + 20, min(parent + 36, self.couple_from, self.death.year - 4))
            step = {"name": self.people.name(None, born.year, surname), "born": born, "lien": "bel_enfant"}
            self.others.append(step)
            found.append(
                {
                    "nom": step["name"],
                    "age": years_between(born, self.today),
                    **({"eleve_par_le_defunt": True} if self._chance(0.6) else {}),
                    **({"adoption_envisagee": True} if self._chance(0.25) else {}),
                }
            )
        self.famille["beaux_enfants"] = found

    def _add_grandchildren(self) -> None:
        found = []
        for child in self.children:
            gone = "died" in child or "renounced" in child
            likely = 0.9 if gone else 0.6 if self.persona == "petit_enfant" else 0.12
            if self.persona == "petit_enfant" and not found and child is self.children[-1]:
                likely = 1.0
            latest = min(child.get("died", self.today.year), self.today.year - 1, child["born"].year + 42)
            if latest - child["born"].year < 20 or not self._chance(likely):
                continue
            for _ in range(self._any(1, 1, 2)):
                born = self._day(date(child["born"].year + 20, 1, 1), date(latest, 1, 1))
                name = self.people.name(None, born.year, child["name"].split(" ", 1)[1])
                self.grandchildren.append(
                    {"name": name, "born": born, "lien": "petit_enfant", "parent": child["name"], "heir": gone}
                )
                age = years_between(born, self.today)
                stands_in = {"represente_son_parent": True} if gone else {}
                found.append({"nom": name, "parent": child["name"], "age": age, **stands_in})
        self.famille["petits_enfants"] = found

    # Other kin

    def _add_kin(self) -> None:
        if self.persona == "fratrie" or (not self.children and self._chance(0.8)) or self._chance(0.08):
            self._add_siblings()
        if not self.children and (self.age < 62 or self._chance(0.15)) and self._wants("ordre_heritiers", 0.4):
            self._add_parents()
        if self.persona == "tiers":
            self._add_other(self._any("ami", "cousin", "neveu_ou_niece", "ami"))
        elif "ordre_heritiers" in self.topics and not self.children and self._chance(0.5):
            self._add_other(self._any("neveu_ou_niece", "cousin", "oncle_ou_tante"))
        heirs_told = any(self.famille.get(who) for who in ("petits_enfants", "fratrie", "parents", "autres_proches"))
        if "ordre_heritiers" in self.topics and not heirs_told:
            self._add_siblings()

    def _add_siblings(self) -> None:
        found = []
        for number in range(self._any(1, 2, 2, 3)):
            gap = self.rng.choice([years for years in range(-12, 13) if years])
            born = self._day(date(self.birth.year + gap, 1, 1), date(self.birth.year + gap, 12, 31))
            sex = self.rng.choice("fm")
            sibling = {"name": self.people.name(sex, born.year, self.birth_surname), "sex": sex, "born": born}
            half = "demi_" if self._chance(0.12) else ""
            lien = half + {"f": "soeur", "m": "frere"}[sex]
            gone = number > 0 and self._chance(0.25)
            lived_here = not gone and not self.survivors and self._chance(0.1)
            found.append(
                {
                    "nom": sibling["name"],
                    "lien": lien,
                    **({"decede": True} if gone else {"age": years_between(born, self.today)}),
                    **({"nombre_enfants": self.rng.randint(1, 4)} if gone or self._chance(0.2) else {}),
                    **({"vivait_avec_le_defunt": True} if lived_here else {}),
                }
            )
            if not gone:
                self.siblings.append({**sibling, "lien": "frere_ou_soeur"})
        self.famille["fratrie"] = found
        self.famille["nombre_freres_et_soeurs"] = len(found)

    def _add_parents(self) -> None:
        lives = 0.7 if self.age < 60 else 0.0
        self.famille["parents"] = {
            "pere": self.people.name("m", self.birth.year - 27, self.birth_surname),
            "pere_vivant": self._chance(lives - 0.1),
            "mere": self.people.name("f", self.birth.year - 25, self.birth_surname),
            "mere_vivante": self._chance(lives),
        }

    def _add_other(self, lien: str) -> None:
        gap = {"neveu_ou_niece": 28, "oncle_ou_tante": -22}.get(lien, self.rng.randint(-8, 12))
        born = self._day(date(self.birth.year + gap, 1, 1), date(self.birth.year + gap, 12, 31))
        if years_between(born, self.today) > 100:
            lien, born = "cousin", self.birth
        other = {"name": self.people.name(None, born.year), "born": born, "lien": lien}
        self.others.append(other)
        told = {"nom": other["name"], "lien": lien, "age": years_between(born, self.today)}
        self.famille["autres_proches"] = [*self.famille.get("autres_proches", []), told]

    def _heirs(self) -> list[Relative]:
        """Who comes to the estate by law, without the spouse."""
        here = [child for child in self.children if "died" not in child and "renounced" not in child]
        found = here + [grandchild for grandchild in self.grandchildren if grandchild["heir"]]
        if found:
            return found
        return [] if self._spouse() and not self.children else self.siblings

    def _spouse(self) -> Relative | None:
        return next((one for one in self.survivors if one["lien"] == "conjoint"), None)

    def _takers(self) -> list[Relative]:
        """Heirs, the survivor among them where the law or joint purchase gives a part; at least one."""
        spouse = self._spouse()
        owner = spouse or (self.survivors[0] if self.survivors else None)
        return [one for one in (owner, *self._heirs()) if one] or [self._stranger("ami")]

    def _stranger(self, lien: str) -> Relative:
        for other in self.others:
            if other["lien"] == lien:
                return other
        self._add_other(lien)
        return self.others[-1]


def _years_ago(day: date, years: int) -> date:
    return day.replace(year=day.year - years, day=min(day.day, 28))
