"""The cases that a corpus starts from: gathered from a project's tests, counted before one is written."""

from dataclasses import dataclass
from pathlib import Path

import click

from tuneline.given import each_line


@dataclass(frozen=True)
class SeedCase:
    case_text: str
    target_toon: str | None  # None where the case has no record yet
    dimensions: dict[str, str | None]  # those that are known


def read_seed_cases(path: Path | None) -> list[SeedCase]:
    """Rows {case_text, target_toon?, dimensions?} of a JSON Lines file; none without a file.

    Raises click.ClickException that names the lines that are not of this form.
    """
    if path is None:
        return []
    found, wrong = [], []
    for number, row in each_line(path):
        dimensions = row.get("dimensions") or {} if isinstance(row, dict) else None
        if not isinstance(dimensions, dict) or not isinstance(row.get("case_text"), str):
            wrong.append(str(number))
            continue
        found.append(SeedCase(row["case_text"], row.get("target_toon"), dimensions))
    if wrong:
        raise click.ClickException(f"{path}: line {', '.join(wrong[:10])}: needs case_text, and may have dimensions")
    return found
