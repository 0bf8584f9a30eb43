"""ROUGE with our words is the library's where there are no accents; measures by hand; one function for all."""

import json
import math
import random
import unicodedata
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from rouge_score.rouge_scorer import RougeScorer

from tests.recipe_folder import write_recipe
from tests.scripted_server import scripted
from tests.teaching import asking, settings
from tuneline.recipe import read_recipe
from tuneline.task_judge_offline import SCORES
from tuneline.task_measures import Judge, Scored, measure, pairs, score_answers, tables
from tuneline.teacher import Teacher
from tuneline.text_measures import ROUGE, exact_match, rouge, token_f1, words

RUBRIC = "Judge the ${task} of <input>${source}</input>: <output>${output}</output>"
TEXT = "The ferry to Skagen stops on 4 May, since its pier is cracked. Buses replace it for 3 weeks."


def row(output: str, **fields: Any) -> dict:
    messages = [{"role": "user", "content": TEXT}, {"role": "assistant", "content": output}]
    return {"id": output, "messages": messages, "fields": {"input": TEXT, "output": output, **fields}}


def english(rng: random.Random) -> str:
    """A text of few words, so that many are shared, with signs, figures and underscores between them."""
    few = ["The", "ferry's", "pier", "is", "cracked", "3.5", "re-opened", "snake_case", "X2", "buses", "A", "by"]
    return "".join(
        rng.choice(few) + rng.choice([" ", ", ", ". ", "\n", " (", "--", "! "]) for _ in range(rng.randrange(30))
    )


def test_plain_english_has_the_figures_of_the_librarys_own_tokenizer() -> None:
    rng, theirs = random.Random(0), RougeScorer(list(ROUGE.values()), use_stemmer=False)
    seen = set()
    for _ in range(300):
        reference, answer = english(rng), english(rng)
        wanted = theirs.score(reference, answer)
        found = rouge(answer, [reference])
        assert found == {name: wanted[key].fmeasure for name, key in ROUGE.items()}
        seen.add(round(found["rouge_2"], 3))
    assert len(seen) > 50


def test_accented_letters_are_letters() -> None:
    assert words("L’été, à Nîmes : 3,5 % d'ŒUFS_durs") == ["l", "été", "à", "nîmes", "3", "5", "d", "œufs", "durs"]
    theirs = RougeScorer(["rouge1"]).score("nù", "né")["rouge1"].fmeasure
    assert (theirs, rouge("né", ["nù"])["rouge_1"]) == (1, 0)  # `n` is all that theirs keeps of either


def test_an_accent_may_be_a_sign_of_its_own() -> None:
    text = "Été à Nîmes"
    assert words(unicodedata.normalize("NFD", text)) == words(text) == ["été", "à", "nîmes"]


def test_rouge_by_hand() -> None:
    found = rouge("the cat on the mat sat", ["The cat sat on the mat."])
    assert found == pytest.approx({"rouge_1": 1, "rouge_2": 3 / 5, "rouge_l": 5 / 6})
    assert rouge("", ["a b"]) == {"rouge_1": 0, "rouge_2": 0, "rouge_l": 0}


def test_the_reference_with_the_best_rouge_1_gives_all_three() -> None:
    """allenai/scitldr does so; the best of each measure apart would be 1, 2/3 and 3/4."""
    found = rouge("a b c d", ["a b c x", "d c b a", "a b c d e f g h"])
    assert found == pytest.approx({"rouge_1": 1, "rouge_2": 0, "rouge_l": 1 / 4})
    assert rouge("a b", ["a c", "c a b d"])["rouge_1"] == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match="empty"):
        rouge("a", [])


def test_exact_match_and_token_f1_by_hand() -> None:
    assert exact_match(" Late   delivery! ", ["billing", "late delivery"]) == 1
    assert exact_match("late", ["late delivery"]) == 0
    assert exact_match("Été", ["ete"]) == 0
    assert token_f1("the old old pier", ["the old pier of Skagen"]) == pytest.approx(2 * 3 / 9)
    assert token_f1("x", ["y", "x z"]) == pytest.approx(2 / 3)
    assert (token_f1("", ["x"]), token_f1("x", ["..."]), token_f1("", ["!"])) == (0, 0, 1)


def test_each_task_has_its_measures() -> None:
    rows = [row("late"), row("damaged", references=["damaged", "broken parcel"])]
    found, spend = score_answers("classification", rows, ["Late.", "parcel"])
    assert ([s.figures for s in found], spend) == ([{"exact_match": 1}, {"exact_match": 0}], None)
    found, _ = score_answers("question-answering", rows, ["Late.", "parcel"])
    assert [s.figures for s in found] == [
        {"token_f1": 1, "exact_match": 1},
        {"token_f1": round(2 / 3, 6), "exact_match": 0},
    ]
    found, _ = score_answers("summarization", rows, ["late", ""])
    assert [s.figures["rouge_l"] for s in found] == [1, 0]
    assert pairs("classification", rows, ["Late.", "parcel"], found) == [("late", "Late."), ("damaged", "parcel")]


