"""The row that travels through the stages.

A row: {"id", "group", "origin", "messages" or "text", "tools"?, "source", "set"?, "fields"?, "lineage"?, "made_by"?}
- id: the record's own, else a hash of its content, stable when other rows come or go
- group: what a split must never divide; the record's own, else a hash of the question
- messages: each {"role", "content"}; the assistant's may have "tool_calls", what it thinks in "reasoning_content", and
  "weight": 0 where it is not trained
- tools: functions that may be called, as chat templates expect them
- origin: "source", or the strategy that made it
- set: "valid" or "test" when the source itself says so
- fields: the record as it came, where the recipe says how its fields become messages
- lineage: ids of the rows that it grew from; made_by: the prompt's hash, the answer's key, the model
"""

import hashlib
import json
import re
from typing import Any

from tuneline.files import Row, dump_json

# Unicode noncharacters: the renderer marks spans with them, so that no text may hold them.
RESERVED = ("\ufdd0", "\ufdd1")


class BadRow(ValueError):
    """A row that cannot be used; the message says why."""


def content_hash(*parts: str, size: int = 16) -> str:
    return hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:size]


def make_row(body: Row, source: str, line: int, origin: str = "source", **extra: Any) -> Row:
    """A row with its id and group, unless the body has its own. `extra`: set, lineage, …"""
    said = {name: body[name] for name in ("messages", "text", "tools") if name in body}
    key = content_hash(json.dumps(said, ensure_ascii=False, sort_keys=True, default=str))
    row = {"id": key, "group": content_hash(question(body)), "origin": origin, **body}
    return {**row, "source": {"file": source, "line": line}, **extra}


def question(row: Row) -> str:
    """All that stands before the last answer, folded: rows that ask the same belong together."""
    if "text" in row:
        return row["text"].casefold()
    return " ".join(map(message_text, row["messages"][:-1])).casefold()


def asked(row: Row) -> str:
    """The question as it is written, to be shown; of several turns, each with who says it."""
    if "text" in row:
        return row["text"]
    said = [(message["role"], message_text(message)) for message in row["messages"][:-1]]
    return said[0][1] if len(said) == 1 else "\n\n".join(f"{role}: {text}" for role, text in said)


def answer(row: Row) -> str:
    return row["text"] if "text" in row else message_text(row["messages"][-1])


def message_text(message: Row) -> str:
    """What a message says, and the tools that it calls, as JSON."""
    calls = message.get("tool_calls")
    return " ".join(filter(None, (message["content"], calls and dump_json(calls))))


def visible(text: str) -> str:
    """An answer without its thinking; thinking that is never closed runs to the end."""
    return re.sub(r"<thinking>.*?(</thinking>|\Z)", "", text, flags=re.DOTALL | re.IGNORECASE).strip()
