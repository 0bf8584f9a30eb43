"""What the feedback database and served/ say, as Prometheus metrics.

Nothing is counted in a process: every figure is read when it is asked for, so that a restart loses none, and the
server, the watcher and the textfile of a batch run show the same. Whoever adds them up counts them twice: take the
max over their jobs.
"""

import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

import click
from prometheus_client import CollectorRegistry, generate_latest, write_to_textfile
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from tuneline.feedback.gate_settings import GateSettings, read_gate_settings
from tuneline.feedback.judging import BOUNDS, CALLS, SECONDS, SPEND
from tuneline.feedback.store import (
    ACCEPTED,
    DIMENSIONS,
    FAILED,
    KEPT,
    NEW,
    OPEN,
    PROMOTED,
    REJECTED,
    SCHEMA,
    TASKS,
)

if TYPE_CHECKING:
    from fastapi import FastAPI

METRICS = "text/plain; version=0.0.4; charset=utf-8"
STATES = (NEW, ACCEPTED, REJECTED)  # of a sample
OUTCOMES = ("answered", "failed", "unusable")  # of a judge's call; an unusable answer is an answered call too
BLOCK = 2000  # samples whose scores are read together
SCORES = tuple(step / 10 for step in range(1, 11))
DURATIONS = (60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 14400.0, 28800.0, 86400.0)  # seconds


class StateCollector(Collector):
    """For a prometheus_client.CollectorRegistry: what the database and the versions in service say now.

    `database`: may not exist yet; all counts are zero then. `served`: has a folder an adapter, with the link
    `current`. `gate`: without it, that of params.yaml beside `served`, if it can be read. `collect` raises
    sqlite3.Error when the database cannot be read.
    """

    def __init__(self, database: Path, served: Path, gate: GateSettings | None = None) -> None:
        self.database, self.served, self.gate = Path(database), Path(served), gate

    def collect(self) -> Iterator[Metric]:
        with closing(_open(self.database)) as db:
            db.execute("BEGIN")  # all of it at one moment
            yield from _of_samples(db)
            yield _of_scores(db, self.database)
            yield from _of_runs(db)
            yield from _of_judge(db)
        yield from self._of_gate()

    def text(self) -> bytes:
        """Prometheus' text format 0.0.4."""
        return generate_latest(self._registry())

    def write_textfile(self, path: Path) -> None:
        """The same as a file for node_exporter's textfile collector, whole or not at all.

        Raises click.ClickException when it cannot be written, or the database not be read.
        """
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            write_to_textfile(str(path), self._registry())
        except (OSError, sqlite3.Error) as error:
            raise click.ClickException(f"{path}: {error}") from None

    def serve(self, port: int, host: str = "127.0.0.1") -> int:
        """Answers GET /metrics on a thread of its own for as long as the process lives; the port, a free one for 0.

        Raises click.ClickException when the port is taken.
        """
        import uvicorn

        from tuneline import http_service

        listening = http_service.listen(host, port)
        app = http_service.new_app("", "/metrics", title="Tuneline's watcher")
        answer_metrics(app, self)
        server = uvicorn.Server(http_service.configure(app))
        threading.Thread(target=server.run, args=([listening],), daemon=True).start()
        return listening.getsockname()[1]

    def _registry(self) -> CollectorRegistry:
        registry = CollectorRegistry()
        registry.register(self)
        return registry

    def _of_gate(self) -> Iterator[Metric]:
        try:
            gate = self.gate or read_gate_settings(self.served.parent)
        except click.ClickException:
            return  # who starts runs says what is wrong with params.yaml
        said = "Accepted samples since the watermark that start a run; a task without an adapter has none."
        needed = GaugeMetricFamily("finetuning_min_new_samples", said, labels=["task"])
        served = GaugeMetricFamily("served_model_info", "1 for the version in service.", labels=["task", "version"])
        for task, adapter in sorted(gate.adapters.items()):
            needed.add_metric([task], gate.min_new_samples)
            current = self.served / adapter / "current"
            if current.is_symlink():
                served.add_metric([task, current.readlink().name], 1)
        yield from (needed, served)


