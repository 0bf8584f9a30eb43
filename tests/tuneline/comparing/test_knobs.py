"""Knobs, spend and prompts."""

from pathlib import Path

import pytest

from tests.small_pipeline import Small, small_pipeline
from tuneline.comparing.knobs import ABSENT, Knob, differences, prompt_lines, spend, turned_knobs
from tuneline.comparing.sides import Side, changed_paths, open_sides


@pytest.fixture
def project(tmp_path: Path) -> Small:
    return small_pipeline(tmp_path)


def test_leaves_that_differ() -> None:
    old = {"a": {"b": 1, "c": [1, 2]}, "gone": {"x": 1}, "same": 0.5}
    new = {"a": {"b": 2, "c": [1, 3]}, "new": {"y": {"z": 1}}, "same": 0.5}
    assert list(differences(old, new)) == [
        ("a.b", 1, 2),
        ("a.c", [1, 2], [1, 3]),
        ("gone", {"x": 1}, ABSENT),
        ("new", ABSENT, {"y": {"z": 1}}),
    ]


def test_a_new_strategy_shifts_no_other() -> None:
    old = {"strategies": [{"name": "a", "rows": 1}, {"name": "b", "rows": 2}]}
    new = {"strategies": [{"name": "c", "rows": 9}, {"name": "a", "rows": 1}, {"name": "b", "rows": 3}]}
    found = list(differences(old, new))
    assert found == [("strategies.b.rows", 2, 3), ("strategies.c", ABSENT, {"name": "c", "rows": 9})]


def test_knobs_of_params_and_recipes(project: Small) -> None:
    project.edit("params.yaml", "rank: 32", "rank: 16")
    project.write("recipes/mine/recipe.yaml", "curate: {near-duplicate: 0.9}\n")
    before, now = open_sides(project.root, "HEAD", None)
    assert [str(knob) for knob in turned_knobs(before, now, changed_paths(before, now))] == [
        "`lora.rank` `32` → `16`",
        "new `mine: curate`",
    ]


def test_long_lists_and_texts_are_shown_where_they_differ() -> None:
    names = [f"recipe-{at}" for at in range(20)]
    assert (
        str(Knob("params.yaml", "recipes", names, [*names[1:], "one more"])) == "`recipes` + `one more`, − `recipe-0`"
    )
    assert str(Knob("params.yaml", "recipes", names, names[::-1])) == "`recipes` in another order"
    long = "x" * 100
    assert str(Knob("params.yaml", "url", f"{long}a", f"{long}b")) == "`url` `…xxxxxxxxxxxxa` → `…xxxxxxxxxxxxb`"


def test_prompts_but_no_readme_and_no_rows(project: Small) -> None:
    project.write("recipes/mine/system.md", "Answer.\nBe kind.\n")
    for name in ("README.md", "sdg/README.md", "source/a.md"):
        project.write(f"recipes/mine/{name}", "words")
    project.write("recipes/mine/sdg/new.md", "Write.\n")
    before, now = open_sides(project.root, "HEAD", None)
    assert prompt_lines(before, now, changed_paths(before, now)) == {
        "recipes/mine/sdg/new.md": ["+Write."],
        "recipes/mine/system.md": ["-Be short.", "+Be kind."],
    }


def test_spend_of_rows_and_judges(project: Small) -> None:
    project.write("metrics/mine/sdg.json", {"spend": {"usd": 1.5, "tokens_in": 10}})
    project.write("metrics/mine/report.json", {"judge_spend": {"usd": 0.25}})
    project.write("metrics/mine/curate.json", {"in": 3})
    assert spend(Side(project.root)) == {"metrics/mine/sdg.json": 1.5, "metrics/mine/report.json": 0.25}
