"""From an application to accepted samples: the server, the other ways in, the judge, the gate, the snapshot."""

import contextlib
import json
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.client import HTTPException
from pathlib import Path
from typing import Any

import click
import pytest
import uvicorn
import yaml
from click.testing import CliRunner

from tests.conftest import ENVIRONMENT, ROOT
from tests.servers import scripted_server
from tests.servers.instruction_server import Api, raw
from tests.teaching import asking
from tests.teaching import settings as teacher_settings
from tuneline.cli import main
from tuneline.feedback import NotRecorded, gate, record, record_all
from tuneline.feedback.gate_settings import read_gate_settings
from tuneline.feedback.intake import import_file
from tuneline.feedback.judging import CALLS, SPEND, Judging, judge_new, read_judging
from tuneline.feedback.server import MOST_BYTES, Settings, create_app
from tuneline.feedback.snapshot import rows, write_snapshot
from tuneline.feedback.store import (
    ACCEPTED,
    DIMENSIONS,
    FIRST_RETRY,
    KEPT,
    LONGEST_RETRY,
    NEW,
    PROMOTED,
    REJECTED,
    TASKS,
    Judgement,
    Sample,
    Store,
)
from tuneline.files import read_jsonl
from tuneline.http_service import configure

TASK = "summarization"
SOURCE = ROOT / "recipes/summaries/source"
TEXT = (
    "The footbridge over the Lenne closes on 14 March for six weeks. Inspectors found rust on four of its cables. "
    "Walkers will take the road bridge 400 metres downstream, and a free bus runs every 15 minutes at peak hours."
)
SUMMARY = "The Lenne footbridge closes for six weeks from 14 March because of rust; a free bus and a bridge serve."
RUBRICS = dict.fromkeys(TASKS, "Judge this ${task}:\n${source}\n\n${output}")


def body(number: int = 0, **other: Any) -> dict[str, Any]:
    return {"task": TASK, "input": f"{TEXT} Notice {number}.", "output": SUMMARY, **other}


def deep(levels: int) -> list[Any]:
    return json.loads("[" * levels + "]" * levels)


def sample(number: int = 0, **other: Any) -> Sample:
    return Sample(**body(number, **other))


def judgement(overall: float, **other: Any) -> Judgement:
    return Judgement({**dict.fromkeys(DIMENSIONS, 0.9), "overall": overall}, "so it is", "offline", **other)


