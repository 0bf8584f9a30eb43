"""The fonts of a paper, and its inline source → the tags of reportlab's paragraphs.

Fonts are the ones that matplotlib brings: STIX (OFL) for text and signs, DejaVu Sans Mono for `code`.
"""

import re
from pathlib import Path
from xml.sax.saxutils import escape

import matplotlib
from reportlab.lib.fonts import addMapping
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont

TEXT, CODE = "STIXGeneral", "DejaVuSansMono"
FACES = {(0, 0): TEXT, (1, 0): f"{TEXT}Bol", (0, 1): f"{TEXT}Italic", (1, 1): f"{TEXT}BolIta"}  # bold, italic → font
EMPHASIS = re.compile(r"\*(?=\S)([^*]+)(?<=\S)\*")
SCRIPT = re.compile(r"([_^])\{([^{}]*)\}")
TAGS = {"_": ('<sub rise="16%" size="72%">', "</sub>"), "^": ('<super rise="34%" size="72%">', "</super>")}
WORD = re.compile(r"<i>[^<]*</i>|<[^>]*>|&\w+;|[A-Za-z]+|[α-ωϑϕϵ]")  # what is marked up already is passed over
UPRIGHT = {"ln", "lg", "Pr", "if", "in", "is", "of", "or", "to", "st", "nd", "rd", "th"}


def register_fonts() -> None:
    folder = Path(matplotlib.get_data_path()) / "fonts/ttf"
    for name in (*FACES.values(), CODE):
        pdfmetrics.registerFont(TTFont(name, folder / f"{name}.ttf"))
    for (bold, italic), name in FACES.items():
        addMapping(TEXT, bold, italic, name)


def prose(text: str) -> str:
    """Inline source with *emphasis*, `code` and scripts; raises ValueError where it is malformed."""
    if text.count("`") % 2:
        raise ValueError("a ` has no second one; close the code")
    return "".join(_code(part) if index % 2 else _words(part) for index, part in enumerate(text.split("`")))


def maths(text: str) -> str:
    """A display equation: one and two letters are variables, in italics; longer words are functions and names."""
    return _scripts(_variables(_escaped(text, TEXT)))


def _code(text: str) -> str:
    return f'<font face="{CODE}" size="-1.6"><nobr>{_escaped(text, CODE)}</nobr></font>'


def _words(text: str) -> str:
    marked = EMPHASIS.sub(_italic, _scripts(_escaped(text, TEXT)))
    if "*" in marked:
        raise ValueError("a * has no second one, or there are two; emphasis is one star on each side")
    return marked


def _escaped(text: str, font: str) -> str:
    if missing := _lacking(text, font):
        raise ValueError(f"the font has no {missing} ({missing!a}); write it with other signs")
    return escape(text)


def _lacking(text: str, font: str) -> str:
    return "".join(char for char in text if ord(char) not in pdfmetrics.getFont(font).face.charToGlyph)


def _italic(match: re.Match) -> str:
    """Emphasis, but for the signs that only the upright face has."""
    signs = set(_lacking(match[1], FACES[0, 1]))
    return "<i>" + "".join(f"</i>{char}<i>" if char in signs else char for char in match[1]) + "</i>"


def _scripts(text: str) -> str:
    """`_{…}` and `^{…}` → tags, the inner ones first."""
    while match := SCRIPT.search(text):
        start, end = TAGS[match[1]]
        text = text[: match.start()] + start + _variables(match[2].replace("*", "")) + end + text[match.end() :]
    if re.search(r"[_^]\{", text):
        raise ValueError("a subscript or superscript is not closed; add its }")
    return text


def _variables(text: str) -> str:
    return WORD.sub(lambda m: m[0] if m[0][0] in "<&" or len(m[0]) > 2 or m[0] in UPRIGHT else f"<i>{m[0]}</i>", text)
