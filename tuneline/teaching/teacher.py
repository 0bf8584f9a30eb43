"""Asking a model for structured answers that are paid once: the log first, then the service, politely.

A `Request` and the settings determine a key. `Teacher.pay` makes sure that the log holds the answers
to many requests; `Ledger.outcome` then reads one from it. What comes out therefore depends on the
log alone: a killed run goes on where it stood, and gives what a run never killed gives.
"""

import asyncio
import itertools
import random
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import click

from tuneline.teaching.batches import pay_in_batches
from tuneline.teaching.ledger import Ledger, Rules
from tuneline.teaching.log import Answer
from tuneline.teaching.options import KEYS, Settings, read_secret
from tuneline.teaching.progress import Progress
from tuneline.teaching.rates import Rate
from tuneline.teaching.request import (
    Hopeless,
    Outcome,
    Provider,
    Request,
    Stopped,
    Unanswered,
    Unsettled,
    fault_in,
    most_tokens,
    with_usage,
)
from tuneline.teaching.retry import pause


def open_provider(settings: Settings, secret: str) -> Provider:
    """Raises Hopeless when the key that it needs is not set. The SDKs take a second to import: only here."""
    if settings.provider == "openai":
        from tuneline.teaching.openai_api import OpenAIProvider

        return OpenAIProvider(settings, secret)
    from tuneline.teaching.gemini_api import GeminiProvider

    return GeminiProvider(settings, secret)


class Teacher(Ledger):
    """A ledger that can pay for what it lacks."""

    def __init__(self, settings: Settings, log_folder: Path, rules: Rules | None = None) -> None:
        super().__init__(settings, log_folder, rules)
        self.spent = 0.0  # USD of this run
        self.calls = 0  # answers that this run has paid
        self.synced = 0.0  # when the log was last synced
        self.failures: list[str] = []

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
