"""Asking a service over HTTP on loopback: what is paid, what is asked again, and how it ends."""

import asyncio
import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest

from tests.conftest import ROOT
from tests.servers.scripted_server import Here, scripted, serve
from tests.servers.teacher_server import BAD_ANSWER
from tests.teaching import PAIR, SECRET, asking, pay, settings
from tuneline.teaching.ledger import Ledger, Spend
from tuneline.teaching.log import AnswerLog
from tuneline.teaching.options import Settings
from tuneline.teaching.request import Request, Unanswered
from tuneline.teaching.retry import LONGEST_BACKOFF, pause
from tuneline.teaching.teacher import Teacher, open_provider

ANY = {"type": "object"}
GOOD = '{"question": "Quelle heure ?", "answer": "Midi passé"}'
SHORT = "Il manque la réponse, puisque ceci n'est pas du JSON"

both = pytest.mark.parametrize("provider", ["openai", "gemini"])


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short pauses between calls, and keys in the environment."""
    monkeypatch.setattr("tuneline.teaching.retry.BACKOFF", 0.01)
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    monkeypatch.setenv("GEMINI_API_KEY", SECRET)


@pytest.fixture(scope="module")
def calm_server() -> Iterator[Here]:
    with serve() as server:
        yield server


@pytest.fixture
def calm(calm_server: Here) -> Here:
    """A server without faults whose counts start at zero."""
    calm_server.forget()
    return calm_server


def questions(count: int, schema: Any = PAIR, text: str = "Question") -> list[Request]:
    return [Request((("system", "Réponds en JSON."), ("user", f"{text} {n}")), schema) for n in range(count)]


def refused(chosen: Settings, log: Path, requests: list[Request]) -> str:
    """The one line that the run ends with."""
    with pytest.raises(click.ClickException) as error:
        pay(chosen, log, requests)
    assert "\n" not in error.value.message
    return error.value.message


def logged(log: Path) -> list[dict]:
    return [json.loads(line) for path in log.rglob("*.jsonl") for line in path.read_text("utf-8").splitlines()]


# What is paid


@both
def test_each_question_is_paid_once_and_read_from_the_log(provider: str, calm: Here, tmp_path: Path) -> None:
    requests = questions(10)
    outcomes, teacher = pay(asking(calm, provider), tmp_path, requests)
    assert [outcome.reason for outcome in outcomes] == [None] * 10
    assert len({outcome.value["question"] for outcome in outcomes}) == 10
    assert (calm.stats()["requests"], teacher.calls) == (10, 10)
    assert calm.stats()["keys_seen"] == [SECRET]
    again, teacher = pay(asking(calm, provider), tmp_path, requests)
    assert again == outcomes
    assert (calm.stats()["requests"], teacher.calls, teacher.spent) == (10, 0, 0.0)


@both
def test_what_is_logged_needs_no_server_and_no_key(
    provider: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with scripted(GOOD) as server:
        chosen = asking(server, provider)
        outcomes, _ = pay(chosen, tmp_path, questions(2))
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.delenv("GEMINI_API_KEY")
    before = sorted(tmp_path.rglob("*"))
    assert pay(chosen, tmp_path, questions(2))[0] == outcomes
    assert sorted(tmp_path.rglob("*")) == before


@both
def test_equal_questions_are_one_call_and_numbered_ones_are_not(provider: str, calm: Here, tmp_path: Path) -> None:
    (one,) = questions(1)
    outcomes, _ = pay(asking(calm, provider), tmp_path, [one, one, replace(one, number=1), one])
    assert calm.stats()["requests"] == 2
    assert [len(outcome.keys) for outcome in outcomes] == [1] * 4
    assert outcomes[0].keys == outcomes[1].keys == outcomes[3].keys != outcomes[2].keys


def test_the_key_depends_on_what_determines_the_answer_and_on_nothing_else(tmp_path: Path) -> None:
    (request,) = questions(1)

    def key(of: Request = request, **knobs: Any) -> str:
        key, _ = Ledger(settings(**{"price": ("m=1/1", "n=1/1"), **knobs}), tmp_path).follow(of)
        return key

    other = [
        key(provider="gemini"),
        key(model="n"),
        key(temperature=0.5),
        key(max_tokens=255),
        key(replace(request, messages=(*request.messages[:1], ("user", "other")))),
        key(replace(request, messages=(("user", "Réponds en JSON."), *request.messages[1:]))),
        key(replace(request, schema=ANY)),
        key(replace(request, number=1)),
    ]
    assert len({key(), *other}) == len(other) + 1
    same = {
        "concurrency": 1,
        "budget_usd": 0.0,
        "attempts": 1,
        "timeout": 1.0,
        "base_url": "http://127.0.0.1:9/v1",
        "batch": True,
        "requests_per_minute": 3,
        "tokens_per_minute": 3,
        "price": ("m=2/2",),
    }
    assert {key(**{name: value}) for name, value in same.items()} == {key()}
    assert key(replace(request, facts={"only": "offline"})) == key()


def test_a_torn_answer_is_asked_again_and_no_other(calm: Here, tmp_path: Path) -> None:
    outcomes, _ = pay(asking(calm, "openai", concurrency=1), tmp_path, questions(4))
    (segment,) = tmp_path.rglob("*.jsonl")
    segment.write_bytes(segment.read_bytes()[:-7])
    calm.forget()
    assert pay(asking(calm, "openai"), tmp_path, questions(4))[0] == outcomes
    assert calm.stats()["requests"] == 1


@both
@pytest.mark.parametrize("concurrency", [1, 3])
def test_so_many_calls_are_in_flight_and_no_more(provider: str, concurrency: int, tmp_path: Path) -> None:
    with serve(delay=0.03) as server:
        pay(asking(server, provider, concurrency=concurrency), tmp_path, questions(12))
        assert server.stats()["most_in_flight"] == concurrency


@both
def test_the_service_is_asked_for_what_the_settings_say(provider: str, tmp_path: Path) -> None:
    with scripted(GOOD) as server:
        outcomes, teacher = pay(asking(server, provider), tmp_path, questions(1))
        assert (outcomes[0].text, server.prompts) == (GOOD, ["Question 0"])
    (record,) = logged(tmp_path)
    assert (record["finish"], record["model"], record["discount"]) == ("stop", "m", 1.0)
    assert teacher.spent == pytest.approx((record["tokens_in"] + record["tokens_out"]) / 1e6)
    spend = Spend(teacher)
    spend.add(outcomes[0].keys)
    assert spend.usd == pytest.approx(teacher.spent)


# Faults


@both
def test_calls_that_fail_are_made_again(provider: str, tmp_path: Path) -> None:
    with serve(faults=0.5, kinds=("429", "429-after", "500", "reset", "nonsense"), seed=3) as server:
        outcomes, teacher = pay(asking(server, provider, attempts=20), tmp_path, questions(30))
        stats = server.stats()
    assert [outcome.reason for outcome in outcomes] == [None] * 30
    assert [len(outcome.keys) for outcome in outcomes] == [1] * 30  # no bad answer was logged
    assert set(stats["faults"]) == {"429", "429-after", "500", "reset", "nonsense"}
    assert stats["requests"] == 30 + sum(stats["faults"].values())
    assert teacher.calls == len(logged(tmp_path)) == 30


@both
def test_a_call_without_an_answer_in_time_is_made_again(provider: str, tmp_path: Path) -> None:
    with serve(faults=0.5, kinds=("timeout",), seed=1) as server:
        outcomes, _ = pay(asking(server, provider, attempts=9, timeout=0.25), tmp_path, questions(4))
        assert server.stats()["faults"]["timeout"] > 0
    assert [outcome.reason for outcome in outcomes] == [None] * 4


@both
@pytest.mark.parametrize(
    ("fault", "reason"),
    [("malformed", "invalid"), ("schema", "invalid"), ("cut", "cut"), ("empty", "empty"), ("refusal", "refusal")],
)
def test_an_answer_that_stays_bad_is_refused_with_its_reason(
    provider: str, fault: str, reason: str, tmp_path: Path
) -> None:
    with serve(faults=1, kinds=(fault,)) as server:
        outcomes, _ = pay(asking(server, provider, attempts=2), tmp_path, questions(2))
        asked = 1 if fault == "refusal" else 2  # who declines is not asked again
        assert server.stats()["requests"] == 2 * asked
        for outcome in outcomes:
            assert (outcome.reason, outcome.value, len(outcome.keys)) == (reason, None, asked)
            assert outcome.detail
        assert pay(asking(server, provider, attempts=2), tmp_path, questions(2))[0] == outcomes
        assert server.stats()["requests"] == 2 * asked


@both
def test_bad_answers_among_good_ones_end_valid_or_refused(provider: str, tmp_path: Path) -> None:
    with serve(faults=0.4, kinds=BAD_ANSWER, seed=2) as server:
        outcomes, _ = pay(asking(server, provider, attempts=9), tmp_path, questions(25))
        assert set(server.stats()["faults"]) == set(BAD_ANSWER)
    assert {outcome.reason for outcome in outcomes} == {None, "refusal"}
    for outcome in outcomes:
        assert (outcome.value is None) == (outcome.reason == "refusal")


@both
def test_the_answer_that_comes_out_does_not_depend_on_the_order_of_calls(provider: str, tmp_path: Path) -> None:
    with serve(faults=0.4, seed=5, kinds=("429", "500", *BAD_ANSWER)) as server:
        first, _ = pay(asking(server, provider, attempts=9, concurrency=1), tmp_path / "a", questions(20))
        server.forget()
        second, _ = pay(asking(server, provider, attempts=9, concurrency=10), tmp_path / "b", questions(20)[::-1])
    assert [(one.reason, one.keys[0]) for one in first] == [(one.reason, one.keys[0]) for one in second[::-1]]


@both
def test_an_invalid_answer_is_asked_again_with_what_was_wrong(provider: str, tmp_path: Path) -> None:
    wrong = '{"question": "Bien le bonjour"}'
    with scripted(SHORT, wrong, GOOD) as server:
        (outcome,), teacher = pay(asking(server, provider), tmp_path, questions(1))
        first, second, third = server.prompts
    assert (outcome.value, len(outcome.keys), teacher.calls) == (json.loads(GOOD), 3, 3)
    assert SHORT not in first
    assert first in second and SHORT in second and "it is not JSON" in second
    assert wrong in third and "'answer' is a required property" in third


@both
def test_a_service_that_is_gone_keeps_what_was_paid_and_the_next_run_goes_on(
    provider: str, calm: Here, tmp_path: Path
) -> None:
    outcomes, _ = pay(asking(calm, provider), tmp_path, questions(2))
    gone = "http://127.0.0.1:9/v1"
    said = refused(settings(provider=provider, base_url=gone, attempts=2), tmp_path, questions(5))
    assert "3 calls failed 2 times" in said and "run it again to go on" in said
    calm.forget()
    assert pay(asking(calm, provider), tmp_path, questions(5))[0][:2] == outcomes
    assert calm.stats()["requests"] == 3


@both
def test_calls_that_fail_for_good_fail_the_run_after_all_others_are_paid(provider: str, tmp_path: Path) -> None:
    with serve(faults=0.5, kinds=("500",), seed=1) as server:
        chosen = asking(server, provider, attempts=1)
        assert "(status 500: server error)" in refused(chosen, tmp_path, questions(10))
        kept, stats = len(logged(tmp_path)), server.stats()
        assert kept == stats["answered"] == 10 - stats["faults"]["500"] > 0
        assert all(one.reason is None for one in pay(replace(chosen, attempts=20), tmp_path, questions(10))[0])
    assert len(logged(tmp_path)) == 10


@both
def test_the_same_teacher_can_go_on_after_a_failure(provider: str, tmp_path: Path) -> None:
    fails = (500, {}, "{}")
    with scripted(fails, GOOD) as server, Teacher(asking(server, provider, attempts=1), tmp_path) as teacher:
        with pytest.raises(click.ClickException):
            teacher.pay(questions(1), "test")
        teacher.pay(questions(1), "test")
        assert teacher.outcome(questions(1)[0]).reason is None


@both
def test_a_pause_that_the_service_asks_for_is_read_from_its_answer(provider: str, tmp_path: Path) -> None:
    error = {"error": {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED"}}
    long_ago = "Wed, 21 Oct 2015 07:28:00 GMT"
    asked = [{"Retry-After": "7"}, {"Retry-After": long_ago}, {}]
    with scripted(*((429, headers, json.dumps(error)) for headers in asked)) as server:

        async def pauses() -> list[float | None]:
            opened = open_provider(asking(server, provider), SECRET)
            found = []
            for _ in asked:
                with pytest.raises(Unanswered) as error:
                    await opened.answer(questions(1)[0])
                found.append(error.value.after)
            await opened.close()
            return found

        assert asyncio.run(pauses()) == [7.0, 0.0, None]


def test_gemini_asks_for_a_pause_in_the_body_too(tmp_path: Path) -> None:
    details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "3.5s"}]
    error = {"error": {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED", "details": details}}
    with scripted((429, {}, json.dumps(error))) as server:

        async def run() -> float | None:
            opened = open_provider(asking(server, "gemini"), SECRET)
            with pytest.raises(Unanswered) as error:
                await opened.answer(questions(1)[0])
            await opened.close()
            return error.value.after

        assert asyncio.run(run()) == 3.5


def test_a_pause_is_never_shorter_than_asked_for_and_grows_up_to_a_bound() -> None:
    rng = random.Random(0)
    assert all(pause(attempt, 7.0, rng) >= 7.0 for attempt in range(1, 50))
    assert all(0.0 <= pause(attempt, None, rng) <= LONGEST_BACKOFF for attempt in range(1, 50))
    assert max(pause(1, None, rng) for _ in range(50)) < max(pause(9, None, rng) for _ in range(50))


# What no attempt helps


@both
@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_request_that_is_not_accepted_ends_the_run_at_once(
    provider: str, status: int, calm: Here, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = f"status-{status}"
    chosen = asking(calm, provider, model=model, price=(f"{model}=1/1",), concurrency=2)
    said = refused(chosen, tmp_path, questions(50))
    assert f"the service says {status}: " in said
    assert "[secret]" in said and SECRET not in said  # the server says it
    assert 1 <= calm.stats()["requests"] <= 2
    assert SECRET not in capfd.readouterr().err
    assert logged(tmp_path) == []


@both
def test_a_secret_in_an_answer_is_not_logged(provider: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    leak = json.dumps({"question": f"What is {SECRET}?", "answer": SECRET})
    with scripted(f"not JSON {SECRET}", leak) as server:
        (outcome,), _ = pay(asking(server, provider), tmp_path, questions(1))
    assert outcome.value["answer"] == "[secret]"
    assert all(SECRET.encode() not in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert len(logged(tmp_path)) == 2
    out = capfd.readouterr()
    assert SECRET not in out.err + out.out


@both
def test_a_missing_key_is_one_clear_line(provider: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"{provider.upper()}_API_KEY"
    monkeypatch.setenv(name, "")
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)
    said = refused(settings(provider=provider), tmp_path / "log", questions(3))
    assert said == f"{name} is not set; export it or write it to .env"


@both
def test_the_key_is_read_from_the_env_file_too(
    provider: str, calm: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"{provider.upper()}_API_KEY"
    monkeypatch.delenv(name)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    (tmp_path / ".env").write_text(f"{name}=from-the-file\n", encoding="utf-8")
    pay(asking(calm, provider), tmp_path / "log", questions(1))
    assert calm.stats()["keys_seen"] == ["from-the-file"]


@both
def test_a_key_with_a_newline_at_its_end_works(
    provider: str, calm: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{provider.upper()}_API_KEY", f"{SECRET}\n")
    pay(asking(calm, provider), tmp_path, questions(1))
    assert calm.stats()["keys_seen"] == [SECRET]


def test_a_used_up_quota_is_not_waited_for(tmp_path: Path) -> None:
    said = json.dumps({"error": {"message": "no money left", "code": "insufficient_quota"}})
    with scripted((429, {}, said)) as server:
        assert "no money left" in refused(asking(server, "openai"), tmp_path, questions(1))
        assert len(server.prompts) == 1


@both
def test_a_log_folder_that_takes_no_file_ends_the_run_before_anything_is_paid(
    provider: str, calm: Here, tmp_path: Path
) -> None:
    (tmp_path / f"{provider}-m").write_text("a file, not a folder", encoding="utf-8")
    assert f"{provider}-m" in refused(asking(calm, provider), tmp_path, questions(3))
    assert calm.stats()["requests"] == 0


def test_a_model_without_a_price_is_refused_before_anything_is_asked(calm: Here, tmp_path: Path) -> None:
    said = refused(asking(calm, "openai", price=("other=1/1",)), tmp_path, questions(1))
    assert "no price for m (known: other)" in said
    assert calm.stats()["requests"] == 0


# The budget


@both
def test_the_budget_is_never_passed_and_runs_of_it_come_to_an_end(provider: str, calm: Here, tmp_path: Path) -> None:
    requests = questions(12)
    price = ("m=100/200",)
    chosen = asking(calm, provider, budget_usd=0.12, price=price, concurrency=5)
    ends: list[str] = []
    kept = 0
    for _ in range(12):
        try:
            pay(chosen, tmp_path, requests)
        except click.ClickException as error:
            ends.append(error.message)
            records = logged(tmp_path)
            paid = sum(100 * r["tokens_in"] + 200 * r["tokens_out"] for r in records) / 1e6
            assert len(records) > kept
            assert paid <= 0.12 * len(ends)
            kept = len(records)
            continue
        break
    else:
        pytest.fail("it never ended")
    assert ends and all("the budget of $0.12 is spent" in end for end in ends)
    assert (len(logged(tmp_path)), calm.stats()["requests"]) == (12, 12)


@both
def test_one_run_spends_no_more_than_its_budget(provider: str, calm: Here, tmp_path: Path) -> None:
    chosen = asking(calm, provider, budget_usd=0.2, price=("m=100/200",), concurrency=20)
    refused(chosen, tmp_path, questions(60))
    records = logged(tmp_path)
    assert 0 < sum(100 * r["tokens_in"] + 200 * r["tokens_out"] for r in records) / 1e6 <= 0.2
    assert calm.stats()["requests"] == len(records)  # what was asked was paid, and is kept


@both
def test_a_budget_below_one_call_asks_nothing_unless_the_model_is_free(
    provider: str, calm: Here, tmp_path: Path
) -> None:
    assert "the budget of $0 is spent" in refused(asking(calm, provider, budget_usd=0.0), tmp_path, questions(3))
    assert calm.stats()["requests"] == 0
    pay(asking(calm, provider, budget_usd=0.0, price=("m=0/0",)), tmp_path, questions(3))
    assert calm.stats()["requests"] == 3


# What an answer may be


@both
@pytest.mark.parametrize(
    ("schema", "text", "value"),
    [
        ({"type": ["null", "object"]}, "null", None),
        ({"type": "array", "items": {"type": "integer"}}, "[1, 2]", [1, 2]),
        ({"type": "string"}, '"\\ud83d\\ude00 é \\u2028 \\u0000"', "😀 é \u2028 \x00"),
        ({"type": "string"}, '"\\ud800"', "\ud800"),
        ({"type": "string"}, '"caf\u00e9 \u202e \ufeff \U0001f469\u200d\U0001f52c"', "café \u202e \ufeff 👩\u200d🔬"),
    ],
    ids=["null", "array", "escapes", "half a pair", "odd letters"],
)
def test_answers_of_any_kind_survive(provider: str, schema: Any, text: str, value: Any, tmp_path: Path) -> None:
    with scripted(text) as server:
        chosen = asking(server, provider)
        (outcome,), _ = pay(chosen, tmp_path, questions(1, schema))
        assert len(server.prompts) == 1
    assert (outcome.value, outcome.reason, outcome.text) == (value, None, text)
    assert pay(chosen, tmp_path, questions(1, schema))[0] == [outcome]


NESTED = {"$ref": "#/$defs/n", "$defs": {"n": {"type": "array", "items": {"$ref": "#/$defs/n"}}}}


@both
@pytest.mark.parametrize(
    ("schema", "text"),
    [
        (PAIR, "null"),
        (PAIR, "[]"),
        (PAIR, "[" * 100_000),
        (PAIR, "[" * 400 + "]" * 400),
        (NESTED, "[" * 900 + "]" * 900),
        ({"type": "number"}, "NaN"),
        ({"type": "array"}, "[-Infinity]"),
        ({"type": "number"}, "1e999"),
        ({"type": "number"}, "9" * 5000),
        (PAIR, json.dumps({"question": "Quoi donc ?", "answer": "Voilà tout", "\ud800": 1})),
        (PAIR, "\ud800 is not JSON"),
    ],
    ids=[
        "null", "array", "deep", "deep and whole", "deep and recursive", "nan", "infinity",
        "too large", "many digits", "half a pair in a name", "half a pair",
    ],
)  # fmt: skip
def test_answers_that_are_no_use_are_asked_again_and_refused(
    provider: str, schema: Any, text: str, tmp_path: Path
) -> None:
    with scripted(text) as server:
        (outcome,), _ = pay(asking(server, provider, attempts=2), tmp_path, questions(1, schema))
        assert (outcome.reason, outcome.value, len(outcome.keys)) == ("invalid", None, 2)
        assert len(server.prompts) == 2


@both
@pytest.mark.parametrize("text", ["Dis \ud800 ceci", "\x00\x1f", "😀\u2028", "</s>${x}{{y}}"])
def test_questions_with_odd_letters_are_asked(provider: str, text: str, tmp_path: Path) -> None:
    with scripted(GOOD) as server:
        (outcome,), _ = pay(asking(server, provider), tmp_path, questions(1, text=text))
        assert len(server.prompts) == 1
    assert outcome.reason is None


@both
@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"{}", b'"text"', b'{"choices": []}', b"\xff\xfe", b'{"candidates": []}',
     b'{"choices": [{"message": {"content": ["a"]}}], "candidates": "x"}',
     b'{"choices": [{"message": null}], "candidates": [{"content": {"parts": [{"text": 5}]}}]}',
     b"[" * 100_000],
    ids=range(11),
)  # fmt: skip
def test_a_body_that_is_no_answer_is_asked_for_again(provider: str, body: bytes, tmp_path: Path) -> None:
    with scripted(body, GOOD) as server:
        (outcome,), _ = pay(asking(server, provider), tmp_path, questions(1))
        assert len(server.prompts) == 2
    assert (outcome.reason, len(outcome.keys)) == (None, 1)


# Runs that are stopped

RUN = """
import sys
from pathlib import Path
from tests.tuneline.teaching.test_teacher import questions
from tests.teaching import pay, settings

