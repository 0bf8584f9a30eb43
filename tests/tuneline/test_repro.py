"""`tuneline repro`: the order of the stages, and what is said, in a project of DVC whose stages are one-liners."""

import json
import shutil
from pathlib import Path

import click
import pytest
import yaml
from dvc.repo import Repo

from tuneline.repro import reproduce

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


def test_no_adapter_is_no_fault(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (project / "params.yaml").write_text("adapters: {}\n", encoding="utf-8")
    reproduce(first=False, verbose=False)
    assert ran(capfd.readouterr().err) == ["rows@first", "rows@second", "rows@spare", "rows@third"]
