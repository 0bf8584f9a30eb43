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
from base64 import b64encode
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import click

from tuneline.teaching.batches import BATCHES, LONGEST, collect_batches, pay_in_batches
from tuneline.teaching.ledger import Ledger, Rules
from tuneline.teaching.log import Answer, Claims
from tuneline.teaching.options import KEYS, Settings, read_secret
from tuneline.teaching.progress import Progress
from tuneline.teaching.rates import Rate
from tuneline.teaching.request import (
    Hopeless,
    Missing,
    Outcome,
    Provider,
    Request,
    Stopped,
    Unanswered,
    Unsettled,
    likely_tokens,
    most_tokens,
    with_usage,
)
from tuneline.teaching.retry import pause

OTHERS = 0.5  # seconds between two looks at what another process has asked for
LONGEST_OTHERS = 3600.0  # seconds without an answer of it; one that waits for a batch may take longer
NOTICED, TOLD_EVERY = 5.0, 30.0  # seconds of a wait, and between two lines on waits
LEAST_SECRET = 8  # signs; what is shorter is no key but what a local server wants in its place, such as EMPTY
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
        self.known, self.since = -1, 0.0  # answers in the log, and since when there are no more
        self.freed = asyncio.Event()
        self.jitter = random.Random()
        provider = open_provider(self.settings, self.secret)
        try:
            if self.settings.batch:
                await pay_in_batches(self, provider, [request for request, _ in (first, *missing)])
                return
            todo = itertools.chain([first], missing)
            if any((self.folder / BATCHES).glob("*.json")):  # of a run that was killed
                todo = iter(unsettled := list(todo))
                await collect_batches(self, provider, [request for request, _ in unsettled])
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
                    await self._call(provider, key, asked)
            except Unanswered as error:
                self.failures.append(self.without_secret(str(error)))
                break
            finally:
                self.claims.free(key)
            found = self.follow(request)
        self.progress.update(done=1)

    async def wait_for_others(self) -> None:
        """Before the next question, and long enough that asking again and again takes no time from those who work.

        Raises Hopeless when the log has got no answer for long: a process that is stopped keeps its claims.
        """
        now = time.monotonic()
        if len(self.log) != self.known:
            self.known, self.since = len(self.log), now
        asks = f"another process, which asks the same ({self.claims.path}; fuser names it)"
        if now - self.since > (LONGEST if self.settings.batch else LONGEST_OTHERS):
            raise Hopeless(f"no answer for {(now - self.since) / 3600:.1f} h of {asks}: end it, and run this again")
        self._tell(asks, now - self.since)
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

    def charge_lost(self, request: Request | None, discount: float = 1.0) -> None:
        """What a call that gave no answer may be billed: the question, and as long an answer as was asked for."""
        usd = self.price.cost(likely_tokens(request), self.settings.max_tokens) * discount
        self.lost, self.lost_usd, self.spent = self.lost + 1, self.lost_usd + usd, self.spent + usd

    def _lost_calls(self) -> str:
        calls = "1 call" if self.lost == 1 else f"{self.lost} calls"
        return f"{calls} gave no answer and may be billed: ${self.lost_usd:.4f} by estimate, counted in the budget"

    async def _call(self, provider: Provider, key: str, request: Request) -> None:
        """Has one answer logged, by up to `attempts` calls. Raises Unanswered, Hopeless or Stopped."""
        for attempt in itertools.count(1):
            try:
                return await self._one_call(provider, key, request)
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

    def _tell(self, what: str, seconds: float) -> None:
        """A wait that a user would notice, now and then."""
        now = time.monotonic()
        if seconds >= NOTICED and now - self.told_of_waiting >= TOLD_EVERY:
            self.told_of_waiting = now
            self.say(f"waits {seconds:.0f} s: {what}")

    def say(self, line: str) -> None:
        self.progress.say(self.without_secret(line))

    async def _one_call(self, provider: Provider, key: str, request: Request) -> None:
        """When the run ends meanwhile, by Ctrl-C or by what another call met, an answer that is paid is still kept."""
        most_in, most_out = most_tokens(request), self.longest
        await self.request_rate.take(1)
        await self.token_rate.take(most_in // 4 + most_out // 2)
        most = self.price.cost(most_in, most_out)
        await self._reserve(most)
        asking = asyncio.create_task(self._ask(provider, key, request, most))
        try:
            await asyncio.shield(asking)
        except asyncio.CancelledError:
            _, late = await asyncio.wait([asking], timeout=NOTICED)
            if late:
                self.say(f"ends with the answers to {self.in_flight} calls, which are paid; Ctrl-C again: at once")
            with suppress(Unanswered, Hopeless, OSError):
                await asking
            raise

    async def _ask(self, provider: Provider, key: str, request: Request, most: float) -> None:
        """`most`: USD that are held back for it."""
        try:
            async with asyncio.timeout(self.settings.timeout):  # in all: a body may come a byte a second
                answer = with_usage(await provider.answer(request), request)
            self.charge(answer)  # before what was held back for it is free
        except (TimeoutError, asyncio.CancelledError) as error:
            self.charge_lost(request)
            if isinstance(error, asyncio.CancelledError):
                raise
            raise Unanswered(f"no whole answer in {self.settings.timeout:g} s", sent=True) from None
        except Unanswered as error:
            if error.sent:
                self.charge_lost(request)
            raise
        finally:
            self.reserved -= most
            self.in_flight -= 1
            self.freed.set()
        self.keep(key, answer)

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
        return _spellings(self.secret).sub("[secret]", text) if len(self.secret) >= LEAST_SECRET else text


@cache
def _spellings(secret: str) -> re.Pattern[str]:
    """The secret as it stands or over several lines, with any of its signs escaped as JSON, a URL or HTML does, and in
    base64, alone or within more.
    """
    many = "{1,8}"  # with an end: else a text of backslashes alone takes the square of its length
    signs = (
        rf"(?:{re.escape(sign)}|\\{many}u00{ord(sign):02x}|\\{many}{re.escape(sign)}|%(?:25){{0,8}}{ord(sign):02x}"
        rf"|&\#x?0{{0,8}}(?:{ord(sign)}|{ord(sign):x});)"
        for sign in secret
    )
    coded = [b64encode(bytes(at) + secret.encode()).decode() for at in range(3)]
    # The first and the last sign also depend on what stands beside the secret.
    inner = [re.escape(text.rstrip("=")[(0, 2, 3)[at] : -1]) for at, text in enumerate(coded)]
    return re.compile("|".join([rf"(?:\s|\\{many}[nr]){{0,8}}".join(signs), *inner]), re.IGNORECASE)
