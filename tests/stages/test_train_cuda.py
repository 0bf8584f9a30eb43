"""train_cuda on the CPU: a small random base, real transformers, peft, trl and bitsandbytes."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from stages.format import count_tokens
from stages.train_cuda import main
from tests.conftest import ENVIRONMENT, ROOT
from tests.small_base import write_small_base
from tuneline.answering.predictor import adapter_preamble
from tuneline.files import read_jsonl
from tuneline.models.adapter import read_adapter
from tuneline.models.base import read_base
from tuneline.recipe.forms import read_form
from tuneline.rendering.chat import load_chat
from tuneline.rendering.preamble import Preamble
from tuneline.rendering.tokens import write_tokenizer_name, write_tokens
from tuneline.rows import make_row

PREAMBLE = Preamble("Answer in JSON.", "Explain:")
FLAGS = {
    "quantization": "none",
    "learning-rate": 0.01,
    "epochs": 3,
    "batch-size": 4,
    "accumulation": 2,
    "warmup": 0.1,
    "weight-decay": 0.0,
    "evaluations": 4,
    "precision": "float32",
    "seed": 0,
    "rank": 4,
    "scale": 2.0,
    "dropout": 0.1,
    "target": "linear",
}


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random base of two layers, a preamble, a schema and token files under them."""
    root = tmp_path_factory.mktemp("work")
    base = write_small_base(root / "models" / "small")
    PREAMBLE.write(root / "preamble.json")
    shutil.copyfile(ROOT / "recipes" / "query_json" / "schema.json", root / "schema.json")
    records = read_jsonl(ROOT / "recipes" / "query_json" / "source" / "train.jsonl")[:36]
    rows = [make_row(read_form(record), "train.jsonl", line) for line, record in enumerate(records, 1)]
    chat = load_chat(read_base(base), PREAMBLE)
    tokens = root / "tokens"
    tokens.mkdir()
    write_tokens(tokens, "train", chat.encode(rows[:30]))
    write_tokens(tokens, "valid", chat.encode(rows[30:]))
    write_tokenizer_name(tokens, chat, base)
    return root


def command(work: Path, out: Path, **flags: object) -> list[str]:
    paths = {
        "tokens": work / "tokens",
        "base": work / "models" / "small",
        "preamble": work / "preamble.json",
        "schema": work / "schema.json",
        "out": out / "adapter",
        "curves": out / "curves",
        "summary": out / "summary.json",
        "state": out / "state",
    }
    both = {**paths, **FLAGS, **{key.replace("_", "-"): value for key, value in flags.items()}}
    return [word for key, value in both.items() for word in (f"--{key}", str(value))]


