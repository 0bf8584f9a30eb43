"""A paper that has been read → its PDF: two justified columns, hyphenated, with floats."""

import re
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import matplotlib
from markup import TEXT
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pyphen import Pyphen
from reportlab import platypus as flow
from reportlab import rl_config
from reportlab.lib.enums import TA_CENTER, TA_JUSTIFY, TA_LEFT, TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.pdfgen.canvas import Canvas
from source import Block, Paper

AUTHOR, LICENCE = "Tuneline contributors", "CC0 1.0"
MARGIN, TOP, GAP = 52, 62, 20  # points, as every length here
WIDTH, HEIGHT = A4[0] - 2 * MARGIN, A4[1] - 2 * TOP
COLUMN = (WIDTH - GAP) / 2
NUMBER = 24  # room for an equation's number
NUMERIC = re.compile(r"(?:[−+≈]|&[lg]t;)? ?\d|[–—-]?$")  # how a cell of numbers begins; or a dash for none
PAD = 4  # on either side of a table's cell
RULES = [("LINEABOVE", 0, 0.9), ("LINEBELOW", 0, 0.5), ("LINEBELOW", -1, 0.9)]  # of a table, row and width
FIGURES = {"font.family": TEXT, "mathtext.fontset": "stix", "font.size": 8, "axes.linewidth": 0.6}
FIGURES |= {"lines.linewidth": 1.1, "lines.markersize": 4, "legend.fontsize": 7.5, "hatch.linewidth": 0.5}


def _style(size: float, leading: float, align: int = TA_JUSTIFY, after: float = 0, **more: float) -> ParagraphStyle:
    if align == TA_JUSTIFY:  # what is not justified needs no hyphens
        more |= {"hyphenationLang": Pyphen(lang="en_US", left=2, right=3).iterate, "embeddedHyphenation": 1}
    more |= {"allowWidows": 0, "allowOrphans": 0, "bulletFontName": TEXT, "bulletFontSize": size}
    return ParagraphStyle("", fontName=TEXT, fontSize=size, leading=leading, alignment=align, spaceAfter=after, **more)


STYLES = {
    "title": _style(16.5, 20, TA_CENTER),
    "licence": _style(9.8, 12, TA_CENTER, spaceBefore=6),
    "section": _style(12, 14, TA_LEFT, 3, spaceBefore=7),
    "subsection": _style(10.4, 12.4, TA_LEFT, 2, spaceBefore=5),
    "text": _style(9.8, 11.9, after=4),
    "item": _style(9.8, 11.9, after=3, leftIndent=14, bulletIndent=3),
    "equation": _style(9.8, 13, TA_CENTER),
    "number": _style(9.8, 13, TA_RIGHT),
    "caption": _style(8.4, 10),
    "cell": _style(8.4, 10, TA_LEFT),
    "digits": _style(8.4, 10, TA_RIGHT),
    "reference": _style(8.4, 10, after=4, leftIndent=17),
}


class Float(flow.Flowable):
    """Parts that stay together; where the column has no room they wait for the next, and the text goes on."""

    spaceBefore = spaceAfter = 6

    def __init__(self, *parts: flow.Flowable) -> None:
        super().__init__()
        self.parts = parts

    def wrap(self, width: float, height: float) -> tuple[float, float]:
        self.sizes = [part.wrap(width, height) for part in self.parts]
        self.width, self.height = width, sum(size[1] for size in self.sizes)
        return self.width, self.height

    def draw(self) -> None:
        top = self.height
        for part, (width, height) in zip(self.parts, self.sizes, strict=True):
            top -= height
            part.drawOn(self.canv, (self.width - width) / 2, top)


class Columns(flow.BaseDocTemplate):
    """Places floats where there is room, and no heading without the lines that its `needs` asks for."""

    def build(self, story: list[flow.Flowable]) -> None:
        self.waiting: list[flow.Flowable] = []
        super().build([*story, flow.Spacer(0, 0)])  # the last thing, which waiting floats come before

    def handle_flowable(self, flowables: list[flow.Flowable]) -> None:
        if flowables is self._hanging:  # reportlab's own: pages begin and end
            return super().handle_flowable(flowables)
        first, room, at_top = flowables[0], self.frame._y - self.frame._y1p, self.frame._atTop
        if self.waiting and (at_top or len(flowables) == 1):
            flowables[:0], self.waiting = self.waiting, []
        elif isinstance(first, Float) and not at_top:
            if self.waiting or first.spaceBefore + first.wrap(COLUMN, room)[1] > room:
                return self.waiting.append(flowables.pop(0))
        elif getattr(first, "needs", 0) > room and not at_top:
            flowables.insert(0, flow.FrameBreak())
        super().handle_flowable(flowables)


def write_pdf(paper: Paper, path: Path) -> None:
    rl_config.useA85 = 0  # bytes instead of letters for them: a fifth smaller
    rl_config.canvas_basefontname = TEXT  # else every page names Helvetica, which is not in the file
    licence = f"{AUTHOR} · {LICENCE} · {paper.categories}"
    title = [flow.Paragraph(f"<b>{paper.title}</b>", STYLES["title"]), flow.Paragraph(licence, STYLES["licence"])]
    head = sum(part.wrap(WIDTH, HEIGHT)[1] for part in title) + 26
    first = [_frame(MARGIN, TOP + HEIGHT - head, WIDTH, head), *_columns(HEIGHT - head)]
    about = {"title": paper.plain_title, "author": AUTHOR, "subject": LICENCE, "keywords": paper.keywords}
    document = Columns(str(path), pagesize=A4, invariant=1, pageCompression=1, lang="en", creator="Tuneline", **about)
    document.addPageTemplates([flow.PageTemplate("first", first, _foot)])
    document.addPageTemplates([flow.PageTemplate("later", _columns(HEIGHT), _head_and_foot)])
    document.build([*title, flow.NextPageTemplate("later"), flow.FrameBreak(), *_story(paper.blocks)])