provider, url, log = sys.argv[1:]
pay(settings(provider=provider, base_url=url, concurrency=2), Path(log), questions(40))
"""


@pytest.mark.parametrize(("provider", "how"), [("openai", signal.SIGKILL), ("gemini", signal.SIGINT)])
def test_a_run_that_is_stopped_goes_on_where_it_stood(provider: str, how: signal.Signals, tmp_path: Path) -> None:
    with serve(delay=0.2) as server:  # four seconds: the signal comes in time on a busy machine too
        chosen = asking(server, provider)
        with subprocess.Popen(
            [sys.executable, "-c", RUN, provider, chosen.base_url, str(tmp_path)], cwd=ROOT, stderr=subprocess.PIPE
        ) as process:
            while server.stats()["answered"] < 6:
                assert process.poll() is None
                time.sleep(0.02)
            process.send_signal(how)
            err = process.communicate()[1]
        assert process.returncode != 0
        assert SECRET.encode() not in err
        kept = {record["key"] for record in logged(tmp_path)}
        assert 4 <= len(kept) < 40
        assert how == signal.SIGKILL or len(kept) == server.stats()["requests"]  # it waits for what it has asked
        outcomes, teacher = pay(chosen, tmp_path, questions(40))
        assert teacher.calls == 40 - len(kept)
    assert all(outcome.reason is None for outcome in outcomes)
    with AnswerLog(tmp_path / f"{provider}-m") as log:
        assert len(log) == 40


def test_two_runs_at_once_share_a_log(tmp_path: Path) -> None:
    with serve(delay=0.01) as server:
        chosen = asking(server, "openai")
        command = [sys.executable, "-c", RUN, "openai", chosen.base_url, str(tmp_path)]
        runs = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) for _ in range(2)]
        assert [run.wait() for run in runs] == [0, 0]
        asked = server.stats()["requests"]
        outcomes, _ = pay(chosen, tmp_path, questions(40))
        assert server.stats()["requests"] == asked
    assert all(outcome.reason is None for outcome in outcomes)
    for segment in tmp_path.rglob("*.jsonl"):
        keys = [json.loads(line)["key"] for line in segment.read_text("utf-8").splitlines()]
        assert len(set(keys)) == len(keys)
