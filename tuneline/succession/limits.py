"""Bodies of requests that are too large or never end get an answer, and no room in memory."""

import asyncio
import json
from typing import Any

MOST_BYTES = 256 * 1024
DRAINED_BYTES = 32 * 1024 * 1024  # read and thrown away, so that a client that is still sending sees the answer
SECONDS = 20.0  # for a whole body


class LimitedBodies:
    """ASGI middleware: reads the body, declared or streamed, and refuses with 413 or 408."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: dict, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(SECONDS):
                body = await _read(receive)
        except TimeoutError:
            await _answer(send, 408, "timeout", f"the body was not whole after {SECONDS:g} seconds")
            return
        if body is None:
            return
        if len(body) > MOST_BYTES:
            await _answer(send, 413, "too_large", f"a body has at most {MOST_BYTES} bytes")
            return
        replayed = False

        async def replay() -> dict[str, Any]:
            nonlocal replayed
            if replayed:
                return await receive()
            replayed = True
            return {"type": "http.request", "body": bytes(body), "more_body": False}

        await self.app(scope, replay, send)


async def _read(receive: Any) -> bytearray | None:
    """The body, or as much of a too large one as shows that it is; None when the client has gone."""
    body, size = bytearray(), 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        piece = message.get("body", b"")
        size += len(piece)
        body += piece[: MOST_BYTES + 1 - len(body)]
        if not message.get("more_body") or size > DRAINED_BYTES:
            return body


async def _answer(send: Any, status: int, error: str, detail: str) -> None:
    body = json.dumps({"error": error, "detail": [detail]}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*headers, (b"connection", b"close")]})
    await send({"type": "http.response.body", "body": body})
