"""`tuneline judge`: is the judge to be believed? Answers to label by hand, and what it says of those labelled."""

import json
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from tuneline.files import Row
    from tuneline.recipe.own import Measures


@click.group()
def judge() -> None:
    """Hold a recipe's judge against labels of people."""


@judge.command()
@click.argument("adapter")
@click.option("--rows", type=click.IntRange(1), default=50, show_default=True, help="Answers to label.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True)
def sample(adapter: str, rows: int, seed: int, out: Path) -> None:
    """Draw answers of ADAPTER and its base to label: JSON Lines, in which what you say goes in place of null.

    Which of the two an answer is of, and what the judge said of it, is not told.
    """
    from tuneline.files import read_jsonl, write_jsonl
    from tuneline.measuring.agreement import KIND
    from tuneline.measuring.report import unjudged

    recipe, _ = _judged(adapter)
    measures = _with_judge(recipe)
    if out.exists():
        raise click.ClickException(f"{out} is there, and may have labels in it; give another --out")
    predictions, test = Path(f"metrics/{adapter}/predictions.jsonl"), Path(f"data/{adapter}/split/test.jsonl")
    for path in (predictions, test):
        if not path.is_file():
            raise click.ClickException(f"{path} is not there; `dvc repro eval@{adapter}` or `dvc pull` brings it")
    by_id = {row["id"]: row for row in read_jsonl(test)}
    told = [(by_id.get(row["id"]), row[side]) for row in read_jsonl(predictions) for side in ("base", "tuned")]
    if any(row is None for row, _ in told):
        raise click.ClickException(f"{predictions} is of other test rows; run `dvc repro eval@{adapter}`")
    drawn = random.Random(seed).sample(told, min(rows, len(told)))
    names = _judged_figures(measures, *drawn[0])
    kind = [KIND] if unjudged(measures, *drawn[0]).pair else []
    blank = dict.fromkeys([*kind, *names])
    write_jsonl(out, ({"row": row, "answer": answer, "labels": blank} for row, answer in drawn))
    click.echo(f"{out}: {len(drawn)} answers; label what you can of {', '.join(blank)}, and leave the rest null")


@judge.command()
@click.argument("adapter")
@click.option(
    "--labels", type=click.Path(dir_okay=False, path_type=Path), help="[default: judge/labelled.jsonl of its recipe]"
)
@click.option("--twice/--once", default=True, show_default=True, help="Ask again: does it say the same of the same?")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="The same as a JSON file.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def check(adapter: str, labels: Path | None, twice: bool, out: Path | None, as_json: bool) -> None:
    """The judge that params.yaml names for ADAPTER, on labelled answers: kappa, agreement, and its taste for length.

    Paid answers are in the log: a second check costs nothing, another judge or rubric is asked anew.
    """
    from tuneline.files import write_json
    from tuneline.measuring.agreement import LABELLED, LEAST, agreement, judge_labelled, read_labelled, same_twice
    from tuneline.teaching.judging import judge_by_rules
    from tuneline.teaching.options import teacher_settings
    from tuneline.teaching.teacher import Teacher

    recipe, options = _judged(adapter)
    measures = _with_judge(recipe)
    labelled = read_labelled(labels or recipe / LABELLED, measures)
    with Teacher(teacher_settings(options), Path(options["answers"]), judge_by_rules(recipe)) as asked:
        first = judge_labelled(measures, labelled, asked)
        figures = agreement(labelled, first, options["samples"], options["seed"])
        if twice and not asked.offline:  # rules say the same twice
            again = same_twice(first, judge_labelled(measures, labelled, asked, number=1), list(figures))
            figures = {name: {**told, "kappa_with_itself": again[name]} for name, told in figures.items()}
        found = {"judge": asked.name, "usd": round(asked.spent, 6), "figures": figures}
    if out:
        write_json(out, found)
    if as_json:
        click.echo(json.dumps(found))
        return
    _show(adapter, found)
    if few := [name for name, told in figures.items() if told["labels"] < LEAST]:
        click.echo(f"fewer than {LEAST} labels: {', '.join(few)}; that says little", err=True)


def _judged(adapter: str) -> tuple[Path, dict[str, Any]]:
    """(the adapter's recipe, the options of its eval)."""
    from tuneline.pipeline import stage_options

    options = stage_options(Path.cwd(), f"eval@{adapter}")
    return Path(options["recipe"]), options


def _with_judge(recipe: Path) -> "Measures":
    """Raises click.ClickException where the recipe's answers have no judge."""
    from tuneline.measuring.kinds import open_measures
    from tuneline.measuring.report import wants_judge

    measures = open_measures(recipe)
    if not wants_judge(measures):
        raise click.ClickException(f"{recipe}: no judge is asked of its answers; docs/measures.md says how one is")
    return measures


def _judged_figures(measures: "Measures", row: "Row", answer: str) -> list[str]:
    """Those that are not there without the judge."""
    from tuneline.measuring.report import unjudged

    figures = unjudged(measures, row, answer).figures
    return [name for name in measures.FIGURES if figures.get(name) is None]


def _show(adapter: str, found: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from tuneline.files import WIDTH

    table = Table(title=f"{adapter}, judged by {escape(found['judge'])}", title_justify="left")
    table.add_column("label", overflow="fold", min_width=20)
    asked_twice = any("kappa_with_itself" in told for told in found["figures"].values())
    for column in ("labels", "says the same", "kappa", *["of itself"] * asked_twice, "likes length"):
        table.add_column(column, justify="right", no_wrap=True)
    for name, told in found["figures"].items():
        count = f"{told['labels']} of {told['of']}" if told["labels"] < told["of"] else str(told["labels"])
        itself = [_cell(told, "kappa_with_itself")] * asked_twice
        cells = [_cell(told, "equal"), _cell(told, "kappa"), *itself, _cell(told, "length_bias", "+")]
        table.add_row(name, count, *cells)
    console = Console(width=WIDTH)
    console.print(table)
    console.print("kappa: 1 is what people said, 0 what chance gives; in brackets the 95 % bootstrap interval")


def _cell(told: dict[str, Any], name: str, sign: str = "") -> str:
    if told.get(name) is None:
        return "-"
    edges = told.get(f"{name}_interval")
    shown = "" if not edges or None in edges else f" \\[{edges[0]:{sign}.2f}, {edges[1]:{sign}.2f}]"
    return f"{told[name]:{sign}.2f}{shown}"
