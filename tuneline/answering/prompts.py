"""Conversations → the ids that a model is given."""

from collections.abc import Sequence
from itertools import takewhile

from tuneline.files import Row
from tuneline.rendering.chat import Chat


def prompt_ids(chat: Chat, conversation: Sequence[Row], row: Row) -> list[int]:
    """What the model is given. `row`: what it has beside the conversation, `tools`."""
    return chat.backend.encode(chat.prompt(conversation, row.get("tools")), add_special_tokens=False).ids


def common_ids(prompts: Sequence[list[int]]) -> list[int]:
    """What all of them begin with: what the least and the greatest do, in the order of lists."""
    both = zip(min(prompts), max(prompts), strict=False)
    return [one for one, _ in takewhile(lambda pair: pair[0] == pair[1], both)]
