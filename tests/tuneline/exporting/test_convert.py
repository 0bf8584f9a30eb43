"""Adapters of PEFT and of mlx-lm, made by these libraries, in each other's form: the logits stay."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.numpy import load_file, save_file

from tests.full_disk import files_of_at_most
from tests.small_base import TOWERS, write_class_base
from tuneline.cli import main
from tuneline.exporting.mlx import write_base
from tuneline.files import write_jsonl
from tuneline.models.adapter import WEIGHTS
from tuneline.models.base import read_base

IDS = [[7, 300, 41, 2999, 8, 15, 16, 23, 42, 4, 99, 1000, 5, 6, 77, 78, 79, 80, 81, 82]]  # more than a window
WITHIN = 1e-3
MLX_WEIGHTS = "adapters.safetensors"


class Bases:
    """Of each class one, made when it is asked for: as transformers writes it, and as an export for mlx-lm has it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def peft(self, kind: str) -> Path:
        path = self.folder / kind
        return path if path.exists() else write_class_base(path, kind)

    def mlx(self, kind: str) -> Path:
        path = self.folder / f"{kind}-mlx"
        if not path.exists():
            write_base(read_base(self.peft(kind)), path)
        return path


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Bases:
    import mlx.core as mx

    mx.disable_compile()  # on a CPU it runs a C++ compiler
    return Bases(tmp_path_factory.mktemp("bases"))


@pytest.fixture(scope="module")
def adapter(bases: Bases, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_adapter("llama", bases.peft("llama"), tmp_path_factory.mktemp("adapter") / "peft")


def load_peft(kind: str, base: Path) -> Any:
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

    return (AutoModelForImageTextToText if kind in TOWERS else AutoModelForCausalLM).from_pretrained(base)


def write_adapter(kind: str, base: Path, out: Path, **settings: Any) -> Path:
    """PEFT's own, with random weights."""
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(1)
    inside = r".*language_model\." if kind in TOWERS else r"model\."
    usual: dict[str, Any] = {
        "r": 4,
        "lora_alpha": 6,
        "target_modules": inside + r".*\.(q|v|down)_proj",
        "task_type": "CAUSAL_LM",
    }
    model = get_peft_model(load_peft(kind, base), LoraConfig(**usual | settings))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name or "lora_embedding_B" in name:
                weight.normal_(std=0.2)
            if "magnitude" in name:
                weight.mul_(torch.rand_like(weight) + 0.5)
    model.save_pretrained(out)
    return out


def peft_logits(kind: str, base: Path, adapter: Path) -> np.ndarray:
    import torch
    from peft import PeftModel

    model = PeftModel.from_pretrained(load_peft(kind, base), adapter)
    with torch.no_grad():
        return model.eval()(torch.tensor(IDS)).logits.numpy()


def mlx_logits(base: Path, adapter: Path | None = None) -> np.ndarray:
    import mlx.core as mx
    from mlx_lm import load

    model, _ = load(str(base), adapter_path=adapter and str(adapter))
    return np.array(model(mx.array(IDS)))


def convert(source: Path, to: str, out: Path, *more: object) -> Path:
    done = CliRunner().invoke(main, ["adapter", "convert", str(source), "--to", to, "--out", str(out), *map(str, more)])
    assert done.exit_code == 0, done.output
    return out


def refused(source: Path, to: str, out: Path, *more: object) -> str:
    """What is said, in one line; nothing is written."""
    before = sorted(out.parent.rglob("*"))
    done = CliRunner().invoke(main, ["adapter", "convert", str(source), "--to", to, "--out", str(out), *map(str, more)])
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    assert sorted(out.parent.rglob("*")) == before
    return done.stderr


def distance(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one - other).max())


