"""Every stage on a bad day: one line, the old output whole, nothing half made beside it."""

import errno
import json
import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

import stages
from stages import baseline, check, curate, eval, extract, format, predict, sdg, split, train_cuda, trim
from tests.conftest import ENVIRONMENT, ROOT
from tests.foreign import of_another_user
from tests.recipe_folder import write_recipe
from tests.small_base import write_small_base
from tests.stages.test_train_cuda import FLAGS
from tests.teaching import flags, settings
from tuneline.disk import in_a_line, of_the_disk

WORDS = "anchor buoy crane dock ebb ferry gull harbour island jetty keel lock".split()


@dataclass
class Stage:
    command: click.Command
    reads: dict[str, object]
    files: dict[str, Path]
    folders: dict[str, Path] = field(default_factory=dict)
    more: list[str] = field(default_factory=list)

    @property
    def words(self) -> list[str]:
        given = {**self.reads, **self.files, **self.folders}
        pairs = [
            (key, one) for key, value in given.items() for one in (value if isinstance(value, tuple) else (value,))
        ]
        return [*(word for key, one in pairs for word in (f"--{key}", str(one))), *self.more]


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Stage]:
    """Every stage of a pipeline in miniature, which has run once; each writes into a folder of its own."""
    root = tmp_path_factory.mktemp("line")
    rows = [{"prompt": f"where is the {word} {n}?", "response": f"by the {word}"} for n, word in enumerate(WORDS * 2)]
    recipe = write_recipe(root / "recipe", {"train.jsonl": "".join(json.dumps(row) + "\n" for row in rows)})
    (recipe / "schema.json").write_text("{}")
    base = write_small_base(root / "base")
    (root / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    asked = flags(settings(provider="offline"))

    def to(stage: str, *names: str) -> dict[str, Path]:
        return {name: root / stage / name for name in names}

    answers = {"batch-size": 8, "max-new-tokens": 16, "backend": "cuda", "test": root / "split/out/test.jsonl"}
    answers |= {"processes": 1, "state": root / "state"}
    held = {"preamble": root / "trim/preamble", "base": base, "schema": recipe / "schema.json"}
    made = {
        "check": Stage(check.main, {"params": ROOT / "params.yaml"}, to("check", "out")),
        "extract": Stage(
            extract.main, {"recipe": recipe, "state": root / "extract/state", "engine": "local"},
            to("extract", "out", "rejects", "metrics"), to("extract", "documents"),
        ),
        "sdg": Stage(
            sdg.main,
            {"recipe": recipe, "rows": root / "extract/out", "answers": root / "sdg/state", "strategy": "all"},
            to("sdg", "out", "refused", "metrics"), more=asked,
        ),
        "curate": Stage(
            curate.main,
            {"recipe": recipe, "rows": root / "sdg/out", "answers": root / "curate/state", "engine": "local"},
            to("curate", "out", "drops", "metrics", "reasons"), more=asked,
        ),
        "trim": Stage(
            trim.main,
            {"recipe": recipe, "rows": root / "curate/out", "base": base, "adapter": "a", "max-tokens": 400,
             "engine": "local"},
            to("trim", "out", "drops", "metrics", "preamble"),
        ),
        "split": Stage(
            split.main,
            {"recipe": recipe, "rows": (root / "trim/out", root / "curate/out"), "held-out": 0.4, "seed": 0},
            to("split", "metrics"), to("split", "out"),
        ),
        "format": Stage(
            format.main,
            {"split": root / "split/out", "base": base, "preamble": held["preamble"], "max-new-tokens": 16,
             "engine": "local"},
            to("format", "metrics"), to("format", "chat", "tokens"),
        ),
        "baseline": Stage(
            baseline.main,
            {
                **answers, **held, "quantization": "none", "precision": "float32", "shots": 1,
                "examples": root / "split/out/shots/1.jsonl",
            },
            to("baseline", "out"), more=["--no-constrain"],
        ),
        "train": Stage(
            train_cuda.main,
            {**held, **FLAGS, "epochs": 1, "tokens": root / "format/tokens", "state": root / "train/state"},
            to("train", "summary"), to("train", "out", "curves"),
        ),
        "predict": Stage(
            predict.main, {**answers, "adapter": root / "train/out"}, to("predict", "out"), more=["--no-constrain"]
        ),
        "eval": Stage(
            eval.main,
            {
                "recipe": recipe, "adapter": "a", "train": root / "split/out/train.jsonl", "test": answers["test"],
                "baseline": root / "baseline/out", "tuned": root / "predict/out", "answers": root / "eval/state",
                "samples": 9, "seed": 0,
            },
            to("eval", "metrics", "report", "confusion", "predictions"), more=asked,
        ),
    }  # fmt: skip
    for name, stage in made.items():
        done = CliRunner().invoke(stage.command, stage.words)
        assert done.exit_code == 0, (name, done.output, done.exc_info)
    return made


STAGES = ("check", "extract", "sdg", "curate", "trim", "split", "format", "baseline", "train", "predict", "eval")


def content(folder: Path) -> dict[str, bytes | None]:
    """All that stands in a stage's folder but what it keeps for a later attempt."""
    found = [path for path in folder.rglob("*") if "state" not in path.relative_to(folder).parts]
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in found}


