"""mlx and mlx-lm: loads a base and an adapter. Apple silicon, or the CPU under Linux."""

import functools
import json
from pathlib import Path
from typing import Any

import click

from tuneline.models.adapter import WEIGHTS, fitting, update_scale
from tuneline.models.base import Base, check_target

PEFT_NAMES = {"lora_a": "lora_A.weight", "lora_b": "lora_B.weight", "m": "lora_magnitude_vector"}
MLX_NAMES = {peft: mlx for mlx, peft in PEFT_NAMES.items()}
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
        model, _ = load_model(base.folder, lazy=True, model_config=mlx_config(base.folder))
    except (ValueError, OSError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise click.ClickException(f"{base.folder}: mlx-lm: {' '.join(str(error).split())[:300]}") from None
    model.set_dtype(getattr(mx, precision))
    if quantization == "4bit":
        nn.quantize(model, group_size=GROUP, bits=4, class_predicate=_quantizable)
    model.freeze()
    mx.eval(model.parameters())
    return model.eval()


def computed_precision(wanted: str) -> str:
    """What the device trains in: `auto` is bfloat16 on Apple's GPU, float32 on a CPU."""
    if wanted != "auto":
        return wanted
    return answering_precision("bfloat16")


def answering_precision(trained: str) -> str:
    """That of training on Apple's GPU, float32 on a CPU, which is no slower with it."""
    import mlx.core as mx

    return "float32" if mx.default_device() == mx.cpu else computed_precision(trained)


def refused_processes(knob: str, count: int) -> str | None:
    return f"{knob} {count}: mlx works in one; write 1" if count > 1 else None


def mlx_config(folder: Path) -> dict[str, Any]:
    """config.json with the rotary base and scaling, and which layers see a window, also where mlx-lm looks for them.

    transformers 5 writes them in `rope_parameters` and `_sliding_window_pattern`, which most of mlx-lm's models ignore
    in silence.
    """
    config = json.loads((folder / "config.json").read_text("utf-8"))
    for part in (config, config.get("text_config")):
        rope = (part or {}).get("rope_parameters") or {}
        full = rope.get("full_attention", rope)  # one for each kind of attention, or one for all
        if "rope_theta" not in full or "rope_theta" in part:
            continue
        scaled = full.get("rope_type", "default") != "default"
        part |= {"rope_theta": full["rope_theta"], "rope_scaling": full if scaled else None}
        if "rope_theta" in rope.get("sliding_attention", {}):
            part["rope_local_base_freq"] = rope["sliding_attention"]["rope_theta"]
        if "_sliding_window_pattern" in part:
            part["sliding_window_pattern"] = part["_sliding_window_pattern"]
    return config


def _quantizable(_: str, module: Any) -> bool:
    """A linear layer as wide as whole groups; others keep their precision."""
    import mlx.nn as nn

    return isinstance(module, nn.Linear) and module.weight.shape[1] % GROUP == 0


def vocabulary(model: Any) -> int:
    """Tokens that the model has a logit for. mlx knows a result's shape without computing it."""
    import mlx.core as mx

    return model(mx.zeros((1, 1), mx.int32)).shape[-1]


def add_lora(model: Any, pattern: str, rank: int, scale: float, dropout: float, dora: bool = False) -> Any:
    """LoRA layers, float32 and trainable, where a module's path is a full match of `pattern`.

    They are drawn from mlx's global generator, the only one that its layers take: seed it first.
    Raises click.ClickException when the pattern finds nothing, what is not linear, or is outside the language model.
    """
    import re

    import mlx.nn as nn
    from mlx.utils import tree_unflatten
    from mlx_lm.tuner.dora import DoRALinear
    from mlx_lm.tuner.lora import LoRALinear

    modules = dict(model.named_modules())
    paths = sorted(path for path in modules if re.fullmatch(pattern, path))
    check_target(pattern, paths, modules)
    wrong = [path for path in paths if not isinstance(modules[path], nn.Linear | nn.QuantizedLinear)]
    if wrong:
        raise click.ClickException(
            f"LoRA target {pattern!r} finds {', '.join(wrong)}: no linear layer; correct base.yaml"
        )
    layer = DoRALinear if dora else LoRALinear
    layers = [(path, layer.from_base(modules[path], rank, dropout, scale)) for path in paths]
    model.update_modules(tree_unflatten(layers))
    return model


def checkpoint_layers(model: Any) -> None:
    """Layers that keep their input alone and are computed again for their gradients, with the same dropout.

    mlx-lm's own changes the class, for other models too, and draws another dropout the second time.
    """
    for layer in model.layers:
        layer.__class__ = _checkpointed(type(layer))


@functools.cache
def _checkpointed(kind: type) -> type:
    import mlx.core as mx
    import mlx.nn as nn

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        drops = [module for _, module in self.named_modules() if isinstance(module, nn.Dropout)]
        keys = mx.random.randint(0, 2**31 - 1, (len(drops), 2)).astype(mx.uint32) if drops else mx.zeros(0)

        def once(weights: dict, keys: Any, *args: Any) -> Any:
            self.update(weights)
            for drop, key in zip(drops, keys, strict=True):
                drop.__class__, drop._key = _keyed(), key
            return kind.__call__(self, *args, **kwargs)

        return mx.checkpoint(once)(self.trainable_parameters(), keys, *args)

    return type(kind.__name__, (kind,), {"__call__": call})


@functools.cache
def _keyed() -> type:
    """Dropout that is told its key and does not draw one."""
    import mlx.core as mx
    import mlx.nn as nn

    class Dropout(nn.Dropout):
        def __call__(self, x: Any) -> Any:
            stay = self._p_1  # of mlx's: the share that is kept
            if stay == 1 or not self.training:
                return x
            return mx.random.bernoulli(stay, x.shape, key=mx.stop_gradient(self._key)) * x / stay

    return Dropout


def load_adapter(model: Any, folder: Path) -> Any:
    """Raises click.ClickException when the adapter is torn, or of another base."""
    with fitting(folder):
        config = json.loads((folder / "adapter_config.json").read_text("utf-8"))
        dora = config.get("use_dora", False)
        add_lora(model, config["target_modules"], config["r"], update_scale(config), dropout=0.0, dora=dora)
    return switch_adapter(model, folder)


def switch_adapter(model: Any, folder: Path) -> Any:
    """Another adapter of the same rank, target and kind on the loaded base, in place.

    Raises click.ClickException for one of another.
    """
    import mlx.core as mx
    from mlx.utils import tree_flatten

    with fitting(folder):
        scale = update_scale(json.loads((folder / "adapter_config.json").read_text("utf-8")))
        stored = mx.load(str(folder / WEIGHTS))
        weights = {_mlx_name(name): tensor.T for name, tensor in stored.items()}  # a vector is its own transpose
    places = {name: tensor.shape for name, tensor in tree_flatten(model.trainable_parameters())}
    if places != {name: tensor.shape for name, tensor in weights.items()}:
        raise click.ClickException(
            f"{folder} fits neither its base nor an adapter before it: ranks, targets and variants must be the same"
        )
    model.load_weights(list(weights.items()), strict=False)
    for _, module in model.named_modules():
        if "lora_a" in module:
            module.scale = scale
    mx.eval(model.parameters())
    return model.eval()


def peft_weights(model: Any) -> dict[str, Any]:
    """The LoRA weights by PEFT's names, sorted: float32 numpy arrays, A (rank, in), B (out, rank), magnitudes (out)."""
    import numpy as np
    from mlx.utils import tree_flatten

    weights = {}
    for name, tensor in tree_flatten(model.trainable_parameters()):
        path, _, kind = name.replace(*reversed(TOWERS)).rpartition(".")
        weights[f"base_model.model.{path}.{PEFT_NAMES[kind]}"] = np.ascontiguousarray(np.array(tensor).T)
    return dict(sorted(weights.items()))


def _mlx_name(name: str) -> str:
    """Raises KeyError for a weight that is none of LoRA's."""
    peft = next((part for part in PEFT_NAMES.values() if name.endswith(f".{part}")), "")
    path = name.removeprefix("base_model.model.").removesuffix(peft)
    return f"{path}{MLX_NAMES[peft]}".replace(*TOWERS)
