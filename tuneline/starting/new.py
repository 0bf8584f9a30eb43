"""A recipe from a file: the smallest that works, its adapter in params.yaml, and what was seen on the way."""

import json
import math
import re
import shlex
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import click

from tuneline.data.sources import read_files
from tuneline.files import Row, whole_file, whole_folder, write_json
from tuneline.recipe.forms import KEYS
from tuneline.recipe.settings import Extract, read_recipe
from tuneline.rows import answer
from tuneline.starting.look import (
    choose_measures,
    describe_columns,
    duplicates,
    labels_of,
    languages,
    read_sample,
    schema_of,
    suggest_columns,
)

NAME = re.compile("[a-z0-9][a-z0-9_-]*")
REFUSED = 0.05  # of the rows, from which on a file wants correcting before a recipe is written
STEPS, BATCH, MOST_EPOCHS = 400, 8, 10  # steps to aim at: a few minutes of two cores on the embedded base

RECIPE = """\
# What the recipe is: one section a stage, always present.
extract:
  kind: rows # any input form
  train: {train} # files of source/
  test: [] # none of its own: rows that say so by `split`, else by hash, in the shares of params.yaml
{columns}  max-reject-share: {reject:g}

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


def make_recipe(root: Path, name: str, source: Path, columns: Mapping[str, str], base: str) -> list[str]:
    """Writes `recipes/<name>` and its adapter; lines that tell what was seen.

    Raises click.ClickException when the name is taken or none, or the rows cannot be read.
    """
    recipe, params = root / "recipes" / name, root / "params.yaml"
    if not NAME.fullmatch(name):
        raise click.ClickException(f"{name!r} is no name; write a-z, 0-9, _ and -")
    if recipe.exists():
        raise click.ClickException(f"{recipe} is there already; choose another name, or remove it")
    if not (root / base / "base.yaml").is_file():
        raise click.ClickException(f"there is no {base}/base.yaml; see models/tiny")
    with whole_folder(recipe) as part:
        lines = fill_recipe(part, source, columns)
        rows = len(read_files(part, read_recipe(part).extract, part).rows)
    write_adapter_entry(params, name, base, rows)
    return [*lines, f"wrote recipes/{name} and the adapter {name} of params.yaml"]


def fill_recipe(recipe: Path, source: Path, columns: Mapping[str, str]) -> list[str]:
    """The files of a recipe in a folder that is there; lines that tell what its rows are."""
    (recipe / "source").mkdir()
    (shutil.copytree if source.is_dir() else shutil.copyfile)(source, recipe / "source" / source.name)
    settings = Extract(kind="rows", train=[source.name], test=[], max_reject_share=1, columns=dict(columns))
    found = read_files(recipe, settings, recipe)
    rows, refused = found.rows, found.refused
    if not rows or len(refused) > REFUSED * (len(rows) + len(refused)):
        raise click.ClickException(why_not(source, refused, len(rows), columns))
    measures = choose_measures(rows)
    text = RECIPE.format(
        train=json.dumps([source.name], ensure_ascii=False),
        columns=f"  columns: {json.dumps(dict(columns), ensure_ascii=False)}\n" if columns else "",
        reject=REFUSED if refused else 0,
        measures="".join(f"  {key}: {json.dumps(value)}\n" for key, value in measures.section.items()),
    )
    (recipe / "recipe.yaml").write_text(text, encoding="utf-8")
    (recipe / "system.md").write_text("", encoding="utf-8")
    write_json(recipe / "schema.json", schema_of([answer(row) for row in rows]))
    return describe(source, rows, refused, measures.why)


def why_not(source: Path, refused: Sequence[Row], kept: int, columns: Mapping[str, str]) -> str:
    """The commonest reason why no recipe can be made, and the words that would make one."""
    reasons = Counter(row["detail"] for row in refused)
    if not reasons:
        return f"{source} has no row"
    reason, count = reasons.most_common(1)[0]
    first = next(row for row in refused if row["detail"] == reason)
    lines = [f"{len(refused)} of {len(refused) + kept} rows of {source} cannot be used; {count} of them: {reason}"]
    lines.append(f"the first is {first['file']}:{first['line']}")
    if "extract.columns" in reason or "no known form" in reason:
        records = read_sample(source)
        told = {**suggest_columns(records), **columns}
        words = " ".join(f"--column {shlex.quote(f'{key}={value}')}" for key, value in told.items())
        lines += ["columns:", *describe_columns(records), "say what they are, for example:", f"  {words}"]
        lines.append(f"a column is one of {', '.join(KEYS)}, or ignore")
    return "\n".join(lines)


def describe(source: Path, rows: Sequence[Row], refused: Sequence[Row], why: str) -> list[str]:
    sets = Counter(row.get("set", "train") for row in rows)
    turns = Counter("text" if "text" in row else len(row["messages"]) for row in rows)
    again, several = duplicates(rows)
    lines = [f"{len(rows)} rows of {source}, {len(refused)} refused"]
    if turns["text"]:
        lines.append(f"  form        {turns['text']} texts without a question")
    if asked := {size: count for size, count in turns.items() if size != "text"}:
        lines.append(
            "  form        " + ", ".join(f"{n} rows of {size} messages" for size, n in sorted(asked.items())[:5])
        )
    if len(sets) > 1:
        lines.append("  sets        " + ", ".join(f"{name} {count}" for name, count in sets.items()))
    if labels := labels_of([answer(row) for row in rows]):
        lines.append("  labels      " + ", ".join(labels[:8]) + (", …" if len(labels) > 8 else ""))
    shares = list(languages(rows).items())[:4]
    lines.append("  languages   " + ", ".join(f"{name} {share:.0%}" for name, share in shares))
    lines.append(f"  duplicates  {again} rows stand there again, {several} questions have several answers")
    lines.append(f"  measures    {why}")
    return lines


def adapter_entry(name: str, base: str, rows: int) -> dict[str, Any]:
    """Epochs for about STEPS steps, MOST_EPOCHS at most."""
    epochs = max(1, min(MOST_EPOCHS, round(STEPS / math.ceil(rows / BATCH))))
    train = {"learning-rate": 0.002, "epochs": epochs, "batch-size": BATCH, "accumulation": 1, "evaluations": epochs}
    return {"recipe": name, "base": base, "max-new-tokens": "auto", "quantization": "none", "train": train}


def write_adapter_entry(params: Path, name: str, base: str, rows: int) -> None:
    """Adds the recipe and the adapter; all else in the file stays, comments too. Raises click.ClickException."""
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.preserve_quotes, yaml.width = True, 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    known = yaml.load(params.read_text("utf-8"))
    if name in (known.get("adapters") or {}):
        raise click.ClickException(f"{params} has an adapter {name} already")
    if name not in known["recipes"]:
        known["recipes"].append(name)
    known["adapters"] = known.get("adapters") or {}
    known["adapters"][name] = adapter_entry(name, base, rows)
    text = StringIO()
    yaml.dump(known, text)
    with whole_file(params) as part:
        part.write_text(text.getvalue(), encoding="utf-8")
