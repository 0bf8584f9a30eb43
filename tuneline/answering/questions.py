"""Questions from a file."""

from pathlib import Path

import click

from tuneline.data.inputs import read_records
from tuneline.files import Row

ASKED = ("query", "prompt", "input")


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
