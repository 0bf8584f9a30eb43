"""Training rows before a question, as earlier turns of its conversation: what one would try before tuning a model."""

from collections.abc import Sequence

import click

from tuneline.files import Row
from tuneline.rendering.chat import Chat
from tuneline.rendering.preamble import Preamble


def shown(conversation: Sequence[Row], examples: Sequence[Row], preamble: Preamble) -> list[Row]:
    """The conversation, which ends with the user's turn, after the turns of the examples, each asked as it is.

    A conversation has one system message, at its beginning. What an example has there of its own, and the conversation
    has not, stands before the example's first question.
    """
    system, asked = _apart(conversation)
    known = system or preamble.system
    turns = [turn for row in examples for turn in _turns(row["messages"], known, preamble.prefix)]
    return [*([{"role": "system", "content": system}] if system else []), *turns, *asked]


def _turns(messages: Sequence[Row], known: str, prefix: str) -> list[Row]:
    system, turns = _apart(messages)
    first = next((at for at, turn in enumerate(turns) if turn["role"] == "user"), None)
    if system and system != known and first is not None:
        turns[first] = {**turns[first], "content": f"{system}\n\n{turns[first]['content']}"}
    return [*Preamble(prefix=prefix).before(turns[:-1]), turns[-1]]


def _apart(messages: Sequence[Row]) -> tuple[str, list[Row]]:
    """(the system message that a conversation begins with, its other turns)."""
    if messages and messages[0]["role"] == "system":
        return messages[0]["content"], list(messages[1:])
    return "", list(messages)


def fitting(chat: Chat, row: Row, examples: Sequence[Row], room: int) -> tuple[list[Row], int]:
    """(the row's conversation after examples, how many these are): all, else each that still fits, in their order.

    `room`: tokens that a prompt may have. An example that the template does not take there does not fit.
    """
    kept = list(examples)
    if not _fits(chat, row, kept, room):
        kept = []
        for one in examples:
            if _fits(chat, row, [*kept, one], room):
                kept.append(one)
    return shown(row["messages"][:-1], kept, chat.preamble), len(kept)


def _fits(chat: Chat, row: Row, examples: Sequence[Row], room: int) -> bool:
    try:
        text = chat.prompt(shown(row["messages"][:-1], examples, chat.preamble), row.get("tools"))
    except click.ClickException:
        return False
    return len(chat.backend.encode(text, add_special_tokens=False).ids) <= room
