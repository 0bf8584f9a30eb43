"""The pipeline's text is true: code deps equal imports, every command parses, every knob is read."""

import ast
import functools
import importlib
import re
import shlex
import subprocess
from pathlib import Path

import click
import pytest
import yaml
from dvc.repo import Repo

from tests.conftest import ROOT

BACKENDS = ("cuda", "mlx")


def resolved_stages(
    tmp_path: Path, backend: str, folder: str = ".", overrides: dict[str, object] | None = None
) -> dict[str, dict]:
    """Name → {cmd, deps} as DVC resolves them, with a backend in place of the committed one, and other knobs."""
    for name in ("dvc.yaml", "models/dvc.yaml", "models/params.yaml", ".dvcignore", ".dvc/config"):
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


@functools.cache
def imports(path: Path) -> set[str]:
    """Dotted names that a file imports when it runs, those of its functions too; relative ones made absolute."""
    source = path.read_text("utf-8")
    found = {f"{name}{{backend}}" for name in re.findall(r'import_module\(f"(tuneline\.\w+\.)\{backend\}"\)', source)}
    package = path.relative_to(ROOT).with_suffix("").as_posix().split("/")[:-1]
    left: list[ast.AST] = [ast.parse(source)]
    while left:
        node = left.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue  # for those who read, not for those who run
        left += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            here = package[: len(package) + 1 - node.level] if node.level else []
            module = ".".join([*here, *([node.module] if node.module else [])])
            found |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    return found


def imported_files(path: str, backend: str, seen: set[str] | None = None) -> set[str]:
    """Files of this project that a file imports, itself and what those import included."""
    seen = set() if seen is None else seen
    if path in seen or not (ROOT / path).is_file():
        return seen
    seen.add(path)
    for name in sorted(imports(ROOT / path)):
        imported_files(name.format(backend=backend).replace(".", "/") + ".py", backend, seen)
    return seen


OPENED = {
    "extract": ("reader", "measures", "offline"),
    "sdg": ("offline",),
    "curate": ("checks", "offline"),
    "eval": ("measures", "offline"),
}


def door_files(stage: str, recipe: str, backend: str) -> set[str]:
    """What the doors import that a stage opens in a recipe."""
    doors = (f"{recipe}/{door}.py" for door in OPENED.get(stage, ()))
    return set().union(*(imported_files(door, backend) for door in doors))


def ignored(path: str) -> bool:
    rules = (ROOT / ".dvcignore").read_text("utf-8").splitlines()
    return any(
        Path(parent).match(rule) for rule in rules for parent in (path, *map(str, Path(path).parents)) if parent != "."
    )


@pytest.fixture(scope="module", params=[(".", "cuda"), (".", "mlx"), ("benchmarks", "cuda")], ids=lambda p: "-".join(p))
def stages(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, dict], str]:
    folder, backend = request.param
    return resolved_stages(tmp_path_factory.mktemp("stages"), backend, folder), backend


def test_declared_code_is_imported_code(stages: tuple[dict[str, dict], str]) -> None:
    """Every file that runs lies under a declared dep, and every declared dep of code is there for a file that runs."""
    resolved, backend = stages
    assert resolved
    for name, stage in resolved.items():
        kind = name.split("@")[0]
        module = shlex.split(stage["cmd"])[2]
        recipe = re.search(r"--recipe (recipes/\w+)", stage["cmd"])
        own = door_files(kind, recipe[1], backend) if recipe else set()
        anybody = set().union(*(door_files(kind, f"recipes/{r.name}", backend) for r in (ROOT / "recipes").iterdir()))
        run = imported_files(module.replace(".", "/") + ".py", backend)
        bare = {file for file in run | own if not any(is_under(file, dep) for dep in stage["deps"])}
        assert not bare, f"{name}: not declared"
        assert not [file for file in run | own if ignored(file)], f"{name}: DVC does not look at it"
        code = [dep for dep in stage["deps"] if dep.startswith(("stages/", "tuneline/"))]
        idle = [dep for dep in code if not any(is_under(file, dep) for file in run | anybody)]
        assert not idle, f"{name}: nothing of it is imported"


def is_under(file: str, dep: str) -> bool:
    return file == dep or file.startswith(f"{dep}/")


def test_only_the_stages_that_depend_on_a_recipe_open_its_doors() -> None:
    for path in (ROOT / "stages").glob("*.py"):
        opens = set().union(*(opened_doors(ROOT / file) for file in imported_files(f"stages/{path.name}", "cuda")))
        assert opens <= set(OPENED.get(path.stem, ())), path


def opened_doors(path: Path) -> set[str]:
    return set(re.findall(r'open_door\([\w.]+, "(\w+)"\)', path.read_text("utf-8")))


def test_the_engine_knows_no_recipe() -> None:
    names = [recipe.name for recipe in (ROOT / "recipes").iterdir()]
    for folder in ("stages", "tuneline"):
        for path in (ROOT / folder).rglob("*.py"):
            assert not [name for name in imports(path) if name.split(".")[0] == "recipes"], path
            code = re.sub(r'""".*?"""', "", path.read_text("utf-8"), flags=re.DOTALL)  # docstrings show examples
            named = [name for name in names if re.search(rf"recipes[/.]{name}|[\"']{name}[\"'@]", code)]
            assert not named or path.name == "settings.py", f"{path}: {named}"  # there the recipe to copy is told


def test_what_a_reader_reads_first_is_short(stages: tuple[dict[str, dict], str]) -> None:
    resolved, _ = stages
    assert len((ROOT / "dvc.yaml").read_text("utf-8").splitlines()) <= 300
    for name, stage in resolved.items():
        assert len(stage["deps"]) <= 16, name


def test_every_command_parses_with_the_stages_own_options(stages: tuple[dict[str, dict], str]) -> None:
    resolved, _ = stages
    for name, stage in resolved.items():
        words = shlex.split(stage["cmd"])
        assert words[:2] == ["python", "-m"], name
        command: click.Command = importlib.import_module(words[2]).main
        context = command.make_context(name, words[3:], resilient_parsing=False)
        # A list may be empty in params.yaml; nothing else may be left out.
        assert all(one.required or one.multiple for one in command.params), f"{name}: a default would live twice"
        given = {word.split("=")[0] for word in words[3:] if word.startswith("--")}
        assert len(given) == sum(value != () for value in context.params.values()), name


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
    presets = [path for path in sorted((ROOT / "presets").iterdir()) if path.suffix != ".yaml"]  # which is accelerate's
    assert presets
    for preset in presets:
        for line in preset.read_text("utf-8").splitlines():
            if line and not line.startswith("#"):
                at = params
                for key in line.partition("=")[0].split("."):
                    assert key in at, f"{preset.name}: {line}"
                    at = at[key]


def test_no_stage_opens_params() -> None:
    for path in {*(ROOT / "stages").glob("*.py")} - {ROOT / "stages/check.py"}:  # which says why it does
        tree = ast.parse(path.read_text("utf-8"))
        calls = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Call)]
        reads = [c for c in calls if "params.yaml" in c and re.search(r"open|read_|Path", c)]
        assert not reads, f"{path}: {reads}"
