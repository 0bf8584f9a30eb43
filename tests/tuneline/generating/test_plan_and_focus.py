"""The commands beside the pipeline: what a run will ask, weak topics, and the shared log of answers."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from tests.conftest import ENVIRONMENT, ROOT, Project
from tests.servers.scripted_server import Scripted, scripted
from tests.teaching import flags, settings, source_rows, write_asking_recipe
from tuneline.cli import main
from tuneline.files import write_json
from tuneline.generating.plan import Plan, plan
from tuneline.generating.strategies import Seeds, Strategy
from tuneline.measuring.report import evaluate
from tuneline.measuring.score import MEAN, Score
from tuneline.recipe.settings import Form, read_recipe
from tuneline.teaching.log import Answer, AnswerLog
from tuneline.teaching.options import Settings
from tuneline.teaching.teacher import Teacher

ANEW = '{"question": "une question nouvelle", "answer": "une réponse"}'
QUESTIONS = [f"question numéro {n}" for n in range(10)]


def tuneline(folder: Path, *words: str) -> Result:
    with contextlib.chdir(folder):
        return CliRunner().invoke(main, words, env={"COLUMNS": "120", "DVC_ROOT": None})


def shell(folder: Path, *words: str) -> str:
    environment = {**ENVIRONMENT, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# plan


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scripted]:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    with scripted(ANEW) as running:
        yield running


def pay(recipe: Path, rows: Path, chosen: Settings, count: int) -> None:
    """Some of the calls of the recipe's first strategy."""
    strategy = Strategy(
        read_recipe(recipe).sdg.strategies[0], recipe, Form(user="${question}", assistant=["${answer}"]), Seeds(rows)
    )
    with Teacher(chosen, recipe / "answers") as teacher:
        teacher.pay([strategy.call(number).request for number in range(count)], "test")


def test_a_plan_counts_calls_and_the_logged_ones_and_sends_nothing(tmp_path: Path, server: Scripted) -> None:
    recipe, rows = write_asking_recipe(tmp_path / "r"), source_rows(tmp_path / "rows", QUESTIONS)
    chosen = settings(base_url=server.openai_url, max_tokens=400)
    (before,) = plan(recipe, rows, recipe / "answers", chosen)
    text = len("Write anew: question numéro 0".encode()) // 4
    usd = (10 * text + 10 * 100) / 1e6  # a quarter of the limit, where no answer is known
    assert before == Plan("each", 10, 0, 10 * text, 10 * 100, pytest.approx(usd), at_least=False)
    pay(recipe, rows, chosen, 4)
    assert len(server.prompts) == 4
    (after,) = plan(recipe, rows, recipe / "answers", chosen)
    assert (after.calls, after.logged, after.tokens_in) == (10, 4, 6 * text)
    assert after.tokens_out == 6 * (len(ANEW) // 4)  # as long as the logged ones
    (other,) = plan(recipe, rows, recipe / "answers", replace(chosen, temperature=0.5))
    assert other.logged == 0
    assert len(server.prompts) == 4


def test_a_plan_of_wanted_rows_is_of_the_first_round(tmp_path: Path) -> None:
    knobs = {"seeds": {"draw": "none", "count": 0}, "rows": 10, "per-call": 3}
    recipe, rows = write_asking_recipe(tmp_path / "r", "anew", **knobs), source_rows(tmp_path / "rows", [])
    (line,) = plan(recipe, rows, recipe / "answers", settings(base_url="http://127.0.0.1:9/v1"))
    assert (line.calls, line.logged, line.at_least) == (4, 0, True)
    assert not (recipe / "answers").exists()


def test_the_command_reads_what_dvc_would_run(tmp_path: Path) -> None:
    write_asking_recipe(tmp_path / "recipes/r")
    command = ["python -m stages.sdg --recipe recipes/r --rows rows.jsonl --answers $DVC_ROOT/answers --strategy all"]
    command += ["--out o --refused f --metrics m", *flags(settings(base_url="http://127.0.0.1:9/v1"))]
    stage = {"foreach": ["r"], "do": {"cmd": " ".join(command)}}
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"sdg": stage}}))
    shell(tmp_path, "git", "init", "-q")
    Project(tmp_path).init_dvc()
    done = tuneline(tmp_path, "plan", "r")
    assert done.exit_code == 1
    assert done.stderr == "Error: rows.jsonl is not there yet; run `dvc repro extract@r` first\n"
    source_rows(tmp_path / "rows.jsonl", QUESTIONS)
    done = tuneline(tmp_path, "plan", "r")
    assert done.exit_code == 0, done.output
    line = next(line for line in done.stdout.splitlines() if "each" in line)
    assert [cell.strip() for cell in line.strip("│ ").split("│")][:4] == ["each", "10", "0", "10"]
    done = tuneline(tmp_path, "plan", "s")
    assert (done.exit_code, done.stderr) == (1, "Error: dvc.yaml has no stage sdg@s; there is one for r\n")


# focus


class Judged:
    """What a recipe's own measures by a judge have at least."""

    FIGURES = {"good_share": MEAN, "refusal_rate": MEAN, "judged_share": MEAN}  # noqa: RUF012


class Unjudged:
    FIGURES = {"exact": MEAN}  # noqa: RUF012


