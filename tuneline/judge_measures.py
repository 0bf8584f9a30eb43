"""Measures of answers that a judge has judged, against the behaviour and the facts that a right one shows."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from tuneline.files import Row
from tuneline.judging import SHOWN
from tuneline.teacher import Outcome

UNJUDGED = "(unjudged)"


@dataclass(frozen=True)
class Verdict:
    """One judged answer. `judged` is False when the judge gave no usable judgement: that is no zero."""

    judged: bool
    shown: str
    expected: str  # in the judge's words
    score: int
    asked: float  # share of the missing facts asked for, 0 to 1; 1 where none is missing
    hallucination: bool
    topic: str
    reason: str


def read_verdict(row: Row, outcome: Outcome) -> Verdict:
    fields = row["fields"]
    expected, topic, missing = SHOWN[fields["behavior"]], fields.get("topic", ""), fields["missing_info"]
    if outcome.reason:
        return Verdict(False, UNJUDGED, expected, 0, 0.0, False, topic, f"{outcome.reason}: {outcome.detail}")
    value = outcome.value
    asked = len(set(missing) & set(value["asked"])) / len(missing) if missing else 1.0
    return Verdict(
        True, value["behavior"], expected, value["score"], asked, value["hallucination"], topic, value["reason"]
    )


def measure(verdicts: list[Verdict], good: int, rows: np.ndarray | None = None) -> dict[str, Any]:
    """The measures over judged answers: floats, or arrays of S samples; nan where no row counts.

    `rows`: int array (S, N) of row numbers, for the bootstrap. `clarification_accuracy` is over the rows
    that want a question: the right behaviour, and every missing fact asked for.
    """
    columns = np.array(
        [
            (
                v.judged,
                v.score,
                v.score >= good,
                v.shown == v.expected,
                v.shown == "refusal",
                v.hallucination,
                v.judged and v.expected != "direct",
                v.shown == v.expected and v.asked == 1.0,
                v.asked,
            )
            for v in verdicts
        ],
        dtype=float,
    )
    picked = columns if rows is None else columns[rows]
    judged, score, fine, behavior, refusal, hallucination, wants, clarified, asked = np.moveaxis(picked, -1, 0)
    return {
        "score": mean_where(score, judged),
        "good_share": mean_where(fine, judged),
        "behavior_accuracy": mean_where(behavior, judged),
        "clarification_accuracy": mean_where(clarified, wants),
        "facts_asked": mean_where(asked, wants),
        "refusal_rate": mean_where(refusal, judged),
        "hallucination_rate": mean_where(hallucination, judged),
        "judged_share": judged.mean(axis=-1),
    }


def mean_where(values: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Mean over the rows that count (1.0, else 0.0), along the last axis."""
    total = counted.sum(axis=-1)
    part = (values * counted).sum(axis=-1)
    return np.divide(part, total, out=np.full_like(np.asarray(part, float), np.nan), where=total > 0)


def by_group(verdicts: list[Verdict], good: int, key: str) -> dict[str, dict[str, float | None]]:
    """A line for each value of `key`, topic or expected."""
    table = {}
    for name in sorted({getattr(v, key) for v in verdicts}):
        mine = [v for v in verdicts if getattr(v, key) == name]
        figures = measure(mine, good)
        kept = ("score", "good_share", "behavior_accuracy", "facts_asked", "refusal_rate")
        counts = {"rows": len(mine), "judged": sum(v.judged for v in mine)}
        table[name] = {**counts, **{k: rounded(figures[k]) for k in kept}}
    return table


def rounded(value: Any) -> float | None:
    """None for nan, which is no JSON."""
    return None if np.isnan(value) else round(float(value), 4)


def worst_confusions(verdicts: list[Verdict], most: int = 12) -> list[dict[str, Any]]:
    """The commonest mistakes: one behaviour shown where another was right, by topic."""
    counts = Counter((v.topic, v.expected, v.shown) for v in verdicts if v.judged and v.shown != v.expected)
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most]
    return [{"kind": t, "expected": e, "given": g, "times": n} for (t, e, g), n in ranked]
