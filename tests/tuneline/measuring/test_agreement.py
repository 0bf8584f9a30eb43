"""A judge held against labels: kappa, its interval, its taste for length, and the commands that show them."""

import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from tests.conftest import ROOT
from tuneline.cli import main
from tuneline.files import read_jsonl, write_jsonl
from tuneline.measuring.agreement import Labelled, _places, agreement, correlation, kappa
from tuneline.measuring.score import UNJUDGED, Score

ROW = {"id": "r", "messages": [{"role": "user", "content": "?"}, {"role": "assistant", "content": "!"}]}
PAIRS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=2, max_size=30)


def of(labels: list, said: list, name: str = "score", answers: list[str] | None = None) -> dict:
    """The agreement on one label, without a bootstrap that matters."""
    answers = answers or ["word"] * len(labels)
    labelled = [Labelled(ROW, answer, {name: label}) for answer, label in zip(answers, labels, strict=True)]
    scores = [Score({}, pair=("", value or UNJUDGED)) if name == "kind" else Score({name: value}) for value in said]
    return agreement(labelled, scores, 200, 0)[name]


@given(PAIRS)
def test_kappa_of_kinds_is_cohens(pairs: list[tuple[str, str]]) -> None:
    one, other = zip(*pairs, strict=True)
    observed = np.mean([a == b for a, b in pairs])
    chance = np.mean([a == b for a, b in itertools.product(one, other)])
    found = kappa(*_places(list(one), list(other)))[0]
    assert np.isnan(found) if chance == 1 else found == pytest.approx((observed - chance) / (1 - chance))


@given(st.lists(st.tuples(st.integers(0, 10), st.integers(0, 10)), min_size=2, max_size=30))
def test_kappa_of_numbers_weighs_by_the_squared_distance(pairs: list[tuple[int, int]]) -> None:
    one, other = zip(*pairs, strict=True)
    apart = np.mean([(a - b) ** 2 for a, b in pairs])
    by_chance = np.mean([(a - b) ** 2 for a, b in itertools.product(one, other)])
    found = kappa(*_places(list(one), list(other)))[0]
    assert np.isnan(found) if by_chance == 0 else found == pytest.approx(1 - apart / by_chance)


def test_the_published_example_of_kappa() -> None:
    """Cohen 1960 has the formula; 20 both yes, 15 both no, 5 and 10 apart: 0.4."""
    counts = ((True, True, 20), (True, False, 5), (False, True, 10), (False, False, 15))
    one = [a for a, _, times in counts for _ in range(times)]
    other = [b for _, b, times in counts for _ in range(times)]
    told = of(one, other)
    assert (told["labels"], told["equal"], told["kappa"]) == (50, 0.7, 0.4)
    low, high = told["kappa_interval"]
    assert low < 0.4 < high


def test_correlation_is_spearmans() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, 6, (3, 20)).astype(float), rng.normal(size=(3, 20))
    for line, value in enumerate(correlation(one, other)):
        assert value == pytest.approx(spearmanr(one[line], other[line]).statistic)


def test_a_judge_that_likes_length_is_told_from_one_that_does_not() -> None:
    answers = ["word " * length for length in range(1, 21)]
    labels = [5.0] * 10 + [6.0] * 10
    longer = [label + length / 10 for length, label in enumerate(labels)]
    assert of(labels, longer, answers=answers)["length_bias"] == 1.0
    assert of(labels, labels, answers=answers)["length_bias"] is None  # it gives nobody more
    assert of(labels, labels, answers=answers)["kappa"] == 1.0


def test_a_judge_that_says_one_thing_of_all_has_no_agreement_beyond_chance() -> None:
    assert of([True, False, True, False], [True] * 4)["kappa"] == 0.0
    assert of([True] * 4, [True] * 4)["kappa"] is None
    assert of(["a", "b", "a", "b"], ["c"] * 4, "kind")["kappa"] == 0.0


def test_what_is_not_judged_is_not_counted_as_agreement() -> None:
    told = of(["a", "b", "a"], ["a", "b", None], "kind")
    assert (told["labels"], told["of"], told["equal"]) == (2, 3, 1.0)
    assert of([1.0, 2.0], [None, 2.0]) == {"labels": 1, "of": 2}


