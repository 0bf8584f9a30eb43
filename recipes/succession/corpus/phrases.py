"""The offline writer's wording: patterns of sentences by parts of the record, read from writer.yaml."""

import random
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import yaml

from tuneline.ordering.shares import read_shares

from ..records.schema import Master

CONDITIONS = re.compile(r"((?:\w+=\w+(?:, )?)+) \| ")
SLOT = re.compile(r"\{(\w+)(?::(\w+))?\}")
CHOICE = re.compile(r"<([^<>]*)>")
SECTIONS = (
    "values uses parts lists questions contradicted contradictions unclear_death incomplete openings closings reported "
    "fillers other_domains"
).split()


@dataclass(frozen=True)
class Pattern:
    words: str
    conditions: tuple[tuple[str, str], ...]  # leaf, its value as `plain` has it
    leaves: frozenset[str]  # what it says

    def fits(self, told: dict[str, Any]) -> bool:
        """Whether all that it says is there to be told."""
        if not self.leaves <= told.keys():
            return False
        return all(plain(told[name]) == value for name, value in self.conditions)


def plain(value: Any) -> str:
    """A value as a condition names it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def read_pattern(written: str, names: Iterable[str]) -> Pattern:
    """`names`: the leaves of the part; other slots are words that the writer fills."""
    found = CONDITIONS.match(written)
    words = written[found.end() :] if found else written
    conditions = [tuple(pair.split("=")) for pair in found[1].split(", ")] if found else []
    slots = {slot for slot, _ in SLOT.findall(words)} & set(names)
    return Pattern(words, tuple(conditions), frozenset(slots | {name for name, _ in conditions}))


def choose(words: str, rng: random.Random) -> str:
    """One of each `<a|b>`."""
    return CHOICE.sub(lambda found: rng.choice(found[1].split("|")), words)


@dataclass(frozen=True)
class Part:
    """One thing of the record. `first`: patterns for the one whom it is about; `many` and the rest: of a list."""

    subject: str | None
    patterns: list[Pattern]
    first: list[Pattern]
    other: list[Pattern]
    head: list[Pattern]
    count: str | None
    join: str | None  # between the items, where it is always the same
    words: dict[str, list[str]]  # one, many, also, counted, single, number, zero


@dataclass(frozen=True)
class Phrases:
    parts: dict[str, Part]
    uses: dict[str, str]
    sections: dict[str, Any]
    words: dict[str, tuple[int, int]]  # length → fewest and most words
    paths: dict[str, str]  # a leaf's path without brackets, as parts name it → its path in the schema


def read_phrases(recipe: Path, master: Master) -> Phrases:
    """writer.yaml of the recipe, with the lengths of its dimensions.yaml.

    Raises click.ClickException when a section is missing, or a pattern names a leaf that the schema does not have.
    """
    path = recipe / "corpus" / "writer.yaml"
    try:
        read = yaml.safe_load(path.read_text("utf-8"))
    except FileNotFoundError:
        raise click.ClickException(f"{path} is missing; it is what the offline writer says") from None
    except yaml.YAMLError as error:
        raise click.ClickException(f"{path}: {' '.join(str(error).split())}") from None
    missing = [name for name in SECTIONS if name not in (read or {})]
    if missing:
        raise click.ClickException(f"{path}: has no {', '.join(missing)}")
    wrong: list[str] = []
    parts = {name: _part(name, told, master, False, wrong) for name, told in read["parts"].items()}
    parts |= {name: _part(name, told, master, True, wrong) for name, told in read["lists"].items()}
    if wrong:
        raise click.ClickException(f"{path}: {'; '.join(wrong)}")
    shares = read_shares(recipe / "dimensions.yaml")
    sections = {name: read[name] for name in SECTIONS if name not in ("uses", "parts", "lists")}
    paths = {path.replace("[]", ""): path for path in master.leaves}
    return Phrases(parts, read["uses"], sections, shares.words["length"], paths)


def _part(part: str, told: dict[str, Any], master: Master, is_list: bool, wrong: list[str]) -> Part:
    start = f"{part}."
    plain_paths = [path.replace("[]", "") for path in master.leaves]
    names = {path.removeprefix(start).split(".")[0] for path in plain_paths if path.startswith(start)}
    if not names:
        wrong.append(f"{part}: is not in the schema")

    def patterns(key: str) -> list[Pattern]:
        found = [read_pattern(words, names) for words in told.get(key, [])]
        for pattern in found:
            wrong.extend(f"{part}: no leaf {name}" for name, _ in pattern.conditions if name not in names)
        return found

    return Part(
        subject=told.get("subject"),
        patterns=patterns("details" if is_list else "patterns"),
        first=patterns("first"),
        other=patterns("other"),
        head=patterns("head"),
        count=told.get("count"),
        join=told.get("join"),
        words={key: told[key] for key in ("one", "many", "also", "counted", "single", "number", "zero") if key in told},
    )
