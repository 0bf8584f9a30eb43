"""Ideas through DVC's queue, two at a time, and through Ray as docs/scale.md has it: in the table, and paid once."""

import importlib.util
import re
import shutil
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT, Project

HAS_RAY = importlib.util.find_spec("ray") is not None
with_ray = pytest.mark.skipif(not HAS_RAY, reason="Ray is not installed; `pip install 'tuneline[ray]'`")


@pytest.fixture
def project(ran_project: Project, tmp_path: Path) -> Project:
    """One of its own: experiments leave what they made in the repository."""
    shutil.copytree(ran_project.root, tmp_path / "a project", symlinks=True)
    return Project(tmp_path / "a project")


def samples_of_experiments(project: Project) -> set[str]:
    """The knob that they differ in, as the table has it."""
    table = project.run("tuneline", "experiments").stdout
    return set(re.findall(r"\b(?:111|222)\b", table))


@pytest.mark.soak  # the queue is DVC's own
def test_two_of_the_queue_run_at_a_time(project: Project) -> None:
    for samples in (111, 222):
        project.run("dvc", "exp", "run", "--queue", "-S", f"bootstrap.samples={samples}", "eval@query_json")
    project.run("dvc", "queue", "start", "--jobs", "2")
    while (told := project.run("dvc", "queue", "status").stdout).count("Success") < 2:
        assert "Failed" not in told, project.run("dvc", "queue", "status").stdout
        time.sleep(0.5)
    assert samples_of_experiments(project) == {"111", "222"}


@with_ray
def test_the_script_of_the_page_runs_ideas_on_a_cluster(project: Project) -> None:
    """On two nodes of one processor each, so that two run at a time."""
    from ray.cluster_utils import Cluster

    text = (ROOT / "docs/scale.md").read_text("utf-8")
    (script,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    script = script.replace("/shared/checkout", str(project.root))
    script, count = re.subn(r"ideas = .*", 'ideas = [("bootstrap.samples=111",), ("bootstrap.samples=222",)]', script)
    assert count == 1
    (project.root / ".tuneline" / "ideas.py").write_text(script, encoding="utf-8")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": 80 << 20})
    try:
        cluster.add_node(num_cpus=1, object_store_memory=80 << 20)
        project.run("env", f"RAY_ADDRESS={cluster.address}", "python", ".tuneline/ideas.py")
    finally:
        cluster.shutdown()
    assert samples_of_experiments(project) == {"111", "222"}
