"""PDFs → documents, one a section: a process a core, and one paper's failure is never the run's."""

import json
import os
import re
import shutil
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Self

import click
from pydantic import Field, model_validator

from tuneline.files import Row, bar
from tuneline.recipe import settings as recipe_settings
from tuneline.recipe.documents import make_document
from tuneline.recipe.own import Extracted, call

from .arxiv import Arxiv, PinnedPaper, Service, Unreachable, fetch, file_hash, missing, read_manifest
from .hyphens import Hyphens
from .pdf import UnreadablePdf, read_pdf, version
from .sections import Section, plain, read_sections


class Settings(recipe_settings.Section):
    """PDFs of source/, and those of a manifest of arXiv, → a document a section, for strategies to ask about."""

    files: list[str] = Field(description="patterns of PDFs in source/")
    arxiv: Arxiv | None
    leave_out: list[re.Pattern[str]] = Field(description="headings whose sections are left out, whatever the case")
    least_characters: int = Field(ge=1, description="a shorter section is left out")

    @model_validator(mode="after")
    def _has_a_source(self) -> Self:
        if not self.files and not self.arxiv:
            raise ValueError("name PDFs in files, or a query in arxiv")
        return self


HERE = Path(__file__).parent
Sources = list[tuple[str, Path, PinnedPaper | None]]  # name, file, what the manifest says


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def find_papers(folder: Path, settings: Settings, cache: Path, service: Service) -> tuple[Sources, list[Row]]:
    """(papers, refused): the PDFs of the source folder, then those of the manifest, each downloaded once.

    An id of recipe.yaml that the manifest lacks is refused.

    Raises click.ClickException when a pattern names no file, or two papers have one name.
    """
    found: Sources = []
    refused: list[Row] = []
    for pattern in settings.files:
        paths = sorted(folder.glob(pattern))
        if not paths:
            raise click.ClickException(f"{folder} has no {pattern}; correct extract.files in recipe.yaml, or add one")
        found += [(path.stem, path, None) for path in paths if path.is_file()]
        refused += [_refuse("unreadable", "it is no file", path.stem) for path in paths if not path.is_file()]
    if settings.arxiv:
        manifest = folder / settings.arxiv.manifest
        pinned = read_manifest(manifest).papers
        refused += _refuse_missing(missing(settings.arxiv.ids, pinned), manifest)
        for paper in bar("arXiv", pinned):
            try:
                found.append((paper.name, fetch(paper, cache, service), paper))
            except Unreachable as why:
                refused.append(_refuse("unreachable", str(why), paper.name))
    names = [name for name, _, _ in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise click.ClickException(f"two papers are called {', '.join(twice)}; rename one")
    return found, refused


def _refuse_missing(ids: list[str], manifest: Path) -> list[Row]:
    """All are named in one line, since extract's own lines end after some."""
    if ids:
        what = f"{manifest} lacks {len(ids)} of extract.arxiv.ids: {', '.join(ids)}"
        click.echo(f"{what}; `tuneline papers refresh` asks for them, and says which arXiv does not return", err=True)
    return [_refuse("not in the manifest", "no entry for this id", asked) for asked in ids]


def _refuse(reason: str, detail: str, name: str) -> Row:
    return {"reason": reason, "detail": detail, "file": f"{name}.pdf"}


def read_one(path: Path, folder: Path) -> str | None:
    """In a worker: what is wrong with the PDF, or None when its blocks are in the folder."""
    try:
        read_pdf(path, folder)
    except UnreadablePdf as why:
        return str(why)
    except Exception as error:
        return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return None


def read_pdfs(papers: Sources, cache: Path, processes: int) -> dict[str, tuple[Path, str | None]]:
    """Name → (folder with its blocks, what went wrong). A PDF that was read before is not read again.

    A PDF that kills its process is the only one that is lost.
    """
    folders = {name: cache / f"{file_hash(path)[:32]}-{version()}" for name, path, _ in papers}
    waiting = {name: path for name, path, _ in papers if not (folders[name] / "blocks.json").is_file()}
    results: dict[str, str | None] = dict.fromkeys(set(folders) - set(waiting))
    spawn = get_context("spawn")  # a fork would copy the parent's threads half
    with bar("PDFs", total=len(papers)) as done:
        done.update(len(results))
        alone = False
        while waiting:
            batch = dict([next(iter(waiting.items()))] if alone else waiting)
            with ProcessPoolExecutor(min(processes, len(batch)), spawn, call, (HERE, "pdf", "use_one_thread")) as pool:
                jobs = {
                    pool.submit(call, HERE, "reader", "read_one", path, folders[name]): name
                    for name, path in batch.items()
                }
                for job in as_completed(jobs):
                    name = jobs[job]
                    try:
                        results[name] = job.result()
                    except BrokenProcessPool:
                        if not alone:
                            continue  # some paper killed its process: now one at a time, to find which
                        results[name] = "reading it killed the process"
                    del waiting[name]
                    done.update(1)
            alone = True
    return {name: (folders[name], results[name]) for name in folders}


def tell_gaps(name: str, folder: Path) -> tuple[int, bool]:
    """(pages without text, whether something is damaged) of a paper that is read nevertheless, said in a line each."""
    read = json.loads((folder / "blocks.json").read_text("utf-8"))
    without, damaged = read["without_text"], read["damaged"]
    if without:
        pages = f"page{'s' * (len(without) > 1)} {', '.join(map(str, without))} of {read['pages']}"
        click.echo(f"{name}.pdf: no text on {pages}; if it is scanned, run a text recognition over it first", err=True)
    if damaged:
        click.echo(f"{name}.pdf: parts are damaged, and their text may be missing; fetch or export it again", err=True)
    return len(without), damaged


def paper_rows(name: str, folder: Path, pinned: PinnedPaper | None, settings: Settings) -> tuple[list[Row], int, str]:
    """(documents, sections left out for being short, the paper as Markdown)."""
    read = json.loads((folder / "blocks.json").read_text("utf-8"))
    blocks = read["blocks"]
    hyphens = Hyphens(read["breaks"], read["words"])
    leave_out = [re.compile(pattern.pattern, re.IGNORECASE) for pattern in settings.leave_out]
    sections = read_sections(blocks, hyphens, leave_out)
    headed = [plain(block["text"]) for block in blocks if block["kind"] == "title"]
    title = pinned.title if pinned else next(filter(None, [*headed, read["title"], name]))
    provenance = {"licence": pinned.licence, "sha256": pinned.sha256} if pinned else {}
    rows = []
    for section in sections:
        if len(section.text) < settings.least_characters:
            continue
        figures = [{**figure, "file": f"{name}/{figure['file']}"} for figure in section.figures]
        fields = {"paper": name, "title": title, "section": section.path, "text": section.text, "figures": figures}
        source = {"file": f"{name}.pdf", "pages": section.pages, **provenance}
        rows.append(make_document(fields, pinned.id if pinned else name, source))
    return rows, len(sections) - len(rows), markdown(title, sections)


def markdown(title: str, sections: list[Section]) -> str:
    """The paper as one text, a picture's words marked as such."""
    out = [f"# {title}"]
    for section in sections:
        depth = section.path.count(" / ") + 2
        out += [f"{'#' * depth} {section.path.rpartition(' / ')[2]}", section.text]
        for figure in section.figures:
            words = figure["picture_text"].replace("\n", "\n> ")
            out += [
                f"![{figure['caption']}]({figure['file']})",
                *([f"> Text in the picture: {words}"] if words else []),
            ]
    return "\n\n".join(filter(None, out)) + "\n"


def read(recipe: Path, settings: Settings, out: Path, state: Path) -> Extracted:
    """A document a section. Fetched PDFs, Markdown and figures are put into `out`."""
    return read_papers(recipe / "source", settings, state, out, Service(), cores())


def read_papers(
    folder: Path, settings: Settings, state: Path, documents: Path, service: Service, processes: int
) -> Extracted:
    """A refusal is of a paper. Fetched PDFs, Markdown and figures are put into `documents`."""
    papers, refused = find_papers(folder, settings, state / "arxiv", service)
    results = read_pdfs(papers, state / "pdf", processes)
    rows: list[Row] = []
    counts, many = dict.fromkeys(("sections", "short", "pages_without_text", "damaged"), 0), len(papers) + len(refused)
    for name, path, pinned in papers:
        read, wrong = results[name]
        if wrong:
            refused.append(_refuse("unreadable", wrong, name))
            continue
        without, damaged = tell_gaps(name, read)
        counts["pages_without_text"] += without
        counts["damaged"] += damaged
        made, short, text = paper_rows(name, read, pinned, settings)
        counts["short"] += short
        if not made:
            refused.append(_refuse("no section", "no heading stands above enough text", name))
            continue
        rows += made
        counts["sections"] += len(made)
        (documents / f"{name}.md").write_text(text, encoding="utf-8")
        if pinned:
            shutil.copyfile(path, documents / path.name)
        for figure in sorted(read.glob("*.png")):
            (documents / name).mkdir(exist_ok=True)
            shutil.copyfile(figure, documents / name / figure.name)
    return Extracted(rows, refused, counts, (many, "papers"))
