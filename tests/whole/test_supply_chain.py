"""What is installed and what CI runs is what was looked at: by hash, by commit, with least rights."""

import os
import re
import subprocess
import tarfile
import tomllib
import venv
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.y*ml"))
GOOD = """
permissions: {contents: read}
jobs:
  one:
    steps:
      - uses: actions/checkout@34e114876b0b11c390a56381ad16ebd13914f8d5 # v4.3.1
        with: {persist-credentials: false}
      - env: {BASE: "${{ github.base_ref }}"}
        run: echo "$BASE"
"""


def workflow_faults(text: str) -> list[str]:
    workflow = yaml.safe_load(text)
    jobs = workflow["jobs"].values()
    faults = []
    for rights in (workflow.get("permissions"), *(job["permissions"] for job in jobs if "permissions" in job)):
        if not isinstance(rights, dict) or rights.get("contents", "none") == "write":
            faults.append(f"permissions: {rights}")
    for uses in re.findall(r"uses:\s*(.*)", text):
        if not uses.startswith("./") and not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", uses):
            faults.append(f"no commit and version: {uses}")
    for step in (step for job in jobs for step in job.get("steps", ())):
        if "${{" in step.get("run", "") + str(step.get("with", {}).get("script", "")):
            faults.append(f"a shell reads ${{{{ }}}}: {step['run']}")
        if "actions/checkout" in step.get("uses", "") and step.get("with", {}).get("persist-credentials") is not False:
            faults.append("the token stays in .git/config")
    return faults


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_has_least_rights_and_runs_what_was_looked_at(path: Path) -> None:
    assert workflow_faults(path.read_text("utf-8")) == []


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("permissions: {contents: read}", ""),
        ("permissions: {contents: read}", "permissions: write-all"),
        ("permissions: {contents: read}", "permissions: {contents: write}"),
        ("  one:\n", "  one:\n    permissions: write-all\n"),
        ("@34e114876b0b11c390a56381ad16ebd13914f8d5 # v4.3.1", "@v4"),
        ("@34e114876b0b11c390a56381ad16ebd13914f8d5", "@34e1148"),
        ('echo "$BASE"', "echo ${{ github.base_ref }}"),
        ('echo "$BASE"', "|\n          echo\n          echo ${{ github.event.pull_request.title }}"),
        ("{persist-credentials: false}", "{fetch-depth: 0}"),
    ],
)
def test_a_workflow_that_trusts_too_much_is_seen(good: str, bad: str) -> None:
    assert workflow_faults(GOOD) == []
    assert len(workflow_faults(GOOD.replace(good, bad))) == 1


def locked(name: str) -> dict[str, str]:
    """{name: version} of a file of lock/, each of whose entries has the hash of a file."""
    text = (ROOT / "lock" / name).read_text("utf-8")
    entries = re.findall(
        r"^([\w.-]+)==(\S+)[^\n]*\\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", text, re.MULTILINE
    )
    assert sum(line[0] != " " for line in text.splitlines()) == len(entries)
    return {normal(package): version for package, version, _ in entries}


def normal(package: str) -> str:
    return re.sub(r"[-_.]+", "-", package).lower()


def test_the_lock_is_of_the_constraints() -> None:
    """If this fails: make lock."""
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    wanted = dict(line.split("==") for line in lines if not line.startswith("#"))
    wanted = {normal(package): version for package, version in wanted.items()}
    packages, tools = locked("packages.txt"), locked("tools.txt")
    assert {package: packages.get(package, tools.get(package)) for package in wanted} == wanted
    assert {wanted[tool] for tool in tools} == set(tools.values())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert project["build-system"]["requires"] == [f"setuptools=={tools['setuptools']}"]
    needs = [project["project"]["dependencies"], *project["project"]["optional-dependencies"].values()]
    assert {normal(re.match(r"[\w.-]+", need)[0]) for some in needs for need in some} <= set(packages)


def test_every_install_checks_hashes() -> None:
    """constraints.txt alone checks none, and is for what a user adds."""
    for name in ("Makefile", "Dockerfile", *(str(path.relative_to(ROOT)) for path in WORKFLOWS)):
        text = (ROOT / name).read_text("utf-8").replace("\\\n", " ")
        installs = [line for line in text.splitlines() if re.search(r"\bpip\S* install\b", line)]
        assert [line for line in installs if "--require-hashes" not in line] == [], name


def test_nothing_of_torchs_index_runs_before_its_hash_is_checked(tmp_path: Path) -> None:
    """What comes as source is built to be downloaded."""
    (version,) = re.findall(r"^torch==(\S+)", (ROOT / "lock/packages.txt").read_text("utf-8"), re.MULTILINE)
    source = tmp_path / f"torch-{version}"
    source.mkdir()
    (source / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "own"\nbackend-path = ["."]\n'
    )
    (source / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    (tmp_path / "simple/torch").mkdir(parents=True)
    with tarfile.open(tmp_path / f"simple/torch/{source.name}.tar.gz", "w:gz") as packed:
        packed.add(source, source.name)
    (tmp_path / "simple/torch/index.html").write_text(f'<a href="{source.name}.tar.gz">{source.name}.tar.gz</a>')
    venv.create(tmp_path / "venv", with_pip=True)
    code = "import runpy, sys; runpy.run_path('lock/install.py')['install_torch'](sys.argv[1], [])"
    words = [tmp_path / "venv/bin/python", "-c", code, f"file://{tmp_path}/simple"]
    environment = {"PATH": os.environ["PATH"], "PIP_CONFIG_FILE": os.devnull}
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode and "No matching distribution found for torch" in done.stderr
    assert not (tmp_path / "ran").exists()


def test_every_image_is_of_bytes_that_are_known() -> None:
    text = (ROOT / "Dockerfile").read_text("utf-8")
    assert re.search(r"^ARG BASE=python:3\.11\.\d+-\S+@sha256:[0-9a-f]{64}$", text, re.MULTILINE)
    assert re.findall(r"^FROM (.*)$", text, re.MULTILINE) == ["${BASE}"]
    for name in ("compose.yaml", "compose.gpu.yaml"):
        services = yaml.safe_load((ROOT / name).read_text("utf-8"))["services"].values()
        foreign = [service["image"] for service in services if not re.match("tuneline(:|$)", service["image"])]
        assert [image for image in foreign if not re.fullmatch(r"[\w./-]+:[\w.]+@sha256:[0-9a-f]{64}", image)] == []
    assert "safe.directory '*'" not in text
