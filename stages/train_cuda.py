"""Token files → a LoRA adapter, with transformers, peft and trl: on CUDA, or on the CPU.

Trains on the very ids that format wrote. The adapter with the best validation loss is kept. A
killed run goes on from its last checkpoint, which lies outside the outputs.

    python -m stages.train_cuda --tokens data/query_json/tokens --base models/tiny \\
        --preamble data/query_json/preamble.json --schema recipes/query_json/schema.json \\
        --out adapters/query_json --curves metrics/query_json/curves \\
        --summary metrics/query_json/training_summary.json --state .tuneline --quantization none \\
        --learning-rate 0.002 --epochs 3 --batch-size 8 --accumulation 1 --warmup 0.05 \\
        --weight-decay 0 --evaluations 5 --precision auto --seed 0 --rank 32 --scale 2 \\
        --dropout 0 --target linear --variant plain --schedule linear --optimizer adamw \\
        --early-stopping 0 --attention auto --gradient-checkpointing auto --report-to none --processes 1

With `--processes 2` it starts torch's launcher of two, each with its share of every batch: the steps are those of one.
Started by torchrun or accelerate launch, it is one of theirs; docs/base-models.md says how.
"""

import gc
import json
import math
import re
import shutil
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import click

from tuneline.backends.cuda import computed_precision, load_model, local_rank, quiet_libraries, refused_processes
from tuneline.files import bar
from tuneline.models.base import check_target
from tuneline.rendering.chat import IGNORED
from tuneline.running.processes import is_sharded, local_size, rank, world_size
from tuneline.training.command import training_command
from tuneline.training.curves import Curves
from tuneline.training.estimate import machine_memory
from tuneline.training.run import Fitted, Run, check_finite
from tuneline.training.settings import Settings

SCHEDULES = {"linear": "linear", "cosine": "cosine", "constant": "constant_with_warmup"}  # by transformers' names
OPTIMIZERS = {"adamw": "adamw_torch_fused", "adamw-8bit": "adamw_bnb_8bit", "paged-adamw-8bit": "paged_adamw_8bit"}
LOSSES = {"loss": "train_loss", "eval_loss": "valid_loss"}
DRAWN = "drawn"  # in a checkpoint: the random state from which an epoch has drawn its rows
SAVE_EVERY = 600  # seconds that a kill may cost at most, where evaluations are rarer
UNTOLD = "untold"  # in a checkpoint: the training losses since the curve's last point, of which the next is the mean


def refusals(settings: Settings) -> Iterator[str]:
    """What of the settings this machine cannot do."""
    import importlib.util

    import torch

    if settings.attention == "flash" and not (torch.cuda.is_available() and importlib.util.find_spec("flash_attn")):
        yield "fit.attention flash: it wants an NVIDIA card and the package flash-attn; write auto"
    if refused := refused_processes("train.processes", settings.processes):
        yield refused
    if is_sharded() and (settings.quantization != "none" or settings.optimizer != "adamw"):
        yield "FSDP divides no weights and no moments of few bits: write quantization none and fit.optimizer adamw"


def device_memory() -> tuple[str, int]:
    """The device's kind and bytes: a card's own, or this process's share of the machine's."""
    import torch

    if torch.cuda.is_available():
        return "cuda", torch.cuda.get_device_properties(local_rank()).total_memory
    return "cpu", machine_memory() // local_size()


class Watch:
    """The last step is evaluated too, whatever the interval; losses are told, and looked at before they count.

    Between evaluations that are far apart it has checkpoints made, which change nothing of what is trained. With
    transformers' TrainerCallback it is one.
    """

    def __init__(self, run: Run) -> None:
        self.run, self.saved = run, time.monotonic()
        self.trainer: Any = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.saved = time.monotonic()
        self.trainer.take_up(state.stateful_callbacks.get(UNTOLD))

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.run.step(state.global_step)
        if state.global_step == self.run.plan.steps:
            control.should_evaluate = control.should_save = control.should_log = True
        elif agreed(time.monotonic() - self.saved >= SAVE_EVERY):  # the clocks of processes differ
            control.should_save = True

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.saved = time.monotonic()

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **_: Any) -> None:
        for key, name in LOSSES.items():
            if key in logs:
                self.run.report(state.global_step, name, logs[key])

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: dict[str, float], **_: Any) -> None:
        check_finite(metrics["eval_loss"], state.global_step, self.run)
        if read_curves(state.log_history).is_over(self.run.settings.early_stopping):
            click.echo(f"ends early, at step {state.global_step}: fit.early-stopping", err=True)
            control.should_training_stop = control.should_save = control.should_log = True


