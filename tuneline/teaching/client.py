"""The HTTP client of both services: what a service may not do with a call, however it answers.

A redirect is not followed: the key would go to whom nobody chose. An answer has a largest size, so that no service
fills the memory. How long a call may take in all is held by teacher.py.
"""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any

import httpx2
import openai

from tuneline.teaching.request import Hopeless, Unanswered

FIXED, BYTES_OF_A_TOKEN = 2**20, 64  # of an answer: what is around it, and a token that is escaped and told twice
LOOPBACK = ("all://127.0.0.0/8", "all://localhost", "all://[::1]")
LONGEST_WORDS = 300  # signs of what a service says of an error
NOT_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol)


class Redirected(Exception):
    """The service sends the call elsewhere."""


class TooLarge(Exception):
    """The answer is larger than any that was asked for."""


class Client(openai.DefaultAioHttpClient):
    """`most`: bytes of an answer, unpacked; one that is asked for as a stream is for `lines`.

    A proxy of the environment is asked for other machines alone.
    """

    def __init__(self, most: int, **options: Any) -> None:
        super().__init__(**options, follow_redirects=False, mounts=dict.fromkeys(LOOPBACK))
        self.most = most

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        """Raises Redirected, TooLarge, or what httpx2 raises."""
        response = await super().send(request, **{**options, "stream": True, "follow_redirects": False})
        if options.get("stream") and response.is_success:
            return response
        try:
            if response.is_redirect:
                raise Redirected(f"the service sends the call on to {_place(response)}; set base-url to it")
            body = await self._read(response)
        finally:
            await response.aclose()
        headers = [(name, value) for name, value in response.headers.raw if name.lower() not in PACKED]
        return httpx2.Response(response.status_code, headers=headers, content=body, request=request)

    async def _read(self, response: httpx2.Response) -> bytes:
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            _check_size(body, self.most)
        return bytes(body)


async def lines(chunks: AsyncIterator[bytes], most: int) -> AsyncIterator[bytes]:
    """Of a body that is never whole in memory. Raises TooLarge where one has more bytes than `most`."""
    rest = b""
    async for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in (*whole, rest):
            _check_size(line, most)
        for line in whole:
            yield line
    yield rest


def _check_size(body: bytes | bytearray, most: int) -> None:
    if len(body) > most:
        raise TooLarge(f"the service's answer is larger than {most / 2**20:.0f} MB")


def _place(response: httpx2.Response) -> str:
    """The host of a redirect, without what else its address may hold."""
    try:
        return httpx2.URL(response.headers.get("location", "")).host or "another path"
    except httpx2.InvalidURL:
        return "no address"


PACKED = (b"content-encoding", b"content-length", b"transfer-encoding")  # of the body as it came, not as it is given on


def largest_answer(max_tokens: int) -> int:
    """Bytes of a body with one answer."""
    return FIXED + BYTES_OF_A_TOKEN * max_tokens


def explain_failure(error: BaseException) -> Unanswered | Hopeless:
    """Of a call that gave no whole response. What was sent may be billed."""
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, Redirected):
            return Hopeless(str(cause))
        if isinstance(cause, TooLarge):
            return Unanswered(str(cause), sent=True)
    sent = not any(isinstance(cause, NOT_SENT) for cause in causes)
    said = " ".join(str(causes[-1]).split()) or type(causes[-1]).__name__
    return Unanswered(f"connection: {said}", sent=sent)


def words_in(body: bytes) -> str:
    """What a service says of an error, in its own words, in the forms that are in use; else the text as it is."""
    text = body.decode("utf-8", "replace")
    with suppress(ValueError, RecursionError):
        return words_of(json.loads(text)) or short(text)
    return short(text) or "nothing more"


def words_of(value: Any) -> str:
    """The same of the body's JSON; empty where it says nothing."""
    if isinstance(value, str):
        return short(value)
    found = value if isinstance(value, list) else []
    if isinstance(value, dict):
        found = [value.get(name) for name in ("error", "errors", "message", "detail", "msg")]
    return next(filter(None, map(words_of, found)), "")


def short(text: str) -> str:
    """In one line. It ends between words: half a key would not be known for one."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_WORDS else f"{line[:LONGEST_WORDS].rpartition(' ')[0]} …"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The exception and those that it is from."""
    while error:
        yield error
        error = error.__cause__
