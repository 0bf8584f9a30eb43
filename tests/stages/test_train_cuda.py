"""train_cuda on the CPU: a small random base, real transformers, peft, trl and bitsandbytes."""

import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from click.testing import CliRunner
from safetensors.numpy import load_file

from stages.format import count_tokens
from stages.train_cuda import Shares, main, score_labels_alone
from tests.conftest import ENVIRONMENT, ROOT
from tests.ending import end_line
from tests.small_base import write_small_base
from tuneline.answering.predictor import adapter_preamble
from tuneline.files import read_jsonl
from tuneline.models.adapter import WEIGHTS, read_adapter
from tuneline.models.base import read_base
from tuneline.recipe.forms import read_form
from tuneline.rendering.chat import load_chat
from tuneline.rendering.preamble import Preamble
from tuneline.rendering.tokens import write_tokenizer_name, write_tokens
from tuneline.rows import make_row
from tuneline.training.checkpoints import in_use
from tuneline.training.run import Fitted, Run

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
    "variant": "plain",
    "schedule": "linear",
    "optimizer": "adamw",
    "early-stopping": 0,
    "attention": "auto",
    "gradient-checkpointing": "auto",
    "report-to": "none",
    "processes": 1,
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
    write_tokens(tokens, "train", chat.encode(rows[:29]))  # of batches of 4 the last has one row
    write_tokens(tokens, "valid", chat.encode(rows[31:]))
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
    assert re.fullmatch(r"train adapter \d+ rows, \d+ steps valid loss [\d.]+ at step \d+.*", end_line(done.output))
    return out / "adapter"


