"""The table of base against tuned, at most 100 columns wide."""

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
        cells = [f"{value:.3f}{_interval(report, side, name)}" for side, value in (("base", base), ("tuned", tuned))]
        table.add_row(name, *cells, f"{tuned - base:+.3f}")
    console = Console(width=WIDTH)
    console.print(table)
    if report:
        console.print(f"{report['rows']} test rows; in brackets the 95 % bootstrap interval")


def _interval(report: dict[str, Any] | None, side: str, name: str) -> str:
    if not report:
        return ""
    low, high = report["intervals"][side][name]
    return f" \\[{low:.3f}, {high:.3f}]"
