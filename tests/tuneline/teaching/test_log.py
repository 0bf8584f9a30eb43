"""The log of answers: what survives a kill, a second writer and a damaged file."""

import json
import math
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tuneline.teaching.log import Answer, AnswerLog, log_folders, unite

WRITER = """
import sys
from pathlib import Path
from tests.tuneline.teaching.test_log import answer, key
from tuneline.teaching.log import AnswerLog

log = AnswerLog(Path(sys.argv[1]))
for n in range(10**9):
    log.add(key(n), answer(n))
    if n == 50:
        print("under way", flush=True)
"""


def key(name: object) -> str:
    return sha256(str(name).encode()).hexdigest()


def answer(said: object) -> Answer:
    return Answer(str(said), "stop", 10, 5, 0.1, "m")


def write(folder: Path, names: range) -> None:
    with AnswerLog(folder) as log:
        for name in names:
            log.add(key(name), answer(name))


def write_together(folder: Path, names: range, both_open: Any) -> None:
    with AnswerLog(folder) as log:
        both_open.wait(30)
        for name in names:
            log.add(key(name), answer(name))


def segment_keys(folder: Path) -> list[list[str]]:
    return [
        [json.loads(line)["key"] for line in path.read_text("utf-8").splitlines()] for path in folder.glob("*.jsonl")
    ]


def test_what_is_added_is_found_at_once_and_after_opening_it_again(tmp_path: Path) -> None:
    with AnswerLog(tmp_path / "log") as log:
        log.add(key(1), answer("a"))
        assert log.get(key(1)) == answer("a")
    with AnswerLog(tmp_path / "log") as log:
        assert (log.get(key(1)), log.get(key(2))) == (answer("a"), None)


def test_a_key_keeps_its_first_answer(tmp_path: Path) -> None:
    with AnswerLog(tmp_path) as log:
        log.add(key(1), answer("first"))
        log.add(key(1), answer("second"))
        assert log.get(key(1)) == answer("first")
    assert segment_keys(tmp_path) == [[key(1)]]


@pytest.mark.parametrize("missing", [1, 2, 40])
def test_a_torn_last_line_is_dropped_and_the_others_stay(tmp_path: Path, missing: int) -> None:
    write(tmp_path, range(3))
    (segment,) = tmp_path.glob("*.jsonl")
    os.truncate(segment, segment.stat().st_size - missing)
    with AnswerLog(tmp_path) as log:
        assert [key(n) in log for n in range(3)] == [True, True, False]
        log.add(key(2), answer("anew"))
    with AnswerLog(tmp_path) as log:
        assert [log.get(key(n)).text for n in range(3)] == ["0", "1", "anew"]


WRONG = {
    "text": (None, 5, ["a"], {"a": 1}), "finish": (None, 1), "model": (None, 1), "key": (None, 5, "ab", "zz", ["ab"]),
    "tokens_in": (None, "5", 1.5, -1, True, [1]), "tokens_out": ("", 1.0, -5), "seconds": ("1", None, -1.0, math.nan),
    "discount": ("half", math.inf, False),
}  # fmt: skip


def test_a_line_of_wrong_types_is_passed_over_and_its_place_told(tmp_path: Path) -> None:
    """Somebody has written by hand, also while the log is open. The answer is asked for again, and paid as it is."""
    write(tmp_path, range(2))
    (segment,) = tmp_path.glob("*.jsonl")
    whole = {"key": key("half"), **asdict(answer("half"))}
    wrong = [{**whole, name: value} for name, values in WRONG.items() for value in values]
    wrong += [{field: value for field, value in whole.items() if field != name} for name in whole]
    first, second = segment.read_bytes().splitlines(keepends=True)
    lines = [(json.dumps(record) + "\n").encode() for record in wrong]
    segment.write_bytes(first + b"".join(lines[1:]) + second)
    with AnswerLog(tmp_path) as log:
        assert log.passed_over == [f"{segment}, line {number}" for number in range(2, len(lines) + 1)]
        assert [log.get(key(n)) for n in range(2)] == [answer(0), answer(1)]
        assert key("half") not in log and len(log) == 2
        with segment.open("ab") as more:
            more.write(lines[0])
        log.refresh()
        assert log.passed_over[-1] == f"{segment}, line {len(lines) + 2}"


@pytest.mark.parametrize(
    "garbage",
    [
        b"garbage\n",
        b"\n",
        b"\xff\xfe\x00\n",
        b"[1]\n",
        b"null\n",
        b'{"key": 5}\n',
        b'{"key": "zz"}\n',
        b'{"text": "no key"}\n',
        b"[" * 5000 + b"\n",
        b'{"key": "' + key("half").encode() + b'"}\n',
        b'{"key":"' + key("half").encode() + b'","te' + b'{"key":"x"}\n',
    ],
)
def test_a_line_of_garbage_in_the_middle_harms_no_other(tmp_path: Path, garbage: bytes) -> None:
    write(tmp_path, range(2))
    (segment,) = tmp_path.glob("*.jsonl")
    first, second = segment.read_bytes().splitlines(keepends=True)
    segment.write_bytes(first + garbage + second)
    with AnswerLog(tmp_path) as log:
        assert [log.get(key(n)) for n in range(2)] == [answer(0), answer(1)]
        assert log.get(key("half")) is None
        assert len(log) == len(list(log.lines())) == 2


