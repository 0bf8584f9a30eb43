"""The SciTLDR form: `{"source": [sentence, …], "target": [summary, …], "title", "paper_id"}`, one object a line."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tuneline.data.sources import read_files
from tuneline.recipe.own import Extracted
from tuneline.recipe.settings import Files
from tuneline.rows import BadRow

Settings = Files


def read(recipe: Path, settings: Files, out: Path, state: Path) -> Extracted:
    return read_files(recipe, settings, state, read_multi_target)


def read_multi_target(record: Any) -> Iterator[dict | BadRow]:
    """`{"input", "output", "references"}` and the record's `title` and `paper_id`, or a BadRow in its place.

    The sentences are joined by a space. A target is one reference; the first, which is the author's own, is
    the answer that is learned.
    """
    sentences, targets = (_texts(record, key) for key in ("source", "target"))
    if not sentences or not targets:
        yield BadRow('not of the form {"source": [sentence, …], "target": [summary, …]}')
        return
    yield {
        "input": " ".join(sentences),
        "output": targets[0],
        "references": targets,
        **{key: record[key] for key in ("title", "paper_id") if key in record},
    }


def _texts(record: Any, key: str) -> list[str]:
    """The texts of a list, in one line each, without empty ones; none when it is no list of texts."""
    found = record.get(key) if isinstance(record, dict) else None
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        return []
    return [line for text in found if (line := " ".join(text.split()))]
