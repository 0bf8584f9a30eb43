"""Texts with placeholders, and how a record's fields become messages."""

from pathlib import Path

import click
import pytest
from jsonschema import Draft202012Validator

from tuneline.recipe.form import read_fields
from tuneline.recipe.settings import Form
from tuneline.recipe.texts import fill, fill_parts, only_name, read_prompt, replace
from tuneline.rows import BadRow

FORM = Form(user="${question}", assistant=["<thinking>\n${reasoning}\n</thinking>", "${answer}"])


def test_placeholders_with_and_without_a_dot_are_filled() -> None:
    values = {"seed.question": "quoi ?", "count": 3, "facts": ["âge", "ville"], "none": None}
    assert fill("${count} × $seed.question", values, "p") == "3 × quoi ?"
    assert fill("${facts}", values, "p") == "- âge\n- ville"
    assert fill("[${none}] $$5", values, "p") == "[] $5"


def test_a_value_with_a_dollar_is_left_as_it_is() -> None:
    assert fill("${a}", {"a": "$b ${c} $$ 5$"}, "p") == "$b ${c} $$ 5$"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("${seed.question.2}", "sdg/p.md: unknown seed.question.2; known are count, seed.question"),
        ("${seed.qestion} ${other}", "sdg/p.md: unknown other, seed.qestion; known are count, seed.question"),
        ("${Count}", "sdg/p.md: a $ that starts no placeholder; write $$ for a dollar sign"),
        ("5 $", "a $ that starts no placeholder"),
        ("${count", "a $ that starts no placeholder"),
    ],
)
def test_what_is_no_placeholder_is_refused(text: str, says: str) -> None:
    with pytest.raises(click.ClickException) as error:
        fill(text, {"seed.question": "q", "count": 1}, "sdg/p.md")
    assert says in error.value.message


def test_placeholders_are_asked_for_from_left_to_right_each_time() -> None:
    asked: list[str] = []

    def number(name: str) -> int:
        asked.append(name)
        return len(asked)

    assert replace("${a.2} $b $$ ${a.2} {c}", number) == "1 2 $ 3 {c}"
    assert asked == ["a.2", "b", "a.2"]


@pytest.mark.parametrize(
    ("text", "name"), [("${a.2.b}", "a.2.b"), ("$a", "a"), ("$$", None), ("${a} ", None), ("a", None)]
)
def test_a_text_that_is_one_placeholder(text: str, name: str | None) -> None:
    assert only_name(text) == name


@pytest.mark.parametrize("nothing", ["", [], None])
def test_a_part_whose_fields_are_all_empty_is_left_out(nothing: object) -> None:
    assert fill_parts(["<t>${a}</t>", "${b}"], {"a": nothing, "b": "B"}, "p") == "B"
    assert fill_parts(["${a}${b}"], {"a": nothing, "b": "B"}, "p") == "B"
    assert fill_parts(["fixed", "${b}"], {"b": "B"}, "p") == "fixed\n\nB"


def test_a_record_without_reasoning_has_no_tags() -> None:
    fields = {"question": "Où ?", "answer": "Là.", "reasoning": ["un", "deux"]}
    answers = [
        read_fields(record, FORM)["messages"][-1]["content"]
        for record in (fields, {**fields, "reasoning": []}, {"question": "Où ?", "answer": "Là."})
    ]
    assert answers == ["<thinking>\n- un\n- deux\n</thinking>\n\nLà.", "Là.", "Là."]


def test_a_record_keeps_its_fields() -> None:
    fields = {"question": "Où ?", "answer": "Là.", "topic": "t"}
    assert read_fields(fields, FORM) == {
        "messages": [{"role": "user", "content": "Où ?"}, {"role": "assistant", "content": "Là."}],
        "fields": fields,
    }


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ({"answer": "a"}, "form.user: unknown question; known are answer"),
        ({"question": "q", "answer": ""}, "'output' is empty"),
        ({"question": "q", "answer": "a", "n": "x"}, "$.n 'x' is not of type 'integer'"),
        (["q"], "a row is an object, this is list"),
    ],
)
def test_a_record_that_cannot_be_put_into_words(record: object, says: str) -> None:
    check = Draft202012Validator({"properties": {"n": {"type": "integer"}}})
    with pytest.raises(BadRow) as error:
        read_fields(record, FORM, check)
    assert says in str(error.value)


def test_a_prompt_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(click.ClickException) as error:
        read_prompt(tmp_path / "p.md")
    assert error.value.message == f"{tmp_path}/p.md is missing; recipe.yaml names it"
