"""Whether a judge is to be believed: what it says of answers that people have labelled.

An answer's labels are what a person says of it by the names of the recipe's figures, and under `kind`, where answers
are one of several kinds, which kind it is. The judge's figures of the very answers are held against them.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from tuneline.files import Row
from tuneline.measuring.bootstrap import intervals
from tuneline.measuring.score import UNJUDGED, Score
from tuneline.recipe.own import Measures
from tuneline.recipe.settings import read_recipe
from tuneline.rows import visible
from tuneline.teaching.teacher import Teacher

KIND = "kind"  # the label that is the kind of an answer: the predicted one of a score's pair
KEYS = {"row", "answer", "labels"}
LABELLED = Path("judge/labelled.jsonl")  # in a recipe's folder
LEAST = 10  # labels from which anything is said

Label = bool | float | str


@dataclass(frozen=True)
class Labelled:
    """An answer to a row, and what a person says of it: a label by figure; a figure that was left open is not there."""

    row: Row
    answer: str
    labels: Mapping[str, Label]


def read_labelled(path: Path, measures: Measures) -> list[Labelled]:
    """One JSON a line: {"row", "answer", "labels"}; a label that is null is left open.

    Raises click.ClickException that names file, line and what is wrong.
    """
    if not path.is_file():
        raise click.ClickException(f"{path} is not there; `tuneline judge sample` writes one to fill in")
    found = []
    for number, line in _lines(path):
        if wrong := _fault(line, measures):
            raise click.ClickException(f"{path}:{number}: {wrong}")
        labels = {name: label for name, label in line["labels"].items() if label is not None}
        found.append(Labelled(line["row"], line["answer"], labels))
    if not any(one.labels for one in found):
        raise click.ClickException(f"{path}: no label is filled in; write what you say of each answer in place of null")
    return found


def _lines(path: Path) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except ValueError as error:
                raise click.ClickException(f"{path}:{number}: not JSON ({error}); correct the line") from None


def _fault(line: Any, measures: Measures) -> str | None:
    if not isinstance(line, dict) or set(line) != KEYS:
        return f"a line is an object of {', '.join(sorted(KEYS))}"
    if not (isinstance(line["row"], dict) and isinstance(line["answer"], str) and isinstance(line["labels"], dict)):
        return "row and labels are objects, answer is a text"
    for name, label in line["labels"].items():
        if name != KIND and name not in measures.FIGURES:
            return f"labels.{name} is no figure of the recipe: {', '.join((KIND, *measures.FIGURES))}"
        if label is not None and isinstance(label, str) != (name == KIND):
            return f"labels.{name} is {label!r}: a kind is a text, any other label a number or true or false"
        if not isinstance(label, bool | int | float | str | None):
            return f"labels.{name} is {label!r}, which is no label"
    if lacks := [name for name in ("id", "messages") if name not in line["row"]]:
        return f"row has no {' and no '.join(lacks)}, as the rows of data/<adapter>/split/test.jsonl have"
    wrong = getattr(measures, "unreadable", lambda row: None)(line["row"])
    return f"the row {wrong}" if wrong else None


def judge_labelled(measures: Measures, labelled: Sequence[Labelled], judge: Teacher, number: int = 0) -> list[Score]:
    """What the measures make of the judge's verdict on each answer. `number`: its so-manieth verdict, from 0.

    Raises click.ClickException when the judge cannot be asked.
    """
    asked = [
        [replace(request, number=request.number + number) for request in measures.ask(one.row, one.answer)]
        for one in labelled
    ]
    judge.pay((request for requests in asked for request in requests), "judge", sum(map(len, asked)))
    return [
        measures.score(one.row, one.answer, [judge.outcome(request) for request in requests])
        for one, requests in zip(labelled, asked, strict=True)
    ]


def verdict(score: Score, name: str) -> Label | None:
    """What a score says under a label's name; None where the judge said nothing of use."""
    if name != KIND:
        return score.figures.get(name)
    return score.pair[1] if score.pair and score.pair[1] != UNJUDGED else None


def agreement(labelled: Sequence[Labelled], scores: Sequence[Score], samples: int, seed: int) -> dict[str, Row]:
    """By label: `labels`, how many the judge has a verdict on, of `of`; `equal`, the share that it says the same of;
    `kappa` and `kappa_interval`; and of numbers and truths `length_bias` and its interval.

    kappa: Cohen's, with squared differences as weights (Cohen 1968). Of truths and of kinds that is the unweighted one
    (Cohen 1960), of numbers Lin's concordance: a judge that ranks well and gives all two points more loses by it. 1 is
    the same, 0 what chance gives; None where neither says two different things.

    length_bias: Spearman's correlation of what the judge gives above the label with the words of the answer: above 0 it
    likes long ones more than people do.
    """
    names = dict.fromkeys(name for one in labelled for name in one.labels)
    return {name: _agreement(name, labelled, scores, samples, seed) for name in names}


