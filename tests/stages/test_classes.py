"""Models of the classes that people train, tiny and random, through the stages that load one, on both backends."""

import importlib
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner

from stages.baseline import main as baseline
from stages.predict import main as predict
from tests.conftest import ROOT
from tests.small_base import CLASSES, TOWERS, write_class_base
from tuneline.bases.stored import FOUR_BITS, MLX, stored_as
from tuneline.files import read_jsonl, write_jsonl
from tuneline.models.adapter import WEIGHTS
from tuneline.models.base import read_base
from tuneline.rendering.chat import load_chat
from tuneline.rendering.preamble import Preamble
from tuneline.rendering.tokens import write_tokenizer_name, write_tokens

PREAMBLE = Preamble("Answer.")
FLAGS = {
    "quantization": "none", "learning-rate": 0.05, "epochs": 2, "batch-size": 4, "accumulation": 1, "warmup": 0,
    "weight-decay": 0, "evaluations": 1, "precision": "float32", "seed": 0, "rank": 2, "scale": 2, "dropout": 0,
    "target": "linear", "variant": "plain", "schedule": "linear", "optimizer": "adamw", "early-stopping": 0,
    "attention": "auto", "gradient-checkpointing": "auto", "report-to": "none", "processes": 1,
}  # fmt: skip


def rows(count: int) -> list[dict]:
    said = [[{"role": "user", "content": f"{n}?"}, {"role": "assistant", "content": str(n)}] for n in range(count)]
    return [{"id": str(number), "messages": messages} for number, messages in enumerate(said)]


def words(options: dict) -> list[str]:
    return [word for key, value in options.items() for word in (f"--{key}", str(value))]


