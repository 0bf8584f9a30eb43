"""Token files → a LoRA adapter, with transformers, peft and trl: on CUDA, or on the CPU.

Trains on the very ids that format wrote. The adapter with the best validation loss is kept. A
killed run goes on from its last checkpoint, which lies outside the outputs.

    python -m stages.train_cuda --tokens data/query_json/tokens --base models/tiny \\
        --preamble data/query_json/preamble.json --schema recipes/query_json/schema.json \\
        --out adapters/query_json --curves metrics/query_json/curves \\
        --summary metrics/query_json/training_summary.json --state .tuneline --quantization none \\
        --learning-rate 0.002 --epochs 3 --batch-size 8 --accumulation 1 --warmup 0.05 \\
        --weight-decay 0 --evaluations 5 --precision bfloat16 --seed 0 --rank 32 --scale 2 \\
        --dropout 0 --target linear --variant plain --schedule linear --optimizer adamw \\
        --early-stopping 0 --attention auto --gradient-checkpointing auto --report-to none
"""

import gc
import json
import re
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import click

from tuneline.backends.cuda import load_model, local_rank
from tuneline.estimate import machine_memory
from tuneline.models.base import check_target
from tuneline.training import Curves, Fitted, Run, Settings, check_finite, training_command

SCHEDULES = {"linear": "linear", "cosine": "cosine", "constant": "constant_with_warmup"}  # by transformers' names
OPTIMIZERS = {"adamw": "adamw_torch_fused", "adamw-8bit": "adamw_bnb_8bit", "paged-adamw-8bit": "paged_adamw_8bit"}
LOSSES = {"loss": "train_loss", "eval_loss": "valid_loss"}


def refusals(settings: Settings) -> Iterator[str]:
    """What of the settings this machine cannot do."""
    import importlib.util

    import torch

    if settings.attention == "flash" and not (torch.cuda.is_available() and importlib.util.find_spec("flash_attn")):
        yield "fit.attention flash: it wants an NVIDIA card and the package flash-attn; write auto"


def device_memory() -> tuple[str, int]:
    """The device's kind and bytes: a card's own, or the machine's."""
    import torch

    if torch.cuda.is_available():
        return "cuda", torch.cuda.get_device_properties(local_rank()).total_memory
    return "cpu", machine_memory()


def make_trainer(run: Run) -> Any:
    """A trl trainer whose data are ids and labels already.

    The validation loss is the mean over trained tokens, whatever batch they are in.
    """
    import torch
    from peft import LoraConfig
    from transformers import PrinterCallback, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    settings, plan = run.settings, run.plan

    class Watch(TrainerCallback):
        """The last step is evaluated too, whatever the interval; losses are told, and looked at before they count."""

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            run.step(state.global_step)
            if state.global_step == plan.steps:
                control.should_evaluate = control.should_save = control.should_log = True

        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **_: Any) -> None:
            for key, name in LOSSES.items():
                if key in logs:
                    run.report(state.global_step, name, logs[key])

        def on_evaluate(self, args: Any, state: Any, control: Any, metrics: dict[str, float], **_: Any) -> None:
            check_finite(metrics["eval_loss"], state.global_step, run)
            if read_curves(state.log_history).is_over(settings.early_stopping):
                click.echo(f"ends early, at step {state.global_step}: fit.early-stopping", err=True)
                control.should_training_stop = control.should_save = control.should_log = True

    class Trainer(SFTTrainer):
        def training_step(self, *args: Any, **kwargs: Any) -> Any:
            loss = super().training_step(*args, **kwargs)
            check_finite(loss.item(), self.state.global_step + 1, run)
            return loss

        def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
            self.model.eval()
            total = torch.zeros(2, dtype=torch.float64)
            with torch.no_grad():
                for batch in self.get_eval_dataloader():
                    out = self.model(**self._prepare_inputs(batch), use_cache=False, fused_lm_head=True)
                    total += torch.stack([-out.log_probs.double().sum(), out.label_mask.double().sum()]).cpu()
            metrics = {"eval_loss": (total[0] / total[1]).item()}
            self.log(metrics)
            self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
            return metrics

    model = load_model(run.base, settings.quantization, settings.precision, settings.attention)
    model.config.use_cache = False
    pattern = run.base.pattern(settings.target)
    modules = [name for name, _ in model.named_modules()]
    check_target(pattern, [name for name in modules if re.fullmatch(pattern, name)], modules)
    on_cpu = not torch.cuda.is_available()
    arguments = SFTConfig(
        output_dir=str(run.checkpoints),
        max_steps=plan.steps,
        per_device_train_batch_size=settings.batch_size,
        per_device_eval_batch_size=settings.batch_size,
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
        dataloader_pin_memory=not on_cpu,
        disable_tqdm=True,  # the bar is the stage's own
        report_to="none",
    )
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=run.rows["train"],
        eval_dataset=run.rows["valid"],
        processing_class=run.chat.tokenizer,
        peft_config=LoraConfig(**run.lora),
        callbacks=[Watch()],
    )
    for parameter in trainer.model.parameters():
        if parameter.requires_grad:  # trl makes them bfloat16 on a base of 4 bits: most values would not move in a step
            parameter.data = parameter.data.float()
    trainer.remove_callback(PrinterCallback)  # a dictionary a step: losses are in the curves
    return trainer


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
    import transformers

    transformers.set_seed(run.settings.seed)
    resume = last_checkpoint(run.checkpoints)
    if resume:
        click.echo(f"going on from {resume}", err=True)
    trainer = make_trainer(run)
    gc.enable()
    trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    trainable = sum(p.numel() for p in trainer.model.parameters() if p.requires_grad)
    save = partial(save_weights, trainer.model)
    return Fitted(save, read_curves(trainer.state.log_history), trainable, str(trainer.model.device))


def save_weights(model: Any, path: Path) -> None:
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    weights = {name: tensor.float().contiguous().cpu() for name, tensor in get_peft_model_state_dict(model).items()}
    save_file(dict(sorted(weights.items())), path, metadata={"format": "pt"})


main = training_command("cuda", ("torch", "transformers", "peft", "trl"), fit, device_memory, refusals)

if __name__ == "__main__":
    gc.disable()  # until all is loaded: looking through thousands of modules takes a tenth of the start
    main()
