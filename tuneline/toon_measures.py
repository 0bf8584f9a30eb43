"""Measures of answers that are sparse TOON records, against a reference, a master schema and its rules."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from tuneline.bootstrap import intervals
from tuneline.json_measures import Pair, canonical, pairs, share
from tuneline.judge_measures import rounded
from tuneline.succession.rules import broken
from tuneline.succession.schema import Master, read_master
from tuneline.succession.toon import ToonError, decode

HARD = "hard_negative"


@dataclass(frozen=True)
class Read:
    """One answer against its reference. `coherent`: it is valid and breaks no rule."""

    complexity: str
    parses: bool
    schema_valid: bool
    coherent: bool
    exact: bool
    right: Counter[Pair]
    missed: Counter[Pair]
    invented: Counter[Pair]
    left_out: bool  # no leaf stands there of which the reference says nothing


class Scorer:
    def __init__(self, schema: Path) -> None:
        self.master: Master = read_master(schema)

    def score(self, answer: str, reference: str, complexity: str) -> Read:
        """Raises click.ClickException when the reference is no valid record."""
        try:
            expected = decode(reference)
        except ToonError as error:
            raise click.ClickException(f"a test row's answer is no TOON record: {error}") from None
        if wrong := self.master.problems(expected):
            raise click.ClickException(f"a test row's answer is no record of the schema: {wrong[0]}")
        try:
            given = decode(answer) or None  # an empty text is a record of nothing
        except ToonError:
            given = None
        want, have = Counter(pairs(expected)), Counter(pairs(given or {}))
        valid = given is not None and not self.master.problems(given)
        return Read(
            complexity=complexity,
            parses=given is not None,
            schema_valid=valid,
            coherent=valid and not broken(given),
            exact=given is not None and canonical(given) == canonical(expected),
            right=want & have,
            missed=want - have,
            invented=have - want,
            left_out=given is not None and {path for path, _ in have} <= {path for path, _ in want},
        )


def measure(read: list[Read], rows: np.ndarray | None = None) -> dict[str, Any]:
    """The measures, each a share 0 to 1: floats, or arrays of S samples; nan where no row counts.

    `rows`: int array (S, N) of row numbers, for the bootstrap. Precision, recall and F1 are micro, over
    (path, value) pairs. `hard_left_out` is over the hard negatives: nothing is said that the case leaves open.
    """
    columns = np.array(
        [
            (
                r.parses,
                r.schema_valid,
                r.coherent,
                r.exact,
                r.complexity == HARD and r.left_out,
                r.complexity == HARD,
                r.right.total(),
                r.missed.total(),
                r.invented.total(),
            )
            for r in read
        ],
        dtype=float,
    )
    picked = columns if rows is None else columns[rows]
    parses, valid, coherent, exact = np.moveaxis(picked[..., :4].mean(axis=-2), -1, 0)
    left_out, hard, right, missed, invented = np.moveaxis(picked[..., 4:].sum(axis=-2), -1, 0)
    return {
        "parses": parses,
        "schema_valid": valid,
        "coherent": coherent,
        "field_precision": share(right, right + invented),
        "field_recall": share(right, right + missed),
        "field_f1": share(2 * right, 2 * right + missed + invented),
        "exact_match": exact,
        "hard_left_out": np.divide(left_out, hard, out=np.full_like(hard, np.nan), where=hard > 0),
    }


def sections(read: list[Read]) -> list[tuple[str, str]]:
    """(section of the record, what became of a leaf of it) for every leaf, for a heat map."""
    found: list[tuple[str, str]] = []
    for r in read:
        for what, counted in (("right", r.right), ("missed", r.missed), ("invented", r.invented)):
            found += [(path.split(".")[0], what) for path, _ in counted.elements()]
    return found


def worst(read: list[Read], most: int = 12) -> list[dict[str, Any]]:
    """The paths most often missed or invented."""
    counts: Counter[tuple[str, str]] = Counter()
    for r in read:
        counts.update((path, "missed") for path, _ in r.missed.elements())
        counts.update((path, "invented") for path, _ in r.invented.elements())
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most]
    return [{"path": path, "what": what, "times": times} for (path, what), times in ranked]


def line(read: list[Read], samples: int, seed: int) -> dict[str, Any]:
    """A row of a table: the figures of some rows, and the 95 % interval of their F1."""
    figures = {name: rounded(value) for name, value in measure(read).items()}
    drawn = intervals(lambda picks: measure(read, picks), len(read), samples, seed)
    return {"rows": len(read), **figures, "field_f1_interval": drawn["field_f1"]}
