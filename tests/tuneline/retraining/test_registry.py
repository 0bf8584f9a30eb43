"""Versions as GTO's tags, what is in service, and rollback: real git, real DVC, adapters of a few bytes."""

import json
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
import yaml
from dvc.repo import Repo

from tests.conftest import ENVIRONMENT, ROOT, Project
from tests.retraining import command
from tuneline.files import write_json
from tuneline.retraining import registry, watch
from tuneline.retraining.checkout import RUNS, git, head, identity, make_checkout
from tuneline.retraining.record import RECORD, Assigned, folder_hash, read_record

NAME = "summaries"


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A repository with DVC and nothing registered."""
    project = Project(tmp_path_factory.mktemp("registry"))
    project.run("git", "init", "-q")
    project.init_dvc()
    (project.root / ".gitignore").write_text("/.tuneline/\n/served/\n/logs/\n", encoding="utf-8")
    (project.root / "dvc.yaml").write_text("stages: {}\n", encoding="utf-8")
    project.run("git", "add", "-A")
    project.run("git", "commit", "-qm", "start")
    return project


def finished_run(project: Project, run: str, mean: float, previous: str | None) -> tuple[Path, str]:
    """(checkout, commit) of a run whose adapter says `run`."""
    checkout = project.root / ".tuneline/runs" / run / "checkout"
    make_checkout(project.root, checkout, project.run("git", "rev-parse", "HEAD").stdout.strip(), run)
    inside = Project(checkout)
    adapter = {"base": "models/tiny", "quantization": "none", "backend": "cuda", "prefix": run}
    write_json(checkout / "adapters" / NAME / "adapter.json", adapter)
    write_json(checkout / "adapters" / NAME / "adapter_config.json", {})
    (checkout / "adapters" / NAME / "adapter_model.safetensors").write_text(run)
    with Repo(str(checkout)) as repo:
        repo.add(str(checkout / "adapters" / NAME))
    figures = {"rouge_l": {"mean": mean, "interval": [mean - 0.1, mean + 0.1]}}
    write_json(
        checkout / "metrics" / NAME / "comparison.json",
        {
            "measure": "rouge_l",
            "previous": previous,
            "sides": {"new": figures},
            "difference": {"mean": 0.1, "interval": [0.05, 0.15]},
        },
    )
    (checkout / "registry" / NAME).mkdir(parents=True)
    (checkout / "registry" / NAME / "card.md").write_text(f"# card of {run}\n", encoding="utf-8")
    inside.run("git", "add", "-A")
    inside.run("git", "commit", "-qm", run)
    return checkout, inside.run("git", "rev-parse", "HEAD").stdout.strip()


@pytest.fixture(scope="module")
def project(empty: Project) -> Project:
    """Two versions, the second in service."""
    for number, mean, previous in ((1, 0.2, None), (2, 0.3, "v0.1.0")):
        checkout, commit = finished_run(empty, f"summarization-000{number}", mean, previous)
        for _ in range(2):  # the second time it is all there
            version = registry.promote(empty.root, NAME, checkout, commit, checkout.parent.name, "a message")
        assert version == f"v0.{number}.0"
    return empty


@pytest.fixture
def copy(project: Project, tmp_path: Path) -> Project:
    root = tmp_path / "copy"
    subprocess.run(["cp", "-a", project.root, root], check=True)
    return Project(root)


def tags(project: Project) -> list[str]:
    return project.run("git", "tag", "--list").stdout.split()


def current(project: Project) -> dict:
    return json.loads((project.root / "served" / NAME / "current/adapter.json").read_text("utf-8"))


def test_a_promotion_is_two_tags_one_ref_and_a_link(project: Project) -> None:
    assert tags(project) == ["summaries#prod#1", "summaries#prod#2", "summaries@v0.1.0", "summaries@v0.2.0"]
    assert (project.root / "served" / NAME / "current").readlink() == Path("v0.2.0")
    assert current(project)["prefix"] == "summarization-0002"
    assert project.run("git", "status", "--porcelain").stdout == ""
    assert (
        project.run("git", "rev-parse", f"{RUNS}/summarization-0002").stdout
        == project.run("git", "rev-parse", "summaries@v0.2.0^{commit}").stdout
    )
    assert "v0.2.0" in project.run("gto", "show", "--repo", ".").stdout  # gto reads what we read


def test_rollback_and_forth(copy: Project) -> None:
    assert registry.rollback(copy.root, NAME, None) == ("v0.2.0", "v0.1.0")
    assert current(copy)["prefix"] == "summarization-0001"
    assert registry.served_version(copy.root, NAME) == "v0.1.0"
    with pytest.raises(click.ClickException, match="the first version"):
        registry.rollback(copy.root, NAME, None)
    with pytest.raises(click.ClickException, match="in service already"):
        registry.rollback(copy.root, NAME, "v0.1.0")
    with pytest.raises(click.ClickException, match=r"no version v9.0.0; it has v0.1.0, v0.2.0"):
        registry.rollback(copy.root, NAME, "v9.0.0")
    registry.rollback(copy.root, NAME, "v0.2.0")
    assert current(copy)["prefix"] == "summarization-0002"
    assert tags(copy)[:4] == [f"summaries#prod#{number}" for number in (1, 2, 3, 4)]


def test_what_was_rolled_back_stays_so_when_its_run_is_concluded_again(copy: Project) -> None:
    commit = copy.run("git", "rev-parse", "summaries@v0.2.0^{commit}").stdout.strip()
    registry.rollback(copy.root, NAME, None)
    run = "summarization-0002"
    assert registry.promote(copy.root, NAME, copy.root / "gone", commit, run, "again") == "v0.2.0"
    assert registry.served_version(copy.root, NAME) == "v0.1.0"


def test_an_adapter_that_is_gone_comes_back_from_the_cache(copy: Project) -> None:
    subprocess.run(["rm", "-r", copy.root / "served"], check=True)
    registry.mend(copy.root, NAME)
    assert current(copy)["prefix"] == "summarization-0002"
    subprocess.run(["rm", "-r", copy.root / "served", copy.root / ".dvc/cache"], check=True)
    with pytest.raises(click.ClickException, match=r"cache or a remote; .* \(DVC: .*No storage files.*\)$"):
        registry.mend(copy.root, NAME)
    assert list((copy.root / "served" / NAME).iterdir()) == []
    said = []
    for _ in range(2):  # a watcher says it and goes on
        watch.mend(copy.root, NAME, said.append)
    assert len(said) == 1
    assert said[0].startswith("Warning: summaries v0.2.0: its adapter cannot be had from DVC's cache or a remote")


def test_an_adapter_comes_back_from_a_remote_that_is_younger_than_its_version(copy: Project, tmp_path: Path) -> None:
    shutil.move(copy.root / ".dvc/cache", tmp_path / "remote")  # a local remote has the layout of a cache
    shutil.rmtree(copy.root / "served")
    copy.run("dvc", "remote", "add", "-q", "--default", "store", str(tmp_path / "remote"))
    registry.mend(copy.root, NAME)
    assert current(copy)["prefix"] == "summarization-0002"


def damage(folder: Path, how: str) -> None:
    weights = folder / "adapter_model.safetensors"
    if how == "emptied":
        for path in folder.iterdir():
            path.unlink()
    elif how == "changed":
        weights.write_text("another")
    elif how == "cut":
        weights.write_text(weights.read_text()[:-1])
    elif how == "more":
        (folder / "more.txt").write_text("")
    elif how == "less":
        weights.unlink()
    elif how == "swapped":  # with another version's bytes
        weights.write_text("summarization-0001")


@pytest.mark.parametrize("how", ["emptied", "changed", "cut", "more", "less", "swapped"])
def test_a_version_is_its_hash(how: str, copy: Project, capsys: pytest.CaptureFixture) -> None:
    folder = copy.root / "served" / NAME / "v0.2.0"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    folder.chmod(0o755)
    damage(folder, how)
    registry.mend(copy.root, NAME)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert "v0.2.0 is not what was registered as v0.2.0: taken anew" in capsys.readouterr().err
    registry.mend(copy.root, NAME)
    assert capsys.readouterr().err == ""


def test_tags_that_are_lost_are_told_and_made_again(copy: Project, capsys: pytest.CaptureFixture) -> None:
    before = tags(copy)
    copy.run("git", "tag", "-d", "summaries#prod#2", "summaries@v0.2.0")
    registry.mend(copy.root, NAME)
    assert tags(copy) == before
    said = capsys.readouterr().err
    assert "the tag summaries@v0.2.0 was gone: made again" in said
    assert "the tag summaries#prod#2 was gone: made again" in said
    assert current(copy)["prefix"] == "summarization-0002"


def test_a_number_never_comes_back(copy: Project) -> None:
    copy.run("git", "tag", "-d", *tags(copy))
    checkout, commit = finished_run(copy, "summarization-0003", 0.4, "v0.2.0")
    assert registry.promote(copy.root, NAME, checkout, commit, "summarization-0003", "a message") == "v0.3.0"
    assert [one.version for one in registry.versions(copy.root, NAME)] == ["v0.1.0", "v0.2.0", "v0.3.0"]
    assert current(copy)["prefix"] == "summarization-0003"


def test_a_tag_that_was_moved_is_refused(copy: Project) -> None:
    copy.run("git", "tag", "-f", "summaries@v0.2.0", "summaries@v0.1.0^{commit}")
    with pytest.raises(
        click.ClickException, match=r"somebody has moved it; `git tag -f summaries@v0.2.0 [0-9a-f]{40}`"
    ):
        registry.mend(copy.root, NAME)


def test_a_clone_without_a_record_takes_it_from_the_tags(copy: Project) -> None:
    record = copy.root / RECORD
    before = {json.dumps(json.loads(line), sort_keys=True) for line in record.read_text("utf-8").splitlines()}
    record.unlink()
    registry.mend(copy.root, NAME)
    again = {json.dumps(json.loads(line), sort_keys=True) for line in record.read_text("utf-8").splitlines()}
    assert again == before
    record.write_text(record.read_text("utf-8") + '{"name": "summaries", "vers', encoding="utf-8")
    registry.rollback(copy.root, NAME, None)
    assert read_record(copy.root)[-1] == Assigned(NAME, "v0.1.0", registry.versions(copy.root, NAME)[0].commit, 3)


def test_a_folder_hashes_as_dvc_does(copy: Project) -> None:
    folder = copy.root / "some folder"
    for name in ("b/c.txt", "b.txt", "b/é.txt", "a", "B/x"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name, encoding="utf-8")
    with Repo(str(copy.root)) as repo:
        repo.add(str(copy.root / "some folder"))
    wanted = yaml.safe_load((copy.root / "some folder.dvc").read_text("utf-8"))["outs"][0]["md5"]
    assert folder_hash(folder) == wanted


def test_current_follows_the_tags_after_a_kill_between_them(copy: Project) -> None:
    link = copy.root / "served" / NAME / "current"
    link.unlink()
    link.symlink_to("v0.1.0")
    # A tag's lock file, as a killed process leaves it, keeps nobody out.
    (copy.root / ".git/refs/tags/summaries#prod#3.lock").touch()
    registry.mend(copy.root, NAME)
    assert link.readlink() == Path("v0.2.0")
    registry.rollback(copy.root, NAME, "v0.1.0")
    assert link.readlink() == Path("v0.1.0")


def test_current_is_whole_whenever_it_is_read(copy: Project) -> None:
    """Rolled there and back by one process while another reads through the link."""
    reader = subprocess.Popen(
        [
            sys.executable, "-c",
            "import json, sys, pathlib\n"
            "seen = set()\n"
            "print('reading', flush=True)\n"
            "while not pathlib.Path('stop').exists():\n"
            "    seen.add(json.loads(pathlib.Path('served/summaries/current/adapter.json').read_text())['prefix'])\n"
            "print(len(seen))\n",
        ],
        cwd=copy.root, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert reader.stdout.readline() == "reading\n"
    for to in ("v0.1.0", "v0.2.0", "v0.1.0"):
        registry.rollback(copy.root, NAME, to)
    (copy.root / "stop").touch()
    said, _ = reader.communicate()
    assert reader.returncode == 0
    assert said == "2\n"


AT_ONCE = """
import itertools, sys
from pathlib import Path
import click
from tuneline.retraining import registry
root, name, what, *runs = sys.argv[1:]
for version in itertools.cycle(("v0.1.0", "v0.2.0")) if what == "rollback" else ():
    try:
        registry.rollback(Path(root), name, version)
    except click.ClickException as error:
        assert "in service" in str(error), error
