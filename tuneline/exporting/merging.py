"""The adapter added into its base's full-precision weights: a model that transformers loads by itself."""

import json
from pathlib import Path
from typing import Any

import click

from tuneline.exporting.tokenizer import write_tokenizer
from tuneline.models.base import Base
from tuneline.rendering.chat import Chat

DTYPES = ("float32", "bfloat16", "float16")


def own_dtype(base: Base) -> str:
    """In which the base's weights are stored, by its config.json."""
    config = json.loads((base.folder / "config.json").read_text("utf-8"))
    told = config.get("dtype") or config.get("torch_dtype") or config.get("text_config", {}).get("dtype")
    return told if told in DTYPES else "float32"


def write_merged(adapter: Path, base: Base, chat: Chat, most: int, dtype: str, out: Path) -> None:
    """The model's folder. The sum is taken in float32 and rounded once to `dtype`.

    Also of an adapter that was trained on 4 bits: the base is the one that the 4 bits were made from.
    Raises click.ClickException when the adapter is of another base.
    """
    import torch

    from tuneline.backends.cuda import load_adapter, load_model

    model = load_model(base, "none", "float32", device="cpu")
    model = load_adapter(model, adapter).unload().to(getattr(torch, dtype))
    _check_finite(model, dtype)
    model.generation_config = generation_config(chat, most)
    model.save_pretrained(out)
    write_tokenizer(chat, base, out)


def _check_finite(model: Any, dtype: str) -> None:
    lost = [name for name, weight in model.named_parameters() if not weight.isfinite().all()]
    if lost:
        raise click.ClickException(f"{dtype} cannot hold {len(lost)} weights, such as {lost[0]}: take --dtype bfloat16")


def generation_config(chat: Chat, most: int) -> Any:
    """Greedy, ended by what ends an answer, and no longer than the adapter's answers may be."""
    from transformers import GenerationConfig

    pad = chat.tokenizer.pad_token_id
    return GenerationConfig(
        do_sample=False,
        eos_token_id=chat.stop_ids,
        pad_token_id=chat.stop_ids[0] if pad is None else pad,
        bos_token_id=chat.tokenizer.bos_token_id,
        max_new_tokens=most,
    )
