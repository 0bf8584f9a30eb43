"""kill −9 at random moments: no torn output, nothing paid twice, and in the end the same bytes."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import ENVIRONMENT, ROOT, Project, copy_project
from tests.servers.teacher_server import Server, serve
from tests.stubs import stub_stage
from tests.teaching import flags, settings, source_rows, write_asking_recipe
from tests.whole.test_rerun import output_hashes


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


def mend_dvc(project: Project) -> None:
    """Two files DVC writes in place: killed in that moment they are torn, and docs/design.md says what a user does."""
    in_use = project.root / ".dvc/tmp/rwlock"
    try:
        json.loads(in_use.read_bytes())
    except FileNotFoundError:
        pass
    except ValueError:
        in_use.unlink()
    if "dvc.lock" in project.run("dvc", "status", check=False).stderr:
        (project.root / "dvc.lock").unlink()  # none is committed here; DVC's run cache knows what has run


def whole_outputs(project: Project, finished: dict[str, str]) -> None:
    """Every output that is there is one of a run never killed: nothing torn, nothing half."""
    there = output_hashes(project.root)
    torn = {name for name, digest in there.items() if name in finished and finished[name] != digest}
    assert not torn
    assert not {name for name in there if name not in finished and ".part" not in name and "/live/" not in name}


# A stage that loads a model, in the short test: its outputs are those of the run never killed.
REPLAY = """
def stub(**given):
    import shutil

    from tuneline.files import whole_file, whole_folder

    for path in (given[name] for name in ("out", "curves_folder", "summary") if name in given):
        finished = Path({root!r}, path)
        if finished.is_dir():
            with whole_folder(path) as part:
                shutil.copytree(finished, part, dirs_exist_ok=True)
        else:
            with whole_file(path) as part:
                shutil.copyfile(finished, part)
"""


@pytest.mark.parametrize("kills", [pytest.param(2, id="short"), pytest.param(20, marks=pytest.mark.soak, id="soak")])
def test_killed_runs_end_as_one_never_killed(kills: int, ran_project: Project, tmp_path: Path) -> None:
    """In the long one trainings are killed too; tests of both trainers kill one in any case."""
    finished = output_hashes(ran_project.root)
    project = copy_project(tmp_path)
    for stage in ("baseline", "train_cuda", "predict") if kills == 2 else ():
        stub_stage(project, stage, REPLAY.format(root=str(ran_project.root)))
    rng = random.Random(kills)
    started = time.monotonic()
    project.run("python", "-m", "stages.extract", "--help")
    unit = time.monotonic() - started  # so that moments spread over the run on a slow machine too
    for _ in range(kills):
        run_and_kill(project, rng.uniform(2, 40) * max(unit, 0.2))
        mend_dvc(project)
        whole_outputs(project, finished)
    project.repro()
    assert output_hashes(project.root) == finished


@pytest.mark.parametrize("kills", [pytest.param(3, id="short"), pytest.param(20, marks=pytest.mark.soak, id="soak")])
def test_a_killed_teacher_run_ends_as_one_never_killed_and_pays_nothing_twice(kills: int, tmp_path: Path) -> None:
    rng = random.Random(kills)
    rows = source_rows(tmp_path / "rows.jsonl", [f"question number {n} of many" for n in range(300)])
    recipe = write_asking_recipe(tmp_path / "recipe")
    environment = {**ENVIRONMENT, "OPENAI_API_KEY": "a-key"}

    def command(server: Server, name: str) -> list[str]:
        paths = {"recipe": recipe, "rows": rows, "answers": tmp_path / name, "strategy": "all"}
        paths |= {flag: tmp_path / f"{name}.{flag}" for flag in ("out", "refused", "metrics")}
        words = [word for flag, value in paths.items() for word in (f"--{flag}", str(value))]
        return [sys.executable, "-m", "stages.sdg", *words, *flags(settings(base_url=server.openai_url, attempts=9))]

    with serve(delay=0.02, faults=0.2, kinds="429-after,500,reset") as server:
        for moment in sorted(rng.randrange(10, 290) for _ in range(kills)):
            process = subprocess.Popen(command(server, "killed"), cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
            while len(logged_keys(tmp_path / "killed")) < moment and process.poll() is None:
                time.sleep(0.005)
            process.kill()
            process.wait()
            assert not (tmp_path / "killed.out").exists()
        server.reset()
        subprocess.run(command(server, "killed"), cwd=ROOT, env=environment, check=True, capture_output=True)
    keys = logged_keys(tmp_path / "killed")
    assert len(keys) == len(set(keys)) >= 300
    with serve() as server:
        subprocess.run(command(server, "whole"), cwd=ROOT, env=environment, check=True, capture_output=True)
    for flag in ("out", "refused", "metrics"):
        assert (tmp_path / f"killed.{flag}").read_bytes() == (tmp_path / f"whole.{flag}").read_bytes()


@pytest.mark.soak
def test_two_runs_on_one_log_killed_at_any_moment_pay_nothing_twice(tmp_path: Path) -> None:
    """What a killed one had asked and not heard is paid and lost: at most as many as it may ask at once."""
    rng = random.Random(0)
    rows = source_rows(tmp_path / "rows.jsonl", [f"question number {n} of many" for n in range(600)])
    recipe = write_asking_recipe(tmp_path / "recipe")
    environment = {**ENVIRONMENT, "OPENAI_API_KEY": "a-key"}
    kills, at_once = 20, 8
    with serve(delay=0.1) as server:

        def start(name: str) -> subprocess.Popen:
            paths = {"recipe": recipe, "rows": rows, "answers": tmp_path / "log", "strategy": "all"}
            paths |= {flag: tmp_path / f"{name}.{flag}" for flag in ("out", "refused", "metrics")}
            words = [word for flag, value in paths.items() for word in (f"--{flag}", str(value))]
            chosen = flags(settings(base_url=server.openai_url, concurrency=at_once))
            return subprocess.Popen(
                [sys.executable, "-m", "stages.sdg", *words, *chosen], cwd=ROOT, env=environment,
                stderr=subprocess.DEVNULL,
            )  # fmt: skip

        running = {name: start(name) for name in ("one", "two")}
        for moment in sorted(rng.randrange(10, 590) for _ in range(kills)):
            while len(logged_keys(tmp_path / "log")) < moment:
                time.sleep(0.005)
            name = rng.choice(sorted(running))
            running[name].kill()
            running[name].wait()
            running[name] = start(name)
        assert [process.wait() for process in running.values()] == [0, 0]
        assert 600 <= server.stats()["requests"] <= 600 + kills * at_once
    keys = logged_keys(tmp_path / "log")
    assert len(keys) == len(set(keys)) == 600
    assert (tmp_path / "one.out").read_bytes() == (tmp_path / "two.out").read_bytes()


def logged_keys(folder: Path) -> list[str]:
    """Keys of all whole lines of a log, in no order."""
    lines = [line for path in folder.rglob("*.jsonl") for line in path.read_bytes().split(b"\n")[:-1]]
    return [json.loads(line)["key"] for line in lines]
