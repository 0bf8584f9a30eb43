"""Knobs that were turned, what rows and judgements cost, and prompts whose words are others."""

import difflib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tuneline.comparing.markdown import apart, code
from tuneline.comparing.sides import Side

KNOBS = re.compile(r"(?:.*/)?params\.yaml|recipes/[^/]+/recipe\.yaml")
PROMPT = re.compile(r"recipes/[^/]+/(?!source/)(?!(?:.*/)?README\.md).+\.md")
SPEND = ("spend", "judge_spend")  # names under which the stages tell what they paid
ABSENT = object()


@dataclass(frozen=True)
class Knob:
    """before, now: as YAML has them; ABSENT where that side has no such knob."""

    path: str
    name: str
    before: Any
    now: Any

    @property
    def title(self) -> str:
        """Its name, with the recipe or folder where it is not of params.yaml."""
        folder = self.path.rpartition("/")[0].removeprefix("recipes/")
        return f"{folder}: {self.name}" if folder else self.name

    def __str__(self) -> str:
        name = code(self.title, 60)
        if self.before is ABSENT:
            return f"new {name}" if isinstance(self.now, dict | list) else f"new {name} {_text(self.now)}"
        if self.now is ABSENT:
            return f"{name} gone"
        if isinstance(self.before, list) and isinstance(self.now, list):
            return f"{name} {_of_lists(self.before, self.now)}"
        return f"{name} {' → '.join(code(text, 40) for text in apart([_json(self.before), _json(self.now)], 12))}"


def _of_lists(old: list[Any], new: list[Any], most: int = 3) -> str:
    """What was put in and taken out."""
    parts = [f"+ {_text(value)}" for value in new if value not in old]
    parts += [f"− {_text(value)}" for value in old if value not in new]
    shown = ", ".join(parts[:most]) + (f" and {len(parts) - most} more" if len(parts) > most else "")
    return shown or "in another order"


def _text(value: Any) -> str:
    return code(_json(value), 40)


def _json(value: Any) -> str:
    return value if isinstance(value, str) and value.strip() else json.dumps(value, ensure_ascii=False, default=str)


def turned_knobs(before: Side, now: Side, changed: set[str]) -> list[Knob]:
    """Those that have another value first, then those that are new or gone."""
    paths = sorted((path for path in changed if KNOBS.fullmatch(path)), key=lambda path: (path.count("/"), path))
    found = [
        Knob(path, *difference)
        for path in paths
        for difference in differences(before.yaml(path) or {}, now.yaml(path) or {})
    ]
    return sorted(found, key=lambda knob: ABSENT in (knob.before, knob.now))


def differences(old: Any, new: Any, name: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(path, old, new) of each leaf that differs; of what one side has alone, its outermost part."""
    old, new = _named(old), _named(new)
    if not (isinstance(old, dict) and isinstance(new, dict)):
        if old != new:
            yield name, old, new
        return
    for key in dict.fromkeys([*old, *new]):
        yield from differences(old.get(key, ABSENT), new.get(key, ABSENT), f"{name}.{key}".strip("."))


def _named(value: Any) -> Any:
    """A list of things with names as an object, so that a new one does not shift the others."""
    if isinstance(value, list) and value and all(isinstance(one, dict) and "name" in one for one in value):
        found = {str(one["name"]): one for one in value}
        return found if len(found) == len(value) else value
    return value


def spend(side: Side) -> dict[str, float]:
    """File of metrics/ → USD that it tells."""
    found = {}
    for path in sorted(side.paths):
        if path.startswith("metrics/") and path.endswith(("/sdg.json", "/curate.json", "/report.json")):
            told = side.json(path)
            parts = [told[name] for name in SPEND if isinstance(told, dict) and isinstance(told.get(name), dict)]
            found[path] = sum(float(part.get("usd") or 0) for part in parts)
    return {path: usd for path, usd in found.items() if usd}


def prompt_lines(before: Side, now: Side, changed: set[str]) -> dict[str, list[str]]:
    """Prompt → its difference, line by line, without the lines that say where."""
    found = {}
    for path in sorted(path for path in changed if PROMPT.fullmatch(path)):
        old, new = ((side.text(path) or "").splitlines() for side in (before, now))
        lines = list(difflib.unified_diff(old, new, n=0, lineterm=""))[2:]
        found[path] = [line for line in lines if not line.startswith("@@")]
    return {path: lines for path, lines in found.items() if lines}
