"""Rows → rows that fit the adapter's context, and the preamble under which they do.

Tokens are counted in the very rendering that will be trained. An over-long row is dropped, or its
last user message is cut at a sentence end and says so; an answer is never cut. A row whose text
spells out a special token is dropped: the tokenizer would read an end of turn there.

    python -m stages.trim --rows data/query_json/curate.jsonl --recipe recipes/query_json \\
        --base models/tiny --out data/query_json/trim.jsonl \\
        --drops data/query_json/trim.drops.jsonl --preamble data/query_json/preamble.json \\
        --metrics metrics/query_json/trim.json --adapter query_json --max-tokens 2048 --over-long cut
"""

import gc
from pathlib import Path

import click

from tuneline.files import Row, read_jsonl, write_counts, write_jsonl
from tuneline.models.base import read_base
from tuneline.recipe.settings import read_recipe
from tuneline.rendering.chat import Chat, load_chat
from tuneline.rendering.preamble import Preamble
from tuneline.sentences import ends

CUT = " […]"


def cuts(text: str) -> list[int]:
    """Where sentences and lines end: what people type is cut as well as what is printed."""
    lines = [place for place, sign in enumerate(text) if sign == "\n"]
    return sorted({*ends(text, printed=False), *lines})


def cut_user(row: Row, chat: Chat, max_tokens: int) -> Row | None:
    """The row with its last user message cut at a sentence end so that it fits; None if none does."""
    if "text" in row:
        return None
    index = max(i for i, m in enumerate(row["messages"]) if m["role"] == "user")
    content = row["messages"][index]["content"]
    places = [place for place in cuts(content) if content[:place].strip()]
    low, high, best = 0, len(places), None
    while low < high:
        middle = (low + high) // 2
        messages = list(row["messages"])
        messages[index] = {"role": "user", "content": content[: places[middle]].rstrip() + CUT}
        candidate = {**row, "messages": messages, "cut": True}
        if chat.count([candidate], max_tokens)[0] <= max_tokens:
            low, best = middle + 1, candidate
        else:
            high = middle
    return best


def trim(rows: list[Row], chat: Chat, max_tokens: int, cut: bool) -> tuple[list[Row], list[Row]]:
    """(kept, dropped), in the order of the rows."""
    kept: list[Row] = []
    dropped: list[Row] = []
    for row, size in zip(rows, chat.count(rows, max_tokens), strict=True):
        if token := chat.special_in(row):
            dropped.append({**row, "reason": "special token in the text", "token": token})
        elif size <= max_tokens:
            kept.append(row)
        elif cut and (shorter := cut_user(row, chat, max_tokens)):
            kept.append(shorter)
        else:
            dropped.append({**row, "reason": "over-long", "tokens": size})
    return kept, dropped


def recipe_preamble(recipe: Path, adapter: str) -> Preamble:
    """The recipe's system prompt, and the adapter's prefix where recipe.yaml names one."""
    system = (recipe / "system.md").read_text("utf-8").strip()
    return Preamble(system, read_recipe(recipe).prefix.get(adapter, "").strip())


@click.command()
@click.option("--rows", "rows_path", type=click.Path(path_type=Path), required=True)
@click.option("--recipe", type=click.Path(path_type=Path), required=True)
@click.option("--base", "base_folder", type=click.Path(path_type=Path), required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True)
@click.option("--preamble", "preamble_path", type=click.Path(path_type=Path), required=True)
@click.option("--drops", type=click.Path(path_type=Path), required=True)
@click.option("--metrics", type=click.Path(path_type=Path), required=True)
@click.option("--adapter", required=True, help="Rows that are another adapter's stay out.")
@click.option("--max-tokens", type=click.IntRange(1), required=True)
@click.option("--over-long", type=click.Choice(["cut", "drop"]), required=True)
def main(
    rows_path: Path,
    recipe: Path,
    base_folder: Path,
    out: Path,
    preamble_path: Path,
    drops: Path,
    metrics: Path,
    adapter: str,
    max_tokens: int,
    over_long: str,
) -> None:
    base = read_base(base_folder)
    if max_tokens > base.context:
        raise click.ClickException(f"trim.max-tokens {max_tokens} is over the {base.context} of {base_folder}")
    rows = [row for row in read_jsonl(rows_path) if row.get("adapter", adapter) == adapter]
    if not rows:
        raise click.ClickException(
            f"{rows_path} has no row for {adapter}; {recipe / 'recipe.yaml'} names adapters in sdg"
        )
    preamble = recipe_preamble(recipe, adapter)
    kept, dropped = trim(rows, load_chat(base, preamble), max_tokens, over_long == "cut")
    preamble.write(preamble_path)
    write_jsonl(drops, dropped)
    write_jsonl(out, kept)
    write_counts(metrics, len(rows), len(kept), dropped, cut=sum("cut" in row for row in kept))


if __name__ == "__main__":
    gc.disable()  # many rows and no cycles: looking for some takes a tenth of the time
    main()
