"""A new kind of measures is one short file of a recipe: the one of docs/measures.md, run as it stands there."""

import csv
import json
import re
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner

from stages.eval import main
from tests.conftest import ROOT
from tests.recipe_folder import RECIPE, write_recipe
from tests.teaching import flags, settings
from tuneline.files import read_jsonl, write_jsonl
from tuneline.recipe.forms import read_form
from tuneline.recipe.own import open_door
from tuneline.rows import make_row

BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)
BLOCKS = BLOCK.findall((ROOT / "docs/measures.md").read_text("utf-8"))
YAML, EXAMPLE, ASK = (text for kind, text in BLOCKS if kind != "sh")
MOST = 15  # lines that a new kind of measures may want

ROWS = [("a.jsonl", "The ferry stops in May."), ("a.jsonl", "Buses run."), ("b.jsonl", "Été à Nîmes"), ("b.jsonl", "…")]
BASE = ["", "buses run and run", "Nîmes", "a word"]
TUNED = ["In May the ferry stops.", "Buses", "été à nîmes", ""]


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    folder = write_recipe(tmp_path / "mine")
    (folder / "recipe.yaml").write_text(yaml.safe_dump({**RECIPE, **yaml.safe_load(YAML)}), encoding="utf-8")
    (folder / "measures.py").write_text(EXAMPLE, encoding="utf-8")
    return folder


def evaluate(recipe: Path) -> Path:
    """Runs the stage on a few answers; the folder that it wrote to."""
    folder = recipe.parent
    rows = [
        make_row(read_form({"prompt": f"Question {n}?", "response": said}), file, n)
        for n, (file, said) in enumerate(ROWS)
    ]
    write_jsonl(folder / "test.jsonl", rows)
    write_jsonl(folder / "train.jsonl", [make_row(read_form({"prompt": "What else?", "response": "this"}), "t", 1)])
    for name, answers in (("baseline", BASE), ("tuned", TUNED)):
        given = ({"id": row["id"], "answer": text} for row, text in zip(rows, answers, strict=True))
        write_jsonl(folder / f"{name}.jsonl", given)
    words = ["--recipe", recipe, "--adapter", "mine", "--samples", 100, "--seed", 0, "--answers", folder / "log"]
    words += [
        word for name in ("train", "test", "baseline", "tuned") for word in (f"--{name}", folder / f"{name}.jsonl")
    ]
    for name in ("metrics", "report", "confusion", "predictions"):
        words += [f"--{name}", folder / name]
    result = CliRunner().invoke(main, [*map(str, words), *flags(settings(provider="offline", model="offline"))])
    assert result.exit_code == 0, result.output
    assert "kept" in result.output
    assert "length" in result.output
    return folder


def test_the_example_is_short_and_all_that_is_written() -> None:
    assert len(EXAMPLE.splitlines()) <= MOST
    assert [kind for kind, _ in BLOCKS if kind != "sh"] == ["yaml", "python", "python"]
    assert len(YAML.splitlines()) == 2


def test_the_example_measures_answers(recipe: Path) -> None:
    folder = evaluate(recipe)
    assert json.loads((folder / "metrics").read_text("utf-8")) == {
        "base": {"kept": round((0 + 1 + 1 / 3) / 3, 4), "length": round((0 + 2 + 1 / 3) / 3, 4)},
        "tuned": {"kept": round((1 + 1 / 2 + 1) / 3, 4), "length": round((1 + 1 / 2 + 1) / 3, 4)},
    }
    report = json.loads((folder / "report").read_text("utf-8"))
    assert report["rows"] == 4
    assert "judge" not in report
    for side in ("base", "tuned"):
        assert set(report["intervals"][side]) == {"kept", "length"}
        assert [line["rows"] for line in report["per_file"][side].values()] == [2, 1]  # one row does not count
    low, high = report["per_file"]["tuned"]["a.jsonl"]["kept_interval"]
    assert 0.5 <= low <= report["per_file"]["tuned"]["a.jsonl"]["kept"] == 0.75 <= high <= 1
    told = read_jsonl(folder / "predictions")
    assert [row["figures"]["tuned"]["kept"] for row in told] == [1, 0.5, 1, None]
    assert [row["tuned"] for row in told] == TUNED
    with (folder / "confusion").open(newline="", encoding="utf-8") as lines:
        cells = [(line["actual"], line["predicted"]) for line in csv.DictReader(lines)]
    assert cells[:3] == [("a.jsonl", "kept 0.9–1.0"), ("a.jsonl", "kept 0.5–0.6"), ("b.jsonl", "kept 0.9–1.0")]


def test_the_example_of_a_judge_is_asked(recipe: Path) -> None:
    (recipe / "judge").mkdir()
    (recipe / "judge/politeness.md").write_text("Is it polite?\n${question}\n${answer}\n", encoding="utf-8")
    (recipe / "measures.py").write_text(f"{EXAMPLE}\n\n{ASK}", encoding="utf-8")
    row = make_row(read_form({"prompt": "Où ?", "response": "Là."}), "a.jsonl", 1)
    (request,) = open_door(recipe, "measures").ask(row, "Ici.")
    assert request.messages == (("user", "Is it polite?\nOù ?\nIci."),)
    assert request.facts["judge"] == "politeness"


def test_measures_that_take_something_else_are_refused_in_one_line(recipe: Path) -> None:
    (recipe / "measures.py").write_text(EXAMPLE.replace("answer, outcomes", "answer"), encoding="utf-8")
    with pytest.raises(
        click.ClickException, match=r"measures\.py: score\(row, answer\) does not take what it is given: score"
    ):
        open_door(recipe, "measures")
