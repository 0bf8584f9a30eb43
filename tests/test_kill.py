"""kill −9 at random moments of `dvc repro`: no torn output, and in the end the same bytes."""

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.conftest import ENVIRONMENT, Project, copy_project
from tests.test_rerun import output_hashes


def run_and_kill(project: Project, seconds: float) -> bool:
    """Runs `dvc repro` and kills it with all it started after so many seconds; False if it ended before."""
    process = subprocess.Popen(
        ["dvc", "repro"], cwd=project.root, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True
    return False


def whole_outputs(project: Project, finished: dict[str, str]) -> None:
    """Every output that is there is one of a run never killed: nothing torn, nothing half."""
    there = output_hashes(project.root)
    torn = {name for name, digest in there.items() if name in finished and finished[name] != digest}
    assert not torn
    assert not {name for name in there if name not in finished and ".part" not in name and "/live/" not in name}


@pytest.mark.parametrize("kills", [pytest.param(3, id="short"), pytest.param(20, marks=pytest.mark.soak, id="soak")])
def test_killed_runs_end_as_one_never_killed(kills: int, ran_project: Project, tmp_path: Path) -> None:
    finished = output_hashes(ran_project.root)
    project = copy_project(tmp_path)
    rng = random.Random(kills)
    started = time.monotonic()
    project.run("python", "-m", "stages.extract", "--help")
    unit = time.monotonic() - started  # so that moments spread over the run on a slow machine too
    for _ in range(kills):
        run_and_kill(project, rng.uniform(2, 40) * max(unit, 0.2))
        whole_outputs(project, finished)
    project.repro()
    assert output_hashes(project.root) == finished
