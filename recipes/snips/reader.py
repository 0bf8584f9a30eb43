"""The SNIPS form: `{intent: [{"data": [{"text", "entity"?}, …]}]}`, one object a file.

A request is the concatenation of its texts; a part with an entity is a slot value.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tuneline.data.sources import read_files
from tuneline.recipe.own import Extracted
from tuneline.recipe.settings import Files
from tuneline.rows import BadRow

Settings = Files


def read(recipe: Path, settings: Files, out: Path, state: Path) -> Extracted:
    return read_files(recipe, settings, state, read_annotated)


def read_annotated(record: Any) -> Iterator[dict | BadRow]:
    """`{"query", "data"}` of each request, or a BadRow in its place; data is the intent and each slot's values."""
    if not isinstance(record, dict) or not all(isinstance(requests, list) for requests in record.values()):
        yield BadRow('not of the form {intent: [{"data": [{"text", "entity"?}]}]}')
        return
    for intent, requests in record.items():
        for number, request in enumerate(requests, 1):
            try:
                parts = request["data"]
                query = "".join(part["text"] for part in parts)
                slots: dict[str, list[str]] = {}
                for part in parts:
                    if "entity" in part:
                        slots.setdefault(part["entity"], []).append(part["text"].strip())
            except (KeyError, TypeError, AttributeError) as error:
                yield BadRow(f"request {number} of {intent} is malformed: {error!r}")
            else:
                yield {"query": query.strip(), "data": {"intent": intent, "slots": slots}}
