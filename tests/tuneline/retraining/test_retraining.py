"""From accepted samples to a version in service, in a small project that trains for real."""

import hashlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import click
import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from pyarrow.parquet import read_table

from tests.conftest import ENVIRONMENT, ROOT, Project
from tests.retraining import (
    HALF,
    RIGHT,
    TASK,
    accept,
    begin_watch,
    command,
    processes_below,
    retraining_project,
    watch,
)
from tests.stubs import stub_models
from tuneline.cli import main
from tuneline.feedback.gate_settings import read_gate_settings
from tuneline.feedback.recording import NotRecorded, record
from tuneline.feedback.store import FAILED, KEPT, OPEN, PROMOTED, Run, Sample, Store, database
from tuneline.files import write_jsonl
from tuneline.locks import held
from tuneline.measuring.bootstrap import paired_interval
from tuneline.measuring.score import Score
from tuneline.models.adapter import WEIGHTS, read_adapter
from tuneline.pipeline import stage_options
from tuneline.retraining.checkout import RUNS
from tuneline.retraining.commands import watch as watch_command
from tuneline.retraining.events import secrets
from tuneline.retraining.execute import LOCK, RESULT, Order, Result
from tuneline.retraining.finetuning import finetune_model, read_pairs
from tuneline.retraining.promotion import compare, decide, means
from tuneline.retraining.registry import is_whole, served_version, versions
from tuneline.retraining.runner import choose, docker_command, last_words, local_command, start
from tuneline.retraining.watch import check_commit, due_run, prepare, start_against_served

NAME = "summaries"
GATE = read_gate_settings(ROOT)


