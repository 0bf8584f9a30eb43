"""What a file of rows holds, told before anything is made of it."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import click

from tuneline.data.inputs import DETECT, read_folder, read_records
from tuneline.data.language import language_of
from tuneline.files import Row, dump_json
from tuneline.recipe.forms import ANSWERED, ASKED, IGNORE, KEYS, SETS, read_part
from tuneline.rows import BadRow, answer, question

SAMPLE = 300  # rows whose language is told
FEW = 0.05  # of the rows, that may be refused of a file of which a recipe is made
WIDTH, COLUMNS = 92, 20  # of a line that is printed, in characters; lines of one column each
ANSWERS_NAMES = ("answer", "output", "response", "reply", "completion", "target", "truth", "label", "class", "categor")
UNNAMED = "column 1"  # the first column where it has no name: pandas writes its index there
NUMBERS = 20  # labels at most where all are numbers: more are measured or counted
LABELS, LABEL_SHARE, LABEL_LENGTH = 200, 0.2, 64  # so many labels at most, of so many rows, of so many characters


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
    most = NUMBERS if all(map(_is_number, counts)) else LABELS
    few = 2 <= len(counts) <= min(most, max(2, LABEL_SHARE * len(answers)), len(answers) / 2)
    short = all(len(text) <= LABEL_LENGTH and "\n" not in text for text in counts)
    return [text for text, _ in counts.most_common()] if few and short else []


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[-+]?\d+([.,]\d+)?", text) is not None


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


def read_sample(path: Path, encoding: str = DETECT, most: int | None = 1000) -> list[dict[str, Any]]:
    """The first records that are objects, or all. Raises click.ClickException when there is none."""
    is_folder = path.is_dir()
    records = (one[1:] for one in read_folder(path, encoding)) if is_folder else read_records(path, encoding)
    found = []
    for _, record in records:
        if isinstance(record, dict):
            found.append(record)
        if len(found) == most:
            break
    if not found:
        raise click.ClickException(f"{path} has no row that is an object, or none at all")
    return found


def suggest_columns(records: Sequence[Mapping[str, Any]], told: Mapping[str, str] | None = None) -> dict[str, str]:
    """Own key → a form's key or `ignore`, with those that are told; keys that a form reads as they stand are not in it.

    Names tell first, then values. A key that seldom holds something is not in it: its rows are refused rather than
    shortened.
    """
    columns = {**name_columns(keys_of(records)), **_unfit(records), **(told or {})}
    columns |= _guess_pair(records, columns)
    for key, holding in _left(records, columns).items():
        if holding > FEW * len(records):
            columns[key] = "id" if _is_id(key, records) and "id" not in columns.values() else IGNORE
    return columns


def name_columns(keys: Sequence[str]) -> dict[str, str]:
    """Own key → the form's key that it is a spelling of, unless that is there too."""
    found = {key: key.lower() for key in keys if key not in KEYS and key.lower() in KEYS and key.lower() not in keys}
    if "context" in keys and {"instruction", "input"} & set(keys) == {"instruction"}:
        found["context"] = "input"  # Dolly's
    if {"chosen", "rejected"} <= set(keys):
        found |= {"chosen": "response", "rejected": IGNORE}
    return found


def _unfit(records: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """`id` and `split` that may go, since rows would be refused for what stands there."""
    held = ([record[key] for record in records if record.get(key) not in (None, "")] for key in ("id", "split"))
    ids, splits = (list(map(_shown, values)) for values in held)
    twice = len(set(ids)) < len(ids)
    return ({"id": IGNORE} if twice else {}) | ({"split": IGNORE} if {*map(str.lower, splits)} - {*SETS} else {})


def _guess_pair(records: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> dict[str, str]:
    """The question and the answer where no name tells: few distinct values are the answer, the longest the question."""
    known = {columns.get(key, key) for key in keys_of(records)}
    if known & {"messages", "conversations"}:
        return {}
    free = {key: texts for key, texts in _texts(records).items() if key not in columns and key not in KEYS}
    free = {key: texts for key, texts in free.items() if len(set(texts)) > 1 and not _is_id(key, records)}
    labels = sorted((key for key in free if labels_of(free[key])), key=_is_answers_name)
    longest = sorted(free, key=lambda key: fmean(map(len, free[key])))
    asked, answered = known & set(ASKED), known & set(ANSWERED)
    guess: dict[str, str] = {}
    if not asked and (texts := [key for key in longest if key not in labels and not _is_answers_name(key)]):
        guess[texts[-1]] = "prompt"
    rest = [key for key in sorted(longest, key=_is_answers_name) if key not in guess]
    if not answered and (labels or rest):
        guess[(labels or rest)[-1]] = "label" if labels else "response"
    elif not answered and len(guess) == len(keys_of(records)):
        guess = dict.fromkeys(guess, "text")
    return guess


def _is_answers_name(key: str) -> bool:
    return any(word in key.lower() for word in ANSWERS_NAMES)


def _texts(records: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Key → its values as text, of keys that hold something and neither lists nor objects."""
    held = {key: [record[key] for record in records if record.get(key) not in (None, "")] for key in keys_of(records)}
    return {
        key: [_shown(value) for value in values]
        for key, values in held.items()
        if values and not any(isinstance(value, list | dict) for value in values)
    }


def _left(records: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> Counter[str]:
    """Key → records of which it would be left, of those that can be read."""
    counts: Counter[str] = Counter()
    for record in records:
        with suppress(BadRow):
            counts.update(read_part(record, columns)[1])
    return counts


def _is_id(key: str, records: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a key tells the records apart, and is an id by its name or a number that has none."""
    values = {_shown(record.get(key)) for record in records}
    named = re.search(r"(^|[^a-z])id([^a-z]|$)|ID$|Id$", key) or (key == UNNAMED and all(map(_is_number, values)))
    return bool(named) and len(values) == len(records) > 1


def keys_of(records: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(key for record in records for key in record))


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else dump_json(value)


def describe_columns(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line a column: its name, how many values, one of them."""
    keys = keys_of(records)
    lines = []
    for key in keys[:COLUMNS]:
        values = [_shown(record[key]) for record in records if record.get(key) is not None]
        example = " ".join(next(iter(values), "").split())
        line = f"  {shortened(key, 40)}: {len(set(values))} values in {len(values)} rows, such as "
        lines.append(line + repr(shortened(example, max(10, WIDTH - len(line) - 2))))
    return [*lines, f"  and {len(keys) - COLUMNS} more"] if len(keys) > COLUMNS else lines


def shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
