"""Cases written to order: a coherent sparse record to put into words, what is asked, and what the law refuses."""

import random
from collections.abc import Sequence
from dataclasses import fields
from functools import cache
from pathlib import Path

import click

from tuneline.ordering.order import Order
from tuneline.ordering.shares import Shares, read_shares
from tuneline.recipe.toon import encode

from .corpus import checks
from .corpus.draw import Dimensions, draw_target
from .corpus.prompts import Prompts
from .corpus.voice import CannotWrite
from .corpus.writer import write_case
from .records.schema import Master, read_master

HERE = Path(__file__).parent


@cache
def master() -> Master:
    return read_master(HERE / "schema.json")


@cache
def prompts() -> Prompts:
    return Prompts(HERE, read_shares(HERE / "dimensions.yaml"))


def check(shares: Shares) -> None:
    known = [field.name for field in fields(Dimensions)]
    if sorted(shares.names) != sorted(known) or "length" not in shares.words:
        raise click.ClickException(f"{HERE / 'dimensions.yaml'}: a case is by {', '.join(known)}, with words by length")
    for read in (prompts, master):  # now: not while an agent waits
        read()


def draw(dimensions: dict[str, str | None], rng: random.Random) -> Order:
    drawn = Dimensions(**dimensions)
    target = draw_target(drawn, master(), rng)
    text = encode(target)
    return Order(dimensions, target, text, prompts().prompt(drawn, target, text))


def faults(order: Order, text: str) -> Sequence[tuple[str, str]]:
    return checks.faults(text, order.target, master())


def write(order: Order, rng: random.Random) -> str | None:
    try:
        return write_case(order.target, Dimensions(**order.dimensions), master(), rng)
    except CannotWrite:
        return None
