"""The accepted samples as the rows that a pipeline learns from."""

from collections.abc import Iterator
from pathlib import Path

import click

from tuneline.feedback.store import MOST_META, Store, Stored, text_faults
from tuneline.files import Row, write_jsonl

FROM_META = ("language", "topic")  # of a row, where a sample's meta has them


def write_snapshot(store: Store, task: str, out: Path, upto: int | None = None) -> int:
    """Writes those accepted up to a place, or all, without the forgotten ones, in the order of acceptance; how many.

    The same samples give the same bytes: no clock and no path is in them. The file appears whole or not at
    all. Raises click.ClickException when fewer are accepted than `upto` or none is.
    """
    accepted = store.accepted(task)
    wanted = accepted if upto is None else upto
    if not accepted:
        raise click.ClickException(f"{task}: no samples are accepted yet")
    if not 0 < wanted <= accepted:
        raise click.ClickException(f"{task}: {accepted} samples are accepted; asked for are the first {wanted}")
    found = list(rows(store, task, wanted))
    if not found:
        raise click.ClickException(f"{task}: the first {wanted} samples are all forgotten; nothing is left")
    write_jsonl(out, found)
    return len(found)


def rows(store: Store, task: str, upto: int) -> Iterator[Row]:
    """{"id", "input", "output", "language"?, "topic"?, "model", "score"} of each; `score`: overall, 0 to 1."""
    return (row(sample) for sample in store.accepted_samples(task, upto))


def row(sample: Stored) -> Row:
    # Meta may hold what no text may, such as half a surrogate pair, which no file can hold.
    known = {name: sample.meta.get(name) for name in FROM_META}
    more = {name: text for name, text in known.items() if not any(text_faults(text, MOST_META, False))}
    texts = {"id": sample.key[:16], "input": sample.input, "output": sample.output}
    return {**texts, **more, "model": sample.model, "score": sample.scores["overall"]}
