"""Scores of each side on the same rows → the figures, their intervals, tables by group, and what went wrong."""

import csv
import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
import numpy as np

from tuneline.files import Row, whole_file
from tuneline.measuring.bootstrap import intervals
from tuneline.measuring.mcnemar import paired_tests
from tuneline.measuring.score import F1, UNJUDGED, Score, rounded, summarize
from tuneline.recipe.own import Measures
from tuneline.teaching.ledger import Spend
from tuneline.teaching.request import Outcome, usual_reasons
from tuneline.teaching.teacher import Teacher

BASE, SHOTS, TUNED = SIDES = ("base", "shots", "tuned")  # shots: the base after examples, where it was asked so
WORST = 12  # mistakes that the report tells
# What tuned is compared with: the difference is taken over the same resamples of rows.
CHANGE, OVER_SHOTS = "change", "change_over_shots"
CHANGES = {CHANGE: BASE, OVER_SHOTS: SHOTS}
Sides = dict[str, list[Score]]  # of SIDES, in their order: those that were asked
Answers = Sequence[str | float]  # a float: the bits of a row that is only text


def wants_judge(measures: Measures) -> bool:
    return getattr(measures, "ask", None) is not None


def unjudged(measures: Measures, row: Row, answer: str | float) -> Score:
    """That of an answer which no judge is asked about, or of which it says nothing of use."""
    asked = measures.ask(row, answer) if wants_judge(measures) else []
    return measures.score(row, answer, [Outcome(None, "empty", "", (), "") for _ in asked])


def check_rows(measures: Measures, rows: Sequence[Row], sides: Mapping[str, Answers]) -> None:
    """Raises click.ClickException when the measures cannot read a row, or a side's answer is of another kind of row."""
    unreadable = getattr(measures, "unreadable", lambda row: None)
    for row in rows:
        if wrong := unreadable(row):
            raise click.ClickException(f"row {row['id']} {wrong}")
    for answers in sides.values():
        for row, answer in zip(rows, answers, strict=True):
            if isinstance(answer, str) == ("text" in row):
                raise click.ClickException(f"row {row['id']} was answered as a row of another kind; run `dvc repro`")


def score_answers(
    measures: Measures, rows: Sequence[Row], answers: Answers, judge: Teacher | None
) -> tuple[list[Score], Spend | None]:
    """(the score of each answer, what the judgements cost). Without a judge no outcome is there to score by.

    Raises click.ClickException when the judge cannot be asked, or says nothing of use of any answer; one judgement that
    is refused is no zero.
    """
    pairs = list(zip(rows, answers, strict=True))
    if judge is None:
        return [measures.score(row, answer, []) for row, answer in pairs], None
    asked = [measures.ask(row, answer) for row, answer in pairs]
    judge.pay(itertools.chain.from_iterable(asked), "judge", sum(map(len, asked)))
    spend, scores, refused = Spend(judge), [], []
    for (row, answer), requests in zip(pairs, asked, strict=True):
        outcomes = [judge.outcome(request) for request in requests]
        for outcome in outcomes:
            spend.add(outcome.keys)
        refused += [(outcome.reason, outcome.detail) for outcome in outcomes if outcome.reason]
        scores.append(measures.score(row, answer, outcomes))
    if refused and len(refused) == sum(map(len, asked)):
        raise click.ClickException(f"not one of {len(refused)} judgements is of use: {usual_reasons(refused)}")
    return scores, spend


def evaluate(measures: Measures, sides: Sides, adapter: str, samples: int, seed: int) -> tuple[Row, Row]:
    """(metrics, report): the figures of base and tuned, and what stands beside them.

    Of the base after examples the metrics have the main figure, and how far tuned is from it; the report has all.
    `samples`, `seed`: of the bootstrap.
    """
    figures, main = measures.FIGURES, main_figure(measures)
    metrics = figures_of(sides, figures)
    shots = {"shots": {"figures": told}} if (told := metrics.pop(SHOTS, None)) else {}
    if told:
        metrics |= {SHOTS: {main: told[main]}, OVER_SHOTS: {main: less(metrics[TUNED][main], told[main])}}
    groups = dict.fromkeys(name for score in sides["tuned"] for name in score.groups)
    report = {
        "rows": len(sides["tuned"]),
        "main": main,
        **shots,
        "intervals": drawn_in_pairs(sides, figures, samples, seed),
        **({"mcnemar": tests} if (tests := right_or_wrong(sides, figures)) else {}),
        **{
            f"per_{group}": {
                side: by_group(scores, figures, group, samples, seed, main) for side, scores in sides.items()
            }
            for group in groups
        },
        **({"worst": found} if (found := worst(sides["tuned"])) else {}),  # DVC's plots stumble over an empty list
    }
    if tables := getattr(measures, "tables", None):
        report |= tables(adapter, sides[BASE], sides[TUNED])
    return metrics, report


