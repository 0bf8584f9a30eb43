"""An invented family: who is in it, who died and when, and what of it holds."""

import random
from datetime import date, timedelta
from typing import Any

from ..records.schema import Master, Record
from . import people
from .dimensions import PROS, Dimensions

RICHNESS = {"court": 0.25, "moyen": 0.5, "long": 0.75, "tres_long": 0.9}  # how often a detail of the family is told
NO_KIN = (*PROS, "tiers", "creancier", "legataire", "associe")
CHILDLESS = ("fratrie", "neveu_ou_niece", "parent")
LANDS = "belgique suisse luxembourg allemagne espagne portugal italie royaume_uni canada maroc algerie tunisie".split()


class Family:
    """Drawn for one case; `told` is what its record will say."""

    def __init__(self, dimensions: Dimensions, master: Master, rng: random.Random) -> None:
        self.of, self.master, self.rng = dimensions, master, rng
        self.alive, self.persona = dimensions.is_alive, dimensions.persona
        self.rich = RICHNESS[dimensions.length]
        self.told: Record = {}
        self.asked: list[str] = []
        self.shared: dict[str, Any] = {}
        self.land = rng.choice(LANDS)
        self._draw_family()

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

    def _often(self, share: float) -> bool:
        return self.rng.random() < share


def years(born: date, then: date) -> int:
    return then.year - born.year - ((then.month, then.day) < (born.month, born.day))


def find(record: Any, path: str) -> Any:
    for step in path.split("."):
        record = record.get(step) if isinstance(record, dict) else None
    return record
