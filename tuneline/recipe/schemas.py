"""JSON Schemas of a recipe."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from jsonschema_specifications import REGISTRY
from referencing import Resource
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

REFERENCES = ("$ref", "$dynamicRef")
# Keywords whose schemas look at the same value: a reference that comes back by them alone never ends.
SAME_VALUE = ("allOf", "anyOf", "oneOf", "not", "if", "then", "else")


def read_schema(path: Path) -> dict[str, Any]:
    """Raises click.ClickException when the file is not there, or no JSON Schema whose references all stand in it."""
    try:
        schema = json.loads(path.read_text("utf-8"))
        Draft202012Validator.check_schema(schema)
    except FileNotFoundError:
        raise click.ClickException(f"{path} is missing; recipe.yaml names it") from None
    except SchemaError as error:
        raise click.ClickException(f"{path}: {error.json_path}: {error.message.splitlines()[0][:200]}") from None
    except (ValueError, RecursionError) as error:
        raise click.ClickException(f"{path}: {str(error).splitlines()[0]}") from None
    if not isinstance(schema, dict):
        raise click.ClickException(f"{path}: a schema here is an object, this is {type(schema).__name__}")
    if wrong := bad_reference(schema):
        raise click.ClickException(f"{path}: {wrong}")
    return schema


def bad_reference(schema: dict[str, Any]) -> str | None:
    """The first reference that leads nowhere, out of the file or round in a circle, with its place.

    Nothing is fetched: known beside the file's own schemas are those of JSON Schema itself.
    """
    root = Resource(schema, DRAFT202012)
    places = {id(node): pointer for pointer, node in _walk(schema, "#")}
    left, seen = [(root, REGISTRY.resolver_with_root(root))], {id(schema)}
    same: dict[int, list[Any]] = {}  # schema → those that look at the same value
    while left:
        resource, resolver = left.pop()
        node = resource.contents
        below = [(one, resolver.in_subresource(one)) for one in resource.subresources()]
        same[id(node)] = _beside(node)
        for keyword in REFERENCES:
            if not isinstance(node, dict) or keyword not in node:
                continue
            place = f"{places.get(id(node), '#')}/{keyword}"
            try:
                found = resolver.lookup(node[keyword])
                if id(found.contents) not in seen:  # it may stand where no keyword looks for a schema
                    Draft202012Validator.check_schema(found.contents)
            except (Unresolvable, ValueError, TypeError, LookupError):
                return f"{place}: {_lost(node[keyword])}"
            except SchemaError as error:
                return f"{place}: {node[keyword]!r} leads to no schema: {error.message.splitlines()[0][:200]}"
            below.append((Resource(found.contents, DRAFT202012), found.resolver))
            same[id(node)].append(found.contents)
        for one, its in below:
            if id(one.contents) not in seen:
                seen.add(id(one.contents))
                left.append((one, its))
    circle = _circle(same)
    return f"{places.get(circle, '#')}: refers to itself, with nothing between" if circle else None


def _lost(reference: str) -> str:
    if reference.startswith("#"):
        return f"{reference!r} leads to nothing in the file"
    return f"{reference!r} is not in the file, and nothing is fetched: write the schema into $defs"


def _walk(node: Any, pointer: str) -> Iterator[tuple[str, Any]]:
    """(JSON pointer, value) of all that can hold something."""
    left = [(pointer, node)]
    while left:
        pointer, node = left.pop()
        if isinstance(node, dict | list):
            yield pointer, node
            for key, inner in node.items() if isinstance(node, dict) else enumerate(node):
                left.append((f"{pointer}/{str(key).replace('~', '~0').replace('/', '~1')}", inner))


def _beside(node: Any) -> list[Any]:
    """The schemas in a schema that look at the value that it looks at."""
    found = [node[keyword] for keyword in SAME_VALUE if keyword in node] if isinstance(node, dict) else []
    listed = [one for value in found if isinstance(value, list) for one in value]
    depending = list(node["dependentSchemas"].values()) if isinstance(node, dict) and "dependentSchemas" in node else []
    return [value for value in found if not isinstance(value, list)] + listed + depending


def _circle(same: dict[int, list[Any]]) -> int | None:
    """The id of a schema from which the same value comes back to it; None where every way ends."""
    from graphlib import CycleError, TopologicalSorter

    try:
        TopologicalSorter({node: map(id, beside) for node, beside in same.items()}).prepare()
    except CycleError as error:
        return error.args[1][0]
    return None
