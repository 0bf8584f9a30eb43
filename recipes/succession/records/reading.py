"""Reading a record: a value of a wrong type, or a day that is none, counts as absent."""

import math
from datetime import date
from typing import Any

from .schema import Record, read_day

COMMUNITIES = ("communaute_reduite_aux_acquets", "communaute_de_meubles_et_acquets", "communaute_universelle")
NO_PACS_BEFORE = date(1999, 11, 15)  # law 99-944
Span = tuple[date, date]  # first and last day that it may have been


def get(node: Any, path: str) -> Any:
    """The value at a path without lists; None where there is none."""
    for name in path.split("."):
        if not isinstance(node, dict) or name not in node:
            return None
        node = node[name]
    return node


def values(node: Any, path: str) -> list[Any]:
    """Every value at a path, through lists: `patrimoine.biens.pays` is that of each thing."""
    found = [node]
    for name in path.split("."):
        below: list[Any] = []
        for item in found:
            if isinstance(item, dict) and name in item:
                one = item[name]
                below += one if isinstance(one, list) else [one]
        if not below:
            return []
        found = below
    return [one for one in found if one is not None]


def objects(node: Any, path: str) -> list[Record]:
    """The items of a list, or the one object, at a path."""
    return [item for item in values(node, path) if isinstance(item, dict)]


def number(node: Any, path: str) -> float | None:
    found = get(node, path)
    return found if is_number(found) else None


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def text(node: Any, path: str) -> str | None:
    found = get(node, path)
    return found if isinstance(found, str) else None


def span(node: Any, day_path: str, year_path: str | None = None) -> Span | None:
    """From a day or, without one, from a year; None when neither is there."""
    if day := read_day(get(node, day_path)):
        return day, day
    year = number(node, year_path) if year_path else None
    if year is None or not 1 <= year <= 9998:
        return None
    return date(int(year), 1, 1), date(int(year), 12, 31)


def event(node: Any, path: str) -> Span | None:
    """When what a `date_…` leaf tells was, by the `annee_…` beside it where no day is told."""
    above, _, name = path.rpartition(".")
    return span(get(node, above) if above else node, name, name.replace("date", "annee", 1))


def birth(record: Record) -> Span | None:
    return event(record, "famille.defunt.date_naissance")


def death(record: Record) -> Span | None:
    return event(record, "famille.defunt.date_deces")


def years_between(first: date, last: date) -> int:
    """Whole years, as ages are counted."""
    return last.year - first.year - ((last.month, last.day) < (first.month, first.day))


def years_later(day: date, years: int) -> date:
    """The birthday, on 1 March for one of 29 February."""
    year = min(day.year + years, date.max.year)
    try:
        return day.replace(year=year)
    except ValueError:
        return date(year, 3, 1)


def is_before(one: Span | None, other: Span | None) -> bool:
    """Surely before."""
    return bool(one and other and one[1] < other[0])


def age_fits(age: float, born: Span, then: Span) -> bool:
    """Within a year."""
    return years_between(born[1], then[0]) - 1 <= age <= years_between(born[0], then[1]) + 1
