"""Batch APIs over HTTP on loopback: submitted once, found again after a kill, paid at half the price."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click
import pytest
from aiohttp import web

from tests.conftest import ROOT
from tests.servers import teacher_server
from tests.servers.scripted_server import Here, serve, served
from tests.teaching import PAIR, SECRET, asking, pay, settings
from tuneline.files import write_json
from tuneline.teaching.batches import batch_name
from tuneline.teaching.ledger import Spend
from tuneline.teaching.log import AnswerLog
from tuneline.teaching.options import Settings
from tuneline.teaching.request import Outcome, Request, most_tokens

both = pytest.mark.parametrize("provider", ["openai", "gemini"])


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short pauses between looks at a batch, and keys in the environment."""
    monkeypatch.setattr("tuneline.teaching.batches.POLL", 0.01)
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    monkeypatch.setenv("GEMINI_API_KEY", SECRET)


def batching(server: Here, provider: str, **knobs: Any) -> Settings:
    return asking(server, provider, **{"batch": True, **knobs})


def questions(count: int, first: int = 0) -> list[Request]:
    return [
        Request((("system", "Réponds en JSON."), ("user", f"Question {n}")), PAIR) for n in range(first, first + count)
    ]


def refused(chosen: Settings, log: Path, requests: list[Request]) -> str:
    """The one line that the run ends with."""
    with pytest.raises(click.ClickException) as error:
        pay(chosen, log, requests)
    assert "\n" not in error.value.message
    assert SECRET not in error.value.message
    return error.value.message


def records(log: Path) -> list[Path]:
    """What is kept about batches that are under way."""
    return list(log.glob("*/batches/*"))


def logged(log: Path) -> list[dict]:
    return [json.loads(line) for path in log.rglob("*.jsonl") for line in path.read_text("utf-8").splitlines()]


@both
def test_all_questions_are_one_batch_at_half_the_price(provider: str, tmp_path: Path) -> None:
    with serve() as server:
        outcomes, teacher = pay(batching(server, provider), tmp_path, questions(6))
        stats = server.stats()
    assert [outcome.reason for outcome in outcomes] == [None] * 6
    assert (stats["batches"], stats["batch_requests"], stats["requests"]) == (1, 6, 0)
    tokens = sum(record["tokens_in"] + record["tokens_out"] for record in logged(tmp_path))
    assert teacher.spent == pytest.approx(0.5 * tokens / 1e6)
    spend = Spend(teacher)
    for outcome in outcomes:
        spend.add(outcome.keys)
    assert spend.usd == pytest.approx(teacher.spent) and spend.usd > 0
    assert records(tmp_path) == []


@both
def test_a_batch_gives_what_single_calls_give(provider: str, tmp_path: Path) -> None:
    with serve() as server:
        batched, _ = pay(batching(server, provider), tmp_path / "batched", questions(5))
        single, _ = pay(batching(server, provider, batch=False), tmp_path / "single", questions(5))
    assert batched == single  # each answer stands by its own question, in whatever order the service gives them


@both
def test_what_is_logged_is_not_submitted_again(provider: str, tmp_path: Path) -> None:
    with serve() as server:
        chosen = batching(server, provider)
        outcomes, _ = pay(chosen, tmp_path, questions(3))
        assert pay(chosen, tmp_path, questions(5))[0][:3] == outcomes
        assert (server.stats()["batches"], server.stats()["batch_requests"]) == (2, 5)
    outcomes, teacher = pay(chosen, tmp_path, questions(5))  # the server is gone
    assert (len(outcomes), teacher.calls) == (5, 0)


@both
def test_equal_questions_stand_in_a_batch_once(provider: str, tmp_path: Path) -> None:
    with serve() as server:
        outcomes, _ = pay(batching(server, provider), tmp_path, questions(2) * 3)
        assert server.stats()["batch_requests"] == 2
    assert outcomes[:2] == outcomes[2:4] == outcomes[4:]


@both
@pytest.mark.parametrize(
    ("fault", "reason"), [("malformed", "invalid"), ("schema", "invalid"), ("cut", "cut"), ("empty", "empty")]
)
def test_invalid_answers_are_asked_again_in_a_second_batch_and_then_refused(
    provider: str, fault: str, reason: str, tmp_path: Path
) -> None:
    with serve(faults=1, kinds=(fault,)) as server:
        outcomes, _ = pay(batching(server, provider, attempts=2), tmp_path, questions(3))
        assert (server.stats()["batches"], server.stats()["batch_requests"]) == (2, 6)
    assert [(outcome.reason, len(outcome.keys)) for outcome in outcomes] == [(reason, 2)] * 3


