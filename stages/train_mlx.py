"""Token files → a LoRA adapter, with mlx and mlx-lm: on Apple silicon, or on the CPU under Linux.

Trains on the very ids that format wrote. The adapter with the best validation loss is kept. A
killed run goes on from its last checkpoint, which lies outside the outputs, to the same bytes.

    python -m stages.train_mlx --tokens data/query_json/tokens --base models/tiny \\
        --preamble data/query_json/preamble.json --schema recipes/query_json/schema.json \\
        --out adapters/query_json --curves metrics/query_json/curves \\
        --summary metrics/query_json/training_summary.json --state .tuneline --quantization none \\
        --learning-rate 0.002 --epochs 3 --batch-size 8 --accumulation 1 --warmup 0.05 \\
        --weight-decay 0 --evaluations 5 --precision auto --seed 0 --rank 32 --scale 2 \\
        --dropout 0 --target linear --variant plain --schedule linear --optimizer adamw \\
        --early-stopping 0 --attention auto --gradient-checkpointing auto --report-to none --processes 1
"""

import io
import itertools
import json
import shutil
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import click

from tuneline.backends.mlx import (
    add_lora,
    checkpoint_layers,
    computed_precision,
    load_model,
    peft_weights,
    refused_processes,
)
from tuneline.files import whole_folder, write_json
from tuneline.models.adapter import update_scale
from tuneline.rendering.chat import IGNORED
from tuneline.rendering.light import leave_out_torch
from tuneline.training.command import training_command
from tuneline.training.curves import Curves
from tuneline.training.estimate import machine_memory
from tuneline.training.run import Fitted, Run, check_finite
from tuneline.training.settings import Settings

PAD_TO = 32  # tokens: mlx compiles a step anew for each shape of a batch
Example = tuple[Any, Any]  # ids and labels of a row, int32 arrays


def refusals(settings: Settings) -> Iterator[str]:
    """What of the settings mlx cannot do."""
    if settings.attention != "auto":
        yield f"fit.attention {settings.attention}: mlx has its own; write auto"
    if settings.optimizer != "adamw":
        yield f"fit.optimizer {settings.optimizer}: mlx has none of 8 bits; write adamw"
    if refused := refused_processes("train.processes", settings.processes):
        yield refused


def device_memory() -> tuple[str, int]:
    """The device's kind and bytes: the machine's, which Apple's processors share with their GPU."""
    return "mlx", machine_memory()


def make_trainer(run: Run) -> tuple[Any, Any]:
    """The base with LoRA layers, and AdamW with the clipping and the rates that transformers has."""
    import mlx.core as mx
    import mlx.optimizers as optim

    settings, plan = run.settings, run.plan

    class Optimizer(optim.AdamW):
        def apply_gradients(self, gradients: dict, parameters: dict) -> dict:
            return super().apply_gradients(optim.clip_grad_norm(gradients, 1.0)[0], parameters)

    def rate(step: Any) -> Any:
        step = step.astype(mx.float32)
        rise = step / max(1, plan.warmup)
        left = (plan.steps - step) / max(1, plan.steps - plan.warmup)
        after = {"linear": left, "cosine": (1 - mx.cos(mx.pi * left)) / 2, "constant": mx.array(1.0)}
        return settings.learning_rate * mx.where(step < plan.warmup, rise, after[settings.schedule])

    mx.random.seed(settings.seed)
    model, lora = load_model(run.base, settings.quantization, settings.precision), run.lora
    dora = settings.variant == "dora"
    add_lora(model, lora["target_modules"], lora["r"], update_scale(lora), settings.dropout, dora)
    if run.gradient_checkpointing:
        checkpoint_layers(model)
    optimizer = Optimizer(rate, weight_decay=settings.weight_decay, bias_correction=True)
    optimizer.init(model.trainable_parameters())
    return model, optimizer


def loss(model: Any, ids: Any, labels: Any, share: Any) -> tuple[Any, Any]:
    """(cross-entropy of the trained tokens ÷ `share`, `share`), as mlx-lm's trainer wants it."""
    import mlx.core as mx
    import mlx.nn as nn

    targets = labels[:, 1:]
    trained = targets != IGNORED
    logits = model(ids[:, :-1]).astype(mx.float32)
    losses = nn.losses.cross_entropy(logits, mx.where(trained, targets, 0))
    return (losses * trained).sum() / share, share


