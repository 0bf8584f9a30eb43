"""Rows → rows that fit the adapter's context, and the preamble under which they do.

Tokens are counted in the very rendering that will be trained. An over-long row is dropped, or, where recipe.yaml says
so, its longest question is cut between sentences and says so; an answer is never cut, nor the first and the last
sentence of a question. A row whose text spells out a special token is dropped: the tokenizer would read an end of turn
there.

    python -m stages.trim --rows data/query_json/curate.jsonl --recipe recipes/query_json \\
        --base models/tiny --out data/query_json/trim.jsonl \\
        --drops data/query_json/trim.drops.jsonl --preamble data/query_json/preamble.json \\
        --metrics metrics/query_json/trim.json --adapter query_json --max-tokens 2048
"""

import gc
from itertools import chain
from pathlib import Path

import click

from tuneline.files import Clock, Row, in_parts, read_rows, write_counts, write_jsonl
from tuneline.models.base import read_base
from tuneline.recipe.settings import Trim, read_recipe
from tuneline.rendering.chat import Chat, load_chat
from tuneline.rendering.light import leave_out_torch
from tuneline.rendering.preamble import Preamble
from tuneline.sentences import ends
from tuneline.table import show_counts

CUT = " […] "


def cuts(text: str) -> list[int]:
    """Where sentences and lines end: what people type is cut as well as what is printed."""
    lines = [place for place, sign in enumerate(text) if sign == "\n"]
    return sorted({*ends(text, printed=False), *lines})


def shorter(text: str, parts: int, cut_from: str) -> str:
    """The text with so many of its inner sentences, its first and last beside; `cut_from`: where the others stood."""
    places = [place for place in cuts(text) if text[:place].strip() and text[place:].strip()]
    first, last = places[0], places[-1]
    inner = places[1:]
    if cut_from == "end":
        return text[: places[parts]].rstrip() + CUT + text[last:].lstrip()
    return text[:first].rstrip() + CUT + text[[first, *inner][len(inner) - parts] :].lstrip()


def cut_question(row: Row, chat: Chat, max_tokens: int, cut_from: str) -> Row | None:
    """The row with its longest question cut so that it fits; None if it cannot."""
    if "text" in row:
        return None
    asked = [i for i, message in enumerate(row["messages"]) if message["role"] == "user"]
    index = max(asked, key=lambda i: len(row["messages"][i]["content"]))
    content = row["messages"][index]["content"]
    inner = sum(bool(content[:place].strip() and content[place:].strip()) for place in cuts(content)) - 1
    low, high, best = 0, inner, None
    while low < high:
        middle = (low + high) // 2
        messages = list(row["messages"])
        messages[index] = {**messages[index], "content": shorter(content, middle, cut_from)}
        candidate = {**row, "messages": messages, "cut": True}
        if chat.count([candidate], max_tokens)[0] <= max_tokens:
            low, best = middle + 1, candidate
        else:
            high = middle
    return best


def trim(rows: list[Row], chat: Chat, max_tokens: int, settings: Trim) -> tuple[list[Row], list[Row]]:
    """(kept, dropped), in the order of the rows."""
    kept: list[Row] = []
    dropped: list[Row] = []
    cut = settings.over_long == "cut"
    sizes = chain.from_iterable(chat.count(part, max_tokens) for part in in_parts("trim", rows))
    for row, size in zip(rows, sizes, strict=True):
        if token := chat.special_in(row):
            dropped.append({**row, "reason": "special token in the text", "token": token})
        elif size <= max_tokens:
            kept.append(row)
        elif cut and (short := cut_question(row, chat, max_tokens, settings.cut_from)):
            kept.append(short)
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
) -> None:
    clock, base = Clock("trim", adapter), read_base(base_folder)
    if max_tokens > base.context:
        raise click.ClickException(f"trim.max-tokens {max_tokens} is over the {base.context} of {base_folder}")
    rows = [row for row in read_rows(rows_path) if row.get("adapter", adapter) == adapter]
    if not rows:
        raise click.ClickException(
            f"{rows_path} has no row for {adapter}; {recipe / 'recipe.yaml'} names adapters in sdg"
        )
    preamble = recipe_preamble(recipe, adapter)
    chat = load_chat(base, preamble)
    chat.check_tools(rows)
    kept, dropped = trim(rows, chat, max_tokens, read_recipe(recipe).trim)
    write_jsonl(drops, dropped)
    if not kept:
        raise click.ClickException(f"no row of {len(rows)} has room in trim.max-tokens {max_tokens}; see {drops}")
    preamble.write(preamble_path)
    write_jsonl(out, kept)
    cut = [row for row in kept if "cut" in row]
    write_counts(metrics, len(rows), len(kept), dropped, cut=len(cut))
    held_out = sum("set" in row for row in cut)
    of_these = {"cut to trim.max-tokens": len(cut), "cut, and held out": held_out}
    show_counts(f"{adapter}: trim", len(rows), len(kept), dropped, of_these)
    clock.tell(f"{len(rows):,} → {len(kept):,} rows", f"{len(cut):,} cut, {len(dropped):,} dropped")


if __name__ == "__main__":
    leave_out_torch()
    gc.disable()  # many rows and no cycles: looking for some takes a tenth of the time
    main()
