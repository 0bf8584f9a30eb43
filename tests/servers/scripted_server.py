"""A loopback server that says what a test tells it, in the test's own process."""

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator
from typing import Any

from aiohttp import web

from tests.servers import teacher_server


class Said(teacher_server.Ask):
    """A request whose answer is fixed."""

    __slots__ = ("said",)

    def text(self, fault: str | None) -> str:
        return self.said


class Here(teacher_server.Teacher):
    """A server in the test's own process; it takes no time to start."""

    port = 0

    @property
    def openai_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def gemini_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class Scripted(Here):
    """Gives its replies one after the other, the last one for ever.

    A reply is an answer's text, a (status, headers, body), or bytes that go out as they are with 200.
    """

    def __init__(self, *replies: Any) -> None:
        super().__init__()
        self.replies = replies
        self.prompts: list[str] = []

    async def respond(self, request: web.Request, protocol: Any, arrived: float) -> web.Response:
        body = json.loads(await request.read())
        ask = protocol.ask(body, request.match_info.get("model", ""))
        said = self.replies[min(len(self.prompts), len(self.replies) - 1)]
        self.prompts.append(ask.prompt)
        if isinstance(said, tuple):
            status, headers, text = said
            return web.Response(text=text, status=status, headers=headers, content_type="application/json")
        if isinstance(said, bytes):
            return web.Response(body=said, content_type="application/json")
        fixed = Said(ask.model, ask.prompt, ask.schema, ask.characters)
        fixed.said = said
        # Escapes, as half a surrogate pair can go over the wire in no other way.
        return web.Response(text=json.dumps(protocol.completion(fixed, None)), content_type="application/json")


@contextlib.contextmanager
def served(teacher: teacher_server.Teacher) -> Iterator[int]:
    """Serves as long as the block; the port."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    runner = web.AppRunner(
        teacher_server.application(teacher), access_log=None, handler_cancellation=True, shutdown_timeout=0.1
    )

    async def start() -> None:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()

    try:
        asyncio.run_coroutine_threadsafe(start(), loop).result(10)
        yield runner.addresses[0][1]
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextlib.contextmanager
def serve(**orders: Any) -> Iterator[Here]:
    """A server that gives faults as `teacher_server.serve` does."""
    teacher = Here(**orders)
    with served(teacher) as teacher.port:
        yield teacher


@contextlib.contextmanager
def scripted(*replies: Any) -> Iterator[Scripted]:
    teacher = Scripted(*replies)
    with served(teacher) as teacher.port:
        yield teacher
