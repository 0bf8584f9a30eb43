"""params.yaml → what the other stages take on trust: its names are names, and the folders that it speaks of are there.

DVC puts adapters, recipes and bases into its command lines as they are written. This stage runs first, so that no
shell reads one before it has been looked at; it alone opens params.yaml, since a name cannot be passed by a shell
that it might mislead. Every fault is told at once.

    python -m stages.check --params params.yaml --out data/checks/params.yaml
"""

import re
from pathlib import Path
from typing import Any

import click
import yaml

from tuneline.files import whole_file

NAME, PATH = re.compile("[a-z0-9][a-z0-9_-]*"), re.compile("[A-Za-z0-9][A-Za-z0-9._/-]*")
QUANTIZATIONS = ("none", "4bit")


def faults(params: Any, root: Path) -> list[str]:
    """What is wrong with `adapters` and `recipes`, each with its key."""
    recipes, adapters = (params.get(key) if isinstance(params, dict) else None for key in ("recipes", "adapters"))
    if not isinstance(recipes, list) or not isinstance(adapters, dict):
        return ["recipes is a list of names, adapters a mapping by name"]
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
            found += [f"{where}.{fault}" for fault in adapter_faults(adapter, recipes, root)]
    return found


def adapter_faults(adapter: dict[str, Any], recipes: list[Any], root: Path) -> list[str]:
    recipe, base, most = (adapter.get(key) for key in ("recipe", "base", "max-new-tokens"))
    found = []
    if recipe not in recipes:
        found.append(f"recipe: {recipe!r} is not in recipes, which has {', '.join(map(str, recipes))}")
    if not is_full(PATH, base):
        found.append(f"base: {base!r} is no folder's name; write letters, digits, ., _, - and /")
    elif not (root / base / "base.yaml").is_file():
        found.append(f"base: there is no {base}/base.yaml; see models/tiny")
    if adapter.get("quantization") not in QUANTIZATIONS:
        found.append(f"quantization: {adapter.get('quantization')!r} is none of {', '.join(QUANTIZATIONS)}")
    if not isinstance(most, int) or isinstance(most, bool):
        found.append(f"max-new-tokens: {most!r} is no number of tokens")
    return found


def is_full(pattern: re.Pattern[str], value: Any) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


@click.command()
@click.option("--params", "path", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True)
def main(path: Path, out: Path) -> None:
    try:
        params = yaml.safe_load(path.read_text("utf-8"))
    except yaml.YAMLError as error:
        raise click.ClickException(f"{path}: {' '.join(str(error).split())}") from None
    if found := faults(params, Path()):
        raise click.ClickException(f"{path}: " + "; ".join(found))
    with whole_file(out) as part:  # the same bytes for all that is right: what is after it has no reason to run again
        part.write_text("names and folders are as they should be\n", encoding="utf-8")


if __name__ == "__main__":
    main()
