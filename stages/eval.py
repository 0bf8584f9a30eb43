"""Adapter and test rows → the recipe's measures for base and tuned, on the same rows.

    python -m stages.eval --backend cuda --adapter adapters/query_json --recipe recipes/query_json \\
        --base models/tiny --quantization none --test data/query_json/chat/test.jsonl \\
        --baseline data/query_json/baseline.jsonl --metrics metrics/query_json/eval.json \\
        --report metrics/query_json/report.json --confusion metrics/query_json/confusion.csv \\
        --predictions metrics/query_json/predictions.jsonl --answers .tuneline/answers \\
        --batch-size 64 --max-new-tokens 192 --no-constrain --bootstrap-samples 1000 \\
        --bootstrap-seed 0 --provider offline --model offline --temperature 0 --max-tokens 1024 \\
        --base-url default --concurrency 20 --requests-per-minute 0 --tokens-per-minute 0 \\
        --timeout 120 --attempts 5 --budget-usd 5 --no-batch --price gpt-5-mini=0.25/2.00
"""

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from tuneline import json_measures, judge_measures, persona_measures, task_measures, toon_measures
from tuneline.adapter import read_adapter
from tuneline.base import read_base
from tuneline.bootstrap import intervals
from tuneline.files import Row, read_jsonl, whole_file, write_json, write_jsonl
from tuneline.judging import answer_request, persona_request
from tuneline.persona_measures import read_answer
from tuneline.personas import read_personas
from tuneline.predictor import Predictor, predict_options
from tuneline.recipe import JsonEval, JudgeEval, PersonaEval, TaskEval, ToonEval, read_recipe
from tuneline.table import show_evaluation
from tuneline.teacher import Outcome, Request, Settings, Spend, Teacher, teacher_options
from tuneline.templates import read_prompt


@dataclass(frozen=True)
class Measured:
    """What a kind of measures makes of base and tuned answers.

    `figures` takes a side's scored answers and, for the bootstrap, row numbers. `confusion` has (actual,
    predicted) of each tuned answer; `marks`, what stands beside each prediction.
    """

    base: list[Any]
    tuned: list[Any]
    figures: Callable[..., dict[str, Any]]
    tables: dict[str, Any]
    confusion: list[tuple[str, str]]
    marks: list[Row]


def measure_json(settings: JsonEval, recipe: Path, rows: list[Row], base: list[str], tuned: list[str]) -> Measured:
    scorer = json_measures.Scorer(json.loads((recipe / "schema.json").read_text("utf-8")), settings.intent)
    references = [row["messages"][-1]["content"] for row in rows]
    sides = [[scorer.score(a, r) for a, r in zip(given, references, strict=True)] for given in (base, tuned)]
    return Measured(
        *sides,
        figures=json_measures.measure,
        tables={
            "per_intent": {
                side: json_measures.per_intent(scored) for side, scored in zip(("base", "tuned"), sides, strict=True)
            },
            "worst_confusions": json_measures.worst_confusions(sides[1]),
        },
        confusion=[(s.expected_intent, s.intent) for s in sides[1]],
        marks=[{"exact": s.exact} for s in sides[1]],
    )


def measure_judged(
    settings: JudgeEval,
    recipe: Path,
    rows: list[Row],
    base: list[str],
    tuned: list[str],
    judge: Teacher,
    samples: int,
    seed: int,
) -> Measured:
    """Raises click.ClickException when the judge cannot be asked; a judgement that is refused is no zero."""
    if any("fields" not in row for row in rows):
        raise click.ClickException(f"{recipe / 'recipe.yaml'}: a judge needs rows with fields; give extract a form")
    rubric = read_prompt(recipe / settings.rubric)
    asked = [
        [answer_request(row, given, rubric) for row, given in zip(rows, side, strict=True)] for side in (base, tuned)
    ]
    outcomes, spend = judge_all(judge, asked)
    sides = [[judge_measures.read_verdict(r, o) for r, o in zip(rows, side, strict=True)] for side in outcomes]
    return Measured(
        *sides,
        figures=lambda scored, picks=None: judge_measures.measure(scored, settings.good, picks),
        tables={
            "judge": judge.name,
            "judge_spend": spend.metrics(),
            **{
                name: {
                    side: judged_tables(scored, settings.good, key, samples, seed)
                    for side, scored in zip(("base", "tuned"), sides, strict=True)
                }
                for name, key in (("per_topic", "topic"), ("per_behavior", "expected"))
            },
            "worst_confusions": judge_measures.worst_confusions(sides[1]),
        },
        confusion=[(v.expected, v.shown) for v in sides[1]],
        marks=[
            {"judged": {s: [v.score, v.shown, v.reason] for s, v in (("base", b), ("tuned", t))}}
            for b, t in zip(*sides, strict=True)
        ],
    )


