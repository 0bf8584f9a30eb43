"""What applications sent, what judges made of it, and the training runs: one SQLite database, many processes.

Write-ahead mode with synchronous=NORMAL: what a method has committed outlives the process, whatever kills
it; a power cut may undo the last transactions, never tear the database. Every change is one short
transaction, so that the server, judges and watchers may all write. All times are seconds since 1970.
"""

import hashlib
import json
import os
import re
import sqlite3
import time
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Self

from tuneline.database import BUSY, open_database
from tuneline.locks import held
from tuneline.recipe.tasks import SCORES, TASKS
from tuneline.rows import RESERVED

DIMENSIONS = SCORES  # each 0 to 1
NEW, ACCEPTED, REJECTED = "new", "accepted", "rejected"  # of a sample
FORGETTING, FORGOTTEN = "forgetting", "forgotten"  # of one that its person wants gone: begun, and without its texts
OPEN, PROMOTED, KEPT, FAILED = "open", "promoted", "kept", "failed"  # of a run
DATABASE = Path("feedback/feedback.sqlite")  # in .tuneline
LOOK = 0.001  # seconds between two looks whether a writer may write
FIRST_RETRY, LONGEST_RETRY = 60.0, 6 * 3600.0  # seconds after a judge's call that failed
NOT_DUE = f"next_try > ? AND next_try <= ? + {LONGEST_RETRY}"  # beyond the longest wait, the clock has gone back
MOST_INPUT, MOST_OUTPUT, MOST_MODEL, MOST_META = 200_000, 50_000, 200, 16_384  # signs; of meta as JSON
APPLICATION = "application"  # of meta: who sent the sample; the server says it where the sample is signed
MOST_DEPTH = 100  # of meta; what is deeper may be written and not read again
MOST_BYTES = 4 * 1024 * 1024  # of a request
# The longest sample fits, escaped: a sign beyond U+FFFF is two halves of six bytes each.
assert 12 * (MOST_INPUT + MOST_OUTPUT + MOST_MODEL) + MOST_META + 200 < MOST_BYTES

SCHEMA = """
CREATE TABLE IF NOT EXISTS samples (
    number INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    task TEXT NOT NULL,
    input TEXT NOT NULL,
    output TEXT NOT NULL,
    model TEXT NOT NULL,
    meta TEXT NOT NULL,
    received REAL NOT NULL,
    state TEXT NOT NULL DEFAULT 'new',
    attempts INTEGER NOT NULL DEFAULT 0,
    next_try REAL NOT NULL DEFAULT 0,
    scores TEXT,
    reason TEXT NOT NULL DEFAULT '',
    judge TEXT NOT NULL DEFAULT '',
    parts INTEGER NOT NULL DEFAULT 0,
    judged REAL,
    accepted INTEGER
);
CREATE INDEX IF NOT EXISTS samples_states ON samples (task, state);
CREATE INDEX IF NOT EXISTS samples_new ON samples (number, next_try) WHERE state = 'new';
CREATE UNIQUE INDEX IF NOT EXISTS samples_accepted ON samples (task, accepted) WHERE accepted IS NOT NULL;
CREATE TABLE IF NOT EXISTS runs (
    number INTEGER PRIMARY KEY,
    task TEXT NOT NULL,
    after INTEGER NOT NULL,
    upto INTEGER NOT NULL,
    base_commit TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'open',
    attempts INTEGER NOT NULL DEFAULT 0,
    opened REAL NOT NULL,
    finished REAL,
    seconds REAL,
    version TEXT,
    commit_id TEXT,
    reason TEXT NOT NULL DEFAULT '',
    figures TEXT,
    spend_usd REAL NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX IF NOT EXISTS one_open_run ON runs (task) WHERE state = 'open';
CREATE TABLE IF NOT EXISTS tallies (
    name TEXT NOT NULL,
    labels TEXT NOT NULL,
    value REAL NOT NULL,
    PRIMARY KEY (name, labels)
) WITHOUT ROWID;
"""

