"""How many tokens a test set's answers need: what max-new-tokens must be, and what `auto` makes of it."""

import math
from collections.abc import Sequence
from typing import Any

import click

from tuneline.files import Row
from tuneline.rendering.chat import Chat

AUTO = "auto"
HEAD_ROOM = 0.25  # over the longest reference: an answer may be longer than any, and one without an end is cut soon


class Most(click.ParamType):
    """A number of tokens, or auto."""

    name = "tokens or auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        return AUTO if value == AUTO else click.IntRange(1).convert(value, param, ctx)


def answer_tokens(chat: Chat, rows: Sequence[Row]) -> list[int]:
    """Tokens of each row's last answer as a model would write it, its end included; 0 of a row that is only text."""
    counts = []
    for row in rows:
        written = ""
        if "text" not in row:
            written = chat.answer(row).target
        counts.append(len(chat.backend.encode(written, add_special_tokens=False).ids))
    return counts


def with_room(tokens: int) -> int:
    return max(1, math.ceil(tokens * (1 + HEAD_ROOM)))


def most_new_tokens(most: int | str, chat: Chat, rows: Sequence[Row]) -> int:
    """The number; for auto, the longest reference with its head-room."""
    return with_room(max(answer_tokens(chat, rows), default=0)) if most == AUTO else int(most)


def check_room(most: int | str, chat: Chat, rows: Sequence[Row], where: str) -> None:
    """Raises click.ClickException that names the longest reference when it has more tokens than an answer may have."""
    if most == AUTO:
        return
    counts = answer_tokens(chat, rows)
    needed = max(counts, default=0)
    if needed > int(most):
        at = counts.index(needed)
        raise click.ClickException(
            f"{where}:{at + 1}: the reference of row {rows[at]['id']} has {needed} tokens with its end, more than "
            f"max-new-tokens {most} of params.yaml: write {with_room(needed)} there, or {AUTO}"
        )
