"""What the gate lets through, against what is known of replayed samples: its precision and its recall."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from tuneline.feedback.store import ACCEPTED, NEW, Store
from tuneline.files import printable

GOOD = "good"
Z = 1.959964  # of the normal distribution, 95 % two-sided


@dataclass(frozen=True)
class Passed:
    """A judged sample whose kind is known."""

    task: str
    language: str
    kind: str  # GOOD or why it is not
    accepted: bool


def wilson(hits: int, of: int) -> tuple[float, float]:
    """The 95 % score interval of a share [1]; (0, 1) when nothing was counted.

    [1] E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22, 1927.
    """
    if not of:
        return 0.0, 1.0
    share, square = hits / of, Z * Z
    middle = (share + square / (2 * of)) / (1 + square / of)
    half = Z / (1 + square / of) * math.sqrt(share * (1 - share) / of + square / (4 * of * of))
    return max(0.0, middle - half), min(1.0, middle + half)


def share(hits: int, of: int) -> dict[str, Any]:
    """{"value", "low", "high", "hits", "of"}; the value is None when nothing was counted."""
    low, high = wilson(hits, of)
    value = round(hits / of, 4) if of else None
    return {"value": value, "low": round(low, 4), "high": round(high, 4), "hits": hits, "of": of}


def figures(samples: Iterable[Passed]) -> dict[str, Any]:
    """Precision: of the accepted, those that are good. Recall: of the good, those that are accepted."""
    samples = list(samples)
    good = sum(one.kind == GOOD for one in samples)
    accepted = sum(one.accepted for one in samples)
    both = sum(one.accepted and one.kind == GOOD for one in samples)
    return {"samples": len(samples), "precision": share(both, accepted), "recall": share(both, good)}


def measure(store: Store, task: str | None = None) -> dict[str, Any]:
    """`figures` of all samples with meta.truth that are judged, by language, and what is accepted of each kind."""
    passed, waiting = [], 0
    for sample in store.samples(task):
        kind, language = sample.meta.get("truth"), sample.meta.get("language")
        if not isinstance(kind, str):
            continue
        if sample.state == NEW:
            waiting += 1
            continue
        said = language if isinstance(language, str) else "unknown"
        passed.append(Passed(sample.task, printable(said), printable(kind), sample.state == ACCEPTED))

    def by(name: str, of: Callable[[list[Passed]], Any]) -> dict[str, Any]:
        values = sorted({getattr(one, name) for one in passed}, key=lambda value: (value != GOOD, value))
        return {value: of([one for one in passed if getattr(one, name) == value]) for value in values}

    return {
        **figures(passed),
        "waiting": waiting,
        "by_language": by("language", figures),
        "accepted_by_kind": by("kind", lambda some: share(sum(one.accepted for one in some), len(some))),
    }


def show(measured: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from tuneline.table import WIDTH

    def cell(of: dict[str, Any]) -> str:
        if of["value"] is None:
            return "–"
        return f"{of['value']:.3f} [{of['low']:.3f}, {of['high']:.3f}] {of['hits']}/{of['of']}"

    console = Console(width=WIDTH)
    table = Table(title="the gate, with 95 % intervals", title_justify="left")
    for column in ("", "samples", "precision", "recall"):
        table.add_column(column, justify="right" if column == "samples" else "left")
    for name, one in (("all", measured), *measured["by_language"].items()):
        table.add_row(escape(name), str(one["samples"]), cell(one["precision"]), cell(one["recall"]))
    console.print(table)
    table = Table(title="accepted of each kind", title_justify="left")
    for column in ("kind", "share"):
        table.add_column(column)
    for kind, one in measured["accepted_by_kind"].items():
        table.add_row(escape(kind), cell(one))
    console.print(table)
    if measured["waiting"]:
        console.print(f"{measured['waiting']} are not judged yet")