def run(command: object, options: dict, *more: str) -> str:
    done = CliRunner().invoke(command, [*words(options), *more])
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a preamble, a schema and a test file; token files follow the base."""
    PREAMBLE.write(tmp_path / "preamble.json")
    shutil.copyfile(ROOT / "recipes/query_json/schema.json", tmp_path / "schema.json")
    write_jsonl(tmp_path / "test.jsonl", rows(3))
    return tmp_path


def train(place: Path, backend: str, base: Path, **changed: object) -> Path:
    chat = load_chat(read_base(base), PREAMBLE)
    tokens = place / "tokens"
    tokens.mkdir(exist_ok=True)
    for name, count in (("train", 8), ("valid", 4)):
        write_tokens(tokens, name, chat.encode(rows(count)))
    write_tokenizer_name(tokens, chat, base)
    paths = {
        "tokens": tokens, "base": base, "preamble": place / "preamble.json", "schema": place / "schema.json",
        "out": place / "adapter", "curves": place / "curves", "summary": place / "summary.json",
        "state": place / "state",
    }  # fmt: skip
    run(importlib.import_module(f"stages.train_{backend}").main, {**paths, **FLAGS, **changed})
    return place / "adapter"


@pytest.mark.parametrize("backend", ["cuda", "mlx"])
@pytest.mark.parametrize("kind", CLASSES)
def test_a_class_is_trained_and_asked(kind: str, backend: str, place: Path) -> None:
    base = write_class_base(place / "base", kind)
    adapter = train(place, backend, base)
    asked = {"backend": backend, "test": place / "test.jsonl", "batch-size": 2, "max-new-tokens": 3}
    asked |= {"state": place / "state", "processes": 1}
    run(predict, {**asked, "adapter": adapter, "out": place / "tuned.jsonl"}, "--no-constrain")
    plain = {
        "base": base,
        "quantization": "none",
        "precision": "float32",
        "preamble": place / "preamble.json",
        "schema": place / "schema.json",
        "examples": place / "test.jsonl",
        "shots": 1,
    }
    run(baseline, {**asked, **plain, "out": place / "base.jsonl"}, "--no-constrain")
    tuned, untuned = (read_jsonl(place / name) for name in ("tuned.jsonl", "base.jsonl"))
    assert [row["id"] for row in tuned] == ["0", "1", "2"]
    assert tuned != untuned  # a few steps at a high rate: an adapter that changes nothing would be seen
    config = json.loads((adapter / "adapter_config.json").read_text("utf-8"))
    assert config["target_modules"] == read_base(base).pattern("linear")


def store_in_4_bits(base: Path, backend: str) -> None:
    """As repositories have it that bitsandbytes or mlx-lm wrote."""
    if backend == "cuda":
        from transformers import AutoModelForCausalLM, BitsAndBytesConfig

        how = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True)
        AutoModelForCausalLM.from_pretrained(base, quantization_config=how).save_pretrained(base)
    else:
        from mlx_lm.utils import load_model, quantize_model, save_config, save_model

        model, config = quantize_model(*load_model(base), 64, 4)
        save_model(base, model)
        save_config(config, base / "config.json")


@pytest.mark.parametrize(("backend", "stored"), [("cuda", FOUR_BITS), ("mlx", MLX)])
def test_a_base_that_is_stored_in_4_bits_is_trained_and_asked(backend: str, stored: str, place: Path) -> None:
    base = write_class_base(place / "base", "llama")
    whole = (base / "model.safetensors").stat().st_size
    store_in_4_bits(base, backend)
    assert (base / "model.safetensors").stat().st_size < whole
    assert stored_as(base) == stored
    adapter = train(place, backend, base, quantization="4bit")
    asked = {"backend": backend, "test": place / "test.jsonl", "batch-size": 2, "max-new-tokens": 3}
    asked |= {"state": place / "state", "processes": 1}
    run(predict, {**asked, "adapter": adapter, "out": place / "tuned.jsonl"}, "--no-constrain")
    assert len(read_jsonl(place / "tuned.jsonl")) == 3


@pytest.mark.parametrize("kind", TOWERS)
def test_both_backends_name_the_weights_alike(kind: str, place: Path) -> None:
    from safetensors.numpy import load_file

    base = write_class_base(place / "base", kind)
    shapes = []
    for backend in ("cuda", "mlx"):
        weights = load_file(train(place, backend, base) / WEIGHTS)
        shapes.append({name: tensor.shape for name, tensor in weights.items()})
    assert shapes[0] == shapes[1]
    assert len(shapes[0]) == 2 * 7 * 2  # A and B of seven matrices in each of two layers


# Weights that are not those of the model


def lose(weights: dict) -> None:
    del weights["model.layers.1.mlp.up_proj.weight"]


def add(weights: dict) -> None:
    weights["model.layers.7.mlp.up_proj.weight"] = weights["model.layers.1.mlp.up_proj.weight"].copy()


def reshape(weights: dict) -> None:
    weights["model.layers.1.mlp.up_proj.weight"] = weights["model.layers.1.mlp.up_proj.weight"][:-1].copy()


def change(path: Path, how: Callable[[dict], None]) -> None:
    from safetensors.numpy import load_file, save_file

    weights = load_file(path)
    how(weights)
    save_file(weights, path, metadata={"format": "pt"})


@pytest.mark.parametrize("backend", ["cuda", "mlx"])
@pytest.mark.parametrize(
    ("how", "said"),
    [
        (lose, "missing"),
        (add, "model.layers.7.mlp.up_proj.weight"),
        (reshape, "shape"),
    ],
)
def test_a_base_with_other_weights_is_refused(how: Callable, said: str, backend: str, tmp_path: Path) -> None:
    base = write_class_base(tmp_path / "base", "llama")
    change(base / "model.safetensors", how)
    with pytest.raises(click.ClickException) as told:
        importlib.import_module(f"tuneline.backends.{backend}").load_model(read_base(base), "none")
    assert said in told.value.message.lower()
    assert str(base) in told.value.message


LORA = "base_model.model.model.layers.1.mlp.up_proj.lora_A.weight"


@pytest.mark.parametrize("backend", ["cuda", "mlx"])
@pytest.mark.parametrize(
    "how",
    [
        lambda weights: weights.pop(LORA),
        lambda weights: weights.update({LORA.replace("up", "left"): weights[LORA].copy()}),
        lambda weights: weights.update({LORA.replace("layers.1", "layers.2"): weights.pop(LORA)}),
        lambda weights: weights.update({LORA: weights[LORA][:, :-1].copy()}),
    ],
    ids=["missing", "left over", "under another name", "of another shape"],
)
def test_an_adapter_with_other_weights_is_refused(how: Callable, backend: str, place: Path) -> None:
    base = write_class_base(place / "base", "llama")
    adapter = train(place, backend, base, epochs=0.1)
    change(adapter / WEIGHTS, how)
    module = importlib.import_module(f"tuneline.backends.{backend}")
    with pytest.raises(click.ClickException, match="fit"):
        module.load_adapter(module.load_model(read_base(base), "none"), adapter)


@pytest.mark.parametrize("backend", ["cuda", "mlx"])
@pytest.mark.parametrize(
    ("kind", "pattern", "said"),
    [
        ("gemma3", r".*self_attn\.(q|k|v)_proj", "outside the language model"),
        ("mistral3", r".*(q|k|v)_proj", "outside the language model"),
        ("llama", r"transformer\.h\.\d+\.attn", "finds no module"),
    ],
)
def test_a_target_outside_the_language_model_is_refused(
    kind: str, pattern: str, said: str, backend: str, place: Path
) -> None:
    base = write_class_base(place / "base", kind)
    settings = yaml.safe_load((base / "base.yaml").read_text("utf-8"))
    (base / "base.yaml").write_text(yaml.safe_dump(settings | {"target": {"linear": pattern}}), "utf-8")
    if backend == "mlx" and "outside" in said:  # mlx-lm loads nothing but the language model
        train(place, backend, base, epochs=0.1)
        return
    with pytest.raises(AssertionError, match=said):
        train(place, backend, base)


@pytest.mark.parametrize("backend", ["cuda", "mlx"])
def test_no_code_of_a_base_is_run_whatever_standard_input_says(
    backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = write_class_base(tmp_path / "base", "llama")
    config = json.loads((base / "config.json").read_text("utf-8"))
    code = {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"}
    config |= {"model_type": "own", "auto_map": code, "model_file": "own.py"}
    (base / "config.json").write_text(json.dumps(config), "utf-8")
    (base / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n", "utf-8")
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n" * 9))
    with pytest.raises(click.ClickException):
        importlib.import_module(f"tuneline.backends.{backend}").load_model(read_base(base), "none")
    assert not (tmp_path / "ran").exists()