@contextmanager
def room_for(share: float, folder: Path) -> Iterator[None]:
    """No file may have more than a share of the largest one's bytes: what a quota does, or a full disk, without one."""
    most = int(share * max(len(made) for made in content(folder).values() if made))
    _, hard = before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Nobody may write there: by the folder's mode, or where root runs this, whom no mode stops, by a mount."""
    if os.geteuid():
        for path in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
            path.chmod(0o555)
        yield
        for path in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
            path.chmod(0o755)
        return
    if subprocess.run(["mount", "--bind", folder, folder], capture_output=True).returncode:
        pytest.skip("root without the right to mount")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True)
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


@contextmanager
def in_the_way(path: Path, other: Callable[[Path], object]) -> Iterator[None]:
    """Something of the user's at `path`, which `other` makes."""
    kept = path.with_name("kept")
    path.rename(kept)
    other(path)
    yield
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    kept.rename(path)


def a_file(path: Path) -> None:
    path.write_text("mine")


def a_folder(path: Path) -> None:
    path.mkdir()
    a_file(path / "mine")


def troubles(stage: Stage) -> dict[str, AbstractContextManager[None]]:
    folder = next(iter(stage.files.values())).parent
    found = {f"room for {share}": room_for(share, folder) for share in (0, 0.5, 0.9)}
    found |= {"read-only": read_only(folder), "a file for its folder": in_the_way(folder, a_file)}
    found |= {f"a file for --{name}": in_the_way(path, a_file) for name, path in stage.folders.items()}
    return found | {f"a folder for --{name}": in_the_way(path, a_folder) for name, path in stage.files.items()}


def told(stage: Stage) -> str:
    """The one line with which the stage fails."""
    done = CliRunner().invoke(stage.command, stage.words)
    assert done.exit_code
    return line_of(done)


def line_of(done: Result) -> str:
    if isinstance(done.exception, SystemExit):
        lines = [line for line in done.output.splitlines() if line.startswith("Error: ")]
    else:  # run as a program, by `stages.end`
        found = of_the_disk(done.exception)
        assert found, done.exc_info
        lines = [f"Error: {in_a_line(found)}"]
    assert len(lines) == 1 and "\n" not in lines[0], lines
    return lines[0]


@pytest.mark.parametrize("name", STAGES)
def test_a_disk_that_fails_is_one_line_and_what_was_there_is_whole(line: dict[str, Stage], name: str) -> None:
    stage = line[name]
    folder = next(iter(stage.files.values())).parent
    for what, trouble in troubles(stage).items():
        with trouble:
            before = content(folder)
            said = told(stage)
            assert content(folder) == before, what
        wanted = {"room": "File too large", "read-only": "Read-only|Permission denied", "a": "File exists|[iI]s|Not a"}
        assert re.search(next(text for start, text in wanted.items() if what.startswith(start)), said), (what, said)


