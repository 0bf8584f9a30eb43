"""A run and the memory of its device: told before anything is loaded, and where it ends."""

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from tuneline.files import say
from tuneline.models.base import Base
from tuneline.running.processes import is_sharded
from tuneline.training.checkpoints import kept
from tuneline.training.estimate import Load, choose, in_words, needs, read_shapes, ways_to_fit
from tuneline.training.run import Run
from tuneline.training.settings import Settings

KNOBS = "fit.gradient-checkpointing always, a smaller train.batch-size or trim.max-tokens, or quantization 4bit"


def fit_into(device: str, room: int, settings: Settings, base: Base, rows: Any) -> tuple[bool, str]:
    """Whether layers are computed twice, and what the run needs, in words. Said before anything is loaded, where it is
    the reason to compute them twice, or more than half of the memory.

    Raises click.ClickException for what cannot fit into `room` bytes, with the knobs that would make it fit.
    """
    shapes = read_shapes(base.folder)
    if shapes is None:
        click.echo("no estimate of memory: the base's weights are no safetensors, or of an unknown form", err=True)
        return settings.gradient_checkpointing == "always", ""
    s, longest = settings, max(len(row) for part in rows.values() for row in part["input_ids"])
    load = Load(
        device, s.quantization, s.precision, math.ceil(min(s.batch_size, len(rows["train"])) / s.processes), longest,
        s.rank, base.pattern(s.target), s.dropout, s.variant, s.optimizer, s.attention, processes=s.processes,
        sharded=device == "cuda" and is_sharded(),
    )  # fmt: skip
    load = choose(shapes, load, s.gradient_checkpointing, room)
    words = in_words(shapes, load, room)
    if needs(shapes, load) > room:
        ways = ways_to_fit(shapes, load, room)
        raise click.ClickException(f"{words}. {f'It would fit with {ways}' if ways else 'Take a smaller base'}")
    if needs(shapes, load) > room / 2 or (load.checkpointing and s.gradient_checkpointing == "auto"):
        say(words)
    return load.checkpointing, words


@contextmanager
def running_out(run: Run, needed: str) -> Iterator[None]:
    """Raises click.ClickException where memory ends in the block; other errors pass."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        said = f"{type(error).__name__} {error}"
        if not re.search("MemoryError|OutOfMemory|allocate|bad_alloc|out of memory|insufficient memory", said, re.I):
            raise
        raise click.ClickException(
            f"out of memory ({' '.join(str(error).split())[:120]}); {kept(run.checkpoints)}. "
            f"It {needed or 'has no estimate'}. Take {KNOBS}; with the first alone it goes on from the checkpoint"
        ) from None
