"""Measures of an application's answers: against their references and, where a judge is asked, by its judgement."""

from collections.abc import Sequence

import click

from tuneline.files import Row
from tuneline.measuring import task_judge
from tuneline.measuring.references import exact_match, rouge, token_f1
from tuneline.measuring.score import MEAN, Score
from tuneline.recipe.tasks import SCORES
from tuneline.rows import answer as answer_of
from tuneline.teaching.request import Outcome, Request

MEASURES = {
    "summarization": ("rouge_1", "rouge_2", "rouge_l"),
    "classification": ("exact_match",),
    "question-answering": ("token_f1", "exact_match"),
}
MAIN = {"summarization": "rouge_l", "classification": "exact_match", "question-answering": "token_f1"}
GROUPS = ("language", "topic")  # fields of a row by whose values there is a table


class TaskMeasures:
    """The task's MEASURES and, under a rubric, the judge's SCORES, each 0 to 1, to six decimals, so that equal answers
    have equal figures after a round trip through a file.

    `good_share` is the share of the judged answers with an overall of `good` or more, `judged_share` that of the
    judged ones. `window`: characters of a source that one question to the judge may hold.
    """

    def __init__(self, task: str, rubric: str | None, good: float, window: int = task_judge.WINDOW) -> None:
        self.task, self.rubric, self.good, self.window = task, rubric, good, window
        judged = (*SCORES, "good_share", "judged_share") if rubric else ()
        self.FIGURES = dict.fromkeys((*MEASURES[task], *judged), MEAN)
        self.MAIN = "overall" if rubric else MAIN[task]
        self.ask = self.requests if rubric else None

    def requests(self, row: Row, answer: str) -> list[Request]:
        """Judged against is the `input` of the row's fields, which no stage has cut.

        Raises click.ClickException when the row has no such field.
        """
        if "input" not in row.get("fields", {}):
            raise click.ClickException("a judge needs rows with a field input, the whole text; give extract a form")
        return task_judge.requests(self.task, row["fields"]["input"], answer, self.rubric, self.window)

    def score(self, row: Row, answer: str, outcomes: Sequence[Outcome]) -> Score:
        """Without outcomes, by the references alone. A judgement that is refused is no zero."""
        right = references(row)
        figures = {name: round(value, 6) for name, value in against_references(self.task, answer, right).items()}
        marks: Row = {}
        if self.rubric:
            judged = task_judge.read(self.requests(row, answer), outcomes)
            scores = None if isinstance(judged, str) else judged.scores
            figures |= {name: round(scores[name], 6) if scores else None for name in SCORES}
            figures["good_share"] = scores["overall"] >= self.good if scores else None
            figures["judged_share"] = scores is not None
            marks["reason"] = judged if isinstance(judged, str) else judged.reason
        fields = row.get("fields", {})
        return Score(
            figures=figures,
            pair=(right[0], answer) if self.task == "classification" else None,
            groups={name: str(fields[name]) for name in GROUPS if fields.get(name) is not None},
            marks=marks,
        )


def references(row: Row) -> list[str]:
    """All answers that are right: those that the row's fields name, else its own."""
    return row.get("fields", {}).get("references") or [answer_of(row)]


def against_references(task: str, answer: str, right: list[str]) -> dict[str, float]:
    """The task's MEASURES, each 0 to 1; the best reference counts."""
    if task == "summarization":
        return rouge(answer, right)
    found = {"exact_match": exact_match(answer, right), "token_f1": token_f1(answer, right)}
    return {name: found[name] for name in MEASURES[task]}
