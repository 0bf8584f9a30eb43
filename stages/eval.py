"""Answers of base and adapter to the test rows → the recipe's measures of both; no model is loaded.

Where the base was also asked after examples (baseline.shots), that is a third side.

    python -m stages.eval --recipe recipes/query_json --adapter query_json \\
        --train data/query_json/split/train.jsonl --test data/query_json/split/test.jsonl \\
        --baseline data/query_json/baseline.jsonl --tuned data/query_json/answers.jsonl \\
        --metrics metrics/query_json/eval.json --report metrics/query_json/report.json \\
        --confusion metrics/query_json/confusion.csv \\
        --predictions metrics/query_json/predictions.jsonl --answers .tuneline/answers \\
        --samples 1000 --seed 0 --provider offline --model offline --temperature 0 \\
        --max-tokens 1024 --base-url default --concurrency 20 --requests-per-minute 0 \\
        --tokens-per-minute 0 --timeout 120 --attempts 5 --budget-usd 5 --no-batch \\
        --price gpt-5-mini=0.25/2.00
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from tuneline.files import Clock, Row, read_jsonl, write_json, write_jsonl
from tuneline.measuring.agreement import believe
from tuneline.measuring.contamination import contaminated, without
from tuneline.measuring.kinds import open_measures
from tuneline.measuring.report import (
    BASE,
    SHOTS,
    TUNED,
    Sides,
    check_rows,
    confusion,
    evaluate,
    main_figure,
    score_answers,
    wants_judge,
    write_confusion,
)
from tuneline.recipe.own import Measures
from tuneline.recipe.settings import read_recipe
from tuneline.rows import answer
from tuneline.table import show_evaluation
from tuneline.teaching.judging import judge_by_rules
from tuneline.teaching.options import Settings, teacher_options
from tuneline.teaching.teacher import Teacher


def match_answers(rows: list[Row], path: Path) -> list[Row]:
    """What baseline or predict wrote, in the order of the test rows.

    Raises click.ClickException when they are to other rows.
    """
    by_id = {row["id"]: row for row in read_jsonl(path)}
    if set(by_id) != {row["id"] for row in rows}:
        raise click.ClickException(f"{path} is of other test rows; run `dvc repro`")
    return [by_id[row["id"]] for row in rows]


def read_sides(rows: list[Row], baseline: Path, tuned: Path) -> tuple[dict[str, list[str | float]], list[int]]:
    """(the answers of each side, or the bits of a row that is only text; how many examples stood before each row)."""
    of_base, of_tuned = match_answers(rows, baseline), match_answers(rows, tuned)
    given = {BASE: [_said(row) for row in of_base]}
    asked_again = all(SHOTS in row for row in of_base)
    if asked_again:
        given[SHOTS] = [row[SHOTS] for row in of_base]
    given[TUNED] = [_said(row) for row in of_tuned]
    return given, [row["examples"] for row in of_base] if asked_again else []


def _said(row: Row) -> str | float:
    return row["bits"] if "bits" in row else row["answer"]


def score_sides(
    measures: Measures, rows: list[Row], given: dict[str, list[str | float]], judge: Teacher | None
) -> tuple[Sides, Row]:
    """(the scores of each side, what the report says of the judge): one call, so that it is paid, and shows, once."""
    answers = [said for mine in given.values() for said in mine]
    scores, spend = score_answers(measures, rows * len(given), answers, judge)
    sides = {side: scores[at * len(rows) : (at + 1) * len(rows)] for at, side in enumerate(given)}
    return sides, {"judge": judge.name, "judge_spend": spend.metrics()} if judge else {}


def predicted(rows: list[Row], given: dict[str, list[str | float]], sides: Sides) -> Iterator[Row]:
    """Each test row with each side's answer, or the bits of its text, their figures and what else is said of them."""
    for at, row in enumerate(rows):
        asked = {"text": row["text"]} if "text" in row else {"messages": row["messages"][:-1], "reference": answer(row)}
        yield {
            "id": row["id"],
            **asked,
            **{side: given[side][at] for side in sides},
            "figures": {side: scores[at].figures for side, scores in sides.items()},
            "marks": {side: scores[at].marks for side, scores in sides.items()},
        }


@click.command()
@click.option("--recipe", type=click.Path(path_type=Path), required=True)
@click.option("--adapter", required=True, help="Its name, as the title of its table.")
@click.option(
    "--train", type=click.Path(path_type=Path), required=True, help="For the commonest answer, and contamination."
)
@click.option("--test", type=click.Path(path_type=Path), required=True)
@click.option("--baseline", type=click.Path(path_type=Path), required=True)
@click.option("--tuned", type=click.Path(path_type=Path), required=True)
@click.option("--metrics", type=click.Path(path_type=Path), required=True)
@click.option("--report", type=click.Path(path_type=Path), required=True)
@click.option("--confusion", "confusion_path", type=click.Path(path_type=Path), required=True)
@click.option("--predictions", type=click.Path(path_type=Path), required=True)
@click.option("--answers", type=click.Path(path_type=Path), required=True, help="The log of paid answers.")
@click.option("--samples", type=click.IntRange(1), required=True, help="Of the bootstrap.")
@click.option("--seed", type=int, required=True)
@teacher_options
def main(
    recipe: Path,
    adapter: str,
    train: Path,
    test: Path,
    baseline: Path,
    tuned: Path,
    metrics: Path,
    report: Path,
    confusion_path: Path,
    predictions: Path,
    answers: Path,
    samples: int,
    seed: int,
    **judge_settings: Any,
) -> None:
    clock, rows = Clock("eval", adapter), read_jsonl(test)
    if not rows:
        raise click.ClickException(f"{test} has no row; run `dvc repro --force`")
    trained = read_jsonl(train)
    measures = open_measures(recipe, trained, rows)
    given, examples = read_sides(rows, baseline, tuned)
    check_rows(measures, rows, given)
    if wants_judge(measures):
        with Teacher(Settings(**judge_settings), answers, judge_by_rules(recipe)) as judge:
            agreed = believe(recipe, measures, judge, samples, seed)
            sides, judged = score_sides(measures, rows, given, judge)
            judged |= agreed
    else:
        sides, judged = score_sides(measures, rows, given, None)
    figures, beside = evaluate(measures, sides, adapter, samples, seed)
    if examples:
        beside[SHOTS] = {"examples": max(examples), "fewer": sum(n < max(examples) for n in examples), **beside[SHOTS]}
    if seen := contaminated(trained, rows, read_recipe(recipe).curate.contamination):
        figures["contaminated"] = len(seen)
        beside["contamination"] = without(seen, rows, sides, measures)
    beside = {**judged, **beside}
    write_jsonl(predictions, predicted(rows, given, sides))
    telling = main_figure(measures)
    write_confusion(confusion_path, confusion(sides[TUNED], measures.FIGURES, telling))
    write_json(report, beside)
    write_json(metrics, figures)
    show_evaluation(adapter, figures, beside)
    mains = {side: "-" if (value := figures[side][telling]) is None else f"{value:.3f}" for side in sides}
    shots = f", {SHOTS} {mains[SHOTS]}" if SHOTS in mains else ""
    clock.tell(f"{len(rows):,} test rows", f"{telling} {mains[BASE]} → {mains[TUNED]}{shots}")


if __name__ == "__main__":
    main()
