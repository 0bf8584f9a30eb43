"""Messages → answers, in batches, with the rendering that training used."""

import importlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from tuneline.adapter import read_adapter
from tuneline.base import Base, read_base
from tuneline.chat import load_chat
from tuneline.constraint import schema_constraint
from tuneline.files import Row


def predict_options(command: Callable) -> Callable:
    """The flags of `predict` in params.yaml, for click."""
    options = [
        click.option("--batch-size", type=click.IntRange(1), required=True, help="Rows."),
        click.option("--max-new-tokens", type=click.IntRange(1), required=True),
        click.option("--constrain/--no-constrain", required=True, help="Hold answers to the schema."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


class Predictor:
    """A loaded base, with or without an adapter. `schema`: hold every answer to it."""

    def __init__(
        self, backend: str, base: Base, quantization: str, adapter: Path | None = None, schema: Path | None = None
    ) -> None:
        self.backend = importlib.import_module(f"tuneline.backend_{backend}")
        self.chat = load_chat(base)
        self.model = self.backend.load_model(base, quantization)
        if adapter:
            self.model = self.backend.load_adapter(self.model, adapter)
        self.constrain = None
        if schema:
            self.constrain = schema_constraint(schema, self.chat.tokenizer, self.backend.vocabulary(self.model))

    def answer(
        self, conversations: Sequence[Sequence[Row]], batch_size: int, max_new_tokens: int, label: str
    ) -> list[str]:
        """The answer to each conversation, which ends with the user's turn. Greedy."""
        prompts = [
            self.chat.backend.encode(self.chat.prompt(messages), add_special_tokens=False).ids
            for messages in conversations
        ]
        answers = [""] * len(prompts)
        order = sorted(range(len(prompts)), key=lambda i: (len(prompts[i]), i))
        with click.progressbar(length=len(order), label=label, file=_stderr()) as bar:
            for batch in _batches(order, batch_size):
                outputs = self.backend.generate(
                    self.model,
                    self.chat.tokenizer,
                    [prompts[i] for i in batch],
                    max_new_tokens,
                    self.chat.stop_ids,
                    self.constrain,
                )
                for index, ids in zip(batch, outputs, strict=True):
                    answers[index] = self.chat.tokenizer.decode(ids, skip_special_tokens=True)
                bar.update(len(batch))
        return answers


def open_adapter(folder: Path, constrain: bool) -> tuple[Predictor, list[Row]]:
    """The predictor of an adapter, and the system message it was trained under (none: an empty list).

    Reads the adapter's folder and its base, nothing else.
    """
    adapter = read_adapter(folder)
    base = read_base(adapter.base)
    schema = folder / "schema.json" if constrain else None
    predictor = Predictor(adapter.backend, base, adapter.quantization, folder, schema)
    system = (folder / "system.md").read_text("utf-8").strip()
    return predictor, [{"role": "system", "content": system}] if system else []


def _batches(items: list[int], size: int) -> Iterator[list[int]]:
    iterator = iter(items)
    while batch := list(itertools.islice(iterator, size)):
        yield batch


def _stderr() -> Any:
    return click.get_text_stream("stderr")