# What the input says, so that a sample that says the same again is found; older samples have none.
COPIES = """
ALTER TABLE samples ADD COLUMN about TEXT NOT NULL DEFAULT '';
CREATE INDEX samples_about ON samples (task, about) WHERE state = 'accepted';
"""
# `answers`: keys of what the judge was paid for; `words`: of a forgotten sample, Sample.words, by which it is refused.
FORGETS = """
ALTER TABLE samples ADD COLUMN answers TEXT NOT NULL DEFAULT '';
ALTER TABLE samples ADD COLUMN words TEXT NOT NULL DEFAULT '';
CREATE INDEX samples_words ON samples (words) WHERE words <> '';
"""
# Who sent it, as Sample.source says.
SOURCES = """
ALTER TABLE samples ADD COLUMN source TEXT NOT NULL DEFAULT '';
CREATE INDEX samples_sources ON samples (task, accepted, source, model) WHERE state = 'accepted';
"""
COPY = 0.9  # of the letters of two outputs to one input, from which one is a copy of the other


@dataclass(frozen=True)
class Sample:
    """What an application was asked and what its model said. `meta`: anything of JSON beside it."""

    task: str
    input: str
    output: str
    model: str = ""
    meta: dict[str, Any] = field(default_factory=dict, hash=False)

    @property
    def key(self) -> str:
        """SHA-256 of task, input and output as 64 hex digits: what makes it the same sample."""
        said = json.dumps([self.task, self.input, self.output])
        return hashlib.sha256(said.encode("ascii")).hexdigest()

    @property
    def about(self) -> str:
        """The same for inputs of the same words, whatever their case, marks and white space."""
        return hashlib.sha256(plain(self.input).encode("utf-8", "surrogatepass")).hexdigest()

    @property
    def source(self) -> str:
        """The application that meta names, as `as_name`; empty where it names none."""
        said = self.meta.get(APPLICATION)
        return as_name(said)[:MOST_MODEL] if isinstance(said, str) else ""

    @property
    def words(self) -> str:
        """The same as `about`, but for an input without a word, which has only its signs."""
        said = plain(self.input) or self.input
        return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()

    def faults(self) -> list[str]:
        """All that keeps it from being taken in; empty for a good one."""
        found = [] if self.task in TASKS else [f"task: {str(self.task)[:40]!r} is none of {', '.join(TASKS)}"]
        for name, most in (("input", MOST_INPUT), ("output", MOST_OUTPUT), ("model", MOST_MODEL)):
            found += [f"{name}: {fault}" for fault in text_faults(getattr(self, name), most, name != "model")]
        return found + [f"meta: {fault}" for fault in _meta_faults(self.meta)]


def as_name(text: str) -> str:
    """The same for names that a reader takes for one: whatever their case, blanks, width and unseen signs."""
    seen = "".join(sign for sign in " ".join(text.split()) if sign.isprintable())
    return " ".join(unicodedata.normalize("NFKC", seen).casefold().split())


def plain(text: str) -> str:
    """The words alone, in small letters, with one blank between them."""
    return " ".join(re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold()))


def text_faults(text: Any, most: int, needed: bool) -> Iterator[str]:
    if not isinstance(text, str):
        yield "not a text"
    elif needed and not text.strip():
        yield "it is empty"
    elif len(text) > most:
        yield f"{len(text)} signs, at most {most}"
    elif "\x00" in text:
        yield "it has a NUL"
    elif any(mark in text for mark in RESERVED):  # no row that a model learns from may hold one
        yield "it has U+FDD0 or U+FDD1, which are no characters"
    else:
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            yield "half a surrogate pair is no Unicode text"


def _meta_faults(meta: Any) -> Iterator[str]:
    if not isinstance(meta, dict):
        yield "not a JSON object"
        return
    try:
        long = len(_dump(meta))
    except (TypeError, ValueError, RecursionError) as error:
        yield f"no JSON: {error}"
        return
    if long > MOST_META:
        yield f"{long} signs as JSON, at most {MOST_META}"
    elif _is_deep(meta):
        yield f"it is more than {MOST_DEPTH} deep"


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MOST_DEPTH):
        inside = [one for one in level if isinstance(one, dict | list | tuple)]
        level = [inner for one in inside for inner in (one.values() if isinstance(one, dict) else one)]
    return bool(level)


