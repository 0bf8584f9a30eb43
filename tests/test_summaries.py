"""The recipes of summaries: what eval writes is what promotion computes; SciTLDR, where a mirror has it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from bench.summaries import name_of, served
from stages.extract import main as extract
from tests.conftest import ENVIRONMENT, ROOT, Project, copy_project
from tests.small_base import write_small_base
from tuneline.external import MIRROR
from tuneline.files import read_jsonl, write_jsonl
from tuneline.multi_target import read_multi_target
from tuneline.recipe import TaskEval, read_recipe
from tuneline.rows import BadRow
from tuneline.task_judge_offline import SCORES
from tuneline.task_measures import MEASURES, score_answers

SUMMARIES, SCITLDR = ROOT / "recipes/summaries", ROOT / "recipes/scitldr"
NAMES = [*MEASURES["summarization"], *SCORES]
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
    """The recipe's pipeline on a few rows and a base that is made of nothing, judged offline."""
    project = copy_project(tmp_path_factory.mktemp("summaries"))
    source = project.root / "recipes/summaries/source"
    for name, first, count in (("samples", 0, 16), ("valid", 40, 4), ("test", 60, 8)):
        write_jsonl(source / f"{name}.jsonl", samples(first, count))
    for old in ("same-group: 0.7", "contamination: 0.85"):  # its texts are of four kinds only
        project.edit("recipes/summaries/recipe.yaml", old, f"{old.split(':')[0]}: 1.0")
    write_small_base(project.root / "models/small")
    params = yaml.safe_load((project.root / "params.yaml").read_text("utf-8"))
    adapter = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))["adapters"]["summaries"]
    params["recipes"] = ["summaries"]
    params["adapters"] = {"summaries": {**adapter, "base": "models/small", "max-new-tokens": 12}}
    params["adapters"]["summaries"]["train"] |= {"epochs": 1}
    params["trim"]["max-tokens"] = 512
    (project.root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    assert project.repro()[-1] == "eval"
    return project


def read_json(project: Project, name: str) -> Any:
    return json.loads((project.root / "metrics/summaries" / name).read_text("utf-8"))


def test_eval_measures_and_judges_base_and_tuned(ran: Project) -> None:
    figures, report = read_json(ran, "eval.json"), read_json(ran, "report.json")
    for side in ("base", "tuned"):
        assert list(figures[side]) == [*NAMES, "good_share", "judged_share"]
        assert figures[side]["judged_share"] == 1
        assert set(report["intervals"][side]) == set(figures[side])
        assert {name: line["rows"] for name, line in report["by_language"][side].items()} == {"en": 4, "fr": 4}
        assert set(report["by_topic"][side]) == {"food", "rail"}
        for line in report["by_language"][side].values():
            low, high = line["rouge_l_interval"]
            assert 0 <= low <= line["rouge_l"] <= high <= 1
    assert (report["rows"], report["judge"], report["task"]) == (8, "offline", "summarization")
    assert (ran.root / "metrics/summaries/confusion.csv").read_text("utf-8").count("overall ") == 8


def test_the_figures_of_each_row_are_those_that_promotion_computes(ran: Project) -> None:
    predictions = read_jsonl(ran.root / "metrics/summaries/predictions.jsonl")
    rows = read_jsonl(ran.root / "data/summaries/chat/test.jsonl")
    assert [p["id"] for p in predictions] == [row["id"] for row in rows]
    for side in ("base", "tuned"):
        scored, _ = score_answers("summarization", rows, [p[side] for p in predictions])
        against = MEASURES["summarization"]
        assert [s.figures for s in scored] == [{n: p["figures"][side][n] for n in against} for p in predictions]
        assert all(list(p["figures"][side]) == NAMES and p["reasons"][side] for p in predictions)
        mean = sum(p["figures"][side]["overall"] for p in predictions) / len(predictions)
        assert read_json(ran, "eval.json")[side]["overall"] == pytest.approx(mean, abs=1e-4)


def test_the_table_is_within_a_hundred_columns(ran: Project) -> None:
    shown = ran.run("tuneline", "show", "metrics/summaries").stdout
    assert all(name in shown for name in NAMES)
    assert max(map(len, shown.splitlines())) <= 100


def test_a_record_of_several_targets() -> None:
    record = {
        "source": ["One.\n", " ", "Two  words."],
        "target": [" First. ", "Second."],
        "title": "T",
        "rouge_scores": [],
    }
    assert list(read_multi_target(record)) == [
        {"input": "One. Two words.", "output": "First.", "references": ["First.", "Second."], "title": "T"}
    ]


@pytest.mark.parametrize(
    "record",
    [[], {}, {"source": "text", "target": ["x"]}, {"source": ["x"], "target": []}, {"source": [1], "target": ["x"]},
     {"source": [" "], "target": ["x"]}],
)  # fmt: skip
def test_another_form_is_one_bad_row(record: Any) -> None:
    (bad,) = read_multi_target(record)
    assert isinstance(bad, BadRow)
    assert "not of the form" in str(bad)


def test_the_bench_takes_the_version_in_service_and_the_one_before(tmp_path: Path) -> None:
    assert served(tmp_path) == []
    for name in ("v0.2.0", "v0.9.0", "v0.10.0"):
        (tmp_path / name).mkdir()
    (tmp_path / "current").symlink_to("v0.10.0")
    assert [path.name for path in served(tmp_path)] == ["v0.10.0", "v0.9.0"]
    (tmp_path / "current").unlink()
    (tmp_path / "current").symlink_to("v0.2.0")  # as after a rollback
    assert [path.name for path in served(tmp_path)] == ["v0.2.0"]
    assert name_of(Path("served/summaries/v0.10.0")) == "summaries_v0_10_0"


needs_mirror = pytest.mark.skipif(MIRROR not in os.environ, reason=f"{MIRROR} is not set")


@needs_mirror
def test_scitldr_is_read_whole(tmp_path: Path) -> None:
    recipe = tmp_path / "scitldr"
    recipe.symlink_to(SCITLDR)
    words = ["--recipe", str(recipe), "--state", str(tmp_path / "state")]
    for option in ("out", "rejects", "metrics", "documents"):
        words += [f"--{option}", str(tmp_path / option)]
    result = CliRunner().invoke(extract, words)
    assert result.exit_code == 0, result.output
    rows = read_jsonl(tmp_path / "out")
    sets = [row.get("set", "train") for row in rows]
    assert [sets.count(name) for name in ("train", "valid", "test")] == [1992, 619, 618]
    test = [row for row in rows if row.get("set") == "test"]
    assert sum(len(row["fields"]["references"]) for row in test) == 1967
    assert all(row["fields"]["references"][0] == row["messages"][-1]["content"] for row in test)
    assert "\n" not in "".join(row["messages"][0]["content"] for row in rows)


@needs_mirror
def test_the_bench_measures_the_first_rows() -> None:
    command = [
        sys.executable,
        "bench/summaries.py",
        "--json",
        "--rows",
        "3",
        "--max-new-tokens",
        "4",
        "--samples",
        "20",
    ]
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["rows"] == 3
    for name in ("first_sentence", "last_sentence", "base"):
        assert 0 <= found[f"{name}_rouge_l_low"] <= found[f"{name}_rouge_l"] <= found[f"{name}_rouge_l_high"] <= 1
    assert found["first_sentence_rouge_1"] > 0
