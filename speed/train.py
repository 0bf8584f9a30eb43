"""Speed of training as a ratio against a bare trl script; docs/benchmarks.md says how and why.

Both sides train in turn in one process, on the same rows and the same model; the figures are medians, of the ratio
too. Then two processes against one, and the peak memory of ours and of trl's, each in a process of its own. Takes some
minutes on two cores; nothing is written to the repository.

    python speed/train.py
    python speed/train.py --json       # one flat object with `trl_ratio`, `processes_ratio`, `peak_memory_ratio`, and
                                       # `answer_ratio` of speed/answer.py
    python speed/train.py --small
"""

import contextlib
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # before speed/, whose stages.py would hide `stages`
from speed.answer import answer_figures
from speed.bench import ROOT, Figures, Speeds, in_turn, make_rows, medians, options_of, run, small, tell

MEASURED = "measured.json"


def write_token_files(rows: list[dict], work: Path, batch: int) -> None:
    """By trim and format: all rows to train on, the first `batch` to evaluate."""
    from tuneline.files import read_jsonl, write_jsonl

    trim, format = options_of("trim", work), options_of("format", work)
    write_jsonl(trim["rows_path"], rows)
    run("trim", trim)
    kept = read_jsonl(trim["out"])
    for name, part in (("test", kept[:1]), ("valid", kept[:batch]), ("train", kept)):
        write_jsonl(format["split_folder"] / f"{name}.jsonl", part)
    run("format", format)


@dataclass(frozen=True)
class Bench:
    """A training of query_json on the token files in `work`: `steps` of `batch` rows."""

    work: Path
    batch: int
    steps: int

    def settings(self) -> Any:
        from tuneline.backends.cuda import computed_precision
        from tuneline.running.processes import world_size
        from tuneline.training.settings import Settings

        options = options_of("train", self.work)
        settings = Settings(**{name: options[name] for name in Settings.__dataclass_fields__})
        precision = computed_precision(settings.precision)
        return replace(settings, batch_size=self.batch, accumulation=1, processes=world_size(), precision=precision)

    def speed(self, make: Callable[..., Any]) -> float:
        """Trained tokens per second of the trainer that `make` makes."""
        import transformers

        from tuneline.models.base import read_base
        from tuneline.rendering.chat import IGNORED, load_chat
        from tuneline.rendering.tokens import read_tokens
        from tuneline.training.run import Run
        from tuneline.training.settings import Plan

        class Clock(transformers.TrainerCallback):
            def on_train_begin(self, *_: Any, **__: Any) -> None:
                self.start = time.perf_counter()

            def on_step_end(self, *_: Any, **__: Any) -> None:  # the last one comes before any evaluation
                self.end = time.perf_counter()

        transformers.utils.logging.set_verbosity_error()
        options, clock = options_of("train", self.work), Clock()
        base = read_base(options["base_folder"])
        chat = load_chat(base)
        data = read_tokens(options["tokens"], chat)
        some = {**data, "train": data["train"].select(range(self.steps * self.batch))}
        plan = Plan(self.steps, 0, self.steps)
        trainer = make(Run(self.settings(), base, chat, some, plan, self.work / "checkpoints"))
        trainer.add_callback(clock)
        trainer.train()
        trained = sum(label != IGNORED for row in some["train"]["labels"] for label in row)
        return trained / (clock.end - clock.start)

    def apart(self, side: str, count: int) -> Figures:
        """Speed and peak of a training in `count` processes of its own."""
        from tuneline.running.processes import launch

        words = ["--side", side, "--work", str(self.work), "--batch-size", str(self.batch), "--steps", str(self.steps)]
        with contextlib.chdir(ROOT):
            if count == 1:
                subprocess.run([sys.executable, "-m", "speed.train", *words], check=True, stdout=2)
            else:
                launch(count, "speed.train", words, lambda: "")
        return json.loads((self.work / MEASURED).read_text("utf-8"))

    def part(self, side: str) -> None:
        """What a process of `apart` does."""
        from stages.train_cuda import make_trainer
        from tuneline.files import write_json
        from tuneline.running.processes import part, rank

        with part():
            speed = self.speed(make_trainer if side == "ours" else bare_trainer)
            if rank() == 0:
                write_json(self.work / MEASURED, {"speed": speed, "peak": peak_memory()})


