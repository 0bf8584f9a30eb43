"""Token files → a LoRA adapter, with transformers, peft and trl: on CUDA, or on the CPU.

Trains on the very ids that format wrote. The adapter with the best validation loss is kept. A
killed run goes on from its last checkpoint, which lies outside the outputs.

    python -m stages.train_cuda --tokens data/query_json/tokens --base models/tiny \\
        --recipe recipes/query_json --prefix "" --out adapters/query_json --curves metrics/query_json/curves \\
        --summary metrics/query_json/training_summary.json --state .tuneline --quantization none \\
        --learning-rate 0.002 --epochs 3 --batch-size 8 --accumulation 1 --warmup 0.05 \\
        --weight-decay 0 --evaluations 5 --precision bfloat16 --seed 0 --rank 32 --scale 2 \\
        --dropout 0 --target linear
"""

import json
import shutil
from pathlib import Path
from typing import Any

import click

from tuneline.adapter import WEIGHTS, Adapter, lora_config, write_adapter
from tuneline.backend_cuda import load_model
from tuneline.base import Base, read_base
from tuneline.chat import load_chat
from tuneline.files import whole_folder
from tuneline.tokens import read_tokens
from tuneline.training import (
    Curves,
    Plan,
    RunLog,
    Settings,
    checkpoint_folder,
    plan_steps,
    training_options,
    write_summary,
)

PACKAGES = ("torch", "transformers", "peft", "trl")


def make_trainer(base: Base, chat: Any, rows: dict, settings: Settings, plan: Plan, checkpoints: Path) -> Any:
    """A trl trainer whose data are ids and labels already."""
    import torch
    from peft import LoraConfig, prepare_model_for_kbit_training
    from transformers import TrainerCallback
    from trl import SFTConfig, SFTTrainer

    class LastStep(TrainerCallback):
        """The last step is evaluated too, whatever the interval."""

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step == plan.steps:
                control.should_evaluate = control.should_save = control.should_log = True

    model = load_model(base, settings.quantization, settings.precision)
    model.config.use_cache = False
    if settings.quantization == "4bit":
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    on_cpu = not torch.cuda.is_available()
    arguments = SFTConfig(
        output_dir=str(checkpoints),
        max_steps=plan.steps,
        per_device_train_batch_size=settings.batch_size,
        per_device_eval_batch_size=settings.batch_size,
        gradient_accumulation_steps=settings.accumulation,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=plan.warmup,
        weight_decay=settings.weight_decay,
        seed=settings.seed,
        data_seed=settings.seed,
        bf16=settings.precision == "bfloat16",
        use_cpu=on_cpu,
        train_sampling_strategy="group_by_length",
        max_length=None,  # trim has seen to the length
        logging_steps=max(1, plan.steps // 50),
        eval_strategy="steps",
        eval_steps=plan.evaluate_every,
        save_strategy="steps",
        save_steps=plan.evaluate_every,
        save_total_limit=2,
        load_best_model_at_end=True,
        metric_for_best_model="eval_loss",
        greater_is_better=False,
        gradient_checkpointing=False,
        dataloader_pin_memory=not on_cpu,
        disable_tqdm=False,
        report_to="none",
    )
    trainer = SFTTrainer(
        model=model,
        args=arguments,
        train_dataset=rows["train"],
        eval_dataset=rows["valid"],
        processing_class=chat.tokenizer,
        peft_config=LoraConfig(**lora_config(base, settings.rank, settings.scale, settings.dropout, settings.target)),
        callbacks=[LastStep()],
    )
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


@click.command()
@click.option("--tokens", type=click.Path(path_type=Path), required=True)
@click.option("--base", "base_folder", type=click.Path(path_type=Path), required=True)
@click.option("--recipe", type=click.Path(path_type=Path), required=True)
@click.option("--prefix", required=True, help="What stands before each question; may be empty.")
@click.option("--out", type=click.Path(path_type=Path), required=True)
@click.option("--curves", "curves_folder", type=click.Path(path_type=Path), required=True)
@click.option("--summary", type=click.Path(path_type=Path), required=True)
@click.option("--state", type=click.Path(path_type=Path), required=True, help="Ignored folder: checkpoints, run log.")
@training_options
def main(
    tokens: Path,
    base_folder: Path,
    recipe: Path,
    prefix: str,
    out: Path,
    curves_folder: Path,
    summary: Path,
    state: Path,
    **flags: Any,
) -> None:
    settings = Settings(**flags)
    base = read_base(base_folder)
    base.pattern(settings.target)
    chat = load_chat(base)
    rows = read_tokens(tokens, chat)

    import transformers

    transformers.set_seed(settings.seed)
    plan = plan_steps(len(rows["train"]), settings)
    checkpoints = checkpoint_folder(state, out, tokens, base, recipe, settings)
    resume = last_checkpoint(checkpoints)
    if resume:
        click.echo(f"going on from {resume}", err=True)
    with RunLog(state, "train_cuda", out.name) as record:
        trainer = make_trainer(base, chat, rows, settings, plan, checkpoints)
        trainer.train(resume_from_checkpoint=str(resume) if resume else None)
        record["device"] = str(trainer.model.device)
    curves = read_curves(trainer.state.log_history)
    adapter = Adapter(base=base_folder, quantization=settings.quantization, backend="cuda", prefix=prefix.strip())
    config = lora_config(base, settings.rank, settings.scale, settings.dropout, settings.target)
    with whole_folder(out) as part:
        save_weights(trainer.model, part)
        write_adapter(part, config, adapter, base, recipe)
    curves_folder.mkdir(parents=True, exist_ok=True)
    curves.write(curves_folder)
    trainable = sum(p.numel() for p in trainer.model.parameters() if p.requires_grad)
    write_summary(summary, plan, curves, rows, trainable, PACKAGES)
    shutil.rmtree(checkpoints.parent, ignore_errors=True)


def save_weights(model: Any, folder: Path) -> None:
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    weights = {name: tensor.float().contiguous().cpu() for name, tensor in get_peft_model_state_dict(model).items()}
    save_file(dict(sorted(weights.items())), folder / WEIGHTS, metadata={"format": "pt"})


if __name__ == "__main__":
    main()
