"""What both trainers share: their flags, the plan of steps, curves, summary, checkpoints, the run log."""

import hashlib
import json
import math
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

from tuneline.files import whole_folder, write_json
from tuneline.models.adapter import WEIGHTS, Adapter, lora_config, write_adapter
from tuneline.models.base import Base, read_base
from tuneline.rendering.chat import IGNORED, Chat, load_chat
from tuneline.rendering.preamble import read_preamble
from tuneline.rendering.tokens import read_tokens


@dataclass(frozen=True)
class Settings:
    """The flags of a training run; every one of them determines the adapter."""

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
        click.option("--precision", type=click.Choice(["float32", "bfloat16"]), required=True),
        click.option("--seed", type=int, required=True),
        click.option("--rank", type=click.IntRange(1), required=True),
        click.option("--scale", type=click.FloatRange(0, min_open=True), required=True, help="alpha ÷ rank."),
        click.option("--dropout", type=share, required=True),
        click.option("--target", required=True, help="A pattern's name in the base's base.yaml."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@dataclass(frozen=True)
class Plan:
    """Optimizer steps. The rate rises in a line over `warmup` steps, then falls in a line to 0."""

    steps: int
    warmup: int
    evaluate_every: int


def plan_steps(rows: int, settings: Settings) -> Plan:
    batches = math.ceil(rows / settings.batch_size)
    per_epoch = math.ceil(batches / settings.accumulation)
    steps = max(1, math.ceil(per_epoch * settings.epochs))
    return Plan(steps, math.ceil(steps * settings.warmup), math.ceil(steps / settings.evaluations))


@dataclass
class Curves:
    """The losses of a run, by step; DVCLive writes them as TSV for `dvc plots`."""

    train: dict[int, float] = field(default_factory=dict)
    valid: dict[int, float] = field(default_factory=dict)

    @property
    def best(self) -> int:
        """The step with the lowest validation loss; the earlier of two."""
        return min(self.valid, key=lambda step: (self.valid[step], step))

    def write(self, folder: Path) -> None:
        """`train_loss.tsv` and `valid_loss.tsv`, each with columns step and its loss."""
        from dvclive import Live

        work = folder / "live"
        with Live(str(work), dvcyaml=False, report=None, save_dvc_exp=False, monitor_system=False) as live:
            for name, losses in (("train_loss", self.train), ("valid_loss", self.valid)):
                for step, loss in losses.items():
                    live.step = step
                    live.log_metric(name, round(loss, 6))
        for name in ("train_loss", "valid_loss"):
            os.replace(work / "plots" / "metrics" / f"{name}.tsv", folder / f"{name}.tsv")
        for path in sorted(work.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        work.rmdir()


def write_summary(path: Path, plan: Plan, curves: Curves, rows: Any, trainable: int, packages: tuple[str, ...]) -> None:
    """What the inputs determine of the run; seconds and device go to the run log."""
    labels = rows["train"].with_format("numpy")["labels"]
    lengths = [len(row) for row in labels]
    summary = {
        "rows": len(lengths),
        "tokens": sum(lengths),
        "trained_tokens": int(sum((row != IGNORED).sum() for row in labels)),
        "trainable_parameters": trainable,
        "steps": plan.steps,
        "best_step": curves.best,
        "train_loss": round(curves.train[max(curves.train)], 4),
        "valid_loss": round(curves.valid[curves.best], 4),
        "versions": {name: version(name).split("+")[0] for name in packages},
    }
    write_json(path, summary)


def checkpoint_folder(state: Path, out: Path, tokens: Path, base: Base, settings: Settings) -> Path:
    """Where a run of exactly these inputs keeps its checkpoints: another input has another folder."""
    digest = hashlib.sha256(json.dumps(asdict(settings), sort_keys=True).encode())
    for folder in (tokens, base.folder):
        for file in sorted(path for path in folder.iterdir() if path.is_file()):
            digest.update(file.name.encode())
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return state / "checkpoints" / out.name / digest.hexdigest()[:16]


@dataclass(frozen=True)
class Run:
    """What a trainer is given. `rows`: "train" and "valid", each a dataset of input_ids and labels."""

    settings: Settings
    base: Base
    chat: Chat
    rows: dict[str, Any]
    plan: Plan
    checkpoints: Path

    @property
    def lora(self) -> dict[str, Any]:
        s = self.settings
        return lora_config(self.base, s.rank, s.scale, s.dropout, s.target)


@dataclass(frozen=True)
class Fitted:
    """What a trainer has made. `save` writes the weights to a file; `trainable` counts parameters."""

    save: Callable[[Path], None]
    curves: Curves
    trainable: int
    device: str


def training_command(backend: str, packages: tuple[str, ...], fit: Callable[[Run], Fitted]) -> click.Command:
    """The stage of a backend: token files → an adapter, its curves, its summary. `fit` is what backends differ in."""

    @click.command()
    @click.option("--tokens", type=click.Path(path_type=Path), required=True)
    @click.option("--base", "base_folder", type=click.Path(path_type=Path), required=True)
    @click.option("--preamble", "preamble_path", type=click.Path(path_type=Path), required=True)
    @click.option("--schema", type=click.Path(path_type=Path), required=True, help="The adapter takes it along.")
    @click.option("--out", type=click.Path(path_type=Path), required=True)
    @click.option("--curves", "curves_folder", type=click.Path(path_type=Path), required=True)
    @click.option("--summary", type=click.Path(path_type=Path), required=True)
    @click.option("--state", type=click.Path(path_type=Path), required=True, help="Ignored: checkpoints, run log.")
    @training_options
    def main(
        tokens: Path,
        base_folder: Path,
        preamble_path: Path,
        schema: Path,
        out: Path,
        curves_folder: Path,
        summary: Path,
        state: Path,
        **flags: Any,
    ) -> None:
        settings, base, preamble = Settings(**flags), read_base(base_folder), read_preamble(preamble_path)
        base.pattern(settings.target)
        chat = load_chat(base)
        rows = read_tokens(tokens, chat)
        checkpoints = checkpoint_folder(state, out, tokens, base, settings)
        run = Run(settings, base, chat, rows, plan_steps(len(rows["train"]), settings), checkpoints)
        with RunLog(state, f"train_{backend}", out.name) as record:
            fitted = fit(run)
            record["device"] = fitted.device
        adapter = Adapter(
            base=base_folder,
            quantization=settings.quantization,
            precision=settings.precision,
            backend=backend,
            prefix=preamble.prefix,
        )
        with whole_folder(out) as part:
            fitted.save(part / WEIGHTS)
            write_adapter(part, run.lora, adapter, base, preamble.system, schema)
        curves_folder.mkdir(parents=True, exist_ok=True)
        fitted.curves.write(curves_folder)
        write_summary(summary, run.plan, fitted.curves, rows, fitted.trainable, packages)
        shutil.rmtree(checkpoints.parent, ignore_errors=True)

    return main


class RunLog:
    """Times a block and appends one line to `<state>/runs.jsonl`: what an output must not hold."""

    def __init__(self, state: Path, stage: str, name: str) -> None:
        self.path, self.record = state / "runs.jsonl", {"stage": stage, "name": name}

    def __enter__(self) -> dict[str, Any]:
        self.started = time.time()
        return self.record

    def __exit__(self, kind: type | None, *_: object) -> None:
        import resource
        import sys

        unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
        self.record |= {
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.started)),
            "seconds": round(time.time() - self.started, 1),
            "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit // 1024**2,
            "ended": "well" if kind is None else kind.__name__,
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as log:
            log.write(json.dumps(self.record) + "\n")
        click.echo("  ".join(f"{key} {value}" for key, value in self.record.items()), err=True)
