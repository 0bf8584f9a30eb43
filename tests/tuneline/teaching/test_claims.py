"""Two processes on one log: each question is paid once, and what a dead one had asked is taken up."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

from tests.conftest import ROOT
from tests.servers.scripted_server import serve
from tests.teaching import PAIR, SECRET, pay, settings
from tuneline.teaching.log import Answer, AnswerLog, Claims
from tuneline.teaching.request import Request

ASK = """
import json, sys
from pathlib import Path
from tests.teaching import PAIR, pay, settings
from tuneline.teaching.request import Request
knobs, folder, first, last = json.loads(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
requests = [Request((("user", f"Question {n}"),), PAIR) for n in range(first, last)]
outcomes, teacher = pay(settings(**knobs), folder, requests)
print(teacher.calls, sum(outcome.reason is None for outcome in outcomes))
"""
KEY = "0123456789abcdef" * 4


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def start(knobs: dict, folder: Path, first: int, last: int) -> subprocess.Popen:
    words = [sys.executable, "-c", ASK, json.dumps(knobs), folder, str(first), str(last)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_two_processes_pay_each_question_once(tmp_path: Path) -> None:
    with serve(delay=0.05) as server:
        knobs = {"base_url": server.openai_url, "concurrency": 4}
        running = [start(knobs, tmp_path, 0, 60), start(knobs, tmp_path, 20, 80), start(knobs, tmp_path, 0, 80)]
        said = [process.communicate()[0].split() for process in running]
        assert server.stats()["requests"] == 80
    assert [process.returncode for process in running] == [0, 0, 0]
    assert [good for _, good in said] == ["60", "60", "80"]
    assert sum(int(calls) for calls, _ in said) == 80


def test_what_a_killed_process_had_asked_is_asked_by_the_one_that_waits(tmp_path: Path) -> None:
    with serve(faults=1.0, kinds=("timeout",)) as server:
        first = start({"base_url": server.openai_url, "timeout": 600}, tmp_path, 0, 4)
        while server.stats()["requests"] < 4:
            time.sleep(0.02)
        with serve() as other:
            second = start({"base_url": other.openai_url}, tmp_path, 0, 4)
            while not (tmp_path / "openai-m/claims.lock").exists():
                time.sleep(0.02)
            first.kill()
            first.communicate()
            assert second.communicate()[0].split() == ["4", "4"]


def test_a_process_that_is_stopped_is_told_and_waited_for_with_an_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    for name, seconds in (("OTHERS", 0.05), ("NOTICED", 0.2), ("LONGEST_OTHERS", 1.0)):
        monkeypatch.setattr(f"tuneline.teaching.teacher.{name}", seconds)
    with serve(faults=1.0, kinds=("timeout",)) as server, serve() as other:
        first = start({"base_url": server.openai_url, "timeout": 600}, tmp_path, 0, 4)
        try:
            while server.stats()["requests"] < 4:
                time.sleep(0.02)
            first.send_signal(signal.SIGSTOP)
            requests = [Request((("user", f"Question {n}"),), PAIR) for n in range(2, 6)]
            with pytest.raises(click.ClickException, match=r"another process, which asks the same .*: end it"):
                pay(settings(base_url=other.openai_url), tmp_path, requests)
            assert other.stats()["requests"] == 2
        finally:
            first.kill()
            first.communicate()
        assert "waits 0 s: another process, which asks the same" in capsys.readouterr().err
        pay(settings(base_url=other.openai_url), tmp_path, requests)
        assert other.stats()["requests"] == 4


def test_a_claim_is_between_processes_and_ends_with_them(tmp_path: Path) -> None:
    claims = Claims(tmp_path)
    other = f"from tuneline.teaching.log import Claims; from pathlib import Path; c = Claims(Path({str(tmp_path)!r}))"
    asked = [sys.executable, "-c", f"{other}; print(c.take({KEY!r}), c.take('f' * 64))"]

    def hear() -> str:
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()

    assert claims.take(KEY)
    assert hear() == "False True"
    claims.free(KEY)
    assert hear() == "True True"
    claims.close()
    assert (tmp_path / "claims.lock").read_bytes() == b""


def test_a_log_takes_up_what_others_add(tmp_path: Path) -> None:
    answer = Answer("{}", "stop", 1, 1, 0.0, "m")
    with AnswerLog(tmp_path) as one, AnswerLog(tmp_path) as two:
        for number in range(6):
            (one, two)[number % 2].add(f"{number:064x}", answer)
        assert (len(one), len(two)) == (3, 3)
        one.refresh()
        two.refresh()
        assert (len(one), len(two)) == (6, 6)
        assert [one.get(f"{number:064x}") for number in range(6)] == [answer] * 6
        with next(path for path in tmp_path.glob("*.jsonl") if path != one.own_path).open("ab") as torn:
            torn.write(b'{"key": "' + b"9" * 30)
        one.refresh()
        assert len(one) == 6
