"""mlx and mlx-lm: loads a base and an adapter. Apple silicon, or the CPU under Linux."""

import json
from pathlib import Path
from typing import Any

import click

from tuneline.models.adapter import WEIGHTS
from tuneline.models.base import Base, check_target

GROUP = 64  # weights that share a scale in 4bit
TOWERS = ("model.language_model.", "language_model.model.")  # a language model beside others: transformers', mlx-lm's


def load_model(base: Base, quantization: str, precision: str = "float32") -> Any:
    """The base on the device, frozen. 4bit is mlx's own, of linear layers, with `precision` arithmetic.

    Raises click.ClickException when mlx-lm has no class for it, or a weight is missing, left over or of another shape.
    """
    import mlx.core as mx
    import mlx.nn as nn
    from mlx_lm.utils import load_model

    if mx.default_device() == mx.cpu:
        mx.disable_compile()  # there it runs g++ for every fused kernel, and saves little
    try:  # lazily: each weight goes through its conversion before the next one is read
        model, _ = load_model(base.folder, lazy=True, model_config=_rope(base.folder))
    except (ValueError, OSError, KeyError, TypeError) as error:
        raise click.ClickException(f"{base.folder}: mlx-lm: {' '.join(str(error).split())[:300]}") from None
    model.set_dtype(getattr(mx, precision))
    if quantization == "4bit":
        nn.quantize(model, group_size=GROUP, bits=4, class_predicate=_quantizable)
    model.freeze()
    mx.eval(model.parameters())
    return model.eval()


def _rope(folder: Path) -> dict[str, Any]:
    """The rotary base and scaling where mlx-lm looks for them.

    transformers 5 writes both in `rope_parameters`, which most of mlx-lm's models ignore in silence.
    """
    config = json.loads((folder / "config.json").read_text("utf-8"))
    rope = config.get("rope_parameters") or {}
    if "rope_theta" not in rope or "rope_theta" in config:
        return {}
    scaled = rope.get("rope_type", "default") != "default"
    return {"rope_theta": rope["rope_theta"], "rope_scaling": rope if scaled else None}


def _quantizable(_: str, module: Any) -> bool:
    """A linear layer as wide as whole groups; others keep their precision."""
    import mlx.nn as nn

    return isinstance(module, nn.Linear) and module.weight.shape[1] % GROUP == 0


def vocabulary(model: Any) -> int:
    """Tokens that the model has a logit for. mlx knows a result's shape without computing it."""
    import mlx.core as mx

    return model(mx.zeros((1, 1), mx.int32)).shape[-1]


def add_lora(model: Any, pattern: str, rank: int, scale: float, dropout: float) -> Any:
    """LoRA layers, float32 and trainable, where a module's path is a full match of `pattern`.

    They are drawn from mlx's global generator, the only one that its layers take: seed it first.
    Raises click.ClickException when the pattern finds nothing, what is not linear, or is outside the language model.
    """
    import re

    import mlx.nn as nn
    from mlx.utils import tree_unflatten
    from mlx_lm.tuner.lora import LoRALinear

    modules = dict(model.named_modules())
    paths = sorted(path for path in modules if re.fullmatch(pattern, path))
    check_target(pattern, paths, modules)
    wrong = [path for path in paths if not isinstance(modules[path], nn.Linear | nn.QuantizedLinear)]
    if wrong:
        raise click.ClickException(
            f"LoRA target {pattern!r} finds {', '.join(wrong)}: no linear layer; correct base.yaml"
        )
    layers = [(path, LoRALinear.from_base(modules[path], rank, dropout, scale)) for path in paths]
    model.update_modules(tree_unflatten(layers))
    return model


def load_adapter(model: Any, folder: Path) -> Any:
    """Raises click.ClickException when the adapter is of another base."""
    config = json.loads((folder / "adapter_config.json").read_text("utf-8"))
    rank = config["r"]
    add_lora(model, config["target_modules"], rank, config["lora_alpha"] / rank, dropout=0.0)
    return switch_adapter(model, folder)


def switch_adapter(model: Any, folder: Path) -> Any:
    """Another adapter of the same rank and target on the loaded base, in place.

    Raises click.ClickException for one of another rank or target.
    """
    import mlx.core as mx
    from mlx.utils import tree_flatten

    stored = mx.load(str(folder / WEIGHTS))
    weights = {_mlx_name(name): tensor.T for name, tensor in stored.items()}
    places = {name: tensor.shape for name, tensor in tree_flatten(model.trainable_parameters())}
    if places != {name: tensor.shape for name, tensor in weights.items()}:
        raise click.ClickException(
            f"{folder} fits neither its base nor an adapter before it: ranks and targets must be the same"
        )
    model.load_weights(list(weights.items()), strict=False)
    mx.eval(model.parameters())
    return model.eval()


def peft_weights(model: Any) -> dict[str, Any]:
    """The LoRA weights by PEFT's names, sorted: float32 numpy arrays, A (rank, in) and B (out, rank)."""
    import numpy as np
    from mlx.utils import tree_flatten

    weights = {}
    for name, tensor in tree_flatten(model.trainable_parameters()):
        path, _, kind = name.replace(*reversed(TOWERS)).rpartition(".lora_")
        weights[f"base_model.model.{path}.lora_{kind.upper()}.weight"] = np.ascontiguousarray(np.array(tensor).T)
    return dict(sorted(weights.items()))


def _mlx_name(name: str) -> str:
    path, _, kind = name.removeprefix("base_model.model.").removesuffix(".weight").rpartition(".lora_")
    return f"{path}.lora_{kind.lower()}".replace(*TOWERS)
