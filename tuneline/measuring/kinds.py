"""The measures that a recipe names: a kind of the engine's, or its own."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from tuneline.files import Row
from tuneline.measuring.agreement import KIND, LABELLED
from tuneline.measuring.json_answers import JsonMeasures
from tuneline.measuring.label_answers import LabelMeasures
from tuneline.measuring.score import WAYS
from tuneline.measuring.task_answers import TaskMeasures
from tuneline.measuring.text_answers import RubricJudge, TextMeasures
from tuneline.measuring.text_bits import BitsMeasures
from tuneline.recipe.documents import is_document
from tuneline.recipe.own import Measures, Reading, misfit_of_function, open_door
from tuneline.recipe.schemas import read_schema
from tuneline.recipe.settings import BitsEval, JsonEval, LabelEval, TaskEval, TextEval, read_recipe
from tuneline.recipe.texts import read_prompt


def open_measures(recipe: Path, train: Sequence[Row] = (), test: Sequence[Row] = ()) -> Measures:
    """`train`, `test`: the rows, for measures that look at all of them before they score one.

    Raises click.ClickException when a file that they need is not there or not of its form, and where least-kappa has
    nothing to be measured by.
    """
    told = read_recipe(recipe).eval
    measures = _open(recipe, told, train, test)
    if least := getattr(told, "least_kappa", {}):
        check_believable(recipe, least, measures)
    return measures


def _open(recipe: Path, told: Any, train: Sequence[Row], test: Sequence[Row]) -> Measures:
    match told:
        case JsonEval(intent=intent):
            return JsonMeasures(read_schema(recipe / "schema.json"), intent)
        case LabelEval(labels=labels):
            return LabelMeasures(labels, train, test)
        case TextEval(rubric=rubric):
            return TextMeasures(judge=RubricJudge(read_prompt(recipe / rubric)) if rubric else None)
        case BitsEval():
            return BitsMeasures()
        case TaskEval(task=task, rubric=rubric, good=good):
            return TaskMeasures(task, read_prompt(recipe / rubric) if rubric else None, good)
    return own_measures(recipe)


def check_believable(recipe: Path, least: Mapping[str, float], measures: Measures) -> None:
    """Raises click.ClickException where eval.least-kappa asks for what cannot be."""
    where = f"{recipe / 'recipe.yaml'}: eval.least-kappa"
    if getattr(measures, "ask", None) is None:
        raise click.ClickException(f"{where}: no judge is asked of its answers")
    if unknown := [name for name in least if name != KIND and name not in measures.FIGURES]:
        raise click.ClickException(f"{where}: {', '.join(unknown)} is none of {', '.join((KIND, *measures.FIGURES))}")
    if not (recipe / LABELLED).is_file():
        raise click.ClickException(f"{where} wants labels in {recipe / LABELLED}; `tuneline judge sample` begins them")


def own_measures(recipe: Path) -> Measures:
    """Raises click.ClickException when a figure of measures.py is made in no way that there is."""
    measures = open_door(recipe, "measures")
    wrong = [f"{name} by {how!r}" for name, how in measures.FIGURES.items() if how not in WAYS]
    if wrong:
        raise click.ClickException(
            f"{recipe / 'measures.py'}: FIGURES has {', '.join(wrong)}; the ways are {', '.join(WAYS)}"
        )
    return measures


def reader_of(recipe: Path) -> Callable[[Row], str | None]:
    """Why the recipe's measures could not read a row, as a sentence's end after `the row`; None where they can.

    A document is no row that is measured. Raises click.ClickException as `open_measures` does.
    """
    unreadable = getattr(open_measures(recipe), "unreadable", None)
    if unreadable is None:
        return lambda row: None
    if wrong := misfit_of_function("unreadable", unreadable, Reading.unreadable):
        raise click.ClickException(f"{recipe / 'measures.py'}: {wrong}")
    return lambda row: None if is_document(row) else unreadable(row)