def measure_personas(
    settings: PersonaEval,
    recipe: Path,
    rows: list[Row],
    base: list[str],
    tuned: list[str],
    judge: Teacher,
    adapter: str,
) -> Measured:
    """Raises click.ClickException when a row names no persona that has rules."""
    personas = read_personas(recipe / settings.rules)
    if unknown := sorted({str(row.get("fields", {}).get("persona")) for row in rows} - set(personas)):
        raise click.ClickException(f"{recipe / settings.rules} has no persona {', '.join(unknown)}; correct sdg's give")
    rubrics = {name: read_prompt(recipe / persona.rubric) for name, persona in personas.items()}

    def request(row: Row, given: str) -> Request:
        name = row["fields"]["persona"]
        return persona_request(row, given, personas[name], rubrics[name])

    asked = [[request(row, given) for row, given in zip(rows, side, strict=True)] for side in (base, tuned)]
    outcomes, spend = judge_all(judge, asked)
    sides = [
        [read_answer(row, given, personas, outcome) for row, given, outcome in zip(rows, side, told, strict=True)]
        for side, told in zip((base, tuned), outcomes, strict=True)
    ]
    return Measured(
        *sides,
        figures=lambda scored, picks=None: persona_measures.measure(scored, settings.good, picks),
        tables={
            "judge": judge.name,
            "judge_spend": spend.metrics(),
            "recipe": recipe.name,
            "cross": [
                *persona_measures.cross(f"base, asked as {adapter}", sides[0]),
                *persona_measures.cross(adapter, sides[1]),
            ],
            "per_check": {
                side: persona_measures.per_check(scored) for side, scored in zip(("base", "tuned"), sides, strict=True)
            },
        },
        confusion=[(r.persona, r.fits) for r in sides[1]],
        marks=[
            {"judged": {side: [r.score, r.rules[r.persona], r.reason] for side, r in (("base", b), ("tuned", t))}}
            for b, t in zip(*sides, strict=True)
        ],
    )


def measure_toon(recipe: Path, rows: list[Row], base: list[str], tuned: list[str], samples: int, seed: int) -> Measured:
    """Raises click.ClickException when a reference is no record of the recipe's schema."""
    scorer = toon_measures.Scorer(recipe / "schema.json")
    complexities = [row.get("fields", {}).get("complexity", "") for row in rows]
    references = [row["messages"][-1]["content"] for row in rows]
    sides = [
        [scorer.score(*one) for one in zip(given, references, complexities, strict=True)] for given in (base, tuned)
    ]

    def table(key: str) -> dict[str, dict]:
        groups = [row.get("fields", {}).get(key, "") for row in rows]
        return {
            side: {
                name: toon_measures.line([r for r, g in zip(read, groups, strict=True) if g == name], samples, seed)
                for name in sorted(set(groups))
            }
            for side, read in zip(("base", "tuned"), sides, strict=True)
        }

    return Measured(
        *sides,
        figures=toon_measures.measure,
        tables={
            "per_complexity": table("complexity"),
            "per_origin": table("from"),
            "worst": toon_measures.worst(sides[1]),
        },
        confusion=toon_measures.sections(sides[1]),
        marks=[{"exact": r.exact} for r in sides[1]],
    )


def measure_task(
    settings: TaskEval,
    rows: list[Row],
    base: list[str],
    tuned: list[str],
    judge: task_measures.Judge | None,
    samples: int,
    seed: int,
) -> Measured:
    """Raises click.ClickException when the judge cannot be asked; a judgement that is refused is no zero."""
    # One call, so that the judge is paid, and shows its progress, once for both sides.
    scored, spend = task_measures.score_answers(settings.task, [*rows, *rows], [*base, *tuned], judge)
    sides = scored[: len(rows)], scored[len(rows) :]
    by_side = {
        side: task_measures.tables(settings.task, rows, one, settings.good, samples, seed)
        for side, one in zip(("base", "tuned"), sides, strict=True)
    }
    return Measured(
        *sides,
        figures=lambda one, picks=None: task_measures.measure(one, settings.good, picks),
        tables={
            **({"judge": judge.teacher.name, "judge_spend": spend.metrics()} if judge else {}),
            "task": settings.task,
            **{name: {side: made[name] for side, made in by_side.items()} for name in by_side["tuned"]},
        },
        confusion=task_measures.pairs(settings.task, rows, tuned, sides[1]),
        marks=[
            {
                "figures": {"base": b.figures, "tuned": t.figures},
                **({"reasons": {"base": b.reason, "tuned": t.reason}} if judge else {}),
            }
            for b, t in zip(*sides, strict=True)
        ],
    )


