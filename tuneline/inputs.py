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
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        from charset_normalizer import from_bytes

        best = from_bytes(raw).best()
        if best is None:
            raise click.ClickException(
                f"{path}: the encoding cannot be told; declare `encoding` in recipe.yaml"
            ) from None
        return str(best).removeprefix("\ufeff")


def read_records(path: Path, encoding: str = DETECT) -> Iterator[tuple[int, Any]]:
    """(line, record) of each record; a record that cannot be read is a ValueError in its place.

    The line of an array's element is the line on which it starts.
    """
    text = read_text(path, encoding)
    if path.suffix == ".csv":
        yield from _read_csv(text)
    elif text.lstrip().startswith("["):
        yield from _read_array(text)
    else:
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip():
                try:
                    yield number, json.loads(line)
                except ValueError as error:
                    yield number, ValueError(f"not JSON: {error}")


def _read_array(text: str) -> Iterator[tuple[int, Any]]:
    decoder = json.JSONDecoder()
    at = text.index("[") + 1
    line, counted = 1, 0
    while True:
        while at < len(text) and text[at] in " \t\r\n,":
            at += 1
        line, counted = line + text.count("\n", counted, at), at
        if at >= len(text):
            yield line, ValueError("the array is not closed: is the file cut?")
            return
        if text[at] == "]":
            return
        try:
            value, at = decoder.raw_decode(text, at)
        except ValueError as error:
            yield line, ValueError(f"not JSON from here on: {error}")
            return
        yield line, value


def _read_csv(text: str) -> Iterator[tuple[int, Any]]:
    try:
        dialect: Any = csv.Sniffer().sniff(text[:4096], delimiters=",;\t")
    except csv.Error:
        dialect = csv.excel
    reader = csv.DictReader(io.StringIO(text, newline=""), dialect=dialect, restkey="(extra)")
    line = 1
    for record in reader:
        line, start = reader.line_num, line + 1
        if "(extra)" in record or None in record.values():
            yield start, ValueError("the number of columns differs from the header's")
        else:
            yield start, record