def train(work: Path, out: Path, **flags: object) -> Path:
    done = CliRunner().invoke(main, command(work, out, **flags), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return out / "adapter"


def test_the_adapter_is_peft_and_the_summary_says_what_was_trained(work: Path, tmp_path: Path) -> None:
    import torch

    from tuneline.backends.cuda import load_adapter, load_model

    adapter = train(work, tmp_path)
    summary = json.loads((tmp_path / "summary.json").read_text("utf-8"))
    chat = load_chat(read_base(work / "models" / "small"))
    from tuneline.rendering.tokens import read_tokens

    rows = read_tokens(work / "tokens", chat)["train"]
    assert summary["rows"] == 30
    assert summary["tokens"] == sum(map(len, rows["input_ids"]))
    assert summary["steps"] == 12  # 30 rows ÷ 4, rounded up, ÷ 2, times 3 epochs
    curve = [line.split("\t") for line in (tmp_path / "curves" / "valid_loss.tsv").read_text().splitlines()]
    losses = {int(step): float(loss) for step, loss in curve[1:]}
    assert list(losses) == [3, 6, 9, 12]
    assert summary["best_step"] == min(losses, key=losses.__getitem__)
    config = json.loads((adapter / "adapter_config.json").read_text("utf-8"))
    assert config["lora_alpha"] == 8.0  # scale 2 × rank 4
    assert read_adapter(adapter).backend == "cuda"
    assert adapter_preamble(adapter) == PREAMBLE  # predict needs nothing but the folder and the base
    assert (adapter / "schema.json").read_bytes() == (work / "schema.json").read_bytes()
    base = load_model(read_base(work / "models" / "small"), "none")
    ids = torch.tensor([rows[0]["input_ids"]])
    plain = base(ids).logits
    tuned = load_adapter(base, adapter)(ids).logits
    assert not torch.allclose(plain, tuned)
    assert not list(adapter.glob("*.bin"))
    assert not (tmp_path / "state" / "checkpoints" / "adapter").exists()


def test_the_kept_adapter_has_the_best_validation_loss(work: Path, tmp_path: Path) -> None:
    """A rate far too high: the loss is best before the end, and that adapter is kept."""
    import torch

    from tuneline.backends.cuda import load_adapter, load_model
    from tuneline.rendering.tokens import read_tokens

    adapter = train(work, tmp_path, learning_rate=0.3, dropout=0.0, warmup=0.0, epochs=6)
    summary = json.loads((tmp_path / "summary.json").read_text("utf-8"))
    chat = load_chat(read_base(work / "models" / "small"))
    model = load_adapter(load_model(read_base(work / "models" / "small"), "none"), adapter)
    losses, counts = [], []
    for row in read_tokens(work / "tokens", chat)["valid"]:
        labels = torch.tensor([row["labels"]])
        losses.append(model(torch.tensor([row["input_ids"]]), labels=labels).loss.item())
        counts.append(int((labels[:, 1:] != -100).sum()))
    weighted = sum(loss * count for loss, count in zip(losses, counts, strict=True)) / sum(counts)
    plain = sum(losses) / len(losses)
    assert min(abs(weighted - summary["valid_loss"]), abs(plain - summary["valid_loss"])) < 0.05 * summary["valid_loss"]


def test_four_bits_train_on_the_cpu(work: Path, tmp_path: Path) -> None:
    adapter = train(work, tmp_path, quantization="4bit", precision="bfloat16", epochs=1)
    assert read_adapter(adapter).quantization == "4bit"


def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(work: Path, tmp_path: Path) -> None:
    script = [sys.executable, "-m", "stages.train_cuda"]
    subprocess.run(  # not in this process: sums depend on the number of threads
        [*script, *command(work, tmp_path / "whole")], cwd=ROOT, env=ENVIRONMENT, check=True, capture_output=True
    )
    whole = tmp_path / "whole" / "adapter"
    words = [*script, *command(work, tmp_path / "killed")]
    process = subprocess.Popen(words, cwd=ROOT, env=ENVIRONMENT, stderr=subprocess.PIPE)
    checkpoints = tmp_path / "killed" / "state" / "checkpoints"
    while not list(checkpoints.glob("adapter/*/checkpoint-*/trainer_state.json")):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed" / "adapter").exists()
    done = subprocess.run(words, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "going on from" in done.stderr
    for name in ("adapter_model.safetensors", "adapter_config.json", "adapter.json"):
        assert (tmp_path / "killed" / "adapter" / name).read_bytes() == (whole / name).read_bytes(), name
    for name in ("curves/train_loss.tsv", "curves/valid_loss.tsv", "summary.json"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_token_files_of_another_tokenizer_are_refused(work: Path, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    shutil.copytree(work / "tokens", tokens)
    (tokens / "tokenizer.json").write_text('{"base": "models/other", "sha256": "0"}', encoding="utf-8")
    words = command(work, tmp_path)
    words[words.index("--tokens") + 1] = str(tokens)
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 1
    assert "models/other" in done.output
    assert "dvc repro" in done.output


def test_an_unknown_target_names_the_known_ones(work: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(main, command(work, tmp_path, target="q_proj"))
    assert done.exit_code == 1
    assert "linear, attention" in done.output


def test_counts_of_format_are_those_of_the_tokens(work: Path) -> None:
    chat = load_chat(read_base(work / "models" / "small"))
    rows = chat.encode([make_row(read_form({"prompt": "a", "response": "b c"}), "x", 1)])
    counted = count_tokens(rows)
    assert counted["trained_tokens"] == len(chat.backend.encode("b c<|im_end|>").ids)
