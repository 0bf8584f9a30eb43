"""Split rows → chat messages that mlx_lm.lora or TRL read as they are, and token ids with their loss mask.

    python -m stages.format --split data/query_json/split \\
        --preamble data/query_json/preamble.json --base models/tiny \\
        --chat data/query_json/chat --tokens data/query_json/tokens \\
        --metrics metrics/query_json/format.json --max-new-tokens 192
"""

import gc
from itertools import chain
from pathlib import Path

import click

from tuneline.files import Clock, Row, in_parts, read_rows, say, whole_folder, write_json, write_jsonl
from tuneline.models.base import read_base
from tuneline.rendering.chat import IGNORED, Tokens, load_chat
from tuneline.rendering.lengths import Most, check_room
from tuneline.rendering.light import leave_out_torch
from tuneline.rendering.preamble import Preamble, read_preamble
from tuneline.rendering.tokens import SETS, write_tokenizer_name, write_tokens


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


def show_pieces(rows: list[list[Tokens]], name: str) -> None:
    several = [len(pieces) for pieces in rows if len(pieces) > 1]
    if several:
        say(
            f"{name}: {len(several)} of {len(rows)} rows are trained in {sum(several)} pieces, since their earlier "
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
def main(
    split_folder: Path,
    preamble_path: Path,
    base_folder: Path,
    chat_folder: Path,
    tokens_folder: Path,
    metrics: Path,
    max_new_tokens: int | str,
) -> None:
    clock, preamble = Clock("format", chat_folder.parent.name), read_preamble(preamble_path)
    chat = load_chat(read_base(base_folder), preamble)
    counts = {}
    with whole_folder(chat_folder) as chats, whole_folder(tokens_folder) as tokens:
        for name in (*SETS, "test"):
            rows = read_rows(split_folder / f"{name}.jsonl")
            if not rows:
                raise click.ClickException(f"{split_folder / name}.jsonl has no row; run `dvc repro --force`")
            write_jsonl(chats / f"{name}.jsonl", (chat_row(row, preamble) for row in rows))
            if name == "test":
                check_room(max_new_tokens, chat, rows, str(split_folder / "test.jsonl"))
            if name in SETS:
                pieces = [piece for part in in_parts(f"format {name}", rows) for piece in chat.pieces(part)]
                encoded = list(chain.from_iterable(pieces))
                write_tokens(tokens, name, encoded)
                counts[name] = count_tokens(len(rows), encoded)
                show_pieces(pieces, name)
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
