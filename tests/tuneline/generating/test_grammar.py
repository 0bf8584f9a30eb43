"""Rows drawn from a grammar: right draws, clear errors, and the shipped grammar keeps its own rules."""

import json
import random
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest
import yaml
from click.testing import CliRunner

from stages.sdg import main
from tests.conftest import ROOT
from tests.recipe_folder import write_recipe
from tests.teaching import flags, settings
from tuneline.files import read_jsonl, write_jsonl
from tuneline.generating.grammar import draw_rows

LISTS = {
    "person": ["Zoé", "Bo", "${place} team"],
    "place": ["Lyon", "Oslo"],
    "num": [{"text": "two", "value": 2}, {"text": "5", "value": 5}],
    "when": [
        {"text": "today", "time": {"range": "today"}, "direction": "present"},
        {"text": "last week", "time": {"range": "last_week"}, "direction": "past"},
    ],
}


def write(folder: Path, templates: Any, lists: Any = LISTS) -> Path:
    path = folder / "grammar.yaml"
    path.write_text(yaml.safe_dump({"lists": lists, "templates": templates}, allow_unicode=True), encoding="utf-8")
    return path


def draw(path: Path, count: int, lowercase: float = 0.0, seed: int = 0) -> list[dict]:
    return draw_rows(path, count, lowercase, random.Random(seed))


def test_a_placeholder_is_the_same_entry_in_query_and_data(tmp_path: Path) -> None:
    path = write(tmp_path, [{"query": "${num} from ${person}", "data": {"n": "${num}", "who": ["${person}"]}}])
    rows = draw(path, 8)
    assert len({row["query"] for row in rows}) == 8
    for row in rows:
        number, _, who = row["query"].partition(" from ")
        assert row["data"] == {"n": {"two": 2, "5": 5}[number], "who": [who]}
    assert {row["data"]["who"][0] for row in rows} == {"Zoé", "Bo", "Lyon team", "Oslo team"}


def test_values_keep_their_type_alone_and_become_text_in_a_text(tmp_path: Path) -> None:
    data = {"n": "${num}", "text": "${num} of ${when.direction}", "time": "${when.time}", "fixed": [1, None, True, "x"]}
    (row,) = draw(write(tmp_path, [{"query": "${num} ${when}", "data": data}]), 1, seed=1)
    n, direction = row["data"]["n"], row["data"]["text"].split(" of ")[1]
    assert isinstance(n, int)
    assert row["data"]["text"] == f"{n} of {direction}"
    assert row["data"]["time"] == {"range": {"present": "today", "past": "last_week"}[direction]}
    assert row["data"]["fixed"] == [1, None, True, "x"]


def test_a_value_is_a_copy_of_its_own(tmp_path: Path) -> None:
    path = write(tmp_path, [{"query": "${place} ${when}", "data": {"a": "${when.time}", "b": "${when.time}"}}])
    for row in draw(path, 4):
        row["data"]["a"]["range"] = "spoilt"
        assert row["data"]["b"]["range"] != "spoilt"


def test_a_second_entry_differs(tmp_path: Path) -> None:
    path = write(tmp_path, [{"query": "${place} to ${place.2}", "data": {"from": "${place}", "to": "${place.2}"}}])
    assert sorted(row["query"] for row in draw(path, 2)) == ["Lyon to Oslo", "Oslo to Lyon"]


def test_two_dollars_are_a_dollar_sign(tmp_path: Path) -> None:
    path = write(
        tmp_path, [{"query": "$$5 for ${thing}", "data": {"a": "$$", "b": "${thing}"}}], {"thing": ["a $$ bag"]}
    )
    assert draw(path, 1) == [{"query": "$5 for a $ bag", "data": {"a": "$", "b": "a $ bag"}}]


def test_a_share_is_folded_query_and_data_alike(tmp_path: Path) -> None:
    path = write(tmp_path, [{"query": "${person} ${num}", "data": {"who": "${person}"}}])
    assert {row["query"] for row in draw(path, 8, lowercase=1)} == {
        f"{who} {n}" for who in ("zoé", "bo", "lyon team", "oslo team") for n in ("two", "5")
    }
    rows = draw(path, 10, lowercase=0.5)
    folded = [row for row in rows if row["query"].islower()]
    assert 0 < len(folded) < 10
    assert all(row["query"].startswith(row["data"]["who"]) for row in rows)


def test_weights_are_heeded(tmp_path: Path) -> None:
    templates = [{"query": "never ${num}", "data": {}, "weight": 0}, {"query": "${person}", "data": {}, "weight": 3}]
    assert not any("never" in row["query"] for row in draw(write(tmp_path, templates), 4))


def test_the_seed_alone_decides(tmp_path: Path) -> None:
    path = write(tmp_path, [{"query": "${person} ${place} ${num} ${when}", "data": {"n": "${num}"}}])
    assert draw(path, 20, 0.5, seed=3) == draw(path, 20, 0.5, seed=3)
    assert draw(path, 20, 0.5, seed=3) != draw(path, 20, 0.5, seed=4)


# Errors

OK = {"query": "${num}", "data": {}}


