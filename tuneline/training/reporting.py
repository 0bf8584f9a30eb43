"""Losses of a training run told to a service or a program that draws them, beside the curves that are kept."""

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

REPORTS = ("none", "wandb", "tensorboard")
Report = Callable[[int, str, float], None]  # step, name, value


def silent(step: int, name: str, value: float) -> None:
    pass


def check_installed(kind: str) -> None:
    """Raises click.ClickException when its package is not there."""
    if kind != "none" and importlib.util.find_spec(kind) is None:
        raise click.ClickException(f"fit.report-to: {kind} is not installed; `pip install {kind}`, or write none")


@contextmanager
def reporting(kind: str, folder: Path, name: str, settings: dict[str, Any]) -> Iterator[Report]:
    """What a run's losses are told to while the block runs. Files go under `folder`, which is no output."""
    if kind == "wandb":
        import wandb

        folder.mkdir(parents=True, exist_ok=True)
        with wandb.init(project="tuneline", name=name, dir=str(folder), config=settings) as run:
            yield lambda step, key, value: run.log({key: value}, step=step)
    elif kind == "tensorboard":
        from tensorboard.summary import Writer  # needs neither tensorflow nor torch

        writer = Writer(str(folder / name))
        try:
            yield lambda step, key, value: writer.add_scalar(key, value, step)
        finally:
            writer.close()
    else:
        yield silent
