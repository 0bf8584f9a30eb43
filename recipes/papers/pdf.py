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
IMAGE = re.compile(r"!\[[^\]]*\]\(([^)]*)\)")
PICTURE_TEXT = re.compile(r"<!-- Start of picture text -->(.*?)<!-- End of picture text -->", re.DOTALL)


class UnreadablePdf(ValueError):
    """A PDF without text that can be read; the message says why."""


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


def read_pdf(path: Path, folder: Path) -> None:
    """Writes `blocks.json` and the figures' PNGs to `folder`, whole or not at all.

    {"title", "blocks", "breaks", "words"}: the title is what the PDF says it is, "" where it says nothing;
    the last two are as of divided_words. Raises UnreadablePdf.
    """
    import pymupdf
    import pymupdf4llm

    pymupdf.TOOLS.mupdf_display_errors(False)
    try:
        document = pymupdf.open(path, filetype="pdf")
    except (pymupdf.FileDataError, pymupdf.EmptyFileError) as error:
        raise UnreadablePdf(" ".join(str(error).split())) from None
    with document, whole_folder(folder) as part:
        if document.needs_pass:
            raise UnreadablePdf("it wants a password")
        text = "\n".join(page.get_text(flags=0) for page in document)
        if not text.strip():
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
        breaks, words = divided_words(text)
        title = " ".join((document.metadata.get("title") or "").split())
        write_json(part / "blocks.json", {"title": title, "blocks": blocks, "breaks": breaks, "words": words})


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
