"""Tables for the terminal, at most 100 columns wide."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

WIDTH = 100


def show_evaluation(title: str, metrics: dict[str, Any], report: dict[str, Any] | None) -> None:
    """Prints each measure of base and tuned, with its interval where the report has one."""
    table = Table(title=title, title_justify="left")
    table.add_column("measure")
    for column in ("base", "tuned", "change"):
        table.add_column(column, justify="right")
    for name, base in metrics["base"].items():
        tuned = metrics["tuned"][name]
        if base is None or tuned is None:
            table.add_row(name, *("-" if value is None else f"{value:.3f}" for value in (base, tuned)), "")
            continue
        cells = [f"{value:.3f}{_interval(report, side, name)}" for side, value in (("base", base), ("tuned", tuned))]
        table.add_row(name, *cells, f"{tuned - base:+.3f}")
    console = Console(width=WIDTH)
    console.print(table)
    if report:
        judge = f", judged by {report['judge']}" if "judge" in report else ""
        console.print(f"{report['rows']} test rows{judge}; in brackets the 95 % bootstrap interval")


def show_cross(recipe: str, cells: list[dict[str, Any]]) -> None:
    """Prints how well each adapter's answers, and the base's, keep each persona's rule; a row's best in bold."""
    rules = list(dict.fromkeys(cell["rule"] for cell in cells))
    table = Table(title=f"{recipe}: share of each rule's checks that hold", title_justify="left")
    table.add_column("answers of")
    for rule in rules:
        table.add_column(f"by {rule}'s rule", justify="right")
    for name in dict.fromkeys(cell["answers_of"] for cell in cells):
        kept = {cell["rule"]: cell["kept"] for cell in cells if cell["answers_of"] == name}
        best = max(kept.values())
        table.add_row(name, *(f"[bold]{kept[r]:.3f}[/]" if kept[r] == best else f"{kept[r]:.3f}" for r in rules))
    Console(width=WIDTH).print(table)


def show_counts(
    title: str, rows_in: int, rows_out: int, dropped: list[dict], beside: Mapping[str, int] | None = None
) -> None:
    """Prints what became of a stage's rows: dropped by reason, and kept. `beside`: what else is told of those."""
    table = Table(title=title, title_justify="left")
    table.add_column("rows", justify="right")
    table.add_column("what became of them")
    table.add_row(str(rows_in), "came in")
    for reason, count in Counter(row["reason"] for row in dropped).most_common():
        table.add_row(f"-{count}", reason)
    table.add_row(str(rows_out), "kept")
    for what, count in (beside or {}).items():
        if count:
            table.add_row(str(count), what)
    Console(width=WIDTH).print(table)


def _interval(report: dict[str, Any] | None, side: str, name: str) -> str:
    if not report:
        return ""
    low, high = report["intervals"][side][name]
    return f" \\[{low:.3f}, {high:.3f}]"
