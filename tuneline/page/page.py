"""The page itself: a template, a style sheet and a script become one file that asks nothing of a network."""

import base64
import hashlib
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from tuneline.files import Row, whole_file
from tuneline.losses.table import by_group, in_order
from tuneline.page import figures
from tuneline.page.charts import THEMES, Chart, group_name
from tuneline.page.reading import System
from tuneline.page.samples import deciding_figure, packed, samples, within

HERE = Path(__file__).parent


@cache
def environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.filters |= {
        "figure": figure,
        "change": change,
        "edges": edges,
        "count": count,
        "place": place,
        "code": code,
        "name": name,
    }
    made.globals |= {"example": figures.example, "NONE": figures.NONE}
    return made


def figure(value: float | None) -> str:
    return figures.NONE if value is None else f"{value:.3f}"


def change(value: float | None) -> str:
    return figures.NONE if value is None else f"{value:+.3f}".replace("-", "−")


def edges(value: figures.Edges | None, sign: str = "") -> str:
    """The interval in brackets; nothing where there is none."""
    return "" if value is None else f"[{value[0]:{sign}.3f}, {value[1]:{sign}.3f}]".replace("-", "−")


def count(value: int | None) -> str:
    """12345 as 12,345"""
    return figures.NONE if value is None else f"{value:,}"


def place(value: float) -> str:
    """Where a share stands on a bar of 100, at whose end there is room for a mark."""
    return f"{98.4 * min(max(value, 0), 1):.1f}"


def code(text: str) -> Markup:
    """What stands between backquotes, as code."""
    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", str(escape(text))))


def name(text: str, most: int = 80) -> str:
    """A name in a table; an empty one can be seen."""
    return "(empty)" if not text.strip() else text if len(text) <= most else f"{text[: most - 1]}…"


def make_page(systems: Sequence[System], drawn: dict[str, dict[str, Chart]]) -> str:
    """The HTML of all adapters, with their charts by name: the same text for the same files."""
    rows = {system.name: samples(system) for system in systems}
    kept = within(rows)
    views = [
        view(system, drawn[system.name], kept[system.name], len(rows[system.name]), at)
        for at, system in enumerate(systems)
    ]
    script = (HERE / "page.js").read_text("utf-8")
    html = (
        environment()
        .get_template("page.html.jinja")
        .render(
            views=views,
            shots=any(view["shots"] for view in views),
            spend=figures.total(systems),
            style=Markup(colours() + (HERE / "page.css").read_text("utf-8")),
            script=Markup(script),
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        )
    )
    return re.sub("[\ud800-\udfff\x00]", "\ufffd", html)


def colours() -> str:
    """The charts' colours as CSS variables, by what the reader's system prefers."""
    light, dark = (" ".join(f"--{name}: {value};" for name, value in theme.items()) for theme in THEMES.values())
    return f":root {{ {light} }}\n@media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n"


def view(system: System, drawn: dict[str, Chart], rows: list[Row], of: int, at: int) -> dict[str, Any]:
    """What the template shows of an adapter; `rows` of `of` sample answers."""
    lines, main = figures.measures(system), figures.main_figure(system)
    return {
        "system": system,
        "anchor": f"system-{at}",
        "lines": lines,
        "main": next((line for line in lines if line.name == main), None),
        "facts": facts(system),
        "charts": drawn,
        "groups": [(table, drawn.get(group_name(table.name))) for table in figures.group_tables(system)],
        "majority": majority(system),
        "shots": system.report.shots if system.report else None,
        "contaminated": system.report.contamination if system.report else None,
        "worst": worst(system),
        "cross": cross(system),
        "losses": in_order(by_group(system.losses))[0],
        "fates": figures.fates(system),
        "costs": figures.costs(system),
        "shown": len(rows),
        "of": of,
        "rows": Markup(packed({"rows": rows, "deciding": deciding_figure(system)})),
    }


def facts(system: System) -> list[tuple[str, str]]:
    """What an adapter was made of, each with its name."""
    found: list[tuple[str, str]] = [(f"{name} rows", count(rows)) for name, rows in figures.sets(system).items()]
    if system.format:
        found += [
            ("tokens", count(system.format.train.tokens)),
            ("trained tokens", count(system.format.train.trained_tokens)),
        ]
    if training := system.training:
        found += [("steps", count(training.steps))]
        if training.best_step is not None:
            found.append(("best step", count(training.best_step)))
        if training.trainable_parameters is not None:
            found.append(("trained parameters", count(training.trainable_parameters)))
        found += [("train loss", figure(training.train_loss)), ("valid loss", figure(training.valid_loss))]
    return found


def majority(system: System) -> tuple[str, str] | None:
    """(the label, of which rows it is the commonest), where answers are labels."""
    told = (system.report.model_extra or {}).get("majority_baseline") if system.report else None
    return (str(told["label"]), str(told["of"])) if isinstance(told, dict) and {"label", "of"} <= told.keys() else None


def worst(system: System) -> list[tuple[str, str, str, int]]:
    """The commonest mistakes: (kind, what was wanted, what was given, times)."""
    lines = system.report.worst if system.report else []
    whole = [line for line in lines if {"kind", "expected", "given", "times"} <= line.keys()]
    return [(str(line["kind"]), str(line["expected"]), str(line["given"]), line["times"]) for line in whole]


def cross(system: System) -> tuple[list[str], dict[str, dict[str, float]]] | None:
    """(rules, answers of → rule → share kept), where a recipe compares its readers' rules."""
    cells = [
        cell for cell in (system.report.cross if system.report else []) if {"answers_of", "rule", "kept"} <= cell.keys()
    ]
    rules = list(dict.fromkeys(str(cell["rule"]) for cell in cells))
    table: dict[str, dict[str, float]] = {}
    for cell in cells:
        table.setdefault(str(cell["answers_of"]), {})[str(cell["rule"])] = cell["kept"]
    return (rules, table) if cells else None


def write_page(path: Path, html: str) -> None:
    with whole_file(path) as part:
        part.write_text(html, encoding="utf-8")


def write_charts(folder: Path, adapter: str, drawn: dict[str, Chart]) -> list[Path]:
    """Each chart as a file for light pages and one for dark ones, as <picture> of a README wants them."""
    written = []
    for name, chart in drawn.items():
        for theme, end in (("light", ".svg"), ("dark", ".dark.svg")):
            path = folder / f"{adapter}.{name}{end}"
            with whole_file(path) as part:
                part.write_text(chart.file(theme), encoding="utf-8")
            written.append(path)
    return written
