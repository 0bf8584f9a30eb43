"""Measures by hand, and intervals around them."""

import json
from collections import Counter
from typing import Any

import click
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuneline.measuring.bootstrap import intervals
from tuneline.measuring.json_answers import NO_INTENT, JsonMeasures, pairs, parse_object
from tuneline.measuring.report import by_group, worst
from tuneline.measuring.score import Score, rounded, summarize

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["type"],
    "properties": {
        "type": {"enum": ["search", "count"]},
        "n": {"type": "integer"},
        "who": {"type": "array", "items": {"type": "string"}},
        "when": {"type": "object"},
    },
}
MEASURES = JsonMeasures(SCHEMA, "type")


def row(reference: str) -> dict:
    return {"messages": [{"role": "user", "content": "?"}, {"role": "assistant", "content": reference}]}


def score(answer: Any, reference: dict) -> Score:
    return MEASURES.score(row(json.dumps(reference)), answer if isinstance(answer, str) else json.dumps(answer))


def measure(scores: list[Score], rows: np.ndarray | None = None) -> dict[str, Any]:
    return summarize(scores, MEASURES.FIGURES, rows)


def figures(*scored: Score) -> dict[str, float | None]:
    return {name: rounded(value) for name, value in measure(list(scored)).items()}


def test_pairs_are_the_leaves_with_their_paths() -> None:
    value = {"a": {"b": 1, "c": [None, "é"]}, "d": [{"e": True}, {"e": 1.0}], "none": {}, "empty": []}
    assert Counter(pairs(value)) == Counter(
        [("a.b", "1"), ("a.c[]", "null"), ("a.c[]", '"é"'), ("d[].e", "true"), ("d[].e", "1.0")]
    )


def test_the_right_answer_scores_1() -> None:
    reference = {"type": "search", "n": 3, "who": ["Zoé", "Bo"]}
    assert set(figures(score(reference, reference)).values()) == {1.0}
    assert set(figures(score({"who": ["Zoé", "Bo"], "n": 3, "type": "search"}, reference)).values()) == {1.0}


def test_figures_by_hand() -> None:
    rows = [
        # right: n, when.day; missed: who Bo; invented: who Al
        score(
            {"type": "search", "n": 1, "who": ["Al"], "when": {"day": "today"}},
            {"type": "search", "n": 1, "who": ["Bo"], "when": {"day": "today"}},
        ),
        # wrong intent; nothing else asked or given
        score({"type": "count"}, {"type": "search"}),
        # invalid by the schema (unknown key); invented: x; right: n
        score({"type": "count", "n": 2, "x": 0}, {"type": "count", "n": 2}),
        # no JSON; missed: n, who Zoé
        score("type: count", {"type": "count", "n": 4, "who": ["Zoé"]}),
        # exact
        score({"type": "count", "n": 5}, {"type": "count", "n": 5}),
    ]
    # right 2 + 1 + 1 = 4; missed 1 + 2 = 3; invented 1 + 1 = 2
    assert figures(*rows) == {
        "json_valid": 0.8,
        "schema_valid": 0.6,
        "intent_accuracy": 0.6,
        "slot_precision": round(4 / 6, 4),
        "slot_recall": round(4 / 7, 4),
        "slot_f1": round(8 / 13, 4),
        "exact_match": 0.2,
    }


def test_lists_are_compared_as_multisets() -> None:
    scored = score({"type": "search", "who": ["b", "a", "a", "c"]}, {"type": "search", "who": ["a", "b", "b"]})
    assert scored.right == Counter({("who[]", '"a"'): 1, ("who[]", '"b"'): 1})
    assert scored.missed == Counter({("who[]", '"b"'): 1})
    assert scored.invented == Counter({("who[]", '"a"'): 1, ("who[]", '"c"'): 1})
    other_order = score({"type": "search", "who": ["b", "a"]}, {"type": "search", "who": ["a", "b"]})
    assert (other_order.figures["exact_match"], other_order.missed, other_order.invented) == (
        False,
        Counter(),
        Counter(),
    )


@pytest.mark.parametrize("given_", [True, 1.0, "1"])
def test_a_value_of_another_type_is_another_value(given_: Any) -> None:
    scored = score({"type": "search", "n": given_}, {"type": "search", "n": 1})
    assert not scored.figures["exact_match"]
    assert scored.missed == Counter({("n", "1"): 1})


@pytest.mark.parametrize(
    "answer", ["", "search", "{", '{"type": "search"} and more', "[]", '"search"', "null", '{"n": NaN}', "[" * 100_000]
)
def test_what_is_no_json_object_is_wrong_in_everything(answer: str) -> None:
    assert parse_object(answer) is None
    scored = score(answer, {"type": "search", "n": 1})
    assert scored.figures == dict.fromkeys(("json_valid", "schema_valid", "intent_accuracy", "exact_match"), False)
    assert scored.pair == ("search", NO_INTENT)
    assert scored.marks == {"exact": False}
    assert set(figures(scored).values()) == {0.0}


