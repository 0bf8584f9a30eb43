"""Rows a second and peak memory of extract, curate, trim, split and format, each a process of its own, as rows grow.

Rows are short: a question of 8 to 24 words with an answer of one to six, of words that are as frequent as in a
language. --near of them repeat the question of an earlier row with one letter changed, and its answer. Each row is a
function of its number, so that a smaller size is the beginning of a larger one.

    python speed/scale.py                                  # 10, 50 and 100 thousand rows, some minutes
    python speed/scale.py --rows 1000000 --json            # one flat object
    python speed/scale.py --engine ray --workers 2         # memory is that of the stage, not of its workers
    python speed/scale.py --small
"""

import os
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # before speed/, where stages.py would hide `stages`
from speed.bench import ROOT, Figures, run_stage, small, tell
from tests.recipe_folder import write_recipe
from tests.teaching import flags, settings
from tuneline.bulk.engines import ENGINES

STAGES = ("extract", "curate", "trim", "split", "format")
WORDS = 20_000
SIZES = (8, 24), (1, 6)  # words of a question, of an answer
CHECKS = {"boilerplate": ["as an ai language model", "i (cannot|can't) help"]}


def words(seed: int) -> list[str]:
    rng = random.Random(seed)
    return ["".join(rng.choices("etaoinshrdlucmfwyp", k=rng.randint(2, 9))) for _ in range(WORDS)]


def turns(number: int, known: list[str], near: float, seed: int) -> tuple[str, str]:
    """A row's question and its answer."""
    rng = random.Random(f"{seed}/{number}")
    if number and rng.random() < near:
        asked, said = turns(rng.randrange(number), known, 0, seed)
        place = rng.randrange(len(asked))
        return asked[:place] + rng.choice("aeiou") + asked[place + 1 :], said
    asked, said = ([known[int(WORDS * rng.random() ** 3)] for _ in range(rng.randint(*size))] for size in SIZES)
    return " ".join(asked), " ".join(said)


def write_rows(folder: Path, count: int, near: float, seed: int) -> None:
    """The source's records, and rows as sdg leaves them, of the same texts.

    A twentieth stands in the source's own test set; a quarter grew from the row before.
    """
    from tuneline.files import dump_json
    from tuneline.rows import make_row

    known, row = words(seed), {"id": ""}
    source, rows = folder / "recipe/source/train.jsonl", folder / "rows.jsonl"
    with source.open("w", encoding="utf-8") as records, rows.open("w", encoding="utf-8") as out:
        for number in range(count):
            said = zip(("user", "assistant"), turns(number, known, near, seed), strict=True)
            body = {"messages": [{"role": role, "content": text} for role, text in said]}
            held_out = {"set": "test"} if number % 20 == 19 else {}
            made = {"origin": "grown", "lineage": [row["id"]]} if number % 4 == 1 else {}
            row = make_row(body, "train.jsonl", number + 1, **held_out, **made)
            records.write(dump_json({**body, "split": held_out.get("set", "train")}) + "\n")
            out.write(dump_json(row) + "\n")


def options(stage: str, folder: Path, engine: str) -> list[str]:
    """The stage's options as dvc.yaml has them, on files of the folder."""
    data, recipe, base = folder / "data", folder / "recipe", ROOT / "models/tiny"
    known: dict[str, dict[str, Any]] = {
        "extract": {
            "recipe": recipe,
            "out": data / "extract.jsonl",
            "rejects": data / "extract.rejects.jsonl",
            "documents": data / "documents",
            "metrics": data / "extract.json",
            "state": data / "state",
        },
        "curate": {
            "recipe": recipe,
            "rows": folder / "rows.jsonl",
            "out": data / "curate.jsonl",
            "drops": data / "curate.drops.jsonl",
            "metrics": data / "curate.json",
            "reasons": data / "curate.csv",
            "answers": data / "answers",
        },
        "trim": {
            "rows": data / "curate.jsonl",
            "recipe": recipe,
            "base": base,
            "out": data / "trim.jsonl",
            "drops": data / "trim.drops.jsonl",
            "preamble": data / "preamble.json",
            "metrics": data / "trim.json",
            "adapter": "scale",
            "max-tokens": 2048,
        },
        "split": {
            "rows": (data / "trim.jsonl", data / "curate.jsonl"),
            "recipe": recipe,
            "out": data / "split",
            "metrics": data / "split.json",
            "held-out": 0.1,
            "seed": 0,
        },
        "format": {
            "split": data / "split",
            "preamble": data / "preamble.json",
            "base": base,
            "chat": data / "chat",
            "tokens": data / "tokens",
            "metrics": data / "format.json",
            "max-new-tokens": "auto",
        },
    }
    several = {name: value if isinstance(value, tuple) else (value,) for name, value in known[stage].items()}
    told = [word for name, values in several.items() for value in values for word in (f"--{name}", str(value))]
    told += [] if stage == "split" else ["--engine", engine]
    return told + (flags(settings(provider="offline")) if stage == "curate" else [])


def measure(folder: Path, count: int, stages: Sequence[str], engine: str) -> Figures:
    figures: Figures = {}
    for stage in stages:
        seconds, used, peak = run_stage(stage, options(stage, folder, engine))
        found = {"seconds": round(seconds, 1), "cpu_seconds": round(used, 1), "peak_mb": round(peak)}
        found["rows_per_second"] = round(count / seconds)
        figures |= {f"{count}_{stage}_{name}": value for name, value in found.items()}
        click.echo(f"{count:>9,} rows  {stage:7} {seconds:8,.1f} s {used:8,.1f} s of CPU {peak:6,.0f} MB", err=True)
    return figures


@contextmanager
def workers(engine: str, count: int) -> Iterator[None]:
    """Ray with so many on this machine, which the stages join as they would any cluster."""
    if engine == "local":
        yield
        return
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": count})
    os.environ["RAY_ADDRESS"] = cluster.address
    try:
        yield
    finally:
        del os.environ["RAY_ADDRESS"]
        cluster.shutdown()


@click.command(help=__doc__.split("\n")[0])
@click.option("--json", "as_json", is_flag=True, help="One flat object.")
@click.option("--rows", "sizes", type=click.IntRange(50), multiple=True, default=(10_000, 50_000, 100_000))
@click.option("--near", type=click.FloatRange(0, 1), default=0.1, show_default=True, help="Share of near duplicates.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--engine", type=click.Choice(ENGINES), default="local", show_default=True)
@click.option("--workers", "count", type=click.IntRange(1), default=2, show_default=True, help="Of ray.")
@click.option("--only", type=click.Choice(STAGES), help="A stage; of trim and later, after those before it, by --keep.")
@click.option("--keep", type=click.Path(path_type=Path), help="A folder for all files; none: they go.")
@small(sizes=(100,))
def main(
    as_json: bool,
    sizes: tuple[int, ...],
    near: float,
    seed: int,
    engine: str,
    count: int,
    only: str | None,
    keep: Path | None,
) -> None:
    figures: Figures = {}
    with tempfile.TemporaryDirectory() as passing, workers(engine, count):
        for size in sizes:
            folder = (keep or Path(passing)) / str(size)
            shutil.rmtree(folder / "recipe", ignore_errors=True)
            write_recipe(folder / "recipe", curate={"checks": CHECKS})
            write_rows(folder, size, near, seed)
            figures |= measure(folder, size, [only] if only else STAGES, engine)
    tell(figures, as_json)


if __name__ == "__main__":
    main()
