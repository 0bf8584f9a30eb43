"""eval: both answers scored by the recipe's measures; no model is loaded, and a judgement is paid once."""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from stages.eval import main
from tests.conftest import ENVIRONMENT, ROOT
from tests.ending import end_line
from tests.recipe_folder import write_recipe
from tests.servers.scripted_server import scripted
from tests.teaching import asking, flags, settings
from tuneline.files import read_jsonl, write_jsonl
from tuneline.recipe.forms import read_form
from tuneline.rows import make_row
from tuneline.teaching.options import Settings

SCHEMA = {"type": "object", "properties": {"type": {"enum": ["search", "count"]}, "n": {"type": "integer"}}}
ASKED = [
    ("find 1", {"type": "search", "n": 1}),
    ("find 2", {"type": "search", "n": 2}),
    ("how many", {"type": "count"}),
]
ROWS = [make_row(read_form({"query": text, "data": data}), "test.jsonl", n) for n, (text, data) in enumerate(ASKED)]
BASE = ["", '{"type":"count","n":2}', '{"type":"count"}']
TUNED = ['{"type":"search","n":1}', '{"type":"search","n":3}', '{"type":"count"}']
OUTPUTS = ("metrics", "report", "confusion", "predictions")
OWN = """
from tuneline.measuring.score import MEAN, Score
from tuneline.rows import answer as right
from tuneline.teaching.request import Request

FIGURES = {"same": MEAN, "liked": MEAN}
SCHEMA = {"type": "object", "required": ["liked"], "properties": {"liked": {"type": "boolean"}}}


def ask(row, answer):
    return [Request((("user", f"{right(row)} or {answer}?"),), SCHEMA, {"answer": answer})]


def score(row, answer, outcomes):
    (outcome,) = outcomes
    liked = None if outcome.reason else outcome.value["liked"]
    return Score({"same": right(row) == answer, "liked": liked}, marks={"why": outcome.detail})
"""
JUDGE = """
def answer(facts):
    return {"liked": "search" in facts["answer"]}
"""


def write(folder: Path, eval_: dict[str, Any] | None = None, **doors: str) -> Path:
    """A recipe; `doors` are files of its Python."""
    recipe = write_recipe(folder, eval={"measures": "json", "intent": "type"})
    (recipe / "schema.json").write_text(json.dumps(SCHEMA))
    if eval_:
        whole = yaml.safe_load((recipe / "recipe.yaml").read_text("utf-8"))
        (recipe / "recipe.yaml").write_text(yaml.safe_dump(whole | {"eval": eval_}))
    for door, text in doors.items():
        (recipe / f"{door}.py").write_text(text, encoding="utf-8")
    return recipe


def words(recipe: Path, to: Path, judge: Settings | None = None, samples: int = 50) -> list[str]:
    paths: dict[str, Any] = {
        "recipe": recipe,
        "adapter": "mine",
        "answers": to / "answers",
        "samples": samples,
        "seed": 0,
    }
    paths |= {name: to / f"{name}.jsonl" for name in ("train", "test", "baseline", "tuned")}
    paths |= {name: to / name for name in OUTPUTS}
    given = [word for flag, value in paths.items() for word in (f"--{flag}", str(value))]
    return [*given, *flags(judge or settings(provider="offline"))]


def answered(to: Path, base: list = BASE, tuned: list = TUNED, rows: list = ROWS, key: str = "answer") -> None:
    """The files that split, baseline and predict write."""
    write_jsonl(to / "test.jsonl", rows)
    write_jsonl(to / "train.jsonl", [elsewhere(row, n) for n, row in enumerate(rows)])
    for name, said in (("baseline", base), ("tuned", tuned)):
        write_jsonl(to / f"{name}.jsonl", ({"id": row["id"], key: one} for row, one in zip(rows, said, strict=True)))


