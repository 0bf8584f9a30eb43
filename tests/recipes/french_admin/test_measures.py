"""Measures of judged answers by hand; an answer without a judgement is no zero."""

import json
import math

import numpy as np
import pytest

from recipes.french_admin.measures import FIGURES, GOOD, JUDGEMENT, ask, conduct, law, score, useless
from tests.conftest import ROOT
from tuneline.files import Row
from tuneline.generating.focus import weak_topics
from tuneline.measuring.bootstrap import intervals
from tuneline.measuring.report import by_group, confusion, evaluate, worst
from tuneline.measuring.score import Score, rounded, summarize
from tuneline.recipe.own import open_door
from tuneline.teaching.request import Outcome

MEASURES = open_door(ROOT / "recipes/french_admin", "measures")
FIELDS = {"behavior": "clarify", "missing_info": ["âge", "ressources"], "topic": "rsa"}
BEHAVIOR = {"direct": "direct", "clarification": "clarify", "hybrid": "hybrid"}  # what is shown → what a row expects
REFUSED = Outcome(None, "invalid", "it is not JSON", ("k",), "")


def row(expected: str, topic: str) -> Row:
    missing = [] if expected == "direct" else ["a", "b"]
    return {"fields": {"behavior": BEHAVIOR[expected], "missing_info": missing, "topic": topic}}


def told(points: int, shown: str, asked: list[str], hallucination: bool = False, needless: int = 0) -> Outcome:
    """`points` for the law and for completeness; those for conduct follow."""
    value = {"reason": "r", "behavior": shown, "asked": asked, "needless": ["n"] * needless}
    value |= {"hallucination": hallucination, "law": points, "completeness": points}
    return Outcome(value, None, "", ("k",), "")


def judged(
    points: int,
    shown: str = "direct",
    expected: str = "direct",
    asked: float = 1.0,
    hallucination: bool = False,
    topic: str = "t",
    needless: int = 0,
) -> Score:
    """`asked`: the share of the row's two missing facts."""
    facts = ["a", "b"][: int(2 * asked)]
    return score(row(expected, topic), "…", [told(points, shown, facts, hallucination, needless)])


def unjudged(expected: str = "direct", topic: str = "t") -> Score:
    return score(row(expected, topic), "…", [REFUSED])


MIXED = [
    judged(9),
    judged(6, "refusal", hallucination=True),
    judged(8, "clarification", "clarification", needless=1),
    judged(7, "clarification", "clarification", asked=0.5),
    judged(2, "direct", "hybrid", asked=0.0),
    unjudged("clarification"),
]


def test_the_measures_by_hand() -> None:
    assert {name: float(value) for name, value in summarize(MIXED, FIGURES).items()} == pytest.approx(
        {
            "score": (9.3 + 1 + 8 + 7.9 + 2.9) / 5,  # 0.7 × what was told + 0.3 × conduct; a refusal has at most 1
            "law": 32 / 5,
            "completeness": 32 / 5,
            "conduct": (10 + 0 + 8 + 10 + 5) / 5,
            "good_share": 3 / 5,
            "behavior_accuracy": 3 / 5,
            "clarification_accuracy": 1 / 3,  # of three that want a question: the right behaviour and every fact
            "facts_asked": 1.5 / 3,
            "needless_asked": 1 / 5,
            "refusal_rate": 1 / 5,
            "hallucination_rate": 1 / 5,
            "judged_share": 5 / 6,
        }
    )


def test_answers_without_a_judgement_change_nothing_but_their_share() -> None:
    without = summarize(MIXED[:5], FIGURES)
    beside = summarize([*MIXED, unjudged("hybrid"), unjudged()], FIGURES)
    assert float(beside.pop("judged_share")) == 5 / 8
    assert without.pop("judged_share") == 1
    assert beside == without


