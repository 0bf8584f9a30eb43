"""recipe.yaml: a wrong key is named with the valid ones, whoever reads its section, and every fault is told at once."""

from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from pydantic import Field

from stages.extract import extract
from tests.recipe_folder import RECIPE, write_recipe
from tuneline.recipe.own import Extracted
from tuneline.recipe.settings import (
    BitsEval,
    JsonEval,
    LabelEval,
    OwnEval,
    OwnExtract,
    Section,
    TaskEval,
    TextEval,
    read_recipe,
    read_settings,
)

READER = """
from pydantic import Field
from tuneline.recipe.own import Extracted
from tuneline.recipe.settings import Section


class Part(Section):
    file: str
    from_page: int = Field(1, ge=1)


class Settings(Section):
    parts: list[Part]
    least: int = Field(ge=0)


def read(recipe, settings, out, state):
    rows = [{"file": part.file, "page": part.from_page, "least": settings.least} for part in settings.parts]
    return Extracted(rows, [])
"""
OWN = {"kind": "own", "max-reject-share": 0.5}


def refused(recipe: Path) -> str:
    with pytest.raises(click.ClickException) as error:
        read_recipe(recipe)
    assert "\n" not in error.value.message
    assert error.value.message.startswith(f"{recipe}/recipe.yaml")
    return error.value.message


def write(folder: Path, **sections: Any) -> Path:
    """A recipe whose sections are exactly these, where they are given."""
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_text(yaml.safe_dump({**RECIPE, **sections}), encoding="utf-8")
    return folder