def report(folder: Path, measures: type = Judged, **topics: tuple[int, int, int]) -> None:
    """What eval writes of topics with so many (rows, judged, good) answers."""
    scores = [
        Score(
            {
                "good_share": at < good if at < judged else None,
                "refusal_rate": False if at < judged else None,
                "judged_share": at < judged,
                "exact": at < good,
            },
            groups={"topic": topic},
        )
        for topic, (rows, judged, good) in topics.items()
        for at in range(rows)
    ]
    _, told = evaluate(measures, {"base": scores, "tuned": scores}, "r", 10, 0)
    (folder / "recipes/r/sdg").mkdir(parents=True, exist_ok=True)
    write_json(folder / "metrics/r/report.json", told)


def focus(folder: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> dict:
    monkeypatch.chdir(folder)
    result = CliRunner().invoke(main, ["focus", "r", *words])
    assert result.exit_code == 0, result.output
    return yaml.safe_load((folder / "recipes/r/sdg/focus.yaml").read_text("utf-8"))


def test_focus_writes_the_weak_topics_with_their_shares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report(tmp_path, rsa=(10, 10, 4), état=(6, 5, 1), pacs=(9, 9, 9), apl=(4, 4, 0))
    topics = focus(tmp_path, monkeypatch)
    assert [(topic, line["share"]) for topic, line in topics.items()] == [("rsa", 6), ("apl", 4), ("état", 4)]
    assert topics["rsa"]["why"] == "6 of 10 answers not good, refusal rate 0.00"
    assert list(focus(tmp_path, monkeypatch, "--most", "1")) == ["rsa"]


def test_focus_writes_nothing_for_a_perfect_evaluation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report(tmp_path, rsa=(10, 10, 10), apl=(3, 0, 0))
    assert focus(tmp_path, monkeypatch) == {}


def test_focus_without_an_evaluation_by_a_judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["focus", "r"])
    assert "Error: metrics/r/report.json is not there; run `dvc repro`" in result.output
    for told in ("{}", None):  # no table by topic, and one of measures that ask no judge
        report(tmp_path, Unjudged, rsa=(3, 0, 1))
        if told:
            (tmp_path / "metrics/r/report.json").write_text(told)
        result = CliRunner().invoke(main, ["focus", "r"])
        assert "Error: metrics/r/report.json has no topics: only evaluations by a judge" in result.output
    assert not (tmp_path / "recipes/r/sdg/focus.yaml").exists()


# answers


def log(clone: Path, **answers: str) -> None:
    with AnswerLog(clone / ".tuneline/answers/openai-m") as opened:
        for key, text in answers.items():
            opened.add(key * 64, Answer(text, "stop", 1, 1, 0.1, "m"))


def logged(folder: Path) -> dict[str, str]:
    lines = [line for path in (folder / "openai-m").glob("*.jsonl") for line in path.read_text().splitlines()]
    return {json.loads(line)["key"][0]: json.loads(line)["text"] for line in lines}


def clone(folder: Path, remote: Path) -> Path:
    folder.mkdir()
    shell(folder, "git", "init", "-q")
    Project(folder).init_dvc()
    config = f"[core]\n    analytics = false\n    remote = shared\n['remote \"shared\"']\n    url = {remote}\n"
    (folder / ".dvc/config").write_text(config)
    return folder


def answers(folder: Path, word: str) -> str:
    """By a process of its own: DVC remembers what it has seen of a path, whichever clone's it was."""
    return shell(folder, sys.executable, "-m", "tuneline.cli", "answers", word)


def test_two_clones_unite_their_answers_and_overwrite_none(tmp_path: Path) -> None:
    one, other = clone(tmp_path / "one", tmp_path / "remote"), clone(tmp_path / "other", tmp_path / "remote")
    log(one, a="A of one", b="B of one")
    assert "openai-m: 2 answers" in answers(one, "push")
    # The other one has what git has, has pulled nothing, and has paid for the same question.
    (other / "answers.dvc").write_bytes((one / "answers.dvc").read_bytes())
    log(other, b="B of the other", c="C of the other")
    assert "openai-m: 3 answers" in answers(other, "push")
    assert set(logged(other / "answers")) == {"a", "b", "c"}
    assert logged(other / "answers")["b"] == "B of one"  # the first that was shared
    (one / "answers.dvc").write_bytes((other / "answers.dvc").read_bytes())
    assert "openai-m: 1 answers more, 3 in all" in answers(one, "pull")
    assert logged(one / ".tuneline/answers") == {"a": "A of one", "b": "B of one", "c": "C of the other"}
    assert "openai-m: 1 answers more, 3 in all" in answers(other, "pull")
    assert logged(other / ".tuneline/answers")["b"] == "B of the other"


def test_nothing_to_push_and_nothing_to_pull_are_one_line(tmp_path: Path) -> None:
    alone = clone(tmp_path / "alone", tmp_path / "remote")
    for word in ("push", "pull"):
        done = tuneline(alone, "answers", word)
        assert done.exit_code == 1
        assert done.stderr.startswith("Error: ")
        assert len(done.stderr.splitlines()) == 1
    assert not (alone / "answers.dvc").exists()
