"""An instruction server of the recipe beside it, `numbers`, for tests: run as a module, or in a thread.

    python -m tests.servers.instruction_server FOLDER [total] [expire-after]

prints its address. A target has a name and a number; a text is accepted when it says both and is new.
"""

import contextlib
import json
import re
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from tests.conftest import ENVIRONMENT, ROOT
from tuneline.http_service import configure
from tuneline.ordering.server import Settings, create_app

RECIPE = Path(__file__).with_name("numbers")


def settings(state: Path, **knobs: Any) -> Settings:
    return Settings(**{"recipe": RECIPE, "state": state, "total": 40, **knobs})


def text_for(instruction: dict[str, Any]) -> str:
    """What the recipe `numbers` accepts."""
    said = dict(re.findall(r"(\w+): (.*)", instruction["target_toon"]))
    return f"Ma voisine dit que {said['nom'].strip(chr(34))} a laissé le numéro {said['numero']}."


@dataclass
class Api:
    url: str
    token: str = ""

    def ask(self, path: str, body: Any = None, method: str | None = None, **headers: str) -> tuple[int, Any, Any]:
        """(status, JSON or text, headers). `body`: bytes as they are, anything else as JSON."""
        raw = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", **headers}
        if self.token:
            sent["Authorization"] = f"Bearer {self.token}"
        request = urllib.request.Request(self.url + path, raw, sent, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                status, read, found = answer.status, answer.read(), answer.headers
        except urllib.error.HTTPError as error:
            with error:
                status, read, found = error.code, error.read(), error.headers
        is_json = found.get_content_type() == "application/json"
        return status, json.loads(read) if is_json else read.decode(), found

    def next(self, agent_id: str = "agent-01") -> dict[str, Any]:
        status, answer, _ = self.ask("/next-instruction", {"agent_id": agent_id})
        assert status == 200, answer
        return answer

    def submit(self, instruction_id: str, text: str, agent_id: str = "agent-01") -> tuple[int, dict[str, Any]]:
        body = {"instruction_id": instruction_id, "agent_id": agent_id, "case_text": text}
        return self.ask("/submit-case", body)[:2]

    def write(self, agent_id: str = "agent-01") -> str:
        """One case, from its instruction to its acceptance; the instruction's id."""
        instruction = self.next(agent_id)
        status, verdict = self.submit(instruction["instruction_id"], text_for(instruction), agent_id)
        assert (status, verdict["accepted"]) == (200, True), verdict
        return instruction["instruction_id"]


def raw(api: Api, request: bytes) -> bytes:
    """The whole answer to bytes that need be no HTTP; the server closes the connection."""
    host, port = api.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(request)
        received = b""
        while piece := connection.recv(65536):
            received += piece
    return received


@contextlib.contextmanager
def serving(wanted: Settings) -> Iterator[Api]:
    """The server on a free port, in a thread; stopped, with its exports written, when the block ends."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=256)
    server = uvicorn.Server(configure(create_app(wanted)))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield Api(f"http://127.0.0.1:{listening.getsockname()[1]}", wanted.token)
    finally:
        server.should_exit = True
        thread.join()


def start_process(folder: Path, *words: str) -> tuple[subprocess.Popen, Api]:
    """The server as a process of its own, once it listens."""
    command = [sys.executable, "-m", "tests.servers.instruction_server", str(folder), *words]
    process = subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)
    return process, Api(process.stdout.readline().strip())


def main(folder: str, total: str = "100000", expire_after: str = "1800") -> None:
    listening = socket.create_server(("127.0.0.1", 0), backlog=256)
    app = create_app(settings(Path(folder), total=int(total), expire_after=float(expire_after)))
    print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
    uvicorn.Server(configure(app)).run([listening])


if __name__ == "__main__":
    main(*sys.argv[1:])
