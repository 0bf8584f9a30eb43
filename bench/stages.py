"""Speed of the stages as ratios against the plain alternative; docs/benchmarks.md says how and why.

Both sides of a ratio run in turn in one process, on the same rows, so that a slow machine slows
both. Takes some minutes on two cores; nothing is written to the repository.

    python bench/stages.py
    python bench/stages.py --json
"""

import contextlib
import gc
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path[0] = str(ROOT)  # in place of bench/, where this very file would hide the package `stages`
os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")

RECIPE, BASE = ROOT / "recipes" / "query_json", ROOT / "models" / "tiny"
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))
BATCH = 16  # training rows
WARM_UP = 3  # training steps
NOOPS = 5
TARGETS = {"trim_format_ratio": 0.5, "train_ratio": 0.95, "noop_seconds": 2.0}
Speeds = list[tuple[float, float]]  # ours and the plain alternative's, a pair a turn


def make_rows(count: int) -> list[dict]:
    """The recipe's training rows, and what its grammar draws, up to `count`."""
    from tuneline.files import read_jsonl
    from tuneline.grammar import draw_rows
    from tuneline.recipe import read_recipe
    from tuneline.rows import make_row, read_form

    records = read_jsonl(RECIPE / "source" / "train.jsonl")[:count]
    (strategy,) = read_recipe(RECIPE).sdg.strategies
    rng = random.Random(strategy.seed)
    records += draw_rows(RECIPE / strategy.file, count - len(records), strategy.lowercase, rng)
    return [make_row(read_form(record), "bench", number) for number, record in enumerate(records, 1)]


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


def seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def trim_and_format(rows: list[dict], work: Path, pairs: int) -> Speeds:
    """Rows per second: the commands of the two stages, against `encode_batch` of the rendered texts."""
    from tokenizers import Tokenizer

    from stages import format, trim
    from tuneline.base import read_base
    from tuneline.chat import load_chat
    from tuneline.files import read_jsonl, write_jsonl

    write_jsonl(work / "curate.jsonl", rows)
    trim_flags = {
        "rows": work / "curate.jsonl",
        "recipe": RECIPE,
        "base": BASE,
        "out": work / "trim.jsonl",
        "drops": work / "trim.drops.jsonl",
        "metrics": work / "trim.json",
        **PARAMS["trim"],
    }
    format_flags = {
        "split": work / "split",
        "base": BASE,
        "chat": work / "chat",
        "tokens": work / "tokens",
        "metrics": work / "format.json",
    }

    def run(stage: Any, flags: dict[str, Any]) -> None:
        stage.main([f"--{name}={value}" for name, value in flags.items()], standalone_mode=False)

    run(trim, trim_flags)
    kept = read_jsonl(work / "trim.jsonl")
    valid = round(PARAMS["split"]["valid"] * len(kept))
    for name, part in (("test", kept[:1]), ("valid", kept[:valid]), ("train", kept[valid:])):
        write_jsonl(work / "split" / f"{name}.jsonl", part)
    chat = load_chat(read_base(BASE))
    texts = [chat.render(row)[0] for row in kept]
    del kept

    def ours() -> float:
        return len(rows) / (seconds(lambda: run(trim, trim_flags)) + seconds(lambda: run(format, format_flags)))

    def plain() -> float:
        return len(texts) / seconds(lambda: Tokenizer.from_file(str(BASE / "tokenizer.json")).encode_batch(texts))

    in_turn(ours, plain, 1)  # imports, and a warm disk
    gc.disable()  # as both stages do when they run by themselves
    try:
        return in_turn(ours, plain, pairs)
    finally:
        gc.enable()


