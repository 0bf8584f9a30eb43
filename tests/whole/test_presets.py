"""Each preset is what it says: resolved by DVC, trained with exactly its flags on a tiny model of its class."""

import importlib
import math
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from tests.conftest import ROOT
from tests.small_base import write_class_base
from tests.whole.test_pipeline import resolved_stages
from tuneline.models.adapter import WEIGHTS, read_adapter
from tuneline.models.base import read_base
from tuneline.rendering.chat import load_chat
from tuneline.rendering.preamble import Preamble
from tuneline.rendering.tokens import write_tokenizer_name, write_tokens

CLASSES = {  # of the bases that presets name, as their config.json says on the Hub
    "gemma-3-27b-it": "gemma3",
    "llama-3.2-3b-instruct": "llama",
    "ministral-3-3b-base": "mistral3",
    "mistral-7b-instruct": "mistral",
    "smollm2": "llama",
    "tiny": "llama",  # the embedded one: a preset that names none is for it
}
PRESETS = sorted(path.name for path in (ROOT / "presets").iterdir() if "data/bases" in path.read_text("utf-8"))
PREAMBLE = Preamble("Answer.")


def overrides(name: str) -> dict[str, Any]:
    lines = [line.partition("#")[0].strip() for line in (ROOT / "presets" / name).read_text("utf-8").splitlines()]
    return {key: yaml.safe_load(value) for key, _, value in (line.partition("=") for line in lines if line)}


def options(command: str) -> tuple[str, dict[str, Any]]:
    """The module of a stage's command, and what its own options read."""
    words = shlex.split(command)
    return words[2], importlib.import_module(words[2]).main.make_context("stage", words[3:]).params


def real_target(base: str) -> dict[str, str]:
    """Not by read_base_yaml: some wait for their revision."""
    return yaml.safe_load((ROOT / "models" / base / "base.yaml").read_text("utf-8"))["target"]


def rows(count: int) -> list[dict]:
    said = [[{"role": "user", "content": f"{n}?"}, {"role": "assistant", "content": str(n)}] for n in range(count)]
    return [{"id": str(number), "messages": messages} for number, messages in enumerate(said)]


@pytest.mark.parametrize("name", [*PRESETS, "m4"])
def test_a_preset_trains_with_exactly_its_flags(name: str, tmp_path: Path) -> None:
    knobs = overrides(name)
    backend = knobs.get("train.backend", "cuda")
    (tmp_path / "project").mkdir()
    stages = resolved_stages(tmp_path / "project", backend, overrides=knobs)
    adapters = sorted({key.split(".")[1] for key in knobs if key.startswith("adapters.") and key.endswith(".base")})
    assert bool(adapters) == (name in PRESETS)
    module, flags = options(stages[f"train@{(adapters or ['query_json'])[0]}"]["cmd"])
    assert module == f"stages.train_{backend}"
    for key, value in knobs.items():
        *path, last = key.split(".")
        if (path and path[0] in ("fit", "lora")) or "train" in path[1:] or last == "quantization":
            option = last.replace("-", "_")
            assert flags[option] == type(flags[option])(value), key
    folder = flags["base_folder"]
    assert folder.parent == Path("data/bases" if adapters else "models")
    base = write_class_base(tmp_path / "base", CLASSES[folder.name])
    content = yaml.safe_load((base / "base.yaml").read_text("utf-8"))
    (base / "base.yaml").write_text(yaml.safe_dump(content | {"target": real_target(folder.name)}), "utf-8")
    chat = load_chat(read_base(base), PREAMBLE)
    (tmp_path / "tokens").mkdir()
    steps = max(1, math.floor(2 / flags["epochs"]))
    for part, count in (("train", steps * flags["batch_size"] * flags["accumulation"]), ("valid", 4)):
        write_tokens(tmp_path / "tokens", part, chat.encode(rows(count)))
    write_tokenizer_name(tmp_path / "tokens", chat, base)
    PREAMBLE.write(tmp_path / "preamble.json")
    shutil.copyfile(ROOT / "recipes/query_json/schema.json", tmp_path / "schema.json")
    paths = {
        "base_folder": base, "tokens": tmp_path / "tokens", "preamble_path": tmp_path / "preamble.json",
        "schema": tmp_path / "schema.json", "out": tmp_path / "adapter", "curves_folder": tmp_path / "curves",
        "summary": tmp_path / "summary.json", "state": tmp_path / "state",
    }  # fmt: skip
    assert paths.keys() <= flags.keys()
    command = importlib.import_module(module).main
    words = {option.name: option.opts[0] for option in command.params}
    given = [word for key, value in (flags | paths).items() for word in (words[key], str(value))]
    done = CliRunner().invoke(command, given)
    assert done.exit_code == 0, done.output
    assert read_adapter(tmp_path / "adapter").quantization == flags["quantization"]
    assert (tmp_path / "adapter" / WEIGHTS).is_file()


def test_patterns_are_of_the_language_model_as_both_backends_name_it() -> None:
    for name, kind in CLASSES.items():
        pattern = real_target(name)["linear"]
        towers = kind in ("gemma3", "mistral3")
        for module in ("self_attn.q", "self_attn.k", "self_attn.v", "self_attn.o", "mlp.gate", "mlp.up", "mlp.down"):
            for place in ("model.language_model", "language_model.model") if towers else ("model",):
                assert re.fullmatch(pattern, f"{place}.layers.7.{module}_proj"), name
        assert not re.fullmatch(pattern, "model.vision_tower.transformer.layers.7.attention.q_proj")
        assert not re.fullmatch(pattern, "model.vision_tower.vision_model.encoder.layers.7.self_attn.q_proj")


def test_every_key_has_its_reason() -> None:
    for name in PRESETS:
        lines = (ROOT / "presets" / name).read_text("utf-8").splitlines()
        assert lines[0].startswith("# "), name
        told = {key: "#" in value for key, _, value in (line.partition("=") for line in lines[1:])}
        kinds = {key.split(".", 2)[-1] if key.startswith("adapters.") else key: False for key in told}
        for key, has in told.items():
            kinds[key.split(".", 2)[-1] if key.startswith("adapters.") else key] |= has
        assert [key for key, has in kinds.items() if not has] == [], name
