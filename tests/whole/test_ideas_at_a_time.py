"""Ideas through DVC's queue, two at a time, as docs/scale.md has it: both are in the table."""

import re
import shutil
import time
from pathlib import Path

import pytest

from tests.conftest import Project


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