def elsewhere(row: dict, n: int) -> dict:
    """A row with that answer to another question."""
    if "text" in row:
        return row | {"id": f"train {n}", "text": f"another text, the {n}. of several"}
    asked = {"role": "user", "content": f"what nobody is tested on, {n}"}
    return row | {"id": f"train {n}", "messages": [asked, row["messages"][-1]]}


def run(recipe: Path, to: Path, judge: Settings | None = None) -> Result:
    return CliRunner().invoke(main, words(recipe, to, judge))


def read(to: Path, name: str) -> Any:
    return json.loads((to / name).read_text("utf-8"))


def test_both_sides_have_their_figures_and_what_stands_beside_them(tmp_path: Path) -> None:
    answered(tmp_path)
    result = run(write(tmp_path / "r"), tmp_path)
    assert result.exit_code == 0, result.output
    assert end_line(result.stderr) == "eval mine 3 test rows slot_f1 0.667 → 0.500"
    assert read(tmp_path, "metrics") == {
        "base": {
            "json_valid": 0.6667, "schema_valid": 0.6667, "intent_accuracy": 0.3333, "slot_precision": 1.0,
            "slot_recall": 0.5, "slot_f1": 0.6667, "exact_match": 0.3333,
        },
        "tuned": {
            "json_valid": 1.0, "schema_valid": 1.0, "intent_accuracy": 1.0, "slot_precision": 0.5,
            "slot_recall": 0.5, "slot_f1": 0.5, "exact_match": 0.6667,
        },
    }  # fmt: skip
    report = read(tmp_path, "report")
    assert list(report) == ["rows", "main", "intervals", "mcnemar", "per_intent", "worst"]
    assert report["mcnemar"]["change"]["exact_match"] == {"won": 1, "lost": 0, "p": 1.0}
    assert (report["rows"], report["per_intent"]["tuned"]["search"]["rows"]) == (3, 2)
    assert report["worst"] == [{"kind": "field", "expected": "n", "given": "another value", "times": 1}]
    with (tmp_path / "confusion").open(newline="") as lines:
        pairs = [(line["actual"], line["predicted"]) for line in csv.DictReader(lines)]
    assert pairs == [("search", "search"), ("search", "search"), ("count", "count")]
    first = read_jsonl(tmp_path / "predictions")[0]
    assert first == {
        "id": ROWS[0]["id"],
        "messages": [{"role": "user", "content": "find 1"}],
        "reference": '{"type":"search","n":1}',
        "base": "",
        "tuned": TUNED[0],
        "figures": first["figures"],
        "marks": {"base": {"exact": False}, "tuned": {"exact": True}},
    }
    assert first["figures"]["tuned"] == dict.fromkeys(
        ("json_valid", "schema_valid", "intent_accuracy", "exact_match"), True
    )
    assert "mine" in result.output and "slot_f1" in result.output


def test_test_rows_that_stand_in_training_rows_are_counted_and_left_out_once(tmp_path: Path) -> None:
    answered(tmp_path)
    same = ROWS[1] | {"id": "seen", "set": "valid"}  # whatever a row says of itself: it was trained on
    write_jsonl(tmp_path / "train.jsonl", [*read_jsonl(tmp_path / "train.jsonl"), same])
    result = run(write(tmp_path / "r"), tmp_path)
    assert result.exit_code == 0, result.output
    figures, found = read(tmp_path, "metrics"), read(tmp_path, "report")["contamination"]
    assert (figures["contaminated"], figures["tuned"]["slot_f1"]) == (1, 0.5)
    assert (found["rows"], read(tmp_path, "report")["main"]) == (1, "slot_f1")
    assert found["found"] == [{"id": ROWS[1]["id"], "in": "seen", "similarity": 1.0}]
    assert (found["figures"]["base"]["slot_f1"], found["figures"]["tuned"]["slot_f1"]) == (0.0, 1.0)
    said = " ".join(result.output.split())
    assert "1 of 3 test rows stand in training rows, as they are or nearly; without them slot_f1 0.000 → 1.000" in said
    write_jsonl(tmp_path / "train.jsonl", ROWS)
    result = run(write(tmp_path / "other"), tmp_path)
    assert result.exit_code == 0 and "3 of 3 test rows stand in training rows, as they are or nearly\n" in result.output


