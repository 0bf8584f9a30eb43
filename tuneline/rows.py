"""The row that travels through the stages, and the forms in which people bring theirs.

A row: {"id", "group", "origin", "messages" or "text", "source", "set"?, "fields"?, "lineage"?, "made_by"?}
- id: hash of its content, stable when other rows come or go
- group: what a split must never divide; rows with one group stay together
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

ROLES = ("system", "user", "assistant")
FORMS = '{"prompt", "response"}, {"messages": […]}, {"text"}, {"input", "output"} or {"query", "data"}'
PAIRS = (("prompt", "response"), ("input", "output"), ("query", "data"))
# Unicode noncharacters: the renderer marks spans with them, so that no text may hold them.
RESERVED = ("\ufdd0", "\ufdd1")


class BadRow(ValueError):
    """A row that cannot be used; the message says why."""


def content_hash(*parts: str, size: int = 16) -> str:
    return hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:size]


def read_form(record: Any) -> Row:
    """The `messages` or `text` of one record in any of the input forms.

    Raises BadRow with the reason.
    """
    if not isinstance(record, dict):
        raise BadRow(f"a row is an object, this is {type(record).__name__}; give {FORMS}")
    if "messages" in record:
        body: Row = {"messages": _messages(record["messages"])}
    elif "text" in record:
        body = {"text": _text(record["text"], "text")}
    else:
        for asked, answered in PAIRS:
            if asked in record and answered in record:
                answer = record[answered]
                if isinstance(answer, dict | list):
                    answer = dump_json(answer)
                body = {
                    "messages": [
                        {"role": "user", "content": _text(record[asked], asked)},
                        {"role": "assistant", "content": _text(answer, answered).strip()},
                    ]
                }
                break
        else:
            keys = ", ".join(map(str, record)) or "none"
            raise BadRow(f"no known form (keys: {keys}); give {FORMS}")
    written = dump_json(body)
    if any(mark in written for mark in RESERVED):
        raise BadRow("holds U+FDD0 or U+FDD1, which are no characters; remove them")
    if any("\ud800" <= sign <= "\udfff" for sign in written):
        raise BadRow("holds half a surrogate pair, which is no character; remove it")
    return body


def make_row(body: Row, source: str, line: int, origin: str = "source", **extra: Any) -> Row:
    """A row with its id and group. `extra`: set, group, lineage, …"""
    said = {name: value for name, value in body.items() if name != "fields"}
    key = content_hash(json.dumps(said, ensure_ascii=False, sort_keys=True))
    row = {"id": key, "group": content_hash(question(body)), "origin": origin, **body}
    return {**row, "source": {"file": source, "line": line}, **extra}


def question(row: Row) -> str:
    """Everything that precedes the last answer, folded: rows that ask the same belong together."""
    if "text" in row:
        return row["text"].casefold()
    return " ".join(map(_said, row["messages"][:-1])).casefold()


def answer(row: Row) -> str:
    """The last message as written: its content, and its tool calls as compact JSON where it has some."""
    return row["text"] if "text" in row else _said(row["messages"][-1])


def _said(message: Row) -> str:
    calls = message.get("tool_calls")
    return " ".join(filter(None, (message.get("content"), dump_json(calls) if calls else "")))


def visible(text: str) -> str:
    """An answer without its thinking; thinking that is never closed runs to the end."""
    return re.sub(r"<thinking>.*?(</thinking>|\Z)", "", text, flags=re.DOTALL | re.IGNORECASE).strip()


def _text(value: Any, key: str) -> str:
    if not isinstance(value, str):
        raise BadRow(f"{key!r} is {type(value).__name__}, not text")
    if not value.strip():
        raise BadRow(f"{key!r} is empty")
    return value


def _messages(value: Any) -> list[Row]:
    if not isinstance(value, list) or not value:
        raise BadRow("'messages' is not a list of messages")
    messages = []
    for message in value:
        if not isinstance(message, dict) or message.get("role") not in ROLES:
            raise BadRow(f"a message needs a role: {', '.join(ROLES)}")
        content = _text(message.get("content"), "content")
        role = message["role"]
        messages.append({"role": role, "content": content.strip() if role == "assistant" else content})
    if messages[-1]["role"] != "assistant":
        raise BadRow("the last message is not the assistant's: there is nothing to learn")
    if all(message["role"] != "user" for message in messages):
        raise BadRow("no message is the user's: nothing is asked")
    return messages
