"""The doors of the recipes that are here: each loads by its place, and is what its recipe.yaml asks for."""

from pathlib import Path

import pytest

from tests.conftest import ROOT
from tuneline.measuring.kinds import open_measures
from tuneline.measuring.report import main_figure
from tuneline.measuring.score import F1, MEAN, PRECISION, RECALL
from tuneline.recipe.own import DOORS, has_door, open_door
from tuneline.recipe.settings import OwnEval, OwnExtract, read_recipe, read_settings

RECIPES = sorted(path.parent for path in ROOT.glob("recipes/*/recipe.yaml"))
THERE = [(recipe, door) for recipe in RECIPES for door in DOORS if has_door(recipe, door)]


def name(value: Path | str) -> str:
    return value if isinstance(value, str) else value.name


def test_every_kind_of_recipe_is_here() -> None:
    assert [recipe.name for recipe in RECIPES] == [
        "french_admin", "papers", "query_json", "scitldr", "snips", "succession", "summaries",
    ]  # fmt: skip
    assert not [door for recipe, door in THERE if recipe.name == "query_json"]  # no Python: the one to copy
    assert {door for _, door in THERE} >= {"reader", "offline", "checks", "measures", "commands"}


@pytest.mark.parametrize(("recipe", "door"), THERE, ids=name)
def test_each_door_opens_by_its_place(recipe: Path, door: str) -> None:
    module = open_door(recipe, door)
    assert Path(module.__file__) == recipe / f"{door}.py"
    assert open_door(recipe, door) is module
    assert not module.__name__.startswith("recipes.")


@pytest.mark.parametrize("recipe", RECIPES, ids=name)
def test_a_recipe_has_the_doors_that_it_asks_for_and_no_other(recipe: Path) -> None:
    settings = read_recipe(recipe)
    asked = {
        "reader": isinstance(settings.extract, OwnExtract),
        "checks": settings.curate.checks.own,
        "measures": isinstance(settings.eval, OwnEval),
    }
    assert {door: has_door(recipe, door) for door in asked} == asked
    if asked["reader"]:
        given = settings.extract.rest
        read_settings(open_door(recipe, "reader").Settings, recipe / "recipe.yaml", "extract", given)


MAIN = {
    "french_admin": "score",
    "papers": "fields_present",
    "query_json": "slot_f1",
    "scitldr": "rouge_l",
    "snips": "slot_f1",
    "succession": "field_f1",
    "summaries": "overall",
}


@pytest.mark.parametrize("recipe", RECIPES, ids=name)
def test_the_figures_of_a_recipe_say_how_rows_make_them(recipe: Path) -> None:
    measures = open_measures(recipe)
    assert set(measures.FIGURES.values()) <= {MEAN, PRECISION, RECALL, F1}
    assert main_figure(measures) in measures.FIGURES
    assert main_figure(measures) == MAIN[recipe.name]
