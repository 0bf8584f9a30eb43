"""Test rows that the adapter won and lost: the same question, two answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from tuneline.comparing.pairing import TUNED, asked
from tuneline.comparing.sides import Side, Store

Row = dict[str, Any]
USUAL = ("exact_match", "accuracy")  # by which a row is won where the main figure is none of a single row
LESS = ("bits_per_byte",)  # is better


@dataclass(frozen=True)
class Flips:
    """won, lost: (before, now) of the rows whose figure is better or worse, the largest change first."""

    adapter: str
    figure: str
    won: list[tuple[Row, Row]]
    lost: list[tuple[Row, Row]]
    rows: int  # that both sides were asked
    others: int  # test rows that only one side has


def flips(before: Side, now: Side, store: Store) -> list[Flips]:
    """Of each adapter whose predictions differ and are at hand on both sides."""
    found = []
    for path, oid in sorted(now.outs.items()):
        place, old = PurePosixPath(path), before.outs.get(path)
        if place.name == "predictions.jsonl" and old not in (None, oid):
            sides = store.rows(old), store.rows(oid)
            main = (now.json(str(place.parent / "report.json")) or {}).get("main")
            if None not in sides and (one := compare(place.parent.name, *sides, main)):
                found.append(one)
    return found


def compare(adapter: str, old: Sequence[Row], new: Sequence[Row], main: str | None = None) -> Flips | None:
    """None where no figure of any row differs."""
    by_question = {asked(row): row for row in new}
    pairs = [(row, by_question[asked(row)]) for row in old if asked(row) in by_question]
    figure = telling_figure(pairs, main)
    if figure is None:
        return None
    ranked = sorted(pairs, key=lambda pair: (_change(pair, figure), _change_of_all(pair)))
    lost = [pair for pair in ranked if _change(pair, figure) < 0]
    won = [pair for pair in reversed(ranked) if _change(pair, figure) > 0]
    return Flips(adapter, figure, won, lost, len(pairs), len(old) + len(new) - 2 * len(pairs))


def telling_figure(pairs: Sequence[tuple[Row, Row]], main: str | None) -> str | None:
    """The figure by which a row is won or lost: the main one, else the first that differs in a row."""
    names = dict.fromkeys(name for pair in pairs for row in pair for name in row["figures"][TUNED])
    usual = (name for name in (main, *USUAL, *names) if name in names)
    return next((name for name in usual if any(_change(pair, name) for pair in pairs)), None)


def value(row: Row, figure: str) -> float:
    found = float(row["figures"][TUNED].get(figure) or 0)
    return -found if figure in LESS else found


def _change(pair: tuple[Row, Row], figure: str) -> float:
    return value(pair[1], figure) - value(pair[0], figure)


def _change_of_all(pair: tuple[Row, Row]) -> float:
    """Parts rows whose own figure went as far."""
    return sum(_change(pair, name) for name in pair[1]["figures"][TUNED])