def right_or_wrong(sides: Sides, figures: Mapping[str, str]) -> dict[str, dict[str, Row]]:
    """McNemar's test by change and figure, of the figures that have it."""
    pairs = {change: (sides[side], sides[TUNED]) for change, side in CHANGES.items() if side in sides}
    return {change: tests for change, pair in pairs.items() if (tests := paired_tests(figures, *pair))}


def figures_of(sides: Sides, figures: Mapping[str, str]) -> dict[str, Row]:
    return {
        side: {name: rounded(value) for name, value in summarize(scores, figures).items()}
        for side, scores in sides.items()
    }


def less(tuned: float | None, other: float | None) -> float | None:
    return None if tuned is None or other is None else round(tuned - other, 4)


def drawn(scores: Sequence[Score], figures: Mapping[str, str], samples: int, seed: int) -> dict[str, list]:
    return intervals(lambda picks: summarize(scores, figures, picks), len(scores), samples, seed)


def drawn_in_pairs(sides: Sides, figures: Mapping[str, str], samples: int, seed: int) -> dict[str, dict[str, list]]:
    """The intervals of each side, and of the changes to tuned, which have the same rows in each resample."""
    changes = {change: side for change, side in CHANGES.items() if side in sides}

    def measure(picks: np.ndarray) -> dict[tuple[str, str], np.ndarray]:
        found = {side: summarize(scores, figures, picks) for side, scores in sides.items()}
        for change, side in changes.items():
            found[change] = {name: found[TUNED][name] - found[side][name] for name in figures}
        return {(side, name): values for side, mine in found.items() for name, values in mine.items()}

    edges = intervals(measure, len(sides[TUNED]), samples, seed)
    return {side: {name: edges[side, name] for name in figures} for side in (*sides, *changes)}


def main_figure(measures: Measures) -> str:
    """The one by which groups are compared: the measures' `MAIN`, else F1 where there is one, else the first."""
    return getattr(measures, "MAIN", None) or usual_main(measures.FIGURES)


def usual_main(figures: Mapping[str, str]) -> str:
    return next((name for name, how in figures.items() if how == F1), next(iter(figures)))


def by_group(
    scores: Sequence[Score], figures: Mapping[str, str], group: str, samples: int, seed: int, main: str | None = None
) -> dict[str, Row]:
    """A line for each value of the group: its rows, its figures, and the 95 % interval of the main one."""
    table, main = {}, main or usual_main(figures)
    for value in sorted({score.groups[group] for score in scores if group in score.groups}):
        mine = [score for score in scores if score.groups.get(group) == value]
        line = {name: rounded(figure) for name, figure in summarize(mine, figures).items()}
        edges = drawn(mine, {main: figures[main]}, samples, seed)[main]
        table[value] = {"rows": len(mine), **line, f"{main}_interval": edges}
    return table


def worst(scores: Sequence[Score], most: int = WORST) -> list[Row]:
    """The commonest mistakes: one kind taken for another, and fields missed, invented or of another value."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for score in scores:
        if score.pair and score.pair[1] not in (score.pair[0], UNJUDGED):
            counts["answer", *score.pair] += 1
        missed = Counter(path for path, _ in score.missed.elements())
        invented = Counter(path for path, _ in score.invented.elements())
        for given, paths in (
            ("another value", missed & invented),
            ("missed", missed - invented),
            ("invented", invented - missed),
        ):
            for path, times in paths.items():
                counts["field", path, given] += times
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most]
    return [{"kind": k, "expected": e, "given": g, "times": n} for (k, e, g), n in ranked]


def confusion(scores: Sequence[Score], figures: Mapping[str, str], main: str | None = None) -> list[tuple[str, str]]:
    """What the heat map counts: (actual, predicted) of each answer.

    Where answers are of no kind: (section of the record, what became of a field of it) of each field; where they are
    no records either, (the row's first group, the main figure's tenth) of each answer.
    """
    if any(score.pair for score in scores):
        return [score.pair for score in scores if score.pair]
    counted = [
        (path.split(".")[0], what)
        for score in scores
        for what in ("right", "missed", "invented")
        for path, _ in getattr(score, what).elements()
    ]
    main = main or usual_main(figures)
    return counted or [(next(iter(s.groups.values()), "all"), band(main, s.figures[main])) for s in scores]


def band(name: str, value: float | None) -> str:
    """The tenth that a share, 0 to 1, is in; of more than 1, the whole numbers that it is between."""
    if value is None:
        return f"no {name}"
    if value > 1:
        return f"{name} {int(value)}–{int(value) + 1}"
    tenth = min(int(value * 10), 9)
    return f"{name} {tenth / 10:.1f}–{(tenth + 1) / 10:.1f}"


def write_confusion(path: Path, pairs: list[tuple[str, str]]) -> None:
    with whole_file(path) as part, part.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(("actual", "predicted"))
        writer.writerows(pairs)
