"""What DVC and make say about two commits: in a clone of this very repository, with its own history."""

import json
import os
import shutil
import subprocess
import sys
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.repo import Repo

from tests.conftest import ENVIRONMENT, ROOT, Project
from tuneline.comparing.stale import status

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


def test_make_experiments_shows_every_figure_and_knob_that_differs(tried: Project) -> None:
    done = tried.run("make", *SET_UP, "experiments")
    assert done.stderr == ""
    assert max(map(len, done.stdout.splitlines())) <= 120
    head, row = ([cell.strip() for cell in line.strip("│").split("│")] for line in done.stdout.splitlines()[-3:-1])
    assert head[1:] == ["5", "16", "2048", "0.2500"]
    assert row == ["tried", "4", "8", "1024", "0.3750"]
    for word in ("epochs", "rank", "max-tokens", "query_json", "tuned.", "slot_f1"):
        assert word in done.stdout


# ------------------------------------------------------------------ what is posted on a pull request


def figures_of(project: Project, said: str) -> dict[str, list[str]]:
    """The figures that a report names as moved: name → [before, now]."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in said.splitlines() if line.startswith("| `")
    ]
    return {row[1].strip("`"): row[2:4] for row in rows if row[0] == "`query_json`"}


def check_report(project: Project, said: str, base: str) -> None:
    before = old(project, EVAL)["tuned"]
    commit = project.run("git", "rev-parse", "--short=7", "HEAD~1").stdout.strip()
    first = said.splitlines()[0]
    assert first == f"**`lora.rank` `32` → `16`**: 2 figures moved. Against `{base}` ({commit})."
    assert figures_of(project, said) == {
        EXACT: [f"{before['exact_match']:.4f}", "0.1250"],
        F1: [f"{before['slot_f1']:.4f}", "0.2500"],
    }
    assert f"`{EVAL} is not what it wrote`" in said  # no run has written these figures
    assert len(said.splitlines()) < 60


def test_make_diff(clone: Project) -> None:
    done = clone.run("make", *SET_UP, "diff", "BASE=HEAD~1")
    check_report(clone, done.stdout, "HEAD~1")
    assert done.stderr == ""


def test_of_no_change_one_line(clone: Project) -> None:
    done = clone.run("tuneline", "diff", "HEAD~1", "HEAD~1")
    commit = clone.run("git", "rev-parse", "--short=7", "HEAD~1").stdout.strip()
    assert done.stdout == f"No figure, knob, row, prompt or code of a stage differs from `HEAD~1` ({commit}).\n"


def test_what_another_rank_runs_again_is_counted(clone: Project) -> None:
    """Not what reads the word of `check`, which looks at all of params.yaml: that is the same."""

    def reached() -> tuple[set[str], set[str]]:
        with Repo(str(clone.root)) as repo:
            found = status(repo)
        return {one.stage for one in found.stale}, set(found.after)

    adapters = yaml.safe_load((clone.root / "params.yaml").read_text("utf-8"))["adapters"]
    before = reached()
    clone.edit("params.yaml", "rank: 16", "rank: 8")
    try:
        stale, after = reached()
    finally:
        clone.edit("params.yaml", "rank: 8", "rank: 16")
    assert stale >= {"check", *(f"train@{name}" for name in adapters)}
    assert {name.split("@")[0] for name in stale - before[0]} <= {"check", "train"}
    assert {name.split("@")[0] for name in after - before[1]} <= {"predict", "eval"}


def test_figures_that_no_run_has_written_do_not_pass(clone: Project) -> None:
    done = clone.run("tuneline", "diff", "--check", check=False)
    assert done.returncode == 1
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("eval@query_json: "))
    assert f"{EVAL} is not what it wrote" in line and line.endswith(
        "run `dvc repro eval@query_json` and commit what it writes"
    )


def test_make_diff_says_what_to_do_in_a_clone_that_has_no_such_commit(clone: Project, tmp_path: Path) -> None:
    clone.run("git", "clone", "-q", "--depth", "1", f"file://{clone.root}", str(tmp_path / "shallow"))
    shallow = Project(tmp_path / "shallow")
    done = shallow.run("make", *SET_UP, "diff", "BASE=HEAD~1", check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    line, make = done.stderr.splitlines()
    assert line.startswith("Error: HEAD~1 is no commit of this clone; `git fetch --unshallow` or")
    assert make.startswith("make: ")


WORKFLOW = yaml.safe_load((ROOT / ".github/workflows/metrics.yml").read_text("utf-8"))
STEPS = {step["name"]: step for step in WORKFLOW["jobs"]["diff"]["steps"] if "name" in step}


MARKER = WORKFLOW["jobs"]["diff"]["env"]["MARKER"]
GH = """#!/usr/bin/env python3
import json, os, pathlib, sys
here = pathlib.Path(__file__).parent
words = sys.argv[1:]
body = next((word.removeprefix("body=@") for word in words if word.startswith("body=@")), None)
with open(here / "calls", "a") as calls:
    calls.write(json.dumps([words, body and pathlib.Path(body).read_text()]) + "\\n")