SHOWN = ['{"type":"search","n":1}', '{"type":"search","n":2}', "no"]


def test_the_base_after_examples_is_a_third_side(tmp_path: Path) -> None:
    answered(tmp_path / "two")
    answered(tmp_path)
    base = read_jsonl(tmp_path / "baseline.jsonl")
    more = [{"shots": said, "examples": count} for said, count in zip(SHOWN, (3, 3, 2), strict=True)]
    write_jsonl(tmp_path / "baseline.jsonl", (row | one for row, one in zip(base, more, strict=True)))
    recipe = write(tmp_path / "r")
    assert run(recipe, tmp_path / "two").exit_code == 0
    result = run(recipe, tmp_path)
    assert result.exit_code == 0, result.output
    assert end_line(result.stderr) == "eval mine 3 test rows slot_f1 0.667 → 0.500, shots 1.000"
    figures, without = read(tmp_path, "metrics"), read(tmp_path / "two", "metrics")
    assert figures == {**without, "shots": {"slot_f1": 1.0}, "change_over_shots": {"slot_f1": -0.5}}
    report, two = read(tmp_path, "report"), read(tmp_path / "two", "report")
    assert (report["shots"]["examples"], report["shots"]["fewer"]) == (3, 1)
    assert report["shots"]["figures"]["exact_match"] == 0.6667
    assert {side: report["intervals"][side] for side in two["intervals"]} == two["intervals"]
    assert report["mcnemar"]["change_over_shots"]["exact_match"] == {"won": 1, "lost": 1, "p": 1.0}
    low, high = report["intervals"]["change_over_shots"]["slot_f1"]
    assert low <= -0.5 <= high
    assert report["per_intent"]["shots"]["count"]["rows"] == 1
    (first, *_), (bare, *_) = read_jsonl(tmp_path / "predictions"), read_jsonl(tmp_path / "two/predictions")
    assert first["shots"] == SHOWN[0] and first["figures"]["shots"]["exact_match"] and first["tuned"] == bare["tuned"]
    told = " ".join(result.output.split())
    assert "shots: the untuned base after 3 training rows as examples, 1 of the rows after fewer" in told
    assert "over shots" in told and widest(result) <= 100


def test_answers_may_come_in_another_order_and_two_runs_give_the_same_bytes(tmp_path: Path) -> None:
    recipe = write(tmp_path / "r")
    for name in ("a", "b"):
        answered(tmp_path / name)
    shuffled = read_jsonl(tmp_path / "b/tuned.jsonl")[::-1]
    write_jsonl(tmp_path / "b/tuned.jsonl", shuffled)
    for name in ("a", "b"):
        assert run(recipe, tmp_path / name).exit_code == 0
    for output in OUTPUTS:
        assert (tmp_path / "a" / output).read_bytes() == (tmp_path / "b" / output).read_bytes(), output


@pytest.mark.parametrize("change", [lambda rows: rows[1:], lambda rows: [*rows, {"id": "other", "answer": ""}]])
@pytest.mark.parametrize("side", ["baseline", "tuned"])
def test_answers_to_other_rows_are_refused(change: Any, side: str, tmp_path: Path) -> None:
    answered(tmp_path)
    path = tmp_path / f"{side}.jsonl"
    write_jsonl(path, change(read_jsonl(path)))
    result = run(write(tmp_path / "r"), tmp_path)
    assert (result.exit_code, result.output) == (1, f"Error: {path} is of other test rows; run `dvc repro`\n")
    assert not (tmp_path / "metrics").exists()


