"""Personas: every check of a rule, the judge that keeps to it, and the measures over answers."""

from pathlib import Path

import click
import numpy as np
import pytest

from recipes.papers.checks import wrong
from recipes.papers.extractive import document_entry, sentences
from recipes.papers.measures import FIGURES, ask, cross, per_check, score, tables
from recipes.papers.offline import answer as judge
from recipes.papers.personas import (
    Persona,
    body,
    check_answer,
    forbidden_words,
    grounding,
    is_loop,
    parts,
    read_personas,
    reading_grade,
)
from tests.conftest import ROOT
from tuneline.measuring.score import Score, summarize
from tuneline.recipe.forms import read_form
from tuneline.rows import make_row
from tuneline.teaching.request import Outcome

PERSONAS = read_personas(ROOT / "recipes/papers/judge/personas.yaml")
SECTION = (
    "A hash table keeps keys in slots. When three quarters of the slots are taken, the table doubles its "
    "memory and moves every key. Each insertion then costs a constant on average, 2 moves a key."
)
GOOD = {
    "eli5": "**Analogy:** A hash table is like a shelf with a box for every toy.\n\n"
    "**Explanation:** When the boxes fill up, you get a shelf that is twice as big. "
    "You move all the toys one time. Then there is room for a long while.",
    "intuitive": "**Mechanism:** Doubling pays for itself, because each move buys as much free room as it copies.\n\n"
    "**Explanation:** When the table grows, the loop over its slots copies every key, so that single insertion is "
    "slow. The larger the table, the rarer this is, and the mean cost stays at two moves a key, as with a list "
    "that doubles its buffer.",
    "executive": "**Verdict:** Let the table double: it costs little and scales.\n\n"
    "**Summary:** The cost is two moves for each key, and for a moment twice the memory on the server. "
    "No further hardware is needed. The value is an insertion whose mean time does not grow with the data.",
}


def rule_score(answer: str, persona: Persona) -> float:
    """Share of the rule's checks that hold, 0 to 1."""
    checks = check_answer(answer, persona)
    return sum(checks.values()) / len(checks)


@pytest.mark.parametrize("name", GOOD)
def test_a_good_answer_keeps_its_own_rule_and_no_other(name: str) -> None:
    checks = check_answer(GOOD[name], PERSONAS[name])
    assert all(checks.values()), checks
    assert all(rule_score(GOOD[name], persona) < 1 for other, persona in PERSONAS.items() if other != name)


def changed(name: str, old: str, new: str) -> set[str]:
    """The checks that break when a part of a good answer is replaced."""
    assert old in GOOD[name]
    checks = check_answer(GOOD[name].replace(old, new), PERSONAS[name])
    return {check for check, holds in checks.items() if not holds}


@pytest.mark.parametrize(
    ("name", "old", "new", "broken"),
    [
        ("eli5", "**Explanation:**", "**Why:**", {"fields"}),
        ("eli5", "a long while", "an optimized while", {"forbidden"}),
        ("eli5", "is like", "has", {"analogy"}),
        ("eli5", "a long while", "it. " + "You go. " * 50, {"words", "no loop"}),
        (
            "eli5",
            "You move all the toys one time",
            "Reorganisation necessitates considerable " * 2 + "expenditure",
            {"grade"},
        ),
        ("intuitive", "because", "and", set()),  # another word says it too: "so"
        ("executive", "twice the memory on the server. No further hardware", "more. No more", {"hardware"}),
        ("executive", "Let the table double", "Let it double " + "and so on " * 10, {"first part", "no loop"}),
    ],
)
def test_each_check_breaks_on_its_own(name: str, old: str, new: str, broken: set[str]) -> None:
    assert changed(name, old, new) == broken


@pytest.mark.parametrize("answer", ["", "  \n", "**Analogy:**\n\n**Explanation:**", "…"])
def test_nothing_holds_of_an_answer_without_words(answer: str) -> None:
    assert rule_score(answer, PERSONAS["eli5"]) == 0


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("**A:** one\n\n**B:** two", ["one", "two"]),
        ("**A:** one", ["one", ""]),
        ("**B:** two\n\n**A:** one", ["one", ""]),
        ("**A:**\n\n**B:** two", ["", "two"]),
        ("**A:** one **A:** again **B:** two", ["one", "two"]),
        ("no label", ["", ""]),
    ],
)
def test_parts_stand_under_their_labels(answer: str, expected: list[str]) -> None:
    assert parts(answer, ["A", "B"]) == expected


def test_forbidden_words_are_found_by_their_beginnings_and_nowhere_else() -> None:
    assert forbidden_words("We Optimized it; optimisation pays. Suboptimal.", ["optimi"]) == [
        "optimisation",
        "optimized",
    ]
    assert forbidden_words("anything", []) == []


def test_grades_rise_with_the_words() -> None:
    simple, hard = "The cat sat on the mat. It was warm.", "Amortised computational complexity characterises behaviour."
    assert 0 <= reading_grade(simple) < 3 < 12 < reading_grade(hard) <= 30
    assert reading_grade("") == 0


def test_a_loop_is_words_that_come_three_times() -> None:
    assert is_loop("it is in the box " * 3)
    assert not is_loop("it is in the box " * 2)


def test_the_judge_wants_the_rule_and_the_subject() -> None:
    facts = {"judge": "persona", "question": SECTION, "rule": PERSONAS["eli5"].model_dump(mode="json")}
    good = judge({**facts, "answer": GOOD["eli5"]})["score"]
    other = judge({**facts, "answer": GOOD["executive"]})["score"]
    away = judge({**facts, "answer": GOOD["eli5"], "question": "Kangaroos jump through Australian deserts."})["score"]
    assert good >= 7 > other > 0 == judge({**facts, "answer": ""})["score"]
    assert good > away
    assert grounding("doubling the tables", SECTION) == 1


