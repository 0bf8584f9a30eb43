"""Labels: by hand, the label set, the baseline that any adapter must beat, and macro F1 over resamples."""

from collections import Counter

import click
import numpy as np
import pytest

from tuneline.files import Row
from tuneline.measuring.label_answers import OUTSIDE, LabelMeasures, commonest, per_label
from tuneline.measuring.report import confusion, evaluate, score_answers, worst
from tuneline.measuring.score import MACRO_F1, Score, rounded, summarize


def row(label: str, **fields: str) -> Row:
    messages = [{"role": "user", "content": "?"}, {"role": "assistant", "content": label}]
    return {"id": label, "messages": messages, "fields": fields}


TEST = [row("spam"), row("spam"), row("ham"), row("eggs")]
TRAIN = [row("ham"), row("ham"), row("spam"), row("rare")]
ANSWERS = ["spam", " HAM\n", "ham", "I think it is eggs"]


def figures(scores: list[Score]) -> dict[str, float | None]:
    return {name: rounded(value) for name, value in summarize(scores, LabelMeasures.FIGURES).items()}


def scored(measures: LabelMeasures, rows: list[Row], answers: list[str]) -> list[Score]:
    return score_answers(measures, rows, answers, None)[0]


def test_figures_by_hand() -> None:
    found = scored(LabelMeasures([], TRAIN, TEST), TEST, ANSWERS)
    assert [one.pair for one in found] == [("spam", "spam"), ("spam", "ham"), ("ham", "ham"), ("eggs", OUTSIDE)]
    # F1: spam 2·1 ÷ (2 + 1), ham 2·1 ÷ (1 + 2), eggs 0
    assert figures(found) == {
        "accuracy": 0.5,
        "macro_f1": round((2 / 3 + 2 / 3 + 0) / 3, 4),
        "outside_labels": 0.25,
        "majority_baseline": 0.25,  # ham, the commonest for training, is one of four
    }
    assert confusion(found, LabelMeasures.FIGURES)[3] == ("eggs", OUTSIDE)
    assert worst(found)[0] == {"kind": "answer", "expected": "eggs", "given": OUTSIDE, "times": 1}


def test_case_and_outer_white_space_do_not_count_and_nothing_else() -> None:
    measures = LabelMeasures([], [row("Straße"), row("a b")], [row(" Straße ")])
    found = scored(measures, [row("Straße")] * 5, ["\tSTRASSE\n", "straße.", "strasse", "stras se", "A B"])
    assert [one.figures["accuracy"] for one in found] == [True, False, True, False, False]
    assert [one.pair[1] for one in found] == ["Straße", OUTSIDE, "Straße", OUTSIDE, "a b"]


def test_a_label_of_training_rows_alone_is_one() -> None:
    (one,) = scored(LabelMeasures([], TRAIN, TEST), [row("spam")], ["Rare"])
    assert (one.figures["outside_labels"], one.pair) == (False, ("spam", "rare"))


def test_labels_of_the_recipe_are_labels_too_as_they_are_written_there() -> None:
    (one,) = scored(LabelMeasures(["Never", "Spam", "ham", "eggs", "rare"], TRAIN, TEST), [row("spam")], ["never"])
    assert (one.figures["outside_labels"], one.pair) == (False, ("Spam", "Never"))


@pytest.mark.parametrize(
    ("train", "label", "of", "share"),
    [(TRAIN, "ham", "training rows", 0.25), ([], "spam", "test rows", 0.5)],
)
def test_the_majority_is_that_of_training_where_it_can_be(train: list, label: str, of: str, share: float) -> None:
    measures = LabelMeasures([], train, TEST)
    found = scored(measures, TEST, ["x"] * 4)
    assert figures(found)["majority_baseline"] == share
    assert measures.tables("mine", found, found)["majority_baseline"] == {"label": label, "of": of}


def test_the_first_by_name_of_the_commonest() -> None:
    assert commonest(["b", "a", "c", "b", "a"]) == "a"
    assert commonest([]) is None


