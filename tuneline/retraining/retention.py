"""What a version must not lose: rows that it may not break, and what its base answers to general questions."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from tuneline.data.inputs import read_records
from tuneline.files import Row
from tuneline.measuring.bootstrap import paired_interval
from tuneline.measuring.references import references, token_f1, unanswered
from tuneline.measuring.score import rounded
from tuneline.models.adapter import read_adapter
from tuneline.models.base import read_base
from tuneline.pipeline import stage_options
from tuneline.recipe.forms import read_form
from tuneline.rendering.preamble import Preamble
from tuneline.rows import BadRow, make_row

QUESTIONS = "retention.jsonl"  # in source/: general questions with their answers, in any form of rows
MEASURE = "token_f1"
MUST = "must"  # of a held-out row's fields: true, or the least figure that its answer has
SAME = 1e-9  # of two figures, by which they are one


def broken(rows: Sequence[Row], new: Sequence[float | None], before: Sequence[float | None]) -> dict[str, Any]:
    """{"rows": how many are marked MUST, "broken": {id: why}}.

    A row that is marked `true` is broken when the new version has less there than what it would replace, one that is
    marked with a figure when it has less than that. `new`, `before`: figures of the rows, in their order.
    Raises click.ClickException for a mark that is neither.
    """
    found: dict[str, str] = {}
    marked = 0
    for row, now, was in zip(rows, new, before, strict=True):
        mark = row.get("fields", {}).get(MUST, False)
        if not isinstance(mark, bool | int | float):
            raise click.ClickException(f"row {row['id']}: {MUST}: {mark!r} is neither true nor the least figure")
        if mark is False:
            continue
        marked += 1
        least = was if mark is True else float(mark)
        if least is not None and (now is None or now < least - SAME):
            found[row["id"]] = f"{'none' if now is None else f'{now:.3f}'} for {least:.3f}"
    return {"rows": marked, "broken": found}


def told_broken(found: Mapping[str, Any], most: int = 3) -> str:
    """One clause; empty when nothing is broken."""
    if not found["broken"]:
        return ""
    shown = ", ".join(f"{name} ({why})" for name, why in list(found["broken"].items())[:most])
    more = f" and {len(found['broken']) - most} more" if len(found["broken"]) > most else ""
    return f"breaks {len(found['broken'])} of {found['rows']} rows marked {MUST}: {shown}{more}"


def retention(
    checkout: Path, adapter: str, recipe: Path, margin: float, samples: int, seed: int
) -> dict[str, Any] | None:
    """How the new version of a run's checkout answers the recipe's general questions beside its base.

    {"rows", "measure", "sides", "difference", "margin", "kept"}: kept when the whole interval of the mean difference by
    row, new minus base, is above minus the margin. None where the recipe has no such file. Raises click.ClickException
    for a row that is none.
    """
    path = checkout / recipe / "source" / QUESTIONS
    if not path.is_file():
        return None
    rows = list(read_questions(path))
    figures = dict(score_sides(checkout, adapter, rows))
    differences = np.array(figures["new"]) - np.array(figures["base"])
    low, high = paired_interval(differences, samples, seed)
    return {
        "rows": len(rows),
        "measure": MEASURE,
        "sides": {side: rounded(float(np.mean(found))) for side, found in figures.items()},
        "difference": {"mean": rounded(float(differences.mean())), "interval": [low, high]},
        "margin": margin,
        "kept": bool(low >= -margin),
    }


def told_retention(found: Mapping[str, Any]) -> str:
    mean, (low, high) = found["difference"]["mean"], found["difference"]["interval"]
    what = "keeps" if found["kept"] else "loses more than gate.retention-margin of"
    shown = f"{found['measure']} {mean:+.4f} [{low:+.4f}, {high:+.4f}] on {found['rows']} general questions"
    return f"{what} what its base knows: {shown}, margin {found['margin']:g}"


def read_questions(path: Path) -> Iterator[Row]:
    """Raises click.ClickException with the line of a row that cannot be asked, and where there is none."""
    line = 0
    for line, record in read_records(path):
        try:
            if isinstance(record, ValueError):
                raise BadRow(str(record))
            named = isinstance(record, dict) and "references" in record
            fields = {"references": record.pop("references")} if named else {}
            row = make_row({**read_form(record), "fields": fields}, path.name, line)
            if wrong := unanswered(row):
                raise BadRow(wrong)
        except BadRow as reason:
            raise click.ClickException(f"{path}:{line}: {reason}") from None
        yield row
    if not line:
        raise click.ClickException(f"{path} has no rows; take it away, or write some")


def score_sides(checkout: Path, adapter: str, rows: Sequence[Row]) -> Iterator[tuple[str, list[float]]]:
    """("base" and "new", the figure of each row). Both are asked bare: what the recipe puts before a question is not
    what a general question stands under.
    """
    from tuneline.answering.predictor import Predictor
    from tuneline.rendering.lengths import most_new_tokens

    folder, options = checkout / "adapters" / adapter, stage_options(checkout, f"predict@{adapter}")
    of = read_adapter(folder)
    asked = [row["messages"][:-1] for row in rows]
    for side, place in (("base", None), ("new", folder)):
        predictor = Predictor(
            of.backend, read_base(checkout / of.base), of.quantization, of.precision, Preamble(), place
        )
        most = most_new_tokens("auto", predictor.chat, rows)
        answers = predictor.answer(asked, options["batch_size"], most, f"general questions, {side}")
        yield side, [token_f1(answer, references(row)) for answer, row in zip(answers, rows, strict=True)]
