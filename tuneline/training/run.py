"""What a trainer is given, and what it has made."""

import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from tuneline.files import bar
from tuneline.models.adapter import lora_config
from tuneline.models.base import Base
from tuneline.rendering.chat import Chat
from tuneline.training.checkpoints import kept
from tuneline.training.curves import Curves
from tuneline.training.reporting import Report, silent
from tuneline.training.settings import Plan, Settings

LONG = 120.0  # seconds without a line


@dataclass(frozen=True)
class Run:
    """What a trainer is given. `rows`: "train" and "valid", each a dataset of input_ids and labels."""

    settings: Settings
    base: Base
    chat: Chat
    rows: dict[str, Any]
    plan: Plan
    checkpoints: Path
    gradient_checkpointing: bool = False
    report: Report = silent
    step: Callable[[int], None] = lambda done: None  # is told how many are done

    @property
    def lora(self) -> dict[str, Any]:
        s = self.settings
        return lora_config(self.base, s.rank, s.scale, s.dropout, s.target, s.variant)


@dataclass(frozen=True)
class Fitted:
    """What a trainer has made. `save` writes the weights to a file; `trainable` counts parameters."""

    save: Callable[[Path], None]
    curves: Curves
    trainable: int
    device: str


def check_finite(loss: float, step: int, run: Run) -> None:
    """Raises click.ClickException for a loss that is no number: nothing after it is worth a checkpoint."""
    if math.isfinite(loss):
        return
    settings = run.settings
    ways = [f"lower train.learning-rate, now {settings.learning_rate:g}", "raise fit.warmup"]
    ways += ["write fit.precision float32"] if settings.precision != "float32" else []
    raise click.ClickException(
        f"the loss is {loss} at step {step} of {run.plan.steps}, and the run ends here; {kept(run.checkpoints)}: "
        f"{', or '.join(ways)}. With other knobs it begins anew, with the same it goes on from there"
    )


class Pace(ExitStack):
    """A run's bar, with the time that is left by what the steps took so far.

    It begins with the first that is done here: that one is slower than the others. Where stderr is a file and the steps
    are long, a line comes every two minutes, as that of a tenth may be an hour away.
    """

    def __init__(self, label: str, steps: int) -> None:
        super().__init__()
        self.label, self.steps, self.bar, self.told = label, steps, None, 0.0

    def step(self, done: int) -> None:
        if self.bar is None:
            self.bar = self.enter_context(bar(self.label, total=self.steps, initial=done))
        self.bar.update(done - self.bar.n)
        now = time.time()  # by which tqdm goes too
        if now - max(self.told, self.bar.last_print_t) >= LONG:
            self.bar.refresh()
            self.told = now

    def loss(self, name: str, value: float) -> None:
        if self.bar is not None and name == "valid_loss":
            self.bar.set_postfix_str(f"valid loss {value:.4f}", refresh=False)
