"""What a file of rows holds, told before anything is made of it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import click

from tuneline.data.inputs import read_folder, read_records
from tuneline.data.language import language_of
from tuneline.files import Row, dump_json
from tuneline.recipe.forms import IGNORE
from tuneline.rows import answer, question

SAMPLE = 300  # rows whose language is told
LABELS, LABEL_SHARE, LABEL_LENGTH = 50, 0.2, 64  # so many labels at most, of so many rows, of so many characters


@dataclass(frozen=True)
class Measures:
    """The `eval` section that fits the answers, and why, as a sentence's end."""

    section: dict[str, Any]
    why: str


def choose_measures(rows: Sequence[Row]) -> Measures:
    """By what the answers are: none, labels, objects with a kind, or texts."""
    if all("text" in row for row in rows):
        return Measures({"measures": "bits"}, "rows are texts without a question: bits per byte")
    answers = [answer(row) for row in rows]
    if labels := labels_of(answers):
        return Measures(
            {"measures": "labels"}, f"answers are {len(labels)} labels: accuracy, macro F1, each label's own"
        )
    if intent := kind_key(answers):
        return Measures({"measures": "json", "intent": intent}, f"answers are objects whose kind is {intent!r}")
    return Measures({"measures": "text"}, "answers are texts: ROUGE, token F1, exact match, length")


def labels_of(answers: Sequence[str]) -> list[str]:
    """The distinct answers, the commonest first, where they are few and short; else none."""
    counts = Counter(text.strip() for text in answers)
    few = 2 <= len(counts) <= min(LABELS, max(2, LABEL_SHARE * len(answers)))
    short = all(len(text) <= LABEL_LENGTH and "\n" not in text for text in counts)
    return [text for text, _ in counts.most_common()] if few and short else []


def kind_key(answers: Sequence[str]) -> str | None:
    """The first key that every answer, an object, has a label at."""
    from tuneline.measuring.json_answers import parse_object

    objects = [parse_object(text) for text in answers]
    if not all(objects):
        return None
    for key in objects[0]:
        values = [one.get(key) for one in objects]
        if all(isinstance(value, str) for value in values) and labels_of(values):
            return key
    return None


def schema_of(answers: Sequence[str]) -> dict[str, Any]:
    """The JSON Schema of answers: a text, or the objects' keys with the types that are there."""
    from tuneline.measuring.json_answers import parse_object

    objects = [parse_object(text) for text in answers]
    if not objects or not all(objects):
        return {"title": "An answer is text", "type": "string"}
    keys = list(dict.fromkeys(key for one in objects for key in one))
    types = {key: sorted({_type(one[key]) for one in objects if key in one}) for key in keys}
    return {
        "type": "object",
        "properties": {key: {"type": found[0] if len(found) == 1 else found} for key, found in types.items()},
        "required": [key for key in keys if all(key in one for one in objects)],
        "additionalProperties": False,
    }


def _type(value: Any) -> str:
    names = {bool: "boolean", str: "string", list: "array", dict: "object", type(None): "null"}
    return names.get(type(value), "number")


def languages(rows: Sequence[Row]) -> dict[str, float]:
    """Language → share of a sample of the questions, the commonest first."""
    step = max(1, len(rows) // SAMPLE)
    counts = Counter(language_of(question(row)) or "too short to tell" for row in rows[::step])
    return {name: count / counts.total() for name, count in counts.most_common()}


def duplicates(rows: Sequence[Row]) -> tuple[int, int]:
    """(rows that stand there again, questions with several answers)."""
    pairs = Counter((question(row), answer(row)) for row in rows)
    asked = Counter(asked for asked, _ in pairs)
    return pairs.total() - len(pairs), sum(count > 1 for count in asked.values())


# Columns that are no form's


def read_sample(path: Path, most: int = 1000) -> list[dict[str, Any]]:
    """The first records that are objects. Raises click.ClickException when there is none."""
    records = ((line, record) for _, line, record in read_folder(path)) if path.is_dir() else read_records(path)
    found = []
    for _, record in records:
        if isinstance(record, dict):
            found.append(record)
        if len(found) == most:
            break
    if not found:
        raise click.ClickException(f"{path} has no row that is an object, or none at all")
    return found


def suggest_columns(records: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Own key → a form's key, guessed from the values: what has few of them is the answer, the longest the question."""
    keys = list(dict.fromkeys(key for record in records for key in record))
    values = {key: [_shown(record[key]) for record in records if record.get(key) is not None] for key in keys}
    length = {key: fmean(map(len, values[key])) if values[key] else 0.0 for key in keys}
    named = {key for key in keys if values[key] and len(set(values[key])) == len(records) and length[key] <= 40}
    texts = sorted((key for key in keys if length[key]), key=lambda key: -length[key])
    asked = next((key for key in texts if len(set(values[key])) > 1), None)
    labels = [key for key in keys if key != asked and labels_of(values[key])]
    rest = [key for key in texts if key not in {asked, *labels, *named}]
    answered = labels[-1] if labels else next(iter(rest), None)
    number = next((key for key in keys if key in named and key not in (asked, answered)), None)
    told = {asked: "prompt", answered: "response", number: "id"}
    return {key: told.get(key, IGNORE) for key in keys}


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else dump_json(value)


def describe_columns(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line a column: its name, how many values, one of them."""
    lines = []
    for key in dict.fromkeys(key for record in records for key in record):
        values = [_shown(record[key]) for record in records if record.get(key) is not None]
        example = " ".join(next(iter(values), "").split())
        lines.append(f"  {key}: {len(set(values))} values in {len(values)} rows, such as {example[:60]!r}")
    return lines
