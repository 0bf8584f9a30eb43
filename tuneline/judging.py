"""What a judge is asked about an answer or a training row, and the form of its judgement."""

from typing import Any

from tuneline.files import Row
from tuneline.judge_offline import visible
from tuneline.personas import Persona
from tuneline.rows import answer, question
from tuneline.teacher import Request
from tuneline.templates import fill

BEHAVIORS = ("direct", "clarification", "hybrid", "refusal")
SHOWN = {"direct": "direct", "clarify": "clarification", "hybrid": "hybrid"}  # what a row expects → what is shown
_SCORE = {"type": "integer", "minimum": 0, "maximum": 10}
ROW_SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["reason", "score"],
    "properties": {"reason": {"type": "string"}, "score": _SCORE},
}
ANSWER_SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["reason", "behavior", "asked", "hallucination", "score"],
    "properties": {
        "reason": {"type": "string"},
        "behavior": {"enum": list(BEHAVIORS)},
        "asked": {"type": "array", "items": {"type": "string"}},
        "hallucination": {"type": "boolean"},
        "score": _SCORE,
    },
}


def row_request(row: Row, rubric: str) -> Request:
    """Asks whether a made row is worth training on."""
    fields = row.get("fields", {})
    facts = {
        "judge": "row",
        "question": fields.get("question") or question(row),
        "answer": visible(answer(row)),
        "behavior": fields.get("behavior", "direct"),
        "missing_info": fields.get("missing_info", []),
    }
    return _request(rubric, facts, ROW_SCHEMA)


def answer_request(row: Row, given: str, rubric: str) -> Request:
    """Asks what a model's answer to a test row is worth. The judge sees the reference; the model never did."""
    fields = row["fields"]
    facts = {
        "judge": "answer",
        "question": fields["question"],
        "answer": visible(given),
        "expected": fields["behavior"],
        "missing_info": fields["missing_info"],
        "reference": fields["answer"],
    }
    return _request(rubric, facts, ANSWER_SCHEMA)


def persona_request(row: Row, given: str, persona: Persona, rubric: str) -> Request:
    """Asks what an answer for this reader is worth; the judge sees the text that was explained."""
    facts = {
        "judge": "persona",
        "question": row["fields"]["text"],
        "answer": given,
        "rule": persona.model_dump(mode="json"),
    }
    return _request(rubric, facts, ROW_SCHEMA)


def _request(rubric: str, facts: dict[str, Any], schema: dict[str, Any]) -> Request:
    return Request((("user", fill(rubric, facts, "rubric")),), schema, facts)
