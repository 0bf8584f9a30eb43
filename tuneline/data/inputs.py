"""Reading people's files: JSON Lines, a JSON array or CSV, in UTF-8 or else a known encoding."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

# A value that is left open: the decoder looks at the bytes.
DETECT = "detect"


def read_text(path: Path, encoding: str = DETECT) -> str:
    """The file's text without a byte-order mark.

    Raises click.ClickException when the bytes are not in the declared encoding, or none fits.
    """
    raw = path.read_bytes()
    if encoding != DETECT:
        try:
            return raw.decode(encoding).removeprefix("\ufeff")
        except (UnicodeDecodeError, LookupError) as error:
            raise click.ClickException(f"{path}: {error}; correct `encoding` in recipe.yaml") from None
    try:
        return _decode_utf8(raw)
    except UnicodeDecodeError:
        found = _detect(raw)
    if found is None:
        raise click.ClickException(f"{path}: the encoding cannot be told; declare `encoding` in recipe.yaml")
    text, name = found
    click.echo(f"{path}: no UTF-8, read as {name}; if that is wrong, declare `encoding` in recipe.yaml", err=True)
    return text.removeprefix("\ufeff")


def _decode_utf8(raw: bytes) -> str:
    """UTF-8, also where signs beyond U+FFFF are two halves of three bytes each, as in a file of SNIPS."""
    halves = raw.decode("utf-8", "surrogatepass")
    return halves.encode("utf-16-le", "surrogatepass").decode("utf-16-le").removeprefix("\ufeff")


def _detect(raw: bytes) -> tuple[str, str] | None:
    """(text, encoding). A few accents say little: where cp1252 is as likely as the best guess, it is cp1252."""
    from charset_normalizer import from_bytes

    matches = from_bytes(raw)
    best = matches.best()
    if best is None:
        return None
    for match in matches:
        as_likely = match.chaos <= best.chaos and match.coherence >= best.coherence
        if as_likely and "cp1252" in match.could_be_from_charset:
            return raw.decode("cp1252"), "cp1252"
    return str(best), best.encoding


def read_records(path: Path, encoding: str = DETECT) -> Iterator[tuple[int, Any]]:
    """(line, record) of each record; a record that cannot be read is a ValueError in its place.

    The line is the one on which the record starts. Raises click.ClickException where the rest of the
    file cannot be read: nobody knows how many rows are lost there.
    """
    text = read_text(path, encoding)
    try:
        if path.suffix.lower() == ".csv":
            yield from _read_csv(text)
        elif text.lstrip().startswith("["):
            yield from _read_array(text)
        else:
            yield from _read_lines(text)
    except _Broken as reason:
        raise click.ClickException(f"{path}:{reason}; correct the file") from None


class _Broken(Exception):
    """`line: reason`; nothing can be read from there on."""


def _load(text: str) -> Any:
    """JSON without NaN and Infinity, which are none. Raises ValueError."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _read_lines(text: str) -> Iterator[tuple[int, Any]]:
    start = 1 + text[: len(text) - len(text.lstrip())].count("\n")
    try:
        yield start, _load(text)  # one object, on however many lines
        return
    except ValueError:
        pass
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield number, _load(line)
            except ValueError as error:
                yield number, ValueError(f"not JSON: {error}")


def _read_array(text: str) -> Iterator[tuple[int, Any]]:
    decoder = json.JSONDecoder(parse_constant=_refuse)
    at = text.index("[") + 1
    line, counted = 1, 0
    while True:
        while at < len(text) and text[at] in " \t\r\n,":
            at += 1
        line, counted = line + text.count("\n", counted, at), at
        if at >= len(text):
            raise _Broken(f"{line}: the array is not closed: is the file cut?")
        if text[at] == "]":
            if text[at + 1 :].strip():
                raise _Broken(f"{line}: there is more after the array")
            return
        try:
            value, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            raise _Broken(f"{line}: not JSON from here on: {error}") from None
        yield line, value


def _read_csv(text: str) -> Iterator[tuple[int, Any]]:
    """Columns are parted by the comma, semicolon or tab that the header has most of."""
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))
    # Strict, since a quote that is never closed would swallow the rows after it.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    start = 1
    try:
        header = [name.strip() for name in next(reader, [])]
        start = reader.line_num + 1
        for fields in reader:
            if fields and len(fields) != len(header):
                yield start, ValueError(f"{len(fields)} columns, the header has {len(header)}")
            elif fields:
                yield start, dict(zip(header, fields, strict=True))
            start = reader.line_num + 1
    except csv.Error as error:
        raise _Broken(f"{start}: not CSV from here on: {error}") from None
