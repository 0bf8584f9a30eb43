"""The measures that a recipe names: a kind of the engine's, or its own."""

from pathlib import Path

from tuneline.measuring.json_answers import JsonMeasures
from tuneline.measuring.task_answers import TaskMeasures
from tuneline.recipe.own import Measures, open_door
from tuneline.recipe.schemas import read_schema
from tuneline.recipe.settings import JsonEval, TaskEval, read_recipe
from tuneline.recipe.texts import read_prompt


def open_measures(recipe: Path) -> Measures:
    """Raises click.ClickException when a file that they need is not there or not of its form."""
    settings = read_recipe(recipe).eval
    if isinstance(settings, JsonEval):
        return JsonMeasures(read_schema(recipe / "schema.json"), settings.intent)
    if isinstance(settings, TaskEval):
        rubric = read_prompt(recipe / settings.rubric) if settings.rubric else None
        return TaskMeasures(settings.task, rubric, settings.good)
    return open_door(recipe, "measures")
