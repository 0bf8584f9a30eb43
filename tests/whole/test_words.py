"""What a user writes reaches the model as it is written, and no shell on the way; of names, stages/test_check.py."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from tests.conftest import Project

WORDS = """It costs $5 or "more", isn't it? `touch pwned` $(touch pwned) ; touch pwned # \\n é"""


@pytest.fixture
def project(ran_project: Project, tmp_path: Path) -> Project:
    root = tmp_path / "a copy"
    shutil.copytree(ran_project.root, root, symlinks=True)
    return Project(root)


def test_a_prefix_is_rendered_as_it_is_written(project: Project) -> None:
    recipe = project.root / "recipes/query_json/recipe.yaml"
    read = yaml.safe_load(recipe.read_text("utf-8"))
    recipe.write_text(yaml.safe_dump({**read, "prefix": {"query_json": WORDS}}, sort_keys=False), encoding="utf-8")
    assert project.repro("format@query_json")[-2:] == ["trim", "format"]
    for name in ("train", "test"):
        first, *_ = (project.root / f"data/query_json/chat/{name}.jsonl").read_text("utf-8").splitlines()
        (question,) = [m["content"] for m in json.loads(first)["messages"] if m["role"] == "user"]
        assert question.startswith(f"{WORDS}\n\n")
    assert not list(project.root.rglob("pwned"))
