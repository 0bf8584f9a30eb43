"""Answers of base and adapter to the test rows → the recipe's measures of both; no model is loaded.

    python -m stages.eval --recipe recipes/query_json --adapter query_json \\
        --test data/query_json/split/test.jsonl --baseline data/query_json/baseline.jsonl \\
        --tuned data/query_json/answers.jsonl --metrics metrics/query_json/eval.json \\
        --report metrics/query_json/report.json --confusion metrics/query_json/confusion.csv \\
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

from tuneline.files import Row, read_jsonl, write_json, write_jsonl
from tuneline.measuring.kinds import open_measures
from tuneline.measuring.report import (
    SIDES,
    Sides,
    confusion,
    evaluate,
    main_figure,
    score_answers,
    wants_judge,
    write_confusion,
)
from tuneline.recipe.own import Measures
from tuneline.rows import answer
from tuneline.table import show_evaluation
from tuneline.teaching.judging import judge_by_rules
from tuneline.teaching.options import Settings, teacher_options
from tuneline.teaching.teacher import Teacher


def match_answers(rows: list[Row], answers: list[Row], path: Path) -> list[str]:
    """The answers in the order of the test rows. Raises click.ClickException when they are to other rows."""
    by_id = {row["id"]: row["answer"] for row in answers}
    if set(by_id) != {row["id"] for row in rows}:
        raise click.ClickException(f"{path} is of other test rows; run `dvc repro`")
    return [by_id[row["id"]] for row in rows]


def score_sides(
    measures: Measures, rows: list[Row], given: dict[str, list[str]], judge: Teacher | None
) -> tuple[Sides, Row]:
    """(the scores of each side, what the report says of the judge): one call, so that it is paid, and shows, once."""
    answers = [text for side in SIDES for text in given[side]]
    scores, spend = score_answers(measures, rows * len(SIDES), answers, judge)
    sides = {side: scores[at * len(rows) : (at + 1) * len(rows)] for at, side in enumerate(SIDES)}
    return sides, {"judge": judge.name, "judge_spend": spend.metrics()} if judge else {}


def predicted(rows: list[Row], given: dict[str, list[str]], sides: Sides) -> Iterator[Row]:
    """Each test row with both answers, their figures and what else is said of them."""
    for at, row in enumerate(rows):
        yield {
            "id": row["id"],
            "messages": row["messages"][:-1],
            "reference": answer(row),
            **{side: given[side][at] for side in SIDES},
            "figures": {side: sides[side][at].figures for side in SIDES},
            "marks": {side: sides[side][at].marks for side in SIDES},
        }


@click.command()
@click.option("--recipe", type=click.Path(path_type=Path), required=True)
@click.option("--adapter", required=True, help="Its name, as the title of its table.")
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
    measures, rows = open_measures(recipe), read_jsonl(test)
    paths = {"base": baseline, "tuned": tuned}
    given = {side: match_answers(rows, read_jsonl(path), path) for side, path in paths.items()}
    if wants_judge(measures):
        with Teacher(Settings(**judge_settings), answers, judge_by_rules(recipe)) as judge:
            sides, judged = score_sides(measures, rows, given, judge)
    else:
        sides, judged = score_sides(measures, rows, given, None)
    figures, beside = evaluate(measures, sides, adapter, samples, seed)
    beside = {**judged, **beside}
    write_jsonl(predictions, predicted(rows, given, sides))
    write_confusion(confusion_path, confusion(sides["tuned"], measures.FIGURES, main_figure(measures)))
    write_json(report, beside)
    write_json(metrics, figures)
    show_evaluation(adapter, figures, beside)


if __name__ == "__main__":
    main()
