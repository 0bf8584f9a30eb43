"""The log of runs, `.tuneline/runs.jsonl`: what an output must not hold."""

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

from tuneline.running.processes import rank


class RunLog:
    """Times a block and appends one line to `<state>/runs.jsonl`, of rank 0 alone."""

    def __init__(self, state: Path, stage: str, name: str) -> None:
        self.path, self.record = state / "runs.jsonl", {"stage": stage, "name": name}

    def __enter__(self) -> dict[str, Any]:
        self.started = time.time()
        return self.record

    def __exit__(self, kind: type | None, *_: object) -> None:
        if rank():
            return
        unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
        self.record |= {
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.started)),
            "seconds": round(time.time() - self.started, 1),
            "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit // 1024**2,
            "ended": "well" if kind is None else kind.__name__,
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as log:
            log.write(json.dumps(self.record) + "\n")
