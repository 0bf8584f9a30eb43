"""Figures that are no mean of the rows' own, compared row by row: the answers are scored anew."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.recipe_folder import write_recipe
from tests.small_pipeline import Small, small_pipeline
from tests.tuneline.comparing.test_figures import moved
from tuneline.comparing.figures import APART, Figure
from tuneline.comparing.pairing import PAIRED, Pairs
from tuneline.comparing.rescoring import recipe_of
from tuneline.measuring.kinds import open_measures
from tuneline.measuring.score import summarize

SCHEMA = {"type": "object", "required": ["intent"]}
RIGHT = {"intent": "play", "artist": "Bach", "year": "1723"}
WRONG = {"intent": "play", "artist": "Handel", "year": "1741"}
OWN = """
from tuneline.measuring.score import F1, MEAN, Score, compared
from collections import Counter

FIGURES = {"whole": MEAN, "f1": F1}

def score(row, answer, outcomes=()):
    wanted, given = (Counter((word, "") for word in text.split()) for text in (row["messages"][-1]["content"], answer))
    return Score({"whole": wanted == given}, **compared(wanted, given))
"""


@pytest.fixture
def project(tmp_path: Path) -> Small:
    made = small_pipeline(tmp_path / "p")
    made.commands["eval@mine"] = "python -m stages.eval --recipe recipes/mine --adapter mine"
    return made


def recipe(project: Small, **told: Any) -> Path:
    """The recipe of the project, with `told` under eval."""
    folder = project.root / "recipes/mine"
    shutil.rmtree(folder)
    write_recipe(folder, eval=told)
    (folder / "schema.json").write_text(json.dumps(SCHEMA))
    return folder


def predicted(at: int, tuned: Any, reference: Any = RIGHT, base: Any = "none") -> dict[str, Any]:
    as_text = (one if isinstance(one, str) else json.dumps(one) for one in (reference, base, tuned))
    said = dict(zip(("reference", "base", "tuned"), as_text, strict=True))
    return {"id": f"row {at}", "messages": [{"role": "user", "content": f"question {at}"}], **said}


def evaluate(project: Small, folder: Path, rows: list[dict[str, Any]]) -> None:
    """As eval would: what the recipe's measures say of the adapter's answers, and of each one of them."""
    tests = [{**row, "messages": [*row["messages"], {"content": row["reference"]}]} for row in rows]
    measures = open_measures(folder, (), tests)
    scores = [measures.score(test, row["tuned"], []) for test, row in zip(tests, rows, strict=True)]
    tuned = {name: round(float(value), 4) for name, value in summarize(scores, measures.FIGURES).items()}
    project.write("metrics/mine/eval.json", {"tuned": tuned})
    around = {name: [value - 0.1, value + 0.1] for name, value in tuned.items()}
    project.write("metrics/mine/report.json", {"rows": len(rows), "intervals": {"tuned": around}})
    figures = ({"tuned": dict(score.figures)} for score in scores)
    made = [{**row, "figures": one} for row, one in zip(rows, figures, strict=True)]
    project.made("metrics/mine/predictions.jsonl", made)


def both(project: Small, folder: Path, answers: Callable[[int, int], Any], **more: Any) -> dict[str, Figure]:
    """What moved between round 0 and round 1 of 80 answers each, by name."""
    for side in (0, 1):
        evaluate(project, folder, [predicted(at, answers(side, at), **more) for at in range(80)])
        project.commit() if side == 0 else None
    return {figure.name.removeprefix("tuned."): figure for figure in moved(project)}


def better(side: int, at: int, right: Any = RIGHT, wrong: Any = WRONG) -> Any:
    """Half of the answers are right; then four more."""
    return right if at < 40 + 4 * side else wrong


def test_slot_f1_is_compared_row_by_row(project: Small) -> None:
    found = both(project, recipe(project, measures="json", intent="intent"), better)
    assert {figure.how for figure in found.values()} == {PAIRED}
    low, high = found["slot_f1"].interval
    assert found["slot_f1"].change == pytest.approx(0.05)
    assert 0 < low < 0.03 < 0.07 < high < 0.12  # apart: -0.09 to 0.19
    assert (
        found["slot_f1"].interval == found["exact_match"].interval
    )  # of records of two slots, both right or both wrong


def test_each_pair_counts_alike_not_each_row(project: Small) -> None:
    """Records of many slots weigh more in F1 than in a mean over rows."""
    long = RIGHT | {f"slot {at}": "x" for at in range(8)}
    folder = recipe(project, measures="json", intent="intent")
    rows = [predicted(at, RIGHT if at < 70 else WRONG, RIGHT) for at in range(80)] + [predicted(80, WRONG, long)]
    evaluate(project, folder, rows)
    project.commit()
    evaluate(project, folder, [*rows[:80], predicted(80, long, long)])
    found = {figure.name: figure for figure in moved(project)}
    assert found["tuned.slot_f1"].how == PAIRED
    assert found["tuned.slot_f1"].interval[1] > 2 * found["tuned.exact_match"].interval[1] > 0


def test_macro_f1_is_compared_row_by_row(project: Small) -> None:
    folder = recipe(project, measures="labels", labels=["yes", "no"])
    found = both(project, folder, lambda side, at: better(side, at, "yes", "no"), reference="yes")
    assert found["macro_f1"].how == PAIRED and not found["macro_f1"].is_noise


def test_measures_of_a_recipe_of_its_own(project: Small) -> None:
    folder = recipe(project, measures="own")
    (folder / "measures.py").write_text(OWN)
    found = both(project, folder, lambda side, at: better(side, at, "a b", "c"), reference="a b")
    assert found["f1"].how == PAIRED and not found["f1"].is_noise


@pytest.mark.parametrize(
    "today",
    [
        OWN.replace("text.split()", "text"),  # other figures
        OWN.replace('"content"', '"nothing"'),  # raises
        None,
        OWN + "\ndef ask(row, answer):\n    return []\n",
    ],
    ids=["other", "raises", "gone", "judged"],
)
def test_measures_that_do_not_give_what_was_told_pair_nothing(
    project: Small, tmp_path: Path, today: str | None
) -> None:
    was = write_recipe(tmp_path / "was", eval={"measures": "own"})
    (was / "measures.py").write_text(OWN)
    folder = recipe(project, measures="own")
    if today:
        (folder / "measures.py").write_text(today)
    found = both(project, was, lambda side, at: better(side, at, "a b", "c"), reference="a b")
    assert {name: figure.how for name, figure in found.items()} == {"whole": PAIRED, "f1": APART}


def test_rows_of_one_side_alone_count_there(project: Small) -> None:
    folder = recipe(project, measures="json", intent="intent")
    evaluate(project, folder, [predicted(at, better(0, at)) for at in range(80)])
    project.commit()
    evaluate(project, folder, [predicted(at, better(1, at)) for at in range(90)])
    found = {figure.name: figure for figure in moved(project)}["tuned.slot_f1"]
    low, high = found.interval
    assert found.how == "80 of 90 rows paired"
    assert low < found.change < high


def test_after_examples_the_difference_of_two_sides(project: Small) -> None:
    folder = recipe(project, measures="json", intent="intent")
    rows = [
        [{**predicted(at, better(side, at)), "figures": {}, "shots": json.dumps(RIGHT if at % 2 else WRONG)}
         for at in range(80)]
        for side in (0, 1)
    ]  # fmt: skip
    found = Pairs(*rows, folder).interval("change_over_shots", "slot_f1", (0.0, 0.05))
    assert found and 0 < found[0] < 0.05 < found[1]
    assert Pairs(*rows, folder).interval("change_over_shots", "slot_f1", (0.1, 0.15)) is None


def test_the_recipe_is_that_of_the_last_evaluation() -> None:
    locked = {"eval@mine": {"cmd": "python -m stages.eval --recipe recipes/other --adapter mine"}, "eval@bare": {}}
    assert recipe_of("mine", locked) == "recipes/other"
    assert recipe_of("bare", locked) is None and recipe_of("nobody", locked) is None
