"""Figures that moved, and which of them are noise."""

from pathlib import Path
from typing import Any

import pytest

from tests.small_pipeline import Small, answered, small_pipeline
from tuneline.comparing.figures import APART, Figure, moved_figures
from tuneline.comparing.pairing import PAIRED
from tuneline.comparing.sides import Store, changed_paths, open_sides

EVAL, REPORT, PREDICTIONS = (f"metrics/mine/{name}" for name in ("eval.json", "report.json", "predictions.jsonl"))


@pytest.fixture
def project(tmp_path: Path) -> Small:
    return small_pipeline(tmp_path)


def evaluate(project: Small, rows: list[dict[str, Any]], figure: float | None = None) -> None:
    """As eval would: figures, their intervals, and the rows with both answers."""
    right = sum(row["figures"]["tuned"]["right"] for row in rows) / len(rows) if figure is None else figure
    project.write(EVAL, {"base": {"right": 0.0}, "tuned": {"right": round(right, 4)}})
    intervals = {"base": {"right": [0.0, 0.0]}, "tuned": {"right": [right - 0.1, right + 0.1]}}
    project.write(REPORT, {"rows": len(rows), "intervals": intervals})
    project.made(PREDICTIONS, rows)


def moved(project: Small) -> list[Figure]:
    before, now = open_sides(project.root, "HEAD", None)
    with Store(project.root) as store:
        return moved_figures(before, now, changed_paths(before, now), store)


def test_a_change_beyond_its_noise(project: Small) -> None:
    evaluate(project, [answered(at, at < 10) for at in range(100)])
    project.commit()
    evaluate(project, [answered(at, at < 30) for at in range(100)])
    (figure,) = moved(project)
    assert (figure.folder, figure.name, figure.before, figure.now) == ("mine", "tuned.right", 0.1, 0.3)
    assert figure.how == PAIRED and not figure.is_noise
    low, high = figure.interval
    assert 0.11 < low < 0.15 < 0.25 < high < 0.3  # of 20 rows of 100 that were won, and none lost


def test_the_base_after_examples_is_compared_row_by_row_too(project: Small) -> None:
    for right in (10, 30):
        rows = [answered(at, at < right) for at in range(100)]
        for at, row in enumerate(rows):
            row["figures"]["shots"] = {"right": at % 2 == 0}
        evaluate(project, rows)
        over = {"shots": {"right": 0.5}, "change_over_shots": {"right": round(right / 100 - 0.5, 4)}}
        project.write(EVAL, {"base": {"right": 0.0}, "tuned": {"right": right / 100}, **over})
        project.commit() if right == 10 else None
    found = {figure.name: figure for figure in moved(project)}
    assert list(found) == ["tuned.right", "change_over_shots.right"]
    assert found["change_over_shots.right"].how == PAIRED and not found["change_over_shots.right"].is_noise


def test_a_change_within_its_noise(project: Small) -> None:
    evaluate(project, [answered(at, at % 2) for at in range(100)])
    project.commit()
    evaluate(project, [answered(at, (at + (at < 9)) % 2) for at in range(100)])  # of 9 rows, 5 are won and 4 lost
    (figure,) = moved(project)
    assert figure.how == PAIRED and figure.is_noise
    assert figure.change == pytest.approx(0.01)


def test_rows_that_do_not_count_are_left_out(project: Small) -> None:
    rows = [answered(at, at < 5) for at in range(40)]
    for row in rows[20:]:
        row["figures"]["tuned"]["right"] = None
    evaluate(project, rows, 0.25)
    project.commit()
    better = [
        row | {"figures": row["figures"] | {"tuned": {"right": at < 10 if at < 20 else None}}}
        for at, row in enumerate(rows)
    ]
    evaluate(project, better, 0.5)
    (figure,) = moved(project)
    assert figure.how == PAIRED and figure.interval[0] > 0


