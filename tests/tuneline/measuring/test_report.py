"""From scores to figures, tables by group, mistakes and the heat map: by hand, for measures of any kind."""

import csv
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.recipe_folder import write_recipe
from tests.teaching import settings
from tuneline.files import Row
from tuneline.measuring.kinds import open_measures
from tuneline.measuring.report import (
    band,
    by_group,
    confusion,
    drawn,
    drawn_in_pairs,
    evaluate,
    main_figure,
    score_answers,
    wants_judge,
    worst,
    write_confusion,
)
from tuneline.measuring.score import F1, MEAN, PRECISION, RECALL, WEIGHTED, Score, compared, rounded, summarize
from tuneline.teaching.teacher import Teacher

MICRO = {"exact": MEAN, "precision": PRECISION, "recall": RECALL, "f1": F1}


def score(wanted: str = "", given: str = "", **more: Any) -> Score:
    """Of fields `a.x`: each word of `wanted` and `given` is one, its value after =."""

    def pairs(text: str) -> Counter:
        return Counter(tuple(f"{word}=1".split("=")[:2]) for word in text.split())

    return Score({"exact": wanted == given}, **compared(pairs(wanted), pairs(given)), **more)


def figures(*scores: Score) -> dict[str, float | None]:
    return {name: rounded(value) for name, value in summarize(scores, MICRO).items()}


# Figures


def test_a_mean_is_over_the_rows_that_have_the_figure() -> None:
    scores = [Score({"a": value, "b": None, "c": truth}) for value, truth in ((0.5, True), (None, False), (1, True))]
    found = summarize(scores, {"c": MEAN, "a": MEAN, "b": MEAN})
    assert list(found) == ["c", "a", "b"]  # in the order of the table
    assert {name: rounded(value) for name, value in found.items()} == {"c": 0.6667, "a": 0.75, "b": None}
    assert np.isnan(found["b"])


def test_micro_figures_are_over_the_pairs_of_all_rows() -> None:
    # right 3, missed 1, invented 2: not the mean of the rows' own figures
    found = figures(score("x y z", "x y z"), score("x", "y w"))
    assert found == {"exact": 0.5, "precision": 0.6, "recall": 0.75, "f1": 0.6667}


def test_a_pair_counts_as_often_as_both_have_it() -> None:
    one = score("x x y", "x y y")
    assert (one.right.total(), one.missed, one.invented) == (2, Counter({("x", "1"): 1}), Counter({("y", "1"): 1}))


@pytest.mark.parametrize(
    ("wanted", "given", "expected"),
    [("", "", [0, 0, 0]), ("x", "", [0, 0, 0]), ("", "x", [0, 0, 0]), ("x", "y", [0, 0, 0]), ("x", "x", [1, 1, 1])],
)
def test_with_nothing_at_all_a_share_is_0_and_no_warning(
    wanted: str, given: str, expected: list, recwarn: pytest.WarningsRecorder
) -> None:
    found = figures(score(wanted, given))
    assert [found[name] for name in ("precision", "recall", "f1")] == expected
    assert not recwarn.list


def test_figures_without_a_mean_and_means_without_pairs() -> None:
    assert summarize([score("x", "x"), score("x", "")], {"f1": F1})["f1"] == pytest.approx(2 / 3)
    assert summarize([Score({})], {}) == {}


def test_samples_are_figured_as_rows_are() -> None:
    scores = [score("x y", "x"), score("", ""), Score({"exact": None}), score("z", "w v")]
    picks = np.array([[0, 1, 2, 3], [3, 3, 3, 3], [2, 2, 2, 2], [1, 0, 0, 2]])
    at_once = summarize(scores, MICRO, picks)
    for number, pick in enumerate(picks):
        one = summarize([scores[at] for at in pick], MICRO)
        for name, values in at_once.items():
            np.testing.assert_equal(values[number], one[name])  # nan is nan


def test_an_interval_of_what_no_row_has_is_none() -> None:
    found = drawn([Score({"a": None, "b": 1})] * 3, {"a": MEAN, "b": MEAN}, 20, 0)
    assert found == {"a": [None, None], "b": [1.0, 1.0]}


@pytest.mark.parametrize(
    ("kinds", "told", "main"),
    [
        (MICRO, None, "f1"),
        ({"a": MEAN, "b": MEAN}, None, "a"),
        ({"a": RECALL, "b": F1, "c": F1}, None, "b"),
        (MICRO, "exact", "exact"),
    ],
)
def test_the_main_figure_is_the_measures_own_or_f1_or_the_first(kinds: dict, told: str | None, main: str) -> None:
    class Told:
        FIGURES = kinds
        MAIN = told

    assert main_figure(Told) == main
    delattr(Told, "MAIN")
    assert main_figure(Told) == (main if told is None else "f1")