def test_an_empty_segment_and_an_absent_folder_are_logs_without_answers(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").touch()
    with AnswerLog(tmp_path) as log:
        assert len(log) == 0
    with AnswerLog(tmp_path / "absent") as log:
        assert len(log) == 0
    assert not (tmp_path / "absent").exists()


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb", "\u2028\u2029\x85\x0b\x0c", "\x00\r\n\t", "é😀ﷺ\u202e", '"\\'])
def test_odd_unicode_comes_back_as_it_was(tmp_path: Path, text: str) -> None:
    with AnswerLog(tmp_path) as log:
        log.add(key(1), answer(text))
        log.add(key(2), answer("after it"))
    with AnswerLog(tmp_path) as log:
        assert (log.get(key(1)).text, log.get(key(2)).text) == (text, "after it")


def test_two_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    both_open = context.Barrier(2)
    writers = [
        context.Process(target=write_together, args=(tmp_path, names, both_open))
        for names in (range(0, 300), range(200, 500))  # a third of the keys is written by both
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(30)
    assert [writer.exitcode for writer in writers] == [0, 0]
    with AnswerLog(tmp_path) as log:
        assert [log.get(key(n)).text for n in range(500)] == [str(n) for n in range(500)]
    for keys in segment_keys(tmp_path):
        assert len(set(keys)) == len(keys) == 300


def test_a_killed_writer_loses_at_most_its_last_line(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout.readline() == "under way\n"
        os.kill(writer.pid, signal.SIGKILL)
    (segment,) = tmp_path.glob("*.jsonl")
    lines = segment.read_bytes().count(b"\n")
    with AnswerLog(tmp_path) as log:
        assert len(log) == lines > 50
        assert all(log.get(key(n)) == answer(n) for n in range(lines))


def test_a_disk_that_is_full_in_the_middle_of_a_line_takes_no_other_line(tmp_path: Path) -> None:
    """As of two calls in flight, of which the second finds room again."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with AnswerLog(tmp_path) as log:
        log.add(key(1), answer("a"))
        resource.setrlimit(resource.RLIMIT_FSIZE, (log.size + 50, limits[1]))
        try:
            with pytest.raises(OSError, match="No space left"):
                log.add(key(2), answer("b" * 100))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            signal.signal(signal.SIGXFSZ, ignored)
        log.add(key(3), answer("c"))
        assert [log.get(key(n)) for n in (1, 2, 3)] == [answer("a"), None, answer("c")]
    with AnswerLog(tmp_path) as log:
        assert (len(log), log.passed_over, log.get(key(3))) == (2, [], answer("c"))


def test_a_log_that_was_closed_can_be_added_to_again(tmp_path: Path) -> None:
    log = AnswerLog(tmp_path)
    for n in range(3):
        log.add(key(n), answer(n))
        log.close()
    log.close()
    assert [log.get(key(n)).text for n in range(3)] == ["0", "1", "2"]


def test_a_segment_that_got_no_answer_goes(tmp_path: Path) -> None:
    with AnswerLog(tmp_path) as log:
        log.start()
    assert list(tmp_path.iterdir()) == []


# Several logs


def test_unite_gives_the_same_bytes_however_the_answers_lie(tmp_path: Path) -> None:
    write(tmp_path / "a", range(0, 20))
    write(tmp_path / "b", range(10, 30))
    write(tmp_path / "all", range(29, -1, -1))
    sources = [tmp_path / "a", tmp_path / "b"]
    counts = [
        unite(chosen, tmp_path / f"{number}.jsonl")
        for number, chosen in enumerate([sources, sources[::-1], [tmp_path / "all"], [*sources, tmp_path / "all"]])
    ]
    assert counts == [30] * 4
    assert len({(tmp_path / f"{number}.jsonl").read_bytes() for number in range(4)}) == 1


def test_unite_onto_one_of_its_sources_changes_nothing_the_second_time(tmp_path: Path) -> None:
    write(tmp_path, range(5))
    out = tmp_path / "united.jsonl"
    assert unite([tmp_path], out) == 5
    once = out.read_bytes()
    assert unite([tmp_path], out) == 5
    assert out.read_bytes() == once


def test_unite_leaves_out_what_is_torn(tmp_path: Path) -> None:
    write(tmp_path / "a", range(3))
    (segment,) = (tmp_path / "a").glob("*.jsonl")
    segment.write_bytes(b"garbage\n" + segment.read_bytes()[:-1])
    assert unite([tmp_path / "a", tmp_path / "absent"], tmp_path / "out" / "one.jsonl") == 2
    with AnswerLog(tmp_path / "out") as log:
        assert [key(n) in log for n in range(3)] == [True, True, False]


def test_unite_of_two_answers_to_a_key_takes_that_of_the_first_source(tmp_path: Path) -> None:
    for name in ("a", "b"):
        with AnswerLog(tmp_path / name) as log:
            log.add(key(1), answer(name))
    for names in ("ab", "ba"):
        unite([tmp_path / name for name in names], tmp_path / names / "one.jsonl")
        with AnswerLog(tmp_path / names) as log:
            assert log.get(key(1)).text == names[0]


def test_add_all_takes_only_what_is_not_there(tmp_path: Path) -> None:
    write(tmp_path / "a", range(0, 3))
    write(tmp_path / "b", range(2, 5))
    with AnswerLog(tmp_path / "a") as log, AnswerLog(tmp_path / "b") as other:
        log.add_all(other)
    with AnswerLog(tmp_path / "a") as log:
        assert [log.get(key(n)).text for n in range(5)] == list("01234")
    assert sorted(len(keys) for keys in segment_keys(tmp_path / "a")) == [2, 3]


def test_log_folders_are_those_of_all_places(tmp_path: Path) -> None:
    write(tmp_path / "x" / "openai-m", range(1))
    write(tmp_path / "y" / "gemini-m", range(1))
    write(tmp_path / "y" / "openai-m", range(1))
    (tmp_path / "x" / "file").touch()
    assert log_folders(tmp_path / "x", tmp_path / "y", tmp_path / "absent") == ["gemini-m", "openai-m"]