@contextlib.contextmanager
def serving(folder: Path, token: str = "", **more: Any) -> Iterator[Api]:
    """The server on a free port, in a thread."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=256)
    app = create_app(Settings(folder / "feedback.sqlite", token, folder / "served", **more))
    server = uvicorn.Server(configure(app))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield Api(f"http://127.0.0.1:{listening.getsockname()[1]}", token)
    finally:
        server.should_exit = True
        thread.join()


def kept(folder: Path) -> list[Any]:
    with Store(folder / "feedback.sqlite") as store:
        return list(store.samples())


# ---------------------------------------------------------------- the server


def test_samples_are_kept_when_the_answer_comes(tmp_path: Path) -> None:
    with serving(tmp_path) as api:
        status, answer, _ = api.ask("/samples", body(model="m-1", meta={"language": "en", "deep": [{"a": None}]}))
        assert (status, answer["new"], answer["known"]) == (200, 1, 0)
        assert [one.model for one in kept(tmp_path)] == ["m-1"]  # by another connection, beside the server
        status, answer, _ = api.ask("/samples", [body(1), body(2), body(1)])
        assert [one["new"] for one in answer["samples"]] == [True, True, False]
        assert answer["samples"][0]["id"] == answer["samples"][2]["id"] == sample(1).key
        assert api.ask("/health")[1]["samples"][TASK] == {"new": 3, "accepted": 0, "rejected": 0}
    assert [(one.input, one.state) for one in kept(tmp_path)] == [(body(n)["input"], NEW) for n in range(3)]
    assert kept(tmp_path)[0].meta == {"language": "en", "deep": [{"a": None}]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{TEXT} Notice 0.   ", SUMMARY),
        (f"{TEXT} Notice 0.", f"{SUMMARY}\n\n"),
        (f"{TEXT} Notice 0.".upper(), SUMMARY.upper()),
        (f"{TEXT} Notice 0.".replace(" ", "\u00a0 "), SUMMARY.replace(".", " !")),
        (f"{TEXT} Notice 0.", SUMMARY.replace("six weeks", "6 weeks")),
    ],
)
def test_a_copy_of_what_is_accepted_counts_for_nothing_and_costs_nothing(text: str, said: str, tmp_path: Path) -> None:
    with Store(tmp_path / "f.sqlite") as store:
        store.add([sample(), sample(1)])
        assert store.judged(1, judgement(0.9), 0.8) == "accepted"
        store.add([replace(sample(), input=text, output=said)])
        counts = judge_new(store, offline(tmp_path))
        assert (counts.rejected, counts.accepted) in ((1, 1), (2, 0))  # of the copy and of the other text
        copy = store.samples(after=2).__next__()
        assert copy.state == "rejected"
        assert copy.reason == f"says the same as {sample().key[:12]}, which is accepted"
        assert store.accepted(TASK) <= 2


def test_another_answer_to_the_same_input_is_no_copy(tmp_path: Path) -> None:
    with Store(tmp_path / "f.sqlite") as store:
        store.add([sample(), replace(sample(), output="Rust closes the bridge over the Lenne; buses run instead.")])
        assert [store.judged(number, judgement(0.9), 0.8) for number in (1, 2)] == ["accepted", "accepted"]


def test_a_database_from_before_copies_were_told_is_brought_up(tmp_path: Path) -> None:
    from tuneline.feedback import store as module

    old = sqlite3.connect(tmp_path / "f.sqlite")
    old.executescript(module.SCHEMA)
    old.execute(
        "INSERT INTO samples (key, task, input, output, model, meta, received) VALUES ('k', ?, 'a', 'b', '', '{}', 0)",
        (TASK,),
    )
    old.commit()
    old.close()
    with Store(tmp_path / "f.sqlite") as store:
        assert store.judged(1, judgement(0.9), 0.8) == "accepted"
        store.add([sample()])
        assert [one.input for one in store.samples()] == ["a", sample().input]


def test_a_sample_sent_twice_counts_once(tmp_path: Path) -> None:
    with serving(tmp_path) as api, ThreadPoolExecutor(8) as pool:
        answers = [one[1] for one in pool.map(lambda _: api.ask("/samples", body(model="any")), range(24))]
        assert sum(answer["new"] for answer in answers) == 1
        assert sum(answer["known"] for answer in answers) == 23
        assert api.ask("/samples", body(model="another"))[1]["known"] == 1  # the same text is the same sample
        assert api.ask("/samples", body(task="question-answering"))[1]["new"] == 1
    assert [one.model for one in kept(tmp_path)] == ["any", ""]


def test_what_became_of_a_sample(tmp_path: Path) -> None:
    with serving(tmp_path) as api:
        key = api.ask("/samples", body())[1]["samples"][0]["id"]
        assert api.ask(f"/samples/{key}")[1]["state"] == NEW
        with Store(tmp_path / "feedback.sqlite") as store:
            store.judged(1, judgement(0.85), 0.8)
        status, found, _ = api.ask(f"/samples/{key}")
        assert (status, found["state"], found["scores"]["overall"], found["reason"]) == (
            200,
            ACCEPTED,
            0.85,
            "so it is",
        )
        assert api.ask(f"/samples/{'0' * 64}")[0] == 404
        assert api.ask("/samples/1")[0] == 400


def test_metrics_are_those_of_the_database(tmp_path: Path) -> None:
    with serving(tmp_path) as api:
        api.ask("/samples", [body(n) for n in range(7)])
        status, text, headers = api.ask("/metrics")
        assert (status, headers.get_content_type()) == (200, "text/plain")
        assert 'dataset_size_samples{state="new",task="summarization"} 7.0' in text


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"task": "translation"}, "'summarization', 'classification' or 'question-answering'"),
        ({"input": "  \n\t"}, "input"),
        ({"output": ""}, "output"),
        ({"output": "a\x00b"}, "output"),
        ({"input": "\ud800"}, "input"),
        ({"input": "a\ufdd0b"}, "input"),
        ({"output": "\ufdd1"}, "output"),
        ({"input": 7}, "input"),
        ({"input": "x" * 200_001}, "200000"),
        ({"output": "x" * 50_001}, "50000"),
        ({"model": "x" * 201}, "200"),
        ({"model": None}, "model"),
        ({"meta": [1]}, "meta"),
        ({"meta": {"a": "x" * 17_000}}, "16384"),
        ({"meta": {"a": float("nan")}}, "meta"),
        ({"meta": {"a": deep(600)}}, "100 deep"),
        ({"score": 1}, "score"),
    ],
)
def test_what_is_no_sample_is_refused_whole(tmp_path: Path, wrong: dict[str, Any], said: str) -> None:
    with serving(tmp_path) as api:
        for sent in (body(**wrong), [body(1), body(**wrong)]):
            status, answer, headers = api.ask("/samples", sent)
            assert (status, answer["error"], headers.get_content_type()) == (400, "invalid", "application/json")
            assert said in " ".join(answer["detail"])
        assert api.ask("/samples", [])[0] == 400
        assert api.ask("/samples", [body(n, input=f"text {n}") for n in range(1001)])[0] == 400
    assert kept(tmp_path) == []


def test_what_is_as_long_as_may_be_is_kept(tmp_path: Path) -> None:
    with serving(tmp_path) as api:
        assert api.ask("/samples", body(input="é" * 200_000, output="é" * 50_000, model="é" * 200))[0] == 200
        assert api.ask("/samples", [body(n) for n in range(1000)])[0] == 200
    assert len(kept(tmp_path)) == 1001


def hostile_bodies(rng: random.Random) -> list[bytes]:
    """Broken JSON and UTF-8, wrong shapes, deep and long, none of them a sample."""
    bodies: list[bytes] = []
    good = json.dumps(body()).encode()
    for _ in range(60):
        depth = rng.randrange(1000, 200_000)
        bodies += [
            rng.randbytes(rng.randrange(1, 300)),
            good[: rng.randrange(1, len(good) - 1)],
            rng.choice([b"[" * depth, b'{"meta":' * depth, b"[" * depth + b"]" * depth]),
            rng.choice([b"9" * 5000, b"NaN", b"1e999", b'"\xff\xfe"', b"null", b"{}", b'[{"a":1,}]', b"[[]]"]),
            json.dumps([body(), rng.choice([None, "x", [], {"task": TASK}])]).encode(),
            good.replace(b'"output"', rng.choice([b'"Output"', b'"__proto__"', b'"out\\ud800"'])),
        ]
    return bodies


def test_hostile_bodies_are_refused(tmp_path: Path) -> None:
    with serving(tmp_path) as api:
        for sent in hostile_bodies(random.Random(1)):
            status, answer, headers = api.ask("/samples", sent)
            assert (status, headers.get_content_type()) == (400, "application/json"), sent[:80]
            assert answer["detail"]
        assert api.ask("/samples", body())[0] == 200
    assert len(kept(tmp_path)) == 1


def test_bodies_are_limited_declared_or_streamed(tmp_path: Path) -> None:
    head = b"POST /samples HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nConnection: close\r\n"
    long = b'{"input": "' + b"x" * (2 * MOST_BYTES) + b'"}'
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in [b"x" * 65536] * 80) + b"0\r\n\r\n"
    with serving(tmp_path) as api:
        declared = raw(api, head + b"Content-Length: %d\r\n\r\n" % len(long) + long)
        streamed = raw(api, head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)
        for answer in (declared, streamed):
            assert answer.startswith(b"HTTP/1.1 413 ")
            assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"] == "too_large"
        big = [body(n, input=f"{n} " + "x" * 199_000) for n in range(20)]
        assert api.ask("/samples", big)[1]["new"] == 20  # what is allowed fits


def test_other_paths_and_methods_have_json_answers(tmp_path: Path) -> None:
    with serving(tmp_path) as api:
        for path, method, status, allowed in (
            ("/nothing", "GET", 404, None),
            ("/samples/../feedback.sqlite", "GET", 404, None),
            ("/samples/", "POST", 404, None),
            ("/samples", "GET", 405, "POST"),
            (f"/samples/{'0' * 64}", "DELETE", 405, "GET"),
        ):
            found, answer, headers = api.ask(path, method=method)
            assert (found, headers.get_content_type(), headers["Allow"]) == (status, "application/json", allowed)
            assert answer["error"]


def test_a_token_is_asked_for(tmp_path: Path) -> None:
    with serving(tmp_path, token="a secret") as api:
        assert api.ask("/samples", body())[0] == 200
        for token in ("", "another", "a secre"):
            stranger = Api(api.url, token)
            for path, sent in (("/samples", body(1)), (f"/samples/{sample().key}", None)):
                status, answer, headers = stranger.ask(path, sent)
                assert (status, answer["error"], headers["WWW-Authenticate"]) == (401, "unauthorized", "Bearer")
        assert {Api(api.url).ask(path)[0] for path in ("/health", "/metrics")} == {200}
    assert len(kept(tmp_path)) == 1
    done = CliRunner().invoke(main, ["feedback", "serve", "--host", "0.0.0.0"], env={"TUNELINE_TOKEN": ""})
    assert (done.exit_code, "TUNELINE_TOKEN" in done.output) == (1, True)


def test_a_database_that_cannot_be_written_is_no_loss(tmp_path: Path) -> None:
    with serving(tmp_path) as api:
        other = sqlite3.connect(tmp_path / "feedback.sqlite")
        other.execute("ALTER TABLE samples RENAME TO away")
        status, answer, headers = api.ask("/samples", body())
        assert (status, answer["error"], headers["Retry-After"]) == (503, "busy", "1")
        assert "cannot be used" in api.ask("/health")[1]["detail"][0]
        other.execute("ALTER TABLE away RENAME TO samples")
        other.close()
        assert api.ask("/samples", body())[1]["new"] == 1


def test_without_a_token_only_this_machines_names_are_answered(tmp_path: Path) -> None:
    """A page whose own name means 127.0.0.1 cannot make a browser read or send samples."""
    with serving(tmp_path) as api:
        for host in ("127.0.0.1", "localhost:8770", "LOCALHOST", "[::1]:8770"):
            assert api.ask("/metrics", Host=host)[0] == 200
        for host in ("evil.example", "evil.example:8770", "127.0.0.1.evil.example", "127.0.0.1@evil.example"):
            status, answer, headers = api.ask("/samples", body(), Host=host)
            assert (status, answer["error"], headers.get_content_type()) == (400, "invalid", "application/json")
    with serving(tmp_path, "a secret") as api:
        assert api.ask("/samples", body(), Host="feedback.example")[0] == 200
    assert len(kept(tmp_path)) == 1


# Texts as long as the schema allows take schemathesis its time: what is sent is drawn by `make soak`, at every limit,
# with a token, which adds an answer; `make test` reads.
@pytest.mark.parametrize(
    ("token", "chosen", "tested"),
    [
        ("", ["--phases", "fuzzing", "--max-examples", "10", "--include-method", "GET"], 3),
        pytest.param("a-secret", ["--phases", "coverage,fuzzing"], 4, marks=pytest.mark.soak),
    ],
)
def test_the_server_keeps_what_its_openapi_document_says(
    tmp_path: Path, token: str, chosen: list[str], tested: int
) -> None:
    """schemathesis: no 5xx, no undocumented status, content type, header or body; what the schema forbids refused."""
    expected = "[checks]\npositive_data_acceptance.expected-statuses = [200, 404]\n"
    (tmp_path / "schemathesis.toml").write_text(expected, encoding="utf-8")
    command = [str(Path(sys.executable).parent / "schemathesis"), "run", "--checks", "all", "--seed", "1"]
    command += [*chosen, "--suppress-health-check", "all"]
    command += ["--warnings", "off", *(["--header", f"Authorization: Bearer {token}"] if token else [])]
    with serving(tmp_path, token) as api:
        done = subprocess.run(
            [*command, f"{api.url}/openapi.json"], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True
        )
    assert done.returncode == 0, done.stdout[-6000:]
    assert f"Tested: {tested}" in done.stdout


# ---------------------------------------------------------------- kill -9


@pytest.mark.parametrize("kills", [pytest.param(3, id="short"), pytest.param(20, marks=pytest.mark.soak, id="soak")])
def test_killed_in_mid_intake_it_loses_nothing_it_has_said(kills: int, tmp_path: Path) -> None:
    rng = random.Random(kills)
    said: set[str] = set()  # keys that a server has said are kept
    numbers = iter(range(10**6))
    command = [sys.executable, "-m", "tuneline.feedback.commands", "serve", "--port", "0"]
    command += ["--database", str(tmp_path / "feedback.sqlite")]

    def start() -> tuple[subprocess.Popen, Api]:
        process = subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)
        return process, Api(process.stdout.readline().strip())

    def application(api: Api) -> None:
        try:
            while True:
                sent = [body(next(numbers)) for _ in range(3)]
                for one in api.ask("/samples", sent)[1]["samples"]:
                    said.add(one["id"])
        except (OSError, HTTPException):
            return  # the server was killed

    for _ in range(kills):
        process, api = start()
        threads = [threading.Thread(target=application, args=(api,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(rng.uniform(0.1, 1.0))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        for thread in threads:
            thread.join()
    process, api = start()
    last = next(numbers) - 1
    answer = api.ask("/samples", [body(n) for n in range(min(last, 900))])[1]  # sent again: none counts twice
    process.terminate()
    process.wait()
    process.stdout.close()
    keys = [one.key for one in kept(tmp_path)]
    assert len(keys) == len(set(keys))
    assert said <= set(keys)
    assert len(said) > 10 * kills
    assert answer["known"] > 0


# ---------------------------------------------------------------- the other ways in


def test_record_into_the_server_and_into_the_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TUNELINE_FEEDBACK_URL", raising=False)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "checkout"))
    assert record(**body()) is True
    assert record(**body(model="again")) is False
    with Store(tmp_path / "checkout/.tuneline/feedback/feedback.sqlite") as store:
        assert [one.meta for one in store.samples()] == [{}]
    assert record(**body(), to=tmp_path / "other.sqlite") is True
    monkeypatch.setenv("TUNELINE_TOKEN", "a secret")
    with serving(tmp_path, "a secret") as api:
        monkeypatch.setenv("TUNELINE_FEEDBACK_URL", api.url + "/")
        assert record(**body(), meta={"half": "\ud800"}) is True
        assert record(**body()) is False
        assert record_all([sample(n) for n in range(250)]) == [False] + [True] * 249  # by three requests
        monkeypatch.setenv("TUNELINE_TOKEN", "another")
        with pytest.raises(NotRecorded, match="401"):
            record(**body(300))
    with pytest.raises(NotRecorded, match="no answer"):
        record(**body(300))
    assert len(kept(tmp_path)) == 250


@pytest.mark.parametrize(
    "wrong",
    [
        {"task": "x"},
        {"input": ""},
        {"output": None},
        {"meta": {"a": {1}}},
        {"meta": []},
        {"meta": {"a": deep(600)}},
        {"model": 3},
    ],
)
def test_record_refuses_what_no_server_takes(tmp_path: Path, wrong: dict[str, Any]) -> None:
    for to in (tmp_path / "feedback.sqlite", "http://127.0.0.1:1"):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            record(**body(**wrong), to=to)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("to", ["", " ", "ftp://host/samples", "127.0.0.1:8770", "[::1]:8770", "host:8770/samples"])
def test_record_takes_no_address_for_a_file(to: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="to: "):
        record(**body(), to=to)
    if to:
        monkeypatch.setenv("TUNELINE_FEEDBACK_URL", to)
        with pytest.raises(ValueError, match="to: "):
            record(**body())
    done = CliRunner().invoke(main, ["feedback", "replay", "--count", "1", "--to", to, "--source", str(SOURCE)])
    assert (done.exit_code, "Error: to: " in done.output) == (1, True)
    assert not list(tmp_path.iterdir())


def test_a_scheme_may_be_in_capitals_and_long_samples_are_sent_apart(tmp_path: Path) -> None:
    long = [sample(n, input=f"{n}" + "\U0001f600" * 199_999, output="\U0001f600" * 50_000) for n in range(2)]
    with serving(tmp_path) as api:
        assert record_all(long, to=api.url.replace("http", "HTTP")) == [True, True]
        assert record_all([sample(n, input=f"{n}" + "é" * 20_000) for n in range(100)], to=api.url) == [True] * 100
    assert len(kept(tmp_path)) == 102


def test_the_token_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for token in ("first\nsecond", "first\r\nX: second", "first\u20acsecond"):
        monkeypatch.setenv("TUNELINE_TOKEN", token)
        with pytest.raises(NotRecorded, match="TUNELINE_TOKEN") as raised:
            record(**body(), to="http://127.0.0.1:1")
        assert "first" not in str(raised.value)
        assert "second" not in str(raised.value)


def test_record_follows_no_redirect_and_believes_no_other_server() -> None:
    """A redirect would take the token to another host."""
    moved = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    other = b"HTTP/1.1 200 OK\r\nContent-Length: 14\r\nConnection: close\r\n\r\n" + b'{"samples":[]}'
    garbage = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi"
    for reply, said in (
        (moved, "302"),
        (other, "no feedback server"),
        (garbage, "no answer"),
        (b"\x00\x01", "no answer"),
    ):
        with socket.create_server(("127.0.0.1", 0)) as listening:
            port = listening.getsockname()[1]

            def serve(listening: socket.socket = listening, reply: bytes = reply) -> None:
                connection, _ = listening.accept()
                with connection:
                    connection.sendall(reply)
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(65536):  # closed with a part unread, the reply might be lost
                        pass

            thread = threading.Thread(target=serve)
            thread.start()
            with pytest.raises(NotRecorded, match=said):
                record(**body(), to=f"http://127.0.0.1:{port}")
            thread.join()


def test_record_asks_no_proxy_for_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as proxy, serving(tmp_path, "") as api:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.getsockname()[1]}")
        monkeypatch.setenv("no_proxy", "")
        assert record(**body(), to=api.url, timeout=5)
        proxy.setblocking(False)
        with pytest.raises(BlockingIOError):
            proxy.accept()


def test_an_application_that_records_loads_little() -> None:
    code = "import sys, tuneline.feedback; print(sorted(set(sys.modules) & {'torch', 'transformers', 'fastapi', 'dvc', "
    code += "'pydantic', 'numpy', 'sqlite3', 'click'}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_a_file_is_taken_in_row_by_row(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    lines = [json.dumps(body(0)), "{broken", json.dumps(body(1, task="poetry")), "", json.dumps({"input": "a"})]
    lines += [json.dumps(body(2, meta={"topic": "é"})), json.dumps(body(0)), json.dumps(body(3, extra=1)), "[1]"]
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    with Store(tmp_path / "feedback.sqlite") as store:
        done = import_file(store, path)
        assert (done.new, done.known) == (2, 1)
        assert [line.split(": ")[0] for line in done.refused] == [f"{path}:{n}" for n in (2, 3, 5, 8, 9)]
        assert "no task, output" in done.refused[2]
        again = import_file(store, path)
        assert (again.new, again.known, again.refused) == (0, 3, done.refused)
        table = tmp_path / "samples.csv"
        table.write_text('input;output;meta\nWas ist das?;Ein Haus;"{""language"": ""de""}"\nx;y;{\n', encoding="utf-8")
        done = import_file(store, table, "question-answering", "m-2")
        assert (done.new, done.refused) == (1, [f"{table}:3: meta: not JSON"])
        last = list(store.samples())[-1]
        assert (last.task, last.model, last.meta) == ("question-answering", "m-2", {"language": "de"})
    command = ["feedback", "import", str(path), "--database", str(tmp_path / "feedback.sqlite")]
    done = CliRunner().invoke(main, command)
    assert (done.exit_code, f"{path}:2: not JSON" in done.output) == (1, True)
    assert "0 new, 3 known, 5 refused" in done.output
    assert CliRunner().invoke(main, [*command, "--most-refused", "5"]).exit_code == 0


# ---------------------------------------------------------------- the store


def test_many_processes_make_and_fill_one_database(tmp_path: Path) -> None:
    path = tmp_path / "a/b/feedback.sqlite"
    code = "import sys; from tuneline.feedback import record\n"
    code += f"for n in range(40): record('{TASK}', f'text {{n}} of {{sys.argv[1]}}', 'x', to='{path}')\n"
    code += f"for n in range(40): record('{TASK}', f'text {{n}}', 'x', to='{path}')"
    many = [subprocess.Popen([sys.executable, "-c", code, str(n)], cwd=ROOT, env=ENVIRONMENT) for n in range(4)]
    assert [process.wait() for process in many] == [0] * 4
    with Store(path) as store:
        assert store.counts(TASK) == {NEW: 200, ACCEPTED: 0, REJECTED: 0}


def test_places_are_given_in_the_order_of_acceptance_within_a_task(tmp_path: Path) -> None:
    with Store(tmp_path / "feedback.sqlite") as store:
        store.add([sample(0), sample(1), sample(2, task="classification"), sample(3)])
        scores = {3: 0.8, 2: 0.9, 1: 0.7999, 4: 1.0}
        for number, overall in scores.items():
            assert store.judged(number, judgement(overall), 0.8)
            assert not store.judged(number, judgement(1.0), 0.8, tallies=[("twice", {}, 1.0)])
        assert [(one.number, one.accepted) for one in store.accepted_samples(TASK, 9)] == [(2, 1), (4, 2)]
        assert [one.number for one in store.accepted_samples(TASK, 1)] == [2]
        assert (store.accepted(TASK), store.accepted("classification"), store.tallies("twice")) == (2, 1, [])
        assert store.counts(TASK) == {NEW: 0, ACCEPTED: 2, REJECTED: 1}
        with pytest.raises(ValueError, match="sample 2: output: it is empty"):
            store.add([sample(8), sample(9, output=" ")])
        assert store.sample(sample(8).key) is None


def test_a_failed_call_waits_longer_each_time(tmp_path: Path) -> None:
    with Store(tmp_path / "feedback.sqlite") as store:
        store.add([sample()])
        now, waits = 1000.0, []
        for _ in range(12):
            assert [one.number for one in store.to_judge(5, now)] == [1]
            store.judge_failed(1, "a reset", now, [("failed", {"b": "2", "a": "1"}, 1.0)])
            (found,) = store.samples()
            assert (found.state, found.scores, found.reason) == (NEW, None, "a reset")
            assert store.to_judge(5, found.next_try - 1) == []
            waits.append(found.next_try - now)
            now = found.next_try
        assert waits[:3] == [FIRST_RETRY, 2 * FIRST_RETRY, 4 * FIRST_RETRY]
        assert waits[-1] == LONGEST_RETRY
        assert store.waiting(now - 1) == (1, 1.0)
        assert store.waiting(now - 2 * LONGEST_RETRY) == (0, 0.0)  # the clock has gone back: it waits for no year
        assert [one.number for one in store.to_judge(5, now - 2 * LONGEST_RETRY)] == [1]
        assert store.tallies("failed") == [({"a": "1", "b": "2"}, 12.0)]


def test_one_run_a_watermark_whoever_opens_it(tmp_path: Path) -> None:
    path = tmp_path / "feedback.sqlite"
    with Store(path) as store:
        store.add(sample(n) for n in range(7))
        for number in range(1, 6):
            store.judged(number, judgement(0.9), 0.8)
        assert store.open_run(TASK, "abc", 6) is None

        def opened(_: int) -> Any:
            with Store(path) as own:
                return own.open_run(TASK, "abc", 5)

        with ThreadPoolExecutor(8) as pool:
            runs = [run for run in pool.map(opened, range(8)) if run]
        assert [(run.number, run.after, run.upto) for run in runs] == [(1, 0, 5)]
        store.judged(6, judgement(0.9), 0.8)  # while it runs; of the next one
        assert store.fail_run(1, "no GPU", 2, 3.0, 0.5).state == "open"
        assert store.fail_run(1, "no GPU", 2, 3.0, 0.5).seconds == 6.0
        assert (store.current_run(TASK), store.watermark(TASK), store.last_run(TASK).state) == (None, 0, "failed")
        run = store.open_run(TASK, "def", 5)
        assert (run.after, run.upto) == (0, 6)
        assert store.finish_run(run.number, PROMOTED, "v0.1.0", "def1", "better", {"rouge_l": 0.4}, 9.0, 0.0)
        assert not store.finish_run(run.number, KEPT, None, "def1", "worse", {}, 9.0, 0.0)
        assert (store.watermark(TASK), store.last_run(TASK).figures) == (6, {"rouge_l": 0.4})
        assert store.open_run(TASK, "def", 1) is None
        store.judged(7, judgement(0.9), 0.8)
        run = store.open_run(TASK, "def", 1)
        assert (run.after, run.upto, [one.state for one in store.runs()]) == (6, 7, ["failed", PROMOTED, "open"])


# ---------------------------------------------------------------- the judge


SAID = dict.fromkeys(DIMENSIONS, 0.9) | {"reason": "it says what matters"}


RECIPE = ROOT / "recipes/summaries"  # whose judge answers without a key


def offline(folder: Path, recipe: Path = RECIPE, **knobs: Any) -> Judging:
    return Judging(teacher_settings(provider="offline"), folder / "answers", recipe, RUBRICS, 0.8, **knobs)


def online(server: Any, folder: Path, **knobs: Any) -> Judging:
    return Judging(asking(server, "openai", **{"attempts": 1, **knobs}), folder / "answers", RECIPE, RUBRICS, 0.8)


def judged_by(recipe: Path, lines: str) -> Path:
    """A recipe whose judge runs these lines and then is content."""
    recipe.mkdir()
    body = textwrap.indent(textwrap.dedent(lines).strip(), "    ")
    (recipe / "offline.py").write_text(f"def answer(facts):\n{body}\n    return {SAID!r}\n", encoding="utf-8")
    return recipe


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret-0123456789")


def test_the_offline_judge_tells_good_from_bad(tmp_path: Path) -> None:
    with Store(tmp_path / "feedback.sqlite") as store:
        store.add([sample(0), sample(1, output="Eleven ravens waited for a piece of cheese in the Dornach aviary.")])
        counts = judge_new(store, offline(tmp_path))
        assert (counts.accepted, counts.rejected, counts.failed) == (1, 1, 0)
        good, bad = store.samples()
        assert (good.state, good.accepted, bad.state, bad.accepted) == (ACCEPTED, 1, REJECTED, None)
        assert set(good.scores) == set(DIMENSIONS)
        assert all(0 <= score <= 1 for one in (good, bad) for score in one.scores.values())
        assert (good.judge, good.parts, bool(bad.reason)) == ("offline", 1, True)
        assert store.tallies(CALLS) == [({"outcome": "answered", "task": TASK}, 2.0)]
        assert judge_new(store, offline(tmp_path)).accepted == 0


def test_a_long_source_is_judged_in_parts(tmp_path: Path) -> None:
    with Store(tmp_path / "feedback.sqlite") as store:
        store.add([sample(0)])
        judge_new(store, offline(tmp_path, window=120))
        (found,) = store.samples()
        assert found.parts >= 2
        assert "parts" in found.reason
        assert store.tallies(CALLS)[0][1] == found.parts


def test_a_judge_that_breaks_at_one_sample_judges_the_others(tmp_path: Path) -> None:
    breaking = f"""
        if facts["source"] == {body(1)["input"]!r}:
            raise OverflowError("cannot convert float infinity to integer")
    """
    recipe = judged_by(tmp_path / "breaking", breaking)
    with Store(tmp_path / "feedback.sqlite") as store:
        store.add(sample(n) for n in range(3))
        counts = judge_new(store, offline(tmp_path, recipe))
        assert (counts.accepted, counts.failed) == (2, 1)
        found = list(store.samples())[1]
        assert (found.state, found.attempts, "OverflowError" in found.reason) == (NEW, 1, True)
        count, seconds = store.waiting()
        assert (count, FIRST_RETRY - 10 < seconds <= FIRST_RETRY) == (1, True)
    done = CliRunner().invoke(main, ["feedback", "judge", "--database", str(tmp_path / "feedback.sqlite")])
    assert "0 failed; 1 wait, the next in 1 min" in done.output


def test_what_comes_while_it_judges_is_left_for_the_next_time(tmp_path: Path) -> None:
    path = tmp_path / "feedback.sqlite"
    coming = f"""
        from pathlib import Path
        from tuneline.feedback.store import Sample, Store
        with Store(Path({str(path)!r})) as store:
            store.add([Sample("{TASK}", "what comes after " + facts["source"], "an output")])
    """
    recipe = judged_by(tmp_path / "busy", coming)
    with Store(path) as store:
        store.add([sample(-1)])
        assert judge_new(store, offline(tmp_path, recipe)).accepted == 1
        assert store.counts(TASK)[NEW] == 1


def test_one_request_that_is_refused_fails_alone(tmp_path: Path) -> None:
    replies = [(400, {}, "{}"), (400, {}, "{}"), json.dumps(SAID)]  # the first is asked with the others, then alone
    with scripted_server.scripted(*replies) as server, Store(tmp_path / "feedback.sqlite") as store:
        store.add(sample(n) for n in range(3))
        counts = judge_new(store, online(server, tmp_path, concurrency=1))
        assert (counts.accepted, counts.failed, counts.stopped) == (2, 1, False)
        assert [one.attempts for one in store.samples()] == [1, 0, 0]


def test_without_a_key_no_sample_is_put_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    with Store(tmp_path / "feedback.sqlite") as store:
        store.add(sample(n) for n in range(3))
        counts = judge_new(store, Judging(teacher_settings(), tmp_path / "answers", RECIPE, RUBRICS, 0.8))
        assert (counts.failed, counts.stopped, "OPENAI_API_KEY" in counts.why) == (3, True, True)
        assert {(one.attempts, one.next_try) for one in store.samples()} == {(0, 0.0)}


def test_failed_calls_are_made_again_later_and_are_no_scores(tmp_path: Path) -> None:
    now = [1000.0]
    replies = [(500, {}, "{}"), "no JSON", json.dumps({**SAID, "overall": 0.4}), json.dumps(SAID)]
    with scripted_server.scripted(*replies) as server, Store(tmp_path / "feedback.sqlite") as store:
        store.add([sample(0)])
        judging = online(server, tmp_path)
        for why, outcomes in (("500", {"failed": 1}), ("invalid", {"failed": 1, "answered": 1, "unusable": 1})):
            counts = judge_new(store, judging, lambda: now[0])
            assert (counts.failed, counts.accepted, why in counts.why) == (1, 0, True), counts
            (found,) = store.samples()
            assert (found.state, found.scores, found.next_try > now[0]) == (NEW, None, True)
            assert {labels["outcome"]: value for labels, value in store.tallies(CALLS)} == outcomes
            assert judge_new(store, judging, lambda: now[0]).failed == 0  # not due yet
            now[0] = found.next_try
        store.add([sample(1)])
        counts = judge_new(store, judging, lambda: now[0])
        assert (counts.accepted, counts.rejected) == (1, 1)
        assert len(server.prompts) == 4
        assert store.tallies(SPEND)[0][1] > 0
        assert sum(value for _, value in store.tallies("judge_latency_seconds_bucket")) == 3
    assert b"sk-very-secret" not in (tmp_path / "feedback.sqlite").read_bytes()


def test_a_judge_that_refuses_all_is_asked_once_a_batch(tmp_path: Path) -> None:
    with scripted_server.scripted((401, {}, "{}")) as server, Store(tmp_path / "feedback.sqlite") as store:
        store.add(sample(n) for n in range(250))
        counts = judge_new(store, online(server, tmp_path, concurrency=1))
        assert (counts.failed, counts.accepted) == (100, 0)  # the other 150 are not tried in vain
        assert len(server.prompts) == 1
        assert {(one.state, one.attempts) for one in store.samples()} == {(NEW, 0)}


def test_the_budget_is_that_of_all_rounds(tmp_path: Path) -> None:
    with scripted_server.scripted(json.dumps(SAID)) as server, Store(tmp_path / "feedback.sqlite") as store:
        judging = online(server, tmp_path, concurrency=1, budget_usd=0.003)
        for number in range(40):
            store.add([sample(number)])
            counts = judge_new(store, judging)
        judged = store.counts(TASK)[ACCEPTED]
        assert 0 < judged == len(server.prompts) < 40
        assert judging.spent <= 0.003
        assert (counts.stopped, "budget" in counts.why, store.waiting()) == (True, True, (0, 0.0))


def test_a_judgement_paid_before_a_kill_is_not_paid_again(tmp_path: Path) -> None:
    with scripted_server.scripted(json.dumps(SAID)) as server:
        for name in ("first", "second"):  # the database of a judge that was killed before it wrote; the log outlives it
            with Store(tmp_path / f"{name}.sqlite") as store:
                store.add(sample(n) for n in range(5))
                assert judge_new(store, online(server, tmp_path)).accepted == 5
                assert len(server.prompts) == 5
                assert len(store.tallies(CALLS)) == (1 if name == "first" else 0)


JUDGE = """
import sys, time
from pathlib import Path
from tests.teaching import settings
from tuneline.feedback.judging import Judging, judge_new
from tuneline.feedback.store import TASKS, Store
folder, url = Path(sys.argv[1]), sys.argv[2]
asked = settings(base_url=url, concurrency=2) if url else settings(provider="offline")
rubrics = dict.fromkeys(TASKS, "Judge ${source} ${output}")
judging = Judging(asked, folder / "answers", Path("recipes/summaries"), rubrics, 0.8)
print("ready", flush=True)
with Store(folder / "feedback.sqlite") as store:
    while store.counts("summarization")["new"]:
        judge_new(store, judging)
        time.sleep(0.01)
