"""A sample is forgotten: no byte of it in the database, in what runs left, in the cache; git by the told commands."""

import hashlib
import itertools
import json
import shutil
import subprocess
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.conftest import ENVIRONMENT, ROOT, Project
from tests.tuneline.feedback.test_feedback import serving
from tuneline.cli import main
from tuneline.feedback import forgetting, record_all
from tuneline.feedback.intake import import_file
from tuneline.feedback.snapshot import write_snapshot
from tuneline.feedback.store import DIMENSIONS, FORGOTTEN, PROMOTED, Judgement, Sample, Store, database
from tuneline.files import dump_json, write_jsonl
from tuneline.retraining import forgetting as elsewhere
from tuneline.retraining import registry
from tuneline.retraining.checkout import RUNS
from tuneline.retraining.watch import prepare
from tuneline.teaching.log import Answer, AnswerLog

TASK, NAME = "summarization", "summaries"
SECRET = "Zoë Quillfeather of 17 Larkspur Lane\nowes the harbour board four thousand crowns since Michaelmas."
SAID = "Zoë Quillfeather is deep in debt with the harbour board, and has been so for long."
GONE = Sample(TASK, SECRET, SAID, "m-1", {"who": "Quillfeather"})
OTHERS = [
    Sample(TASK, f"The {what} opens in spring, says its director.", f"The {what} opens.") for what in ("zoo", "spa")
]
BYTES = (b"Quillfeather", b"Larkspur", b"Michaelmas")


def cached(project: Project, raw: bytes) -> str:
    oid = hashlib.md5(raw).hexdigest()
    place = project.root / ".dvc/cache/files/md5" / oid[:2] / oid[2:]
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(raw)
    return oid


def cached_folder(project: Project, **files: bytes) -> str:
    listed = [{"md5": cached(project, raw), "relpath": name.replace("__", ".")} for name, raw in files.items()]
    oid = cached(project, json.dumps(listed).encode())
    place = project.root / ".dvc/cache/files/md5" / oid[:2] / oid[2:]
    place.rename(f"{place}.dir")
    return f"{oid}.dir"


def rows(samples: list[Sample]) -> bytes:
    return "".join(dump_json({"id": one.key[:16], "input": one.input}) + "\n" for one in samples).encode()


