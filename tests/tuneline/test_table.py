"""Tables of an evaluation: a hundred columns at most, whatever the measures are."""

from typing import Any

import pytest

from tuneline.table import LABELS, show_evaluation


def sides(value: float | None, *names: str) -> dict[str, Any]:
    return {side: dict.fromkeys(names, value) for side in ("base", "tuned")}


def report(value: float, *names: str, **more: Any) -> dict[str, Any]:
    edges = {side: {name: [value, value] for name in names} for side in ("base", "tuned", "change")}
    return {"rows": 12, "intervals": edges, **more}


def shown(capsys: pytest.CaptureFixture[str], *given: Any) -> list[str]:
    show_evaluation("mine", *given)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 100
    return lines


def test_the_change_has_its_interval_where_there_is_room(capsys: pytest.CaptureFixture[str]) -> None:
    names = ("accuracy", "a_name_of_twenty_four_xx")
    lines = shown(capsys, sides(0.5, *names), report(0.25, *names))
    assert any("0.500 [0.250, 0.250]" in line and "+0.000 [+0.250, +0.250]" in line for line in lines)
    names = (*names, "a_name_that_is_of_thirty_six_letters")
    lines = shown(capsys, sides(0.5, *names), report(0.25, *names))
    assert any("0.500 [0.250, 0.250]" in line and "[+0.250" not in line for line in lines)


def test_three_sides_have_what_there_is_room_for(capsys: pytest.CaptureFixture[str]) -> None:
    names = ("accuracy", "majority_baseline")
    edges = {
        side: {name: [0.1, 0.2] for name in names} for side in ("base", "shots", "tuned", "change", "change_over_shots")
    }
    shots = {"examples": 3, "fewer": 0, "figures": {"accuracy": 0.75, "majority_baseline": None}}
    lines = shown(capsys, sides(0.5, *names), {"rows": 12, "intervals": edges, "shots": shots})
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if "│" in line]
    assert cells[0] == ["accuracy", "0.500", "0.750", "0.500", "+0.000 [+0.100, +0.200]", "-0.250 [+0.100, +0.200]"]
    assert cells[1] == ["majority_baseline", "0.500", "-", "0.500", "+0.000 [+0.100, +0.200]", ""]
    assert lines[-1] == "shots: the untuned base after 3 training rows as examples"


def test_a_figure_without_rows_and_a_report_of_an_older_run(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, sides(None, "score"), report(0, "score"))
    assert any(line.count("-") == 2 for line in lines if "score" in line)
    old = report(0.25, "accuracy")
    del old["intervals"]["change"]
    lines = shown(capsys, sides(0.5, "accuracy"), old)
    assert any(line.endswith("+0.000 │") for line in lines)
    assert any("+0.000" in line and "[" not in line for line in shown(capsys, sides(0.5, "accuracy"), None))


def line(rows: int, **figures: float | None) -> dict[str, Any]:
    return {"rows": rows, "precision": 0.5, "recall": None, "f1": 0.25, **figures}


def test_labels_have_a_table_the_commonest_first(capsys: pytest.CaptureFixture[str]) -> None:
    per_label = {
        "tuned": {"few": line(1), "[bold]many": line(9), "other " * 40: line(2)},
        "base": {"few": line(1, f1=1.0)},
    }
    majority = {"label": "[bold]many", "of": "training rows"}
    lines = shown(
        capsys, sides(0.5, "accuracy"), report(0.2, "accuracy", per_label=per_label, majority_baseline=majority)
    )
    assert "majority_baseline answers [bold]many to everything, the commonest label of the training rows" in lines
    found = [one for one in lines if "0.500 │      - │ 0.250" in one]
    assert [one.split("│")[1].split()[0] for one in found] == ["[bold]many", "other", "few"]
    assert "1.000" in found[2]


def test_of_many_labels_the_others_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    many = {f"label {n}": line(100 - n) for n in range(LABELS + 3)}
    lines = shown(capsys, sides(0.5, "a"), report(0.2, "a", per_label={"tuned": many, "base": {}}))
    assert lines[-1] == "3 more labels stand in report.json"


def test_a_group_that_is_called_label_is_no_table_of_labels(capsys: pytest.CaptureFixture[str]) -> None:
    groups = {side: {"x": {"rows": 3, "kept": 0.5, "kept_interval": [0, 1]}} for side in ("base", "tuned")}
    lines = shown(capsys, sides(0.5, "kept"), report(0.2, "kept", per_label=groups, majority_baseline=0.4))
    assert not [one for one in lines if "by label" in one or "answers" in one]
