"""The words of estates.yaml that are drawn: amounts, years, days, shares of this family."""

from datetime import date, timedelta
from typing import Any

from ..records.rules import reserve_share, usufruct_share
from . import people
from .family import Family


class Values(Family):
    """`_make_NAME` draws the value that a block calls NAME."""

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
