"""params.yaml → what the other stages take on trust: its names are names, the folders that it speaks of are there, and
every knob has a value that its stage takes.

DVC puts adapters, recipes and bases into its command lines as they are written. This stage runs first, so that no
shell reads one before it has been looked at; it alone opens params.yaml, since a name cannot be passed by a shell
that it might mislead. A knob of a late stage is told here too, and not after what is paid and trained before it.
Every fault is told at once.

    python -m stages.check --params params.yaml --out data/checks/params.yaml
"""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import yaml

from tuneline.bases.stored import stored_as, stored_fault
from tuneline.files import Clock, whole_file
from tuneline.teaching import options as teaching

NAME, PATH = re.compile("[a-z0-9][a-z0-9_-]*"), re.compile("[A-Za-z0-9][A-Za-z0-9._/-]*")
QUANTIZATIONS, AUTO = ("none", "4bit"), "auto"
BASES = "data/bases"  # where the stage `base` writes

WHOLE, COUNT, FROM_0, ABOVE_0 = click.INT, click.IntRange(1), click.FloatRange(0), click.FloatRange(0, min_open=True)
SHARE, TEXT, TRUTH, TEXTS = click.FloatRange(0, 1), click.STRING, click.BOOL, [click.STRING]
Kind = click.ParamType | list[click.ParamType] | tuple[click.ParamType]  # a list of some, of any number
ENGINE = click.Choice(["local", "ray"])
ENTRIES = ("recipe", "base", "max-new-tokens", "quantization", "train")  # of an adapter
TRAIN: dict[str, Kind] = {
    "learning-rate": ABOVE_0, "epochs": ABOVE_0, "batch-size": COUNT, "accumulation": COUNT, "evaluations": COUNT,
}  # fmt: skip
ASKED: dict[str, Kind] = {**teaching.KNOBS, "body": (teaching.KNOBS["body"],)}
KNOBS: dict[str, dict[str, Kind]] = {  # section → knob → what the option of its stage takes
    "teacher": ASKED,
    "judge": ASKED,
    "prices": {"price": TEXTS},
    "train": {"backend": click.Choice(["cuda", "mlx"]), "processes": COUNT},
    "fit": {
        "warmup": SHARE,
        "schedule": click.Choice(["linear", "cosine", "constant"]),
        "optimizer": click.Choice(["adamw", "adamw-8bit", "paged-adamw-8bit"]),
        "weight-decay": FROM_0,
        "early-stopping": click.IntRange(0),
        "precision": click.Choice(["auto", "float32", "bfloat16"]),
        "attention": click.Choice(["auto", "eager", "sdpa", "flash"]),
        "gradient-checkpointing": click.Choice(["auto", "always", "never"]),
        "report-to": click.Choice(["none", "wandb", "tensorboard"]),
        "seed": WHOLE,
    },
    "lora": {
        "rank": COUNT,
        "scale": ABOVE_0,
        "dropout": SHARE,
        "target": TEXT,
        "variant": click.Choice(["plain", "rslora", "dora"]),
    },
    "trim": {"max-tokens": COUNT},
    "split": {"held-out": SHARE, "seed": WHOLE},
    "baseline": {"shots": click.IntRange(0, 8)},
    "predict": {"batch-size": COUNT, "constrain": TRUTH, "processes": COUNT},
    "bootstrap": {"samples": COUNT, "seed": WHOLE},
}


def faults(params: Any, root: Path) -> list[str]:
    """What is wrong with `adapters`, `recipes` and the sections of KNOBS that are there, each with its key."""
    recipes, adapters = (params.get(key) if isinstance(params, dict) else None for key in ("recipes", "adapters"))
    if not isinstance(recipes, list) or not isinstance(adapters, dict):
        return ["recipes is a list of names, adapters a mapping by name"]
    known = [*recipes, *recipes_of_root(params, root)]
    found = []
    for recipe in recipes:
        if not is_full(NAME, recipe):
            found.append(f"recipes: {recipe!r} is no name; write a-z, 0-9, _ and -")
        elif not (root / "recipes" / recipe / "recipe.yaml").is_file():
            found.append(f"recipes: there is no recipes/{recipe}/recipe.yaml")
    for name, adapter in adapters.items():
        where = f"adapters.{name}"
        if not is_full(NAME, name):
            found.append(f"adapters: {name!r} is no name; write a-z, 0-9, _ and -")
        elif not isinstance(adapter, dict):
            found.append(f"{where} is a mapping")
        else:
            backend = params["train"].get("backend") if isinstance(params.get("train"), dict) else None
            found += [f"{where}.{fault}" for fault in adapter_faults(adapter, known, root, backend)]
    if "engine" in params and (wrong := value_fault(params["engine"], ENGINE)):
        found.append(f"engine: {wrong}")
    for name in (name for name in KNOBS if name in params):  # DVC itself tells a section that is not there
        found += knob_faults(name, params[name], KNOBS[name])
    return found