def test_the_judge_sees_the_whole_input_and_not_the_cut_question(tmp_path: Path) -> None:
    long = " ".join(f"Sentence {n} is about pier {n}." for n in range(400))
    cut = row("A pier.", input=long)
    cut["messages"][0]["content"] = "Sentence 0 is about pier 0. […]"
    good = "The ferry to Skagen stops on 4 May; buses run for 3 weeks."
    with Teacher(settings(provider="offline", model="offline"), tmp_path) as teacher:
        (one, bad, parts), spend = score_answers(
            "summarization",
            [row(good), row(good), cut],
            [good, "Oslo won 9 medals.", "Sentence 399 is about pier 399."],
            Judge(teacher, RUBRIC, 4000),
        )
    assert spend is not None
    assert spend.usd == 0
    assert set(one.figures) == {*ROUGE, *SCORES}
    assert one.figures["overall"] > bad.figures["overall"] + 0.3
    assert parts.reason.startswith("Judged in 4 parts; 1 of 1 sentences supported")


def test_a_judgement_that_cannot_be_had_is_no_score(tmp_path: Path) -> None:
    said = json.dumps(dict.fromkeys(SCORES, 0.5) | {"overall": 0.9, "reason": "fair"})
    rows = [row("good"), row("good")]
    with scripted(said, "no JSON") as server:
        chosen = asking(server, "openai", attempts=2, concurrency=1)  # asked in the rows' order
        with Teacher(chosen, tmp_path) as teacher:
            scored, spend = score_answers("summarization", rows, ["good", "bad"], Judge(teacher, RUBRIC))
    assert spend.usd > 0
    assert (scored[0].figures["overall"], scored[0].reason) == (0.9, "fair")
    assert [scored[1].figures[name] for name in SCORES] == [None] * 5
    assert "not JSON" in scored[1].reason
    figures = {name: float(value) for name, value in measure(scored, 0.8).items()}
    assert figures == {
        "rouge_1": 0.5, "rouge_2": 0, "rouge_l": 0.5, "coverage": 0.5, "accuracy": 0.5, "coherence": 0.5,
        "informativeness": 0.5, "overall": 0.9, "good_share": 1, "judged_share": 0.5,
    }  # fmt: skip
    assert pairs("summarization", rows, ["good", "bad"], scored) == [
        ("summarization", "overall 0.9–1.0"),
        ("summarization", "(unjudged)"),
    ]
    drawn = measure(scored, 0.8, np.array([[0, 0], [0, 1], [1, 1]]))
    assert drawn["rouge_1"].tolist() == [1, 0.5, 0]
    assert drawn["judged_share"].tolist() == [1, 0.5, 0]
    assert drawn["overall"][:2].tolist() == [0.9, 0.9]
    assert math.isnan(drawn["overall"][2])


def test_rows_without_an_input_cannot_be_judged(tmp_path: Path) -> None:
    bare = {"id": "1", "messages": row("x")["messages"]}
    assert score_answers("summarization", [bare], ["x"])[0][0].figures["rouge_1"] == 1
    offline = settings(provider="offline", model="offline")
    with Teacher(offline, tmp_path) as teacher, pytest.raises(click.ClickException, match="field input"):
        score_answers("summarization", [bare], ["x"], Judge(teacher, RUBRIC))


def test_a_line_for_each_language_and_topic() -> None:
    rows = [row("a", language="en"), row("b", language="fr"), row("c", language="fr")]
    scored = [Scored({"rouge_1": v, "rouge_2": v, "rouge_l": v}, "") for v in (1.0, 0.0, 0.5)]
    found = tables("summarization", rows, scored, 0.8, 200, 0)
    assert list(found) == ["by_language"]
    assert found["by_language"]["en"] == {
        "rows": 1, "rouge_1": 1, "rouge_2": 1, "rouge_l": 1, "rouge_l_interval": [1, 1],
    }  # fmt: skip
    assert found["by_language"]["fr"]["rouge_l"] == 0.25
    assert found["by_language"]["fr"]["rouge_l_interval"] == [0, 0.5]


def test_a_recipe_names_a_known_task(tmp_path: Path) -> None:
    task = {"measures": "task", "task": "translation", "rubric": None, "intent": "x"}
    with pytest.raises(click.ClickException, match=r"eval\.task.*summarization.*unknown key; valid keys are"):
        read_recipe(write_recipe(tmp_path / "r", eval=task))