@both
def test_what_is_wrong_or_missing_is_asked_again_and_nothing_else(provider: str, tmp_path: Path) -> None:
    with serve(faults=0.4, seed=4, kinds=("malformed", "500", "refusal")) as server:
        outcomes, _ = pay(batching(server, provider, attempts=9), tmp_path, questions(20))
        stats = server.stats()
    assert set(stats["faults"]) == {"malformed", "500", "refusal"}
    assert {outcome.reason for outcome in outcomes} == {None, "refusal"}
    assert stats["batch_requests"] == 20 + stats["faults"]["malformed"] + stats["faults"]["500"]
    assert stats["batches"] > 1


@both
def test_questions_that_get_no_answer_fail_the_run_and_the_next_one_submits_them_anew(
    provider: str, tmp_path: Path
) -> None:
    with serve(faults=1, kinds=("500",)) as server:
        chosen = batching(server, provider, attempts=2)
        for run in (1, 2, 3):  # no run may take the batches of the one before for its own
            assert "server error" in refused(chosen, tmp_path, questions(3))
            assert server.stats()["batches"] == 2 * run
        server.faults = 0.0
        outcomes, _ = pay(chosen, tmp_path, questions(3))
    assert [outcome.reason for outcome in outcomes] == [None] * 3


# Runs that are stopped

RUN = """
import sys
from pathlib import Path
import tuneline.teaching.batches
from tests.tuneline.teaching.test_batches import questions
from tests.teaching import pay, settings

tuneline.teaching.batches.POLL = 60.0
provider, url, log = sys.argv[1:]
pay(settings(provider=provider, base_url=url, batch=True), Path(log), questions(4))
"""


@pytest.mark.parametrize(("provider", "old"), [("openai", False), ("gemini", False), ("openai", True)])
def test_a_run_killed_while_it_waits_finds_its_batch_again(provider: str, old: bool, tmp_path: Path) -> None:
    """`old`: its record is of a version that noted no keys."""
    with serve() as server:
        chosen = batching(server, provider)
        with subprocess.Popen(
            [sys.executable, "-c", RUN, provider, chosen.base_url, str(tmp_path)], cwd=ROOT, stderr=subprocess.DEVNULL
        ) as process:
            while not any(batch["polls"] for batch in list(server.batches.values())):
                assert process.poll() is None
                time.sleep(0.02)
            os.kill(process.pid, signal.SIGKILL)
        (record,) = records(tmp_path)
        assert logged(tmp_path) == []
        assert SECRET not in record.read_text("utf-8")
        if old:
            write_json(record, {"id": json.loads(record.read_text("utf-8"))["id"], "requests": 4})
        outcomes, teacher = pay(chosen, tmp_path, questions(6))
        # The four of the first batch are collected from it, two are new.
        assert (server.stats()["batches"], server.stats()["batch_requests"]) == (2, 6)
    assert [outcome.reason for outcome in outcomes] == [None] * 6
    assert teacher.calls == 6
    assert records(tmp_path) == []


AGAIN = """
import sys
from pathlib import Path
from tests.teaching import pay, settings
from tests.tuneline.teaching.test_batches import questions
import tuneline.teaching.batches
tuneline.teaching.batches.POLL = 0.1
provider, url, log, count = sys.argv[1:]
pay(settings(provider=provider, base_url=url, batch=True), Path(log), questions(int(count)))
"""


@pytest.mark.soak
@both
def test_killed_at_any_moment_no_question_is_in_two_batches(provider: str, tmp_path: Path) -> None:
    rng = random.Random(provider)
    with serve() as server:
        chosen = batching(server, provider)
        words = [sys.executable, "-c", AGAIN, provider, chosen.base_url, str(tmp_path)]
        started = time.monotonic()
        subprocess.run([*words, "3"], cwd=ROOT, check=True)
        unit = time.monotonic() - started
        for kills in range(20):
            process = subprocess.Popen([*words, str(3 * (1 + kills))], cwd=ROOT, stderr=subprocess.DEVNULL)
            time.sleep(rng.uniform(0.4, 1.2) * unit)
            process.kill()
            process.wait()
        outcomes, _ = pay(chosen, tmp_path, questions(60))
        assert server.stats()["batch_requests"] == 60
    assert [outcome.reason for outcome in outcomes] == [None] * 60
    assert len(logged(tmp_path)) == len({one["key"] for one in logged(tmp_path)}) == 60
    assert records(tmp_path) == []


