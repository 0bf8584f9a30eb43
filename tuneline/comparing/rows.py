"""Rows that a change added, removed and edited: of the sources in git, and of what curate let through."""

import hashlib
import io
import json
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import click

from tuneline.comparing.sides import Side, Store
from tuneline.files import dump_json
from tuneline.rows import message_text

Row = dict[str, Any]
DATA = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".arrow", ".gz", ".zst", ".bz2")
SHORT = 12  # characters of a value that says too little to tell a row by
README = re.compile(r"README.*", re.IGNORECASE)


@dataclass
class Changes:
    """edited: (before, now)."""

    added: list[Row] = field(default_factory=list)
    removed: list[Row] = field(default_factory=list)
    edited: list[tuple[Row, Row]] = field(default_factory=list)
    before: int = 0
    now: int = 0

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.edited)

    def add(self, other: "Changes") -> None:
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


@dataclass(frozen=True)
class RecipeRows:
    """made: of the rows that curate let through; None where they are the same, or not at hand (`lacking`)."""

    recipe: str
    source: Changes
    made: Changes | None
    lacking: bool


def changed_rows(before: Side, now: Side, changed: set[str], store: Store) -> list[RecipeRows]:
    recipes = sorted({path.split("/")[1] for path in changed if source_of(path)} | made_of(before) | made_of(now))
    found = (_of_recipe(recipe, before, now, changed, store) for recipe in recipes)
    return [one for one in found if one.source or one.made or one.lacking]


def source_of(path: str) -> bool:
    """Is it a file of a recipe's source/?"""
    parts = path.split("/")
    return len(parts) > 3 and (parts[0], parts[2]) == ("recipes", "source") and not README.fullmatch(parts[-1])


def made_of(side: Side) -> set[str]:
    """The recipes whose rows have been made."""
    return {path.split("/")[1] for path in side.outs if PurePosixPath(path).match("data/*/curate.jsonl")}


def _of_recipe(recipe: str, before: Side, now: Side, changed: set[str], store: Store) -> RecipeRows:
    source = Changes()
    for path in sorted(path for path in changed if source_of(path) and path.split("/")[1] == recipe):
        source.add(compare(read_source(before, path), read_source(now, path)))
    old, new = (side.outs.get(f"data/{recipe}/curate.jsonl") for side in (before, now))
    if old == new:
        return RecipeRows(recipe, source, None, False)
    rows = [store.rows(oid) if oid else [] for oid in (old, new)]
    if None in rows:
        return RecipeRows(recipe, source, None, True)
    return RecipeRows(recipe, source, compare(*rows), False)


def read_source(side: Side, path: str) -> list[Row]:
    """The records of a file of rows; another file is one record, its name and its text."""
    from tuneline.data.inputs import read_records

    raw = side.read(path)
    if raw is None:
        return []
    if path.endswith(DATA):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, PurePosixPath(path).name)
            file.write_bytes(raw)
            try:
                with redirect_stderr(io.StringIO()):  # what the reader has to say is said when the pipeline runs
                    records = [record for _, record in read_records(file)]
            except click.ClickException:
                records = []
        if records:
            return [record if isinstance(record, dict) else {"line": str(record)} for record in records]
    return [{"file": path, "text": _text(raw)}]


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return f"{len(raw):,} bytes, {hashlib.sha256(raw).hexdigest()[:8]}"


def compare(old: Sequence[Row], new: Sequence[Row]) -> Changes:
    """Rows with other bytes are matched by their id, else by a part that is the same and stands once on each side."""
    left, right = _less(old, new), _less(new, old)
    changes = Changes(before=len(old), now=len(new))
    keys: list[Callable[[Row], Hashable]] = [lambda row: row.get("id"), lambda row: row.get("file")]
    keys += [
        lambda row, name=name: _part(row, name) for name in dict.fromkeys(name for row in right for name in body(row))
    ]
    for key in keys:
        mine, theirs = _single(left, key), _single(right, key)
        both = [name for name in theirs if name in mine]
        changes.edited += [(mine[name], theirs[name]) for name in both]
        gone = {id(part[name]) for part in (mine, theirs) for name in both}
        left, right = ([row for row in rows if id(row) not in gone] for rows in (left, right))
    changes.removed, changes.added = left, right
    return changes


def body(row: Row) -> Row:
    """What a row is, wherever it came from: of messages, the question and the answer apart."""
    if isinstance(messages := row.get("messages"), list) and messages:
        said = {"question": messages[:-1], "answer": messages[-1]}
        return said | {name: row[name] for name in ("tools", "set") if name in row}
    if "origin" in row and "text" in row:
        return {name: row[name] for name in ("text", "set") if name in row}
    return {name: value for name, value in row.items() if name != "id"}


def _less(rows: Sequence[Row], others: Sequence[Row]) -> list[Row]:
    """The rows that do not stand among the others, each as often as it does not."""
    there = Counter(map(_content, others))
    found = []
    for row in rows:
        content = _content(row)
        if there[content]:
            there[content] -= 1
        else:
            found.append(row)
    return found


def _content(row: Row) -> str:
    return json.dumps(body(row), sort_keys=True, default=str)


def _part(row: Row, name: str) -> str | None:
    value = body(row).get(name)
    shown = json.dumps(value, sort_keys=True, default=str)
    return shown if len(shown) >= SHORT else None


def _single(rows: Iterable[Row], key: Callable[[Row], Hashable]) -> dict[Hashable, Row]:
    """By the key, the rows that are the only one with it."""
    listed = [(key(row), row) for row in rows]
    counts = Counter(name for name, _ in listed)
    return {name: row for name, row in listed if name is not None and counts[name] == 1}


def shown(row: Row) -> str:
    """A row as one line: what is asked → what is answered, else its parts."""
    if isinstance(messages := row.get("messages"), list) and messages:
        *asked, answer = (_said(message) for message in messages)
        return f"{' | '.join(asked)} → {answer}" if asked else answer
    parts = [value if isinstance(value, str) else dump_json(value) for value in body(row).values()]
    return " → ".join(parts)


def _said(message: Any) -> str:
    try:
        return message_text(message)
    except (KeyError, TypeError):
        return json.dumps(message, ensure_ascii=False, default=str)
