"""Texts with ${placeholders}, the one template language: prompts of a recipe, how a record's fields become a row's
messages, and what a grammar or an offline teacher says."""

import string
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from tuneline.files import dump_json

BAD_DOLLAR = "a $ that starts no placeholder; write $$ for a dollar sign"


class Template(string.Template):
    """A text with ${name} or ${name.of.a.part}; $$ is a dollar sign."""

    idpattern = r"(?a:[a-z_][a-z0-9_]*(?:\.[a-z0-9_]+)*)"
    flags = 0


class _Asked(dict[str, Any]):
    def __init__(self, value_of: Callable[[str], Any]) -> None:
        super().__init__()
        self.value_of = value_of

    def __missing__(self, name: str) -> Any:
        return self.value_of(name)


def replace(text: str, value_of: Callable[[str], Any]) -> str:
    """The text with what the function says of each placeholder's name, asked from left to right.

    Raises ValueError for a $ that starts no placeholder.
    """
    return Template(text).substitute(_Asked(value_of))


def only_name(text: str) -> str | None:
    """The name of the placeholder that the whole text is; None where it is more, or none."""
    found = Template.pattern.fullmatch(text)
    return found and (found["braced"] or found["named"])


def fill(text: str, values: Mapping[str, Any], where: str) -> str:
    """The text with its placeholders filled; a list is written a line an entry.

    Raises click.ClickException that names unknown placeholders and the known ones.
    """
    template = Template(text)
    if not template.is_valid():
        raise click.ClickException(f"{where}: {BAD_DOLLAR}")
    if unknown := sorted(set(template.get_identifiers()) - set(values)):
        raise click.ClickException(f"{where}: unknown {', '.join(unknown)}; known are {', '.join(sorted(values))}")
    return template.substitute({name: as_text(values[name]) for name in template.get_identifiers()})


def fill_parts(parts: list[str], values: Mapping[str, Any], where: str) -> str:
    """The filled parts with an empty line between them, without those whose placeholders are all empty."""
    filled = []
    for part in parts:
        named = Template(part).get_identifiers()
        if not named or any(as_text(values.get(name)).strip() for name in named):
            filled.append(fill(part, dict.fromkeys(named, "") | dict(values), where))
    return "\n\n".join(filled)


def as_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return "\n".join(f"- {as_text(entry)}" for entry in value)
    return value if isinstance(value, str) else dump_json(value)


def read_prompt(path: Path) -> str:
    """Raises click.ClickException when the file is not there."""
    try:
        return path.read_text("utf-8").strip()
    except FileNotFoundError:
        raise click.ClickException(f"{path} is missing; recipe.yaml names it") from None