def peak_memory() -> int:
    """Of this process, in MB."""
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit // 1024**2


def against_trl(bench: Bench, warm_up: int, pairs: int) -> Speeds:
    """Trained tokens per second: the stage's trainer against bare trl, one epoch of the same rows.

    `warm_up`: steps of each side before the clock starts.
    """
    from stages.train_cuda import make_trainer

    first = replace(bench, steps=min(warm_up, bench.steps))
    for make in (make_trainer, bare_trainer) if warm_up else ():
        first.speed(make)
    return in_turn(lambda: bench.speed(make_trainer), lambda: bench.speed(bare_trainer), pairs)


def apart_figures(bench: Bench, pairs: int) -> Figures:
    """Two processes against one, and the peaks of one and of trl's."""
    peaks: list[float] = []

    def alone() -> float:
        found = bench.apart("ours", 1)
        peaks.append(found["peak"])
        return found["speed"]

    ratio = medians(in_turn(lambda: bench.apart("ours", 2)["speed"], alone, pairs))[2]
    ours, trl = statistics.median(peaks), bench.apart("trl", 1)["peak"]
    found = {"peak_memory_mb": ours, "trl_peak_memory_mb": trl, "peak_memory_ratio": round(ours / trl, 3)}
    return {"processes_ratio": ratio, **found}


def bare_trainer(run: Any) -> Any:
    """What one writes with trl's own documentation at hand.

    Precision is the stage's, and trl's default of gradient checkpointing is off as in the stage:
    with it this side would be slower.
    """
    import torch
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM
    from trl import SFTConfig, SFTTrainer
    from trl.kernels import chunked_logprob
    from trl.trainer import utils

    settings = run.settings
    utils._use_triton = chunked_logprob._use_triton  # as trl has it: of the stage it is another, in this process too
    return SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(run.base.folder, dtype=getattr(torch, settings.precision)),
        args=SFTConfig(
            output_dir=str(run.checkpoints),
            max_steps=run.plan.steps,
            per_device_train_batch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
            bf16=settings.precision == "bfloat16",
            use_cpu=not torch.cuda.is_available(),
            gradient_checkpointing=False,
            save_strategy="no",
            report_to="none",
        ),
        train_dataset=run.rows["train"],
        processing_class=run.chat.tokenizer,
        peft_config=LoraConfig(**run.lora),
    )


@click.command(help=__doc__.split("\n")[0])
@click.option("--json", "as_json", is_flag=True, help="One flat object.")
@click.option("--steps", type=click.IntRange(1), default=20, show_default=True)
@click.option("--batch-size", type=click.IntRange(1), default=16, show_default=True, help="Rows of a step.")
@click.option("--warm-up", type=click.IntRange(0), default=3, show_default=True, help="Steps of each side before.")
@click.option("--pairs", type=click.IntRange(1), default=5, show_default=True, help="Trainings of each side.")
@click.option("--answer", type=click.IntRange(1), default=192, show_default=True, help="Tokens of an answer, at most.")
@click.option("--side", type=click.Choice(["ours", "trl"]), hidden=True, help="Of a process that the bench starts.")
@click.option("--work", type=click.Path(path_type=Path), hidden=True)
@small(steps=1, batch_size=2, warm_up=0, pairs=1, answer=4)
def main(
    as_json: bool, steps: int, batch_size: int, warm_up: int, pairs: int, answer: int, side: str | None, work: Path
) -> None:
    if side:
        Bench(work, batch_size, steps).part(side)
        return
    rows = make_rows(steps * batch_size)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        bench = Bench(Path(folder), batch_size, steps)
        write_token_files(rows, bench.work, batch_size)
        ours, trl, ratio = medians(against_trl(bench, warm_up, pairs))
        figures: Figures = {"tokens_per_second": ours, "trl_tokens_per_second": trl, "trl_ratio": ratio}
        figures |= apart_figures(bench, pairs)
        figures |= answer_figures(None, None, rows=16 * batch_size, size=4 * batch_size, most=answer, pairs=pairs)
    tell({"steps": steps, "pairs": pairs, **figures}, as_json)


if __name__ == "__main__":
    main()
