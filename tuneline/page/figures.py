"""The figures of an adapter as lines of tables: what base and tuned are worth by measure and by group, and the cost."""

from collections.abc import Sequence
from dataclasses import dataclass

from tuneline.files import Row
from tuneline.page.reading import OF_ADAPTER, OF_RECIPE, Drops, Edges, Report, Spend, System, dropped_by
from tuneline.rows import answer, question

SIDES = ("base", "tuned")
SHOTS, OVER_SHOTS = "shots", "change_over_shots"  # the base after examples, and tuned less that
VALUES = 30  # of a group that its table shows, the commonest
NONE = "–"


@dataclass(frozen=True)
class Line:
    """A figure of base and tuned. `reads`: the change in a word; `told`: it is outside what chance explains.

    `shots`: of the base after examples; `over_edges`: of tuned less that. `p`, `over_p`: of McNemar's test.
    """

    name: str
    base: float | None
    tuned: float | None
    base_edges: Edges | None = None
    tuned_edges: Edges | None = None
    change_edges: Edges | None = None
    rows: int | None = None
    reads: str = ""
    shots: float | None = None
    shots_edges: Edges | None = None
    over_edges: Edges | None = None
    p: float | None = None
    over_p: float | None = None

    @property
    def change(self) -> float | None:
        return None if self.base is None or self.tuned is None else self.tuned - self.base

    @property
    def over_shots(self) -> float | None:
        return None if self.shots is None or self.tuned is None else self.tuned - self.shots

    @property
    def over_reads(self) -> str:
        return reading(self.shots, self.tuned, self.over_edges)

    @property
    def over_told(self) -> bool:
        return self.over_reads in ("higher", "lower")

    @property
    def marks(self) -> list[tuple[str, str, float | None, Edges | None]]:
        """(side, colour, figure, interval) of the sides that it has."""
        sides = [("base", "one", self.base, self.base_edges), ("tuned", "two", self.tuned, self.tuned_edges)]
        return sides if self.shots is None else [*sides, ("after examples", "three", self.shots, self.shots_edges)]

    @property
    def told(self) -> bool:
        return self.reads in ("higher", "lower")

    @property
    def is_share(self) -> bool:
        """All of it lies between 0 and 1, so that it may stand on one axis with others."""
        known = [number for _, _, value, edges in self.marks for number in (value, *(edges or ()))]
        return all(0 <= value <= 1 for value in known if value is not None)


def measures(system: System) -> list[Line]:
    """A line a measure, with the intervals of the report."""
    evaluation, report = system.evaluation, system.report
    if not evaluation:
        return []
    shots = report.shots.figures if report and report.shots else {}
    lines = []
    for name, base in evaluation.base.items():
        tuned = evaluation.tuned[name]
        edges = {side: report.edges(side, name) if report else None for side in (*SIDES, "change", SHOTS, OVER_SHOTS)}
        of_sides = edges["base"], edges["tuned"], edges["change"]
        of_shots = {"shots": shots.get(name), "shots_edges": edges[SHOTS], "over_edges": edges[OVER_SHOTS]}
        of_shots |= {"p": report and report.p("change", name), "over_p": report and report.p(OVER_SHOTS, name)}
        lines.append(Line(name, base, tuned, *of_sides, reads=reading(base, tuned, edges["change"]), **of_shots))
    return lines


def reading(base: float | None, tuned: float | None, change: Edges | None) -> str:
    """What the interval of the change says. Which way is better, no figure tells."""
    if base is None or tuned is None:
        return "no figure"
    if change is None:
        return "same" if base == tuned else "no interval"
    low, high = change
    if low == high == 0:
        return "same"
    if low <= 0 <= high:
        return "within noise"
    return "higher" if low > 0 else "lower"


def main_figure(system: System) -> str | None:
    """The measure by which groups are compared; of a report that names none, the first."""
    names = list(system.evaluation.base) if system.evaluation else []
    told = system.report.main if system.report else None
    return told if told in names else next(iter(names), None)


@dataclass(frozen=True)
class Table:
    """A group: a Line of the main figure by value, and the other figures, (base, tuned), of each."""

    name: str
    main: str
    others: list[str]
    lines: list[tuple[Line, list[tuple[float | None, float | None]]]]
    more: int  # values that it does not show


def group_tables(system: System) -> list[Table]:
    report, main = system.report, main_figure(system)
    return [_table(name, report, main) for name in (report.groups if report and main else ())]