class Order:
    """The rows of an epoch as its sampler draws them. A run that goes on within an epoch draws it as it was begun."""

    def __init__(self, sampler: Any, trainer: Any) -> None:
        self.sampler, self.trainer = sampler, trainer

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[int]:
        import torch

        kept, epoch = self.trainer.state.stateful_callbacks, int(self.trainer.state.epoch or 0)
        if kept.get(DRAWN, {}).get("epoch") == epoch:
            torch.set_rng_state(torch.frombuffer(bytearray.fromhex(kept[DRAWN]["from"]), dtype=torch.uint8))
        kept[DRAWN] = {"epoch": epoch, "from": bytes(torch.get_rng_state().numpy()).hex()}
        return iter(self.sampler)


class Shares:
    """This process's rows of each batch of all processes: every so-manieth, so that all have rows of like lengths.

    Each process has as many batches; one for which no row is left has an empty one. `agree` makes the drawn order
    that of rank 0.
    """

    def __init__(self, order: Any, size: int, rank: int, processes: int, agree: Callable[[list], list]) -> None:
        self.order, self.size, self.rank, self.processes, self.agree = order, size, rank, processes, agree

    def __len__(self) -> int:
        return math.ceil(len(self.order) / self.size)

    def __iter__(self) -> Iterator[list[int]]:
        rows = self.agree(list(self.order))
        for start in range(0, len(rows), self.size):
            yield rows[start : start + self.size][self.rank :: self.processes]