def bytes_of(path: Path) -> dict[str, bytes]:
    return {name: tensor.tobytes() for name, tensor in load_file(path).items()}


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("llama", {"target_modules": ["q_proj", "o_proj", "up_proj"], "layers_to_transform": [0]}),
        ("qwen3", {"use_rslora": True, "target_modules": "all-linear"}),
        ("gemma3_text", {"exclude_modules": ["down_proj"]}),
        ("gemma3", {"use_dora": True}),
        ("mistral3", {}),
    ],
)
def test_an_adapter_of_peft_answers_the_same_in_mlx(kind: str, settings: dict, bases: Bases, tmp_path: Path) -> None:
    base = bases.peft(kind)
    adapter = write_adapter(kind, base, tmp_path / "peft", **settings)
    wanted = peft_logits(kind, base, adapter)
    made = mlx_logits(bases.mlx(kind), convert(adapter, "mlx", tmp_path / "mlx"))
    assert distance(made, wanted) < WITHIN
    assert distance(mlx_logits(bases.mlx(kind)), wanted) > 10 * WITHIN  # the adapter does something
    again = convert(tmp_path / "mlx", "peft", tmp_path / "again")
    assert bytes_of(again / WEIGHTS) == bytes_of(adapter / WEIGHTS)
    assert distance(peft_logits(kind, base, again), wanted) < WITHIN


@pytest.mark.parametrize("dora", [False, True])
def test_ranks_and_alphas_by_layer_become_one_rank_and_one_scale(dora: bool, bases: Bases, tmp_path: Path) -> None:
    patterns = {
        "rank_pattern": {"q_proj": 2, r"layers\.1\.mlp\.down_proj": 8},
        "alpha_pattern": {"v_proj": 20},
    }
    adapter = write_adapter("llama", bases.peft("llama"), tmp_path / "peft", use_dora=dora, **patterns)
    wanted = peft_logits("llama", bases.peft("llama"), adapter)
    made = convert(adapter, "mlx", tmp_path / "mlx")
    assert json.loads((made / "adapter_config.json").read_text("utf-8"))["lora_parameters"]["rank"] == 8
    assert distance(mlx_logits(bases.mlx("llama"), made), wanted) < WITHIN
    again = convert(made, "peft", tmp_path / "again")
    assert distance(peft_logits("llama", bases.peft("llama"), again), wanted) < WITHIN


def train(base: Path, place: Path, **settings: Any) -> Path:
    """mlx-lm's own training, of a few steps."""
    from mlx_lm import lora

    for name in ("train", "valid"):
        write_jsonl(place / "rows" / f"{name}.jsonl", [{"text": f"{n} and {n} is {n + n}"} for n in range(8)])
    paths = {"model": str(base), "data": str(place / "rows"), "adapter_path": str(place / "trained")}
    short = {"train": True, "iters": 3, "batch_size": 2, "val_batches": 1, "learning_rate": 0.01, "num_layers": 2}
    lora.run(SimpleNamespace(**{**lora.CONFIG_DEFAULTS, **paths, **short, **settings}))
    return place / "trained"


OWN = {"rank": 3, "scale": 7.3, "dropout": 0.1, "keys": ["self_attn.q_proj", "mlp.up_proj"]}


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("llama", {"num_layers": 1}),
        ("mistral3", {"fine_tune_type": "dora", "lora_parameters": OWN}),
    ],
)
def test_an_adapter_of_mlx_answers_the_same_in_peft(kind: str, settings: dict, bases: Bases, tmp_path: Path) -> None:
    trained = train(bases.mlx(kind), tmp_path, **settings)
    made = convert(trained, "peft", tmp_path / "peft", "--base", bases.peft(kind))
    wanted = mlx_logits(bases.mlx(kind), trained)
    assert distance(peft_logits(kind, bases.peft(kind), made), wanted) < WITHIN
    assert distance(mlx_logits(bases.mlx(kind)), wanted) > 10 * WITHIN
    again = convert(made, "mlx", tmp_path / "again")
    assert bytes_of(again / MLX_WEIGHTS) == bytes_of(trained / MLX_WEIGHTS)
    told = json.loads((again / "adapter_config.json").read_text("utf-8"))
    assert told["num_layers"] == settings.get("num_layers", 2)
    assert told["lora_parameters"]["scale"] == settings.get("lora_parameters", {"scale": 20})["scale"]


