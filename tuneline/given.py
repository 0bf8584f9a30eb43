"""JSON Lines that a person brings, and no stage wrote: what is wrong there is the person's to correct."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click


def each_line(path: Path) -> Iterator[tuple[int, Any]]:
    """(number, value) of each line, of whatever form.

    Raises click.ClickException with file and line where one is no JSON.
    """
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                yield number, json.loads(line.decode("utf-8"))
            except (ValueError, RecursionError) as error:
                raise click.ClickException(f"{path}:{number}: not JSON ({error})") from None
