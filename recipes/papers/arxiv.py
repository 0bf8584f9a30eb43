"""The pinned manifest of a corpus from arXiv, and its PDFs at the pace that the service asks for.

`tuneline papers refresh` asks the service what the recipe's query means today and writes the manifest,
which is in git; extract downloads what it names. One connection, a request every 3 s:
https://info.arxiv.org/help/api/tou.html
"""

import hashlib
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from tuneline.files import whole_file, write_json
from tuneline.recipe.settings import Section

SERVICE = "https://export.arxiv.org"
PACE = 3.0  # seconds between two requests
TRIES = 4
TIMEOUT = 60  # seconds without a byte
LICENCE = re.compile(r"<license>\s*([^<\s]+)\s*</license>")
# The service's own name for a paper, without the subject class that ids of before 2007 may be cited with.
ID = re.compile(
    r"(?:arxiv:|https?://(?:\w+\.)?arxiv\.org/(?:abs|pdf)/)?"
    r"(?:(?P<new>\d{4}\.\d{4,5})|(?P<archive>[a-z-]+)(?:\.[a-z-]+)?/(?P<old>\d{7}))(?P<version>v[1-9]\d*)?(?:\.pdf)?",
    re.IGNORECASE,
)


class Arxiv(Section):
    """What `tuneline papers refresh` resolves to the pinned manifest: newest papers of categories, and ids."""

    manifest: str = Field(description="in source/; extract downloads what it names and nothing else")
    categories: list[str]
    each: int = Field(ge=0, description="newest papers of each category")
    ids: list[str] = Field(description="2501.00001, 2501.00001v2 or hep-th/9901001; an address of arxiv.org will do")

    @field_validator("ids")
    @classmethod
    def _are_ids(cls, given: list[str]) -> list[str]:
        ids = list(map(_short_id, given))
        papers = [name.rpartition("v")[0] or name for name in ids]
        if twice := sorted({paper for paper in papers if papers.count(paper) > 1}):
            raise ValueError(f"{', '.join(twice)} named twice; take one out")
        return ids


def _short_id(given: str) -> str:
    found = ID.fullmatch(given.strip())
    if not found:
        raise ValueError(f"{given!r} is no id of arXiv, such as 2501.00001 or hep-th/9901001")
    name = found["new"] or f"{found['archive'].lower()}/{found['old']}"
    return name + (found["version"] or "").lower()


class PinnedPaper(BaseModel):
    model_config = ConfigDict(extra="forbid")

    id: str = Field(description="without its version")
    version: int
    title: str
    authors: list[str]
    licence: str | None = Field(description="its address; null where the service does not say")
    categories: list[str]
    pdf: str
    sha256: str | None = Field(description="of the PDF; null until it was fetched once")

    @property
    def name(self) -> str:
        return f"{self.id}v{self.version}".replace("/", "-")  # ids of before 2007 have a slash

    def is_of(self, asked: str) -> bool:
        """Whether it is what an id asks for: any version, or the one that is named."""
        return asked in (self.id, f"{self.id}v{self.version}")


class Manifest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    papers: list[PinnedPaper]


class Unreachable(Exception):
    """A paper that cannot be had; the message says why."""


def read_manifest(path: Path) -> Manifest:
    """Raises click.ClickException when it is not there or malformed."""
    try:
        return Manifest.model_validate_json(path.read_text("utf-8"))
    except FileNotFoundError:
        raise click.ClickException(f"{path} is missing; write it with `tuneline papers refresh`") from None
    except ValidationError as errors:
        first = errors.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise click.ClickException(f"{path}: {where}: {first['msg'].lower()}; see `tuneline papers refresh`") from None


class Service:
    """arXiv or a server like it: one connection, never two requests within `pace` seconds."""

    def __init__(self, address: str = SERVICE, pace: float = PACE) -> None:
        import requests

        self.address, self.pace = address.rstrip("/"), pace
        self.session = requests.Session()
        self.session.headers["User-Agent"] = "tuneline (https://pypi.org/project/arxiv)"
        self.last = float("-inf")

    def get(self, url: str, to: Path | None = None) -> str:
        """The text at an address, or, with `to`, its bytes in that file, whole; the file's SHA-256 is returned.

        What may pass (429, 5xx, a cut or refused connection) is tried again, Retry-After honoured. Raises Unreachable.
        """
        import requests

        why = ""
        for attempt in range(TRIES):
            self._wait(self.pace * (2**attempt - 1))
            try:
                with self.session.get(url, stream=True, timeout=TIMEOUT) as response:
                    why = f"HTTP {response.status_code}"
                    if response.status_code == 429 or response.status_code >= 500:
                        self._wait(_seconds(response.headers.get("Retry-After")))
                        continue
                    if response.status_code != 200:
                        raise Unreachable(why)
                    return _save(response, to) if to else response.text
            except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
                why = f"the connection failed or was cut ({type(error).__name__})"
            finally:
                self.last = time.monotonic()
        raise Unreachable(f"{why}, {TRIES} times")

    def _wait(self, more: float) -> None:
        """Until `pace` seconds after the last request, and `more`."""
        time.sleep(max(0.0, self.last + self.pace - time.monotonic()) + more)