if body is None:
    print((here / "known").read_text(), end="")
"""


@pytest.fixture(scope="module")
def posted(clone: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a `gh` that writes down what it is asked; the step that compares has run."""
    folder = tmp_path_factory.mktemp("gh")
    (folder / "gh").write_text(GH, encoding="utf-8")
    (folder / "gh").chmod(0o755)
    step(clone, "compare", folder)
    return folder


def step(clone: Project, name: str, folder: Path) -> None:
    environment = {
        **ENVIRONMENT, "MARKER": MARKER, **STEPS[name]["env"], "GITHUB_STEP_SUMMARY": str(folder / "summary"),
        "GITHUB_REPOSITORY": "some/where", "NUMBER": "7", "PATH": f"{folder}{os.pathsep}{ENVIRONMENT['PATH']}",
    }  # fmt: skip
    if "BASE" in environment:
        environment["BASE"] = environment["BASE"].replace("${{ github.base_ref }}", "main")
    subprocess.run(["bash", "-e", "-c", STEPS[name]["run"]], cwd=clone.root, env=environment, check=True)


def test_the_comment_of_a_pull_request(clone: Project, posted: Path) -> None:
    marker, said = (clone.root / "report.md").read_text("utf-8").split("\n", 1)
    assert marker == MARKER
    check_report(clone, said, "origin/main")
    assert (posted / "summary").read_text("utf-8") == f"{marker}\n{said}"  # what a fork has


@pytest.mark.parametrize(("known", "method", "path"), [
    ("", "POST", "issues/7/comments"), ("123\n456\n", "PATCH", "issues/comments/123"),
])  # fmt: skip
def test_the_comment_is_found_by_its_marker_and_edited(
    clone: Project, posted: Path, known: str, method: str, path: str
) -> None:
    (posted / "known").write_text(known, "utf-8")
    (posted / "calls").unlink(missing_ok=True)
    step(clone, "comment", posted)
    (looked, _), (words, body) = (json.loads(line) for line in (posted / "calls").read_text("utf-8").splitlines())
    assert "repos/some/where/issues/7/comments" in looked
    assert f'startswith("{MARKER}")' in looked[-1]
    assert [words[words.index("--method") + 1], words[words.index("--method") + 2]] == [
        method,
        f"repos/some/where/{path}",
    ]
    assert body == (clone.root / "report.md").read_text("utf-8")


def test_the_workflow_may_do_no_more_than_it_must() -> None:
    assert WORKFLOW["permissions"] == {"contents": "read", "pull-requests": "write"}
    assert STEPS["comment"]["if"] == "github.event.pull_request.head.repo.full_name == github.repository"
    steps = WORKFLOW["jobs"]["diff"]["steps"]
    assert {step["uses"].split("/")[0] for step in steps if "uses" in step} == {"actions"}
    assert not [step for step in steps if "${{" in step.get("run", "")]


def test_a_branch_name_is_no_code(clone: Project) -> None:
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
        for name, (old_one, new_one) in changes.items():  # None: that commit calls the file no metric
            assert old_one in (None, before.get(name)) and new_one in (None, after.get(name)), path
    changed = clone.run("git", "diff", "--name-only", "--diff-filter=M", *pair, "--", "metrics/*/eval.json").stdout
    assert set(changed.split()) <= set(said)


def test_the_report_of_two_commits_of_the_history(clone: Project, pair: tuple[str, str]) -> None:
    done = clone.run("tuneline", "diff", *pair)
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) < 60
    assert done.stdout.startswith("**")
    old, new = (flat(yaml.safe_load(clone.run("git", "show", f"{one}:params.yaml").stdout)) for one in pair)
    turned = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    told = done.stdout.splitlines()[0]  # of what is new as a whole, its outermost part
    assert not turned or any(
        f"`{part}`" in told for name in turned for part in accumulate(name.split("."), "{}.{}".format)
    )


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
