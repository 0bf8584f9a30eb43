"""A sample leaves the database for good: its texts go, its place stays, and what says the same is refused from then on.

A sample that is to go is marked first (FORGETTING): from then on no judge, snapshot or reader has it. Its texts stay
until all that lies elsewhere is cleared by them; so a killed command is completed by the next one.
"""

import json
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import click

from tuneline.database import BUSY
from tuneline.feedback.store import FORGETTING, FORGOTTEN, Sample, Store, Stored, plain

RUN = 8  # words in a row, from which a text quotes another
FEWEST = 3  # words of an input that is looked for inside other texts; a shorter one must be the whole of them
ID = re.compile(r"[0-9a-f]{12,64}")


def find(store: Store, ids: Sequence[str], text: str | None, task: str | None) -> list[Stored]:
    """The samples whose id begins like one of `ids`, or that have `text` in any of their texts, whatever its case.

    And those that have the same input as one of them, and those that another call has begun to forget.

    Raises click.ClickException for what is no id, or that of no sample.
    """
    begun_before = begun(store)
    wanted = {one.number: one for one in store.samples(task) if _is_meant(one, ids, text)}
    for one in ids:
        if not ID.fullmatch(one):
            raise click.ClickException(f"--id {one!r}: an id is at least 12 of the 64 digits 0-9, a-f")
        known = any(sample.key.startswith(one) for sample in (*wanted.values(), *begun_before))
        if not known and not is_forgotten(store, [one]):
            raise click.ClickException(f"no sample has the id {one}; nothing is forgotten")
    inputs = {plain(one.input) or one.input for one in wanted.values()}
    if inputs:
        wanted |= {one.number: one for one in store.samples() if (plain(one.input) or one.input) in inputs}
    return [*begun_before, *(one for _, one in sorted(wanted.items()))]


def _is_meant(sample: Stored, ids: Sequence[str], text: str | None) -> bool:
    if any(sample.key.startswith(one) for one in ids):
        return True
    said = (sample.input, sample.output, sample.model, json.dumps(sample.meta, ensure_ascii=False), sample.reason)
    return text is not None and any(text.casefold() in one.casefold() for one in said)


def begun(store: Store) -> list[Stored]:
    return list(store._samples("state = ? ORDER BY number", (FORGETTING,)))


def is_forgotten(store: Store, ids: Sequence[str]) -> bool:
    """Whether each of some ids is of a sample that is forgotten already."""
    query = "SELECT EXISTS (SELECT 1 FROM samples WHERE state = ? AND key LIKE ? || '%')"
    return bool(ids) and all(store._one(query, FORGOTTEN, one) for one in ids)


def mark(store: Store, samples: Iterable[Stored]) -> None:
    """From now on nothing that is done with samples has them."""
    update = "UPDATE samples SET state = ?, words = ? WHERE number = ?"
    with store.transaction():
        for one in (one for one in samples if one.state != FORGETTING):
            store.db.execute(update, (FORGETTING, Sample(one.task, one.input, one.output).words, one.number))


def answers_of(store: Store) -> set[str]:
    """The keys of the logged answers to questions about marked samples."""
    rows = store.db.execute("SELECT answers FROM samples WHERE state = ?", (FORGETTING,))
    return {key for (keys,) in rows for key in keys.split()}


def wipe(store: Store, texts: "Texts") -> None:
    """Takes the texts of marked samples out of every file of the database. Scores and places stay: they are numbers.

    Raises click.ClickException while another process reads: what is left is done by the next call.
    """
    update = (
        "UPDATE samples SET input = '', output = '', model = '', meta = '{}', reason = '', judge = '', about = '', "
        "answers = '', source = '' WHERE state = ?"
    )
    store.db.execute("PRAGMA secure_delete = ON")
    with store.transaction():
        store.db.execute(update, (FORGETTING,))
        for number, reason in store.db.execute("SELECT number, reason FROM runs").fetchall():
            if texts.quoted_in(reason):
                store.db.execute("UPDATE runs SET reason = '(forgotten)' WHERE number = ?", (number,))
    store.db.execute("VACUUM")  # pages that were split before have copies in what they do not use
    _truncate(store)
    with store.transaction():
        store.db.execute("UPDATE samples SET state = ? WHERE state = ?", (FORGOTTEN, FORGETTING))


def _truncate(store: Store) -> None:
    """Empties the log that is written ahead, which has pages as they were."""
    end = time.monotonic() + BUSY
    while store.db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
        if time.monotonic() > end:
            raise click.ClickException(f"{store.path}: another process reads it all the time; call it again")
        time.sleep(0.05)


class Texts:
    """What is looked for outside the database: the ids and the inputs of samples, and what quotes their texts."""

    def __init__(self, samples: Sequence[Stored]) -> None:
        self.ids = {one.key[:16] for one in samples}  # as snapshots have them
        self.inputs = [(words, _probe(one.input)) for one in samples if (words := plain(one.input))]
        self.runs = {run for one in samples for text in (one.input, one.output) for run in _runs(text)}

    def quoted_in(self, text: str) -> bool:
        """Whether RUN words in a row are those of a text, or an input that is shorter is there whole."""
        return any(run in self.runs for run in _runs(text)) or self._has_input(text)

    def held_by(self, raw: bytes) -> bool:
        """Whether a file of rows, of any JSON or of plain text has an input, or the row of a sample."""
        found = [probe for _, probe in self.inputs if probe is None or probe in raw]
        marks = [one.encode() for one in self.ids if one.encode() in raw]
        if not found and not marks:
            return False
        return any(self._in_value(value) for value in _values(raw))

    def _in_value(self, value: Any) -> bool:
        if isinstance(value, dict):
            return any(self._in_value(inner) for inner in value.values())
        if isinstance(value, list):
            return any(self._in_value(inner) for inner in value)
        return isinstance(value, str) and (value[:16] in self.ids or self._has_input(value))

    def _has_input(self, text: str) -> bool:
        said = plain(text)
        return any(
            f" {words} " in f" {said} " if words.count(" ") + 1 >= FEWEST else words == said for words, _ in self.inputs
        )


def _runs(text: str) -> Iterator[str]:
    words = plain(text).split(" ")
    return (" ".join(words[at : at + RUN]) for at in range(len(words) - RUN + 1))


def _probe(text: str) -> bytes | None:
    """The longest word of ASCII: the same bytes in whatever JSON. None where there is none: nothing is ruled out."""
    words = re.findall(r"(?a:\b[A-Za-z0-9]{4,}\b)", text)
    return max(words, key=len).encode() if words else None


def _values(raw: bytes) -> Iterator[Any]:
    """The lines of JSON Lines, one value of JSON, or the text."""
    text = raw.decode("utf-8", "replace")
    try:
        yield json.loads(text)
        return
    except (ValueError, RecursionError):
        pass
    for line in text.split("\n"):
        try:
            yield json.loads(line)
        except (ValueError, RecursionError):
            yield line
