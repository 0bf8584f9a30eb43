"""What both trainers share: their flags, the plan of steps, curves, summary, checkpoints, the run log."""

import fcntl
import hashlib
import json
import math
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

from tuneline.estimate import Load, choose, in_words, needs, read_shapes, ways_to_fit
from tuneline.files import Clock, bar, check_folder, say, whole_folder, write_json
from tuneline.models.adapter import WEIGHTS, Adapter, lora_config, write_adapter
from tuneline.models.base import Base, read_base
from tuneline.processes import is_part, is_sharded, launch, part, rank, world_size
from tuneline.rendering.chat import IGNORED, Chat, load_chat
from tuneline.rendering.preamble import read_preamble
from tuneline.rendering.tokens import read_tokens
from tuneline.reporting import REPORTS, Report, check_installed, reporting, silent


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


@dataclass
class Curves:
    """The losses of a run, by step; DVCLive writes them as TSV for `dvc plots`."""

    train: dict[int, float] = field(default_factory=dict)
    valid: dict[int, float] = field(default_factory=dict)

    @property
    def best(self) -> int:
        """The step with the lowest validation loss; the earlier of two."""
        return min(self.valid, key=lambda step: (self.valid[step], step))

    def is_over(self, patience: int) -> bool:
        """Whether the last `patience` evaluations were no better than one before; never with 0."""
        after = [step for step in self.valid if step > self.best] if self.valid else []
        return 0 < patience <= len(after)

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


def check_finite(loss: float, step: int, run: "Run") -> None:
    """Raises click.ClickException for a loss that is no number: nothing after it is worth a checkpoint."""
    if math.isfinite(loss):
        return
    settings = run.settings
    ways = [f"lower train.learning-rate, now {settings.learning_rate:g}", "raise fit.warmup"]
    ways += ["write fit.precision float32"] if settings.precision != "float32" else []
    raise click.ClickException(
        f"the loss is {loss} at step {step} of {run.plan.steps}, and the run ends here; {kept(run.checkpoints)}: "
        f"{', or '.join(ways)}. With other knobs it begins anew, with the same it goes on from there"
    )


def kept(checkpoints: Path) -> str:
    """Which step a run that has failed left behind."""
    steps = [int(path.name.split("-")[-1]) for path in checkpoints.glob("*") if path.name.split("-")[-1].isdigit()]
    return f"the checkpoint of step {max(steps)} is kept in {checkpoints}" if steps else "there is no checkpoint yet"


def write_summary(path: Path, curves: Curves, rows: Any, trainable: int, packages: tuple[str, ...]) -> dict[str, Any]:
    """What the inputs determine of the run; seconds and device go to the run log."""
    labels = rows["train"].with_format("numpy")["labels"]
    lengths = [len(row) for row in labels]
    summary = {
        "rows": len(lengths),
        "tokens": sum(lengths),
        "trained_tokens": int(sum((row != IGNORED).sum() for row in labels)),
        "trainable_parameters": trainable,
        "steps": max(curves.valid),  # fewer than planned where it ended early
        "best_step": curves.best,
        "train_loss": round(curves.train[max(curves.train)], 4),
        "valid_loss": round(curves.valid[curves.best], 4),
        "versions": {name: version(name).split("+")[0] for name in packages},
    }
    write_json(path, summary)
    return summary


def checkpoint_folder(state: Path, out: Path, tokens: Path, base: Base, settings: Settings) -> Path:
    """Where a run of exactly these inputs keeps its checkpoints: another input has another folder."""
    telling = {name: value for name, value in asdict(settings).items() if name not in SAME}
    digest = hashlib.sha256(json.dumps(telling, sort_keys=True).encode())
    for folder in (tokens, base.folder):
        for file in sorted(path for path in folder.iterdir() if path.is_file()):
            digest.update(file.name.encode())
            with file.open("rb") as opened:  # of many GB, some of them
                digest.update(hashlib.file_digest(opened, "sha256").digest())
    return state / "checkpoints" / out.name / digest.hexdigest()[:16]


@contextmanager
def in_use(checkpoints: Path) -> Iterator[None]:
    """For `clear_up` of another run of the adapter: such as an experiment that runs at the same time."""
    if rank():
        yield
        return
    checkpoints.mkdir(parents=True, exist_ok=True)
    with opened(checkpoints) as folder:
        with suppress(OSError):  # a file system without locks: nothing is cleared up there
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            yield
        finally:
            for empty in (checkpoints, checkpoints.parent):
                with suppress(OSError):
                    empty.rmdir()


