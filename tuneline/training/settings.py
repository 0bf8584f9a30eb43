"""The flags of a training run, and the plan of steps that they give."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import click

from tuneline.training.reporting import REPORTS


@dataclass(frozen=True)
class Settings:
    """The flags of a training run. All but those of SAME determine the adapter.

    `batch_size` is of all processes together.
    """

    quantization: str
    learning_rate: float
    epochs: float
    batch_size: int
    accumulation: int
    warmup: float
    weight_decay: float
    evaluations: int
    precision: str
    seed: int
    rank: int
    scale: float
    dropout: float
    target: str
    variant: str
    schedule: str
    optimizer: str
    early_stopping: int
    attention: str
    gradient_checkpointing: str
    report_to: str
    processes: int


SAME = ("gradient_checkpointing", "report_to", "processes")  # of Settings: a run goes on with another value


def training_options(command: Callable) -> Callable:
    """The flags of Settings, for click. `Settings(**flags)` takes what they give."""
    share = click.FloatRange(0, 1)
    options = [
        click.option("--quantization", type=click.Choice(["none", "4bit"]), required=True),
        click.option("--learning-rate", type=click.FloatRange(0, min_open=True), required=True),
        click.option("--epochs", type=click.FloatRange(0, min_open=True), required=True),
        click.option("--batch-size", type=click.IntRange(1), required=True, help="Rows."),
        click.option("--accumulation", type=click.IntRange(1), required=True, help="Batches to a step."),
        click.option("--warmup", type=share, required=True, help="Share of the steps."),
        click.option("--weight-decay", type=click.FloatRange(0), required=True),
        click.option("--evaluations", type=click.IntRange(1), required=True, help="Of the validation loss."),
        click.option("--precision", type=click.Choice(["auto", "float32", "bfloat16"]), required=True),
        click.option("--seed", type=int, required=True),
        click.option("--rank", type=click.IntRange(1), required=True),
        click.option("--scale", type=click.FloatRange(0, min_open=True), required=True, help="alpha ÷ rank."),
        click.option("--dropout", type=share, required=True),
        click.option("--target", required=True, help="A pattern's name in the base's base.yaml."),
        click.option("--variant", type=click.Choice(["plain", "rslora", "dora"]), required=True, help="Of LoRA."),
        click.option("--schedule", type=click.Choice(["linear", "cosine", "constant"]), required=True),
        click.option("--optimizer", type=click.Choice(["adamw", "adamw-8bit", "paged-adamw-8bit"]), required=True),
        click.option(
            "--early-stopping",
            type=click.IntRange(0),
            required=True,
            help="Evaluations without a better validation loss, after which it ends. 0: never.",
        ),
        click.option("--attention", type=click.Choice(["auto", "eager", "sdpa", "flash"]), required=True),
        click.option("--gradient-checkpointing", type=click.Choice(["auto", "always", "never"]), required=True),
        click.option("--report-to", type=click.Choice(REPORTS), required=True),
        click.option("--processes", type=click.IntRange(1), required=True, help="Among which a batch is divided."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@dataclass(frozen=True)
class Plan:
    """Optimizer steps. The rate rises in a line over `warmup` steps, then goes as the schedule says."""

    steps: int
    warmup: int
    evaluate_every: int


def plan_steps(rows: int, settings: Settings) -> Plan:
    batches = math.ceil(rows / settings.batch_size)
    per_epoch = math.ceil(batches / settings.accumulation)
    steps = max(1, math.ceil(per_epoch * settings.epochs))
    return Plan(steps, math.ceil(steps * settings.warmup), math.ceil(steps / settings.evaluations))
