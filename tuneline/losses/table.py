"""Losses of rows, as data/<adapter>/losses.json has them: by set and group, and the hardest.

`{"adapter": the hash of its weights, "rows": [{"id", "set", "line", "tokens", "base", "tuned", "groups"}]}`; `line` is
that of the set's file, base and tuned are nats of all trained tokens together.
"""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from tuneline.files import Row, printable
from tuneline.models.adapter import WEIGHTS
from tuneline.rows import answer, asked

FILE = "losses.json"
SIDES = ("base", "tuned")
VALUES = 30  # of a group that a table shows, the commonest
Key = tuple[str, str, str]  # set, group, value; of a whole set the last two are empty


def by_group(rows: Iterable[Row]) -> dict[Key, Row]:
    """Of each key rows, tokens, and each side's nats a token."""
    found: dict[Key, Row] = {}
    for row in rows:
        for key in (("", ""), *row["groups"].items()):
            line = found.setdefault((row["set"], *key), dict.fromkeys(("rows", "tokens", *SIDES), 0))
            line["rows"] += 1
            for name in ("tokens", *SIDES):
                line[name] += row[name]
    for line in found.values():
        line |= {side: line[side] / max(1, line["tokens"]) for side in SIDES}
    return found


def in_order(groups: Mapping[Key, Row]) -> tuple[list[tuple[Key, Row]], dict[Key, int]]:
    """(the lines of a table, how many values of which group have none): a set, then its groups, the hardest first."""
    lines: list[tuple[Key, Row]] = []
    more = {}
    sets = list(dict.fromkeys(name for name, _, _ in groups))
    for name, group in sorted({key[:2] for key in groups}, key=lambda one: (sets.index(one[0]), one[1])):
        mine = [(key, line) for key, line in groups.items() if key[:2] == (name, group)]
        shown = sorted(mine, key=lambda one: -one[1]["rows"])[:VALUES]
        lines += sorted(shown, key=lambda one: (-one[1]["tuned"], one[0]))
        if len(mine) > VALUES:
            more[name, group, ""] = len(mine) - VALUES
    return lines, more


def per_token(row: Row) -> float:
    """The adapter's, in nats; 0 of a text of one token, which follows none."""
    return row["tuned"] / max(1, row["tokens"])


def hardest(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (-per_token(row), row["line"]))


def in_words(row: Row) -> tuple[str, str]:
    """(where a row is from, what it asks and answers)."""
    place = ":".join(map(str, row.get("source", {}).values())) or row["id"]
    said = answer(row) if "text" in row else f"{asked(row)} → {answer(row)}"
    return place, printable(" ".join(said.split()))


def weights_sha256(folder: Path) -> str:
    with (folder / WEIGHTS).open("rb") as weights:
        return hashlib.file_digest(weights, "sha256").hexdigest()
