"""Measures of an application's answers: against their references and, where a judge is asked, by its judgement."""

from collections.abc import Sequence
from typing import Any

import click

from tuneline.files import Row
from tuneline.measuring import task_judge
from tuneline.measuring.references import ROUGE, references
from tuneline.measuring.text_answers import TextMeasures
from tuneline.recipe.tasks import SCORES
from tuneline.teaching.request import Outcome, Request

MEASURES = {
    "summarization": tuple(ROUGE),
    "classification": ("exact_match",),
    "question-answering": ("token_f1", "exact_match"),
}
MAIN = {"summarization": "rouge_l", "classification": "exact_match", "question-answering": "token_f1"}


class TaskMeasures(TextMeasures):
    """The task's MEASURES and, under a rubric, the judge's SCORES.

    `good`, `window`: see TaskJudge.
    """

    def __init__(self, task: str, rubric: str | None, good: float, window: int = task_judge.WINDOW) -> None:
        judge = TaskJudge(task, rubric, good, window) if rubric else None
        super().__init__(MEASURES[task], MAIN[task], judge)
        self.task = task

    def pair(self, row: Row, answer: str) -> tuple[str, str] | None:
        return (references(row)[0], answer) if self.task == "classification" else None


class TaskJudge:
    """Scores an answer by all that it was made from, in parts where that is long.

    `good_share` is the share of the judged answers with an overall of `good` or more, `judged_share` that of the
    judged ones. `window`: characters of a source that one question to the judge may hold.
    """

    NAMES = (*SCORES, "good_share", "judged_share")
    MAIN = "overall"

    def __init__(self, task: str, rubric: str, good: float, window: int) -> None:
        self.task, self.rubric, self.good, self.window = task, rubric, good, window

    def requests(self, row: Row, answer: str) -> list[Request]:
        """Judged against is the `input` of the row's fields, which no stage has cut.

        Raises click.ClickException when the row has no such field.
        """
        if "input" not in row.get("fields", {}):
            raise click.ClickException("a judge needs rows with a field input, the whole text; give extract a form")
        return task_judge.requests(self.task, row["fields"]["input"], answer, self.rubric, self.window)

    def read(self, row: Row, answer: str, outcomes: Sequence[Outcome]) -> tuple[dict[str, Any], str]:
        judged = task_judge.read(self.requests(row, answer), outcomes)
        if isinstance(judged, str):
            return {**dict.fromkeys(SCORES), "good_share": None, "judged_share": False}, judged
        scores = {name: round(judged.scores[name], 6) for name in SCORES}
        return {**scores, "good_share": judged.scores["overall"] >= self.good, "judged_share": True}, judged.reason
