"""check: names and folders of params.yaml are looked at before a shell sees one, and all faults are told at once."""

import json
import shutil
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from click.testing import CliRunner, Result

from stages.baseline import main as baseline
from stages.check import ENTRIES, KNOBS, TRAIN, faults, main
from stages.eval import main as evaluation
from stages.predict import main as predict
from stages.sdg import main as sdg
from stages.split import main as split
from stages.train_cuda import main as train
from stages.trim import main as trim
from tests.conftest import ROOT, Project

LISTED = "bases: [far, gone]"
ADAPTER = {"recipe": "one", "base": "models/b", "quantization": "none", "max-new-tokens": 16}
BAD_NAMES = [
    "two words", " one", "one\n", "", "it's", 'say "so"', "$(touch pwned)", "${HOME}", "`touch pwned`", "a;b", "a|b",
    "a&b", "a>b", "Upper", "été", "-rf", "_x", "a.b", "../one", "a/b", "a@b", "*", "~", "#one", 3, 1.5, True, None,
    ["one"],
]  # fmt: skip
BAD_BASES = [
    "two words",
    "",
    "$(touch pwned)",
    "`x`",
    "/etc",
    "../up",
    "-x",
    "a;b",
    "a'b",
    "mödel",
    7,
    True,
    None,
    ["models/b"],
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout with a recipe and a base."""
    for path in ("recipes/one/recipe.yaml", "recipes/two-b_3/recipe.yaml", "models/b/base.yaml"):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text("")
    for name, content in {"b/config.json": "{}", "far/base.yaml": "", "params.yaml": LISTED}.items():
        (tmp_path / "models" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "models" / name).write_text(content)
    return tmp_path


def params(recipes: Any = ("one",), name: Any = "mine", **changed: Any) -> dict[str, Any]:
    return {"recipes": list(recipes) if isinstance(recipes, tuple) else recipes, "adapters": {name: ADAPTER | changed}}


def check(root: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> Result:
    (root / "params.yaml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(root)
    return CliRunner().invoke(main, ["--params", "params.yaml", "--out", "data/checks/params.yaml"])


def test_what_is_right_has_no_fault(root: Path) -> None:
    assert faults(params(("one", "two-b_3"), "0-mine_b", recipe="two-b_3", quantization="4bit"), root) == []
    assert faults(params(**{"max-new-tokens": "auto"}), root) == []
    assert faults(params(base="data/bases/far"), root) == []
    assert faults({"recipes": [], "adapters": {}}, root) == []
    assert faults(yaml.safe_load((ROOT / "params.yaml").read_text("utf-8")), ROOT) == []
    assert faults(yaml.safe_load((ROOT / "benchmarks/params.yaml").read_text("utf-8")), ROOT) == []


@pytest.mark.parametrize("name", [name for name in BAD_NAMES if not isinstance(name, list)])
def test_an_adapter_whose_name_is_none(name: Any, root: Path) -> None:
    assert faults(params(name=name), root) == [f"adapters: {name!r} is no name; write a-z, 0-9, _ and -"]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_recipe_whose_name_is_none(name: Any, root: Path) -> None:
    assert faults(params(("one", name)), root) == [f"recipes: {name!r} is no name; write a-z, 0-9, _ and -"]
    assert faults(params(recipe=name), root) == [f"adapters.mine.recipe: {name!r} is not in recipes, which has one"]


@pytest.mark.parametrize("recipe", ["one", "two-b_3"])
def test_an_adapter_of_other_parameters_may_be_of_a_recipe_of_the_root(root: Path, recipe: str) -> None:
    (root / "params.yaml").write_text("recipes: [two-b_3]", encoding="utf-8")
    assert faults(params(recipe=recipe) | {"root": ".."}, root) == []
    assert faults(params(recipe="two-b_3") | {"root": "."}, root) != []
    (fault,) = faults(params(recipe="three") | {"root": ".."}, root)
    assert fault == "adapters.mine.recipe: 'three' is not in recipes, which has one, two-b_3"


@pytest.mark.parametrize("base", BAD_BASES)
def test_a_base_that_is_no_folders_name(base: Any, root: Path) -> None:
    said = f"adapters.mine.base: {base!r} is no folder's name; write letters, digits, ., _, - and /"
    assert faults(params(base=base), root) == [said]


BY_NOBODY = "trains no adapter on these: take the repository that has them in bfloat16; quantization: 4bit loads it in"
BITSANDBYTES = {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}}
BY_MLX = {"quantization": {"group_size": 64, "bits": 4}, "quantization_config": {"group_size": 64, "bits": 4}}


@pytest.mark.parametrize(
    ("config", "backend", "quantization", "said"),
    [
        ({}, "cuda", "none", None),
        ({"quantization_config": None}, "cuda", "none", None),
        (BITSANDBYTES, "cuda", "4bit", None),
        (BITSANDBYTES, "cuda", "none", "its weights are stored by bitsandbytes in 4 bits: write quantization: 4bit"),
        ({"text_config": BITSANDBYTES}, "cuda", "none", "write quantization: 4bit"),
        (BITSANDBYTES, "mlx", "4bit", f"(bitsandbytes in 4 bits), and mlx {BY_NOBODY}"),
        ({"quantization_config": {"load_in_8bit": True, "quant_method": "bitsandbytes"}}, "cuda", "4bit", BY_NOBODY),
        (BY_MLX, "mlx", "none", None),
        (BY_MLX, "mlx", "4bit", None),
        (BY_MLX, "cuda", "4bit", f"(mlx), and cuda {BY_NOBODY}"),
        ({"quantization": {"group_size": 64, "bits": 4}}, "cuda", "none", f"(mlx), and cuda {BY_NOBODY}"),
        ({"quantization_config": {"quant_method": "gptq"}}, "cuda", "4bit", f"(gptq), and cuda {BY_NOBODY}"),
        ({"quantization_config": {"quant_method": "fp8"}}, "cuda", "none", f"(fp8), and cuda {BY_NOBODY}"),
        ([], "cuda", "none", "models/b/config.json is no JSON object"),
    ],
)
def test_weights_that_are_stored_quantized_are_told_before_anything_runs(
    config: Any, backend: str, quantization: str, said: str | None, root: Path
) -> None:
    (root / "models/b/config.json").write_text(json.dumps(config))
    known = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))["train"]
    told = faults(params(quantization=quantization) | {"train": known | {"backend": backend}}, root)
    assert len(told) == bool(said)
    if said:
        assert told[0].startswith("adapters.mine.base: ")
        assert said in told[0]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"base": "models/none"}, "base: there is no models/none/base.yaml; see models/tiny"),
        ({"base": "data/bases/gone"}, "base: there is no models/gone/base.yaml; see models/tiny"),
        (
            {"base": "data/bases/b"},
            "base: b is not in the list of models/params.yaml; add it, with models/b",
        ),
        (
            {"base": "models/far"},
            "base: models/far has no config.json: if its weights are elsewhere, write data/bases/far",
        ),
        ({"quantization": "8bit"}, "quantization: '8bit' is none of none, 4bit"),
        ({"quantization": None}, "quantization: None is none of none, 4bit"),
        (
            {"max-new-tokens": "16; touch pwned"},
            "max-new-tokens: '16; touch pwned' is no number of tokens; write one, or auto",
        ),
        ({"max-new-tokens": 0}, "max-new-tokens: 0 is no number of tokens; write one, or auto"),
        ({"max-new-tokens": "Auto"}, "max-new-tokens: 'Auto' is no number of tokens; write one, or auto"),
        ({"max-new-tokens": True}, "max-new-tokens: True is no number of tokens; write one, or auto"),
        ({"max-new-tokens": 1.5}, "max-new-tokens: 1.5 is no number of tokens; write one, or auto"),
        ({"recipe": "two-b_3"}, "recipe: 'two-b_3' is not in recipes, which has one"),
    ],
)
def test_a_wrong_value_of_an_adapter(changed: dict, said: str, root: Path) -> None:
    assert faults(params(**changed), root) == [f"adapters.mine.{said}"]


def test_a_recipe_that_is_not_there(root: Path) -> None:
    assert faults(params(("one", "none")), root) == ["recipes: there is no recipes/none/recipe.yaml"]


@pytest.mark.parametrize(
    "found", [{}, {"recipes": "one", "adapters": {}}, {"recipes": [], "adapters": ["a"]}, None, [1]]
)
def test_sections_of_another_form(found: Any, root: Path) -> None:
    assert faults(found, root) == ["recipes is a list of names, adapters a mapping by name"]


def test_an_adapter_that_is_no_mapping(root: Path) -> None:
    assert faults({"recipes": ["one"], "adapters": {"mine": "one"}}, root) == ["adapters.mine is a mapping"]


# Knobs


@pytest.mark.parametrize("section", KNOBS)
def test_a_knob_takes_what_its_stage_takes(section: str) -> None:
    """One table of knobs for all stages, told apart from none of their own options."""
    stages = {
        "teacher": [sdg], "judge": [evaluation], "prices": [sdg], "train": [baseline, train], "fit": [train],
        "lora": [train], "trim": [trim], "split": [split], "baseline": [baseline], "predict": [predict],
        "bootstrap": [evaluation],
    }  # fmt: skip
    taken = {name: kind for stage in stages[section] for name, kind in options(stage).items()}
    assert {name: told(kind) for name, kind in KNOBS[section].items()} == {
        name: told(kind) for name, kind in taken.items() if name in KNOBS[section]
    }


def test_the_knobs_are_those_of_params() -> None:
    for file in ("params.yaml", "benchmarks/params.yaml"):
        found = yaml.safe_load((ROOT / file).read_text("utf-8"))
        assert {name: set(knobs) for name, knobs in KNOBS.items()} == {name: set(found[name]) for name in KNOBS}
        for adapter in found["adapters"].values():
            assert set(adapter) == set(ENTRIES)
            assert set(adapter["train"]) == set(TRAIN)
    assert {name: told(kind) for name, kind in TRAIN.items()} == {
        name: told(kind) for name, kind in options(train).items() if name in TRAIN
    }


def options(command: click.Command) -> dict[str, Any]:
    """Name of params.yaml → what the option takes."""
    return {
        option.opts[0].removeprefix("--"): [option.type] if option.multiple else option.type
        for option in command.params
        if isinstance(option, click.Option)
    }


def told(kind: Any) -> Any:
    return [kind[0].to_info_dict()] if isinstance(kind, list | tuple) else kind.to_info_dict()


AN_ADDRESS = "holds more than a place: a key comes from the environment, never from an address"


@pytest.mark.parametrize(
    ("section", "key", "value", "said"),
    [
        ("bootstrap", "samples", "many", "'many' is not a valid integer range"),
        ("bootstrap", "samples", 0, "0 is not in the range x>=1"),
        ("bootstrap", "samples", 1.5, "'1.5' is not a valid integer range"),
        ("bootstrap", "samples", None, "None is no integer range"),
        ("bootstrap", "seed", True, "True is no integer"),
        ("fit", "precision", "float16", "'float16' is not one of 'auto', 'float32', 'bfloat16'"),
        ("lora", "dropout", 1.2, "1.2 is not in the range 0<=x<=1"),
        ("lora", "scale", float("nan"), "nan is no number"),
        ("lora", "scale", float("inf"), "inf is no number"),
        ("predict", "constrain", "maybe", "'maybe' is neither true nor false"),
        ("predict", "constrain", 1, "1 is neither true nor false"),
        ("judge", "model", {"a": 1}, "{'a': 1} is no text"),
        ("judge", "model", ["a"], "['a'] is no text"),
        ("teacher", "base-url", "https://me:secret@host/v1", AN_ADDRESS),
        ("teacher", "base-url", "host:80", "is no http:// or https:// address; or write default"),
        ("teacher", "body", ["think"], "'think' is not of the form name=value"),
        ("teacher", "body", "a=1", "'a=1' is no list"),
        ("judge", "temperature", "warm", "'warm' is not a valid float range"),
        ("prices", "price", "m=1/1", "'m=1/1' is no list"),
        ("prices", "price", [], "[] is no list"),
        ("prices", "price", ["m=1/1", None], "None is no text"),
        ("train", "processes", 0, "0 is not in the range x>=1"),
        ("train", "backend", "cuda; touch pwned", "'cuda; touch pwned' is not one of 'cuda', 'mlx'"),
    ],
)
def test_a_value_that_its_stage_would_refuse(section: str, key: str, value: Any, said: str, root: Path) -> None:
    found = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))
    changed = {section: found[section] | {key: value}}
    assert faults(params() | changed, root) == [f"{section}.{key}: {said}"]


def test_knobs_that_are_unknown_or_missing(root: Path) -> None:
    lora = {"rnak": 3, "scale": 2.0, "dropout": 0, "target": "linear", "variant": "plain"}
    assert faults(params() | {"lora": lora, "trim": 3}, root) == [
        "lora.rnak: unknown; known are rank, scale, dropout, target, variant",
        "lora.rank: is missing",
        "trim is a mapping of max-tokens",
    ]
    assert faults(params(quantisation="4bit"), root) == [
        "adapters.mine.quantisation: unknown; known are recipe, base, max-new-tokens, quantization, train"
    ]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("1e-3", None),  # as DVC reads it, a number
        (0.001, None),
        ("fast", "'fast' is not a valid float range"),
        (0, "0.0 is not in the range x>0"),
        (True, "True is no float range"),
    ],
)
def test_a_rate_that_is_no_number(value: Any, said: str | None, root: Path) -> None:
    train = {"learning-rate": value, "epochs": 1, "batch-size": 4, "accumulation": 1, "evaluations": 1}
    wanted = [] if said is None else [f"adapters.mine.train.learning-rate: {said}"]
    assert faults(params(train=train), root) == wanted


# The stage


def test_all_faults_are_in_one_line(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = params(("one", "Two"), base="models/none", recipe="three")
    wrong["adapters"]["$(touch pwned)"] = ADAPTER
    result = check(root, yaml.safe_dump(wrong), monkeypatch)
    assert (result.exit_code, result.output.count("\n")) == (1, 1)
    assert result.output.startswith("Error: params.yaml: ")
    for part in (
        "'Two' is no name",
        "no models/none/base.yaml",
        "'three' is not in recipes",
        "'$(touch pwned)' is no name",
    ):
        assert part in result.output
    assert not (root / "data").exists()


@pytest.mark.parametrize(
    ("text", "said"), [("recipes: [", "while parsing"), ("", "recipes is a list"), ("x", "recipes is")]
)
def test_a_file_that_is_none_is_one_line(text: str, said: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = check(root, text, monkeypatch)
    assert (result.exit_code, result.output.count("\n")) == (1, 1)
    assert result.output.startswith("Error: params.yaml: ")
    assert said in result.output


def test_all_that_is_right_has_the_same_bytes(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So a new adapter, or another knob, runs nothing again that comes after."""
    written = set()
    for found in (params(), params(("one", "two-b_3")), params(name="other", **{"max-new-tokens": 64})):
        assert check(root, yaml.safe_dump(found), monkeypatch).exit_code == 0
        written.add((root / "data/checks/params.yaml").read_bytes())
    assert len(written) == 1


# In the pipeline


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """DVC's project with this one's dvc.yaml, code, a recipe and a base."""
    project = Project(tmp_path_factory.mktemp("project"))
    for name in ("stages", "tuneline", "recipes/query_json", "models"):
        shutil.copytree(ROOT / name, project.root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dvc.yaml", ".dvcignore"):
        shutil.copy2(ROOT / name, project.root / name)
    project.run("git", "init", "-q")
    project.init_dvc()
    shutil.copy2(ROOT / ".dvc/config", project.root / ".dvc/config")
    return project


def repro(project: Project, name: str = "mine", recipe: str = "query_json", **changed: str) -> tuple[int, str]:
    """What `dvc repro` ends with, with an adapter of that name, and what it says."""
    found = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))
    adapter = found["adapters"]["query_json"] | {"recipe": recipe} | changed
    found |= {"recipes": [recipe], "adapters": {name: adapter}}
    (project.root / "params.yaml").write_text(yaml.safe_dump(found), encoding="utf-8")
    done = project.run("dvc", "repro", check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("key", "evil"),
    [
        ("name", "$(touch pwned)"),
        ("name", "a; touch pwned; b"),
        ("recipe", "$(touch pwned)"),
        ("base", "`touch pwned`"),
        ("max-new-tokens", "1 & touch pwned"),
    ],
)
def test_no_shell_reads_a_name_that_is_none(key: str, evil: str, project: Project) -> None:
    code, said = repro(project, **{key: evil})
    assert code != 0
    assert repr(evil) in said
    assert [line for line in said.splitlines() if line.startswith("Running stage")] == ["Running stage 'check':"]
    assert list(project.root.rglob("*pwned*")) == []
    assert not (project.root / "data").exists()
