"""The pipeline's text is true: code deps equal imports, every command parses, every knob is read."""

import ast
import importlib
import re
import shlex
import subprocess
from pathlib import Path

import click
import pytest
import yaml
from dvc.repo import Repo

ROOT = Path(__file__).parent.parent
BACKENDS = ("cuda", "mlx")


def resolved_stages(
    tmp_path: Path, backend: str, folder: str = ".", overrides: dict[str, object] | None = None
) -> dict[str, dict]:
    """Name → {cmd, deps} as DVC resolves them, with a backend in place of the committed one, and other knobs."""
    for name in ("dvc.yaml", ".dvcignore", ".dvc/config"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text((ROOT / name).read_text("utf-8"), encoding="utf-8")
    for recipe in (ROOT / "recipes").iterdir():
        copy = tmp_path / "recipes" / recipe.name / "recipe.yaml"
        copy.parent.mkdir(parents=True)
        copy.write_text((recipe / "recipe.yaml").read_text("utf-8"), encoding="utf-8")
    params = yaml.safe_load((ROOT / folder / "params.yaml").read_text("utf-8"))
    params["root"] = "."
    params["train"]["backend"] = backend
    for name, value in (overrides or {}).items():
        *path, last = name.split(".")
        section = params
        for part in path:
            section = section[part]
        assert last in section, name
        section[last] = value
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    with Repo(str(tmp_path), uninitialized=True) as repo:
        return {stage.name: {"cmd": stage.cmd, "deps": [str(dep) for dep in stage.deps]} for stage in repo.index.stages}


def imported_modules(module: str, backend: str, seen: set[str] | None = None) -> set[str]:
    """Files of this project that a module imports, itself and what those import included."""
    seen = set() if seen is None else seen
    path = Path(module.replace(".", "/") + ".py")
    if path.as_posix() in seen or not (ROOT / path).is_file():
        return seen
    seen.add(path.as_posix())
    source = (ROOT / path).read_text("utf-8")
    names = set(re.findall(r'import_module\(f"(tuneline\.\w+)\{backend\}"\)', source))
    found = {f"{name}{backend}" for name in names}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    for name in sorted(found):
        if name.split(".")[0] in ("stages", "tuneline"):
            imported_modules(name, backend, seen)
    return seen


@pytest.fixture(params=[(".", "cuda"), (".", "mlx"), ("benchmarks", "cuda")], ids=lambda p: "-".join(p))
def stages(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[dict[str, dict], str]:
    folder, backend = request.param
    return resolved_stages(tmp_path, backend, folder), backend


def test_declared_code_is_imported_code(stages: tuple[dict[str, dict], str]) -> None:
    resolved, backend = stages
    assert resolved
    for name, stage in resolved.items():
        module = shlex.split(stage["cmd"])[2]
        declared = {dep for dep in stage["deps"] if dep.endswith(".py")}
        assert declared == imported_modules(module, backend), name


def test_every_command_parses_with_the_stages_own_options(stages: tuple[dict[str, dict], str]) -> None:
    resolved, _ = stages
    for name, stage in resolved.items():
        words = shlex.split(stage["cmd"])
        assert words[:2] == ["python", "-m"], name
        command: click.Command = importlib.import_module(words[2]).main
        context = command.make_context(name, words[3:], resilient_parsing=False)
        assert all(option.required for option in command.params), f"{name}: a default would live twice"
        given = {word.split("=")[0] for word in words[3:] if word.startswith("--")}
        assert len(given) == len(context.params), name


def test_a_wrong_flag_does_not_parse(tmp_path: Path) -> None:
    stage = resolved_stages(tmp_path, "cuda")["train@query_json"]
    words = shlex.split(stage["cmd"])
    command = importlib.import_module(words[2]).main
    with pytest.raises(click.UsageError, match="--rnak"):
        command.make_context("train", ["--rnak" if w == "--rank" else w for w in words[3:]])


def test_benchmarks_run_the_same_text() -> None:
    same = (ROOT / "benchmarks/dvc.yaml").read_bytes() == (ROOT / "dvc.yaml").read_bytes()
    assert same, "benchmarks/dvc.yaml is a copy of dvc.yaml: run `cp dvc.yaml benchmarks/dvc.yaml` and commit it"


def test_no_link_is_committed() -> None:
    """DVC reads a link in a commit as text, and some checkouts have no links."""
    command = ["git", "ls-files", "--stage"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(listed) > 100
    assert [line for line in listed if line.startswith("120000")] == []


def test_both_parameter_files_have_the_same_sections() -> None:
    files = [yaml.safe_load((ROOT / f / "params.yaml").read_text("utf-8")) for f in (".", "benchmarks")]
    del files[0]["gate"]  # of `tuneline watch`, which runs no benchmark; no stage reads it
    shapes = [
        {key: sorted(value) if isinstance(value, dict) and key != "adapters" else None for key, value in file.items()}
        for file in files
    ]
    assert shapes[0] == shapes[1]


def test_presets_name_known_knobs() -> None:
    params = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))
    presets = sorted((ROOT / "presets").iterdir())
    assert presets
    for preset in presets:
        for line in preset.read_text("utf-8").splitlines():
            if line and not line.startswith("#"):
                at = params
                for key in line.partition("=")[0].split("."):
                    assert key in at, f"{preset.name}: {line}"
                    at = at[key]


def test_no_stage_opens_params() -> None:
    for path in [*(ROOT / "stages").glob("*.py"), *(ROOT / "tuneline").glob("*.py")]:
        tree = ast.parse(path.read_text("utf-8"))
        calls = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Call)]
        reads = [c for c in calls if "params.yaml" in c and re.search(r"open|read_|Path", c)]
        assert not reads, f"{path}: {reads}"


def test_the_ministral_preset_is_what_it_says(tmp_path: Path) -> None:
    lines = (ROOT / "presets/ministral").read_text("utf-8").splitlines()
    pairs = [line.partition("=")[::2] for line in lines if line and not line.startswith("#")]
    stages = resolved_stages(tmp_path, "cuda", overrides={name: yaml.safe_load(value) for name, value in pairs})
    words = shlex.split(stages["train@succession"]["cmd"])
    flags = importlib.import_module(words[2]).main.make_context("train", words[3:]).params
    assert flags["rank"] * flags["scale"] == 32  # alpha
    wanted = {
        "base_folder": Path("models/ministral-3-3b-base"),
        "quantization": "4bit",
        "rank": 16,
        "dropout": 0.05,
        "learning_rate": 2e-4,
        "epochs": 2,
        "batch_size": 1,
        "accumulation": 16,
        "target": "linear",
    }
    assert {name: flags[name] for name in wanted} == wanted
    assert "--max-tokens 2048" in stages["trim@succession"]["cmd"]
    pattern = yaml.safe_load((ROOT / "models/ministral-3-3b-base/base.yaml").read_text("utf-8"))["target"]["linear"]
    for module in ("q", "k", "v", "o"):
        assert re.fullmatch(pattern, f"model.language_model.layers.7.self_attn.{module}_proj")
        assert not re.fullmatch(pattern, f"model.vision_tower.transformer.layers.7.attention.{module}_proj")
    for module in ("gate", "up", "down"):
        assert re.fullmatch(pattern, f"model.language_model.layers.7.mlp.{module}_proj")
