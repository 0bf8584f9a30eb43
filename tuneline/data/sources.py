"""The files that a recipe names → its rows."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import click
from jsonschema import Draft202012Validator

from tuneline.bulk.lines import PART, Mapped
from tuneline.data.external import fetch_external, read_external
from tuneline.data.inputs import read_folder, read_records
from tuneline.files import Row
from tuneline.recipe.form import known_fields, read_fields
from tuneline.recipe.forms import IGNORE, read_about, read_form, rename
from tuneline.recipe.own import Extracted
from tuneline.recipe.schemas import read_schema
from tuneline.recipe.settings import Files
from tuneline.rows import BadRow, make_row

Records = Callable[[Any], Iterable[Any]]  # what one record of a file holds: records of an input form, or a BadRow


def read_files(
    recipe: Path, settings: Files, state: Path, records: Records | None = None, mapped: Mapped = map
) -> Extracted:
    """The rows of the files that the recipe names.

    `records`: how a record that is no row itself is read. `mapped`: as `map`, for what needs one record at a time.
    Raises click.ClickException when a file is not there.
    """
    files = local_files(recipe / "source", state)
    missing = [name for name in (*settings.train, *settings.valid, *settings.test) if name not in files]
    if missing:
        raise click.ClickException(f"{recipe / 'source'} has no {', '.join(missing)}; correct recipe.yaml or add it")
    check = Draft202012Validator(read_schema(recipe / "source" / settings.fields)) if settings.fields else None
    return read_named(files, settings, check, records, mapped)


def read_named(
    files: Mapping[str, Path],
    settings: Files,
    check: Draft202012Validator | None = None,
    records: Records | None = None,
    mapped: Mapped = map,
) -> Extracted:
    """The rows of the files that the settings name, each in its set. `files`: name → file or folder."""
    listed = {**dict.fromkeys(settings.valid, "valid"), **dict.fromkeys(settings.test, "test")}
    rows, refused = [], []
    seen: dict[str, str] = {}
    for name in (*settings.train, *settings.valid, *settings.test):
        for row in read_file(files[name], name, settings, check, records, mapped):
            row = row if "reason" in row else _placed(row, listed.get(name), seen)
            (refused if "reason" in row else rows).append(row)
    return Extracted(rows, refused)


def _placed(row: Row, listed: str | None, seen: dict[str, str]) -> Row:
    """The row in its set, else why it is refused. `listed`: the set that its file is of; `seen`: id → where."""
    source = row["source"]
    said, where = row.pop("set", None), f"{source['file']}:{source['line']}"
    own = row.pop("own_id", False)
    if listed and said and said != listed:
        return _refused(f"its split is {said!r}, and recipe.yaml lists the file under {listed}", source)
    if own and row["id"] in seen:
        where = seen[row["id"]]
        return _refused(
            f"the id {row['id']!r} stands at {where} already; `ignore` ids in extract.columns, or correct them", source
        )
    seen.setdefault(row["id"], where)
    chosen = listed or said
    return row if chosen in (None, "train") else {**row, "set": chosen}


def read_file(
    path: Path,
    name: str,
    settings: Files,
    check: Draft202012Validator | None = None,
    records: Records | None = None,
    mapped: Mapped = map,
) -> Iterator[Row]:
    """The rows of one file or folder; a refused one is `{"reason", "detail", "file", "line"}`."""
    found = _records_of(path, name, settings.encoding, unwrap=records is None)
    rows_of = partial(_rows_of, settings=settings, check=check, records=records)
    at_once = iter(lambda: list(islice(found, PART)), [])
    for rows in (map if records else mapped)(rows_of, at_once):  # a reader's own function stays in this process
        yield from rows


def _rows_of(
    found: list[tuple[str, int, Any]], settings: Files, check: Draft202012Validator | None, records: Records | None
) -> list[Row]:
    known = known_fields(settings.form, check) if settings.form and not records else None
    rows = []
    for file, line, record in found:
        for one in [record] if records is None or isinstance(record, ValueError) else records(record):
            try:
                if isinstance(one, ValueError):
                    raise BadRow(str(one))
                body = _read_own(one, settings, check, known) if settings.form else read_form(one, settings.columns)
                rows.append(make_row(body, file, line, **({"own_id": True} if "id" in body else {})))
            except BadRow as reason:
                rows.append(_refused(str(reason), {"file": file, "line": line}))
    return rows


def _records_of(path: Path, name: str, encoding: str, unwrap: bool) -> Iterator[tuple[str, int, Any]]:
    """(name of the file below source/, line, record)."""
    if path.is_dir():
        for file, line, record in read_folder(path, encoding, unwrap):
            yield f"{name}/{file.relative_to(path).as_posix()}", line, record
    else:
        for line, record in read_records(path, encoding, unwrap):
            yield name, line, record


def _read_own(record: Any, settings: Files, check: Draft202012Validator | None, known: set[str] | None) -> Row:
    """A record with fields of its own, by the recipe's form. Raises BadRow for a field that nothing names."""
    if isinstance(record, dict):
        record = rename(record, settings.columns, keep_nulls=True)
        lost = [key for key, value in record.items() if known is not None and value is not None and key not in known]
        if lost:
            keys = ", ".join(map(repr, lost))
            raise BadRow(f"the form has no place for {keys}; name it there or in fields, or as `{IGNORE}` in columns")
    body = read_fields(record, settings.form, check)
    return {**body, **read_about(dict(record))}


def kinds_of(refused: Iterable[Row]) -> list[tuple[int, Row]]:
    """(how many, the first of them) of each kind of refusal; those of one kind differ in numbers alone."""
    kinds: dict[str, list[Row]] = {}
    for row in refused:
        kinds.setdefault(re.sub(r"0x[0-9A-F]+|\d+", "0", row["detail"]), []).append(row)
    return [(len(rows), rows[0]) for rows in kinds.values()]


def _refused(detail: str, source: Row) -> Row:
    return {"reason": "unreadable", "detail": detail, "file": source["file"], "line": source["line"]}


def local_files(folder: Path, state: Path) -> dict[str, Path]:
    """Name → file or folder of what the recipe may read: its own source folder, and declared external files."""
    files = {path.name: path for path in sorted(folder.glob("*"))}
    if "external.yaml" in files:
        files |= fetch_external(read_external(files["external.yaml"]), state / "external")
    return files
