"""Measures of answers that are JSON objects, against a reference and a schema."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import click
import jsonschema
import numpy as np

NO_INTENT = "(none)"
Pair = tuple[str, str]  # path of the field, value as JSON


@dataclass(frozen=True)
class Scored:
    """One answer against its reference."""

    json_valid: bool
    schema_valid: bool
    intent: str  # NO_INTENT when the answer has none
    expected_intent: str
    exact: bool
    right: Counter[Pair]
    missed: Counter[Pair]
    invented: Counter[Pair]


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


class Scorer:
    """`intent` is the key that holds the intent; its value is no slot."""

    def __init__(self, schema: dict, intent: str) -> None:
        self.validator = jsonschema.Draft202012Validator(schema)
        self.intent = intent

    def score(self, answer: str, reference: str) -> Scored:
        """Raises click.ClickException when the reference is no object with an intent."""
        expected, given = parse_object(reference), parse_object(answer)
        if expected is None or not isinstance(expected.get(self.intent), str):
            raise click.ClickException(
                f"a test row's answer is no JSON object with a text {self.intent!r}: {reference}"
            )
        want = self._slots(expected)
        have = self._slots(given or {})
        intent = (given or {}).get(self.intent)
        return Scored(
            json_valid=given is not None,
            schema_valid=given is not None and self.validator.is_valid(given),
            intent=intent if isinstance(intent, str) else NO_INTENT,
            expected_intent=expected[self.intent],
            exact=given == expected and canonical(given) == canonical(expected),
            right=want & have,
            missed=want - have,
            invented=have - want,
        )

    def _slots(self, value: dict) -> Counter[Pair]:
        return Counter(pair for pair in pairs(value) if pair[0] != self.intent)


def measure(scored: list[Scored], rows: np.ndarray | None = None) -> dict[str, Any]:
    """The seven measures, each a share 0 to 1: floats, or arrays of S samples.

    `rows`: int array (S, N) of row numbers, for the bootstrap. Precision, recall and F1 are micro:
    over all pairs of all rows. With no pair in the answers or in the references, they are 0.
    """
    columns = np.array(
        [
            (
                s.json_valid,
                s.schema_valid,
                s.intent == s.expected_intent,
                s.exact,
                s.right.total(),
                s.missed.total(),
                s.invented.total(),
            )
            for s in scored
        ],
        dtype=float,
    )
    picked = columns if rows is None else columns[rows]
    json_valid, schema_valid, intent, exact = np.moveaxis(picked[..., :4].mean(axis=-2), -1, 0)
    right, missed, invented = np.moveaxis(picked[..., 4:].sum(axis=-2), -1, 0)
    return {
        "json_valid": json_valid,
        "schema_valid": schema_valid,
        "intent_accuracy": intent,
        "slot_precision": share(right, right + invented),
        "slot_recall": share(right, right + missed),
        "slot_f1": share(2 * right, 2 * right + missed + invented),
        "exact_match": exact,
    }


def share(part: Any, whole: Any) -> Any:
    """part ÷ whole, 0 where there is nothing; arrays alike."""
    return np.divide(part, whole, out=np.zeros_like(whole), where=whole > 0)


def per_intent(scored: list[Scored]) -> dict[str, dict[str, float]]:
    table = {}
    for name in sorted({s.expected_intent for s in scored}):
        mine = [s for s in scored if s.expected_intent == name]
        figures = measure(mine)
        kept = ("intent_accuracy", "slot_f1", "exact_match")
        table[name] = {"rows": len(mine), **{key: round(float(figures[key]), 4) for key in kept}}
    return table


def worst_confusions(scored: list[Scored], most: int = 12) -> list[dict[str, Any]]:
    """The commonest mistakes: one intent taken for another, and fields missed or invented."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for s in scored:
        if s.intent != s.expected_intent:
            counts["intent", s.expected_intent, s.intent] += 1
        fields = Counter(path for path, _ in s.missed.elements())
        others = Counter(path for path, _ in s.invented.elements())
        for path, times in (fields & others).items():
            counts["field", path, "another value"] += times
        for path, times in (fields - others).items():
            counts["field", path, "missed"] += times
        for path, times in (others - fields).items():
            counts["field", path, "invented"] += times
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most]
    return [{"kind": k, "expected": e, "given": g, "times": n} for (k, e, g), n in ranked]
