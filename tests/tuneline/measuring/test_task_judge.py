"""What a judge is asked about a sample, and how its answers are united."""

import json

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.servers.scripted_server import scripted
from tests.teaching import asking
from tuneline.language.sentences import sentences
from tuneline.measuring.task_judge import Judgement, divide, read, requests
from tuneline.recipe.tasks import SCORES, overall_score
from tuneline.teaching.request import Outcome
from tuneline.teaching.teacher import Teacher

GATE = 0.8
RUBRIC = "Judge.\n<text>\n${source}\n</text>\n<summary>\n${output}\n</summary>"
PARAGRAPHS = [
    "The ferry to Aldis stops in May. Its hull has to be painted.",
    "Tickets stay valid until 30 June. A bus runs meanwhile.",
    "The captain, Rosa Lind, hopes for a new ship. The county has no money for one.",
]
LONG = "\n\n".join(PARAGRAPHS)
SUMMARY = "The ferry to Aldis stops in May. Tickets stay valid until 30 June. A new ship has been ordered."
WINDOW = 90


def whole(**scores: float) -> str:
    return json.dumps({"reason": "Good.", **dict.fromkeys(SCORES, 0.9), **scores})


def part(coverage: float, supported: list[int], contradicted: list[int], coherence: float = 1.0) -> str:
    return json.dumps(
        {
            "reason": f"says {supported}",
            "coverage": coverage,
            "supported": supported,
            "contradicted": contradicted,
            "coherence": coherence,
            "informativeness": 0.8,
        }
    )


def answered(teacher: Teacher, asked: list) -> list[Outcome | None]:
    found = [teacher.follow(request) for request in asked]
    return [outcome if isinstance(outcome, Outcome) else None for outcome in found]


# ---------------------------------------------------------------- one request


def test_a_source_within_the_window_is_one_request_and_the_judges_own_scores(tmp_path):
    asked = requests("summarization", LONG, SUMMARY, RUBRIC)
    with scripted(whole(accuracy=0.4, overall=0.35)) as server, Teacher(asking(server, "openai"), tmp_path) as teacher:
        teacher.pay(asked, "judge")
        judgement = read(asked, answered(teacher, asked))
    assert isinstance(judgement, Judgement)
    assert judgement.scores == {**dict.fromkeys(SCORES, 0.9), "accuracy": 0.4, "overall": 0.35}
    assert (judgement.reason, judgement.parts) == ("Good.", 1)
    assert len(server.prompts) == 1
    assert LONG in server.prompts[0]
    assert SUMMARY in server.prompts[0]


@pytest.mark.parametrize("wrong", [whole(overall=1.2), whole(coverage=-0.1), '{"reason": "x", "overall": 0.9}', "0.9"])
def test_a_score_outside_the_schema_is_a_failure_and_no_score(tmp_path, wrong):
    asked = requests("summarization", LONG, SUMMARY, RUBRIC)
    with scripted(wrong) as server, Teacher(asking(server, "openai", attempts=2), tmp_path) as teacher:
        teacher.pay(asked, "judge")
        why = read(asked, answered(teacher, asked))
    assert isinstance(why, str)
    assert why.startswith("invalid: ")
    assert len(server.prompts) == 2  # it was asked again, and told why


def test_a_call_without_an_answer_is_a_failure():
    asked = requests("classification", "Late again.", "complaint", RUBRIC)
    assert read(asked, [None]) == "no answer"
    assert read(asked, [Outcome(None, "refusal", "no", (), "")]) == "refusal: no"
    with pytest.raises(ValueError):
        read(asked, [])


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"task": "translation"}, "known are summarization, classification, question-answering"),
        ({"rubric": "${passage}"}, "unknown passage"),
        ({"window": 0}, "at least 1"),
    ],
)
def test_what_cannot_be_asked_is_one_clear_line(given, told):
    known = {"task": "summarization", "source": "A.", "output": "B.", "rubric": RUBRIC, "window": 10}
    with pytest.raises(click.ClickException, match=told):
        requests(**{**known, **given})


# ---------------------------------------------------------------- parts


def test_a_long_source_is_judged_whole_in_parts(tmp_path):
    asked = requests("summarization", LONG, SUMMARY, RUBRIC, WINDOW)
    replies = part(0.9, [1], []), part(0.6, [2], []), part(0.3, [1], [3], coherence=0.4)
    with scripted(*replies) as server, Teacher(asking(server, "openai", concurrency=1), tmp_path) as teacher:
        teacher.pay(asked, "judge")
        judgement = read(asked, answered(teacher, asked))
    assert [request.facts["source"].strip() for request in asked] == PARAGRAPHS
    for number, (paragraph, prompt) in enumerate(zip(PARAGRAPHS, server.prompts, strict=True), 1):
        assert paragraph in prompt
        assert f"part {number} of 3" in prompt
        assert "3. A new ship has been ordered." in prompt
    assert isinstance(judgement, Judgement)
    lengths = [len(request.facts["source"]) for request in asked]
    covered = sum(share * length for share, length in zip((0.9, 0.6, 0.3), lengths, strict=True)) / len(LONG)
    assert judgement.scores["coverage"] == pytest.approx(covered, abs=1e-4)
    assert judgement.scores["accuracy"] == pytest.approx(2 / 3, abs=1e-4)
    assert judgement.scores["coherence"] == pytest.approx(0.8)
    assert judgement.scores["informativeness"] == pytest.approx(0.8)
    assert judgement.scores["overall"] == overall_score(judgement.scores) <= judgement.scores["accuracy"]
    assert judgement.parts == 3
    assert judgement.reason.startswith("Judged in 3 parts; 2 of 3 sentences supported.")
    assert "[3] says [1]" in judgement.reason


