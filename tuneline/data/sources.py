"""The files that a recipe names → its rows."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import click
from jsonschema import Draft202012Validator

from tuneline.data.external import fetch_external, read_external
from tuneline.data.inputs import read_records
from tuneline.files import Row
from tuneline.recipe.form import read_fields
from tuneline.recipe.own import Extracted
from tuneline.recipe.schemas import read_schema
from tuneline.recipe.settings import Files
from tuneline.rows import BadRow, make_row, read_form

Records = Callable[[Any], Iterable[Any]]  # what one record of a file holds: records of an input form, or a BadRow


def read_files(recipe: Path, settings: Files, state: Path, records: Records | None = None) -> Extracted:
    """The rows of the files that the recipe names.

    `records`: how a record that is no row itself is read. Raises click.ClickException when a file is not there.
    """
    files = local_files(recipe / "source", state)
    names = (*settings.train, *settings.valid, *settings.test)
    missing = [name for name in names if name not in files]
    if missing:
        raise click.ClickException(f"{recipe / 'source'} has no {', '.join(missing)}; correct recipe.yaml or add it")
    check = Draft202012Validator(read_schema(recipe / "source" / settings.fields)) if settings.fields else None
    held_out = {**{key: {"set": "valid"} for key in settings.valid}, **{key: {"set": "test"} for key in settings.test}}
    rows, refused = [], []
    for name in names:
        for row in read_file(files[name], name, settings, check, records):
            if "reason" in row:
                refused.append(row)
            else:
                rows.append({**row, **held_out.get(name, {})})
    return Extracted(rows, refused)


def read_file(
    path: Path,
    name: str,
    settings: Files,
    check: Draft202012Validator | None = None,
    records: Records | None = None,
) -> Iterator[Row]:
    """The rows of one file; a refused one is `{"reason", "detail", "file", "line"}`."""
    for line, record in read_records(path, settings.encoding):
        for one in [record] if records is None or isinstance(record, ValueError) else records(record):
            try:
                if isinstance(one, ValueError):
                    raise BadRow(str(one))
                body = read_fields(one, settings.form, check) if settings.form else read_form(one)
                yield make_row(body, name, line)
            except BadRow as reason:
                yield {"reason": "unreadable", "detail": str(reason), "file": name, "line": line}


def local_files(folder: Path, state: Path) -> dict[str, Path]:
    """Name → file of what the recipe may read: its own source folder, and declared external files."""
    files = {path.name: path for path in sorted(folder.glob("*")) if path.is_file()}
    if "external.yaml" in files:
        files |= fetch_external(read_external(files["external.yaml"]), state / "external")
    return files
