"""What an answer calls, read by how the base's chat template writes a call: found by asking it, since no list of models
is ever whole.
"""

import json
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from tuneline.files import Row, dump_json
from tuneline.rendering.chat import Chat
from tuneline.rendering.habits import ASKED, CALL, CALLED, TOOL
from tuneline.rendering.template import Refused
from tuneline.rendering.turns import Unfit

DECODER = json.JSONDecoder()


@dataclass(frozen=True)
class Calls:
    """A call is an object between `before` and `after`, or a list of them; `name` and `arguments` are its keys."""

    before: str
    after: str
    name: str
    arguments: str

    def divided(self, text: str, known: Collection[str]) -> tuple[str, list[Row]]:
        """(what an answer says, its calls as OpenAI has them). What is no call of a `known` tool is said."""
        said, calls, at = "", [], 0
        while (start := text.find(self.before, at)) >= 0 and text[start:].strip():
            found, end = _decoded(text, start + len(self.before))
            each = found if isinstance(found, list) else [found]
            if not all(self._is_call(one, known) for one in each):
                return text, []
            calls += map(self._as_openai, each)
            rest = text[end:].lstrip()
            said, at = said + text[at:start], len(text) - len(rest.removeprefix(self.after))
        return (said + text[at:]).strip() if calls else text, calls

    def _is_call(self, value: Any, known: Collection[str]) -> bool:
        return isinstance(value, dict) and value.get(self.name) in known and isinstance(value.get(self.arguments), dict)

    def _as_openai(self, call: Row) -> Row:
        """With an id of nine letters and digits, as Mistral's templates want it."""
        function = {"name": call[self.name], "arguments": dump_json(call[self.arguments])}
        return {"id": uuid.uuid4().hex[:9], "type": "function", "function": function}


def find_calls(chat: Chat) -> Calls | None:
    """None where the template writes no call, or none in JSON."""
    try:
        target = chat.writer.turn([ASKED, CALLED], [TOOL]).target
    except (Refused, Unfit):
        return None
    text = chat.heard(chat.backend.encode(target, add_special_tokens=False).ids)[1]
    for at in (place for place, sign in enumerate(text) if sign == "{"):
        found, end = _decoded(text, at)
        keys = {key: _key(found, CALL["function"][key]) for key in ("name", "arguments")}
        if all(keys.values()):
            before, after = text[:at].strip(), text[end:].strip()
            if before.endswith("[") and after.startswith("]"):
                before, after = before[:-1].rstrip(), after[1:].lstrip()
            return Calls(before, after, **keys)
    return None


def _key(found: Any, value: Any) -> str | None:
    return next((key for key, one in found.items() if one == value), None) if isinstance(found, dict) else None


def _decoded(text: str, at: int) -> tuple[Any, int]:
    """(the JSON value that stands there, where it ends); (None, at) where there is none."""
    begin = at + len(text[at:]) - len(text[at:].lstrip())
    try:
        return DECODER.raw_decode(text, begin)
    except (ValueError, RecursionError):
        return None, at
