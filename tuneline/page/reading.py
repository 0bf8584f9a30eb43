"""What a run left behind of an adapter: its metrics folder, and beside it what data/ has of rows and tokens.

Whatever is not there is None or empty, and `System.missing` says so in a line; a file that is there and broken is a
click.ClickException of one line.
"""

import csv
import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import click
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tuneline.files import Row, iterate_jsonl
from tuneline.losses.table import FILE, hardest, in_words, per_token, weights_sha256
from tuneline.models.adapter import WEIGHTS

OF_RECIPE = ("extract", "sdg", "curate")  # stages whose metrics stand in the recipe's folder
OF_ADAPTER = ("trim", "split")
MARKS = ("eval", "training_summary", "format", *OF_ADAPTER)  # of which an adapter's folder has one
CURVES = {"train": "train_loss", "valid": "valid_loss"}
# Where rows that a stage dropped stand beside its output: each has its `reason`.
DROPPED = {
    "extract": "extract.rejects.jsonl",
    "sdg": "sdg.refused.jsonl",
    "curate": "curate.drops.jsonl",
    "trim": "trim.drops.jsonl",
    "split": "split/dropped.jsonl",
}
EXAMPLES = 3  # of the rows of a reason
HARD = 5  # rows of a set
Edges = tuple[float | None, float | None]  # of a 95 % interval
Figures = dict[str, float | None]
Group = dict[str, dict[str, Row]]  # side → value → {"rows", figures}
Pairs = list[tuple[str, str]]  # (actual, predicted)


class Part(BaseModel):
    model_config = ConfigDict(extra="allow")


class Evaluation(Part):
    """eval.json"""

    base: Figures
    tuned: Figures

    @model_validator(mode="after")
    def same_figures(self) -> "Evaluation":
        if missing := sorted(self.base.keys() ^ self.tuned.keys()):
            raise ValueError(f"base and tuned do not have the same figures: {', '.join(missing)}")
        return self


class Spend(Part):
    usd: float = 0
    tokens_in: int = 0
    tokens_out: int = 0


class Shots(Part):
    """Of the base after so many examples."""

    examples: int
    fewer: int = 0  # rows that were asked after less
    figures: Figures


class Contamination(Part):
    """Test rows that stand in training rows, and the figures of each side without them."""

    rows: int
    figures: dict[str, Figures] = {}


class Report(Part):
    """report.json; what a recipe's own `tables` put there stands in model_extra."""

    rows: int
    main: str | None = None  # of those from before it was told
    intervals: dict[str, dict[str, Edges]] = {}
    mcnemar: dict[str, dict[str, Row]] = {}  # change → figure → won, lost, p
    shots: Shots | None = None
    contamination: Contamination | None = None
    judge: str | None = None
    judge_spend: Spend | None = None
    worst: list[Row] = []
    cross: list[Row] = []

    @cached_property
    def groups(self) -> dict[str, Group]:
        """name → side → value → its line, of the tables that have both sides."""
        tables = {name[4:]: table for name, table in (self.model_extra or {}).items() if name.startswith("per_")}
        return {name: table for name, table in tables.items() if _is_group(table)}

    def p(self, change: str, name: str) -> float | None:
        """Of McNemar's exact test; None of a figure that is not right or wrong by row."""
        found = self.mcnemar.get(change, {}).get(name, {}).get("p")
        return found if isinstance(found, int | float) else None

    def edges(self, side: str, name: str) -> Edges | None:
        found = self.intervals.get(side, {}).get(name)
        return None if found is None or None in found else found


def _is_group(table: Any) -> bool:
    sides = isinstance(table, dict) and [table.get(side) for side in ("base", "tuned")]
    return bool(sides) and all(isinstance(side, dict) and all(map(_is_line, side.values())) for side in sides)


def _is_line(line: Any) -> bool:
    """A line of figures, or a figure alone."""
    return isinstance(line, dict | int | float | None)


class Counts(Part):
    """A stage's rows in and out."""

    rows_in: int = Field(alias="in")
    out: int | None = None
    dropped: dict[str, int] | int = 0
    spend: Spend | None = None
    strategies: dict[str, Row] = {}


class SetCounts(Part):
    rows: int
    tokens: int
    trained_tokens: int
    longest: int


