"""Bits per byte: of all rows together, so that a long text counts as much as it is long."""

import numpy as np
import pytest

from tuneline.measuring.report import check_rows, confusion, evaluate, main_figure, score_answers
from tuneline.measuring.score import summarize
from tuneline.measuring.text_bits import BitsMeasures

MEASURES = BitsMeasures()
ROWS = [
    {"id": "a", "text": "é" * 50},
    {"id": "b", "text": "x" * 10},
    {"id": "c", "text": "y" * 10, "fields": {"topic": "t"}},
]
BASE, TUNED = [400.0, 80.0, 60.0], [100.0, 50.0, 5.0]


def scored(bits: list[float]) -> list:
    return score_answers(MEASURES, ROWS, bits, None)[0]


def test_bits_are_over_the_bytes_of_all_rows() -> None:
    found = scored(BASE)
    assert [one.figures["bits_per_byte"] for one in found] == [4, 8, 6]  # é has two bytes
    assert summarize(found, MEASURES.FIGURES)["bits_per_byte"] == pytest.approx(540 / 120)
    assert [one.marks for one in found] == [{"bytes": 100}, {"bytes": 10}, {"bytes": 10}]


def test_a_resample_is_the_ratio_of_its_sums() -> None:
    picks = np.array([[0, 0, 0], [1, 2, 2], [0, 1, 2]])
    found = summarize(scored(BASE), MEASURES.FIGURES, picks)["bits_per_byte"]
    assert found == pytest.approx([4, 200 / 30, 4.5])


def test_the_interval_of_the_change_is_of_the_same_rows_on_both_sides() -> None:
    metrics, report = evaluate(
        MEASURES,
        {
            "base": scored(BASE),
            "tuned": scored([b - 1.2 * len(r["text"].encode()) for b, r in zip(BASE, ROWS, strict=True)]),
        },
        "mine",
        200,
        0,
    )
    assert metrics == {"base": {"bits_per_byte": 4.5}, "tuned": {"bits_per_byte": 3.3}}
    assert report["intervals"]["change"]["bits_per_byte"] == [-1.2, -1.2]  # in every resample
    low, high = report["intervals"]["base"]["bits_per_byte"]
    assert 4 <= low < high <= 8
    assert report["per_topic"]["base"] == {"t": {"rows": 1, "bits_per_byte": 6, "bits_per_byte_interval": [6, 6]}}


def test_the_heat_map_tells_how_many_bits() -> None:
    found = confusion(scored(TUNED), MEASURES.FIGURES, main_figure(MEASURES))
    assert found == [("all", "bits_per_byte 0.9–1.0"), ("all", "bits_per_byte 5–6"), ("t", "bits_per_byte 0.5–0.6")]


def test_a_row_that_asks_is_none_for_bits() -> None:
    asks = {"id": "q", "messages": [{"role": "user", "content": "?"}, {"role": "assistant", "content": "!"}]}
    assert MEASURES.unreadable(asks).startswith("asks and answers, and `measures: bits`")
    assert MEASURES.unreadable({"id": "e", "text": " \n"}) == "is an empty text"
    assert MEASURES.unreadable(ROWS[0]) is None


def test_rows_and_answers_are_of_one_kind() -> None:
    import click

    check_rows(MEASURES, ROWS, {"base": BASE, "tuned": TUNED})
    with pytest.raises(click.ClickException, match="row b was answered as a row of another kind; run `dvc repro`"):
        check_rows(MEASURES, ROWS, {"base": [1.0, "an answer", 1.0]})
    with pytest.raises(click.ClickException, match="row q asks and answers"):
        check_rows(MEASURES, [{"id": "q", "messages": []}], {"base": ["x"]})
