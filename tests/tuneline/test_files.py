"""Outputs appear whole or not at all: when the writer fails, and when it is killed."""

import os
import signal
import subprocess
import sys
import termios
from pathlib import Path

import click
import pytest

from tests.conftest import ROOT
from tests.ending import end_line
from tuneline.files import (
    Clock,
    bar,
    dump_json,
    read_jsonl,
    whole_file,
    whole_folder,
    write_counts,
    write_json,
    write_jsonl,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_whole_and_its_folder_with_it(tmp_path: Path) -> None:
    with whole_file(tmp_path / "new/folder/a.txt") as part:
        part.write_text("content")
        assert not (tmp_path / "new/folder/a.txt").exists()
    assert (tmp_path / "new/folder/a.txt").read_text() == "content"
    assert names(tmp_path / "new/folder") == ["a.txt"]


def test_an_exception_leaves_the_old_file_and_no_part(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(RuntimeError), whole_file(tmp_path / "a.txt") as part:
        part.write_text("new")
        raise RuntimeError
    assert (tmp_path / "a.txt").read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_folder_replaces_the_old_one_whole(tmp_path: Path) -> None:
    (tmp_path / "a/inner").mkdir(parents=True)
    (tmp_path / "a/inner/old").touch()
    with whole_folder(tmp_path / "a") as part:
        (part / "inner").mkdir()
        (part / "inner/new").touch()
        assert names(tmp_path / "a/inner") == ["old"]
    assert names(tmp_path / "a/inner") == ["new"]
    assert names(tmp_path) == ["a"]


def test_an_exception_leaves_the_old_folder_and_no_part(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/old").touch()
    with pytest.raises(RuntimeError), whole_folder(tmp_path / "a") as part:
        (part / "new").touch()
        raise RuntimeError
    assert names(tmp_path / "a") == ["old"]
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_killed_writer_leaves_the_old_content_and_the_next_one_works(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "out"
    script = f"""
import sys, time
from pathlib import Path
from tuneline.files import whole_{kind}
with whole_{kind}(Path(sys.argv[1])) as part:
    target = part / "rows" if part.is_dir() else part
    with target.open("w") as out:
        out.write(sys.argv[2])
        out.flush()
        if sys.argv[2] == "half":
            print("half written", flush=True)
            time.sleep(600)
"""
    command = [sys.executable, "-c", script, str(path)]
    read = path if kind == "file" else path / "rows"
    subprocess.run([*command, "old"], cwd=ROOT, check=True)
    with subprocess.Popen([*command, "half"], cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout.readline() == "half written\n"
        os.kill(writer.pid, signal.SIGKILL)
    assert read.read_text() == "old"
    subprocess.run([*command, "new"], cwd=ROOT, check=True)
    assert read.read_text() == "new"
    assert names(tmp_path) == ["out"]


def test_a_folder_whose_writer_died_between_the_renames_comes_back(tmp_path: Path) -> None:
    (tmp_path / ".a.old.part").mkdir()
    (tmp_path / ".a.old.part/old").touch()
    with pytest.raises(RuntimeError), whole_folder(tmp_path / "a"):
        raise RuntimeError
    assert names(tmp_path / "a") == ["old"]
    assert names(tmp_path) == ["a"]


def test_what_stands_in_the_way_is_told_before_the_work_and_kept(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("mine")
    (tmp_path / "b").mkdir()
    with pytest.raises(NotADirectoryError, match=r"Not a directory: '.*/a'"), whole_folder(tmp_path / "a"):
        pytest.fail("begun")
    with pytest.raises(IsADirectoryError, match=r"Is a directory: '.*/b'"), whole_file(tmp_path / "b"):
        pytest.fail("begun")
    assert (tmp_path / "a").read_text() == "mine"
    assert names(tmp_path) == ["a", "b"]


def test_rows_that_cannot_be_written_leave_the_old_file(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", [{"n": 1}])
    with pytest.raises(TypeError):
        write_jsonl(tmp_path / "a.jsonl", [{"n": 2}, {"n": object()}])
    assert read_jsonl(tmp_path / "a.jsonl") == [{"n": 1}]


def test_rows_come_back_as_they_were_and_letters_stay_letters(tmp_path: Path) -> None:
    rows = [{"text": "é\u2028\n\x85🍕"}, {"half": "\ud83d"}, {}]
    write_jsonl(tmp_path / "a.jsonl", rows)
    assert read_jsonl(tmp_path / "a.jsonl") == rows
    assert (tmp_path / "a.jsonl").read_bytes().startswith('{"text":"é'.encode())
    assert dump_json({"a": [1, "é"]}) == '{"a":[1,"é"]}'


def test_a_line_that_is_not_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{}\n{"cut')
    with pytest.raises(click.ClickException, match=r"a\.jsonl:2: not JSON"):
        read_jsonl(tmp_path / "a.jsonl")


@pytest.mark.parametrize("other", ["[1]", "null", "7", '"text"'])
def test_a_line_that_is_no_row_is_named(other: str, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(f'{{"n": 1}}\n{other}\n')
    with pytest.raises(click.ClickException, match=r"a\.jsonl:2: JSON, but no row; make the file again"):
        read_jsonl(tmp_path / "a.jsonl")


def test_counts_are_by_reason_in_order(tmp_path: Path) -> None:
    write_counts(tmp_path / "m.json", 5, 2, [{"reason": "b"}, {"reason": "a"}, {"reason": "b"}])
    write_json(tmp_path / "n.json", {"in": 5, "out": 2, "dropped": {"a": 1, "b": 2}})
    assert (tmp_path / "m.json").read_text() == (tmp_path / "n.json").read_text()
    assert (tmp_path / "m.json").read_text().endswith("}\n")


# What a stage says


def test_a_stages_line_has_at_most_100_columns(capsys: pytest.CaptureFixture[str]) -> None:
    Clock("eval", "mine").tell("6 test rows", "f1 0.100 → 0.900")
    Clock("eval", "a_name_that_is_as_long_as_nobody_writes_one").tell("6 test rows", "figure " * 20)
    short, long = capsys.readouterr().err.splitlines()
    assert end_line(short) == "eval mine 6 test rows f1 0.100 → 0.900"
    assert end_line(long).startswith("eval a_name_that_is_as_long_… 6 test rows figure")


def test_a_bar_in_a_file_is_nothing_where_it_is_short_and_else_a_line_a_tenth(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert list(bar("all of it", range(500))) == list(range(500))
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("tuneline.files.EVERY", 0)
    with bar("rows", total=500) as done:
        for _ in range(500):
            done.update(1)
    said = capsys.readouterr().err.splitlines()
    assert said[-1].startswith("rows: 500 of 500")
    assert len(said) <= 11


def test_a_bar_on_a_terminal_goes() -> None:
    script = "from tuneline import files; files.PATIENCE = 0; list(files.bar('rows', range(5)))"
    main, other = os.openpty()
    termios.tcsetwinsize(main, (24, 80))
    subprocess.run([sys.executable, "-c", script], stderr=other, check=True, cwd=ROOT)
    *drawn, left = os.read(main, 9999).decode().rstrip("\r").split("\r")
    assert any("rows" in one for one in drawn)
    assert left.strip() == ""
