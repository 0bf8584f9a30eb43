"""How far figures move by the seed alone: from trainings to a floor, and from the floor to what a report says."""

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from tests.conftest import Project
from tests.small_pipeline import Small, answered, small_pipeline
from tests.tuneline.comparing.test_figures import evaluate, moved
from tuneline.comparing.commands import noise
from tuneline.comparing.noise import floors

# As a training would: what it says depends on its seed, and 4 fails.
EVALUATE = """
import json, os, yaml
seed = yaml.safe_load(open("params.yaml"))["fit"]["seed"]
assert seed != 4
os.makedirs("metrics/mine", exist_ok=True)
figures = {"base": {"right": 0.1}, "tuned": {"right": 0.5 + seed / 100, "rows": 20}}
json.dump(figures, open("metrics/mine/eval.json", "w"))
"""


def test_a_floor_is_that_of_the_difference_of_two_trainings() -> None:
    # t of 2 degrees of freedom is 4.3027; the spread of 1, 2, 3 is 1.
    assert floors({"a": [1.0, 2.0, 3.0], "b": [0.5, 0.5, 0.5]}) == {"a": pytest.approx(6.0849, abs=1e-4), "b": 0.0}


def test_without_a_commit_there_is_no_experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "params.yaml").write_text("adapters: {mine: {}}\nfit: {seed: 2}\n")
    monkeypatch.chdir(tmp_path)
    for wrong in ("is no git repository", "has no commit yet"):
        done = CliRunner().invoke(noise, ["mine", "--seeds", "2"])
        assert (done.exit_code, done.output.count("\n")) == (1, 1)
        assert wrong in done.output
        Project(tmp_path).run("git", "init", "-q")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    from dvc.repo import Repo

    project = Project(tmp_path / "project")
    (project.root / "metrics/mine").mkdir(parents=True)
    stage = {"cmd": "python evaluate.py", "deps": ["evaluate.py"], "params": ["fit.seed"]}
    stage["metrics"] = [{"metrics/mine/eval.json": {"cache": False}}]
    stages = {"stages": {"eval": {"foreach": "${adapters}", "do": stage}}}
    (project.root / "dvc.yaml").write_text(yaml.safe_dump(stages))
    (project.root / "params.yaml").write_text("adapters: {mine: {}}\nfit: {seed: 2}\n")
    (project.root / "evaluate.py").write_text(EVALUATE)
    project.run("git", "init", "-q")
    Repo.init(str(project.root)).close()
    project.repro()
    project.run("git", "add", "-A")
    project.run("git", "commit", "-qm", "start")
    return project


def test_each_seed_is_trained_and_nothing_stays_but_the_floor(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.root)
    done = CliRunner().invoke(noise, ["mine", "--seeds", "2"])
    assert done.exit_code == 0, done.output
    assert "right" in done.output and "0.5200   0.5300" in done.output
    told = json.loads((project.root / "metrics/mine/noise.json").read_text())
    assert (told["seeds"], told["tuned"]["right"], told["floor"]["rows"]) == ([2, 3], [0.52, 0.53], 0.0)
    assert project.run("dvc", "exp", "list", "--all-commits").stdout.split() in ([], ["main:"], ["master:"])
    assert project.run("git", "status", "--porcelain").stdout.split() == ["??", "metrics/mine/noise.json"]

    project.edit("params.yaml", "seed: 2", "seed: 4")
    failed = CliRunner().invoke(noise, ["mine", "--seeds", "3"])
    assert failed.exit_code == 1 and "Traceback" not in failed.output
    assert json.loads((project.root / "metrics/mine/noise.json").read_text()) == told
    assert "params.yaml has no adapter yours; it has mine" in CliRunner().invoke(noise, ["yours"]).output


@pytest.mark.parametrize(("floor", "trained", "is_noise"), [(0.3, 1, True), (0.3, 0, False), (0.01, 1, False)])
def test_a_change_below_the_floor_is_noise(floor: float, trained: int, is_noise: bool, tmp_path: Path) -> None:
    """Where another adapter answered: one that was not trained again has no other seed."""
    small: Small = small_pipeline(tmp_path)
    evaluate(small, [answered(at, at < 10) for at in range(100)])
    small.write("metrics/mine/noise.json", {"floor": {"right": floor}})
    small.made("adapters/mine", "one")
    small.commit()
    evaluate(small, [answered(at, at < 30) for at in range(100)])
    small.made("adapters/mine", "another" if trained else "one")
    (figure,) = moved(small)
    assert figure.is_noise is is_noise
    half = (figure.interval[1] - figure.interval[0]) / 2
    assert half > floor if trained else half < 0.1