def test_the_same_adapter_gives_the_same_bytes_for_everybody_to_read(adapter: Path, tmp_path: Path) -> None:
    one, other = (convert(adapter, "mlx", tmp_path / name) for name in ("one", "other"))
    for name in ("adapter_config.json", MLX_WEIGHTS):
        assert (one / name).read_bytes() == (other / name).read_bytes()
        assert (one / name).stat().st_mode & 0o444 == 0o444


def test_names_of_before_transformers_5_are_read_as_peft_reads_them(bases: Bases, tmp_path: Path) -> None:
    adapter = write_adapter("gemma3", bases.peft("gemma3"), tmp_path / "peft")
    today = convert(adapter, "mlx", tmp_path / "today")
    change(adapter / WEIGHTS, lambda name: name.replace("model.language_model.", "language_model.model."))
    before = convert(adapter, "mlx", tmp_path / "before")
    assert bytes_of(before / MLX_WEIGHTS) == bytes_of(today / MLX_WEIGHTS)


def change(path: Path, rename: Callable[[str], str]) -> None:
    """An empty name is left out."""
    weights = {rename(name): tensor for name, tensor in load_file(path).items()}
    save_file({name: tensor for name, tensor in weights.items() if name}, path, metadata={"format": "pt"})


def configure(folder: Path, **settings: Any) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | settings), "utf-8")


# What is refused


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"modules_to_save": ["lm_head"]}, 'modules_to_save = ["lm_head"]'),
        ({"bias": "lora_only"}, 'bias = "lora_only"'),
        ({"lora_bias": True}, "lora_bias = true"),
        ({"init_lora_weights": "pissa_niter_4"}, 'init_lora_weights = "pissa_niter_4"'),
        ({"trainable_token_indices": [1]}, "trainable_token_indices"),
        ({"not_yet_known": {"a": 1}}, "not_yet_known"),
        ({"peft_type": "IA3"}, "IA3"),
        ({"target_modules": ["no_such"]}, "no_such"),
        ({"r": 8}, "another shape"),
        ({"base_model_name_or_path": "org/elsewhere"}, "org/elsewhere"),
        ({"base_model_name_or_path": None}, "--base"),
    ],
)
def test_settings_that_mlx_cannot_hold_are_named(settings: dict, said: str, adapter: Path, tmp_path: Path) -> None:
    source = shutil.copytree(adapter, tmp_path / "source")
    configure(source, **settings)
    assert said in refused(source, "mlx", tmp_path / "out")


@pytest.mark.parametrize(
    ("rename", "said"),
    [
        (lambda name: "" if "0.self_attn.q_proj.lora_A" in name else name, "1 are missing from the file"),
        (lambda name: name.replace("layers.1", "layers.7"), "model.layers.7"),
    ],
)
def test_weights_that_do_not_fit_are_named(rename: Callable, said: str, adapter: Path, tmp_path: Path) -> None:
    source = shutil.copytree(adapter, tmp_path / "source")
    change(source / WEIGHTS, rename)
    assert said in refused(source, "mlx", tmp_path / "out")
    made = convert(adapter, "mlx", tmp_path / "mlx")
    change(made / MLX_WEIGHTS, lambda name: rename(name.replace("lora_a", "lora_A")).replace("lora_A", "lora_a"))
    assert said in refused(made, "peft", tmp_path / "out")


@pytest.mark.filterwarnings("ignore::UserWarning")  # PEFT's, of tied embeddings
def test_layers_that_are_not_linear_or_not_of_the_language_model_are_named(bases: Bases, tmp_path: Path) -> None:
    source = write_adapter("llama", bases.peft("llama"), tmp_path / "embedding", target_modules=["embed_tokens"])
    assert "embed_tokens (Embedding)" in refused(source, "mlx", tmp_path / "out")
    source = write_adapter("gemma3", bases.peft("gemma3"), tmp_path / "vision", target_modules=["q_proj"])
    assert "vision_tower.encoder.layers.0.self_attn.q_proj" in refused(source, "mlx", tmp_path / "out")


