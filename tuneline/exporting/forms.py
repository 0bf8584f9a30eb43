"""A LoRA adapter in PEFT's form and in mlx-lm's: the same numbers by other names.

PEFT       adapter_config.json, adapter_model.safetensors: A (rank, in), B (out, rank), alpha
mlx-lm     adapter_config.json, adapters.safetensors: lora_a (in, rank), lora_b (rank, out), scale

To be read, an adapter is put onto its base by its own library: what it means is that library's to say, and each weight
has to have its place there.
"""

import json
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import click

from tuneline.files import write_json
from tuneline.models.adapter import WEIGHTS
from tuneline.models.base import Base

MLX_WEIGHTS = "adapters.safetensors"
CONFIG = "adapter_config.json"
PREFIX = "base_model.model."  # PEFT's, before each name
# Of PEFT's settings, those that LoRA and DoRA of linear layers are told by; any other changes more than that.
CARRIED = {
    *("peft_type", "task_type", "peft_version", "auto_mapping", "base_model_name_or_path", "revision"),
    *("r", "lora_alpha", "lora_dropout", "use_rslora", "use_dora", "rank_pattern", "alpha_pattern"),
    *("target_modules", "exclude_modules", "layers_to_transform", "layers_pattern"),
    *("inference_mode", "init_lora_weights", "eva_config", "megatron_core"),
}
STARTS = (True, False, None, "gaussian", "orthogonal", "eva")  # init_lora_weights that leave the base as it is


class Update(NamedTuple):
    """Of one linear layer, float32 numpy arrays: its weight W becomes W + scale × B A; with a magnitude, each row of
    that is brought to its length."""

    a: Any  # (rank, in)
    b: Any  # (out, rank)
    magnitude: Any  # (out,), or None
    scale: float


@dataclass
class Lora:
    updates: dict[str, Update]  # by the path of the layer, in the names of one of the two libraries
    dropout: float


def kind(source: Path) -> str:
    """ "peft" or "mlx", by the files. Raises click.ClickException when the folder is neither."""
    found = [form for form, name in (("peft", WEIGHTS), ("mlx", MLX_WEIGHTS)) if (source / name).is_file()]
    if len(found) == 1:
        return found[0]
    if found:
        raise click.ClickException(f"{source} holds {WEIGHTS} and {MLX_WEIGHTS}: leave one of them in the folder")
    others = sorted(path.name for path in source.glob("adapter*") if path.suffix in (".bin", ".npz", ".gguf", ".pt"))
    raise click.ClickException(
        f"{source} is no adapter: it has neither {WEIGHTS} (PEFT) nor {MLX_WEIGHTS} (mlx-lm)"
        + (f"; {', '.join(others)} is not read, save it as safetensors" if others else "")
    )


def read_peft(source: Path, model: Any) -> Lora:
    """`model`: transformers' of the base, without weights; PEFT's modules are put into it.

    Raises click.ClickException for what is more than LoRA or DoRA of linear layers, and for weights that do not fit.
    """
    import torch

    config, layers = _put_on(source, model)
    tensors = {name: torch.from_numpy(value) for name, value in read_weights(source / WEIGHTS).items()}
    weights = {name: value.numpy() for name, value in _placed(source, tensors, config, model).items()}
    updates = {
        path: Update(
            weights[f"{path}.lora_A.weight"],
            weights[f"{path}.lora_B.weight"],
            weights.get(f"{path}.lora_magnitude_vector"),
            part.scaling["default"],
        )
        for path, part in layers.items()
    }
    return Lora(updates, config.lora_dropout)


def check_peft(source: Path, model: Any) -> None:
    """As `read_peft`, by names and shapes: no weight is read."""
    import torch
    from safetensors import SafetensorError, safe_open

    config, _ = _put_on(source, model)
    try:
        with safe_open(source / WEIGHTS, "numpy") as file:
            names = file.keys()
            shapes = {name: file.get_slice(name).get_shape() for name in names}
    except (OSError, SafetensorError) as error:
        raise click.ClickException(f"{source / WEIGHTS} cannot be read: {one_line(error)}") from None
    _placed(source, {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}, config, model)


def _put_on(source: Path, model: Any) -> tuple[Any, dict[str, Any]]:
    """(PEFT's configuration, its layers in the model by their paths)."""
    import torch
    from peft import LoraConfig, inject_adapter_in_model
    from peft.tuners.lora import LoraLayer

    _check_settings(source)
    config = LoraConfig.from_pretrained(str(source))
    config.init_lora_weights = False  # its weights are in the file
    try:
        with warnings.catch_warnings(action="ignore"):  # of what merging would mean
            inject_adapter_in_model(config, model, low_cpu_mem_usage=True)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise click.ClickException(f"{source}: PEFT: {one_line(error)}") from None
    layers = {path: part for path, part in model.named_modules() if isinstance(part, LoraLayer)}
    _check_linear(source, {path: part.get_base_layer() for path, part in layers.items()}, torch.nn.Linear)
    return config, layers


