"""`tuneline base`: what base.yaml has to say, found for a model of the Hub and for a folder."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner, Result

from tests.conftest import ENVIRONMENT, ROOT
from tests.servers.hub_server import Hub, serve
from tests.small_base import CLASSES, write_class_base, write_small_base
from tuneline.backends.cuda import load_model, model_class
from tuneline.cli import main
from tuneline.models.base import read_base, read_base_yaml
from tuneline.rendering.chat import load_chat
from tuneline.starting.base import look, make_base

REVISION = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize("kind", CLASSES)
def test_the_layers_found_are_those_that_a_person_would_name(kind: str, tmp_path: Path) -> None:
    folder = write_class_base(tmp_path / "base", kind)
    by_hand = read_base(folder).pattern("linear")
    looked = look(folder)
    model = load_model(read_base(folder), "none")
    paths = [path for path, _ in model.named_modules()]
    found = {path for path in paths if re.fullmatch(looked.targets["linear"], path)}
    assert found == {path for path in paths if re.fullmatch(by_hand, path)}
    assert looked.layers["linear"] == len(found)
    assert looked.layers["attention"] == sum("attn" in path for path in found) > 0
    assert (looked.kind, looked.context) == (type(model).__name__, 512)
    assert looked.parameters == model.num_parameters()


@pytest.mark.parametrize(
    ("kind", "named", "experts"),
    [
        ("idefics3", "model.text_model.layers.3.mlp.up_proj", False),  # a tower that is called otherwise
        ("falcon", "transformer.h.3.self_attention.query_key_value", False),
        ("qwen3_moe", "model.layers.3.self_attn.q_proj", True),
        ("gemma4", "model.language_model.layers.3.per_layer_input_gate", False),
    ],
)
def test_other_classes_in_their_real_size(kind: str, named: str, experts: bool, tmp_path: Path) -> None:
    write_config(tmp_path, kind)
    looked = look(tmp_path)
    assert re.fullmatch(looked.targets["linear"], named)
    assert not re.search("vision|lm_head|router", looked.targets["linear"])
    assert bool(looked.experts) == experts


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("gpt2", "GPT2LMHeadModel has no linear layers in blocks"),
        ("t5", "transformers has no language model of T5Config"),
        ("mamba2", "says no max_position_embeddings"),
    ],
)
def test_a_class_that_is_none_of_these_is_one_line(kind: str, said: str, tmp_path: Path) -> None:
    write_config(tmp_path, kind)
    with pytest.raises(click.ClickException) as told:
        look(tmp_path)
    assert said in told.value.message


def write_config(folder: Path, kind: str) -> None:
    from transformers import AutoConfig

    AutoConfig.for_model(kind).save_pretrained(folder)


# The Hub


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "project/models").mkdir(parents=True)
    shutil.copyfile(ROOT / "models/params.yaml", tmp_path / "project/models/params.yaml")
    return tmp_path / "project"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = write_small_base(tmp_path / "repository")
    (folder / "base.yaml").unlink()
    (folder / "README.md").write_text("---\nlicense: mit\n---\n", encoding="utf-8")
    return folder


def base(project: Path, hub: Hub, *words: str) -> tuple[int, list[str]]:
    """Exit code and lines, of a process of its own: the Hub's client reads the environment once."""
    known = {"HF_ENDPOINT": hub.site, "HF_HOME": str(project.parent / "home"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tuneline.cli", "base", *words]
    done = subprocess.run(command, cwd=project, env=ENVIRONMENT | known, capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    return done.returncode, (done.stdout if done.returncode == 0 else done.stderr).splitlines()


def test_a_model_of_the_hub_becomes_a_base_that_the_stage_fetches(project: Path, repository: Path) -> None:
    folder, out = project / "models/small-1-5-it", project / "data/bases/small-1-5-it"
    with serve("team/Small-1.5-it", REVISION, repository) as hub:
        code, said = base(project, hub, "team/Small-1.5-it")
        assert code == 0
        assert not any("safetensors" in path for path, _ in hub.asked)
        words = [sys.executable, "-m", "stages.base", "--base", str(folder), "--out", str(out)]
        subprocess.run(words, cwd=ROOT, env=ENVIRONMENT | {"HF_ENDPOINT": hub.site}, check=True, capture_output=True)
    assert said[0] == "wrote models/small-1-5-it/base.yaml, at 0123456, and the name in models/params.yaml"
    assert said[1] == "LlamaForCausalLM: 2 blocks, 0.3 million parameters, 512 tokens"
    assert said[2] == "lora.target: linear 14, attention 8 layers"
    assert said[3].startswith("its chat template is read")
    assert said[4] == "next: base: data/bases/small-1-5-it for an adapter of params.yaml"
    assert said[5].startswith("`dvc repro models/dvc.yaml:base@small-1-5-it` fetches it")
    text = (folder / "base.yaml").read_text("utf-8")
    assert text.startswith("# https://huggingface.co/team/Small-1.5-it, mit\n")
    assert yaml.safe_load(text)["revision"] == REVISION
    before = (ROOT / "models/params.yaml").read_text("utf-8")
    assert (project / "models/params.yaml").read_text("utf-8") == before + "  - small-1-5-it\n"
    fetched = read_base(out)
    assert load_chat(fetched).stop_ids
    assert model_class(fetched)
    assert [path.name for path in folder.iterdir()] == ["base.yaml"]


def test_a_base_that_waits_for_its_revision_is_given_it(project: Path, repository: Path) -> None:
    folder = shutil.copytree(ROOT / "models/mistral-7b-instruct", project / "models/mistral")
    before = (folder / "base.yaml").read_text("utf-8")
    with serve("mistralai/Mistral-7B-Instruct-v0.3", REVISION, repository) as hub:
        assert base(project, hub, "models/mistral") == (
            0,
            [f"models/mistral/base.yaml: mistralai/Mistral-7B-Instruct-v0.3 at {REVISION}"],
        )
    after = (folder / "base.yaml").read_text("utf-8")
    assert after == before.replace("v0.3\n", f"v0.3\nrevision: {REVISION}\n")
    assert read_base_yaml(folder).revision == REVISION
    with pytest.raises(click.ClickException) as told:
        make_base(project, "models/mistral", "main", None)
    assert told.value.message.endswith("is there already, and is not an id of the Hub that wants a revision")


def test_what_the_hub_does_not_have_or_nothing_trains_on_writes_nothing(project: Path, repository: Path) -> None:
    before = (project / "models/params.yaml").read_bytes()
    with serve("team/small", REVISION, repository) as hub:
        assert base(project, hub, "team/other")[1][-1].startswith("Error: team/other is not on the Hub for you")
        assert "team/small at v9" in base(project, hub, "team/small", "--revision", "v9")[1][-1]
        config = json.loads(hub.files["config.json"])
        hub.files["config.json"] = json.dumps(config | {"model_type": "t5"}).encode()
        assert base(project, hub, "team/small")[1][-1].startswith(
            "Error: team/small: transformers has no language model"
        )
        hub.files["config.json"] = json.dumps(config | {"quantization_config": {"quant_method": "fp8"}}).encode()
        assert "team/small: its weights are stored quantized (fp8)" in base(project, hub, "team/small")[1][-1]
    assert [path.name for path in (project / "models").iterdir()] == ["params.yaml"]
    assert (project / "models/params.yaml").read_bytes() == before


# A folder, and what is none


def here(project: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> Result:
    monkeypatch.chdir(project)
    return CliRunner().invoke(main, ["base", *words])


def test_a_folder_becomes_a_base_as_it_is(project: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(repository, project / "models/mine")
    (project / "models/mine/chat_template.jinja").unlink()
    done = here(project, monkeypatch, "models/mine")
    assert done.exit_code == 0, done.output
    said = done.output.splitlines()
    assert said[0] == "wrote models/mine/base.yaml"
    assert said[3].startswith("models/mine: its tokenizer has no chat template")
    assert said[4] == "next: base: models/mine for an adapter of params.yaml"
    assert load_model(read_base(project / "models/mine"), "none")
    again = here(project, monkeypatch, "models/mine")
    assert (again.exit_code, again.output) == (1, "Error: models/mine/base.yaml is there already\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nothing"], "nothing is no folder with a config.json and no id of the Hub, such as owner/name"),
        (["models"], "models is no folder with a config.json and no id of the Hub"),
        (["../repository"], "../repository is outside the checkout: move it into models"),
        (["team/some", "--name", "Some"], "'Some' is no name; write a-z, 0-9, _ and -"),
        (["team/no"], "'no' is no name: YAML reads it as bool; choose another"),
        (["team/some", "--name", "taken"], "models/taken is there already; --name gives another one"),
        (["team/some", "--name", "some"], "models/params.yaml: bases is a list of names"),
    ],
)
def test_what_is_no_model_is_one_line(
    words: list[str], said: str, project: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "models/taken").mkdir()
    (project / "models/params.yaml").write_text("bases:\n", encoding="utf-8")
    done = here(project, monkeypatch, *words)
    assert done.exit_code == 1
    assert done.output.startswith(f"Error: {said}")
    assert done.output.count("\n") == 1
