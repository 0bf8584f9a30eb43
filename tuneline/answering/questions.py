"""Questions from a file, in every form in which rows come."""

from collections import Counter
from pathlib import Path

import click

from tuneline.data.inputs import read_folder, read_records
from tuneline.files import Row
from tuneline.recipe.forms import read_question
from tuneline.rows import BadRow

SHOWN = 10


def read_questions(path: Path) -> list[Row]:
    """A row with `messages` and perhaps `tools` and `id` of each record; its last message is the one to be answered.

    Raises click.ClickException that names every bad row.
    """
    rows, wrong = [], []
    left: Counter[str] = Counter()
    records = read_folder(path) if path.is_dir() else ((path, line, record) for line, record in read_records(path))
    for file, line, record in records:
        try:
            if isinstance(record, ValueError):
                raise BadRow(str(record))
            row, keys = read_question(record)
            rows.append(row)
            left.update(keys)
        except BadRow as reason:
            wrong.append(f"{file}:{line}: {reason}")
    if wrong:
        more = f"; and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise click.ClickException("; ".join(wrong[:SHOWN]) + more)
    for key, count in left.items():
        click.echo(f"{path}: {key!r} of {count} rows is no part of a question, and is left out", err=True)
    return rows
