"""Papers: PDFs to sections, in processes of their own; one that cannot be read is never the run's failure."""

import json
import os
import re
from pathlib import Path

import click
import pymupdf
import pytest

from recipes.papers.arxiv import Service
from recipes.papers.pdf import UnreadablePdf, formula_text, open_pdf
from recipes.papers.reader import Settings, read_papers
from tests.conftest import ROOT
from tests.servers.arxiv_server import serve
from tuneline.files import Row
from tuneline.recipe.own import Extracted
from tuneline.recipe.settings import read_recipe, read_settings

RECIPE = ROOT / "recipes/papers"
MIRROR = os.environ.get("TUNELINE_MIRROR")
NOWHERE = Service("http://127.0.0.1:9", 0)
COLUMN = (
    "A filter of this kind keeps bits and no keys, so that it is small and may err. "
    "Every key that was put in is found again, and some others are found as well."
)


def make_pdf(path: Path, title: str = "Filters That Forget") -> bytes:
    """A page with a title, three headings and their text."""
    document = pymupdf.open()
    page = document.new_page()
    page.insert_text((150, 70), title, fontsize=18, fontname="hebo")
    y = 110
    for heading in ("Abstract", "1 Introduction", "2 Method", "References"):
        page.insert_text((72, y), heading, fontsize=13, fontname="hebo")
        page.insert_textbox((72, y + 10, 520, y + 90), COLUMN, fontsize=10, fontname="tiro")
        y += 110
    document.set_metadata({"title": title, "creationDate": "", "modDate": ""})
    path.parent.mkdir(parents=True, exist_ok=True)
    document.save(path, no_new_id=True)
    return path.read_bytes()


def settings(**more: object) -> Settings:
    given = {"files": ["*.pdf"], "arxiv": None, "leave_out": ["^references"], "least_characters": 50}
    return Settings(**{**given, **more})


def read(folder: Path, service: Service = NOWHERE, **more: object) -> Extracted:
    documents = folder / "documents"
    documents.mkdir(exist_ok=True)
    return read_papers(folder / "source", settings(**more), folder / "state", documents, service, processes=2)


def test_a_folder_of_pdfs_becomes_documents(tmp_path: Path) -> None:
    make_pdf(tmp_path / "source/filters.pdf")
    made = read(tmp_path)
    rows = made.rows
    assert not made.refused
    assert made.counts == {"sections": 3, "short": 0, "pages_without_text": 0, "damaged": 0}
    assert made.read == (1, "papers")
    assert [row["fields"]["section"] for row in rows] == ["Abstract", "1 Introduction", "2 Method"]
    assert {row["group"] for row in rows} == {"filters"}
    assert rows[0]["fields"]["title"] == "Filters That Forget"
    assert rows[0]["fields"]["text"] == COLUMN
    assert rows[0]["source"] == {"file": "filters.pdf", "pages": [1]}
    assert "messages" not in rows[0]
    assert "## 1 Introduction\n\nA filter" in (tmp_path / "documents/filters.md").read_text("utf-8")


def add_picture(document: pymupdf.Document) -> None:
    """A page as a scanner makes it."""
    picture = pymupdf.Pixmap(pymupdf.csRGB, (0, 0, 60, 80), False)
    picture.clear_with(200)
    page = document.new_page()
    page.insert_image(page.rect, pixmap=picture)


