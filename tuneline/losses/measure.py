"""Rows and an adapter → what the answers of each row cost it, in nats, and what they cost its base."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import click

from tuneline.answering.predictor import Predictor, adapter_preamble, open_adapter
from tuneline.files import Row
from tuneline.losses.table import SIDES
from tuneline.measuring.kinds import open_measures
from tuneline.measuring.label_answers import LabelMeasures
from tuneline.measuring.report import unjudged
from tuneline.models.adapter import read_adapter
from tuneline.models.base import read_base
from tuneline.recipe.own import Measures
from tuneline.recipe.settings import fold_label
from tuneline.rendering.chat import IGNORED, Tokens, load_chat
from tuneline.rows import answer as answer_of


class Span(NamedTuple):
    """Of a piece: the ids up to the end of a trained part, and how many of them are given."""

    ids: list[int]
    given: int


def trained_spans(piece: Tokens) -> Iterator[Span]:
    """The first token of a text follows none, so that there is no loss of it."""
    trained = [False, *(label != IGNORED for label in piece.labels[1:]), False]
    turns = [at for at in range(1, len(trained)) if trained[at] != trained[at - 1]]
    return (Span(piece.ids[:end], start) for start, end in zip(turns[::2], turns[1::2], strict=True))


def row_losses(predictor: Predictor, rows: Sequence[Sequence[Span]], size: int, label: str) -> list[float]:
    """The cross-entropy of each row's trained tokens, in nats, summed. `size`: texts at a time.

    The bits of a text up to the end of an answer, less those up to its start, which both backends can tell.
    """
    texts = [(at, span.ids, 1) for at, spans in enumerate(rows) for span in spans]
    texts += [(at, span.ids[: span.given], -1) for at, spans in enumerate(rows) for span in spans if span.given > 1]
    found = [0.0] * len(rows)
    told = predictor.score([ids for _, ids, _ in texts], size, label)
    for (at, _, sign), bits in zip(texts, told, strict=True):
        found[at] += sign * bits * math.log(2)
    return found


def open_base(folder: Path) -> Predictor:
    """The base of an adapter under the adapter's own prompt."""
    adapter = read_adapter(folder)
    told = adapter.quantization, adapter.precision, adapter_preamble(folder)
    return Predictor(adapter.backend, read_base(adapter.base), *told)


def measure_losses(folder: Path, recipe: Path, rows: Sequence[tuple[str, int, Row]], size: int) -> list[Row]:
    """Of each row (set, line, row) `{"id", "set", "line", "tokens", "base", "tuned", "groups"}`: nats, summed.

    Both models are loaded, one after the other. Raises click.ClickException for a row that cannot be rendered, and
    where a loss is no number.
    """
    measures = open_measures(recipe, [row for _, _, row in rows])
    groups = [groups_of(measures, row) for _, _, row in rows]
    adapter = read_adapter(folder)
    chat = load_chat(read_base(adapter.base), adapter_preamble(folder))
    spans = [
        [span for piece in pieces for span in trained_spans(piece)]
        for pieces in chat.pieces([row for _, _, row in rows])
    ]
    sides = {}
    for side, opened in zip(SIDES, (open_base, lambda folder: open_adapter(folder, constrain=False)), strict=True):
        predictor = opened(folder)
        sides[side] = row_losses(predictor, spans, size, f"losses of {side}")
        del predictor
        if lost := sum(not math.isfinite(loss) for loss in sides[side]):
            whose = folder if side == "tuned" else f"the base of {folder}"
            raise click.ClickException(
                f"{whose}: the loss of {lost} of {len(rows)} rows is no number; its weights are broken"
            )
    return [
        {
            "id": row["id"],
            "set": name,
            "line": line,
            "tokens": sum(len(span.ids) - span.given for span in spans[at]),
            **{side: round(sides[side][at], 4) for side in SIDES},
            "groups": groups[at],
        }
        for at, (name, line, row) in enumerate(rows)
    ]


def groups_of(measures: Measures, row: Row) -> dict[str, str]:
    """Those by which its evaluation has tables, a label too, as the right answer tells them; none of a row that it
    cannot read.
    """
    right = 0.0 if "text" in row else answer_of(row)
    if getattr(measures, "unreadable", lambda row: None)(row):
        return {}
    label = {"label": measures.name(fold_label(right))} if isinstance(measures, LabelMeasures) else {}
    return label | unjudged(measures, row, right).groups
