"""Starts a run's execute.py: in this environment, or in the container of compose.yaml."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import click

from tuneline.retraining.checkout import as_author
from tuneline.retraining.events import secrets
from tuneline.retraining.execute import Result, read_result

LOG = "log.txt"  # in the run's folder: what its stages said, attempt after attempt
SERVICE = "finetune"  # of compose.yaml
GPU = "compose.gpu.yaml"
LINES, SIGNS = 6, 240  # of a failed run's last words, and of each line


class RunFailed(click.ClickException):
    """The run ended without a result; the message is the reason, without secrets."""


def choose(runner: str, root: Path) -> tuple[str, str]:
    """(`docker` or `local`, why) for `auto`, `docker` or `local`.

    Raises click.ClickException when docker is asked for and no engine answers.
    """
    if runner == "local":
        return "local", "as asked"
    missing = lacks_docker(root)
    if runner == "docker":
        if missing:
            raise click.ClickException(f"--runner docker: {missing}; start the engine, or give --runner local")
        return "docker", "as asked"
    return ("local", missing) if missing else ("docker", "an engine answers")


def lacks_docker(root: Path) -> str:
    """What keeps a run from a container; empty when nothing does."""
    if not (root / "compose.yaml").is_file():
        return "there is no compose.yaml"
    for words, what in ((("compose", "version"), "no docker compose here"), (("info",), "no container engine answers")):
        try:
            done = subprocess.run(["docker", *words], stdin=subprocess.DEVNULL, capture_output=True, timeout=30)
        except (OSError, subprocess.TimeoutExpired):
            return what
        if done.returncode:
            return what
    return ""


def has_gpu() -> bool:
    """Does NVIDIA's driver name a GPU?"""
    if shutil.which("nvidia-smi") is None:
        return False
    done = subprocess.run(["nvidia-smi", "--list-gpus"], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return done.returncode == 0 and "GPU" in done.stdout


def local_command(root: Path, folder: Path) -> list[str]:
    """What carries out the run of a folder in this environment; to be started in `root`."""
    return [sys.executable, *_module(root, folder)]


def docker_command(root: Path, folder: Path, gpu: bool, user: str, attempt: str, author: dict[str, str]) -> list[str]:
    """The same in the container of compose.yaml, with the repository at its own path. `user`: uid:gid.

    `author`: git's variables, since the caller's configuration is not in the container. `attempt` makes the
    container's name: one that outlived its watcher has the run's lock, not its name.
    """
    files = ["--file", str(root / "compose.yaml")]
    files += ["--file", str(root / GPU)] if gpu else []
    place = ["--volume", f"{root}:{root}", "--workdir", str(root), "--user", user]
    place += [word for name, value in sorted(author.items()) for word in ("--env", f"{name}={value}")]
    name = ["--name", f"tuneline-{folder.name}-{attempt}"]
    return [
        "docker", "compose", *files, "run", "--rm", "--no-deps", "--no-TTY", *name, *place,
        SERVICE, "python", *_module(root, folder),
    ]  # fmt: skip


def _module(root: Path, folder: Path) -> list[str]:
    return ["-m", "tuneline.retraining.execute", "--root", str(root), "--run", str(folder)]


def start(root: Path, folder: Path, runner: str) -> Result:
    """Carries out the run of a folder by `docker` or `local`, and waits for it.

    Raises RunFailed when it ends without a result.
    """
    if runner == "docker":
        gpu = (root / GPU).is_file() and has_gpu()
        command = docker_command(root, folder, gpu, f"{os.getuid()}:{os.getgid()}", str(os.getpid()), as_author(root))
    else:
        command = local_command(root, folder)
    with (folder / LOG).open("ab") as log:
        before = log.tell()
        done = subprocess.run(command, cwd=root, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
    result = read_result(folder)
    if done.returncode or result is None:
        ended = f"killed by signal {-done.returncode}" if done.returncode < 0 else f"ended with {done.returncode}"
        raise RunFailed(f"{ended}: {last_words(folder / LOG, before, secrets(root))}")
    return result


def last_words(log: Path, after: int, hidden: list[str]) -> str:
    """The last lines of an attempt's log, from byte `after` on, `hidden` texts replaced by ***."""
    with log.open("rb") as file:
        file.seek(max(after, file.seek(0, os.SEEK_END) - 20_000))
        text = file.read().decode("utf-8", "replace")
    for secret in hidden:
        text = text.replace(secret, "***")
    lines = [line.rsplit("\r", 1)[-1].strip() for line in text.split("\n")]
    return " | ".join([line[:SIGNS] for line in lines if line][-LINES:]) or "it said nothing"
