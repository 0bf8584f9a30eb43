"""Batch APIs: half the price, an answer within a day, behind the same log.

What is missing is submitted, polled and logged; an invalid answer is asked again in the next batch.
A batch carries the hash of its keys as its name. A record of it, with its keys, stands beside the log from before it is
submitted until all its answers are logged: a run that was killed is taken up by the next one, whatever that one asks,
and no process asks what a batch of another one asks.
"""

import asyncio
import hashlib
import json
import time
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tuneline.files import write_json
from tuneline.teaching.log import Answer
from tuneline.teaching.request import Hopeless, Outcome, Request, Stopped, Unanswered, most_tokens, with_usage

if TYPE_CHECKING:
    from tuneline.teaching.teacher import Teacher

BATCHES = "batches"  # a folder of records, beside the log
DISCOUNT = 0.5  # of the list price, by both services' price pages in 2026
POLL, LONGEST_POLL = 1.0, 60.0  # seconds
LONGEST = 50 * 3600.0  # seconds of a wait: both services end a batch before
FIRST_TOLD, LONGEST_UNTOLD = 5.0, 3600.0  # seconds of a wait, and between two lines on one
TIMES = 10  # a call's time: a file of many answers takes longer than one of them
LARGEST = 10_000  # requests in a batch, or fewer of long answers:
MOST_TOKENS = 2**27  # of all that a batch may answer
MOST_BYTES = 2**30  # of a batch's answers, which are in memory together
FAILED = ("failed", "expired", "cancelled")

Asked = dict[str, Request]  # by key


@dataclass(frozen=True)
class Polled:
    """`state`: waiting, done, or one of FAILED, which may have answers too. `said`: why it failed."""

    state: str
    answers: dict[str, Answer | Unanswered] = field(default_factory=dict)  # by key
    said: str = ""


class BatchProvider(Protocol):
    """What a provider with a batch API has beside `answer`. `faults`: what its methods raise of the service's."""

    faults: tuple[type[Exception], ...]

    def explain(self, error: Exception) -> Unanswered | Hopeless: ...

    async def find_batch(self, name: str) -> str | None:
        """The id of a batch of that name, if the service has one."""
        ...

    async def submit(self, name: str, asked: Asked) -> str:
        """Submits; the batch's id."""
        ...

    async def poll(self, batch: str) -> Polled: ...


def batch_name(keys: list[str], attempt: int) -> str:
    """The same for the same questions at the same attempt, so that a submitted batch is found again."""
    return f"tuneline-{hashlib.sha256(''.join(sorted(keys)).encode()).hexdigest()[:32]}-{attempt}"


async def pay_in_batches(teacher: "Teacher", provider: BatchProvider, requests: list[Request]) -> None:
    """Pays for all requests, one batch after the other.

    Raises Stopped when the next batch does not fit into the budget, Hopeless when the service cannot be asked.
    """
    try:
        await Batches(teacher, provider).pay(requests)
    except Unanswered as error:
        raise Hopeless(f"batch: {error}; run it again to go on") from None


async def collect_batches(teacher: "Teacher", provider: BatchProvider, requests: list[Request]) -> None:
    """Before single calls: takes what batches of earlier runs have answered of the requests.

    Raises Hopeless while such a batch is not done: what it will answer would be paid twice.
    """
    try:
        await Batches(teacher, provider).collect_done(requests)
    except Unanswered as error:
        raise Hopeless(f"batch: {error}; run it again to go on") from None


