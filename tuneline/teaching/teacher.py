"""Asking a model for structured answers that are paid once: the log first, then the service, politely.

A `Request` and the settings determine a key. `Teacher.pay` makes sure that the log holds the answers
to many requests; `Ledger.outcome` then reads one from it. What comes out therefore depends on the
log alone: a killed run goes on where it stood, and gives what a run never killed gives.
"""

import asyncio
import itertools
import random
import re
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import click

from tuneline.teaching.batches import pay_in_batches
from tuneline.teaching.ledger import Ledger, Rules
from tuneline.teaching.log import Answer, Claims
from tuneline.teaching.options import KEYS, Settings, read_secret
from tuneline.teaching.progress import Progress
from tuneline.teaching.rates import Rate
from tuneline.teaching.request import (
    BYTES_A_TOKEN,
    Hopeless,
    Missing,
    Outcome,
    Provider,
    Request,
    Stopped,
    Unanswered,
    Unsettled,
    most_tokens,
    with_usage,
)
from tuneline.teaching.retry import pause

OTHERS = 0.5  # seconds between two looks at what another process has asked for
NOTICED, TOLD_EVERY = 5.0, 30.0  # seconds of a wait, and between two lines on waits
LONGEST_ASKED = 600.0  # seconds that a service may ask to wait; what is longer is for another run


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
        self.spent = 0.0  # USD of this run, with what calls without an answer may have cost
        self.calls = 0  # answers that this run has paid
        self.lost, self.lost_usd = 0, 0.0  # calls that gave no answer and may be billed, by estimate
        self.longest = settings.max_tokens  # tokens of an answer: a service may give more than was asked for
        self.told_of_waiting = -float("inf")
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
            self.claims = Claims(self.folder)
            with closing(self.claims), Progress(label, total, self) as self.progress:
                asyncio.run(self._pay(first, missing))
        except (Hopeless, Stopped, OSError) as error:
            raise click.ClickException(self.without_secret(str(error))) from None
        finally:
            if self.lost:
                click.echo(f"{label}: {self._lost_calls()}", err=True)
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
        self.request_rate = Rate(self.settings.requests_per_minute, clock, partial(self._tell, "requests-per-minute"))
        self.token_rate = Rate(self.settings.tokens_per_minute, clock, partial(self._tell, "tokens-per-minute"))
        self.elsewhere: deque[Unsettled] = deque()
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
            await self._settle(provider, request, found)
        while self.elsewhere:  # by now answered, or given up
            await self._settle(provider, *self.elsewhere.popleft())

    async def _settle(self, provider: Provider, request: Request, found: Outcome | Missing) -> None:
        """Asks until the log has an outcome, or puts the question off where another process asks it."""
        while not isinstance(found, Outcome):
            key, asked = found
            if not self.claims.take(key):
                self.elsewhere.append((request, found))
                return await self.wait_for_others()
            try:
                self.log.refresh()
                if key not in self.log:
                    self.keep(key, await self._call(provider, asked))
            except Unanswered as error:
                self.failures.append(self.without_secret(str(error)))
                break
            finally:
                self.claims.free(key)
            found = self.follow(request)
        self.progress.update(done=1)

    async def wait_for_others(self) -> None:
        """Before the next question, and long enough that asking again and again takes no time from those who work."""
        self._tell("another process, which has asked the same", OTHERS)
        await asyncio.sleep(OTHERS)

    def keep(self, key: str, answer: Answer) -> None:
        """Logs a paid answer, without the value of any secret."""
        self.log.add(key, replace(answer, text=self.without_secret(answer.text)))
        self.progress.update(tokens=answer.tokens_in + answer.tokens_out)
        if time.monotonic() - self.synced > 1:
            self.log.sync()
            self.synced = time.monotonic()

    def charge(self, answer: Answer) -> None:
        self.calls += 1
        self.spent += self.price.cost(answer.tokens_in, answer.tokens_out) * answer.discount
        self.longest = max(self.longest, answer.tokens_out)

    def _charge_lost(self, request: Request) -> None:
        """What a call that gave no answer may be billed: the question, and as long an answer as was asked for."""
        usd = self.price.cost(most_tokens(request) // BYTES_A_TOKEN, self.settings.max_tokens)
        self.lost, self.lost_usd, self.spent = self.lost + 1, self.lost_usd + usd, self.spent + usd

    def _lost_calls(self) -> str:
        calls = "1 call" if self.lost == 1 else f"{self.lost} calls"
        return f"{calls} gave no answer and may be billed: ${self.lost_usd:.4f} by estimate, counted in the budget"

    async def _call(self, provider: Provider, request: Request) -> Answer:
        """One answer, by up to `attempts` calls. Raises Unanswered, Hopeless or Stopped."""
        for attempt in itertools.count(1):
            try:
                return await self._one_call(provider, request)
            except Unanswered as error:
                if attempt == self.settings.attempts:
                    raise
                if (error.after or 0) > LONGEST_ASKED:
                    raise Hopeless(
                        f"{error}; it asks to wait {error.after / 3600:,.1f} h: all is kept, run it again then"
                    ) from None
                seconds = pause(attempt, error.after, self.jitter)
                self._tell(str(error), seconds)
                await asyncio.sleep(seconds)
        raise AssertionError("the loop returns or raises")

    def _tell(self, what: str, seconds: float) -> None:
        """A wait that a user would notice, now and then."""
        now = time.monotonic()
        if seconds >= NOTICED and now - self.told_of_waiting >= TOLD_EVERY:
            self.told_of_waiting = now
            self.progress.say(self.without_secret(f"waits {seconds:.0f} s: {what}"))

    async def _one_call(self, provider: Provider, request: Request) -> Answer:
        most_in, most_out = most_tokens(request), self.longest
        await self.request_rate.take(1)
        await self.token_rate.take(most_in // 4 + most_out // 2)
        most = self.price.cost(most_in, most_out)
        await self._reserve(most)
        try:
            async with asyncio.timeout(self.settings.timeout):  # in all: a body may come a byte a second
                answer = with_usage(await provider.answer(request), request)
            self.charge(answer)  # before what was held back for it is free
            return answer
        except TimeoutError:
            self._charge_lost(request)
            raise Unanswered(f"no whole answer in {self.settings.timeout:g} s", sent=True) from None
        except Unanswered as error:
            if error.sent:
                self._charge_lost(request)
            raise
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
        return _spellings(self.secret).sub("[secret]", text) if self.secret else text


@cache
def _spellings(secret: str) -> re.Pattern[str]:
    """The secret as it stands, and with any of its signs escaped as JSON, a URL or HTML does."""
    signs = (
        rf"(?:{re.escape(sign)}|\\+u00{ord(sign):02x}|\\+{re.escape(sign)}|%{ord(sign):02x}|&\#x?0*(?:{ord(sign)}|{ord(sign):x});)"
        for sign in secret
    )
    return re.compile("".join(signs), re.IGNORECASE)
