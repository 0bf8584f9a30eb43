"""Tables for the terminal, at most 100 columns wide."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tuneline.files import WIDTH

SIDES = ("base", "shots", "tuned")
COMPARED = {"change": "base", (OVER := "change_over_shots"): "shots"}  # a change → what tuned is compared with
CHANGES = tuple(COMPARED)
LABELS = 30  # that a terminal shows; all stand in report.json


def show_tables(folders: Iterable[Path]) -> int:
    """The table of base against tuned for each metrics folder that has an evaluation; how many have one."""
    shown = 0
    for folder in folders:
        if (folder / "eval.json").is_file():
            figures = json.loads((folder / "eval.json").read_text("utf-8"))
            show_evaluation(folder.name, figures, _report(folder))
            shown += 1
    return shown


def show_crosses(folders: Iterable[Path]) -> None:
    """For each recipe whose adapters are measured by one another's rules, one table of all of them."""
    cells: dict[str, list[dict[str, Any]]] = {}
    for report in map(_report, folders):
        if report and "cross" in report:
            cells.setdefault(report["recipe"], []).extend(report["cross"])
    for recipe, found in cells.items():
        show_cross(recipe, found)


def _report(folder: Path) -> dict[str, Any] | None:
    path = folder / "report.json"
    return json.loads(path.read_text("utf-8")) if path.is_file() else None


def show_evaluation(title: str, metrics: dict[str, Any], report: dict[str, Any] | None) -> None:
    """Prints each measure of base and tuned, with its interval where the report has one, and a table by label.

    Each change, and each side, has its interval where there is room for it.
    """
    for with_intervals in (SIDES + CHANGES, SIDES, CHANGES, ()):
        table = _evaluation(title, metrics, report, with_intervals)
        if Console(width=10 * WIDTH).measure(table).maximum <= WIDTH:
            break
    console = Console(width=WIDTH)
    console.print(table)
    if report:
        judge = f", judged by {report['judge']}" if "judge" in report else ""
        console.print(f"{report['rows']} test rows{judge}; in brackets the 95 % bootstrap interval")
        if shots := report.get("shots"):
            fewer = f", {shots['fewer']} of the rows after fewer" if shots["fewer"] else ""
            console.print(f"shots: the untuned base after {shots['examples']} training rows as examples{fewer}")
        if found := report.get("contamination"):
            console.print(_contaminated(found, report["rows"], report["main"]))
        _show_labels(console, report)


def _contaminated(found: dict[str, Any], rows: int, main: str) -> str:
    figures = {side: "-" if mine[main] is None else f"{mine[main]:.3f}" for side, mine in found["figures"].items()}
    shots = f", shots {figures['shots']}" if "shots" in figures else ""
    clean = f"; without them {escape(main)} {figures['base']} → {figures['tuned']}{shots}" if figures else ""
    return f"{found['rows']} of {rows} test rows stand in training rows, as they are or nearly{clean}"


def _evaluation(
    title: str, metrics: dict[str, Any], report: dict[str, Any] | None, with_intervals: Sequence[str]
) -> Table:
    figures = {"base": metrics["base"], "tuned": metrics["tuned"]}
    columns = {"base": "base", "tuned": "tuned", "change": "change"}
    if shots := (report or {}).get("shots"):
        figures["shots"] = shots["figures"]
        columns = {"base": "base", "shots": "shots", "tuned": "tuned", "change": "change", OVER: "over shots"}
    table = _columns(title, "measure", *columns.values())
    for name in metrics["base"]:
        of = {side: mine[name] for side, mine in figures.items()}
        cells = []
        for column in columns:
            is_change = column in CHANGES
            value = _less(of["tuned"], of[COMPARED[column]]) if is_change else of[column]
            edges = _interval(report, column, name, "+" * is_change) if column in with_intervals else ""
            cells.append(("" if is_change else "-") if value is None else f"{value:{'+' * is_change}.3f}{edges}")
        table.add_row(name, *cells)
    return table


def _less(tuned: float | None, other: float | None) -> float | None:
    return None if tuned is None or other is None else tuned - other


def _show_labels(console: Console, report: dict[str, Any]) -> None:
    """The figures by label, the commonest first, where answers are labels."""
    if isinstance(told := report.get("majority_baseline"), dict):
        label = escape(told["label"])
        console.print(f"majority_baseline answers {label} to everything, the commonest label of the {told['of']}")
    tuned, base = (report.get("per_label", {}).get(side, {}) for side in ("tuned", "base"))
    if not tuned or any("precision" not in line for line in tuned.values()):
        return  # no answers are labels, or label is the name of a group
    table = _columns("by label, tuned", "label", "rows", "precision", "recall", "F1", "F1 of base")
    for label in sorted(tuned, key=lambda label: -tuned[label]["rows"])[:LABELS]:
        mine = [tuned[label][name] for name in ("precision", "recall", "f1")] + [base.get(label, {}).get("f1")]
        shown = ["-" if value is None else f"{value:.3f}" for value in mine]
        table.add_row(escape(label), str(tuned[label]["rows"]), *shown)
    console.print(table)
    if len(tuned) > LABELS:
        console.print(f"{len(tuned) - LABELS} more labels stand in report.json")


def _columns(title: str, first: str, *others: str) -> Table:
    """A table whose first column is text and whose others are numbers."""
    table = Table(title=title, title_justify="left")
    table.add_column(first, overflow="fold")
    for column in others:
        table.add_column(column, justify="right", no_wrap=True)
    return table


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
    title: str, rows_in: int, rows_out: int, dropped: list[dict], of_these: Mapping[str, int] | None = None
) -> None:
    """Prints what became of a stage's rows: kept, and dropped by reason. `of_these`: more about those kept.

    Nothing where all were kept as they came: the stage's own line has the numbers.
    """
    if not dropped and not any((of_these or {}).values()):
        return
    table = Table(title=title, title_justify="left")
    table.add_column("rows", justify="right")
    table.add_column("what became of them")
    table.add_row(str(rows_in), "came in")
    for reason, count in Counter(row["reason"] for row in dropped).most_common():
        table.add_row(f"-{count}", reason)
    table.add_row(str(rows_out), "kept")
    for what, count in (of_these or {}).items():
        if count:
            table.add_row(f"({count})", f"of these: {what}")
    Console(width=WIDTH).print(table)


def _interval(report: dict[str, Any] | None, side: str, name: str, sign: str = "") -> str:
    if not report:
        return ""
    edges = report["intervals"].get(side, {}).get(name)
    return "" if edges is None or None in edges else f" \\[{edges[0]:{sign}.3f}, {edges[1]:{sign}.3f}]"
