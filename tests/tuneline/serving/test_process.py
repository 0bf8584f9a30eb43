"""The server as a process: killed, started again, told to stop."""

import contextlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.conftest import ENVIRONMENT
from tests.flooding import LIMITED, check_floods
from tests.servers.answer_server import write_adapters
from tests.servers.instruction_server import Api

ASKED: dict[str, Any] = {"model": "text", "messages": [{"role": "user", "content": "one?"}]}
LONG = {**ASKED, "max_tokens": 1900}


@contextlib.contextmanager
def started(root: Path, port: int = 0) -> Iterator[tuple[subprocess.Popen, int]]:
    """In a folder whose adapters/ it serves; one answer at a time, few descriptors. (the process, its port)"""
    command = [*LIMITED, sys.executable, "-m", "tuneline.cli", "serve", "--port", str(port), "--batch-size", "1"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=root, env=ENVIRONMENT, **pipes) as process:
        try:
            line = process.stdout.readline()
            assert line.endswith("/v1 answers as json, text, small\n"), line + process.stderr.read()
            yield process, int(line.removeprefix("http://127.0.0.1:").split("/")[0])
        finally:
            process.kill()


def client_of(port: int) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="any", max_retries=0, timeout=60)


def begun(client: openai.OpenAI) -> Any:
    stream = client.chat.completions.create(**LONG, stream=True)
    for chunk in stream:
        if chunk.choices[0].delta.content:
            return stream
    raise AssertionError("it has ended")


def until_one_waits(port: int) -> None:
    while not Api(f"http://127.0.0.1:{port}").ask("/health")[1]["waiting"]:
        time.sleep(0.02)


@contextlib.contextmanager
def two_at_once(port: int) -> Iterator[tuple[Any, list[openai.OpenAIError]]]:
    """An answer that has begun, as a stream, and what becomes of a question that waits."""
    failed: list[openai.OpenAIError] = []

    def wait() -> None:
        with pytest.raises(openai.OpenAIError) as told:
            client_of(port).chat.completions.create(**ASKED)
        failed.append(told.value)

    stream, waiting = begun(client_of(port)), threading.Thread(target=wait)
    waiting.start()
    until_one_waits(port)
    yield stream, failed
    waiting.join()


def test_a_server_is_killed_started_again_and_stopped(tmp_path: Path) -> None:
    write_adapters(tmp_path)
    with started(tmp_path) as (process, port):
        check_floods(port)
        answer = client_of(port).chat.completions.create(**ASKED, max_tokens=9).choices[0].message
        with two_at_once(port) as (stream, failed):
            process.send_signal(signal.SIGKILL)
            with pytest.raises(openai.APIConnectionError):
                list(stream)
        assert isinstance(failed[0], openai.APIConnectionError)
        assert set(process.communicate()[1].splitlines()) <= {"WARNING:  Exceeded concurrency limit."}

    with started(tmp_path, port) as (process, again):
        assert again == port
        assert client_of(port).chat.completions.create(**ASKED, max_tokens=9).choices[0].message == answer
        with two_at_once(port) as (stream, failed):
            process.send_signal(signal.SIGTERM)
            try:
                *_, last = stream
                assert last.choices[0].finish_reason == "length"
            except openai.APIError as error:
                assert "the server stops" in str(error)
        assert failed[0].status_code == 503
        out, said = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "")
    assert said == "1 answers in flight have 4 seconds; 1 that wait are refused\nstopped\n"
