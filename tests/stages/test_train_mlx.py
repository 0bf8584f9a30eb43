"""The trainer for Apple silicon, run on the CPU: a tiny random base, a few steps."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.numpy import load_file

from stages.train_mlx import epoch_batches, examples, iterate_batches, main
from tests.conftest import ENVIRONMENT, ROOT
from tests.ending import end_line
from tests.small_base import write_small_base
from tuneline.answering.predictor import Predictor, adapter_preamble
from tuneline.backends.mlx import checkpoint_layers
from tuneline.models.adapter import WEIGHTS
from tuneline.models.base import read_base
from tuneline.rendering.chat import IGNORED, load_chat
from tuneline.rendering.preamble import Preamble
from tuneline.rendering.tokens import read_tokens, write_tokenizer_name, write_tokens

TINY = ROOT / "models" / "tiny"
SCHEMA = {
    "type": "object",
    "properties": {"colour": {"enum": ["red", "blue"]}, "count": {"type": "integer", "minimum": 0, "maximum": 99}},
    "required": ["colour", "count"],
    "additionalProperties": False,
}

PREAMBLE = Preamble("Answer.", "Explain:")


def rows(count: int) -> list[dict]:
    return [
        {
            "id": str(n),
            "messages": [{"role": "user", "content": "x" * (n % 7)}, {"role": "assistant", "content": str(n)}],
        }
        for n in range(count)
    ]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with base/ (random, with the tokenizer of models/tiny), preamble.json, schema.json and tokens/."""
    folder = tmp_path_factory.mktemp("mlx")
    rope = {"rope_type": "default", "rope_theta": 300.0}  # not mlx-lm's default
    base = write_small_base(folder / "base", rope_parameters=rope, initializer_range=0.2)
    PREAMBLE.write(folder / "preamble.json")
    (folder / "schema.json").write_text(json.dumps(SCHEMA))
    chat = load_chat(read_base(base), PREAMBLE)
    tokens = folder / "tokens"
    tokens.mkdir()
    write_tokens(tokens, "train", chat.encode(rows(22)))
    write_tokens(tokens, "valid", chat.encode(rows(5)))
    write_tokenizer_name(tokens, chat, base)
    return folder


def arguments(place: Path, out: Path, **changed: object) -> list[str]:
    flags = {
        "tokens": place / "tokens",
        "base": place / "base",
        "preamble": place / "preamble.json",
        "schema": place / "schema.json",
        "out": out / "adapter",
        "curves": out / "curves",
        "summary": out / "summary.json",
        "state": out / "state",
        "quantization": "none",
        "learning-rate": 0.02,
        "epochs": 2,
        "batch-size": 4,
        "accumulation": 1,
        "warmup": 0.2,
        "weight-decay": 0.01,
        "evaluations": 2,
        "precision": "float32",
        "seed": 0,
        "rank": 4,
        "scale": 2,
        "dropout": 0.1,
        "target": "linear",
        "variant": "plain",
        "schedule": "linear",
        "optimizer": "adamw",
        "early-stopping": 0,
        "attention": "auto",
        "gradient-checkpointing": "auto",
        "report-to": "none",
        "processes": 1,
    } | {name.replace("_", "-"): value for name, value in changed.items()}
    return [part for name, value in flags.items() for part in (f"--{name}", str(value))]


