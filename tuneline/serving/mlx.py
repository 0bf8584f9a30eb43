"""What a server needs of mlx-lm: adapters that take turns on one base, and rows that come and go."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tuneline.answering.mlx import Constrained
from tuneline.backends.mlx import load_adapter, switch_adapter


class Adapters:
    """Adapters on one loaded base, which answer in turn, or the base alone."""

    def __init__(self, model: Any, folders: Sequence[Path]) -> None:
        """Raises click.ClickException when an adapter is of another base, or of another rank, target or variant."""
        plain = dict(model.named_modules())
        self.model = load_adapter(model, folders[0])
        for folder in folders[1:]:
            self.model = switch_adapter(self.model, folder)
        self.adapted = [(path, module) for path, module in self.model.named_modules() if "lora_a" in module]
        self.plain = [(path, plain[path]) for path, _ in self.adapted]
        self.use(None)

    def use(self, folder: Path | None) -> None:
        """None: the base alone."""
        from mlx.utils import tree_unflatten

        self.model.update_modules(tree_unflatten(self.adapted if folder else self.plain))
        if folder:
            self.model = switch_adapter(self.model, folder)


def read_opening(model: Any, ids: list[int]) -> None:
    """mlx-lm's batches begin with whole prompts."""


def open_batch(model: Any, size: int, stop: list[int], opening: None) -> Any:
    return Batch(model, size, stop)


class Batch:
    """The rows that are being answered: what the caller knows them by. A row has `most`, and a matcher or None."""

    def __init__(self, model: Any, size: int, stop: list[int]) -> None:
        from mlx_lm.generate import BatchGenerator

        self.generator = BatchGenerator(
            model, stop_tokens=[[token] for token in stop], prefill_batch_size=size, completion_batch_size=size
        )
        self.numbers: dict[int, Any] = {}
        self.said: list[tuple[Any, int]] = []

    @property
    def rows(self) -> list[Any]:
        return list(self.numbers.values())

    def join(self, rows: list[Any], prompts: list[list[int]], matchers: list[Any]) -> None:
        held = [[Constrained(matcher)] if matcher else [] for matcher in matchers]
        numbers = self.generator.insert(prompts, [row.most for row in rows], logits_processors=held)
        self.numbers.update(zip(numbers, rows, strict=True))
        self.said = []

    def step(self) -> None:
        """One token of every row, and the first of those that have joined."""
        found = self.generator.next_generated()
        self.said = [(self.numbers[one.uid], one.token) for one in found]

    def newest(self) -> list[tuple[Any, int]]:
        return self.said

    def leave(self, rows: list[Any]) -> None:
        gone = [number for number, row in self.numbers.items() if row in rows]
        self.generator.remove(gone)  # those that have ended are not there any more
        for number in gone:
            del self.numbers[number]
