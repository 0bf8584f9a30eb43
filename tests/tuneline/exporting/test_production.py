"""The servers of docs/export.md that install here, each in a process of its own: they serve our exports, and answer as
the adapter does. llama.cpp's is asked by the tests of the GGUF file."""

import json
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import ENVIRONMENT, ROOT
from tests.small_adapter import SYSTEM, write_small_adapter, write_test_rows
from tests.tuneline.exporting.test_export import run
from tuneline.answering.predictor import Predictor, open_adapter
from tuneline.files import read_jsonl
from tuneline.models.base import read_base
from tuneline.rendering.preamble import Preamble

PREFIX = "Say:"
MOST = 24  # tokens
SERVERS = {
    "mlx": "mlx_lm.server --model {out}/base --adapter-path {out} --port {port}",
    "merged": "transformers serve {out} --port {port}",
}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter `dock` of models/tiny with a system prompt and a prefix, and its test rows."""
    root = tmp_path_factory.mktemp("production")
    write_small_adapter(root / "adapters/dock", ROOT / "models/tiny", prefix=PREFIX, size=0.02)
    write_test_rows(root / "data/dock/split/test.jsonl", 2)
    return root


@pytest.fixture(scope="module")
def questions(checkout: Path) -> list[str]:
    return [row["messages"][0]["content"] for row in read_jsonl(checkout / "data/dock/split/test.jsonl")]


@pytest.fixture(scope="module")
def wanted(checkout: Path, questions: list[str]) -> list[str]:
    """What predict says, which the base does not."""
    asked = [[{"role": "user", "content": question}] for question in questions]
    found = open_adapter(checkout / "adapters/dock", False).answer(asked, 2, MOST, "")
    base = Predictor("cuda", read_base(ROOT / "models/tiny"), "none", "float32", Preamble(SYSTEM, PREFIX))
    assert all(mine != plain for mine, plain in zip(found, base.answer(asked, 2, MOST, ""), strict=True))
    return found


@contextmanager
def started(command: str, url: str, folder: Path) -> Iterator[None]:
    environment = {**ENVIRONMENT, "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hub")}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command.split(), cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        while not answers(url):
            assert process.poll() is None, (folder / "log").read_text("utf-8")
            time.sleep(0.1)
        yield
    finally:
        process.kill()
        process.wait()


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=60):
            return True
    except OSError:
        return False


def ask(url: str, question: str) -> str:
    """Under the system prompt and the prefix, which the card says that a client has to send."""
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": f"{PREFIX}\n\n{question}"}]
    body = json.dumps({"messages": messages, "max_tokens": MOST, "temperature": 0}).encode()
    request = urllib.request.Request(f"{url}/v1/chat/completions", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.load(answer)["choices"][0]["message"]["content"]


@pytest.mark.parametrize("form", SERVERS)
def test_a_server_for_production_answers_as_predict_does(
    form: str, checkout: Path, questions: list[str], wanted: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(checkout)
    run("dock", "--to", form, "--out", tmp_path / "out", "--rows", 0)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with started(SERVERS[form].format(out="out", port=port), url, tmp_path):
        assert [ask(url, question) for question in questions] == wanted


def test_the_docs_show_what_is_run_here() -> None:
    shown = (ROOT / "docs/export.md").read_text("utf-8")
    for command in SERVERS.values():
        assert command.partition(" {out}")[0].partition(" --port")[0] in shown
