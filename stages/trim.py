"""Rows → rows that fit the adapter's context, and the preamble under which they do.

Tokens are counted in the very rendering that will be trained. An over-long row is dropped, or, where recipe.yaml says
so, its longest question is cut between sentences and says so; an answer is never cut, nor the first and the last
sentence of a question. A row whose text spells out a special token is dropped: the tokenizer would read an end of turn
there.

    python -m stages.trim --rows data/query_json/curate.jsonl --recipe recipes/query_json \\
        --base models/tiny --out data/query_json/trim.jsonl \\
        --drops data/query_json/trim.drops.jsonl --preamble data/query_json/preamble.json \\
        --metrics metrics/query_json/trim.json --adapter query_json --max-tokens 2048 \\
        --engine local
"""

import gc
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import click

from tuneline.bulk.engines import engine_option, open_engine
from tuneline.bulk.lines import PART, Lines, Picked, dumped, parts, text_writer
from tuneline.files import Clock, Row, bar, write_counts
from tuneline.language.sentences import ends
from tuneline.models.base import Base, read_base
from tuneline.recipe.settings import Recipe, Trim, read_recipe
from tuneline.rendering.chat import Chat, load_chat
from tuneline.rendering.light import leave_out_torch
from tuneline.rendering.preamble import Preamble
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
    for row, size in zip(rows, chat.count(rows, max_tokens), strict=True):
        if token := chat.special_in(row):
            dropped.append({**row, "reason": "special token in the text", "token": token})
        elif size <= max_tokens:
            kept.append(row)
        elif cut and (short := cut_question(row, chat, max_tokens, settings.cut_from)):
            kept.append(short)
        else:
            dropped.append({**row, "reason": "over-long", "tokens": size})
    return kept, dropped


class Trimmed(NamedTuple):
    """A part of the rows: those kept and dropped as they stand in a file, and what there is of them."""

    kept: str
    dropped: str
    count: int  # of those kept
    cut: int
    held_out: int  # of those cut
    reasons: list[str]


class Trimmer:
    """`trim` of an adapter's rows among others, with the rendering; another process makes that anew."""

    def __init__(self, base: Base, preamble: Preamble, name: str, max_tokens: int, settings: Trim) -> None:
        self.given = base, preamble, name, max_tokens, settings
        self.chat = load_chat(base, preamble)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self.given

    def __call__(self, rows: Iterable[Row]) -> Trimmed:
        *_, max_tokens, settings = self.given
        kept, dropped = trim(list(filter(self.is_own, rows)), self.chat, max_tokens, settings)
        cut = [row for row in kept if "cut" in row]
        reasons = [row["reason"] for row in dropped]
        return Trimmed(dumped(kept), dumped(dropped), len(kept), len(cut), sum("set" in row for row in cut), reasons)

    def is_own(self, row: Row) -> bool:
        name = self.given[2]
        return row.get("adapter", name) == name


def name_in_recipe(recipe: Recipe, rows: Iterable[Row], adapter: str, base: Path) -> str:
    """What the recipe calls the adapter: `eli5_smollm2` on data/bases/smollm2 learns what `eli5` is to learn, unless
    `prefix` or a row names it itself.
    """
    other = adapter.removesuffix(f"_{base.name}")
    named = other == adapter or adapter in recipe.prefix or any(row.get("adapter") == adapter for row in rows)
    return adapter if named else other


def recipe_preamble(folder: Path, recipe: Recipe, name: str) -> Preamble:
    """The recipe's system prompt, and the prefix where recipe.yaml has one for the adapter that it calls `name`."""
    system = (folder / "system.md").read_text("utf-8").strip()
    return Preamble(system, recipe.prefix.get(name, "").strip())


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
@engine_option
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
    engine: str,
) -> None:
    clock, base = Clock("trim", adapter), read_base(base_folder)
    if max_tokens > base.context:
        raise click.ClickException(f"trim.max-tokens {max_tokens} is over the {base.context} of {base_folder}")
    rows, settings = Lines(rows_path), read_recipe(recipe)
    name = name_in_recipe(settings, rows, adapter, base_folder)
    preamble = recipe_preamble(recipe, settings, name)
    trimmer = Trimmer(base, preamble, name, max_tokens, settings.trim)
    if not trimmer.chat.takes_tools:
        trimmer.chat.check_tools(Picked(rows, (at for at, row in enumerate(rows) if trimmer.is_own(row))))
    found = []
    with open_engine(engine) as mapped, text_writer(out) as keep:
        with text_writer(drops) as drop:
            todo = parts(rows)
            for part in bar(f"trim, parts of {PART:,} rows", mapped(trimmer, todo), total=len(todo)):
                keep(part.kept)
                drop(part.dropped)
                found.append(part._replace(kept="", dropped=""))
            count, cut, held_out = (sum(getattr(part, name) for part in found) for name in ("count", "cut", "held_out"))
            dropped = [{"reason": reason} for part in found for reason in part.reasons]
            read = count + len(dropped)
            if not read:
                raise click.ClickException(
                    f"{rows_path} has no row for {name}; {recipe / 'recipe.yaml'} names adapters in sdg"
                )
        if not count:
            why = ", ".join(f"{times} {reason}" for reason, times in Counter(row["reason"] for row in dropped).items())
            raise click.ClickException(
                f"no row of {read} is left: {why}, with trim.max-tokens {max_tokens}; see {drops}"
            )
        preamble.write(preamble_path)
    write_counts(metrics, read, count, dropped, cut=cut)
    of_these = {"cut to trim.max-tokens": cut, "cut, and held out": held_out}
    show_counts(f"{adapter}: trim", read, count, dropped, of_these)
    clock.tell(f"{read:,} → {count:,} rows", f"{cut:,} cut, {len(dropped):,} dropped")


if __name__ == "__main__":
    leave_out_torch()
    gc.disable()  # many rows and no cycles: looking for some takes a tenth of the time
    main()
