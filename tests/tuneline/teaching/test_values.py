"""The JSON of an answer, as models give it: alone, in a fence, in a sentence, after thoughts; and what is none."""

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tuneline.teaching.log import Answer
from tuneline.teaching.request import fault_in

OBJECT = {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}, "additionalProperties": False}
LIST = {"type": "array", "items": {"type": "integer"}}


def heard(text: str, schema: dict[str, Any] = OBJECT) -> tuple[Any, str | None, str]:
    return fault_in(Answer(text, "stop", 1, 1, 0.0, "m"), Draft202012Validator(schema))


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1}',
        '\n\t {"a": 1}\r\n',
        '```json\n{"a": 1}\n```',
        '```\n{"a": 1}\n```',
        'Here you are:\n\n```JSON\n{"a": 1}\n```\n\nTell me if you need {another} one.',
        '  ```json\n  {"a": 1}\n  ```',
        '<think>maybe {"a": 7}? no</think>{"a": 1}',
        '<think>\nfirst</think>\n```json\n{"a": 1}\n```',
        'first</think>{"a": 1}',  # the template opened it
        'The answer is {"a": 1}.',
        'For {name} it is {"a": 1}',
        'Draft: {"b": 2}. Answer: {"a": 1}',
        'It is {"a": 1}. As I said: {"a": 1}',
        '[note] {"a": 1}',
    ],
)
def test_a_value_is_found_as_models_give_it(text: str) -> None:
    assert heard(text) == ({"a": 1}, None, "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no JSON at all", "it is not JSON"),
        ('{"a": 1} or {"a": 2}', "it holds 2 values that would do"),
        ('```json\n{"a": 1}\n```\n```json\n{"a": 2}\n```', "it holds 2 values that would do"),
        ('<think>{"a": 1}</think>', "it is not JSON"),
        ('<think>perhaps {"a": 1}', "it is not JSON"),
        ('<think>no</think><think>perhaps {"a": 1}', "it is not JSON"),
        ('{"a": 1', "it is not JSON"),
        ('Here: {"a": NaN}', "it is not JSON"),
        ('Here: {"a": "one"}', "$.a 'one' is not of type 'integer'"),
        ("{" * 100_000, "it is not JSON"),
        ('{"a":' * 100_000, "it is not JSON"),
        ("[" * 100_000, "it is not JSON"),
    ],
)
def test_what_is_no_value_is_told(text: str, said: str) -> None:
    value, reason, detail = heard(text)
    assert (value, reason) == (None, "invalid")
    assert said in detail


def test_a_list_is_a_value_too() -> None:
    assert heard("Numbers: [1, 2]", LIST) == ([1, 2], None, "")


def test_all_of_an_answer_is_taken_before_a_part_of_it() -> None:
    nested = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}}
    text = '{"text": "so ```json\\n{\\"text\\": \\"x\\"}\\n``` </think> {\\"text\\": \\"y\\"}"}'
    assert heard(text, nested)[0]["text"].startswith("so ```json")
