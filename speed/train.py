"""Speed of training as a ratio against a bare trl script; docs/benchmarks.md says how and why.

Both sides train in turn in one process, on the same rows and the same model; the figures are medians, of the ratio
too. Takes some minutes on two cores; nothing is written to the repository.

    python speed/train.py
    python speed/train.py --json       # one flat object with `trl_ratio`, and `answer_ratio` of speed/answer.py
    python speed/train.py --small
"""

import contextlib
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # before speed/, whose stages.py would hide `stages`
from speed.answer import answer_figures
from speed.bench import Figures, Speeds, in_turn, make_rows, medians, options_of, run, small, tell


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


def train(rows: list[dict], work: Path, batch: int, warm_up: int, pairs: int) -> Speeds:
    """Trained tokens per second: the stage's trainer against bare trl, one epoch of the same rows.

    `batch`: rows of a step; `warm_up`: steps of each side before the clock starts.
    """
    import transformers

    from stages.train_cuda import make_trainer
    from tuneline.models.base import read_base
    from tuneline.rendering.chat import IGNORED, load_chat
    from tuneline.rendering.tokens import read_tokens
    from tuneline.training import Plan, Run, Settings

    transformers.utils.logging.set_verbosity_error()
    write_token_files(rows, work, batch)
    options = options_of("train", work)
    settings = Settings(**{name: options[name] for name in Settings.__dataclass_fields__})
    settings = replace(settings, batch_size=batch, accumulation=1)
    base = read_base(options["base_folder"])
    chat = load_chat(base)
    data = read_tokens(options["tokens"], chat)
    steps = len(data["train"]) // batch

    def measure(make: Callable[..., Any], steps: int) -> float:
        class Clock(transformers.TrainerCallback):
            def on_train_begin(self, *_: Any, **__: Any) -> None:
                self.start = time.perf_counter()

            def on_step_end(self, *_: Any, **__: Any) -> None:  # the last one comes before any evaluation
                self.end = time.perf_counter()

        clock = Clock()
        some = {**data, "train": data["train"].select(range(steps * batch))}
        trainer = make(Run(settings, base, chat, some, Plan(steps, 0, steps), work / "checkpoints"))
        trainer.add_callback(clock)
        trainer.train()
        trained = sum(label != IGNORED for row in some["train"]["labels"] for label in row)
        return trained / (clock.end - clock.start)

    for make in (make_trainer, bare_trainer) if warm_up else ():
        measure(make, min(warm_up, steps))
    return in_turn(lambda: measure(make_trainer, steps), lambda: measure(bare_trainer, steps), pairs)


def bare_trainer(run: Any) -> Any:
    """What one writes with trl's own documentation at hand.

    Precision is the stage's, and trl's default of gradient checkpointing is off as in the stage:
    with it this side would be slower.
    """
    import torch
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM
    from trl import SFTConfig, SFTTrainer

    settings = run.settings
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
@small(steps=1, batch_size=2, warm_up=0, pairs=1, answer=4)
def main(as_json: bool, steps: int, batch_size: int, warm_up: int, pairs: int, answer: int) -> None:
    rows = make_rows(steps * batch_size)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        ours, trl, ratio = medians(train(rows, Path(folder), batch_size, warm_up, pairs))
        figures: Figures = {"tokens_per_second": ours, "trl_tokens_per_second": trl, "trl_ratio": ratio}
        figures |= answer_figures(None, None, rows=16 * batch_size, size=4 * batch_size, most=answer, pairs=pairs)
    tell({"steps": steps, "pairs": pairs, **figures}, as_json)


if __name__ == "__main__":
    main()
