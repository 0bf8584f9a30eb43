"""Does a new version win? Base, previous and new on the same held-out rows, by the same measure."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from tuneline.feedback.gate_settings import GateSettings
from tuneline.files import Row, read_jsonl
from tuneline.measuring.bootstrap import paired_interval
from tuneline.measuring.kinds import open_measures
from tuneline.measuring.report import drawn, score_answers, wants_judge
from tuneline.measuring.score import MEAN, Score, rounded, summarize
from tuneline.pipeline import stage_options
from tuneline.retraining.retention import broken, retention, told_broken, told_retention
from tuneline.teaching.judging import judge_by_rules
from tuneline.teaching.options import teacher_settings
from tuneline.teaching.teacher import Teacher

POWER = 1.959964 + 0.841621  # z of 0.975 and of 0.8


@dataclass(frozen=True)
class Decision:
    """`difference`: the mean of new minus previous by row; `interval`: its central 95 %; `detectable`: as there."""

    wins: bool
    reason: str
    difference: float
    interval: tuple[float, float]
    detectable: float | None


def detectable(differences: np.ndarray) -> float | None:
    """The least true difference that as many rows show in 80 of 100 runs, 5 % two-sided [1]; None for one row.

    `differences`: float array (rows,). [1] J. Cohen, "Statistical Power Analysis for the Behavioral Sciences", 1988: by
    the normal approximation, (z of 0.975 + z of 0.8) times the standard error of the paired mean.
    """
    if len(differences) < 2:
        return None
    return round(float(POWER * differences.std(ddof=1) / np.sqrt(len(differences))), 4)


def decide(
    new: Sequence[float | None], previous: Sequence[float | None], samples: int, seed: int, least: float = 0.0
) -> Decision:
    """The new version wins when the whole interval of the mean difference is above `least`.

    `new` and `previous` are figures of the same rows, in their order; a row that lacks one does not count.
    Raises click.ClickException when no row has both.
    """
    pairs = [(n, p) for n, p in zip(new, previous, strict=True) if n is not None and p is not None]
    if not pairs:
        raise click.ClickException("no held-out row has a figure for both versions: nothing to decide by")
    differences = np.array([n - p for n, p in pairs])
    low, high = paired_interval(differences, samples, seed)
    mean, shows = round(float(differences.mean()), 4), detectable(differences)
    shown = f"{mean:+.4f} [{low:+.4f}, {high:+.4f}] on {len(pairs)} rows"
    if shows is not None:
        shown += f", which show {least + shows:.4f} at 80 %"
    if low > least:
        return Decision(True, f"better by {shown}", mean, (low, high), shows)
    wanted = f"by {least:g} " if least else ""
    return Decision(False, f"not better {wanted}beyond the interval: {shown}", mean, (low, high), shows)


def means(scores: list[Score], samples: int, seed: int) -> dict[str, dict[str, Any]]:
    """Figure → {"mean", "interval"}, without those that no row has. `scores`: one a row."""
    figures = dict.fromkeys(scores[0].figures, MEAN)
    edges = drawn(scores, figures, samples, seed)
    found = {name: rounded(value) for name, value in summarize(scores, figures).items()}
    return {name: {"mean": mean, "interval": edges[name]} for name, mean in found.items() if mean is not None}


def compare(
    checkout: Path, adapter: str, served: Path | None, gate: GateSettings, options: dict[str, Any]
) -> dict[str, Any]:
    """What base, previous and new make of the held-out rows of a run's checkout, and whether the new one wins.

    `served`: the folder of the version in service; without one the base is the previous. `options`: those of the
    adapter's eval stage, which has scored base and new. {"rows", "measure", "judge", "against", "sides",
    "difference", "detectable", "must", "retention", "wins", "reason", "spend_usd"}. General questions are asked only
    where it would win. Raises click.ClickException when the recipe's measures lack gate.measure.
    """
    measure = gate.measure
    predictions = read_jsonl(checkout / options["predictions"])
    report = json.loads((checkout / options["report"]).read_text("utf-8"))
    usd = report.get("judge_spend", {}).get("usd", 0.0)
    scored = {
        name: [Score(row["figures"][side]) for row in predictions]
        for name, side in (("base", "base"), ("new", "tuned"))
    }
    if served:
        scored["previous"], more = score_served(checkout, adapter, served, predictions, options)
        usd += more
    known = scored["new"][0].figures
    if measure not in known:
        raise click.ClickException(f"gate.measure: no {measure} among the figures; there are {', '.join(known)}")
    bootstrap = (options["samples"], options["seed"])
    before = "previous" if served else "base"
    new, old = ([one.figures[measure] for one in scored[side]] for side in ("new", before))
    decision = decide(new, old, *bootstrap, gate.least_effect)
    must = broken(test_rows(checkout, predictions, options), new, old)
    reasons, wins = [decision.reason, told_broken(must)], decision.wins and not must["broken"]
    kept = retention(checkout, adapter, options["recipe"], gate.retention_margin, *bootstrap) if wins else None
    if kept:
        reasons, wins = [*reasons, told_retention(kept)], kept["kept"]
    sides = [side for side in ("base", "previous", "new") if side in scored]
    return {
        "rows": len(predictions),
        "measure": measure,
        "judge": report.get("judge"),
        "against": before,
        "sides": {side: means(scored[side], *bootstrap) for side in sides},
        "difference": {"mean": decision.difference, "interval": list(decision.interval)},
        "detectable": decision.detectable,
        "must": must,
        "retention": kept,
        "wins": wins,
        "reason": f"{measure} {'; '.join(filter(None, reasons))}",
        "spend_usd": usd,
    }


def test_rows(checkout: Path, predictions: list[Row], options: dict[str, Any]) -> list[Row]:
    """The held-out rows in the order of the predictions."""
    by_id = {row["id"]: row for row in read_jsonl(checkout / options["test"])}
    return [by_id[row["id"]] for row in predictions]


def score_served(
    checkout: Path, adapter: str, served: Path, predictions: list[Row], options: dict[str, Any]
) -> tuple[list[Score], float]:
    """(scores of the version in service, in the order of the predictions; USD for the judge)."""
    rows = test_rows(checkout, predictions, options)
    answers = ask_served(checkout, adapter, served, rows)
    recipe = checkout / options["recipe"]
    measures = open_measures(recipe, read_jsonl(checkout / options["train"]), rows)
    if not wants_judge(measures):
        return score_answers(measures, rows, answers, None)[0], 0.0
    with Teacher(teacher_settings(options), options["answers"], judge_by_rules(recipe)) as judge:
        scores, spend = score_answers(measures, rows, answers, judge)
    return scores, spend.usd


def ask_served(checkout: Path, adapter: str, served: Path, rows: list[Row]) -> list[str]:
    """The answers of the version in service to the held-out questions, asked as it was trained."""
    from tuneline.answering.predictor import open_adapter
    from tuneline.rendering.lengths import most_new_tokens

    options = stage_options(checkout, f"predict@{adapter}")
    predictor = open_adapter(served, options["constrain"], checkout)
    asked = [row["messages"][:-1] for row in rows]
    most = most_new_tokens(options["max_new_tokens"], predictor.chat, rows)
    return predictor.answer(asked, options["batch_size"], most, "in service")


def card(order: dict[str, Any], comparison: dict[str, Any], knobs: dict[str, Any]) -> str:
    """The model card as Markdown: what it was trained on and from, and how it did beside the others."""
    previous = comparison["previous"] or "none, so the base"
    lines = [
        f"# {order['adapter']}, run {order['name']}",
        "",
        f"- task: {order['task']}",
        f"- base: {knobs['base']}",
        f"- parent version: {previous}",
        f"- samples: {order['samples']} accepted ones, SHA-256 `{order['sha256']}`",
        f"- code: commit `{order['commit']}`; `dvc.lock` beside this card has the data and the weights",
        f"- promoted: {'yes' if comparison['wins'] else 'no'}, {comparison['reason']}",
        f"- rows marked must: {comparison['must']['rows']}, {len(comparison['must']['broken'])} of them broken",
        "",
        f"Means over {comparison['rows']} held-out rows, which no sample joins, with the central 95 % of a bootstrap"
        + (f"; judged by {comparison['judge']}." if comparison["judge"] else "."),
        "",
    ]
    sides = comparison["sides"]
    lines += ["| measure | " + " | ".join(sides) + " |", "|---|" + "---|" * len(sides)]
    for name in sides["new"]:
        lines.append(f"| {name} | " + " | ".join(shown(side.get(name)) for side in sides.values()) + " |")
    lines += ["", "Knobs:", "", "```json", json.dumps(knobs, indent=2), "```", ""]
    return "\n".join(lines)


def shown(figure: dict[str, Any] | None) -> str:
    """A mean with its interval, in at most 20 columns."""
    if not figure:
        return "-"
    if None in figure["interval"]:
        return f"{figure['mean']:.3f}"
    low, high = figure["interval"]
    return f"{figure['mean']:.3f} [{low:.3f}, {high:.3f}]"
