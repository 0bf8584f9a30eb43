"""predict and baseline: what adapter and base answer to the test rows, asked as the adapter was trained."""

import json
import shutil
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner, Result

from stages.baseline import main as baseline
from stages.predict import main as predict
from tests.small_base import write_small_base
from tests.stages.test_train_cuda import PREAMBLE, train, work  # noqa: F401
from tuneline.answering.predictor import Predictor, open_adapter
from tuneline.files import read_jsonl, write_jsonl
from tuneline.models.base import read_base
from tuneline.recipe.forms import read_form
from tuneline.rendering.preamble import Preamble
from tuneline.rows import make_row

QUESTIONS = ["mails from Bo", "combien de tickets hier", "x", "same for Slack, newest first, and the one before"]
ROWS = [
    make_row(read_form({"prompt": text, "response": '{"a":1}'}), "test.jsonl", n) for n, text in enumerate(QUESTIONS)
]
PREDICT = {"batch-size": 3, "max-new-tokens": 8}
SCHEMA = {"type": "object", "properties": {"a": {"enum": [1, 2]}}, "required": ["a"], "additionalProperties": False}


@pytest.fixture(scope="module")
def adapter(work: Path) -> Path:  # noqa: F811
    return train(work, work / "trained")


def words(flags: dict[str, object], constrain: bool = False) -> list[str]:
    given = [word for flag, value in flags.items() for word in (f"--{flag}", str(value))]
    return [*given, "--constrain" if constrain else "--no-constrain"]


def run(adapter: Path, to: Path, rows: list[dict] = ROWS, constrain: bool = False, **changed: object) -> Result:
    write_jsonl(to / "test.jsonl", rows)
    paths = {"adapter": adapter, "test": to / "test.jsonl", "out": to / "answers.jsonl"}
    flags = {"backend": "cuda", **paths, **PREDICT} | {name.replace("_", "-"): value for name, value in changed.items()}
    return CliRunner().invoke(predict, words(flags, constrain))


def answers(to: Path) -> list[dict]:
    return read_jsonl(to / "answers.jsonl")


def test_each_row_has_its_answer_in_the_order_of_the_rows(adapter: Path, tmp_path: Path) -> None:
    result = run(adapter, tmp_path)
    assert result.exit_code == 0, result.output
    found = answers(tmp_path)
    assert [set(one) for one in found] == [{"id", "answer"}] * len(ROWS)
    assert [one["id"] for one in found] == [row["id"] for row in ROWS]
    asked = [row["messages"][:-1] for row in ROWS]
    assert [one["answer"] for one in found] == open_adapter(adapter, False).answer(asked, 3, 8, "")


def test_the_right_answer_is_not_shown(adapter: Path, tmp_path: Path) -> None:
    others = [{**row, "messages": [*row["messages"][:-1], {"role": "assistant", "content": "other"}]} for row in ROWS]
    for to, rows in ((tmp_path / "a", ROWS), (tmp_path / "b", others)):
        assert run(adapter, to, rows).exit_code == 0
    assert answers(tmp_path / "a") == answers(tmp_path / "b")


def test_the_adapters_folder_says_how_it_is_asked(adapter: Path, work: Path, tmp_path: Path) -> None:  # noqa: F811
    """Under its preamble, whatever the recipe says by now; under another one it answers something else."""
    assert run(adapter, tmp_path).exit_code == 0
    base = read_base(work / "models/small")
    asked = [row["messages"][:-1] for row in ROWS]
    said = {
        preamble: Predictor("cuda", base, "none", preamble, adapter).answer(asked, 1, 8, "")
        for preamble in (PREAMBLE, Preamble())
    }
    assert [one["answer"] for one in answers(tmp_path)] == said[PREAMBLE] != said[Preamble()]


def test_constrained_answers_obey_the_adapters_schema(adapter: Path, tmp_path: Path) -> None:
    other = shutil.copytree(adapter, tmp_path / "adapter")
    (other / "schema.json").write_text(json.dumps(SCHEMA))
    result = run(other, tmp_path, constrain=True)
    assert result.exit_code == 0, result.output
    for one in answers(tmp_path):
        jsonschema.validate(json.loads(one["answer"]), SCHEMA)


def test_an_adapter_of_the_other_backend_is_one_line(adapter: Path, tmp_path: Path) -> None:
    result = run(adapter, tmp_path, backend="mlx")
    assert result.exit_code == 1
    assert result.output == f"Error: {adapter} was trained by cuda, not mlx; run `dvc repro`\n"
    assert not (tmp_path / "answers.jsonl").exists()


def test_a_folder_that_is_no_adapter_is_one_line(tmp_path: Path) -> None:
    result = run(tmp_path, tmp_path)
    assert (result.exit_code, result.output.count("\n")) == (1, 1)
    assert f"{tmp_path} is no trained adapter" in result.output


# The base alone


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that says something else to each question."""
    return write_small_base(tmp_path_factory.mktemp("base") / "lively", initializer_range=0.2)


def ask_base(base: Path, to: Path, preamble: Preamble, constrain: bool = False) -> Result:
    write_jsonl(to / "test.jsonl", ROWS)
    preamble.write(to / "preamble.json")
    (to / "schema.json").write_text(json.dumps(SCHEMA))
    flags = {"backend": "cuda", "base": base, "quantization": "none", "schema": to / "schema.json"}
    flags |= {"preamble": to / "preamble.json", "test": to / "test.jsonl", "out": to / "answers.jsonl", **PREDICT}
    return CliRunner().invoke(baseline, words(flags, constrain))


def test_the_base_is_asked_under_the_preamble_of_trim(base: Path, tmp_path: Path) -> None:
    said = {}
    for name, preamble in (("same", PREAMBLE), ("bare", Preamble())):
        result = ask_base(base, tmp_path / name, preamble)
        assert result.exit_code == 0, result.output
        assert [one["id"] for one in answers(tmp_path / name)] == [row["id"] for row in ROWS]
        said[name] = [one["answer"] for one in answers(tmp_path / name)]
    dressed = [PREAMBLE.before(row["messages"][:-1]) for row in ROWS]
    predictor = Predictor("cuda", read_base(base), "none", Preamble())
    assert said["same"] == predictor.answer(dressed, 3, 8, "") != said["bare"]
    assert len(set(said["same"])) == len(ROWS)


def test_the_base_can_be_held_to_the_schema_too(base: Path, tmp_path: Path) -> None:
    assert ask_base(base, tmp_path, PREAMBLE, constrain=True).exit_code == 0
    for one in answers(tmp_path):
        jsonschema.validate(json.loads(one["answer"]), SCHEMA)


def test_a_preamble_that_spells_out_a_special_token_is_one_line(base: Path, tmp_path: Path) -> None:
    result = ask_base(base, tmp_path, Preamble("be brief <|im_end|>"))
    assert (result.exit_code, result.output.count("\n")) == (1, 1)
    assert "the system prompt or the prefix spells out <|im_end|>, a special token" in result.output
