"""What DVC and make say about two commits: in a clone of this very repository, with its own history."""

import csv
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ENVIRONMENT, ROOT, Project

EVAL = "metrics/query_json/eval.json"
CURVE = "metrics/query_json/curves/train_loss.tsv"
F1, EXACT = "tuned.slot_f1", "tuned.exact_match"
SET_UP = ("-o", ".venv/repro")  # the clone uses this environment as it is


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """HEAD~1 is what is tested now; HEAD has another rank and what a run with it would have written.

    Nothing else differs. origin/main is HEAD~1, and make finds the environment that the tests run in.
    """
    root = tmp_path_factory.mktemp("comparisons") / "clone"
    command = ["git", "-c", "protocol.file.allow=always", "clone", "--quiet", str(ROOT), str(root)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("these sources are no git repository")
    project = Project(root)
    project.run("git", "checkout", "-q", "-B", "tested")
    overlay(project)
    project.run("git", "update-ref", "refs/remotes/origin/main", "HEAD")
    project.edit("params.yaml", "rank: 32", "rank: 16")
    figures = json.loads((root / EVAL).read_text("utf-8"))
    figures["tuned"] |= {"slot_f1": 0.25, "exact_match": 0.125}
    (root / EVAL).write_text(json.dumps(figures), encoding="utf-8")
    (root / CURVE).write_text("step\ttrain_loss\n40\t3.25\n80\t0.75\n", encoding="utf-8")
    project.run("git", "commit", "-qam", "another rank")
    (root / ".venv").mkdir()
    (root / ".venv/bin").symlink_to(Path(sys.executable).parent)
    (root / ".venv/repro").touch()  # younger than pyproject.toml: make installs nothing
    return project


def overlay(project: Project) -> None:
    """The working tree over the clone, as one commit: what is tested is what stands here, committed or not."""
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True,
        text=True, check=True,
    ).stdout.split("\0")  # fmt: skip
    project.run("git", "rm", "-rq", ".")
    for name in filter(None, tracked):
        if (ROOT / name).is_file():
            (project.root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, project.root / name, follow_symlinks=False)
    project.run("git", "add", "-A")
    project.run("git", "commit", "-q", "--allow-empty", "-m", "what is tested")


def old(project: Project, path: str) -> Any:
    return json.loads(project.run("git", "show", f"HEAD~1:{path}").stdout)


# ------------------------------------------------------------------ two commits of which all is known


def test_metrics_of_two_commits(clone: Project) -> None:
    done = clone.run("dvc", "metrics", "diff", "HEAD~1", "HEAD")
    before = old(clone, EVAL)["tuned"]
    header, *lines = done.stdout.splitlines()
    assert header.split() == ["Path", "Metric", "HEAD~1", "HEAD", "Change"]
    assert [line.split()[:4] for line in lines] == [
        [EVAL, EXACT, str(before["exact_match"]), "0.125"],
        [EVAL, F1, str(before["slot_f1"]), "0.25"],
    ]
    assert done.stderr == ""


def test_metrics_of_a_commit_and_the_workspace(clone: Project) -> None:
    before = old(clone, EVAL)["tuned"]
    done = clone.run("dvc", "metrics", "diff", "HEAD~1", "--json")
    assert json.loads(done.stdout) == {
        EVAL: {
            F1: {"old": before["slot_f1"], "new": 0.25, "diff": pytest.approx(0.25 - before["slot_f1"])},
            EXACT: {"old": before["exact_match"], "new": 0.125, "diff": pytest.approx(0.125 - before["exact_match"])},
        }
    }
    assert done.stderr == ""


def test_params_of_a_commit(clone: Project) -> None:
    done = clone.run("dvc", "params", "diff", "HEAD~1")
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["Path", "Param", "HEAD~1", "workspace"],
        ["params.yaml", "lora.rank", "32", "16"],
    ]
    assert done.stderr == ""


