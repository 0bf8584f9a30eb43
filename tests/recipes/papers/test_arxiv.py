"""The manifest of arXiv papers, by the real client against a loopback service with faults."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner
from pydantic import ValidationError

from recipes.papers.arxiv import Arxiv as Query
from recipes.papers.arxiv import PinnedPaper, Service, Unreachable, fetch, read_manifest, refresh
from tests.conftest import ROOT
from tests.servers.arxiv_server import LICENCE, Arxiv, serve
from tuneline.recipe.own import open_door

RECIPE = ROOT / "recipes/papers"
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
    manifest, failed, lost = refresh(query(**more), folder / "arxiv.json", folder / "cache", service)
    assert not lost
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


def test_an_id_that_the_service_does_not_return_is_told_and_an_older_entry_stays(arxiv: Arxiv, tmp_path: Path) -> None:
    service, path = Service(arxiv.site, QUICK), tmp_path / "arxiv.json"
    ids = ["2501.00001", "2501.00002v1", "2501.00002v7", "hep-th/9901001"]
    asked = query(categories=["cs.DS"], ids=[ids[0], *ids[2:]])
    manifest, failed, lost = refresh(asked, path, tmp_path / "cache", service)
    assert lost == ["2501.00002v7", "hep-th/9901001"]
    assert [paper.name for paper in manifest.papers] == ["2501.00001v2", "2501.00002v1"]
    content = arxiv.papers.pop("2501.00002v1")
    asked = query(categories=[], ids=ids[:2])
    manifest, failed, lost = refresh(asked, path, tmp_path / "cache", service)
    assert (lost, failed) == (["2501.00002v1"], {})
    assert manifest.papers[1].sha256 == hashlib.sha256(content).hexdigest()


def test_the_command_names_what_was_not_returned_and_fails(arxiv: Arxiv, tmp_path: Path) -> None:
    recipe, manifest = tmp_path / "papers", tmp_path / "papers/source/arxiv.json"
    shutil.copytree(RECIPE, recipe, ignore=shutil.ignore_patterns("source", "typeset"))
    content = yaml.safe_load((recipe / "recipe.yaml").read_text("utf-8"))
    asked = query(categories=[], ids=["2501.00001", "2501.00003", "2501.00004v2"])
    content["extract"] |= {"files": [], "arxiv": asked.model_dump()}
    (recipe / "recipe.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    refresh(asked, manifest, tmp_path / ".tuneline/arxiv", Service(arxiv.site, QUICK))  # so the command need not wait
    words = ["refresh", "--service", arxiv.site]
    done = CliRunner(env={"DVC_ROOT": str(tmp_path)}).invoke(open_door(recipe, "commands").commands, words)
    assert done.exit_code == 1
    assert "2501.00003: the service did not return it; left out\n" in done.output
    assert "Error: 2 of 3 ids not returned: 2501.00003, 2501.00004v2; correct extract.arxiv.ids of" in done.output
    assert [paper.name for paper in read_manifest(manifest).papers] == ["2501.00001v2"]


def test_ids_that_are_all_unknown_are_named(arxiv: Arxiv, tmp_path: Path) -> None:
    with pytest.raises(click.ClickException, match=r"the ids 2501\.00003, 2501\.00004: the service gave an empty page"):
        refreshed(arxiv, tmp_path, categories=[], ids=["2501.00003", "2501.00004"])


def test_an_id_names_its_version_before_a_category_gives_the_newest(arxiv: Arxiv, tmp_path: Path) -> None:
    arxiv.papers = {"2501.00001v2": PDF, "2501.00001v1": PDF + b"old"}
    papers, _ = refreshed(arxiv, tmp_path, categories=["cs.DS"], ids=["2501.00001v1"])
    assert [paper.name for paper in papers] == ["2501.00001v1"]


def test_ids_are_read_as_people_copy_them() -> None:
    given = ["arXiv:2501.00001", "https://arxiv.org/pdf/2501.00002v3.pdf", "math.GT/0309136", "hep-th/9901001V2"]
    assert query(ids=given).ids == ["2501.00001", "2501.00002v3", "math/0309136", "hep-th/9901001v2"]


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        (["2501.1"], "'2501.1' is no id of arXiv, such as 2501.00001"),
        (["Attention Is All You Need"], "is no id of arXiv"),
        (["2501.00001", "2501.00001v2"], "2501.00001 named twice"),
    ],
)
def test_what_is_no_id_is_refused(ids: list[str], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        query(ids=ids)


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
