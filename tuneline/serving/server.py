"""The server of answers: OpenAI's chat completions over one base and its adapters, each a model of its name.

An answer is what `tuneline predict` gives to the same messages, whoever else asks at the time. The engine writes it on
its own thread; this is its HTTP.
"""

import asyncio
import contextlib
import json
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

import click
from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from tuneline.files import Row
from tuneline.http_service import MOST_BYTES, RETRY_AFTER, Ascii, bearer, new_app
from tuneline.serving.asked import Asked, Question, Refusal, read
from tuneline.serving.calls import Calls
from tuneline.serving.counts import Counts
from tuneline.serving.engine import End, Engine, Failed, Full, Job, Late, Stopping, Unanswered, Unheld
from tuneline.serving.speech import Speech
from tuneline.serving.voices import Voice, Voices

METRICS = "text/plain; version=0.0.4; charset=utf-8"
EVENTS = "text/event-stream"
GRACE = 4.0  # seconds that answers in flight have once the server is told to stop: less than its connections have
CODES = {"unauthorized": "invalid_api_key", "too_large": "request_too_large"}  # OpenAI's names of what goes wrong
BYTES_A_TOKEN = 16  # of a body, with its escapes


@dataclass(frozen=True)
class Settings:
    """`token` is asked of every client when there is one. `max_new_tokens`: of an answer where nothing is said.
    `timeout`: seconds of a request, its wait counted.
    """

    batch_size: int = 32
    max_new_tokens: int = 256
    waiting: int = 256
    timeout: float = 120.0
    token: str = ""


# ---------------------------------------------------------------- OpenAI's forms


class ErrorBody(BaseModel):
    message: str
    type: str
    param: str | None
    code: str | None


class Error(BaseModel):
    """An answer without what was asked for, as OpenAI's clients read it."""

    error: ErrorBody


class Message(BaseModel):
    role: Literal["assistant"]
    content: str | None
    refusal: None
    tool_calls: list[dict[str, Any]] = []


class Choice(BaseModel):
    index: int
    message: Message
    finish_reason: Literal["stop", "length", "tool_calls"]
    logprobs: None


class Usage(BaseModel):
    prompt_tokens: int
    completion_tokens: int = Field(description="With the end token.")
    total_tokens: int


class Completion(BaseModel):
    model_config = ConfigDict(extra="forbid")
    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[Choice]
    usage: Usage
    notes: list[str] = Field([], description="What was done otherwise than the request may have meant; if anything.")


class Model(BaseModel):
    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "tuneline"


class Models(BaseModel):
    object: Literal["list"] = "list"
    data: list[Model]


class Health(BaseModel):
    status: Literal["ok"] = "ok"
    models: list[str]
    rows: int = Field(description="Answers in flight.")
    waiting: int


def as_error(error: str, detail: list[str], param: str | None = None, kind: str | None = None) -> dict[str, Any]:
    """The body of an answer without what was asked for. `error`: by this project's names, or OpenAI's."""
    if param is None and detail[0].startswith("body."):
        param = detail[0].removeprefix("body.").partition(":")[0]
    detail = [said.removeprefix("body.") for said in detail]
    kinds = {"internal": "server_error", "stopping": "server_error", "too_many": "rate_limit_error"}
    said = {"type": kind or kinds.get(error, "invalid_request_error"), "param": param, "code": CODES.get(error, error)}
    return {"error": {"message": "; ".join(detail), **said}}


def refused(description: str, *statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": Error, "description": description} for status in statuses}


AFTER = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}}
REFUSED = {
    **refused("Not of the form described here, or what is not done; the message says which.", 400),
    **refused("No model has this name; the message has those there are.", 404),
    **refused("The request's time is over.", 408),
    **{status: {**one, "headers": AFTER} for status, one in refused("As many wait as may.", 429).items()},
    **{status: {**one, "headers": AFTER} for status, one in refused("The server stops.", 503).items()},
}
LOCKED = refused("No bearer token, or another one.", 401)
STATUSES: dict[type[Unanswered], tuple[int, str]] = {
    Full: (429, "too_many"), Stopping: (503, "stopping"), Late: (408, "timeout"), Unheld: (400, "invalid"),
    Failed: (500, "internal"),
}  # fmt: skip


def explain(reason: Unanswered) -> tuple[int, dict[str, Any], dict[str, str]]:
    """(status, body, headers) of an answer that does not come."""
    status, error = STATUSES.get(type(reason), (500, "internal"))
    param = "response_format" if isinstance(reason, Unheld) else None
    after = {"Retry-After": str(RETRY_AFTER)} if status in (429, 503) else {}
    return status, as_error(error, [str(reason)], param), after


# ---------------------------------------------------------------- one answer