class Format(Part):
    train: SetCounts
    valid: SetCounts | None = None


class Training(Part):
    steps: int
    best_step: int | None = None
    trainable_parameters: int | None = None
    train_loss: float | None = None
    valid_loss: float | None = None
    versions: dict[str, str] = {}


@dataclass
class Lengths:
    """Tokens of each training row: what is given, and what is trained."""

    given: Sequence[int]
    trained: Sequence[int]


class LossRow(Part):
    """What the answers of a row cost each side, in nats, summed. `line`: of its set's file."""

    id: str
    set: str
    line: int
    tokens: int
    base: float
    tuned: float
    groups: dict[str, str]


class Losses(Part):
    """losses.json, which `tuneline losses` writes."""

    adapter: str  # the hash of the weights that it is of
    rows: list[LossRow]


@dataclass
class Hard:
    """A row whose loss is among its set's highest, in nats a token, where it is from, and what it says."""

    set: str
    loss: float
    place: str
    said: str


@dataclass
class Drops:
    """Rows that a stage dropped for one reason."""

    count: int = 0
    examples: list[Row] = field(default_factory=list)


@dataclass
class System:
    """An adapter, as far as it has run."""

    name: str
    recipe: str
    evaluation: Evaluation | None = None
    report: Report | None = None
    counts: dict[str, Counts] = field(default_factory=dict)
    format: Format | None = None
    training: Training | None = None
    curves: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    confusion: Pairs = field(default_factory=list)
    predictions: list[Row] = field(default_factory=list)
    tests: list[Row] = field(default_factory=list)
    dropped: dict[str, dict[str, "Drops"]] = field(default_factory=dict)  # stage → reason
    lengths: Lengths | None = None
    losses: list[Row] = field(default_factory=list)
    hard: list[Hard] = field(default_factory=list)
    faded: bool = False  # losses.json is of another adapter, or of other rows

    @property
    def missing(self) -> list[str]:
        """A line for each thing that the page cannot show, with what would bring it."""
        return list(_missing(self))


def find_systems(root: Path, names: Sequence[str] = ()) -> list[System]:
    """The named adapters of a checkout, or all that params.yaml or metrics/ has.

    Raises click.ClickException when there is none, when one is unknown, and when a file is broken.
    """
    recipes = _recipes(root)
    folders = {path.name for path in root.glob("metrics/*") if any((path / f"{mark}.json").is_file() for mark in MARKS)}
    known = sorted(folders | set(recipes))
    if not known:
        raise click.ClickException(f"{root / 'metrics'} has no adapter's metrics; `make repro` makes some")
    if unknown := [name for name in names if name not in known]:
        raise click.ClickException(f"there is no adapter {', '.join(unknown)}; there is {', '.join(known)}")
    return [read_system(root, name, recipes.get(name, name)) for name in dict.fromkeys(names or known)]


def _recipes(root: Path) -> dict[str, str]:
    """adapter → recipe, of params.yaml here and in the folders below, such as benchmarks/."""
    found: dict[str, str] = {}
    for path in (*sorted(root.glob("*/params.yaml")), root / "params.yaml"):
        try:
            params = yaml.safe_load(path.read_text("utf-8")) if path.is_file() else None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise click.ClickException(f"{path}: {' '.join(str(error).split())}") from None
        adapters = params.get("adapters") if isinstance(params, dict) else None
        for name, adapter in (adapters if isinstance(adapters, dict) else {}).items():
            if isinstance(adapter, dict) and isinstance(adapter.get("recipe"), str):
                found[str(name)] = adapter["recipe"]
    return found