# ------------------------------------------------------------------ the commands


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """french_admin, and what eval would have left of two test rows."""
    (tmp_path / ".dvc").mkdir()
    config = (ROOT / ".dvc/config").read_text("utf-8").replace("[core]", "[core]\n    no_scm = True")
    (tmp_path / ".dvc/config").write_text(config, "utf-8")
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "recipes/french_admin", tmp_path / "recipes/french_admin")
    rows = [line["row"] for line in read_jsonl(ROOT / "recipes/french_admin/judge/labelled.jsonl")[:2]]
    write_jsonl(tmp_path / "data/french_admin/split/test.jsonl", rows)
    answers = [{"id": row["id"], "base": "Je ne sais pas.", "tuned": "Oui, en mairie."} for row in rows]
    write_jsonl(tmp_path / "metrics/french_admin/predictions.jsonl", answers)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    return tmp_path


def tell(*words: str) -> str:
    done = CliRunner().invoke(main, ["judge", *words])
    assert done.exit_code == 0, done.output
    return done.output


def refused(*words: str) -> str:
    done = CliRunner().invoke(main, ["judge", *words])
    assert done.exit_code == 1, done.output
    return done.output


def test_answers_are_drawn_blind_labelled_and_checked(project: Path) -> None:
    out = project / "mine.jsonl"
    assert "4 answers" in tell("sample", "french_admin", "--out", str(out))
    assert "may have labels" in refused("sample", "french_admin", "--out", str(out))
    lines = read_jsonl(out)
    assert sorted(line["answer"] for line in lines) == ["Je ne sais pas."] * 2 + ["Oui, en mairie."] * 2
    assert {name for line in lines for name in line} == {"row", "answer", "labels"}
    assert list(lines[0]["labels"])[:3] == ["kind", "score", "law"] and "judged_share" not in lines[0]["labels"]

    assert "no label is filled in" in refused("check", "french_admin", "--labels", str(out))
    for line in lines:
        line["labels"]["kind"] = "refusal" if "pas" in line["answer"] else "direct"
        line["labels"]["score"] = 0 if "pas" in line["answer"] else 9.5
    write_jsonl(out, lines)
    told = json.loads(tell("check", "french_admin", "--labels", str(out), "--json"))
    assert told["judge"] == "offline" and list(told["figures"]) == ["kind", "score"]
    assert told["figures"]["kind"] | {"kappa_interval": None} == {
        "labels": 4, "of": 4, "equal": 1.0, "kappa": 1.0, "kappa_interval": None,
    }  # fmt: skip


def test_the_labels_of_the_recipe_are_the_default(project: Path) -> None:
    said = tell("check", "french_admin", "--out", "told.json")
    told = json.loads((project / "told.json").read_text("utf-8"))["figures"]
    assert told["kind"]["labels"] == 48 and f"{told['kind']['kappa']:.2f} [" in said
    assert max(map(len, said.splitlines())) <= 100


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", ":1: not JSON"),
        ('{"row": {}, "answer": ""}', ":1: a line is an object of answer, labels, row"),
        ('{"row": [], "answer": "", "labels": {}}', ":1: row and labels are objects"),
        ('{"row": {"id": "x"}, "answer": "", "labels": {}}', ":1: row has no messages"),
        ('{"row": {}, "answer": "", "labels": {"scare": 1}}', ":1: labels.scare is no figure"),
        ('{"row": {}, "answer": "", "labels": {"kind": true}}', ":1: labels.kind is True"),
        ('{"row": {}, "answer": "", "labels": {"score": "9"}}', ":1: labels.score is '9'"),
        ('{"row": {}, "answer": "", "labels": {"score": [9]}}', ":1: labels.score is [9], which is no label"),
    ],
)
def test_labels_that_cannot_be_read(project: Path, line: str, said: str) -> None:
    (project / "bad.jsonl").write_text(f"{line}\n", "utf-8")
    assert f"bad.jsonl{said}" in refused("check", "french_admin", "--labels", "bad.jsonl")


def test_a_recipe_without_a_judge_has_none_to_check(project: Path) -> None:
    shutil.copytree(ROOT / "recipes/query_json", project / "recipes/query_json")
    assert "no judge is asked" in refused("check", "query_json")