class Batches:
    def __init__(self, teacher: "Teacher", provider: BatchProvider) -> None:
        self.teacher, self.provider = teacher, provider
        self.folder = teacher.folder / BATCHES
        self.largest = max(1, min(LARGEST, MOST_TOKENS // teacher.settings.max_tokens))
        self.tried: dict[str, int] = {}  # by key
        self.faults: dict[str, str] = {}  # of questions that a batch did not answer, by key

    async def pay(self, requests: list[Request]) -> None:
        teacher = self.teacher
        await self._take_up(requests)
        while missing := dict(self._unanswered(requests)):
            chunk = self._claimed(missing)
            if not chunk:
                await teacher.wait_for_others()
                await self._take_up(requests)  # of one that has ended meanwhile
                continue
            try:
                await self._pay_for(chunk)
            finally:
                for key in chunk:
                    teacher.claims.free(key)
            settled = sum(isinstance(teacher.follow(request), Outcome) for request in requests)
            teacher.progress.update(done=settled - teacher.progress.done)
        for request in requests:
            if not isinstance(found := teacher.follow(request), Outcome):
                teacher.failures.append(self.faults.get(found[0], "the batch gave no answer"))

    async def _take_up(self, requests: list[Request]) -> None:
        """Waits for batches of runs that were killed."""
        asked: Asked = {}
        for record in sorted(self.folder.glob("*.json")):
            if not self.teacher.claims.take(_place(record.stem)):
                continue  # of another process, which waits for it
            try:
                if not record.exists():
                    continue
                asked = asked or dict(self._unanswered(requests))
                told = json.loads(record.read_text("utf-8"))
                if batch := told["id"] or await self._heard(self.provider.find_batch(record.stem)):
                    await self._collect(batch, told.get("keys", []), asked, record)
                record.unlink(missing_ok=True)
            except Hopeless as error:
                raise _lost(error, record) from None
            finally:
                self.teacher.claims.free(_place(record.stem))

    async def collect_done(self, requests: list[Request]) -> None:
        """Of collect_batches."""
        asked = dict(self._unanswered(requests))
        for record in sorted(self.folder.glob("*.json")):
            keys = _keys(record)
            shared = len(asked.keys() & keys) if keys else len(asked)  # an old record names none
            if not shared:
                continue
            unfinished = Hopeless(
                f"{record.stem}, a batch of an earlier run, is to answer {shared} of these questions and is not done: "
                f"run it with batch=true, which waits for it; or delete {record}, and they are paid once more"
            )
            if not self.teacher.claims.take(_place(record.stem)):
                raise unfinished  # another process waits for it
            try:
                told = json.loads(record.read_text("utf-8")) if record.exists() else {"id": None}
                if batch := told["id"] or await self._heard(self.provider.find_batch(record.stem)):
                    polled = await self._heard(self.provider.poll(batch))
                    if polled.state == "waiting":
                        raise unfinished
                    self._log(polled, keys, asked)
                record.unlink(missing_ok=True)
            except Hopeless as error:
                raise error if error is unfinished else _lost(error, record) from None
            finally:
                self.teacher.claims.free(_place(record.stem))

    def _unanswered(self, requests: list[Request]) -> Iterator[tuple[str, Request]]:
        for request in requests:
            found = self.teacher.follow(request)
            if not isinstance(found, Outcome) and self.tried.get(found[0], 0) < self.teacher.settings.attempts:
                yield found

    def _claimed(self, missing: Asked) -> Asked:
        """What no other process asks, as much as a batch holds, and still has no answer now that it cannot."""
        teacher = self.teacher
        chunk = dict(islice(((key, missing[key]) for key in missing if teacher.claims.take(key)), self.largest))
        asked = {key for record in self.folder.glob("*.json") for key in _keys(record)}
        teacher.log.refresh()  # after the records: one that has gone has its answers there
        for key in [key for key in chunk if key in teacher.log or key in asked]:
            teacher.claims.free(key)
            del chunk[key]
        return chunk

    async def _pay_for(self, chunk: Asked) -> None:
        """Submits the questions as one batch, or finds it, and logs the answers."""
        self._check_budget(chunk)
        for key in chunk:
            self.tried[key] = self.tried.get(key, 0) + 1
        name = batch_name(list(chunk), max(self.tried[key] for key in chunk))
        record = self.folder / f"{name}.json"
        self.teacher.claims.take(_place(name))
        try:
            if batch := await self._heard(self.provider.find_batch(name)):
                await self._collect(batch, list(chunk), chunk, record)
            if not any(key in self.teacher.log for key in chunk):  # none was found, or one that gave no answer
                write_json(record, {"id": None, "keys": list(chunk)})
                batch = await self._heard(self.provider.submit(name, chunk))
                write_json(record, {"id": batch, "keys": list(chunk)})
                await self._collect(batch, list(chunk), chunk, record)
        finally:
            self.teacher.claims.free(_place(name))

    def _check_budget(self, chunk: Asked) -> None:
        teacher = self.teacher
        most_in = sum(map(most_tokens, chunk.values()))
        most = DISCOUNT * teacher.price.cost(most_in, len(chunk) * teacher.longest)
        if most and teacher.spent + most > teacher.settings.budget_usd:
            raise Stopped(
                f"a batch of {len(chunk)} may cost ${most:.2f}, of the budget of ${teacher.settings.budget_usd:g} "
                f"${teacher.spent:.2f} is spent; every answer is kept, raise budget-usd or go on without batch"
            )

    async def _collect(self, batch: str, keys: list[str], asked: Asked, record: Path) -> None:
        """Waits for a batch and logs its answers; the record goes when they are on the disk.

        `keys`: none where its record is of a version that noted none; those that were answered are the batch's.
        """
        polled = await self._wait(batch, len(keys))
        self._log(polled, keys, asked)
        record.unlink(missing_ok=True)
        if polled.state in FAILED:
            said = f"{polled.state}: {polled.said}" if polled.said else polled.state
            raise Hopeless(f"batch {batch} {said}; run it again to submit anew what it did not answer")

    def _log(self, polled: Polled, keys: list[str], asked: Asked) -> None:
        teacher = self.teacher
        for key in keys or sorted(polled.answers):
            answer = polled.answers.get(key)
            if isinstance(answer, Answer) and key not in teacher.log:
                paid = replace(with_usage(answer, asked.get(key)), discount=DISCOUNT)
                teacher.charge(paid)
                teacher.keep(key, paid)
            elif isinstance(answer, Unanswered):
                self.faults[key] = teacher.without_secret(str(answer))
                if answer.sent:
                    teacher.charge_lost(asked.get(key), DISCOUNT)
        teacher.log.sync()

    async def _wait(self, batch: str, count: int) -> Polled:
        """Until the batch is done, with a word now and then. A look that fails is followed by others."""
        start, wait, failed, untold = time.monotonic(), POLL, 0, FIRST_TOLD
        while True:
            try:
                polled, state = await self._heard(self.provider.poll(batch)), "waits for the service"
                failed = 0
            except Unanswered as error:
                polled, state, failed = Polled("waiting"), str(error), failed + 1
                if failed == self.teacher.settings.attempts:
                    raise
            passed = time.monotonic() - start
            if polled.state != "waiting":
                return polled
            if passed > LONGEST:
                raise Hopeless(f"batch {batch} is not done after {passed / 3600:.0f} h")
            if passed >= untold:
                self.teacher.say(f"batch {batch} of {count}, {passed / 60:,.0f} min so far: {state}")
                untold = passed + min(max(passed, FIRST_TOLD), LONGEST_UNTOLD)
            await asyncio.sleep(wait)
            wait = min(2 * wait, LONGEST_POLL)

    async def _heard(self, call: Awaitable[Any]) -> Any:
        """What the service says of batches. Raises Unanswered or Hopeless."""
        try:
            async with asyncio.timeout(TIMES * self.teacher.settings.timeout):
                return await call
        except TimeoutError:
            raise Unanswered(f"no whole answer in {TIMES * self.teacher.settings.timeout:g} s") from None
        except self.provider.faults as error:
            said = self.provider.explain(error)
            raise said if isinstance(said, Unanswered) else Hopeless(f"batch: {said}") from None
        except (AttributeError, LookupError, TypeError, ValueError, RecursionError):
            raise Unanswered("the service's answer is none about batches") from None


def _lost(error: Hopeless, record: Path) -> Hopeless:
    return Hopeless(f"{error}; if the service has lost this batch, delete {record}")


def _place(name: str) -> str:
    """A batch's claim, as of a key."""
    return hashlib.sha256(name.encode()).hexdigest()


def _keys(record: Path) -> list[str]:
    try:
        return json.loads(record.read_text("utf-8")).get("keys", [])
    except FileNotFoundError:  # its answers are logged meanwhile
        return []
