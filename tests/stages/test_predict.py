"""predict and baseline: what adapter and base answer to the test rows, asked as the adapter was trained."""

import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner, Result

from stages.baseline import main as baseline
from stages.predict import main as predict
from tests.conftest import ENVIRONMENT, ROOT
from tests.ending import end_line
from tests.small_base import write_small_base
from tests.stages.test_train_cuda import PREAMBLE, train, work  # noqa: F401
from tuneline.answering.predictor import Predictor, batches, open_adapter
from tuneline.files import read_jsonl, write_jsonl
from tuneline.models.adapter import WEIGHTS
from tuneline.models.base import read_base
from tuneline.recipe.forms import read_form
from tuneline.rendering.chat import load_chat
from tuneline.rendering.lengths import with_room
from tuneline.rendering.preamble import Preamble
from tuneline.rows import make_row

QUESTIONS = ["mails from Bo", "combien de tickets hier", "x", "same for Slack, newest first, and the one before"]
ROWS = [
    make_row(read_form({"prompt": text, "response": '{"a":1}'}), "test.jsonl", n) for n, text in enumerate(QUESTIONS)
]
PREDICT = {"batch-size": 3, "max-new-tokens": 8, "processes": 1}
SCHEMA = {"type": "object", "properties": {"a": {"enum": [1, 2]}}, "required": ["a"], "additionalProperties": False}


@pytest.fixture(scope="module")
def adapter(work: Path) -> Path:  # noqa: F811
    return train(work, work / "trained")


def words(flags: dict[str, object], constrain: bool = False) -> list[str]:
    given = [word for flag, value in flags.items() for word in (f"--{flag}", str(value))]
    return [*given, "--constrain" if constrain else "--no-constrain"]


def command(adapter: Path, to: Path, rows: list[dict], constrain: bool = False, **changed: object) -> list[str]:
    write_jsonl(to / "test.jsonl", rows)
    paths = {"adapter": adapter, "test": to / "test.jsonl", "out": to / "answers.jsonl", "state": to / "state"}
    flags = {"backend": "cuda", **paths, **PREDICT} | {name.replace("_", "-"): value for name, value in changed.items()}
    return words(flags, constrain)


def run(adapter: Path, to: Path, rows: list[dict] = ROWS, constrain: bool = False, **changed: object) -> Result:
    return CliRunner().invoke(predict, command(adapter, to, rows, constrain, **changed))


def answers(to: Path) -> list[dict]:
    return read_jsonl(to / "answers.jsonl")


def test_each_row_has_its_answer_in_the_order_of_the_rows(adapter: Path, tmp_path: Path) -> None:
    result = run(adapter, tmp_path)
    assert result.exit_code == 0, result.output
    assert re.fullmatch(r"predict \S+ \d test rows [\d.,]+ answers a second", end_line(result.output))
    found = answers(tmp_path)
    assert [set(one) for one in found] == [{"id", "answer"}] * len(ROWS)
    assert [one["id"] for one in found] == [row["id"] for row in ROWS]
    asked = [row["messages"][:-1] for row in ROWS]
    assert [one["answer"] for one in found] == open_adapter(adapter, False).answer(asked, 3, 8, "")


# A run that is stopped

MANY = [
    make_row(read_form({"prompt": f"{text} {number}", "response": '{"a":1}'}), "test.jsonl", n)
    for number in range(6)
    for n, text in enumerate(QUESTIONS)
]
BEGUN = "state/begun/{}/predict-*.jsonl"


def kept(to: Path) -> int:
    """Answers."""
    return sum(path.read_bytes().count(b"\n") for path in to.glob(BEGUN.format(to.name)))


LONG = {"max_new_tokens": 200, "batch_size": 2}