def iterate_batches(
    dataset: list[Example],
    batch_size: int,
    max_seq_length: int,
    loop: bool = False,
    comm_group: Any = None,
    *,
    seed: int = 0,
    start: int = 0,
    accumulation: int = 1,
) -> Iterator[tuple[Any, Any, Any]]:
    """(ids, labels, share) of each batch; without `loop`, of all rows once, with it, from step `start` on.

    ids and labels are (rows, tokens), padded on the right. Every trained token of a step weighs the
    same, whatever batch it is in: share is the step's trained tokens ÷ its batches. The first five
    arguments are those that mlx-lm gives; trim has seen to the length, and there is one process.
    """
    import mlx.core as mx
    import numpy as np

    lengths = np.array([len(ids) for ids, _ in dataset])
    epochs = itertools.count() if loop else [0]
    order = itertools.chain.from_iterable(epoch_batches(lengths, batch_size, seed, epoch) for epoch in epochs)
    order = itertools.islice(order, start * accumulation, None)
    while step := list(itertools.islice(order, accumulation)):
        trained = sum(int((dataset[row][1][1:] != IGNORED).sum()) for batch in step for row in batch)
        for batch in step:
            longest = max(lengths[row] for row in batch)
            width = 1 + -(-(longest - 1) // PAD_TO) * PAD_TO  # one less goes into the model
            ids, labels = np.zeros((len(batch), width), np.int32), np.full((len(batch), width), IGNORED, np.int32)
            for place, row in enumerate(batch):
                ids[place, : lengths[row]], labels[place, : lengths[row]] = dataset[row]
            yield mx.array(ids), mx.array(labels), mx.array(trained / len(step), mx.float32)


def epoch_batches(lengths: Any, size: int, seed: int, epoch: int) -> list[Any]:
    """The rows of each batch of an epoch, the last partial one too.

    As with transformers' group_by_length, rows are shuffled, then sorted by length within pools of
    at most 50 batches; the batches are shuffled too.
    """
    import numpy as np

    draw = np.random.default_rng((seed, epoch))
    pool = size * max(1, min(50, len(lengths) // (4 * size)))
    pools = np.split(draw.permutation(len(lengths)), range(pool, len(lengths), pool))
    rows = np.concatenate([rows[np.argsort(-lengths[rows], kind="stable")] for rows in pools])
    batches = np.split(rows, range(size, len(rows), size))
    return [batches[place] for place in draw.permutation(len(batches))]


def last_checkpoint(folder: Path) -> Path | None:
    """The newest one; each stands there whole, by the name of its step."""
    return max(folder.glob("[0-9]*"), key=lambda path: int(path.name), default=None)


def read_curves(path: Path) -> Curves:
    curves = json.loads(path.read_text("utf-8"))
    return Curves(**{name: {int(step): value for step, value in losses.items()} for name, losses in curves.items()})


def train(model: Any, optimizer: Any, run: Run) -> Curves:
    """Trains to the plan's end, from the last checkpoint if there is one, and puts the best weights into the model.

    A checkpoint `<step>/` follows each evaluation; the last and the best are kept. From one to the
    next, nothing is left in memory that is not in it.
    """
    import mlx.core as mx
    from mlx.utils import tree_flatten, tree_unflatten
    from mlx_lm.tuner import trainer
    from mlx_lm.tuner.callbacks import TrainingCallback

    class Report(TrainingCallback):
        def on_train_loss_report(self, train_info: dict) -> None:
            step, loss = done + train_info["iteration"] // settings.accumulation, train_info["train_loss"]
            check_finite(loss, step, run)
            curves.train[step] = loss
            run.report(step, "train_loss", loss)
            run.step(step)

    settings, plan, checkpoints = run.settings, run.plan, run.checkpoints
    data = {name: examples(part) for name, part in run.rows.items()}
    done, curves = 0, Curves()
    resume = last_checkpoint(checkpoints)
    if resume:
        click.echo(f"going on from {resume}", err=True)
        model.load_weights(str(resume / "lora.safetensors"), strict=False)
        optimizer.state = tree_unflatten(list(mx.load(str(resume / "optimizer.safetensors")).items()))
        done, curves = int(resume.name), read_curves(resume / "curves.json")
    while done < plan.steps and not curves.is_over(settings.early_stopping):
        steps = min(plan.evaluate_every, plan.steps - done)
        mx.random.seed(settings.seed + done)  # of dropout: a run that goes on draws the same
        with whole_folder(checkpoints / str(done + steps)) as part:
            arguments = trainer.TrainingArgs(
                batch_size=settings.batch_size,
                iters=steps * settings.accumulation,
                grad_accumulation_steps=settings.accumulation,
                steps_per_report=max(1, plan.steps // 50) * settings.accumulation,
                steps_per_save=steps * settings.accumulation + 1,  # only at the end
                adapter_file=str(part / "lora.safetensors"),
            )
            batches = partial(iterate_batches, seed=settings.seed, start=done, accumulation=settings.accumulation)
            with redirect_stdout(io.StringIO()):  # its bar and its table: the stage has a bar of its own
                trainer.train(
                    model, optimizer, data["train"], None, arguments, loss, batches, training_callback=Report()
                )
            done += steps
            curves.valid[done] = trainer.evaluate(
                model, data["valid"], settings.batch_size, -1, loss=loss, iterate_batches=iterate_batches
            )
            check_finite(curves.valid[done], done, run)
            run.report(done, "valid_loss", curves.valid[done])
            mx.save_safetensors(str(part / "optimizer.safetensors"), dict(tree_flatten(optimizer.state)))
            write_json(part / "curves.json", asdict(curves))
        for folder in checkpoints.glob("[0-9]*"):
            if int(folder.name) not in (done, curves.best):
                shutil.rmtree(folder)
    if done < plan.steps:
        click.echo(f"ends early, at step {done}: fit.early-stopping", err=True)
    model.load_weights(str(checkpoints / str(curves.best) / "lora.safetensors"), strict=False)
    mx.eval(model.parameters())  # read now: the checkpoints are about to go
    return curves


def examples(rows: Any) -> list[Example]:
    columns = rows.with_format("numpy")
    return list(zip(columns["input_ids"], columns["labels"], strict=True))


def fit(run: Run) -> Fitted:
    import mlx.core as mx
    from mlx.utils import tree_flatten

    model, optimizer = make_trainer(run)
    curves = train(model, optimizer, run)
    trainable = sum(tensor.size for _, tensor in tree_flatten(model.trainable_parameters()))
    return Fitted(partial(save_weights, model), curves, trainable, str(mx.default_device()))


def save_weights(model: Any, path: Path) -> None:
    from safetensors.numpy import save_file

    save_file(peft_weights(model), path, metadata={"format": "pt"})


main = training_command("mlx", ("mlx", "mlx-lm"), fit, device_memory, refusals, computed_precision)

if __name__ == "__main__":
    leave_out_torch()
    main()
