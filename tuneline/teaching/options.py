"""The knobs of a teacher or a judge, as flags, and the secret that its service wants."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

KEYS = {"openai": "OPENAI_API_KEY", "gemini": "GEMINI_API_KEY"}


@dataclass(frozen=True)
class Settings:
    """The knobs of a teacher or a judge; the first four determine an answer, the others do not."""

    provider: str
    model: str
    temperature: float
    max_tokens: int
    base_url: str
    concurrency: int
    requests_per_minute: int  # 0: no limit
    tokens_per_minute: int
    timeout: float  # seconds
    attempts: int
    budget_usd: float  # that one run may spend
    batch: bool
    price: tuple[str, ...]


def teacher_options(command: Callable) -> Callable:
    """The flags of `teacher` or `judge` and of `prices` in params.yaml, for click."""
    options = [
        click.option("--provider", type=click.Choice(["offline", "openai", "gemini"]), required=True),
        click.option("--model", required=True),
        click.option("--temperature", type=click.FloatRange(0, 2), required=True),
        click.option("--max-tokens", type=click.IntRange(1), required=True, help="Of an answer."),
        click.option("--base-url", required=True, help="Of a compatible server, or default."),
        click.option("--concurrency", type=click.IntRange(1), required=True, help="Calls in flight."),
        click.option("--requests-per-minute", type=click.IntRange(0), required=True, help="0: no limit."),
        click.option("--tokens-per-minute", type=click.IntRange(0), required=True, help="0: no limit."),
        click.option("--timeout", type=click.FloatRange(0, min_open=True), required=True, help="Seconds a call."),
        click.option("--attempts", type=click.IntRange(1), required=True, help="A call, and an invalid answer."),
        click.option("--budget-usd", type=click.FloatRange(0), required=True, help="That one run may spend."),
        click.option("--batch/--no-batch", required=True, help="Batch API: half the price, within a day."),
        click.option("--price", multiple=True, required=True, help="model=input/output, USD per million tokens."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def teacher_settings(options: dict[str, Any]) -> Settings:
    """The teacher, or the judge, among a stage's options."""
    return Settings(**{name: options[name] for name in Settings.__dataclass_fields__})


def read_secret(name: str) -> str:
    """From the environment, or from .env of the checkout; empty when neither has it."""
    from dotenv import dotenv_values

    found = os.environ.get(name) or dotenv_values(Path(os.environ.get("DVC_ROOT", "."), ".env")).get(name) or ""
    return found.strip()
