"""A recipe from a file: the smallest that works, its adapter in params.yaml, and what was seen on the way."""

import json
import math
import os
import shlex
import shutil
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

import click

from tuneline.data.inputs import DETECT
from tuneline.data.sources import kinds_of, read_named
from tuneline.files import whole_file, whole_folder, write_json
from tuneline.recipe.forms import IGNORE, KEYS
from tuneline.recipe.own import Extracted
from tuneline.recipe.settings import Extract
from tuneline.rows import answer
from tuneline.starting.look import (
    FEW,
    WIDTH,
    Measures,
    choose_measures,
    describe_columns,
    duplicates,
    keys_of,
    labels_of,
    languages,
    read_sample,
    schema_of,
    suggest_columns,
)
from tuneline.starting.params import check_name, yaml_writer

BASE, FETCHED = "models/tiny", "data/bases"
LONG = 40  # characters of a column's name, from which on it may be a row's text
MOST_KINDS = 5  # of refusals that are told
STEPS, BATCH, MOST_EPOCHS = 400, 8, 10  # steps to aim at: a few minutes of two cores on the embedded base

RECIPE = """\
# What the recipe is: one section a stage, always present.
extract:
  kind: rows # any input form
  train: {train} # files of source/
  test: [] # none of its own: rows that say so by `split`, else by hash, in the shares of params.yaml
{columns}{encoding}  max-reject-share: {reject:g}

prefix: {{}} # adapter → what stands before each question, in training as in predict

sdg:
  strategies: [] # the rows are there; none is made

curate:
  near-duplicate: 0.92
  same-group: 0.7
  contamination: 0.85

trim: {{over-long: drop}} # or cut: the longest question between its first and last sentence

split:
  valid-groups: []
  test-groups: []

eval:
{measures}"""


def make_recipe(
    root: Path, name: str, source: Path, columns: Mapping[str, str], base: str, encoding: str = DETECT
) -> list[str]:
    """Writes `recipes/<name>` and its adapter; lines that tell what was seen.

    Raises click.ClickException when the name is taken or none, or the rows cannot be read.
    """
    recipe, params = root / "recipes" / name, root / "params.yaml"
    check_name(name)
    if unknown := sorted(set(columns.values()) - {*KEYS, IGNORE}):
        keys = f"{', '.join(KEYS)}, {IGNORE}"
        raise click.ClickException("\n".join(wrapped(f"{', '.join(unknown)} is no form's key; known are {keys}")))
    if recipe.exists():
        raise click.ClickException(f"{recipe} is there already; choose another name, or remove it")
    writer, known = read_params(params)
    base = place_of(root, base)
    if columns and (lost := [key for key in columns if key not in keys_of(read_sample(source, encoding, None))]):
        raise click.ClickException(f"no row of {source} has {', '.join(map(repr, lost))}; correct --column")
    if name in known["adapters"]:
        raise click.ClickException(f"{params} has an adapter {name} already; choose another name")
    command = ["tuneline", "new", name]
    command += [] if base == BASE else ["--base", base]
    command += [] if encoding == DETECT else ["--encoding", encoding]
    found = read_source(source, columns, encoding, command)
    measures = choose_measures(found.rows)
    with whole_folder(recipe) as part:
        fill_recipe(part, source, columns, encoding, found, measures)
    known["recipes"] += [] if name in known["recipes"] else [name]
    known["adapters"][name] = adapter_entry(name, base, len(found.rows))
    with whole_file(params) as part:
        writer.dump(known, part)
    seen = describe(source, found, measures.why)
    return [*seen, f"wrote recipes/{name} and the adapter {name} of params.yaml"]


def read_source(source: Path, columns: Mapping[str, str], encoding: str, command: Sequence[str]) -> Extracted:
    """The rows of a file or folder. Raises click.ClickException with `command` completed where too few can be used."""
    found = read_rows_of(source, columns, encoding)
    if not are_enough(found):
        raise click.ClickException(why_not(source, found, columns, encoding, command))
    return found


def read_rows_of(source: Path, columns: Mapping[str, str], encoding: str) -> Extracted:
    name = source.resolve().name
    settings = Extract(kind="rows", train=[name], test=[], max_reject_share=1, columns=dict(columns), encoding=encoding)
    return read_named({name: source}, settings)


def are_enough(found: Extracted) -> bool:
    return bool(found.rows) and len(found.refused) <= FEW * (len(found.rows) + len(found.refused))


def fill_recipe(
    recipe: Path,
    source: Path,
    columns: Mapping[str, str],
    encoding: str,
    found: Extracted,
    measures: Measures,
) -> None:
    """The files of a recipe, in a folder that is there."""
    name = source.resolve().name
    (recipe / "source").mkdir()
    if source.is_dir():
        shutil.copytree(source, recipe / "source" / name, ignore=shutil.ignore_patterns(".*"))
    else:
        shutil.copyfile(source, recipe / "source" / name)
    text = RECIPE.format(
        train=json.dumps([name], ensure_ascii=False),
        columns=f"  columns: {json.dumps(dict(columns), ensure_ascii=False)}\n" if columns else "",
        encoding="" if encoding == DETECT else f"  encoding: {json.dumps(encoding)}\n",
        reject=FEW if found.refused else 0,
        measures="".join(f"  {key}: {json.dumps(value)}\n" for key, value in measures.section.items()),
    )
    (recipe / "recipe.yaml").write_text(text, encoding="utf-8")
    (recipe / "system.md").write_text("", encoding="utf-8")
    write_json(recipe / "schema.json", schema_of([answer(row) for row in found.rows]))