def answer_metrics(app: "FastAPI", collector: StateCollector) -> None:
    """GET /metrics, for Prometheus without a token: counts alone."""
    from fastapi import Response

    @app.get(
        "/metrics",
        summary="Prometheus' text format",
        response_class=Response,
        responses={200: {"content": {METRICS.partition(";")[0]: {"schema": {"type": "string"}}}}},
    )
    def metrics() -> Response:  # on a thread: it may read everything
        return Response(collector.text(), media_type=METRICS)


def _open(database: Path) -> sqlite3.Connection:
    """To read only; an empty one in memory where there is none yet."""
    if database.exists():
        db = sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True, timeout=10.0, isolation_level=None)
        # The store makes this table last: without it, another process is just making the database.
        if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'tallies'").fetchone():
            return db
        db.close()
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.executescript(SCHEMA)
    return db


def _of_samples(db: sqlite3.Connection) -> Iterator[Metric]:
    size = GaugeMetricFamily(
        "dataset_size_samples", "Samples by what the judge made of them.", labels=["task", "state"]
    )
    new = GaugeMetricFamily("finetuning_new_samples", "Accepted since the last version's watermark.", labels=["task"])
    came = "When the last sample came, in seconds since 1970."
    last = GaugeMetricFamily("feedback_last_sample_timestamp_seconds", came, labels=["task"])
    counts = _counts(db)
    marks = dict(db.execute("SELECT task, max(upto) FROM runs WHERE state IN (?, ?) GROUP BY 1", (PROMOTED, KEPT)))
    since = "SELECT count(*) FROM samples WHERE task = ? AND state = ? AND accepted > ?"
    # By the index on task and state: the samples themselves are not read.
    newest = (
        "SELECT received FROM samples WHERE number = (SELECT max(number) FROM samples WHERE task = ? AND state = ?)"
    )
    for task in TASKS:
        for state in STATES:
            size.add_metric([task, state], counts.get((task, state), 0))
        new.add_metric([task], db.execute(since, (task, ACCEPTED, marks.get(task, 0))).fetchone()[0])
        if times := [row[0] for state in STATES for row in db.execute(newest, (task, state))]:
            last.add_metric([task], max(times))
    yield from (size, new, last)


def _counts(db: sqlite3.Connection) -> dict[tuple[str, str], int]:
    return {
        (task, state): n for task, state, n in db.execute("SELECT task, state, count(*) FROM samples GROUP BY 1, 2")
    }


_judged_blocks: dict[tuple[Path, int], list[tuple]] = {}  # of a database: the block's scores


