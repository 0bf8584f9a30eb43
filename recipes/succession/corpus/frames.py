"""writer.yaml: sentences by the leaves that they say, and words by value."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from ..records.schema import Record

SLOT = re.compile(r"\{(\w+)(?::(\w+))?\}")
OPTION = re.compile(r"<([^<>]*)>")


@dataclass(frozen=True)
class Frame:
    leaves: dict[str, str | None]  # leaf → the value that it must have
    only: frozenset[str]  # moi, je, il, mort, vivant
    text: str
    note: str

    def fits(self, node: Record, tags: frozenset[str]) -> bool:
        told = all(name in node and want in (None, plain(node[name])) for name, want in self.leaves.items())
        return told and self.only <= tags


@dataclass(frozen=True)
class Words:
    """writer.yaml, read."""

    say: dict[str, list[Frame]]
    items: dict[str, dict[str, Any]]
    rest: dict[str, Any]


@cache
def read_words() -> Words:
    """Raises ValueError where a frame is none."""
    raw = yaml.safe_load(Path(__file__).with_name("writer.yaml").read_text("utf-8"))
    say = {path: [read_frame(one) for one in frames.splitlines() if one] for path, frames in raw.pop("say").items()}
    items = {
        path: {
            kind: told if kind in ("wrap", "what") else [read_frame(one) for one in told.splitlines()]
            for kind, told in of.items()
        }
        for path, of in raw.pop("items").items()
    }
    return Words(say, items, raw)


def read_frame(said: str) -> Frame:
    """`nom age=3 @je | text | note`."""
    leaves, text, *note = re.split(r" \| ", said)
    words = leaves.split()
    told = {name: (want if mark else None) for name, mark, want in (w.partition("=") for w in words if w[0] != "@")}
    if not told or len(note) > 1:
        raise ValueError(f"writer.yaml: {said!r} is no `leaves | sentence | note`")
    return Frame(told, frozenset(word[1:] for word in words if word[0] == "@"), text, note[0] if note else text)


def plain(value: Any) -> str | None:
    return str(value).lower() if isinstance(value, bool) else value if isinstance(value, str) else str(value)


def filled(words: str, slots: dict[str, str]) -> str:
    return SLOT.sub(lambda found: slots.get(found[1], found[0]), words)
