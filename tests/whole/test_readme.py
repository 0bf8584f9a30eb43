"""What the README shows is run, in a small copy of the project; its tree is the tree."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT, Project
from tests.in_process import run_tuneline
from tests.stubs import stub_models, stub_stage

README = (ROOT / "README.md").read_text("utf-8")
# Said in the README, run elsewhere: the tests themselves, and what wants or is a service (papers, instructions,
# feedback, the watcher and its models, the server of answers, whose own tests have them on loopback).
WORDS = ("papers", "succession", "instructions", "feedback", "watch", "models", "serve")
SERVICES = [f"tuneline {name}" for name in WORDS]
ELSEWHERE = ("make test", "make retrain", "tuneline predict --adapter adapters/eli5", *SERVICES)
ONE_ADAPTER = "dvc exp run -S lora.rank=8 eval@query_json"
SET_UP = ("-o", ".venv/repro")  # the copy uses this environment as it is


def shown_commands() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    blocks = [block.replace("\\\n", " ") for block in blocks]
    lines = [line.partition("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line]


# predict of tests/stubs.py's adapters: it answers with what is said of them, so that another rank answers otherwise.
KNOBS = """
def stub(adapter_folder, test, out, **_):
    from tuneline.files import read_jsonl, write_jsonl

    said = (adapter_folder / "adapter.json").read_text("utf-8")
    write_jsonl(out, ({"id": row["id"], "answer": said} for row in read_jsonl(test)))
"""


# `make`, DVC and .venv/bin/tuneline are started as they are shown; what begins with `tuneline` runs in this process.
def test_its_commands_run(ran_project: Project, tmp_path: Path) -> None:
    root = tmp_path / "copy"
    shutil.copytree(ran_project.root, root, symlinks=True)
    (root / ".venv").mkdir()
    (root / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    project = Project(root)
    commands = [line for line in shown_commands() if not line.startswith(ELSEWHERE) and "mine" not in line]
    assert len(commands) >= 6 and ONE_ADAPTER in commands
    idea = next(at for at, line in enumerate(commands) if line.startswith("dvc exp run"))
    for at, line in enumerate(commands):
        if at == idea:  # of an idea it is asked what runs and what is shown, not what is learnt
            stub_models(project)
            stub_stage(project, "predict", KNOBS)
            project.run("dvc", "commit", "--force", "baseline@query_json", "train@query_json", "predict@query_json")
            project.run("git", "commit", "-qam", "stubs")
        words = shlex.split(line)
        if words[0] == "tuneline":
            run_tuneline(project, *words[1:])
            continue
        if words[0] == "make":
            words[1:1] = SET_UP
        done = project.run(*[word for word in words if word != "--open"], check=False)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        if line == ONE_ADAPTER:
            ran = [said.split("'")[1] for said in done.stdout.splitlines() if said.startswith("Running stage")]
            assert ran == ["check", "train@query_json", "predict@query_json", "eval@query_json"]
            assert "lora.rank" in project.run("dvc", "params", "diff", "--md").stdout
            assert "valid_loss" in project.run("dvc", "metrics", "diff", "--md").stdout
        if line == "dvc metrics diff":
            assert "valid_loss" in done.stdout


KINDS = [("screen is dark", "hardware"), ("invoice is wrong", "billing")]
TICKETS = "text;label\n" + "".join(
    f"ticket {n}: my {what} since day {n * 7};{kind}\n" for n in range(60) for what, kind in [KINDS[n % 2]]
)


@pytest.fixture(scope="module")
def own_data(ran_project: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The five-minute section, run as it stands on a table of tickets; short trainings."""
    root = tmp_path_factory.mktemp("own") / "copy"
    shutil.copytree(ran_project.root, root, symlinks=True)
    (root / "tickets.csv").write_text(TICKETS + "one column\n", encoding="utf-8")
    project = Project(root)
    for line in (line for line in shown_commands() if "mine" in line):
        if line.startswith("dvc"):
            params = (root / "params.yaml").read_text("utf-8")
            (root / "params.yaml").write_text(re.sub("epochs: 10", "epochs: 1", params), encoding="utf-8")
        words = shlex.split(line)
        if words[0] == "tuneline":
            run_tuneline(project, *words[1:])
        else:
            project.run(*words)
    return project


def test_its_own_data_steps_work(own_data: Project) -> None:
    metrics = json.loads((own_data.root / "metrics/mine/eval.json").read_text("utf-8"))
    assert {"accuracy", "macro_f1"} <= set(metrics["tuned"])
    rejects = (own_data.root / "data/mine/extract.rejects.jsonl").read_text("utf-8")
    assert '"line":62' in rejects
    assert own_data.repro() == []  # nothing of the other recipe
    files = sorted(path.name for path in (own_data.root / "recipes/mine").rglob("*") if path.is_file())
    assert files == ["recipe.yaml", "schema.json", "system.md", "tickets.csv"]


def test_the_recipes_that_are_shipped_can_be_removed_as_it_says(own_data: Project) -> None:
    root = own_data.root
    params = yaml.safe_load((root / "params.yaml").read_text("utf-8"))
    params |= {"recipes": ["mine"], "adapters": {"mine": params["adapters"]["mine"]}}
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    for folder in ("recipes", "metrics"):
        for path in (root / folder).iterdir():
            if path.is_dir() and path.name != "mine":
                shutil.rmtree(path)
    assert own_data.repro() in ([], ["check"])
    for words in (
        ("dvc", "status"),
        ("dvc", "plots", "show"),
        ("tuneline", "show", "metrics/mine"),
        ("tuneline", "--help"),
    ):
        own_data.run(*words)


def test_its_tree_is_the_tree() -> None:
    block = re.search(r"## What is there\n\n```\n(.*?)```", README, re.DOTALL)
    assert block
    named = [line.split()[0] for line in block.group(1).splitlines()]
    at = [name if line[0] != " " else "" for name, line in zip(named, block.group(1).splitlines(), strict=True)]
    folders = [max((top for top in at[: n + 1] if top), key=at.index) for n in range(len(at))]
    told = {top if top == name else top + name for top, name in zip(folders, named, strict=True)}
    assert all((ROOT / path).exists() for path in told)
    for top in ("tuneline", "recipes"):
        there = {f"{top}/{path.name}/" for path in (ROOT / top).iterdir() if path.is_dir() and path.name[0] != "_"}
        assert there - {"tuneline/backends/"} <= told, "a folder that the README does not name"
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.split()
    tops = {f"{path.split('/')[0]}/" for path in tracked if "/" in path and path[0] != "."}
    assert tops - {"metrics/"} <= told


def test_its_links_lead_somewhere() -> None:
    for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "recipes").glob("*/README.md")]:
        for link in re.findall(r"\]\(([^)#:]+)\)", path.read_text("utf-8")):
            assert (path.parent / link).exists(), f"{path}: {link}"
