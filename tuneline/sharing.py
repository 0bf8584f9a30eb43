"""What people and CI share through the DVC remote: data, adapters, and the log of paid answers."""

import json
import os
import subprocess
from pathlib import Path

import click

SNAPSHOT = Path("answers")  # of the log, which DVC tracks; answers.dvc is what git has
LOST = ("dvc pull: failed to transfer", "dvc pull: failed to pull data")  # where the remote answers and lacks a file
HOW = (
    "there is no DVC remote here: `dvc remote add --default storage <a folder, or s3://bucket/path>`, and commit "
    ".dvc/config; docs/sharing.md has more"
)


@click.command()
def share() -> None:
    """Push what dvc.lock names, the runs that made it, and the log of paid answers to the DVC remote.

    Whoever has the commit then has it by `tuneline fetch`, and trains nothing again.
    """
    _check_remote()
    _dvc("push", "--run-cache")
    told = ["pushed: data, adapters, and which inputs made them"]
    if any(_answer_log().glob("*/*.jsonl")):
        push_answers()
        told.append("and the log of answers")
    click.echo(", ".join(told))
    if names := _uncommitted():
        click.echo(f"commit {', '.join(names)}: a checkout finds data by them", err=True)


@click.command()
def fetch() -> None:
    """Pull what the commit's dvc.lock names, as somebody shared it; `make repro` then runs the rest alone."""
    _check_remote()
    failed = None
    try:
        _dvc("pull", "--run-cache", "--allow-missing")
    except click.ClickException as error:
        if not error.message.startswith(LOST):
            raise
        failed = error  # one lost file, and DVC puts none of the others in its place
        _dvc("checkout", "--allow-missing")
    if Path(f"{SNAPSHOT}.dvc").is_file():
        pull_answers()
    missing = json.loads(_dvc("data", "status", "--json")).get("not_in_cache", [])
    if missing:
        shown = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
        click.echo(f"not in the remote: {shown}; its stage runs where it is wanted", err=True)
    if failed:
        raise failed
    click.echo("all that the remote has is here")


@click.group()
def answers() -> None:
    """Share the log of paid answers between people and CI, through DVC."""


@answers.command()
def push() -> None:
    """Unite the log with the snapshot, and push the snapshot to the DVC remote."""
    push_answers()
    click.echo(f"pushed; commit {SNAPSHOT}.dvc")


@answers.command()
def pull() -> None:
    """Pull the snapshot and add what the log lacks; nothing is overwritten."""
    pull_answers()


def push_answers() -> None:
    """Raises click.ClickException where none is logged, or DVC cannot push."""
    from tuneline.teaching.log import log_folders, unite

    if Path(f"{SNAPSHOT}.dvc").is_file():
        _dvc("pull", "--force", f"{SNAPSHOT}.dvc")  # what git has may be newer than what lies here
    for name in log_folders(_answer_log(), SNAPSHOT):
        count = unite([SNAPSHOT / name, _answer_log() / name], SNAPSHOT / name / "answers.jsonl")
        click.echo(f"{name}: {count} answers")
    if not SNAPSHOT.is_dir():
        raise click.ClickException("no answer is logged here yet")
    _dvc("add", str(SNAPSHOT))
    _dvc("push", f"{SNAPSHOT}.dvc")


def pull_answers() -> None:
    from tuneline.teaching.log import AnswerLog, log_folders

    _dvc("pull", "--force", f"{SNAPSHOT}.dvc")
    for name in log_folders(SNAPSHOT):
        with AnswerLog(_answer_log() / name) as log, AnswerLog(SNAPSHOT / name) as pulled:
            before = len(log)
            log.add_all(pulled)
            click.echo(f"{name}: {len(log) - before} answers more, {len(log)} in all")


def _answer_log() -> Path:
    return Path(os.environ.get("DVC_ROOT", "."), ".tuneline/answers")


def _check_remote() -> None:
    """Raises click.ClickException where DVC has none to push to or pull from."""
    if not _dvc("config", "core.remote").strip():
        raise click.ClickException(HOW)


def _uncommitted() -> list[str]:
    """Files by which a checkout finds data, and which git has not as they stand here."""
    words = ["git", "status", "--porcelain", "--", "*dvc.lock", "*.dvc", ".dvc/config"]
    done = subprocess.run(words, capture_output=True, text=True)
    return [line[3:].strip('"') for line in done.stdout.splitlines()]


def _dvc(*words: str) -> str:
    """What DVC prints. Raises click.ClickException with the first error that it tells."""
    done = subprocess.run(["dvc", *words], capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["failed"]
        reason = next((line for line in said if line.startswith("ERROR: ")), said[-1])
        reason = reason.removeprefix("ERROR: ").removeprefix("unexpected error - ").rstrip(":")
        raise click.ClickException(f"dvc {words[0]}: {reason}")
    return done.stdout
