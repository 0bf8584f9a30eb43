"""Token files: Parquet, one row a row, made once for both trainers.

Not Arrow: `datasets` writes its caches beside an Arrow file that somebody maps over in a notebook, and the stage
would run again. It reads a Parquet file into a cache of its own elsewhere.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from tuneline.files import write_json
from tuneline.rendering.chat import Chat, Tokens

SETS = ("train", "valid")
COLUMNS = ("input_ids", "labels")
ROWS_AT_ONCE = 1000  # of a row group: who reads a file decodes that many at a time, and not all of it twice


def write_tokens(folder: Path, name: str, rows: list[Tokens]) -> None:
    """`<name>.parquet` with columns input_ids and labels, int32 lists of one length in a row."""
    import pyarrow as pa
    from pyarrow.parquet import write_table

    kind = pa.list_(pa.int32())
    columns = {"input_ids": [row.ids for row in rows], "labels": [row.labels for row in rows]}
    table = pa.table({column: pa.array(lists, kind) for column, lists in columns.items()})
    write_table(table, folder / f"{name}.parquet", row_group_size=ROWS_AT_ONCE, compression="zstd", store_schema=False)


def write_tokenizer_name(folder: Path, chat: Chat, base: Path) -> None:
    write_json(folder / "tokenizer.json", {"base": base.as_posix(), "sha256": chat.sha256})


def read_tokens(folder: Path, chat: Chat) -> dict[str, Any]:
    """A `datasets.Dataset` in memory for train and for valid: what maps over it writes no file.

    Raises click.ClickException when another tokenizer or template made them, or a file of them is not whole.
    """
    from datasets import Dataset

    made_by = _read(folder / "tokenizer.json", lambda file: json.loads(file.read_text("utf-8")), ("base", "sha256"))
    if made_by["sha256"] != chat.sha256:
        raise click.ClickException(
            f"{folder} was made with another tokenizer or chat template (that of {made_by['base']}); "
            "run `dvc repro` so that format makes it anew"
        )
    # A fingerprint names caches, which these have none of; without one, datasets would pickle every row to make it.
    tables = {name: _read(folder / f"{name}.parquet", _read_table, COLUMNS) for name in SETS}
    return {name: Dataset(table, fingerprint=name) for name, table in tables.items()}


def _read_table(file: Path) -> Any:
    from pyarrow.parquet import read_table

    return read_table(file)


def _read(file: Path, read: Callable[[Path], Any], keys: Sequence[str]) -> Any:
    """What format wrote there. Raises click.ClickException in a line when it is torn, or somebody else's."""
    try:
        made = read(file)
        [made[key] for key in keys]
    except (ValueError, KeyError, TypeError, OSError) as error:  # pyarrow's are among them
        raise click.ClickException(
            f"{file}: not what format wrote ({' '.join(str(error).split())[:200]}); remove it and run `dvc repro`"
        ) from None
    return made