@pytest.fixture(scope="module")
def promoted(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose first run, which two watchers have begun at once, is promoted. Tests leave it as it is."""
    project = retraining_project(tmp_path_factory.mktemp("retraining"))
    accept(project, [HALF] * 9, seed=1)
    once = command("watch", "--once", "--runner", "local")
    both = [
        subprocess.Popen(once, cwd=project.root, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    said = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert sum("promoted to summaries v0.1.0" in one for one in said) == 1
    return project


@pytest.fixture
def copy(promoted: Project, tmp_path: Path) -> Project:
    root = tmp_path / "copy"
    shutil.copytree(promoted.root, root, symlinks=True)
    return Project(root)


def stub_stages(project: Project) -> None:
    """Commits stages that load no model: what a run trains is the version in service, and answers RIGHT."""
    stub_models(project, project.root / f"served/{NAME}/v0.1.0")
    project.run("git", "commit", "-qam", "stubs")


def runs(project: Project) -> list:
    with Store(database(project.root)) as store:
        return list(store.runs())


def samples_of(project: Project, run: Run) -> str:
    """As a run's commit has them, out of DVC's cache."""
    place = f"{run.commit_id}:recipes/{NAME}/source/samples.jsonl.dvc"
    oid = yaml.safe_load(project.run("git", "show", place).stdout)["outs"][0]["md5"]
    return (project.root / ".dvc/cache/files/md5" / oid[:2] / oid[2:]).read_text("utf-8")


def whole_current(project: Project) -> str | None:
    """The version that `current` names, after a look at all of its adapter; None before the first."""
    link = project.root / "served" / NAME / "current"
    if not link.is_symlink():
        return None
    folder = link.resolve(strict=True)
    read_adapter(folder)
    # What DVC noted when the run was committed is what lies here.
    listed = subprocess.run(
        ["git", "show", f"{NAME}@{folder.name}:dvc.lock"], cwd=project.root, capture_output=True, text=True, check=True
    ).stdout
    outs = yaml.safe_load(listed)["stages"][f"train@{NAME}"]["outs"]
    adapter = next(out for out in outs if out["path"] == f"adapters/{NAME}")
    cached = project.root / ".dvc/cache/files/md5" / adapter["md5"][:2] / adapter["md5"][2:]
    files = {file["relpath"]: file["md5"] for file in json.loads(cached.read_text("utf-8"))}
    assert files == {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    assert WEIGHTS in files
    return folder.name


# ------------------------------------------------------------------ parts


def test_a_version_wins_when_the_whole_interval_is_above_nothing() -> None:
    rng = np.random.default_rng(0)
    old = rng.uniform(0, 0.5, 60)
    assert decide(old + 0.1, old, 1000, 0).wins
    assert not decide(old, old, 1000, 0).wins
    noisy = decide(old + rng.normal(0.01, 0.3, 60), old, 1000, 0)
    assert not noisy.wins and noisy.interval[0] < 0 < noisy.interval[1]
    assert not decide(old - 0.1, old, 1000, 0).wins


def test_a_row_without_a_figure_does_not_count() -> None:
    decision = decide([0.5, None, 0.4], [0.1, 0.9, None], 100, 0)
    assert decision.difference == 0.4 and "on 1 rows" in decision.reason
    with pytest.raises(click.ClickException, match="nothing to decide by"):
        decide([None], [0.1], 100, 0)


def test_the_paired_interval_is_narrower_than_that_of_two_sides() -> None:
    """Rows differ much, the versions little: by row there is a difference, between the two means none."""
    rng = np.random.default_rng(1)
    old = rng.uniform(0, 1, 40)
    new = old + rng.uniform(0, 0.05, 40)
    low, high = paired_interval(new - old, 1000, 0)
    assert 0 < low < (new - old).mean() < high < 0.05
    assert paired_interval(new - old, 1000, 0) == (low, high)


def test_means_leave_out_what_no_row_has() -> None:
    scores = [
        Score({"rouge_l": 0.5, "overall": None, "judged": False}),
        Score({"rouge_l": 1, "overall": None, "judged": True}),
    ]
    found = means(scores, 200, 0)
    assert list(found) == ["rouge_l", "judged"]
    assert found["rouge_l"] == {"mean": 0.75, "interval": [0.5, 1.0]}
    assert found["judged"]["mean"] == 0.5


@pytest.fixture
def evaluated(tmp_path: Path) -> dict:
    """The options of an eval stage whose files have two rows: what compare reads of a run's checkout."""
    figures = [
        {"base": {"rouge_l": low, "other": None}, "tuned": {"rouge_l": low + 0.2, "other": 1}} for low in (0.1, 0.4)
    ]
    write_jsonl(tmp_path / "predictions.jsonl", ({"id": str(n), "figures": one} for n, one in enumerate(figures)))
    write_jsonl(tmp_path / "test.jsonl", ({"id": str(n)} for n in range(2)))
    (tmp_path / "report.json").write_text(json.dumps({"judge": "offline", "judge_spend": {"usd": 0.25}}))
    paths = {name: Path(name if name == "recipe" else f"{name}.jsonl") for name in ("predictions", "test", "recipe")}
    return {**paths, "report": Path("report.json"), "samples": 100, "seed": 0}


def test_the_first_version_is_compared_with_the_base(tmp_path: Path, evaluated: dict) -> None:
    found = compare(tmp_path, NAME, None, GATE, evaluated)
    assert (found["rows"], found["judge"], found["against"], found["spend_usd"]) == (2, "offline", "base", 0.25)
    assert {side: figures["rouge_l"]["mean"] for side, figures in found["sides"].items()} == {"base": 0.25, "new": 0.45}
    assert "other" not in found["sides"]["base"]
    assert found["difference"] == {"mean": 0.2, "interval": [0.2, 0.2]}
    assert (found["wins"], found["reason"].split(" by")[0]) == (True, "rouge_l better")


def test_a_measure_that_the_figures_lack_is_told(tmp_path: Path, evaluated: dict) -> None:
    with pytest.raises(click.ClickException, match="no slot_f1 among the figures; there are rouge_l, other"):
        compare(tmp_path, NAME, None, GATE.model_copy(update={"measure": "slot_f1"}), evaluated)


def test_the_container_gets_the_same_command(tmp_path: Path) -> None:
    root, folder = Path("/srv/project"), Path("/srv/project/.tuneline/runs/summarization-0001")
    author = {"GIT_AUTHOR_NAME": "a b"}
    words = docker_command(root, folder, gpu=False, user="1000:1001", attempt="77", author=author)
    assert words == [
        "docker", "compose", "--file", "/srv/project/compose.yaml", "run", "--rm", "--no-deps", "--no-TTY",
        "--name", "tuneline-summarization-0001-77", "--volume", "/srv/project:/srv/project",
        "--workdir", "/srv/project", "--user", "1000:1001", "--env", "GIT_AUTHOR_NAME=a b", "finetune", "python",
        *local_command(root, folder)[1:],
    ]  # fmt: skip
    gpu = docker_command(root, folder, gpu=True, user="0:0", attempt="1", author={})
    assert gpu[2:6] == ["--file", "/srv/project/compose.yaml", "--file", "/srv/project/compose.gpu.yaml"]


def test_without_an_engine_auto_runs_here(tmp_path: Path) -> None:
    assert choose("auto", tmp_path) == ("local", "there is no compose.yaml")
    with pytest.raises(click.ClickException, match=r"--runner docker: there is no compose\.yaml"):
        choose("docker", tmp_path)


def test_last_words_are_of_the_last_attempt_and_without_secrets(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_bytes(b"an older attempt\n")
    before = log.stat().st_size
    assert last_words(log, before, []) == "it said nothing"
    with log.open("ab") as more:
        more.write(b"Error: no access with key sk-123\n 10%\r 50%\r100% done\n\n\xff\n")
    said = last_words(log, before, ["sk-123"])
    assert said == "Error: no access with key *** | 100% done | \ufffd"


def test_a_lock_ends_with_the_last_process_that_has_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    code = (
        "import pathlib, subprocess, sys\n"
        "from tuneline.locks import held\n"
        "with held(pathlib.Path(sys.argv[1])) as lock:\n"
        "    child = subprocess.Popen(['sleep', '60'], stdin=lock)\n"  # as DVC's stages have it
        "    print(child.pid, flush=True)\n"
        "    child.wait()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
    orphan = int(process.stdout.readline())
    try:
        process.kill()
        process.wait()
        with held(path) as lock:
            assert lock is None
    finally:
        os.kill(orphan, signal.SIGKILL)
    told = []
    with held(path, waiting=lambda: told.append("")) as lock:
        assert lock is not None
        with held(path) as other:
            assert other is None
    with held(path) as lock:
        assert lock is not None


@pytest.fixture
def committed(tmp_path: Path) -> Project:
    """Git, and nothing but what the gate reads."""
    project = Project(tmp_path / "committed")
    (project.root / "recipes/summaries/judge").mkdir(parents=True)
    for name in ("params.yaml", "recipes/summaries/recipe.yaml", "recipes/summaries/judge/summarization.md"):
        shutil.copy2(ROOT / name, project.root / name)
    project.run("git", "init", "-q")
    project.run("git", "add", "-A")
    project.run("git", "commit", "-qm", "start")
    return project


@pytest.mark.parametrize(
    ("path", "old", "new", "said"),
    [
        ("params.yaml", "{summarization: summaries}", "{summarization: sums}",
         "params.yaml: gate.adapters.summarization: there is no sums in adapters, which has eli5, "),
        ("params.yaml", "{summarization: summaries}", "{summarization: eli5}",
         r"git archive: .*recipes/papers"),
        ("params.yaml", "papers, succession, summaries]", "papers]",
         "params.yaml: adapters.summaries.recipe: summaries is not in recipes"),
        ("params.yaml", "measure: rouge_l", "measure: token_f1",
         "params.yaml: gate.measure: token_f1 is none of rouge_1, .*, overall, good_share, judged_share$"),
        ("recipes/summaries/recipe.yaml", "task: summarization", "task: classification",
         "params.yaml: gate.adapters.summarization: .* needs eval.task: summarization"),
        ("recipes/summaries/recipe.yaml", "train: [samples.jsonl]", "train: [rows.jsonl]",
         "params.yaml: gate.adapters.summarization: .* needs samples.jsonl, .*, in extract.train"),
    ],
)  # fmt: skip
def test_what_can_train_no_run_uses_no_attempt(committed: Project, path: str, old: str, new: str, said: str) -> None:
    with Store(database(committed.root)) as store:
        check_commit(committed.root, TASK, read_gate_settings(committed.root))
        committed.edit(path, old, new)
        committed.run("git", "commit", "-qam", "a mistake")
        with pytest.raises(click.ClickException, match=f"^as committed, {said}"):
            due_run(committed.root, store, TASK, read_gate_settings(committed.root), print)
        assert list(store.runs()) == []
    if path == "params.yaml" and "measure" in old:
        committed.edit(path, new, old)
        with pytest.raises(click.ClickException, match=r"; params\.yaml has edits that are not committed"):
            check_commit(committed.root, TASK, read_gate_settings(committed.root))


def test_a_recipe_with_measures_of_its_own_can_be_decided_by_them(committed: Project) -> None:
    """As committed: what lies in the folder without being committed is none of a run's."""
    recipe = committed.root / "recipes/summaries"
    (recipe / "measures.py").write_text(
        "from tuneline.measuring.score import MEAN, Score\n"
        "from .words import count\n"
        'FIGURES = {"brevity": MEAN}\n'
        "def score(row, answer, outcomes):\n"
        '    return Score({"brevity": 1 / (1 + count(answer))})\n'
    )
    (recipe / "words.py").write_text("def count(text):\n    return len(text.split())\n")
    whole = yaml.safe_load((recipe / "recipe.yaml").read_text("utf-8"))
    (recipe / "recipe.yaml").write_text(yaml.safe_dump({**whole, "eval": {"measures": "own"}}))
    committed.run("git", "add", "recipes/summaries/measures.py", "recipes/summaries/words.py")
    committed.run("git", "commit", "-qam", "measures of its own")
    gate = read_gate_settings(committed.root)
    with pytest.raises(click.ClickException, match=r"gate\.measure: rouge_l is none of brevity$"):
        check_commit(committed.root, TASK, gate)
    committed.edit("params.yaml", "measure: rouge_l", "measure: brevity")
    committed.run("git", "commit", "-qam", "decided by them")
    (recipe / "measures.py").write_text("an edit that is not committed")
    check_commit(committed.root, TASK, gate)


def test_after_a_run_that_failed_for_good(committed: Project) -> None:
    gate = read_gate_settings(committed.root).model_copy(update={"min_new_samples": 2, "retry_minutes": 0})
    said = []

    def due() -> int | None:
        run = due_run(committed.root, store, TASK, gate, said.append)
        return run and run.number

    with Store(database(committed.root)) as store:
        accept(committed, [HALF] * 2, seed=1)
        for number in (1, 2, 3):
            assert due() == number
            store.fail_run(number, "a mistake", 1)
            assert due() is None
            assert said[-1].endswith("(a mistake); the next one waits for 2 more samples or another commit")
            if number == 1:
                committed.run("git", "commit", "-q", "--allow-empty", "-m", "another one")
            else:
                accept(committed, [HALF], seed=2 * number)
                assert due() is None
                accept(committed, [HALF], seed=2 * number + 1)


def test_a_watcher_says_that_it_waits(committed: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    order = Order(name="run", task=TASK, adapter=NAME, commit="", base=None, samples=0, sha256="")
    result = Result(commit="", previous=None, wins=False, reason="", figures={}, seconds=0, spend_usd=0)
    monkeypatch.setattr("tuneline.retraining.watch.start", lambda *_: result)
    said = []
    with held(committed.root / LOCK):
        (committed.root / RESULT).write_text("{")  # one that cannot be read is none
        assert start_against_served(committed.root, committed.root, order, "local", said.append) == result
    assert said == ["another run, or a stage of a killed one, is still at work; waiting for its end"]


@pytest.mark.parametrize("error", [sqlite3.OperationalError("database is locked"), OSError(28, "No space left")])
def test_no_error_of_a_round_ends_a_watcher(
    error: Exception, committed: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    def sleep(_: float) -> None:
        rounds.append("")
        if len(rounds) == 3:
            raise KeyboardInterrupt

    rounds: list[str] = []
    (committed.root / ".dvc").mkdir()
    monkeypatch.setenv("DVC_ROOT", str(committed.root))
    monkeypatch.setattr("tuneline.feedback.judging.read_judging", lambda _: None)
    monkeypatch.setattr("tuneline.retraining.watch.watch_round", fail)
    monkeypatch.setattr("time.sleep", sleep)
    textfile = committed.root / "metrics.prom"
    words = ["--runner", "local", "--port", "0", "--textfile", str(textfile)]
    once = CliRunner().invoke(watch_command, [*words, "--once"])
    line = f"Error: {type(error).__name__}: {error}\n"
    assert (once.exit_code, once.stderr) == (1, line)
    assert textfile.is_file()
    loop = CliRunner().invoke(watch_command, words)
    assert loop.stdout == line and len(rounds) == 3


def test_what_dvc_cannot_read_is_one_line(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.run("git", "init", "-q")
    with pytest.raises(click.ClickException, match="not inside of a DVC repository"):
        stage_options(tmp_path, "eval@summaries")
    project.init_dvc()
    shutil.copy2(ROOT / "dvc.yaml", tmp_path)
    for text in ("", "gate: {}\n", "gate: [\n"):
        (tmp_path / "params.yaml").write_text(text)
        with pytest.raises(click.ClickException) as error:
            stage_options(tmp_path, "eval@summaries")
        assert "\n" not in error.value.message and str(tmp_path) in error.value.message


def test_secrets_of_a_file_that_is_not_utf8(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes("# clé\nOPENAI_API_KEY=sk-1\n".encode("latin-1"))
    assert "sk-1" in secrets(tmp_path)


# ------------------------------------------------------------------ whole runs


def test_two_watchers_make_one_run_and_one_version(promoted: Project) -> None:
    (run,) = runs(promoted)
    assert (run.state, run.version, run.after, run.upto) == (PROMOTED, "v0.1.0", 0, 9)
    assert [one.version for one in versions(promoted.root, NAME)] == ["v0.1.0"]
    assert whole_current(promoted) == "v0.1.0"
    assert promoted.run("git", "tag", "--list").stdout.split() == ["summaries#prod#1", "summaries@v0.1.0"]
    sides = run.figures["sides"]
    assert list(sides) == ["base", "new"]
    assert {"rouge_1", "rouge_2", "rouge_l", "overall"} <= sides["new"].keys()
    assert run.figures["difference"]["interval"][0] > 0
    assert sides["base"]["rouge_l"]["mean"] < sides["new"]["rouge_l"]["mean"]


def test_the_users_checkout_is_left_alone(promoted: Project) -> None:
    assert promoted.run("git", "status", "--porcelain").stdout == ""
    assert promoted.run("git", "rev-list", "--count", "HEAD").stdout == "2\n"
    assert promoted.run("git", "branch", "--list").stdout.count("\n") == 1


def test_the_commit_of_a_version_has_what_it_is_made_of(promoted: Project) -> None:
    (run,) = runs(promoted)
    shown = promoted.run("git", "show", f"{run.commit_id}:registry/{NAME}/card.md").stdout
    samples = samples_of(promoted, run)
    assert f"samples: 9 accepted ones, SHA-256 `{hashlib.sha256(samples.encode()).hexdigest()}`" in shown
    listed = promoted.run("git", "ls-tree", "--name-only", run.commit_id, f"recipes/{NAME}/source/").stdout
    assert "source/samples.jsonl.dvc\n" in listed and "source/samples.jsonl\n" not in listed
    assert "parent version: none, so the base" in shown and "promoted: yes" in shown
    rows = [json.loads(line) for line in samples.splitlines()]
    assert len({row["id"] for row in rows}) == len(rows) == 9
    assert shown.strip() == promoted.run(*command("models", "show", NAME)).stdout.strip()


def test_a_version_is_exported_with_the_rows_that_it_was_measured_on(
    promoted: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run,) = runs(promoted)
    monkeypatch.chdir(promoted.root)
    monkeypatch.setenv("DVC_ROOT", str(promoted.root))
    words = ("models", "export", NAME, "--to", "peft", "--out", str(tmp_path / "out"), "--rows", "2")
    done = CliRunner().invoke(main, words)
    assert "2 of 2 answers equal" in done.stdout, done.output
    card = (tmp_path / "out/README.md").read_text("utf-8")
    assert f"- commit: `{run.commit_id}`" in card and "| rouge_l |" in card and "By dvc.lock" in card


def test_events_are_logged_without_texts(promoted: Project) -> None:
    log = (promoted.root / "logs/finetuning.log").read_text("utf-8")
    assert [json.loads(line)["event"] for line in log.splitlines()] == ["run_opened", "run_started", "run_promoted"]
    assert HALF not in log


def test_a_sample_of_a_version_is_forgotten(copy: Project) -> None:
    """Of a real run: no file of the checkout and no object of git has it, and the version is served as before."""
    with Store(database(copy.root)) as store:
        gone = next(store.accepted_samples(TASK, 4))
    said = copy.run(*command("feedback", "forget", "--id", gone.key, "--yes")).stdout
    assert f"{NAME} v0.1.0 has learned from them and is in service" in said and "filter-branch" not in said
    assert f"can no longer be made again from their data, though they serve: {NAME} v0.1.0" in said
    assert not [path for path in copy.root.rglob("*") if path.is_file() and gone.input.encode() in path.read_bytes()]
    every = subprocess.run(
        ["git", "cat-file", "--batch", "--batch-all-objects"], cwd=copy.root, stdout=subprocess.PIPE, check=True
    ).stdout
    assert gone.input.encode() not in every
    listings = (json.loads(path.read_text("utf-8")) for path in copy.root.glob(".dvc/cache/files/md5/*/*.dir"))
    tokens = [one["md5"] for listing in listings for one in listing if one["relpath"] == "train.parquet"]
    cache = copy.root / ".dvc/cache/files/md5"
    assert tokens and not any((cache / one[:2] / one[2:]).exists() for one in tokens)
    assert whole_current(copy) == "v0.1.0"
    accept(copy, [RIGHT] * 2, seed=2)
    assert "2 of 8 new accepted samples" in watch(copy)


def test_no_run_before_enough_new_samples(copy: Project) -> None:
    accept(copy, [RIGHT] * 7, seed=2)
    assert "7 of 8 new accepted samples for summarization" in watch(copy)
    assert len(runs(copy)) == 1


@pytest.mark.parametrize("kills", [pytest.param(1, id="short"), pytest.param(20, marks=pytest.mark.soak, id="soak")])
def test_killed_at_random_moments_one_run_a_watermark(kills: int, copy: Project, tmp_path: Path) -> None:
    """Two watchers, their runs, and the server that takes samples: any of them is killed, at any moment.

    Real trainings are killed in the long one.
    """
    rng = random.Random(kills)
    started = time.monotonic()
    copy.run(*command("--help"))
    unit = max(time.monotonic() - started, 0.2)
    if kills == 1:
        stub_stages(copy)
    else:  # what is right is longer than what version 1 has learned
        copy.edit("params.yaml", '"epochs": 15', '"epochs": 40')
        copy.run("git", "commit", "-qam", "as long as it takes")
    accept(copy, [RIGHT] * 24, seed=100)
    watchers = [begin_watch(copy) for _ in range(2)]
    server = Server(copy, tmp_path / "port")
    batches, wanted = 1, []
    try:
        for number in range(kills):
            time.sleep(rng.uniform(0.5, 30) * unit)
            wanted.append(f"text {number} of a classification")
            server.send(wanted[-1], then=lambda: None)
            if len(runs(copy)) > batches and runs(copy)[-1].state != OPEN:
                batches += 1
                accept(copy, [RIGHT] * 8, seed=100 + batches)
            victim = rng.choice(["watcher", "server", "run", "run"])
            if victim == "server":
                server.kill()
            elif victim == "watcher":
                at = rng.randrange(2)
                watchers[at].kill()
                watchers[at].wait()
                watchers[at] = begin_watch(copy)
            elif parts := sorted(processes_of_runs(copy).items()):
                kill(rng.choice(parts)[1])
            whole_current(copy)
        while len(runs(copy)) < 1 + batches or runs(copy)[-1].state == OPEN:
            time.sleep(0.2)
            assert all(one.poll() is None for one in watchers)
        for text in wanted:
            server.send(text)  # again: nobody knows what a killed server had taken
    finally:
        for one in (*watchers, server.process):
            one.kill()
            one.wait()
        while parts := processes_of_runs(copy):
            for pid in parts.values():
                kill(pid)
    found = runs(copy)
    assert len(found) == 1 + batches
    assert {run.state for run in found} <= {PROMOTED, KEPT}
    assert [run.after for run in found] == [0, *(run.upto for run in found[:-1])]  # none twice, none left out
    with Store(database(copy.root)) as store:
        assert store.watermark(TASK) == store.accepted(TASK) == found[-1].upto
        assert sorted(one.input for one in store.samples("classification")) == sorted(wanted)
    for run in found:
        name = f"{TASK}-{run.number:04d}"
        assert copy.run("git", "rev-parse", f"{RUNS}/{name}").stdout.strip() == run.commit_id
        samples = samples_of(copy, run).splitlines()
        assert len({json.loads(line)["id"] for line in samples}) == len(samples) == run.upto
    promotions = [run.version for run in found if run.state == PROMOTED]
    assert promotions[:2] == ["v0.1.0", "v0.2.0"]
    listed = versions(copy.root, NAME)
    assert [one.version for one in listed] == promotions
    assert [one.served for one in listed] == [(number,) for number in range(1, 1 + len(listed))]  # assigned once each
    assert whole_current(copy) == promotions[-1] == served_version(copy.root, NAME)
    assert found[1].figures["previous"] == "v0.1.0" and "previous" in found[1].figures["sides"]
    assert len(copy.run(*command("models", "list")).stdout.splitlines()) >= len(listed)


@pytest.mark.soak
def test_killed_between_each_two_steps_of_a_round(copy: Project, tmp_path: Path) -> None:
    """From the judging of new samples to the end of a run whose result is there: whatever was done, the next round
    completes it, once."""
    stub_stages(copy)
    accept(copy, [RIGHT] * 8, seed=100)
    with Store(database(copy.root)) as store:
        run = due_run(copy.root, store, TASK, read_gate_settings(copy.root), print)
        _, folder = prepare(copy.root, store, run, NAME)
        trained = start(copy.root, folder, "local")
        store.db.execute("DELETE FROM runs WHERE number = ?", (run.number,))
        store.add(Sample("classification", f"a text {number}", "a label") for number in range(2))
    assert trained.wins

    def fresh(name: str) -> Project:
        return Project(shutil.copytree(copy.root, tmp_path / name, symlinks=True))

    first = fresh("first")
    steps = step(first.root, "round").stdout.partition("steps:\n")[2].splitlines()
    check_concluded(first, trained.commit, 2)
    assert {"watch.py", "store.py", "registry.py"} <= {one.split(":")[0] for one in steps}
    assert len(steps) > 15
    for at, place in enumerate(steps, 1):
        project = fresh("killed")
        assert step(project.root, "round", str(at)).returncode == -signal.SIGKILL, place
        with Store(database(project.root)) as store:
            assert store.add([Sample("classification", "taken meanwhile", "a label")]) == [True]
        watch(project)
        check_concluded(project, trained.commit, 3, place)
        shutil.rmtree(project.root)


def step(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.stepping", str(root), *words]
    return subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True)


@pytest.mark.soak
def test_a_run_killed_between_each_two_of_its_steps(copy: Project) -> None:
    """From its checkout to its result: each attempt is killed a step later, what is served stays as it was, and the
    next round concludes the one that came through. The first leaves a stage behind, which the second waits for."""
    stub_stages(copy)
    accept(copy, [RIGHT] * 8, seed=100)
    with Store(database(copy.root)) as store:
        run = due_run(copy.root, store, TASK, read_gate_settings(copy.root), print)
        _, folder = prepare(copy.root, store, run, NAME)
    first = subprocess.Popen(local_command(copy.root, folder), cwd=copy.root, env=ENVIRONMENT)
    while not (folder / "checkout/data/summaries/extract.jsonl").exists():
        assert first.poll() is None
        time.sleep(0.01)
    first.kill()
    assert first.wait() == -signal.SIGKILL
    killed = 0
    while (done := step(copy.root, str(folder), str(killed + 1))).returncode == -signal.SIGKILL:
        killed += 1
        assert whole_current(copy) == "v0.1.0" and len(versions(copy.root, NAME)) == 1, killed
        assert {path.name for path in (copy.root / "served" / NAME).iterdir()} == {"current", "v0.1.0"}, killed
    assert done.returncode == 0 and killed > 20, done.stderr
    result = Result.model_validate_json((folder / RESULT).read_bytes())
    assert copy.run("git", "-C", str(folder / "checkout"), "rev-parse", "HEAD").stdout.strip() == result.commit
    watch(copy)
    check_concluded(copy, result.commit, 0)
    assert all(is_whole(copy.root, version) for version in versions(copy.root, NAME))
    assert len(samples_of(copy, runs(copy)[-1]).splitlines()) == 17
    assert not processes_of_runs(copy)


def check_concluded(project: Project, commit: str, others: int, place: str = "") -> None:
    """The run is promoted once, what is served is what it trained, and no sample is gone; `others`: of another task."""
    first, second = runs(project)
    assert (first.state, second.state, second.after, second.upto) == (PROMOTED, PROMOTED, first.upto, 17), place
    assert (second.version, second.commit_id) == ("v0.2.0", commit), place
    assert [(one.version, one.served) for one in versions(project.root, NAME)] == [("v0.1.0", (1,)), ("v0.2.0", (2,))]
    assert whole_current(project) == "v0.2.0" == served_version(project.root, NAME), place
    assert sorted(path.name for path in (project.root / "served" / NAME).iterdir()) == ["current", "v0.1.0", "v0.2.0"]
    assert not list((project.root / ".git/refs").rglob("*.lock")), place
    with Store(database(project.root)) as store:
        assert store.watermark(TASK) == store.accepted(TASK) == 17, place
        assert store.counts(TASK)["accepted"] == 17 and store.counts("classification")["new"] == 0, place
        assert len(list(store.samples())) == 17 + others, place


class Server:
    """`tuneline feedback serve` in a project, started again whenever it was killed."""

    def __init__(self, project: Project, output: Path) -> None:
        self.project, self.output = project, output
        self.start()

    def start(self) -> None:
        with self.output.open("w") as out:
            self.process = subprocess.Popen(
                command("feedback", "serve", "--port", "0"), cwd=self.project.root, env=ENVIRONMENT,
                stdout=out, stderr=subprocess.DEVNULL,
            )  # fmt: skip

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.start()

    def send(self, text: str, then=None) -> None:
        """Sends it until it is taken; with `then` once, whatever comes of it."""
        while True:
            said = self.output.read_text().split()
            try:
                record("classification", text, "a label", to=said[0] if said else "http://127.0.0.1:1")
                return
            except NotRecorded:
                if then:
                    return
                time.sleep(0.1)


def processes_of_runs(project: Project) -> dict[str, int]:
    """The parts of the run that goes on: execute, dvc, a stage."""
    found = processes_below(project.root)
    return {name: pid for name, pid in found.items() if name != "tuneline.cli"}


def kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def test_a_failed_run_says_why_and_is_tried_again(tmp_path: Path) -> None:
    project = retraining_project(tmp_path / "project")
    accept(project, [HALF] * 8, seed=1)
    project.edit("recipes/summaries/recipe.yaml", "fields: fields.json", "fields: feilds.json")
    project.edit("params.yaml", '"attempts": 1000', '"attempts": 2')
    project.run("git", "commit", "-qam", "a mistake")
    said = watch(project, fails=True)
    assert "attempt 1 of 2 failed" in said and "feilds.json" in said and "tried again at once" in said
    (run,) = runs(project)
    assert (run.state, run.attempts) == (OPEN, 1)
    assert "attempt 2 of 2 failed" in watch(project, fails=True)
    assert "the next one waits for 8 more samples or another commit" in watch(project)
    (run,) = runs(project)
    assert (run.state, run.attempts) == (FAILED, 2) and "feilds.json" in run.reason
    with Store(database(project.root)) as store:
        assert store.watermark(TASK) == 0
    project.edit("params.yaml", '"retry-minutes": 0', '"retry-minutes": 10')
    accept(project, [HALF], seed=9)
    assert "waits for 7 more samples or another commit" in watch(project)
    project.run("git", "commit", "-qam", "another commit")
    assert "tried again in 10 minutes; to try at once, set gate.retry-minutes" in watch(project)
    assert not (project.root / "served").exists()
    assert project.run("git", "tag", "--list").stdout == ""


def test_finetune_model_is_one_run_on_ones_own_rows(
    copy: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub_stages(copy)
    rows = tmp_path / "rows.jsonl"
    texts = [f"{one} {word} and the {word} of {one}s" for one in ("king", "poet", "cook") for word in ("hat", "pen")]
    write_jsonl(rows, ({"input": text, "output": HALF} for text in texts))
    code = (
        "import asyncio, json, sys\n"
        "from tuneline.retraining.finetuning import finetune_model_async\n"
        "print(json.dumps(asyncio.run(finetune_model_async(*sys.argv[1:]))))"
    )
    out = tmp_path / "adapter"
    figures = json.loads(copy.run(sys.executable, "-c", code, TASK, str(rows), "models/small", str(out)).stdout)
    assert list(figures["sides"]) == ["base", "previous", "new"]
    assert read_adapter(out).base == Path("models/small") and (out / WEIGHTS).is_file()
    assert read_table(out / "train.parquet").num_rows == len(texts)
    assert len(runs(copy)) == len(versions(copy.root, NAME)) == 1  # nothing is registered
    monkeypatch.setenv("DVC_ROOT", str(copy.root))
    with pytest.raises(click.ClickException, match="no trained adapter"):
        finetune_model(TASK, rows, "models/small", tmp_path)
    assert rows.is_file()


def test_finetune_model_refuses_what_it_cannot_use(promoted: Project, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    write_jsonl(path, [{"input": "a", "output": "b"}, {"input": "a"}, {"input": " ", "output": "b"}])
    with path.open("a") as rows:
        rows.write("{\n" + "[]\n" * 12)
    with pytest.raises(click.ClickException, match=r"rows.jsonl:2: needs .*; .*:3: needs .*:4: not JSON") as error:
        read_pairs(path)
    assert "rows.jsonl:16: needs" in error.value.message and "dvc repro" not in error.value.message
    with pytest.raises(click.ClickException, match=r"gate\.adapters names no adapter for classification"):
        finetune_model("classification", path, "models/tiny", tmp_path / "out")
    with pytest.raises(click.ClickException, match=r"name a folder of the repository with base\.yaml"):
        finetune_model(TASK, path, tmp_path, tmp_path / "out")
