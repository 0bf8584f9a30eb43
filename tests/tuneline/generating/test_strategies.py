"""Calls of a strategy: what each one shows a teacher, and how little an edit changes."""

import json
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from tests.teaching import PAIR, settings, source_rows, write_asking_recipe
from tuneline.files import read_jsonl, write_jsonl
from tuneline.generating.strategies import Drawn, Known, Seeds, Strategy
from tuneline.recipe.settings import Form, Table, read_recipe
from tuneline.rows import BadRow
from tuneline.teaching.ledger import Ledger

FORM = Form(user="${question}", assistant=["${answer}"])
QUESTIONS = [f"question numéro {n}" for n in range(40)]
SAMPLE = {"seeds": {"draw": "sample", "count": 3}, "rows": 200}
LIST = {"type": "object", "required": ["rows"], "properties": {"rows": {"type": "array", "items": PAIR}}}


def opened(folder: Path, questions: list[str], prompt: str = "Write anew: ${seed.question}", **knobs: Any) -> Strategy:
    recipe = write_asking_recipe(folder, prompt, **knobs)
    return reopened(recipe, source_rows(folder / "rows.jsonl", questions))


def reopened(recipe: Path, rows: Path) -> Strategy:
    return Strategy(read_recipe(recipe).sdg.strategies[0], recipe, FORM, Seeds(rows))


def asked(strategy: Strategy) -> list[str]:
    """The key of each call."""
    with Ledger(settings(), strategy.folder / "answers") as ledger:
        missing = [ledger.follow(strategy.call(number).request) for number in range(strategy.planned())]
    return [key for key, _ in missing]


def texts(strategy: Strategy) -> list[str]:
    return [strategy.call(number).request.messages[-1][1] for number in range(strategy.planned())]


def refused(strategy: Any, *arguments: Any, **knobs: Any) -> str:
    with pytest.raises(click.ClickException) as error:
        strategy(*arguments, **knobs)
    return error.value.message


# What an edit changes


def test_each_row_is_asked_about_once(tmp_path: Path) -> None:
    strategy = opened(tmp_path / "r", QUESTIONS)
    assert texts(strategy) == [f"Write anew: {question}" for question in QUESTIONS]
    assert len(set(asked(strategy))) == len(QUESTIONS)


def test_a_row_that_is_edited_changes_its_own_key_alone(tmp_path: Path) -> None:
    before = asked(opened(tmp_path / "a", QUESTIONS))
    after = asked(opened(tmp_path / "b", [*QUESTIONS[:7], "autre chose", *QUESTIONS[8:]]))
    assert [n for n, (old, new) in enumerate(zip(before, after, strict=True)) if old != new] == [7]


@pytest.mark.parametrize("at", [0, 20, 40])
def test_ten_rows_more_are_ten_keys_more_wherever_they_stand(tmp_path: Path, at: int) -> None:
    more = [f"nouvelle question {n}" for n in range(10)]
    before = set(asked(opened(tmp_path / "a", QUESTIONS)))
    after = set(asked(opened(tmp_path / "b", [*QUESTIONS[:at], *more, *QUESTIONS[at:]])))
    assert before < after
    assert len(after - before) == 10


def test_another_prompt_or_schema_changes_every_key(tmp_path: Path) -> None:
    strategy = opened(tmp_path / "a", QUESTIONS)
    before = set(asked(strategy))
    assert not before & set(asked(opened(tmp_path / "b", QUESTIONS, "Write it anew: ${seed.question}")))
    (tmp_path / "a/sdg/answer.json").write_text(json.dumps({**PAIR, "title": "other"}))
    assert not before & set(asked(reopened(tmp_path / "a", tmp_path / "a/rows.jsonl")))


def test_a_sample_changes_little_when_a_row_is_added(tmp_path: Path) -> None:
    many = [f"question numéro {n}" for n in range(200)]
    before = opened(tmp_path / "a", many, "${seeds}", **SAMPLE)
    after = opened(tmp_path / "b", ["une de plus", *many], "${seeds}", **SAMPLE)
    changed = sum(old != new for old, new in zip(texts(before), texts(after), strict=True))
    assert 1 <= changed <= 12  # of 200; each shows 3 of 201 rows


def test_a_sample_is_of_different_rows_and_another_seed_is_another_one(tmp_path: Path) -> None:
    one = opened(tmp_path / "a", QUESTIONS, "${seeds}", **SAMPLE)
    other = opened(tmp_path / "b", QUESTIONS, "${seeds}", **SAMPLE, seed=1)
    samples = [[row["id"] for row in one.call(number).seeds] for number in range(200)]
    assert all(len(set(sample)) == 3 for sample in samples)
    assert len({name for sample in samples for name in sample}) > 35
    assert sum(a == b for a, b in zip(texts(one), texts(other), strict=True)) < 5


def test_a_sample_of_fewer_rows_than_it_wants_has_them_all(tmp_path: Path) -> None:
    strategy = opened(tmp_path / "r", QUESTIONS[:2], "${seeds}", **SAMPLE)
    assert {len(strategy.call(number).seeds) for number in range(20)} == {2}