@pytest.mark.parametrize("own", [False, True], ids=["json", "own"])
def test_no_model_is_loaded(own: bool, tmp_path: Path) -> None:
    answered(tmp_path)
    recipe = write(tmp_path / "r", {"measures": "own"} if own else None, measures=OWN, offline=JUDGE)
    code = (
        "import sys\n"
        "from stages.eval import main\n"
        "main(sys.argv[1:], standalone_mode=False)\n"
        "heavy = {'torch', 'transformers', 'mlx', 'peft', 'tokenizers', 'openai'}\n"
        "heavy |= {'tuneline.answering', 'tuneline.models', 'tuneline.rendering', 'tuneline.backends'}\n"
        "print('loaded', sorted(heavy & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, *words(recipe, tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "loaded []"
    assert (tmp_path / "metrics").is_file()


# Measures of a recipe's own, and its judge


def test_a_recipes_own_measures_ask_its_own_judge(tmp_path: Path) -> None:
    answered(tmp_path)
    result = run(write(tmp_path / "r", {"measures": "own"}, measures=OWN, offline=JUDGE), tmp_path)
    assert result.exit_code == 0, result.output
    assert read(tmp_path, "metrics") == {
        "base": {"same": 0.3333, "liked": 0.0},
        "tuned": {"same": 0.6667, "liked": 0.6667},
    }
    report = read(tmp_path, "report")
    assert (report["judge"], report["judge_spend"]) == ("offline", {"usd": 0.0, "tokens_in": 0, "tokens_out": 0})
    assert "judged by offline" in result.output


def test_a_judgement_is_paid_once_for_both_sides_and_once_for_all_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    answered(tmp_path)
    recipe = write(tmp_path / "r", {"measures": "own"}, measures=OWN)
    with scripted('{"liked": true}') as server:
        judge = asking(server, "openai")
        assert run(recipe, tmp_path, judge).exit_code == 0
        assert len(server.prompts) == len(set(server.prompts)) == 5  # of 6; one answer is the same on both sides
        first = {name: (tmp_path / name).read_bytes() for name in OUTPUTS}
        (recipe / "measures.py").write_text(OWN.replace("FIGURES = {", "# a remark\nFIGURES = {"), encoding="utf-8")
        assert run(recipe, tmp_path, judge).exit_code == 0
        assert len(server.prompts) == 5
    assert {name: (tmp_path / name).read_bytes() for name in OUTPUTS} == first
    assert read(tmp_path, "report")["judge"] == "openai/m"
    assert read(tmp_path, "report")["judge_spend"]["usd"] > 0


def test_an_answer_that_cannot_be_judged_is_no_zero(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    answered(tmp_path)
    with scripted('{"liked": true}', "no JSON") as server:
        judge = asking(server, "openai", attempts=1, concurrency=1)
        assert run(write(tmp_path / "r", {"measures": "own"}, measures=OWN), tmp_path, judge).exit_code == 0
    assert read(tmp_path, "metrics")["base"]["liked"] == 1.0
    assert read(tmp_path, "metrics")["tuned"]["liked"] is None
    assert read(tmp_path, "report")["intervals"]["tuned"]["liked"] == [None, None]
    assert "not JSON" in read_jsonl(tmp_path / "predictions")[1]["marks"]["base"]["why"]


def test_a_judge_that_says_nothing_of_use_fails_the_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    answered(tmp_path)
    with scripted("no JSON") as server:
        judge = asking(server, "openai", attempts=1)
        result = run(write(tmp_path / "r", {"measures": "own"}, measures=OWN), tmp_path, judge)
    assert result.exit_code == 1
    assert re.search(
        r"^Error: not one of \d judgements is of use: invalid \d \(it is not JSON", result.output, re.MULTILINE
    )
    assert not (tmp_path / "metrics").exists()


def test_a_judge_that_people_do_not_agree_with_gives_no_figures(tmp_path: Path) -> None:
    answered(tmp_path)
    recipe = write(tmp_path / "r", {"measures": "own", "least-kappa": {"liked": 0.5}}, measures=OWN, offline=JUDGE)
    result = run(recipe, tmp_path)
    assert result.exit_code == 1 and "least-kappa wants labels in" in result.output and result.output.count("\n") == 1

    (recipe / "judge").mkdir()
    liked = {'{"type":"search"}': True, '{"type":"count"}': False}
    for people, agree in ((liked, True), ({answer: not label for answer, label in liked.items()}, False)):
        lines = [{"row": ROWS[0], "answer": answer, "labels": {"liked": label}} for answer, label in people.items()]
        write_jsonl(recipe / "judge/labelled.jsonl", lines)
        result = run(recipe, tmp_path)
        assert result.exit_code == (0 if agree else 1), result.output
        if agree:
            assert read(tmp_path, "report")["agreement"]["liked"]["kappa"] == 1.0
            (tmp_path / "metrics").unlink()
    assert "on liked by a kappa of -1.00, and eval.least-kappa wants 0.5" in " ".join(result.output.split())
    assert not (tmp_path / "metrics").exists()


@pytest.mark.parametrize(
    ("doors", "says"),
    [
        ({}, "r/measures.py is missing"),
        ({"measures": "FIGURES = {}"}, "r/measures.py: has no function score(row, answer, outcomes)"),
        ({"measures": OWN}, "r has no offline.py to judge by; set judge.provider in params.yaml"),
        (
            {"measures": OWN, "offline": "def answer():\n    pass"},
            "r/offline.py: answer() does not take what it is given",
        ),
    ],
)
def test_a_door_that_is_wrong_is_one_line(doors: dict[str, str], says: str, tmp_path: Path) -> None:
    answered(tmp_path)
    result = run(write(tmp_path / "r", {"measures": "own"}, **doors), tmp_path)
    assert (result.exit_code, result.output.count("\n")) == (1, 1)
    assert says in result.output
    assert not (tmp_path / "metrics").exists()


# Labels, texts, bits


def labelled(*labels: str, asked: str = "Mail") -> list[dict]:
    return [
        make_row(read_form({"prompt": f"{asked} {n}?", "response": one}), "a.csv", n) for n, one in enumerate(labels)
    ]


def widest(result: Result) -> int:
    return max(map(len, result.output.splitlines()))


def test_labels_to_the_end(tmp_path: Path) -> None:
    rows = labelled("spam", "ham", "ham")
    answered(tmp_path, ["I", "think", "spam"], [" Spam", "ham", "eggs"], rows)
    write_jsonl(tmp_path / "train.jsonl", labelled("spam", "spam", "ham", "eggs", asked="What came today"))
    result = run(write(tmp_path / "r", {"measures": "labels"}), tmp_path)
    assert result.exit_code == 0, result.output
    assert read(tmp_path, "metrics") == {
        "base": {"accuracy": 0.0, "macro_f1": 0.0, "outside_labels": 0.6667, "majority_baseline": 0.3333},
        "tuned": {"accuracy": 0.6667, "macro_f1": 0.8333, "outside_labels": 0.0, "majority_baseline": 0.3333},
    }
    report = read(tmp_path, "report")
    assert report["majority_baseline"] == {"label": "spam", "of": "training rows"}
    assert report["per_label"]["tuned"]["ham"] == {"rows": 2, "precision": 1.0, "recall": 0.5, "f1": 0.6667}
    with (tmp_path / "confusion").open(newline="") as lines:
        assert list(csv.reader(lines))[1:] == [["spam", "spam"], ["ham", "ham"], ["ham", "eggs"]]
    assert read_jsonl(tmp_path / "predictions")[0]["figures"]["tuned"] == {
        "accuracy": True, "outside_labels": False, "majority_baseline": True,
    }  # fmt: skip
    for part in ("macro_f1", "by label, tuned", "majority_baseline answers spam to everything"):
        assert part in result.output
    assert widest(result) <= 100


def test_texts_to_the_end_with_a_judge_of_the_recipe(tmp_path: Path) -> None:
    rows = labelled("The ferry stops.", "Buses run.")
    answered(tmp_path, ["", "Trams"], ["The ferry stops.", "Buses"], rows)
    recipe = write(
        tmp_path / "r",
        {"measures": "text", "rubric": "judge/it.md"},
        offline="def answer(facts):\n    return {'reason': facts['reference'], 'score': len(facts['answer'].split())}",
    )
    (recipe / "judge").mkdir()
    (recipe / "judge/it.md").write_text("${question} ${answer} ${reference}", encoding="utf-8")
    result = run(recipe, tmp_path)
    assert result.exit_code == 0, result.output
    tuned = read(tmp_path, "metrics")["tuned"]
    assert list(tuned) == [
        "rouge_1", "rouge_2", "rouge_l", "token_f1", "exact_match", "length_ratio", "score", "judged_share",
    ]  # fmt: skip
    assert (tuned["exact_match"], tuned["length_ratio"], tuned["score"]) == (0.5, 0.75, 0.2)
    assert read_jsonl(tmp_path / "predictions")[1]["marks"]["base"] == {"reason": "Buses run."}
    assert "judged by offline" in result.output
    assert widest(result) <= 100


def test_texts_without_an_answer_to_the_end(tmp_path: Path) -> None:
    rows = [make_row(read_form({"text": text}), "a.txt", n) for n, text in enumerate(("x" * 10, "é" * 10))]
    answered(tmp_path, [80.0, 40.0], [20.0, 25.0], rows, "bits")
    result = run(write(tmp_path / "r", {"measures": "bits"}), tmp_path)
    assert result.exit_code == 0, result.output
    assert read(tmp_path, "metrics") == {"base": {"bits_per_byte": 4.0}, "tuned": {"bits_per_byte": 1.5}}
    report = read(tmp_path, "report")
    assert report["intervals"]["base"]["bits_per_byte"] == [2.0, 8.0]
    assert report["intervals"]["change"]["bits_per_byte"] == [-6.0, -0.75]
    assert read_jsonl(tmp_path / "predictions")[1] == {
        "id": rows[1]["id"], "text": "é" * 10, "base": 40.0, "tuned": 25.0,
        "figures": {"base": {"bits_per_byte": 2.0}, "tuned": {"bits_per_byte": 1.25}},
        "marks": {"base": {"bytes": 20}, "tuned": {"bytes": 20}},
    }  # fmt: skip
    with (tmp_path / "confusion").open(newline="") as lines:
        assert [line["predicted"] for line in csv.DictReader(lines)] == ["bits_per_byte 2–3", "bits_per_byte 1–2"]
    assert "1.500 [1.250, 2.000]" in result.output
    assert widest(result) <= 100


@pytest.mark.parametrize(
    ("section", "rows", "key", "said"),
    [
        ({"measures": "bits"}, labelled("a"), "answer", "asks and answers, and `measures: bits`"),
        (
            {"measures": "labels"},
            [make_row(read_form({"text": "x"}), "a", 1)],
            "bits",
            "is only text, which answers nothing",
        ),
        ({"measures": "text"}, labelled("a"), "bits", "was answered as a row of another kind; run `dvc repro`"),
        ({"measures": "json", "intent": "type"}, labelled('{"type":"lose"}'), "answer", "schema.json refuses: $.type"),
    ],
)
def test_rows_that_the_measures_cannot_read_are_one_line(
    section: dict, rows: list, key: str, said: str, tmp_path: Path
) -> None:
    value: Any = 1.0 if key == "bits" else "a"
    answered(tmp_path, [value], [value], rows, key)
    result = run(write(tmp_path / "r", section), tmp_path)
    assert (result.exit_code, result.output.count("\n")) == (1, 1)
    assert result.output.startswith(f"Error: row {rows[0]['id']} ")
    assert said in result.output
    assert not (tmp_path / "metrics").exists()