@both
def test_a_batch_that_was_submitted_but_never_noted_is_found_by_its_name(provider: str, tmp_path: Path) -> None:
    """As of a run that was killed between the two."""
    with serve() as server:
        chosen = batching(server, provider)
        outcomes, _ = pay(chosen, tmp_path / "a", questions(3))
        assert pay(chosen, tmp_path / "b", questions(3))[0] == outcomes
        assert server.stats()["batches"] == 1


def test_the_name_of_a_batch_does_not_depend_on_the_order_of_its_questions() -> None:
    assert batch_name(["a", "b"], 1) == batch_name(["b", "a"], 1)
    assert len({batch_name(["a", "b"], 1), batch_name(["a", "b"], 2), batch_name(["a"], 1)}) == 3


# Ends


class Expiring(Here):
    """Answers half of its first batch, which then expires; what it answered is paid."""

    def openai_finish(self, batch: dict) -> None:
        first = len(self.batches) == 1
        batch["lines"] = batch["lines"][: 2 if first else None]
        super().openai_finish(batch)
        if first:
            batch["shown"]["status"] = "expired"

    def gemini_finish(self, batch: dict) -> None:
        first = len(self.batches) == 1
        batch["lines"] = batch["lines"][: 2 if first else None]
        super().gemini_finish(batch)
        if first:
            batch["shown"]["metadata"]["state"] = "BATCH_STATE_EXPIRED"


@both
def test_an_expired_batch_keeps_its_answers_and_the_next_run_submits_the_others(provider: str, tmp_path: Path) -> None:
    server = Expiring()
    with served(server) as server.port:
        chosen = batching(server, provider)
        assert "expired; run it again" in refused(chosen, tmp_path, questions(5))
        assert (len(logged(tmp_path)), records(tmp_path)) == (2, [])
        outcomes, _ = pay(chosen, tmp_path, questions(5))
        assert (server.stats()["batches"], server.stats()["batch_requests"]) == (2, 5)
    assert [outcome.reason for outcome in outcomes] == [None] * 5


class Odd(Here):
    """Answers with letters that some take for the end of a line."""

    def outcome(self, protocol: Any, body: dict, model: str = "") -> tuple[int, dict]:
        status, answer = super().outcome(protocol, body, model)
        return status, json.loads(json.dumps(answer, ensure_ascii=False).replace("réponse", "a\u2028b\x85c\u2029d"))


@both
def test_odd_letters_in_a_batch_survive(provider: str, tmp_path: Path) -> None:
    server = Odd()
    with served(server) as server.port:
        outcomes, _ = pay(batching(server, provider), tmp_path, questions(2))
    assert all(outcome.value["question"].startswith("a\u2028b\x85c\u2029d ") for outcome in outcomes)


class Leaking(Here):
    """Says the key in its answers."""

    def outcome(self, protocol: Any, body: dict, model: str = "") -> tuple[int, dict]:
        status, answer = super().outcome(protocol, body, model)
        return status, json.loads(json.dumps(answer, ensure_ascii=False).replace("réponse", SECRET))


