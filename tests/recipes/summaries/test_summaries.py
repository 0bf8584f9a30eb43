"""The recipes of summaries: what eval writes is what promotion computes."""

import json
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from tests.conftest import ROOT, Project, copy_project
from tests.in_process import run_stages
from tuneline.cli import show
from tuneline.files import read_jsonl, write_jsonl
from tuneline.measuring.report import score_answers
from tuneline.measuring.task_answers import MEASURES, TaskMeasures
from tuneline.recipe.settings import TaskEval, read_recipe
from tuneline.recipe.tasks import SCORES

SUMMARIES, SCITLDR = ROOT / "recipes/summaries", ROOT / "recipes/scitldr"
NAMES = [*MEASURES["summarization"], *SCORES]
FIGURES = [*NAMES, "good_share", "judged_share"]
TEXTS = [
    ("en", "rail", "The {n} line to Harwell closes for {n} weeks in June. Its bridge needs new bolts. Buses run."),
    (
        "fr",
        "rail",
        "La ligne {n} vers Nîmes ferme {n} semaines en juin. Son pont veut des boulons neufs. Un car roule.",
    ),
    ("en", "food", "The market of ward {n} opens at {n} on Sundays. Its stalls sell bread, cheese and cut flowers."),
    ("fr", "food", "Le marché du quartier {n} ouvre à {n} h le dimanche. On y vend du pain, des œufs et des fleurs."),
]


def test_the_recipes_are_read_and_measured_as_summaries() -> None:
    ours, theirs = read_recipe(SUMMARIES), read_recipe(SCITLDR)
    assert isinstance(ours.eval, TaskEval)
    assert isinstance(theirs.eval, TaskEval)
    assert (ours.eval.task, theirs.eval.task) == ("summarization", "summarization")
    assert (SUMMARIES / ours.eval.rubric).is_file()
    assert theirs.eval.rubric is None
    gate = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))["gate"]
    assert ours.eval.good == gate["min-score"]
    assert gate["measure"] in MEASURES["summarization"]


def samples(first: int, count: int) -> list[dict]:
    """Texts whose first sentence is the summary; no two alike."""
    made = []
    for number in range(first, first + count):
        language, topic, text = TEXTS[number % len(TEXTS)]
        filled = text.format(n=number)
        made.append({"language": language, "topic": topic, "input": filled, "output": filled.split(". ")[0] + "."})
    return made


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The recipe's pipeline on a few rows, judged offline; the answers are no model's."""
    project = copy_project(tmp_path_factory.mktemp("summaries"))
    source = project.root / "recipes/summaries/source"
    for name, first, count in (("samples", 0, 16), ("valid", 40, 4), ("test", 60, 8)):
        write_jsonl(source / f"{name}.jsonl", samples(first, count))
    for old in ("same-group: 0.7", "contamination: 0.85"):  # its texts are of four kinds only
        project.edit("recipes/summaries/recipe.yaml", old, f"{old.split(':')[0]}: 1.0")
    params = yaml.safe_load((project.root / "params.yaml").read_text("utf-8"))
    adapter = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))["adapters"]["summaries"]
    params["recipes"] = ["summaries"]
    params["adapters"] = {"summaries": {**adapter, "max-new-tokens": "auto"}}
    params["trim"]["max-tokens"] = 512
    (project.root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    run_stages(project, *(f"{stage}@summaries" for stage in ("extract", "sdg", "curate", "trim", "split")))
    data = project.root / "data/summaries"
    rows = read_jsonl(data / "split/test.jsonl")
    for name, place in (("baseline", -2), ("answers", -1)):  # the question again, and the reference
        answers = ({"id": row["id"], "answer": row["messages"][place]["content"]} for row in rows)
        write_jsonl(data / f"{name}.jsonl", answers)
    run_stages(project, "eval@summaries")
    return project


def read_json(project: Project, name: str) -> Any:
    return json.loads((project.root / "metrics/summaries" / name).read_text("utf-8"))


def test_eval_measures_and_judges_base_and_tuned(ran: Project) -> None:
    figures, report = read_json(ran, "eval.json"), read_json(ran, "report.json")
    for side in ("base", "tuned"):
        assert list(figures[side]) == FIGURES
        assert figures[side]["judged_share"] == 1
        assert set(report["intervals"][side]) == set(figures[side])
        assert {name: line["rows"] for name, line in report["per_language"][side].items()} == {"en": 4, "fr": 4}
        assert set(report["per_topic"][side]) == {"food", "rail"}
        for line in report["per_language"][side].values():
            low, high = line["overall_interval"]
            assert 0 <= low <= line["overall"] <= high <= 1
            assert 0 <= line["rouge_l"] <= 1
    assert (report["rows"], report["judge"]) == (8, "offline")
    assert (ran.root / "metrics/summaries/confusion.csv").read_text("utf-8").count("overall ") == 8


def test_the_figures_of_each_row_are_those_that_promotion_computes(ran: Project) -> None:
    predictions = read_jsonl(ran.root / "metrics/summaries/predictions.jsonl")
    rows = read_jsonl(ran.root / "data/summaries/split/test.jsonl")
    assert [p["id"] for p in predictions] == [row["id"] for row in rows]
    for side in ("base", "tuned"):
        measures = TaskMeasures("summarization", None, 0.8)
        scored, _ = score_answers(measures, rows, [p[side] for p in predictions], None)
        against = MEASURES["summarization"]
        assert [s.figures for s in scored] == [{n: p["figures"][side][n] for n in against} for p in predictions]
        assert all(list(p["figures"][side]) == FIGURES and p["marks"][side]["reason"] for p in predictions)
        mean = sum(p["figures"][side]["overall"] for p in predictions) / len(predictions)
        assert read_json(ran, "eval.json")[side]["overall"] == pytest.approx(mean, abs=1e-4)


def test_the_table_is_within_a_hundred_columns(ran: Project) -> None:
    shown = CliRunner().invoke(show, [str(ran.root / "metrics/summaries")]).stdout
    assert all(name in shown for name in NAMES)
    assert max(map(len, shown.splitlines())) <= 100
