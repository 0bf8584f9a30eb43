"""How far an adapter's figures move where nothing but the seed does: a smaller change says nothing of what was tried.

An evaluation's interval knows which rows were asked, and not that another seed trains another adapter.
"""

import subprocess
from collections.abc import Sequence
from math import sqrt
from pathlib import Path
from typing import Any

import click
import numpy as np
import yaml

from tuneline.comparing.figures import NOISE, flat
from tuneline.comparing.pairing import TUNED
from tuneline.comparing.sides import Side, check_repository, commit_of
from tuneline.files import write_json
from tuneline.measuring.bootstrap import LEVEL


def measure_noise(root: Path, adapter: str, seeds: int) -> dict[str, Any]:
    """Trains an adapter of params.yaml with as many seeds, and writes what `floors` says of them beside its figures.

    Each is an experiment of DVC, which keeps what has run: killed and started again, none is trained twice.
    Raises click.ClickException where params.yaml has no such adapter, git has no commit, or a run fails.
    """
    check_repository(root)
    commit_of(root, "HEAD")  # that experiments are made of
    params = yaml.safe_load((root / "params.yaml").read_text("utf-8"))
    if adapter not in params["adapters"]:
        raise click.ClickException(f"params.yaml has no adapter {adapter}; it has {', '.join(params['adapters'])}")
    first = params["fit"]["seed"]
    tried = list(range(first, first + seeds))
    runs = [_figures(root, adapter, seed) for seed in tried]
    of_all = [name for name in runs[0] if all(name in run for run in runs)]
    figures = {name: [run[name] for run in runs] for name in of_all}
    told = {"seeds": tried, TUNED: figures, "floor": floors(figures)}
    write_json(root / f"metrics/{adapter}/{NOISE}", told)
    return told


def floors(figures: dict[str, Sequence[float]]) -> dict[str, float]:
    """Figure → half of the 95 % interval of the difference of two trainings that differ by their seed alone.

    Student's t with n - 1 degrees of freedom × the spread of n trainings × √2: both sides of a comparison have it.
    """
    from scipy.stats import t

    count = len(next(iter(figures.values())))
    factor = float(t.ppf((1 + LEVEL / 100) / 2, count - 1)) * sqrt(2)
    return {name: round(factor * float(np.std(values, ddof=1)), 4) for name, values in figures.items()}


def _figures(root: Path, adapter: str, seed: int) -> dict[str, float]:
    """An adapter's own figures with a seed."""
    name = f"noise-{adapter.replace('_', '-')}-{seed}"
    click.echo(f"{adapter}: seed {seed}", err=True)
    _dvc(root, "exp", "run", "--temp", "--name", name, "-S", f"fit.seed={seed}", f"eval@{adapter}")
    try:
        return dict(flat(Side(root, commit_of(root, name)).json(f"metrics/{adapter}/eval.json")[TUNED]))
    finally:
        _dvc(root, "exp", "remove", "--quiet", name)


def _dvc(root: Path, *words: str) -> None:
    """What it says goes on to stderr. Raises click.ClickException where it fails."""
    if subprocess.run(["dvc", *words], cwd=root, stdout=2).returncode:
        raise click.ClickException(f"dvc {' '.join(words)}: failed; started again, it goes on where it stood")
