"""Batch APIs: half the price, an answer within a day, behind the same log.

What is missing is submitted, polled and logged; an invalid answer is asked again in the next batch.
A batch carries the hash of its keys as its name, and a record of it stays beside the log until all its
answers are logged: a run that was killed while it waited finds its batch again instead of paying twice.
"""

import asyncio
import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import click

from tuneline.files import write_json
from tuneline.teaching.log import Answer
from tuneline.teaching.request import Hopeless, Outcome, Request, Stopped, Unanswered, most_tokens

if TYPE_CHECKING:
    from tuneline.teaching.teacher import Teacher

DISCOUNT = 0.5  # of the list price, by both services' price pages in 2026
POLL, LONGEST_POLL = 1.0, 60.0  # seconds
LARGEST = 10_000  # requests in a batch
FAILED = ("failed", "expired", "cancelled")

Asked = dict[str, Request]  # by key


class BatchProvider(Protocol):
    """What a provider with a batch API has beside `answer`."""

    async def find_batch(self, name: str) -> str | None:
        """The id of a batch of that name, if the service has one."""
        ...

    async def submit(self, name: str, asked: Asked) -> str:
        """Submits; the batch's id."""
        ...

    async def poll(self, batch: str) -> tuple[str, dict[str, Answer | Unanswered]]:
        """(state, answers by key): the state is waiting, done, or one of FAILED, which may have answers too."""
        ...


def batch_name(keys: list[str], attempt: int) -> str:
    """The same for the same questions at the same attempt, so that a submitted batch is found again."""
    return f"tuneline-{hashlib.sha256(''.join(sorted(keys)).encode()).hexdigest()[:32]}-{attempt}"


async def pay_in_batches(teacher: "Teacher", provider: BatchProvider, requests: list[Request]) -> None:
    """Pays for all requests, one batch after the other.

    Raises Stopped when the next batch does not fit into the budget.
    """
    folder = teacher.folder / "batches"
    for record in sorted(folder.glob("*.json")):
        if not teacher.claims.take(_place(record.stem)):
            continue  # of another process, which waits for it
        try:  # of a run that was killed
            await _collect(teacher, provider, json.loads(record.read_text("utf-8"))["id"], record)
        except Hopeless as error:
            raise Hopeless(f"{error}; if the service has lost this batch, delete {record}") from None
        finally:
            teacher.claims.free(_place(record.stem))
    tried: dict[str, int] = {}
    while missing := dict(_unanswered(teacher, requests, tried)):
        chunk = _claimed(teacher, missing)
        if not chunk:
            await teacher.wait_for_others()
            continue
        try:
            await _pay_for(teacher, provider, folder, chunk, tried)
        finally:
            for key in chunk:
                teacher.claims.free(key)
        settled = sum(isinstance(teacher.follow(request), Outcome) for request in requests)
        teacher.progress.update(done=settled - teacher.progress.done)
    for request in requests:
        if not isinstance(teacher.follow(request), Outcome):
            teacher.failures.append("the batch gave no answer")


def _claimed(teacher: "Teacher", missing: Asked) -> Asked:
    """What no other process asks, as much as a batch holds, and still has no answer now that it cannot."""
    chunk = dict(islice(((key, missing[key]) for key in missing if teacher.claims.take(key)), LARGEST))
    teacher.log.refresh()
    for key in [key for key in chunk if key in teacher.log]:
        teacher.claims.free(key)
        del chunk[key]
    return chunk


def _place(name: str) -> str:
    """A batch's claim, as of a key."""
    return hashlib.sha256(name.encode()).hexdigest()


async def _pay_for(
    teacher: "Teacher", provider: BatchProvider, folder: Path, chunk: Asked, tried: dict[str, int]
) -> None:
    """Submits the questions as one batch, or finds it, and logs the answers."""
    _check_budget(teacher, chunk)
    for key in chunk:
        tried[key] = tried.get(key, 0) + 1
    name = batch_name(list(chunk), max(tried.values()))
    record = folder / f"{name}.json"
    teacher.claims.take(_place(name))
    try:
        if batch := await provider.find_batch(name):
            await _collect(teacher, provider, batch, record)
        if not any(key in teacher.log for key in chunk):  # none was found, or one that gave no answer
            batch = await provider.submit(name, chunk)
            write_json(record, {"id": batch, "requests": len(chunk)})
            await _collect(teacher, provider, batch, record)
    finally:
        teacher.claims.free(_place(name))


def _unanswered(teacher: "Teacher", requests: list[Request], tried: dict[str, int]) -> Iterator[tuple[str, Request]]:
    for request in requests:
        found = teacher.follow(request)
        if not isinstance(found, Outcome) and tried.get(found[0], 0) < teacher.settings.attempts:
            yield found


def _check_budget(teacher: "Teacher", chunk: Asked) -> None:
    most_in = sum(map(most_tokens, chunk.values()))
    most = DISCOUNT * teacher.price.cost(most_in, len(chunk) * teacher.settings.max_tokens)
    if most and teacher.spent + most > teacher.settings.budget_usd:
        raise Stopped(
            f"a batch of {len(chunk)} may cost ${most:.2f}, of the budget of ${teacher.settings.budget_usd:g} "
            f"${teacher.spent:.2f} is spent; every answer is kept, raise budget-usd or go on without batch"
        )


async def _collect(teacher: "Teacher", provider: BatchProvider, batch: str, record: Path) -> None:
    """Waits for a batch and logs its answers; the record goes when they are on the disk."""
    wait = POLL
    while True:
        state, answers = await provider.poll(batch)
        if state != "waiting":
            break
        await asyncio.sleep(wait)
        wait = min(2 * wait, LONGEST_POLL)
    for key, answer in sorted(answers.items()):
        if isinstance(answer, Answer) and key not in teacher.log:
            paid = replace(answer, discount=DISCOUNT)
            teacher.charge(paid)
            teacher.keep(key, paid)
    teacher.log.sync()
    record.unlink(missing_ok=True)
    if state in FAILED:
        raise click.ClickException(f"batch {batch} {state}; run it again to submit anew what it did not answer")
