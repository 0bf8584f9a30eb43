"""The state of a corpus that is being written: one SQLite database, one process that writes to it.

In write-ahead mode with synchronous=NORMAL a committed transaction outlives the process, whatever kills
it; a power cut may undo the last ones, never tear the database. Readers do not wait for the writer.
"""

import fcntl
import json
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Self

import click

from tuneline.database import check_writable, open_database
from tuneline.files import dump_json
from tuneline.ordering.order import Order

BUSY = 1.0  # seconds that a request waits for whoever else has the database
OUT, ACCEPTED, EXPIRED = "out", "accepted", "expired"
SCHEMA = """
CREATE TABLE IF NOT EXISTS instructions (
    number INTEGER PRIMARY KEY,
    agent_id TEXT NOT NULL,
    dimensions TEXT NOT NULL,
    target TEXT NOT NULL,
    target_toon TEXT NOT NULL,
    prompt TEXT NOT NULL,
    issued REAL NOT NULL,
    expires REAL NOT NULL,
    status TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS instructions_out ON instructions (status) WHERE status = 'out';
CREATE TABLE IF NOT EXISTS submissions (
    number INTEGER PRIMARY KEY,
    instruction_id TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    case_text TEXT NOT NULL,
    submitted REAL NOT NULL,
    accepted INTEGER NOT NULL,
    refusals TEXT NOT NULL,
    missing TEXT NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS accepted_once ON submissions (instruction_id) WHERE accepted;
"""


@dataclass(frozen=True)
class Instruction:
    number: int
    agent_id: str
    dimensions: dict[str, str | None]
    target: dict[str, Any]
    target_toon: str
    prompt: str
    issued: float  # seconds since 1970, as all times here
    expires: float
    status: str = OUT

    @property
    def id(self) -> str:
        return f"INS-{self.number:04d}"

    @property
    def order(self) -> Order:
        return Order(self.dimensions, self.target, self.target_toon, self.prompt)


@dataclass(frozen=True)
class Submission:
    number: int  # 0 until it is stored
    instruction_id: str
    agent_id: str
    case_text: str
    submitted: float
    accepted: bool
    refusals: list[dict[str, str]]  # {reason, detail}
    missing: list[str]

    @property
    def id(self) -> str:
        return f"SUB-{self.number:04d}"


Case = tuple[Submission, Instruction]  # an accepted one


def number_of(instruction_id: str) -> int:
    """INS-0042 → 42; 0, which no instruction has, for what is no id."""
    prefix, _, digits = instruction_id.partition("-")
    return int(digits) if prefix == "INS" and digits.isascii() and digits.isdigit() and len(digits) < 16 else 0


class Reader:
    """What the database holds, each answer one consistent view. May live on another thread than the writer."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise click.ClickException(f"{path} is not there; `tuneline instructions serve` makes it")
        self.path = path
        self.db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)

    def instructions(self, after: int = 0, status: str | None = None, last: int | None = None) -> Iterator[Instruction]:
        """In their order, those numbered above `after`; or the `last` ones, newest first."""
        where, order = "number > ? AND (? IS NULL OR status = ?)", "number" if last is None else "number DESC"
        query = f"SELECT * FROM instructions WHERE {where} ORDER BY {order} LIMIT ?"
        for row in self.db.execute(query, (after, status, status, -1 if last is None else last)):
            number, agent, dimensions, target, *rest = row
            yield Instruction(number, agent, json.loads(dimensions), json.loads(target), *rest)

    def submissions(
        self, after: int = 0, accepted: bool | None = None, last: int | None = None
    ) -> Iterator[Submission]:
        """`instructions` for what agents sent."""
        where, order = "number > ? AND (? IS NULL OR accepted = ?)", "number" if last is None else "number DESC"
        query = f"SELECT * FROM submissions WHERE {where} ORDER BY {order} LIMIT ?"
        for row in self.db.execute(query, (after, accepted, accepted, -1 if last is None else last)):
            *start, taken, refusals, missing = row
            yield Submission(*start, bool(taken), json.loads(refusals), json.loads(missing))

    def cases(self, after: int = 0) -> Iterator[Case]:
        """The accepted submissions above a number with their instructions, in the order of acceptance."""
        for submission in self.submissions(after, accepted=True):
            number = number_of(submission.instruction_id)
            yield submission, next(self.instructions(number - 1))

    @contextmanager
    def one_view(self) -> Iterator[None]:
        """Everything read in the block is of the same moment."""
        self.db.execute("BEGIN")
        try:
            yield
        finally:
            self.db.execute("COMMIT")

    def values(self) -> Iterator[tuple[str, str, str, int]]:
        """(dimension, value, status, instructions) of what is accepted or out."""
        query = (
            "SELECT key, value, status, count(*) FROM instructions, json_each(dimensions) "
            "WHERE status <> 'expired' AND value IS NOT NULL GROUP BY key, value, status"
        )
        return iter(self.db.execute(query))

    def statuses(self) -> dict[str, int]:
        found = dict(self.db.execute("SELECT status, count(*) FROM instructions GROUP BY status"))
        return {status: found.get(status, 0) for status in (ACCEPTED, OUT, EXPIRED)}

    def combinations(self) -> Iterator[dict[str, str | None]]:
        """The dimensions of every instruction that is accepted or out."""
        query = "SELECT dimensions FROM instructions WHERE status <> 'expired'"
        return (json.loads(dimensions) for (dimensions,) in self.db.execute(query))

    def must_be_by(self, names: Collection[str]) -> None:
        """Raises click.ClickException when the instructions are of another corpus: by other dimensions than these."""
        for one in self.instructions(last=1):
            if set(one.dimensions) != set(names):
                told = f"{self.path.parent} is of a corpus by {', '.join(one.dimensions)}, not by {', '.join(names)}"
                raise click.ClickException(f"{told}; name another folder with --state")

    def refusals(self) -> dict[str, int]:
        """Refused submissions by reason; one with two reasons counts for both."""
        query = (
            "SELECT json_extract(value, '$.reason') AS reason, count(DISTINCT number) "
            "FROM submissions, json_each(refusals) GROUP BY reason ORDER BY 2 DESC, 1"
        )
        return dict(self.db.execute(query))

    def agents(self) -> list[dict[str, Any]]:
        """Each agent's instructions and what became of its submissions, the busiest first."""
        query = """
            SELECT agent_id, sum(issued), sum(accepted), sum(refused), max(seen) FROM (
                SELECT agent_id, count(*) AS issued, 0 AS accepted, 0 AS refused, max(issued) AS seen
                FROM instructions GROUP BY agent_id
                UNION ALL
                SELECT agent_id, 0, sum(accepted), sum(NOT accepted), max(submitted)
                FROM submissions GROUP BY agent_id
            ) GROUP BY agent_id ORDER BY 3 DESC, 2 DESC, 1
        """
        names = ("agent_id", "issued", "accepted", "refused", "last_seen")
        return [dict(zip(names, row, strict=True)) for row in self.db.execute(query)]

    def accepted_since(self, moment: float) -> int:
        query = "SELECT count(*) FROM submissions WHERE accepted AND submitted >= ?"
        return self.db.execute(query, (moment,)).fetchone()[0]

    def close(self) -> None:
        self.db.close()


