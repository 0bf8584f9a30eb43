"""What a service may do to a caller, and does not: bill in silence, hold it for ever, fill its memory, take its key."""

import asyncio
import json
import socket
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path
from typing import Any

import click
import pytest
from aiohttp import web
from click.testing import CliRunner

from tests.servers.scripted_server import Here, scripted, serve, served
from tests.teaching import PAIR, SECRET, asking, flags, pay, settings
from tests.tuneline.teaching.test_teacher import GOOD, both, logged, questions, refused
from tuneline.files import read_jsonl
from tuneline.teaching.ledger import Ledger
from tuneline.teaching.openai_api import is_strict
from tuneline.teaching.options import KNOBS, teacher_options
from tuneline.teaching.request import most_tokens

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tuneline.teaching.retry.BACKOFF", 0.01)
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    monkeypatch.setenv("GEMINI_API_KEY", SECRET)


class Raw:
    """A server that says bytes, a piece at a time, and hangs up. `heard`: the requests."""

    def __init__(self, pieces: list[bytes], pause: float) -> None:
        self.pieces, self.pause, self.heard = pieces, pause, []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.openai_url, self.gemini_url = f"http://127.0.0.1:{self.port}/v1", f"http://127.0.0.1:{self.port}"

    def run(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            self.heard.append(connection.recv(2**20))
            try:
                for piece in self.pieces:
                    connection.sendall(piece)
                    time.sleep(self.pause)
            except OSError:
                pass  # the caller has gone, as it should


@contextmanager
def raw(*pieces: bytes, pause: float = 0.0) -> Iterator[Raw]:
    server = Raw(list(pieces), pause)
    threading.Thread(target=server.run, daemon=True).start()
    try:
        yield server
    finally:
        server.socket.close()


def most_usd(count: int, price: float = 1.0) -> float:
    """What so many questions may cost that get no answer."""
    return count * (most_tokens(questions(1)[0]) // 4 + settings().max_tokens) * price / 1e6


# Money


@both
@pytest.mark.parametrize("pieces", [(HEAD + b"Content-Length: 900\r\n\r\n{",), (HEAD + b"\r\n<html>",)])
def test_a_call_that_breaks_off_is_counted_in_the_budget(
    provider: str, pieces: tuple[bytes, ...], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    with raw(*pieces) as server:
        refused(asking(server, provider, attempts=3, concurrency=1), tmp_path, questions(1))
        sent = len(server.heard)
    assert sent == 3
    assert f"3 calls gave no answer and may be billed: ${most_usd(3):.4f} by estimate" in capsys.readouterr().err


@both
def test_calls_without_an_answer_end_at_the_budget(provider: str, tmp_path: Path) -> None:
    with raw(HEAD + b"Content-Length: 900\r\n\r\n{") as server:
        chosen = asking(server, provider, attempts=50, budget_usd=2.5, concurrency=4, price=("m=4000/4000",))
        line = refused(chosen, tmp_path, questions(20))
        sent = len(server.heard)
    assert "the budget of $2.5 is spent" in line
    assert most_usd(sent, 4000) <= 2.5 + most_usd(4, 4000)


@both
def test_what_was_never_sent_costs_nothing(provider: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    with raw() as server:
        pass
    line = refused(asking(server, provider, attempts=2), tmp_path, questions(1))
    assert "1 calls failed 2 times (connection: " in line
    assert "billed" not in capsys.readouterr().err


def test_an_answer_beyond_the_limit_is_charged_as_it_is_and_ends_the_run(tmp_path: Path) -> None:
    body = {"choices": [{"message": {"content": GOOD}}], "usage": {"prompt_tokens": 5, "completion_tokens": 900_000}}
    with scripted(json.dumps(body).encode()) as server:
        chosen = asking(server, "openai", concurrency=1, budget_usd=1.0, max_tokens=16)
        line = refused(chosen, tmp_path, questions(5))
        assert len(server.prompts) == 1
    assert "the budget of $1 is spent: $0.9000 in 1 answers" in line


def completion(provider: str, usage: object, **more: object) -> bytes:
    """An answer with what the service reports of each count."""
    if provider == "openai":
        counts = {"prompt_tokens": usage, "completion_tokens": usage}
        return json.dumps({"choices": [{"message": {"content": GOOD}}], "usage": counts, **more}).encode()
    counts = {"promptTokenCount": usage, "candidatesTokenCount": usage}
    candidate = {"content": {"parts": [{"text": GOOD}]}, "finishReason": "STOP"}
    return json.dumps({"candidates": [candidate], "usageMetadata": counts, **more}).encode()


@both
@pytest.mark.parametrize("reported", [None, 0, -5, "many", [1], {"a": 1}, 10**400, 1e999, 10**15, -1e999])
def test_a_count_that_is_none_is_estimated_and_the_answer_is_kept(
    provider: str, reported: object, tmp_path: Path
) -> None:
    with scripted(completion(provider, reported, model=7, modelVersion=7)) as server:
        (outcome,), teacher = pay(asking(server, provider), tmp_path, questions(1))
        assert pay(asking(server, provider), tmp_path, questions(1))[0] == [outcome]
        assert len(server.prompts) == 1
    (request,) = questions(1)
    assert teacher.spent == pytest.approx((most_tokens(request) // 4 + len(GOOD.encode()) // 4) / 1e6)


@both
@pytest.mark.parametrize("reported", ["12", 12.9, 12])
def test_a_count_in_another_form_is_the_count(provider: str, reported: object, tmp_path: Path) -> None:
    with scripted(completion(provider, reported)) as server:
        _, teacher = pay(asking(server, provider), tmp_path, questions(1))
    assert teacher.spent == pytest.approx(24 / 1e6)


class Refusing(Here):
    """Refuses question 0 when it has all the others, which it answers after that."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.all, self.done = threading.Barrier(count, timeout=10), threading.Event()

    async def respond(self, request: web.Request, protocol: Any, arrived: float) -> web.Response:
        body = json.loads(await request.read())
        ask = protocol.ask(body, request.match_info.get("model", ""))
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self.all.wait)
        if ask.prompt == "Question 0":
            loop.call_later(0.2, self.done.set)
            return web.json_response(protocol.error(400, "too long"), status=400)
        await loop.run_in_executor(None, self.done.wait)
        return web.json_response(protocol.completion(ask, None))


@both
def test_what_is_in_flight_when_a_run_ends_is_kept(provider: str, tmp_path: Path) -> None:
    server = Refusing(4)
    with served(server) as server.port:
        assert "the service says 400: too long" in refused(asking(server, provider), tmp_path, questions(4))
    assert len(logged(tmp_path)) == 3


# Waiting


def test_a_pause_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    for said in ("1.2.3s", "..s", "-3s", 5, None):
        error = {"code": 429, "message": "slow", "details": [{"retryDelay": said}]}
        with scripted((429, {}, json.dumps({"error": error})), GOOD) as server:
            pay(asking(server, "gemini"), tmp_path / str(said), questions(1))
            assert len(server.prompts) == 2


@both
@pytest.mark.parametrize("after", ["86400", "1e9", formatdate(253_000_000_000)])
def test_a_service_that_asks_for_hours_is_left_until_then(provider: str, after: str, tmp_path: Path) -> None:
    with scripted((429, {"Retry-After": after}, '{"error": {"message": "Come back"}}')) as server:
        line = refused(asking(server, provider), tmp_path, questions(1))
        assert len(server.prompts) == 1
    assert "status 429: Come back; it asks to wait" in line
    assert "run it again then" in line


def test_a_wait_is_told_with_its_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tuneline.teaching.teacher.NOTICED", 0.5)
    with scripted((429, {"Retry-After": "0.6"}, '{"error": {"message": "Slow down"}}'), GOOD) as server:
        pay(asking(server, "openai"), tmp_path, questions(1))
    assert "test: waits 1 s: status 429: Slow down" in capsys.readouterr().err


@both
def test_a_body_that_trickles_ends_with_the_time(provider: str, tmp_path: Path) -> None:
    with raw(HEAD + b"Content-Length: 100\r\n\r\n", *[b" "] * 100, pause=0.1) as server:
        line = refused(asking(server, provider, timeout=0.5, attempts=1), tmp_path, questions(1))
    assert "no whole answer in 0.5 s" in line


@both
def test_a_body_without_an_end_is_not_kept(provider: str, tmp_path: Path) -> None:
    with raw(HEAD + b"Content-Length: 400000000\r\n\r\n", *[b" " * 2**20] * 400) as server:
        line = refused(asking(server, provider, attempts=1), tmp_path, questions(1))
    assert "the service's answer is larger than 1 MB" in line


@both
def test_a_small_body_that_unpacks_to_a_large_one_is_not_kept(provider: str, tmp_path: Path) -> None:
    import gzip

    packed = gzip.compress(b" " * 2**27)
    head = HEAD + b"Content-Encoding: gzip\r\nContent-Length: " + str(len(packed)).encode() + b"\r\n\r\n"
    with raw(head, packed) as server:
        line = refused(asking(server, provider, attempts=1), tmp_path, questions(1))
    assert "the service's answer is larger than 1 MB" in line


# Words of the service


@both
@pytest.mark.parametrize("status", [429, 500, 503])
def test_the_services_own_words_reach_the_user(provider: str, status: int, tmp_path: Path) -> None:
    said = json.dumps({"error": {"message": "You exceeded your current quota", "status": "X"}})
    with scripted((status, {}, said)) as server:
        line = refused(asking(server, provider, attempts=2), tmp_path, questions(1))
    assert f"status {status}" in line
    assert "You exceeded your current quota" in line


@both
@pytest.mark.parametrize(
    "body", ['{"error": {"message": "No credit"}}', '{"error": "No credit"}', '{"detail": "No credit"}']
)
def test_an_error_inside_a_good_status_is_told(provider: str, body: str, tmp_path: Path) -> None:
    with scripted(body.encode()) as server:
        line = refused(asking(server, provider, attempts=1), tmp_path, questions(1))
    assert "the service says No credit" in line


@both
@pytest.mark.parametrize("status", [402, 429, 503])
@pytest.mark.parametrize(
    "body", ['"No credit"', '{"error": "No credit"}', '[{"error": {"message": "No credit"}}]', "<p>No credit",
             '{"errors": [{"message": "No credit"}]}', '{"detail": [{"msg": "No credit"}]}'],
)  # fmt: skip
def test_an_errors_words_are_told_in_whatever_form(provider: str, status: int, body: str, tmp_path: Path) -> None:
    with scripted((status, {}, body)) as server:
        assert "No credit" in refused(asking(server, provider, attempts=1), tmp_path, questions(1))


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "No credit"}, "choices": []},
        {"error": {"message": "No credit"}, "choices": None},
        {"choices": [{"error": {"message": "No credit"}, "finish_reason": "error", "message": {"content": ""}}]},
    ],
)
def test_an_error_beside_no_answer_is_told(body: dict, tmp_path: Path) -> None:
    with scripted(json.dumps(body).encode()) as server:
        line = refused(asking(server, "openai", attempts=2), tmp_path, questions(1))
    assert "the service says No credit" in line
    assert logged(tmp_path) == []


@both
def test_a_header_in_any_letters_harms_no_answer(provider: str, tmp_path: Path) -> None:
    body = completion(provider, 5)
    head = HEAD + "X-Server: café\r\n".encode() + b"Content-Length: " + str(len(body)).encode() + b"\r\n\r\n"
    with raw(head, body) as server:
        (outcome,), _ = pay(asking(server, provider, attempts=1), tmp_path, questions(1))
    assert outcome.reason is None


@pytest.mark.parametrize("status", [400, 422])
def test_a_server_that_takes_neither_name_of_the_limit_is_left(status: int, tmp_path: Path) -> None:
    said = json.dumps({"error": {"message": "'max_tokens' is not supported, use 'max_completion_tokens'"}})
    with scripted((status, {}, said)) as server:
        assert "is not supported" in refused(asking(server, "openai"), tmp_path, questions(1))
        assert len(server.prompts) == 2


@pytest.mark.parametrize(("wanted", "sent"), [("max_completion_tokens", "max_tokens")])
def test_the_limit_has_the_name_that_the_server_takes(wanted: str, sent: str, tmp_path: Path) -> None:
    said = f"Unsupported parameter: '{sent}' is not supported with this model. Use '{wanted}' instead."
    with scripted((400, {}, json.dumps({"error": {"message": said}})), GOOD) as server:
        outcomes, _ = pay(asking(server, "openai", concurrency=1), tmp_path, questions(3))
        assert len(server.prompts) == 4
    assert [outcome.reason for outcome in outcomes] == [None] * 3


# What is asked


def body_of(**knobs: object) -> dict:
    from tuneline.teaching.openai_api import OpenAIProvider

    async def made() -> dict:
        provider = OpenAIProvider(settings(**knobs), "")
        try:
            return provider.body(questions(1)[0])
        finally:
            await provider.close()

    return asyncio.run(made())


def test_a_temperature_can_be_left_out_and_fields_put_in() -> None:
    url = "http://127.0.0.1:9/v1"
    assert body_of(base_url=url)["temperature"] == 0.0
    body = body_of(base_url=url, temperature=None, body=("reasoning_effort=low", "think=false", 'stop=["a", "b"]'))
    assert "temperature" not in body
    assert (body["reasoning_effort"], body["think"], body["stop"]) == ("low", False, ["a", "b"])


def test_what_is_put_in_determines_the_answer_and_nothing_put_in_does_not(tmp_path: Path) -> None:
    (request,) = questions(1)

    def key(**knobs: object) -> str:
        return Ledger(settings(**knobs), tmp_path).follow(request)[0]

    assert len({key(), key(body=("a=1",)), key(body=("a=2",)), key(temperature=None)}) == 4
    assert key(body=("a=1", "b=2")) == key(body=("b=2", "a=1"))


def closed(a: dict) -> dict:
    return {"type": "object", "properties": {"a": a}, "additionalProperties": False, "required": ["a"]}


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        ({"type": "object", "properties": {}, "additionalProperties": False}, True),
        (closed({"type": "string"}), True),
        (closed({"type": "array", "minItems": 1, "items": {"enum": ["x"]}}), True),
        (closed({"type": "string", "minLength": 5}), False),
        (closed({"allOf": []}), False),
        (closed({"type": "object"}), False),
        (closed({"type": "array", "items": {"type": "object"}}), False),
        (closed({"type": ["object", "null"]}), False),
        (closed({"properties": {"b": {"type": "string"}}}), False),
        (closed({"type": ["string", "null"]}), True),
        (closed({"type": "string", "format": "date"}), True),
        (closed({"type": "string", "format": "uri"}), False),
        ({"type": "object"}, False),
        ({"type": "array", "items": {"type": "string"}}, False),
        ({"anyOf": [{"type": "object"}]}, False),
        (PAIR, False),
    ],
)
def test_strict_is_what_the_documentation_says(schema: dict, strict: bool) -> None:
    assert is_strict(schema) is strict


# Keys


@both
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_takes_no_key_anywhere(provider: str, status: int, tmp_path: Path) -> None:
    with scripted(GOOD) as other, scripted((status, {"Location": f"{other.gemini_url}/x?a=b"}, "")) as server:
        line = refused(asking(server, provider), tmp_path, questions(1))
        assert (len(server.prompts), other.prompts) == (1, [])
    assert "the service sends the call on to 127.0.0.1; set base-url to it" in line


@both
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.2", "[::1]"])
def test_no_proxy_is_asked_for_this_machine(
    provider: str, host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would ask itself; one elsewhere would be given the key. A service elsewhere is asked by the proxy."""
    with raw(HEAD + b"Connection: close\r\n\r\n{}") as proxy, scripted(GOOD) as server:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name.lower(), proxy.gemini_url)
        monkeypatch.setenv("no_proxy", "")
        place = f"http://{host}:{server.port}" + ("/v1" if provider == "openai" else "")
        chosen = settings(provider=provider, base_url=place, attempts=1)
        if host in ("127.0.0.1", "localhost"):
            assert pay(chosen, tmp_path / "here", questions(1))[0][0].reason is None
        else:  # nobody listens there
            assert "connection: " in refused(chosen, tmp_path / "here", questions(1))
        assert proxy.heard == []
        refused(replace(chosen, base_url="http://service.invalid/v1"), tmp_path / "elsewhere", questions(1))
        assert b"service.invalid" in proxy.heard[0]


def test_no_variable_puts_another_key_in_place_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "Authorization: Bearer of-somebody-else")
    with serve() as server:
        pay(asking(server, "openai"), tmp_path, questions(1))
        assert server.stats()["keys_seen"] == [SECRET]


@both
@pytest.mark.parametrize("headers", [{}, {"Location": "https://exa\u2100mple.com/"}, {"Location": ""}])
def test_a_redirect_to_nowhere_is_a_line(provider: str, headers: dict, tmp_path: Path) -> None:
    with scripted((302, headers, "")) as server:
        line = refused(asking(server, provider), tmp_path, questions(1))
    assert line.startswith("the service sends the call on to ")


def test_no_variable_chooses_who_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    from tuneline.teaching.gemini_api import GeminiProvider
    from tuneline.teaching.openai_api import OpenAIProvider

    for name in ("OPENAI_BASE_URL", "GOOGLE_GEMINI_BASE_URL", "GOOGLE_VERTEX_BASE_URL"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", "true")
    monkeypatch.setenv("GOOGLE_GENAI_CLIENT_MODE", "replay")  # answers from a file

    async def places() -> list[str]:
        openai, gemini = OpenAIProvider(settings(), "k"), GeminiProvider(settings(provider="gemini"), "k")
        assert type(gemini.client._api_client).__name__ == "BaseApiClient"
        found = [str(openai.client.base_url), gemini.client._api_client._http_options.base_url]
        await openai.close()
        await gemini.close()
        return found

    assert asyncio.run(places()) == ["https://api.openai.com/v1/", "https://generativelanguage.googleapis.com"]


@both
@pytest.mark.parametrize(
    "spell",
    [
        str,
        lambda key: "".join(f"\\u{ord(sign):04x}" for sign in key),
        lambda key: "".join(f"\\u{ord(sign):04X}" if number % 2 else sign for number, sign in enumerate(key)),
        lambda key: "".join(f"%{ord(sign):02x}" for sign in key),
        lambda key: "".join(f"&#{ord(sign)};" for sign in key),
        lambda key: key.replace("-", "\\\\u002d"),
        lambda key: "".join(f"%25{ord(sign):02X}" for sign in key),
        lambda key: f"{key[:9]}\\n{key[9:]}",
    ],
)
def test_an_echo_of_the_key_lands_nowhere(provider: str, spell: object, tmp_path: Path) -> None:
    echo = json.dumps({"question": "who am I?", "answer": "you have ~"}).replace("~", spell(SECRET))
    with scripted(echo) as server:
        (outcome,), _ = pay(asking(server, provider), tmp_path, questions(1))
    assert outcome.value["answer"] == "you have [secret]"
    assert "[secret]" in logged(tmp_path)[0]["text"]


@both
@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_coded_echo_of_the_key_lands_nowhere(provider: str, at: int, tmp_path: Path) -> None:
    coded = b64encode(b":" * at + SECRET.encode()).decode()
    with scripted(json.dumps({"question": "who am I?", "answer": f"you have {coded}"})) as server:
        (outcome,), _ = pay(asking(server, provider), tmp_path, questions(1))
    assert coded[3:-4] not in outcome.value["answer"] and "[secret]" in outcome.value["answer"]


@both
@pytest.mark.parametrize("before", range(270, 300, 7))
def test_an_error_ends_at_no_half_of_the_key(provider: str, before: int, tmp_path: Path) -> None:
    said = f"{'no ' * 40}{'x' * (before - 120)} {SECRET} is wrong"
    with scripted((401, {}, json.dumps({"error": {"message": said}}))) as server:
        assert SECRET[:2] not in refused(asking(server, provider), tmp_path, questions(1))


def test_what_stands_in_the_place_of_a_key_changes_no_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "EMPTY")  # as local servers have it
    said = '{"question": "Is the glass empty?", "answer": "half empty"}'
    with scripted(said) as server:
        (outcome,), _ = pay(asking(server, "openai"), tmp_path, questions(1))
    assert outcome.text == said


def test_an_answer_of_backslashes_takes_no_longer_than_another(tmp_path: Path) -> None:
    """It took minutes."""
    with scripted("\\" * 300_000) as server:
        pay(asking(server, "openai", attempts=1, max_tokens=100_000), tmp_path, questions(1))


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("default", True),
        ("http://localhost:8000/v1", True),
        ("https://[::1]:8000", True),
        ("https://user:pass@host/v1", False),
        ("https://token@host/v1", False),
        ("https://@host/v1", False),
        ("https://[::1/v1", False),
        ("https://user:pass@[::1/v1", False),
        ("https://host:99999/v1", False),
        ("https://host:port/v1", False),
        ("https://host/v1?key=abc", False),
        ("https://host/v1#abc", False),
        ("localhost:8000", False),
        ("file:///etc", False),
        ("", False),
    ],
)
def test_an_address_is_a_place_and_holds_no_key(url: str, good: bool) -> None:
    @click.command()
    @teacher_options
    def stage(**_: object) -> None: ...

    done = CliRunner().invoke(stage, flags(settings(base_url=url)))
    assert (done.exit_code == 0) is good
    assert "pass@" not in done.output and "token@" not in done.output and "abc" not in done.output
    assert KNOBS["base-url"].name == "url"


def test_a_log_is_read_whatever_a_line_holds(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    with scripted(GOOD) as server:
        pay(asking(server, "openai"), tmp_path, questions(2))
        segment = next(tmp_path.rglob("*.jsonl"))
        first, second = segment.read_text("utf-8").splitlines()
        wrong = json.dumps({**json.loads(second), "text": 7, "tokens_in": "many"})
        segment.write_text(f"{first}\n{wrong}\n", encoding="utf-8")
        outcomes, _ = pay(asking(server, "openai"), tmp_path, questions(2))
    assert f"{segment}, line 2: is no answer as they are logged, passed over" in capsys.readouterr().err
    assert [outcome.reason for outcome in outcomes] == [None, None]
    assert len(read_jsonl(segment)) == 2