def test_the_change_is_of_the_same_rows_in_each_resample() -> None:
    """Two sides that differ by a half in every row: an interval of each, and none of the difference."""
    one = [Score({"x": value}) for value in (0.1, 0.9, 0.2, 0.6)]
    other = [Score({"x": score.figures["x"] + 0.5}) for score in one]
    found = drawn_in_pairs({"base": one, "tuned": other}, {"x": MEAN}, 100, 0)
    assert found["base"] == drawn(one, {"x": MEAN}, 100, 0)
    assert found["tuned"] == drawn(other, {"x": MEAN}, 100, 0)
    assert found["base"]["x"][0] < found["base"]["x"][1]
    assert found["change"] == {"x": [0.5, 0.5]}


def test_a_weighted_mean_is_by_the_rows_weight() -> None:
    scores = [Score({"x": 1.0, "m": 1}, weight=3), Score({"x": 0.0, "m": 0}, weight=1), Score({"x": None, "m": None})]
    assert summarize(scores, {"x": WEIGHTED, "m": MEAN}) == {"x": 0.75, "m": 0.5}


# Groups


def test_a_line_for_each_value_of_a_group() -> None:
    scores = [
        score("x", "x", groups={"topic": "b"}),
        score("x y", "x", groups={"topic": "a", "language": "fr"}),
        score("x", "y", groups={"topic": "a"}),
        score("x", "y"),
    ]
    found = by_group(scores, MICRO, "topic", 50, 0)
    assert list(found) == ["a", "b"]
    assert found["b"] == {"rows": 1, "exact": 1, "precision": 1, "recall": 1, "f1": 1, "f1_interval": [1, 1]}
    assert {**found["a"], "f1_interval": []} == {
        "rows": 2, "exact": 0, "precision": 0.5, "recall": 0.3333, "f1": 0.4, "f1_interval": [],
    }  # fmt: skip
    assert by_group(scores, MICRO, "topic", 50, 0, "exact")["b"]["exact_interval"] == [1, 1]
    low, high = found["a"]["f1_interval"]
    assert low == 0 and high == 0.6667
    assert list(by_group(scores, MICRO, "language", 50, 0)) == ["fr"]
    assert by_group(scores, MICRO, "persona", 50, 0) == {}


# Mistakes


def test_the_commonest_mistakes_come_first_and_equal_ones_by_name() -> None:
    scores = [
        score("who=Bo who=Zoé", "who=Al x", pair=("search", "count")),
        score("who=Bo", "who=Al", pair=("search", "count")),
        score("y", "y", pair=("search", "search")),
    ]
    assert worst(scores) == [
        {"kind": "answer", "expected": "search", "given": "count", "times": 2},
        {"kind": "field", "expected": "who", "given": "another value", "times": 2},
        {"kind": "field", "expected": "who", "given": "missed", "times": 1},
        {"kind": "field", "expected": "x", "given": "invented", "times": 1},
    ]
    assert worst(scores, most=1) == worst(scores)[:1]
    assert worst([score("x", "x")]) == []


# The heat map


def test_answers_of_kinds_are_counted_by_kind() -> None:
    scores = [score("x", "x", pair=("a", "b")), score("x", ""), score("", "", pair=("a", "a"))]
    assert confusion(scores, MICRO) == [("a", "b"), ("a", "a")]


def test_records_are_counted_by_section_and_what_became_of_a_field() -> None:
    scores = [score("deceased.name=1 heirs[].name=2", "deceased.name=1 heirs[].name=3 debts=0"), score()]
    assert sorted(confusion(scores, MICRO)) == [
        ("debts", "invented"),
        ("deceased", "right"),
        ("heirs[]", "invented"),
        ("heirs[]", "missed"),
    ]


def test_other_answers_are_counted_by_their_first_group_and_the_tenth_of_the_main_figure() -> None:
    kinds = {"good": MEAN, "other": MEAN}
    scores = [
        Score({"good": 0.31, "other": 1}, groups={"topic": "t", "language": "fr"}),
        Score({"good": None, "other": 1}, groups={"language": "fr"}),
        Score({"good": True, "other": 0}),
    ]
    assert confusion(scores, kinds) == [("t", "good 0.3–0.4"), ("fr", "no good"), ("all", "good 0.9–1.0")]
    assert confusion(scores[2:], kinds, "other") == [("all", "other 0.0–0.1")]


