"""The bar of a run, where it is lines of a file."""

import pytest

from tuneline.training.run import Pace


@pytest.mark.parametrize(("long", "told"), [(120, []), (0, [1, 2, 3])])
def test_a_line_comes_before_a_tenth_is_done_where_that_takes_long(
    long: int, told: list[int], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tuneline.training.run.LONG", long)
    with Pace("train mine", 500) as pace:
        for step in (1, 2, 3):
            pace.step(step)
    said = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in said] == [f"train mine: {step} of 500" for step in told]
