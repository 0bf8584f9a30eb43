"""`tuneline adapter convert`: an adapter of PEFT for mlx-lm, and one of mlx-lm for PEFT."""

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from tuneline.backends.mlx import mlx_config
from tuneline.exporting.forms import (
    CONFIG,
    Lora,
    kind,
    layers_of_mlx,
    mlx_shapes,
    one_line,
    read_config,
    read_mlx,
    read_peft,
    sizes,
    some,
    write_mlx,
    write_peft,
)
from tuneline.exporting.places import check_apart, new_folder
from tuneline.files import say
from tuneline.models.base import FETCHED, Base, read_base, read_base_yaml

# The base


def find_base(name: str) -> Base:
    """A folder with weights, one of models/, or a Hub id that a base of data/bases has.

    Raises click.ClickException when there is none.
    """
    folder = Path(name)
    fetched = Path(*FETCHED, folder.name)
    if (folder / "base.yaml").is_file():
        return read_base(fetched if not _has_weights(folder) and _has_weights(fetched) else folder)
    if _has_weights(folder):
        return Base.model_construct(folder=folder.absolute())  # all that loading it asks for
    for path in sorted(Path(*FETCHED).glob("*/base.yaml")):
        if read_base_yaml(path.parent).id == name:
            return read_base(path.parent)
    raise click.ClickException(
        f"the base {name} is no model folder here, and no base of {Path(*FETCHED)}: name its folder with --base"
    )


def _has_weights(folder: Path) -> bool:
    return (folder / "config.json").is_file()


