"""Samples from a file: JSON Lines, a JSON array or CSV, each row a sample, a logged call, or a reason why not."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tuneline.data.inputs import read_records
from tuneline.feedback.masking import Mask
from tuneline.feedback.pairs import is_pair, read_pair
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
    left_out: Counter[str] = field(default_factory=Counter)  # keys of logged calls that no sample has → lines


def import_file(
    store: Store, path: Path, task: str | None = None, model: str = "", mask: Mask | None = None
) -> Imported:
    """Takes in the good rows of a file; what was taken in before counts as known.

    `task` and `model` are of the rows that name none. In a CSV file `meta` is JSON. `mask`: over all texts. Raises
    click.ClickException where the rest of the file cannot be read; nothing of it is taken in then.
    """
    done = Imported(0, 0, [])
    good: list[Sample] = []
    for line, record in read_records(path):
        try:
            if is_pair(record):
                record, left = read_pair(record)
                done.left_out.update(left)
            sample = read_sample(record, {"task": task, "model": model})
            good.append(masked(sample, mask) if mask else sample)
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


def masked(sample: Sample, mask: Mask) -> Sample:
    return replace(sample, input=mask.text(sample.input), output=mask.text(sample.output), meta=mask.value(sample.meta))


def _slices(samples: list[Sample]) -> Iterator[list[Sample]]:
    for start in range(0, len(samples), AT_ONCE):
        yield samples[start : start + AT_ONCE]