def clear_up(adapter: Path) -> None:
    """Removes the checkpoints of an adapter's runs, those that were stopped before too, but for what is in use."""
    for checkpoints in adapter.iterdir() if adapter.is_dir() else ():
        with suppress(OSError), opened(checkpoints) as folder:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(checkpoints)
    with suppress(OSError):
        adapter.rmdir()


@contextmanager
def opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@dataclass(frozen=True)
class Run:
    """What a trainer is given. `rows`: "train" and "valid", each a dataset of input_ids and labels."""

    settings: Settings
    base: Base
    chat: Chat
    rows: dict[str, Any]
    plan: Plan
    checkpoints: Path
    gradient_checkpointing: bool = False
    report: Report = silent
    step: Callable[[int], None] = lambda done: None  # is told how many are done

    @property
    def lora(self) -> dict[str, Any]:
        s = self.settings
        return lora_config(self.base, s.rank, s.scale, s.dropout, s.target, s.variant)


KNOBS = "fit.gradient-checkpointing always, a smaller train.batch-size or trim.max-tokens, or quantization 4bit"


def fit_into(device: str, room: int, settings: Settings, base: Base, rows: Any) -> tuple[bool, str]:
    """Whether layers are computed twice, and what the run needs, in words. Said before anything is loaded, where it is
    the reason to compute them twice, or more than half of the memory.

    Raises click.ClickException for what cannot fit into `room` bytes, with the knobs that would make it fit.
    """
    shapes = read_shapes(base.folder)
    if shapes is None:
        click.echo("no estimate of memory: the base's weights are no safetensors, or of an unknown form", err=True)
        return settings.gradient_checkpointing == "always", ""
    s, longest = settings, max(len(row) for part in rows.values() for row in part["input_ids"])
    load = Load(
        device, s.quantization, s.precision, math.ceil(min(s.batch_size, len(rows["train"])) / s.processes), longest,
        s.rank, base.pattern(s.target), s.dropout, s.variant, s.optimizer, s.attention, processes=s.processes,
        sharded=device == "cuda" and is_sharded(),
    )  # fmt: skip
    load = choose(shapes, load, s.gradient_checkpointing, room)
    words = in_words(shapes, load, room)
    if needs(shapes, load) > room:
        ways = ways_to_fit(shapes, load, room)
        raise click.ClickException(f"{words}. {f'It would fit with {ways}' if ways else 'Take a smaller base'}")
    if needs(shapes, load) > room / 2 or (load.checkpointing and s.gradient_checkpointing == "auto"):
        say(words)
    return load.checkpointing, words


