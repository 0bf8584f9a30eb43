"""What both servers do alike, asked over sockets: other sites' pages, other names, slow callers, stopping."""

import contextlib
import http.client
import json
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.conftest import ENVIRONMENT, ROOT
from tests.flooding import LIMITED, check_floods
from tests.servers.instruction_server import RECIPE, Api, raw, settings
from tests.servers.instruction_server import serving as ordering
from tests.tuneline.feedback.test_feedback import body
from tests.tuneline.feedback.test_feedback import serving as feedback

Serving = Callable[[Path], AbstractContextManager[Api]]


def instructions(folder: Path, **knobs: object) -> AbstractContextManager[Api]:
    return ordering(settings(folder / "state", **knobs))


both = pytest.mark.parametrize("serving", [instructions, feedback], ids=["instructions", "feedback"])


@both
@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost", 200), ("127.0.0.1:8", 200), ("[::1]:8", 200), ("evil.example", 400), ("1.2.3.4", 400)],
)
def test_a_server_without_a_token_is_called_by_a_loopback_name(
    serving: Serving, host: str, status: int, tmp_path: Path
) -> None:
    with serving(tmp_path) as api:
        assert api.ask("/health", Host=host)[0] == status


@both
@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({}, True),
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": "http://127.0.0.1:1"}, False),
    ],
)
def test_a_page_of_another_site_can_ask_for_nothing(
    serving: Serving, headers: dict[str, str], allowed: bool, tmp_path: Path
) -> None:
    with serving(tmp_path) as api:
        asked = [("/health", None), ("/openapi.json", None)]
        asked += [("/next-instruction", None)] if serving is instructions else [("/samples", body())]
        found = [api.ask(path, sent, **headers) for path, sent in asked]
        assert [status == 200 for status, _, _ in found] == [allowed] * len(found)
        assert all(answer["error"] == "forbidden" for status, answer, _ in found if status == 403)
        assert api.ask("/docs", **headers)[0] == 200  # a link may lead there
        own = {"Origin": api.url}
        assert api.ask("/health", **own)[0] == 200


@both
def test_the_address_leads_to_a_page_and_the_documentation_needs_no_network(serving: Serving, tmp_path: Path) -> None:
    with serving(tmp_path) as api:
        status, page, _ = api.ask("/")  # urllib follows
        assert (status, "<html" in page.lower()) == (200, True)
        for path in ("/docs", "/redoc"):
            status, page, _ = api.ask(path)
            places = re.findall(r"""(?:src|href)=["']([^"']+)""", page)
            assert status == 200 and places
            assert [place for place in places if "://" in place] == []
            for place in places:
                with urllib.request.urlopen(api.url + place) as answer:
                    assert answer.status == 200