def load_mlx(base: Base) -> Any:
    """mlx-lm's model of the base, frozen; no weight is read before it is used.

    Raises click.ClickException when mlx-lm has no class for it, the weights are not its, or it changes them: such as
    where it multiplies factors of the configuration into a matrix, to which no adapter of another library fits.
    """
    from mlx_lm.utils import load_model

    try:
        model, _ = load_model(base.folder, lazy=True, model_config=mlx_config(base.folder))
    except (ValueError, OSError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise click.ClickException(f"{base.folder}: mlx-lm cannot load this base: {one_line(error)}") from None
    if changed := _changed(base, model):
        raise click.ClickException(
            f"{base.folder}: mlx-lm changes weights of this base when it loads them, such as {changed[0]}: an adapter "
            "of the one library does not fit the model of the other"
        )
    model.freeze()
    return model


def _changed(base: Base, model: Any) -> list[str]:
    """Of `_firsts`, those where the base's files have another weight. One that is stored in another shape or type
    cannot be compared."""
    import mlx.core as mx

    stored: dict[str, Any] = {}
    for file in base.folder.glob("model*.safetensors"):
        stored |= mx.load(str(file))
    modules, changed = dict(model.named_modules()), []
    for path, end in _firsts(model):
        weight = modules[path].weight
        named = [tensor for name, tensor in stored.items() if name.endswith(end)]  # a vision tower's may be among them
        alike = [tensor for tensor in named if tensor.shape == weight.shape and tensor.dtype == weight.dtype]
        if alike and not any(mx.array_equal(tensor, weight) for tensor in alike):
            changed.append(path)
    return changed


def _firsts(model: Any) -> list[tuple[str, str]]:
    """The first linear layer of each name within a layer: its path, and the end of its weight's name in a file."""
    root, firsts = layers_of_mlx(model), {}
    for path in sorted(mlx_shapes(model)):
        if path.startswith(f"{root}."):
            number, _, name = path.removeprefix(f"{root}.").partition(".")
            firsts.setdefault(name, (path, f".{number}.{name}.weight"))
    return list(firsts.values())


def load_shapes(base: Base) -> Any:
    """transformers' model of the base, its modules and shapes and no weights."""
    import torch
    from transformers import AutoConfig

    from tuneline.backends.cuda import model_class, quiet_libraries

    quiet_libraries()
    auto = model_class(base)
    with torch.device("meta"):
        return auto.from_config(AutoConfig.from_pretrained(base.folder))


def _pairs(peft: Any, mlx: Any) -> list[tuple[str, str]]:
    """The linear layers that both models have in the same shape, by their paths in each.

    Both count the decoder's layers alike, and name alike what is in one; what stands before them differs.
    """
    import torch

    before, instead = _layers_of_peft(peft, len(mlx.layers)), layers_of_mlx(mlx)
    shapes, pairs = mlx_shapes(mlx), []
    for path, part in peft.named_modules():
        other = instead + path.removeprefix(before) if path.startswith(f"{before}.") else path
        if isinstance(part, torch.nn.Linear) and shapes.get(other) == tuple(part.weight.shape):
            pairs.append((path, other))
    return pairs


def _layers_of_peft(model: Any, count: int) -> str:
    """The path of the decoder's list of layers; empty when there is none of that length."""
    import torch

    lists = [part for part in model.get_decoder().children() if isinstance(part, torch.nn.ModuleList)]
    return next(
        (path for path, part in model.named_modules() if any(part is one for one in lists) and len(part) == count), ""
    )


# From one to the other


def to_mlx(source: Path, base: Base, out: Path) -> None:
    """PEFT's adapter `source` in mlx-lm's form, into the folder `out`.

    Raises click.ClickException when mlx-lm cannot hold it, or has no such base.
    """
    peft, model = load_shapes(base), load_mlx(base)
    pairs = dict(_pairs(peft, model))
    lora = read_peft(source, peft)
    ranks, scales = sizes(lora)
    if len(ranks) > 1 or len(scales) > 1:
        say(
            f"{source} has {len(ranks)} ranks and {len(scales)} scales, mlx-lm one of each: narrower matrices are "
            "filled up with zeros, and B is multiplied by what a scale differs; the model is the same"
        )
    write_mlx(out, _renamed(source, lora, pairs, "mlx-lm"), base, model)


def to_peft(source: Path, base: Base, out: Path) -> None:
    """mlx-lm's adapter `source` in PEFT's form, into the folder `out`. Raises click.ClickException as `to_mlx` does."""
    if "quantization" in json.loads((base.folder / "config.json").read_text("utf-8")):
        raise click.ClickException(
            f"{base.folder} is quantized by mlx, and no other library loads it: name the folder of the model that it "
            "was made from with --base"
        )
    model = load_mlx(base)
    pairs = {other: path for path, other in _pairs(load_shapes(base), model)}
    write_peft(out, _renamed(source, read_mlx(source, model), pairs, "transformers"), base)


def _renamed(source: Path, lora: Lora, names: dict[str, str], library: str) -> Lora:
    lost = sorted(set(lora.updates) - set(names))
    if lost:
        raise click.ClickException(
            f"{source} adapts {some(lost)}: {library}'s model of the base has no such linear layer"
        )
    return Lora({names[path]: update for path, update in lora.updates.items()}, lora.dropout)


FORMS: dict[str, Callable[[Path, Base, Path], None]] = {"peft": to_peft, "mlx": to_mlx}
NAMES = {"peft": "base_model_name_or_path", "mlx": "model"}  # of the base, in the configuration


@click.group("adapter")
def adapter_commands() -> None:
    """Adapters of this project and of others."""


@adapter_commands.command()
@click.argument("source", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--to", type=click.Choice(list(FORMS)), required=True, help="The form to make.")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="A folder that is new or empty."
)
@click.option("--base", help="The base's folder, if not the one that SOURCE names.")
def convert(source: Path, to: str, out: Path, base: str | None) -> None:
    """Write the adapter in SOURCE, PEFT's or mlx-lm's, in the form of the other; its answers stay the same."""
    lacking = [name for name in ("mlx_lm", "peft", "torch") if not find_spec(name)]
    if lacking:
        raise click.ClickException(
            f"{', '.join(lacking)} not installed: both libraries convert, extras `cuda` and `mlx`"
        )
    form = kind(source)
    if form == to:
        raise click.ClickException(f"{source} is in the form of {to} already")
    if out.exists() and any(out.iterdir()):
        raise click.ClickException(f"{out} is not empty: name a new folder with --out")
    check_apart(out, source)
    base = base or read_config(source).get(NAMES[form])
    if not base:
        raise click.ClickException(f"{source}/{CONFIG} names no base: name its folder with --base")
    found = find_base(base)
    check_apart(out, found.folder)
    with new_folder(out) as part:
        FORMS[to](source, found, part)
    click.echo(f"{out}: the adapter for {to}")