@contextmanager
def running_out(run: Run, needed: str) -> Iterator[None]:
    """Raises click.ClickException where memory ends in the block; other errors pass."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        said = f"{type(error).__name__} {error}"
        if not re.search("MemoryError|OutOfMemory|allocate|bad_alloc|out of memory|insufficient memory", said, re.I):
            raise
        raise click.ClickException(
            f"out of memory ({' '.join(str(error).split())[:120]}); {kept(run.checkpoints)}. "
            f"It {needed or 'has no estimate'}. Take {KNOBS}; with the first alone it goes on from the checkpoint"
        ) from None


class Pace(ExitStack):
    """A run's bar, with the time that is left by what the steps took so far.

    It begins with the first that is done here: that one is slower than the others.
    """

    def __init__(self, label: str, steps: int) -> None:
        super().__init__()
        self.label, self.steps, self.bar = label, steps, None

    def step(self, done: int) -> None:
        if self.bar is None:
            self.bar = self.enter_context(bar(self.label, total=self.steps, initial=done))
        self.bar.update(done - self.bar.n)

    def loss(self, name: str, value: float) -> None:
        if self.bar is not None and name == "valid_loss":
            self.bar.set_postfix_str(f"valid loss {value:.4f}", refresh=False)


@dataclass(frozen=True)
class Fitted:
    """What a trainer has made. `save` writes the weights to a file; `trainable` counts parameters."""

    save: Callable[[Path], None]
    curves: Curves
    trainable: int
    device: str


def training_command(
    backend: str,
    packages: tuple[str, ...],
    fit: Callable[[Run], Fitted],
    device_memory: Callable[[], tuple[str, int]],
    refusals: Callable[[Settings], Iterable[str]],
    precision: Callable[[str], str],
) -> click.Command:
    """The stage of a backend: token files → an adapter, its curves, its summary.

    `fit`, the device, `refusals`, what of the settings it cannot do, and the precision that it has for a wanted one are
    what backends differ in.
    """

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
        clock = Clock("train", out.name)
        check_folder(out)
        settings, base, preamble = Settings(**flags), read_base(base_folder), read_preamble(preamble_path)
        base.pattern(settings.target)
        if refused := [*refusals(settings), *undivided(settings)]:
            raise click.ClickException("; ".join(refused))
        check_installed(settings.report_to)
        if settings.processes > 1 and not is_part():
            left = lambda: kept(checkpoint_folder(state, out, tokens, base, settings))  # noqa: E731 # reads the base
            launch(settings.processes, f"stages.train_{backend}", own_words(), left)
            return
        settings = replace(settings, processes=world_size(), precision=precision(settings.precision))
        with part():
            if flags["precision"] not in ("auto", settings.precision) and rank() == 0:
                say(f"no arithmetic for {flags['precision']} on this device: {settings.precision} is taken instead")
            chat = load_chat(base)
            rows = read_tokens(tokens, chat)
            if empty := [name for name in rows if not len(rows[name])]:
                raise click.ClickException(f"{tokens / empty[0]}.parquet has no row; remove it and run `dvc repro`")
            twice, needed = fit_into(*device_memory(), settings, base, rows)
            checkpoints = checkpoint_folder(state, out, tokens, base, settings)
            run = Run(settings, base, chat, rows, plan_steps(len(rows["train"]), settings), checkpoints, twice)
            with in_use(checkpoints), recorded(run, backend, state, out, needed) as (record, told):
                fitted = fit(told)
                record |= {"device": fitted.device, "memory": needed, "processes": settings.processes}
            if rank():
                return
            adapter = Adapter(
                base=base_folder,
                quantization=settings.quantization,
                precision=settings.precision,
                backend=backend,
                prefix=preamble.prefix,
            )
            with whole_folder(out) as folder:
                fitted.save(folder / WEIGHTS)
                write_adapter(folder, run.lora, adapter, base, preamble.system, schema)
            curves_folder.mkdir(parents=True, exist_ok=True)
            fitted.curves.write(curves_folder)
            written = write_summary(summary, fitted.curves, rows, fitted.trainable, packages)
            clear_up(checkpoints.parent)
            early = " (ended early)" if written["steps"] < run.plan.steps else ""
            best = f"valid loss {written['valid_loss']:.4f} at step {written['best_step']:,}"
            clock.tell(f"{written['rows']:,} rows, {written['steps']:,} steps", best + early)

    return main


def undivided(settings: Settings) -> Iterator[str]:
    """Why a batch cannot be divided among the processes."""
    processes = settings.processes
    if is_part() and processes not in (1, world_size()):
        yield f"train.processes {processes}: the launcher has started {world_size()}; write 1 or {world_size()}"
    elif settings.batch_size % (count := max(processes, world_size())):
        ways = " or ".join(
            str(n) for n in (settings.batch_size // count * count, -(-settings.batch_size // count) * count) if n
        )
        yield f"train.batch-size {settings.batch_size} cannot be divided among {count} processes; write {ways}"


def own_words() -> list[str]:
    """The command line of the stage that runs, after its name."""
    context = click.get_current_context()
    return [word for option in context.command.params for word in (option.opts[0], str(context.params[option.name]))]


@contextmanager
def recorded(run: Run, backend: str, state: Path, out: Path, needed: str) -> Iterator[tuple[dict[str, Any], Run]]:
    """A record of the run log, and the run with its report and its bar: of rank 0 alone."""
    if rank():
        with running_out(run, needed):
            yield {}, run
        return
    reports = reporting(run.settings.report_to, state / "reports", out.name, asdict(run.settings))
    log, shown = RunLog(state, f"train_{backend}", out.name), Pace(f"train {out.name}", run.plan.steps)
    with log as record, reports as report, running_out(run, needed), shown as pace:

        def tell(step: int, name: str, value: float) -> None:
            report(step, name, value)
            pace.loss(name, value)

        yield record, replace(run, report=tell, step=pace.step)


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