@pytest.mark.parametrize("knobs", [{}, SAMPLE])
def test_a_held_out_row_is_shown_to_nobody(tmp_path: Path, knobs: dict) -> None:
    recipe = write_asking_recipe(tmp_path / "r", "${seeds}", **knobs)
    rows = [
        *read_jsonl(source_rows(tmp_path / "1", ["secret un", "secret deux"], set="test")),
        *read_jsonl(source_rows(tmp_path / "2", QUESTIONS[:5])),
        *read_jsonl(source_rows(tmp_path / "3", ["secret trois"], set="valid")),
    ]
    write_jsonl(tmp_path / "rows", rows)
    strategy = reopened(recipe, tmp_path / "rows")
    requests = [strategy.call(number).request for number in range(strategy.planned())]
    assert requests
    said = repr([(request.messages, request.facts) for request in requests])
    assert all(question in said for question in QUESTIONS[:5])
    assert "secret" not in said


def test_calls_in_the_same_words_are_told_apart_by_their_number(tmp_path: Path) -> None:
    knobs = {"seeds": {"draw": "none", "count": 0}, "rows": 5, "per-call": 2}
    strategy = opened(tmp_path / "r", [], "${count} new ones", **knobs)
    assert texts(strategy) == ["2 new ones"] * 3
    assert len(set(asked(strategy))) == 3


@pytest.mark.parametrize("draw", ["each", "sample"])
def test_with_no_row_there_is_nothing_to_ask(tmp_path: Path, draw: str) -> None:
    strategy = opened(tmp_path / "r", [], seeds={"draw": draw, "count": 1}, rows=9 * (draw == "sample"))
    assert (strategy.planned(), strategy.is_idle) == (0, True)


def test_no_rows_wanted_is_refused_where_no_seed_has_its_call(tmp_path: Path) -> None:
    with pytest.raises(click.ClickException, match="rows is 0 where each seed has its call, and only there"):
        opened(tmp_path / "r", QUESTIONS, "${seeds}", **{**SAMPLE, "rows": 0})


# Tables


def test_any_number_of_draws_is_close_to_the_shares(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text("{a: {share: 3}, b: {share: 1}, c: {share: 0.5}, d: }")
    table = Drawn(tmp_path, Table(file="t.yaml"), seed=0)
    names = [table.name(number) for number in range(220)]
    for many in (11, 55, 220):
        for name, share in (("a", 3), ("b", 1), ("c", 0.5), ("d", 1)):
            assert abs(names[:many].count(name) - many * share / 5.5) < 1
    assert Drawn(tmp_path, Table(file="t.yaml"), seed=0).name(57) == names[57]  # whatever was drawn before


def test_what_was_drawn_fills_the_prompt_and_is_given_to_the_row(tmp_path: Path) -> None:
    knobs = {"vary": {"kind": {"file": "sdg/table.yaml"}}, "give": {"kind": "${kind}", "call": "n${number}"}}
    strategy = opened(tmp_path / "r", QUESTIONS[:4], "${kind} of ${kind.share}: ${seed.question}", **knobs)
    assert sorted(text[:6] for text in texts(strategy)) == ["a of 3", "a of 3", "a of 3", "b of 1"]
    (row,) = strategy.rows(strategy.call(2), {"question": "nouvelle ?", "answer": "oui oui"}, {})
    assert row["fields"]["call"] == "n3"
    assert row["fields"]["kind"] == texts(strategy)[2][0]


def test_a_table_is_restricted_to_what_another_names(tmp_path: Path) -> None:
    (tmp_path / "all.yaml").write_text("{a: {label: A, share: 9}, b: {label: B}, c: {label: C}}")
    (tmp_path / "some.yaml").write_text("{c: {share: 2, why: weak}, a: {share: 1}}")
    table = Drawn(tmp_path, Table(file="all.yaml", only="some.yaml"), seed=0)
    names = [table.name(number) for number in range(30)]
    assert (names.count("a"), names.count("c"), len(names)) == (10, 20, 30)
    assert table.entries["c"] == {"label": "C", "share": 2, "why": "weak"}
    (tmp_path / "some.yaml").write_text("{z: {}, a: {}, y: {}}")
    says = refused(Drawn, tmp_path, Table(file="all.yaml", only="some.yaml"), seed=0)
    assert says == f"{tmp_path}/some.yaml: y, z is not in {tmp_path}/all.yaml"


def test_a_table_that_names_nothing_is_nothing_to_do(tmp_path: Path) -> None:
    recipe = write_asking_recipe(tmp_path / "r", vary={"topic": {"file": "sdg/table.yaml", "only": "sdg/focus.yaml"}})
    (recipe / "sdg/focus.yaml").write_text("# none yet\n{}\n")
    assert reopened(recipe, source_rows(tmp_path / "rows", QUESTIONS)).planned() == 0


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "is missing; recipe.yaml names it"),
        ("[a, b]", "is not of the form name: {share: …, other: …}"),
        ("a: 3", "is not of the form"),
        ("a text", "is not of the form"),
        ("{a: {", "while parsing"),
        ("a: {share: much}", "a share is a number above 0"),
        ("a: {share: -1}", "a share is a number above 0"),
        ("{a: {share: 0}, b: {share: 0}}", "a share is a number above 0"),
        ("a: {share: .nan}", "a share is a number above 0"),
    ],
)
def test_a_table_that_is_none(tmp_path: Path, content: str | None, says: str) -> None:
    if content:
        (tmp_path / "t.yaml").write_text(content)
    message = refused(Drawn, tmp_path, Table(file="t.yaml"), seed=0)
    assert message.startswith(f"{tmp_path}/t.yaml")
    assert says in message