def test_where_no_row_counts_there_is_no_figure() -> None:
    figures = summarize([unjudged(), unjudged("hybrid")], FIGURES)
    assert figures.pop("judged_share") == 0
    assert all(math.isnan(value) for value in figures.values())
    assert {rounded(value) for value in figures.values()} == {None}
    assert rounded(summarize([judged(9)], FIGURES)["clarification_accuracy"]) is None  # none wants a question
    assert json.loads(json.dumps(by_group([unjudged()], FIGURES, "topic", 20, 0))) == {
        "t": {"rows": 1, **dict.fromkeys(FIGURES), "judged_share": 0, "score_interval": [None, None]},
    }


def test_an_answer_is_good_from_the_threshold_on_and_an_unjudged_one_is_neither() -> None:
    assert (judged(6).figures["score"], judged(6).figures["good_share"]) == (7.2, True)
    assert (judged(5).figures["score"], judged(5).figures["good_share"]) == (6.5, False)
    assert 6.5 < GOOD < 7.2
    assert unjudged().figures["good_share"] is None
    assert float(summarize([judged(9), unjudged()], FIGURES)["good_share"]) == 1


def test_resamples_are_measured_as_the_rows_they_draw() -> None:
    picks = np.array([[0, 1, 2, 3, 4, 5], [0, 0, 0, 0, 0, 0], [5, 5, 5, 5, 5, 5], [2, 2, 2, 4, 4, 4]])
    figures = summarize(MIXED, FIGURES, picks)
    for at, pick in enumerate(picks):
        alone = summarize([MIXED[number] for number in pick], FIGURES)
        for name, values in figures.items():
            assert values[at] == pytest.approx(float(alone[name]), nan_ok=True)


def test_intervals_leave_out_what_has_no_figure() -> None:
    edges = intervals(lambda picks: summarize([judged(9), judged(1), unjudged()], FIGURES, picks), 3, 200, 0)
    assert edges["score"] == [3.7, 9.3]
    assert edges["facts_asked"] == [None, None]


@pytest.mark.parametrize(
    ("asked", "share"), [(["ressources", "âge"], 1.0), (["âge", "âge", "autre"], 0.5), ([], 0.0), (["Âge"], 0.0)]
)
def test_the_facts_asked_are_those_of_the_row(asked: list[str], share: float) -> None:
    made = score({"fields": FIELDS}, "…", [told(5, "hybrid", asked)])
    assert (made.figures["facts_asked"], made.pair) == (share, ("clarification", "hybrid"))
    assert made.groups == {"topic": "rsa", "behavior": "clarification"}
    assert made.marks == {"shown": "hybrid", "reason": "r"}
    assert made.figures["clarification_accuracy"] is False  # another behaviour


def test_a_test_row_that_shares_its_rule_is_reported_apart() -> None:
    near = score({"fields": {**FIELDS, "transfer": "near"}}, "…", [told(9, "clarification", [])])
    far = score({"fields": {**FIELDS, "transfer": "far"}}, "…", [told(1, "direct", [])])
    table = by_group([near, far, judged(5)], FIGURES, "transfer", 20, 0)
    assert {name: line["law"] for name, line in table.items()} == {"far": 1, "near": 9}


@pytest.mark.parametrize(
    ("shown", "expected", "needless", "points"),
    [
        ("direct", "direct", 0, 10),
        ("hybrid", "hybrid", 1, 8),
        ("hybrid", "direct", 0, 5),
        ("direct", "hybrid", 2, 1),
        ("direct", "clarification", 0, 0),
        ("refusal", "hybrid", 0, 0),
        ("clarification", "clarification", 9, 0),
    ],
)
def test_conduct_is_the_behaviour_less_what_was_asked_for_nothing(
    shown: str, expected: str, needless: int, points: int
) -> None:
    assert conduct(shown, expected, needless) == points


def test_the_judge_is_given_the_dated_law_and_what_need_not_be_asked() -> None:
    fields = {**FIELDS, "source": ["conditions : art. 1"], "valid_from": "2026-01-01", "checked_on": "2026-11-28"}
    own, *rules = law(fields)
    assert own == "conditions : art. 1 (vaut depuis le 2026-01-01, relu le 2026-11-28)"
    assert any("France Travail" in rule for rule in rules)
    assert "nationalité ou titre de séjour" in useless(fields)
    assert not {"âge", "ressources"} & set(useless(fields))
    assert (law({"source": ["a"]}), useless({"missing_info": []})) == (["a"], [])


