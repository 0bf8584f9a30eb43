"""The SNIPS form: texts are joined, parts with an entity are the slots."""

from pathlib import Path
from typing import Any

import pytest

from recipes.snips.reader import Settings, read, read_annotated
from tests.recipe_folder import write_recipe
from tuneline.data.sources import read_file
from tuneline.rows import BadRow

PLAY = {"data": [{"text": "play "}, {"text": "Zoé ", "entity": "artist"}, {"text": "and "}, {"text": "Bo",
        "entity": "artist"}, {"text": " on "}, {"text": "radio", "entity": "service"}, {"text": " "}]}  # fmt: skip


def test_texts_are_joined_and_entities_collected_in_order() -> None:
    assert list(read_annotated({"PlayMusic": [PLAY], "Stop": [{"data": [{"text": "stop"}]}]})) == [
        {
            "query": "play Zoé and Bo on radio",
            "data": {"intent": "PlayMusic", "slots": {"artist": ["Zoé", "Bo"], "service": ["radio"]}},
        },
        {"query": "stop", "data": {"intent": "Stop", "slots": {}}},
    ]


@pytest.mark.parametrize("record", [[], "x", {"PlayMusic": PLAY}, {"PlayMusic": None}])
def test_another_form_is_one_bad_row(record: Any) -> None:
    (bad,) = read_annotated(record)
    assert isinstance(bad, BadRow)
    assert "not of the form {intent:" in str(bad)


@pytest.mark.parametrize(
    "request_", [{}, {"data": None}, {"data": ["x"]}, {"data": [{"entity": "a"}]}, {"data": [{"text": 1}]}, 7]
)
def test_a_malformed_request_is_named_and_those_after_it_are_read(request_: Any) -> None:
    before, bad, after = read_annotated({"Stop": [PLAY, request_, PLAY]})
    assert isinstance(bad, BadRow)
    assert "request 2 of Stop is malformed" in str(bad)
    assert before == after


def test_a_file_with_one_empty_request_loses_only_that(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(
        '{"Stop": [{"data": [{"text": " "}]}, {"data": [{"text": "stop"}]}, {}, {"data": [{"text": "end"}]}]}'
    )
    rows = list(read_file(path, "a.json", Settings(train=[], test=[]), records=read_annotated))
    assert [row["messages"][0]["content"] for row in rows if "reason" not in row] == ["stop", "end"]
    assert [row["detail"] for row in rows if "reason" in row] == [
        "'query' is empty",
        "request 3 of Stop is malformed: KeyError('data')",
    ]


def test_a_file_that_is_not_json_is_refused_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"Stop": [\n')
    (row,) = read_file(path, "a.json", Settings(train=[], test=[]), records=read_annotated)
    assert (row["line"], row["detail"][:8]) == (1, "not JSON")


def test_the_reader_reads_the_files_that_the_recipe_names(tmp_path: Path) -> None:
    text = '{"Stop": [{"data": [{"text": "stop"}]}, {}]}'
    recipe = write_recipe(tmp_path / "r", {"train.json": text, "valid.json": text.replace('"stop"', '"halt"')})
    settings = Settings(train=["train.json"], test=["valid.json"])
    found = read(recipe, settings, tmp_path / "out", tmp_path / "state")
    assert [(row["messages"][0]["content"], row.get("set")) for row in found.rows] == [("stop", None), ("halt", "test")]
    assert [row["file"] for row in found.refused] == ["train.json", "valid.json"]