class Store(Reader):
    """The one writer of a state folder, one thread at a time. A context manager: leaving it lets the folder go.

    Raises click.ClickException when another process holds the folder, or its database cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "state.sqlite"
        self.lock = _lock(folder / "lock")
        try:
            self.db = open_database(self.path, [SCHEMA], BUSY)
        except click.ClickException:
            self.lock.close()
            raise
        self.db.execute("PRAGMA wal_autocheckpoint = 0")  # `checkpoint` does it, off the path of requests

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        super().close()
        self.lock.close()

    def check(self) -> None:
        """Raises sqlite3.Error when nothing could be written now."""
        check_writable(self.db)

    def instruction(self, instruction_id: str) -> Instruction | None:
        number = number_of(instruction_id)
        found = next(self.instructions(number - 1, last=None), None) if number else None
        return found if found and found.id == instruction_id else None

    def accepted(self, instruction_id: str) -> Submission | None:
        query = "SELECT number FROM submissions WHERE instruction_id = ? AND accepted"
        row = self.db.execute(query, (instruction_id,)).fetchone()
        return next(self.submissions(row[0] - 1)) if row else None

    def next_number(self) -> int:
        return self.db.execute("SELECT coalesce(max(number), 0) + 1 FROM instructions").fetchone()[0]

    def issue(self, new: Instruction) -> None:
        values = (new.number, new.agent_id, dump_json(new.dimensions), dump_json(new.target), new.target_toon)
        self.db.execute(
            "INSERT INTO instructions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*values, new.prompt, new.issued, new.expires, new.status),
        )

    def expire(self, numbers: list[int]) -> None:
        with self._transaction():
            update = "UPDATE instructions SET status = 'expired' WHERE number = ? AND status = 'out'"
            self.db.executemany(update, [(number,) for number in numbers])

    def submit(self, new: Submission) -> None:
        """Keeps a submission; an accepted one and its instruction's status change together or not at all."""
        row = (new.instruction_id, new.agent_id, new.case_text, new.submitted, new.accepted)
        lists = (dump_json(new.refusals), dump_json(new.missing))
        with self._transaction():
            self.db.execute("INSERT INTO submissions VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)", (*row, *lists))
            if new.accepted:
                update = "UPDATE instructions SET status = 'accepted' WHERE number = ?"
                self.db.execute(update, (number_of(new.instruction_id),))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.db.execute("ROLLBACK")
            raise
        self.db.execute("COMMIT")


def checkpoint(path: Path) -> None:
    """Moves what is committed from the log into the database, without making the writer wait."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA wal_checkpoint(PASSIVE)")
    db.close()


def _lock(path: Path) -> BinaryIO:
    """An exclusive lock that ends with the process."""
    file = path.open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise click.ClickException(
            f"{path.parent}: another server is writing there; stop it, or name another folder"
        ) from None
    return file
