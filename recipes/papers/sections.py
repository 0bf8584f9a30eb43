"""The blocks of a paper → its sections, each with its path of headings, whole sentences and its figures."""

import re
from dataclasses import dataclass, field

from tuneline.files import Row

from .hyphens import Hyphens

NUMBER = re.compile(r"^((?:\d+|[A-Z])(?:\.\d+)*)\.?\s+(?=\S)")
CAPTION = re.compile(r"^(?:\W*)(?:figure|fig\.|table|algorithm|listing)\s*\d+\s*[:.|]", re.IGNORECASE)
FOOTNOTE = re.compile(r"^>\s*\d+\s?\S")
INLINE_ABSTRACT = re.compile(r"^[\W_]*abstract[\W_]*[—–:.-][\W_]*", re.IGNORECASE)
STAMP = re.compile(r"^\W*arXiv:\d{4}\.\d+v\d+\b")  # up the margin of a first page
SENTENCE_END = re.compile(r"[.!?:;…][\"'’”»)\]*_]*$")
EMPHASIS = re.compile(r"(?<![\w*])(\*\*|\*|_)(?=[^\s{])(.+?)(?<=\S)\1(?![\w*{])")
RAISED_TWICE = re.compile(r"([_^])\{([^{}]*)\}\1\{")
FLOATS = ("picture", "caption", "table", "footnote")
Figure = dict[str, str]


@dataclass
class Section:
    """`path`: its heading below those above it, "2 Method / 2.1 Data"; `pages`: from 1."""

    path: str
    paragraphs: list[str] = field(default_factory=list)
    floats: list[str] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    pages: list[int] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Paragraphs, then tables and captions: nothing stands within a sentence."""
        return "\n\n".join(filter(None, [*self.paragraphs, *self.floats]))


def read_sections(blocks: list[Row], hyphens: Hyphens, leave_out: list[re.Pattern[str]]) -> list[Section]:
    """The sections in their order, without what stands before the first heading and what `leave_out` matches.

    A heading that is left out takes those below it along.
    """
    sections: list[Section] = []
    path: list[tuple[int, str]] = []  # (depth, heading)
    blocks = _with_title(blocks)
    fewest = min((_marks(block["text"]) for block in blocks if block["kind"] == "heading"), default=1)
    dropped_from = None  # the depth of a heading that is left out
    flow: Row | None = None  # the last block of running text
    for block in map(_classify, blocks):
        if block["kind"] == "title":
            continue
        if block["kind"] == "abstract":
            sections.append(Section("Abstract"))
            path, dropped_from = [(1, "Abstract")], None
            block = {**block, "kind": "text"}
        if block["kind"] == "heading":
            heading = plain(block["text"])
            number = NUMBER.match(heading)
            depth = number[1].count(".") + 1 if number else _marks(block["text"]) - fewest + 1
            path = [*((d, h) for d, h in path if d < depth and _is_above(h, number)), (depth, heading)]
            flow = None
            if dropped_from is not None and depth > dropped_from:
                continue
            dropped_from = depth if any(p.search(NUMBER.sub("", heading)) for p in leave_out) else None
            if dropped_from is None:
                sections.append(Section(" / ".join(h for _, h in path)))
        elif sections and dropped_from is None:
            section = sections[-1]
            if not section.pages or section.pages[-1] != block["page"]:
                section.pages.append(block["page"])
            if block["kind"] in FLOATS:
                _add_float(section, block)
                continue
            text = _inline(block["text"])
            if flow and section.paragraphs and _goes_on(flow, block):
                section.paragraphs[-1] = hyphens.join(section.paragraphs[-1], text)
            else:
                section.paragraphs.append(text)
            flow = block
    for section in sections:
        section.paragraphs = list(map(hyphens.restore, section.paragraphs))
        section.floats = list(map(hyphens.restore, section.floats))
        for figure in section.figures:
            figure["caption"] = hyphens.restore(figure["caption"])
    return sections


def plain(text: str) -> str:
    """A heading's words: no marks of headings, emphasis or superscripts."""
    text = re.sub(r"<su[pb]>.*?</su[pb]>", "", text)
    return " ".join(re.sub(r"^#+|[*_`]+", "", text).split())


def _classify(block: Row) -> Row:
    """Blocks that the layout analysis takes for running text and that say themselves what they are."""
    text = block["text"]
    if block["kind"] in ("text", "list"):
        if CAPTION.match(text):
            return {**block, "kind": "caption"}
        if FOOTNOTE.match(text):
            return {**block, "kind": "footnote"}
        if STAMP.match(text):
            return {**block, "kind": "title"}
        if found := INLINE_ABSTRACT.match(text):
            return {**block, "kind": "abstract", "text": text[found.end() :]}
    return block


def _is_above(heading: str, number: re.Match[str] | None) -> bool:
    """Whether a heading may stand above one with this number: 2 above 2.1, and not above 3.1."""
    own = NUMBER.match(heading)
    return number is None or (own is not None and number[1].startswith(f"{own[1]}."))


def _with_title(blocks: list[Row]) -> list[Row]:
    """Where the analysis took the title for a heading: the first one is it when the abstract follows."""
    headings = [at for at, block in enumerate(blocks) if block["kind"] == "heading"][:2]
    if any(block["kind"] == "title" for block in blocks) or len(headings) < 2:
        return blocks
    first, second = (plain(blocks[at]["text"]) for at in headings)
    if second.casefold() != "abstract" or NUMBER.match(first):
        return blocks
    return [{**block, "kind": "title"} if at == headings[0] else block for at, block in enumerate(blocks)]


def _marks(heading: str) -> int:
    return len(heading) - len(heading.lstrip("#"))


def _goes_on(before: Row, block: Row) -> bool:
    """Whether a paragraph is the rest of one that a column, a page or a float divided."""
    if before["kind"] == "formula" or block["kind"] == "formula" or SENTENCE_END.search(before["text"]):
        return False
    elsewhere = block["page"] != before["page"] or block["top"] < before["top"]
    return block["text"][:1].islower() or (elsewhere and block["kind"] == "text")


def _add_float(section: Section, block: Row) -> None:
    """A caption belongs to the picture before it, else to the next one; a footnote is left out."""
    text = _inline(block["text"])
    if block["kind"] == "picture":
        section.figures.append({"caption": "", "picture_text": text, "file": block.get("figure", "")})
    elif block["kind"] == "caption":
        section.floats.append(text)
        waiting = next((figure for figure in section.figures if not figure["caption"]), None)
        if waiting and not re.match(r"\W*table", text, re.IGNORECASE):
            waiting["caption"] = text
    elif block["kind"] == "table":
        section.floats.append(block["text"])


def _inline(text: str) -> str:
    """Running text without its line ends, marks of footnotes and spaces before stops; equations as they are."""
    text = re.sub(r"(?<=[\w.,;:!?)”’])<sup>\d{1,2}</sup>(?=\s|$|[.,;:])", "", text)
    text = re.sub(r"</?su[bp]>", lambda mark: {"<sub>": "_{", "<sup>": "^{"}.get(mark[0], "}"), text)
    text = re.sub(r"^[-*•]\s+", "- ", text)
    text = EMPHASIS.sub(r"\2", EMPHASIS.sub(r"\2", text))
    while (joined := RAISED_TWICE.sub(r"\1{\2", text)) != text:
        text = joined
    return re.sub(r"(?<=[(\[])\s+|(?<=\S/)\s+(?=\w\b)|\s+(?=[.,;:!?)\]](?:\W|$))", "", " ".join(text.split()))