def believe(recipe: Path, measures: Measures, judge: Teacher, samples: int, seed: int) -> Row:
    """What the report holds of the judge's agreement with the recipe's labels, where eval.least-kappa asks for one.

    Raises click.ClickException where it is less than that.
    """
    least: Mapping[str, float] = read_recipe(recipe).eval.least_kappa
    if not least:
        return {}
    labelled = read_labelled(recipe / LABELLED, measures)
    found = agreement(labelled, judge_labelled(measures, labelled, judge), samples, seed)
    for name, wanted in least.items():
        has = found.get(name, {}).get("kappa")
        if has is None or has < wanted:
            raise click.ClickException(
                f"{recipe}: judge {judge.name} agrees with people on {name} by a kappa of "
                f"{'none' if has is None else f'{has:.2f}'}, and eval.least-kappa wants {wanted:g}: its figures would "
                "not count. `tuneline judge check` shows more; correct the rubric, or take another judge"
            )
    return {"agreement": found}


def _agreement(name: str, labelled: Sequence[Labelled], scores: Sequence[Score], samples: int, seed: int) -> Row:
    mine = [(one, verdict(score, name)) for one, score in zip(labelled, scores, strict=True) if name in one.labels]
    both = [(one.labels[name], said, len(visible(one.answer).split())) for one, said in mine if said is not None]
    counted: Row = {"labels": len(both), "of": len(mine)}
    if len(both) < 2:
        return counted
    labels, said, words = (list(part) for part in zip(*both, strict=True))
    found = {**counted, "equal": round(sum(a == b for a, b in zip(labels, said, strict=True)) / len(both), 4)}
    found |= _with_interval("kappa", lambda picks: kappa(*_places(labels, said), picks), len(both), samples, seed)
    if name != KIND:
        above = np.array(said, dtype=float) - np.array(labels, dtype=float)
        lengths = np.array(words, dtype=float)
        found |= _with_interval(
            "length_bias", lambda picks: correlation(above[picks], lengths[picks]), len(both), samples, seed
        )
    return found


def same_twice(first: Sequence[Score], second: Sequence[Score], names: Sequence[str]) -> dict[str, float | None]:
    """By label: kappa of the judge's two verdicts on the same answers."""
    told = {}
    for name in names:
        both = [(verdict(one, name), verdict(other, name)) for one, other in zip(first, second, strict=True)]
        both = [pair for pair in both if None not in pair]
        told[name] = _figure(kappa(*_places(*map(list, zip(*both, strict=True))))[0]) if both else None
    return told


def kappa(one: np.ndarray, other: np.ndarray, picks: np.ndarray | None = None) -> np.ndarray:
    """Of two raters' places in a space, float arrays (N, D): 1 - the mean squared distance of the pairs ÷ that of any
    place of one and any of the other. `picks`: int array (S, N) of row numbers; an array (S,), of (1,) without it; nan
    where all places are one.
    """
    picks = np.arange(len(one))[None] if picks is None else picks
    one, other = one[picks], other[picks]
    pairs = ((one - other) ** 2).sum(axis=-1).mean(axis=-1)
    spread = one.var(axis=-2).sum(axis=-1) + other.var(axis=-2).sum(axis=-1)
    any_two = spread + ((one.mean(axis=-2) - other.mean(axis=-2)) ** 2).sum(axis=-1)
    flat = any_two < 1e-12
    return np.where(flat, np.nan, 1 - pairs / np.where(flat, 1, any_two))


def _places(one: list[Label], other: list[Label]) -> tuple[np.ndarray, np.ndarray]:
    """Numbers on a line; kinds each at the end of an axis of its own, so that any two are as far apart as others."""
    if not isinstance(one[0], str):
        return np.array(one, dtype=float)[:, None], np.array(other, dtype=float)[:, None]
    kinds = sorted({*one, *other})
    axes = np.eye(len(kinds))
    return axes[[kinds.index(kind) for kind in one]], axes[[kinds.index(kind) for kind in other]]


def correlation(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Spearman's of float arrays (S, N): (S,); nan where one of them is all the same."""
    from scipy.stats import rankdata  # a second of CPU, of stages that judge no judge

    one, other = (rankdata(part, axis=-1) for part in (one, other))
    one, other = (part - part.mean(axis=-1, keepdims=True) for part in (one, other))
    norm = np.sqrt((one**2).sum(axis=-1) * (other**2).sum(axis=-1))
    return np.where(norm > 0, (one * other).sum(axis=-1) / np.where(norm > 0, norm, 1), np.nan)


def _with_interval(name: str, measure: Any, rows: int, samples: int, seed: int) -> Row:
    whole = _figure(measure(np.arange(rows)[None])[0])
    if whole is None:
        return {name: None}
    edges = intervals(lambda picks: {name: measure(picks)}, rows, samples, seed)[name]
    return {name: whole, f"{name}_interval": edges}


def _figure(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 4)
