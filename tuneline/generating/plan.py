"""What a recipe's strategies will ask and cost, before anything is spent."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuneline.generating.offline import Offline
from tuneline.generating.strategies import Seeds, Strategy
from tuneline.recipe.settings import Asked, read_recipe
from tuneline.teaching.options import Settings
from tuneline.teaching.request import BYTES_A_TOKEN, Outcome
from tuneline.teaching.teacher import Teacher

SAMPLE = 200  # logged answers from which the length of the next ones is estimated


@dataclass(frozen=True)
class Plan:
    """One strategy. Tokens and USD are estimates, and of the calls that are not in the log."""

    strategy: str
    calls: int
    logged: int
    tokens_in: int
    tokens_out: int
    usd: float
    at_least: bool  # more calls follow when answers give too few new rows


def plan(recipe: Path, rows: Path, answers: Path, settings: Settings) -> Iterator[Plan]:
    """A line for each strategy that asks a teacher. Nothing is sent."""
    read = read_recipe(recipe)
    seeds = Seeds(rows)
    with Teacher(settings, answers, Offline(recipe) if settings.provider == "offline" else None) as teacher:
        long = typical_answer(teacher)
        for wanted in read.sdg.strategies:
            if not isinstance(wanted, Asked):
                continue
            strategy = Strategy(wanted, recipe, read.sdg.form, seeds)
            logged = tokens_in = 0
            calls = strategy.planned()
            for number in range(calls):
                found = teacher.follow(strategy.call(number).request)
                if isinstance(found, Outcome):
                    logged += 1
                else:
                    tokens_in += estimate_tokens(found[1])
            tokens_out = (calls - logged) * long
            usd = teacher.price.cost(tokens_in, tokens_out)
            yield Plan(wanted.name, calls, logged, tokens_in, tokens_out, usd, wanted.rows > 0)


def estimate_tokens(request: Any) -> int:
    return sum(len(content.encode()) for _, content in request.messages) // BYTES_A_TOKEN


def typical_answer(teacher: Teacher) -> int:
    """Tokens of an answer: the mean of logged ones, or a quarter of the limit where none is."""
    lengths = [teacher.log.get(key.hex()).tokens_out for key in list(teacher.log.places)[:SAMPLE]]
    return round(sum(lengths) / len(lengths)) if lengths else teacher.settings.max_tokens // 4


def show_plan(recipe: str, lines: list[Plan], settings: Settings) -> None:
    from rich.console import Console
    from rich.table import Table

    from tuneline.table import WIDTH

    table = Table(title=f"{recipe}: {settings.provider} {settings.model}", title_justify="left")
    for column in ("strategy", "calls", "in the log", "to pay", "tokens in", "tokens out", "USD"):
        table.add_column(column, justify="left" if column == "strategy" else "right")
    for line in lines:
        more = "+" if line.at_least else ""
        cells = (line.calls, line.logged, line.calls - line.logged, line.tokens_in, line.tokens_out)
        table.add_row(line.strategy, f"{cells[0]}{more}", *(f"{cell:,}" for cell in cells[1:]), f"{line.usd:.4f}")
    console = Console(width=WIDTH)
    console.print(table)
    total = sum(line.usd for line in lines)
    console.print(
        f"about ${total:.2f} to pay, budget ${settings.budget_usd:g} a run; + means that more calls follow when "
        "answers give too few new rows"
    )
