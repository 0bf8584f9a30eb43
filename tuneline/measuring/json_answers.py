"""Measures of answers that are JSON objects, against a reference and a schema."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import click
import jsonschema
from jsonschema.exceptions import best_match

from tuneline.files import Row
from tuneline.measuring.references import unanswered
from tuneline.measuring.score import F1, MEAN, PRECISION, RECALL, Pair, Score, compared
from tuneline.rows import answer as answer_of

NO_INTENT = "(none)"


def pairs(value: Any) -> Iterator[Pair]:
    """(path, value) of every leaf; the places in a list share one path, so that order does not count."""
    left = [("", value)]  # not by recursion: a model may nest as deep as it likes
    while left:
        path, value = left.pop()
        if isinstance(value, dict):
            left += [(f"{path}.{key}" if path else key, inner) for key, inner in value.items()]
        elif isinstance(value, list):
            left += [(f"{path}[]", inner) for inner in value]
        else:
            yield path, json.dumps(value, ensure_ascii=False)


def parse_object(text: str) -> dict | None:
    """The object that the text is; None for anything else, and for NaN and Infinity, which are no JSON."""
    try:
        value = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def canonical(value: Any) -> str:
    """JSON that is equal where the values are: to Python true is 1 and 1 is 1.0, to a reader they are not."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


class JsonMeasures:
    """Each figure is a share, 0 to 1. `intent` is the key that holds the intent; its value is no slot."""

    FIGURES = {  # noqa: RUF012
        "json_valid": MEAN,
        "schema_valid": MEAN,
        "intent_accuracy": MEAN,
        "slot_precision": PRECISION,
        "slot_recall": RECALL,
        "slot_f1": F1,
        "exact_match": MEAN,
    }

    def __init__(self, schema: dict, intent: str) -> None:
        self.validator = jsonschema.Draft202012Validator(schema)
        self.intent = intent

    def unreadable(self, row: Row) -> str | None:
        if wrong := unanswered(row):
            return wrong
        reference = answer_of(row)
        expected = parse_object(reference)
        if expected is None or not isinstance(expected.get(self.intent), str):
            return f"has an answer that is no JSON object with a text {self.intent!r}: {reference[:200]}"
        if self.validator.is_valid(expected):
            return None
        wrong = best_match(self.validator.iter_errors(expected))
        return f"has an answer that schema.json refuses: {wrong.json_path}: {wrong.message[:200]}"

    def score(self, row: Row, answer: str, outcomes: Sequence[Any] = ()) -> Score:
        """Raises click.ClickException when the reference is no object with an intent."""
        if wrong := self.unreadable(row):
            raise click.ClickException(f"a test row {wrong}")
        expected, given = parse_object(answer_of(row)), parse_object(answer)
        intent = (given or {}).get(self.intent)
        pair = (expected[self.intent], intent if isinstance(intent, str) else NO_INTENT)
        exact = given == expected and canonical(given) == canonical(expected)
        return Score(
            figures={
                "json_valid": given is not None,
                "schema_valid": given is not None and self.validator.is_valid(given),
                "intent_accuracy": pair[0] == pair[1],
                "exact_match": exact,
            },
            **compared(self._slots(expected), self._slots(given or {})),
            pair=pair,
            groups={"intent": pair[0]},
            marks={"exact": exact},
        )

    def _slots(self, value: dict) -> Counter[Pair]:
        return Counter(pair for pair in pairs(value) if pair[0] != self.intent)
