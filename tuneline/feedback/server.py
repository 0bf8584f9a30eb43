"""The feedback server: takes what applications made of their inputs, and answers when it is kept.

Requests that come together are written in one transaction, on a thread of its own: the event loop waits
for no disk and for no other process. Nothing is judged here.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi import Path as InPath
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from tuneline.database import check_writable
from tuneline.feedback.metrics import StateCollector, answer_metrics
from tuneline.feedback.signing import HEADER, check
from tuneline.feedback.store import (
    APPLICATION,
    FORGETTING,
    FORGOTTEN,
    MOST_BYTES,
    MOST_DEPTH,
    MOST_INPUT,
    MOST_META,
    MOST_MODEL,
    MOST_OUTPUT,
    TASKS,
    Sample,
    Store,
    Stored,
)
from tuneline.http_service import INVALID, LOCKED, Ascii, Fault, bearer, fault, new_app
from tuneline.recipe.settings import Task

MOST_SAMPLES = 1000  # in one body
ANY_TEXT = r"^[^\x00\ufdd0\ufdd1]*$"
TEXT = r"^[^\x00\ufdd0\ufdd1]*[^\x00\ufdd0\ufdd1\s][^\x00\ufdd0\ufdd1]*$"  # more than blanks
assert Task.__args__ == TASKS


@dataclass(frozen=True)
class Settings:
    """`token` is asked of every client when there is one; `served`: where versions lie that are in service.

    `keys`: of applications, one of which must have signed each request with samples, when there are any.
    """

    database: Path
    token: str = ""
    served: Path = Path("served")
    keys: Mapping[str, bytes] = field(default_factory=dict, repr=False)


class SentSample(BaseModel):
    """What an application's model made of an input."""

    model_config = ConfigDict(extra="forbid")
    task: Task
    input: str = Field(max_length=MOST_INPUT, pattern=TEXT, description="What the model was given, whole.")
    output: str = Field(max_length=MOST_OUTPUT, pattern=TEXT, description="What it said.")
    model: str = Field("", max_length=MOST_MODEL, pattern=ANY_TEXT, description="Which model, and version.")
    meta: dict[str, Any] = Field(
        default_factory=dict,
        description=f"Anything, at most {MOST_META} signs as compact JSON in ASCII and {MOST_DEPTH} deep.",
    )

    def sample(self) -> Sample:
        return Sample(self.task, self.input, self.output, self.model, self.meta)


One = Annotated[SentSample, Tag("one")]
Many = Annotated[list[SentSample], Field(min_length=1, max_length=MOST_SAMPLES), Tag("many")]


class Kept(BaseModel):
    id: str = Field(description="SHA-256 of task, input and output: the same for a sample that is sent again.")
    new: bool
    forgotten: bool = Field(description="It was forgotten on somebody's wish, and is not kept.")


class Taken(BaseModel):
    """All of them are kept, `known` ones were before; those that are `forgotten` are not."""

    new: int
    known: int
    forgotten: int
    samples: list[Kept] = Field(description="In the order in which they were sent.")


class Shown(BaseModel):
    """A sample and what became of it."""

    id: str
    task: Task
    input: str
    output: str
    model: str
    meta: dict[str, Any]
    received: float = Field(description="Seconds since 1970, as all times.")
    state: Literal["new", "accepted", "rejected"] = Field(description="new: no judge has had it yet.")
    scores: dict[str, float] | None
    reason: str
    judge: str
    judged: float | None


class Health(BaseModel):
    status: Literal["ok"] = "ok"
    samples: dict[Task, dict[Literal["new", "accepted", "rejected"], int]]


