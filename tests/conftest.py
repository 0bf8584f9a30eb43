"""A small copy of the project that runs for real: a few rows, a few steps."""

import gc
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tuneline.locks import held

ROOT = Path(__file__).parent.parent
# Here too, before torch is loaded: models of two layers win nothing by a second thread, which waits by spinning.
os.environ["OMP_NUM_THREADS"] = "1"
gc.set_threshold(50_000)  # of 700: with torch loaded, looking for garbage is a tenth of the time
# The same of all that is started from here.
START = str(ROOT / "tests/start")
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (START, os.environ.get("PYTHONPATH"))))
ENVIRONMENT = {
    **os.environ,
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_AUTHOR_NAME": "test",
    "GIT_AUTHOR_EMAIL": "test@example.org",
    "GIT_COMMITTER_NAME": "test",
    "GIT_COMMITTER_EMAIL": "test@example.org",
    # Half a second for each copy of the project that is added, cloned or fetched.
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "core.compression",
    "GIT_CONFIG_VALUE_0": "0",
}
INHERITED = ("DVC_ROOT", "MAKEFLAGS", "MAKELEVEL", "MFLAGS")  # a make in `make test` would tell its folders
for inherited in INHERITED:
    ENVIRONMENT.pop(inherited, None)
ENVIRONMENT.pop("PYTHONDONTWRITEBYTECODE", None)  # hundreds of processes would compile the project again
# A shell starts what it runs in the background with SIGINT ignored, and what tests start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# What takes longest, first: `make test` gives each worker the next file, and the last ones should be short. Of the
# first three only one needs `ran_project`, for which another one would wait.
LONGEST = (
    "whole/test_readme", "tuneline/retraining/test_retraining", "stages/test_train_cuda",
    "tuneline/feedback/test_feedback", "recipes/papers/test_pipeline", "whole/", "speed/", "stages/test_train_mlx",
    "tuneline/ordering/test_server", "tuneline/teaching/test_teacher", "recipes/succession/test_draw",
    "recipes/succession/test_writer", "recipes/summaries/test_summaries", "stages/", "tuneline/teaching/",
)  # fmt: skip


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Iterator[None]:
    """Of pytest-xdist's workers one collects before all others.

    It compiles what is imported, of a new environment that is all, and the others would compile the same beside it.
    """
    if not hasattr(session.config, "workerinput"):
        return (yield)
    done = Path(session.config.option.basetemp).parent / "collected"
    with held(done.with_suffix(".lock"), waiting=lambda: None):
        if not done.exists():
            try:
                return (yield)
            finally:
                done.touch()
    return (yield)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: next((at for at, part in enumerate(LONGEST) if part in item.nodeid), len(LONGEST)))


PAPERS = ("bloom-filters",)  # reading one takes five seconds


@dataclass
class Project:
    """A checkout with its own git and DVC."""

    root: Path

    def run(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(words, cwd=self.root, env=ENVIRONMENT, capture_output=True, text=True)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def init_dvc(self) -> None:
        """What `dvc init` does, without a process's imports."""
        from dvc.repo import Repo

        Repo.init(str(self.root)).close()

    def repro(self, *words: str) -> list[str]:
        """Runs `dvc repro`; the names of the stages that ran, without their recipe or adapter."""
        out = self.run("dvc", "repro", *words).stdout
        return [line.split("'")[1].split("@")[0] for line in out.splitlines() if line.startswith("Running stage")]

    def edit(self, path: str, old: str, new: str) -> None:
        file = self.root / path
        text = file.read_text("utf-8")
        assert old in text
        file.write_text(text.replace(old, new), encoding="utf-8")


def copy_project(to: Path, papers: tuple[str, ...] = PAPERS) -> Project:
    """What git would track, with few rows and few steps."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\n")
    for name in filter(None, listed):
        if name.split("/")[0] not in ("tests", "docs", "metrics", "dvc.lock", "benchmarks") and (ROOT / name).exists():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)
    for paper in (to / "recipes/papers/source").glob("*.pdf"):
        if paper.stem not in papers:
            paper.unlink()
    for name, rows in (
        ("query_json/source/train", 60),
        ("query_json/source/test", 6),
        ("french_admin/source/golden", 30),
    ):
        file = to / f"recipes/{name}.jsonl"
        file.write_text("".join(file.read_text("utf-8").splitlines(keepends=True)[:rows]), encoding="utf-8")
    for name, rows in (("query_json", "rows: 3000"), ("french_admin", "rows: 150")):
        recipe = to / f"recipes/{name}/recipe.yaml"
        recipe.write_text(recipe.read_text("utf-8").replace(rows, "rows: 20"), encoding="utf-8")
    params = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))
    params["recipes"] = ["query_json", "french_admin", "papers"]  # those that the README runs; the others have tests
    params["adapters"] = {"query_json": params["adapters"]["query_json"]}
    params["adapters"]["query_json"]["train"] |= {"epochs": 0.3, "batch-size": 8, "evaluations": 2}
    params["adapters"]["query_json"]["max-new-tokens"] = "auto"
    params["bootstrap"]["samples"] = 20
    (to / "params.yaml").write_text(json.dumps(params), encoding="utf-8")
    project = Project(to)
    project.run("git", "init", "-q")
    project.run("git", "add", "-A")
    project.run("git", "commit", "-qm", "start")
    return project


@pytest.fixture(scope="session")
def ran_project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A small copy whose pipeline has run once, in a path with a space. Tests must leave it as they find it.

    It runs once for all the workers of pytest-xdist, each of which has its own copy.
    """
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "ran"
    with held(shared.with_suffix(".lock"), waiting=lambda: None):
        if not shared.exists():
            run_small_copy(base / "first").root.replace(shared)
    root = base / "a project"
    shutil.copytree(shared, root, symlinks=True)
    return Project(root)


LOG = ".tuneline/repro.log"  # what its run said


def run_small_copy(root: Path) -> Project:
    project = copy_project(root)
    recipe_stages, adapter_stages = (
        ["curate", "extract", "sdg"],
        ["baseline", "eval", "format", "predict", "split", "train", "trim"],
    )
    log = project.run("sh", "-c", "tuneline repro 2>&1").stdout
    (root / LOG).write_text(log, encoding="utf-8")
    ended = re.findall(r"^([a-z]+) +\S+ .* [\d,.]+ s  ", log, re.MULTILINE)
    assert sorted(ended) == sorted(["check", *3 * recipe_stages, *adapter_stages]), log
    project.run("git", "add", "-A")
    project.run("git", "commit", "-qm", "ran")
    return project
