"""A recipe's own Python: up to six doors, each a file of its folder, and what each must have.

A recipe that needs no Python has none. A door is loaded by its place, from the checkout that runs, as a part of a
package that is the folder: a door may import its neighbours (`from .pdf import read_pdf`), and two checkouts in one
process never share a module. Nothing is registered: recipe.yaml says `own` where a door is wanted, so that a missing
file is an error and never a silent default.
"""

import hashlib
import importlib
import inspect
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

import click
from pydantic import BaseModel

from tuneline.files import Row

if TYPE_CHECKING:  # a protocol names what stands above it
    from tuneline.measuring.score import Score
    from tuneline.ordering.order import Order
    from tuneline.ordering.shares import Shares
    from tuneline.teaching.request import Outcome, Request


@dataclass(frozen=True)
class Extracted:
    """What a reader makes of its sources. A refused row is `{"reason", "detail", "file", "line"?}`.

    `read`: (how many, of what) were read, where a refusal is of something else than a row: a paper, say.
    `counts`: what else the metrics tell.
    """

    rows: list[Row]
    refused: list[Row]
    counts: dict[str, int] = field(default_factory=dict)
    read: tuple[int, str] | None = None


class Reader(Protocol):
    """reader.py, by `extract.kind: own`: sources of a form that only this recipe has → rows or documents.

    `Settings`: what extract of recipe.yaml holds beside `kind` and `max-reject-share`. `out`: a folder for what
    people read (Markdown, figures); `state`: an ignored one for downloads.
    """

    Settings: type[BaseModel]

    def read(self, recipe: Path, settings: Any, out: Path, state: Path) -> Extracted: ...


class Offline(Protocol):
    """offline.py: the recipe's judge where the provider is `offline`, by the facts of a request.

    May have `seed(fields: dict) -> dict[str, str]`: what `${seed.…}` of sdg/offline.yaml names of a row or a document
    that is asked about; of empty fields, the same names.
    """

    def answer(self, facts: dict[str, Any]) -> dict[str, Any]: ...


class Checks(Protocol):
    """checks.py, by `curate.checks.own: true`: why a row that a strategy made is none, as (reason, detail)."""

    def wrong(self, row: Row) -> tuple[str, str] | None: ...


class Measures(Protocol):
    """measures.py, by `eval.measures: own`: what an answer to a test row is worth.

    `FIGURES`: name → how the rows make it, in the order of the table; see measuring/score.py. May have
    `ask(row, answer) -> list[Request]`, what the judge is asked of an answer (without it, `outcomes` are empty),
    `MAIN`, the figure by which groups are compared (without it F1, else the first),
    `tables(adapter, base, tuned) -> dict`, what else the report holds of both sides' scores, and
    `unreadable(row) -> str | None`, why they could not read a row's reference, told before anything is paid.
    `answer` is the bits of its text, a float, where a row is only text.
    """

    FIGURES: Mapping[str, str]

    def score(self, row: Row, answer: str, outcomes: Sequence["Outcome"]) -> "Score": ...


class Judged(Measures, Protocol):
    """Measures that ask the judge."""

    def ask(self, row: Row, answer: str) -> "list[Request]": ...


class Reading(Measures, Protocol):
    """Measures that say which references they cannot read: the end of a sentence after `the row`."""

    def unreadable(self, row: Row) -> str | None: ...


class Orders(Protocol):
    """orders.py, beside dimensions.yaml: texts that are written to order for `tuneline instructions`.

    `check` raises click.ClickException where the recipe cannot draw what dimensions.yaml asks for. `draw` gives the
    same order for the same combination and state of `rng`. `faults`: what the recipe's law refuses, as (reason,
    detail), beside what is looked at for all (length, language, near duplicates); a fact that the text lacks has the
    reason "missing". `write` is the writer that needs no key; None where it finds no text.
    """

    def check(self, shares: "Shares") -> None: ...

    def draw(self, dimensions: dict[str, str | None], rng: random.Random) -> "Order": ...

    def faults(self, order: "Order", text: str) -> Sequence[tuple[str, str]]: ...

    def write(self, order: "Order", rng: random.Random) -> str | None: ...


class Commands(Protocol):
    """commands.py: a click group `commands`, which is `tuneline <recipe> …`."""

    commands: click.Group


DOORS = {
    "reader": Reader,
    "offline": Offline,
    "checks": Checks,
    "measures": Measures,
    "orders": Orders,
    "commands": Commands,
}


def has_door(recipe: Path, door: str) -> bool:
    return (recipe / f"{door}.py").is_file()


def open_door(recipe: Path, door: str) -> Any:
    """The door's module, held to its protocol.

    Raises click.ClickException, in one sentence, when the file is not there, cannot be imported or lacks something.
    """
    path = recipe / f"{door}.py"
    if not path.is_file():
        raise click.ClickException(f"{path} is missing, and {recipe / 'recipe.yaml'} asks for it")
    try:
        module = load(recipe, door)
    except (SyntaxError, ImportError, NameError) as error:
        where = f"{error.filename}:{error.lineno}" if isinstance(error, SyntaxError) else str(path)
        raise click.ClickException(f"{where}: {type(error).__name__}: {' '.join(str(error).split())}") from error
    if wrong := misfit(module, DOORS[door]):
        raise click.ClickException(f"{path}: {wrong}")
    return module


def load(recipe: Path, module: str) -> ModuleType:
    """A module of the recipe's folder by its dotted name, such as `records.toon`."""
    folder = recipe.resolve()
    package = f"_{recipe.name.replace('-', '_')}_{hashlib.sha256(str(folder).encode()).hexdigest()[:12]}"
    if package not in sys.modules:
        made = ModuleType(package, f"The Python of {recipe.name}.")
        made.__path__ = [str(folder)]
        sys.modules[package] = made
    return importlib.import_module(f"{package}.{module}")


def call(recipe: Path, module: str, function: str, *given: Any) -> Any:
    """Calls a function of a recipe's module: what a process of a pool can be told to do, wherever it starts."""
    return getattr(load(recipe, module), function)(*given)


def misfit(module: ModuleType, protocol: type) -> str | None:
    """What the module lacks of the protocol, as a sentence's end; None when it has all."""
    for name, told in inspect.get_annotations(protocol).items():
        if not hasattr(module, name):
            return f"has no {name}, {getattr(told, '__name__', told)}"
    for name, wanted in vars(protocol).items():
        if name.startswith("_") or not inspect.isfunction(wanted):
            continue
        if wrong := misfit_of_function(name, getattr(module, name, None), wanted):
            return wrong
    return None


def misfit_of_function(name: str, given: Callable | None, wanted: Callable) -> str | None:
    names = list(inspect.signature(wanted).parameters)[1:]  # without self
    form = f"{name}({', '.join(names)})"
    if not callable(given):
        return f"has no function {form}"
    try:
        inspect.signature(given).bind(*names)
    except TypeError:
        return f"{name}{inspect.signature(given)} does not take what it is given: {form}"
    return None
