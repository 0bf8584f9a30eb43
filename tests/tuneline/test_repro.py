"""`tuneline repro`: the order of the stages, and what is said, in a project of DVC whose stages are one-liners."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import psutil
import pytest
import yaml
from dvc.repo import Repo

from tests.conftest import ROOT
from tuneline.repro import reproduce
from tuneline.stage_runs import card_shares

SAID = "echo ran ${{DVC_STAGE}} >&2"
ROWS = {"cmd": f"cp source/${{item}} rows/${{item}} && {SAID}", "deps": ["source/${item}"], "outs": ["rows/${item}"]}
EVAL = {
    "cmd": f"mkdir -p metrics/${{key}} && cp rows/${{item.rows}} metrics/${{key}}/eval.json && {SAID}",
    "deps": ["rows/${item.rows}"],
    "metrics": [{"metrics/${key}/eval.json": {"cache": False}}],
}
ADAPTERS = ["second", "first", "third"]  # in this order


def figures(tuned: float) -> str:
    return json.dumps({"base": {"f1": 0.25}, "tuned": {"f1": tuned}})


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Rows of four names, an evaluation of three of them; what is dropped is a file without a byte."""
    monkeypatch.chdir(tmp_path)
    Repo.init(str(tmp_path), no_scm=True).close()
    rows = {**ROWS, "cmd": f"mkdir -p rows && touch rows/${{item}}.drops && {ROWS['cmd']}"}
    rows["outs"] = ["rows/${item}", "rows/${item}.drops"]
    stages = {"rows": {"foreach": ["first", "second", "spare", "third"], "do": rows}}
    stages["eval"] = {"foreach": "${adapters}", "do": EVAL}
    text = yaml.safe_dump({"stages": stages}, sort_keys=False).replace("${{", "${").replace("}}", "}")
    (tmp_path / "dvc.yaml").write_text(text.replace("${DVC_STAGE}", "$DVC_STAGE"), encoding="utf-8")
    adapters = {name: {"rows": name} for name in ADAPTERS}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"adapters": adapters}, sort_keys=False), encoding="utf-8")
    (tmp_path / "source").mkdir()
    for name in ("first", "second", "spare", "third"):
        (tmp_path / "source" / name).write_text(figures(0.5), encoding="utf-8")
    return tmp_path


def ran(said: str) -> list[str]:
    return [line.split()[1] for line in said.splitlines() if line.startswith("ran ")]


EVERYTHING = ["rows@second", "eval@second", "rows@first", "eval@first", "rows@third", "eval@third", "rows@spare"]


