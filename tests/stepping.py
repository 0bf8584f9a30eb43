"""A watcher's round that is killed at a given step, in a process of its own.

    python -m tests.stepping ROOT          prints the steps of a round, which it carries out
    python -m tests.stepping ROOT STEP     carries it out and kills itself there

A step is a line of this project's that a round is about to run when the line before it has changed something: the
database, a ref, a file. Lines are counted, so that the same round has the same steps.
"""

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import tuneline
from tuneline.retraining.commands import watch

FOLDERS = tuple(f"{Path(tuneline.__file__).parent}/{name}" for name in ("retraining", "feedback", "files.py"))
LOOKED_AT = (
    ".git/packed-refs", ".git/refs/tags/*", ".git/refs/tuneline/runs/*", ".tuneline/*", ".tuneline/feedback/*",
    ".tuneline/runs/*/*", "served/*/*", "served/*/*/*", "logs/*",
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


def main(root: Path, kill_at: int | None) -> None:
    lines, steps, before = 0, [], changed(root)

    def line(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal lines, before
        if event == "line":
            lines += 1
            if lines == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            if kill_at is None and (now := changed(root)) != before:
                before = now
                steps.append(f"{lines} {Path(frame.f_code.co_filename).name}:{frame.f_lineno}")
        return line

    def call(frame: FrameType, _: str, __: Any) -> Any:
        return line if frame.f_code.co_filename.startswith(FOLDERS) else None

    os.environ["DVC_ROOT"] = str(root)
    sys.settrace(call)
    try:
        watch.main(["--once", "--runner", "local"], standalone_mode=True)
    except SystemExit as end:
        sys.settrace(None)
        print("\n".join(["steps:", *steps]))
        raise end


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None)