def make_bad_pdfs(folder: Path) -> None:
    """Of each kind one: what is no PDF, what is not whole, what is locked, what is a picture."""
    content = make_pdf(folder / "half.pdf")
    (folder / "half.pdf").write_bytes(content[: len(content) // 2])
    (folder / "empty.pdf").write_bytes(b"")
    (folder / "page.pdf").write_text("<!DOCTYPE html><html><body>Not found, said the service</body></html>")
    (folder / "gone.pdf").symlink_to(folder / "elsewhere")
    with pymupdf.open() as scan:
        add_picture(scan)
        scan.save(folder / "scan.pdf")
    with pymupdf.open() as locked:
        locked.new_page().insert_text((72, 72), "Secret")
        locked.save(folder / "locked.pdf", encryption=pymupdf.PDF_ENCRYPT_AES_256, user_pw="x", owner_pw="y")


def test_a_bad_pdf_is_refused_and_the_others_are_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Those with a page without text too, and that is told."""
    make_pdf(tmp_path / "source/good.pdf")
    make_bad_pdfs(tmp_path / "source")
    with pymupdf.open(tmp_path / "source/good.pdf") as mixed:
        add_picture(mixed)
        mixed.new_page().insert_textbox((72, 72, 520, 300), COLUMN, fontsize=10, fontname="tiro")
        mixed.new_page()
        mixed.save(tmp_path / "source/mixed.pdf")
    line_ends = (RECIPE / "source/bloom-filters.pdf").read_bytes().replace(b"\n", b"\r\n")  # as git may change them
    (tmp_path / "source/text.pdf").write_bytes(line_ends)
    made = read(tmp_path)
    assert {row["fields"]["paper"] for row in made.rows} == {"good", "mixed", "text"}
    assert made.read == (9, "papers")
    assert {row["file"]: row["detail"] for row in made.refused} == {
        "half.pdf": "its end is missing, as when a download breaks off; fetch or export it again",
        "empty.pdf": "it is no PDF: it starts with b''; put the PDF itself there, or take it out",
        "page.pdf": "it is no PDF: it starts with b'<!DOCTYPE html><html'; put the PDF itself there, or take it out",
        "gone.pdf": "it is no file",
        "scan.pdf": "it has no text, only pictures; run a text recognition over it first",
        "locked.pdf": "it wants a password; save it without one, as by `qpdf --decrypt --password=… in.pdf out.pdf`",
    }
    assert (made.counts["pages_without_text"], made.counts["damaged"]) == (4, 1)
    told = capsys.readouterr().err
    assert "mixed.pdf: no text on pages 2, 4 of 4; if it is scanned, run a text recognition over it first\n" in told
    assert "text.pdf: parts are damaged, and their text may be missing; fetch or export it again\n" in told
    assert told.count("no text on") == 2


def refusal(folder: Path, content: bytes) -> str:
    (folder / "one.pdf").write_bytes(content)
    with pytest.raises(UnreadablePdf) as refused:
        open_pdf(folder / "one.pdf").close()
    return str(refused.value)


def test_wherever_a_pdf_is_cut_off_its_end_is_missed(tmp_path: Path) -> None:
    content = (RECIPE / "source/bloom-filters.pdf").read_bytes()
    for share in (0.001, 0.1, 0.5, 0.9, 0.95, 0.98, 0.99):
        assert "its end is missing" in refusal(tmp_path, content[: int(len(content) * share)])
    line, _, rest = content.partition(b"\n")
    web = line + b"\n9 0 obj\n<</Linearized 1/L 116200>>\nendobj\n" + rest[:800] + b"\nstartxref\n0\n%%EOF\n"
    assert "its end is missing" in refusal(tmp_path, web)  # it has an end's mark after its first page


@pytest.mark.parametrize("after", [b"", b"\r\n", b"\0" * 5000, b"<!-- served by a proxy -->\n"])
def test_what_stands_after_the_end_or_before_the_start_cuts_nothing(tmp_path: Path, after: bytes) -> None:
    content = (RECIPE / "source/bloom-filters.pdf").read_bytes()
    (tmp_path / "one.pdf").write_bytes(b"HTTP/1.1 200 OK\r\n\r\n" + content + after)
    with open_pdf(tmp_path / "one.pdf") as document:
        assert len(document) == 3


def test_what_was_read_is_not_read_again(tmp_path: Path) -> None:
    make_pdf(tmp_path / "source/filters.pdf")
    first = read(tmp_path)
    (kept,) = (tmp_path / "state/pdf").iterdir()
    before = kept.stat().st_mtime_ns
    assert read(tmp_path) == first
    assert kept.stat().st_mtime_ns == before


def test_short_sections_are_counted(tmp_path: Path) -> None:
    make_pdf(tmp_path / "source/filters.pdf")
    made = read(tmp_path, least_characters=1000)
    assert (made.rows, made.counts["short"]) == ([], 3)
    assert made.refused[0]["reason"] == "no section"


def test_a_pattern_without_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    with pytest.raises(click.ClickException, match=r"source has no \*\.pdf"):
        read(tmp_path)


def test_papers_of_a_manifest_are_fetched_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = make_pdf(tmp_path / "made.pdf")
    (tmp_path / "source").mkdir()
    with serve({"2501.00001v2": content}) as arxiv:
        paper = {"id": "2501.00001", "version": 2, "title": "Known", "authors": [], "licence": "CC", "categories": []}
        lost = {**paper, "id": "2501.00009", "pdf": f"{arxiv.site}/pdf/2501.00009v2", "sha256": None}
        papers = [{**paper, "pdf": f"{arxiv.site}/pdf/2501.00001v2", "sha256": None}, lost]
        (tmp_path / "source/arxiv.json").write_text(json.dumps({"papers": papers}), encoding="utf-8")
        query = {
            "manifest": "arxiv.json",
            "categories": [],
            "each": 0,
            "ids": ["2501.00001", "2501.00008", "cs/0001001"],
        }
        made = read(tmp_path, Service(arxiv.site, 0.01), files=[], arxiv=query)
    rows = made.rows
    assert made.read == (4, "papers")
    assert [(row["file"], row["reason"], row["detail"]) for row in made.refused] == [
        ("2501.00008.pdf", "not in the manifest", "no entry for this id"),
        ("cs/0001001.pdf", "not in the manifest", "no entry for this id"),
        ("2501.00009v2.pdf", "unreachable", "HTTP 404"),
    ]
    assert "arxiv.json lacks 2 of extract.arxiv.ids: 2501.00008, cs/0001001;" in capsys.readouterr().err
    assert {row["group"] for row in rows} == {"2501.00001"}  # another version is the same paper
    assert rows[0]["source"]["licence"] == "CC"
    assert (tmp_path / "documents/2501.00001v2.pdf").read_bytes() == content


def span(text: str, size: float, y: float) -> Row:
    return {"text": text, "size": size, "origin": (0, y)}


def test_raised_and_lowered_signs_of_a_formula_are_marked() -> None:
    signs = [("x", 10, 100), ("2", 7, 96), (" + y", 10, 100), ("i", 7, 102), (" (1)", 10, 100)]
    line = {"bbox": (10, 90, 90, 110), "spans": [span(*sign) for sign in signs]}
    page = {"blocks": [{"lines": [line, {**line, "bbox": (10, 190, 90, 210)}]}, {"image": b""}]}
    assert formula_text(page, (0, 80, 100, 120)) == "x^{2} + y_{i} (1)"


CONFERENCE = [
    "Abstract",
    "1 Introduction",
    "2 Dataset",
    "2 Dataset / 2.1 In-Scope Data Collection",
    "2 Dataset / 2.2 Out-of-Scope Data Collection",
    "2 Dataset / 2.3 Data Preprocessing and Partitioning",
    "2 Dataset / 2.4 Dataset Variants",
    "3 Benchmark Evaluation",
    "3 Benchmark Evaluation / 3.1 Classifier Models",
    "3 Benchmark Evaluation / 3.2 Out-of-Scope Prediction",
    "3 Benchmark Evaluation / 3.3 Metrics",
    "4 Results / 4.1 Results with oos-train",
    "4 Results / 4.2 Results with oos-threshold",
    "4 Results / 4.3 Results with oos-binary",
    "5 Prior Work",
    "6 Conclusion",
]


@pytest.mark.skipif(not MIRROR, reason="the conference paper is in the mirror")
def test_a_real_conference_paper_gives_its_sections(tmp_path: Path) -> None:
    (tmp_path / "source").symlink_to(Path(MIRROR or "", "pdf").resolve())
    given = read_recipe(RECIPE).extract.rest
    recipe = read_settings(Settings, RECIPE / "recipe.yaml", "extract", given)
    made = read(tmp_path, leave_out=recipe.leave_out, least_characters=recipe.least_characters)
    rows = made.rows
    assert not made.refused
    assert [row["fields"]["section"] for row in rows] == CONFERENCE
    texts = {row["fields"]["section"]: row["fields"]["text"] for row in rows}
    whole = "\n\n".join(texts.values())
    # Divided by a column and a figure; by a footnote; by a page; by a table.
    assert "which has 7 intents). Furthermore, such resources" in texts["1 Introduction"]
    assert "We manually grouped data generated by scoping tasks" in texts["2 Dataset / 2.1 In-Scope Data Collection"]
    assert "predicted as in-scope, as this would mean" in texts["3 Benchmark Evaluation / 3.3 Metrics"]
    assert "with very few intents, presenting a very different" in texts["5 Prior Work"]
    # A hyphen is a word's own, or it is gone.
    for word in ("task-oriented", "user-system", "out-of-scope", "in-distribution", "bag-of-words", "oos-threshold"):
        assert word in whole
    assert not re.search(r"taskoriented|outof|ofscope|usersystem|inscope|indistribution|oosthreshold", whole)
    assert not re.search(r"\w- (?!or |and )\w", whole)
    for paragraph in (p for text in texts.values() for p in text.split("\n\n") if p[0] not in "|-"):
        assert paragraph[-1] in ".!?:)" or paragraph.startswith(("Figure", "Table")), paragraph[-80:]
        assert not paragraph[0].islower(), paragraph[:80]
    assert "Daniel Braun" not in whole
    figure = next(row for row in rows if row["fields"]["figures"])["fields"]["figures"][0]
    assert figure["caption"].startswith("Figure 1: Example exchanges")
    assert "What is my balance?" in figure["picture_text"]
    assert "What is my balance?" not in whole
    assert (tmp_path / "documents" / figure["file"]).is_file()
