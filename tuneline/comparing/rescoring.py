"""Recorded answers scored anew, for figures that are no mean of the rows' own, such as F1 over all pairs.

The measures are those of the recipe as it stands in the checkout, and no judge is asked. That they give the figure that
was written down, who uses the scores has to see.
"""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from tuneline.files import Row
from tuneline.measuring.kinds import open_measures
from tuneline.measuring.score import Score
from tuneline.recipe.own import Measures


def recipe_of(adapter: str, locked: Mapping[str, Mapping[str, Any]]) -> str | None:
    """The recipe's folder in the command by which the adapter was last evaluated; None where no lock has one."""
    words = shlex.split(str(locked.get(f"eval@{adapter}", {}).get("cmd", "")))
    at = words.index("--recipe") + 1 if "--recipe" in words else len(words)
    return words[at] if at < len(words) else None


def measures_of(recipe: Path, rows: Sequence[Row]) -> Measures | None:
    """None where a judge has a part in them, and where they cannot be opened: eval says why."""
    try:
        measures = open_measures(recipe, (), [_test_row(row) for row in rows])
    except click.ClickException:
        return None
    return None if hasattr(measures, "ask") else measures


def score_anew(measures: Measures, rows: Sequence[Row | None], side: str) -> list[Score] | None:
    """The score of each row's recorded answer on a side, and of no row one that counts nowhere.

    None where a row cannot be scored: by measures of today, an answer of another day.
    """
    nothing = Score(dict.fromkeys(measures.FIGURES))
    try:
        return [nothing if row is None else measures.score(_test_row(row), row[side], []) for row in rows]
    except Exception:  # a recipe's own code, on rows that it may never have seen: a report tells what it can
        return None


def _test_row(predicted: Row) -> Row:
    """The test row, as far as a line of predictions.jsonl has it."""
    if "text" in predicted:
        return {"id": predicted["id"], "text": predicted["text"]}
    said = {"role": "assistant", "content": predicted["reference"]}
    return {"id": predicted["id"], "messages": [*predicted["messages"], said]}