def _placed(source: Path, tensors: dict[str, Any], config: Any, model: Any) -> dict[str, Any]:
    """By their names in the model, without PREFIX: transformers renamed modules of some models, and PEFT still reads
    adapters from before that."""
    from peft import get_peft_model_state_dict
    from peft.utils.transformers_weight_conversion import convert_peft_adapter_state_dict_for_transformers

    converted = convert_peft_adapter_state_dict_for_transformers(model, config, tensors)
    weights = {name.removeprefix(PREFIX): value for name, value in converted.items()}
    places = get_peft_model_state_dict(model, save_embedding_layers=False)
    _check_places(source, weights, {name: tuple(value.shape) for name, value in places.items()})
    return weights


def _check_settings(source: Path) -> None:
    from peft import LoraConfig

    config = read_config(source)
    if config.get("peft_type") != "LORA":
        raise click.ClickException(f"{source}/{CONFIG}: peft_type is {config.get('peft_type')}, not LORA")
    usual = LoraConfig().to_dict()
    more = [key for key, value in config.items() if key not in CARRIED and value and value != usual.get(key)]
    if config.get("init_lora_weights") not in STARTS:
        more.append("init_lora_weights")  # such as pissa: the base itself is changed before the adapter is added
    if more:
        told = ", ".join(f"{key} = {json.dumps(config[key])}" for key in sorted(more))
        raise click.ClickException(
            f"{source}/{CONFIG}: {told}: that is more than LoRA or DoRA of linear layers, which is all that "
            "mlx-lm's form can hold; merge the adapter into its base instead"
        )


def read_mlx(source: Path, model: Any) -> Lora:
    """`model`: mlx-lm's of the base; mlx-lm's modules are put into it.

    Raises click.ClickException as `read_peft` does.
    """
    from mlx.utils import tree_flatten
    from mlx_lm.tuner.dora import DoRALinear
    from mlx_lm.tuner.lora import LoRALinear
    from mlx_lm.tuner.utils import load_adapters

    config = read_config(source)
    tuned = config.get("fine_tune_type", "lora")  # mlx-lm's own default
    if tuned not in ("lora", "dora"):
        raise click.ClickException(
            f"{source}/{CONFIG}: fine_tune_type is {tuned}: PEFT's form holds lora and dora only"
        )
    weights = read_weights(source / MLX_WEIGHTS)
    try:
        load_adapters(model, str(source))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise click.ClickException(f"{source}: mlx-lm: {one_line(error)}") from None
    _check_linear(source, _adapted(model), LoRALinear | DoRALinear)
    _check_places(source, weights, {name: value.shape for name, value in tree_flatten(model.trainable_parameters())})
    return lora_of(model, config["lora_parameters"].get("dropout", 0.0))


def lora_of(model: Any, dropout: float) -> Lora:
    """Of a model of mlx-lm's that has an adapter."""
    updates = {}
    for path, part in _adapted(model).items():
        magnitude = _float32(part.m) if "m" in part else None
        updates[path] = Update(_float32(part.lora_a).T, _float32(part.lora_b).T, magnitude, float(part.scale))
    return Lora(updates, dropout)


def _adapted(model: Any) -> dict[str, Any]:
    return {path: part for path, part in model.named_modules() if "lora_a" in part}


def _check_linear(source: Path, layers: dict[str, Any], linear: Any) -> None:
    wrong = [f"{path} ({type(part).__name__})" for path, part in layers.items() if not isinstance(part, linear)]
    if wrong:
        raise click.ClickException(
            f"{source} adapts {some(wrong)}: only adapters of linear layers are converted, such as of q_proj"
        )


def _check_places(source: Path, weights: dict[str, Any], places: dict[str, tuple[int, ...]]) -> None:
    """Each weight has its place, each place its weight, in the same shape."""
    both = weights.keys() & places.keys()
    faults = {
        "are missing from the file": places.keys() - both,
        "have no place in the adapted base": weights.keys() - both,
        "are of another shape": {name for name in both if tuple(weights[name].shape) != places[name]},
    }
    told = [f"{len(names)} {words}, such as {min(names)}" for words, names in faults.items() if names]
    if told:
        raise click.ClickException(
            f"{source}: of the weights, {'; '.join(told)}: the adapter is more than LoRA, or its base is another"
        )


def write_peft(folder: Path, lora: Lora, base: Base) -> None:
    ranks, scales = sizes(lora)
    rank, scale = max(ranks), max(scales)
    config = {
        "base_model_name_or_path": _name(base),
        "inference_mode": True,
        "lora_alpha": _short(scale * rank),
        "lora_dropout": lora.dropout,
        "peft_type": "LORA",
        "r": rank,
        "revision": base.revision,
        "target_modules": sorted(lora.updates),  # whole paths: a bare q_proj may be one of a vision tower too
        "task_type": "CAUSAL_LM",
        "use_dora": _is_dora(lora),
    }
    weights = {}
    for path, update in lora.updates.items():
        weights |= {f"{PREFIX}{path}.lora_A.weight": update.a, f"{PREFIX}{path}.lora_B.weight": update.b}
        if update.magnitude is not None:
            weights[f"{PREFIX}{path}.lora_magnitude_vector"] = update.magnitude
    _write(folder, config, WEIGHTS, weights, "pt")


