"""Rows drawn from a grammar: lists of words, and templates of a query and its data that name them.

`${list}` is an entry of the list, its text in the query and its value in the data; `${list.2}` a
second, different entry; `${list.extra}`, in the data, another key of the entry drawn.
"""

import copy
import random
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import click
import yaml

from tuneline.recipe.texts import BAD_DOLLAR, Template, only_name, replace

PLAIN = ("text", "value")  # what an entry that is only text has
DRAWS = 50  # tries to find a second, different entry


@cache
def reference(name: str) -> tuple[str, str | None, str | None]:
    """What a placeholder names, `list.2.extra`: the list, which of its entries, and a key of that one."""
    of, *rest = name.split(".")
    number = rest.pop(0) if rest and rest[0].isdigit() else None
    return of, number, ".".join(rest) or None


class Draw:
    """One row's entries: the same placeholder is the same entry wherever it stands."""

    def __init__(self, lists: dict[str, list], rng: random.Random) -> None:
        self.lists, self.rng = lists, rng
        self.entries: dict[tuple[str, str | None], dict[str, Any]] = {}

    def value(self, placeholder: str) -> Any:
        name, number, extra = reference(placeholder)
        return self.entry(name, number)[extra or "value"]

    def text(self, placeholder: str) -> str:
        name, number, _ = reference(placeholder)
        return self.entry(name, number)["text"]

    def entry(self, name: str, number: str | None) -> dict[str, Any]:
        key = (name, number)
        if key not in self.entries:
            taken = {e["text"] for (other, _), e in self.entries.items() if other == name}
            for _ in range(DRAWS):
                entry = self._draw(name)
                if entry["text"] not in taken:
                    break
            else:
                raise LookupError(f"list {name!r} has no entry but {', '.join(sorted(taken))}")
            self.entries[key] = entry
        return self.entries[key]

    def _draw(self, name: str) -> dict[str, Any]:
        entry = self.rng.choice(self.lists[name])
        if isinstance(entry, dict):
            return entry
        text = replace(entry, lambda inner: Draw(self.lists, self.rng)._draw(reference(inner)[0])["text"])
        return {"text": text, "value": text}

    def query(self, template: str) -> str:
        return replace(template, self.text)

    def data(self, template: Any) -> Any:
        if isinstance(template, dict):
            return {key: self.data(value) for key, value in template.items()}
        if isinstance(template, list):
            return [self.data(value) for value in template]
        if not isinstance(template, str):
            return template
        whole = only_name(template)
        return copy.deepcopy(self.value(whole)) if whole else replace(template, self.value)


def fold(value: Any) -> Any:
    """Every text inside `value` in lower case."""
    if isinstance(value, dict):
        return {key: fold(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [fold(inner) for inner in value]
    return value.lower() if isinstance(value, str) else value


def draw_rows(path: Path, count: int, lowercase: float, rng: random.Random) -> list[dict]:
    """`count` distinct `{"query", "data"}`; a share `lowercase` of them is folded, query and data alike.

    Raises click.ClickException when the grammar is malformed or too small for so many rows.
    """
    grammar = _read_grammar(path)
    templates = grammar["templates"]
    weights = [template.get("weight", 1) for template in templates]
    rows: dict[str, dict] = {}
    for _ in range(20 * count):
        if len(rows) == count:
            return list(rows.values())
        (template,) = rng.choices(templates, weights)
        draw = Draw(grammar["lists"], rng)
        try:
            row = {"query": draw.query(template["query"]), "data": draw.data(template["data"])}
        except LookupError as error:
            raise click.ClickException(f"{path}: {error}; {template['query']!r} needs another") from None
        except RecursionError:
            raise click.ClickException(f"{path}: a list names itself") from None
        if rng.random() < lowercase:
            row = fold(row)
        rows.setdefault(row["query"], row)
    raise click.ClickException(
        f"{path}: gives only {len(rows)} different rows, {count} are asked for; add templates or entries"
    )


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
    elif isinstance(value, str):
        yield value


def _read_grammar(path: Path) -> dict:
    try:
        grammar = yaml.load(path.read_text("utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (OSError, yaml.YAMLError) as error:
        raise click.ClickException(f"{path}: {' '.join(str(error).split())}") from None
    if not isinstance(grammar, dict) or set(grammar) != {"lists", "templates"}:
        raise click.ClickException(f"{path}: a grammar has two sections, lists and templates")
    lists, templates = grammar["lists"], grammar["templates"]
    if not isinstance(lists, dict) or not all(isinstance(entries, list) for entries in lists.values()):
        raise click.ClickException(f"{path}: lists is not of the form {{name: [entry, …]}}")
    if not isinstance(templates, list) or not templates:
        raise click.ClickException(f"{path}: templates is not a list of templates")
    wrong = [problem for name, entries in lists.items() for problem in check_list(name, entries, lists)]
    for number, template in enumerate(templates, 1):
        if not isinstance(template, dict) or not {"query", "data"} <= set(template) <= {"query", "data", "weight"}:
            raise click.ClickException(f"{path}: template {number} needs query and data, and may have a weight")
        wrong += [f"template {number}: {problem}" for problem in _check_template(template, lists)]
    if wrong:
        raise click.ClickException(f"{path}: " + "; ".join(sorted(set(wrong))[:10]))
    return grammar


def check_list(name: str, entries: list, lists: dict[str, list]) -> Iterator[str]:
    """What is wrong with the entries of one list."""
    for entry in entries:
        text = entry.get("text") if isinstance(entry, dict) else entry
        if not isinstance(text, str):
            yield f"list {name!r}: {entry!r} is no text and has none; quote it"
        elif isinstance(entry, str):
            yield from (f"list {name!r}: {problem}" for problem in _misread(entry))
            for inner, _, _ in map(reference, Template(entry).get_identifiers()):
                if not lists.get(inner):
                    yield f"list {name!r}: no list {inner!r}"


def _misread(text: str) -> Iterator[str]:
    """What looks like a placeholder and is none."""
    if not Template(text).is_valid():
        yield f"{text!r} has {BAD_DOLLAR}"
    elif set("{}") & set(replace(text, lambda name: "")):
        yield f"{text!r} has a brace that belongs to no placeholder; write ${{list}}"


def _check_template(template: dict, lists: dict[str, list]) -> Iterator[str]:
    if not isinstance(template["query"], str):
        yield "the query is no text"
    yield from check_texts(template["query"], lists, only_text=True)
    yield from check_texts(template["data"], lists)


def check_texts(value: Any, lists: dict[str, list], only_text: bool = False) -> Iterator[str]:
    """What is wrong with the placeholders of every text inside `value`."""
    for text in _texts(value):
        yield from _misread(text)
        for name, _, extra in map(reference, Template(text).get_identifiers()):
            wanted = "text" if only_text else extra or "value"
            if not (entries := lists.get(name)):
                yield f"no list {name!r}"
            elif not all(wanted in e if isinstance(e, dict) else wanted in PLAIN for e in entries):
                yield f"an entry of {name!r} has no {wanted!r}"