@pytest.fixture(scope="module")
def whole(adapter: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run that is not stopped leaves."""
    out = tmp_path_factory.mktemp("whole")
    result = run(adapter, out, MANY, **LONG)
    assert result.exit_code == 0, result.output
    assert not (out / "state/begun" / out.name).exists()
    return out


@pytest.mark.parametrize("processes", [1, 2])
def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(
    adapter: Path, whole: Path, tmp_path: Path, processes: int
) -> None:
    killed = tmp_path / "killed"
    words = command(adapter, killed, MANY, processes=processes, **LONG)
    words = [sys.executable, "-m", "stages.predict", *words]
    process = subprocess.Popen(words, cwd=ROOT, env=ENVIRONMENT, stderr=subprocess.PIPE)
    while len(list(killed.glob(BEGUN.format("killed")))) < processes or kept(killed) < 5:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()  # the others hold its pipe until they have ended too
    left = kept(killed)
    assert not (killed / "answers.jsonl").exists() and left < len(MANY)
    result = run(adapter, killed, MANY, **LONG)
    assert result.exit_code == 0, result.output
    assert f"{left} of {len(MANY)} answers are there from a run that was stopped" in " ".join(result.output.split())
    assert (killed / "answers.jsonl").read_bytes() == (whole / "answers.jsonl").read_bytes()
    assert not (killed / "state/begun/killed").exists()


def test_a_stopped_runs_answers_are_for_the_same_inputs_alone(adapter: Path, work: Path, tmp_path: Path) -> None:  # noqa: F811
    base = read_base(work / "models/small")
    touched = shutil.copytree(adapter, tmp_path / "adapter")
    os.utime(touched / WEIGHTS, ns=(1, 1))
    schema = tmp_path / "schema.json"
    schema.write_text(json.dumps(SCHEMA))
    ways = [(adapter, None), (None, None), (touched, None), (adapter, schema)]
    told = [Predictor("cuda", base, "none", "float32", PREAMBLE, *way).telling for way in (*ways, ways[0])]
    assert len({json.dumps(one) for one in told}) == len(ways)
    assert told[-1] == told[0]


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
        preamble: Predictor("cuda", base, "none", "float32", preamble, adapter).answer(asked, 1, 8, "")
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


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors", "adapter.json"])
def test_a_torn_adapter_is_one_line_on_mlx_too(name: str, adapter: Path, tmp_path: Path) -> None:
    pytest.importorskip("mlx.core")
    other = shutil.copytree(adapter, tmp_path / "adapter")
    told = (other / "adapter.json").read_text().replace('"cuda"', '"mlx"')
    (other / "adapter.json").write_text(told)
    whole = (other / name).read_bytes()
    for torn in (whole[:-20], b"[1]", b"\xff\xfe\x00\x81" * 64):
        (other / name).write_bytes(torn)
        result = run(other, tmp_path, backend="mlx")
        lines = [line for line in result.output.splitlines() if line.startswith("Error: ")]
        assert isinstance(result.exception, SystemExit) and len(lines) == 1, result.output
        assert str(other) in lines[0]


def test_a_folder_that_is_no_adapter_is_one_line(tmp_path: Path) -> None:
    result = run(tmp_path, tmp_path)
    assert result.exit_code == 1
    wrong = "adapter.json: No such file or directory"
    assert result.output == f"Error: {tmp_path} is no trained adapter ({wrong}); make it with `make repro`\n"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (WEIGHTS, None, "adapter_model.safetensors is missing"),
        ("adapter_config.json", None, "adapter_config.json is missing"),
        ("adapter.json", b"{", "adapter.json: Invalid JSON: EOF"),
        ("adapter.json", b'{"backend": "tpu"}', "backend: Input should be 'cuda' or 'mlx'"),
        ("system.md", None, "system.md: No such file or directory; make the adapter again"),
    ],
)
def test_what_an_adapter_lacks_is_one_line(
    name: str, content: bytes | None, said: str, adapter: Path, tmp_path: Path
) -> None:
    """And nothing is looked for on the Hub, as peft would."""
    part = shutil.copytree(adapter, tmp_path / "adapter")
    (part / name).unlink()
    if content is not None:
        (part / name).write_bytes(content)
    result = run(part, tmp_path)
    assert (result.exit_code, result.output.count("\n")) == (1, 1)
    assert said in result.output


# The base alone


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that says something else to each question."""
    return write_small_base(tmp_path_factory.mktemp("base") / "lively", initializer_range=0.2)


SHOTS = [
    make_row(read_form({"prompt": f"example {n}", "response": f'{{"a":{n}}}'}), "train.jsonl", n) for n in range(3)
]


def ask_base(
    base: Path,
    to: Path,
    preamble: Preamble,
    constrain: bool = False,
    rows: list[dict] = ROWS,
    shown: list[dict] = SHOTS,
    **changed: object,
) -> Result:
    write_jsonl(to / "test.jsonl", rows)
    preamble.write(to / "preamble.json")
    (to / "schema.json").write_text(json.dumps(SCHEMA))
    flags = {
        "backend": "cuda",
        "base": base,
        "quantization": "none",
        "precision": "float32",
        "schema": to / "schema.json",
    }
    flags |= {"preamble": to / "preamble.json", "test": to / "test.jsonl", "out": to / "answers.jsonl", **PREDICT}
    flags["state"] = to / "state"
    write_jsonl(to / "shots.jsonl", shown)
    flags |= {"examples": to / "shots.jsonl", "shots": 0}
    flags |= {name.replace("_", "-"): value for name, value in changed.items()}
    return CliRunner().invoke(baseline, words(flags, constrain))


def test_the_base_is_asked_under_the_preamble_of_trim(base: Path, tmp_path: Path) -> None:
    said = {}
    for name, preamble in (("same", PREAMBLE), ("bare", Preamble())):
        result = ask_base(base, tmp_path / name, preamble)
        assert result.exit_code == 0, result.output
        assert end_line(result.output).startswith(f"baseline {name} ")
        assert [one["id"] for one in answers(tmp_path / name)] == [row["id"] for row in ROWS]
        said[name] = [one["answer"] for one in answers(tmp_path / name)]
    dressed = [PREAMBLE.before(row["messages"][:-1]) for row in ROWS]
    predictor = Predictor("cuda", read_base(base), "none", "float32", Preamble())
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


# After examples


@pytest.mark.parametrize("backend", ["cuda", "mlx"])
def test_the_base_is_asked_a_second_time_after_examples(backend: str, base: Path, tmp_path: Path) -> None:
    if backend == "mlx":
        pytest.importorskip("mlx.core")
    bare, again = tmp_path / "bare", tmp_path / "again"
    assert ask_base(base, bare, PREAMBLE, backend=backend).exit_code == 0
    result = ask_base(base, again, PREAMBLE, backend=backend, shots=2)
    assert result.exit_code == 0 and result.output.count("\n") == 1, result.output
    assert [{"id": one["id"], "answer": one["answer"]} for one in answers(again)] == answers(bare)
    assert [one["examples"] for one in answers(again)] == [2] * len(ROWS)
    turns = [turn for n in range(2) for turn in (prefixed(f"example {n}"), SHOTS[n]["messages"][-1])]
    predictor = Predictor(backend, read_base(base), "none", "float32", Preamble(PREAMBLE.system))
    said = predictor.answer([[*turns, prefixed(text)] for text in QUESTIONS], 3, 8, "")
    assert [one["shots"] for one in answers(again)] == said != [one["answer"] for one in answers(again)]


def prefixed(text: str) -> dict:
    return {"role": "user", "content": f"{PREAMBLE.prefix}\n\n{text}"}


def test_examples_for_which_there_is_no_room_are_left_out_and_told(base: Path, tmp_path: Path) -> None:
    other = shutil.copytree(base, tmp_path / "base")
    (other / "base.yaml").write_text((other / "base.yaml").read_text().replace("context: 2048", "context: 90"))
    long = make_row(read_form({"prompt": "x " * 90, "response": "y"}), "train.jsonl", 9)
    result = ask_base(other, tmp_path, Preamble(), shots=3, shown=[long, *SHOTS[:1]], rows=[*ROWS, TEXTS[0]])
    assert result.exit_code == 0, result.output
    assert [one.get("examples") for one in answers(tmp_path)] == [1] * len(ROWS) + [None]
    told = " ".join(result.output.split())
    for part in (
        "2 of 3 examples could be found",
        "4 of 4 test rows are asked after fewer than 2",
        "1 rows are only text",
    ):
        assert part in told
    assert ask_base(other, tmp_path, Preamble(), shots=3, shown=[]).exit_code == 0
    assert not any("shots" in one for one in answers(tmp_path))


# Rows that are only text


TEXTS = [
    make_row(read_form({"text": text}), "t.jsonl", n) for n, text in enumerate(["one", "é 🎉 two " * 9, "three\nfour"])
]


def bits_by_hand(base: Path, text: str) -> float:
    """Each token given all before it, the first given the token that ends a text: none of this base begins one."""
    import torch

    from tuneline.backends.cuda import load_model

    read = read_base(base)
    tokenizer = load_chat(read).tokenizer
    ids = [tokenizer.eos_token_id, *tokenizer.encode(text, add_special_tokens=False)]
    logits = load_model(read, "none")(torch.tensor([ids])).logits[0].double()
    chances = torch.log_softmax(logits, -1)[torch.arange(len(ids) - 1), ids[1:]]
    return -chances.sum().item() / math.log(2)


@pytest.mark.parametrize("backend", ["cuda", "mlx"])
@pytest.mark.parametrize("size", [1, 3])
def test_a_text_is_scored_in_bits_by_either_backend(backend: str, size: int, base: Path, tmp_path: Path) -> None:
    if backend == "mlx":
        pytest.importorskip("mlx.core")
    result = ask_base(base, tmp_path, PREAMBLE, rows=TEXTS, backend=backend, batch_size=size)
    assert result.exit_code == 0, result.output
    found = answers(tmp_path)
    assert [set(one) for one in found] == [{"id", "bits"}] * 3
    assert [one["id"] for one in found] == [row["id"] for row in TEXTS]
    assert [one["bits"] for one in found] == pytest.approx([bits_by_hand(base, row["text"]) for row in TEXTS], rel=1e-4)


def test_rows_of_both_kinds_keep_their_order_and_each_is_told_its_way(adapter: Path, tmp_path: Path) -> None:
    mixed = [TEXTS[0], ROWS[0], TEXTS[1], ROWS[1]]
    assert run(adapter, tmp_path, mixed).exit_code == 0
    found = answers(tmp_path)
    assert [sorted(one) for one in found] == [["bits", "id"], ["answer", "id"]] * 2
    assert [one["id"] for one in found] == [row["id"] for row in mixed]


def test_an_adapter_has_other_bits_than_its_base(adapter: Path, work: Path, tmp_path: Path) -> None:  # noqa: F811
    assert run(adapter, tmp_path / "tuned", TEXTS).exit_code == 0
    assert ask_base(work / "models/small", tmp_path / "base", PREAMBLE, rows=TEXTS).exit_code == 0
    for tuned, bare in zip(answers(tmp_path / "tuned"), answers(tmp_path / "base"), strict=True):
        assert abs(tuned["bits"] - bare["bits"]) > 0.01


@pytest.mark.parametrize("what", ["text", "question"])
def test_what_is_longer_than_the_context_is_one_line(what: str, base: Path, tmp_path: Path) -> None:
    other = shutil.copytree(base, tmp_path / "base")
    (other / "base.yaml").write_text((other / "base.yaml").read_text().replace("context: 2048", "context: 40"))
    short, long = ({"text": "x " * n} if what == "text" else {"prompt": "x " * n, "response": "y"} for n in (3, 60))
    rows = [make_row(read_form(one), "t.jsonl", n) for n, one in enumerate((short, long))]
    result = ask_base(other, tmp_path, Preamble(), rows=rows)
    assert (result.exit_code, result.output.count("\n")) == (1, 1)
    assert result.output.startswith(f"Error: {what} 2 has ")
    assert "tokens as the base reads it, more than its context of 40; shorten or divide it" in result.output


def test_a_batch_that_is_scored_holds_so_many_tokens_and_no_more() -> None:
    """However many rows it may have: a large vocabulary times long rows would not fit."""
    assert list(batches([3, 9, 4, 1], size=2, room=10)) == [[1], [2, 0], [3]]
    assert list(batches([1, 1, 1], size=2, room=10)) == [[0, 1], [2]]
    assert list(batches([30], size=2, room=10)) == [[0]], "one that is larger than the room goes alone"
    assert list(batches([], size=2, room=10)) == []


# Several processes


def test_two_processes_answer_as_one(base: Path, tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    """Rows of both kinds, of which each process has some, and those that are asked after examples too."""
    rows = [ROWS[0], *TEXTS, *ROWS[1:]]
    for count in (1, 2):
        result = ask_base(base, tmp_path / str(count), PREAMBLE, rows=rows, shots=2, processes=count)
        assert result.exit_code == 0, result.output
    said = capfd.readouterr().err
    assert said.count("7 test rows") == said.count("3 rows are only text") == 1  # of two processes one speaks
    (logged,) = read_jsonl(tmp_path / "2/state/runs.jsonl")  # and one writes
    assert (logged["stage"], logged["name"], logged["rows"], logged["processes"]) == ("baseline_cuda", "2", 7, 2)
    assert logged["ended"] == "well"
    assert answers(tmp_path / "2") == answers(tmp_path / "1")


def test_a_process_that_fails_ends_all_in_one_line(adapter: Path, tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    torn = shutil.copytree(adapter, tmp_path / "torn")
    (torn / WEIGHTS).write_bytes(b"{")
    result = run(torn, tmp_path, processes=2)
    assert (result.exit_code, result.output.count("\n")) == (1, 1)
    assert "does not fit its base" in result.output
    assert not (tmp_path / "answers.jsonl").exists()


def test_mlx_answers_in_one_process(adapter: Path, tmp_path: Path) -> None:
    of_mlx = shutil.copytree(adapter, tmp_path / "adapter")
    written = (of_mlx / "adapter.json").read_text("utf-8")
    (of_mlx / "adapter.json").write_text(written.replace('"cuda"', '"mlx"'), encoding="utf-8")
    result = run(of_mlx, tmp_path, backend="mlx", processes=2)
    assert (result.exit_code, result.output) == (1, "Error: predict.processes 2: mlx works in one; write 1\n")


# How long an answer may be


def test_auto_gives_an_answer_the_room_of_the_longest_reference(base: Path, tmp_path: Path) -> None:
    tokenizer = load_chat(read_base(base)).tokenizer
    assert ask_base(base, tmp_path, PREAMBLE, max_new_tokens="auto").exit_code == 0
    longest = len(tokenizer.encode('{"a":1}', add_special_tokens=False)) + 1
    for name, most in (("same", with_room(longest)), ("longest", longest)):
        assert ask_base(base, tmp_path / name, PREAMBLE, max_new_tokens=most).exit_code == 0
    assert answers(tmp_path) == answers(tmp_path / "same") != answers(tmp_path / "longest")