def train(place: Path, out: Path, **changed: object) -> Path:
    result = CliRunner().invoke(main, arguments(place, out, **changed), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert re.fullmatch(r"train adapter \d+ rows, \d+ steps valid loss [\d.]+ at step \d+.*", end_line(result.output))
    return out / "adapter"


def outputs(out: Path) -> dict[str, bytes]:
    """Every byte that a run leaves but its state: the run log has times in it."""
    files = [path for path in sorted(out.rglob("*")) if path.is_file() and "state" not in path.parts]
    return {str(path.relative_to(out)): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def trained(place: Path) -> Path:
    return train(place, place / "trained")


@pytest.mark.parametrize("variant", ["plain", "rslora", "dora"])
def test_peft_reads_the_adapter_and_gives_the_same_logits(
    variant: str, place: Path, trained: Path, tmp_path: Path
) -> None:
    import mlx.core as mx
    import torch

    from tuneline.backends import cuda as backend_cuda
    from tuneline.backends import mlx as backend_mlx

    if variant != "plain":
        trained = train(place, tmp_path, variant=variant, epochs=1)
    base = read_base(place / "base")
    ids = [[5, 9, 300, 17, 2000, 11, 4, 42]]
    logits = {}
    for backend, array in ((backend_cuda, torch.tensor), (backend_mlx, mx.array)):
        model = backend.load_adapter(backend.load_model(base, "none"), trained)
        out = model(array(ids))
        logits[backend] = np.array(out.logits.detach() if backend is backend_cuda else out)
        assert backend.vocabulary(model) == logits[backend].shape[-1]
    bare = np.array(backend_mlx.load_model(base, "none")(mx.array(ids)))
    assert np.abs(logits[backend_mlx] - bare).max() > 0.1  # the adapter does something
    np.testing.assert_allclose(logits[backend_mlx], logits[backend_cuda], atol=1e-4)


def test_summary_and_curves(place: Path, trained: Path) -> None:
    summary = json.loads((trained.parent / "summary.json").read_text())
    assert summary["steps"] == 12
    assert summary["rows"] == 22
    assert summary["trainable_parameters"] == 2 * 4 * (4 * (64 + 64) + 3 * (64 + 128))
    valid = (trained.parent / "curves" / "valid_loss.tsv").read_text().splitlines()
    assert [line.split("\t")[0] for line in valid] == ["step", "6", "12"]
    losses = [float(line.split("\t")[1]) for line in valid[1:]]
    assert losses[1] < losses[0]
    assert not list((trained.parent / "state" / "checkpoints").iterdir())
    assert adapter_preamble(trained) == PREAMBLE  # predict needs nothing but the folder and the base
    assert (trained / "schema.json").read_bytes() == (place / "schema.json").read_bytes()


def test_the_validation_loss_is_a_mean_over_trained_tokens(place: Path, trained: Path) -> None:
    import torch

    from tuneline.backends.cuda import load_adapter, load_model

    model = load_adapter(load_model(read_base(place / "base"), "none"), trained)
    losses, counts = [], []
    for row in read_tokens(place / "tokens", load_chat(read_base(place / "base")))["valid"]:
        labels = torch.tensor([row["labels"]])
        counts.append(int((labels[:, 1:] != IGNORED).sum()))
        losses.append(model(torch.tensor([row["input_ids"]]), labels=labels).loss.item() * counts[-1])
    summary = json.loads((trained.parent / "summary.json").read_text())
    assert summary["valid_loss"] == pytest.approx(sum(losses) / sum(counts), abs=2e-4)


def test_gradient_checkpointing_changes_nothing_but_the_draws_of_dropout(place: Path, tmp_path: Path) -> None:
    some = []
    for word in ("always", "never"):
        adapter = train(place, tmp_path / word, epochs=0.5, dropout=0, gradient_checkpointing=word)
        some.append(load_file(adapter / WEIGHTS))
    for name, tensor in some[0].items():
        np.testing.assert_allclose(tensor, some[1][name], atol=1e-5)


def test_a_layer_computed_twice_has_the_same_dropout(place: Path) -> None:
    """Of a dropout alone, the gradient is the output where the input is ones."""
    import mlx.core as mx
    import mlx.nn as nn

    model = nn.Module()
    model.layers = [nn.Sequential(nn.Dropout(0.5))]
    checkpoint_layers(model)
    (out,), (gradient,) = mx.vjp(model.layers[0], [mx.ones(200)], [mx.ones(200)])
    assert set(out.tolist()) == {0.0, 2.0}
    assert mx.array_equal(out, gradient)
    assert not mx.array_equal(out, model.layers[0](mx.ones(200)))


def test_schedules_and_early_stopping(place: Path, tmp_path: Path) -> None:
    flags = {"learning_rate": 3, "warmup": 0, "epochs": 3, "evaluations": 9, "early_stopping": 2}
    for schedule in ("cosine", "constant"):
        out = tmp_path / schedule
        train(place, out, schedule=schedule, **flags)
        summary = json.loads((out / "summary.json").read_text())
        assert summary["steps"] == summary["best_step"] + 4 < 18


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"attention": "eager"}, "fit.attention eager: mlx has its own; write auto"),
        ({"optimizer": "adamw-8bit"}, "fit.optimizer adamw-8bit: mlx has none of 8 bits; write adamw"),
        ({"report_to": "tensorboard"}, "pip install tensorboard"),
        ({"processes": 2}, "train.processes 2: mlx works in one; write 1"),
    ],
)
def test_what_mlx_cannot_do_is_refused_in_one_line(flags: dict, said: str, place: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(main, arguments(place, tmp_path, **flags))
    assert (result.exit_code, result.output.count("\n")) == (1, 1)
    assert said in result.output


def test_a_loss_that_is_no_number_ends_the_run_and_keeps_the_step_before(place: Path, tmp_path: Path) -> None:
    words = arguments(place, tmp_path, learning_rate=1e38, warmup=0.1, evaluations=12)
    for _ in range(2):
        result = CliRunner().invoke(main, words)
        assert result.exit_code == 1
        said = result.output.splitlines()[-1]
        assert "the loss is nan at step 2 of 12" in said
        assert "the checkpoint of step 1 is kept" in said
        assert [path.name for path in tmp_path.glob("state/checkpoints/*/*/*")] == ["1"]
    assert "going on from" in result.output
    assert not (tmp_path / "adapter").exists()


def test_two_runs_give_the_same_bytes(place: Path, trained: Path) -> None:
    again = train(place, place / "again")
    assert outputs(again.parent) == outputs(trained.parent)


def test_a_killed_run_goes_on_to_the_same_bytes(place: Path, tmp_path: Path) -> None:
    changed = {"evaluations": 6, "accumulation": 2, "epochs": 4}
    whole = train(place, place / "whole", **changed)
    words = [sys.executable, "-m", "stages.train_mlx", *arguments(place, tmp_path, **changed)]
    run = subprocess.Popen(words, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.DEVNULL)
    while not list(tmp_path.glob("state/checkpoints/*/*/[0-9]*")):
        assert run.poll() is None
        time.sleep(0.01)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    assert not (tmp_path / "adapter").exists()
    result = CliRunner().invoke(main, arguments(place, tmp_path, **changed))
    assert "going on from" in result.output
    assert outputs(tmp_path) == outputs(whole.parent)


def test_4bit_bfloat16_trains(place: Path, tmp_path: Path) -> None:
    adapter = train(place, tmp_path, quantization="4bit", precision="bfloat16", epochs=0.5, target="attention")
    config = json.loads((adapter / "adapter_config.json").read_text())
    assert "mlp" not in config["target_modules"]
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["trainable_parameters"] == 2 * 4 * 4 * (64 + 64)


def test_batches_cover_every_row_once_and_start_anywhere(place: Path) -> None:
    data = examples(read_tokens(place / "tokens", load_chat(read_base(place / "base")))["train"])
    lengths = np.array([len(ids) for ids, _ in data])
    for epoch in (0, 1):
        batches = epoch_batches(lengths, 4, 0, epoch)
        assert sorted(map(len, batches)) == [2, 4, 4, 4, 4, 4]
        assert sorted(row for batch in batches for row in batch) == list(range(22))

    def first(count: int, start: int) -> list:
        stream = iterate_batches(data, 4, 0, loop=True, seed=3, start=start, accumulation=2)
        return [[np.array(array).tolist() for array in next(stream)] for _ in range(count)]

    assert first(8, 0)[6:] == first(2, 3)
    (ids, labels, share), (_, others, same) = first(2, 0)
    assert share == same == np.sum([np.sum(np.array(x)[:, 1:] != IGNORED) for x in (labels, others)]) / 2
    assert (len(ids[0]) - 1) % 32 == 0


def test_a_batch_answers_as_one_by_one(place: Path, trained: Path) -> None:
    predictor = Predictor("mlx", read_base(place / "base"), "none", "float32", PREAMBLE, trained)
    asked = [row["messages"][:1] for row in rows(9)]
    assert predictor.answer(asked, 9, 6, "") == predictor.answer(asked, 1, 6, "")


def test_constrained_answers_obey_the_schema(place: Path) -> None:
    import jsonschema

    predictor = Predictor("mlx", read_base(place / "base"), "none", "float32", PREAMBLE, schema=place / "schema.json")
    for answer in predictor.answer([row["messages"][:1] for row in rows(3)], 2, 60, ""):
        jsonschema.validate(json.loads(answer), SCHEMA)


def test_a_pattern_that_finds_nothing_is_refused(place: Path, tmp_path: Path) -> None:
    other = tmp_path / "base"
    shutil.copytree(place / "base", other)
    text = (other / "base.yaml").read_text().replace("model", "vision_model")
    (other / "base.yaml").write_text(text)
    result = CliRunner().invoke(main, arguments(place, tmp_path, base=other))
    assert result.exit_code == 1
    assert "finds no module" in result.output
    assert "Traceback" not in result.output
