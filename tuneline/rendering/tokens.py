"""Token files: Parquet, one row a row, made once for both trainers.

Not Arrow: `datasets` writes its caches beside an Arrow file that somebody maps over in a notebook, and the stage
would run again. It reads a Parquet file into a cache of its own elsewhere.
"""

import json
from pathlib import Path
from typing import Any

import click

from tuneline.files import write_json
from tuneline.rendering.chat import Chat, Tokens

SETS = ("train", "valid")
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

    Raises click.ClickException when another tokenizer or template made them.
    """
    from datasets import Dataset
    from pyarrow.parquet import read_table

    made_by = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    if made_by["sha256"] != chat.sha256:
        raise click.ClickException(
            f"{folder} was made with another tokenizer or chat template (that of {made_by['base']}); "
            "run `dvc repro` so that format makes it anew"
        )
    # A fingerprint names caches, which these have none of; without one, datasets would pickle every row to make it.
    return {name: Dataset(read_table(folder / f"{name}.parquet"), fingerprint=name) for name in SETS}
