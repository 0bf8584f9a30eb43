"""What `dvc exp run` tried since a commit: the knobs that differ and the figures that they moved, noise in grey."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tuneline.comparing.figures import Figure, moved_figures
from tuneline.comparing.knobs import ABSENT, Knob, turned_knobs
from tuneline.comparing.markdown import line
from tuneline.comparing.pairing import TUNED
from tuneline.comparing.sides import Side, Store, changed_paths

WIDTH = 120
KNOB = 24  # characters of a value


@dataclass(frozen=True)
class Tried:
    """An experiment, or what stands in the working tree, as it differs from the commit that it started from."""

    name: str
    knobs: dict[str, Knob]
    figures: dict[tuple[str, str], Figure]  # by folder and name; counts are none


def tried(root: Path, store: Store) -> list[Tried]:
    """The working tree where it differs, then the experiments of HEAD, as DVC lists them."""
    head = Side(root, store.repo.scm.get_rev())
    listed = store.repo.experiments.ls(rev=head.commit).get(head.commit, [])
    found = [_look("(working tree)", head, Side(root), store)]
    found += [_look(name, head, Side(root, rev), store) for name, rev in listed]
    return [one for one in found if one.knobs or one.figures or one is not found[0]]


def _look(name: str, head: Side, side: Side, store: Store) -> Tried:
    changed = changed_paths(head, side)
    figures = moved_figures(head, side, changed, store)
    return Tried(
        name,
        {knob.title: knob for knob in turned_knobs(head, side, changed)},
        {(figure.folder, figure.name): figure for figure in figures if not figure.is_count},
    )


def show_experiments(found: list[Tried], head: str) -> None:
    """A line each below HEAD's own; as many figures as 120 columns have room for, those that moved first.

    Knobs that are new or gone, as those of a recipe that is not committed, have columns where there is room for all.
    """
    console = Console(width=WIDTH)
    knobs = {title: knob for one in found for title, knob in one.knobs.items()}
    names = _by_weight(found)
    for kept, count in _layouts(knobs, len(names)):
        table = _table(found, head, kept, names[:count])
        if Console(width=10 * WIDTH).measure(table).maximum <= WIDTH:
            break
    console.print(table)
    if any(figure.interval for one in found for figure in one.figures.values()):
        console.print("±: half of the 95 % interval of the change; in grey: within it, which is noise", style="dim")
    if hidden := len(knobs) - len(kept):
        console.print(f"{hidden} more knobs differ; tuneline diff HEAD has those of the working tree")
    if left := len(names) - count:
        console.print(f"{left} more figures differ; tuneline diff HEAD <experiment> has all of one")


def _layouts(knobs: dict[str, Knob], figures: int) -> Iterator[tuple[dict[str, Knob], int]]:
    """(the knobs with a column, how many figures have one), the widest first."""
    turned = [title for title, knob in knobs.items() if ABSENT not in (knob.before, knob.now)]
    for titles in (list(knobs), *(turned[:count] for count in range(len(turned), -1, -1))):
        for count in range(figures, -1, -1):
            yield {title: knobs[title] for title in titles}, count


def _by_weight(found: list[Tried]) -> list[tuple[str, str]]:
    """The figures that differ: what moved beyond its noise first, the adapters' own before the base's."""
    best: dict[tuple[str, str], tuple[bool, bool]] = {}
    for one in found:
        for name, figure in one.figures.items():
            weight = (figure.is_noise, not figure.name.startswith(f"{TUNED}."))
            best[name] = min(weight, best.get(name, weight))
    return sorted(best, key=lambda name: best[name])


def _table(found: list[Tried], head: str, knobs: dict[str, Knob], names: list[tuple[str, str]]) -> Table:
    befores = {name: one.figures[name].before for one in found for name in one.figures}
    table = Table()
    table.add_column("tried", no_wrap=True)
    for title in knobs:
        table.add_column(_heading(title), overflow="fold")
    for folder, name in names:
        table.add_column(f"{_heading(folder)}\n{_heading(name)}", justify="right", no_wrap=True)
    table.add_row(head, *(_value(knob.before) for knob in knobs.values()), *(_number(befores[name]) for name in names))
    for one in found:
        turned = [_value(one.knobs[title].now) if title in one.knobs else "" for title in knobs]
        table.add_row(escape(one.name), *turned, *(_change(one.figures.get(name)) for name in names))
    return table


def _heading(name: str) -> str:
    """A name over several lines, so that its column is narrow."""
    return escape(name.replace(": ", ":\n").replace(".", ".\n"))


def _value(value: Any) -> str:
    return "" if value is ABSENT else escape(line(str(value), KNOB))


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _change(figure: Figure | None) -> str:
    """A figure, with how far its change may be noise."""
    if figure is None or figure.now is None:
        return ""
    if figure.interval is None:
        return _number(figure.now)
    half = (figure.interval[1] - figure.interval[0]) / 2
    shown = f"{_number(figure.now)} ±{half:.3f}"
    return f"[bright_black]{shown}[/]" if figure.is_noise else f"[bold]{shown}[/]"
