"""Texts with ${placeholders}: prompts of a recipe, and how a record's fields become a row's messages."""

import string
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click


class _Dotted(string.Template):
    idpattern = r"(?a:[a-z_][a-z0-9_]*(?:\.[a-z_][a-z0-9_]*)?)"
    flags = 0


def fill(text: str, values: Mapping[str, Any], where: str) -> str:
    """The text with its placeholders filled; a list is written a line an entry.

    Raises click.ClickException that names unknown placeholders and the known ones.
    """
    template = _Dotted(text)
    if not template.is_valid():
        raise click.ClickException(f"{where}: a $ that starts no placeholder; write $$ for a dollar sign")
    if unknown := sorted(set(template.get_identifiers()) - set(values)):
        raise click.ClickException(f"{where}: unknown {', '.join(unknown)}; known are {', '.join(sorted(values))}")
    return template.substitute({name: as_text(values[name]) for name in template.get_identifiers()})


def fill_parts(parts: list[str], values: Mapping[str, Any], where: str) -> str:
    """The filled parts with an empty line between them, without those whose placeholders are all empty."""
    filled = []
    for part in parts:
        named = _Dotted(part).get_identifiers()
        if not named or any(as_text(values.get(name)) for name in named):
            filled.append(fill(part, dict.fromkeys(named, "") | dict(values), where).strip())
    return "\n\n".join(filled)


def as_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return "\n".join(f"- {as_text(entry)}" for entry in value)
    return str(value)


def read_prompt(path: Path) -> str:
    """Raises click.ClickException when the file is not there."""
    try:
        return path.read_text("utf-8").strip()
    except FileNotFoundError:
        raise click.ClickException(f"{path} is missing; recipe.yaml names it") from None
