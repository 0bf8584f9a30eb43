"""The measures that a recipe names, and what they say of a row before anything is paid."""

import json
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from tests.conftest import ROOT
from tests.recipe_folder import RECIPE, write_recipe
from tuneline.files import Row, read_jsonl
from tuneline.measuring.json_answers import JsonMeasures
from tuneline.measuring.kinds import open_measures, reader_of
from tuneline.measuring.label_answers import LabelMeasures
from tuneline.measuring.task_answers import TaskMeasures
from tuneline.measuring.text_answers import TextMeasures
from tuneline.measuring.text_bits import BitsMeasures
from tuneline.recipe.forms import read_form
from tuneline.rows import make_row

SCHEMA = {
    "type": "object",
    "required": ["type"],
    "properties": {"type": {"enum": ["find", "count"]}, "n": {"$ref": "#/$defs/size"}},
    "$defs": {"size": {"type": "integer"}},
}
TEXT = make_row(read_form({"text": "only a text"}), "a.jsonl", 1)


def asked(answer: str, **fields: Any) -> Row:
    return {
        **make_row(read_form({"prompt": "?", "response": answer}), "a.jsonl", 1),
        **({"fields": fields} if fields else {}),
    }


def recipe(folder: Path, eval_: dict[str, Any], files: dict[str, str] | None = None) -> Path:
    made = write_recipe(folder)
    (made / "recipe.yaml").write_text(yaml.safe_dump({**RECIPE, "eval": eval_}), encoding="utf-8")
    (made / "schema.json").write_text(json.dumps(SCHEMA), encoding="utf-8")
    for name, text in (files or {}).items():
        (made / name).parent.mkdir(exist_ok=True)
        (made / name).write_text(text, encoding="utf-8")
    return made


JUDGED = {"judge/it.md": "${question} ${answer}"}
OWN = "FIGURES = {'x': 'mean'}\ndef score(row, answer, outcomes):\n    pass\n"
KINDS: list[tuple[dict[str, Any], type]] = [
    ({"measures": "json", "intent": "type"}, JsonMeasures),
    ({"measures": "labels"}, LabelMeasures),
    ({"measures": "labels", "labels": ["a", "b"]}, LabelMeasures),
    ({"measures": "text"}, TextMeasures),
    ({"measures": "text", "rubric": "judge/it.md"}, TextMeasures),
    ({"measures": "bits"}, BitsMeasures),
    ({"measures": "task", "task": "summarization", "rubric": None}, TaskMeasures),
]


@pytest.mark.parametrize(("section", "kind"), KINDS)
def test_each_kind_opens_and_says_what_it_cannot_read(section: dict, kind: type, tmp_path: Path) -> None:
    folder = recipe(tmp_path / "r", section, JUDGED)
    measures, read = open_measures(folder), reader_of(folder)
    assert isinstance(measures, kind)
    good = TEXT if kind is BitsMeasures else asked('{"type":"find"}' if kind is JsonMeasures else "a")
    bad = asked("a") if kind is BitsMeasures else TEXT
    assert read(good) is None
    assert isinstance(read(bad), str)
    assert "\n" not in read(bad)
    assert read({"id": "d", "group": "d", "origin": "source", "fields": {}, "source": {}}) is None  # a document


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ('{"type":"find","n":2}', None),
        ("yes", "has an answer that is no JSON object with a text 'type': yes"),
        ("[1]", "has an answer that is no JSON object"),
        ('{"n":1}', "has an answer that is no JSON object with a text 'type'"),
        ('{"type":7}', "has an answer that is no JSON object with a text 'type'"),
        ('{"type":"find","n":NaN}', "has an answer that is no JSON object"),
        ('{"type":"lose"}', "has an answer that schema.json refuses: $.type: 'lose' is not one of ['find', 'count']"),
        ('{"type":"find","n":"2"}', "has an answer that schema.json refuses: $.n: '2' is not of type 'integer'"),
    ],
)
def test_a_reference_that_json_measures_cannot_read(answer: str, said: str | None, tmp_path: Path) -> None:
    found = reader_of(recipe(tmp_path / "r", {"measures": "json", "intent": "type"}))(asked(answer))
    assert found is None if said is None else found.startswith(said)


def test_a_task_that_is_judged_needs_the_whole_input(tmp_path: Path) -> None:
    folder = recipe(
        tmp_path / "r",
        {"measures": "task", "task": "summarization", "rubric": "judge/it.md"},
        {"judge/it.md": "${source}"},
    )
    assert reader_of(folder)(asked("a", input="b")) is None
    assert reader_of(folder)(asked("a")).startswith("cannot be judged: a judge needs rows with a field input")


def test_a_judge_whose_rubric_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(click.ClickException, match=r"judge/it\.md is missing; recipe\.yaml names it"):
        reader_of(recipe(tmp_path / "r", {"measures": "text", "rubric": "judge/it.md"}))


def test_a_schema_that_is_none_is_told_at_once(tmp_path: Path) -> None:
    folder = recipe(tmp_path / "r", {"measures": "json", "intent": "type"}, {"schema.json": '{"$ref": "#/$defs/x"}'})
    with pytest.raises(click.ClickException, match=r"schema\.json: #/\$ref: '#/\$defs/x' leads to nothing in the file"):
        reader_of(folder)


# A recipe's own


def test_own_measures_may_say_what_they_cannot_read(tmp_path: Path) -> None:
    says = "\ndef unreadable(row):\n    return 'is odd' if len(row['messages'][-1]['content']) % 2 else None\n"
    folder = recipe(tmp_path / "r", {"measures": "own"}, {"measures.py": OWN + says})
    assert (reader_of(folder)(asked("abc")), reader_of(folder)(asked("ab"))) == ("is odd", None)


def test_own_measures_need_not(tmp_path: Path) -> None:
    read = reader_of(recipe(tmp_path / "r", {"measures": "own"}, {"measures.py": OWN}))
    assert (read(TEXT), read(asked("a"))) == (None, None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (OWN + "\ndef unreadable():\n    pass\n", r"unreadable\(\) does not take what it is given: unreadable\(row\)"),
        (OWN.replace("'mean'", "'median'"), "FIGURES has x by 'median'; the ways are mean, weighted mean, precision"),
    ],
)
def test_own_measures_of_another_form_are_one_line(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(click.ClickException, match=rf"measures\.py: {said}"):
        reader_of(recipe(tmp_path / "r", {"measures": "own"}, {"measures.py": text}))


def test_references_that_are_shipped_can_be_read() -> None:
    read = reader_of(ROOT / "recipes/query_json")
    for name in ("train", "test"):
        rows = read_jsonl(ROOT / f"recipes/query_json/source/{name}.jsonl")
        assert len(rows) > 100
        assert {read(make_row(read_form(one), name, 1)) for one in rows} == {None}


@pytest.mark.parametrize(("section", "kind"), KINDS)
def test_the_docs_name_every_figure_of_a_kind(section: dict, kind: type, tmp_path: Path) -> None:
    docs = (ROOT / "docs/measures.md").read_text("utf-8")
    line = next(line for line in docs.splitlines() if f"`measures: {section['measures']}`" in line)
    figures = open_measures(recipe(tmp_path / "r", section, JUDGED)).FIGURES
    if kind is TaskMeasures:
        figures = [name for name in figures if not name.startswith("rouge")]
    assert not [name for name in figures if f"`{name}`" not in line]