@pytest.mark.parametrize(
    ("value", "said"),
    [(0, "x 0.0–0.1"), (0.0999, "x 0.0–0.1"), (0.5, "x 0.5–0.6"), (1, "x 0.9–1.0"), (1.01, "x 1–2"), (12, "x 12–13")],
)
def test_a_band_is_a_tenth_or_a_whole_number(value: float, said: str) -> None:
    assert band("x", value) == said


def test_the_csv_has_a_line_an_answer(tmp_path: Path) -> None:
    write_confusion(tmp_path / "c.csv", [("a, b", "c"), ('"', "d\ne")])
    with (tmp_path / "c.csv").open(newline="", encoding="utf-8") as lines:
        assert list(csv.reader(lines)) == [["actual", "predicted"], ["a, b", "c"], ['"', "d\ne"]]


# The whole


MEASURES = """
from tuneline.measuring.score import MEAN, Score
from tuneline.teaching.request import Request

FIGURES = {"length": MEAN, "liked": MEAN}
SCHEMA = {"type": "object", "required": ["liked"], "properties": {"liked": {"type": "boolean"}}}


def ask(row, answer):
    return [Request((("user", answer),), SCHEMA, {"answer": answer})] * row["asked"]


def score(row, answer, outcomes):
    liked = [outcome.value["liked"] for outcome in outcomes if not outcome.reason]
    figures = {"length": len(answer), "liked": sum(liked) / len(liked) if liked else None}
    return Score(figures, groups={"asked": str(row["asked"])}, marks={"outcomes": len(outcomes)})


def tables(adapter, base, tuned):
    return {"longer": [t.figures["length"] - b.figures["length"] for b, t in zip(base, tuned)], "of": adapter}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """With measures of its own that ask a judge."""
    folder = write_recipe(tmp_path / "own", eval={"measures": "own"})
    (folder / "measures.py").write_text(MEASURES, encoding="utf-8")
    return folder


def rows(*asked: int) -> list[Row]:
    return [{"id": str(n), "asked": one} for n, one in enumerate(asked)]


def test_a_recipes_own_measures_are_asked_scored_and_told(recipe: Path, tmp_path: Path) -> None:
    measures = open_measures(recipe)
    assert wants_judge(measures)
    judge = Teacher(settings(provider="offline"), tmp_path, lambda request: {"liked": len(request.facts["answer"]) > 2})
    with judge:
        base, spend = score_answers(measures, rows(1, 2, 0), ["a", "bb", "c"], judge)
        tuned, _ = score_answers(measures, rows(1, 2, 0), ["aaa", "bb", "ccccc"], judge)
    assert spend.metrics()["usd"] == 0
    assert [one.marks for one in base] == [{"outcomes": 1}, {"outcomes": 2}, {"outcomes": 0}]
    metrics, report = evaluate(measures, {"base": base, "tuned": tuned}, "mine", 50, 0)
    assert metrics == {"base": {"length": 1.3333, "liked": 0.0}, "tuned": {"length": 3.3333, "liked": 0.5}}
    assert list(report) == ["rows", "main", "intervals", "mcnemar", "per_asked", "longer", "of"]
    assert (report["rows"], report["longer"], report["of"]) == (3, [2, 0, 4], "mine")
    assert report["per_asked"]["tuned"]["0"]["liked"] is None
    assert report["intervals"]["base"]["liked"] == [0.0, 0.0]
    assert list(report["intervals"]) == ["base", "tuned", "change"]
    assert report["intervals"]["change"]["length"] == [0.6667, 3.85]


def test_without_a_judge_there_are_no_outcomes(recipe: Path) -> None:
    found, spend = score_answers(open_measures(recipe), rows(1, 1), ["a", "bb"], None)
    assert spend is None
    assert [one.figures for one in found] == [{"length": 1, "liked": None}, {"length": 2, "liked": None}]


def test_measures_without_ask_want_no_judge(recipe: Path) -> None:
    (recipe / "measures.py").write_text(MEASURES.replace("def ask", "def asked"), encoding="utf-8")
    assert not wants_judge(open_measures(recipe))


def test_there_is_an_answer_for_every_row(recipe: Path) -> None:
    with pytest.raises(ValueError):
        score_answers(open_measures(recipe), rows(1, 1), ["a"], None)