for run in runs:
    checkout, commit = run.split("=")
    registry.promote(Path(root), name, Path(checkout), commit, Path(checkout).parent.name, "a message")
"""


@pytest.mark.parametrize("kills", [pytest.param(2, id="short"), pytest.param(20, marks=pytest.mark.soak, id="soak")])
def test_rollbacks_against_promotions_killed_at_any_moment(kills: int, copy: Project) -> None:
    """A number is given once, what is in service is whole, and every version has the bytes that it was given."""
    rng, last = random.Random(kills), 2 + min(kills, 5)
    made = [finished_run(copy, f"summarization-000{number}", 0.3, "v0.2.0") for number in range(3, last + 1)]
    runs = [f"{checkout}={commit}" for checkout, commit in made]

    def start(*words: str) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-c", AT_ONCE, str(copy.root), NAME, *words], cwd=ROOT, env=ENVIRONMENT
        )

    for number in range(kills):
        both = [start("rollback"), start("promote", *runs[: 1 + number // 4])]
        time.sleep(rng.uniform(0.5, 4))
        for one in rng.sample(both, 2):
            one.kill()
            one.wait()
            time.sleep(rng.uniform(0, 0.2))
        served = json.loads((copy.root / "served" / NAME / "current" / "adapter.json").read_text("utf-8"))
        assert served["prefix"].startswith("summarization-000")
    assert start("promote", *runs).wait() == 0
    registry.mend(copy.root, NAME)
    listed = registry.versions(copy.root, NAME)
    assert [one.version for one in listed] == [f"v0.{number}.0" for number in range(1, last + 1)]
    assert [one.commit for one in listed[2:]] == [commit for _, commit in made]
    numbers = [number for one in listed for number in one.served]
    assert len(numbers) == len(set(numbers))
    for number, one in enumerate(listed, 1):
        if (folder := copy.root / "served" / NAME / one.version).exists():
            assert json.loads((folder / "adapter.json").read_text("utf-8"))["prefix"] == f"summarization-000{number}"
        registry.rollback(copy.root, NAME, one.version) if registry.in_service(listed) != one else None
        assert registry.is_whole(copy.root, one)
    recorded = [event for event in read_record(copy.root) if isinstance(event, Assigned)]
    assert len({event.number for event in recorded}) == len(recorded)


def test_the_commands(copy: Project) -> None:
    def tuneline(*words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        # The small repository has no code: that of this checkout works on it.
        return subprocess.run(
            command(*words),
            env={**ENVIRONMENT, "DVC_ROOT": str(copy.root)},
            capture_output=True,
            text=True,
            check=check,
        )

    listed = tuneline("models", "list").stdout
    assert "in service" in next(line for line in listed.splitlines() if "v0.2.0" in line and "0.300" in line)
    copy.run("git", "tag", "other@v0.1.0")  # of a commit that no run has made
    listed = tuneline("models", "list").stdout
    assert next(line for line in listed.splitlines() if "other@v0.1.0" in line).count("–") == 5
    assert max(map(len, listed.splitlines())) <= 100
    assert tuneline("models", "show", NAME).stdout == "# card of summarization-0002\n"
    assert tuneline("models", "show", f"{NAME}@v0.1.0").stdout == "# card of summarization-0001\n"
    wrong = tuneline("models", "show", f"{NAME}@v9.9.9", check=False)
    assert wrong.returncode == 1
    assert (
        wrong.stderr
        == "Error: summaries@v9.9.9 is no version in the registry; there is summaries@v0.1.0, summaries@v0.2.0\n"
    )
    assert tuneline("models", "rollback", NAME).stdout == "summaries: v0.1.0 is in service, v0.2.0 was\n"
    assert '"rolled_back"' in (copy.root / "logs/finetuning.log").read_text("utf-8")


def test_a_checkout_has_the_cache_the_answers_and_the_keys_of_the_main_one(copy: Project) -> None:
    (copy.root / ".env").write_text("OPENAI_API_KEY=sk-1\n", encoding="utf-8")
    (copy.root / ".tuneline/answers").mkdir(exist_ok=True)
    (copy.root / ".tuneline/answers/paid").touch()
    folder = copy.root / ".tuneline/runs/other/checkout"
    folder.mkdir(parents=True)
    (folder / "stale").touch()
    base = copy.run("git", "rev-parse", "summaries@v0.1.0^{commit}").stdout.strip()  # of no branch
    make_checkout(copy.root, folder, base, "other")
    inside = Project(folder)
    assert inside.run("git", "rev-parse", "HEAD").stdout.strip() == base
    assert inside.run("dvc", "cache", "dir").stdout.strip() == str(copy.root / ".dvc/cache")
    inside.run("dvc", "checkout", "-q")
    assert (folder / "adapters" / NAME / "adapter_model.safetensors").read_text() == "summarization-0001"
    assert (folder / ".tuneline/answers/paid").is_file() and not (folder / "stale").exists()
    assert (folder / ".env").read_text("utf-8") == "OPENAI_API_KEY=sk-1\n"
    with pytest.raises(click.ClickException, match="git update-ref: "):
        make_checkout(copy.root, folder, "0" * 39 + "1", "other")


def test_a_shallow_clone_makes_checkouts_too(copy: Project, tmp_path: Path) -> None:
    copy.run("git", "commit", "-q", "--allow-empty", "-m", "a second one")
    copy.run("git", "clone", "-q", "--depth", "1", f"file://{copy.root}", str(tmp_path / "shallow"))
    shallow = Project(tmp_path / "shallow")
    checkout, commit = finished_run(shallow, "summarization-0003", 0.4, "v0.2.0")
    assert registry.promote(shallow.root, NAME, checkout, commit, checkout.parent.name, "a message") == "v0.1.0"
    assert shallow.run("git", "rev-list", "--count", f"{RUNS}/summarization-0003").stdout == "2\n"


def test_what_is_no_checkout_is_left_as_it_is(tmp_path: Path) -> None:
    for words in (("watch", "--once"), ("models", "list")):
        done = subprocess.run(
            command(*words), env={**ENVIRONMENT, "DVC_ROOT": str(tmp_path)}, capture_output=True, text=True
        )
        assert done.returncode == 1
        assert done.stderr == f"Error: {tmp_path} is not a checkout of tuneline; cd there or set DVC_ROOT\n"
    assert list(tmp_path.iterdir()) == []


def test_git_says_which_command_failed_and_what_to_do_without_a_commit(tmp_path: Path) -> None:
    with pytest.raises(click.ClickException, match=r"^git checkout: "):
        git(tmp_path, "-c", "advice.detachedHead=false", "checkout", "nothing")
    Project(tmp_path).run("git", "init", "-q")
    with pytest.raises(click.ClickException, match="commit what you have; a run starts from a commit"):
        head(tmp_path)


def test_nothing_registered(empty: Project, tmp_path: Path) -> None:
    Project(tmp_path).run("git", "init", "-q")
    assert registry.versions(tmp_path, NAME) == []
    registry.mend(tmp_path, NAME)
    assert not (tmp_path / "served").exists()
    with pytest.raises(click.ClickException, match="no version of summaries is in service"):
        registry.rollback(tmp_path, NAME, None)


def test_an_identity_where_git_has_none(tmp_path: Path) -> None:
    said = subprocess.run(
        [sys.executable, "-c", "import pathlib; from tuneline.retraining.checkout import identity; "
         "print(*identity(pathlib.Path('.')))"],
        env={"PATH": ENVIRONMENT["PATH"], "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_COUNT": "1",
             "GIT_CONFIG_KEY_0": "user.useConfigOnly", "GIT_CONFIG_VALUE_0": "true"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert said.stdout == "tuneline tuneline@localhost\n"
    assert identity(tmp_path)[0]


def test_a_release_is_one_file_of_a_version_and_the_same_bytes_each_time(copy: Project, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "models/tiny", copy.root / "models/tiny")
    for out in ("a.tar", "b.tar"):
        said = copy.run(*command("models", "release", f"{NAME}@v0.1.0", "--out", str(tmp_path / out))).stdout
        assert "summaries v0.1.0" in said
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    subprocess.run(["tar", "-xf", "a.tar"], cwd=tmp_path, check=True)
    made = tmp_path / "summaries-v0.1.0"
    assert (made / "card.md").read_text("utf-8") == "# card of summarization-0001\n"
    assert json.loads((made / "adapter/adapter.json").read_text("utf-8"))["prefix"] == "summarization-0001"
    told = json.loads((made / "release.json").read_text("utf-8"))
    assert told["commit"] == copy.run("git", "rev-parse", "summaries@v0.1.0^{commit}").stdout.strip()
    assert told["licences"]["base"]
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=made, check=True)


def test_any_version_can_be_put_into_service_by_its_name(copy: Project) -> None:
    assert "v0.1.0 is in service, v0.2.0 was" in copy.run(*command("models", "promote", f"{NAME}@v0.1.0")).stdout
    assert current(copy)["prefix"] == "summarization-0001"
    wrong = copy.run(*command("models", "promote", NAME), check=False)
    assert wrong.returncode == 1 and "which version of summaries?" in wrong.stderr
