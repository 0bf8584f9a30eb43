"""The models that a server has: adapters of one base, each asked as it was trained, and the base itself."""

import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from tuneline.answering.constraint import Grammars
from tuneline.answering.predictor import Predictor, adapter_preamble, read_siblings
from tuneline.answering.prompts import common_ids, prompt_ids
from tuneline.models.adapter import read_adapter
from tuneline.models.base import read_base
from tuneline.rendering.chat import Chat
from tuneline.rendering.hearing import find_frame
from tuneline.rendering.preamble import Preamble
from tuneline.serving.calls import find_calls

OBJECT = '{"type":"object"}'


@dataclass(frozen=True)
class Voice:
    """`folder`: of its adapter; None for the base. `schema`: what an answer in JSON is held to, if nothing else is
    said."""

    name: str
    folder: Path | None
    chat: Chat
    schema: str = OBJECT


class Voices:
    """All models of a server, by their names, with the base loaded. `about`: what it is, in words."""

    def __init__(self, adapters: Mapping[str, Path], root: Path = Path()) -> None:
        """`root`: of the checkout that has the base.

        Raises click.ClickException when the adapters are not of one base, or one has the base's name.
        """
        folders = list(adapters.values())
        its = read_siblings(folders)
        base = read_base(root / its.base)
        _check_precision(its.backend, folders)
        asked = Predictor(its.backend, base, its.quantization, its.precision, Preamble())
        self.writer = importlib.import_module(f"tuneline.serving.{its.backend}")
        self.context, self.chat, self.stop_ids = base.context, asked.chat, asked.chat.stop_ids
        self.frame, self.calls = find_frame(asked.chat.writer), find_calls(asked.chat)
        self.grammars = Grammars(asked.chat.tokenizer, asked.backend.vocabulary(asked.model))
        self.adapters = self.writer.Adapters(asked.model, folders)
        self.named = {
            name: Voice(name, folder, asked.chat.under(adapter_preamble(folder)), _schema(folder))
            for name, folder in adapters.items()
        }
        own = its.base.name
        if own in self.named:
            raise click.ClickException(
                f"the base has the name {own} too; call the adapter otherwise: NAME={self.named[own].folder}"
            )
        self.named[own] = Voice(own, None, asked.chat)
        self.used: str | None = own
        self.openings: dict[str, Any] = {}  # what the writer has read of each one's prompts

    def use(self, name: str) -> None:
        """The model that answers from now on."""
        if name != self.used:
            self.used = None
            self.adapters.use(self.named[name].folder)
            self.used = name

    def open_batch(self, size: int) -> Any:
        """Of the model that answers now."""
        if self.used not in self.openings:
            ids = opening_ids(self.named[self.used].chat)
            self.openings[self.used] = self.writer.read_opening(self.adapters.model, ids)
        return self.writer.open_batch(self.adapters.model, size, self.stop_ids, self.openings[self.used])


def opening_ids(chat: Chat) -> list[int]:
    """What the prompts of two questions have in common at their beginning, one id at least."""
    prompts = [prompt_ids(chat, [{"role": "user", "content": text}], {}) for text in ("a", "1")]
    return common_ids(prompts) or prompts[0][:1]


def _check_precision(backend: str, folders: list[Path]) -> None:
    """Raises click.ClickException when two adapters would be asked in another precision: an answer would not be
    predict's.
    """
    answering = importlib.import_module(f"tuneline.backends.{backend}").answering_precision
    found = {answering(read_adapter(folder).precision): folder for folder in folders}
    if len(found) > 1:
        told = " and ".join(f"{folder} ({precision})" for precision, folder in found.items())
        raise click.ClickException(f"{told} are not of one precision; serve them apart")


def _schema(folder: Path) -> str:
    """The adapter's own schema, where that is of JSON; for one that answers in text, any object.

    Raises click.ClickException when schema.json is no JSON.
    """
    text = (folder / "schema.json").read_text("utf-8") if (folder / "schema.json").is_file() else OBJECT
    try:
        own = json.loads(text)
    except ValueError as error:
        raise click.ClickException(f"{folder}/schema.json is no JSON: {error}") from None
    return text if isinstance(own, dict) and own and own.get("type") != "string" else OBJECT


def named_folders(words: tuple[str, ...]) -> dict[str, Path]:
    """Name → folder of each FOLDER or NAME=FOLDER; of none, all of adapters/.

    Raises click.ClickException when there is none, or two have one name.
    """
    if not words:
        words = tuple(str(path.parent) for path in sorted(Path("adapters").glob("*/adapter.json")))
    if not words:
        raise click.ClickException("no adapter is named, and adapters/ has none; make one with `make repro`")
    found: dict[str, Path] = {}
    for word in words:
        name, equals, folder = word.partition("=")
        path = Path(folder if equals else word)
        name = name if equals else path.absolute().name
        if name in found:
            raise click.ClickException(f"{found[name]} and {path} are both {name}; name one of them: NAME={path}")
        found[name] = path
    return found
