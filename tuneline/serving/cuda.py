"""What a server needs of transformers and peft: adapters that take turns on one base, and rows that come and go."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from tuneline.answering import batch
from tuneline.answering.batch import Batch, Opening, keeps_plain_cache
from tuneline.answering.cuda import whole_batch
from tuneline.backends.cuda import load_adapter, merges, switch_adapter


class Adapters:
    """Adapters on one loaded base, which answer in turn, or the base alone.

    Where they are added into its weights, these are put back as they were and not subtracted from: that leaves a
    rounding error each time, and an answer would depend on who had been asked before.
    """

    def __init__(self, model: Any, folders: Sequence[Path]) -> None:
        """Raises click.ClickException when an adapter is of another base."""
        self.originals = _copies(model, folders) if merges(model) else []
        self.model = load_adapter(model, folders[0])
        self.names = {folders[0]: self.model.active_adapter}
        for folder in folders[1:]:
            self.model = switch_adapter(self.model, folder)
            self.names[folder] = self.model.active_adapter
        self.added = bool(self.originals)
        self.use(None)

    def use(self, folder: Path | None) -> None:
        """None: the base alone."""
        if self.added:
            self.model.unmerge_adapter()
            for weight, original in self.originals:
                weight.data.copy_(original)
            self.added = False
        if folder is None:
            self.model.base_model.disable_adapter_layers()
            return
        self.model.base_model.enable_adapter_layers()
        self.model.set_adapter(self.names[folder])
        if self.originals:
            self.model.merge_adapter()
            self.added = True


def _copies(model: Any, folders: Sequence[Path]) -> list[tuple[Any, torch.Tensor]]:
    """Each weight that an adapter adds to, and a copy of it: in half of the room where nothing is lost, as with weights
    that were stored in bfloat16.
    """
    patterns = {json.loads((folder / "adapter_config.json").read_text("utf-8"))["target_modules"] for folder in folders}
    found = []
    for path, module in model.named_modules():
        if any(re.fullmatch(pattern, path) for pattern in patterns):
            half = module.weight.data.bfloat16()
            exact = torch.equal(half.to(module.weight.dtype), module.weight.data)
            found.append((module.weight, half if exact else module.weight.data.clone()))
    return found


def read_opening(model: Any, ids: list[int]) -> Opening | None:
    """None of a model that keeps more of a row than keys and values."""
    return batch.read_opening(model, ids) if keeps_plain_cache(model) else None


def open_batch(model: Any, size: int, stop: list[int], opening: Opening | None) -> Any:
    return Batch(model, size, opening) if opening else WholeBatch(model, stop)


class WholeBatch:
    """A Batch of a model that keeps more of a row than keys and values: one step writes the answers of all its rows."""

    def __init__(self, model: Any, stop: list[int]) -> None:
        self.model, self.stop = model, stop
        self.rows: list[Any] = []
        self.given: list[tuple[list[int], Any]] = []
        self.said: list[tuple[Any, int]] = []

    def join(self, rows: list[Any], prompts: list[list[int]], matchers: list[Any]) -> None:
        self.rows += rows
        self.given += zip(prompts, matchers, strict=True)
        self.said = []

    def step(self) -> None:
        prompts, matchers = zip(*self.given, strict=True)
        most = max(row.most for row in self.rows)
        answers = whole_batch(self.model, list(prompts), most, self.stop, list(matchers))
        ended = [[*answer, self.stop[0]] for answer in answers]
        self.said = [(row, token) for row, answer in zip(self.rows, ended, strict=True) for token in answer]

    def newest(self) -> list[tuple[Any, int]]:
        return self.said

    def leave(self, rows: list[Any]) -> None:
        for row in rows:
            place = self.rows.index(row)
            del self.rows[place], self.given[place]
