"""Free text: its figures by hand, and a judge of one score under a rubric of the recipe's."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.servers.scripted_server import scripted
from tests.teaching import asking, settings
from tuneline.files import Row
from tuneline.measuring.references import compare, exact_match, length_ratio
from tuneline.measuring.report import main_figure, score_answers
from tuneline.measuring.score import MEAN
from tuneline.measuring.text_answers import NAMES, RubricJudge, TextMeasures, asked
from tuneline.teaching.teacher import Teacher

RUBRIC = "Of ${topic}: ${question} Said: ${answer} Right: ${reference} $$5"


def row(answer: str, *before: dict, **fields: Any) -> Row:
    messages = [*before, {"role": "user", "content": "When?"}, {"role": "assistant", "content": answer}]
    return {"id": answer, "messages": messages, **({"fields": fields} if fields else {})}


def test_all_figures_of_a_text_by_hand() -> None:
    measures = TextMeasures()
    assert list(measures.FIGURES) == [
        "rouge_1", "rouge_2", "rouge_l", "token_f1", "exact_match", "length_ratio",
    ]  # fmt: skip
    assert (set(measures.FIGURES.values()), main_figure(measures), measures.ask) == ({MEAN}, "rouge_l", None)
    found = measures.score(row("the cat sat on the mat"), "The cat on the mat sat, all day")
    assert found.figures == pytest.approx(
        {
            "rouge_1": 12 / 14, "rouge_2": 2 * 3 / 12, "rouge_l": 10 / 14, "token_f1": 12 / 14, "exact_match": 0,
            "length_ratio": 8 / 6,
        },
        abs=1e-6,
    )  # fmt: skip
    same = measures.score(row("Été à Nîmes"), "été à nîmes!").figures
    assert set(same.values()) == {1}


def test_an_empty_answer_is_0_in_all() -> None:
    assert set(TextMeasures().score(row("A word."), "").figures.values()) == {0}


def test_a_reference_without_words_has_no_length_and_is_compared_by_its_signs() -> None:
    found = [TextMeasures().score(row("👍 +"), answer).figures for answer in ("👍  +\n", "👎", "", "yes")]
    assert [one["exact_match"] for one in found] == [1, 0, 0, 0]
    assert {one["length_ratio"] for one in found} == {None}
    assert exact_match("yes!", ["yes?"]) == 1  # where there are words, they alone count


def test_the_length_is_that_beside_the_first_reference() -> None:
    assert length_ratio("a b", ["a b c d", "a"]) == 0.5
    assert compare(["exact_match", "length_ratio"], "x", ["y z", "x"]) == {"exact_match": 1, "length_ratio": 0.5}


def test_any_of_several_references_is_right() -> None:
    found = TextMeasures().score(row("first", references=["first", "the second one"]), "The second one.")
    assert (found.figures["exact_match"], found.figures["length_ratio"]) == (1, 3)


# A judge


def test_the_rubric_may_name_question_answer_reference_and_fields() -> None:
    measures = TextMeasures(judge=RubricJudge(RUBRIC))
    (request,) = measures.ask(row("May.", topic="boats"), "<thinking>x</thinking>June.")
    assert request.messages == (("user", "Of boats: When? Said: June. Right: May. $5"),)
    assert request.facts["judge"] == "text"


def test_all_turns_before_an_answer_are_what_it_answers() -> None:
    before = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    calls = [{"type": "function", "function": {"name": "find", "arguments": {"n": 1}}}]
    before += [{"role": "assistant", "content": None, "tool_calls": calls}, {"role": "tool", "content": "4 May"}]
    assert asked(row("May.")) == "When?"
    said = asked(row("May.", *before)).split("\n\n")
    assert [one.split(": ")[0] for one in said] == ["system", "user", "assistant", "tool", "user"]
    assert '"name":"find"' in said[2]


def test_the_judges_score_is_a_share_of_ten(tmp_path: Path) -> None:
    measures = TextMeasures(judge=RubricJudge("${question} ${answer} ${reference}"))
    judge = Teacher(
        settings(provider="offline"), tmp_path, lambda request: {"reason": "so", "score": len(request.facts["answer"])}
    )
    with judge:
        scores, spend = score_answers(measures, [row("a b"), row("c")], ["a b", ""], judge)
    assert spend.usd == 0
    assert list(measures.FIGURES) == [*NAMES, "score", "judged_share"]
    assert main_figure(measures) == "score"
    assert [one.figures["score"] for one in scores] == [0.3, 0]
    assert scores[0].marks == {"reason": "so"}


def test_a_judgement_that_cannot_be_had_is_no_zero(tmp_path: Path) -> None:
    said = json.dumps({"reason": "fair", "score": 7})
    measures = TextMeasures(judge=RubricJudge("${question} ${answer}"))
    with (
        scripted(said, "no JSON") as server,
        Teacher(asking(server, "openai", attempts=1, concurrency=1), tmp_path) as judge,
    ):
        good, bad = score_answers(measures, [row("a"), row("b")], ["a", "x"], judge)[0]
    assert (good.figures["score"], good.figures["judged_share"]) == (0.7, True)
    assert (bad.figures["score"], bad.figures["judged_share"], bad.figures["rouge_1"]) == (None, False, 0)
    assert "not JSON" in bad.marks["reason"]


# What is told before anything is paid


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        (row("May.", topic="boats"), None),
        (row(" \n"), "has an empty answer"),
        ({"id": "1", "text": "only"}, "is only text, which answers nothing: `measures: bits`"),
        (row("a", references="a"), "names references that are no list of texts"),
        (row("a", references=["a", 3]), "names references that are no list of texts"),
        (row("a"), "cannot be judged: rubric: unknown topic; known are answer, judge, question, reference"),
    ],
)
def test_a_row_that_cannot_be_measured(reference: Row, said: str | None) -> None:
    found = TextMeasures(judge=RubricJudge(RUBRIC)).unreadable(reference)
    assert found is None if said is None else found.startswith(said)


def test_without_a_rubric_nothing_is_asked_of_the_fields() -> None:
    assert TextMeasures().unreadable(row("a")) is None