@pytest.fixture(scope="module")
def whole(work: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a training leaves that nothing has stopped."""
    out = tmp_path_factory.mktemp("whole")
    train(work, out)
    return out


def test_the_checkpoints_of_a_run_at_work_stay_and_of_one_that_was_stopped_go(work: Path, tmp_path: Path) -> None:
    """Both of the same adapter, with other knobs."""
    runs = tmp_path / "state" / "checkpoints" / "adapter"
    for name in ("at work", "stopped"):
        (runs / name / "checkpoint-3").mkdir(parents=True)
    with in_use(runs / "at work"):
        train(work, tmp_path, epochs=0.1)
        assert list(runs.glob("*/*")) == [runs / "at work" / "checkpoint-3"]


def test_a_cpu_trains_in_float32_by_itself(work: Path, whole: Path, tmp_path: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("a card has bfloat16")
    adapter = train(work, tmp_path, precision="auto")
    assert (adapter / WEIGHTS).read_bytes() == (whole / "adapter" / WEIGHTS).read_bytes()  # that was told float32
    assert read_adapter(adapter).precision == "float32"


def test_bfloat16_is_what_the_device_can_do_or_another_is_said_and_kept(
    work: Path, whole: Path, tmp_path: Path
) -> None:
    """A CPU without its arithmetic would take a hundred times as long."""
    done = CliRunner().invoke(main, command(work, tmp_path, precision="bfloat16"), catch_exceptions=False)
    taken = read_adapter(tmp_path / "adapter").precision
    instead = "no arithmetic for bfloat16 on this device: float32 is taken instead"
    assert (taken == "float32") == (instead in done.stderr)
    same = (tmp_path / "adapter" / WEIGHTS).read_bytes() == (whole / "adapter" / WEIGHTS).read_bytes()
    assert same == (taken == "float32")


def test_the_adapter_is_peft_and_the_summary_says_what_was_trained(work: Path, whole: Path) -> None:
    import torch

    from tuneline.backends.cuda import load_adapter, load_model

    adapter = whole / "adapter"
    summary = json.loads((whole / "summary.json").read_text("utf-8"))
    chat = load_chat(read_base(work / "models" / "small"))
    from tuneline.rendering.tokens import read_tokens

    rows = read_tokens(work / "tokens", chat)["train"]
    assert summary["rows"] == 29
    assert summary["tokens"] == sum(map(len, rows["input_ids"]))
    assert summary["steps"] == 12  # 29 rows ÷ 4, rounded up, ÷ 2, times 3 epochs
    curve = [line.split("\t") for line in (whole / "curves" / "valid_loss.tsv").read_text().splitlines()]
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
    assert not (whole / "state" / "checkpoints" / "adapter").exists()


def test_an_evaluation_that_is_long_says_how_far_it_is(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tuneline.files.EVERY", 0)
    done = CliRunner().invoke(main, command(work, tmp_path, evaluations=1), catch_exceptions=False)
    assert "\nvalidation loss: 2 of 2, " in done.output


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
    assert summary["valid_loss"] == pytest.approx(weighted, abs=1e-4)
    assert summary["valid_loss"] != pytest.approx(sum(losses) / len(losses), abs=5e-4)  # which is another figure


def test_gradient_checkpointing_changes_no_byte(work: Path, tmp_path: Path) -> None:
    some = [train(work, tmp_path / word, epochs=1, gradient_checkpointing=word) for word in ("always", "never")]
    assert (some[0] / WEIGHTS).read_bytes() == (some[1] / WEIGHTS).read_bytes()


@pytest.mark.parametrize(("variant", "key"), [("rslora", "use_rslora"), ("dora", "use_dora")])
def test_a_variant_of_lora_is_told_to_peft(variant: str, key: str, work: Path, tmp_path: Path) -> None:
    adapter = train(work, tmp_path, epochs=1, variant=variant, attention="eager", schedule="cosine")
    assert json.loads((adapter / "adapter_config.json").read_text("utf-8"))[key] is True
    names = load_file(adapter / WEIGHTS)
    assert any("magnitude" in name for name in names) == (variant == "dora")


@pytest.mark.parametrize("optimizer", ["adamw-8bit", "paged-adamw-8bit"])
def test_an_optimizer_of_8_bits_trains(optimizer: str, work: Path, tmp_path: Path) -> None:
    train(work, tmp_path, epochs=2, optimizer=optimizer, schedule="constant")
    losses = valid_losses(tmp_path)
    assert losses[max(losses)] < losses[min(losses)]


def valid_losses(out: Path) -> dict[int, float]:
    lines = [line.split("\t") for line in (out / "curves/valid_loss.tsv").read_text("utf-8").splitlines()]
    return {int(step): float(loss) for step, loss in lines[1:]}


def test_early_stopping_ends_after_evaluations_that_are_no_better(work: Path, tmp_path: Path) -> None:
    # A rate at which no weight moves: no evaluation is better than the first, on any number of threads.
    train(work, tmp_path, learning_rate=1e-30, dropout=0, epochs=6, evaluations=12, early_stopping=2)
    losses = valid_losses(tmp_path)
    best = min(losses, key=losses.__getitem__)
    summary = json.loads((tmp_path / "summary.json").read_text("utf-8"))
    assert list(losses) == [best, best + 2, best + 4]  # of 24 steps
    assert summary["best_step"] == best
    assert summary["steps"] == best + 4


@pytest.mark.parametrize(
    ("flags", "said"), [({"report_to": "wandb"}, "pip install wandb"), ({"attention": "flash"}, "flash-attn")]
)
def test_what_this_machine_lacks_is_refused_in_one_line(flags: dict, said: str, work: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(main, command(work, tmp_path, **flags))
    assert done.exit_code == 1
    assert done.output.count("\n") == 1
    assert said in done.output


def test_a_loss_that_is_no_number_ends_the_run_and_keeps_the_step_before(work: Path, tmp_path: Path) -> None:
    words = command(work, tmp_path, learning_rate=1e38, warmup=0.1, epochs=3, evaluations=12)
    for _ in range(2):  # the same knobs go on from the same step, to the same end
        done = CliRunner().invoke(main, words)
        assert done.exit_code == 1
        assert "the loss is nan at step 2 of 12" in done.output
        assert "the checkpoint of step 1 is kept" in done.output
        assert "lower train.learning-rate, now 1e+38" in done.output
        assert "float32" not in done.output.splitlines()[-1]  # it is
        assert [path.name for path in tmp_path.glob("state/checkpoints/*/*/checkpoint-*")] == ["checkpoint-1"]
    assert "going on from" in done.output
    assert not (tmp_path / "adapter").exists()
    train(work, tmp_path, epochs=1)  # other knobs begin anew, and clear up
    assert not list(tmp_path.glob("state/checkpoints/*"))


def test_logits_are_made_of_what_is_learnt_alone(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torch import allclose, manual_seed, randint
    from transformers import AutoModelForCausalLM
    from trl.kernels import ChunkedLogProbFunction, chunked_logprob
    from trl.trainer import utils

    class Spy(ChunkedLogProbFunction):
        @staticmethod
        def forward(ctx: Any, hidden: Any, *rest: Any) -> Any:
            scored.append(len(hidden))
            return ChunkedLogProbFunction.forward(ctx, hidden, *rest)

    monkeypatch.setattr(utils, "_ChunkedLogProbFunction", Spy)
    monkeypatch.setattr(utils, "_use_triton", chunked_logprob._use_triton)
    model, scored, found = AutoModelForCausalLM.from_pretrained(work / "models/small"), [], []
    utils.add_fused_lm_head(model)
    manual_seed(0)
    ids = randint(9, (2, 20))
    labels = ids.clone()
    labels[:, :15] = -100
    for alone in (False, True):
        if alone:
            score_labels_alone()
        model.zero_grad()
        loss = model(input_ids=ids, labels=labels, fused_lm_head=True).loss
        loss.backward()
        found.append((loss, [one.grad.clone() for one in model.parameters()]))
    assert scored == [2 * 19, 2 * 5]
    (every, of_all), (some, of_some) = found
    assert allclose(every, some) and all(map(allclose, of_all, of_some))


def test_four_bits_train_on_the_cpu(work: Path, tmp_path: Path) -> None:
    adapter = train(work, tmp_path, quantization="4bit", precision="bfloat16", epochs=1)
    assert read_adapter(adapter).quantization == "4bit"


@pytest.fixture(scope="module")
def long(work: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object]]:
    """101 steps, each second of them told: the checkpoint of step 13, within an epoch, has a loss that waits."""
    out = tmp_path_factory.mktemp("long")
    flags = {"epochs": 6.73, "batch_size": 1, "evaluations": 8, "learning_rate": 0.001}
    train(work, out, **flags)
    return out, flags


def kept(checkpoints: Path) -> int:
    """The step of the last checkpoint that is whole; 0 where there is none. The run removes older ones meanwhile."""
    steps = [0]
    for path in checkpoints.glob("adapter/*/checkpoint-*/trainer_state.json"):
        with suppress(OSError, ValueError):
            steps.append(json.loads(path.read_text("utf-8"))["global_step"])
    return max(steps)


RUN = "from stages import train_cuda; train_cuda.SAVE_EVERY = {}; train_cuda.main()"


@pytest.mark.parametrize(("save_every", "step"), [(600, 13), (0, 17)], ids=["at an evaluation", "between two"])
def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(
    save_every: int, step: int, work: Path, long: tuple[Path, dict[str, object]], tmp_path: Path
) -> None:
    whole, flags = long
    words = command(work, tmp_path, **flags)
    run = [sys.executable, "-c", RUN.format(save_every), *words]
    process = subprocess.Popen(run, cwd=ROOT, env=ENVIRONMENT, stderr=subprocess.PIPE)
    checkpoints = tmp_path / "state" / "checkpoints"
    while kept(checkpoints) < step:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)  # in the midst of a checkpoint, perhaps
    process.wait()
    left = kept(checkpoints)
    assert not (tmp_path / "adapter").exists()
    done = CliRunner().invoke(main, words, catch_exceptions=False)  # of as many threads, on which sums depend
    assert done.exit_code == 0, done.output
    assert re.search(r"going on from .*checkpoint-(\d+)", done.output)[1] == str(left)
    for name in ("adapter_model.safetensors", "adapter_config.json", "adapter.json"):
        assert (tmp_path / "adapter" / name).read_bytes() == (whole / "adapter" / name).read_bytes(), name
    for name in ("curves/train_loss.tsv", "curves/valid_loss.tsv", "summary.json"):
        assert (tmp_path / name).read_bytes() == (whole / name).read_bytes(), name


# Several processes


@pytest.fixture(scope="module")
def alone(work: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process leaves, without dropout, which each process draws for itself."""
    out = tmp_path_factory.mktemp("alone")
    train(work, out, dropout=0)
    return out


def curves(out: Path) -> dict[str, float]:
    """By name and step."""
    read = [(path.stem, path.read_text("utf-8").splitlines()[1:]) for path in (out / "curves").glob("*.tsv")]
    split = [(name, *line.split("\t")) for name, lines in read for line in lines]
    return {f"{name} {step}": float(loss) for name, step, loss in split}


def same_as_alone(out: Path, alone: Path) -> None:
    """The same files, steps and losses, one line in the run log, and no checkpoint left."""
    assert curves(out) == pytest.approx(curves(alone), abs=1e-5)
    assert {path.name for path in (out / "adapter").iterdir()} == {path.name for path in (alone / "adapter").iterdir()}
    weights = [load_file(folder / "adapter" / WEIGHTS) for folder in (out, alone)]
    assert weights[0].keys() == weights[1].keys()
    for name, tensor in weights[0].items():
        assert abs(tensor - weights[1][name]).max() < 1e-5, name
    assert not list((out / "state" / "checkpoints").iterdir())


def test_two_processes_take_the_steps_of_one(
    work: Path, alone: Path, tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    done = CliRunner().invoke(main, command(work, tmp_path, dropout=0, processes=2), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    same_as_alone(tmp_path, alone)
    said = capfd.readouterr().err
    assert len([line for line in said.splitlines() if not line.startswith("train adapter:")]) == 1  # beside the bar's
    assert end_line(said).startswith("train adapter 29 rows, 12 steps")
    (log,) = (tmp_path / "state/runs.jsonl").read_text("utf-8").splitlines()
    assert json.loads(log)["processes"] == 2


def test_a_process_that_is_killed_ends_all_and_one_goes_on_where_two_ended(
    work: Path, alone: Path, tmp_path: Path
) -> None:
    words = [sys.executable, "-m", "stages.train_cuda", *command(work, tmp_path, dropout=0, processes=2)]
    process = subprocess.Popen(words, cwd=ROOT, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)
    checkpoints = tmp_path / "state" / "checkpoints"
    while not list(checkpoints.glob("adapter/*/checkpoint-6/trainer_state.json")):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)
    workers = psutil.Process(process.pid).children()
    assert len(workers) == 2
    next(one for one in workers if one.environ()["RANK"] == "1").kill()
    said = process.communicate()[1]
    assert process.returncode == 1
    assert said.count("Error:") == 1
    assert "process 1 was ended by SIGKILL" in said
    assert "the checkpoint of step 6 is kept" in said
    assert not any(one.is_running() for one in workers)
    assert not (tmp_path / "adapter").exists()
    train(work, tmp_path, dropout=0)
    same_as_alone(tmp_path, alone)


@pytest.mark.soak  # here one process meets it, and tests/tuneline/running/test_processes.py has all refuse at once
def test_a_loss_that_is_no_number_ends_all_processes(work: Path, tmp_path: Path) -> None:
    flags = {"learning_rate": 1e38, "warmup": 0.1, "evaluations": 12, "processes": 2}
    done = CliRunner().invoke(main, command(work, tmp_path, **flags))
    assert done.exit_code == 1
    assert done.output.startswith("Error: the loss is nan at step 2 of 12")
    assert "the checkpoint of step 1 is kept" in done.output
    assert done.output.count("\n") == 1


def test_accelerate_reads_the_preset() -> None:
    """And knows every key of it."""
    from accelerate.commands.config.config_args import load_config_from_file

    read = load_config_from_file(str(ROOT / "presets/fsdp.yaml"))
    assert (read.distributed_type, read.num_processes, read.fsdp_config["fsdp_version"]) == ("FSDP", 2, 2)


@pytest.mark.soak  # two processes of our own launcher do the same above
def test_accelerate_launch_trains_with_the_preset(work: Path, alone: Path, tmp_path: Path) -> None:
    """Among CPUs it divides the rows alone."""
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", "presets/fsdp.yaml"]
    words = [*launcher, "-m", "stages.train_cuda", *command(work, tmp_path, dropout=0)]
    done = subprocess.run(words, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    same_as_alone(tmp_path, alone)


@pytest.mark.parametrize("processes", [1, 2, 3, 7])
@pytest.mark.parametrize("rows", [1, 8, 9, 11, 16])
def test_shares_make_up_each_batch(processes: int, rows: int) -> None:
    shares = [list(Shares(range(rows), 8, rank, processes, list)) for rank in range(processes)]
    assert {len(batches) for batches in shares} == {math.ceil(rows / 8)}
    for start, parts in zip(range(0, rows, 8), zip(*shares, strict=True), strict=True):
        assert sorted(row for part in parts for row in part) == list(range(rows))[start : start + 8]
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize(
    ("flags", "environment", "said"),
    [
        ({"processes": 3}, {}, "train.batch-size 4 cannot be divided among 3 processes; write 3 or 6"),
        ({"processes": 5}, {}, "train.batch-size 4 cannot be divided among 5 processes; write 5"),
        ({}, {"WORLD_SIZE": "3"}, "train.batch-size 4 cannot be divided among 3 processes; write 3 or 6"),
        (
            {"processes": 4},
            {"WORLD_SIZE": "2"},
            "train.processes 4: the launcher has started 2; write 1 or 2",
        ),
        (
            {"quantization": "4bit"},
            {"WORLD_SIZE": "2", "ACCELERATE_USE_FSDP": "true"},
            "FSDP divides no weights and no moments of few bits: write quantization none and fit.optimizer adamw",
        ),
    ],
)
def test_what_cannot_be_divided_is_refused(
    flags: dict, environment: dict, said: str, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launched = {"RANK": "0", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1"} if environment else {}
    for name, value in (launched | environment).items():
        monkeypatch.setenv(name, value)
    done = CliRunner().invoke(main, command(work, tmp_path, **flags))
    assert (done.exit_code, done.output) == (1, f"Error: {said}\n")


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


@pytest.mark.parametrize("name", ["train", "valid"])
def test_token_files_without_a_row_are_refused(name: str, work: Path, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    shutil.copytree(work / "tokens", tokens)
    write_tokens(tokens, name, [])
    words = command(work, tmp_path)
    words[words.index("--tokens") + 1] = str(tokens)
    done = CliRunner().invoke(main, words)
    said = f"Error: {tokens}/{name}.parquet has no row; remove it and run `dvc repro`\n"
    assert (done.exit_code, done.output) == (1, said)


def test_an_unknown_target_names_the_known_ones(work: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(main, command(work, tmp_path, target="q_proj"))
    assert done.exit_code == 1
    assert "linear, attention" in done.output


def test_counts_of_format_are_those_of_the_tokens(work: Path) -> None:
    chat = load_chat(read_base(work / "models" / "small"))
    rows = chat.encode([make_row(read_form({"prompt": "a", "response": "b c"}), "x", 1)])
    counted = count_tokens(1, rows)
    assert counted["trained_tokens"] == len(chat.backend.encode("b c<|im_end|>").ids)


def test_what_cannot_fit_is_refused_before_anything_is_loaded(work: Path, tmp_path: Path) -> None:
    """A file as long as its header says, of which the disk holds nothing."""
    base = tmp_path / "base"
    shutil.copytree(work / "models/small", base)
    out, into = 2**20, 2**20
    shape = {"dtype": "F32", "shape": [out, into], "data_offsets": [0, 4 * out * into]}
    header = json.dumps({"model.layers.0.mlp.up_proj.weight": shape}).encode()
    with (base / "model.safetensors").open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + 4 * out * into)
    words = command(work, tmp_path / "out")
    words[words.index("--base") + 1] = str(base)
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 1
    assert done.output.startswith("Error: needs at least 4")
    assert "Take a smaller base" in done.output


def test_memory_that_ends_is_told_with_the_knobs(work: Path, tmp_path: Path) -> None:
    import torch

    from tuneline.training.command import training_command

    def fit(run: Run) -> Fitted:
        (run.checkpoints / "checkpoint-7").mkdir(parents=True)
        return torch.empty(2**50)

    stage = training_command("cuda", ("torch",), fit, lambda: ("cpu", 10**12), lambda _: [], str)
    done = CliRunner().invoke(stage, command(work, tmp_path))
    assert done.exit_code == 1
    said = done.output.splitlines()[-1]
    assert said.startswith("Error: out of memory")
    assert "the checkpoint of step 7 is kept" in said
    assert "fit.gradient-checkpointing always" in said
    assert not (tmp_path / "adapter").exists()
