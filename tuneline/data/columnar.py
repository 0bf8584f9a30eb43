"""Parquet and Arrow, which `datasets` writes, as records of plain values."""

import datetime
import json
import math
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import click

Records = Iterator[tuple[int, Any]]
STREAM = b"\xff\xff\xff\xff"


def read_columns(path: Path, raw: bytes) -> Records | None:
    """(number from 1, record) of each row; None where the bytes are of neither kind.

    A record that JSON cannot hold is a ValueError in its place. Raises click.ClickException when the bytes are cut.
    """
    if raw[:4] not in (b"PAR1", b"ARRO", STREAM):
        return None
    import pyarrow as pa

    try:
        table = _read_table(raw)
    except (pa.ArrowException, OSError) as error:
        why = " ".join(str(error).split())
        raise click.ClickException(f"{path}: no whole Parquet or Arrow ({why}): is the file cut?") from None
    names = table.column_names
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise click.ClickException(f"{path}: the column {twice!r} stands twice; correct the file")
    return _records(table)


def _read_table(raw: bytes) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    buffer = pa.BufferReader(raw)
    if raw.startswith(b"PAR1"):
        return pq.ParquetFile(buffer).read()
    return pa.ipc.open_stream(buffer).read_all() if raw.startswith(STREAM) else pa.ipc.open_file(buffer).read_all()


def _records(table: Any) -> Records:
    labels = label_names(table.schema.metadata or {})
    number = 0
    for batch in table.to_batches(max_chunksize=1000):
        for record in batch.to_pylist():
            number += 1
            yield number, _plain_record(record, labels)


def label_names(metadata: dict[bytes, bytes]) -> dict[str, list[str]]:
    """Column → its labels, where `datasets` has written that its numbers are labels."""
    told = json.loads(metadata.get(b"huggingface", b"{}")).get("info", {}).get("features", {})
    return {
        name: feature["names"]
        for name, feature in told.items()
        if isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
    }


def _plain_record(record: dict[str, Any], labels: dict[str, list[str]]) -> Any:
    try:
        plain = {name: _plain(name, value) for name, value in record.items()}
    except ValueError as error:
        return error
    for name, names in labels.items():
        if isinstance(plain.get(name), int):  # -1 is a row without a label
            plain[name] = names[plain[name]] if 0 <= plain[name] < len(names) else None
    return plain


def _plain(name: str, value: Any) -> Any:
    """A value as JSON has it; a time is ISO 8601. Raises ValueError."""
    if isinstance(value, dict):
        return {key: _plain(name, inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(name, inner) for inner in value]
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name!r} is {value}, which is no JSON")
    if value is None or isinstance(value, str | int | float | Decimal):
        return value
    raise ValueError(f"{name!r} holds {type(value).__name__}, which cannot be trained")