def _seconds(retry_after: str | None) -> float:
    return min(float(retry_after), 300.0) if retry_after and retry_after.isdigit() else 0.0


def _save(response: Any, to: Path) -> str:
    digest = hashlib.sha256()
    with whole_file(to) as part, part.open("wb") as out:
        for piece in response.iter_content(1 << 16):
            digest.update(piece)
            out.write(piece)
    return digest.hexdigest()


def missing(ids: list[str], papers: list[PinnedPaper]) -> list[str]:
    """The ids that no paper answers to."""
    return [asked for asked in ids if not any(paper.is_of(asked) for paper in papers)]


def resolve(query: Arxiv, service: Service) -> Iterator[PinnedPaper]:
    """What the query means today: the ids, then the newest of each category, each paper once. No hash yet.

    The ids come first since they may name a version. One that the service does not know is not in its answer.

    Raises click.ClickException when the service gives no answer or an empty page where there must be one.
    """
    import arxiv
    import requests

    client = arxiv.Client(page_size=100, delay_seconds=service.pace, num_retries=TRIES - 1)
    client.query_url_format = f"{service.address}/api/query?{{}}"
    newest = {"sort_by": arxiv.SortCriterion.SubmittedDate, "sort_order": arxiv.SortOrder.Descending}
    searches = [(f"the ids {', '.join(query.ids)}", arxiv.Search(id_list=query.ids))] if query.ids else []
    for name in query.categories if query.each else []:
        searches.append((name, arxiv.Search(query=f"cat:{name}", max_results=query.each, **newest)))
    seen: set[str] = set()
    for what, search in searches:
        try:
            # The client takes an empty first page for an answer; the service gives one when it is busy.
            results = next(filter(None, (list(client.results(search)) for _ in range(TRIES))), None)
            if not results:
                raise arxiv.UnexpectedEmptyPageError(service.address, 0, None)
        except arxiv.UnexpectedEmptyPageError:
            raise click.ClickException(
                f"{what}: the service gave an empty page {TRIES} times; correct it in recipe.yaml, or try again later"
            ) from None
        except (arxiv.HTTPError, requests.RequestException) as error:
            said = f"HTTP {error.status}" if isinstance(error, arxiv.HTTPError) else type(error).__name__
            raise click.ClickException(f"{what}: {service.address} gave {said} {TRIES} times; try later") from None
        for paper in map(pin, results):
            if paper.id not in seen:
                seen.add(paper.id)
                yield paper


def pin(result: Any) -> PinnedPaper:
    name, _, version = result.get_short_id().rpartition("v")
    return PinnedPaper(
        id=name,
        version=int(version),
        title=" ".join(result.title.split()),
        authors=[author.name for author in result.authors],
        licence=None,
        categories=list(result.categories),
        pdf=result.pdf_url,
        sha256=None,
    )


def licence(paper: PinnedPaper, service: Service) -> str | None:
    """The licence's address, which only the service's OAI interface tells."""
    identifier = f"oai:arXiv.org:{paper.id}"
    try:
        said = service.get(f"{service.address}/oai2?verb=GetRecord&metadataPrefix=arXiv&identifier={identifier}")
    except Unreachable:
        return None
    found = LICENCE.search(said)
    return found[1] if found else None


def fetch(paper: PinnedPaper, cache: Path, service: Service) -> Path:
    """The PDF in `cache`, downloaded once. Raises Unreachable, also for other bytes than the pinned ones."""
    path = cache / f"{paper.name}.pdf"
    digest = file_hash(path) if path.is_file() else None
    if digest is None or digest != (paper.sha256 or digest):
        digest = service.get(paper.pdf, path)
    if not path.read_bytes()[:1024].lstrip().startswith(b"%PDF"):
        path.unlink()
        raise Unreachable("no PDF came; it may be withdrawn")
    if paper.sha256 and digest != paper.sha256:
        path.unlink()
        raise Unreachable(f"its SHA-256 is {digest[:12]}…, the manifest says {paper.sha256[:12]}…")
    return path


def file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def refresh(query: Arxiv, path: Path, cache: Path, service: Service) -> tuple[Manifest, dict[str, str], list[str]]:
    """Writes the manifest with licences and hashes; (manifest, name → why a PDF could not be had, ids not returned).

    What an older manifest knows of the same version stays, and so does an older paper whose id the service no longer
    returns. Nothing is written when the service fails.
    """
    old = {p.name: p for p in read_manifest(path).papers} if path.is_file() else {}
    papers = [old.get(found.name, found) for found in resolve(query, service)]
    service.last = time.monotonic()  # the client had a connection of its own
    lost = missing(query.ids, papers)
    papers += [paper for paper in old.values() if any(map(paper.is_of, lost))]
    failed = {}
    with click.progressbar(papers, label="papers", file=click.get_text_stream("stderr")) as bar:
        for paper in bar:
            if paper.licence is None:
                paper.licence = licence(paper, service)
            try:
                paper.sha256 = file_hash(fetch(paper, cache, service))
            except Unreachable as error:
                failed[paper.name] = str(error)
    manifest = Manifest(papers=sorted(papers, key=lambda paper: paper.name))
    write_json(path, manifest.model_dump())
    return manifest, failed, lost
