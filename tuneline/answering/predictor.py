"""Messages → answers, in batches, with the rendering that training used."""

import importlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from tuneline.answering.constraint import schema_constraint
from tuneline.files import Row, write_jsonl
from tuneline.models.adapter import read_adapter
from tuneline.models.base import Base, read_base
from tuneline.rendering.chat import load_chat
from tuneline.rendering.preamble import Preamble


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
    """A loaded base, with or without an adapter, asked under a preamble. `schema`: hold every answer to it."""

    def __init__(
        self,
        backend: str,
        base: Base,
        quantization: str,
        preamble: Preamble,
        adapter: Path | None = None,
        schema: Path | None = None,
    ) -> None:
        self.backend = importlib.import_module(f"tuneline.backends.{backend}")
        self.chat = load_chat(base, preamble)
        self.model = self.backend.load_model(base, quantization)
        if adapter:
            self.model = self.backend.load_adapter(self.model, adapter)
        self._hold_to(schema)

    def switch(self, adapter: Path, preamble: Preamble, schema: Path | None) -> None:
        """Another adapter on the same base, in place."""
        self.model = self.backend.switch_adapter(self.model, adapter)
        self.chat = self.chat.under(preamble)
        self._hold_to(schema)

    def _hold_to(self, schema: Path | None) -> None:
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


def write_answers(
    out: Path, predictor: Predictor, rows: Sequence[Row], batch_size: int, max_new_tokens: int, label: str
) -> None:
    """`{"id", "answer"}` of each test row, whose last message is the right answer and is not shown."""
    asked = [row["messages"][:-1] for row in rows]
    answers = predictor.answer(asked, batch_size, max_new_tokens, label)
    write_jsonl(out, ({"id": row["id"], "answer": text} for row, text in zip(rows, answers, strict=True)))


def open_adapter(folder: Path, constrain: bool, root: Path = Path()) -> Predictor:
    """An adapter on its base, asked as it was trained. `root`: of the checkout that has the base."""
    adapter = read_adapter(folder)
    schema = folder / "schema.json" if constrain else None
    base = read_base(root / adapter.base)
    return Predictor(adapter.backend, base, adapter.quantization, adapter_preamble(folder), folder, schema)


def adapter_preamble(folder: Path) -> Preamble:
    return Preamble((folder / "system.md").read_text("utf-8").strip(), read_adapter(folder).prefix)


class Voices:
    """Adapters of one base, which is loaded once; each is asked as it was trained.

    Reads the adapters' folders and their base, nothing else.
    """

    def __init__(self, folders: Sequence[Path], constrain: bool) -> None:
        """Raises click.ClickException when the adapters are not of one base, quantization and backend."""
        known = {folder: read_adapter(folder) for folder in folders}
        (first, its), *others = known.items()
        for folder, other in others:
            if (other.base, other.quantization, other.backend) != (its.base, its.quantization, its.backend):
                raise click.ClickException(f"{folder} and {first} are not of one base; ask them one at a time")
        self.constrain = constrain
        self.predictor: Predictor | None = None

    def answer(self, folder: Path, asked: list[list[Row]], batch_size: int, max_new_tokens: int) -> list[str]:
        """Raises click.ClickException when a text spells out a special token."""
        if self.predictor is None:
            self.predictor = open_adapter(folder, self.constrain)
        else:
            schema = folder / "schema.json" if self.constrain else None
            self.predictor.switch(folder, adapter_preamble(folder), schema)
        for messages in asked:
            if token := self.predictor.chat.special_in({"messages": messages}):
                raise click.ClickException(
                    f"a text spells out {token}, which the model reads as a command; take it out"
                )
        return self.predictor.answer(asked, batch_size, max_new_tokens, folder.name)


def _batches(items: list[int], size: int) -> Iterator[list[int]]:
    iterator = iter(items)
    while batch := list(itertools.islice(iterator, size)):
        yield batch


def _stderr() -> Any:
    return click.get_text_stream("stderr")
