"""Samples from a file: JSON Lines, a JSON array or CSV, each row a sample or a reason why not."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuneline.data.inputs import read_records
from tuneline.feedback.store import Sample, Store

AT_ONCE = 500  # samples in one transaction
KEYS = tuple(Sample.__dataclass_fields__)


@dataclass
class Imported:
    """`refused`: `file:line: why`, in the file's order."""

    new: int
    known: int
    refused: list[str]
    forgotten: int = 0


def import_file(store: Store, path: Path, task: str | None = None, model: str = "") -> Imported:
    """Takes in the good rows of a file; what was taken in before counts as known.

    `task` and `model` are of the rows that name none. In a CSV file `meta` is JSON. Raises
    click.ClickException where the rest of the file cannot be read; nothing of it is taken in then.
    """
    done = Imported(0, 0, [])
    good: list[Sample] = []
    for line, record in read_records(path):
        try:
            good.append(read_sample(record, {"task": task, "model": model}))
        except ValueError as error:
            done.refused.append(f"{path}:{line}: {error}")
    for some in _slices(good):
        new = store.add(some)
        done.new += new.count(True)
        done.known += new.count(False)
        done.forgotten += new.count(None)
    return done


def read_sample(record: Any, defaults: dict[str, str | None]) -> Sample:
    """Raises ValueError with all that is wrong with a row."""
    if isinstance(record, ValueError):
        raise record
    if not isinstance(record, dict):
        raise ValueError("not a JSON object")
    faults = []
    if unknown := [str(key) for key in record if key not in KEYS]:
        faults.append(f"unknown {', '.join(unknown)[:100]}; known are {', '.join(KEYS)}")
    given = {**{key: value for key, value in defaults.items() if value is not None}, **record}
    if missing := [key for key in ("task", "input", "output") if key not in given]:
        faults.append(f"no {', '.join(missing)}")
    if isinstance(meta := given.get("meta"), str):
        try:
            given["meta"] = json.loads(meta) if meta.strip() else {}
        except (ValueError, RecursionError):
            faults.append("meta: not JSON")
    if not faults:
        sample = Sample(**given)
        faults = sample.faults()
        if not faults:
            return sample
    raise ValueError("; ".join(faults))


def _slices(samples: list[Sample]) -> Iterator[list[Sample]]:
    for start in range(0, len(samples), AT_ONCE):
        yield samples[start : start + AT_ONCE]