class Intake:
    """Writes samples in the order in which they come, those that wait together in one transaction."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.thread = ThreadPoolExecutor(1, "intake")
        self.waiting: list[tuple[list[Sample], asyncio.Future]] = []
        self.came = asyncio.Event()

    async def take(self, samples: list[Sample]) -> list[bool | None]:
        """For each whether it is new, once all are kept; None for a forgotten one. Raises sqlite3.Error otherwise."""
        done = asyncio.get_running_loop().create_future()
        self.waiting.append((samples, done))
        self.came.set()
        return await done

    async def counts(self) -> dict[str, dict[str, int]]:
        """Raises sqlite3.Error when samples could not be kept now."""
        await self._on_thread(check_writable, self.store.db)
        return await self._on_thread(lambda: {task: self.store.counts(task) for task in TASKS})

    async def find(self, key: str) -> Stored | None:
        return await self._on_thread(self.store.sample, key)

    async def work(self) -> None:
        while True:
            await self.came.wait()
            self.came.clear()
            batch, self.waiting = self.waiting, []
            try:
                new = iter(await self._on_thread(self.store.add, [one for samples, _ in batch for one in samples]))
            except (sqlite3.Error, OSError) as error:
                for _, done in batch:
                    if not done.done():
                        done.set_exception(error)
                continue
            for samples, done in batch:
                said = [next(new) for _ in samples]
                if not done.done():  # the client may have gone
                    done.set_result(said)

    async def _on_thread(self, call: Any, *given: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self.thread, call, *given)

    def close(self) -> None:
        self.thread.shutdown()
        self.store.close()


def signed(keys: Mapping[str, bytes]) -> Callable[..., Any]:
    """A dependency: the application that has signed the request; None where there are no keys."""

    async def application(request: Request) -> str | None:
        try:
            return check(request.headers.get(HEADER), await request.body(), keys) if keys else None
        except ValueError as error:
            raise HTTPException(401, str(error)) from None

    return application


def of_application(sample: Sample, name: str | None) -> Sample:
    """The sample, its meta naming who signed it. Raises ValueError when it names another."""
    if name is None:
        return sample
    given = sample.meta.get(APPLICATION, name)
    if not isinstance(given, str) or given.casefold() != name:
        raise ValueError(f"meta.{APPLICATION} is another than {name}, which signed it")
    return replace(sample, meta={**sample.meta, APPLICATION: name})


UNKNOWN = {
    404: {"model": Fault, "description": "No sample has this id."},
    410: {"model": Fault, "description": "The sample is forgotten."},
}


def create_app(settings: Settings) -> FastAPI:
    """The application, with the database opened, and made where there is none."""
    intake = Intake(Store(settings.database))

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        working = asyncio.create_task(intake.work())
        yield
        working.cancel()
        intake.close()

    app = new_app(
        settings.token,
        most=MOST_BYTES,
        title="Tuneline feedback server",
        description="Takes what applications' models made of their inputs; a judge looks at it later.",
        version="1",
        lifespan=lifespan,
    )
    collector = StateCollector(settings.database, settings.served)
    guard = [Depends(bearer(settings.token))] if settings.token else []
    locked = LOCKED if settings.token else {}
    signer = LOCKED if settings.token or settings.keys else {}

    @app.get("/health", summary="Whether the server is there, and what it has")
    async def health() -> Health:
        return Health(samples=await intake.counts())

    @app.post(
        "/samples",
        summary="Hand in samples; the answer comes when they are kept",
        response_model=Taken,
        responses={**INVALID, **signer},
        dependencies=guard,
    )
    async def post_samples(
        sent: Annotated[One | Many, Discriminator(lambda given: "many" if isinstance(given, list) else "one")],
        application: Annotated[str | None, Depends(signed(settings.keys))],
    ) -> Any:
        samples, wrong = [], []
        for at, one in enumerate(sent if isinstance(sent, list) else [sent]):
            try:
                samples.append(of_application(one.sample(), application))
                wrong += [f"{at}: {said}" for said in samples[-1].faults()]
            except ValueError as error:
                wrong.append(f"{at}: {error}")
        if wrong:
            return Ascii({"error": "invalid", "detail": wrong[:20]}, 400)
        new = await intake.take(samples)
        kept = [
            {"id": sample.key, "new": bool(is_new), "forgotten": is_new is None}
            for sample, is_new in zip(samples, new, strict=True)
        ]
        counts = {"new": new.count(True), "known": new.count(False), "forgotten": new.count(None)}
        return Ascii({**counts, "samples": kept})

    @app.get(
        "/samples/{id}",
        summary="A sample and what became of it",
        response_model=Shown,
        responses={**INVALID, **locked, **UNKNOWN},
        dependencies=guard,
    )
    async def get_sample(id: Annotated[str, InPath(pattern="^[0-9a-f]{64}$")]) -> Any:
        found = await intake.find(id)
        if found is None:
            return fault(404, "not_found", "no sample has this id")
        if found.state in (FORGETTING, FORGOTTEN):
            return fault(410, "gone", "the sample is forgotten")
        shown = {name: getattr(found, name) for name in Shown.model_fields if name != "id"}
        return Ascii({"id": found.key, **shown})

    answer_metrics(app, collector)
    return app