@dataclass(frozen=True)
class Judgement:
    """`scores`: each of DIMENSIONS in 0 to 1. `parts`: how many the source was judged in."""

    scores: dict[str, float]
    reason: str
    judge: str
    parts: int = 1

    @property
    def overall(self) -> float:
        return self.scores["overall"]


@dataclass(frozen=True)
class Stored:
    """A sample as it stands. `accepted`: 1, 2, 3 … within its task, in the order of acceptance."""

    number: int
    key: str
    task: str
    input: str
    output: str
    model: str
    meta: dict[str, Any]
    received: float
    state: str
    attempts: int  # of judges' calls that failed
    next_try: float
    scores: dict[str, float] | None
    reason: str
    judge: str
    parts: int
    judged: float | None
    accepted: int | None


@dataclass(frozen=True)
class Run:
    """A training run: on all samples accepted up to `upto`, of which those above `after` are new."""

    number: int
    task: str
    after: int
    upto: int
    base_commit: str
    state: str
    attempts: int  # that failed
    opened: float
    finished: float | None
    seconds: float | None
    version: str | None
    commit_id: str | None
    reason: str
    figures: dict[str, Any] | None
    spend_usd: float


class Caps(NamedTuple):
    """Samples that one source and one model may have accepted for a run; 0: any number."""

    per_source: int = 0
    per_model: int = 0


NO_CAPS = Caps()
Tally = tuple[str, Mapping[str, str], float]  # name, labels, by how much


