"""Processes of one training: how they end, and what is told of it. Members here train nothing."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import psutil
import pytest

from tests.conftest import ENVIRONMENT, ROOT
from tuneline.running.processes import is_part, launch, local_size, rank, world_size

MEMBER = """
import os, sys, time
from pathlib import Path
import click
from tuneline.running.processes import part, rank, world_size

folder, what = Path(sys.argv[1]), sys.argv[2]
with part():
    print("spoken by", rank(), file=sys.stderr, flush=True)
    (folder / f"{rank()}.part").write_text(f"{os.getpid()} {world_size()}")
    (folder / f"{rank()}.part").rename(folder / f"{rank()}.pid")
    if what == "all refuse" or rank() == 1 and what == "refuse":
        raise click.ClickException("no row is left")
    if rank() == 1 and what == "break":
        raise KeyError("a bug")
    time.sleep(0 if what == "end" else 60)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "member.py").write_text(MEMBER, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{ROOT}")
    return tmp_path


def pids(folder: Path) -> list[int]:
    return [int(path.read_text().split()[0]) for path in sorted(folder.glob("*.pid"))]


def lives(pid: int) -> bool:
    """What has ended and was not waited for by init, as in some containers, has no life either."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_alone_a_process_is_all_there_is() -> None:
    assert (is_part(), rank(), world_size(), local_size()) == (False, 0, 1, 1)


def test_each_member_knows_its_rank_and_the_first_alone_speaks(folder: Path, capfd: pytest.CaptureFixture) -> None:
    before = signal.getsignal(signal.SIGTERM)
    launch(3, "member", [str(folder), "end"], lambda: "kept")
    assert [path.read_text().split()[1] for path in sorted(folder.glob("*.pid"))] == ["3"] * 3
    assert capfd.readouterr().err == "spoken by 0\n"
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("refuse", "no row is left"),
        ("all refuse", "no row is left"),
        ("break", "process 1 failed with 1 (KeyError: 'a bug'), and the others with it; kept"),
    ],
)
def test_one_that_fails_ends_all_with_its_reason(
    what: str, said: str, folder: Path, capfd: pytest.CaptureFixture
) -> None:
    with pytest.raises(click.ClickException) as caught:
        launch(2, "member", [str(folder), what], lambda: "kept")
    assert caught.value.message == said
    assert capfd.readouterr().err in ("spoken by 0\n", "")
    assert not any(map(lives, pids(folder)))


@pytest.mark.parametrize(("number", "said"), [(signal.SIGTERM, "ended by SIGTERM; kept"), (signal.SIGKILL, "")])
def test_none_outlives_its_launcher(number: signal.Signals, said: str, folder: Path) -> None:
    code = (
        f"from tuneline.running.processes import launch; launch(2, 'member', [{str(folder)!r}, 'wait'], lambda: 'kept')"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env=ENVIRONMENT | {"PYTHONPATH": f"{folder}:{ROOT}"},
        stderr=subprocess.PIPE,
        text=True,
    )
    while len(pids(folder)) < 2:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)
    process.send_signal(number)
    assert said in process.communicate()[1]
    while any(map(lives, pids(folder))):
        time.sleep(0.05)
