"""A run's samples are tracked by DVC, in a pipeline of one stage."""

import hashlib
import subprocess
from pathlib import Path

import pytest

from tests.conftest import Project
from tuneline.files import write_jsonl
from tuneline.retraining.execute import place_samples

PLACE = Path("recipes/mine/source/samples.jsonl")
TEXT = "Quillfeather owes four thousand crowns."


@pytest.mark.parametrize("tracked", ["by git", "by dvc"])
def test_samples_are_in_dvc_and_not_in_git(tracked: str, tmp_path: Path) -> None:
    from dvc.repo import Repo

    project = Project(tmp_path / "run")
    write_jsonl(project.root / PLACE, [{"input": "of the repository"}])
    project.run("git", "init", "-q")
    Repo.init(str(project.root)).close()
    (project.root / "dvc.yaml").write_text(
        "stages:\n  extract:\n    cmd: cp recipes/mine/source/samples.jsonl out\n    deps: [recipes/mine]\n"
        "    outs: [out]\n"
    )
    project.run("git", "add", "-A")
    project.run("git", "commit", "-qm", "start")
    if tracked == "by dvc":  # a version was merged
        place_samples(project.root, project.root / "dvc.yaml", PLACE)
    write_jsonl(tmp_path / "samples.jsonl", [{"input": TEXT}])
    place_samples(project.root, tmp_path / "samples.jsonl", PLACE)
    project.run("dvc", "exp", "run", "-q", "--name", "run", "extract")
    assert TEXT in (project.root / "out").read_text()
    project.run("git", "add", "-A")
    project.run("git", "commit", "-qm", "run")
    told = project.run("git", "show", f"HEAD:{PLACE}.dvc").stdout
    assert hashlib.md5((tmp_path / "samples.jsonl").read_bytes()).hexdigest() in told
    every = subprocess.run(
        ["git", "cat-file", "--batch", "--batch-all-objects"], cwd=project.root, stdout=subprocess.PIPE, check=True
    ).stdout
    assert TEXT.encode() not in every
    project.run("git", "clone", "-q", ".", str(tmp_path / "clone"))
    clone = Project(tmp_path / "clone")
    clone.run("dvc", "remote", "add", "-q", "-d", "here", str(project.root / ".dvc/cache"))
    clone.run("dvc", "pull", "-q")
    assert (clone.root / PLACE).read_bytes() == (tmp_path / "samples.jsonl").read_bytes()
    assert "up to date" in clone.run("dvc", "repro", "extract").stdout
