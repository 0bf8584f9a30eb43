"""A recipe's folder for tests, with what a test changes in it."""

from pathlib import Path
from typing import Any

import yaml

RECIPE: dict[str, dict[str, Any]] = {
    "extract": {"kind": "rows", "train": ["train.jsonl"], "test": [], "max-reject-share": 0.5},
    "prefix": {},
    "sdg": {"strategies": []},
    "curate": {"near-duplicate": 0.9, "same-group": 0.7, "contamination": 0.8},
    "trim": {"over-long": "drop"},
    "split": {"valid-groups": [], "test-groups": []},
    "eval": {"measures": "text"},
}


def write_recipe(folder: Path, files: dict[str, str] | None = None, **sections: dict[str, Any]) -> Path:
    """`files` go to source/; each of `sections` changes keys of its section of recipe.yaml."""
    (folder / "source").mkdir(parents=True)
    for name, text in (files or {}).items():
        (folder / "source" / name).write_text(text, encoding="utf-8")
    recipe = {name: {**section, **sections.get(name, {})} for name, section in RECIPE.items()}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    (folder / "system.md").write_text("", encoding="utf-8")
    return folder
