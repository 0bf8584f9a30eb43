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

from tests.small_base import SIZE, write_class_base
from tuneline.cli import main
from tuneline.exporting.mlx import write_base
from tuneline.models.adapter import WEIGHTS
from tuneline.models.base import read_base

IDS = [[7, 300, 41, 2999, 8, 15, 16, 23, 42, 4, 99, 1000, 5, 6, 77, 78, 79, 80, 81, 82]]
CLASSES = ("llama", "qwen3", "gemma3_text", "gemma3", "mistral3")
INSIDE = {"gemma3": r".*language_model\.", "mistral3": r".*language_model\."}
WITHIN = 1e-3


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    import mlx.core as mx

    mx.disable_compile()  # on a CPU it runs a C++ compiler
    made = {}
    for kind in CLASSES:
        made[kind] = write_class_base(tmp_path_factory.mktemp(kind) / "base", kind)
    return made


@pytest.fixture(scope="module")
def for_mlx(bases: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same bases as an export writes them for mlx-lm."""
    made = {kind: tmp_path_factory.mktemp(kind) / "mlx" for kind in bases}
    for kind, base in bases.items():
        write_base(read_base(base), made[kind])
    return made


def auto(kind: str) -> Any:
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

    return AutoModelForImageTextToText if kind in INSIDE else AutoModelForCausalLM


def peft_logits(kind: str, base: Path, adapter: Path | None) -> np.ndarray:
    import torch
    from peft import PeftModel

    model = auto(kind).from_pretrained(base, dtype=torch.float32)
    if adapter:
        model = PeftModel.from_pretrained(model, adapter)
    with torch.no_grad():
        return model.eval()(torch.tensor(IDS)).logits.numpy()


def mlx_logits(base: Path, adapter: Path | None) -> np.ndarray:
    import mlx.core as mx
    from mlx_lm import load

    model, _ = load(str(base), adapter_path=adapter and str(adapter))
    return np.array(model(mx.array(IDS)).astype(mx.float32))


def write_peft(kind: str, base: Path, out: Path, **settings: Any) -> Path:
    """PEFT's own adapter, with random weights."""
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(1)
    usual = {"r": 4, "lora_alpha": 6, "target_modules": INSIDE.get(kind, r"model\.") + r".*\.(q|v|down)_proj"}
    model = get_peft_model(auto(kind).from_pretrained(base), LoraConfig(task_type="CAUSAL_LM", **usual | settings))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.2)
            if "magnitude" in name:
                weight.mul_(torch.rand_like(weight) + 0.5)
    model.save_pretrained(out)
    return out


def run(*words: Any) -> str:
    done = CliRunner().invoke(main, ["adapter", "convert", *map(str, words)])
    assert done.exit_code == 0, done.output
    return done.output


def differ(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one - other).max())


def weights(folder: Path, name: str) -> bytes:
    return (folder / name).read_bytes()


VARIANTS = {
    "plain": {},
    "rslora": {"use_rslora": True},
    "dora": {"use_dora": True},
    "patterns": {"rank_pattern": {"q_proj": 2, r"layers\.1\.mlp\.down_proj": 8}, "alpha_pattern": {"v_proj": 20}},
}


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_an_adapter_of_peft_answers_the_same_in_mlx(
    kind: str, variant: str, bases: dict, for_mlx: dict, tmp_path: Path
) -> None:
    base = bases[kind]
    adapter = write_peft(kind, base, tmp_path / "peft", **VARIANTS[variant])
    run(adapter, "--to", "mlx", "--out", tmp_path / "mlx")
    wanted = peft_logits(kind, base, adapter)
    d = differ(mlx_logits(for_mlx[kind], tmp_path / "mlx"), wanted)
    run(tmp_path / "mlx", "--to", "peft", "--out", tmp_path / "again")
    d2 = differ(peft_logits(kind, base, tmp_path / "again"), wanted)
    print("FIG", kind, variant, d, d2, differ(peft_logits(kind, base, None), wanted))
    assert d < WITHIN and d2 < WITHIN
    if variant != "patterns":
        from safetensors.numpy import load_file

        a, b = load_file(adapter / WEIGHTS), load_file(tmp_path / "again" / WEIGHTS)
        assert {k: v.tobytes() for k, v in a.items()} == {k: v.tobytes() for k, v in b.items()}
