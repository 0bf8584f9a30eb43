"""Rows of a file by place, some of others, and what is written of them."""

import pickle
from pathlib import Path

import click
import pytest

from tuneline.bulk.lines import Lines, Picked, dumped, parts, text_writer
from tuneline.files import read_rows, write_jsonl

ROWS = [{"id": "a"}, {"id": "é\u2028", "n": 1.10}, {"id": "\ud800"}, {"id": "", "deep": [{"x": None}]}, {"id": "e"}]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_jsonl(tmp_path / "rows.jsonl", ROWS)
    return tmp_path / "rows.jsonl"


@pytest.mark.parametrize("end", ["\n", ""])
def test_rows_are_those_of_the_file_in_any_order(path: Path, end: str) -> None:
    path.write_text(path.read_text("utf-8").rstrip("\n") + end, encoding="utf-8")
    lines, rows = Lines(path), read_rows(path)
    assert list(lines) == list(lines) == rows == [lines[at] for at in range(5)]
    assert [lines[at] for at in (4, -5, 2)] == [rows[at] for at in (4, 0, 2)]
    with pytest.raises(IndexError):
        lines[5]


def test_numbers_keep_their_digits(path: Path) -> None:
    path.write_text('{"id":"a","n":1.10}\n', encoding="utf-8")
    assert dumped(Lines(path)) == path.read_text("utf-8")


def test_a_part_is_told_to_another_process(path: Path) -> None:
    lines, rows = Lines(path), read_rows(path)
    some = parts(lines, 2)
    assert [len(part) for part in some] == [2, 2, 1]
    for part, wanted in zip(pickle.loads(pickle.dumps(some)), parts(rows, 2), strict=True):
        assert list(part) == wanted == [part[at] for at in range(len(part))]
    assert list(lines[1:4][1:]) == rows[2:4]
    assert list(Lines(path)[5:]) == []


def test_a_broken_line_is_named_in_whatever_part_it_is(path: Path) -> None:
    path.write_text(path.read_text("utf-8").replace('"deep"', "deep"), encoding="utf-8")
    with pytest.raises(click.ClickException, match=r"rows\.jsonl:4: not JSON \(.*make the file again"):
        list(Lines(path)[3:])
    with pytest.raises(click.ClickException, match=r"rows\.jsonl:4: "):
        Lines(path)[3]
    assert Lines(path)[4] == ROWS[4]


def test_an_empty_file_has_no_rows(path: Path) -> None:
    path.write_text("")
    assert not Lines(path)
    assert parts(Lines(path)) == []


def test_some_rows_with_more_about_each(path: Path) -> None:
    for rows in (ROWS, Lines(path)):
        some = Picked(rows, [3, 0], {3: {"reason": "x"}, 0: {}}.__getitem__)
        assert some == [{**ROWS[3], "reason": "x"}, ROWS[0]] == some[:]
        assert (len(some), some[-1], some[1:]) == (2, ROWS[0], ROWS[:1])
        assert some != ROWS
    assert Picked(ROWS, [1])[0] is ROWS[1]


def test_what_is_written_in_parts_is_there_whole_or_not(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    with pytest.raises(ZeroDivisionError), text_writer(out) as write:
        write(dumped(ROWS[:2]))
        1 / 0  # noqa: B018
    assert not out.exists()
    with text_writer(out) as write:
        for part in parts(ROWS, 2):
            write(dumped(part))
    assert out.read_bytes() == path.read_bytes()
