"""How an adapter is asked, in training as in predict; questions from a file; dates for ranges in an answer."""

import datetime
import json
from pathlib import Path

import click

from tuneline.files import Row, dump_json
from tuneline.inputs import read_records
from tuneline.timerange import resolve

ASKED = ("query", "prompt", "input")


def dress(messages: list[Row], system: str, prefix: str) -> list[Row]:
    """The messages under the system prompt, unless they have their own, the last question after the prefix."""
    last = max((i for i, m in enumerate(messages) if m["role"] == "user"), default=None)
    dressed = list(messages)
    if prefix and last is not None:
        dressed[last] = {"role": "user", "content": f"{prefix}\n\n{dressed[last]['content']}"}
    if system and dressed[0]["role"] != "system":
        dressed.insert(0, {"role": "system", "content": system})
    return dressed


def read_questions(path: Path) -> list[list[Row]]:
    """The conversation of each row, ending with the user's turn.

    Raises click.ClickException that names every bad row.
    """
    conversations, wrong = [], []
    for line, record in read_records(path):
        asked = record if isinstance(record, dict) else {}
        text = next((asked[key] for key in ASKED if isinstance(asked.get(key), str) and asked[key].strip()), None)
        messages = asked.get("messages")
        if text:
            conversations.append([{"role": "user", "content": text}])
        elif isinstance(messages, list) and messages and all(isinstance(m, dict) for m in messages):
            conversations.append(messages[:-1] if messages[-1].get("role") == "assistant" else messages)
        else:
            reason = record if isinstance(record, ValueError) else 'needs "query", "prompt", "input" or "messages"'
            wrong.append(f"{path}:{line}: {reason}")
    if wrong:
        raise click.ClickException("; ".join(wrong[:10]))
    return conversations


def with_dates(answer: str, today: datetime.date) -> str:
    """The answer with `filters.time.range` replaced by its first and last day; any other answer as it is."""
    try:
        value = json.loads(answer)
        time = value["filters"]["time"]
        start, end = resolve(time["range"], today, value.get("temporal_direction"))
    except (ValueError, KeyError, TypeError):
        return answer
    value["filters"]["time"] = {"start": start.isoformat(), "end": end.isoformat()}
    return dump_json(value)
