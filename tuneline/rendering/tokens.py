"""Token files: Arrow, one row a row, made once for both trainers."""

import json
from pathlib import Path
from typing import Any

import click

from tuneline.files import write_json
from tuneline.rendering.chat import Chat, Tokens

SETS = ("train", "valid")


def write_tokens(folder: Path, name: str, rows: list[Tokens]) -> None:
    """`<name>.arrow` with columns input_ids and labels, int32 lists of one length in a row."""
    import pyarrow as pa
    from datasets.arrow_writer import ArrowWriter

    kind = pa.list_(pa.int32())
    columns = {"input_ids": [row.ids for row in rows], "labels": [row.labels for row in rows]}
    with ArrowWriter(path=str(folder / f"{name}.arrow")) as writer:
        writer.write_table(pa.table({column: pa.array(lists, kind) for column, lists in columns.items()}))
        writer.finalize()


def write_tokenizer_name(folder: Path, chat: Chat, base: Path) -> None:
    write_json(folder / "tokenizer.json", {"base": base.as_posix(), "sha256": chat.sha256})


def read_tokens(folder: Path, chat: Chat) -> dict[str, Any]:
    """A `datasets.Dataset` for train and for valid.

    Raises click.ClickException when another tokenizer or template made them.
    """
    from datasets import Dataset

    made_by = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    if made_by["sha256"] != chat.sha256:
        raise click.ClickException(
            f"{folder} was made with another tokenizer or chat template (that of {made_by['base']}); "
            "run `dvc repro` so that format makes it anew"
        )
    return {name: Dataset.from_file(str(folder / f"{name}.arrow")) for name in SETS}
