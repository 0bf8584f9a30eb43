"""The charts as SVG: Vega-Lite templates as `dvc plots` has them, rendered by vl-convert, in the page's colours.

Those of .dvc/plots are the very ones that `dvc plots show` draws the same files with; a test holds their axes to those
of dvc.yaml. Those beside this module draw what DVC has no file for.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import click

from tuneline.files import Row
from tuneline.page.figures import Line, Table, group_tables, measures
from tuneline.page.reading import Pairs, System

OWN = Path(__file__).parent / "plots"
SHARED = Path(".dvc", "plots")
VEGA_LITE = "5.8"  # the oldest that vl-convert has: DVC's own pages load 5.2
SVG = "http://www.w3.org/2000/svg"
NAMES = 30  # of an axis of the heat map; what is rarer is counted together
NAME = 40  # characters of one
OTHERS = "(others)"
BINS = 24
GROUPS = 20  # values of a group that its chart shows
# What a template says for a colour → the page's; `themes` has what each is in light and in dark.
COLOURS = {
    "#945dd6": "one",
    "#13adc7": "two",
    "#f46837": "three",
    "black": "ink",
    "white": "paper",
    "#000": "ink",
    "#111111": "ink",
    "#222222": "muted",
    "#dddddd": "line",
}
THEMES = {
    "light": {
        **{"one": "#8c959f", "two": "#0969da", "three": "#bc4c00", "ink": "#1f2328"},
        **{"muted": "#59636e", "line": "#d8dee4", "paper": "#ffffff"},
    },
    "dark": {
        **{"one": "#7d8590", "two": "#58a6ff", "three": "#f0883e", "ink": "#e6edf3"},
        **{"muted": "#9198a1", "line": "#30363d", "paper": "#0d1117"},
    },
}
UNUSED = ("aria-", "class", "clip-path", "pointer-", "role")  # attributes
CONFIG = {
    "background": None,
    "font": "Arial, Helvetica, sans-serif",  # what vl-convert measures is as wide as these
    "padding": {"left": 14, "right": 8, "top": 4, "bottom": 4},  # room for a wider font
    "view": {"stroke": None},
    "axis": {
        "gridColor": "#dddddd",
        "domainColor": "#dddddd",
        "tickColor": "#dddddd",
        "labelColor": "#222222",
        "titleColor": "#222222",
        "titleFontWeight": "normal",
        "labelFontSize": 11,
        "titleFontSize": 11,
        "titlePadding": 12,
    },
    "legend": {"title": None, "orient": "top", "labelColor": "#222222", "labelFontSize": 11},
    "header": {"title": None, "labels": False},
    "title": {"color": "#111111", "fontSize": 12},
}


@dataclass(frozen=True)
class Chart:
    """`svg`: its colours are CSS variables of the page. `told`: what a reader who does not see it is told."""

    name: str
    title: str
    told: str
    svg: str

    def file(self, theme: str) -> str:
        """The SVG for itself, in one theme's colours, on that theme's ground."""
        colours = THEMES[theme]
        svg = re.sub(r"var\(--(\w+)\)", lambda found: colours[found[1]], self.svg)
        ground = f'<rect width="100%" height="100%" rx="6" fill="{colours["paper"]}"/>'
        return svg.replace(">", f">{ground}", 1) + "\n"


def charts(system: System, root: Path) -> dict[str, Chart]:
    """What can be drawn of an adapter, by name. Raises click.ClickException when a template draws nothing."""
    found = [
        _measures(measures(system)),
        *(_group(table) for table in group_tables(system)),
        _confusion(system.confusion, root),
        _losses(system, root),
        *_lengths(system),
    ]
    return {chart.name: chart for chart in found if chart}


def _measures(lines: list[Line]) -> Chart | None:
    shots = any(line.shots is not None for line in lines)
    title = "Base, tuned and the base after examples" if shots else "Base and tuned"
    told = f"{title}, a dot each, with the 95 % interval, of the measures that are shares"
    return _intervals("measures", title, told, [line for line in lines if line.is_share], "")


def _group(table: Table) -> Chart | None:
    lines = [line for line, _ in table.lines[:GROUPS]]
    told = f"{table.main} of base and tuned by {table.name}, with the 95 % interval"
    title = f"{table.main} by {table.name}"
    return _intervals(group_name(table.name), title, told, lines, table.main) if len(lines) > 1 else None


def _intervals(name: str, title: str, told: str, lines: list[Line], label: str) -> Chart | None:
    """Shares stand on an axis from 0 to 1, so that a small difference looks small."""
    rows = _sides([line for line in lines if line.change is not None])
    spec = _filled(rows, "intervals", OWN, x="value", y="measure", x_label=label)
    if all(line.is_share for line in lines):
        for layer in spec.get("layer", ()):
            layer["encoding"]["x"]["scale"] = {"domain": [0, 1]}
    return _drawn(name, title, told, spec)


def group_name(group: str) -> str:
    """Of a group's chart, as a file may be called."""
    return f"by-{re.sub(r'[^a-z0-9]+', '-', group.lower())}"


def _sides(lines: list[Line]) -> list[Row]:
    return [
        {
            "measure": short(line.name),
            "rev": side,
            "value": value,
            "low": edges and edges[0],
            "high": edges and edges[1],
        }
        for line in lines
        for side, _, value, edges in line.marks
    ]


