"""A PDF → its blocks in reading order, by pymupdf4llm's layout analysis; the only module that imports it.

pymupdf4llm and PyMuPDF are under the AGPL or a commercial licence (the `papers` extra).

A block: {"kind", "text", "page", "left", "top", "right", "figure"?}
- kind: title, heading, text, list, formula, table, picture, caption or footnote
- text: Markdown; of a picture, the words in it
- page: from 1; left, top, right: points from the page's left and upper edges, 1/72 inch
- figure: the name of the picture's PNG in the folder
"""

import hashlib
import importlib.metadata
import re
from pathlib import Path
from typing import Any

from tuneline.files import Row, whole_folder, write_json

from . import hyphens
from .hyphens import divided_words

KINDS = {
    "title": "title",
    "section-header": "heading",
    "text": "text",
    "list-item": "list",
    "formula": "formula",
    "table": "table",
    "picture": "picture",
    "caption": "caption",
    "table-caption": "caption",
    "footnote": "footnote",
}  # what stands in a page's head or foot is left out
WORDS = re.compile(r"\w")  # a font that does not tell its letters gives signs that stand for none
END = 2048  # bytes; readers look for the end's mark in the last 1,024, and some servers add a line or two
LENGTH = re.compile(rb"/Linearized\b[^>]*/L\s+(\d+)")  # what a file "for fast web view" says of itself
DAMAGE = re.compile(r"page may not be correct|library error|read error|not a stream")  # of MuPDF's warnings
AGAIN = "fetch or export it again"
IMAGE = re.compile(r"!\[[^\]]*\]\(([^)]*)\)")
PICTURE_TEXT = re.compile(r"<!-- Start of picture text -->(.*?)<!-- End of picture text -->", re.DOTALL)


class UnreadablePdf(ValueError):
    """A file that is no PDF, is not whole, or has no text that can be read; the message says why and what to do."""


def version() -> str:
    """What the blocks of a PDF hang on beside its bytes."""
    code = b"\x1f".join(Path(file).read_bytes() for file in (__file__, hyphens.__file__))
    return f"{importlib.metadata.version('pymupdf4llm')}-{hashlib.sha256(code).hexdigest()[:8]}"


def use_one_thread() -> None:
    """For a process among others: the layout model's threads would all run on the same core, and spin there.

    onnxruntime has no setting for this outside its code, and pymupdf makes its sessions without any.
    """
    import onnxruntime

    class OneThread(onnxruntime.SessionOptions):
        def __init__(self) -> None:
            super().__init__()
            self.intra_op_num_threads = 1

    onnxruntime.SessionOptions = OneThread


def open_pdf(path: Path) -> Any:
    """A pymupdf.Document, to be closed. Raises UnreadablePdf.

    MuPDF mends a file that is cut off, to whatever pages it finds, and opens a web page as a document.
    """
    import pymupdf

    content = path.read_bytes()
    if b"%PDF-" not in content[:1024]:
        raise UnreadablePdf(f"it is no PDF: it starts with {content[:20]!r}; put the PDF itself there, or take it out")
    told = LENGTH.search(content[:1024])
    cut = b"%%EOF" not in content.rstrip(b"\0\r\n\t ")[-END:] or (told and len(content) < int(told[1]))
    try:
        document = pymupdf.open(path, filetype="pdf")
    except (pymupdf.FileDataError, pymupdf.EmptyFileError) as error:
        why = "its end is missing" if cut else "it is encrypted" if b"/Encrypt" in content else str(error).lower()
        raise UnreadablePdf(f"{' '.join(why.split())}, and it cannot be opened; {AGAIN}") from None
    if document.needs_pass:
        wrong = "it wants a password; save it without one, as by `qpdf --decrypt --password=… in.pdf out.pdf`"
    elif document.is_repaired and cut:
        wrong = f"its end is missing, as when a download breaks off; {AGAIN}"
    elif not len(document):
        wrong = f"it has no page; {AGAIN}"
    else:
        return document
    document.close()
    raise UnreadablePdf(wrong)


def read_texts(document: Any) -> tuple[list[str], bool]:
    """(the plain text of each page, whether MuPDF found parts of them damaged)."""
    import pymupdf

    pymupdf.TOOLS.reset_mupdf_warnings()
    texts = [page.get_text(flags=0) for page in document]
    return texts, bool(DAMAGE.search(pymupdf.TOOLS.mupdf_warnings()))


