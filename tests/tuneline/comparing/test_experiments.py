"""What was tried: knobs and figures that differ, noise in grey, in 120 columns."""

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from tests.small_pipeline import Small, small_pipeline
from tuneline.cli import main
from tuneline.comparing.experiments import WIDTH, show_experiments, tried
from tuneline.comparing.sides import Store


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Small:
    project = small_pipeline(tmp_path)
    evaluate(project, 0.5)
    project.commit()
    monkeypatch.chdir(tmp_path)
    return project


def evaluate(project: Small, right: float, *more: str) -> None:
    names = ("right", *more)
    project.write("metrics/mine/eval.json", {"tuned": dict.fromkeys(names, right)})
    edges = {"tuned": {name: [right - 0.05, right + 0.05] for name in names}}
    project.write("metrics/mine/report.json", {"intervals": edges})


def experiment(project: Small, name: str, rank: int, right: float, *more: str) -> None:
    """As `dvc exp run` leaves one: a commit under a ref of its own."""
    head = project.run("git", "rev-parse", "HEAD").stdout.strip()
    project.write("params.yaml", yaml.safe_dump({"recipes": ["mine"], "lora": {"rank": rank}}))
    evaluate(project, right, *more)
    commit = project.commit()
    project.run("git", "reset", "-q", "--hard", head)
    project.run("git", "update-ref", f"refs/exps/{head[:2]}/{head[2:]}/{name}", commit)


def cells(said: str, first: str) -> list[str]:
    (line,) = (line for line in said.splitlines() if line.startswith(f"│ {first}"))
    return [cell.strip() for cell in line.strip("│").split("│")]


def test_knobs_and_figures_that_differ(project: Small) -> None:
    experiment(project, "small", 8, 0.3)
    experiment(project, "same", 64, 0.51)
    done = CliRunner().invoke(main, ["experiments"])
    assert done.exit_code == 0, done.output
    assert "rank" in done.output and "mine" in done.output
    head = project.run("git", "rev-parse", "--short=7", "HEAD").stdout.strip()
    assert cells(done.output, head) == [head, "32", "0.5000"]
    assert cells(done.output, "small") == ["small", "8", "0.3000 ±0.071"]
    assert cells(done.output, "same") == ["same", "64", "0.5100 ±0.071"]
    assert "recipes" not in done.output


def test_noise_is_grey(project: Small, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    experiment(project, "small", 8, 0.3)
    experiment(project, "same", 64, 0.51)
    with Store(project.root) as store:
        show_experiments(tried(project.root, store), "head")
    said = capsys.readouterr().out
    assert "\x1b[90m0.5100 ±0.071\x1b[0m" in said
    assert "\x1b[1m0.3000 ±0.071\x1b[0m" in said


def test_the_working_tree_is_one_of_them(project: Small) -> None:
    evaluate(project, 0.9)
    done = CliRunner().invoke(main, ["experiments"])
    assert cells(done.output, "(working tree)") == ["(working tree)", "0.9000 ±0.071"]


def test_an_experiment_is_compared_by_its_name(project: Small) -> None:
    experiment(project, "small", 8, 0.3)
    done = CliRunner().invoke(main, ["diff", "HEAD", "small"])
    assert done.output.startswith("**`lora.rank` `32` → `8`**: 1 figure moved.")


def test_more_figures_than_there_is_room_for(project: Small) -> None:
    more = [f"a_figure_with_a_long_name_{at}" for at in range(12)]
    experiment(project, "many", 8, 0.3, *more)
    done = CliRunner().invoke(main, ["experiments"])
    assert max(map(len, done.output.splitlines())) <= WIDTH
    assert cells(done.output, "many")[:2] == ["many", "8"]
    assert " more figures differ; tuneline diff HEAD <experiment> has all of one" in done.output


def test_knobs_of_a_recipe_that_is_not_committed_leave_room_for_what_was_turned(project: Small) -> None:
    experiment(project, "small", 8, 0.3)
    recipe = project.root / "recipes/other/recipe.yaml"
    recipe.parent.mkdir(parents=True)
    recipe.write_text("".join(f"section-{at}: {{knob: a value that is long}}\n" for at in range(20)), encoding="utf-8")
    done = CliRunner().invoke(main, ["experiments"])
    assert cells(done.output, "small") == ["small", "8", "0.3000 ±0.071"]
    assert "20 more knobs differ; tuneline diff HEAD has those of the working tree" in done.output


def test_a_repository_without_a_commit_is_one_line(project: Small) -> None:
    project.run("git", "update-ref", "-d", "HEAD")
    for words in (["experiments"], ["diff"], ["diff", "HEAD"]):
        done = CliRunner().invoke(main, words)
        assert (done.exit_code, done.output.count("\n")) == (1, 1), done.output
        assert "has no commit yet" in done.output


def test_nothing_was_tried(project: Small) -> None:
    done = CliRunner().invoke(main, ["experiments"])
    assert done.output == "nothing was tried since HEAD; `dvc exp run -S lora.rank=16` tries something\n"
