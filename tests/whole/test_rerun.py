"""What reruns, seen in a small copy of the pipeline that runs for real."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import yaml

from tests.conftest import Project, copy_project
from tests.small_base import write_small_base


@pytest.fixture
def project(ran_project: Project, tmp_path: Path) -> Project:
    """A copy of the project that has run, free to be edited."""
    root = tmp_path / "copy"
    shutil.copytree(ran_project.root, root, symlinks=True)
    return Project(root)


def test_a_second_repro_runs_nothing(ran_project: Project) -> None:
    assert ran_project.repro() == []


def test_system_prompt_reruns_what_renders_and_after(project: Project) -> None:
    """The rows do not know it: no split changes. What depends on the recipe's whole folder runs too, in seconds."""
    project.edit("recipes/query_json/system.md", "JSON", "one JSON")
    ran = project.repro("split@query_json", "format@query_json")
    assert sorted(ran) == ["curate", "extract", "format", "sdg", "trim"]
    assert to_run(project) == {"baseline", "train", "eval"}  # and predict, which reads what train writes


def to_run(project: Project) -> set[str]:
    """Stages with a dependency that has changed, which is all that makes DVC run them; they are not run for that."""
    said = json.loads(project.run("dvc", "status", "--json", "dvc.yaml").stdout)
    return {name.split("@")[0] for name, changes in said.items() if any("changed deps" in one for one in changes)}


def test_eval_reruns_alone_when_its_script_changes(project: Project) -> None:
    project.edit("stages/eval.py", '"""Answers of', '"""The answers of')
    assert project.repro() == ["eval"]


def test_a_remark_in_a_measure_runs_no_model(project: Project) -> None:
    """extract reads references by them, and eval scores by them."""
    remark(project, "tuneline/measuring/json_answers.py")
    assert set(project.repro()) == {"extract", "eval"}


def remark(project: Project, path: str) -> None:
    file = project.root / path
    file.write_text(f"{file.read_text('utf-8')}# a remark\n", encoding="utf-8")


def test_split_ratio_leaves_what_is_before(project: Project) -> None:
    params = project.root / "params.yaml"
    values = yaml.safe_load(params.read_text("utf-8"))
    values["split"]["held-out"] = 0.3
    params.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    rows = [f"curate@{recipe}" for recipe in values["recipes"]]
    assert project.repro(*rows, "format@query_json") == ["check", "split", "format"]  # check: every knob, in a second
    assert to_run(project) == {"train", "eval"}  # the test rows are a file of their own


@pytest.mark.soak  # test_presets.py trains with its flags
def test_the_m4_preset_trains_with_mlx(project: Project) -> None:
    """`make train-m4`, on mlx's CPU build with a base small enough for it."""
    write_small_base(project.root / "models" / "small")
    preset = project.run("tuneline", "preset", "presets/m4").stdout.split()
    done = project.run("dvc", "exp", "run", *preset, "-S", "adapters.query_json.base=models/small")
    assert "stages.train_mlx" in done.stdout
    adapter = json.loads((project.root / "adapters/query_json/adapter.json").read_text("utf-8"))
    assert adapter["backend"] == "mlx"
    assert (project.root / "metrics/query_json/eval.json").is_file()


@pytest.mark.soak  # a killed run that ends as one never killed says the same, and is always run
def test_two_clean_runs_give_the_same_bytes(ran_project: Project, tmp_path: Path) -> None:
    again = copy_project(tmp_path)
    again.repro()
    first, second = (output_hashes(p.root) for p in (ran_project, again))
    assert first == second
    assert any(name.endswith("adapter_model.safetensors") for name in first)


def output_hashes(root: Path) -> dict[str, str]:
    files = (path for name in ("data", "adapters", "metrics") for path in sorted((root / name).rglob("*")))
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if path.is_file()
    }
