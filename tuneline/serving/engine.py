"""Answers questions that arrive at any time, on a thread of its own: they share batches, and models take turns.

A row comes into the batch while others are written, and leaves it when it has ended. An answer is what it would be
alone: rows of a batch know nothing of each other.
"""

import asyncio
import logging
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from tuneline.serving.voices import Voices

TURN = 1.0  # seconds for which a model goes on taking its own questions while others wait
REFILL = 4  # a quarter of all rows is read at a time: reading a question alone costs more than a place,
PATIENCE = 0.3  # unless one has waited so many seconds
STOP, LENGTH = "stop", "length"
AGAIN = "ask again in a moment"


class Unanswered(Exception):
    """Why a question has no answer, or no more of one."""


class Full(Unanswered):
    """As many wait as may."""


class Stopping(Unanswered):
    """The server has been told to stop."""


class Late(Unanswered):
    """A request's time is over."""


class Unheld(Unanswered):
    """The answer cannot be held to its schema any further."""


class Failed(Unanswered):
    """The model failed."""


End = str | Unanswered  # stop, length, or why there is no more


@dataclass(eq=False)
class Job:
    """A question, and its answer as it comes. `until`: by time.monotonic(). `streams`: its tokens are told as they
    come, and not at the end alone.
    """

    voice: str
    prompt: list[int]
    most: int
    until: float
    matcher: Any = None
    streams: bool = False
    tokens: list[int] = field(default_factory=list)  # with the end token
    end: End | None = None
    news: asyncio.Queue[tuple[list[int], End | None]] = field(default_factory=asyncio.Queue)
    told: int = 0  # tokens that are in `news`
    came: float = field(default_factory=time.monotonic)


class Engine:
    """`size`: rows at a time; `most_waiting`: questions that may wait beside them."""

    def __init__(self, voices: Voices, size: int, most_waiting: int) -> None:
        self.voices, self.size, self.most_waiting = voices, size, most_waiting
        self.wake = threading.Condition()  # guards the questions, and what is said of them
        self.waiting: list[Job] = []
        self.gone: set[Job] = set()
        self.rows = 0  # in flight
        self.stopping: float | None = None  # when what is in flight is cut
        self.closed = False
        self.voice, self.since = "", 0.0  # whose turn it is, from when
        self.batch: Any = None  # of that voice, on the thread alone
        self.thread = threading.Thread(target=self._work, name="engine", daemon=True)

    # ---------------------------------------------------------------- on the event loop

    def start(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.thread.start()

    @property
    def works(self) -> bool:
        return self.stopping is None and self.thread.is_alive()

    def ask(self, job: Job) -> None:
        """Raises Full and Stopping."""
        with self.wake:
            if not self.works:
                raise Stopping(f"the server stops; {AGAIN}")
            if len(self.waiting) >= self.most_waiting:
                raise Full(f"{len(self.waiting)} questions wait already; {AGAIN}")
            self.waiting.append(job)
            self.wake.notify()

    def drop(self, job: Job) -> None:
        """Nobody wants the rest of the answer."""
        with self.wake:
            if job.end is None:
                self.gone.add(job)

    def stop(self, seconds: float) -> tuple[int, int]:
        """No question is taken any more, those that wait are refused, and answers in flight have so many seconds.

        (how many are in flight, how many waited)
        """
        with self.wake:
            self.stopping = time.monotonic() + seconds
            self.wake.notify()
            return self.rows, len(self.waiting)

    def close(self) -> None:
        with self.wake:
            self.closed = True
            self.wake.notify()
        self.thread.join(1.0)

    # ---------------------------------------------------------------- on the thread

    def _work(self) -> None:
        while True:
            with self.wake:
                self.wake.wait_for(lambda: self.waiting or self.rows or self.closed)
                if self.closed:
                    return
                self._refuse()
                coming = self._coming()
            if coming or self.rows:
                try:
                    self._go_on(coming)
                except Exception as error:
                    logging.getLogger(__name__).exception("a batch failed")
                    self._fail(coming, error)

    def _refuse(self) -> None:
        """Those that wait too long, or for nobody."""
        for job in [*self.waiting]:
            reason = self._over(job)
            if self.stopping is not None:
                reason = reason or Stopping(f"the server stops; {AGAIN}")
            if reason:
                self.waiting.remove(job)
                self._end([job], reason)

    def _over(self, job: Job) -> Unanswered | None:
        now = time.monotonic()
        if job in self.gone:
            return Unanswered("the client has gone")
        if self.stopping is not None and now > self.stopping:
            return Stopping(f"the server stops, and the answer was not whole in time; {AGAIN}")
        return Late("the time that a request has is over") if now > job.until else None

    def _coming(self) -> list[Job]:
        """Who joins the batch now: questions of one model, a few at a time."""
        others = [job for job in self.waiting if job.voice != self.voice]
        over = others and time.monotonic() - self.since > TURN
        if not self.rows and others and (over or len(others) == len(self.waiting)):
            self.voice, self.since, over = others[0].voice, time.monotonic(), False
        mine = [] if over else [job for job in self.waiting if job.voice == self.voice]
        if not mine:
            return []
        if len(mine) < (self.rows + len(mine)) // REFILL and time.monotonic() - mine[0].came < PATIENCE:
            return []
        coming = mine[: self.size - self.rows]
        self.waiting = [job for job in self.waiting if job not in coming]
        return coming

    def _go_on(self, coming: list[Job]) -> None:
        """Reads those that come, or writes a token of each answer."""
        if self.batch is None:
            self.voices.use(self.voice)
            self.batch = self.voices.open_batch(self.size)
        if coming:
            self.batch.join(coming, [job.prompt for job in coming], [job.matcher for job in coming])
        else:
            self.batch.step()
        with self.wake:
            for job, token in self.batch.newest():
                if job.end is None:
                    job.tokens.append(token)
                    job.end = self._ended(job, token)
            for job in self.batch.rows:
                job.end = job.end or self._over(job)
            ended = [job for job in self.batch.rows if job.end]
            self.rows = len(self.batch.rows) - len(ended)
            self._tell([job for job in self.batch.rows if job.end or job.streams])
        self.batch.leave(ended)
        if not self.rows:
            self.batch = None  # with its room

    def _ended(self, job: Job, token: int) -> End | None:
        if job.matcher and job.matcher.is_error():
            why = " ".join(job.matcher.get_error().partition("<state>")[0].split())
            return Unheld(f"the schema cannot be held to: {why[:200]}")
        if token in self.voices.stop_ids:
            return STOP
        return LENGTH if len(job.tokens) == job.most else None

    def _fail(self, coming: list[Job], error: Exception) -> None:
        with self.wake:
            rows = [*coming, *(self.batch.rows if self.batch else ())]
            self.batch, self.rows = None, 0
            self._end(list(dict.fromkeys(rows)), Failed(f"the model failed: {type(error).__name__}; the log says how"))

    def _end(self, jobs: list[Job], reason: End) -> None:
        for job in jobs:
            job.end = job.end or reason
        self._tell(jobs)

    def _tell(self, jobs: list[Job]) -> None:
        """Puts what is new of each where it is waited for."""
        told = []
        for job in jobs:
            told.append((job, job.tokens[job.told :], job.end))
            job.told = len(job.tokens)
            if job.end:
                self.gone.discard(job)
        if told:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self.loop.call_soon_threadsafe(_deliver, told)


def _deliver(told: list[tuple[Job, list[int], End | None]]) -> None:
    for job, tokens, end in told:
        job.news.put_nowait((tokens, end))