@both
def test_headers_that_do_not_come_are_not_waited_for(
    serving: Serving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tuneline.http_service.HEADER_SECONDS", 0.5)
    whole = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with serving(tmp_path) as api:
        host, port = api.url.removeprefix("http://").split(":")
        for first in (b"", b"G", b"GET /health HTTP/1.1\r\nHost: local", whole + b"GET /hea"):
            with socket.create_connection((host, int(port)), timeout=20) as slow:
                slow.sendall(first)
                said = b""
                while piece := slow.recv(65536):
                    said += piece
            assert said.startswith(b"HTTP/1.1 200" if first.startswith(whole) else b"")
        assert raw(api, whole.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")).startswith(b"HTTP/1.1 200")


@both
def test_a_kept_connection_is_served_again_after_a_pause(
    serving: Serving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tuneline.http_service.HEADER_SECONDS", 0.3)
    with serving(tmp_path) as api:
        kept = http.client.HTTPConnection(api.url.removeprefix("http://"), timeout=20)
        kept.connect()
        first = kept.sock
        for _ in range(2):
            kept.request("GET", "/health")
            with kept.getresponse() as answer:  # whole, in however many pieces it comes
                assert (answer.status, json.loads(answer.read())["status"]) == (200, "ok")
            time.sleep(0.6)
        assert kept.sock is first
        kept.close()


def test_a_database_that_cannot_be_written_is_told_and_loses_nothing(tmp_path: Path) -> None:
    with instructions(tmp_path, expire_after=1.0) as api:
        api.write()
        out = api.next()
        other = sqlite3.connect(tmp_path / "state/state.sqlite", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        for path, sent in (("/health", None), ("/next-instruction", {"agent_id": "a"})):
            status, answer, headers = api.ask(path, sent)
            assert (status, answer["error"], headers["Retry-After"]) == (503, "busy", "1")
        time.sleep(1.5)  # the instruction that is out expires meanwhile
        other.execute("ROLLBACK")
        other.close()
        status, health, _ = api.ask("/health")
        assert (status, health["accepted"]) == (200, 1)
        assert api.submit(out["instruction_id"], "too late")[0] == 410
        api.write()


def test_an_agent_that_only_asks_leaves_some_for_the_others(tmp_path: Path) -> None:
    with instructions(tmp_path, most_out=3) as api:
        first = [api.next("greedy")["instruction_id"] for _ in range(3)]
        status, answer, headers = api.ask("/next-instruction", {"agent_id": "greedy"})
        assert (status, answer["error"], int(headers["Retry-After"]) > 1000) == (409, "too_many", True)
        assert "greedy has 3 instructions" in answer["detail"][0]
        assert api.next("another")["instruction_id"] not in first


@contextlib.contextmanager
def process(*words: str, under: Sequence[str] = ()) -> Iterator[subprocess.Popen]:
    """`tuneline` with these words, or another command; `under`: what sets its limits."""
    words = words if words[0].startswith("-") else ("-m", "tuneline.cli", *words, "--port", "0")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([*under, sys.executable, *words], cwd=ROOT, env=ENVIRONMENT, **pipes) as running:
        try:
            yield running
        finally:
            running.kill()


WATCHERS = """
import sys, pathlib, time
from tuneline.feedback.metrics import StateCollector
state = pathlib.Path(sys.argv[1])
print(f"http://127.0.0.1:{StateCollector(state / 'f.sqlite', state).serve(0)}", flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/health", ("instructions", "serve", "--recipe", str(RECIPE), "--state", "{}/state")),
        ("/health", ("feedback", "serve", "--database", "{}/f.sqlite")),
        ("/metrics", ("-c", WATCHERS, "{}")),
    ],
    ids=["instructions", "feedback", "watch"],
)
def test_whoever_asks_is_answered_however_many_keep_silent(path: str, words: Sequence[str], tmp_path: Path) -> None:
    """tests/tuneline/serving/test_process.py does it to `tuneline serve`."""
    words = [*words[:-1], words[-1].replace("{}", str(tmp_path))]
    with process(*words, under=LIMITED) as running:
        check_floods(int(running.stdout.readline().split(":")[2].partition("/")[0]), path)
        running.send_signal(signal.SIGTERM)
        assert "Traceback" not in running.communicate(timeout=60)[1]


@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM])
def test_a_server_that_is_told_to_stop_says_so(told: int, tmp_path: Path) -> None:
    words = ("instructions", "serve", "--recipe", str(RECIPE), "--state", str(tmp_path / "state"))
    with process(*words) as running:
        address = running.stdout.readline().strip().removesuffix("/dashboard").removeprefix("http://")
        host, port = address.split(":")
        with socket.create_connection((host, int(port))) as idle:  # somebody who never asks keeps nobody
            idle.sendall(b"GET /he")
            running.send_signal(told)
            _, said = running.communicate(timeout=60)
    assert said == "stopped\n"
    assert running.returncode == 0


STOPPED_AT_THE_START = """
import os, sys, uvicorn
from fastapi import FastAPI
from tuneline.http_service import listen, run
loop = uvicorn.Config.get_loop_factory
def told(config):
    os.kill(os.getpid(), int(sys.argv[1]))
    return loop(config)
uvicorn.Config.get_loop_factory = told
run(FastAPI(), listen("127.0.0.1", 0), "127.0.0.1")
"""


@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM])
def test_it_may_be_told_before_it_runs(told: int) -> None:
    """It has said where it listens; uvicorn has not taken the signals yet."""
    with process("-c", STOPPED_AT_THE_START, str(int(told))) as running:
        _, said = running.communicate(timeout=60)
    assert (running.returncode, said) == (0, "stopped\n")


def test_a_state_that_cannot_be_used_is_one_line_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state/state.sqlite").write_bytes(b"garbage " * 500)
    with process("instructions", "serve", "--recipe", str(RECIPE), "--state", str(tmp_path / "state")) as running:
        _, said = running.communicate(timeout=60)
    assert (running.returncode, said) == (1, f"Error: {tmp_path}/state/state.sqlite: file is not a database\n")
