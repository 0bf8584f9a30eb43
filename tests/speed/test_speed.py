"""Every bench runs, on its smallest size, and prints its figures. Nothing is asserted of a time."""

import hashlib
import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from click.testing import CliRunner

from speed.bench import MADE, make_rows, medians, options_of, small, tell
from speed.scale import STAGES
from speed.train import MEASURED, Bench, against_trl, write_token_files
from tests.conftest import ENVIRONMENT, ROOT
from tuneline.data.external import MIRROR

LOAD = ("accepted", "cases_per_second", "next_p99_ms", "submit_p99_ms", "server_cpu_ms_per_case", "worst_deviation")
TEXTS = ("short", "long")
CURATED = ("mixed", "alike", "facets")
# Figures that each bench prints among others, and those that are the same on every machine.
PRINTED = {
    "answer": ("answers_per_second", "plain_answers_per_second", "answer_ratio"),
    "curate": tuple(f"{kind}_{figure}" for kind in CURATED for figure in ("cpu_seconds", "peak_mb", "dropped")),
    "feedback": ("load_p99_ms", "flat_out_samples_per_second", "flat_out_100_samples_per_second"),
    "instructions": (
        *(f"{rule}_mean_deviation" for rule in ("balance", "ratio_told", "ratio")),
        *(f"{part}_{figure}" for part in ("load", "flat_out") for figure in LOAD),
    ),
    "near_duplicates": tuple(f"{kind}_curate_{one}" for kind in TEXTS for one in ("seconds", "cpu_seconds", "peak_mb")),
    "papers": ("one_process_seconds", "seconds", "extract_speedup", "pages_per_second"),
    "scale": tuple(f"100_{stage}_{figure}" for stage in STAGES for figure in ("seconds", "cpu_seconds", "peak_mb")),
    "sdg": ("stage_seconds", "process_seconds", "ideal_seconds", "ideal_ratio", "memory_growth_mb"),
    "serve": ("served_answers_per_second", "predictor_answers_per_second", "serve_ratio", "serve_cpu_ratio"),
    "stages": ("rows_per_second", "encode_batch_rows_per_second", "trim_format_ratio"),
    "summaries": tuple(f"{name}_overall" for name in ("first_sentence", "last_sentence", "base")),
    "train": ("trl_ratio", "processes_ratio", "peak_memory_ratio", "answer_ratio"),
}
KNOWN = {
    "answer": {"rows": 4, "pairs": 1},
    "curate": {f"{kind}_rows": 100 for kind in CURATED},
    "feedback": {"load_acknowledged": 20, "load_kept": 20, "load_kept_twice": 0, "load_lost": 0, "load_errors": 0},
    "instructions": {"load_accepted": 12, "load_errors": 0, "load_handed_out_twice": 0, "flat_out_accepted": 12},
    "near_duplicates": {"short_curate_lost": 0, "long_curate_lost": 0, "long_curate_found": 1},
    "papers": {"papers": 1, "pages": 3},
    "scale": {},
    "sdg": {
        "unchanged_calls": 0,
        "other_knobs_calls": 0,
        "edit_one_calls": 1,
        "append_calls": 1,
        "edit_prompt_calls": 50,
        "kill_repeated_calls": 0,
        "fault_rows_lost": 0,
    },
    "serve": {"rows": 4, "clients": 2},
    "stages": {},
    "summaries": {"rows": 2},
    "train": {"steps": 1, "pairs": 1},
}


def test_each_bench_is_run_here() -> None:
    scripts = {path.stem for path in (ROOT / "speed").glob("*.py")} - {"bench"}
    assert scripts == set(PRINTED) == set(KNOWN)


def write_abstracts(folder: Path) -> list[str]:
    """A public test set of three abstracts and the mirror that has it; the bench's words for it."""
    record = {"source": ["A filter keeps bits.", "It may err."], "target": ["A filter of bits."], "paper_id": "x"}
    text = "".join(json.dumps({**record, "title": str(number)}) + "\n" for number in range(3))
    (folder / "test.jsonl").write_text(text, encoding="utf-8")
    digest = hashlib.sha256(text.encode()).hexdigest()
    file = {"url": "http://127.0.0.1:9/test.jsonl", "sha256": digest, "mirror": "test.jsonl"}
    declared = {"licence": "CC0-1.0", "citation": "none", "files": {"test.jsonl": file}}
    (folder / "external.yaml").write_text(yaml.safe_dump(declared), encoding="utf-8")
    return ["--source", str(folder)]