def _confusion(pairs: Pairs, root: Path) -> Chart | None:
    rows = [{"actual": actual, "predicted": predicted, "rev": "tuned"} for actual, predicted in fewer(pairs)]
    told = f"How often each actual kind was predicted as which, of {len(pairs)}; the diagonal is right"
    return _draw("confusion", "Confusions of tuned", told, rows, "confusion", root / SHARED, x="actual", y="predicted")


def fewer(pairs: Pairs) -> Pairs:
    """With the commonest names of each axis; the others go under one name."""
    axes = [{name for name, _ in Counter(axis).most_common(NAMES)} for axis in zip(*pairs, strict=True)]
    return [tuple(short(n) if n in axis else OTHERS for n, axis in zip(p, axes, strict=True)) for p in pairs]


def short(name: str) -> str:
    """A name as an axis shows it; what XML cannot hold is left out."""
    name = " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufff9\ufffe\uffff]", " ", name).split())
    return name if len(name) <= NAME else f"{name[: NAME - 1]}…"


def _losses(system: System, root: Path) -> Chart | None:
    rows = [
        {"step": step, "loss": loss, "rev": side}
        for side, points in system.curves.items()
        for step, loss in points
        if math.isfinite(loss)
    ]
    told = "Loss by step: " + ", ".join(
        f"{side} from {points[0][1]:.3f} to {points[-1][1]:.3f}" for side, points in system.curves.items()
    )
    return _draw("loss", "Loss", told, rows, "linear", root / SHARED, x="step", y="loss")


def _lengths(system: System) -> list[Chart | None]:
    if not system.lengths:
        return []
    return [
        _histogram("question-tokens", "Tokens given", "given: all before the answer", system.lengths.given),
        _histogram("answer-tokens", "Tokens trained", "trained: the answer", system.lengths.trained),
    ]


def _histogram(name: str, title: str, what: str, values: Sequence[int]) -> Chart | None:
    if not any(values):
        return None
    middle = sorted(values)[len(values) // 2]
    told = f"Tokens {what}, of {len(values)} training rows: median {middle}, longest {max(values)}"
    label = f"median {middle}, longest {max(values)}"
    return _draw(name, title, told, bins(values), "lengths", OWN, x="from", y="rows", x_label=label)


def bins(values: Sequence[int]) -> list[Row]:
    """Histogram of whole numbers, in bins of a whole number of tokens that is 1, 2 or 5 times a power of ten."""
    low, high = min(values), max(values)
    widths = (factor * 10**power for power in range(10) for factor in (1, 2, 5))
    width = next(width for width in widths if (high - low) // width < BINS)
    counts = Counter(value // width for value in values)
    return [
        {"from": n * width, "until": (n + 1) * width, "rows": counts[n], "rev": "rows"}
        for n in range(low // width, high // width + 1)
    ]


def _draw(name: str, title: str, told: str, rows: list[Row], template: str, folder: Path, **axes: str) -> Chart | None:
    return _drawn(name, title, told, _filled(rows, template, folder, **axes))


def _filled(rows: list[Row], template: str, folder: Path, **axes: str) -> dict[str, Any]:
    """A template as DVC fills it. Empty where there are no rows."""
    try:
        from dvc_render.vega import VegaRenderer
    except ImportError as error:
        raise _not_installed(error) from None
    return VegaRenderer(rows, "", template=template, template_dir=str(folder), title="", **axes).get_filled_template()


def _drawn(name: str, title: str, told: str, spec: dict[str, Any]) -> Chart | None:
    """None where there is nothing to draw."""
    if not spec:
        return None
    try:
        from vl_convert import vegalite_to_svg

        svg = vegalite_to_svg({**spec, "config": CONFIG}, vl_version=VEGA_LITE)
    except ImportError as error:
        raise _not_installed(error) from None
    except ValueError as error:
        raise click.ClickException(f"the chart {name} cannot be drawn: {' '.join(str(error).split())[:200]}") from None
    return Chart(name, title, told, tidied(svg, told))


def _not_installed(error: ImportError) -> click.ClickException:
    return click.ClickException(f"{error}; `make report` installs what charts need, the extra `report`")


def tidied(svg: str, told: str) -> str:
    """Colours as the page's variables; one text for readers who see no picture; no ids, which other charts have too.

    Ids are those of clipping, and nothing that is drawn here lies outside its frame.
    """
    ElementTree.register_namespace("", SVG)
    tree = ElementTree.fromstring(svg)
    for definitions in tree.findall(f"{{{SVG}}}defs"):
        tree.remove(definitions)
    for element in tree.iter():
        for key in [key for key in element.attrib if key.startswith(UNUSED)]:
            del element.attrib[key]
        for key in ("fill", "stroke"):
            colour = element.get(key, "")
            if (known := COLOURS.get(colour.lower()) or COLOURS.get(_long(colour.lower()))) is not None:
                element.set(key, f"var(--{known})")
    tree.attrib.pop("version", None)
    tree.set("role", "img")
    tree.set("aria-label", told)
    return ElementTree.tostring(tree, encoding="unicode")


def _long(colour: str) -> str:
    """#ddd as #dddddd"""
    return "#" + "".join(2 * sign for sign in colour[1:]) if re.fullmatch("#[0-9a-f]{3}", colour) else colour
