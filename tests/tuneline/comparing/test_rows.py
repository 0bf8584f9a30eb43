"""Rows that a change added, removed and edited."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from tests.small_pipeline import Small, small_pipeline, source_row
from tuneline.comparing.rows import RecipeRows, changed_rows, compare, shown
from tuneline.comparing.sides import Side, Store, changed_paths, open_sides


@pytest.fixture
def project(tmp_path: Path) -> Small:
    return small_pipeline(tmp_path)


def rows_of(project: Small) -> list[RecipeRows]:
    before, now = open_sides(project.root, "HEAD", None)
    with Store(project.root) as store:
        return changed_rows(before, now, changed_paths(before, now), store)


def row(name: str, question: str, answer: str) -> dict:
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"id": name, "group": "g", "origin": "source", "messages": messages, "source": {"file": "f", "line": 1}}


def test_by_id() -> None:
    changes = compare([row("a", "one", "1"), row("b", "two", "2")], [row("b", "two!", "2"), row("c", "three", "3")])
    assert [one["id"] for one in changes.added] == ["c"]
    assert [one["id"] for one in changes.removed] == ["a"]
    assert [(then["id"], now["id"]) for then, now in changes.edited] == [("b", "b")]
    assert (changes.before, changes.now) == (2, 2)


def test_ids_that_are_hashes_of_the_content_hide_no_edit() -> None:
    changes = compare([row("a1", "where is the door", "left")], [row("a2", "where is the door", "right")])
    assert len(changes.edited) == 1
    assert not changes.added and not changes.removed


def test_what_came_from_elsewhere_is_no_edit() -> None:
    moved = row("a", "one", "1") | {"source": {"file": "other", "line": 9}, "lineage": ["x"], "made_by": {"key": "k"}}
    assert not compare([row("a", "one", "1")], [moved])


def test_rows_that_stand_twice_are_counted() -> None:
    twice = [source_row(0), source_row(0)]
    assert len(compare(twice, twice[:1]).removed) == 1
    assert not compare(twice, twice)


def test_a_label_alone_makes_no_pair() -> None:
    old, new = {"text": "the first text of all", "label": "spam"}, {"text": "another text altogether", "label": "spam"}
    changes = compare([old], [new])
    assert (len(changes.added), len(changes.removed), len(changes.edited)) == (1, 1, 0)


def test_a_column_named_source_is_data() -> None:
    assert (
        len(compare([{"source": "the cat", "target": "le chat"}], [{"source": "a cat", "target": "le chat"}]).added)
        == 1
    )


def test_sources_of_git_and_made_rows_of_the_cache(project: Small) -> None:
    made = [row(str(at), f"question {at}", "yes") for at in range(5)]
    project.made("data/mine/curate.jsonl", made)
    project.commit()
    project.write("recipes/mine/source/rows.jsonl", [source_row(at) for at in range(1, 7)])
    project.made("data/mine/curate.jsonl", [*made[1:], row("7", "question 7", "no")])
    (found,) = rows_of(project)
    assert found.recipe == "mine"
    assert (found.source.added, found.source.removed) == ([source_row(6)], [source_row(0)])
    assert [one["id"] for one in found.made.added] == ["7"]
    assert [one["id"] for one in found.made.removed] == ["0"]
    assert not found.lacking


def test_made_rows_that_nobody_has_are_told(project: Small) -> None:
    project.made("data/mine/curate.jsonl", [row("a", "one", "1")])
    project.commit()
    old = project.outs["data/mine/curate.jsonl"]
    (project.root / f".dvc/cache/files/md5/{old[:2]}/{old[2:]}").unlink()
    project.made("data/mine/curate.jsonl", [row("b", "two", "2")])
    (found,) = rows_of(project)
    assert found.lacking and found.made is None and not found.source


def test_made_rows_come_from_the_remote(project: Small, tmp_path_factory: pytest.TempPathFactory) -> None:
    remote = tmp_path_factory.mktemp("remote")
    project.write(".dvc/config", f"[core]\nanalytics = false\nremote = there\n['remote \"there\"']\nurl = {remote}\n")
    project.made("data/mine/curate.jsonl", [row("a", "one", "1")])
    project.commit()
    old = project.outs["data/mine/curate.jsonl"]
    (remote / "files/md5" / old[:2]).mkdir(parents=True)
    (project.root / f".dvc/cache/files/md5/{old[:2]}/{old[2:]}").rename(remote / "files/md5" / old[:2] / old[2:])
    project.made("data/mine/curate.jsonl", [row("a", "one", "1"), row("b", "two", "2")])
    (found,) = rows_of(project)
    assert [one["id"] for one in found.made.added] == ["b"]


def test_any_form_of_rows_and_files_that_are_none(project: Small) -> None:
    table = pa.table({"question": ["first question", "second question"], "answer": ["one", "two"]})
    pyarrow.parquet.write_table(table, project.root / "recipes/mine/source/more.parquet")
    project.write("recipes/mine/source/more.csv", "question;answer\nthird question;3\n")
    project.write("recipes/mine/source/paper.pdf", b"%PDF-1.7 \xff\xfe\x00")
    project.write("recipes/mine/source/README.md", "not a row")
    (found,) = rows_of(project)
    assert sorted(map(shown, found.source.added))[:3] == [
        "first question → one",
        "recipes/mine/source/paper.pdf → 12 bytes, 81f613f3",
        "second question → two",
    ]
    assert len(found.source.added) == 4


def test_a_file_with_broken_lines_is_compared_as_far_as_it_can_be_read(project: Small) -> None:
    project.write("recipes/mine/source/bad.jsonl", '{"query": "whole and well"}\n{"query": \n')
    (found,) = rows_of(project)
    assert len(found.source.added) == 2
    assert any("whole and well" in shown(one) for one in found.source.added)


def test_two_commits(project: Small) -> None:
    first = project.run("git", "rev-parse", "HEAD").stdout.strip()
    project.write("recipes/mine/source/rows.jsonl", [source_row(9)])
    second = project.commit()
    project.write("recipes/mine/source/rows.jsonl", [])
    before, now = Side(project.root, first), Side(project.root, second)
    with Store(project.root) as store:
        (found,) = changed_rows(before, now, changed_paths(before, now), store)
    assert (len(found.source.added), len(found.source.removed)) == (1, 6)