def write_mlx(folder: Path, lora: Lora, base: Base, model: Any) -> None:
    """mlx-lm has one rank and one scale an adapter: narrower matrices get zeros, B takes up what a scale differs."""
    import numpy as np

    ranks, scales = sizes(lora)
    rank, scale = max(ranks), scales.pop() if len(scales) == 1 else 1.0
    weights = {}
    for path, update in lora.updates.items():
        wider = (0, rank - len(update.a))
        b = update.b if update.scale == scale else update.b * np.float32(update.scale / scale)
        weights[f"{path}.lora_a"] = np.pad(update.a, (wider, (0, 0))).T
        weights[f"{path}.lora_b"] = np.pad(b, ((0, 0), wider)).T
        if update.magnitude is not None:
            weights[f"{path}.m"] = update.magnitude
    count, keys = _keys(set(lora.updates), model)
    config = {
        "fine_tune_type": "dora" if _is_dora(lora) else "lora",
        "lora_parameters": {"dropout": lora.dropout, "keys": keys, "rank": rank, "scale": _short(scale)},
        "model": _name(base),
        "num_layers": count,
    }
    _write(folder, config, MLX_WEIGHTS, weights, "mlx")


def _keys(paths: set[str], model: Any) -> tuple[int, list[str]]:
    """mlx-lm's `num_layers` and `keys`: names within each of the last layers, or whole paths where no such names find
    just these layers."""
    root, known = layers_of_mlx(model), mlx_shapes(model).keys() | _adapted(model).keys()
    inside = [path.removeprefix(f"{root}.").partition(".") for path in paths if path.startswith(f"{root}.")]
    count, names = len(model.layers), sorted({name for _, _, name in inside})
    first = min((int(at) for at, _, _ in inside), default=0)
    found = {f"{root}.{at}.{name}" for at in range(first, count) for name in names}
    if found & known == paths:
        return count - first, names
    return count, sorted(paths)


def sizes(lora: Lora) -> tuple[set[int], set[float]]:
    updates = lora.updates.values()
    return {len(update.a) for update in updates}, {update.scale for update in updates}


def _is_dora(lora: Lora) -> bool:
    return any(update.magnitude is not None for update in lora.updates.values())


def _short(number: float) -> float | int:
    """16 and not 16.0: as people write it."""
    return int(number) if number == int(number) else number


def _name(base: Base) -> str:
    """For any folder that the adapter may lie in."""
    return base.id or str(base.folder.absolute())


def read_config(source: Path) -> dict[str, Any]:
    try:
        config = json.loads((source / CONFIG).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise click.ClickException(f"{source}/{CONFIG} cannot be read: {one_line(error)}") from None
    if not isinstance(config, dict):
        raise click.ClickException(f"{source}/{CONFIG} is no JSON object")
    return config


def read_weights(path: Path) -> dict[str, Any]:
    """float32. Raises click.ClickException."""
    import mlx.core as mx

    try:
        return {name: _float32(value) for name, value in mx.load(str(path)).items()}
    except (RuntimeError, ValueError) as error:
        raise click.ClickException(f"{path} cannot be read: {one_line(error)}") from None


def _float32(tensor: Any) -> Any:
    """mlx's array as numpy's; bfloat16 and float16 are held exactly."""
    import mlx.core as mx
    import numpy as np

    return np.array(tensor.astype(mx.float32))


def _write(folder: Path, config: dict[str, Any], name: str, weights: dict[str, Any], form: str) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    write_json(folder / CONFIG, config)
    ordered = {key: np.ascontiguousarray(weights[key]) for key in sorted(weights)}
    save_file(ordered, folder / name, metadata={"format": form})


def layers_of_mlx(model: Any) -> str:
    return next(path for path, part in model.named_modules() if part is model.layers[0]).removesuffix(".0")


def mlx_shapes(model: Any) -> dict[str, tuple[int, int]]:
    """(out, in) of each linear layer; a quantized one packs several weights into each number of a row."""
    import mlx.nn as nn

    shapes = {}
    for path, part in model.named_modules():
        if isinstance(part, nn.Linear | nn.QuantizedLinear):
            packed = 32 // part.bits if isinstance(part, nn.QuantizedLinear) else 1
            shapes[path] = (part.weight.shape[0], part.weight.shape[1] * packed)
    return shapes


def some(names: Iterable[str]) -> str:
    first, *more = sorted(names)
    return first if not more else f"{first} and {len(more)} more"


def one_line(error: Exception) -> str:
    """Without quotes or a traceback, and of a length that is read."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else f"{text[:299]}…"
