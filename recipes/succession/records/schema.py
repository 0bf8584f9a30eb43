"""The master schema of succession records: its leaves by path, and what is wrong with a record.

A path names a leaf wherever it stands, `famille.enfants[].nom`; a place is where one is,
`famille.enfants[0].nom`.
"""

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

import click

from tuneline.recipe.schemas import read_schema

Record = dict[str, Any]
DAY = re.compile(r"\d{4}-\d\d-\d\d")


@dataclass(frozen=True)
class Leaf:
    """`type`: string, number, boolean, date or enum. `kind`: the schema's x-kind, else the type."""

    path: str
    type: str
    kind: str
    values: tuple[str, ...]  # of an enum
    description: str

    def problem(self, value: Any) -> str | None:
        """What is wrong with a value of this leaf; None when nothing is."""
        if self.type == "boolean":
            return None if isinstance(value, bool) else f"is {_said(value)}, not true or false"
        if self.type == "number":
            is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
            return None if is_number else f"is {_said(value)}, not a number"
        if not isinstance(value, str):
            return f"is {_said(value)}, not a string"
        if self.type == "enum":
            return None if value in self.values else f"is {_said(value)}, not one of {', '.join(self.values)}"
        if self.type == "date":
            return None if read_day(value) else f"is {_said(value)}, not a day AAAA-MM-JJ"
        return None if value.strip() else "is an empty string"


@dataclass(frozen=True)
class Master:
    schema: dict[str, Any]
    leaves: dict[str, Leaf]  # path → leaf, in the schema's order

    def problems(self, record: Any) -> list[str]:
        """One line each, with its place; none when the record is valid: known paths, right types, nothing empty."""
        return list(self._problems(record, self.schema, "", ""))

    def _problems(self, value: Any, schema: dict[str, Any], place: str, path: str) -> Iterator[str]:
        said = place or "the record"
        if schema.get("type") not in ("object", "array"):
            if wrong := self.leaves[path].problem(value):
                yield f"{said}: {wrong}"
        elif not isinstance(value, dict if schema["type"] == "object" else list):
            yield f"{said}: is {_said(value)}, not {'an object' if schema['type'] == 'object' else 'a list'}"
        elif not value:
            yield f"{said}: is empty; leave it out"
        elif isinstance(value, list):
            for number, item in enumerate(value):
                yield from self._problems(item, schema["items"], f"{place}[{number}]", f"{path}[]")
        else:
            for name, inner in value.items():
                here = f"{place}.{name}" if place else str(name)
                if name in schema["properties"]:
                    below = f"{path}.{name}" if path else name
                    yield from self._problems(inner, schema["properties"][name], here, below)
                else:
                    yield f"{here}: is not in the schema"


def _said(value: Any) -> str:
    return {dict: "an object", list: "a list", type(None): "null", str: repr(value)}.get(type(value), str(value))


def read_day(text: Any) -> date | None:
    """A day written AAAA-MM-JJ; None for anything else."""
    if not isinstance(text, str) or not DAY.fullmatch(text):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def flatten(record: Record) -> dict[str, Any]:
    """place → value of every leaf, in the record's order."""
    found: dict[str, Any] = {}
    _flatten(record.items(), "", found)
    return found


def _flatten(named: Iterable[tuple[str, Any]], above: str, found: dict[str, Any]) -> None:
    """`above` stands before each name."""
    for name, value in named:
        if isinstance(value, dict):
            _flatten(value.items(), f"{above}{name}.", found)
        elif isinstance(value, list):
            _flatten(((f"{name}[{number}]", item) for number, item in enumerate(value)), above, found)
        else:
            found[above + name] = value


@lru_cache(maxsize=16384)
def path_of(place: str) -> str:
    """`famille.enfants[0].nom` → `famille.enfants[].nom`."""
    return re.sub(r"\[\d+\]", "[]", place)


def read_master(path: Path) -> Master:
    """Raises click.ClickException when there is no such schema, or one of its leaves has no type or description."""
    schema = read_schema(path)
    shared = schema.get("$defs", {})
    wrong: list[str] = []
    leaves: dict[str, Leaf] = {}

    def resolve(node: dict[str, Any], at: str) -> dict[str, Any]:
        """The schema with its references filled in; its leaves are put aside on the way."""
        if "$ref" in node:
            name = node["$ref"].removeprefix("#/$defs/")
            if name not in shared:
                wrong.append(f"{at}: no definition {node['$ref']}")
                return node
            node = {**shared[name], **{key: value for key, value in node.items() if key != "$ref"}}
        kind = node.get("type")
        if kind == "object":
            below = node.get("properties", {})
            return {**node, "properties": {n: resolve(v, f"{at}.{n}" if at else n) for n, v in below.items()}}
        if kind == "array":
            return {**node, "items": resolve(node.get("items", {}), f"{at}[]")}
        if kind not in ("string", "number", "boolean") or not node.get("description"):
            wrong.append(f"{at or 'the root'}: a leaf has a description and is a string, number or boolean")
        else:
            kind = "enum" if "enum" in node else "date" if node.get("format") == "date" else kind
            values = tuple(node.get("enum", ()))
            leaves[at] = Leaf(at, kind, node.get("x-kind", kind), values, node["description"])
        return node

    resolved = resolve(schema, "")
    if wrong:
        raise click.ClickException(f"{path}: {'; '.join(wrong)}")
    return Master(resolved, leaves)