def _frame(x: float, y: float, width: float, height: float) -> flow.Frame:
    return flow.Frame(x, y, width, height, leftPadding=0, rightPadding=0, topPadding=0, bottomPadding=0)


def _columns(height: float) -> list[flow.Frame]:
    return [_frame(x, TOP, COLUMN, height) for x in (MARGIN, MARGIN + COLUMN + GAP)]


def _foot(page: Canvas, document: flow.BaseDocTemplate) -> None:
    page.setFont(TEXT, 9)
    page.drawCentredString(A4[0] / 2, TOP - 28, str(document.page))


def _head_and_foot(page: Canvas, document: flow.BaseDocTemplate) -> None:
    _foot(page, document)
    title = document.title.split(":")[0]
    while stringWidth(title, TEXT, 9) > 0.85 * WIDTH:
        title = title.rstrip(" …").rpartition(" ")[0] + " …"
    page.drawCentredString(A4[0] / 2, TOP + HEIGHT + 18, title)


def _story(blocks: list[Block]) -> list[flow.Flowable]:
    """The flowables of the blocks; a heading knows how much room it and what follows it need."""
    story = [_flowable(block) for block in blocks]
    needs = 0.0
    for block, part in zip(reversed(blocks), reversed(story), strict=True):
        if block.kind in ("section", "subsection"):
            part.needs = needs = needs + part.wrap(COLUMN, HEIGHT)[1] + part.getSpaceBefore() + part.getSpaceAfter()
        else:
            needs = 4 * STYLES["text"].leading  # of which the paragraph may leave two behind
    return story


def _flowable(block: Block) -> flow.Flowable:
    if block.kind in ("section", "subsection"):
        return flow.Paragraph(f"<b>{block.text}</b>", STYLES[block.kind])
    if block.kind == "equation":
        text = flow.Paragraph(block.text, STYLES["equation"])
        if (share := (COLUMN - NUMBER - 1) / _width(text)) < 1:  # smaller before it is broken
            text = flow.Paragraph(block.text, _style(9.8 * max(share, 0.85), 13, TA_CENTER))
        cells = [text, flow.Paragraph(block.label, STYLES["number"])]
        style = [("VALIGN", (0, 0), (-1, -1), "MIDDLE"), *_cells(0, 0)]
        return flow.Table([cells], (COLUMN - NUMBER, NUMBER), style=style, spaceBefore=4, spaceAfter=7)
    caption = flow.Paragraph(f"<b>{block.label}</b> {block.text}", STYLES["caption"])
    if block.kind == "figure":
        return Float(_drawn(block.draw_on), flow.Spacer(0, 4), caption)
    if block.kind == "table":
        return Float(caption, flow.Spacer(0, 4), _table(block.rows))
    return flow.Paragraph(block.text, STYLES[block.kind], bulletText="•" if block.kind == "item" else block.label)


def _drawn(draw_on: Callable[[Axes], None]) -> flow.Image:
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # and not what the reader of this has set for himself
        matplotlib.rcParams.update(FIGURES)
        figure = Figure((COLUMN / 72, 0.66 * COLUMN / 72), layout="constrained")
        draw_on(figure.subplots())
        figure.savefig(png := BytesIO(), dpi=200)
    return flow.Image(png, COLUMN, 0.66 * COLUMN)


def _table(rows: list[list[str]]) -> flow.Table:
    """Rules as in a book, over the whole column of text; numbers to the right."""
    columns = []
    for names, *values in zip(*rows, strict=True):
        style = STYLES["digits" if all(NUMERIC.match(text) for text in values) else "cell"]
        columns.append([flow.Paragraph(text, style) for text in (f"<b>{names}</b>", *values)])
    widths = [max(map(_width, column)) + 2 * PAD + 0.5 for column in columns]
    while sum(widths) > COLUMN:  # the widest gives way, and its cells break
        widths[widths.index(max(widths))] -= 1
    widths = [width + (COLUMN - sum(widths)) / len(widths) for width in widths]
    rules = [(where, (0, row), (-1, row), width, "black") for where, row, width in RULES]
    top = ("VALIGN", (0, 1), (-1, -1), "TOP")
    return flow.Table(list(zip(*columns, strict=True)), widths, style=[*rules, top, *_cells(PAD, 2)])


def _cells(sides: float, ends: float) -> list[tuple]:
    """Padding of a table's cells, and their font, without which the table names Helvetica."""
    values = {"LEFTPADDING": sides, "RIGHTPADDING": sides, "TOPPADDING": ends, "BOTTOMPADDING": ends, "FONTNAME": TEXT}
    return [(name, (0, 0), (-1, -1), value) for name, value in values.items()]


def _width(cell: flow.Paragraph) -> float:
    return sum(stringWidth(part.text, part.fontName, part.fontSize) for part in cell.frags)
