"""A bar on stderr for paid calls: done, cached, failed, calls/s, tokens/s, spend, time left."""

import sys
import time
from typing import TYPE_CHECKING, Self

from tuneline.files import bar

if TYPE_CHECKING:
    from tuneline.teaching.teacher import Teacher

INTERVAL = 0.2  # seconds between two drawings


class Progress:
    def __init__(self, label: str, total: int | None, teacher: "Teacher") -> None:
        self.label, self.total, self.teacher = label, total, teacher
        self.done = self.tokens = 0

    def __enter__(self) -> Self:
        self.start = self.drawn = time.monotonic()
        self.bar = bar(self.label, total=self.total)
        return self

    def say(self, line: str) -> None:
        """A line of its own, above the bar."""
        self.bar.write(f"{self.label}: {line}", file=sys.stderr)

    def update(self, done: int = 0, tokens: int = 0) -> None:
        self.done += done
        self.tokens += tokens
        if time.monotonic() - self.drawn >= INTERVAL:
            self._draw()

    def _draw(self) -> None:
        self.drawn = time.monotonic()
        passed = max(self.drawn - self.start, 1e-9)
        teacher = self.teacher
        cached, failed = f"{teacher.cached} cached", f"{len(teacher.failures)} failed"
        speed = f"{teacher.calls / passed:.0f} calls/s, {self.tokens / passed:.0f} tok/s"
        self.bar.set_postfix_str(f"{cached}, {failed}, {speed}, ${teacher.spent:.3f}", refresh=False)
        self.bar.update(self.done + teacher.cached - self.bar.n)

    def __exit__(self, *_: object) -> None:
        self.bar.close()
