"""Adapter and test rows → the recipe's measures for base and tuned, on the same rows.

    python -m stages.eval --backend cuda --adapter adapters/query_json --recipe recipes/query_json \\
        --base models/tiny --quantization none --test data/query_json/chat/test.jsonl \\
        --baseline data/query_json/baseline.jsonl --metrics metrics/query_json/eval.json \\
        --report metrics/query_json/report.json --confusion metrics/query_json/confusion.csv \\
        --predictions metrics/query_json/predictions.jsonl --batch-size 64 --max-new-tokens 192 \\
        --no-constrain --bootstrap-samples 1000 --bootstrap-seed 0
"""

import csv
import json
from pathlib import Path

import click

from tuneline.adapter import read_adapter
from tuneline.base import read_base
from tuneline.bootstrap import intervals
from tuneline.files import Row, read_jsonl, whole_file, write_json, write_jsonl
from tuneline.json_measures import Scored, Scorer, measure, per_intent, worst_confusions
from tuneline.predictor import Predictor, predict_options
from tuneline.recipe import read_recipe
from tuneline.table import show_evaluation


def evaluate(base: list[Scored], tuned: list[Scored], samples: int, seed: int) -> tuple[dict, dict]:
    """(metrics, report): the figures, and what stands beside them."""
    sides = {"base": base, "tuned": tuned}
    metrics = {
        side: {name: round(float(value), 4) for name, value in measure(scored).items()}
        for side, scored in sides.items()
    }
    report = {
        "rows": len(tuned),
        "intervals": {
            side: intervals(lambda picks, s=scored: measure(s, picks), len(scored), samples, seed)
            for side, scored in sides.items()
        },
        "per_intent": {side: per_intent(scored) for side, scored in sides.items()},
        "worst_confusions": worst_confusions(tuned),
    }
    return metrics, report


def write_confusion(path: Path, scored: list[Scored]) -> None:
    with whole_file(path) as part, part.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(("actual", "predicted"))
        writer.writerows((s.expected_intent, s.intent) for s in scored)


def match_baseline(rows: list[Row], baseline: list[Row]) -> list[str]:
    """The base's answers in the order of the test rows. Raises click.ClickException when one lacks."""
    answers = {row["id"]: row["answer"] for row in baseline}
    if set(answers) != {row["id"] for row in rows}:
        raise click.ClickException("the baseline is of other test rows; run `dvc repro`")
    return [answers[row["id"]] for row in rows]


@click.command()
@click.option("--backend", type=click.Choice(["cuda", "mlx"]), required=True)
@click.option("--adapter", "adapter_folder", type=click.Path(path_type=Path), required=True)
@click.option("--recipe", type=click.Path(path_type=Path), required=True)
@click.option("--base", "base_folder", type=click.Path(path_type=Path), required=True)
@click.option("--quantization", type=click.Choice(["none", "4bit"]), required=True)
@click.option("--test", type=click.Path(path_type=Path), required=True)
@click.option("--baseline", type=click.Path(path_type=Path), required=True)
@click.option("--metrics", type=click.Path(path_type=Path), required=True)
@click.option("--report", type=click.Path(path_type=Path), required=True)
@click.option("--confusion", type=click.Path(path_type=Path), required=True)
@click.option("--predictions", type=click.Path(path_type=Path), required=True)
@click.option("--bootstrap-samples", type=click.IntRange(1), required=True)
@click.option("--bootstrap-seed", type=int, required=True)
@predict_options
def main(
    backend: str,
    adapter_folder: Path,
    recipe: Path,
    base_folder: Path,
    quantization: str,
    test: Path,
    baseline: Path,
    metrics: Path,
    report: Path,
    confusion: Path,
    predictions: Path,
    bootstrap_samples: int,
    bootstrap_seed: int,
    batch_size: int,
    max_new_tokens: int,
    constrain: bool,
) -> None:
    trained_by = read_adapter(adapter_folder).backend
    if trained_by != backend:
        raise click.ClickException(f"{adapter_folder} was trained by {trained_by}, not {backend}; run `dvc repro`")
    settings = read_recipe(recipe).eval
    schema = recipe / "schema.json"
    rows = read_jsonl(test)
    base_answers = match_baseline(rows, read_jsonl(baseline))
    predictor = Predictor(backend, read_base(base_folder), quantization, adapter_folder, schema if constrain else None)
    asked = [row["messages"][:-1] for row in rows]
    tuned_answers = predictor.answer(asked, batch_size, max_new_tokens, "tuned")

    scorer = Scorer(json.loads(schema.read_text("utf-8")), settings.intent)
    references = [row["messages"][-1]["content"] for row in rows]
    base = [scorer.score(a, r) for a, r in zip(base_answers, references, strict=True)]
    tuned = [scorer.score(a, r) for a, r in zip(tuned_answers, references, strict=True)]
    figures, beside = evaluate(base, tuned, bootstrap_samples, bootstrap_seed)
    write_jsonl(
        predictions,
        (
            {"id": row["id"], "messages": row["messages"][:-1], "reference": r, "base": b, "tuned": t, "exact": s.exact}
            for row, r, b, t, s in zip(rows, references, base_answers, tuned_answers, tuned, strict=True)
        ),
    )
    write_confusion(confusion, tuned)
    write_json(report, beside)
    write_json(metrics, figures)
    show_evaluation(adapter_folder.name, figures, beside)


if __name__ == "__main__":
    main()
