"""The source of a paper, a small strict Markdown and a module of figures beside it → its blocks."""

import importlib.util
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import click
from markup import maths, prose
from matplotlib.axes import Axes

KEYS = ["title", "categories", "keywords"]
LINES = {  # what a line can be besides text
    "section": re.compile(r"# (?P<text>\d+ \S.*|Abstract|Acknowledgements|References)"),
    "subsection": re.compile(r"## (?P<text>\d+\.\d+ \S.*)"),
    "equation": re.compile(r"\$\$ (?P<text>.+) \$\$ (?P<label>\(\d+\))"),
    "figure": re.compile(r"!\[(?P<label>Figure \d+:) (?P<text>.+)\]\((?P<name>\w+)\)"),
    "table": re.compile(r"(?P<label>Table \d+:) (?P<text>.+)"),
    "row": re.compile(r"\|(?P<text>.+)\|"),
    "item": re.compile(r"- (?P<text>.+)"),
    "reference": re.compile(r"(?P<label>\[\d+\]) (?P<text>.+)"),
}
REFUSED = {  # how a text begins that was meant for something else → how that is written
    "#": "a heading is # 1 Title, ## 1.1 Title, # Abstract, # Acknowledgements or # References",
    "$$": "an equation is $$ … $$ (1), alone on its line",
    "![": "a figure is ![Figure 1: Caption.](function), alone on its line",
    "|": "a row of a table ends with | too",
    "```": "there are no blocks of code, only `code` within a line",
    "---": "there are no rules, and only one head, at the top",
    "* ": "an item of a list begins with -",
    "+ ": "an item of a list begins with -",
    "1. ": "an item of a list begins with -, a reference with [1]",
}
APART = ("#", "$$", "![", "```", "* ")  # never within a paragraph
LONGER = {"text", "item", "reference", "table"}  # the next line, if it is text, goes on with these


@dataclass
class Block:
    """A part of a paper; texts and cells are in reportlab's tags."""

    kind: str  # a key of LINES, or text
    text: str
    label: str = ""
    rows: list[list[str]] = field(default_factory=list)
    draw_on: Callable[[Axes], None] | None = None


@dataclass
class Paper:
    title: str
    plain_title: str
    categories: str
    keywords: str
    blocks: list[Block]


def read_paper(path: Path) -> Paper:
    """Raises click.ClickException with file:line where the source is malformed."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{path}: {error}") from None
    head = [line.partition(": ") for line in lines[1:4]]
    if [lines[:1], lines[4:5]] != [["---"], ["---"]] or [key for key, _, value in head if value.strip()] != KEYS:
        raise _fail(path, 1, f"the head is ---, {', '.join(f'{key}: …' for key in KEYS)}, ---, a line each")
    title, categories, keywords = (value.strip() for _, _, value in head)
    module, blocks = _load(path.with_suffix(".py")), []
    for kind, line, texts in _groups(lines[5:], 6):
        if (kind == "row") != bool(blocks and blocks[-1].kind == "table" and not blocks[-1].rows):
            raise _fail(path, line, "a table is its caption, Table 1: …, then an empty line, then its rows")
        if kind == "row":
            blocks[-1].rows = _rows(path, line, texts)
        else:
            blocks.append(_block(path, line, kind, " ".join(texts), module))
    if not blocks or blocks[-1].kind != "reference":
        raise _fail(path, len(lines), "a paper ends with # References and [1] …, [2] …; add them")
    return Paper(_marked(path, 2, title), re.sub("[*`]", "", title), _marked(path, 3, categories), keywords, blocks)


def _groups(lines: list[str], start: int) -> Iterator[tuple[str, int, list[str]]]:
    """Kind, first line and lines of what belongs together."""
    kind, first, texts, references = "", start, [], False
    for line, text in enumerate([*map(str.strip, lines), ""], start):
        found = next((name for name, pattern in LINES.items() if pattern.fullmatch(text)), "text" if text else "")
        if found == "reference" and not references:
            found = "text"  # a line of a paragraph that begins with a citation
        if (found == "text" and kind in LONGER and not text.startswith(APART)) or found == kind == "row":
            texts.append(text)
            continue
        if kind:
            yield kind, first, texts
        references = references or text == "# References"
        kind, first, texts = found, line, [text]


def _block(path: Path, line: int, kind: str, text: str, module: ModuleType | None) -> Block:
    if kind == "text":
        begins = re.sub(r"^\d+\. ", "1. ", text)
        if meant := next((meant for start, meant in REFUSED.items() if begins.startswith(start)), ""):
            raise _fail(path, line, f"{text[:30]!r} is not of the format: {meant}")
        return Block(kind, _marked(path, line, text))
    match = LINES[kind].fullmatch(text).groupdict()
    block = Block(kind, _marked(path, line, match["text"], maths if kind == "equation" else prose))
    block.label = match.get("label", "")
    if kind == "figure":
        block.draw_on = getattr(module, match["name"], None)
        if not callable(block.draw_on):
            raise _fail(path, line, f"{path.with_suffix('.py').name} has no function {match['name']}(ax); write it")
    return block


def _rows(path: Path, start: int, lines: list[str]) -> list[list[str]]:
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    for line, row in enumerate(rows, start):
        if len(row) != len(rows[0]):
            raise _fail(path, line, f"this row has {len(row)} cells, the first has {len(rows[0])}; make them even")
    if len(rows) < 3 or not all(re.fullmatch(":?-+:?", cell) for cell in rows[1]):
        raise _fail(path, start, "a table has a row of names, a row |---|---|, and rows of values")
    return [[_marked(path, line, cell) for cell in row] for line, row in enumerate(rows, start) if line != start + 1]


def _load(path: Path) -> ModuleType | None:
    if not path.exists():
        return None
    spec = importlib.util.spec_from_file_location(f"figures of {path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look their own module up
    spec.loader.exec_module(module)
    return module


def _marked(path: Path, line: int, text: str, convert: Callable[[str], str] = prose) -> str:
    try:
        return convert(text)
    except ValueError as error:
        raise _fail(path, line, str(error)) from None


def _fail(path: Path, line: int, problem: str) -> click.ClickException:
    return click.ClickException(f"{path}:{line}: {problem}")
