"""What every server here does alike: limited bodies and headers, JSON for all that goes wrong, a bearer token, loopback
first, no page of another site, documentation without a network.
"""

import asyncio
import hmac
import json
import os
import re
import resource
import signal
import socket
import sqlite3
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Annotated, Any

import click
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.routing import Match

from tuneline.loopback import is_loopback

if TYPE_CHECKING:
    import uvicorn

TOKEN = "TUNELINE_TOKEN"
MOST_BYTES = 256 * 1024
DRAINED_BYTES = 32 * 1024 * 1024  # read and thrown away, so that a client that is still sending sees the answer
SECONDS = 20.0  # for a whole body
HEADER_SECONDS = 10.0  # for the first line and the headers of a request
STOP_SECONDS = 5  # that what is being answered has, once the server is told to stop
RETRY_AFTER = 1  # seconds
DOCS = {"/", "/docs", "/redoc"}


class Fault(BaseModel):
    """An answer without what was asked for."""

    error: str
    detail: list[str]


Words = Callable[[str, list[str]], dict[str, Any]]  # (error, detail) → the body of an answer without what was asked for


def as_fault(error: str, detail: list[str]) -> dict[str, Any]:
    return {"error": error, "detail": detail}


class Ascii(JSONResponse):
    """Half a surrogate pair in what a client sent is no UTF-8; its JSON escape is."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content).encode("ascii")


ANY = {408: {"model": Fault}, 413: {"model": Fault}}
INVALID = {400: {"model": Fault, "description": "Not JSON, or not of the form described here."}}
BUSY = {
    503: {
        "model": Fault,
        "description": "The database cannot be used now; nothing of the request is kept.",
        "headers": {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}},
    }
}
LOCKED = {401: {"model": Fault, "description": "No bearer token, or another one."}}


def fault(status: int, error: str, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return Ascii(as_fault(error, [detail]), status, headers)


def new_app(
    token: str,
    home: str = "/docs",
    most: int = MOST_BYTES,
    words: Words = as_fault,
    responses: dict[int | str, dict[str, Any]] | None = None,
    **described: Any,
) -> FastAPI:
    """An application under the rules of this module. `home`: where / leads; `most`: bytes of a body; `words`: of what
    goes wrong; `responses`: documented for every path.
    """
    from fastapi_offline import FastAPIOffline

    app = FastAPIOffline(redirect_slashes=False, responses=responses or {**ANY, **BUSY}, **described)
    app.add_middleware(SameSite, pages={*DOCS, home}, words=words)
    if not token:
        app.add_middleware(LocalHosts, words=words)
    app.add_middleware(LimitedBodies, most=most, words=words)
    answer_faults_as_json(app, words)

    @app.get("/", include_in_schema=False)
    async def root() -> RedirectResponse:
        return RedirectResponse(home)

    return app


def answer_faults_as_json(app: FastAPI, words: Words = as_fault) -> None:
    """What is invalid, not there, not allowed or broken has an answer of the form of Fault, or in other `words`."""

    def fault(status: int, error: str, detail: str, headers: Any = None) -> JSONResponse:
        return Ascii(words(error, [detail]), status, headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        said = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}"[:300] for one in error.errors()[:20]]
        return Ascii(words("invalid", said), 400)

    @app.exception_handler(StarletteHTTPException)
    async def refused(request: Request, error: StarletteHTTPException) -> JSONResponse:
        name = {401: "unauthorized", 404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "invalid")
        headers = error.headers
        if error.status_code == 405:  # a path with two routes would name the methods of the first alone
            routes = [route for route in app.routes if route.matches(request.scope)[0] is not Match.NONE]
            methods = set().union(*(getattr(route, "methods", None) or () for route in routes))
            headers = {"Allow": ", ".join(sorted(methods))}
        return fault(error.status_code, name, str(error.detail), headers)

    @app.exception_handler(sqlite3.Error)
    async def busy(request: Request, error: sqlite3.Error) -> JSONResponse:
        said = "the database cannot be written now; nothing of the request is kept"
        if request.method != "POST":
            said = "the database cannot be used now"
        return fault(503, "busy", f"{said} ({error})", {"Retry-After": str(RETRY_AFTER)})

    @app.exception_handler(Exception)
    async def failed(_: Request, error: Exception) -> JSONResponse:
        return fault(500, "internal", "the server failed; its log says how")


def bearer(token: str) -> Callable[..., Any]:
    """A dependency that lets only those pass who know the token."""
    scheme = HTTPBearer(auto_error=False)

    async def check(given: Annotated[HTTPAuthorizationCredentials | None, Depends(scheme)]) -> None:
        if given is None or not hmac.compare_digest(given.credentials.encode(), token.encode()):
            raise HTTPException(401, "a bearer token is needed", {"WWW-Authenticate": "Bearer"})

    return check


# ---------------------------------------------------------------- bodies


class LimitedBodies:
    """ASGI middleware: reads the body, declared or streamed, and refuses with 413 or 408.

    A body that is too large or never ends gets an answer, and no room in memory.
    """

    def __init__(self, app: Any, most: int = MOST_BYTES, words: Words = as_fault) -> None:
        self.app, self.most, self.words = app, most, words

    async def __call__(self, scope: dict, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(SECONDS):
                body = await _read(receive, self.most)
        except TimeoutError:
            await _answer(send, 408, self.words("timeout", [f"the body was not whole after {SECONDS:g} seconds"]))
            return
        if body is None:
            return
        if len(body) > self.most:
            await _answer(send, 413, self.words("too_large", [f"a body has at most {self.most} bytes"]))
            return
        replayed = False

        async def replay() -> dict[str, Any]:
            nonlocal replayed
            if replayed:
                return await receive()
            replayed = True
            return {"type": "http.request", "body": bytes(body), "more_body": False}

        await self.app(scope, replay, send)


async def _read(receive: Any, most: int) -> bytearray | None:
    """The body, or as much of a too large one as shows that it is; None when the client has gone."""
    body, size = bytearray(), 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        piece = message.get("body", b"")
        size += len(piece)
        body += piece[: most + 1 - len(body)]
        if not message.get("more_body") or size > DRAINED_BYTES:
            return body


async def _answer(send: Any, status: int, said: dict[str, Any]) -> None:
    body = json.dumps(said).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*headers, (b"connection", b"close")]})
    await send({"type": "http.response.body", "body": body})


class LocalHosts:
    """ASGI middleware, for a server without a token: refuses whoever calls it by another name than a loopback one.

    A page of any site may have its own name mean 127.0.0.1 (DNS rebinding); a browser would let it read and send.
    """

    def __init__(self, app: Any, words: Words = as_fault) -> None:
        self.app, self.words = app, words

    async def __call__(self, scope: dict, receive: Any, send: Any) -> None:
        called = dict(scope.get("headers", ())).get(b"host", b"").decode("latin-1")
        name = re.sub(r":\d*$", "", called).strip("[]").lower()
        if scope["type"] == "http" and name and not is_loopback(name):
            said = "Host: without a token the server is localhost or 127.0.0.1 alone"
            await _answer(send, 400, self.words("invalid", [said]))
            return
        await self.app(scope, receive, send)


class SameSite:
    """ASGI middleware: what a page of another site makes a browser ask is refused, a `pages` address excepted.

    An <img> or a form needs nobody's leave to send: it would take instructions or hand in rows as whoever looks at the
    page. Browsers say so in Sec-Fetch-Site, older ones in Origin; other clients send neither.
    """

    def __init__(self, app: Any, pages: Collection[str], words: Words = as_fault) -> None:
        self.app, self.pages, self.words = app, pages, words

    async def __call__(self, scope: dict, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and self._is_foreign(scope):
            await _answer(send, 403, self.words("forbidden", ["a page of another site may not ask this server"]))
            return
        await self.app(scope, receive, send)

    def _is_foreign(self, scope: dict) -> bool:
        headers = {name: value.decode("latin-1").lower() for name, value in scope["headers"]}
        if scope["method"] == "GET" and scope["path"] in self.pages:
            return False
        site, origin = headers.get(b"sec-fetch-site"), headers.get(b"origin")
        if site is not None:
            return site not in ("same-origin", "none")
        return origin is not None and origin.partition("://")[2] != headers.get(b"host")


# ---------------------------------------------------------------- listening


def token_for(host: str) -> str:
    """What clients must send as bearer token, from TUNELINE_TOKEN; empty for anybody.

    Raises click.ClickException when there is none and others than this machine could send.
    """
    token = os.environ.get(TOKEN, "").strip()
    if not token and not is_loopback(host):
        raise click.ClickException(f"{host} is not loopback: set {TOKEN} to what clients must send as bearer token")
    return token


def listen(host: str, port: int) -> socket.socket:
    """Raises click.ClickException when the address is in use or none of this machine."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address, family=family, backlog=1024)
    except OSError as error:
        raise click.ClickException(
            f"{host}:{port}: {error.strerror}; stop what listens there or give another --port"
        ) from None