def train(rows: list[dict], work: Path, pairs: int) -> Speeds:
    """Trained tokens per second: the stage's trainer against bare trl, one epoch of the same rows."""
    import transformers

    from stages.train_cuda import make_trainer
    from tuneline.base import read_base
    from tuneline.chat import IGNORED, load_chat
    from tuneline.tokens import read_tokens, write_tokenizer_name, write_tokens
    from tuneline.training import Plan, Settings

    transformers.utils.logging.set_verbosity_error()
    adapter = PARAMS["adapters"]["query_json"]
    flags = {**adapter["train"], **PARAMS["fit"], **PARAMS["lora"], "batch-size": BATCH, "accumulation": 1}
    settings = Settings(adapter["quantization"], **{name.replace("-", "_"): value for name, value in flags.items()})
    base = read_base(BASE)
    chat = load_chat(base)
    encoded = chat.encode(rows)
    write_tokens(work, "train", encoded)
    write_tokens(work, "valid", encoded[:BATCH])
    write_tokenizer_name(work, chat, BASE)
    data = read_tokens(work, chat)
    steps = len(rows) // BATCH

    def measure(make: Callable[..., Any], steps: int) -> float:
        class Clock(transformers.TrainerCallback):
            def on_train_begin(self, *_: Any, **__: Any) -> None:
                self.start = time.perf_counter()

            def on_step_end(self, *_: Any, **__: Any) -> None:  # the last one comes before any evaluation
                self.end = time.perf_counter()

        clock = Clock()
        some = {**data, "train": data["train"].select(range(steps * BATCH))}
        trainer = make(base, chat, some, settings, Plan(steps, 0, steps), work / "checkpoints")
        trainer.add_callback(clock)
        trainer.train()
        trained = sum(label != IGNORED for row in some["train"]["labels"] for label in row)
        return trained / (clock.end - clock.start)

    for make in (make_trainer, bare_trainer):
        measure(make, min(WARM_UP, steps))
    return in_turn(lambda: measure(make_trainer, steps), lambda: measure(bare_trainer, steps), pairs)


def bare_trainer(base: Any, chat: Any, rows: dict, settings: Any, plan: Any, checkpoints: Path) -> Any:
    """What one writes with trl's own documentation at hand.

    Precision is the stage's, and trl's default of gradient checkpointing is off as in the stage:
    with it this side would be slower.
    """
    import torch
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM
    from trl import SFTConfig, SFTTrainer

    from tuneline.adapter import lora_config

    return SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(base.source, dtype=getattr(torch, settings.precision)),
        args=SFTConfig(
            output_dir=str(checkpoints),
            max_steps=plan.steps,
            per_device_train_batch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
            bf16=settings.precision == "bfloat16",
            use_cpu=not torch.cuda.is_available(),
            gradient_checkpointing=False,
            save_strategy="no",
            report_to="none",
        ),
        train_dataset=rows["train"],
        processing_class=chat.tokenizer,
        peft_config=LoraConfig(**lora_config(base, settings.rank, settings.scale, settings.dropout, settings.target)),
    )


def noop() -> float | None:
    """Median seconds of a `dvc repro` that finds nothing to do; None where there is something to do."""
    dvc = str(Path(sys.executable).with_name("dvc"))
    if subprocess.run([dvc, "status", "-q"], cwd=ROOT, check=False).returncode:
        click.echo("no-op repro skipped: the pipeline is not up to date here; run `make repro` first", err=True)
        return None
    command = [dvc, "repro", "--quiet"]
    return statistics.median(seconds(lambda: subprocess.run(command, cwd=ROOT, check=True)) for _ in range(NOOPS))


def ratio(speeds: Speeds) -> float:
    return round(statistics.median(ours / plain for ours, plain in speeds), 3)


def show(results: dict[str, float | None], measured: dict[str, tuple[str, Speeds]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("measure", "unit")
    for column in ("ours", "plain", "ratio", "target"):
        table.add_column(column, justify="right")
    for name, (unit, speeds) in measured.items():
        sides = [f"{statistics.median(side):,.0f}" for side in zip(*speeds, strict=True)]
        table.add_row(name, unit, *sides, f"{results[name]:.2f}", f"≥ {TARGETS[name]}")
    noop_seconds = "skipped" if results["noop_seconds"] is None else f"{results['noop_seconds']:.2f}"
    table.add_row("noop_seconds", "s", noop_seconds, "", "", f"≤ {TARGETS['noop_seconds']}")
    Console(width=min(100, Console().width)).print(table)


@click.command(help=__doc__.split("\n")[0])
@click.option("--json", "as_json", is_flag=True, help="One flat JSON object instead of the table.")
@click.option("--rows", type=click.IntRange(100), default=20_000, show_default=True, help="For trim and format.")
@click.option("--steps", type=click.IntRange(1), default=20, show_default=True, help="Of training.")
@click.option("--pairs", type=click.IntRange(1), default=5, show_default=True, help="Measures of each side.")
def main(as_json: bool, rows: int, steps: int, pairs: int) -> None:
    made = make_rows(rows)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        measured = {
            "trim_format_ratio": ("rows/s", trim_and_format(made, Path(folder), pairs)),
            "train_ratio": ("trained tokens/s", train(made[: steps * BATCH], Path(folder), pairs)),
        }
    results = {name: ratio(speeds) for name, (_, speeds) in measured.items()} | {"noop_seconds": noop()}
    if as_json:
        click.echo(json.dumps(results))
    else:
        show(results, measured)


if __name__ == "__main__":
    main()
