"""Anybody's text as Markdown that shows it and does nothing else: no markup, no mention, no image, no broken table."""

import re
from collections.abc import Iterable
from itertools import takewhile

# What nobody sees, what turns a text round, and half a pair of surrogates, which is no UTF-8.
UNSEEN = re.compile(r"[\x00-\x1f\x7f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]+")


def line(text: str, most: int) -> str:
    """A text on one line, cut to `most` characters."""
    text = " ".join(UNSEEN.sub(" ", text).split())
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def code(text: str, most: int = 100) -> str:
    """A text as code within a line."""
    text = line(text, most) or " "
    ticks = "`" * (_longest(text) + 1)
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{ticks}{pad}{text}{pad}{ticks}"


def cell(text: str, most: int = 100) -> str:
    """`code` within a cell of a table."""
    return code(text, most).replace("|", "\\|")


def tag(text: str, most: int = 100) -> str:
    """`code` within HTML, such as a summary, or within a line."""
    shown = re.sub(r"[^\w\s.,:/-]", lambda found: f"&#{ord(found[0])};", line(text, most))
    return f"<code>{shown}</code>"


def fence(lines: Iterable[str], most: int = 180) -> list[str]:
    """Lines as a block of code, in the colours of a diff: those that begin with + and -."""
    shown = [text if len(text) <= most else f"{text[: most - 1]}…" for text in (UNSEEN.sub(" ", one) for one in lines)]
    ticks = "`" * max(3, 1 + max(map(_longest, shown), default=0))
    return [f"{ticks}diff", *shown, ticks]


def details(summary: str, lines: list[str]) -> list[str]:
    """A block that opens at a click; only its summary where there is nothing in it."""
    if not lines:
        return [f"- {summary}"]
    return [f"<details><summary>{summary}</summary>", "", *lines, "", "</details>"]


def apart(texts: list[str], before: int = 40) -> list[str]:
    """The texts from shortly before the place where they part, so that it is seen however long they are."""
    same = takewhile(lambda signs: len(set(signs)) == 1, zip(*filter(None, texts), strict=False))
    start = max(0, sum(1 for _ in same) - before)
    return [f"…{text[start:]}" if start and text else text for text in texts]


def _longest(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)