def recipes_of_root(params: dict[str, Any], root: Path) -> list[Any]:
    """What the repository's own params.yaml makes rows of, where another one, such as that of benchmarks/, is read."""
    if params.get("root", ".") == ".":
        return []
    return yaml.safe_load((root / "params.yaml").read_text("utf-8"))["recipes"]


def adapter_faults(adapter: dict[str, Any], known: list[Any], root: Path, backend: Any) -> list[str]:
    """`known`: the recipes that rows are made of. `backend`: what trains, as params.yaml has it."""
    recipe, base, most = (adapter.get(key) for key in ("recipe", "base", "max-new-tokens"))
    found = []
    if recipe not in known:
        found.append(f"recipe: {recipe!r} is not in recipes, which has {', '.join(map(str, known))}")
    if not is_full(PATH, base):
        found.append(f"base: {base!r} is no folder's name; write letters, digits, ., _, - and /")
    else:
        found += base_faults(base, root) or weights_faults(root / base, backend, adapter.get("quantization"))
    if adapter.get("quantization") not in QUANTIZATIONS:
        found.append(f"quantization: {adapter.get('quantization')!r} is none of {', '.join(QUANTIZATIONS)}")
    if most != AUTO and (not isinstance(most, int) or isinstance(most, bool) or most < 1):
        found.append(f"max-new-tokens: {most!r} is no number of tokens; write one, or {AUTO}")
    if "train" in adapter:
        found += knob_faults("train", adapter["train"], TRAIN)
    found += [f"{key}: unknown; known are {', '.join(ENTRIES)}" for key in adapter if key not in ENTRIES]
    return found


def base_faults(base: str, root: Path) -> list[str]:
    """A folder that is a base, or the output of the stage `base` for one that models/dvc.yaml lists."""
    folder = root / base
    if folder.parent == root / BASES:
        if folder.name not in yaml.safe_load((root / "models/params.yaml").read_text("utf-8"))["bases"]:
            return [f"base: {folder.name} is not in the list of models/params.yaml; add it, with models/{folder.name}"]
        folder = root / "models" / folder.name
    if not (folder / "base.yaml").is_file():
        return [f"base: there is no {folder.relative_to(root)}/base.yaml; see models/tiny"]
    if folder == root / base and not (folder / "config.json").is_file():
        return [f"base: {base} has no config.json: if its weights are elsewhere, write {BASES}/{folder.name}"]
    return []


def weights_faults(base: Path, backend: Any, quantization: Any) -> list[str]:
    """Of a base that is there; the stage `base` looks at one that it fetches."""
    try:
        fault = stored_fault(stored_as(base), str(backend), str(quantization))
    except FileNotFoundError:
        return []
    except click.ClickException as error:
        fault = error.message
    return [f"base: {fault}"] if fault else []


def knob_faults(name: str, section: Any, knobs: Mapping[str, Kind]) -> list[str]:
    """A knob that is unknown, not there, or of a value that its option would refuse."""
    if not isinstance(section, dict):
        return [f"{name} is a mapping of {', '.join(knobs)}"]
    found = [f"{name}.{key}: unknown; known are {', '.join(knobs)}" for key in section if key not in knobs]
    for key, kind in knobs.items():
        wrong = value_fault(section[key], kind) if key in section else "is missing"
        if wrong:
            found.append(f"{name}.{key}: {wrong}")
    return found


def value_fault(value: Any, kind: Kind) -> str | None:
    if isinstance(kind, list | tuple):
        if not isinstance(value, list) or not (value or isinstance(kind, tuple)):
            return f"{value!r} is no list"
        return next(filter(None, (value_fault(one, kind[0]) for one in value)), None)
    if isinstance(value, bool) != (kind is TRUTH) or not isinstance(value, str | int | float):
        return f"{value!r} is {'neither true nor false' if kind is TRUTH else f'no {kind.name}'}"
    if isinstance(value, float) and not math.isfinite(value):
        return f"{value!r} is no number"
    try:
        kind.convert(str(value), None, None)
    except click.BadParameter as error:
        return error.message.rstrip(".")
    return None


def is_full(pattern: re.Pattern[str], value: Any) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


@click.command()
@click.option("--params", "path", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True)
def main(path: Path, out: Path) -> None:
    clock = Clock("check", str(path))
    try:
        params = yaml.safe_load(path.read_text("utf-8"))
    except yaml.YAMLError as error:
        raise click.ClickException(f"{path}: {' '.join(str(error).split())}") from None
    if found := faults(params, Path()):
        raise click.ClickException(f"{path}: " + "; ".join(found))
    with whole_file(out) as part:  # the same bytes for all that is right: what is after it has no reason to run again
        part.write_text("names and folders are as they should be\n", encoding="utf-8")
    clock.tell(f"{len(params['recipes'])} recipes", f"{len(params['adapters'])} adapters")


if __name__ == "__main__":
    main()
