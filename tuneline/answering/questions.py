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
    """A row of each record: `messages`, of which the last is to be answered, `where`, and perhaps `tools` and `id`.

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
            rows.append({**row, "where": f"{file}:{line}"})
            left.update(keys)
        except BadRow as reason:
            wrong.append(f"{file}:{line}: {reason}")
    if wrong:
        more = f"; and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise click.ClickException("; ".join(wrong[:SHOWN]) + more)
    for key, count in left.items():
        click.echo(f"{path}: {key!r} of {count} rows is no part of a question, and is left out", err=True)
    return rows


def read_lines(raw: bytes) -> list[Row]:
    """A question a line. Raises click.ClickException that names a line that is no text."""
    rows = []
    for number, line in enumerate(raw.splitlines(), 1):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
        except UnicodeDecodeError as error:
            raise click.ClickException(f"line {number} of the input is no UTF-8: {error.reason}") from None
        if text:
            rows.append(one_question(text, f"line {number}"))
    return rows


def one_question(text: str, where: str) -> Row:
    """Raises click.ClickException for a text that none can be."""
    try:
        return {**read_question({"text": text})[0], "where": where}
    except BadRow as reason:
        raise click.ClickException(f"{where}: {reason}") from None
