"""What the benches share: their smallest size, how figures are told, two sides in turn, stages as DVC calls them."""

import importlib
import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).resolve().parent.parent
MADE = ("adapters", "data", "metrics")  # folders that stages fill
RECIPE = ROOT / "recipes/query_json"
Figures = dict[str, float | None]
Speeds = list[tuple[float, float]]  # ours and the plain alternative's, a pair a turn


def small(**sizes: Any) -> Callable:
    """The flag `--small`: `sizes` instead of the defaults. What is said beside it still counts."""

    def choose(context: click.Context, _: click.Parameter, chosen: bool) -> None:
        known = {option.name for option in context.command.params}
        assert sizes.keys() <= known, f"{sizes} are not all of {known}"
        if chosen:
            context.default_map = sizes

    words = "The smallest size: whether it runs, no figure to keep."
    return click.option("--small", is_flag=True, is_eager=True, expose_value=False, callback=choose, help=words)


def tell(figures: Figures, as_json: bool) -> None:
    """One flat object, or a line a figure; None is a figure that could not be had."""
    if as_json:
        click.echo(json.dumps(figures))
        return
    for name, value in figures.items():
        click.echo(f"{name:32} {'-' if value is None else value:>10}")


def seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


# Runs a stage and prints its seconds, its CPU seconds and its peak of memory in MiB, imports included.
STAGE = """
import resource, runpy, sys, time
began, stage = time.monotonic(), sys.argv[1]
del sys.argv[1]
try:
    runpy.run_module(f"stages.{stage}", run_name="__main__", alter_sys=True)
finally:
    used = resource.getrusage(resource.RUSAGE_SELF)
    print("MEASURED", time.monotonic() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, file=sys.stderr)
"""


def run_stage(stage: str, words: Sequence[object]) -> tuple[float, float, float]:
    """(seconds, CPU seconds, peak in MiB) of a stage in a process of its own.

    Raises click.ClickException with the end of what it said when it fails.
    """
    command = [sys.executable, "-c", STAGE, stage, *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise click.ClickException(f"{stage}: {done.stderr[-2000:]}")
    line = next(line for line in done.stderr.splitlines() if line.startswith("MEASURED"))
    seconds, used, peak = map(float, line.split()[1:])
    return seconds, used, peak


def in_turn(ours: Callable[[], float], plain: Callable[[], float], pairs: int) -> Speeds:
    """`pairs` measures of each side; who goes first changes from pair to pair."""
    speeds = []
    for pair in range(pairs):
        if pair % 2:
            second = plain()
            speeds.append((ours(), second))
        else:
            speeds.append((ours(), plain()))
    return speeds


def medians(speeds: Speeds) -> tuple[float, float, float]:
    """Of our side, of the plain one, and of the ratios of the pairs."""
    ours, plain = (round(statistics.median(side), 1) for side in zip(*speeds, strict=True))
    return ours, plain, round(statistics.median(one / other for one, other in speeds), 3)


def make_rows(count: int) -> list[dict]:
    """query_json's training rows, and what its grammar draws, up to `count`."""
    from tuneline.files import read_jsonl
    from tuneline.generating.grammar import draw_rows
    from tuneline.recipe.forms import read_form
    from tuneline.recipe.settings import read_recipe
    from tuneline.rows import make_row

    records = read_jsonl(RECIPE / "source/train.jsonl")[:count]
    (strategy,) = read_recipe(RECIPE).sdg.strategies
    if more := count - len(records):
        records += draw_rows(RECIPE / strategy.file, more, strategy.lowercase, random.Random(strategy.seed))
    return [make_row(read_form(record), "bench", number) for number, record in enumerate(records, 1)]


def options_of(stage: str, folder: Path) -> dict[str, Any]:
    """The options with which DVC would run query_json's `stage`: what stages make stands in `folder`, the rest here."""
    from tuneline.pipeline import stage_options

    def placed(value: Any) -> Any:
        if not isinstance(value, Path):
            return value
        return (folder if value.parts[0] in MADE else ROOT) / value

    return {name: placed(value) for name, value in stage_options(ROOT, f"{stage}@query_json").items()}


def run(stage: str, options: dict[str, Any]) -> None:
    """In this process."""
    importlib.import_module(f"stages.{stage}").main.callback(**options)