def version(project: Project, number: int, samples: list[Sample]) -> str:
    """A run's commit as they were before, with the samples in git, registered and in service; its id."""
    outs = {
        f"data/{NAME}/split": cached_folder(project, train__jsonl=rows(samples), test__jsonl=b'{"id":"t"}\n'),
        f"data/{NAME}/tokens": cached_folder(project, train__parquet=b"\0" + repr(len(samples)).encode()),
        f"adapters/{NAME}": cached_folder(project, adapter__json=b"%d" % number),
    }
    (project.root / "dvc.lock").write_text(
        json.dumps({"stages": {f"all@{NAME}": {"outs": [{"path": path, "md5": oid} for path, oid in outs.items()]}}})
    )
    source = project.root / "recipes" / NAME / "source"
    source.mkdir(parents=True, exist_ok=True)
    (source / "samples.jsonl").write_bytes(rows(samples))
    project.run("git", "checkout", "-q", "--detach")
    project.run("git", "add", "-A")
    project.run("git", "commit", "-qm", f"run {number}")
    for tag in (f"{NAME}@v0.{number}.0", f"{NAME}#prod#{number}"):
        project.run("git", "tag", "-a", tag, "-m", tag)
    project.run("git", "update-ref", f"{RUNS}/{TASK}-000{number}", "HEAD")
    commit = project.run("git", "rev-parse", "HEAD").stdout.strip()
    project.run("git", "checkout", "-q", "-")
    return commit


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Two versions: the second has learned from what is to be forgotten, the first has not."""
    from dvc.repo import Repo

    project = Project(tmp_path_factory.mktemp("forgetting"))
    project.run("git", "init", "-q", "-b", "main")
    Repo.init(str(project.root)).close()
    shutil.copy2(ROOT / "params.yaml", project.root)
    (project.root / ".gitignore").write_text("/.tuneline/\n/logs/\n/data/\n/answers/\n")
    project.run("git", "add", "-A")
    project.run("git", "commit", "-qm", "start")
    with Store(database(project.root)) as store:
        store.add([OTHERS[0], GONE, OTHERS[1], replace(GONE, output=f"{SAID} "), Sample(TASK, "wait", "new")])
        for number in (1, 2, 3, 4):
            reason = f"it says: {SAID}" if number == 2 else "so it is"
            good = Judgement(dict.fromkeys(DIMENSIONS, 0.9), reason, "test")
            store.judged(number, good, 0.8, answers=["ab" * 32] if number == 2 else ())
        for number, upto in ((1, 1), (2, 3)):
            run = store.open_run(TASK, "", 1)
            store.db.execute("UPDATE runs SET upto = ? WHERE number = ?", (upto, run.number))
            commit = version(project, number, [OTHERS[0], GONE, OTHERS[1]][:upto])
            store.finish_run(run.number, PROMOTED, f"v0.{number}.0", commit, SAID, {}, 1, 0)
    registry.reconcile(project.root, NAME)
    folder = project.root / ".tuneline/runs" / f"{TASK}-0002"
    write_jsonl(folder / "samples.jsonl", [{"id": GONE.key[:16], "input": SECRET}])
    with AnswerLog(project.root / ".tuneline/answers/m") as log:
        for key, text in (("ab", '{"score": 9}'), ("cd", f"As it says, {SAID.upper()}"), ("ef", "another's")):
            log.add(key * 32, Answer(text, "stop", 1, 1, 0.1, "m"))
    shared = project.root / "answers/m/answers.jsonl"
    shared.parent.mkdir(parents=True)
    shutil.copy2(next(project.root.glob(".tuneline/answers/m/*.jsonl")), shared)
    cached(project, shared.read_bytes())
    (project.root / "logs").mkdir()
    (project.root / "logs/finetuning.log").write_text(json.dumps({"why": SAID}) + "\n" + '{"event": "kept"}\n')
    return project


@pytest.fixture
def project(told: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    shutil.copytree(told.root, tmp_path / "project", symlinks=True)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "project"))
    for name, value in ENVIRONMENT.items():
        if name.startswith("GIT_"):
            monkeypatch.setenv(name, value)
    return Project(tmp_path / "project")


def forget(*words: str, asked: str | None = None) -> Result:
    return CliRunner().invoke(main, ["feedback", "forget", *words], input=asked)


def with_bytes(folder: Path) -> list[str]:
    found = []
    for path in (path for path in folder.rglob("*") if path.is_file()):
        raw = path.read_bytes().lower()
        found += [str(path) for one in BYTES if one.lower() in raw]
    return found


def git_objects_with(project: Project) -> int:
    said = subprocess.run(
        ["git", "cat-file", "--batch", "--batch-all-objects"], cwd=project.root, stdout=subprocess.PIPE, check=True
    ).stdout
    return sum(one in said for one in BYTES)


def is_gone(project: Project) -> None:
    assert with_bytes(project.root / ".tuneline") == []
    assert with_bytes(project.root / ".dvc") == []
    assert with_bytes(project.root / "logs") == with_bytes(project.root / "answers") == []
    assert not list(project.root.glob(".tuneline/runs/*"))
    with AnswerLog(project.root / ".tuneline/answers/m") as log:
        assert [log.get(key * 32) is None for key in ("ab", "cd", "ef")] == [True, True, False] and not log.passed_over
    with Store(database(project.root)) as store:
        assert [one.input for one in store.samples()] == [OTHERS[0].input, OTHERS[1].input, "wait"]
        assert store.sample(GONE.key).state == FORGOTTEN


def test_forgotten_is_gone_and_places_stay(project: Project) -> None:
    with Store(database(project.root)) as other:  # a server beside it, idle
        other.counts(TASK)
        done = forget("--id", GONE.key[:12], "--yes")
    assert done.exit_code == 0, done.output
    is_gone(project)
    with Store(database(project.root)) as store:
        assert (store.accepted(TASK), store.watermark(TASK), store.accepted_after(TASK, 0)) == (3, 3, 2)
        assert [one.reason for one in store.runs()] == ["(forgotten)"] * 2
        again = [GONE, replace(GONE, input=f" {SECRET.upper()}\n"), replace(GONE, output="Another."), OTHERS[0]]
        assert store.add(again) == [None, None, None, False]
        out = project.root / "out.jsonl"
        assert write_snapshot(store, TASK, out, 3) == 2 and SECRET not in out.read_text("utf-8")
        write_jsonl(out, [vars(GONE)])
        assert (import_file(store, out).forgotten, store.counts(TASK)["new"]) == (1, 1)
    assert "forgotten already" in forget("--id", GONE.key, "--yes").output


def test_it_says_what_learned_and_what_takes_it_out_of_git(project: Project) -> None:
    said = forget("--match", "quillFEATHER", "--yes").output
    assert "answers/, which DVC shares, has 2 answers less" in said
    assert f"{NAME} v0.2.0 has learned from them and is in service" in said
    assert f"tuneline models rollback {NAME} --to v0.1.0" in said
    assert f"can no longer be made again from their data, though they serve: {NAME} v0.2.0\n" in said
    assert "v0.1.0 has learned" not in said
    # The rows, its copy of the tokens; what the first version and the adapters are of is left.
    left = {path.read_bytes() for path in project.root.glob(".dvc/cache/files/md5/*/*")}
    assert {rows(OTHERS[:1]), b"\x001", b"1", b"2"} <= left and b"\x003" not in left
    assert git_objects_with(project)
    before = project.run("git", "rev-parse", "main", f"{NAME}@v0.1.0").stdout
    commands = [line.strip() for line in said.splitlines() if line.startswith("    ")]
    commands = commands[next(at for at, line in enumerate(commands) if "filter-branch" in line) :]
    project.run("bash", "-ec", "\n".join(commands))
    assert not git_objects_with(project)
    assert project.run("git", "rev-parse", "main", f"{NAME}@v0.1.0").stdout == before
    registry.reconcile(project.root, NAME)
    assert [one.served for one in registry.versions(project.root, NAME)] == [(1,), (2,)]
    listed = project.run("git", "ls-tree", "-r", "--name-only", f"{NAME}@v0.2.0").stdout.split()
    assert "dvc.lock" in listed and f"recipes/{NAME}/source/samples.jsonl" not in listed


@pytest.mark.parametrize(
    ("module", "step"),
    [(elsewhere, "drop_folders"), (elsewhere, "blank"), (elsewhere, "drop_events"), (elsewhere, "drop_objects"),
     (elsewhere, "wipe"), (forgetting, "_truncate")],
)  # fmt: skip
def test_killed_between_two_steps_the_next_call_completes_it(
    module: object, step: str, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(module, step, killed)
        assert forget("--match", "Larkspur", "--yes").exit_code != 0
    with Store(database(project.root)) as store:
        assert GONE.input not in [one.input for one in store.samples()]
    assert forget("--match", "Larkspur", "--yes").exit_code == 0
    is_gone(project)


def test_a_line_that_was_blanked_by_half_is_completed(project: Project) -> None:
    (segment,) = project.root.glob(".tuneline/answers/m/*.jsonl")
    raw = segment.read_bytes()
    at = raw.index(b"\n")
    segment.write_bytes(b" " * (at - 3) + raw[at - 3 :])
    forget("--id", GONE.key, "--yes")
    assert segment.read_bytes()[:at].strip() == b""


def test_an_open_run_goes_on_without_it(project: Project) -> None:
    from tuneline.feedback.gate_settings import read_gate_settings

    with Store(database(project.root)) as store:
        store.db.execute("UPDATE runs SET state = ? WHERE number = 2", ("open",))
        run = store.current_run(TASK)
        adapter = read_gate_settings(project.root).adapter(TASK)
        order, folder = prepare(project.root, store, replace(run, base_commit="main"), adapter)
        assert order.samples == 3
        forget("--id", GONE.key, "--yes")
        assert not folder.exists()
        order, folder = prepare(project.root, store, replace(run, base_commit="main"), adapter)
        assert order.samples == 2 and "Larkspur" not in (folder / "samples.jsonl").read_text("utf-8")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--id", "0" * 64], f"no sample has the id {'0' * 64}; nothing is forgotten"),
        (["--id", GONE.key, "--id", "0" * 12], f"no sample has the id {'0' * 12}; nothing is forgotten"),
        (["--match", "nobody's"], "no sample is that one; nothing is forgotten"),
        (["--match", "Larkspur", "--task", "classification"], "no sample is that one; nothing is forgotten"),
        (["--match", " "], "name what is to be forgotten: --id ID, or --match TEXT"),
        (["--id", "%"], "--id '%': an id is at least 12 of the 64 digits 0-9, a-f"),
    ],
)
def test_what_matches_nothing_is_one_line(words: list[str], said: str, project: Project) -> None:
    done = forget(*words, "--yes")
    assert (done.exit_code, done.stderr) == (1, f"Error: {said}\n")


def test_it_shows_and_asks_and_may_keep_the_cache(project: Project) -> None:
    done = forget("--id", GONE.key, asked="n\n")
    assert done.exit_code == 1 and f"{GONE.key[:12]} {TASK} accepted 2: Zoë Quillfeather" in done.output
    with Store(database(project.root)) as store:
        assert store.sample(GONE.key).input == SECRET
    done = forget("--id", GONE.key, "--keep-cache", asked="y\n")
    assert done.exit_code == 0 and "DVC's cache was kept, and has the texts" in done.output
    assert with_bytes(project.root / ".tuneline") == [] != with_bytes(project.root / ".dvc")


def test_beside_no_checkout_the_database_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    with Store(tmp_path / "f.sqlite") as store:
        store.add([replace(GONE, input=f"{SECRET} {number}" * 50) for number in range(30)])
    assert forget("--match", "Larkspur", "--database", str(tmp_path / "f.sqlite"), "--yes").exit_code == 0
    assert with_bytes(tmp_path) == []


def test_a_server_at_work_says_that_it_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    going = threading.Event()
    with serving(tmp_path) as api:

        def send() -> None:
            for number in itertools.takewhile(lambda _: not going.is_set(), itertools.count()):
                api.ask("/samples", vars(replace(OTHERS[0], input=f"The zoo has {number} bears.")))

        api.ask("/samples", vars(GONE))
        assert api.ask(f"/samples/{GONE.key}")[0] == 200
        application = threading.Thread(target=send)
        application.start()
        try:
            done = forget("--id", GONE.key, "--database", str(tmp_path / "feedback.sqlite"), "--yes")
        finally:
            going.set()
            application.join()
        assert done.exit_code == 0, done.output
        assert with_bytes(tmp_path) == []
        status, answer, _ = api.ask(f"/samples/{GONE.key}")
        assert (status, answer["error"]) == (410, "gone")
        answer = api.ask("/samples", [vars(GONE), vars(OTHERS[1])])[1]
        assert (answer["new"], answer["known"], answer["forgotten"]) == (1, 0, 1)
        assert [one["forgotten"] for one in answer["samples"]] == [True, False]
        assert record_all([GONE, OTHERS[1]], api.url) == [False, False]
        assert api.ask("/samples/" + "0" * 64)[0] == 404
