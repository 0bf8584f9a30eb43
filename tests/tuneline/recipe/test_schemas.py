"""Schemas: what is none, and a reference that leads nowhere, is told with its place; nothing is ever fetched."""

import json
import socket
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest

from tests.conftest import ROOT
from tuneline.recipe.schemas import read_schema


def write(folder: Path, schema: Any) -> Path:
    path = folder / "schema.json"
    path.write_text(schema if isinstance(schema, str) else json.dumps(schema), encoding="utf-8")
    return path


GOOD = [
    {},
    {"$defs": {"x": {"type": "string"}}, "properties": {"a": {"$ref": "#/$defs/x"}}},
    {"definitions": {"x": {}}, "items": {"$ref": "#/definitions/x"}},
    {"$defs": {"x": {"$anchor": "here", "type": "string"}}, "items": {"$ref": "#here"}},
    {"$defs": {"a/b": {}, "c%d": {}, "e~f": {}},
     "allOf": [{"$ref": "#/$defs/a~1b"}, {"$ref": "#/$defs/c%25d"}, {"$ref": "#/$defs/e~0f"}]},
    {"$id": "https://example.org/root.json",
     "$defs": {"b": {"$id": "b.json", "type": "object", "$defs": {"c": {"$anchor": "cc"}}}},
     "properties": {"a": {"$ref": "b.json"}, "c": {"$ref": "b.json#cc"}, "d": {"$ref": "https://example.org/b.json"},
                    "e": {"$ref": "root.json#/$defs/b"}}},
    {"$id": "root.json", "$defs": {"b": {"$id": "b.json"}}, "properties": {"a": {"$ref": "b.json"}}},
    {"properties": {"below": {"$ref": "#"}}},  # a tree
    {"$dynamicAnchor": "node", "properties": {"below": {"$dynamicRef": "#node"}}},
    {"properties": {"$ref": {"type": "string"}}, "required": ["$ref"]},  # a key of that name
    {"const": {"$ref": "#/nowhere"}, "default": {"$ref": "x"}, "enum": [{"$ref": "y"}]},  # values, and no references
    {"$ref": "https://json-schema.org/draft/2020-12/schema"},  # which needs no fetching
    {"components": {"x": {"type": "string"}}, "properties": {"a": {"$ref": "#/components/x"}}},
]  # fmt: skip


@pytest.mark.parametrize("schema", GOOD)
def test_a_schema_whose_references_stand_in_it(schema: dict, tmp_path: Path) -> None:
    assert read_schema(write(tmp_path, schema)) == schema
    for value in ({}, {"a": {}, "below": {"below": {}}}, [{}], "x"):
        jsonschema.Draft202012Validator(schema).is_valid(value)  # and it can be used


BAD = [
    ("", "Expecting value"),
    ("{'a': 1}", "Expecting property name"),
    ('{"a":' * 100_000, "maximum recursion depth"),
    ("true", "a schema here is an object, this is bool"),
    ([], "$: [] is not of type 'object', 'boolean'"),
    ({"properties": {"n": {"type": "strnig"}}}, "$.properties.n.type: 'strnig' is not valid"),
    ({"pattern": "("}, "$.pattern: '(' is not a 'regex'"),
    ({"$ref": 3}, "$['$ref']: 3 is not of type 'string'"),
    ({"properties": {"a": {"$ref": "#/$defs/x"}}},
     "#/properties/a/$ref: '#/$defs/x' leads to nothing in the file"),
    ({"$defs": {"a/b": {"items": [{}], "not": {"$ref": "#here"}}}}, "$['$defs']['a/b'].items: [{}] is not of type"),
    ({"$defs": {"a/b": {"not": {"$ref": "#here"}}}}, "#/$defs/a~1b/not/$ref: '#here' leads to nothing in the file"),
    ({"anyOf": [{}, {"$ref": "#/anyOf/2"}]}, "#/anyOf/1/$ref: '#/anyOf/2' leads to nothing"),
    ({"anyOf": [{}, {"$ref": "#/anyOf/x"}]}, "#/anyOf/1/$ref: '#/anyOf/x' leads to nothing"),
    ({"components": {"x": {"$ref": "#/nowhere"}}, "items": {"$ref": "#/components/x"}},
     "#/components/x/$ref: '#/nowhere' leads to nothing"),
    ({"$id": "r.json", "$defs": {"b": {"$id": "b.json", "$ref": "#/$defs/c"}, "c": {}}},
     "#/$defs/b/$ref: '#/$defs/c' leads to nothing"),  # for b is a file of its own
    ({"items": {"$ref": "https://example.org/x.json"}},
     "#/items/$ref: 'https://example.org/x.json' is not in the file, and nothing is fetched: write"),
    ({"items": {"$ref": "other.json"}}, "#/items/$ref: 'other.json' is not in the file"),
    ({"items": {"$ref": "file:///etc/hostname"}}, "#/items/$ref: 'file:///etc/hostname' is not in the file"),
    ({"items": {"$dynamicRef": "#gone"}}, "#/items/$dynamicRef: '#gone' leads to nothing"),
    ({"items": {"$ref": "#/required/0"}, "required": ["a"]}, "#/items/$ref: '#/required/0' leads to no schema"),
    ({"$ref": "#"}, "#: refers to itself, with nothing between"),
    ({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"allOf": [{"$ref": "#/$defs/a"}]}}}, "refers to itself"),
    ({"$defs": {"a": {"dependentSchemas": {"k": {"$ref": "#/$defs/a"}}}}}, "refers to itself"),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "said"), BAD, ids=range(len(BAD)))
def test_what_is_no_schema_is_one_line_with_its_place(schema: Any, said: str, tmp_path: Path) -> None:
    path = write(tmp_path, schema)
    with pytest.raises(click.ClickException) as error:
        read_schema(path)
    assert error.value.message.startswith(f"{path}: ")
    assert said in error.value.message
    assert "\n" not in error.value.message


def test_a_file_of_other_bytes_and_one_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "schema.json").write_bytes(b'{"title": "\xff"}')
    with pytest.raises(click.ClickException, match=r"schema\.json: 'utf-8' codec"):
        read_schema(tmp_path / "schema.json")
    with pytest.raises(click.ClickException, match=r"none\.json is missing; recipe\.yaml names it"):
        read_schema(tmp_path / "none.json")


def test_no_server_is_ever_asked(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/x.json"
        with pytest.raises(click.ClickException, match="is not in the file, and nothing is fetched"):
            read_schema(write(tmp_path, {"$ref": url}))
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.parametrize("path", sorted(ROOT.glob("recipes/*/**/*schema.json")), ids=lambda path: path.parent.name)
def test_the_schemas_that_are_shipped_are_some(path: Path) -> None:
    assert read_schema(path)