def _of_scores(db: sqlite3.Connection, database: Path) -> Metric:
    """A judged sample never changes: blocks of numbers that are judged to the last are read once."""
    last, waits = db.execute("SELECT coalesce(max(number), 0) FROM samples").fetchone()[0], "state = 'new'"
    waiting = {row[0] for row in db.execute(f"SELECT DISTINCT number / {BLOCK} FROM samples WHERE {waits}")}
    below = ", ".join(f"sum(one.value <= {edge})" for edge in SCORES)
    query = (
        f"SELECT task, one.key, total(one.value), count(*), {below} FROM samples, json_each(scores) AS one "
        f"WHERE number >= ? AND number < ? AND NOT {waits} GROUP BY 1, 2"
    )
    found = {(task, dimension): [0.0] * (2 + len(SCORES)) for task in TASKS for dimension in DIMENSIONS}
    for block in range(last // BLOCK + 1):
        rows = _judged_blocks.get((database, block))
        if rows is None:
            rows = db.execute(query, (block * BLOCK, (block + 1) * BLOCK)).fetchall()
            if block < last // BLOCK and block not in waiting:
                _judged_blocks[database, block] = rows
        for task, dimension, *figures in rows:
            found[task, dimension] = [sum(pair) for pair in zip(found[task, dimension], figures, strict=True)]
    said = "The judge's scores, 0 to 1."
    scores = HistogramMetricFamily("quality_assessment_scores", said, labels=["task", "dimension"])
    for labels, (total, number, *below_edges) in found.items():
        scores.add_metric(labels, _buckets(SCORES, [*below_edges, number]), total)
    return scores


def _of_runs(db: sqlite3.Connection) -> Iterator[Metric]:
    by_outcome = "Training runs that ended: promoted, kept back, or failed for good."
    runs = CounterMetricFamily("finetuning_runs", by_outcome, labels=["task", "outcome"])
    attempts = CounterMetricFamily("finetuning_failed_attempts", "Attempts of runs that failed.", labels=["task"])
    began = "When the run that is open was opened, in seconds since 1970."
    opened = GaugeMetricFamily("finetuning_opened_timestamp_seconds", began, labels=["task"])
    ended = "When a run last ended as promoted or kept, in seconds since 1970."
    success = GaugeMetricFamily("finetuning_last_success_timestamp_seconds", ended, labels=["task"])
    took = "Wall time of runs that ended, all attempts of a failed one together."
    durations = HistogramMetricFamily("finetuning_duration_seconds", took, labels=["task"])
    paid = "What the answers behind the runs' figures cost, whoever paid them and when."
    spend = CounterMetricFamily("finetuning_spend_usd", paid, labels=["task"])
    query = "SELECT state, attempts, opened, finished, coalesce(seconds, 0), spend_usd FROM runs WHERE task = ?"
    for task in TASKS:
        rows = db.execute(query, (task,)).fetchall()
        for outcome in (PROMOTED, KEPT, FAILED):
            runs.add_metric([task, outcome], sum(row[0] == outcome for row in rows))
        attempts.add_metric([task], sum(row[1] for row in rows))
        for row in rows:
            if row[0] == OPEN:
                opened.add_metric([task], row[2])
        if times := [row[3] for row in rows if row[0] in (PROMOTED, KEPT)]:
            success.add_metric([task], max(times))
        seconds = [row[4] for row in rows if row[0] != OPEN]
        below = [sum(taken <= edge for taken in seconds) for edge in DURATIONS]
        durations.add_metric([task], _buckets(DURATIONS, [*below, len(seconds)]), sum(seconds))
        spend.add_metric([task], sum(row[5] for row in rows))
    yield from (runs, attempts, opened, success, durations, spend, _of_figures(db))


def _of_figures(db: sqlite3.Connection) -> Metric:
    said = "Mean over the held-out rows in the last run that ended: base, previous, new."
    measures = GaugeMetricFamily("finetuning_measure", said, labels=["task", "side", "measure"])
    last = "SELECT figures FROM runs WHERE task = ? AND state IN (?, ?) ORDER BY number DESC LIMIT 1"
    for task in TASKS:
        for (figures,) in db.execute(last, (task, PROMOTED, KEPT)):
            for side, of in json.loads(figures).get("sides", {}).items():
                for measure, figure in of.items():
                    measures.add_metric([task, side, measure], figure["mean"])
    return measures


def _of_judge(db: sqlite3.Connection) -> Iterator[Metric]:
    tallies = {
        (name, *sorted(json.loads(labels).items())): value
        for name, labels, value in db.execute("SELECT name, labels, value FROM tallies")
    }

    def tally(name: str, **labels: str) -> float:
        return tallies.get((name, *sorted(labels.items())), 0.0)

    calls = CounterMetricFamily("judge_calls", "Calls of the judge.", labels=["task", "outcome"])
    for task in TASKS:
        for outcome in OUTCOMES:
            calls.add_metric([task, outcome], tally(CALLS, task=task, outcome=outcome))
    yield calls
    # A tally counts its own bucket alone.
    below = list(accumulate(tally(f"{SECONDS}_bucket", le=str(edge)) for edge in (*BOUNDS, "+Inf")))
    latency = HistogramMetricFamily(SECONDS, "How long a call of the judge took.", labels=[])
    latency.add_metric([], _buckets(BOUNDS, below), tally(f"{SECONDS}_sum"))
    yield latency
    yield CounterMetricFamily("judge_spend_usd", "What the judge of samples cost.", tally(SPEND))


def _buckets(edges: Sequence[float], below: Sequence[float]) -> list[tuple[str, float]]:
    """`below`: how many are at most each of the edges, and how many there are."""
    return [(floatToGoString(edge), count) for edge, count in zip((*edges, float("inf")), below, strict=True)]
