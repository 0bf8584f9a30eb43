"""Papers end to end: from a loopback arXiv to rows, and what an edited prompt of one persona costs."""

import contextlib
import importlib
import json
import shutil
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from tests.conftest import ROOT, Project, copy_project
from tests.in_process import run_stages
from tests.servers.arxiv_server import LICENCE, serve
from tests.servers.teacher_server import serve as serve_teacher
from tests.teaching import flags, settings
from tuneline.cli import show
from tuneline.files import read_jsonl

PAPERS = ROOT / "recipes/papers"
VOICES = ("eli5", "executive")
STAGES = (
    *(f"{stage}@papers" for stage in ("extract", "sdg", "curate")),
    *(f"{stage}@{voice}" for voice in VOICES for stage in ("trim", "split")),
)


def run(folder: Path, module: str, *words: str | Path) -> str:
    with contextlib.chdir(folder):
        main = importlib.import_module(module).main
        done = CliRunner().invoke(main, [str(word) for word in words], env={"DVC_ROOT": str(folder)})
    assert done.exit_code == 0, f"{done.output}{done.exception!r}"
    return done.output


def test_a_loopback_arxiv_becomes_rows(tmp_path: Path) -> None:
    recipe = tmp_path / "recipes/papers"
    shutil.copytree(PAPERS, recipe, ignore=shutil.ignore_patterns("*.pdf", "typeset"))
    content = yaml.safe_load((recipe / "recipe.yaml").read_text("utf-8"))
    query = {"manifest": "arxiv.json", "categories": ["cs.DS"], "each": 1, "ids": []}
    content["extract"] |= {"files": [], "arxiv": query}
    (recipe / "recipe.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    (recipe / "source").mkdir(exist_ok=True)
    with serve({"2501.00001v2": (PAPERS / "source/bloom-filters.pdf").read_bytes()}) as arxiv:
        said = run(tmp_path, "tuneline.cli", "papers", "refresh", "--service", arxiv.site)
        assert "source/arxiv.json: 1 papers" in said
        extract = ["--recipe", recipe, "--out", "rows", "--rejects", "rejects", "--documents", "documents"]
        extract += ["--engine", "local"]
        run(tmp_path, "stages.extract", *extract, "--metrics", "extract.json", "--state", ".tuneline")
        assert arxiv.asked["/pdf/2501.00001v2"] == 1  # refresh had it
    paths = ["--rows", "rows", "--out", "sdg", "--refused", "refused", "--metrics", "sdg.json", "--answers", "answers"]
    chosen = settings(provider="offline", model="offline")
    run(tmp_path, "stages.sdg", "--recipe", recipe, *paths, "--strategy", "all", *flags(chosen))
    documents, rows = read_jsonl(tmp_path / "rows"), read_jsonl(tmp_path / "sdg")
    assert json.loads((tmp_path / "extract.json").read_text())["sections"] == len(documents) == 12
    assert documents[0]["source"]["licence"] == LICENCE
    assert {row["adapter"] for row in rows} == {"eli5", "intuitive", "executive"}
    assert len(rows) == 3 * len(documents)
    assert {row["group"] for row in rows} == {"2501.00001"}
    assert {row["document"] for row in rows} == {row["id"] for row in documents}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Two voices of the recipe on three papers."""
    project = copy_project(tmp_path / "project", ("bloom-filters", "reservoir-sampling", "second-price-auctions"))
    project.edit("recipes/papers/recipe.yaml", "cache-replacement, ", "")
    params = yaml.safe_load((project.root / "params.yaml").read_text("utf-8"))
    adapters = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))["adapters"]
    params["recipes"] = ["papers"]
    params["adapters"] = {name: adapters[name] for name in VOICES}
    params["prices"]["price"] = ["m=1/1"]
    (project.root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    project.edit("recipes/papers/recipe.yaml", "    language: en\n", "")  # what the server invents is in no language
    return project


def test_an_edited_prompt_costs_and_changes_the_rows_of_its_own_voice(project: Project) -> None:
    """All that comes after reads a voice's own rows alone."""
    with serve_teacher() as server:
        params = yaml.safe_load((project.root / "params.yaml").read_text("utf-8"))
        params["teacher"] |= {"provider": "openai", "model": "m", "base-url": server.openai_url}
        (project.root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
        run_stages(project, *STAGES)
        before = {name: split_files(project, name) for name in VOICES}
        sections = json.loads((project.root / "metrics/papers/extract.json").read_text())["sections"]
        assert server.stats()["requests"] == 3 * sections
        server.reset()
        project.edit("recipes/papers/sdg/eli5.md", "three to five short sentences", "two short sentences")
        run_stages(project, *STAGES)
        assert server.stats()["requests"] == sections
    after = {name: split_files(project, name) for name in VOICES}
    assert after["executive"] == before["executive"]
    changed = {name for name, old in before["eli5"].items() if after["eli5"][name] != old}
    assert {name for name in changed if not name.startswith("shots/")} == {"train.jsonl", "valid.jsonl", "test.jsonl"}


def split_files(project: Project, name: str) -> dict[str, bytes]:
    """Train, valid and test: what format, baseline, train, predict and eval of an adapter read of the rows."""
    folder = project.root / f"data/{name}/split"
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.jsonl")}


def test_each_voice_is_measured_by_every_rule() -> None:
    done = CliRunner().invoke(show, [str(ROOT / f"metrics/{name}") for name in VOICES])
    assert done.exit_code == 0 and "by executive's rule" in done.output
