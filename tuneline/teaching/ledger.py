"""The half of a teacher that only reads: what the log of paid answers holds for a request, and what it cost."""

import hashlib
import json
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import click
import jsonschema

from tuneline.files import dump_json
from tuneline.teaching.log import Answer, AnswerLog
from tuneline.teaching.options import Settings
from tuneline.teaching.prices import Price, price_of, read_prices
from tuneline.teaching.request import Missing, Outcome, Request, fault_in

FREE = Price(0.0, 0.0)
Rules = Callable[[Request], Any]  # a request → the value that answers it, without a service


class Ledger:
    """`rules` answer where the provider is offline. A context manager: leaving it closes the log."""

    def __init__(self, settings: Settings, log_folder: Path, rules: Rules | None = None) -> None:
        self.settings, self.rules = settings, rules
        self.offline = settings.provider == "offline"
        self.name = "offline" if self.offline else f"{settings.provider}/{settings.model}"
        self.prices = read_prices(settings.price)
        self.price = FREE if self.offline else price_of(settings.model, self.prices)
        model = f"{settings.provider}-{settings.model}".replace("/", "_").replace(":", "_")
        self.folder = log_folder / model
        self.log = AnswerLog(self.folder)
        for place in self.log.passed_over[:3]:
            click.echo(f"{place}: is no answer as they are logged, passed over", err=True)
        if more := len(self.log.passed_over[3:]):
            click.echo(f"and {more} more lines of {self.folder}", err=True)
        self.validators: dict[int, tuple[dict, jsonschema.Draft202012Validator]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.log.close()

    @cached_property
    def _determining(self) -> dict[str, Any]:
        s = self.settings
        known = {"provider": s.provider, "model": s.model, "temperature": s.temperature, "max_tokens": s.max_tokens}
        return known | ({"body": sorted(s.body)} if s.body else {})

    def _key(self, request: Request, **more: Any) -> str:
        """SHA-256 of all that determines the answer, as 64 hex digits."""
        asked = {**self._determining, "messages": request.messages, "schema": request.schema, **more}
        if request.number:
            asked["number"] = request.number
        return hashlib.sha256(
            json.dumps(asked, sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass")
        ).hexdigest()

    def _find(self, request: Request) -> tuple[str, Answer | None]:
        """(key, answer). An answer by rules is no logged one: its text is part of its key, in place of their code."""
        if not self.offline:
            key = self._key(request)
            return key, self.log.get(key)
        if self.rules is None:
            raise click.ClickException("nothing here answers offline; set another provider in params.yaml")
        text = dump_json(self.rules(request))
        return self._key(request, facts=request.facts, answer=text), Answer(text, "stop", 0, 0, 0.0, "offline")

    def _validator(self, schema: dict) -> jsonschema.Draft202012Validator:
        if id(schema) not in self.validators:
            self.validators[id(schema)] = (schema, jsonschema.Draft202012Validator(schema))
        return self.validators[id(schema)][1]

    def follow(self, request: Request) -> Outcome | Missing:
        """The outcome that the log holds, or the (key, request) whose answer it lacks."""
        keys: list[str] = []
        cut = False
        for attempt in range(self.settings.attempts):
            key, answer = self._find(request)
            if answer is None:
                return key, request
            keys.append(key)
            value, reason, detail = fault_in(answer, self._validator(request.schema))
            last = attempt + 1 == self.settings.attempts or (reason == "cut" and cut)
            if reason is None or reason == "refusal" or last:
                return Outcome(value, reason, detail, tuple(keys), answer.text)
            cut = reason == "cut"  # told to be shorter, it may be; told twice, it is not
            request = request.again("" if reason == "cut" else answer.text, detail)
        raise AssertionError("attempts is at least 1")

    def outcome(self, request: Request) -> Outcome:
        """What became of a request that `pay` has had."""
        found = self.follow(request)
        if isinstance(found, Outcome):
            return found
        raise LookupError(f"no answer is logged under {found[0]}")


class Spend:
    """What logged answers cost, whoever paid them and when: a figure of the rows, not of one run."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.usd, self.tokens_in, self.tokens_out = 0.0, 0, 0

    def add(self, keys: Iterable[str]) -> None:
        for key in keys if not self.ledger.offline else ():
            answer = self.ledger.log.get(key)
            self.usd += self.ledger.price.cost(answer.tokens_in, answer.tokens_out) * answer.discount
            self.tokens_in += answer.tokens_in
            self.tokens_out += answer.tokens_out

    def metrics(self) -> dict[str, float]:
        return {"usd": round(self.usd, 6), "tokens_in": self.tokens_in, "tokens_out": self.tokens_out}
