"""Asking a model for structured answers that are paid once: the log first, then the service, politely.

A `Request` and the settings determine a key. `Teacher.pay` makes sure that the log holds the answers
to many requests; `Teacher.outcome` then reads one from it. What comes out therefore depends on the
log alone: a killed run goes on where it stood, and gives what a run never killed gives.
"""

import asyncio
import hashlib
import itertools
import json
import math
import os
import random
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, Self

import click
import jsonschema

from tuneline.answer_log import Answer, AnswerLog
from tuneline.files import dump_json
from tuneline.prices import Price, price_of, read_prices
from tuneline.progress import Progress
from tuneline.rates import Rate

BACKOFF, LONGEST_BACKOFF = 0.5, 60.0  # seconds
BYTES_A_TOKEN = 4  # a rough mean for English and French text
KEYS = {"openai": "OPENAI_API_KEY", "gemini": "GEMINI_API_KEY"}
FREE = Price(0.0, 0.0)


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


@dataclass(frozen=True)
class Request:
    """One structured question. `facts`: what it was written from; only the offline provider reads it.

    `number` tells apart questions that are asked in the same words, to have several answers.
    """

    messages: tuple[tuple[str, str], ...]  # (role, content)
    schema: dict[str, Any] = field(hash=False)
    facts: dict[str, Any] = field(hash=False, default_factory=dict)
    number: int = 0

    def again(self, answer: str, fault: str) -> "Request":
        """The same question with what was wrong with the last answer: another key, a new answer."""
        *before, (role, content) = self.messages
        shown = f"\n\nYour last answer was:\n\n{answer}" if answer else ""
        more = f"{content}{shown}\n\nThat answer cannot be used: {fault}. Answer again."
        return replace(self, messages=(*before, (role, more)))


@dataclass(frozen=True)
class Outcome:
    """What became of a request: a value that obeys the schema, or the reason why there is none."""

    value: Any
    reason: str | None  # None, or: invalid, cut, empty, refusal
    detail: str
    keys: tuple[str, ...]  # of the answers it took, in their order
    text: str


class Spend:
    """What logged answers cost, whoever paid them and when: a figure of the rows, not of one run."""

    def __init__(self, teacher: "Teacher") -> None:
        self.teacher = teacher
        self.usd, self.tokens_in, self.tokens_out = 0.0, 0, 0

    def add(self, keys: Iterable[str]) -> None:
        for key in keys if not self.teacher.offline else ():
            answer = self.teacher.log.get(key)
            self.usd += self.teacher.price.cost(answer.tokens_in, answer.tokens_out) * answer.discount
            self.tokens_in += answer.tokens_in
            self.tokens_out += answer.tokens_out

    def metrics(self) -> dict[str, float]:
        return {"usd": round(self.usd, 6), "tokens_in": self.tokens_in, "tokens_out": self.tokens_out}