def test_a_line_for_each_label_that_is_wanted_or_given() -> None:
    measures = LabelMeasures([], TRAIN, TEST)
    assert per_label(scored(measures, TEST, [*ANSWERS[:3], "rare"])) == {
        "eggs": {"rows": 1, "precision": None, "recall": 0.0, "f1": 0.0},
        "ham": {"rows": 1, "precision": 0.5, "recall": 1.0, "f1": 0.6667},
        "rare": {"rows": 0, "precision": 0.0, "recall": None, "f1": 0.0},
        "spam": {"rows": 2, "precision": 1.0, "recall": 0.5, "f1": 0.6667},
    }
    assert OUTSIDE not in per_label(scored(measures, TEST, ANSWERS))


def macro_by_hand(pairs: list[tuple[str, str]]) -> float:
    wanted, given = Counter(pair[0] for pair in pairs), Counter(pair[1] for pair in pairs)
    right = Counter(a for a, b in pairs if a == b)
    return sum(2 * right[kind] / (wanted[kind] + given[kind]) for kind in wanted) / len(wanted)


def test_macro_f1_of_resamples_is_that_of_their_rows() -> None:
    rng = np.random.default_rng(0)
    pairs = [tuple(rng.choice(["a", "b", "c", "d", OUTSIDE], 2, p=[0.4, 0.3, 0.1, 0.1, 0.1])) for _ in range(40)]
    scores = [Score({}, pair=(str(a), str(b))) for a, b in pairs if a != OUTSIDE]
    picks = rng.integers(0, len(scores), (30, len(scores)))
    picks[0] = 0  # one kind alone
    at_once = summarize(scores, {"f": MACRO_F1}, picks)["f"]
    assert at_once.shape == (30,)
    for pick, value in zip(picks, at_once, strict=True):
        assert value == pytest.approx(macro_by_hand([scores[at].pair for at in pick]))
    assert summarize(scores, {"f": MACRO_F1})["f"] == pytest.approx(macro_by_hand([one.pair for one in scores]))


def test_rows_without_a_pair_have_no_macro_f1() -> None:
    assert np.isnan(summarize([Score({})] * 2, {"f": MACRO_F1})["f"])
    found = summarize([Score({}), Score({}, pair=("a", "a"))], {"f": MACRO_F1}, np.array([[0, 0], [0, 1]]))["f"]
    assert np.isnan(found[0]) and found[1] == 1


def test_the_report_has_an_interval_of_macro_f1_on_each_side_and_of_its_change() -> None:
    measures = LabelMeasures([], TRAIN, TEST)
    sides = {
        "base": scored(measures, TEST, ["x"] * 4),
        "tuned": scored(measures, TEST, ["spam", "spam", "ham", "eggs"]),
    }
    metrics, report = evaluate(measures, sides, "mine", 200, 0)
    assert (metrics["base"]["macro_f1"], metrics["tuned"]["macro_f1"]) == (0, 1)
    assert report["intervals"]["change"]["macro_f1"] == [1, 1]
    assert report["intervals"]["tuned"]["macro_f1"] == [1, 1]
    assert list(report["per_label"]) == ["base", "tuned"]
    low, high = report["intervals"]["change"]["majority_baseline"]
    assert (low, high) == (0, 0)


def test_groups_are_the_rows_language_and_topic() -> None:
    (one,) = scored(LabelMeasures([]), [row("a", topic="post", other="x")], ["a"])
    assert one.groups == {"topic": "post"}


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        (row("  "), "has an empty answer"),
        ({"id": "1", "text": "spam"}, "is only text, which answers nothing"),
        (row("Ham "), None),
        (row("sapm"), "has the label 'sapm', which eval.labels of recipe.yaml lacks: spam, ham"),
    ],
)
def test_what_is_no_label_is_told(reference: Row, said: str | None) -> None:
    measures = LabelMeasures(["spam", "ham"])
    found = measures.unreadable(reference)
    assert found is None if said is None else found.startswith(said)
    if said:
        with pytest.raises(click.ClickException, match="a test row"):
            measures.score(reference, "spam")
    assert LabelMeasures([]).unreadable(row("anything")) is None