@pytest.mark.parametrize(
    ("templates", "lists", "message"),
    [
        ([{"query": "${nobody}", "data": "${none.x}"}], LISTS, "no list 'nobody'; template 1: no list 'none'"),
        ([OK, {"query": "${when}", "data": "${when.tiem}"}], LISTS, "template 2: an entry of 'when' has no 'tiem'"),
        ([{"query": "${when}", "data": "${when}"}], LISTS, "template 1: an entry of 'when' has no 'value'"),
        ([{"query": "${place}", "data": "${place.code}"}], LISTS, "template 1: an entry of 'place' has no 'code'"),
        ([{"query": "{num-2} x", "data": {}}], LISTS, "template 1: '{num-2} x' has a brace"),
        ([{"query": "${num}", "data": {"a": ["{num"]}}], LISTS, "template 1: '{num' has a brace"),
        ([{"query": "{num}", "data": {}}], LISTS, "a brace that belongs to no placeholder; write ${list}"),
        ([{"query": "${num-2} x", "data": {}}], LISTS, "template 1: '${num-2} x' has a $ that starts no placeholder"),
        ([{"query": "5 $", "data": {}}], LISTS, "'5 $' has a $ that starts no placeholder; write $$ for a dollar"),
        ([OK], {"num": ["{nobody}"]}, "list 'num': '{nobody}' has a brace"),
        ([OK], {"num": ["5 $"]}, "list 'num': '5 $' has a $ that starts no placeholder"),
        ([{"query": 5, "data": {}}], LISTS, "template 1: the query is no text"),
        ([{"query": "x"}], LISTS, "template 1 needs query and data, and may have a weight"),
        ([{**OK, "wieght": 2}], LISTS, "template 1 needs query and data, and may have a weight"),
        ([OK], {"num": ["${nobody}"]}, "list 'num': no list 'nobody'"),
        ([OK], {"num": ["one", 2]}, "list 'num': 2 is no text"),
        ([OK], {"num": [False]}, "list 'num': False is no text"),
        ([OK], {"num": [{"value": 2}]}, "list 'num': {'value': 2} is no text and has none"),
        ([OK], {"num": []}, "no list 'num'"),
        ([OK], ["num"], "lists is not of the form"),
        ([], LISTS, "templates is not a list of templates"),
        ([OK], {"num": ["one ${num}"]}, "a list names itself"),
        ([{"query": "${num} ${num.2} ${num.3}", "data": {}}], LISTS, "list 'num' has no entry but 5, two"),
        ([OK], LISTS, "gives only 2 different rows, 3 are asked for"),
    ],
)
def test_a_wrong_grammar_is_told(tmp_path: Path, templates: Any, lists: Any, message: str) -> None:
    with pytest.raises(click.ClickException) as error:
        draw(write(tmp_path, templates, lists), 3)
    assert error.value.message.startswith(f"{tmp_path / 'grammar.yaml'}: ")
    assert message in error.value.message


@pytest.mark.parametrize("content", ["", "lists: {}", "lists: [", "{lists: {}, templates: [], more: 1}"])
def test_a_file_of_another_form_is_told(tmp_path: Path, content: str) -> None:
    path = tmp_path / "grammar.yaml"
    path.write_text(content)
    with pytest.raises(click.ClickException, match=r"grammar\.yaml: "):
        draw(path, 1)


def test_no_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(click.ClickException, match="No such file"):
        draw(tmp_path / "none.yaml", 1)


# The stage, and the shipped grammar


def test_the_stage_adds_its_rows_after_the_source_and_says_who_made_them(tmp_path: Path) -> None:
    strategy = {"kind": "grammar", "name": "made", "file": "grammar.yaml", "rows": 2, "lowercase": 0, "seed": 7}
    recipe = write_recipe(tmp_path / "r", sdg={"strategies": [strategy]})
    write(recipe, [OK])
    write_jsonl(tmp_path / "in.jsonl", [{"id": "a", "origin": "source", "text": "t"}])
    paths = {"recipe": recipe, "rows": tmp_path / "in.jsonl", "out": tmp_path / "out.jsonl"}
    paths |= {"refused": tmp_path / "refused.jsonl", "metrics": tmp_path / "m.json", "answers": tmp_path / "log"}
    words = [str(word) for flag, path in paths.items() for word in (f"--{flag}", path)]
    result = CliRunner().invoke(main, [*words, "--strategy", "all", *flags(settings(provider="offline"))])
    assert result.exit_code == 0, result.output
    rows = read_jsonl(tmp_path / "out.jsonl")
    assert [row["origin"] for row in rows] == ["source", "made", "made"]
    assert [row["source"] for row in rows[1:]] == [{"file": "grammar.yaml", "line": n} for n in (1, 2)]
    counts = {"in": 1, "out": 3, "strategies": {"made": {"rows": 2}}}
    assert json.loads((tmp_path / "m.json").read_text()) == counts


@pytest.fixture(scope="module")
def shipped() -> list[dict]:
    return draw(ROOT / "recipes/query_json/sdg/grammar.yaml", 500, lowercase=0.3, seed=11)


def test_the_shipped_grammar_obeys_the_schema(shipped: list[dict]) -> None:
    schema = json.loads((ROOT / "recipes/query_json/schema.json").read_text("utf-8"))
    validator = jsonschema.Draft202012Validator(schema)
    assert len(shipped) == 500
    assert [(row, error.message) for row in shipped for error in validator.iter_errors(row["data"])] == []


def test_the_shipped_grammar_copies_its_spans_from_the_query(shipped: list[dict]) -> None:
    spans = []
    for row in shipped:
        people = row["data"].get("filters", {}).get("participants", {})
        named = [name for names in people.values() for name in names if name != "me"]
        spans += [(span, row["query"]) for span in (row["data"].get("filter_query"), *named) if span]
    assert len(spans) > 300
    assert [pair for pair in spans if pair[0] not in pair[1]] == []


def test_the_shipped_grammar_writes_its_keys_in_the_order_of_the_schema(shipped: list[dict]) -> None:
    schema = json.loads((ROOT / "recipes/query_json/schema.json").read_text("utf-8"))
    for row in shipped:
        for value, part in ((row["data"], schema), (row["data"].get("filters", {}), schema["properties"]["filters"])):
            assert list(value) == [key for key in part["properties"] if key in value], row
