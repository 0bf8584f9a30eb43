"""What one clone shares, another has: no stage runs again there, and no answer is paid again."""

import os
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest
import requests

from tests.conftest import ENVIRONMENT, Project, copy_project
from tuneline.teaching.log import Answer, AnswerLog

REAL_BASES = {"data/bases/gemma3/", "data/bases/smollm2/"}  # of benchmarks: in a lock, and never made here


@pytest.fixture
def shared(ran_project: Project, tmp_path: Path) -> Project:
    """The small copy that has run, one that may be changed."""
    root = tmp_path / "mine"
    shutil.copytree(ran_project.root, root, symlinks=True)
    return Project(root)


def tell(project: Project, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    """`more`: of its environment."""
    path = os.pathsep.join((str(project.root), os.environ["PYTHONPATH"]))
    environment = {**ENVIRONMENT, "DVC_ROOT": str(project.root), "PYTHONPATH": path, **more}
    command = ["python", "-m", "tuneline.cli", *words]
    return subprocess.run(command, cwd=project.root, env=environment, capture_output=True, text=True)


def test_a_clone_fetches_what_was_shared_and_runs_nothing(shared: Project, tmp_path: Path) -> None:
    remote = tmp_path / "a remote"
    done = tell(shared, "share")
    assert done.returncode == 1 and "dvc remote add --default storage" in done.stderr and "Traceback" not in done.stderr
    shared.run("dvc", "remote", "add", "--default", "storage", str(remote))
    with AnswerLog(shared.root / ".tuneline/answers/openai-m") as log:
        log.add("0" * 64, Answer("{}", "stop", 1, 1, 0.1, "m"))
    done = tell(shared, "share")
    assert done.returncode == 0, done.stderr
    assert "openai-m: 1 answers" in done.stdout and "and the log of answers" in done.stdout
    assert "answers.dvc" in done.stderr and ".dvc/config" in done.stderr
    shared.run("git", "add", "-A")
    shared.run("git", "commit", "-qm", "shared")

    clone = Project(tmp_path / "theirs")
    shared.run("git", "clone", "-q", str(shared.root), str(clone.root))
    done = tell(clone, "fetch")
    assert done.returncode == 0, done.stderr
    assert "openai-m: 1 answers more" in done.stdout
    assert _left_out(done.stderr) <= REAL_BASES
    assert clone.repro() == []

    if not find_spec("dvc_s3"):
        shared.run("dvc", "remote", "modify", "storage", "url", "s3://team/tuneline")
        done = tell(shared, "fetch")
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        assert "dvc pull: s3 is supported, but requires 'dvc-s3' to be installed" in done.stderr

    # Half of it is lost on the way: that is told, and the rest is there.
    adapter = next((clone.root / "adapters").iterdir())
    for path in ("adapters", "data", ".dvc/cache"):
        shutil.rmtree(clone.root / path)
    weights = shared.root / "adapters" / adapter.name / "adapter_model.safetensors"
    size = weights.stat().st_size
    for held in [path for path in remote.rglob("*") if path.is_file() and path.stat().st_size == size]:
        held.chmod(0o644)
        held.unlink()
    done = tell(clone, "fetch")
    assert (done.returncode, done.stdout) == (1, "openai-m: 0 answers more, 1 in all\n") and "dvc pull: " in done.stderr
    assert f"adapters/{adapter.name}/" in _left_out(done.stderr) and "its stage runs where it is wanted" in done.stderr
    assert (clone.root / "data/query_json/curate.jsonl").is_file()


def test_a_bucket_is_a_remote_too(shared: Project, tmp_path: Path) -> None:
    """One that speaks as S3 does; its keys come from the environment and stay there."""
    pytest.importorskip("dvc_s3")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(port=0)
    server.start()
    keys = {"AWS_ACCESS_KEY_ID": "an-id-of-ours", "AWS_SECRET_ACCESS_KEY": "a-key-of-ours"}
    try:
        host, port = server.get_host_and_port()
        address = f"http://{host}:{port}"
        requests.put(f"{address}/team", timeout=10).raise_for_status()
        shared.run("dvc", "remote", "add", "--default", "storage", "s3://team/tuneline")
        shared.run("dvc", "remote", "modify", "storage", "endpointurl", address)
        with AnswerLog(shared.root / ".tuneline/answers/openai-m") as log:
            log.add("0" * 64, Answer("{}", "stop", 1, 1, 0.1, "m"))
        told = [tell(shared, "share", **keys)]
        assert told[0].returncode == 0, told[0].stderr
        shared.run("git", "add", "-A")
        shared.run("git", "commit", "-qm", "shared")
        clone = Project(tmp_path / "theirs")
        shared.run("git", "clone", "-q", str(shared.root), str(clone.root))
        told += [tell(clone, "fetch", AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY=""), tell(clone, "fetch", **keys)]
    finally:
        server.stop()
    assert told[2].returncode == 0, told[2].stderr
    assert "openai-m: 1 answers more" in told[2].stdout
    assert _left_out(told[2].stderr) <= REAL_BASES
    assert clone.repro() == []
    assert not [one for one in told if keys["AWS_SECRET_ACCESS_KEY"] in one.stdout + one.stderr]
    assert (told[1].returncode, told[1].stderr) == (1, "Error: dvc pull: Unable to locate credentials\n")


def _left_out(told: str) -> set[str]:
    found = re.search("not in the remote: (.*);", told)
    return set(found[1].split(", ")) if found else set()


def test_without_a_remote_or_a_run_a_line_says_what_to_do(tmp_path: Path) -> None:
    project = copy_project(tmp_path / "new")
    done = tell(project, "fetch")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "dvc remote add --default" in done.stderr
    assert os.fspath(tmp_path) not in done.stderr
