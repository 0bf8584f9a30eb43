"""A watcher's round, or a run, that is killed at a given step, in a process of its own.

    python -m tests.stepping ROOT round              prints the steps of a round, which it carries out
    python -m tests.stepping ROOT round STEP         carries it out and kills itself there
    python -m tests.stepping ROOT FOLDER [STEP]      the same of the run of a folder

A step is a line of this project's that is about to run when the line before it has changed something: the database, a
ref, a file. They are counted from 1.
"""

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import tuneline
from tuneline.retraining import execute
from tuneline.retraining.commands import watch

FOLDERS = tuple(f"{Path(tuneline.__file__).parent}/{name}" for name in ("retraining", "feedback", "files.py"))
LOOKED_AT = (
    ".git/packed-refs", ".git/refs/tags/*", ".git/refs/tuneline/runs/*", ".tuneline/*", ".tuneline/feedback/*",
    ".tuneline/runs/*/*", "served/*/*", "served/*/*/*", "logs/*",
    *(f".tuneline/runs/*/checkout/{name}" for name in (
        "*", ".git/*", ".git/refs/*/*", ".git/logs/HEAD", ".dvc/*", ".tuneline/*", "recipes/summaries/source/*",
        "metrics/summaries/*", "registry/*/*",
    )),
)  # fmt: skip


def changed(root: Path) -> dict[str, tuple[int, int]]:
    """Size and time of all that a round may change."""
    found = [one for name in LOOKED_AT for one in root.glob(name)]
    return {str(one): (seen.st_size, seen.st_mtime_ns) for one in found if (seen := lstat(one))}


def lstat(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except FileNotFoundError:
        return None


def main(root: Path, folder: Path | None, kill_at: int | None) -> None:
    steps, before = [], changed(root)

    def line(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal before
        if event == "line" and (now := changed(root)) != before:
            before = now
            steps.append(f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}")
            if len(steps) == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
        return line

    def call(frame: FrameType, _: str, __: Any) -> Any:
        return line if frame.f_code.co_filename.startswith(FOLDERS) else None

    os.environ["DVC_ROOT"] = str(root)
    sys.settrace(call)
    try:
        if folder:
            execute.main.main(["--root", str(root), "--run", str(folder)], standalone_mode=True)
        watch.main(["--once", "--runner", "local"], standalone_mode=True)
    except SystemExit as end:
        sys.settrace(None)
        print("\n".join(["steps:", *steps]))
        raise end


if __name__ == "__main__":
    what, at = sys.argv[2], sys.argv[3:]
    main(Path(sys.argv[1]), Path(what) if what != "round" else None, int(at[0]) if at else None)