def test_an_adapter_of_mlx_that_peft_cannot_hold_is_named(adapter: Path, tmp_path: Path) -> None:
    made = convert(adapter, "mlx", tmp_path / "mlx")
    configure(made, fine_tune_type="full")
    assert "fine_tune_type is full" in refused(made, "peft", tmp_path / "out")
    keys = {"rank": 4, "scale": 1.5, "dropout": 0.0, "keys": ["model.embed_tokens"]}
    configure(made, fine_tune_type="lora", lora_parameters=keys)
    source = made / MLX_WEIGHTS
    save_file(
        {"model.embed_tokens.lora_a": np.zeros((3072, 4), "f4"), "model.embed_tokens.lora_b": np.zeros((4, 64), "f4")},
        source,
    )
    assert "model.embed_tokens (LoRAEmbedding)" in refused(made, "peft", tmp_path / "out")


def test_a_base_that_mlx_lacks_or_has_quantized_is_named(adapter: Path, bases: Bases, tmp_path: Path) -> None:
    base = shutil.copytree(bases.peft("llama"), tmp_path / "base")
    config = json.loads((base / "config.json").read_text("utf-8"))
    (base / "config.json").write_text(json.dumps(config | {"quantization": {"bits": 4, "group_size": 64}}), "utf-8")
    made = convert(adapter, "mlx", tmp_path / "mlx")
    assert "quantized by mlx" in refused(made, "peft", tmp_path / "out", "--base", base)
    (base / "config.json").write_text(json.dumps({"model_type": "opt"}), "utf-8")
    assert "opt not supported" in refused(adapter, "mlx", tmp_path / "out", "--base", base)


def test_a_base_whose_weights_mlx_changes_is_named(adapter: Path, tmp_path: Path) -> None:
    state_space = {"mamba_d_ssm": 64, "mamba_n_heads": 4, "mamba_d_head": 16, "mamba_n_groups": 1, "mamba_d_state": 16}
    base = write_class_base(tmp_path / "base", "falcon_h1", **state_space, attention_in_multiplier=0.5)
    assert "mlx-lm changes weights" in refused(adapter, "mlx", tmp_path / "out", "--base", base)


def test_what_is_no_adapter_or_has_nowhere_to_go_is_told(adapter: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "is no adapter" in refused(empty, "mlx", tmp_path / "out")
    (empty / "adapter_model.bin").write_bytes(b"")
    assert "adapter_model.bin is not read" in refused(empty, "mlx", tmp_path / "out")
    assert "peft already" in refused(adapter, "peft", tmp_path / "out")
    assert "is not empty" in refused(adapter, "mlx", empty)
    torn = shutil.copytree(adapter, tmp_path / "torn")
    (torn / WEIGHTS).write_bytes((torn / WEIGHTS).read_bytes()[:-9])
    assert "cannot be read" in refused(torn, "mlx", tmp_path / "out")
    (torn / "adapter_config.json").write_text("{", "utf-8")
    assert "adapter_config.json cannot be read" in refused(torn, "mlx", tmp_path / "out")
    shutil.copyfile(adapter / WEIGHTS, empty / MLX_WEIGHTS)
    shutil.copyfile(adapter / WEIGHTS, empty / WEIGHTS)
    assert "leave one" in refused(empty, "mlx", tmp_path / "out")


def test_nothing_is_put_into_the_adapter_its_base_or_a_place_that_cannot_be_written(
    adapter: Path, bases: Bases, tmp_path: Path
) -> None:
    for out in (adapter / "out", adapter / "a/b", bases.peft("llama") / "out"):
        assert "stays as it is" in refused(adapter, "mlx", out)
    (tmp_path / "file").touch()
    for out in (tmp_path / "file/out", tmp_path / "file/a/b"):
        assert "is not written: " in refused(adapter, "mlx", out)
    with files_of_at_most(9_000):
        assert "is not written: " in refused(adapter, "mlx", tmp_path / "out")
