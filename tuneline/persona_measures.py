"""Measures of answers for several readers: each held to every reader's rule, and judged for its own."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from tuneline.files import Row
from tuneline.judge_measures import mean_where
from tuneline.personas import Persona, body, check_answer, reading_grade
from tuneline.teacher import Outcome


@dataclass(frozen=True)
class Reading:
    """One answer. `rules`: persona → share of its rule's checks that hold, 0 to 1; `judged`: whether `score` is one."""

    persona: str
    checks: dict[str, bool]
    grade: float
    rules: dict[str, float]
    judged: bool
    score: int
    reason: str

    @property
    def fits(self) -> str:
        """The persona whose rule the answer keeps best; its own where it is among them."""
        return max(self.rules, key=lambda name: (self.rules[name], name == self.persona))


def read_answer(row: Row, answer: str, personas: dict[str, Persona], outcome: Outcome) -> Reading:
    name = row["fields"]["persona"]
    by_persona = {other: check_answer(answer, personas[other]) for other in personas}
    judged = not outcome.reason
    return Reading(
        persona=name,
        checks=by_persona[name],
        grade=reading_grade(body(answer)),
        rules={other: sum(checks.values()) / len(checks) for other, checks in by_persona.items()},
        judged=judged,
        score=outcome.value["score"] if judged else 0,
        reason=outcome.value["reason"] if judged else f"{outcome.reason}: {outcome.detail}",
    )


def measure(readings: list[Reading], good: int, rows: np.ndarray | None = None) -> dict[str, Any]:
    """The measures over answers: floats, or arrays of S samples; nan where no row counts.

    `rows`: int array (S, N) of row numbers, for the bootstrap. `rule` is the share of the own persona's
    checks that hold, `by_<persona>` that of another's.
    """
    names = list(readings[0].rules)
    columns = np.array(
        [
            (
                r.checks["fields"],
                r.checks["forbidden"],
                all(r.checks.values()),
                r.grade,
                r.rules[r.persona],
                r.judged,
                r.score,
                r.score >= good,
                *(r.rules[name] for name in names),
            )
            for r in readings
        ],
        dtype=float,
    )
    picked = columns if rows is None else columns[rows]
    fields, clean, kept, grade, rule, judged, score, fine, *others = np.moveaxis(picked, -1, 0)
    return {
        "fields_present": fields.mean(axis=-1),
        "no_forbidden_word": clean.mean(axis=-1),
        "reading_grade": grade.mean(axis=-1),
        "rule": rule.mean(axis=-1),
        "rule_kept": kept.mean(axis=-1),
        "score": mean_where(score, judged),
        "good_share": mean_where(fine, judged),
        "judged_share": judged.mean(axis=-1),
        **{f"by_{name}": other.mean(axis=-1) for name, other in zip(names, others, strict=True)},
    }


def cross(answers_of: str, readings: list[Reading]) -> list[Row]:
    """A row of the matrix: how well these answers keep each persona's rule, 0 to 1."""
    names = readings[0].rules
    return [
        {"answers_of": answers_of, "rule": name, "kept": round(sum(r.rules[name] for r in readings) / len(readings), 4)}
        for name in names
    ]


def per_check(readings: list[Reading]) -> dict[str, float]:
    """Check of the own persona's rule → share of the answers of which it holds."""
    return {name: round(sum(r.checks[name] for r in readings) / len(readings), 4) for name in readings[0].checks}
