"""What an answer for one of several readers is worth: held to every reader's rule, and judged for its own."""

from collections.abc import Sequence
from functools import cache

import click

from tuneline.files import Row
from tuneline.measuring.score import MEAN, Score
from tuneline.recipe.texts import fill, read_prompt
from tuneline.teaching.judging import SCORE_SCHEMA
from tuneline.teaching.request import Outcome, Request

from .personas import RECIPE, RULES, Persona, body, check_answer, read_rules, reading_grade

GOOD = 7  # of 10, from which an answer is good
FIGURES = dict.fromkeys(
    (
        "fields_present",
        "no_forbidden_word",
        "reading_grade",
        "rule",  # the share of the own reader's checks that hold
        "rule_kept",
        "score",
        "good_share",
        "judged_share",
        *(f"by_{name}" for name in read_rules()),  # the same share of another's
    ),
    MEAN,
)


def ask(row: Row, answer: str) -> list[Request]:
    """The judge sees the text that was explained, under the rubric of the reader."""
    persona = persona_of(row)
    facts = {
        "judge": "persona",
        "question": row["fields"]["text"],
        "answer": answer,
        "rule": persona.model_dump(mode="json"),
    }
    return [Request((("user", fill(rubric(persona.rubric), facts, "rubric")),), SCORE_SCHEMA, facts)]


def score(row: Row, answer: str, outcomes: Sequence[Outcome]) -> Score:
    (outcome,) = outcomes
    persona_of(row)
    name = row["fields"]["persona"]
    by_persona = {other: check_answer(answer, persona) for other, persona in read_rules().items()}
    rules = {other: sum(checks.values()) / len(checks) for other, checks in by_persona.items()}
    fits = max(rules, key=lambda other: (rules[other], other == name))
    judged, checks = not outcome.reason, by_persona[name]
    told = outcome.value if judged else {"score": None, "reason": f"{outcome.reason}: {outcome.detail}"}
    figures = {
        "fields_present": checks["fields"],
        "no_forbidden_word": checks["forbidden"],
        "reading_grade": reading_grade(body(answer)),
        "rule": rules[name],
        "rule_kept": all(checks.values()),
        "score": told["score"],
        "good_share": told["score"] >= GOOD if judged else None,
        "judged_share": judged,
        **{f"by_{other}": kept for other, kept in rules.items()},
    }
    return Score(figures, pair=(name, fits), marks={"checks": checks, "reason": told["reason"]})


def tables(adapter: str, base: Sequence[Score], tuned: Sequence[Score]) -> Row:
    """How well the answers keep each reader's rule, 0 to 1, and how many keep each check of their own."""
    return {
        "recipe": RECIPE.name,
        "cross": [*cross(f"base, asked as {adapter}", base), *cross(adapter, tuned)],
        "per_check": {"base": per_check(base), "tuned": per_check(tuned)},
    }


def cross(answers_of: str, scores: Sequence[Score]) -> list[Row]:
    """A row of the matrix of adapters and rules."""
    return [
        {"answers_of": answers_of, "rule": name, "kept": mean(score.figures[f"by_{name}"] for score in scores)}
        for name in read_rules()
    ]


def per_check(scores: Sequence[Score]) -> dict[str, float]:
    return {name: mean(score.marks["checks"][name] for score in scores) for name in scores[0].marks["checks"]}


def mean(values) -> float:
    values = list(values)
    return round(sum(values) / len(values), 4)


def persona_of(row: Row) -> Persona:
    """Raises click.ClickException when the row names no reader that has rules."""
    name = str(row.get("fields", {}).get("persona"))
    if name not in read_rules():
        raise click.ClickException(f"{RULES} has no persona {name}; correct sdg's give")
    return read_rules()[name]


@cache
def rubric(name: str) -> str:
    return read_prompt(RECIPE / name)