# Wrong recipes


@pytest.mark.parametrize(
    ("schema", "items", "says"),
    [
        ("{", None, "answer.json: Expecting property name"),
        ('{"type": "objekt"}', None, "answer.json: $.type: 'objekt' is not valid under any of the given schemas"),
        ("[]", None, "answer.json: $: [] is not of type 'object', 'boolean'"),
        ("true", None, "answer.json: a schema here is an object, this is bool"),
        ('{"type": "array"}', None, "answer.json: an answer is an object; its type is another"),
        (json.dumps(PAIR), "rows", "answer.json: has no required list 'rows'"),
        (json.dumps(PAIR), "question", "answer.json: has no required list 'question'"),
        (json.dumps({**LIST, "required": []}), "rows", "answer.json: has no required list 'rows'"),
        (json.dumps({**LIST, "properties": {"rows": True}}), "rows", "answer.json: has no required list 'rows'"),
        (None, None, "answer.json is missing; recipe.yaml names it"),
    ],
)
def test_a_schema_that_is_none_or_lacks_the_list(
    tmp_path: Path, schema: str | None, items: str | None, says: str
) -> None:
    recipe = write_asking_recipe(tmp_path / "r", items=items)
    (recipe / "sdg/answer.json").unlink()
    if schema:
        (recipe / "sdg/answer.json").write_text(schema)
    assert says in refused(reopened, recipe, source_rows(tmp_path / "rows", QUESTIONS))


def test_a_prompt_that_is_missing_or_names_what_is_unknown(tmp_path: Path) -> None:
    rows = source_rows(tmp_path / "rows", QUESTIONS)
    recipe = write_asking_recipe(tmp_path / "a", prompt="sdg/none.md")
    recipe_yaml = yaml.safe_load((recipe / "recipe.yaml").read_text())
    recipe_yaml["sdg"]["strategies"][0]["prompt"] = "sdg/none.md"
    (recipe / "recipe.yaml").write_text(yaml.safe_dump(recipe_yaml))
    assert "sdg/none.md is missing; recipe.yaml names it" in refused(reopened, recipe, rows)
    strategy = reopened(write_asking_recipe(tmp_path / "b", "${seed.qestion}"), rows)
    assert refused(strategy.call, 0) == (
        f"{tmp_path}/b/sdg/prompt.md: unknown seed.qestion; known are count, number, seed.answer, seed.question, seeds"
    )


def test_rows_are_not_wanted_where_each_seed_has_its_call(tmp_path: Path) -> None:
    assert "each: rows is 0 where each seed has its call" in refused(opened, tmp_path / "r", QUESTIONS, rows=5)


# Answers


def test_a_row_has_what_it_inherits_from_its_seed_and_the_answer_goes_before(tmp_path: Path) -> None:
    strategy = opened(tmp_path / "r", QUESTIONS, inherit=["answer", "question", "unknown"], give={"topic": "t"})
    (row,) = strategy.rows(strategy.call(3), {"question": "dit autrement"}, {"model": "m"})
    assert row["fields"] == {"answer": "oui", "question": "dit autrement", "topic": "t"}
    assert row["messages"][-1]["content"] == "oui"
    assert row["lineage"] == [strategy.seeds[3]["id"]]


def test_what_cannot_be_a_row_is_said_and_the_others_are_rows(tmp_path: Path) -> None:
    recipe = write_asking_recipe(tmp_path / "r", items="rows")
    (recipe / "sdg/answer.json").write_text(json.dumps(LIST))
    strategy = reopened(recipe, source_rows(tmp_path / "rows", QUESTIONS))
    answer = {"rows": [{"answer": "oui oui"}, "texte", {"question": "bonne ?", "answer": "oui oui"}]}
    wrong, text, good = strategy.rows(strategy.call(0), answer, {})
    assert isinstance(wrong, BadRow)
    assert "unknown question" in str(wrong)
    assert str(text) == "a row is an object, this is str"
    assert good["fields"]["question"] == "bonne ?"


def test_how_near_a_question_is_by_hand() -> None:
    known = Known()
    assert known.nearest("où renouveler mon titre", 0.1) == 0
    known.add("Où renouveler mon passeport ?")
    known.add("tout autre chose")
    assert known.nearest("où puis-je renouveler MON titre ?", 0.5) == pytest.approx(2 * 4 / (5 + 6))
    assert known.nearest("où puis-je renouveler MON titre ?", 0.75) == 0
    assert known.nearest("mon renouveler où", 0.2) == pytest.approx(2 / 8)  # the order counts