"""


def start_judge(folder: Path, url: str = "") -> subprocess.Popen:
    command = [sys.executable, "-c", JUDGE, str(folder), url]
    process = subprocess.Popen(command, cwd=ROOT, env={**ENVIRONMENT, "OPENAI_API_KEY": "x"}, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    return process


def test_judges_at_once_judge_each_sample_once(tmp_path: Path) -> None:
    with scripted_server.scripted(json.dumps(SAID)) as server, Store(tmp_path / "feedback.sqlite") as store:
        store.add(sample(n) for n in range(150))
        judges = [start_judge(tmp_path, server.openai_url) for _ in range(2)]
        for judge in judges:
            assert judge.wait() == 0
            judge.stdout.close()
        assert len(server.prompts) == len(set(server.prompts)) == 150
        assert [one.accepted for one in store.accepted_samples(TASK, 999)] == list(range(1, 151))
        assert store.tallies(CALLS) == [({"outcome": "answered", "task": TASK}, 150.0)]


def test_a_killed_judge_leaves_nothing_half_judged(tmp_path: Path) -> None:
    rng = random.Random(0)
    with Store(tmp_path / "feedback.sqlite") as store:
        store.add(sample(n) for n in range(600))
        for _ in range(3):
            judge = start_judge(tmp_path)
            time.sleep(rng.uniform(0.05, 0.4))
            judge.kill()
            judge.wait()
            judge.stdout.close()
            done = list(store.accepted_samples(TASK, 999))
            assert [one.accepted for one in done] == list(range(1, len(done) + 1))
        judge_new(store, offline(tmp_path))
        assert store.counts(TASK) == {NEW: 0, ACCEPTED: 600, REJECTED: 0}
        assert [one.number for one in store.accepted_samples(TASK, 600)] == list(range(1, 601))
        assert store.tallies(CALLS)[0][1] == 600


def test_intake_goes_on_while_a_judge_works(tmp_path: Path) -> None:
    with serving(tmp_path) as api:
        api.ask("/samples", [body(n) for n in range(300)])
        judge = start_judge(tmp_path)
        for start in range(1000, 1200, 10):
            assert api.ask("/samples", [body(n) for n in range(start, start + 10)])[1]["new"] == 10
        assert judge.wait() == 0
        judge.stdout.close()
    assert len(kept(tmp_path)) == 500


def test_the_judge_of_the_checkout() -> None:
    judging = read_judging(ROOT)
    assert (judging.settings.provider, judging.min_score, set(judging.rubrics)) == ("offline", 0.8, set(TASKS))
    assert judging.recipe == RECIPE  # that of the adapter that the gate names
    assert all("${source}" in rubric and "${output}" in rubric for rubric in judging.rubrics.values())


# ---------------------------------------------------------------- the gate and the snapshot


def test_the_gate_against_what_is_known(tmp_path: Path) -> None:
    path = tmp_path / "feedback.sqlite"
    kinds = ["good"] * 5 + ["other"] * 3 + ["invented"] * 2
    with Store(path) as store:
        languages = ["en", "fr"] * 5
        store.add(
            sample(n, meta={"truth": kind, "language": language})
            for n, (kind, language) in enumerate(zip(kinds, languages, strict=True))
        )
        store.add([sample(99), sample(100, meta={"truth": "good"})])
        for number in range(1, 12):
            store.judged(number, judgement(0.9 if number in (1, 2, 3, 4, 6) else 0.2), 0.8)
        measured = gate.measure(store)
    assert (measured["samples"], measured["waiting"]) == (10, 1)
    assert measured["precision"] | {"low": 0, "high": 0} == {"value": 0.8, "low": 0, "high": 0, "hits": 4, "of": 5}
    assert (measured["recall"]["hits"], measured["recall"]["of"]) == (4, 5)
    assert (measured["by_language"]["en"]["recall"]["value"], measured["by_language"]["fr"]["samples"]) == (0.6667, 5)
    assert list(measured["accepted_by_kind"]) == ["good", "invented", "other"]
    assert measured["accepted_by_kind"]["other"]["value"] == 0.3333
    # Wilson's interval of 4 of 5, and of 0 of 10, by the formula's closed form
    assert gate.wilson(4, 5) == pytest.approx((0.3755, 0.9638), abs=1e-4)
    assert gate.wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    command = ["feedback", "gate", "--database", str(path), "--out", str(tmp_path / "gate.json")]
    done = CliRunner().invoke(main, [*command, "--json"])
    assert json.loads(done.output) == measured == json.loads((tmp_path / "gate.json").read_text("utf-8"))
    assert "0.800 [0.376, 0.964] 4/5" in CliRunner().invoke(main, command).output
    done = CliRunner().invoke(main, [*command, "--task", "classification"])
    assert (done.exit_code, "meta.truth" in done.output) == (1, True)


def test_what_applications_say_is_no_markup(tmp_path: Path) -> None:
    path = tmp_path / "feedback.sqlite"
    with Store(path) as store:
        store.add([sample(0, meta={"truth": "[/bold]", "language": "[red]\x1b\ud800"})])
        store.judged(1, judgement(0.9), 0.8)
        assert "language" not in next(rows(store, TASK, 1))
    command = ["feedback", "gate", "--database", str(path), "--out", str(tmp_path / "gate.json")]
    done = CliRunner().invoke(main, command)
    assert (done.exit_code, "[/bold]" in done.output, "[red]" in done.output) == (0, True, True)


@pytest.mark.parametrize("command", ["status", "gate", "judge", "replay", "snapshot", "import", "serve"])
def test_what_is_no_database_is_one_line(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    path = tmp_path / "feedback.sqlite"
    path.write_bytes(b"no database, but long enough to be looked at. " * 100)
    row = tmp_path / "row.json"
    row.write_text(json.dumps([body()]), encoding="utf-8")
    more = {"snapshot": ["--out", str(tmp_path / "out.jsonl")], "import": [str(row)], "serve": ["--port", "0"]}
    done = CliRunner().invoke(main, ["feedback", command, *more.get(command, []), "--database", str(path)])
    assert (done.exit_code, done.output) == (1, f"Error: {path}: file is not a database\n")


def test_the_snapshot_is_the_accepted_samples_in_one_order(tmp_path: Path) -> None:
    written = []
    for name, now in (("a", 1.0), ("b", 2e9)):
        with Store(tmp_path / name / "feedback.sqlite") as store:
            store.add((sample(n, model="m", meta={"language": "en", "topic": "x", "n": n}) for n in range(4)), now)
            for number in (3, 1, 4):
                store.judged(number, judgement(0.9), 0.8, now)
            store.judged(2, judgement(0.1), 0.8, now)
            out = tmp_path / name / "samples.jsonl"
            assert write_snapshot(store, TASK, out) == 3
            written.append(out.read_bytes())
            assert write_snapshot(store, TASK, out, 2) == 2
            written.append(out.read_bytes())
            for upto, task in ((4, TASK), (None, "classification")):
                with pytest.raises(click.ClickException, match="are accepted"):
                    write_snapshot(store, task, out, upto)
    assert written[:2] == written[2:]
    assert written[0].startswith(written[1])
    rows = read_jsonl(out)
    assert [row["input"] for row in rows] == [body(2)["input"], body(0)["input"]]
    wanted = {"id": sample(2).key[:16], "output": SUMMARY, "language": "en", "topic": "x", "model": "m", "score": 0.9}
    assert rows[0] == {**wanted, "input": body(2)["input"]}
    command = ["feedback", "snapshot", "--out", str(out), "--database"]
    done = CliRunner().invoke(main, [*command, str(tmp_path / "a/feedback.sqlite")])
    assert (done.exit_code, out.read_bytes()) == (0, written[0])
    done = CliRunner().invoke(main, [*command, str(tmp_path / "none.sqlite")])
    assert (done.exit_code, "is not there" in done.output, (tmp_path / "none.sqlite").exists()) == (1, True, False)


def test_status_says_how_far_it_is(tmp_path: Path) -> None:
    path = tmp_path / "feedback.sqlite"
    with Store(path) as store:
        store.add(sample(n) for n in range(3))
        store.judged(1, judgement(0.9), 0.8)
        store.open_run(TASK, "abc", 1)
    done = CliRunner().invoke(main, ["feedback", "status", "--database", str(path)])
    said = "summarization: 2 to judge, 1 accepted, 0 rejected; 1 since the last version; run 1 open"
    assert done.output.splitlines()[0] == said
    found = json.loads(CliRunner().invoke(main, ["feedback", "status", "--json", "--database", str(path)]).output)
    assert found[TASK]["last_run"]["number"] == 1


def test_gate_settings_say_what_is_wrong(tmp_path: Path) -> None:
    params = tmp_path / "params.yaml"
    whole = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))["gate"]
    params.write_text(yaml.safe_dump({"gate": whole | {"adapters": {"classification": "topics"}}}), encoding="utf-8")
    found = read_gate_settings(tmp_path)
    assert found.adapter("classification") == "topics"
    with pytest.raises(click.ClickException, match="names no adapter for summarization"):
        found.adapter(TASK)
    for text, said in (
        ("gate: {min-scores: 0.7}", "min-scores.*the keys are min-score"),
        ("gate: {min-score: 0.8}", "min-new-samples: Field required"),
        ("gate: {min-score: 7}", "min-score"),
        ("gate: {adapters: {poetry: p}}", "poetry"),
        ("other: 1", "no section gate"),
        ("gate: [", "params.yaml"),
    ):
        params.write_text(text, encoding="utf-8")
        with pytest.raises(click.ClickException, match=said):
            read_gate_settings(tmp_path)
    assert read_gate_settings(ROOT).min_new_samples == 100
