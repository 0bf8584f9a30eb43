"""What train_mlx makes, in PEFT's hands and in those of mlx-lm's own commands."""

import importlib
import json
import shutil
import sys
from pathlib import Path

import click
import numpy as np
import pytest
import yaml

from tests.conftest import ROOT
from tests.small_base import write_class_base
from tests.stages.test_classes import PREAMBLE, train
from tests.tuneline.exporting.test_convert import IDS, WITHIN, distance, load_peft, mlx_logits, peft_logits
from tuneline.backends import mlx as backend
from tuneline.exporting.mlx import write_base, write_mlx
from tuneline.models.base import read_base


@pytest.fixture(scope="module", params=["llama", "gemma3"])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, Path]:
    """A class, a base of it, an adapter."""
    place = tmp_path_factory.mktemp("trained")
    PREAMBLE.write(place / "preamble.json")
    shutil.copyfile(ROOT / "recipes/query_json/schema.json", place / "schema.json")
    base = write_class_base(place / "base", request.param)
    return request.param, base, train(place, "mlx", base)


def our_logits(base: Path, adapter: Path) -> np.ndarray:
    import mlx.core as mx

    model = backend.load_adapter(backend.load_model(read_base(base), "none"), adapter)
    return np.array(model(mx.array(IDS)))


def test_peft_reads_the_adapter_from_any_folder(
    trained: tuple, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, base, adapter = trained
    wanted = our_logits(base, adapter)
    shutil.copytree(adapter, tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path)
    assert distance(peft_logits(kind, base, Path("elsewhere")), wanted) < WITHIN


def test_generate_and_fuse_take_the_export(
    trained: tuple, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    _, base, adapter = trained
    out, fused = tmp_path / "out", tmp_path / "fused"
    out.mkdir()
    write_mlx(adapter, read_base(base), out)
    both = ["--model", str(out / "base"), "--adapter-path", str(out)]
    monkeypatch.setattr(sys, "argv", ["mlx_lm.generate", *both, "--prompt", "1?", "--max-tokens", "3"])
    importlib.import_module("mlx_lm.generate").main()
    assert (
        capsys.readouterr().out.count("==========") == 2
    )  # around the answer, which is empty where the end comes first
    monkeypatch.setattr(sys, "argv", ["mlx_lm.fuse", *both, "--save-path", str(fused)])
    importlib.import_module("mlx_lm.fuse").main()
    wanted = our_logits(base, adapter)
    assert distance(mlx_logits(out / "base", out), wanted) < WITHIN
    assert distance(mlx_logits(fused), wanted) < WITHIN
    assert distance(mlx_logits(out / "base"), wanted) > 10 * WITHIN


LLAMA3 = {"rope_type": "llama3", "rope_theta": 500.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
TWO = {
    "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 500.0},
    "sliding_attention": {"rope_type": "default", "rope_theta": 50.0},
}


@pytest.mark.parametrize(
    ("kind", "rope"), [("llama", {**LLAMA3, "original_max_position_embeddings": 64}), ("gemma3", TWO)]
)
def test_mlx_reads_the_rotary_settings_that_transformers_wrote(kind: str, rope: dict, tmp_path: Path) -> None:
    import torch

    base = write_class_base(tmp_path / "from", kind, rope_parameters=rope)
    write_base(read_base(base), tmp_path / "base")
    with torch.no_grad():
        wanted = load_peft(kind, base).eval()(torch.tensor(IDS)).logits.numpy()
    assert distance(mlx_logits(tmp_path / "base"), wanted) < WITHIN


def test_the_base_has_its_own_template_and_no_second_copy_of_the_weights(trained: tuple, tmp_path: Path) -> None:
    base = shutil.copytree(trained[1], tmp_path / "from")
    settings = yaml.safe_load((base / "base.yaml").read_text("utf-8"))
    (base / "base.yaml").write_text(yaml.safe_dump(settings | {"template": "own.jinja"}), "utf-8")
    (base / "own.jinja").write_text("{{ messages[0]['content'] }}", "utf-8")
    write_base(read_base(base), tmp_path / "base")
    assert (tmp_path / "base/chat_template.jinja").read_text("utf-8") == "{{ messages[0]['content'] }}"
    assert not (tmp_path / "base/base.yaml").exists()
    assert (tmp_path / "base/model.safetensors").samefile(base / "model.safetensors")


def test_a_base_that_mlx_has_no_class_for_is_told(trained: tuple, tmp_path: Path) -> None:
    base = shutil.copytree(trained[1], tmp_path / "from")
    config = json.loads((base / "config.json").read_text("utf-8"))
    (base / "config.json").write_text(json.dumps(config | {"model_type": "opt", "text_config": None}), "utf-8")
    (tmp_path / "out").mkdir()
    with pytest.raises(click.ClickException, match="opt not supported"):
        write_mlx(trained[2], read_base(base), tmp_path / "out")