class Store:
    """The database at `path`, made where there is none. A context manager: leaving it closes it.

    One thread at a time, and not across a fork. Raises click.ClickException when it cannot be used. Methods raise
    sqlite3.OperationalError when another process holds the database for more than BUSY seconds or the disk is full.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # Two that switch a new database to write-ahead mode at once fail.
        with held(self.path.with_suffix(".lock"), waiting=lambda: None):
            self.db = open_database(self.path, [SCHEMA, COPIES, FORGETS, SOURCES])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that the block writes, or nothing of it. The methods below are transactions of their own."""
        self._begin()
        try:
            yield
        except BaseException:
            self.db.execute("ROLLBACK")
            raise
        self.db.execute("COMMIT")

    def _begin(self) -> None:
        """Looks every millisecond whether it may write: SQLite's own waiting grows to 100 ms a look."""
        end = time.monotonic() + BUSY
        self.db.execute("PRAGMA busy_timeout = 0")
        try:
            while True:
                try:
                    self.db.execute("BEGIN IMMEDIATE")
                    return
                except sqlite3.OperationalError as error:
                    if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                        raise
                    time.sleep(LOOK)
        finally:
            self.db.execute(f"PRAGMA busy_timeout = {BUSY * 1000:.0f}")

    # ---------------------------------------------------------------- samples

    def add(self, samples: Iterable[Sample], now: float | None = None) -> list[bool | None]:
        """Takes them in, in one transaction; for each whether it is new, None where it is forgotten and not taken in
        again. A known one changes nothing.

        Raises ValueError, and takes none, when one of them has faults.
        """
        received = _time(now)
        samples, rows = list(samples), []
        for number, sample in enumerate(samples, 1):
            if faults := sample.faults():
                raise ValueError(f"sample {number}: {'; '.join(faults)}")
            said = (sample.task, sample.input, sample.output, sample.model)
            rows.append((sample.key, *said, _dump(sample.meta), received, sample.about, sample.source))
        insert = (
            "INSERT INTO samples (key, task, input, output, model, meta, received, about, source) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (key) DO NOTHING"
        )
        with self.transaction():
            forgets = self._one("SELECT EXISTS (SELECT 1 FROM samples WHERE words <> '')")
            return [
                None if forgets and self._is_forgotten(sample) else self.db.execute(insert, row).rowcount == 1
                for sample, row in zip(samples, rows, strict=True)
            ]

    def _is_forgotten(self, sample: Sample) -> bool:
        """By the words of its input: neither a blank more nor another output brings it back."""
        return bool(self._one("SELECT EXISTS (SELECT 1 FROM samples WHERE words = ?)", sample.words))

    def sample(self, key: str) -> Stored | None:
        return next(self._samples("key = ?", (key,)), None)

    def samples(self, task: str | None = None, after: int = 0) -> Iterator[Stored]:
        """All that are not forgotten, or those of a task, in the order in which they came, from above a number."""
        query = "(? IS NULL OR task = ?) AND number > ? AND words = '' ORDER BY number"
        return self._samples(query, (task, task, after))

    def to_judge(self, limit: int, now: float | None = None, upto: int | None = None) -> list[Stored]:
        """The oldest that are not judged and whose next try is due; with `upto`, those up to that number."""
        query = f"state = 'new' AND NOT ({NOT_DUE}) AND (? IS NULL OR number <= ?) ORDER BY number LIMIT ?"
        return list(self._samples(query, (_time(now), _time(now), upto, upto, limit)))

    def waiting(self, now: float | None = None) -> tuple[int, float]:
        """How many new ones are not due yet, and in how many seconds the first is; 0.0 without any."""
        query = f"SELECT count(*), min(next_try) FROM samples WHERE state = 'new' AND {NOT_DUE}"
        count, first = self.db.execute(query, (_time(now), _time(now))).fetchone()
        return count, first - _time(now) if count else 0.0

    def newest(self) -> int:
        """The number of the sample that came last; 0 before the first."""
        return self._one("SELECT coalesce(max(number), 0) FROM samples")

    def judged(
        self,
        number: int,
        judgement: Judgement,
        min_score: float,
        now: float | None = None,
        tallies: Iterable[Tally] = (),
        answers: Iterable[str] = (),
        caps: Caps = NO_CAPS,
    ) -> str:
        """Accepts or rejects a new sample, with the tallies of its calls and the keys of their logged answers: its
        state; empty when it was judged before.

        A copy of an accepted one is rejected, however good: a text that is sent a hundred times is one sample. And so
        is what is over a cap.
        """
        place = "(SELECT coalesce(max(accepted), 0) + 1 FROM samples AS of WHERE of.task = samples.task)"
        with self.transaction():
            why = self.is_known(number) or (self.over_cap(number, caps) if judgement.overall >= min_score else "")
            good = not why and judgement.overall >= min_score
            state, reason = ACCEPTED if good else REJECTED, why or judgement.reason
            row = (_dump(judgement.scores), reason, judgement.judge, judgement.parts, _time(now))
            update = (
                "UPDATE samples SET state = ?, scores = ?, reason = ?, judge = ?, parts = ?, judged = ?, "
                f"answers = trim(answers || ' ' || ?), accepted = {place if good else 'NULL'} "
                "WHERE number = ? AND state = 'new'"
            )
            done = self.db.execute(update, (state, *row, " ".join(answers), number)).rowcount == 1
            if done:
                self.add_tallies(tallies)
        return state if done else ""

    def reject(self, number: int, why: str, now: float | None = None) -> bool:
        """Without a judge; False when it was judged before."""
        update = (
            "UPDATE samples SET state = ?, reason = ?, judge = 'none', judged = ? WHERE number = ? AND state = 'new'"
        )
        with self.transaction():
            return self.db.execute(update, (REJECTED, why, _time(now), number)).rowcount == 1

    def is_known(self, number: int) -> str:
        """Why a sample adds nothing to those that are accepted; empty when it does."""
        copied = self.copied_by(number)
        return f"says the same as {copied[:12]}, which is accepted" if copied else ""

    def over_cap(self, number: int, caps: Caps) -> str:
        """Which cap of the next run a sample's source or model has reached; empty when none."""
        names = "SELECT task, source, model FROM samples WHERE number = ?"
        task, source, model = self.db.execute(names, (number,)).fetchone()
        run = self.current_run(task)
        after = run.upto if run else self.watermark(task)
        for knob, most, column, name in (
            ("most-per-source", caps.per_source, "source", source), ("most-per-model", caps.per_model, "model", model),
        ):  # fmt: skip
            query = (
                f"SELECT {column}, count(*) FROM samples WHERE task = ? AND state = 'accepted' AND accepted > ? "
                f"GROUP BY {column}"
            )
            named = as_name(name)
            if most and sum(n for one, n in self.db.execute(query, (task, after)) if as_name(one) == named) >= most:
                return f"gate.{knob}: {most} of {named or f'no named {column}'} are accepted for the next run"
        return ""

    def copied_by(self, number: int) -> str | None:
        """The key of an accepted sample to the same input, by its words, whose output is nearly this one's."""
        from rapidfuzz.fuzz import ratio

        query = (
            "SELECT of.output, other.output, other.key FROM samples AS of JOIN samples AS other "
            "ON other.task = of.task AND other.about = of.about AND other.state = 'accepted' "
            "WHERE of.number = ? AND of.about <> ''"
        )
        for output, other, key in self.db.execute(query, (number,)):
            if ratio(plain(output), plain(other)) >= 100 * COPY:
                return key
        return None

    def judge_failed(
        self,
        number: int,
        why: str,
        now: float | None = None,
        tallies: Iterable[Tally] = (),
        answers: Iterable[str] = (),
    ) -> None:
        """The sample stays new; it is due again after a minute, two, four … six hours."""
        wait = f"min({LONGEST_RETRY}, {FIRST_RETRY} * (1 << min(attempts, 20)))"
        update = (
            f"UPDATE samples SET next_try = ? + {wait}, attempts = attempts + 1, reason = ?, "
            "answers = trim(answers || ' ' || ?) WHERE number = ? AND state = 'new'"
        )
        with self.transaction():
            if self.db.execute(update, (_time(now), why[:500], " ".join(answers), number)).rowcount:
                self.add_tallies(tallies)

    def counts(self, task: str) -> dict[str, int]:
        """{"new", "accepted", "rejected"} → samples."""
        found = dict(self.db.execute("SELECT state, count(*) FROM samples WHERE task = ? GROUP BY state", (task,)))
        return {state: found.get(state, 0) for state in (NEW, ACCEPTED, REJECTED)}

    def accepted(self, task: str) -> int:
        """The place of the sample that was accepted last, one that is forgotten too; 0 when none was."""
        return self._one("SELECT coalesce(max(accepted), 0) FROM samples WHERE task = ?", task)

    def accepted_after(self, task: str, place: int) -> int:
        """How many are accepted above a place, without those that are forgotten."""
        query = "SELECT count(*) FROM samples WHERE task = ? AND state = 'accepted' AND accepted > ?"
        return self._one(query, task, place)

    def accepted_samples(self, task: str, upto: int) -> Iterator[Stored]:
        """Those accepted up to a place, in the order of acceptance."""
        return self._samples("task = ? AND state = 'accepted' AND accepted <= ? ORDER BY accepted", (task, upto))

    def _samples(self, where: str, values: tuple) -> Iterator[Stored]:
        names = ", ".join(Stored.__dataclass_fields__)
        for row in self.db.execute(f"SELECT {names} FROM samples WHERE {where}", values):
            of = dict(zip(Stored.__dataclass_fields__, row, strict=True))
            of["meta"] = json.loads(of["meta"])
            of["scores"] = json.loads(of["scores"]) if of["scores"] else None
            yield Stored(**of)

    # ---------------------------------------------------------------- runs

    def watermark(self, task: str) -> int:
        """The place up to which a finished run has learnt; 0 before the first one."""
        query = "SELECT coalesce(max(upto), 0) FROM runs WHERE task = ? AND state IN ('promoted', 'kept')"
        return self._one(query, task)

    def open_run(self, task: str, base_commit: str, min_new: int, now: float | None = None) -> Run | None:
        """A new run on all that is accepted by now; None while one is open or too few samples are new."""
        with self.transaction():
            after, upto = self.watermark(task), self.accepted(task)
            if self.current_run(task) or self.accepted_after(task, after) < max(min_new, 1):
                return None
            insert = "INSERT INTO runs (task, after, upto, base_commit, opened) VALUES (?, ?, ?, ?, ?)"
            self.db.execute(insert, (task, after, upto, base_commit, _time(now)))
            return self.current_run(task)

    def current_run(self, task: str) -> Run | None:
        """The one that is open."""
        return next(self._runs("task = ? AND state = 'open'", (task,)), None)

    def last_run(self, task: str) -> Run | None:
        """The youngest, open or not."""
        return next(self._runs("task = ? ORDER BY number DESC LIMIT 1", (task,)), None)

    def runs(self, task: str | None = None) -> Iterator[Run]:
        return self._runs("? IS NULL OR task = ? ORDER BY number", (task, task))

    def finish_run(
        self,
        number: int,
        state: str,
        version: str | None,
        commit: str,
        reason: str,
        figures: dict[str, Any],
        seconds: float,
        spend: float,
        now: float | None = None,
    ) -> bool:
        """Ends an open run as PROMOTED or KEPT, which moves the watermark; False when it was ended before."""
        if state not in (PROMOTED, KEPT):
            raise ValueError(f"{state}: a run is finished as {PROMOTED} or {KEPT}")
        update = (
            "UPDATE runs SET state = ?, version = ?, commit_id = ?, reason = ?, figures = ?, seconds = ?, "
            "spend_usd = ?, finished = ? WHERE number = ? AND state = 'open'"
        )
        row = (state, version, commit, reason, _dump(figures), seconds, spend, _time(now), number)
        with self.transaction():
            return self.db.execute(update, row).rowcount == 1

    def fail_run(
        self, number: int, reason: str, most: int, seconds: float = 0.0, spend: float = 0.0, now: float | None = None
    ) -> Run:
        """Counts an attempt that failed; the run ends as FAILED with the `most`-th, and stays open before.

        The watermark stays: a later run learns from the same samples. `seconds` and `spend` add up over
        the attempts; `finished` is the moment of the last one, also while the run is open.
        """
        update = (
            "UPDATE runs SET attempts = attempts + 1, state = iif(attempts + 1 >= ?, 'failed', 'open'), reason = ?, "
            "seconds = coalesce(seconds, 0) + ?, spend_usd = spend_usd + ?, finished = ? "
            "WHERE number = ? AND state = 'open'"
        )
        with self.transaction():
            self.db.execute(update, (most, reason[:2000], seconds, spend, _time(now), number))
            return next(self._runs("number = ?", (number,)))

    def _runs(self, where: str, values: tuple) -> Iterator[Run]:
        names = ", ".join(Run.__dataclass_fields__)
        for row in self.db.execute(f"SELECT {names} FROM runs WHERE {where}", values):
            of = dict(zip(Run.__dataclass_fields__, row, strict=True))
            of["figures"] = json.loads(of["figures"]) if of["figures"] else None
            yield Run(**of)

    # ---------------------------------------------------------------- tallies

    def tally(self, name: str, labels: Mapping[str, str], by: float = 1.0) -> None:
        """Adds to a counter that outlives the process."""
        with self.transaction():
            self.add_tallies([(name, labels, by)])

    def tallies(self, name: str) -> list[tuple[dict[str, str], float]]:
        """(labels, value) of each counter of that name, sorted by labels."""
        rows = self.db.execute("SELECT labels, value FROM tallies WHERE name = ? ORDER BY labels", (name,))
        return [(json.loads(labels), value) for labels, value in rows]

    def add_tallies(self, tallies: Iterable[Tally]) -> None:
        """Adds to several, in a transaction of the caller's."""
        add = "INSERT INTO tallies VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET value = value + excluded.value"
        for name, labels, by in tallies:
            self.db.execute(add, (name, json.dumps(dict(labels), sort_keys=True), by))

    def _one(self, query: str, *values: Any) -> Any:
        return self.db.execute(query, values).fetchone()[0]


def database(root: Path | None = None) -> Path:
    """The state's place in a checkout: that of DVC_ROOT or of the current folder without `root`."""
    return (root or Path(os.environ.get("DVC_ROOT", "."))) / ".tuneline" / DATABASE


def _time(now: float | None) -> float:
    return time.time() if now is None else now


def _dump(value: Any) -> str:
    """JSON in ASCII, which half a surrogate pair does not spoil. Raises ValueError for NaN."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)