def why_not(source: Path, found: Extracted, columns: Mapping[str, str], encoding: str, command: Sequence[str]) -> str:
    """The commonest reason why no recipe can be made, and the command that would make one."""
    if not found.refused:
        return f"{source} has no row"
    reasons = told_reasons(found)
    total = len(found.rows) + len(found.refused)
    lines = [f"{len(found.refused)} of {total} rows of {source} cannot be used"]
    for reason in reasons:
        lines += wrapped(reason)
    if not ("extract.columns" in reasons[0] or "no known form" in reasons[0]):
        return "\n".join([*lines, f"correct {source}, or take them out: {FEW:.0%} of the rows may be refused"])
    with redirect_stderr(StringIO()):  # what can be said of the file is said already
        records = read_sample(source, encoding)
        told = suggest_columns(records, columns)
        works = are_enough(read_rows_of(source, told, encoding))
    lines += ["its columns:", *describe_columns(records)] if any(records) else []
    if any(len(key) > LONG for key in records[0]):
        lines.append("  if these are no names, the file has no header: write a line of names above it")
    if works:
        words = [*command, "--from", str(source), *(f"--column={key}={value}" for key, value in told.items())]
        lines += ["say what they are, for example:", *whole_command(words)]
    else:
        lines += wrapped("rows of another kind: write them in one of the forms, or give the recipe a reader.py")
    return "\n".join([*lines, *wrapped(f"a column is one of {', '.join(KEYS)}, or {IGNORE}")])


def told_reasons(found: Extracted) -> list[str]:
    """The commonest kinds of refusals, each with where the first is."""
    kinds = sorted(kinds_of(found.refused), key=lambda kind: -kind[0])
    return [
        f"{count} of them, the first at {row['file']}:{row['line']}: {row['detail']}"
        for count, row in kinds[:MOST_KINDS]
    ]


def wrapped(text: str, indent: str = "  ") -> list[str]:
    return textwrap.wrap(text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def whole_command(words: Sequence[str]) -> list[str]:
    """A command that can be pasted, on lines that a backslash joins."""
    lines = [""]
    for word in map(shlex.quote, words):
        if lines[-1] and len(lines[-1]) + len(word) + 3 > WIDTH:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return [f"  {line} \\" for line in lines[:-1]] + [f"  {lines[-1]}"]


def describe(source: Path, found: Extracted, why: str) -> list[str]:
    rows = found.rows
    sets = Counter(row.get("set", "train") for row in rows)
    turns = Counter("text" if "text" in row else len(row["messages"]) for row in rows)
    again, several = duplicates(rows)
    lines = [f"{len(rows)} rows of {source}, {len(found.refused)} refused"]
    for reason in told_reasons(found):
        lines += told("refused", reason)
    if turns["text"]:
        lines += told("form", f"{turns['text']} texts without a question")
    if asked := {size: count for size, count in turns.items() if size != "text"}:
        lines += told("form", ", ".join(f"{n} rows of {size} messages" for size, n in sorted(asked.items())[:5]))
    if set(sets) != {"train"}:
        lines += told("sets", ", ".join(f"{name} {count}" for name, count in sets.items()))
    if labels := labels_of([answer(row) for row in rows]):
        lines += told("labels", ", ".join(labels[:8]) + (", …" if len(labels) > 8 else ""))
    shares = list(languages(rows).items())[:4]
    lines += told("languages", ", ".join(f"{name} {share:.0%}" for name, share in shares))
    lines += told("duplicates", f"{again} rows stand there again, {several} questions have several answers")
    return [*lines, *told("measures", why)]


def told(what: str, text: str) -> list[str]:
    return wrapped(f"  {what:10}  {text}", " " * 14)


def adapter_entry(name: str, base: str, rows: int) -> dict[str, Any]:
    """Epochs for about STEPS steps, MOST_EPOCHS at most."""
    epochs = max(1, min(MOST_EPOCHS, round(STEPS / math.ceil(rows / BATCH))))
    train = {"learning-rate": 0.002, "epochs": epochs, "batch-size": BATCH, "accumulation": 1, "evaluations": epochs}
    return {"recipe": name, "base": base, "max-new-tokens": "auto", "quantization": "none", "train": train}


def place_of(root: Path, base: str) -> str:
    """A base's folder as params.yaml names it: below data/bases where its weights are to be fetched.

    Raises click.ClickException where there is none.
    """
    given = Path(os.path.relpath(root / base, root))
    folder = Path("models", given.name) if given.parent == Path(FETCHED) else given
    if ".." in folder.parts or not (root / folder / "base.yaml").is_file():
        raise click.ClickException(f"there is no {folder}/base.yaml; see models/tiny")
    return folder.as_posix() if (root / folder / "config.json").is_file() else f"{FETCHED}/{folder.name}"


def read_params(params: Path) -> tuple[Any, Any]:
    """(what writes it, what it says): all that is not changed is written as it stands, comments too.

    Raises click.ClickException where it is not there, or says no recipes and adapters.
    """
    from ruamel.yaml.error import YAMLError

    if not params.is_file():
        raise click.ClickException(f"there is no {params} here; go to the folder of the project")
    writer = yaml_writer()
    try:
        known = writer.load(params.read_text("utf-8"))
    except YAMLError as error:
        raise click.ClickException(f"{params}: {' '.join(str(error).split())}") from None
    if not isinstance(known, dict):
        raise click.ClickException(f"{params} is no mapping; see `git diff {params}`")
    known["recipes"], known["adapters"] = known.get("recipes") or [], known.get("adapters") or {}
    if not isinstance(known["recipes"], list) or not isinstance(known["adapters"], dict):
        raise click.ClickException(f"{params}: recipes is a list of names, adapters a mapping by name")
    return writer, known
