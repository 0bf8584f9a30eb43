"""What an answer that is a sparse TOON record is worth, against a reference, the schema and its rules."""

from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import click

from tuneline.files import Row
from tuneline.measuring.json_answers import canonical, pairs
from tuneline.measuring.score import F1, MEAN, PRECISION, RECALL, Score, compared
from tuneline.recipe.toon import ToonError, decode
from tuneline.rows import answer as answer_of

from .records.rules import alerts, broken
from .records.schema import Master, read_master

HARD = "hard_negative"
FIGURES = {
    "parses": MEAN,
    "schema_valid": MEAN,
    "coherent": MEAN,  # it is valid and breaks no rule of level refuse
    "without_alert": MEAN,  # of the coherent ones: no rule of level alert asks to look at it
    "field_precision": PRECISION,
    "field_recall": RECALL,
    "field_f1": F1,
    "exact_match": MEAN,
    "hard_left_out": MEAN,  # of the hard negatives: nothing is said that the case leaves open
}


@cache
def master() -> Master:
    return read_master(Path(__file__).parent / "schema.json")


def score(row: Row, answer: str, outcomes: Sequence[Any] = ()) -> Score:
    """Raises click.ClickException when the reference is no valid record."""
    expected = read_reference(answer_of(row))
    try:
        given = decode(answer) or None  # an empty text is a record of nothing
    except ToonError:
        given = None
    want, have = Counter(pairs(expected)), Counter(pairs(given or {}))
    valid = given is not None and not master().problems(given)
    coherent = valid and not broken(given)
    exact = given is not None and canonical(given) == canonical(expected)
    fields = row.get("fields", {})
    left_out = given is not None and {path for path, _ in have} <= {path for path, _ in want}
    figures = {
        "parses": given is not None,
        "schema_valid": valid,
        "coherent": coherent,
        "without_alert": not alerts(given) if coherent else None,
        "exact_match": exact,
        "hard_left_out": left_out if fields.get("complexity") == HARD else None,
    }
    groups = {"complexity": fields.get("complexity", ""), "origin": fields.get("from", "")}
    return Score(figures, **compared(want, have), groups=groups, marks={"exact": exact})


def read_reference(reference: str) -> dict[str, Any]:
    try:
        expected = decode(reference)
    except ToonError as error:
        raise click.ClickException(f"a test row's answer is no TOON record: {error}") from None
    if wrong := master().problems(expected):
        raise click.ClickException(f"a test row's answer is no record of the schema: {wrong[0]}")
    return expected
