"""What a run that is stopped leaves to the next one."""

from pathlib import Path

import pytest

from tuneline.answering.begun import begun


def stopped(folder: Path, prompts: list[list[int]], stage: str = "predict", telling: object = 1) -> None:
    with pytest.raises(KeyboardInterrupt), begun(folder, stage, [telling]) as kept:
        for prompt in prompts:
            kept.keep(prompt, [*prompt, 9])
        raise KeyboardInterrupt


def test_the_next_run_of_the_same_inputs_knows_them_and_the_end_takes_them_away(tmp_path: Path) -> None:
    stopped(tmp_path / "a", [[1, 2], [3]])
    stopped(tmp_path / "a", [[4]])
    with begun(tmp_path / "a", "predict", [1]) as kept:
        assert [kept.of(prompt) for prompt in ([1, 2], [3], [4], [1])] == [[1, 2, 9], [3, 9], [4, 9], None]
    assert not (tmp_path / "a").exists()


def test_other_inputs_and_other_stages_know_nothing_of_them(tmp_path: Path) -> None:
    stopped(tmp_path, [[1]])
    for stage, telling in (("predict", 2), ("baseline", 1)):
        with begun(tmp_path, stage, [telling]) as kept:
            assert kept.of([1]) is None
        assert len(list(tmp_path.glob("predict-*"))) == (stage == "baseline")
        stopped(tmp_path, [[1]])  # the one with other inputs had taken it away


def test_a_line_that_was_cut_is_none(tmp_path: Path) -> None:
    stopped(tmp_path, [[1], [2]])
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-5])
    stopped(tmp_path, [[3]])
    with begun(tmp_path, "predict", [1]) as kept:
        assert [kept.of([number]) for number in (1, 2, 3)] == [[1, 9], None, [3, 9]]


def test_a_run_that_goes_on_meanwhile_keeps_its_own(tmp_path: Path) -> None:
    with begun(tmp_path, "predict", [1]) as first:
        first.keep([1], [9])
        with begun(tmp_path, "predict", [1]) as same:
            same.keep([2], [9])
            assert same.of([1]) is None
        with begun(tmp_path, "predict", [2]):
            pass
        (file,) = tmp_path.iterdir()
        assert file.read_text().count("\n") == 1
    assert not tmp_path.exists()


def test_each_of_several_processes_keeps_its_own_and_knows_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"WORLD_SIZE": "2", "LOCAL_RANK": "0", "MASTER_ADDR": "localhost"}.items():
        monkeypatch.setenv(name, value)
    for rank in (0, 1):
        monkeypatch.setenv("RANK", str(rank))
        stopped(tmp_path, [[rank]])
    assert len(list(tmp_path.iterdir())) == 2
    monkeypatch.undo()
    with begun(tmp_path, "predict", [1]) as kept:
        assert [kept.of([rank]) for rank in (0, 1)] == [[0, 9], [1, 9]]
    assert not tmp_path.exists()