def reading(answer: str, persona: str = "eli5", points: int | None = 7) -> Score:
    judged = {"score": points, "reason": "so"} if points is not None else None
    outcome = Outcome(judged, None if judged else "refused", "no", ("key",), "")
    return score({"fields": {"persona": persona, "text": SECTION}}, answer, [outcome])


def test_the_measures_are_means_and_what_is_unjudged_is_no_zero() -> None:
    readings = [reading(GOOD["eli5"]), reading("nothing", points=None)]
    figures = summarize(readings, FIGURES)
    assert list(figures) == list(FIGURES)
    assert figures["fields_present"] == 0.5
    assert figures["score"] == 7
    assert figures["good_share"] == 1
    assert figures["judged_share"] == 0.5
    assert figures["rule"] == figures["by_eli5"]
    assert figures["by_eli5"] > figures["by_executive"]
    assert figures["rule_kept"] == 0.5
    assert readings[0].marks["reason"] == "so"
    assert readings[1].marks["reason"] == "refused: no"
    drawn = summarize(readings, FIGURES, np.array([[0, 0], [1, 1]]))
    assert drawn["fields_present"].tolist() == [1, 0]
    assert drawn["score"][0] == 7
    assert np.isnan(drawn["score"][1])


def test_the_matrix_says_whose_rule_is_kept() -> None:
    cells = cross("eli5", [reading(GOOD["eli5"])])
    assert [cell["rule"] for cell in cells] == ["eli5", "intuitive", "executive"]
    assert max(cells, key=lambda cell: cell["kept"])["rule"] == "eli5"
    assert reading(GOOD["executive"]).pair == ("eli5", "executive")
    assert per_check([reading("nothing")])["fields"] == 0
    told = tables("eli5", [reading("nothing")], [reading(GOOD["eli5"])])
    assert told["recipe"] == "papers"
    assert [cell["answers_of"] for cell in told["cross"]] == 3 * ["base, asked as eli5"] + 3 * ["eli5"]
    assert told["cross"][3:] == cells
    assert (told["per_check"]["base"]["fields"], told["per_check"]["tuned"]["fields"]) == (0, 1)


def test_the_judge_is_asked_under_the_rubric_of_the_reader() -> None:
    requests = {
        name: ask({"fields": {"persona": name, "text": SECTION}}, GOOD["eli5"])[0] for name in ("eli5", "executive")
    }
    for name, request in requests.items():
        assert request.facts == {
            "judge": "persona",
            "question": SECTION,
            "answer": GOOD["eli5"],
            "rule": PERSONAS[name].model_dump(mode="json"),
        }
        assert SECTION in request.messages[0][1]
        assert GOOD["eli5"] in request.messages[0][1]
    assert requests["eli5"].messages != requests["executive"].messages


@pytest.mark.parametrize("fields", [{"text": SECTION}, {"text": SECTION, "persona": "poet"}])
def test_a_row_of_no_reader_cannot_be_measured(fields: dict[str, str]) -> None:
    with pytest.raises(click.ClickException, match=r"personas\.yaml has no persona (None|poet); correct sdg's give"):
        ask({"fields": fields}, "anything")


@pytest.mark.parametrize(
    ("answer", "persona", "why"),
    [
        (GOOD["eli5"], "eli5", None),
        (GOOD["executive"], "executive", None),
        (GOOD["eli5"], "executive", ("missing field", "Verdict, Summary")),
        (GOOD["eli5"].replace("**Explanation:**", "**Why:**"), "eli5", ("missing field", "Explanation")),
        (GOOD["eli5"].replace("a long while", "an optimized while"), "eli5", ("forbidden word", "optimized")),
        (GOOD["eli5"], "poet", ("no persona", "poet")),
        (GOOD["eli5"], None, ("no persona", "None")),
    ],
)
def test_a_made_row_keeps_what_its_reader_must_have(
    answer: str, persona: str | None, why: tuple[str, str] | None
) -> None:
    body = read_form({"prompt": SECTION, "response": answer})
    assert wrong(make_row({**body, "fields": {"persona": persona}}, "p.md", 1, "made")) == why


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("eli5: {labels: []}", "eli5.labels"),
        ("eli5: {colour: red}", "eli5.colour"),
        ("[", "while parsing"),
        (None, "missing"),
    ],
)
def test_malformed_rules_are_one_line(tmp_path: Path, text: str | None, said: str) -> None:
    if text is not None:
        (tmp_path / "p.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(click.ClickException, match=said):
        read_personas(tmp_path / "p.yaml")


def test_a_document_gives_its_sentences() -> None:
    fields = {"title": "Tables", "section": "2 Growth / 2.1 Doubling", "text": SECTION + "\n\nx = 2 (1)\n\n|a|b|"}
    entry = document_entry(fields)
    assert len(sentences(fields["text"])) == 3
    assert entry["text"] == "Doubling"
    assert entry["first"] == "A hash table keeps keys in slots."
    assert entry["simple"] == "A hash table keeps keys in slots."
    assert entry["figure"].startswith("Each insertion")
    assert set(entry.values()) - {"Doubling", "Tables"} <= {*sentences(SECTION), entry["simpler"]}
    assert document_entry({**fields, "text": "|a|b|"})["key"] == "This part is about doubling."


def test_the_body_has_no_labels() -> None:
    assert body("**Analogy:** one\n\n**Explanation:** two") == "one two"


def test_the_shipped_rules_name_rubrics_that_are_there() -> None:
    assert all((ROOT / "recipes/papers" / persona.rubric).is_file() for persona in PERSONAS.values())
    assert all(isinstance(persona, Persona) for persona in PERSONAS.values())
