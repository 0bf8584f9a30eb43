"""Split rows → chat messages that mlx_lm.lora or TRL read as they are, and token ids with their loss mask.

    python -m stages.format --split data/query_json/split \\
        --preamble data/query_json/preamble.json --base models/tiny \\
        --chat data/query_json/chat --tokens data/query_json/tokens \\
        --metrics metrics/query_json/format.json --max-new-tokens 192 --engine local
"""

import gc
import tempfile
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import click

from tuneline.bulk.engines import engine_option, open_engine
from tuneline.bulk.lines import PART, Lines, dumped, parts, text_writer
from tuneline.files import Clock, Row, bar, say, whole_folder, write_json, write_jsonl
from tuneline.models.base import Base, read_base
from tuneline.rendering.chat import IGNORED, Tokens, load_chat
from tuneline.rendering.lengths import Most, check_room
from tuneline.rendering.light import leave_out_torch
from tuneline.rendering.preamble import Preamble, read_preamble
from tuneline.rendering.tokens import ROWS_AT_ONCE, SETS, write_tokenizer_name, write_tokens


def chat_row(row: Row, preamble: Preamble) -> Row:
    body = {"text": row["text"]} if "text" in row else {"messages": preamble.before(row["messages"])}
    return {"id": row["id"], **body, **{key: row[key] for key in ("tools", "fields") if key in row}}


def count_tokens(rows: int, pieces: list[Tokens]) -> dict[str, int]:
    """A row is one piece, unless the template writes its earlier turns otherwise once more follows."""
    return {
        "rows": rows,
        "pieces": len(pieces),
        "tokens": sum(len(piece.ids) for piece in pieces),
        "trained_tokens": sum(len(piece.labels) - piece.labels.count(IGNORED) for piece in pieces),
        "longest": max(len(piece.ids) for piece in pieces),
    }


class Formatted(NamedTuple):
    """A part of a set: its chat rows as they stand in a file, the file of its tokens, and what there is of them."""

    chats: str
    tokens: bytes
    counts: dict[str, int]
    several: list[int]  # pieces of each row that has more than one


class Formatter:
    """Rows → what is written of them, with the rendering; another process makes that anew."""

    def __init__(self, base: Base, preamble: Preamble) -> None:
        self.given = base, preamble
        self.chat = load_chat(base, preamble)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self.given

    def __call__(self, part: Iterable[Row]) -> Formatted:
        rows = list(part)
        pieces = self.chat.pieces(rows)
        encoded = list(chain.from_iterable(pieces))
        with tempfile.TemporaryDirectory() as folder:
            write_tokens(Path(folder), "part", encoded)
            tokens = (Path(folder) / "part.parquet").read_bytes()
        several = [len(of_row) for of_row in pieces if len(of_row) > 1]
        return Formatted(dumped(self.chats(rows)), tokens, count_tokens(len(rows), encoded), several)

    def chats(self, rows: Iterable[Row]) -> Iterator[Row]:
        return (chat_row(row, self.chat.preamble) for row in rows)


def join_tokens(files: Iterable[bytes], path: Path) -> None:
    """Token files as the one that `write_tokens` would make of all their rows."""
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter, read_table

    tables = (read_table(pa.BufferReader(file)) for file in files)
    rest = next(tables)
    with ParquetWriter(path, rest.schema, compression="zstd", store_schema=False) as writer:
        for table in tables:
            if whole := len(rest) // ROWS_AT_ONCE * ROWS_AT_ONCE:
                writer.write_table(rest.slice(0, whole), ROWS_AT_ONCE)
            rest = pa.concat_tables([rest.slice(whole), table]).combine_chunks()
        writer.write_table(rest, ROWS_AT_ONCE)


def write_set(made: Iterable[Formatted], chats: Path, tokens: Path) -> list[Formatted]:
    """Writes both files; what there is of each part."""
    found = []
    with text_writer(chats) as write:

        def files() -> Iterator[bytes]:
            for part in made:
                write(part.chats)
                found.append(part._replace(chats="", tokens=b""))
                yield part.tokens

        join_tokens(files(), tokens)
    return found


def add_counts(counts: list[dict[str, int]]) -> dict[str, int]:
    """Those of several parts as one."""
    return {name: (max if name == "longest" else sum)(part[name] for part in counts) for name in counts[0]}


def show_pieces(rows: int, several: list[int], name: str) -> None:
    if several:
        say(
            f"{name}: {len(several)} of {rows} rows are trained in {sum(several)} pieces, since their earlier "
            "turns are written otherwise once more follows: each answer after what the model is given there"
        )


@click.command()
@click.option("--split", "split_folder", type=click.Path(path_type=Path), required=True)
@click.option("--preamble", "preamble_path", type=click.Path(path_type=Path), required=True)
@click.option("--base", "base_folder", type=click.Path(path_type=Path), required=True)
@click.option("--chat", "chat_folder", type=click.Path(path_type=Path), required=True)
@click.option("--tokens", "tokens_folder", type=click.Path(path_type=Path), required=True)
@click.option("--metrics", type=click.Path(path_type=Path), required=True)
@click.option("--max-new-tokens", type=Most(), required=True, help="Of an answer: every test row's must fit.")
@engine_option
def main(
    split_folder: Path,
    preamble_path: Path,
    base_folder: Path,
    chat_folder: Path,
    tokens_folder: Path,
    metrics: Path,
    max_new_tokens: int | str,
    engine: str,
) -> None:
    clock = Clock("format", chat_folder.parent.name)
    formatter = Formatter(read_base(base_folder), read_preamble(preamble_path))
    chat, counts = formatter.chat, {}
    folders = whole_folder(chat_folder), whole_folder(tokens_folder)
    with open_engine(engine) as mapped, folders[0] as chats, folders[1] as tokens:
        for name in (*SETS, "test"):
            rows = Lines(split_folder / f"{name}.jsonl")
            if not rows:
                raise click.ClickException(f"{rows.path} has no row; run `dvc repro --force`")
            if name in SETS:
                label, todo = f"format {name}, parts of {PART:,} rows", parts(rows)
                made = bar(label, mapped(formatter, todo), total=len(todo))
                found = write_set(made, chats / f"{name}.jsonl", tokens / f"{name}.parquet")
                counts[name] = add_counts([part.counts for part in found])
                show_pieces(len(rows), [count for part in found for count in part.several], name)
            else:
                write_jsonl(chats / f"{name}.jsonl", formatter.chats(rows))
                check_room(max_new_tokens, chat, rows, str(rows.path))
        if chat.writer.habits.folds:
            say("the base's chat template takes no system message: system text stands before the first question")
        write_tokenizer_name(tokens, chat, base_folder)
    write_json(metrics, counts)
    rows, tokens, trained = (sum(one[key] for one in counts.values()) for key in ("rows", "tokens", "trained_tokens"))
    longest = max(one["longest"] for one in counts.values())
    clock.tell(f"{rows:,} rows → {tokens:,} tokens", f"{trained:,} of them trained, longest {longest:,}")


if __name__ == "__main__":
    leave_out_torch()
    gc.disable()  # many rows and no cycles: looking for some takes a tenth of the time
    main()