def read_system(root: Path, name: str, recipe: str) -> System:
    metrics, data = root / "metrics", root / "data"
    places = dict.fromkeys(OF_RECIPE, recipe) | dict.fromkeys(OF_ADAPTER, name)
    counts = {stage: _read(Counts, metrics / place / f"{stage}.json") for stage, place in places.items()}
    dropped = {stage: _drops(data / place / DROPPED[stage]) for stage, place in places.items()}
    curves = {side: _curve(metrics / name / "curves" / f"{y}.tsv", y) for side, y in CURVES.items()}
    losses, hard, faded = _losses(root, name)
    return System(
        name=name,
        recipe=recipe,
        evaluation=_read(Evaluation, metrics / name / "eval.json"),
        report=_read(Report, metrics / name / "report.json"),
        counts={stage: found for stage, found in counts.items() if found},
        format=_read(Format, metrics / name / "format.json"),
        training=_read(Training, metrics / name / "training_summary.json"),
        curves={side: points for side, points in curves.items() if points},
        confusion=_confusion(metrics / name / "confusion.csv"),
        predictions=_predictions(metrics / name / "predictions.jsonl"),
        tests=_rows(data / name / "split" / "test.jsonl"),
        dropped={stage: found for stage, found in dropped.items() if found is not None},
        lengths=read_lengths(data / name / "tokens" / "train.parquet"),
        losses=losses,
        hard=hard,
        faded=faded,
    )


Model = TypeVar("Model", bound=BaseModel)
AGAIN = "`git checkout` it, or make it again with `dvc repro --force`"


def _read(model: type[Model], path: Path, anew: str = AGAIN) -> Model | None:
    """None where the file is not there. Raises click.ClickException in one line when it is not what a stage writes.

    `anew`: how it comes back.
    """
    if not path.is_file():
        return None
    try:
        return model.model_validate(json.loads(path.read_text("utf-8"), parse_constant=_refuse))
    except ValidationError as errors:
        first = errors.errors()[0]
        key = ".".join(map(str, first["loc"]))
        what = ": ".join(filter(None, (key, first["msg"].removeprefix("Value error, "))))
        raise _broken(path, what, anew) from None
    except (ValueError, RecursionError) as error:
        raise _broken(path, f"not JSON ({error})", anew) from None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _broken(path: Path, what: str, anew: str = AGAIN) -> click.ClickException:
    return click.ClickException(f"{path}: {what}; {anew}")


def _iterate(path: Path) -> Iterator[tuple[int, Row]]:
    """(line, row) of a file of rows, of none where it is not there."""
    if path.is_file():
        yield from enumerate(iterate_jsonl(path), 1)


def _losses(root: Path, name: str) -> tuple[list[Row], list[Hard], bool]:
    """(the rows' losses, the hardest rows of each set, whether the file is of something else than what is here)."""
    found = _read(Losses, root / "data" / name / FILE, f"`tuneline losses {name}` makes it anew")
    if not found:
        return [], [], False
    weights, losses = root / "adapters" / name / WEIGHTS, [row.model_dump() for row in found.rows]
    if weights.is_file() and weights_sha256(weights.parent) != found.adapter:
        return [], [], True
    hard = []
    for part in dict.fromkeys(row["set"] for row in losses):
        rows = _rows(root / "data" / name / "split" / f"{part}.jsonl")
        mine = [row for row in losses if row["set"] == part]
        if [(line, row["id"]) for line, row in enumerate(rows, 1)] != [(row["line"], row["id"]) for row in mine]:
            return [], [], True
        for row in hardest(mine)[:HARD]:
            hard.append(Hard(part, per_token(row), *in_words(rows[row["line"] - 1])))
    return losses, hard, False


def _rows(path: Path) -> list[Row]:
    return [row for _, row in _iterate(path)]


def _drops(path: Path) -> dict[str, Drops] | None:
    """By reason, the commonest first. None where the file is not there."""
    found: dict[str, Drops] = {}
    for _, row in _iterate(path):
        drops = found.setdefault(str(row.get("reason", "(no reason)")), Drops())
        drops.count += 1
        if drops.count <= EXAMPLES:
            drops.examples.append(row)
    return dict(sorted(found.items(), key=lambda item: -item[1].count)) if path.is_file() else None


def _predictions(path: Path) -> list[Row]:
    rows = []
    for number, row in _iterate(path):
        if lacks := [key for key in ("id", "base", "tuned", "figures") if key not in row]:
            raise _broken(path, f"line {number}: no {' and no '.join(lacks)}")
        if not _has_sides(row["figures"]) or not _has_sides(row.get("marks", {"base": {}, "tuned": {}})):
            raise _broken(path, f"line {number}: figures and marks have a base and a tuned")
        rows.append(row)
    return rows


def _has_sides(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(value.get(side), dict) for side in ("base", "tuned"))


