"""The judge and the teacher that need no key: how much of a reader's rule is kept, and what stands out in a text."""

from typing import Any

from .extractive import document_entry
from .personas import Persona, check_answer, grounding

BLANK = {"text": "", "section": "", "title": ""}


def answer(facts: dict[str, Any]) -> dict[str, Any]:
    """How much of the rule is kept, times how much of the answer is about the text.

    Full marks for grounding from a quarter on, since a reader's words are not the paper's.
    """
    checks = check_answer(facts["answer"], Persona.model_validate(facts["rule"]))
    grounded = grounding(facts["answer"], facts["question"])
    score = round(10 * sum(checks.values()) / len(checks) * min(4 * grounded, 1))
    broken = [name for name, holds in checks.items() if not holds]
    return {
        "reason": f"broken: {', '.join(broken) or 'nothing'}; {grounded:.2f} of its words are the text's",
        "score": score,
    }


def seed(fields: dict[str, str]) -> dict[str, str]:
    """What ${seed.…} of sdg/offline.yaml may name of a section."""
    return document_entry(BLANK | fields)
