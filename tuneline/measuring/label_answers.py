"""Measures of answers that are labels, each one of a few."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import click

from tuneline.files import Row
from tuneline.measuring.references import unanswered
from tuneline.measuring.score import MACRO_F1, MEAN, Score, rounded
from tuneline.measuring.text_answers import groups_of
from tuneline.recipe.settings import fold_label
from tuneline.rows import answer as answer_of

OUTSIDE = "(no label)"  # the predicted kind of an answer that is none of the labels


class LabelMeasures:
    """Each figure is a share, 0 to 1.

    `labels`: all that a reference may be; none of them: whatever it is. The label set is these and the references of
    `train` and `test`. `outside_labels`: answers that are none of it. `majority_baseline`: the accuracy of the
    commonest label of train, of test where no row is for training, as an answer to everything.
    """

    FIGURES = {  # noqa: RUF012
        "accuracy": MEAN,
        "macro_f1": MACRO_F1,
        "outside_labels": MEAN,
        "majority_baseline": MEAN,
    }
    MAIN = "macro_f1"

    def __init__(self, labels: Iterable[str], train: Sequence[Row] = (), test: Sequence[Row] = ()) -> None:
        self.told = {fold_label(label): label for label in labels}
        self.labels = dict(self.told)  # folded → as it was first written
        for row in (*train, *test):
            self.labels.setdefault(fold_label(answer_of(row)), answer_of(row).strip())
        self.counted = "training rows" if train else "test rows"
        self.majority = commonest([fold_label(answer_of(row)) for row in train or test])

    def unreadable(self, row: Row) -> str | None:
        if wrong := unanswered(row):
            return wrong
        if self.told and fold_label(answer_of(row)) not in self.told:
            known = ", ".join(self.told.values())
            return f"has the label {answer_of(row).strip()[:80]!r}, which eval.labels of recipe.yaml lacks: {known}"
        return None

    def score(self, row: Row, answer: str, outcomes: Sequence[Any] = ()) -> Score:
        """Raises click.ClickException when the reference is no label."""
        if wrong := self.unreadable(row):
            raise click.ClickException(f"a test row {wrong}")
        wanted, given = fold_label(answer_of(row)), fold_label(answer)
        figures = {
            "accuracy": wanted == given,
            "outside_labels": given not in self.labels,
            "majority_baseline": wanted == self.majority,
        }
        return Score(figures, pair=(self.name(wanted), self.name(given)), groups=groups_of(row))

    def name(self, folded: str) -> str:
        return self.labels.get(folded, OUTSIDE)

    def tables(self, adapter: str, base: Sequence[Score], tuned: Sequence[Score]) -> Row:
        return {
            "majority_baseline": {"label": self.labels[self.majority], "of": self.counted},
            "per_label": {"base": per_label(base), "tuned": per_label(tuned)},
        }


def commonest(labels: Sequence[str]) -> str | None:
    """The first by name of those that are the most."""
    counts = Counter(labels)
    return min(counts, key=lambda label: (-counts[label], label), default=None)


def per_label(scores: Sequence[Score]) -> dict[str, Row]:
    """A line for each label that is wanted or given: `rows` that want it, precision, recall, F1.

    Precision is None where it is never given, recall where it is never wanted.
    """
    wanted, given = (Counter(score.pair[side] for score in scores) for side in (0, 1))
    right = Counter(score.pair[0] for score in scores if score.pair[0] == score.pair[1])
    del given[OUTSIDE]
    return {
        label: {
            "rows": wanted[label],
            "precision": ratio(right[label], given[label]),
            "recall": ratio(right[label], wanted[label]),
            "f1": ratio(2 * right[label], wanted[label] + given[label]),
        }
        for label in sorted({*wanted, *given})
    }


def ratio(part: int, whole: int) -> float | None:
    return rounded(part / whole) if whole else None
