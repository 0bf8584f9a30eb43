"""A small project whose held-out answer is one sentence for all texts, which a random base learns in seconds."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import gto  # noqa: F401 # here, where stderr is pytest's own: it closes all handlers of logging, and absl's its stream
import yaml
from click.testing import CliRunner

from tests.conftest import ENVIRONMENT, ROOT, Project, copy_project
from tests.small_base import write_small_base
from tuneline.feedback.store import DIMENSIONS, Judgement, Sample, Store, database
from tuneline.files import write_jsonl
from tuneline.retraining.commands import watch as watch_command

TASK = "summarization"
RIGHT = "the council builds a new bridge"  # the reference of every held-out row
HALF = "the council"  # better than what a random base says, worse than RIGHT
WORDS = "river market school garden winter harbour castle museum forest station village letter music bread".split()


def text(rng: random.Random) -> str:
    return " ".join(rng.choice(WORDS) + str(rng.randrange(100)) for _ in range(12))


def retraining_project(to: Path, rows: int = 6) -> Project:
    """A checkout with one recipe, whose watcher starts a run at 8 new samples."""
    project = copy_project(to)
    write_small_base(to / "models" / "small")
    rng = random.Random(0)
    source = to / "recipes/summaries/source"
    for old in source.glob("*.jsonl"):
        old.unlink()
    for name, count in (("valid", 2), ("test", rows), ("samples", 2)):
        write_jsonl(source / f"{name}.jsonl", ({"input": text(rng), "output": RIGHT} for _ in range(count)))
    params = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))
    train = {"learning-rate": 0.01, "epochs": 15, "batch-size": 8, "accumulation": 1, "evaluations": 1}
    small = {"base": "models/small", "max-new-tokens": "auto", "train": train}
    params["recipes"] = ["summaries"]
    params["adapters"] = {"summaries": params["adapters"]["summaries"] | small}
    params["bootstrap"]["samples"] = 100
    params["gate"] |= {"min-new-samples": 8, "attempts": 1000, "retry-minutes": 0}
    (to / "params.yaml").write_text(json.dumps(params), encoding="utf-8")
    project.run("git", "add", "-A")
    project.run("git", "commit", "-qm", "a small base")
    return project


def accept(project: Project, outputs: list[str], seed: int) -> None:
    """Samples that a judge has accepted, with these outputs."""
    rng = random.Random(seed)
    with Store(database(project.root)) as store:
        store.add(Sample(TASK, text(rng), output) for output in outputs)
        for sample in store.to_judge(len(outputs)):
            store.judged(sample.number, Judgement(dict.fromkeys(DIMENSIONS, 0.9), "good", "test"), 0.8)


def command(*words: str) -> list[str]:
    """`tuneline`, of the checkout that it is started in."""
    return [sys.executable, "-m", "tuneline.cli", *words]


def watch(project: Project, fails: bool = False) -> str:
    """What `tuneline watch --once` says; `fails`: does a run fail in it? The run is a process of its own."""
    environment = ENVIRONMENT | {"DVC_ROOT": str(project.root)}
    done = CliRunner().invoke(watch_command, ["--once", "--runner", "local"], env=environment)
    assert done.exit_code == int(fails), done.output
    return done.stdout


def begin_watch(project: Project) -> subprocess.Popen:
    return subprocess.Popen(
        command("watch", "--runner", "local", "--port", "0", "--interval", "1"), cwd=project.root, env=ENVIRONMENT,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def processes_below(root: Path) -> dict[str, int]:
    """Parts of a run that work in the checkout below `root`: name → process id."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            place = (folder / "cwd").readlink()
        except OSError:
            continue
        if len(words) > 2 and words[1] == b"-m" and (place == root or root in place.parents):
            found[words[2].decode()] = int(folder.name)
    return {name: pid for name, pid in found.items() if pid != os.getpid()}