def run(
    app: FastAPI, listening: socket.socket, host: str, page: str = "", stopping: Callable[[], None] | None = None
) -> None:
    """Serves until it is told to stop; says first where. `stopping` is called before last answers are waited for."""
    import uvicorn

    class Server(uvicorn.Server):
        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            if stopping:
                stopping()
            await super().shutdown(sockets)

    shown = f"[{host}]" if ":" in host else host
    server = Server(configure(app))
    for kind in (signal.SIGINT, signal.SIGTERM):  # as uvicorn does once it runs; who has read the line may stop it now
        signal.signal(kind, server.handle_exit)
    click.echo(f"http://{shown}:{listening.getsockname()[1]}{page}")
    server.run([listening])
    click.echo("stopped", err=True)


def configure(app: FastAPI) -> "uvicorn.Config":
    """How uvicorn serves here."""
    import uvicorn

    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return uvicorn.Config(
        app,
        http=impatient_protocol(),
        log_level="warning",
        access_log=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=STOP_SECONDS,
        limit_concurrency=most - min(OWN_FILES, most // 2),  # beyond, 503: else no file could be opened
    )


OWN_FILES = 64  # descriptors for databases, logs and exports


def impatient_protocol() -> type:
    """uvicorn's own, which waits for headers for ever, with an end: a request whose headers do not come is closed.

    Where there is no room for one more connection, the one that is closed is that which has gone longest without a
    whole request: however many keep silent, whoever asks is answered.
    """
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    silent: dict[HttpToolsProtocol, None] = {}  # without a whole request to answer, the longest first

    class Impatient(HttpToolsProtocol):
        late: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            silent[self] = None
            self._wait()
            self.loop.call_soon(self._make_room)  # what has come with the connection is read first

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._wait()

        def on_headers_complete(self) -> None:
            self._arrived()
            self._make_room()
            super().on_headers_complete()

        def on_message_complete(self) -> None:
            silent.pop(self, None)
            super().on_message_complete()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            if self.cycle.response_complete:
                silent[self] = None

        def connection_lost(self, exc: Exception | None) -> None:
            self._arrived()
            silent.pop(self, None)
            super().connection_lost(exc)

        def _wait(self) -> None:
            self._arrived()
            self.late = self.loop.call_later(HEADER_SECONDS, self.transport.close)

        def _arrived(self) -> None:
            if self.late:
                self.late.cancel()

        def _make_room(self) -> None:
            while len(self.connections) >= self.limit_concurrency:
                longest = next((one for one in silent if one is not self), None)
                if longest is None:
                    return
                silent.pop(longest)
                self.connections.discard(longest)
                longest.transport.close()

    return Impatient