def test_one_adapter_after_another_as_params_has_them_and_then_the_rest(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    reproduce(first=True, verbose=False)
    out, err = capfd.readouterr()
    assert ran(err) == EVERYTHING[:2]
    assert out == ""  # an evaluation shows its table itself
    reproduce(first=False, verbose=False)
    out, err = capfd.readouterr()
    assert ran(err) == EVERYTHING[2:]
    assert err.splitlines()[5:] == ["2 of 7 stages unchanged"]  # no word of DVC's, nor of empty files
    assert titles(out) == ADAPTERS[:1]
    reproduce(first=False, verbose=False)
    out, err = capfd.readouterr()
    assert err == "7 of 7 stages unchanged\n"
    assert titles(out) == ADAPTERS
    with Repo() as repo:
        assert repo.reproduce() == []  # the lock is as DVC writes it
    (project / "source/first").write_text(figures(0.75), encoding="utf-8")
    reproduce(first=False, verbose=False)
    out, err = capfd.readouterr()
    assert ran(err) == ["rows@first", "eval@first"]
    assert titles(out) == ["second", "third"]


def test_adapters_that_are_named_run_alone_of_a_second_file_too(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    second = {"eval": {"foreach": {"fourth": {"rows": "spare"}}, "do": EVAL | {"wdir": ".."}}}
    write_stages(project / "benchmarks", second)
    reproduce(first=False, verbose=False, adapters=("third", "fourth"))
    assert ran(capfd.readouterr().err) == ["rows@third", "eval@third", "rows@spare", "benchmarks/dvc.yaml:eval@fourth"]
    reproduce(first=False, verbose=False, adapters=("fourth",))
    out, err = capfd.readouterr()
    assert err == "2 of 2 stages unchanged\n"
    assert out.split()[0] == "fourth"
    with pytest.raises(click.ClickException, match=r"there is no adapter 'fifth'; there are .*fourth"):
        reproduce(first=False, verbose=False, adapters=("first", "fifth"))


def test_a_folder_stands_for_its_adapters_but_for_those_whose_terms_nobody_accepted(
    project: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    base = {
        "cmd": f"mkdir -p bases && touch bases/strict && {SAID}",
        "deps": ["models/strict"],
        "outs": ["bases/strict"],
    }
    bound = EVAL | {"deps": [*EVAL["deps"], "bases/strict"]}
    write_stages(project / "models", {"base": {"foreach": ["strict"], "do": base | {"wdir": ".."}}})
    free = {name: {"rows": name} for name in ("spare", "third")}
    write_stages(project / "benchmarks", {"eval": {"foreach": free, "do": EVAL | {"wdir": ".."}}})
    write_stages(
        project / "bound", {"eval": {"foreach": {"strictly": {"rows": "spare"}}, "do": bound | {"wdir": ".."}}}
    )
    (project / "params.yaml").write_text("adapters: {first: {rows: first}}", encoding="utf-8")
    (project / "models/strict").mkdir()
    terms = "terms: {name: strict, url: https://example.org/terms}\ngguf: [small.gguf]\ncontext: 64\ndate: 2026-01-01\n"
    (project / "models/strict/base.yaml").write_text(f"{terms}target: {{linear: proj}}\n", encoding="utf-8")
    reproduce(first=False, verbose=False, adapters=("benchmarks",))
    both = ["rows@spare", "benchmarks/dvc.yaml:eval@spare", "rows@third", "benchmarks/dvc.yaml:eval@third"]
    assert ran(capfd.readouterr().err) == both
    reproduce(first=False, verbose=False, adapters=("bound",))
    said = capfd.readouterr().err
    assert ran(said) == []
    assert " ".join(said.split()).startswith(
        "strictly is left out: strict is under the terms of https://example.org/terms"
    )
    monkeypatch.setenv("TUNELINE_ACCEPT", "strict")
    reproduce(first=False, verbose=False, adapters=("bound",))
    assert ran(capfd.readouterr().err) == ["models/dvc.yaml:base@strict", "bound/dvc.yaml:eval@strictly"]
    monkeypatch.delenv("TUNELINE_ACCEPT")
    reproduce(first=False, verbose=False, adapters=("bound", "first"))  # the base is there: accepted once
    assert ran(capfd.readouterr().err) == ["rows@first", "eval@first"]


def write_stages(folder: Path, stages: dict) -> None:
    folder.mkdir()
    text = yaml.safe_dump({"stages": stages}, sort_keys=False).replace("${{DVC_STAGE}}", "$DVC_STAGE")
    (folder / "dvc.yaml").write_text(text.replace("${{", "${").replace("}}", "}"), encoding="utf-8")


def titles(out: str) -> list[str]:
    return [line.strip() for line in out.splitlines() if line.strip() in ADAPTERS]


def test_a_stage_that_fails_is_named_and_what_ran_before_is_kept(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (project / "source/first").unlink()
    (project / "source/first").mkdir()
    with pytest.raises(click.ClickException) as failed:
        reproduce(first=False, verbose=False)
    assert failed.value.message == "rows@first failed (exited with 1): the reason stands above"
    err = capfd.readouterr().err
    assert ran(err) == EVERYTHING[:2]
    assert "source/first" in err.splitlines()[-1]
    (project / "source/first").rmdir()
    with pytest.raises(click.exceptions.Exit) as refused:  # by DVC, which tells it through its log
        reproduce(first=False, verbose=False)
    assert refused.value.exit_code == 255
    (project / "source/first").write_text(figures(1), encoding="utf-8")
    reproduce(first=False, verbose=False)
    assert ran(capfd.readouterr().err) == EVERYTHING[2:]


def test_what_comes_from_the_cache_is_said_and_so_is_what_is_frozen(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    reproduce(first=True, verbose=False)
    (project / "dvc.lock").unlink()
    shutil.rmtree(project / "rows")
    capfd.readouterr()
    reproduce(first=True, verbose=False)
    out, err = capfd.readouterr()
    words = "second        from the cache: it has run before on just this"
    assert err.splitlines() == [f"rows     {words}", f"eval     {words}"]
    assert titles(out) == ADAPTERS[:1]
    assert (project / "rows/second").is_file()
    stages = yaml.safe_load((project / "dvc.yaml").read_text("utf-8"))
    stages["stages"]["eval"]["do"]["frozen"] = True
    (project / "dvc.yaml").write_text(yaml.safe_dump(stages), encoding="utf-8")
    (project / "source/second").write_text(figures(1), encoding="utf-8")
    capfd.readouterr()
    reproduce(first=True, verbose=False)
    err = capfd.readouterr().err
    assert "eval@second is frozen" in err
    assert ran(err) == []


@pytest.mark.parametrize("left", ["", '{"read": {"/a/source/'])
def test_a_kill_while_dvc_writes_which_paths_are_in_use_stops_no_run(
    project: Path, capfd: pytest.CaptureFixture[str], left: str
) -> None:
    record = project / ".dvc/tmp/rwlock"
    reproduce(first=True, verbose=False)
    assert record.is_file()  # so that DVC has not put it elsewhere since
    record.write_text(left, encoding="utf-8")
    (project / "source/second").write_text(figures(1), encoding="utf-8")
    capfd.readouterr()
    reproduce(first=True, verbose=False)
    err = capfd.readouterr().err
    assert err.splitlines()[0] == ".dvc/tmp/rwlock, torn by a kill, is taken away: DVC makes it anew"
    assert ran(err) == EVERYTHING[:2]


def test_no_adapter_is_no_fault(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (project / "params.yaml").write_text("adapters: {}\n", encoding="utf-8")
    reproduce(first=False, verbose=False)
    assert ran(capfd.readouterr().err) == ["rows@first", "rows@second", "rows@spare", "rows@third"]


MEET = "touch at_work/${item} && until [ -e at_work/second ] && [ -e at_work/first ]; do sleep 0.05; done"


def change(project: Path, stage: str, **to: object) -> None:
    """Of a stage of dvc.yaml, what is said of it."""
    stages = yaml.safe_load((project / "dvc.yaml").read_text("utf-8"))
    stages["stages"][stage]["do"].update(to)
    (project / "dvc.yaml").write_text(yaml.safe_dump(stages, sort_keys=False), encoding="utf-8")


def command(project: Path, stage: str) -> str:
    return yaml.safe_load((project / "dvc.yaml").read_text("utf-8"))["stages"][stage]["do"]["cmd"]


def test_two_jobs_work_at_a_time_and_leave_the_lock_that_one_leaves(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    reproduce(first=False, verbose=False)
    assert sorted(ran(capfd.readouterr().err)) == sorted(EVERYTHING)
    kept = (project / "dvc.lock").read_text("utf-8")
    for name in ("dvc.lock", ".dvc/cache", ".dvc/tmp", "rows", "metrics"):
        path = project / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    (project / "at_work").mkdir()
    change(project, "rows", cmd=f"{MEET} && {command(project, 'rows')}")  # neither ends before the other has begun
    reproduce(first=False, verbose=False, jobs=2)
    out, err = capfd.readouterr()
    assert sorted(ran(err)) == sorted(EVERYTHING)
    assert [line for line in err.splitlines() if not line.startswith("ran ")] == []
    lock = yaml.safe_load((project / "dvc.lock").read_text("utf-8"))["stages"]
    before = yaml.safe_load(kept)["stages"]
    assert {name: stage.get("outs") for name, stage in lock.items()} == {
        name: stage.get("outs") for name, stage in before.items()
    }
    with Repo() as repo:
        assert repo.reproduce() == []
    reproduce(first=False, verbose=False, jobs=2)
    out, err = capfd.readouterr()
    assert err == "7 of 7 stages unchanged\n"
    assert sorted(titles(out)) == sorted(ADAPTERS)


def test_a_job_that_fails_lets_the_other_end_and_none_begin(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (project / "at_work").mkdir()
    (project / "source/first").unlink()
    (project / "source/first").mkdir()
    slow = "if [ ${item} = second ]; then until [ -e at_work/failed ]; do sleep 0.05; done; fi"
    fails = f"{{ {command(project, 'rows')}; }} || {{ touch at_work/failed; exit 3; }}"
    change(project, "rows", cmd=f"{slow}; {fails}")
    with pytest.raises(click.ClickException) as failed:
        reproduce(first=False, verbose=False, jobs=2)
    assert failed.value.message == "rows@first failed (exited with 3): the reason stands above"
    err = capfd.readouterr().err
    assert "waiting for what is at work: rows@second\n" in err
    assert ran(err) == ["rows@second"]
    with Repo() as repo:
        assert repo.status("rows@second") == {}  # it is in the lock


ASLEEP = "touch at_work/${item} && sleep 300 && touch rows/${item} rows/${item}.drops"


@contextmanager
def at_work(project: Path, jobs: int) -> Iterator[tuple[subprocess.Popen, list[psutil.Process]]]:
    """`tuneline repro` of stages that sleep, when so many do, and all processes that it has begun."""
    (project / "at_work").mkdir()
    change(project, "rows", cmd=ASLEEP)
    words = [sys.executable, "-m", "tuneline.cli", "repro", "--jobs", str(jobs)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(words, cwd=project, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            while len(list((project / "at_work").iterdir())) < jobs:
                assert process.poll() is None
                time.sleep(0.05)
            yield process, psutil.Process(process.pid).children(recursive=True)
        finally:
            process.kill()
    assert len(list((project / "at_work").iterdir())) == jobs  # no other has begun


@pytest.mark.parametrize("jobs", [1, 2])
def test_sigterm_ends_the_command_at_work_and_begins_no_other(project: Path, jobs: int) -> None:
    with at_work(project, jobs) as (process, theirs):
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert re.search(r"rows@\w+ failed \(exited with -15\): the reason stands above\n", said)
    assert "Traceback" not in said
    assert not psutil.wait_procs(theirs, timeout=30)[1]


def test_a_worker_that_is_killed_is_told(project: Path) -> None:
    with at_work(project, 2) as (process, theirs):
        worker = next(one for one in theirs if "spawn_main" in " ".join(one.cmdline()))
        asleep = [one for one in theirs if one.name() == "sleep"]
        worker.kill()
        assert process.stderr.readline().startswith("waiting for what is at work: rows@")
        for one in asleep:
            one.kill()
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert "Error: a process was killed, perhaps for memory: 2 stages at a time want it together" in said
    assert "Traceback" not in said


def test_workers_end_with_a_parent_that_was_killed(project: Path) -> None:
    with at_work(project, 2) as (process, theirs):
        process.kill()
        for one in theirs:
            if one.is_running() and one.name() == "sleep":
                one.kill()
    assert not psutil.wait_procs(theirs, timeout=30)[1]


@pytest.mark.parametrize(
    ("cards", "jobs", "shares"),
    [
        ("", 2, [None, None]),
        ("0,1,2,3", 2, ["0,2", "1,3"]),
        ("4,7", 3, ["4", "7", "4"]),
        ("GPU-a,GPU-b", 2, ["GPU-a", "GPU-b"]),
    ],
)
def test_each_job_has_its_share_of_the_cards(
    monkeypatch: pytest.MonkeyPatch, cards: str, jobs: int, shares: list[str | None]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", cards)
    assert card_shares(jobs) == shares
