"""An order for a text, and the recipe's door that draws it and says what its law refuses."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuneline.ordering.shares import Combination, Shares
from tuneline.recipe.own import Orders, open_door


@dataclass(frozen=True)
class Order:
    """What a text is to be written to."""

    dimensions: Combination  # what was drawn for it
    target: dict[str, Any]  # the facts that the text must hold
    target_toon: str  # the same as TOON, what a row of the corpus has beside the text
    prompt: str  # what the writer is asked


def open_orders(recipe: Path, shares: Shares) -> Orders:
    """The recipe's orders.py. Raises click.ClickException when it cannot draw what dimensions.yaml asks for."""
    orders: Orders = open_door(recipe, "orders")
    orders.check(shares)
    return orders