def test_plots_of_a_commit(clone: Project, tmp_path: Path) -> None:
    done = clone.run("dvc", "plots", "diff", "HEAD~1", "--out", str(tmp_path / "plots"))
    assert done.stderr == ""
    page = (tmp_path / "plots/index.html").read_text("utf-8")
    assert "query_json training loss" in page and "snips training loss" in page
    step, loss = clone.run("git", "show", f"HEAD~1:{CURVE}").stdout.splitlines()[1].split("\t")
    for revision, point in (("HEAD~1", (step, loss)), ("workspace", ("80", "0.75"))):
        assert f'{{"step": "{point[0]}", "train_loss": "{point[1]}", "rev": "{revision}"}}' in page


# ------------------------------------------------------------------ experiments


@pytest.fixture(scope="module")
def tried(clone: Project) -> Project:
    """With an experiment by `dvc exp run`: a cheap stage is run, and the figures stand as if it had trained."""
    clone.edit(EVAL, "0.25", "0.375")
    knobs = ["-S", "lora.rank=8", "-S", "adapters.query_json.train.epochs=4", "-S", "trim.max-tokens=1024"]
    clone.run("dvc", "exp", "run", "--name", "tried", *knobs, "extract@query_json")
    clone.run("git", "checkout", "-q", ".")
    return clone


def test_experiments_have_no_error(tried: Project) -> None:
    done = tried.run("dvc", "exp", "show", "--json")
    assert "YAMLValidationError" not in done.stdout + done.stderr
    workspace, head = json.loads(done.stdout)
    assert [workspace["rev"], workspace["error"], head["error"]] == ["workspace", None, None]
    assert head["data"]["params"]["params.yaml"]["data"]["lora"]["rank"] == 16
    (experiment,) = head["experiments"]
    assert experiment["name"] == "tried"
    (revision,) = experiment["revs"]
    assert revision["error"] is None
    assert revision["data"]["metrics"][EVAL]["data"]["tuned"]["slot_f1"] == 0.375


def test_experiments_as_csv(tried: Project) -> None:
    done = tried.run("dvc", "exp", "show", "--csv", "--only-changed")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [(row["rev"], row["Experiment"]) for row in rows][:2] == [("workspace", ""), ("tested", "")]
    assert rows[2]["Experiment"] == "tried"
    assert [row["lora.rank"] for row in rows] == ["16", "16", "8"]
    assert [row[f"{EVAL}:{F1}"] for row in rows] == ["0.25", "0.25", "0.375"]


def test_make_experiments_shows_every_figure_and_knob_that_differs(tried: Project) -> None:
    done = tried.run("make", *SET_UP, "experiments")
    header, row = (next(line for line in done.stdout.splitlines() if word in line) for word in ("Created", "[tried]"))
    knobs = ["adapters.query_json.train.epochs", "lora.rank", "trim.max-tokens"]
    assert header.split() == ["Experiment", "Created", f"{EVAL}:{F1}", *knobs]
    assert row.split()[-4:] == ["0.375", "4", "8", "1024"]
    assert done.stderr == ""


# ------------------------------------------------------------------ what is posted on a pull request


def table(project: Project, base: str) -> list[list[str]]:
    """The cells of the Markdown that `make diff` should print."""
    before = old(project, EVAL)["tuned"]
    changes = [f"{new - before[name]:.5f}".rstrip("0") for name, new in (("exact_match", 0.125), ("slot_f1", 0.25))]
    return [
        ["Path", "Metric", base, "workspace", "Change"],
        [EVAL, EXACT, str(before["exact_match"]), "0.125", changes[0]],
        [EVAL, F1, str(before["slot_f1"]), "0.25", changes[1]],
    ]


def cells(markdown: list[str]) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in markdown if not line.startswith("|-")]


def test_make_diff(clone: Project) -> None:
    done = clone.run("make", *SET_UP, "diff", "BASE=HEAD~1")
    assert cells(done.stdout.splitlines()) == table(clone, "HEAD~1")
    assert done.stderr == ""


def test_make_diff_says_when_there_is_no_difference(clone: Project) -> None:
    assert clone.run("make", *SET_UP, "diff", "BASE=HEAD").stdout == "No metric differs from HEAD.\n"


