"""A name and a number to say: small targets, and one rule for texts."""

import random

from tuneline.ordering.checks import MISSING
from tuneline.ordering.order import Order
from tuneline.ordering.shares import Shares
from tuneline.recipe.toon import encode

NAMES = ("Anne Morel", "Paul Lenoir", "Zoé Guérin", "Élie Faure")


def check(shares: Shares) -> None:
    assert "topic" in shares.names


def draw(dimensions: dict[str, str | None], rng: random.Random) -> Order:
    target = {"nom": rng.choice(NAMES), "numero": rng.randrange(10**9), "sujet": dimensions["topic"]}
    text = encode(target)
    return Order(dimensions, target, text, f"Dites qui a laissé quel numéro.\n\n{text}\n")


def faults(order: Order, text: str) -> list[tuple[str, str]]:
    return [(MISSING, f"{key}: {order.target[key]}") for key in ("nom", "numero") if str(order.target[key]) not in text]


def write(order: Order, rng: random.Random) -> str | None:
    return f"{order.target['nom']} a laissé le numéro {order.target['numero']}."