def test_a_row_that_wants_no_question_has_no_figure_of_one() -> None:
    made = score({"fields": {"behavior": "direct", "missing_info": []}}, "…", [told(5, "direct", [])])
    assert made.figures["facts_asked"] is made.figures["clarification_accuracy"] is None
    assert made.groups["topic"] == ""


def test_where_no_fact_is_missing_all_are_asked_for() -> None:
    fields = {"behavior": "hybrid", "missing_info": []}
    made = score({"fields": fields}, "…", [told(5, "hybrid", [])])
    assert (made.figures["facts_asked"], made.figures["clarification_accuracy"]) == (1.0, True)


def test_an_unjudged_answer_tells_why() -> None:
    made = unjudged("hybrid")
    assert made.marks == {"shown": "(unjudged)", "reason": "invalid: it is not JSON"}
    assert made.pair == ("hybrid", "(unjudged)")


def test_groups_and_confusions_count_judged_answers() -> None:
    scores = [*MIXED, judged(3, "direct", "clarification", asked=0, topic="u"), unjudged("hybrid", "u")]
    table = by_group(scores, FIGURES, "topic", 50, 0)
    assert {topic: (line["rows"], line["judged_share"], line["good_share"]) for topic, line in table.items()} == {
        "t": (6, round(5 / 6, 4), 0.6),
        "u": (2, 0.5, 0.0),
    }
    assert all(line["score_interval"][0] <= line["score"] <= line["score_interval"][1] for line in table.values())
    assert worst(scores) == [
        {"kind": "answer", "expected": "clarification", "given": "direct", "times": 1},
        {"kind": "answer", "expected": "direct", "given": "refusal", "times": 1},
        {"kind": "answer", "expected": "hybrid", "given": "direct", "times": 1},
    ]
    assert confusion(scores, FIGURES).count(("hybrid", "(unjudged)")) == 1
    assert list(by_group(MIXED, FIGURES, "behavior", 20, 0)) == ["clarification", "direct", "hybrid"]


def test_the_judge_sees_the_reference_and_no_thinking() -> None:
    fields = {**FIELDS, "question": "Ai-je droit au RSA ?", "answer": "Quel âge avez-vous ?"}
    (request,) = ask({"fields": fields}, "<thinking>Hum.</thinking> Oui, faites la demande.")
    assert request.facts == {
        "judge": "answer",
        "question": "Ai-je droit au RSA ?",
        "answer": "Oui, faites la demande.",
        "expected": "clarify",
        "missing_info": ["âge", "ressources"],
        "useless": useless(fields),
        "law": law(fields),
        "reference": "Quel âge avez-vous ?",
    }
    assert request.schema == JUDGEMENT
    said = request.messages[0][1]
    assert "Oui, faites la demande." in said
    assert "Hum." not in said


def test_weak_topics_are_those_with_most_bad_answers() -> None:
    scores = [
        *(judged(points, topic="two bad") for points in (2, 3, 9)),
        *(judged(points, "refusal", topic="three bad") for points in (1, 1, 1)),
        *(judged(9, topic="perfect") for _ in range(4)),
        judged(9, topic="one judged"),
        *(unjudged(topic="one judged") for _ in range(5)),
        *(unjudged(topic="unjudged") for _ in range(9)),
    ]
    _, report = evaluate(MEASURES, {"base": scores, "tuned": scores}, "french_admin", 20, 0)
    report = json.loads(json.dumps(report))
    assert weak_topics(report, 5) == {
        "three bad": {"share": 3, "why": "3 of 3 answers not good, refusal rate 1.00"},
        "two bad": {"share": 2, "why": "2 of 3 answers not good, refusal rate 0.00"},
    }
    assert list(weak_topics(report, 1)) == ["three bad"]
