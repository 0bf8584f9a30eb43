"""The figures of an answer to a task: against its references and, where a judge is asked, by its judgement.

One function, `score_answers`, gives every figure that a version is measured or promoted by.
"""

from dataclasses import dataclass
from typing import Any

import click
import numpy as np

from tuneline import task_judge
from tuneline.bootstrap import intervals
from tuneline.files import Row
from tuneline.judge_measures import mean_where, rounded
from tuneline.task_judge_offline import SCORES
from tuneline.teacher import Spend, Teacher
from tuneline.text_measures import exact_match, rouge, token_f1

MEASURES = {
    "summarization": ("rouge_1", "rouge_2", "rouge_l"),
    "classification": ("exact_match",),
    "question-answering": ("token_f1", "exact_match"),
}
MAIN = {"summarization": "rouge_l", "classification": "exact_match", "question-answering": "token_f1"}
GROUPS = ("language", "topic")  # fields of a row by whose values there is a table


@dataclass(frozen=True)
class Judge:
    """Who judges, under which rubric (its text). `window`: characters of a source that one question may hold."""

    teacher: Teacher
    rubric: str
    window: int = task_judge.WINDOW


@dataclass(frozen=True)
class Scored:
    """An answer's `figures`, each 0 to 1, those of the judge None where it gave none; `reason`: what it said."""

    figures: dict[str, float | None]
    reason: str


def score_answers(
    task: str, rows: list[Row], answers: list[str], judge: Judge | None = None
) -> tuple[list[Scored], Spend | None]:
    """(each answer scored, what the judgements cost); the rows are those of chat/test.jsonl.

    Figures: the task's MEASURES and, with a judge, its SCORES, to six decimals, so that equal answers have equal
    figures after a round trip through a file. A row's references are the `references` of its fields, else
    its own answer. What is judged against is the `input` of its fields, which no stage has cut.
    Raises click.ClickException when the judge cannot be asked, or a row that is to be judged has no such field.
    """
    figures = [
        {name: round(value, 6) for name, value in against_references(task, answer, references(row)).items()}
        for row, answer in zip(rows, answers, strict=True)
    ]
    if judge is None:
        return [Scored(one, "") for one in figures], None
    judged, spend = judge_answers(task, rows, answers, judge)
    scored = []
    for one, found in zip(figures, judged, strict=True):
        if isinstance(found, str):
            scored.append(Scored(one | dict.fromkeys(SCORES), found))
        else:
            scored.append(Scored(one | {name: round(found.scores[name], 6) for name in SCORES}, found.reason))
    return scored, spend


def references(row: Row) -> list[str]:
    """All answers that are right: those that the row's fields name, else its own."""
    return row.get("fields", {}).get("references") or [row["messages"][-1]["content"]]


def against_references(task: str, answer: str, right: list[str]) -> dict[str, float]:
    """The task's MEASURES, each 0 to 1; the best reference counts."""
    if task == "summarization":
        return rouge(answer, right)
    found = {"exact_match": exact_match(answer, right), "token_f1": token_f1(answer, right)}
    return {name: found[name] for name in MEASURES[task]}


def judge_answers(
    task: str, rows: list[Row], answers: list[str], judge: Judge
) -> tuple[list[task_judge.Judgement | str], Spend]:
    """(the judgement of each answer, or why there is none; what they cost)."""
    if any("input" not in row.get("fields", {}) for row in rows):
        raise click.ClickException("a judge needs rows with a field input, the whole text; give extract a form")
    asked = [
        task_judge.requests(task, row["fields"]["input"], answer, judge.rubric, judge.window)
        for row, answer in zip(rows, answers, strict=True)
    ]
    judge.teacher.pay((request for each in asked for request in each), "judge", sum(map(len, asked)))
    spend = Spend(judge.teacher)
    judged = []
    for each in asked:
        outcomes = [judge.teacher.outcome(request) for request in each]
        for outcome in outcomes:
            spend.add(outcome.keys)
        judged.append(task_judge.read(each, outcomes))
    return judged, spend


def measure(scored: list[Scored], good: float, rows: np.ndarray | None = None) -> dict[str, Any]:
    """The mean of each figure: floats, or arrays of S samples; nan where no answer has the figure.

    `rows`: int array (S, N) of row numbers, for the bootstrap. Where the answers were judged, `good_share` is the
    share of the judged ones with an overall of `good` or more, and `judged_share` that of the judged ones.
    """
    names = list(scored[0].figures)
    columns = np.array([[s.figures[name] for name in names] for s in scored], dtype=float)  # None becomes nan
    picked = columns if rows is None else columns[rows]
    known = ~np.isnan(picked)
    by_name = {name: (np.nan_to_num(picked[..., at]), known[..., at]) for at, name in enumerate(names)}
    means = {name: mean_where(values, has) for name, (values, has) in by_name.items()}
    if "overall" not in by_name:
        return means
    overall, judged = by_name["overall"]
    return {**means, "good_share": mean_where(overall >= good, judged), "judged_share": judged.mean(axis=-1)}


def tables(
    task: str, rows: list[Row], scored: list[Scored], good: float, samples: int, seed: int
) -> dict[str, dict[str, Row]]:
    """`by_language` and `by_topic`, where the rows' fields say them: a line a value, with its rows and figures.

    The main measure of the task has its 95 % interval.
    """
    found: dict[str, dict[str, Row]] = {}
    for key in GROUPS:
        values = [row.get("fields", {}).get(key) for row in rows]
        if names := sorted({str(value) for value in values if value is not None}):
            of = {name: [s for s, value in zip(scored, values, strict=True) if str(value) == name] for name in names}
            found[f"by_{key}"] = {name: _line(task, mine, good, samples, seed) for name, mine in of.items()}
    return found


def _line(task: str, scored: list[Scored], good: float, samples: int, seed: int) -> Row:
    figures = {name: rounded(value) for name, value in measure(scored, good).items()}
    drawn = intervals(lambda picks: measure(scored, good, picks), len(scored), samples, seed)
    return {"rows": len(scored), **figures, f"{MAIN[task]}_interval": drawn[MAIN[task]]}


def pairs(task: str, rows: list[Row], answers: list[str], scored: list[Scored]) -> list[tuple[str, str]]:
    """What a heat map shows of each answer: label and answer of a classification, else language and band.

    A band is a tenth of the judge's overall, or of the main measure where nothing was judged.
    """
    if task == "classification":
        return [(references(row)[0], answer) for row, answer in zip(rows, answers, strict=True)]
    name = "overall" if "overall" in scored[0].figures else MAIN[task]
    return [
        (str(row.get("fields", {}).get("language", task)), _band(name, s.figures[name]))
        for row, s in zip(rows, scored, strict=True)
    ]


def _band(name: str, value: float | None) -> str:
    if value is None:
        return "(unjudged)"
    tenth = min(int(value * 10), 9)
    return f"{name} {tenth / 10:.1f}–{(tenth + 1) / 10:.1f}"
