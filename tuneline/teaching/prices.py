"""What an answer costs: a table of prices, from params.yaml as `model=input/output` in USD per million tokens."""

from dataclasses import dataclass
from math import inf

import click


@dataclass(frozen=True)
class Price:
    """USD per million tokens, in and out."""

    tokens_in: float
    tokens_out: float

    def cost(self, tokens_in: int, tokens_out: int) -> float:
        """USD."""
        return (tokens_in * self.tokens_in + tokens_out * self.tokens_out) / 1e6


def read_prices(lines: tuple[str, ...]) -> dict[str, Price]:
    """Prices by model. Raises click.ClickException that names the wrong entry."""
    prices = {}
    for line in lines:
        model, _, figures = line.rpartition("=")
        try:
            tokens_in, tokens_out = map(float, figures.split("/"))
            if not model or not 0 <= tokens_in < inf or not 0 <= tokens_out < inf:  # not a number is neither
                raise ValueError
        except ValueError:
            raise click.ClickException(
                f"prices: {line!r} is not model=input/output in USD per million tokens, such as gpt-5-mini=0.25/2.00"
            ) from None
        prices[model] = Price(tokens_in, tokens_out)
    return prices


def price_of(model: str, prices: dict[str, Price]) -> Price:
    """Raises click.ClickException when the model has no price: a budget could not be kept."""
    if model not in prices:
        known = ", ".join(sorted(prices)) or "none"
        raise click.ClickException(
            f"no price for {model} (known: {known}); add {model}=input/output to prices.price in params.yaml, "
            "=0/0 for a server of your own"
        )
    return prices[model]
