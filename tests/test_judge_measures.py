"""Measures of judged answers by hand; an answer without a judgement is no zero."""

import json
import math
from typing import Any

import numpy as np
import pytest

from tuneline.bootstrap import intervals
from tuneline.focus import weak_topics
from tuneline.judge_measures import Verdict, by_group, measure, read_verdict, rounded, worst_confusions
from tuneline.teacher import Outcome

FIELDS = {"behavior": "clarify", "missing_info": ["âge", "ressources"], "topic": "rsa"}


def judged(score: int, shown: str = "direct", expected: str = "direct", asked: float = 1.0, **more: Any) -> Verdict:
    known = {"hallucination": False, "topic": "t", "reason": ""}
    return Verdict(judged=True, shown=shown, expected=expected, score=score, asked=asked, **{**known, **more})


def unjudged(expected: str = "direct", topic: str = "t") -> Verdict:
    outcome = Outcome(None, "invalid", "it is not JSON", ("k",), "")
    behavior = {"direct": "direct", "clarification": "clarify", "hybrid": "hybrid"}[expected]
    return read_verdict({"fields": {"behavior": behavior, "missing_info": ["a"], "topic": topic}}, outcome)


MIXED = [
    judged(9),
    judged(6, "refusal", hallucination=True),
    judged(8, "clarification", "clarification"),
    judged(7, "clarification", "clarification", asked=0.5),
    judged(2, "direct", "hybrid", asked=0.0),
    unjudged("clarification"),
]


def test_the_measures_by_hand() -> None:
    assert {name: float(value) for name, value in measure(MIXED, good=7).items()} == pytest.approx(
        {
            "score": 32 / 5,
            "good_share": 3 / 5,
            "behavior_accuracy": 3 / 5,
            "clarification_accuracy": 1 / 3,  # of three that want a question: the right behaviour and every fact
            "facts_asked": 1.5 / 3,
            "refusal_rate": 1 / 5,
            "hallucination_rate": 1 / 5,
            "judged_share": 5 / 6,
        }
    )


def test_answers_without_a_judgement_change_nothing_but_their_share() -> None:
    without, beside = measure(MIXED[:5], 7), measure([*MIXED, unjudged("hybrid"), unjudged()], 7)
    assert float(beside.pop("judged_share")) == 5 / 8
    assert without.pop("judged_share") == 1
    assert beside == without


def test_where_no_row_counts_there_is_no_figure() -> None:
    figures = measure([unjudged(), unjudged("hybrid")], 7)
    assert figures.pop("judged_share") == 0
    assert all(math.isnan(value) for value in figures.values())
    assert {rounded(value) for value in figures.values()} == {None}
    assert rounded(measure([judged(9)], 7)["clarification_accuracy"]) is None  # none wants a question
    assert json.loads(json.dumps(by_group([unjudged()], 7, "topic"))) == {
        "t": {"rows": 1, "judged": 0, "score": None, "good_share": None, "behavior_accuracy": None,
              "facts_asked": None, "refusal_rate": None},
    }  # fmt: skip


def test_a_good_score_of_zero_counts_no_unjudged_answer() -> None:
    assert float(measure([judged(0), unjudged()], good=0)["good_share"]) == 1


def test_resamples_are_measured_as_the_rows_they_draw() -> None:
    picks = np.array([[0, 1, 2, 3, 4, 5], [0, 0, 0, 0, 0, 0], [5, 5, 5, 5, 5, 5], [2, 2, 2, 4, 4, 4]])
    figures = measure(MIXED, 7, picks)
    for at, pick in enumerate(picks):
        alone = measure([MIXED[number] for number in pick], 7)
        for name, values in figures.items():
            assert values[at] == pytest.approx(float(alone[name]), nan_ok=True)


def test_intervals_leave_out_what_has_no_figure() -> None:
    edges = intervals(lambda picks: measure([judged(9), judged(1), unjudged()], 7, picks), 3, 200, 0)
    assert edges["score"] == [1.0, 9.0]
    assert edges["facts_asked"] == [None, None]


@pytest.mark.parametrize(
    ("asked", "share"), [(["ressources", "âge"], 1.0), (["âge", "âge", "autre"], 0.5), ([], 0.0), (["Âge"], 0.0)]
)
def test_the_facts_asked_are_those_of_the_row(asked: list[str], share: float) -> None:
    value = {"reason": "r", "behavior": "hybrid", "asked": asked, "hallucination": False, "score": 5}
    verdict = read_verdict({"fields": FIELDS}, Outcome(value, None, "", ("k",), ""))
    assert (verdict.asked, verdict.shown, verdict.expected, verdict.topic) == (share, "hybrid", "clarification", "rsa")


def test_where_no_fact_is_missing_all_are_asked_for() -> None:
    value = {"reason": "r", "behavior": "direct", "asked": [], "hallucination": False, "score": 5}
    fields = {"behavior": "direct", "missing_info": []}
    assert read_verdict({"fields": fields}, Outcome(value, None, "", ("k",), "")).asked == 1.0


def test_groups_and_confusions_count_judged_answers() -> None:
    verdicts = [*MIXED, judged(3, "direct", "clarification", asked=0, topic="u"), unjudged("hybrid", "u")]
    table = by_group(verdicts, 7, "topic")
    assert {topic: (line["rows"], line["judged"], line["good_share"]) for topic, line in table.items()} == {
        "t": (6, 5, 0.6),
        "u": (2, 1, 0.0),
    }
    assert worst_confusions(verdicts) == [
        {"kind": "t", "expected": "direct", "given": "refusal", "times": 1},
        {"kind": "t", "expected": "hybrid", "given": "direct", "times": 1},
        {"kind": "u", "expected": "clarification", "given": "direct", "times": 1},
    ]
    assert list(by_group(MIXED, 7, "expected")) == ["clarification", "direct", "hybrid"]


def test_weak_topics_are_those_with_most_bad_answers() -> None:
    verdicts = [
        *(judged(score, topic="two bad") for score in (2, 3, 9)),
        *(judged(score, "refusal", topic="three bad") for score in (1, 1, 1)),
        *(judged(9, topic="perfect") for _ in range(4)),
        judged(9, topic="one judged"),
        *(unjudged(topic="one judged") for _ in range(5)),
        *(unjudged(topic="unjudged") for _ in range(9)),
    ]
    report = {"per_topic": {"tuned": by_group(verdicts, 7, "topic")}}
    assert weak_topics(report, 5) == {
        "three bad": {"share": 3, "why": "3 of 3 answers not good, refusal rate 1.00"},
        "two bad": {"share": 2, "why": "2 of 3 answers not good, refusal rate 0.00"},
    }
    assert list(weak_topics(report, 1)) == ["three bad"]