class Unanswered(Exception):
    """Worth another attempt: a time-out, a reset, 429 or 5xx. `after`: seconds that the service asks for."""

    def __init__(self, reason: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.after = after


class Hopeless(Exception):
    """No attempt can help: a wrong key, an unknown model, a malformed request."""


class Stopped(Exception):
    """The budget is spent."""


Missing = tuple[str, Request]  # the key that the log lacks, and what to ask for it
Unsettled = tuple[Request, Missing]  # a request as it was made, and what its outcome lacks


class Provider(Protocol):
    async def answer(self, request: Request) -> Answer:
        """Raises Unanswered or Hopeless."""
        ...

    async def close(self) -> None: ...


def read_secret(name: str) -> str:
    """From the environment, or from .env of the checkout; empty when neither has it."""
    from dotenv import dotenv_values

    found = os.environ.get(name) or dotenv_values(Path(os.environ.get("DVC_ROOT", "."), ".env")).get(name) or ""
    return found.strip()


def open_provider(settings: Settings, secret: str) -> Provider:
    """Raises Hopeless when the key that it needs is not set. The SDKs take a second to import: only here."""
    if settings.provider == "openai":
        from tuneline.provider_openai import OpenAIProvider

        return OpenAIProvider(settings, secret)
    from tuneline.provider_gemini import GeminiProvider

    return GeminiProvider(settings, secret)


def open_offline(rules: Path | None) -> Any:
    from tuneline.provider_offline import Offline

    return Offline(rules)


def fault_in(answer: Answer, validator: jsonschema.Draft202012Validator) -> tuple[Any, str | None, str]:
    """(value, reason, detail); the reason is None when the value obeys the schema."""
    if answer.finish == "refusal":
        return None, "refusal", " ".join(answer.text.split())[:200] or "the model declined"
    if answer.finish == "length":
        return None, "cut", f"it was cut after {answer.tokens_out} tokens; be shorter"
    if not answer.text.strip():
        return None, "empty", "it was empty"
    try:
        value = json.loads(answer.text, parse_constant=_finite, parse_float=_finite)
        wrong = next(iter(sorted(validator.iter_errors(value), key=lambda e: e.json_path)), None)
    except (ValueError, RecursionError) as error:
        return None, "invalid", f"it is not JSON: {error}"
    if wrong:
        return None, "invalid", f"{wrong.json_path} {wrong.message[:200]}"
    return value, None, ""


def _finite(figures: str) -> float:
    if not math.isfinite(number := float(figures)):
        raise ValueError(f"{figures} is no number of JSON")
    return number


class Teacher:
    """A provider behind the log. A context manager: leaving it closes the log."""

    def __init__(self, settings: Settings, log_folder: Path, rules: Path | None = None) -> None:
        self.settings = settings
        self.offline = settings.provider == "offline"
        self.name = "offline" if self.offline else f"{settings.provider}/{settings.model}"
        self.prices = read_prices(settings.price)
        self.price = FREE if self.offline else price_of(settings.model, self.prices)
        self.rules = open_offline(rules) if self.offline else None
        model = f"{settings.provider}-{settings.model}".replace("/", "_").replace(":", "_")
        self.folder = log_folder / model
        self.log = AnswerLog(self.folder)
        self.spent = 0.0  # USD of this run
        self.calls = 0  # answers that this run has paid
        self.synced = 0.0  # when the log was last synced
        self.failures: list[str] = []
        self.validators: dict[int, tuple[dict, jsonschema.Draft202012Validator]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.log.close()

    # ---------------------------------------------------------------- the log

    @cached_property
    def _determining(self) -> dict[str, Any]:
        s = self.settings
        return {"provider": s.provider, "model": s.model, "temperature": s.temperature, "max_tokens": s.max_tokens}

    def key(self, request: Request) -> str:
        """SHA-256 of all that determines the answer, as 64 hex digits."""
        asked = {**self._determining, "messages": request.messages, "schema": request.schema}
        if request.number:
            asked["number"] = request.number
        if self.rules:
            asked |= {"facts": request.facts, "rules": self.rules.version}
        return hashlib.sha256(
            json.dumps(asked, sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass")
        ).hexdigest()

    def _find(self, key: str, request: Request) -> Answer | None:
        return self.rules.answer(request) if self.rules else self.log.get(key)

    def _validator(self, schema: dict) -> jsonschema.Draft202012Validator:
        if id(schema) not in self.validators:
            self.validators[id(schema)] = (schema, jsonschema.Draft202012Validator(schema))
        return self.validators[id(schema)][1]

    def follow(self, request: Request) -> Outcome | Missing:
        """The outcome that the log holds, or the (key, request) whose answer it lacks."""
        keys: list[str] = []
        for attempt in range(self.settings.attempts):
            key = self.key(request)
            answer = self._find(key, request)
            if answer is None:
                return key, request
            keys.append(key)
            value, reason, detail = fault_in(answer, self._validator(request.schema))
            last = attempt + 1 == self.settings.attempts
            if reason is None or reason == "refusal" or last:
                return Outcome(value, reason, detail, tuple(keys), answer.text)
            request = request.again("" if reason == "cut" else answer.text, detail)
        raise AssertionError("attempts is at least 1")

    def outcome(self, request: Request) -> Outcome:
        """What became of a request that `pay` has had."""
        found = self.follow(request)
        if isinstance(found, Outcome):
            return found
        raise LookupError(f"no answer is logged under {found[0]}")

    # ---------------------------------------------------------------- the service

    def pay(self, requests: Iterable[Request], label: str, total: int | None = None) -> None:
        """Makes sure that the log has what the requests need.

        Raises click.ClickException when the service refuses the key or the request, when the budget is
        spent, and at the end when calls failed for good; every answer got until then is logged.
        """
        if self.offline:
            return
        missing = self._missing(requests)
        first = next(missing, None)
        if first is None:
            return  # no client is made, no server is touched
        self.failures.clear()
        self.secret = read_secret(KEYS[self.settings.provider])
        try:
            self.log.start()  # a folder that takes no answer is found out before one is paid
            with Progress(label, total, self) as self.progress:
                asyncio.run(self._pay(first, missing))
        except (Hopeless, Stopped, OSError) as error:
            raise click.ClickException(self.without_secret(str(error))) from None
        if self.failures:
            shown = "; ".join(sorted(set(self.failures))[:3])
            raise click.ClickException(
                f"{label}: {len(self.failures)} calls failed {self.settings.attempts} times ({shown}); every answer "
                "is kept, run it again to go on"
            )

    def _missing(self, requests: Iterable[Request]) -> Iterator[Unsettled]:
        """What the log lacks of the requests, each once."""
        seen: set[bytes] = set()
        self.cached = 0
        for request in requests:
            found = self.follow(request)
            if isinstance(found, Outcome):
                self.cached += 1
                continue
            key = bytes.fromhex(found[0])
            if key not in seen:  # two equal requests are one call
                seen.add(key)
                yield request, found

    async def _pay(self, first: Unsettled, missing: Iterator[Unsettled]) -> None:
        clock = asyncio.get_running_loop().time
        self.request_rate = Rate(self.settings.requests_per_minute, clock)
        self.token_rate = Rate(self.settings.tokens_per_minute, clock)
        self.reserved, self.in_flight = 0.0, 0
        self.freed = asyncio.Event()
        self.jitter = random.Random()
        provider = open_provider(self.settings, self.secret)
        try:
            if self.settings.batch:
                from tuneline.batches import pay_in_batches

                await pay_in_batches(self, provider, [request for request, _ in (first, *missing)])
                return
            todo = itertools.chain([first], missing)
            async with asyncio.TaskGroup() as group:
                for _ in range(self.settings.concurrency):
                    group.create_task(self._work(provider, todo))
        except BaseExceptionGroup as group:
            known = group.subgroup((Hopeless, Stopped, OSError))
            if known is None:
                raise
            raise known.exceptions[0] from None
        finally:
            await provider.close()
            self.log.sync()

    async def _work(self, provider: Provider, todo: Iterator[Unsettled]) -> None:
        for request, found in todo:
            while not isinstance(found, Outcome):
                key, asked = found
                try:
                    answer = await self._call(provider, asked)
                except Unanswered as error:
                    self.failures.append(self.without_secret(str(error)))
                    break
                self.keep(key, answer)
                if fault_in(answer, self._validator(asked.schema))[1] is None:
                    break  # the usual end; following the log would say the same
                found = self.follow(request)
            self.progress.update(done=1)

    def keep(self, key: str, answer: Answer) -> None:
        """Logs a paid answer, without the value of any secret."""
        if self.secret and self.secret in answer.text:
            answer = replace(answer, text=self.without_secret(answer.text))
        self.log.add(key, answer)
        self.progress.update(tokens=answer.tokens_in + answer.tokens_out)
        if time.monotonic() - self.synced > 1:
            self.log.sync()
            self.synced = time.monotonic()

    def charge(self, answer: Answer) -> None:
        self.calls += 1
        self.spent += self.price.cost(answer.tokens_in, answer.tokens_out) * answer.discount

    async def _call(self, provider: Provider, request: Request) -> Answer:
        """One answer, by up to `attempts` calls. Raises Unanswered, Hopeless or Stopped."""
        for attempt in itertools.count(1):
            try:
                return await self._one_call(provider, request)
            except Unanswered as error:
                if attempt == self.settings.attempts:
                    raise
                await asyncio.sleep(pause(attempt, error.after, self.jitter))
        raise AssertionError("the loop returns or raises")

    async def _one_call(self, provider: Provider, request: Request) -> Answer:
        most_in, most_out = most_tokens(request), self.settings.max_tokens
        await self.request_rate.take(1)
        await self.token_rate.take(most_in // 4 + most_out // 2)
        most = self.price.cost(most_in, most_out)
        await self._reserve(most)
        try:
            answer = with_usage(await provider.answer(request), request)
            self.charge(answer)  # before what was held back for it is free
            return answer
        finally:
            self.reserved -= most
            self.in_flight -= 1
            self.freed.set()

    async def _reserve(self, most: float) -> None:
        """Holds back what a call may cost at most; waits for calls in flight when that is over the budget."""
        while most and self.spent + self.reserved + most > self.settings.budget_usd:
            if not self.in_flight:
                raise Stopped(
                    f"the budget of ${self.settings.budget_usd:g} is spent: ${self.spent:.4f} in {self.calls} answers, "
                    f"and the next may cost ${most:.4f}; all are kept, run it again to go on or raise budget-usd"
                )
            self.freed.clear()
            await self.freed.wait()
        self.reserved += most
        self.in_flight += 1

    def without_secret(self, text: str) -> str:
        return text.replace(self.secret, "[secret]") if self.secret else text


def pause(attempt: int, asked_for: float | None, jitter: random.Random) -> float:
    """Seconds before the next attempt: full jitter [1], on top of what the service asks for.

    [1] AWS Architecture Blog, "Exponential Backoff And Jitter", 2015.
    """
    return (asked_for or 0.0) + jitter.uniform(0, min(LONGEST_BACKOFF, BACKOFF * 2 ** (attempt - 1)))


def with_usage(answer: Answer, request: Request) -> Answer:
    """The answer, with an estimate of its tokens where the service reports none: it is not free for that."""
    if answer.tokens_in or answer.tokens_out:
        return answer
    long = len(answer.text.encode("utf-8", "surrogatepass"))
    return replace(answer, tokens_in=most_tokens(request) // BYTES_A_TOKEN, tokens_out=long // BYTES_A_TOKEN)


def most_tokens(request: Request) -> int:
    """A bound on the tokens of a request: a token of a byte-level vocabulary has at least one byte."""
    written = sum(len(content.encode("utf-8", "surrogatepass")) for _, content in request.messages)
    return written + len(dump_json(request.schema)) + 64
