"""A record without what the dimensions do not want of amounts and dates."""

from collections.abc import Iterator
from typing import Any

from ..records.schema import Record, flatten, path_of
from .contradictions import CONTRADICTED
from .values import Values

KEY_FACTS = (
    "famille.defunt.date",
    "famille.defunt.annee",
    "famille.defunt.age",
    "famille.defunt.etat",
    "famille.nombre_e",
)


class Thinned(Values):
    """What of a family is left to tell."""

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