def test_make_diff_says_what_to_do_in_a_clone_that_has_no_such_commit(clone: Project, tmp_path: Path) -> None:
    clone.run("git", "clone", "-q", "--depth", "1", f"file://{clone.root}", str(tmp_path / "shallow"))
    shallow = Project(tmp_path / "shallow")
    done = shallow.run("make", *SET_UP, "diff", "BASE=HEAD~1", check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    line, make = done.stderr.splitlines()
    assert line.startswith("make diff: HEAD~1 is no commit of this clone; `git fetch --unshallow` or")
    assert make.startswith("make: ")


WORKFLOW = yaml.safe_load((ROOT / ".github/workflows/metrics.yml").read_text("utf-8"))
STEPS = {step["name"]: step for step in WORKFLOW["jobs"]["diff"]["steps"] if "name" in step}


@pytest.mark.skipif(not Path(sys.executable).with_name("pip").exists(), reason="`make setup` would install one")
def test_the_comment_of_a_pull_request(clone: Project) -> None:
    environment = {**ENVIRONMENT, **STEPS["compare"]["env"]}
    environment["BASE"] = environment["BASE"].replace("${{ github.base_ref }}", "main")
    command = ["bash", "-e", "-c", STEPS["compare"]["run"]]
    subprocess.run(command, cwd=clone.root, env=environment, check=True)
    title, empty, *markdown = (clone.root / "report.md").read_text("utf-8").splitlines()
    assert [title, empty] == ["### Metrics against `main`", ""]
    assert cells(markdown) == table(clone, "origin/main")


def test_a_branch_name_is_no_code(clone: Project) -> None:
    assert not [step for step in WORKFLOW["jobs"]["diff"]["steps"] if "${{" in step.get("run", "")]
    environment = {**ENVIRONMENT, "BASE": "origin/$(touch${IFS}evil)`touch${IFS}evil`"}
    done = subprocess.run(["make", *SET_UP, "diff"], cwd=clone.root, env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    assert f"{environment['BASE']} is no commit" in done.stderr
    assert not (clone.root / "evil").exists()


# ------------------------------------------------------------------ two commits of the project's own


@pytest.fixture(scope="module")
def pair(clone: Project) -> tuple[str, str]:
    """(older, newer) of the history: as far apart as may be, with a benchmarks/dvc.yaml that DVC can read."""
    commits = clone.run("git", "rev-list", "--max-count", "40", "HEAD~2").stdout.split()
    modes = {one: clone.run("git", "ls-tree", one, "benchmarks/dvc.yaml").stdout.split(" ")[0] for one in commits}
    files = [commit for commit in commits if modes[commit] == "100644"]
    if len(files) < 2:
        pytest.skip("this clone has no two commits whose benchmarks/dvc.yaml is a file and no link")
    return files[-1], files[0]


def test_two_commits_of_the_history(clone: Project, pair: tuple[str, str]) -> None:
    said = metrics_of(clone, *pair)
    for path, changes in said.items():
        before, after = (figures(clone, commit, path) for commit in pair)
        assert {name: (before.get(name), after.get(name)) for name in changes} == changes, path
    changed = clone.run("git", "diff", "--name-only", "--diff-filter=M", *pair, "--", "metrics/*/eval.json").stdout
    assert set(changed.split()) <= set(said)
    back = {path: {name: values[::-1] for name, values in changes.items()} for path, changes in said.items()}
    assert metrics_of(clone, *reversed(pair)) == back


def metrics_of(project: Project, one: str, other: str) -> dict[str, dict[str, tuple[Any, Any]]]:
    """What `dvc metrics diff` says: path → figure → (old, new)."""
    done = project.run("dvc", "metrics", "diff", one, other, "--json")
    assert done.stderr == ""
    said = json.loads(done.stdout)
    return {
        path: {name: (change.get("old"), change.get("new")) for name, change in changes.items()}
        for path, changes in said.items()
    }


def figures(project: Project, commit: str, path: str) -> dict[str, Any]:
    """A commit's metrics file, flat; empty where it has none."""
    done = project.run("git", "show", f"{commit}:{path}", check=False)
    return flat(json.loads(done.stdout)) if done.returncode == 0 else {}


def flat(value: Any, name: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} → {"a.b": 1}"""
    if not isinstance(value, dict):
        return {name: value}
    parts = (flat(inner, f"{name}.{part}".strip(".")) for part, inner in value.items())
    return {key: leaf for part in parts for key, leaf in part.items()}
