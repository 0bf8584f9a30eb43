"""The losses of a run, by step, and its summary."""

import os
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tuneline.files import write_json
from tuneline.rendering.chat import IGNORED


@dataclass
class Curves:
    """The losses of a run, by step; DVCLive writes them as TSV for `dvc plots`."""

    train: dict[int, float] = field(default_factory=dict)
    valid: dict[int, float] = field(default_factory=dict)

    @property
    def best(self) -> int:
        """The step with the lowest validation loss; the earlier of two."""
        return min(self.valid, key=lambda step: (self.valid[step], step))

    def is_over(self, patience: int) -> bool:
        """Whether the last `patience` evaluations were no better than one before; never with 0."""
        after = [step for step in self.valid if step > self.best] if self.valid else []
        return 0 < patience <= len(after)

    def write(self, folder: Path) -> None:
        """`train_loss.tsv` and `valid_loss.tsv`, each with columns step and its loss."""
        from dvclive import Live

        work = folder / "live"
        with Live(str(work), dvcyaml=False, report=None, save_dvc_exp=False, monitor_system=False) as live:
            for name, losses in (("train_loss", self.train), ("valid_loss", self.valid)):
                for step, loss in losses.items():
                    live.step = step
                    live.log_metric(name, round(loss, 6))
        for name in ("train_loss", "valid_loss"):
            os.replace(work / "plots" / "metrics" / f"{name}.tsv", folder / f"{name}.tsv")
        for path in sorted(work.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        work.rmdir()


def write_summary(path: Path, curves: Curves, rows: Any, trainable: int, packages: tuple[str, ...]) -> dict[str, Any]:
    """What the inputs determine of the run; seconds and device go to the run log."""
    labels = rows["train"].with_format("numpy")["labels"]
    lengths = [len(row) for row in labels]
    summary = {
        "rows": len(lengths),
        "tokens": sum(lengths),
        "trained_tokens": int(sum((row != IGNORED).sum() for row in labels)),
        "trainable_parameters": trainable,
        "steps": max(curves.valid),  # fewer than planned where it ended early
        "best_step": curves.best,
        "train_loss": round(curves.train[max(curves.train)], 4),
        "valid_loss": round(curves.valid[curves.best], 4),
        "versions": {name: version(name).split("+")[0] for name in packages},
    }
    write_json(path, summary)
    return summary
