"""The knobs of a teacher or a judge, as flags, and the secret that its service wants."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

KEYS = {"openai": "OPENAI_API_KEY", "gemini": "GEMINI_API_KEY"}


class Temperature(click.ParamType):
    """0 to 2, or `default`: then the service is told none, as some models take no other than their own."""

    name = "temperature"

    def convert(self, value: Any, param: Any, ctx: Any) -> float | None:
        return None if value in (None, "default") else click.FloatRange(0, 2).convert(value, param, ctx)


class ServiceUrl(click.ParamType):
    """Where a compatible server is, or `default`. It is shown and versioned, so that no password may stand in it."""

    name = "url"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        try:
            parts = urlsplit(value)
            good = value == "default" or (parts.scheme in ("http", "https") and parts.hostname and parts.port != 0)
        except ValueError:  # a bracket that is not closed, a port that is none
            good = False
        if not good:
            self.fail("is no http:// or https:// address; or write default", param, ctx)
        if "@" in parts.netloc or parts.query or parts.fragment:
            self.fail("holds more than a place: a key comes from the environment, never from an address", param, ctx)
        return value


class BodyField(click.ParamType):
    """`name=value` of a request's body; the value is JSON, or the text that it is."""

    name = "field"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        if not value.partition("=")[0] or "=" not in value:
            self.fail(f"{value!r} is not of the form name=value", param, ctx)
        return value


KNOBS: dict[str, click.ParamType] = {  # of a teacher or a judge, in params.yaml; a list may have any number of fields
    "provider": click.Choice(["offline", "openai", "gemini"]),
    "model": click.STRING,
    "temperature": Temperature(),
    "max-tokens": click.IntRange(1),
    "base-url": ServiceUrl(),
    "body": BodyField(),
    "concurrency": click.IntRange(1),
    "requests-per-minute": click.IntRange(0),
    "tokens-per-minute": click.IntRange(0),
    "timeout": click.FloatRange(0, min_open=True),
    "attempts": click.IntRange(1),
    "budget-usd": click.FloatRange(0),
    "batch": click.BOOL,
}
HELP = {
    "temperature": "Of an answer, or default.",
    "max-tokens": "Of an answer.",
    "base-url": "Of a compatible server, or default.",
    "body": "name=value, more of a request's body.",
    "concurrency": "Calls in flight.",
    "requests-per-minute": "0: no limit.",
    "tokens-per-minute": "0: no limit.",
    "timeout": "Seconds a call, in all.",
    "attempts": "A call, and an invalid answer.",
    "budget-usd": "That one run may spend.",
}


@dataclass(frozen=True)
class Settings:
    """The knobs of a teacher or a judge. Provider, model, temperature, max_tokens and body determine an answer, the
    others do not.
    """

    provider: str
    model: str
    temperature: float | None  # None: none is told
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
    body: tuple[str, ...] = ()

    @property
    def extra_body(self) -> dict[str, Any]:
        """Fields of a request's body beside ours, or in their place."""
        return {name: _json_or_text(value) for name, _, value in (field.partition("=") for field in self.body)}


def _json_or_text(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value


def teacher_options(command: Callable) -> Callable:
    """The flags of `teacher` or `judge` and of `prices` in params.yaml, for click."""
    options = [
        click.option(f"--{name}", type=kind, required=True, help=HELP.get(name))
        for name, kind in KNOBS.items()
        if name not in ("body", "batch")
    ]
    options += [
        click.option("--body", type=KNOBS["body"], multiple=True, help=HELP["body"]),
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
