"""Databases of every state that a disk gives: opened and brought up, or one line."""

import os
import sqlite3
from pathlib import Path

import click
import pytest

from tuneline.database import check_writable, open_database

FIRST = "CREATE TABLE IF NOT EXISTS a (x TEXT, y TEXT);"
SECOND = "ALTER TABLE a ADD COLUMN z TEXT NOT NULL DEFAULT 'new';"


def refused(path: Path, versions: list[str], busy: float = 0.1) -> str:
    with pytest.raises(click.ClickException) as error:
        open_database(path, versions, busy).close()
    assert "\n" not in error.value.message
    return error.value.message


def made(path: Path, script: str) -> Path:
    db = sqlite3.connect(path)
    db.executescript(script)
    db.close()
    return path


def test_a_new_one_is_of_the_newest_version(tmp_path: Path) -> None:
    db = open_database(tmp_path / "deep/new.sqlite", [FIRST, SECOND])
    db.execute("INSERT INTO a (x, y) VALUES ('1', '2')")
    assert db.execute("SELECT * FROM a").fetchall() == [("1", "2", "new")]
    assert db.execute("PRAGMA user_version").fetchone() == (2,)
    db.close()


@pytest.mark.parametrize("number", [0, 1])
def test_an_older_one_is_brought_up_and_keeps_its_rows(number: int, tmp_path: Path) -> None:
    path = made(tmp_path / "old", f"{FIRST} INSERT INTO a VALUES ('1', '2'); PRAGMA user_version = {number};")
    for _ in range(2):
        db = open_database(path, [FIRST, SECOND])
        assert db.execute("SELECT * FROM a").fetchall() == [("1", "2", "new")]
        db.close()


def test_a_step_that_fails_leaves_the_version_before_it(tmp_path: Path) -> None:
    path = made(tmp_path / "old", f"{FIRST} PRAGMA user_version = 1;")
    assert "near" in refused(path, [FIRST, "CREATE TABLE b (x); NONSENSE"])
    db = open_database(path, [FIRST, SECOND])
    assert db.execute("PRAGMA user_version").fetchone() == (2,)
    assert db.execute("SELECT name FROM sqlite_master").fetchall() == [("a",)]
    db.close()


def test_what_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    newer = made(tmp_path / "newer", f"{FIRST} PRAGMA user_version = 7;")
    assert refused(newer, [FIRST]) == f"{newer} is of version 7, newer than 1: update Tuneline"
    other = made(tmp_path / "other", "CREATE TABLE a (x TEXT);")
    assert f"{other} is of another form, without a.y; move it away" in refused(other, [FIRST])
    garbage = tmp_path / "garbage"
    garbage.write_bytes(b"no database at all " * 100)
    assert refused(garbage, [FIRST]) == f"{garbage}: file is not a database"
    (tmp_path / "folder").mkdir()
    assert "unable to open database file" in refused(tmp_path / "folder", [FIRST])
    (tmp_path / "file").write_text("")
    assert "exists" in refused(tmp_path / "file/in it", [FIRST]) or "directory" in refused(
        tmp_path / "file/in it", [FIRST]
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_one_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    path = made(tmp_path / "db", FIRST)
    path.chmod(0o400)
    assert "readonly" in refused(path, [FIRST])


def test_one_that_is_held_is_one_line_and_free_again(tmp_path: Path) -> None:
    path = tmp_path / "db"
    open_database(path, [FIRST]).close()
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    assert refused(path, [FIRST]) == f"{path}: database is locked"
    holder.execute("ROLLBACK")
    db = open_database(path, [FIRST], busy=0.1)
    check_writable(db)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError):
        check_writable(db)
    holder.close()
    check_writable(db)
    db.close()
