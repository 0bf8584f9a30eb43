"""Names and YAML files that a command writes for a user: what else stands there stays as it is, comments too."""

import re
from typing import Any

import click
import yaml

NAME = re.compile("[a-z0-9][a-z0-9_-]*")


def check_name(name: str) -> None:
    """Raises click.ClickException for one that a stage would not take."""
    if not NAME.fullmatch(name):
        raise click.ClickException(f"{name!r} is no name; write a-z, 0-9, _ and -")
    kind = yaml.compose(name, yaml.SafeLoader).tag.rpartition(":")[2]
    if kind != "str":  # `no` or 1_000 would stand bare in params.yaml, and stop every stage
        raise click.ClickException(f"{name!r} is no name: YAML reads it as {kind}; choose another")


def yaml_writer() -> Any:
    """Of ruamel.yaml, in the style of the project's files."""
    from ruamel.yaml import YAML

    writer = YAML()
    writer.preserve_quotes, writer.width = True, 4096
    writer.indent(mapping=2, sequence=4, offset=2)
    return writer
