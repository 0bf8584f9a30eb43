"""Do figures and locks belong to what stands here? On a pipeline that has run, with its data and without."""

import contextlib
import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from dvc.repo import Repo

from tests.small_pipeline import Small, small_pipeline, source_row
from tuneline.cli import main
from tuneline.comparing.stale import Status, status


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = small_pipeline(tmp_path_factory.mktemp("ran") / "project")
    with contextlib.chdir(project.root), Repo() as repo:
        repo.reproduce()
    project.commit()
    return project.root


@pytest.fixture
def project(ran: Path, tmp_path: Path) -> Small:
    shutil.copytree(ran, tmp_path / "project")
    return Small(tmp_path / "project")


@pytest.fixture
def bare(project: Small) -> Small:
    """As CI has it: what git has, no data and no cache."""
    project.run("git", "clean", "-qfdx")
    assert not (project.root / "data").exists() and not (project.root / ".dvc/cache").exists()
    return project


def look(project: Small) -> Status:
    with Repo(str(project.root)) as repo:
        return status(repo)


def stale(project: Small) -> dict[str, list[str]]:
    return {one.stage: one.changed + one.faults for one in look(project).stale}


def test_all_belongs_together(project: Small) -> None:
    assert look(project) == Status([], [], [], [])


def test_without_data_all_that_can_be_known_belongs_together(bare: Small) -> None:
    found = look(bare)
    assert (found.stale, found.after, found.never) == ([], [], [])
    assert found.unknown == ["data/mine/split/test.jsonl"]


def test_code(bare: Small) -> None:
    bare.write("tool.py", '{"tuned": {"right": 0.75}}\n')
    found = look(bare)
    assert {one.stage: one.changed + one.faults for one in found.stale} == {
        "curate@mine": ["tool.py"],
        "eval@mine": ["tool.py"],
    }
    assert found.after == ["split@mine"]


def test_after_a_stage_of_constant_text_nothing_runs_again(bare: Small) -> None:
    old = "  split:\n    foreach: ${recipes}\n    do:\n"
    bare.edit("dvc.yaml", old, old + "      meta:\n        constant: true\n")
    bare.write("recipes/mine/source/rows.jsonl", [source_row(1)])
    found = look(bare)
    assert ([one.stage for one in found.stale], found.after) == (["curate@mine"], ["split@mine"])


def test_rows(bare: Small) -> None:
    bare.write("recipes/mine/source/rows.jsonl", [source_row(1)])
    assert stale(bare) == {"curate@mine": ["recipes/mine"]}


def test_a_knob(bare: Small) -> None:
    bare.edit("params.yaml", "rank: 32", "rank: 16")
    assert stale(bare) == {"eval@mine": ["params.yaml (lora.rank)"]}


def test_a_command(bare: Small) -> None:
    bare.edit("dvc.yaml", "mkdir -p data/${item}/split", "mkdir -v -p data/${item}/split")
    assert stale(bare) == {"split@mine": ["its command"]}


def test_a_figure_that_was_written_by_hand(bare: Small) -> None:
    bare.edit("metrics/mine/eval.json", "0.5", "0.9")
    assert stale(bare) == {"eval@mine": ["metrics/mine/eval.json is not what it wrote"]}


def test_a_figure_that_was_not_committed(bare: Small) -> None:
    (bare.root / "metrics/mine/eval.json").unlink()
    assert stale(bare) == {"eval@mine": ["metrics/mine/eval.json is not there"]}


def test_a_lock_of_which_one_stage_is_older(bare: Small) -> None:
    text = (bare.root / "dvc.lock").read_text("utf-8")
    first = text.index("md5:", text.index("outs:"))
    (bare.root / "dvc.lock").write_text(f"{text[:first]}md5: {'a' * 32}{text[first + 37 :]}", "utf-8")
    assert stale(bare) == {"split@mine": ["data/mine/curate.jsonl"]}


def test_a_part_of_a_folder_is_looked_at_where_its_list_is_at_hand(project: Small) -> None:
    text = (project.root / "dvc.lock").read_text("utf-8")
    at = text.index("md5:", text.index("path: data/mine/split/test.jsonl"))
    (project.root / "dvc.lock").write_text(f"{text[:at]}md5: {'a' * 32}{text[at + 37 :]}", "utf-8")
    assert stale(project) == {"eval@mine": ["data/mine/split/test.jsonl"]}


def test_data_of_another_commit_in_the_working_tree_is_not_the_commits(project: Small) -> None:
    path = project.root / "data/mine/curate.jsonl"
    path.unlink()
    path.write_text("something else", "utf-8")
    assert stale(project) == {}


def test_a_stage_that_has_never_run_is_no_fault(bare: Small) -> None:
    bare.edit("params.yaml", "- mine", "- mine\n- next")
    bare.write("recipes/next/source/rows.jsonl", [source_row(1)])
    found = look(bare)
    assert found.stale == []
    assert set(found.never) == {"curate@next", "split@next", "eval@next"}


def test_figures_of_a_stage_that_has_never_run_are_one(bare: Small) -> None:
    bare.edit("params.yaml", "- mine", "- mine\n- next")
    bare.write("metrics/next/eval.json", {"tuned": {"right": 1.0}})
    assert stale(bare) == {"eval@next": ["metrics/next/eval.json is there, and no lock names it"]}


def test_rows_that_dvc_tracks_are_not_missed_where_they_are_not(project: Small) -> None:
    project.write("recipes/mine/source/big.jsonl", [source_row(at) for at in range(100)])
    with contextlib.chdir(project.root), Repo() as repo:
        repo.add("recipes/mine/source/big.jsonl")
        repo.reproduce()
    project.commit()
    project.run("git", "clean", "-qfdx")
    assert not (project.root / "recipes/mine/source/big.jsonl").exists()
    assert stale(project) == {}
    edited = project.root / "recipes/mine/source/big.jsonl.dvc"
    text = edited.read_text("utf-8")
    at = text.index("md5:")
    edited.write_text(f"{text[:at]}md5: {'a' * 32}{text[at + 37 :]}", "utf-8")
    assert stale(project) == {"curate@mine": ["recipes/mine"]}


# ------------------------------------------------------------------ the command


def check(project: Small, monkeypatch: pytest.MonkeyPatch) -> Result:
    monkeypatch.chdir(project.root)
    return CliRunner().invoke(main, ["diff", "--check"])


def test_the_check_passes(bare: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    done = check(bare, monkeypatch)
    assert done.exit_code == 0
    assert done.output.splitlines() == [
        "metrics and locks belong to what stands here",
        "not at hand to look at: data/mine/split/test.jsonl",
    ]


def test_the_check_says_what_to_do(bare: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    bare.edit("params.yaml", "rank: 32", "rank: 16")
    done = check(bare, monkeypatch)
    assert done.exit_code == 1
    assert done.output.splitlines() == [
        "eval@mine: params.yaml (lora.rank) changed; run `dvc repro eval@mine` and commit what it writes",
        "Error: 1 stage is not of what stands here; figures that follow are stale",
    ]


def test_the_check_of_no_pipeline_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", os.fspath(tmp_path))
    done = check(Small(tmp_path), monkeypatch)
    assert (done.exit_code, len(done.output.splitlines())) == (1, 1)
    assert done.output.startswith("Error: ") and "not" in done.output


def test_a_dvc_yaml_that_cannot_be_read_is_one_line(bare: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    bare.edit("dvc.yaml", "foreach: ${recipes}", "foreach: ${nothing}")
    done = check(bare, monkeypatch)
    assert (done.exit_code, len(done.output.splitlines())) == (1, 1)
    assert "nothing" in done.output
