"""`record`: an application hands in what its model made of an input, to the server or into the database."""

import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tuneline.feedback.store import Sample

URL = "TUNELINE_FEEDBACK_URL"
TOKEN = "TUNELINE_TOKEN"
AT_ONCE = 100  # samples in one request
HOST_AND_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[\w.-]+):\d+(/.*)?")
HEADER = re.compile(r"[ -~\xa0-\xff]*")  # what one can carry


class NotRecorded(RuntimeError):
    """The sample is good, but nobody took it: no server, a wrong token, a full disk. It may be sent again."""


def record(
    task: str,
    input: str,
    output: str,
    model: str = "",
    meta: dict[str, Any] | None = None,
    to: str | os.PathLike | None = None,
    timeout: float = 10.0,
) -> bool:
    """Hands in one sample; True when it is new, False when it was known. When it returns, the sample is kept; one that
    was forgotten (`tuneline feedback forget`) is not taken in again, and False.

    `task`: summarization, classification or question-answering. `meta`: any JSON object, at most 16 KiB.
    `to`: the address of `tuneline feedback serve`, or a database file; without it TUNELINE_FEEDBACK_URL, and
    without that .tuneline/feedback/feedback.sqlite of the checkout. A server's token is TUNELINE_TOKEN; a request is
    signed where the environment has the application's key, as signing.py says.
    `timeout`: seconds that a server may take. It waits for the answer: for intake in the path of requests call it
    on another thread.

    Raises ValueError for a sample that no server takes (an unknown task, an empty text) and for a `to` that is
    neither an http address nor a file, NotRecorded for all that may be better later; nothing else. An
    application that must not fail catches both.
    """
    from tuneline.feedback.store import Sample

    return record_all([Sample(task, input, output, model, {} if meta is None else meta)], to, timeout)[0]


def record_all(samples: "Sequence[Sample]", to: str | os.PathLike | None = None, timeout: float = 10.0) -> list[bool]:
    """`record` for many: by requests of 100 or fewer, or in one transaction. Errors as there.

    When it raises, some of the samples may be kept; sending all again keeps each once.
    """
    for number, sample in enumerate(samples, 1):
        if faults := sample.faults():
            raise ValueError(f"sample {number}: {'; '.join(faults)}")
    if to is None:
        to = os.environ.get(URL) or None
    if isinstance(to, str) and _is_url(to):
        return [new for body, count in _bodies(samples) for new in _post(to, body, count, timeout)]
    return _write(None if to is None else Path(to), samples)


def _is_url(to: str) -> bool:
    """Raises ValueError for what is no address of a server and hardly meant as a file."""
    if not to.strip():
        raise ValueError("to: it is empty; give the feedback server's address or a database file")
    scheme, mark, _ = to.partition("://")
    if mark and scheme.lower() not in ("http", "https"):
        raise ValueError(f"to: {scheme[:20]}:// is no http:// or https://")
    if HOST_AND_PORT.fullmatch(to):
        raise ValueError(f"to: {to[:80]} looks like a server's address; write http://{to[:80]}")
    return bool(mark)


def _bodies(samples: "Sequence[Sample]") -> "Iterator[tuple[bytes, int]]":
    """The samples as requests that the server takes, each with how many are in it."""
    from tuneline.feedback.store import MOST_BYTES

    pieces: list[bytes] = []
    size = 2  # bytes, with the brackets and commas
    for sample in samples:
        # In ASCII, since half a surrogate pair in meta is no UTF-8.
        piece = json.dumps(vars(sample), separators=(",", ":")).encode("ascii")
        if len(pieces) == AT_ONCE or size + len(piece) + 1 > MOST_BYTES:
            yield b"[%s]" % b",".join(pieces), len(pieces)
            pieces, size = [], 2
        pieces.append(piece)
        size += len(piece) + 1
    if pieces:
        yield b"[%s]" % b",".join(pieces), len(pieces)


def _write(path: Path | None, samples: "Sequence[Sample]") -> list[bool]:
    import sqlite3

    from tuneline.feedback.store import Store, database

    place = path or database()
    try:
        with Store(place) as store:
            return [bool(new) for new in store.add(samples)]
    except (OSError, sqlite3.Error) as error:
        raise NotRecorded(f"{place}: {error}") from None


def _post(url: str, body: bytes, count: int, timeout: float) -> list[bool]:
    import urllib.error
    import urllib.request
    from http.client import HTTPException
    from urllib.parse import urlsplit

    class Stay(urllib.request.HTTPRedirectHandler):
        """A redirect is refused: it would take the token to another host."""

        def redirect_request(self, *_: Any) -> None:
            return None

    from tuneline.feedback.signing import HEADER as SIGNATURE
    from tuneline.feedback.signing import own_key, sign
    from tuneline.loopback import is_loopback

    headers = {"Content-Type": "application/json"}
    try:
        signs = own_key()
    except ValueError as error:
        raise NotRecorded(str(error)) from None
    if signs:
        headers[SIGNATURE] = sign(*signs, body)
    if token := os.environ.get(TOKEN, "").strip():
        if not HEADER.fullmatch(token):  # the library's error would show it
            raise NotRecorded(f"{TOKEN} has a line break or another sign that no header can carry")
        headers["Authorization"] = f"Bearer {token}"
    try:
        request = urllib.request.Request(f"{url.rstrip('/')}/samples", body, headers, method="POST")
        here = is_loopback((urlsplit(url).hostname or "").lower())
        direct = [urllib.request.ProxyHandler({})] if here else []  # a proxy would ask itself
        with urllib.request.build_opener(Stay, *direct).open(request, timeout=timeout) as answer:
            said = json.loads(answer.read())
        new = [bool(one["new"]) for one in said["samples"]]
    except urllib.error.HTTPError as error:
        with error:
            said = " ".join(error.read(500).decode("utf-8", "replace").split())
        said = said.replace(token, "[token]") if token else said  # what answers may show what it was sent
        raise NotRecorded(f"the feedback server answered {error.code}: {said}") from None
    except (OSError, HTTPException, ValueError, KeyError, TypeError) as error:
        raise NotRecorded(f"the feedback server gave no answer: {error}") from None
    if len(new) != count:
        raise NotRecorded("what answered is no feedback server")
    return new
