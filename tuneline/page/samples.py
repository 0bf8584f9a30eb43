"""Test rows with both answers, as the page's script reads them, within what the page may weigh."""

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from tuneline.files import Row
from tuneline.page.figures import SHOTS, SIDES, main_figure
from tuneline.page.reading import System
from tuneline.rows import message_text

LONGEST = 6000  # characters of a text that the page keeps
ROOM = 3_000_000  # bytes of all adapters' rows together: the page stays under 5 MB


def samples(system: System) -> list[Row]:
    """A row each: q what was asked, r reference, b and t the answers, f figures, g groups, m what else is said.

    Of the base after examples, s is its answer; its figures and what else is said come third.
    """
    groups = groups_of(system)
    return [
        {
            "id": str(row["id"]),
            "q": [[str(message.get("role", "")), cut(message_text(message))] for message in asked(row)],
            "r": cut(row["reference"]) if isinstance(row.get("reference"), str) else None,
            "b": said(row["base"]),
            "t": said(row["tuned"]),
            **({"s": said(row[SHOTS])} if SHOTS in _sides(row) else {}),
            "f": {
                name: [plain(row["figures"][side].get(name)) for side in _sides(row)]
                for name in row["figures"]["tuned"]
            },
            "g": {name: values[at] for name, values in groups.items()},
            "m": [marks(row, side) for side in _sides(row)],
        }
        for at, row in enumerate(system.predictions)
    ]


def _sides(row: Row) -> tuple[str, ...]:
    return (*SIDES, SHOTS) if SHOTS in row and isinstance(row["figures"].get(SHOTS), dict) else SIDES


def asked(row: Row) -> list[Row]:
    if "text" in row:
        return [{"role": "text", "content": row["text"]}]
    return [{**message, "content": message.get("content") or ""} for message in row.get("messages", [])]


def said(answer: str | float) -> str:
    """An answer, or the bits of a row that is only text."""
    return cut(answer) if isinstance(answer, str) else f"{answer:g} bits"


def cut(text: str) -> str:
    rest = len(text) - LONGEST
    return text if rest <= 0 else f"{text[:LONGEST]}… ({rest} characters more)"


def plain(value: Any) -> float | bool | None:
    """A figure that JSON has."""
    known = isinstance(value, bool | int | float) and math.isfinite(value)
    return value if known else None


def marks(row: Row, side: str) -> str:
    """What the measures say beside an answer, a line each: a judge's reason, say; not a figure again."""
    told, known = row.get("marks", {}).get(side, {}), row["figures"][side]
    new = {
        key: value
        for key, value in told.items()
        if value not in (None, "") and not any(name.startswith(key) and known[name] is value for name in known)
    }
    return cut("\n".join(f"{key}: {_words(value)}" for key, value in new.items()))


def _words(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def groups_of(system: System) -> dict[str, list[str]]:
    """group → the value of each prediction, where the run's files tell it.

    predictions.jsonl has no groups. A column of the test rows, or the kinds of the heat map, is a group's when it has
    each value of the report's table as often as the table says.
    """
    report, rows = system.report, system.predictions
    if not report or not rows:
        return {}
    columns = list(_columns(system))
    found = {}
    for name, table in report.groups.items():
        wanted = {value: line.get("rows") for value, line in table["tuned"].items() if isinstance(line, dict)}
        fits = (column for column in columns if wanted and _counted(column) == wanted)
        if column := next(fits, None):
            found[name] = ["" if value is None else value for value in column]
    return found


def _counted(column: Sequence[str | None]) -> dict[str, int]:
    return dict(Counter(value for value in column if value is not None))


def _columns(system: System) -> Iterator[list[str | None]]:
    """What may be a group of the predictions, in their order."""
    if len(system.confusion) == len(system.predictions):
        yield [actual for actual, _ in system.confusion]
    by_id = {row.get("id"): row for row in system.tests}
    rows = [by_id.get(row["id"], {}) for row in system.predictions]
    for part in ([_fields(row) for row in rows], rows):
        for key in dict.fromkeys(key for row in part for key in row):
            yield [str(row[key]) if isinstance(row.get(key), str | int | float) else None for row in part]


def _fields(row: Row) -> Row:
    return row["fields"] if isinstance(row.get("fields"), dict) else {}


def deciding_figure(system: System) -> str | None:
    """The figure by which a row is right at first: the main one, else of the yes-or-no ones that with the fewest yes.

    One that every row has on one side only tells nothing, and comes last.
    """
    rows = [row["figures"] for row in system.predictions]
    if not rows:
        return None
    names = list(rows[0]["tuned"])
    main = main_figure(system)
    if main in names:
        return main

    def yes(name: str) -> tuple[bool, bool, float]:
        values = [row[side].get(name) for row in rows for side in SIDES]
        truths = [value for value in values if isinstance(value, bool)]
        return not truths, len(set(truths)) < 2, sum(truths) / max(len(truths), 1)

    return min(names, key=yes, default=None)


def within(rows: dict[str, list[Row]], room: int = ROOM) -> dict[str, list[Row]]:
    """Of each adapter's rows as many as fit into `room` bytes of JSON together, in their order.

    An adapter that needs less than its share leaves the rest to the others. Which rows are kept, the hash of their ids
    says.
    """
    sizes = {name: [len(packed(row).encode()) + 1 for row in mine] for name, mine in rows.items()}
    kept = {}
    for left, name in zip(range(len(rows), 0, -1), sorted(rows, key=lambda name: sum(sizes[name])), strict=True):
        chosen = _drawn([row["id"] for row in rows[name]], sizes[name], room // left)
        room -= sum(sizes[name][at] for at in chosen)
        kept[name] = [rows[name][at] for at in chosen]
    return kept


def _drawn(ids: list[str], sizes: list[int], room: int) -> list[int]:
    """Places of rows whose sizes are `room` together at most, in their order."""
    chosen = []
    for at in sorted(range(len(ids)), key=lambda at: hashlib.sha256(ids[at].encode("utf-8", "replace")).hexdigest()):
        if sizes[at] <= room:
            room -= sizes[at]
            chosen.append(at)
    return sorted(chosen)


def packed(value: object) -> str:
    """JSON that may stand in a script element: nothing of it can end the element or begin a comment."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    text = re.sub("[\ud800-\udfff]", "\ufffd", text)  # half a surrogate pair is no UTF-8
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