@pytest.mark.parametrize("name", STAGES)
def test_what_another_user_owns_is_replaced_whole_or_told_in_a_line(line: dict[str, Stage], name: str) -> None:
    """Their folder cannot be written; their file in ones own folder can be replaced, which is no fault."""
    stage = line[name]
    folder = next(iter(stage.files.values())).parent
    owned = {"the folder": [folder], "the files": [*stage.files.values()]}
    owned["what it keeps"] = [path for path in (folder / "state",) if path.exists()]
    for what, paths in owned.items():
        if not paths:
            continue
        before = content(folder)
        with of_another_user(*paths):
            done = CliRunner().invoke(stage.command, stage.words)
            if done.exit_code:
                assert re.search("Permission denied|not permitted", line_of(done)), (what, line_of(done))
        assert done.exit_code or what != "the folder"
        assert content(folder) == before, what


ROWS = {  # what a stage reads rows from; the others read no file of them, or may do without
    "extract": ["recipe/source/train.jsonl"], "sdg": ["extract/out"], "curate": ["sdg/out"], "trim": ["curate/out"],
    "split": ["trim/out"], "format": ["split/out/train.jsonl", "split/out/valid.jsonl", "split/out/test.jsonl"],
    "baseline": ["split/out/test.jsonl"], "predict": ["split/out/test.jsonl"],
    "eval": ["split/out/test.jsonl", "baseline/out", "predict/out"],
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_without_a_row_a_stage_says_so_and_its_output_stays(line: dict[str, Stage], name: str) -> None:
    stage = line[name]
    folder = next(iter(stage.files.values())).parent
    for path in (folder.parent / read for read in ROWS[name]):
        before, was = content(folder), path.read_bytes()
        path.write_text("")
        said = told(stage)
        path.write_bytes(was)
        assert re.search("no (usable |test )?row|of other test rows", said), said
        after = content(folder)
        for beside in ("rejects", "drops"):  # where a reader finds why
            before.pop(beside, None), after.pop(beside, None)
        assert after == before


TORN: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda was: was[: len(was) * 2 // 3],
    "of another kind": lambda was: b"[1]\n",
    "no text": lambda was: b"\xff\xfe\x00\x81" * 64,
}
UNREAD = ("dropped.jsonl", "schema.json")  # for people, and for answers that are held to it


def read_by(stage: Stage) -> list[Path]:
    """The files that earlier stages wrote for this one; a system prompt is any text."""
    given = [one for value in stage.reads.values() for one in (value if isinstance(value, tuple) else (value,))]
    made = [path for path in given if isinstance(path, Path) and path.name not in ("base", "recipe", "state", *UNREAD)]
    within = [
        file for path in made for file in sorted(path.rglob("*")) if file.parent.name != "shots"
    ]  # baseline's own
    files = [path for path in made if path.is_file()] + within
    return [file for file in files if file.is_file() and file.name not in (*UNREAD, "system.md")]


@pytest.mark.parametrize("name", STAGES[2:])
def test_a_torn_file_of_an_earlier_stage_is_one_line_that_names_it(line: dict[str, Stage], name: str) -> None:
    stage = line[name]
    folder = next(iter(stage.files.values())).parent
    for path in read_by(stage):
        before, was = content(folder), path.read_bytes()
        for what, tear in TORN.items():
            path.write_bytes(tear(was))
            said = told(stage)
            path.write_bytes(was)
            assert str(path) in said or str(path.parent) in said, (path, what, said)
            assert content(folder) == before


def test_a_program_that_ends_by_the_disk_says_so_without_a_traceback(line: dict[str, Stage]) -> None:
    """As DVC runs it."""
    words = ["bash", "-c", 'ulimit -f 0; exec "$@"', "bash", sys.executable, "-m", "stages.check", *line["check"].words]
    done = subprocess.run(words, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True)
    assert (done.returncode, done.stderr.splitlines()[1:]) == (1, []), done.stderr
    assert done.stderr == "Error: File too large; the limit of a file's size (ulimit -f) is too low\n"


def test_a_mistake_of_the_program_keeps_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    for error in (ValueError("x"), KeyError(28), RuntimeError("os error 28")):
        stages.end(type(error), error, None)
        assert type(error).__name__ in capsys.readouterr().err
    for error in (OSError(errno.ENOSPC, "No space left on device", "a/b"), RuntimeError("I/O (os error 28)")):
        stages.end(type(error), error, None)
        assert re.fullmatch(r"Error: (a/b: )?No space left on device; make room\n", capsys.readouterr().err)