@pytest.mark.parametrize("section", RECIPE)
def test_every_section_is_always_there(section: str, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(
        yaml.safe_dump({name: value for name, value in RECIPE.items() if name != section}), encoding="utf-8"
    )
    assert f"recipe.yaml: {section}: field required" in refused(tmp_path)


@pytest.mark.parametrize(
    ("section", "kind"),
    [
        ({"measures": "own"}, OwnEval),
        ({"measures": "json", "intent": "type"}, JsonEval),
        ({"measures": "task", "task": "classification", "rubric": None}, TaskEval),
        ({"measures": "labels"}, LabelEval),
        ({"measures": "labels", "labels": ["yes", "no"]}, LabelEval),
        ({"measures": "text"}, TextEval),
        ({"measures": "text", "rubric": "judge/x.md"}, TextEval),
        ({"measures": "bits"}, BitsEval),
    ],
)
def test_the_measures_are_of_six_kinds(section: dict, kind: type, tmp_path: Path) -> None:
    assert isinstance(read_recipe(write(tmp_path / "r", eval=section)).eval, kind)


@pytest.mark.parametrize(
    ("sections", "says"),
    [
        ({"eval": {"measures": "own", "intent": "x"}}, "eval.intent: unknown key; valid keys are least-kappa"),
        ({"eval": {"measures": "toon"}}, "eval: input tag 'toon' found"),
        ({"eval": {"measures": "json"}}, "eval.intent: field required"),
        ({"eval": {"measures": "labels", "labels": [True, 1]}}, "eval.labels: value error, quote true, 1: a label is"),
        ({"eval": {"measures": "labels", "labels": ["a", "A "]}}, "eval.labels: value error, a label is empty or"),
        ({"eval": {"measures": "labels", "labels": ["a", " "]}}, "eval.labels: value error, a label is empty or"),
        ({"eval": {"measures": "labels", "labels": "a"}}, "eval.labels: input should be a valid list"),
        ({"eval": {"measures": "labels", "label": []}}, "eval.label: unknown key; valid keys are measures, labels"),
        ({"eval": {"measures": "text", "intent": "x"}}, "unknown key; valid keys are least-kappa, measures, rubric"),
        ({"eval": {"measures": "bits", "rubric": "x"}}, "eval.rubric: unknown key; valid keys are measures"),
        ({"eval": {"measures": "task", "task": "x", "rubric": None, "good": 2}}, "eval.good: input should be"),
        ({"extract": {"kind": "own"}}, "extract.max-reject-share: field required"),
        ({"prefix": {"a": 3}}, "prefix.a: input should be a valid string"),
        ({"prefix": None}, "prefix: input should be a valid dictionary"),
        ({"curate": {**RECIPE["curate"], "checks": {"behavior": True}}},
         "curate.checks.behavior: unknown key; valid keys are language, boilerplate, filled, own"),
        ({"curate": {**RECIPE["curate"], "near_duplicates": 1}}, "curate.near_duplicates: unknown key"),
    ],
)  # fmt: skip
def test_a_wrong_key_is_named(sections: dict, says: str, tmp_path: Path) -> None:
    assert says in refused(write(tmp_path / "r", **sections))


def test_every_fault_is_told_at_once(tmp_path: Path) -> None:
    said = refused(write(tmp_path / "r", eval={"measures": "own", "x": 1}, split={"y": 1}, prefix={"a": []}))
    for part in ("eval.x: unknown", "split.y: unknown", "split.valid-groups: field required", "prefix.a: input"):
        assert part in said
    assert said.count("; ") >= 4


# A reader's own Settings


def reading(folder: Path, **extract: Any) -> Path:
    recipe = write(folder, extract={**OWN, **extract})
    (recipe / "reader.py").write_text(READER, encoding="utf-8")
    return recipe


def test_what_a_reader_takes_is_its_own(tmp_path: Path) -> None:
    recipe = reading(tmp_path / "r", parts=[{"file": "a", "from-page": 3}, {"file": "b"}], least=2)
    settings = read_recipe(recipe).extract
    assert isinstance(settings, OwnExtract)
    assert settings.max_reject_share == 0.5
    assert set(settings.rest) == {"parts", "least"}
    found = extract(recipe, tmp_path / "out", tmp_path / "state")
    assert isinstance(found, Extracted)
    assert found.rows == [{"file": "a", "page": 3, "least": 2}, {"file": "b", "page": 1, "least": 2}]


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ({"parts": [], "least": 1, "most": 3}, ["extract.most: unknown key; valid keys are parts, least"]),
        ({"parts": [{"file": "a", "page": 1}], "least": 1},
         ["extract.parts.0.page: unknown key; valid keys are file, from-page"]),
        ({"parts": [{"file": "a", "from-page": 0}]},
         ["extract.parts.0.from-page: input should be greater than or equal to 1", "extract.least: field required"]),
        ({}, ["extract.parts: field required", "extract.least: field required"]),
    ],
)  # fmt: skip
def test_a_wrong_key_of_a_readers_section_is_named(section: dict, says: list[str], tmp_path: Path) -> None:
    recipe = reading(tmp_path / "r", **section)
    with pytest.raises(click.ClickException) as error:
        extract(recipe, tmp_path / "out", tmp_path / "state")
    assert error.value.message.startswith(f"{recipe}/recipe.yaml: extract.")
    assert "\n" not in error.value.message
    for part in says:
        assert part in error.value.message


def test_a_section_may_be_read_by_any_model(tmp_path: Path) -> None:
    class Mine(Section):
        most_words: int = Field(ge=1)

    assert read_settings(Mine, tmp_path / "recipe.yaml", "mine", {"most-words": 3}).most_words == 3
    with pytest.raises(click.ClickException, match=r"recipe\.yaml: mine\.most-words: input should be greater"):
        read_settings(Mine, tmp_path / "recipe.yaml", "mine", {"most-words": 0})


def test_a_recipe_without_a_reader_that_it_wants_is_one_line(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path / "r")
    (recipe / "recipe.yaml").write_text(yaml.safe_dump({**RECIPE, "extract": OWN}), encoding="utf-8")
    with pytest.raises(click.ClickException, match=r"r/reader\.py is missing, and .*r/recipe\.yaml asks for it"):
        extract(recipe, tmp_path / "out", tmp_path / "state")
