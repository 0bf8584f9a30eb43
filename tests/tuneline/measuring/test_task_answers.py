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
from tests.servers.scripted_server import scripted
from tests.teaching import asking, settings
from tuneline.measuring.references import ROUGE, exact_match, rouge, token_f1, words
from tuneline.measuring.report import by_group, confusion, main_figure, score_answers
from tuneline.measuring.score import Score, rounded, summarize
from tuneline.measuring.task_answers import TaskMeasures
from tuneline.recipe.settings import read_recipe
from tuneline.recipe.tasks import SCORES
from tuneline.teaching.teacher import Teacher

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

    def scored(task: str, *answers: str) -> list[Score]:
        measures = TaskMeasures(task, None, 0.8)
        found, spend = score_answers(measures, rows, answers, None)
        assert spend is None
        assert all(set(one.figures) == set(measures.FIGURES) for one in found)
        return found

    found = scored("classification", "Late.", "parcel")
    assert [one.figures for one in found] == [{"exact_match": 1}, {"exact_match": 0}]
    assert confusion(found, {"exact_match": "mean"}) == [("late", "Late."), ("damaged", "parcel")]
    found = scored("question-answering", "Late.", "parcel")
    assert [one.figures for one in found] == [
        {"token_f1": 1, "exact_match": 1},
        {"token_f1": round(2 / 3, 6), "exact_match": 0},
    ]
    assert [one.pair for one in found] == [None, None]
    found = scored("summarization", "late", "")
    assert [one.figures["rouge_l"] for one in found] == [1, 0]


def offline_judge(facts: dict[str, Any]) -> dict[str, Any]:
    """Scores by how many words of the output are the source's."""
    source, output = set(words(facts["source"])), words(facts["output"])
    share = sum(word in source for word in output) / len(output)
    if "part" in facts:
        said = {"coverage": share, "supported": [1] if share == 1 else [], "contradicted": []}
        return {"reason": "", **said, "coherence": 1, "informativeness": share}
    return {"reason": "by its words", **dict.fromkeys(SCORES, share)}


def offline(folder: Path) -> Teacher:
    chosen = settings(provider="offline", model="offline")
    return Teacher(chosen, folder, lambda request: offline_judge(request.facts))


def test_the_judge_sees_the_whole_input_and_not_the_cut_question(tmp_path: Path) -> None:
    long = " ".join(f"Sentence {n} is about pier {n}." for n in range(400))
    cut = row("A pier.", input=long)
    cut["messages"][0]["content"] = "Sentence 0 is about pier 0. […]"
    good = "The ferry to Skagen stops on 4 May; buses replace it for 3 weeks."
    measures = TaskMeasures("summarization", RUBRIC, 0.8, window=4000)
    with offline(tmp_path) as teacher:
        (one, bad, parts), spend = score_answers(
            measures,
            [row(good), row(good), cut],
            [good, "Oslo won 9 medals.", "Sentence 399 is about pier 399."],
            teacher,
        )
    assert spend is not None
    assert spend.usd == 0
    assert set(one.figures) == set(measures.FIGURES) == {*ROUGE, *SCORES, "good_share", "judged_share"}
    assert one.figures["overall"] > bad.figures["overall"] + 0.3
    assert (one.figures["good_share"], bad.figures["good_share"]) == (True, False)
    assert parts.marks["reason"].startswith("Judged in 4 parts; 1 of 1 sentences supported")


def test_a_judgement_that_cannot_be_had_is_no_score(tmp_path: Path) -> None:
    said = json.dumps(dict.fromkeys(SCORES, 0.5) | {"overall": 0.9, "reason": "fair"})
    rows = [row("good"), row("good")]
    measures = TaskMeasures("summarization", RUBRIC, 0.8)
    with scripted(said, "no JSON") as server:
        chosen = asking(server, "openai", attempts=2, concurrency=1)  # asked in the rows' order
        with Teacher(chosen, tmp_path) as teacher:
            scored, spend = score_answers(measures, rows, ["good", "bad"], teacher)
    assert spend.usd > 0
    assert (scored[0].figures["overall"], scored[0].marks["reason"]) == (0.9, "fair")
    assert [scored[1].figures[name] for name in SCORES] == [None] * 5
    assert "not JSON" in scored[1].marks["reason"]
    figures = {name: rounded(value) for name, value in summarize(scored, measures.FIGURES).items()}
    assert figures == {
        "rouge_1": 0.5, "rouge_2": 0, "rouge_l": 0.5, "coverage": 0.5, "accuracy": 0.5, "coherence": 0.5,
        "informativeness": 0.5, "overall": 0.9, "good_share": 1, "judged_share": 0.5,
    }  # fmt: skip
    drawn = summarize(scored, measures.FIGURES, np.array([[0, 0], [0, 1], [1, 1]]))
    assert drawn["rouge_1"].tolist() == [1, 0.5, 0]
    assert drawn["judged_share"].tolist() == [1, 0.5, 0]
    assert drawn["overall"][:2].tolist() == [0.9, 0.9]
    assert math.isnan(drawn["overall"][2])
    cells = confusion(scored, measures.FIGURES, main_figure(measures))  # of the judge's overall, where there is one
    assert cells == [("all", "overall 0.9–1.0"), ("all", "no overall")]


def test_the_heat_map_of_texts_is_of_the_tenths_of_the_main_figure() -> None:
    measures = TaskMeasures("summarization", None, 0.8)
    scored, _ = score_answers(measures, [row("late", topic="post"), row("a b")], ["late", "a c"], None)
    cells = confusion(scored, measures.FIGURES, main_figure(measures))
    assert cells == [("post", "rouge_l 0.9–1.0"), ("all", "rouge_l 0.5–0.6")]


def test_rows_without_an_input_cannot_be_judged(tmp_path: Path) -> None:
    bare = {"id": "1", "messages": row("x")["messages"]}
    found, _ = score_answers(TaskMeasures("summarization", None, 0.8), [bare], ["x"], None)
    assert found[0].figures["rouge_1"] == 1
    judged = TaskMeasures("summarization", RUBRIC, 0.8)
    with offline(tmp_path) as teacher, pytest.raises(click.ClickException, match="field input"):
        score_answers(judged, [bare], ["x"], teacher)


def test_a_line_for_each_language_and_topic() -> None:
    measures = TaskMeasures("summarization", None, 0.8)
    rows = [row("a b", language="en"), row("c d", language="fr"), row("c d", language="fr")]
    scored, _ = score_answers(measures, rows, ["a b", "x", "c"], None)
    assert {name for one in scored for name in one.groups} == {"language"}
    found = by_group(scored, measures.FIGURES, "language", 200, 0, main_figure(measures))
    assert found["en"] == {"rows": 1, "rouge_1": 1, "rouge_2": 1, "rouge_l": 1, "rouge_l_interval": [1, 1]}
    third = round(1 / 3, 4)  # F1 of one word of two, over two rows
    assert (found["fr"]["rouge_1"], found["fr"]["rouge_l"]) == (third, third)
    assert found["fr"]["rouge_l_interval"] == [0, round(2 / 3, 4)]


def test_a_recipe_names_a_known_task(tmp_path: Path) -> None:
    task = {"measures": "task", "task": "translation", "rubric": None, "intent": "x"}
    with pytest.raises(click.ClickException, match=r"eval\.task.*summarization.*unknown key; valid keys are"):
        read_recipe(write_recipe(tmp_path / "r", eval=task))
