"""SQLite files that outlive a version of Tuneline: opened whole, or refused in one line before anything is served."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

import click

BUSY = 10.0  # seconds that a connection waits for others


def open_database(path: Path, versions: Sequence[str], busy: float = BUSY) -> sqlite3.Connection:
    """The database, made where there is none, in write-ahead mode and brought to the newest of `versions`.

    Each version is a script from the one before it; the file keeps the number of the last in `user_version`. A file
    without a number is of the first version, or empty. `busy`: seconds to wait for others. Raises
    click.ClickException when it is no database, of a newer version or another form, or cannot be written now.
    """
    connection = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, timeout=busy, isolation_level=None, check_same_thread=False)
        _bring_up(connection, path, versions)
    except (sqlite3.Error, OSError) as error:
        if connection:
            connection.close()
        raise click.ClickException(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    except click.ClickException:
        connection.close()
        raise
    return connection


def _bring_up(connection: sqlite3.Connection, path: Path, versions: Sequence[str]) -> None:
    (number,) = connection.execute("PRAGMA user_version").fetchone()
    if number > len(versions):
        raise click.ClickException(f"{path} is of version {number}, newer than {len(versions)}: update Tuneline")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    for at, script in enumerate(versions[number:], number + 1):
        connection.executescript(f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {at}; COMMIT;")
    check_writable(connection)
    if lacking := _wanted(versions) - _columns(connection):
        raise click.ClickException(
            f"{path} is of another form, without {', '.join(sorted(lacking))}; move it away, or name another"
        )


def check_writable(connection: sqlite3.Connection) -> None:
    """Raises sqlite3.Error when nothing could be written now."""
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("ROLLBACK")


def _wanted(versions: Sequence[str]) -> set[str]:
    made = sqlite3.connect(":memory:")
    try:
        for script in versions:
            made.executescript(script)
        return _columns(made)
    finally:
        made.close()


def _columns(connection: sqlite3.Connection) -> set[str]:
    """table.column of all that are there."""
    query = "SELECT t.name || '.' || c.name FROM sqlite_master t, pragma_table_info(t.name) c WHERE t.type = 'table'"
    return {name for (name,) in connection.execute(query)}
