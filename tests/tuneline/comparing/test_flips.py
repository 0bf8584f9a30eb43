"""Test rows won and lost."""

from typing import Any

from tests.small_pipeline import answered
from tuneline.comparing.flips import compare


def names(pairs: list[tuple[dict[str, Any], dict[str, Any]]]) -> list[str]:
    return [now["id"] for _, now in pairs]


def scored(at: int, **figures: Any) -> dict[str, Any]:
    return answered(at) | {"figures": {"base": {}, "tuned": figures}}


def test_won_and_lost() -> None:
    old = [answered(0, True), answered(1, False), answered(2, True), answered(3, False)]
    new = [answered(0, False), answered(1, True), answered(2, True), answered(3, False)]
    found = compare("mine", old, new)
    assert (found.figure, names(found.won), names(found.lost), found.rows) == ("right", ["row 1"], ["row 0"], 4)


def test_the_same_answers_are_no_flips() -> None:
    assert compare("mine", [answered(0, True)], [answered(0, True)]) is None


def test_rows_of_one_side_alone_are_counted() -> None:
    found = compare("mine", [answered(0, True), answered(1, True)], [answered(0, False), answered(2, True)])
    assert (found.rows, found.others) == (1, 2)


def test_a_row_whose_question_was_edited_is_another_row() -> None:
    found = compare(
        "mine", [answered(0, True), answered(1, True)], [answered(0, False), answered(1, False, reference="x")]
    )
    assert (names(found.lost), found.others) == (["row 0"], 2)


def test_the_worst_first_by_the_main_figure_then_by_all() -> None:
    old = [scored(at, rouge=0.9, other=1.0) for at in range(3)]
    new = [scored(0, rouge=0.8, other=1.0), scored(1, rouge=0.1, other=1.0), scored(2, rouge=0.8, other=0.0)]
    assert names(compare("mine", old, new, "rouge").lost) == ["row 1", "row 2", "row 0"]


def test_a_main_figure_that_no_row_has_gives_way_to_the_whole_answer() -> None:
    old, new = [scored(0, valid=True, exact_match=True)], [scored(0, valid=False, exact_match=False)]
    assert compare("mine", old, new, "slot_f1").figure == "exact_match"
    assert compare("mine", [scored(0, valid=True, exact_match=False)], new, "slot_f1").figure == "valid"


def test_fewer_bits_are_better() -> None:
    found = compare("mine", [scored(0, bits_per_byte=2.0)], [scored(0, bits_per_byte=1.0)], "bits_per_byte")
    assert (len(found.won), len(found.lost)) == (1, 0)
