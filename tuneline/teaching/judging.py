"""What a judge is asked about a training row, and the form of its judgement."""

from functools import cache
from pathlib import Path
from typing import Any

import click

from tuneline.files import Row
from tuneline.recipe.own import has_door, open_door
from tuneline.recipe.texts import fill
from tuneline.rows import answer, asked, visible
from tuneline.teaching.ledger import Rules
from tuneline.teaching.request import Request

SCORE_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["reason", "score"],
    "properties": {"reason": {"type": "string"}, "score": {"type": "integer", "minimum": 0, "maximum": 10}},
}


def row_request(row: Row, rubric: str) -> Request:
    """Asks whether a made row is worth training on. The rubric may name the row's fields, question and answer."""
    fields = row.get("fields", {})
    facts = {
        **fields,
        "judge": "row",
        "question": fields.get("question") or asked(row),
        "answer": visible(answer(row)),
    }
    return Request((("user", fill(rubric, facts, "rubric")),), SCORE_SCHEMA, facts)


def judge_by_rules(recipe: Path) -> Rules:
    """The recipe's offline.py in place of a model. Raises click.ClickException, when it is asked, if there is none."""

    @cache  # once, and only where it is asked: another provider needs no offline.py
    def rules() -> Any:
        if not has_door(recipe, "offline"):
            raise click.ClickException(f"{recipe} has no offline.py to judge by; set judge.provider in params.yaml")
        return open_door(recipe, "offline")

    return lambda request: rules().answer(request.facts)