def _table(name: str, report: Report, main: str) -> Table:
    sides = {side: {value: _line(line) for value, line in report.groups[name][side].items()} for side in SIDES}
    values = sorted(dict.fromkeys([*sides["tuned"], *sides["base"]]), key=lambda v: -_rows(sides, v))
    figures = list(dict.fromkeys(key for line in sides["tuned"].values() for key in line if _is_figure(key, line)))
    main = main if main in figures else next(iter(figures), main)
    others = [figure for figure in figures if figure != main]
    lines = []
    for value in values[:VALUES]:
        both = [sides[side].get(value, {}) for side in SIDES]
        line = _compared(value, *both, main)
        lines.append((line, [tuple(one.get(figure) for one in both) for figure in others]))
    return Table(name, main, others, lines, max(len(values) - VALUES, 0))


def _line(line: Row | float | None) -> Row:
    return line if isinstance(line, dict) else {"share": line}


def _is_figure(key: str, line: Row) -> bool:
    return key != "rows" and isinstance(line[key], int | float | None)


def _rows(sides: dict[str, dict[str, Row]], value: str) -> int:
    rows = (sides["tuned"].get(value) or sides["base"].get(value) or {}).get("rows")
    return rows if isinstance(rows, int) else 0


def _compared(value: str, base: Row, tuned: Row, main: str) -> Line:
    """Its change has no interval of its own: it is told where those of the sides are apart, which is more cautious."""
    edges = [_edges(line.get(f"{main}_interval")) for line in (base, tuned)]
    figures = [line.get(main) for line in (base, tuned)]
    reads = reading(*figures, None)
    if None not in edges and None not in figures and reads != "same":
        (low, high), (from_, until) = edges
        reads = "higher" if from_ > high else "lower" if until < low else "intervals overlap"
    rows = tuned.get("rows") if isinstance(tuned.get("rows"), int) else None
    return Line(value, *figures, *edges, rows=rows, reads=reads)


def _edges(value: object) -> Edges | None:
    whole = isinstance(value, list) and len(value) == 2 and all(isinstance(edge, int | float) for edge in value)
    return tuple(value) if whole else None


@dataclass(frozen=True)
class Fate:
    """What a stage did with its rows."""

    stage: str
    rows_in: int | None
    out: int | None
    reasons: dict[str, Drops]

    @property
    def dropped(self) -> int:
        return sum(drops.count for drops in self.reasons.values())


def fates(system: System) -> list[Fate]:
    """In the order of the pipeline; split's rows out are those of its sets."""
    found = []
    for stage in (*OF_RECIPE, *OF_ADAPTER):
        counts, reasons = system.counts.get(stage), dropped_by(system, stage)
        if counts or reasons:
            out = counts and (counts.out if counts.out is not None else sum(sets(system).values()))
            found.append(Fate(stage, counts and counts.rows_in, out, reasons))
    return found


def sets(system: System) -> dict[str, int]:
    """Rows of train, valid and test, as split counted them."""
    counts = system.counts.get("split")
    said = (counts.model_extra or {}) if counts else {}
    return {name: said[name] for name in ("train", "valid", "test") if isinstance(said.get(name), int)}


def example(row: Row, most: int = 240) -> str:
    """What a dropped row was, and the detail of its reason, cut."""
    said = ""
    if "text" in row or row.get("messages"):
        said = " → ".join(part.strip() for part in (question(row), answer(row)) if part.strip())
    place = ":".join(str(row[key]) for key in ("file", "line") if key in row)
    whole = " · ".join(part for part in (str(row.get("detail", "")), place, said) if part)
    return whole if len(whole) <= most else f"{whole[:most]}…"


@dataclass(frozen=True)
class Cost:
    """What a teacher or a judge was paid in a stage, whoever paid it. `owner`: the recipe, or the adapter alone."""

    owner: str
    stage: str
    spend: Spend


def costs(system: System) -> list[Cost]:
    """A recipe's are those of all its adapters."""
    counts = ((stage, system.counts[stage]) for stage in OF_RECIPE if stage in system.counts)
    found = [Cost(f"recipe {system.recipe}", stage, count.spend) for stage, count in counts if count.spend]
    if system.report and system.report.judge_spend:
        found.append(Cost(f"adapter {system.name}", "eval", system.report.judge_spend))
    return found


def total(systems: Sequence[System]) -> Spend:
    """Of all adapters, each recipe once."""
    spends = {(cost.owner, cost.stage): cost.spend for system in systems for cost in costs(system)}
    return Spend(**{key: sum(getattr(spend, key) for spend in spends.values()) for key in Spend.model_fields})
