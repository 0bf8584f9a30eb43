"""Ideas two at a time, as docs/scale.md has it, through DVC's queue or on Ray's machines: both are in the table."""

import importlib.util
import re
import shutil
import time
from pathlib import Path

import pytest

from tests.conftest import ENVIRONMENT, ROOT, Project
from tests.stubs import stub_models


@pytest.fixture
def project(ran_project: Project, tmp_path: Path) -> Project:
    """One of its own: experiments leave what they made in the repository."""
    shutil.copytree(ran_project.root, tmp_path / "a project", symlinks=True)
    return Project(tmp_path / "a project")


@pytest.mark.soak  # the queue is DVC's own, and takes a minute
def test_two_of_the_queue_run_at_a_time(project: Project) -> None:
    for samples in (111, 222):
        project.run("dvc", "exp", "run", "--queue", "-S", f"bootstrap.samples={samples}", "eval@query_json")
    project.run("dvc", "queue", "start", "--jobs", "2")
    while (told := project.run("dvc", "queue", "status").stdout).count("Success") < 2:
        assert "Failed" not in told, told
        time.sleep(0.5)
    table = project.run("tuneline", "experiments").stdout
    assert set(re.findall(r"\b(?:111|222)\b", table)) == {"111", "222"}


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")
def test_two_of_them_run_on_two_machines_of_a_cluster(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The script of the page, whose models are stubs here."""
    from ray.cluster_utils import Cluster

    (script,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/scale.md").read_text("utf-8"), re.DOTALL)
    assert script.count("ray.remote(num_cpus=1)") == 1
    stub_models(project)
    project.run("git", "commit", "-qam", "stubs")
    (project.root / "ideas.py").write_text(script, encoding="utf-8")
    for name in ("PATH", *(name for name in ENVIRONMENT if name.startswith("GIT_"))):
        monkeypatch.setenv(name, ENVIRONMENT[name])  # what Ray's processes are started with
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": 100 << 20})
    try:
        cluster.add_node(num_cpus=1, object_store_memory=100 << 20)
        monkeypatch.setitem(ENVIRONMENT, "RAY_ADDRESS", cluster.address)
        told = project.run("python", "ideas.py").stdout
    finally:
        cluster.shutdown()
    assert sorted(line for line in told.splitlines() if line.startswith("rank-")) == ["rank-16: done", "rank-8: done"]
    table = project.run("tuneline", "experiments").stdout
    assert {"rank-8", "rank-16"} <= set(re.findall(r"rank-\d+", table))