@pytest.mark.parametrize("depth", [50, 400, 900, 2000])
def test_an_answer_may_nest_as_deep_as_it_likes(depth: int) -> None:
    scored = score('{"when":' * depth + "1" + "}" * depth, {"type": "search"})
    assert (scored.figures["exact_match"], scored.pair) == (False, ("search", NO_INTENT))


@pytest.mark.parametrize("intent", [None, 5, ["search"], {"a": 1}])
def test_an_intent_that_is_no_text_is_none(intent: Any) -> None:
    scored = score({"type": intent, "n": 1}, {"type": "search", "n": 1})
    assert scored.pair == ("search", NO_INTENT)
    assert (scored.figures["json_valid"], scored.figures["schema_valid"]) == (True, False)


@pytest.mark.parametrize("reference", ["yes", "[]", "{}", '{"type": 1}', '{"intent": "search"}'])
def test_a_reference_without_an_intent_is_told(reference: str) -> None:
    with pytest.raises(
        click.ClickException, match="a test row has an answer that is no JSON object with a text 'type'"
    ):
        MEASURES.score(row(reference), "{}")


def test_no_slot_anywhere_gives_0_and_no_warning(recwarn: pytest.WarningsRecorder) -> None:
    result = figures(score({"type": "search"}, {"type": "search"}))
    assert (result["slot_precision"], result["slot_recall"], result["slot_f1"]) == (0, 0, 0)
    assert (result["exact_match"], result["intent_accuracy"]) == (1, 1)
    assert not recwarn.list


def test_intents_have_their_own_figures() -> None:
    rows = [
        score({"type": "search", "n": 1}, {"type": "search", "n": 1}),
        score({"type": "count", "n": 1}, {"type": "search", "n": 2}),
        score({"type": "count", "n": 1}, {"type": "count", "n": 1}),
    ]
    table = by_group(rows, MEASURES.FIGURES, "intent", 100, 0)
    kept = ("rows", "intent_accuracy", "slot_f1", "exact_match", "slot_f1_interval")
    assert {intent: [line[name] for name in kept] for intent, line in table.items()} == {
        "count": [1, 1.0, 1.0, 1.0, [1.0, 1.0]],
        "search": [2, 0.5, 0.5, 0.5, [0.0, 1.0]],
    }
    assert set(table["count"]) == {"rows", *MEASURES.FIGURES, "slot_f1_interval"}


def test_the_commonest_mistakes_come_first() -> None:
    rows = [
        score({"type": "count", "who": ["Al"], "x": 1}, {"type": "search", "who": ["Bo", "Zoé"]}),
        score({"type": "count", "who": ["Al"]}, {"type": "search", "who": ["Bo"]}),
        score("", {"type": "search"}),
    ]
    assert worst(rows) == [
        {"kind": "answer", "expected": "search", "given": "count", "times": 2},
        {"kind": "field", "expected": "who[]", "given": "another value", "times": 2},
        {"kind": "answer", "expected": "search", "given": NO_INTENT, "times": 1},
        {"kind": "field", "expected": "who[]", "given": "missed", "times": 1},
        {"kind": "field", "expected": "x", "given": "invented", "times": 1},
    ]
    assert worst(rows, most=1) == worst(rows)[:1]


# Bootstrap

OUTCOMES = [
    score({"type": "search", "n": 1}, {"type": "search", "n": 1}),
    score({"type": "count", "n": 1}, {"type": "search", "n": 2}),
    score("", {"type": "search", "n": 2}),
    score({"type": "search"}, {"type": "search"}),
]


@settings(deadline=None, max_examples=25, derandomize=True)
@given(st.lists(st.sampled_from(OUTCOMES), min_size=1, max_size=30), st.integers(0, 5))
def test_an_interval_contains_its_figure(scored: list[Score], seed: int) -> None:
    found = intervals(lambda picks: measure(scored, picks), len(scored), samples=300, seed=seed)
    for name, figure in measure(scored).items():
        low, high = found[name]
        assert 0 <= low <= round(float(figure), 4) <= high <= 1


def test_samples_are_measured_as_rows_are() -> None:
    picks = np.array([[0, 0, 1, 3], [2, 2, 2, 2], [3, 1, 0, 2]])
    at_once = measure(OUTCOMES, picks)
    for number, pick in enumerate(picks):
        one = measure([OUTCOMES[at] for at in pick])
        assert {name: values[number] for name, values in at_once.items()} == one


def test_intervals_are_those_of_the_binomial_and_of_the_seed() -> None:
    scored = [OUTCOMES[0]] * 60 + [OUTCOMES[1]] * 40

    def take(seed: int) -> dict[str, list[float]]:
        return intervals(lambda picks: measure(scored, picks), 100, samples=2000, seed=seed)

    low, high = take(0)["exact_match"]
    assert low == pytest.approx(0.6 - 1.96 * 0.049, abs=0.015)
    assert high == pytest.approx(0.6 + 1.96 * 0.049, abs=0.015)
    assert take(0)["json_valid"] == [1.0, 1.0]
    assert take(0) == take(0)
    assert take(0) != take(1)
