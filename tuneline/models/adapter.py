"""An adapter folder: LoRA weights in PEFT's format, and all that predict needs beside the base.

adapter_config.json          peft's, keys and lists sorted, the base by its folder or Hub id
adapter_model.safetensors    float32
adapter.json                 base folder, quantization, precision, backend that trained it, the prefix of a question
system.md schema.json        the recipe's, as they were when it was trained
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import click
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError

from tuneline.files import write_json
from tuneline.models.base import Base, told

WEIGHTS = "adapter_model.safetensors"
FILES = ("adapter_config.json", WEIGHTS)  # of peft, which would look for what is missing on the Hub


class Adapter(BaseModel):
    """`adapter.json`; paths are relative to the repository's root."""

    model_config = ConfigDict(extra="forbid")

    base: Path
    quantization: Literal["none", "4bit"]
    precision: Literal["float32", "bfloat16"] = "float32"  # of those from before it was told
    backend: Literal["cuda", "mlx"]
    prefix: str


def read_adapter(folder: Path) -> Adapter:
    """Raises click.ClickException when the folder is no adapter of ours, or not a whole one."""
    try:
        adapter = Adapter.model_validate_json((folder / "adapter.json").read_text("utf-8"))
        wrong = ", ".join(f"{name} is missing" for name in FILES if not (folder / name).is_file())
    except ValidationError as error:
        wrong = f"adapter.json: {told(error)}"
    except (OSError, ValueError) as error:
        wrong = f"adapter.json: {getattr(error, 'strerror', None) or error}"
    if wrong:
        raise click.ClickException(f"{folder} is no trained adapter ({wrong}); make it with `make repro`")
    return adapter


@contextmanager
def fitting(folder: Path) -> Iterator[None]:
    """Raises click.ClickException where the adapter is torn, or of another base, by what the block's library says."""
    try:
        yield
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError, OSError, SafetensorError) as error:
        raise click.ClickException(f"{folder} does not fit its base: {' '.join(str(error).split())[:300]}") from None


VARIANTS: dict[str, dict[str, bool]] = {"plain": {}, "rslora": {"use_rslora": True}, "dora": {"use_dora": True}}


def lora_config(
    base: Base, rank: int, scale: float, dropout: float, target: str, variant: str = "plain"
) -> dict[str, Any]:
    """PEFT's configuration as plain values. alpha = scale × rank: the rank does not change the update's size.

    Of VARIANTS, rslora multiplies the update by alpha ÷ √rank (arXiv:2312.03732), dora by a magnitude a row of the
    weight too (arXiv:2402.09353).
    """
    return {
        "task_type": "CAUSAL_LM",
        "r": rank,
        "lora_alpha": scale * rank,
        "lora_dropout": dropout,
        "target_modules": base.pattern(target),
        **VARIANTS[variant],
    }


def update_scale(config: dict[str, Any]) -> float:
    """What the product of B and A is multiplied by: alpha ÷ rank, or ÷ √rank with rsLoRA."""
    return config["lora_alpha"] / config["r"] ** (0.5 if config.get("use_rslora") else 1)


def write_adapter(
    folder: Path, config: dict[str, Any], adapter: Adapter, base: Base, system: str, schema: Path
) -> None:
    """Everything but the weights, which the trainer writes as WEIGHTS."""
    peft = {"peft_type": "LORA", "base_model_name_or_path": base.name, "revision": base.revision, **config}
    write_json(folder / "adapter_config.json", {**dict(sorted(peft.items())), "inference_mode": True})
    write_json(folder / "adapter.json", json.loads(adapter.model_dump_json()))
    (folder / "system.md").write_text(f"{system}\n", encoding="utf-8")
    shutil.copyfile(schema, folder / "schema.json")