PARTS = {
    "instructions": ("balance", "load"),
    "scale": ("curate",),
    "sdg": ("speed", "kill"),
}  # of the whole bench, in `make test`
WHOLE = (*PARTS, "train")  # in `make soak`


@pytest.mark.parametrize(
    ("name", "part"),
    [
        *((name, None) for name in PRINTED if name not in WHOLE),
        *((name, part) for name, parts in PARTS.items() for part in parts),
        *(pytest.param(name, None, marks=pytest.mark.soak) for name in WHOLE),
    ],
)
def test_it_runs_on_its_smallest_size(
    name: str, part: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv(MIRROR, str(tmp_path))
    words = write_abstracts(tmp_path) if name == "summaries" else ["--only", part] if part else []
    bench = importlib.import_module(f"speed.{name}").main
    done = CliRunner().invoke(bench, ["--small", "--json", *words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    known, printed = KNOWN[name], PRINTED[name]
    if part:
        known = {figure: known[figure] for figure in known if figure in figures}
        printed = [figure for figure in printed if figure in figures]
        assert known or printed
    assert {figure: figures.get(figure) for figure in known} == known
    for figure in printed:
        assert figures.get(figure, -1) >= 0, f"{figure}: {figures.get(figure)}"


def test_trainings_are_measured_side_by_side_and_apart(tmp_path: Path) -> None:
    """What the bench of training starts in processes of its own, in this one."""
    write_token_files(make_rows(2), tmp_path, 2)
    bench = Bench(tmp_path, 2, 1)
    ((ours, trl),) = against_trl(bench, 0, 1)
    assert ours > 0 and trl > 0
    bench.part("trl")
    measured = json.loads((tmp_path / MEASURED).read_text("utf-8"))
    assert measured["speed"] > 0 and measured["peak"] > 100


SCRIPTS = """
import runpy, sys

for path in sys.argv[1:]:
    sys.path[0], sys.argv = path.rpartition("/")[0], [path, "--help"]
    try:
        runpy.run_path(path, run_name="__main__")
    except SystemExit as end:
        assert not end.code, path
"""


def test_each_is_a_script() -> None:
    """Wherever it is started, it finds the project."""
    paths = [str(ROOT / f"speed/{name}.py") for name in PRINTED]
    done = subprocess.run([sys.executable, "-c", SCRIPTS, *paths], cwd="/", env=ENVIRONMENT, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(b"--small") == len(paths)


@small(rows=2, words="few")
@click.command()
@click.option("--rows", type=int, default=9)
@click.option("--words", default="many")
@click.option("--json", "as_json", is_flag=True)
def sized(rows: int, words: str, as_json: bool) -> None:
    tell({"rows": rows, words: None}, as_json)


@pytest.mark.parametrize(
    "said, rows, words",
    [
        ([], 9, "many"),
        (["--small"], 2, "few"),
        (["--rows", "5", "--small"], 5, "few"),
        (["--small", "--words=x"], 2, "x"),
    ],
)
def test_the_smallest_size_stands_in_for_the_defaults(said: list[str], rows: int, words: str) -> None:
    shown = CliRunner().invoke(sized, [*said, "--json"], catch_exceptions=False).output
    assert json.loads(shown) == {"rows": rows, words: None}


def test_figures_are_told_a_line_each() -> None:
    lines = CliRunner().invoke(sized, [], catch_exceptions=False).output.splitlines()
    assert [line.split() for line in lines] == [["rows", "9"], ["many", "-"]]


def test_a_size_of_no_option_is_an_error() -> None:
    command = small(rwos=2)(click.command()(click.option("--rows", type=int, default=9)(lambda rows: None)))
    with pytest.raises(AssertionError, match="rwos"):
        CliRunner().invoke(command, [], catch_exceptions=False)


def test_medians_are_of_each_side_and_of_the_ratios() -> None:
    assert medians([(1, 2), (6, 3), (9, 9)]) == (6, 3, 1)


@pytest.mark.parametrize("stage", ["trim", "train"])
def test_what_stages_make_stands_in_the_benchs_folder(stage: str, tmp_path: Path) -> None:
    paths = [value for value in options_of(stage, tmp_path).values() if isinstance(value, Path)]
    made = [path for path in paths if path.is_relative_to(tmp_path)]
    assert len(made) >= 4
    assert all(path.exists() or path.name == ".tuneline" for path in set(paths) - set(made))
    assert not any(path.is_relative_to(ROOT / folder) for path in paths for folder in MADE)


@pytest.mark.parametrize("count", [3, 700])
def test_rows_are_the_recipes_and_then_draws(count: int) -> None:
    rows = make_rows(count)
    assert len({row["id"] for row in rows}) == len(rows) == count