def judge_all(judge: Teacher, asked: list[list[Request]]) -> tuple[list[list[Outcome]], Spend]:
    """The judge's outcomes for base and tuned, in order, and what they cost."""
    judge.pay([request for side in asked for request in side], "judge", sum(map(len, asked)))
    spend = Spend(judge)
    outcomes = [[judge.outcome(request) for request in side] for side in asked]
    for outcome in (one for side in outcomes for one in side):
        spend.add(outcome.keys)
    return outcomes, spend


def judged_tables(verdicts: list[judge_measures.Verdict], good: int, key: str, samples: int, seed: int) -> dict:
    """A line for each value of `key`, with the 95 % interval of its score."""
    table = judge_measures.by_group(verdicts, good, key)
    for name, line in table.items():
        mine = [v for v in verdicts if getattr(v, key) == name]
        drawn = intervals(lambda picks, m=mine: judge_measures.measure(m, good, picks), len(mine), samples, seed)
        line["score_interval"] = drawn["score"]
    return table


def evaluate(measured: Measured, samples: int, seed: int) -> tuple[dict, dict]:
    """(metrics, report): the figures, and what stands beside them."""
    sides = {"base": measured.base, "tuned": measured.tuned}
    metrics = {
        side: {name: judge_measures.rounded(value) for name, value in measured.figures(scored).items()}
        for side, scored in sides.items()
    }
    report = {
        "rows": len(measured.tuned),
        "intervals": {
            side: intervals(lambda picks, s=scored: measured.figures(s, picks), len(scored), samples, seed)
            for side, scored in sides.items()
        },
        **measured.tables,
    }
    return metrics, report


def write_confusion(path: Path, pairs: list[tuple[str, str]]) -> None:
    with whole_file(path) as part, part.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(("actual", "predicted"))
        writer.writerows(pairs)


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
@click.option("--answers", type=click.Path(path_type=Path), required=True, help="The log of paid answers.")
@click.option("--bootstrap-samples", type=click.IntRange(1), required=True)
@click.option("--bootstrap-seed", type=int, required=True)
@predict_options
@teacher_options
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
    answers: Path,
    bootstrap_samples: int,
    bootstrap_seed: int,
    batch_size: int,
    max_new_tokens: int,
    constrain: bool,
    **judge_settings: Any,
) -> None:
    trained_by = read_adapter(adapter_folder).backend
    if trained_by != backend:
        raise click.ClickException(f"{adapter_folder} was trained by {trained_by}, not {backend}; run `dvc repro`")
    settings = read_recipe(recipe).eval
    rows = read_jsonl(test)
    base_answers = match_baseline(rows, read_jsonl(baseline))
    schema = recipe / "schema.json" if constrain else None
    predictor = Predictor(backend, read_base(base_folder), quantization, adapter_folder, schema)
    asked = [row["messages"][:-1] for row in rows]
    tuned_answers = predictor.answer(asked, batch_size, max_new_tokens, "tuned")

    if isinstance(settings, JsonEval):
        measured = measure_json(settings, recipe, rows, base_answers, tuned_answers)
    elif isinstance(settings, ToonEval):
        measured = measure_toon(recipe, rows, base_answers, tuned_answers, bootstrap_samples, bootstrap_seed)
    elif isinstance(settings, TaskEval) and not settings.rubric:
        measured = measure_task(settings, rows, base_answers, tuned_answers, None, bootstrap_samples, bootstrap_seed)
    elif isinstance(settings, TaskEval):
        rubric = read_prompt(recipe / settings.rubric)
        with Teacher(Settings(**judge_settings), answers) as teacher:
            judge = task_measures.Judge(teacher, rubric)
            measured = measure_task(
                settings, rows, base_answers, tuned_answers, judge, bootstrap_samples, bootstrap_seed
            )
    elif isinstance(settings, PersonaEval):
        with Teacher(Settings(**judge_settings), answers) as judge:
            measured = measure_personas(settings, recipe, rows, base_answers, tuned_answers, judge, adapter_folder.name)
    else:
        with Teacher(Settings(**judge_settings), answers) as judge:
            measured = measure_judged(
                settings, recipe, rows, base_answers, tuned_answers, judge, bootstrap_samples, bootstrap_seed
            )
    figures, beside = evaluate(measured, bootstrap_samples, bootstrap_seed)
    write_jsonl(
        predictions,
        (
            {"id": row["id"], "messages": row["messages"][:-1], "reference": row["messages"][-1]["content"]}
            | {"base": b, "tuned": t, **marks}
            for row, b, t, marks in zip(rows, base_answers, tuned_answers, measured.marks, strict=True)
        ),
    )
    write_confusion(confusion, measured.confusion)
    write_json(report, beside)
    write_json(metrics, figures)
    show_evaluation(adapter_folder.name, figures, beside)


if __name__ == "__main__":
    main()
