"""An adapter's rows looked at without a model: its stages run into a folder beside, and three rows are shown."""

import importlib
import json
import os
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from tuneline.files import Row, printable, read_jsonl, read_rows
from tuneline.models.base import read_base
from tuneline.pipeline import stage_commands
from tuneline.recipe.settings import read_recipe
from tuneline.rendering.chat import Chat, load_chat
from tuneline.rendering.preamble import read_preamble
from tuneline.rows import message_text

OWN = ("data/", "metrics/")  # folders of a command's paths that stand in the other folder instead
SHOWN = 2000  # characters of a row, its middle left out
OPENED, CLOSED = "⟦", "⟧"


def examine(root: Path, adapter: str, folder: Path) -> Path:
    """Runs check, and extract to format, of an adapter, with all that they write below `folder`; its base's folder.

    What stood there goes. No strategy is asked for rows. Raises click.ClickException with the first fault, as the
    stage tells it.
    """
    commands = stage_commands(root)
    if f"format@{adapter}" not in commands:
        known = ", ".join(sorted(name.split("@")[1] for name in commands if name.startswith("format@")))
        raise click.ClickException(f"params.yaml has no adapter {adapter}; it has {known}")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    place = option(commands[f"trim@{adapter}"], "--recipe")
    recipe = place.name
    named = read_recipe(root / place).prefix  # by names that one on another base begins with: eli5, eli5_smollm2
    begin = [f"{name}_" for name in commands if name.startswith("trim@")]
    if unknown := [name for name in named if not any(one.startswith(f"trim@{name}_") for one in begin)]:
        raise click.ClickException(f"{place / 'recipe.yaml'}: prefix: there is no adapter {', '.join(unknown)}")
    os.environ.setdefault("DVC_ROOT", str(root))
    run(commands["check"], folder)
    run(commands[f"extract@{recipe}"], folder)
    made = option(commands[f"sdg@{recipe}"], "--out")
    shutil.copyfile(folder / option(commands[f"extract@{recipe}"], "--out"), folder / made)
    run(commands[f"curate@{recipe}"], folder)
    for stage in ("trim", "split", "format"):
        run(commands[f"{stage}@{adapter}"], folder)
    return option(commands[f"format@{adapter}"], "--base")


def option(command: str, flag: str) -> Path:
    words = shlex.split(command)
    return Path(words[words.index(flag) + 1])


def run(command: str, folder: Path) -> None:
    words = shlex.split(os.path.expandvars(command))
    given = [str(folder / word) if word.startswith(OWN) else word for word in words[3:]]
    stage: click.Command = importlib.import_module(words[2]).main
    stage.main(given, standalone_mode=False)


def three_rows(rows: list[Row], chat: Chat) -> list[Row]:
    """The shortest, the middle and the longest."""
    sized = sorted(range(len(rows)), key=lambda at: (sum(len(text) for text, _ in chat.render(rows[at])), at))
    places = dict.fromkeys((sized[0], sized[len(sized) // 2], sized[-1]))
    return [rows[at] for at in places]


def show_rows(folder: Path, adapter: str, base: Path) -> Iterator[str]:
    """Three training rows as they are trained: what is trained is green between ⟦ and ⟧."""
    chat = load_chat(read_base(base), read_preamble(folder / f"data/{adapter}/preamble.json"))
    rows = read_rows(folder / f"data/{adapter}/split/train.jsonl")
    for row in three_rows(rows, chat):
        source = row["source"]
        texts = chat.render(row)
        tokens = sum(len(piece.ids) for piece in chat.encode([row], [texts]))
        pieces = f" in {len(texts)} pieces" if len(texts) > 1 else ""
        yield click.style(f"\n{source['file']}:{source['line']}, {tokens} tokens{pieces}", bold=True)
        yield from (painted(*text) for text in texts)
        text = "".join(text for text, _ in texts)
        yield from (f"  · {line}" for line in done_by_template(row, text, chat))


def painted(text: str, spans: list[tuple[int, int]]) -> str:
    parts, at = [], 0
    for start, end in spans:
        parts += [shortened(text[at:start]), click.style(f"{OPENED}{shortened(text[start:end])}{CLOSED}", fg="green")]
        at = end
    return "".join([*parts, shortened(text[at:])])


def shortened(text: str) -> str:
    text = printable(text)
    if len(text) <= SHOWN:
        return text
    half = SHOWN // 2
    return f"{text[:half]} [… {len(text) - SHOWN} characters …] {text[-half:]}"


def done_by_template(row: Row, text: str, chat: Chat) -> Iterator[str]:
    """What the rendering added to the row or took from it."""
    if "text" in row:
        yield "trained whole, between the tokenizer's tokens for its beginning and end"
        return
    if chat.preamble.system and row["messages"][0]["role"] != "system":
        yield "the system prompt stands before it"
    if chat.writer.habits.folds:
        yield "the template takes no system message: system text stands in the first question"
    if chat.preamble.prefix:
        yield "the adapter's prefix stands before its last question"
    for message in row["messages"]:
        said = message["content"]
        if message.get("weight") == 0:
            yield "an answer of weight 0 is read and not trained"
        if said and said not in text:
            how = "trims" if said.strip() in text else "rewrites"
            yield f"the template {how} what the {message['role']} says: {message_text(message)[:60]!r}"
    if row.get("cut"):
        yield "trim has cut its longest question"


def summary(folder: Path, adapter: str) -> list[str]:
    """Lengths and sets, from the stages' own counts."""
    counts: dict[str, Any] = json.loads((folder / f"metrics/{adapter}/format.json").read_text("utf-8"))
    test = len(read_jsonl(folder / f"data/{adapter}/split/test.jsonl"))
    sizes = ", ".join(
        f"{name} {one['rows']} rows of {one['tokens'] / one['rows']:.0f} tokens (longest {one['longest']})"
        for name, one in counts.items()
    )
    return [f"{adapter}: {sizes}, test {test} rows"]
