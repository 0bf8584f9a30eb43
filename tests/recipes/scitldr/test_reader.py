"""The SciTLDR form: sentences are joined, each target is a reference, the first is the answer."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from recipes.scitldr.reader import Settings, read, read_multi_target
from stages.extract import main as extract
from tests.conftest import ROOT
from tests.recipe_folder import write_recipe
from tuneline.data.external import MIRROR
from tuneline.files import read_jsonl
from tuneline.rows import BadRow


def test_a_record_of_several_targets() -> None:
    record = {
        "source": ["One.\n", " ", "Two  words."],
        "target": [" First. ", "Second."],
        "title": "T",
        "rouge_scores": [],
    }
    assert list(read_multi_target(record)) == [
        {"input": "One. Two words.", "output": "First.", "references": ["First.", "Second."], "title": "T"}
    ]


@pytest.mark.parametrize(
    "record",
    [[], {}, {"source": "text", "target": ["x"]}, {"source": ["x"], "target": []}, {"source": [1], "target": ["x"]},
     {"source": [" "], "target": ["x"]}],
)  # fmt: skip
def test_another_form_is_one_bad_row(record: Any) -> None:
    (bad,) = read_multi_target(record)
    assert isinstance(bad, BadRow)
    assert "not of the form" in str(bad)


def test_the_references_travel_with_the_row_and_a_bad_record_is_told(tmp_path: Path) -> None:
    records = [{"source": ["One.", "Two."], "target": ["First.", "Second."], "title": "T"}, {"source": []}]
    recipe = write_recipe(tmp_path / "r", {"test.jsonl": "".join(json.dumps(record) + "\n" for record in records)})
    form = {"user": "${input}", "assistant": ["${output}"]}
    found = read(recipe, Settings(train=[], test=["test.jsonl"], form=form), tmp_path / "out", tmp_path / "state")
    (row,) = found.rows
    assert [message["content"] for message in row["messages"]] == ["One. Two.", "First."]
    assert row["fields"]["references"] == ["First.", "Second."]
    assert row["set"] == "test"
    assert [(bad["file"], bad["line"], bad["reason"]) for bad in found.refused] == [("test.jsonl", 2, "unreadable")]


@pytest.mark.skipif(MIRROR not in os.environ, reason=f"{MIRROR} is not set")
def test_scitldr_is_read_whole(tmp_path: Path) -> None:
    recipe = tmp_path / "scitldr"
    recipe.symlink_to(ROOT / "recipes/scitldr")
    words = ["--recipe", str(recipe), "--state", str(tmp_path / "state"), "--engine", "local"]
    for option in ("out", "rejects", "metrics", "documents"):
        words += [f"--{option}", str(tmp_path / option)]
    result = CliRunner().invoke(extract, words)
    assert result.exit_code == 0, result.output
    rows = read_jsonl(tmp_path / "out")
    sets = [row.get("set", "train") for row in rows]
    assert [sets.count(name) for name in ("train", "valid", "test")] == [1992, 619, 618]
    test = [row for row in rows if row.get("set") == "test"]
    assert sum(len(row["fields"]["references"]) for row in test) == 1967
    assert all(row["fields"]["references"][0] == row["messages"][-1]["content"] for row in test)
    assert "\n" not in "".join(row["messages"][0]["content"] for row in rows)
