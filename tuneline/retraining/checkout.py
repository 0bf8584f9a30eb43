"""Git beside the user's work: a run's own checkout of a commit, with the DVC cache and state of the main one."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import click

RUNS = "refs/tuneline/runs"  # each run's commit, in the main repository: no branch, and no garbage
# What stages keep in .tuneline and a later attempt goes on from: paid answers, checkpoints, downloads.
STATE = ("answers", "arxiv", "checkpoints", "external", "pdf")
HOOK = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")  # set where a git hook started us
NOBODY = {"NAME": "tuneline", "EMAIL": "tuneline@localhost"}


def git(folder: Path, *words: str) -> str:
    """What git says, without the last newline. Raises click.ClickException with git's reason."""
    done = _git(folder, *words)
    if done.returncode:
        said = " ".join(done.stderr.split()) or f"ended with {done.returncode}"
        named = list(words)
        while named[0] == "-c":  # a setting goes before the command
            del named[:2]
        raise click.ClickException(f"git {named[0]}: {said}")
    return done.stdout.rstrip("\n")


def _git(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = ["git", "-C", str(folder), *words]
    return subprocess.run(command, env=git_environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True)


def git_environment() -> dict[str, str]:
    """The environment without what a hook of another repository has set."""
    return {name: value for name, value in os.environ.items() if name not in HOOK}


def find_root() -> Path:
    """The checkout of DVC_ROOT or of the current folder. Raises click.ClickException where there is none."""
    root = Path(os.environ.get("DVC_ROOT", ".")).resolve()
    if not (root / ".git").exists() or not (root / ".dvc").is_dir():
        raise click.ClickException(f"{root} is not a checkout of tuneline; cd there or set DVC_ROOT")
    return root


def head(root: Path) -> str:
    """The commit that a run opened now starts from. Raises click.ClickException where there is none."""
    found = _git(root, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    if found.returncode:
        raise click.ClickException(f"{root}: commit what you have; a run starts from a commit")
    return found.stdout.strip()


def is_edited(root: Path, path: str) -> bool:
    """Does a file differ from what HEAD has?"""
    return _git(root, "diff", "--quiet", "HEAD", "--", path).returncode == 1


def identity(root: Path) -> tuple[str, str]:
    """(name, email) for commits and tags: git's own, or a name for nobody where git has none."""
    done = _git(root, "var", "GIT_COMMITTER_IDENT")
    found = re.fullmatch(r"(.+) <(.+)> \d+ [-+]\d+", done.stdout.strip())
    return (found[1], found[2]) if found else (NOBODY["NAME"], NOBODY["EMAIL"])


def as_author(root: Path) -> dict[str, str]:
    """`identity` as the variables that git and DVC read."""
    name, email = identity(root)
    return {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in
            (("NAME", name), ("EMAIL", email))}  # fmt: skip


def make_checkout(root: Path, folder: Path, commit: str, name: str) -> None:
    """A fresh repository in `folder` at `commit` of `root`; whatever stood there is gone.

    It has copies of the objects, its own DVC folder with the cache of `root`, and links to the STATE of `root`.
    Raises click.ClickException when `root` does not have the commit.
    """
    from dvc.repo import Repo

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    # A ref of its own: the commit may be of no branch by now.
    sweep_locks(root, f"tuneline/runs/{name}")
    git(root, "update-ref", f"{RUNS}/{name}", commit)
    git(folder, "init", "--quiet")
    # --update-shallow: `root` may be a clone of --depth 1.
    git(folder, "fetch", "--quiet", "--no-tags", "--update-shallow", str(root), f"{RUNS}/{name}")
    git(folder, "-c", "advice.detachedHead=false", "checkout", "--quiet", "--detach", "FETCH_HEAD")
    if (root / ".dvc/config.local").is_file():  # how remotes are reached
        shutil.copy2(root / ".dvc/config.local", folder / ".dvc/config.local")
    with Repo(str(root)) as main, Repo(str(folder)) as own, own.config.edit("local") as edited:
        edited.setdefault("cache", {})["dir"] = str(Path(main.cache.local.path).parents[1])
    for part in STATE:
        (root / ".tuneline" / part).mkdir(parents=True, exist_ok=True)
        (folder / ".tuneline").mkdir(exist_ok=True)
        (folder / ".tuneline" / part).symlink_to(root / ".tuneline" / part, target_is_directory=True)
    if (root / ".env").is_file():  # stages read keys from there; git ignores it
        (folder / ".env").symlink_to(root / ".env")


def commit_all(folder: Path, message: str) -> str:
    """Commits all that git does not ignore; the commit's id. No hook runs, nothing is signed."""
    who = [word for key, value in zip(("name", "email"), identity(folder), strict=True)
           for word in ("-c", f"user.{key}={value}")]  # fmt: skip
    git(folder, "add", "--all")
    git(folder, *who, "-c", "commit.gpgsign=false", "commit", "--quiet", "--no-verify", "--allow-empty", "-m", message)
    return head(folder)


def fetch_run(root: Path, checkout: Path, commit: str, name: str) -> None:
    """Brings a run's commit into the main repository, under a ref of its own."""
    ref = f"{RUNS}/{name}"
    if _git(root, "rev-parse", "--verify", "--quiet", ref).stdout.strip() == commit:
        return
    sweep_locks(root, f"tuneline/runs/{name}")
    fetch = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance")
    git(root, *fetch, str(checkout), f"+{commit_ref(checkout, commit)}:{ref}")


def commit_ref(checkout: Path, commit: str) -> str:
    """A ref that names the commit, since a server of refs gives no bare commits."""
    git(checkout, "update-ref", "refs/tuneline/run", commit)
    return "refs/tuneline/run"


def drop_run(root: Path, name: str) -> None:
    """Takes a run's ref away; git's own clean-up may then take its commit."""
    sweep_locks(root, f"tuneline/runs/{name}")
    git(root, "update-ref", "-d", f"{RUNS}/{name}")


def sweep_locks(root: Path, pattern: str) -> None:
    """Removes the lock files that a killed process left in refs/; of refs that only we write, and under a lock."""
    refs = Path(git(root, "rev-parse", "--path-format=absolute", "--git-common-dir"), "refs")
    for lock in refs.glob(f"{pattern}.lock"):
        lock.unlink(missing_ok=True)