@both
def test_a_secret_in_a_batch_is_not_logged(provider: str, tmp_path: Path) -> None:
    server = Leaking()
    with served(server) as server.port:
        outcomes, _ = pay(batching(server, provider), tmp_path, questions(2))
    assert all(outcome.value["question"].startswith("[secret] ") for outcome in outcomes)
    assert all(SECRET.encode() not in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


@both
def test_a_batch_over_the_budget_is_not_submitted(provider: str, tmp_path: Path) -> None:
    with serve() as server:
        chosen = batching(server, provider, budget_usd=0.01, price=("m=100/100",))
        assert "a batch of 3 may cost $" in refused(chosen, tmp_path, questions(3))
        assert server.stats()["batches"] == 0


@both
def test_a_missing_key_is_one_clear_line(provider: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"{provider.upper()}_API_KEY"
    monkeypatch.setenv(name, "")
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)
    said = refused(settings(provider=provider, batch=True), tmp_path / "log", questions(1))
    assert said == f"{name} is not set; export it or write it to .env"


@both
def test_a_service_that_is_gone_is_one_clear_line(provider: str, tmp_path: Path) -> None:
    chosen = settings(provider=provider, base_url="http://127.0.0.1:9/v1", batch=True)
    assert "run it again to go on" in refused(chosen, tmp_path, questions(2))


class Refusing(Here):
    """Refuses every key, and says which."""

    async def listing(self, request: web.Request) -> web.Response:
        protocol = teacher_server.protocol_of(request)
        said = f"API key not valid: {teacher_server.key_of(request)}"
        return teacher_server.reply(protocol.error(401, said), 401)

    new_batch = None


@both
def test_a_refused_key_is_one_clear_line_without_the_key(provider: str, tmp_path: Path) -> None:
    server = Refusing()
    with served(server) as server.port:
        assert "API key not valid: [secret]" in refused(batching(server, provider), tmp_path, questions(2))
    assert logged(tmp_path) == []


@both
def test_single_calls_go_on_where_a_batch_stood(provider: str, tmp_path: Path) -> None:
    with serve() as server:
        pay(batching(server, provider), tmp_path, questions(3))
        pay(batching(server, provider, batch=False), tmp_path, questions(5))
        assert (server.stats()["batch_requests"], server.stats()["requests"]) == (3, 2)
    with AnswerLog(tmp_path / f"{provider}-m") as log:
        assert len(log) == 5
    assert sorted(record["discount"] for record in logged(tmp_path)) == [0.5, 0.5, 0.5, 1.0, 1.0]


@both
@pytest.mark.parametrize("noted", [True, False])
def test_single_calls_take_what_a_killed_runs_batch_has_and_pay_no_question_of_it_again(
    provider: str, noted: bool, tmp_path: Path
) -> None:
    """`noted`: was the batch's id, before the run was killed?"""
    server = Slow()
    with served(server) as server.port:
        single = batching(server, provider, batch=False)
        words = [sys.executable, "-c", SHARING, provider, single.base_url, str(tmp_path), "0", "4"]
        with subprocess.Popen(words, cwd=ROOT, stderr=subprocess.DEVNULL) as process:
            while not any(json.loads(record.read_text("utf-8"))["id"] for record in tmp_path.glob("*/batches/*.json")):
                time.sleep(0.02)
            process.kill()
        (record,) = records(tmp_path)
        told = json.loads(record.read_text("utf-8"))
        write_json(record, told | {"id": told["id"] if noted else None})
        pay(single, tmp_path, questions(2, 10))  # others are no matter of the batch's
        assert server.stats()["requests"] == 2
        said = refused(single, tmp_path, questions(5, 2))
        assert "is to answer 2 of these questions and is not done: run it with batch=true" in said
        assert f"or delete {record}" in said and (server.stats()["requests"], records(tmp_path)) == (2, [record])
        server.ready = True
        while (outcomes := pay_or_wait(single, tmp_path)) is None:
            pass
        stats = server.stats()
        assert (stats["batches"], stats["batch_requests"], stats["requests"]) == (1, 4, 2 + 3)
    assert [outcome.reason for outcome in outcomes] == [None] * 5
    assert len(logged(tmp_path)) == 4 + 2 + 3
    assert records(tmp_path) == []


def pay_or_wait(chosen: Settings, log: Path) -> list[Outcome] | None:
    """None while the batch is not done; the server's is after a few looks."""
    try:
        return pay(chosen, log, questions(5, 2))[0]
    except click.ClickException as error:
        assert "is not done" in error.message
        return None


@both
def test_single_calls_go_on_where_a_batch_failed(provider: str, tmp_path: Path) -> None:
    server = changed(openai_finish=failing, gemini_finish=failing)
    with served(server) as server.port:
        refused(batching(server, provider), tmp_path / "a", questions(3))
        (batch,) = server.batches
        record = tmp_path / "b" / f"{provider}-m" / "batches" / f"{batch_name(['ab' * 32], 1)}.json"
        write_json(record, {"id": batch, "requests": 3})  # of a version that noted no keys
        pay(batching(server, provider, batch=False), tmp_path / "b", questions(3))
        assert server.stats()["requests"] == 3
    assert records(tmp_path / "b") == []


@both
def test_single_calls_are_told_of_a_batch_that_the_service_has_lost(provider: str, tmp_path: Path) -> None:
    with serve() as server:
        chosen = batching(server, provider, batch=False)
        record = tmp_path / f"{provider}-m" / "batches" / f"{batch_name(['ab' * 32], 1)}.json"
        write_json(record, {"id": "batches/none", "requests": 3})
        assert f"delete {record}" in refused(chosen, tmp_path, questions(3))


# What a service may say


def changed(**methods: Any) -> Here:
    """A server with other methods."""
    return type("Changed", (Here,), methods)()


def saying(body: bytes, status: int = 200, times: int = 10**9, headers: dict | None = None) -> Any:
    """A method that gives a reply so many times, then what the server's own of that name gives."""

    def named(name: str) -> Any:
        async def say(self: Here, request: web.Request) -> web.Response:
            self.said = getattr(self, "said", 0) + 1
            if self.said > times:
                return await getattr(Here, name)(self, request)
            return web.Response(body=body, status=status, headers=headers, content_type="application/json")

        return say

    return named


@both
@pytest.mark.parametrize("name", ["listing", "poll"])
@pytest.mark.parametrize("body", [b"[1]", b"null", b"<html>", b'"x"', b'{"data": [5], "operations": [5]}'])
def test_an_answer_about_a_batch_in_any_form_is_a_line_at_most(
    provider: str, name: str, body: bytes, tmp_path: Path
) -> None:
    server = changed(**{name: saying(body)(name)})
    with served(server) as server.port:
        try:
            pay(batching(server, provider, attempts=2), tmp_path, questions(2))
        except click.ClickException as error:
            assert "the service's answer is none about batches; run it again" in error.message


@pytest.mark.parametrize("name", ["upload", "content", "openai_create"])
@pytest.mark.parametrize("body", [b"[1]", b"null", b"<html>", b"{}"])
def test_so_is_one_about_its_files(name: str, body: bytes, tmp_path: Path) -> None:
    server = changed(**{name: saying(body)(name)})
    with served(server) as server.port:
        refused(batching(server, "openai", attempts=2), tmp_path, questions(2))


@both
@pytest.mark.parametrize("name", ["listing", "poll"])
def test_a_batch_is_not_asked_for_where_a_redirect_leads(provider: str, name: str, tmp_path: Path) -> None:
    with serve() as other:
        server = changed(**{name: saying(b"", 307, headers={"Location": other.gemini_url})(name)})
        with served(server) as server.port:
            assert "sends the call on to 127.0.0.1" in refused(batching(server, provider), tmp_path, questions(2))
        assert other.stats()["keys_seen"] == []


@both
def test_a_look_that_fails_is_followed_by_others_and_the_last_words_are_told(provider: str, tmp_path: Path) -> None:
    said = b'{"error": {"message": "Busy today"}}'
    server = changed(poll=saying(said, 503, times=3)("poll"))
    with served(server) as server.port:
        pay(batching(server, provider, attempts=4), tmp_path, questions(2))
        assert server.stats()["batches"] == 1
    server = changed(poll=saying(said, 503)("poll"))
    with served(server) as server.port:
        line = refused(batching(server, provider, attempts=2), tmp_path / "b", questions(2))
    assert line == "batch: status 503: Busy today; run it again to go on"
    assert len(records(tmp_path / "b")) == 1


async def trickle(self: Here, request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(100):
        await response.write(b" ")
        await asyncio.sleep(0.1)
    return response


@both
def test_a_look_that_trickles_ends_with_the_time(
    provider: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tuneline.teaching.batches.TIMES", 1)
    server = changed(poll=trickle)
    with served(server) as server.port:
        line = refused(batching(server, provider, attempts=1, timeout=0.5), tmp_path, questions(2))
    assert "no whole answer in 0.5 s" in line


def never(self: Here, batch: dict) -> None:
    batch["polls"] = 0


@both
def test_a_batch_is_waited_for_with_words_and_with_an_end(
    provider: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr("tuneline.teaching.batches.FIRST_TOLD", 0.1)
    monkeypatch.setattr("tuneline.teaching.batches.LONGEST", 0.5)
    server = changed(openai_finish=never, gemini_finish=never)
    with served(server) as server.port:
        assert "is not done after" in refused(batching(server, provider), tmp_path, questions(2))
    assert " of 2, 0 min so far: waits for the service" in capsys.readouterr().err


def failing(self: Here, batch: dict) -> None:
    said = "Enqueued token limit reached"
    batch["shown"] |= {"status": "failed", "errors": {"data": [{"code": "x", "message": said}]}}
    batch["shown"] |= {"done": True, "error": {"code": 8, "message": said}}
    batch["shown"].setdefault("metadata", {})["state"] = "BATCH_STATE_FAILED"


@both
def test_why_a_batch_failed_is_told(provider: str, tmp_path: Path) -> None:
    server = changed(openai_finish=failing, gemini_finish=failing)
    with served(server) as server.port:
        line = refused(batching(server, provider), tmp_path, questions(2))
    assert "failed: Enqueued token limit reached; run it again" in line


def answering(body: Any, more: list[Any] = ()) -> Here:
    """A server whose batches have this answer to each question, and more lines."""

    def openai(self: Here, batch: dict) -> None:
        lines = [
            {"custom_id": line["custom_id"], "response": {"status_code": 200, "body": body}} for line in batch["lines"]
        ]
        text = "".join(one if isinstance(one, str) else f"{json.dumps(one)}\n" for one in (*more, *lines))
        file = self.keep(text.encode(), "out.jsonl", "batch_output")
        batch["shown"] |= {"status": "completed", "output_file_id": file["id"]}

    def gemini(self: Here, batch: dict) -> None:
        rows = [{"response": body, "metadata": line["metadata"]} for line in batch["lines"]]
        output = {"inlinedResponses": {"inlinedResponses": [*more, *rows]}}
        batch["shown"]["metadata"] |= {"state": "BATCH_STATE_SUCCEEDED", "output": output}

    return changed(openai_finish=openai, gemini_finish=gemini)


GOOD = '{"question": "Quelle heure ?", "answer": "Midi passé"}'
WHOLE = {
    "openai": {"choices": [{"message": {"content": GOOD}}]},
    "gemini": {"candidates": [{"content": {"parts": [{"text": GOOD}]}, "finishReason": "STOP"}]},
}


@both
def test_lines_of_another_form_harm_no_other_and_foreign_answers_are_not_kept(provider: str, tmp_path: Path) -> None:
    foreign = {"custom_id": "ab" * 32, "response": {"status_code": 200, "body": WHOLE["openai"]}}
    foreign |= {"metadata": {"key": "ab" * 32}} if provider == "gemini" else {}
    odd = [5, "x\n", [1], {"custom_id": 5, "metadata": {"key": "zz"}}, {"custom_id": [1], "response": "x"}, foreign]
    server = answering(WHOLE[provider], odd)
    with served(server) as server.port:
        outcomes, _ = pay(batching(server, provider), tmp_path, questions(2))
    assert [outcome.reason for outcome in outcomes] == [None, None]
    assert len(logged(tmp_path)) == 2


def test_answers_are_read_line_by_line_each_up_to_the_size_of_one(tmp_path: Path) -> None:
    many = [f"{' ' * 2**18}\n"] * 8
    with served(server := answering(WHOLE["openai"], many)) as server.port:
        pay(batching(server, "openai"), tmp_path / "a", questions(2))
    with served(server := answering(WHOLE["openai"], [f"{' ' * 2**21}\n"])) as server.port:
        line = refused(batching(server, "openai", attempts=1), tmp_path / "b", questions(2))
    assert line == "batch: the service's answer is larger than 1 MB; run it again to go on"
    assert len(records(tmp_path / "b")) == 1


@both
def test_a_batch_has_a_largest_size_in_all(provider: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"tuneline.teaching.{provider}_api.MOST_BYTES", 2**20)
    more = [f"{' ' * 2**18}\n"] * 8 if provider == "openai" else [" " * 2**21]
    with served(server := answering(WHOLE[provider], more)) as server.port:
        line = refused(batching(server, provider, attempts=1), tmp_path, questions(2))
    assert "larger than 1 MB; run it again to go on" in line


@both
def test_a_batch_of_long_answers_has_fewer(provider: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tuneline.teaching.batches.MOST_TOKENS", 3 * settings().max_tokens)
    with serve() as server:
        outcomes, _ = pay(batching(server, provider), tmp_path, questions(7))
        assert (server.stats()["batches"], server.stats()["batch_requests"]) == (3, 7)
    assert [outcome.reason for outcome in outcomes] == [None] * 7


@both
def test_an_answer_of_a_batch_is_not_free_where_no_usage_is_told(provider: str, tmp_path: Path) -> None:
    server = answering(WHOLE[provider])
    with served(server) as server.port:
        _, teacher = pay(batching(server, provider), tmp_path, questions(1))
    assert teacher.spent == pytest.approx(0.5 * (most_tokens(questions(1)[0]) // 4 + len(GOOD.encode()) // 4) / 1e6)


@both
def test_an_answer_of_a_batch_that_is_none_is_counted_in_the_budget(
    provider: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    server = answering({"odd": 1})
    with served(server) as server.port:
        refused(batching(server, provider, attempts=1), tmp_path, questions(2))
    usd = 0.5 * 2 * (most_tokens(questions(1)[0]) // 4 + settings().max_tokens) / 1e6
    assert f"2 calls gave no answer and may be billed: ${usd:.4f} by estimate" in capsys.readouterr().err


def test_answers_beyond_the_limit_are_counted_on_before_the_next_batch(tmp_path: Path) -> None:
    server = answering({"choices": [{"message": {"content": "no"}}], "usage": {"completion_tokens": 1_000_000}})
    with served(server) as server.port:
        line = refused(batching(server, "openai", budget_usd=0.9, attempts=2), tmp_path, questions(1))
        assert server.stats()["batches"] == 1
    assert "a batch of 1 may cost $0.50, of the budget of $0.9 $0.50 is spent" in line


def test_a_field_that_geminis_batches_do_not_know_is_a_line(tmp_path: Path) -> None:
    with serve() as server:
        assert "config.foo" in refused(batching(server, "gemini", body=("foo=1",)), tmp_path, questions(1))


# Two runs, other questions

SHARING = """
import sys
from pathlib import Path
from tests.teaching import pay, settings
from tests.tuneline.teaching.test_batches import questions
import tuneline.teaching.batches
tuneline.teaching.batches.POLL = 0.1
provider, url, log, first, count = sys.argv[1:]
pay(settings(provider=provider, base_url=url, batch=True), Path(log), questions(int(count), int(first)))
"""


class Slow(Here):
    """Its batches wait until it is told to finish them."""

    ready = False

    async def poll(self, request: web.Request) -> web.Response:
        for batch in self.batches.values() if not self.ready else ():
            batch["polls"] = 0
        return await super().poll(request)


@both
def test_a_killed_runs_batch_is_paid_once_by_two_runs_that_ask_a_part_of_it(provider: str, tmp_path: Path) -> None:
    """One takes it up and waits for it; the other asks for the rest of its own, and waits for the one."""
    server = Slow()
    with served(server) as server.port:
        url = batching(server, provider).base_url

        def start(first: int, count: int) -> subprocess.Popen:
            words = [sys.executable, "-c", SHARING, provider, url, str(tmp_path), str(first), str(count)]
            return subprocess.Popen(words, cwd=ROOT, stderr=subprocess.DEVNULL)

        def until(done: Any) -> None:
            while not done():
                time.sleep(0.02)

        killed = start(0, 4)
        until(lambda: any(json.loads(record.read_text("utf-8"))["id"] for record in tmp_path.glob("*/batches/*.json")))
        killed.kill()
        killed.wait()
        runs = [start(2, 4), start(3, 5)]  # 2 to 7: all but 4 to 7 are in the batch
        until(lambda: server.stats()["batches"] >= 2 or any(run.poll() is not None for run in runs))
        server.ready = True
        assert [run.wait(60) for run in runs] == [0, 0]
        assert server.stats()["batch_requests"] == 8
    assert len(logged(tmp_path)) == 8
    assert records(tmp_path) == []


@both
def test_a_batch_that_was_submitted_but_not_noted_is_found_by_a_run_with_other_questions(
    provider: str, tmp_path: Path
) -> None:
    """As of a run that was killed between the two."""
    with serve() as server:
        chosen = batching(server, provider)
        pay(chosen, tmp_path / "a", questions(3))
        keys = [record["key"] for record in logged(tmp_path / "a")]
        record = tmp_path / "b" / f"{provider}-m" / "batches" / f"{batch_name(keys, 1)}.json"
        write_json(record, {"id": None, "keys": keys})
        pay(chosen, tmp_path / "b", questions(5))
        assert (server.stats()["batches"], server.stats()["batch_requests"]) == (2, 5)
    assert records(tmp_path / "b") == []