def test_a_sentence_that_a_part_contradicts_is_not_supported(tmp_path):
    asked = requests("summarization", LONG, SUMMARY, RUBRIC, WINDOW)
    replies = part(1, [1, 2, 3], []), part(1, [], []), part(1, [], [2, 3])
    with scripted(*replies) as server, Teacher(asking(server, "gemini", concurrency=1), tmp_path) as teacher:
        teacher.pay(asked, "judge")
        judgement = read(asked, answered(teacher, asked))
    assert isinstance(judgement, Judgement)
    assert judgement.scores["accuracy"] == pytest.approx(1 / 3, abs=1e-4)
    assert judgement.scores["overall"] == judgement.scores["accuracy"]


@pytest.mark.parametrize("supported", [[4], [0], ["1"]])
def test_a_sentence_that_is_not_there_cannot_be_supported(tmp_path, supported):
    asked = requests("summarization", LONG, SUMMARY, RUBRIC, WINDOW)
    with scripted(part(1, supported, [])) as server, Teacher(asking(server, "openai", attempts=1), tmp_path) as teacher:
        teacher.pay(asked, "judge")
        assert str(read(asked, answered(teacher, asked))).startswith("part 1 of 3: invalid: ")


def test_one_part_that_fails_fails_the_whole_and_is_paid_alone_later(tmp_path):
    asked = requests("summarization", LONG, SUMMARY, RUBRIC, WINDOW)
    good = part(1, [1, 2, 3], [])
    with (
        scripted(good, (500, {}, "{}"), good) as server,
        Teacher(asking(server, "openai", concurrency=1, attempts=1), tmp_path) as teacher,
    ):
        with pytest.raises(click.ClickException, match="1 calls failed"):
            teacher.pay(asked, "judge")
        assert read(asked, answered(teacher, asked)) == "part 2 of 3: no answer"
        teacher.pay(asked, "judge")
        judgement = read(asked, answered(teacher, asked))
    assert isinstance(judgement, Judgement)
    assert judgement.scores["accuracy"] == 1
    assert len(server.prompts) == 4


def test_an_unusable_answer_about_one_part_fails_the_whole(tmp_path):
    asked = requests("summarization", LONG, SUMMARY, RUBRIC, WINDOW)
    good = part(1, [1, 2, 3], [])
    with (
        scripted(good, good, "no JSON") as server,
        Teacher(asking(server, "openai", concurrency=1, attempts=1), tmp_path) as teacher,
    ):
        teacher.pay(asked, "judge")
        assert str(read(asked, answered(teacher, asked))).startswith("part 3 of 3: invalid: it is not JSON")


def test_a_question_is_shown_with_every_part_and_one_part_can_answer_it(tmp_path):
    source = f"{LONG}\n\nQuestion: Who is the captain?"
    asked = requests("question-answering", source, "Rosa Lind.", RUBRIC, WINDOW)
    assert all("Question: Who is the captain?" in request.messages[0][1] for request in asked)
    replies = [part(0, [], [])] * (len(asked) - 1) + [part(1, [1], [])]
    with scripted(*replies) as server, Teacher(asking(server, "openai", concurrency=1), tmp_path) as teacher:
        teacher.pay(asked, "judge")
        judgement = read(asked, answered(teacher, asked))
    assert isinstance(judgement, Judgement)
    assert (judgement.scores["coverage"], judgement.scores["accuracy"]) == (1, 1)


@given(st.text(alphabet="ab. \n!é", max_size=300), st.integers(1, 40))
def test_the_parts_are_the_source_and_within_the_window(source, window):
    parts = divide(source, window)
    assert "".join(parts) == source
    assert all(len(piece) <= window for piece in parts)
    assert all(parts) or not source


def test_parts_end_where_paragraphs_then_sentences_then_words_end():
    assert divide("aaa. bbb.\n\nccc. ddd.", 14) == ["aaa. bbb.\n\n", "ccc. ddd."]
    assert divide("aaa. bbb. ccc ddd", 12) == ["aaa. bbb. ", "ccc ddd"]
    assert divide("aaaa bbbb cccc", 11) == ["aaaa bbbb ", "cccc"]
    assert divide("abcdefgh", 5) == ["abcde", "fgh"]


def test_nothing_buys_back_an_invention_or_a_cut():
    assert overall_score(dict.fromkeys(SCORES, 1.0)) == 1
    assert overall_score({**dict.fromkeys(SCORES, 1.0), "accuracy": 0.3}) == 0.3
    assert overall_score({**dict.fromkeys(SCORES, 1.0), "coherence": 0.4}) == 0.4
    assert overall_score({**dict.fromkeys(SCORES, 1.0), "coverage": 0.3}) < GATE


def test_sentences_do_not_end_at_abbreviations():
    assert sentences("M. Roy a dit non. Mme. Lo aussi !\nEnfin") == ["M. Roy a dit non.", "Mme. Lo aussi !", "Enfin"]
    assert sentences("It cost 3.5 million. “Too much.” She left.") == [
        "It cost 3.5 million.",
        "“Too much.”",
        "She left.",
    ]
