"""What an answer is worth, by a judge that sees the reference: behaviour, facts asked for, invention, a score."""

from functools import cache
from pathlib import Path

import click

from tuneline.files import Row
from tuneline.measuring.score import MEAN, UNJUDGED, Score
from tuneline.recipe.texts import fill, read_prompt
from tuneline.rows import visible
from tuneline.teaching.request import Outcome, Request

GOOD = 7  # of 10, from which an answer is good
RUBRIC = Path(__file__).parent / "judge" / "answer.md"
BEHAVIORS = ("direct", "clarification", "hybrid", "refusal")
SHOWN = {"direct": "direct", "clarify": "clarification", "hybrid": "hybrid"}  # what a row expects → what is shown

FIGURES = dict.fromkeys(
    (
        "score",
        "good_share",
        "behavior_accuracy",
        "clarification_accuracy",  # of rows that want a question: the right behaviour, every missing fact asked for
        "facts_asked",  # of those rows: the share of the missing facts
        "refusal_rate",
        "hallucination_rate",
        "judged_share",
    ),
    MEAN,
)
JUDGEMENT = {
    "type": "object",
    "additionalProperties": False,
    "required": ["reason", "behavior", "asked", "hallucination", "score"],
    "properties": {
        "reason": {"type": "string"},
        "behavior": {"enum": list(BEHAVIORS)},
        "asked": {"type": "array", "items": {"type": "string"}},
        "hallucination": {"type": "boolean"},
        "score": {"type": "integer", "minimum": 0, "maximum": 10},
    },
}


@cache
def rubric() -> str:
    return read_prompt(RUBRIC)


def ask(row: Row, answer: str) -> list[Request]:
    """The judge sees the reference; the model never did. Raises click.ClickException for a row without fields."""
    if "fields" not in row:
        raise click.ClickException("a judge needs rows with fields; give extract a form")
    fields = row["fields"]
    facts = {
        "judge": "answer",
        "question": fields["question"],
        "answer": visible(answer),
        "expected": fields["behavior"],
        "missing_info": fields["missing_info"],
        "reference": fields["answer"],
    }
    return [Request((("user", fill(rubric(), facts, "rubric")),), JUDGEMENT, facts)]


def score(row: Row, answer: str, outcomes: list[Outcome]) -> Score:
    """An answer without a usable judgement has no figure: that is no zero."""
    fields, (outcome,) = row["fields"], outcomes
    expected, missing = SHOWN[fields["behavior"]], set(fields["missing_info"])
    groups = {"topic": fields.get("topic", ""), "behavior": expected}
    if outcome.reason:
        why = f"{outcome.reason}: {outcome.detail}"
        none = dict.fromkeys(FIGURES) | {"judged_share": False}
        return Score(none, pair=(expected, UNJUDGED), groups=groups, marks={"shown": UNJUDGED, "reason": why})
    told = outcome.value
    right = told["behavior"] == expected
    asked = len(missing & set(told["asked"])) / len(missing) if missing else 1.0
    wants = expected != "direct"
    figures = {
        "score": told["score"],
        "good_share": told["score"] >= GOOD,
        "behavior_accuracy": right,
        "clarification_accuracy": right and asked == 1 if wants else None,
        "facts_asked": asked if wants else None,
        "refusal_rate": told["behavior"] == "refusal",
        "hallucination_rate": told["hallucination"],
        "judged_share": True,
    }
    marks = {"shown": told["behavior"], "reason": told["reason"]}
    return Score(figures, pair=(expected, told["behavior"]), groups=groups, marks=marks)
