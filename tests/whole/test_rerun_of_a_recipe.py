"""What a remark in a recipe's own Python runs again: seen in a small copy of two systems that runs for real."""

import pytest
import yaml

from tests.conftest import ROOT, Project, copy_project
from tests.stubs import stub_models
from tests.whole.test_rerun import remark


@pytest.fixture(scope="module")
def two_systems(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """French_admin and succession, run once, with stubs of what loads a model: no edit here may run that."""
    project = copy_project(tmp_path_factory.mktemp("two systems"))
    params = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))
    params["recipes"] = ["french_admin", "succession"]
    params["adapters"] = {name: params["adapters"][name] for name in params["recipes"]}
    for adapter in params["adapters"].values():
        adapter["max-new-tokens"] = "auto"
    params["trim"] = {"max-tokens": 640}  # fewer rows, and none of the longest answers
    params["bootstrap"]["samples"] = 20
    cases = project.root / "recipes/succession/source/cases.jsonl"
    cases.write_text("".join(cases.read_text("utf-8").splitlines(keepends=True)[::5]), encoding="utf-8")
    (project.root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    stub_models(project)
    project.repro()
    return project


def test_a_remark_in_a_recipes_python_runs_what_reads_the_recipe(two_systems: Project) -> None:
    """An offline judge, a rule of law: four stage instances, of that recipe, and none that loads a model."""
    for path in ("recipes/french_admin/offline.py", "recipes/succession/records/rules.py"):
        remark(two_systems, path)
        name = path.split("/")[1]
        done = two_systems.run("dvc", "repro")
        ran = [line.split("'")[1] for line in done.stdout.splitlines() if line.startswith("Running stage")]
        assert ran == [f"{stage}@{name}" for stage in ("extract", "sdg", "curate", "eval")]
    assert two_systems.repro() == []