def _table(path: Path, delimiter: str, columns: tuple[str, str]) -> Iterator[tuple[int, str, str]]:
    """(line, value, value) of the two columns. Raises click.ClickException when the file has other ones."""
    if not path.is_file():
        return
    csv.field_size_limit(2**31 - 1)
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            reader = csv.DictReader(lines, delimiter=delimiter, restval="")
            if not set(columns) <= set(reader.fieldnames or ()):
                raise _broken(path, f"no columns {' and '.join(columns)}")
            for row in reader:
                yield reader.line_num, *(row[column] for column in columns)
    except (UnicodeDecodeError, csv.Error) as error:
        raise _broken(path, str(error)) from None


def _confusion(path: Path) -> Pairs:
    return [(actual, predicted) for _, actual, predicted in _table(path, ",", ("actual", "predicted"))]


def _curve(path: Path, name: str) -> list[tuple[float, float]]:
    points = []
    for line, step, loss in _table(path, "\t", ("step", name)):
        try:
            points.append((float(step), float(loss)))
        except ValueError:
            raise _broken(path, f"line {line}: no number: {step!r}, {loss!r}") from None
    return points


def read_lengths(path: Path) -> Lengths | None:
    """From the token file of training rows; a piece counts as a row. None where it is not there."""
    if not path.is_file():
        return None
    import numpy as np
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    from tuneline.rendering.chat import IGNORED

    given, trained = [], []
    try:
        with ParquetFile(path) as file:
            for batch in file.iter_batches(columns=["labels"]):
                column = batch.column("labels")
                ends = np.asarray(column.offsets)
                total = np.concatenate([[0], np.cumsum(np.asarray(column.values) != IGNORED)])
                answers = np.diff(total[ends])
                trained += answers.tolist()
                given += (np.diff(ends) - answers).tolist()
    except (pa.ArrowException, OSError, KeyError, AttributeError) as error:
        raise _broken(path, " ".join(str(error).split())) from None
    return Lengths(given, trained)


def _missing(system: System) -> Iterator[str]:
    name = system.name
    again = f"`dvc repro eval@{name}`"
    if not any((system.evaluation, system.training, system.format, *map(system.counts.get, OF_ADAPTER))):
        yield f"{name} has never run here: {again} runs it."
        return
    if not system.evaluation:
        yield f"No evaluation yet: {again} makes one."
    elif not system.report:
        yield f"No report.json, so no intervals and no groups: {again} makes one."
    elif "change" not in system.report.intervals:
        anew = f"`dvc repro --force --single-item eval@{name}`"
        yield f"report.json is of an older run, without intervals of the change: {anew} makes it anew."
    if system.evaluation and not system.predictions:
        yield f"No answers to look at: predictions.jsonl is not here; `dvc pull` or {again} brings it."
    elif system.report and len(system.predictions) != system.report.rows:
        yield f"predictions.jsonl has {len(system.predictions)} rows and report.json {system.report.rows}: {again}."
    if system.training and len(system.curves.get("valid", ())) == 1:
        yield "The validation loss was taken once: it is a point, and no curve; `train.evaluations` asks for more."
    for side, points in system.curves.items():
        if lost := sum(not math.isfinite(loss) for _, loss in points):
            yield f"{lost} of {len(points)} {side} losses are no number: that training came apart."
    if system.training and not system.curves:
        yield "No loss curves: metrics/curves is not here."
    if system.faded:
        yield f"losses.json is of another adapter or of other rows: `tuneline losses {name}` makes it anew."
    if system.format and not system.lengths:
        yield f"No token files here, so no histograms: `dvc pull` or `dvc repro format@{name}` brings them."


def dropped_by(system: System, stage: str) -> dict[str, Drops]:
    """By reason, from the file of dropped rows, else, without examples, from the stage's counts."""
    if stage in system.dropped:
        return system.dropped[stage]
    counts = system.counts.get(stage)
    if counts is None:
        return {}
    refused = Counter(counts.dropped if isinstance(counts.dropped, dict) else {"dropped": counts.dropped})
    for strategy in counts.strategies.values():  # a strategy counts what it asked, what came, and why the rest did not
        refused.update({key: n for key, n in strategy.items() if key not in ("calls", "rows") and isinstance(n, int)})
    return {reason: Drops(count) for reason, count in refused.most_common() if count}
