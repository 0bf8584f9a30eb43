"""What an answer is worth: law, completeness and behaviour apart, by a judge that has reference and dated law."""

from functools import cache
from pathlib import Path

import click
import yaml

from tuneline.files import Row
from tuneline.measuring.score import MEAN, UNJUDGED, Score
from tuneline.recipe.texts import fill, read_prompt
from tuneline.rows import visible
from tuneline.teaching.request import Outcome, Request

GOOD = 7  # of 10, from which an answer is good
SHARES = {"law": 0.4, "completeness": 0.3, "conduct": 0.3}  # of the score
NEEDLESS = 2  # points of conduct that a needless question costs
REFUSED = 1  # the most that a refusal has
HERE = Path(__file__).parent
BEHAVIORS = ("direct", "clarification", "hybrid", "refusal")
SHOWN = {"direct": "direct", "clarify": "clarification", "hybrid": "hybrid"}  # what a row expects → what is shown
KINDS = ("droit", "montant", "pieces", "delai")  # of what is asked
DATES = {"valid_from": "vaut depuis le", "valid_until": "vaut jusqu'au", "checked_on": "relu le"}

FIGURES = dict.fromkeys(
    (
        "score",
        "law",
        "completeness",
        "conduct",  # the behaviour, less what was asked for nothing
        "good_share",
        "behavior_accuracy",
        "clarification_accuracy",  # of rows that want a question: the right behaviour, every missing fact asked for
        "facts_asked",  # of those rows: the share of the missing facts
        "needless_asked",  # questions an answer that change nothing
        "refusal_rate",
        "hallucination_rate",
        "judged_share",
    ),
    MEAN,
)
POINTS = {"type": "integer", "minimum": 0, "maximum": 10}
LABELS = {"type": "array", "items": {"type": "string"}}
JUDGEMENT = {
    "type": "object",
    "additionalProperties": False,
    "required": ["reason", "behavior", "asked", "needless", "law", "completeness", "hallucination"],
    "properties": {
        "reason": {"type": "string"},
        "behavior": {"enum": list(BEHAVIORS)},
        "asked": LABELS,
        "needless": LABELS,
        "law": POINTS,
        "completeness": POINTS,
        "hallucination": {"type": "boolean"},
    },
}


@cache
def rubric() -> str:
    return read_prompt(HERE / "judge" / "answer.md")


@cache
def topics() -> dict:
    return yaml.safe_load((HERE / "sdg" / "topics.yaml").read_text("utf-8"))


def law(fields: dict) -> list[str]:
    """The row's references with their dates, then the dated rules of its topic."""
    dates = ", ".join(f"{words} {fields[name]}" for name, words in DATES.items() if name in fields)
    own = [f"{one} ({dates})" if dates else one for one in fields.get("source", [])]
    return own + topics().get(fields.get("topic"), {}).get("rules", [])


def useless(fields: dict) -> list[str]:
    """The facts of the row's topic that this row does not want asked."""
    topic = topics().get(fields.get("topic"), {})
    known = dict.fromkeys(fact for kind in KINDS for fact in topic.get(kind, ()))
    return [fact for fact in known if fact not in fields["missing_info"]]


def ask(row: Row, answer: str) -> list[Request]:
    """The judge sees the reference and the law; the model never did.

    Raises click.ClickException for a row without fields.
    """
    if "fields" not in row:
        raise click.ClickException("a judge needs rows with fields; give extract a form")
    fields = row["fields"]
    facts = {
        "judge": "answer",
        "question": fields["question"],
        "answer": visible(answer),
        "expected": fields["behavior"],
        "missing_info": fields["missing_info"],
        "useless": useless(fields),
        "law": law(fields),
        "reference": fields["answer"],
    }
    return [Request((("user", fill(rubric(), facts, "rubric")),), JUDGEMENT, facts)]


def conduct(shown: str, expected: str, needless: int) -> int:
    """10 for the behaviour that was wanted, 5 where one of the two is a hybrid, less what was asked for nothing."""
    halfway = "hybrid" in (shown, expected) and shown != "refusal"
    right = 10 if shown == expected else 5 * halfway
    return max(0, right - NEEDLESS * needless)


def overall(told: dict, expected: str) -> float:
    """0 to 10: law, completeness and conduct by their SHARES; a refusal has at most REFUSED."""
    parts = {**told, "conduct": conduct(told["behavior"], expected, len(told["needless"]))}
    points = round(sum(share * parts[name] for name, share in SHARES.items()), 1)
    return min(points, REFUSED) if told["behavior"] == "refusal" else points


def groups_of(fields: dict) -> dict[str, str]:
    """By what there are tables: a test row that shares its rule with training rows stands apart (`transfer`)."""
    groups = {"topic": fields.get("topic", ""), "behavior": SHOWN[fields["behavior"]]}
    return groups | ({"transfer": fields["transfer"]} if "transfer" in fields else {})


def score(row: Row, answer: str, outcomes: list[Outcome]) -> Score:
    """An answer without a usable judgement has no figure: that is no zero."""
    fields, (outcome,) = row["fields"], outcomes
    expected, missing, groups = SHOWN[fields["behavior"]], set(fields["missing_info"]), groups_of(fields)
    if outcome.reason:
        why = f"{outcome.reason}: {outcome.detail}"
        none = dict.fromkeys(FIGURES) | {"judged_share": False}
        return Score(none, pair=(expected, UNJUDGED), groups=groups, marks={"shown": UNJUDGED, "reason": why})
    told = outcome.value
    right, points = told["behavior"] == expected, overall(told, expected)
    asked = len(missing & set(told["asked"])) / len(missing) if missing else 1.0
    wants = expected != "direct"
    figures = {
        "score": points,
        "law": told["law"],
        "completeness": told["completeness"],
        "conduct": conduct(told["behavior"], expected, len(told["needless"])),
        "good_share": points >= GOOD,
        "behavior_accuracy": right,
        "clarification_accuracy": right and asked == 1 if wants else None,
        "facts_asked": asked if wants else None,
        "needless_asked": len(told["needless"]),
        "refusal_rate": told["behavior"] == "refusal",
        "hallucination_rate": told["hallucination"],
        "judged_share": True,
    }
    marks = {"shown": told["behavior"], "reason": told["reason"]}
    return Score(figures, pair=(expected, told["behavior"]), groups=groups, marks=marks)
