"""Measures of answers that are texts: against their references and, under a rubric, by a judge."""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import click

from tuneline.files import Row, dump_json
from tuneline.measuring.references import ROUGE, compare, references, unanswered
from tuneline.measuring.score import MEAN, Score
from tuneline.recipe.texts import fill
from tuneline.rows import answer as answer_of
from tuneline.rows import visible
from tuneline.teaching.judging import SCORE_SCHEMA
from tuneline.teaching.request import Outcome, Request

NAMES = (*ROUGE, "token_f1", "exact_match", "length_ratio")
GROUPS = ("language", "topic")  # fields of a row by whose values there is a table
MOST = 10  # that a judge may give


class Judge(Protocol):
    """`NAMES`: the figures that it gives, each 0 to 1, of which `MAIN` is the one to compare groups by."""

    NAMES: tuple[str, ...]
    MAIN: str

    def requests(self, row: Row, answer: str) -> list[Request]: ...

    def read(self, row: Row, answer: str, outcomes: Sequence[Outcome]) -> tuple[dict[str, Any], str]:
        """(figures, reason); figures are None where there is no judgement, which is no zero."""
        ...


class TextMeasures:
    """Figures of `compare` by these names, then the judge's where there is one."""

    def __init__(self, names: Iterable[str] = NAMES, main: str = "rouge_l", judge: Judge | None = None) -> None:
        self.names, self.judge = tuple(names), judge
        self.FIGURES = dict.fromkeys((*self.names, *(judge.NAMES if judge else ())), MEAN)
        self.MAIN = judge.MAIN if judge else main
        self.ask = judge.requests if judge else None

    def unreadable(self, row: Row) -> str | None:
        if wrong := unanswered(row):
            return wrong
        try:
            if self.judge:
                self.judge.requests(row, answer_of(row))
        except click.ClickException as error:
            return f"cannot be judged: {error.message}"
        return None

    def score(self, row: Row, answer: str, outcomes: Sequence[Outcome] = ()) -> Score:
        figures: Row = compare(self.names, answer, references(row))
        marks: Row = {}
        if self.judge:
            judged, marks["reason"] = self.judge.read(row, answer, outcomes)
            figures |= judged
        return Score(figures, pair=self.pair(row, answer), groups=groups_of(row), marks=marks)

    def pair(self, row: Row, answer: str) -> tuple[str, str] | None:
        return None


class RubricJudge:
    """Scores an answer by a rubric that may name ${question}, ${answer}, ${reference} and the row's fields.

    `score` is the judge's 0 to 10 over 10; `judged_share`, the share of the answers that it could be had of.
    """

    NAMES = ("score", "judged_share")
    MAIN = "score"

    def __init__(self, rubric: str) -> None:
        self.rubric = rubric

    def requests(self, row: Row, answer: str) -> list[Request]:
        """Raises click.ClickException when the rubric names what the row has not."""
        facts = {
            **row.get("fields", {}),
            "judge": "text",
            "question": asked(row),
            "answer": visible(answer),
            "reference": references(row)[0],
        }
        return [Request((("user", fill(self.rubric, facts, "rubric")),), SCORE_SCHEMA, facts)]

    def read(self, row: Row, answer: str, outcomes: Sequence[Outcome]) -> tuple[dict[str, Any], str]:
        (outcome,) = outcomes
        if outcome.reason:
            return {"score": None, "judged_share": False}, f"{outcome.reason}: {outcome.detail}"
        return {"score": outcome.value["score"] / MOST, "judged_share": True}, outcome.value["reason"]


def asked(row: Row) -> str:
    """What the row's last answer answers: the question alone, or the turns before it, each with its role."""
    before = [(turn["role"], turn.get("content") or dump_json(turn.get("tool_calls"))) for turn in row["messages"][:-1]]
    if [role for role, _ in before] == ["user"]:
        return before[0][1]
    return "\n\n".join(f"{role}: {content}" for role, content in before)


def groups_of(row: Row) -> dict[str, str]:
    fields = row.get("fields", {})
    return {name: str(fields[name]) for name in GROUPS if fields.get(name) is not None}