def read_pdf(path: Path, folder: Path) -> None:
    """Writes `blocks.json` and the figures' PNGs to `folder`, whole or not at all.

    {"title", "pages", "without_text", "damaged", "blocks", "breaks", "words"}: the title is what the PDF says it is,
    "" where it says nothing; then how many pages, the numbers of those without a word, and whether parts could not be
    decoded; the last two are as of divided_words. Raises UnreadablePdf.
    """
    import pymupdf
    import pymupdf4llm

    pymupdf.TOOLS.mupdf_display_errors(False)
    with open_pdf(path) as document, whole_folder(folder) as part:
        texts, damaged = read_texts(document)
        if not any(map(WORDS.search, texts)):
            raise UnreadablePdf("it has no text, only pictures; run a text recognition over it first")
        pages = pymupdf4llm.to_markdown(
            document,
            page_chunks=True,
            header=False,
            footer=False,
            write_images=True,
            image_path=str(part),
            use_ocr=False,
            show_progress=False,
        )
        blocks = [block for page, chunk in zip(document, pages, strict=True) for block in read_page(page, chunk)]
        for number, block in enumerate((b for b in blocks if "figure" in b), 1):
            picture = part / block["figure"]
            block["figure"] = f"figure-{number}.png"
            picture.rename(part / block["figure"])
        for picture in part.glob("*.pdf-*"):
            picture.unlink()  # of a formula, which is text here
        breaks, words = divided_words("\n".join(texts))
        told = {block["page"] for block in blocks if WORDS.search(block["text"])}
        without = [number for number in range(1, len(document) + 1) if number not in told]
        title = " ".join((document.metadata.get("title") or "").split())
        about = {"title": title, "pages": len(document), "without_text": without, "damaged": damaged}
        write_json(part / "blocks.json", {**about, "blocks": blocks, "breaks": breaks, "words": words})


def read_page(page: Any, chunk: Row) -> list[Row]:
    """The blocks of a page, in reading order, from pymupdf4llm's chunk of it."""
    blocks = []
    for box in chunk["page_boxes"]:
        if box["class"] not in KINDS:
            continue
        start, end = box["pos"]
        text = chunk["text"][start:end]
        left, top, right, _ = box["bbox"]
        place = {"page": chunk["metadata"]["page_number"], "left": left, "top": top, "right": right}
        block = {"kind": KINDS[box["class"]], **place}
        if block["kind"] == "formula":
            text = formula_text(page.get_text("dict"), box["bbox"])
        if block["kind"] == "picture":
            if image := IMAGE.search(text):
                block["figure"] = Path(image[1]).name
            words = PICTURE_TEXT.search(text)
            text = words[1].replace("<br>", "\n") if words else ""
        blocks.append({**block, "text": text.strip()})
    return reading_order(blocks, page.rect.width)


def reading_order(blocks: list[Row], width: float) -> list[Row]:
    """Down the left column, then down the right one; what reaches into both divides what is above from what is below.

    pymupdf4llm's own order jumps between columns where a title stands over both.
    """
    middle, reach = width / 2, width / 20
    ordered: list[Row] = []
    columns: tuple[list[Row], list[Row]] = ([], [])
    for block in sorted(blocks, key=lambda block: block["top"]):
        if block["left"] < middle - reach and block["right"] > middle + reach:
            ordered += [*columns[0], *columns[1], block]
            columns = ([], [])
        else:
            columns[(block["left"] + block["right"]) / 2 > middle].append(block)
    return [*ordered, *columns[0], *columns[1]]


def formula_text(layout: Row, box: tuple[float, float, float, float]) -> str:
    """The formula in a box of PyMuPDF's "dict" of a page: signs in their order, ^{raised} and _{lowered} ones marked.

    pymupdf4llm gives a formula as a picture or not at all.
    """
    left, top, right, bottom = box
    lines = []
    for line in (line for block in layout["blocks"] for line in block.get("lines", ())):
        x, y = (line["bbox"][0] + line["bbox"][2]) / 2, (line["bbox"][1] + line["bbox"][3]) / 2
        if not (left <= x <= right and top <= y <= bottom):
            continue
        full = max(span["size"] for span in line["spans"])
        base = next(span["origin"][1] for span in line["spans"] if span["size"] == full)
        text = ""
        for span in line["spans"]:
            shift = (span["origin"][1] - base) / full
            mark = "" if span["size"] > 0.9 * full or abs(shift) < 0.1 else "^" if shift < 0 else "_"
            text += f"{mark}{{{span['text']}}}" if mark else span["text"]
        lines.append(text)
    return " ".join(" ".join(lines).split())