def test_a_test_row_that_was_edited_leaves_the_others_paired(project: Small) -> None:
    evaluate(project, [answered(at, at < 10) for at in range(100)])
    project.commit()
    edited = [answered(at, at < 15, reference=f"edited {at}" if at == 50 else f"answer {at}") for at in range(100)]
    evaluate(project, edited)
    (figure,) = moved(project)
    assert figure.how == "99 of 101 rows paired" and not figure.is_noise
    low, high = figure.interval
    assert 0 < low < 0.03 < 0.07 < high < 0.11  # of 5 rows of 100 that were won; two figures apart: -0.09 to 0.19


def test_a_test_row_that_came_counts_on_its_side(project: Small) -> None:
    """So the interval is about the change that stands there, and of both sides' rows."""
    evaluate(project, [answered(at, at < 50) for at in range(100)])
    project.commit()
    evaluate(project, [answered(at, at < 50 or at >= 100) for at in range(120)], 0.5833)
    (figure,) = moved(project)
    low, high = figure.interval
    assert figure.how == "100 of 120 rows paired"
    assert low < figure.change < high and low > 0.01 and high < 0.16


def test_other_test_rows_are_no_pairs(project: Small) -> None:
    evaluate(project, [answered(at, at < 10) for at in range(100)])
    project.commit()
    evaluate(project, [answered(at, at < 115) for at in range(100, 200)])
    (figure,) = moved(project)
    assert figure.how == APART
    assert figure.interval == pytest.approx((0.05 - 0.1414, 0.05 + 0.1414), abs=1e-3)
    assert figure.is_noise


def test_a_figure_that_is_no_mean_of_rows_is_not_paired(project: Small) -> None:
    evaluate(project, [answered(at, at < 10) for at in range(100)], 0.4)
    project.commit()
    evaluate(project, [answered(at, at < 20) for at in range(100)], 0.7)
    (figure,) = moved(project)
    assert figure.how == APART and not figure.is_noise


def test_predictions_that_nobody_has(project: Small) -> None:
    evaluate(project, [answered(at, at < 10) for at in range(100)])
    project.commit()
    (oid,) = project.outs.values()
    (project.root / f".dvc/cache/files/md5/{oid[:2]}/{oid[2:]}").unlink()
    evaluate(project, [answered(at, at < 90) for at in range(100)])
    (figure,) = moved(project)
    assert figure.how == APART and not figure.is_noise


def test_new_ones_gone_ones_counts_and_figures_without_noise(project: Small) -> None:
    project.write(EVAL, {"tuned": {"right": 0.5, "old": 1.0}, "loss": 2.0, "rows": 12, "what": "a text", "is": True})
    project.commit()
    project.write(EVAL, {"tuned": {"right": 0.5, "new": 1.0}, "loss": 1.5, "rows": 13, "what": "another", "is": False})
    found = {figure.name: figure for figure in moved(project)}
    assert set(found) == {"tuned.old", "tuned.new", "loss", "rows"}
    assert found["tuned.old"].change is None and found["tuned.new"].before is None
    assert found["rows"].is_count and not found["loss"].is_count
    assert found["loss"].interval is None and not found["loss"].is_noise


def test_an_interval_of_another_run_is_none(project: Small) -> None:
    project.write(EVAL, {"tuned": {"right": 0.8}})
    project.write(REPORT, {"intervals": {"tuned": {"right": [0.7, 0.9]}}})
    project.commit()
    project.write(EVAL, {"tuned": {"right": 0.2}})  # by hand: the report is still the old one
    (figure,) = moved(project)
    assert figure.interval is None and not figure.is_noise


def test_only_what_the_pipeline_calls_metrics(project: Small) -> None:
    project.write("metrics/mine/split.json", {"train": 5.5})
    assert moved(project) == []


def test_a_broken_file_stops_nothing(project: Small) -> None:
    project.write(EVAL, {"tuned": {"right": 0.5}})
    project.commit()
    project.write(EVAL, '{"tuned": {"ri')
    (figure,) = moved(project)
    assert (figure.before, figure.now) == (0.5, None)
