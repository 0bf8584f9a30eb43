"""The manifest of arXiv papers, by the real client against a loopback service with faults."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from recipes.papers.arxiv import Arxiv as Query
from recipes.papers.arxiv import PinnedPaper, Service, Unreachable, fetch, read_manifest, refresh
from tests.servers.arxiv_server import LICENCE, Arxiv, serve

QUICK = 0.01  # seconds between requests, here
PDF = b"%PDF-1.7 " + b"x" * 5000


@pytest.fixture
def arxiv() -> Iterator[Arxiv]:
    with serve({"2501.00001v2": PDF, "2501.00002v1": PDF + b"y"}) as service:
        yield service


def query(**more: object) -> Query:
    return Query(**{"manifest": "arxiv.json", "categories": ["cs.DS"], "each": 5, "ids": [], **more})


def refreshed(arxiv: Arxiv, folder: Path, **more: object) -> tuple[list[PinnedPaper], dict[str, str]]:
    service = Service(arxiv.site, QUICK)
    manifest, failed = refresh(query(**more), folder / "arxiv.json", folder / "cache", service)
    assert read_manifest(folder / "arxiv.json") == manifest
    return manifest.papers, failed


def test_a_query_becomes_a_pinned_manifest(arxiv: Arxiv, tmp_path: Path) -> None:
    papers, failed = refreshed(arxiv, tmp_path)
    assert not failed
    first = papers[0]
    assert (first.id, first.version, first.title) == ("2501.00001", 2, "Paper 2501.00001v2, in two lines")
    assert (first.authors, first.categories, first.licence) == (["Ada Example"], ["cs.DS"], LICENCE)
    assert first.pdf == f"{arxiv.site}/pdf/2501.00001v2"
    assert len(first.sha256) == 64
    assert first.sha256 != papers[1].sha256


def test_refreshing_again_fetches_nothing_and_changes_no_byte(arxiv: Arxiv, tmp_path: Path) -> None:
    refreshed(arxiv, tmp_path)
    before = (tmp_path / "arxiv.json").read_bytes()
    asked = arxiv.asked.copy()
    refreshed(arxiv, tmp_path)
    assert (tmp_path / "arxiv.json").read_bytes() == before
    assert arxiv.asked - asked == {"/api/query": 1}


def test_ids_are_resolved_and_a_paper_stands_once(arxiv: Arxiv, tmp_path: Path) -> None:
    papers, _ = refreshed(arxiv, tmp_path, categories=["cs.DS", "cs.LG"], ids=["2501.00002"])
    assert [paper.name for paper in papers] == ["2501.00001v2", "2501.00002v1"]
    papers, _ = refreshed(arxiv, tmp_path, categories=[], ids=["2501.00002"])
    assert [paper.name for paper in papers] == ["2501.00002v1"]


def test_what_passes_is_tried_again(arxiv: Arxiv, tmp_path: Path) -> None:
    arxiv.faults = {"/api/query": [503, "empty"], "/pdf/2501.00001v2": [503, "cut", 429], "/oai2": ["cut"]}
    papers, failed = refreshed(arxiv, tmp_path)
    assert not failed
    assert [paper.licence for paper in papers] == [LICENCE] * 2
    assert (tmp_path / "cache/2501.00001v2.pdf").read_bytes() == PDF


@pytest.mark.parametrize(("fault", "said"), [(503, "HTTP 503 4 times"), ("empty", "empty page 4 times")])
def test_a_service_that_stays_away_changes_nothing(arxiv: Arxiv, tmp_path: Path, fault: object, said: str) -> None:
    refreshed(arxiv, tmp_path)
    before = (tmp_path / "arxiv.json").read_bytes()
    arxiv.faults = {"/api/query": [fault] * 20}
    with pytest.raises(click.ClickException, match=said):
        refreshed(arxiv, tmp_path)
    assert (tmp_path / "arxiv.json").read_bytes() == before


def test_a_withdrawn_paper_stays_in_the_manifest_without_a_hash(arxiv: Arxiv, tmp_path: Path) -> None:
    arxiv.faults = {"/pdf/2501.00002v1": [404]}
    papers, failed = refreshed(arxiv, tmp_path)
    assert failed == {"2501.00002v1": "HTTP 404"}
    assert [paper.sha256 is None for paper in papers] == [False, True]


def pinned(arxiv: Arxiv, sha256: str | None = None) -> PinnedPaper:
    return PinnedPaper(
        id="2501.00001", version=2, title="t", authors=[], licence=None, categories=[],
        pdf=f"{arxiv.site}/pdf/2501.00001v2", sha256=sha256,
    )  # fmt: skip


def test_other_bytes_than_the_pinned_ones_are_refused(arxiv: Arxiv, tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match=r"SHA-256 is .*, the manifest says 00000"):
        fetch(pinned(arxiv, "0" * 64), tmp_path, Service(arxiv.site, QUICK))
    assert not list(tmp_path.iterdir())


def test_a_page_instead_of_a_pdf_is_refused(arxiv: Arxiv, tmp_path: Path) -> None:
    arxiv.papers["2501.00001v2"] = b"<html>withdrawn</html>"
    with pytest.raises(Unreachable, match="no PDF came"):
        fetch(pinned(arxiv), tmp_path, Service(arxiv.site, QUICK))
    assert not list(tmp_path.iterdir())


def test_a_fetched_pdf_is_not_fetched_again_and_a_torn_one_is(arxiv: Arxiv, tmp_path: Path) -> None:
    service = Service(arxiv.site, QUICK)
    path = fetch(pinned(arxiv), tmp_path, service)
    digest = hashlib.sha256(PDF).hexdigest()
    fetch(pinned(arxiv, digest), tmp_path, service)
    assert arxiv.asked["/pdf/2501.00001v2"] == 1
    path.write_bytes(PDF[:100])
    assert fetch(pinned(arxiv, digest), tmp_path, service).read_bytes() == PDF
    assert arxiv.asked["/pdf/2501.00001v2"] == 2


def test_the_pace_is_kept(arxiv: Arxiv, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    service = Service(arxiv.site, 3)
    service.get(f"{arxiv.site}/oai2")
    service.get(f"{arxiv.site}/oai2")
    assert slept[0] == 0
    assert 2.5 < slept[1] <= 3


@pytest.mark.parametrize("text", ["", "[]", json.dumps({"papers": [{"id": "1"}]})])
def test_a_malformed_manifest_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "arxiv.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(click.ClickException, match=r"arxiv\.json: .*tuneline papers refresh"):
        read_manifest(path)
