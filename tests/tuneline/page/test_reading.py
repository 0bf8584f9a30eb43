"""A metrics folder is read as far as it goes; what is broken is told in one line."""

import json
import re
from pathlib import Path

import click
import pytest

from tests.conftest import ROOT
from tests.tuneline.page.run import curve, edit, run
from tuneline.page.reading import Drops, dropped_by, find_systems


def test_a_run_is_read_whole(tmp_path: Path) -> None:
    (system,) = find_systems(run(tmp_path))
    assert (system.name, system.recipe, system.missing) == ("mine", "messages", [])
    assert system.lengths and (system.lengths.given, system.lengths.trained) == (
        [30 + n for n in range(24)],
        [4 + n % 3 for n in range(24)],
    )
    assert system.curves == {"train": [(10, 2), (20, 1), (30, 0.5)], "valid": [(10, 1.5), (20, 0.25)]}
    assert len(system.predictions) == len(system.confusion) == 12
    found = dropped_by(system, "curate")
    assert {reason: drops.count for reason, drops in found.items()} == {"near duplicate": 5, "judged low": 1}
    assert len(found["near duplicate"].examples) == 3
    assert dropped_by(system, "extract") == {"not JSON": Drops(2)}, "without the file, from the counts"
    assert dropped_by(system, "sdg") == {"known": Drops(3)}, "calls and rows are no reasons"


def test_two_adapters_of_a_recipe(tmp_path: Path) -> None:
    run(tmp_path, "one")
    run(tmp_path, "two")
    assert [system.recipe for system in find_systems(tmp_path)] == ["messages", "messages"]
    assert [system.name for system in find_systems(tmp_path, ["two"])] == ["two"]
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "params.yaml").write_text("adapters: {three: {recipe: messages}}\n", encoding="utf-8")
    last = find_systems(tmp_path)[1]
    assert (last.name, last.missing) == ("three", ["three has never run here: `dvc repro eval@three` runs it."])


def test_there_is_nothing_or_not_that(tmp_path: Path) -> None:
    with pytest.raises(click.ClickException, match=r"no adapter's metrics; `make repro`"):
        find_systems(tmp_path)
    run(tmp_path)
    with pytest.raises(click.ClickException, match="there is no adapter yours; there is mine"):
        find_systems(tmp_path, ["mine", "yours"])


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    metrics, data = run(tmp_path) / "metrics" / "mine", tmp_path / "data" / "mine"
    report = json.loads((metrics / "report.json").read_text("utf-8"))
    edit(metrics / "report.json", intervals={side: report["intervals"][side] for side in ("base", "tuned")}, rows=700)
    curve(metrics, "valid_loss", [1])
    (data / "tokens" / "train.parquet").unlink()
    curve(metrics, "train_loss", [1, float("nan"), float("inf")])
    said = "\n".join(find_systems(tmp_path)[0].missing)
    for words in (
        "2 of 3 train losses are no number",
        "of an older run",
        "12 rows and report.json 700",
        "was taken once",
        "format@mine",
    ):
        assert words in said
    for path in ("report.json", "predictions.jsonl", "curves/train_loss.tsv", "curves/valid_loss.tsv"):
        (metrics / path).unlink()
    said = "\n".join(find_systems(tmp_path)[0].missing)
    for words in ("No report.json", "predictions.jsonl is not here", "No loss curves"):
        assert words in said
    (metrics / "eval.json").unlink()
    assert "No evaluation yet" in find_systems(tmp_path)[0].missing[0]


BROKEN = {
    "metrics/mine/eval.json": ("{", "not JSON"),
    "metrics/mine/report.json": ('{"rows": NaN}', "NaN is no JSON"),
    "metrics/mine/split.json": ("[" * 100_000, "not JSON"),
    "metrics/mine/trim.json": ('{"in": "many"}', "in: Input should be a valid integer"),
    "metrics/mine/format.json": ("[]", "valid dictionary"),
    "metrics/messages/sdg.json": (b"\xff\xfe", "not JSON"),
    "metrics/mine/training_summary.json": ("<<<<<<< HEAD\n", "not JSON"),
    "metrics/mine/confusion.csv": ("a,b\n1,2\n", "no columns actual and predicted"),
    "metrics/mine/curves/valid_loss.tsv": ("step\tvalid_loss\n1\tsmall\n", "line 2: no number"),
    "metrics/mine/curves/train_loss.tsv": (b"step\ttrain_loss\n\xff\t1\n", "utf-8"),
    "metrics/mine/predictions.jsonl": ('{"id": 1, "base": "", "tuned": "", "figures": {}}\n', "line 1: figures"),
    "data/mine/split/test.jsonl": ("[]\n", ":1: JSON, but no row"),
    "data/messages/curate.drops.jsonl": ("{}\nnull\n", ":2: JSON, but no row"),
    "data/mine/tokens/train.parquet": (b"PAR1", "train.parquet: "),
    "params.yaml": ("a: [", "params.yaml: "),
}


def test_a_broken_file_is_one_line(tmp_path: Path) -> None:
    run(tmp_path)
    for path, (content, words) in BROKEN.items():
        whole = (tmp_path / path).read_bytes()
        (tmp_path / path).write_bytes(content if isinstance(content, bytes) else content.encode())
        with pytest.raises(click.ClickException, match=re.escape(words)) as told:
            find_systems(tmp_path)
        assert path in told.value.message and "\n" not in told.value.message, path
        (tmp_path / path).write_bytes(whole)
    sides = {"base": {"accuracy": 1}, "tuned": {"recall": 1}}
    edit(tmp_path / "metrics/mine/eval.json", **sides)
    with pytest.raises(click.ClickException, match="not have the same figures: accuracy, recall"):
        find_systems(tmp_path)


def test_a_recipes_own_tables_may_be_anything(tmp_path: Path) -> None:
    metrics = run(tmp_path) / "metrics" / "mine"
    edit(
        metrics / "report.json", per_check={"base": {"words": 0.5}, "tuned": {"words": 1}}, per_x=[1], per_y={"base": 1}
    )
    (system,) = find_systems(tmp_path)
    assert system.report and list(system.report.groups) == ["language", "check"]


def test_the_metrics_of_this_repository_are_readable() -> None:
    systems = {system.name: system for system in find_systems(ROOT)}
    assert systems["query_json"].evaluation and systems["eli5"].recipe != "eli5"