@dataclass
class Answer:
    """What is said of one question. `before`: what every object of it holds. `calls`: read where it has tools."""

    job: Job
    question: Question
    speech: Speech
    calls: Calls | None
    before: dict[str, Any]
    text: str = ""
    called: list[Row] = field(default_factory=list)
    tokens: int = 0
    began: float = field(default_factory=time.monotonic)

    def hear(self, tokens: list[int], end: End | None, stop: list[int]) -> tuple[str, str | None]:
        """(what is new of the text, the finish reason where it has ended). Raises Unanswered."""
        if isinstance(end, Unanswered):
            raise end
        self.tokens += len(tokens)
        said = [token for token in tokens if token not in stop]
        new = self.speech.end(said) if end else self.speech.add(said)
        finish = "stop" if self.speech.stopped else end
        self.text += new
        return self._divided(finish) if self.question.tools else (new, finish)

    def _divided(self, finish: str | None) -> tuple[str, str | None]:
        """With tools, nothing is said before all is known."""
        if not finish:
            return "", None
        self.text, self.called = self.calls.divided(self.text, self.question.tools)
        return self.text, "tool_calls" if self.called and finish == "stop" else finish

    @property
    def usage(self) -> dict[str, int]:
        read = len(self.job.prompt)
        return {"prompt_tokens": read, "completion_tokens": self.tokens, "total_tokens": read + self.tokens}

    @property
    def notes(self) -> dict[str, Any]:
        return {"notes": list(self.question.notes)} if self.question.notes else {}

    def whole(self, finish: str) -> dict[str, Any]:
        called = {"tool_calls": self.called} if self.called else {}
        message = {"role": "assistant", "content": self.text or (None if called else ""), "refusal": None, **called}
        choice = {"index": 0, "message": message, "finish_reason": finish, "logprobs": None}
        return {**self.before, "object": "chat.completion", "choices": [choice], "usage": self.usage, **self.notes}

    def piece(self, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        return {**self.before, "object": "chat.completion.chunk", "choices": [choice]}


def event(body: dict[str, Any]) -> str:
    """Of server-sent events; no sign of a JSON text in ASCII ends a line."""
    return f"data: {json.dumps(body)}\n\n"


async def gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


# ---------------------------------------------------------------- the server


class Desk:
    """Takes questions to the engine, and its answers back."""

    def __init__(self, voices: Voices, settings: Settings) -> None:
        self.voices, self.settings = voices, settings
        self.engine = Engine(voices, settings.batch_size, settings.waiting)
        self.counts = Counts(lambda: self.engine.rows, lambda: len(self.engine.waiting))
        self.grammar = lru_cache(256)(voices.grammars.of_schema)
        self.noted: set[str] = set()
        self.started = int(time.time())

    def voice(self, name: str) -> Voice:
        """Raises Refusal."""
        if name not in self.voices.named:
            there = ", ".join(self.voices.named)
            raise Refusal(f"no model is named {name[:80]!r}; there are {there}", "model", "model_not_found", 404)
        return self.voices.named[name]

    async def open(self, asked: Asked) -> Answer:
        """A question that waits for its answer. Raises Refusal and Unanswered."""
        voice = self.voice(asked.model)
        question = read(asked, voice, self.voices.context, self.settings.max_new_tokens, self.voices.calls)
        job = Job(
            voice.name, question.prompt, question.most, time.monotonic() + self.settings.timeout,
            await self._matcher(question.schema), streams=bool(asked.stream or question.stops),
        )  # fmt: skip
        self.engine.ask(job)
        self.note(voice.name, question.notes)
        before = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": voice.name}
        speech = Speech(voice.chat, self.voices.frame, question.stops)
        return Answer(job, question, speech, self.voices.calls, before)

    async def _matcher(self, schema: str | None) -> Any:
        if schema is None:
            return None
        try:
            return (await asyncio.to_thread(self.grammar, schema))()
        except ValueError as error:
            raise Refusal(f"the schema cannot be held to: {error}", "response_format", "invalid") from None

    def note(self, name: str, notes: tuple[str, ...]) -> None:
        """In the log, each once for a model."""
        for said in (f"{name}: {note}" for note in notes):
            if said not in self.noted:
                self.noted.add(said)
                click.echo(said, err=True)

    async def pieces(self, answer: Answer) -> AsyncIterator[tuple[str, str | None]]:
        """What is new of the text, and at last the finish reason. Raises Unanswered."""
        name, outcome = answer.job.voice, "gone"
        try:
            finish = None
            while finish is None:
                new, finish = answer.hear(*await answer.job.news.get(), self.voices.stop_ids)
                if new or finish:
                    yield new, finish
            outcome = finish
            self.counts.whole.labels(name).observe(time.monotonic() - answer.began)
        except Unanswered as reason:
            outcome = STATUSES.get(type(reason), (0, "gone"))[1]
            raise
        finally:
            self.engine.drop(answer.job)
            self.counts.requests.labels(name, outcome).inc()
            self.counts.prompt.labels(name).inc(len(answer.job.prompt))
            self.counts.answer.labels(name).inc(answer.tokens)

    async def whole(self, answer: Answer) -> dict[str, Any]:
        """Raises Unanswered."""
        async with contextlib.aclosing(self.pieces(answer)) as pieces:
            async for _, finish in pieces:
                last = finish
        return answer.whole(last)

    async def events(self, answer: Answer, usage: bool, first: tuple, rest: AsyncIterator) -> AsyncIterator[str]:
        """An answer as server-sent events; what goes wrong in its midst is one of them."""
        none = {"usage": None} if usage else {}
        async with contextlib.aclosing(rest):
            yield event({**answer.piece({"role": "assistant", "content": ""}), **none, **answer.notes})
            try:
                async for new, finish in _chained(first, rest):
                    if new:
                        yield event({**answer.piece({"content": new}), **none})
                    if answer.called:
                        calls = [{"index": at, **call} for at, call in enumerate(answer.called)]
                        yield event({**answer.piece({"tool_calls": calls}), **none})
                    if finish:
                        yield event({**answer.piece({}, finish), **none})
            except Unanswered as reason:
                yield event(explain(reason)[1])
                return
            if usage:
                yield event({**answer.piece({}), "choices": [], "usage": answer.usage})
            yield "data: [DONE]\n\n"


async def _chained(first: Any, rest: AsyncIterator) -> AsyncIterator[Any]:
    yield first
    async for one in rest:
        yield one


async def unless_gone(request: Request, work: Any) -> Any:
    """What the coroutine gives; None when the client goes before."""
    leaving, working = asyncio.ensure_future(gone(request)), asyncio.ensure_future(work)
    try:
        await asyncio.wait({leaving, working}, return_when=asyncio.FIRST_COMPLETED)
        return await working if working.done() else None
    finally:
        leaving.cancel()
        working.cancel()
        await asyncio.wait({leaving, working})


def create_app(voices: Voices, settings: Settings) -> FastAPI:
    """The application; `app.state.desk` has the engine, which it starts."""
    desk = Desk(voices, settings)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        desk.engine.start()
        yield
        desk.engine.close()

    app = new_app(
        settings.token,
        most=max(MOST_BYTES, BYTES_A_TOKEN * voices.context),
        words=as_error,
        responses=refused("The body is not whole in time, or too large.", 408, 413),
        title="Tuneline answers",
        description="OpenAI's chat completions, by adapters as they were trained.",
        version="1",
        lifespan=lifespan,
    )
    app.state.desk = desk
    guard = [Depends(bearer(settings.token))] if settings.token else []
    locked = LOCKED if settings.token else {}

    @app.exception_handler(Refusal)
    async def refuse(_: Request, error: Refusal) -> Response:
        return Ascii(as_error(error.code, [error.message], error.param), error.status)

    @app.exception_handler(Unanswered)
    async def unanswered(_: Request, reason: Unanswered) -> Response:
        status, body, headers = explain(reason)
        return Ascii(body, status, headers)

    class Chat(Asked):
        model: str = Field(description="One of /v1/models.", json_schema_extra={"enum": list(voices.named)})

    @app.post(
        "/v1/chat/completions",
        summary="The answer to a conversation",
        response_model=Completion,
        responses={**REFUSED, **locked, 200: {"content": {EVENTS: {"schema": {"type": "string"}}}}},
        dependencies=guard,
    )
    async def complete(asked: Chat, request: Request) -> Any:
        answer = await desk.open(asked)
        if not asked.stream:
            found = await unless_gone(request, desk.whole(answer))
            return Ascii(found) if found else Response(status_code=499)
        pieces = desk.pieces(answer)
        first = await unless_gone(request, anext(pieces))
        if first is None:
            return Response(status_code=499)
        desk.counts.first.labels(answer.job.voice).observe(time.monotonic() - answer.began)
        usage = bool(asked.stream_options and asked.stream_options.include_usage)
        return StreamingResponse(desk.events(answer, usage, first, pieces), media_type=EVENTS)

    def model(name: str) -> Model:
        return Model(id=name, created=desk.started)

    @app.get("/v1/models", summary="The models there are", responses=locked, dependencies=guard)
    async def models() -> Models:
        return Models(data=[model(name) for name in voices.named])

    @app.get(
        "/v1/models/{name}",
        summary="One of them",
        responses={**locked, 404: REFUSED[404], 400: REFUSED[400]},
        dependencies=guard,
    )
    async def one_model(name: str) -> Model:
        return model(desk.voice(name).name)

    @app.get("/health", summary="Whether the server is there", responses={503: REFUSED[503]})
    async def health() -> Health:
        if not desk.engine.works:
            raise Stopping("the server stops")
        return Health(models=list(voices.named), rows=desk.engine.rows, waiting=len(desk.engine.waiting))

    @app.get(
        "/metrics",
        summary="Prometheus' text format",
        response_class=Response,
        responses={200: {"content": {METRICS.partition(";")[0]: {"schema": {"type": "string"}}}}},
    )
    async def metrics() -> Response:  # counts alone, for Prometheus without a token
        return Response(desk.counts.text(), media_type=METRICS)

    return app