class Trainer:
    """Validation loss as a mean over trained tokens, whatever batch they are in, and batches of all processes.

    With trl's SFTTrainer it is one. `run` is set before it trains. trl has the loss ÷ the trained tokens of all
    processes' batches × processes, which is the sum over them once gradients are averaged.
    """

    run: Run

    def training_step(self, *args: Any, **kwargs: Any) -> Any:
        loss = super().training_step(*args, **kwargs)
        check_finite(self.over_all(loss, "mean").item(), self.state.global_step + 1, self.run)
        return loss

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        import torch

        self.model.eval()
        total = torch.zeros(2, dtype=torch.float64)
        with torch.no_grad():
            batches = self.get_eval_dataloader()
            for batch in batches if rank() else bar("validation loss", batches):
                out = self.model(**self._prepare_inputs(batch), use_cache=False, fused_lm_head=True)
                total += torch.stack([-out.log_probs.double().sum(), out.label_mask.double().sum()]).cpu()
        total = self.over_all(total.to(self.args.device), "sum")
        metrics = {"eval_loss": (total[0] / total[1]).item()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        total = self.over_all(self._tr_loss, "mean").item()
        self.state.stateful_callbacks[UNTOLD] = {"since": self._globalstep_last_logged, "sum": total}
        super()._save_checkpoint(*args, **kwargs)

    def take_up(self, untold: dict[str, Any] | None) -> None:
        """What a checkpoint has UNTOLD: transformers itself begins the next mean with the step after the checkpoint."""
        if untold:
            self._globalstep_last_logged = untold["since"]
            self._tr_loss += untold["sum"]

    def over_all(self, figures: Any, how: str) -> Any:
        """Their sum or mean over all processes."""
        return self.accelerator.reduce(figures, how) if self.args.world_size > 1 else figures

    def _get_train_sampler(self, *_: Any) -> Any:
        settings = self.run.settings
        return Order(by_length(self.train_dataset, settings.batch_size * settings.accumulation), self)

    def get_train_dataloader(self) -> Any:
        if self.args.world_size == 1:
            return super().get_train_dataloader()
        return self.divided(self.train_dataset, self._get_train_sampler())

    def get_eval_dataloader(self, *args: Any) -> Any:
        if self.args.world_size == 1:
            return super().get_eval_dataloader(*args)
        settings = self.run.settings
        return self.divided(self.eval_dataset, by_length(self.eval_dataset, settings.batch_size, settings.seed))

    def divided(self, rows: Any, order: Any) -> Any:
        """The batches that one process has, this one's share of each."""
        from torch.utils.data import DataLoader

        size, rank, processes = self.run.settings.batch_size, self.args.process_index, self.args.world_size
        shares, pin = Shares(order, size, rank, processes, agreed), self.args.dataloader_pin_memory
        kept = self._remove_unused_columns(rows)
        return DataLoader(kept, batch_sampler=shares, collate_fn=self.collate, pin_memory=pin)

    def collate(self, rows: list[dict[str, Any]]) -> Any:
        """A row of nothing to learn stands for none: every process takes part in every step."""
        pad = self.processing_class.pad_token_id or 0
        return self.data_collator(rows or [{"input_ids": [pad] * 2, "labels": [IGNORED] * 2}])


def by_length(rows: Any, size: int, seed: int | None = None) -> Any:
    """Rows of like lengths beside one another, `size` of them; without a seed by torch's own random state."""
    import torch
    from transformers.trainer_pt_utils import LengthGroupedSampler

    generator = None if seed is None else torch.Generator().manual_seed(seed)
    return LengthGroupedSampler(size, lengths=[len(ids) for ids in rows["input_ids"]], generator=generator)


def agreed(value: Any) -> Any:
    """That of rank 0, in every process."""
    if world_size() == 1:
        return value
    from accelerate.utils import broadcast_object_list

    return broadcast_object_list([value])[0]


def score_labels_alone() -> None:
    """Has trl make logits of what is learnt and of nothing else on a CPU too, as it has on a card.

    Without that it makes them of every position and drops those that have no label: half of query_json's, four in
    five of summaries', for the sake of devices that compile for each shape. Losses and gradients are the same, on a
    CPU with AVX2 to the bit, and a step of query_json takes 0.85 of the time.
    """
    from trl.trainer import utils

    utils._use_triton = lambda _: True  # asked there alone for which rows; what computes them asks trl.kernels' own


def make_trainer(run: Run) -> Any:
    """A trl trainer whose data are ids and labels already."""
    from peft import LoraConfig
    from transformers import PrinterCallback, TrainerCallback
    from trl import SFTTrainer

    trainer_class = type("Trainer", (Trainer, SFTTrainer), {})
    watch_class = type("Watch", (Watch, TrainerCallback), {})
    quiet_libraries()
    score_labels_alone()
    told = arguments(run)  # first: with it processes know one another, and FSDP loads the base in one alone
    watch = watch_class(run)
    trainer = trainer_class(
        model=load_base(run),
        args=told,
        train_dataset=run.rows["train"],
        eval_dataset=run.rows["valid"],
        processing_class=run.chat.tokenizer,
        peft_config=LoraConfig(**run.lora),
        callbacks=[watch],
    )
    trainer.run, watch.trainer = run, trainer
    if (
        trainer.is_fsdp_enabled
    ):  # autocast is enough; accelerate's policy would round losses and the sums of gradients to bfloat16
        trainer.accelerator.state.fsdp_plugin.mixed_precision_policy = None
    for parameter in trainer.model.parameters():
        if parameter.requires_grad:  # trl makes them bfloat16 on a base of 4 bits: most values would not move in a step
            parameter.data = parameter.data.float()
    trainer.remove_callback(PrinterCallback)  # a dictionary a step: losses are in the curves
    return trainer


def load_base(run: Run) -> Any:
    """The base, in which the pattern finds modules of the language model."""
    settings = run.settings
    device = "cpu" if is_sharded() else None  # it fits no card: its parts go there
    model = load_model(run.base, settings.quantization, settings.precision, settings.attention, device)
    model.config.use_cache = False
    pattern = run.base.pattern(settings.target)
    modules = [name for name, _ in model.named_modules()]
    check_target(pattern, [name for name in modules if re.fullmatch(pattern, name)], modules)
    return model


def arguments(run: Run) -> Any:
    """What of the run trl is told."""
    import torch
    from trl import SFTConfig

    settings, plan = run.settings, run.plan
    on_cpu = not torch.cuda.is_available()
    return SFTConfig(
        output_dir=str(run.checkpoints),
        max_steps=plan.steps,
        per_device_train_batch_size=settings.batch_size // settings.processes,
        per_device_eval_batch_size=settings.batch_size // settings.processes,
        gradient_accumulation_steps=settings.accumulation,
        learning_rate=settings.learning_rate,
        lr_scheduler_type=SCHEDULES[settings.schedule],
        optim=OPTIMIZERS[settings.optimizer],
        warmup_steps=plan.warmup,
        weight_decay=settings.weight_decay,
        seed=settings.seed,
        data_seed=settings.seed,
        bf16=settings.precision == "bfloat16",
        use_cpu=on_cpu,
        train_sampling_strategy="group_by_length",
        max_length=None,  # trim has seen to the length
        logging_steps=max(1, plan.steps // 50),
        logging_nan_inf_filter=False,  # such a loss ends the run
        eval_strategy="steps",
        eval_steps=plan.evaluate_every,
        save_strategy="steps",
        save_steps=plan.evaluate_every,
        save_total_limit=2,
        load_best_model_at_end=True,
        metric_for_best_model="eval_loss",
        greater_is_better=False,
        gradient_checkpointing=run.gradient_checkpointing,
        ddp_find_unused_parameters=False,  # the layers of LoRA have all a part in each batch
        dataloader_pin_memory=not on_cpu,
        disable_tqdm=True,  # the bar is the stage's own
        report_to="none",
    )


def last_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint. trainer_state.json is written last; one without it was cut, and goes."""
    found = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]), reverse=True)
    for path in found:
        try:
            json.loads((path / "trainer_state.json").read_text("utf-8"))
        except (OSError, ValueError):
            shutil.rmtree(path)
        else:
            return path
    return None


def read_curves(history: list[dict[str, Any]]) -> Curves:
    curves = Curves()
    for entry in history:
        if "loss" in entry:
            curves.train[entry["step"]] = entry["loss"]
        if "eval_loss" in entry:
            curves.valid[entry["step"]] = entry["eval_loss"]
    return curves


def fit(run: Run) -> Fitted:
    import torch
    import transformers

    transformers.set_seed(run.settings.seed)
    trainer = make_trainer(run)
    if rank():
        torch.manual_seed(run.settings.seed + rank())  # no two processes drop out the same; rank 0 draws the rows
    resume = find_checkpoint(trainer, run)
    if resume:
        click.echo(f"going on from {resume}", err=True)
    gc.enable()
    trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    trainable = sum(p.numel() for p in trainer.model.parameters() if p.requires_grad)
    save = partial(save_weights, adapter_weights(trainer.model))
    return Fitted(save, read_curves(trainer.state.log_history), trainable, str(trainer.model.device))


def find_checkpoint(trainer: Any, run: Run) -> Path | None:
    """The last one of rank 0. Raises click.ClickException where a process does not see it, or cannot read it."""
    found = None
    if rank() == 0 and (found := last_checkpoint(run.checkpoints)):
        share_state(found)
    found = agreed(found)
    if found and not found.is_dir():
        raise click.ClickException(f"{found} is not on this machine: all of them want one folder for --state")
    if found and any(found.glob("pytorch_model_fsdp*")) != trainer.is_fsdp_enabled:
        raise click.ClickException(
            f"{found}: with FSDP and without, checkpoints are of two kinds; go on as it was begun"
        )
    return found


def share_state(checkpoint: Path) -> None:
    """The random state, from which rows are drawn, has one name where one process trains, another where several do."""
    alone, first = checkpoint / "rng_state.pth", checkpoint / "rng_state_0.pth"
    if alone.exists() != first.exists():
        shutil.copyfile(*((alone, first) if alone.exists() else (first, alone)))


def adapter_weights(model: Any) -> dict[str, Any]:
    """Those of LoRA, whole in each process, float32 on the CPU."""
    from peft import get_peft_model_state_dict

    parts = sorted(get_peft_model_state_dict(model).items())  # in one order in all processes
    whole = {name: part.full_tensor() if hasattr(part, "full_tensor") else part for name, part in parts}
    return {name: tensor.float().contiguous().cpu() for name, tensor in whole.items()}


def save_weights(weights: dict[str, Any], path: Path) -> None:
    from safetensors.torch import save_file

    save_file(weights, path, metadata={"format": "pt"})


main = training_command(
    "cuda", ("torch", "transformers", "peft", "trl"), fit, device_memory, refusals, computed_precision
)

if __name__ == "__main__":
    gc.disable()  # until all is loaded: looking through thousands of modules takes a tenth of the start
    main()
