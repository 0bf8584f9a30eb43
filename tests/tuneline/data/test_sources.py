"""The files and folders that a recipe names: sets, ids, groups, columns, and fields of their own."""

import json
from pathlib import Path
from typing import Any

import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value
from pydantic import ValidationError

from tests.recipe_folder import write_recipe
from tuneline.data.sources import read_files
from tuneline.recipe.own import Extracted
from tuneline.recipe.settings import Extract, read_recipe


def pair(asked: str, answer: str = "yes", **more: Any) -> dict:
    return {"prompt": asked, "response": answer, **more}


def read(folder: Path, files: dict[str, list[dict]], **extract: Any) -> Extracted:
    texts = {name: "".join(json.dumps(row) + "\n" for row in rows) for name, rows in files.items()}
    recipe = write_recipe(folder / "r", texts, extract=extract)
    return read_files(recipe, read_recipe(recipe).extract, folder / "state")


def sets(found: Extracted) -> list[str | None]:
    return [row.get("set") for row in found.rows]


def test_a_row_says_its_id_its_group_and_its_set(tmp_path: Path) -> None:
    rows = [
        pair("a", id=7, group="customer 1", split="train"),
        pair("b", id="x", group="customer 1", split="validation"),
        pair("c", split="test"),
        pair("d", id="", group=None),
    ]
    found = read(tmp_path, {"train.jsonl": rows})
    assert sets(found) == [None, "valid", "test", None]
    assert [(row["id"], row["group"]) for row in found.rows[:2]] == [("7", "customer 1"), ("x", "customer 1")]
    assert len({row["group"] for row in found.rows}) == 3
    assert not {"split", "own_id"} & {key for row in found.rows for key in row}


def test_an_id_that_stands_twice_and_a_set_that_its_file_denies_are_refused(tmp_path: Path) -> None:
    files = {"train.jsonl": [pair("a", id=1), pair("b", id="1")], "test.jsonl": [pair("c", split="train"), pair("d")]}
    found = read(tmp_path, files, test=["test.jsonl"])
    assert [(row["file"], row["line"], row["detail"]) for row in found.refused] == [
        (
            "train.jsonl",
            2,
            "the id '1' stands at train.jsonl:1 already; `ignore` ids in extract.columns, or correct them",
        ),
        ("test.jsonl", 1, "its split is 'train', and recipe.yaml lists the file under test"),
    ]
    assert sets(found) == [None, "test"]


def test_rows_without_an_id_may_be_copies(tmp_path: Path) -> None:
    found = read(tmp_path, {"train.jsonl": [pair("a"), pair("a")]})
    assert len(found.rows) == 2  # curate says what becomes of them


def test_columns_are_named_by_the_recipe(tmp_path: Path) -> None:
    rows = [{"Betreff": "a", "Antwort": "b", "Nr": 1}, {"Betreff": "c", "Antwort": "d", "Nr": 2, "x": 1}]
    columns = {"Betreff": "question", "Antwort": "answer", "Nr": "ignore"}
    found = read(tmp_path, {"train.jsonl": rows}, columns=columns)
    assert [message["content"] for message in found.rows[0]["messages"]] == ["a", "b"]
    assert "'x'" in found.refused[0]["detail"]
    with pytest.raises(ValidationError, match="columns: asked is no form's key; known are messages"):
        Extract(kind="rows", train=["a"], test=[], max_reject_share=0, columns={"Betreff": "asked"})


FORM = {"user": "${subject}\n${body.text}", "assistant": ["${kind}"]}


def test_a_field_that_neither_form_nor_schema_names_is_refused(tmp_path: Path) -> None:
    row = {"subject": "a", "body": "t", "kind": "k"}
    form = {**FORM, "user": "${subject}\n${body}"}
    found = read(tmp_path, {"train.jsonl": [row, {**row, "mood": "x"}, {**row, "mood": None}]}, form=form)
    assert len(found.rows) == 2
    assert found.refused[0]["detail"].startswith("the form has no place for 'mood'; name it there or in fields, or as")
    found = read(tmp_path / "2", {"train.jsonl": [{**row, "mood": "x"}]}, form=form, columns={"mood": "ignore"})
    assert "mood" not in found.rows[0]["fields"]


def test_objects_and_numbers_in_a_form_are_json_with_their_digits(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path / "r", extract={"form": {"user": "${a} ${b}", "assistant": ["${c}"]}})
    (recipe / "source/train.jsonl").write_text('{"a": {"x": true, "y": null}, "b": 1.10, "c": [1.50, {"z": 1e3}]}\n')
    (row,) = read_files(recipe, read_recipe(recipe).extract, tmp_path / "state").rows
    assert [m["content"] for m in row["messages"]] == ['{"x":true,"y":null} 1.10', '- 1.50\n- {"z":1e3}']


def test_answers_of_a_form_keep_their_white_space(tmp_path: Path) -> None:
    form = {"user": "${a}", "assistant": ["${b}"]}
    (row,) = read(tmp_path, {"train.jsonl": [{"a": "x", "b": "    return 1\n"}]}, form=form).rows
    assert row["messages"][1]["content"] == "    return 1\n"


# Folders of Hugging Face

FEATURES = Features({"text": Value("string"), "label": ClassLabel(names=["bad", "good"])})


def dataset(*texts: str) -> Dataset:
    return Dataset.from_dict({"text": list(texts), "label": [n % 2 for n in range(len(texts))]}, features=FEATURES)


def read_dataset(folder: Path) -> Extracted:
    return read_files(folder, Extract(kind="rows", train=["mine"], test=[], max_reject_share=0), folder / "state")


def test_a_folder_as_datasets_saves_it(tmp_path: Path) -> None:
    splits = DatasetDict({"train": dataset("a", "b"), "validation": dataset("c"), "test": dataset("d", "e")})
    splits.save_to_disk(tmp_path / "source/mine")
    found = read_dataset(tmp_path)
    assert not found.refused
    assert sorted((row["messages"][0]["content"], row.get("set")) for row in found.rows) == [
        ("a", None), ("b", None), ("c", "valid"), ("d", "test"), ("e", "test")
    ]  # fmt: skip
    assert {row["messages"][1]["content"] for row in found.rows} == {"bad", "good"}
    assert found.rows[0]["source"]["file"].startswith("mine/test/data-00000-of-00001.arrow")


def test_a_folder_as_the_hub_has_it(tmp_path: Path) -> None:
    folder = tmp_path / "source/mine"
    (folder / "data").mkdir(parents=True)
    dataset("a", "b").to_parquet(folder / "data/train-00000-of-00002.parquet")
    dataset("c").to_parquet(folder / "data/test-00000-of-00001.parquet")
    (folder / "README.md").write_text("---\nlicense: cc0-1.0\n---\n")
    (folder / ".gitattributes").write_text("*.parquet filter=lfs\n")
    assert sorted((row["messages"][0]["content"], row.get("set")) for row in read_dataset(tmp_path).rows) == [
        ("a", None), ("b", None), ("c", "test")
    ]  # fmt: skip
