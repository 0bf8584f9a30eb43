"""Looking changes nothing: every output is opened as in a notebook, and no stage has anything to do."""

import hashlib
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas
import pytest
from datasets import Dataset, load_dataset
from pyarrow.parquet import read_table

from tests.conftest import Project

OUTPUTS = ("data", "adapters", "metrics")


@pytest.fixture
def project(ran_project: Project, tmp_path: Path) -> Project:
    root = tmp_path / "copy"
    shutil.copytree(ran_project.root, root, symlinks=True)
    return Project(root)


def outputs(project: Project) -> Iterable[Path]:
    return (path for name in OUTPUTS for path in sorted((project.root / name).rglob("*")) if path.is_file())


def contents(project: Project) -> dict[str, str]:
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in outputs(project)}


def map_over(rows: Any) -> None:
    """What leaves caches."""
    assert list(rows.map(lambda row: {"seen": True})["seen"]) == [True] * len(rows)
    assert len(rows.filter(lambda row: True).shuffle(seed=0)) == len(rows)


def open_parquet(path: Path, cache: str) -> None:
    map_over(load_dataset("parquet", data_files=str(path), cache_dir=cache)["train"])
    map_over(Dataset.from_parquet(str(path), cache_dir=cache))
    assert len(pandas.read_parquet(path)) == read_table(path, memory_map=True).num_rows


def open_jsonl(path: Path, cache: str) -> None:
    pandas.read_json(path, lines=True)
    if path.stat().st_size:  # of no row, datasets makes no data set
        map_over(load_dataset("json", data_files=str(path), cache_dir=cache)["train"])


def open_table(path: Path, cache: str) -> None:
    pandas.read_csv(path, sep=None, engine="python")
    map_over(load_dataset("csv", data_files=str(path), cache_dir=cache)["train"])


def open_adapter(path: Path, cache: str) -> None:
    from peft import PeftConfig
    from safetensors.numpy import load_file

    assert PeftConfig.from_pretrained(path.parent).target_modules
    assert load_file(path)


def open_text(path: Path, cache: str) -> None:
    assert path.read_bytes()


OPENED = {
    ".parquet": open_parquet, ".jsonl": open_jsonl, ".csv": open_table, ".tsv": open_table,
    ".safetensors": open_adapter, ".json": open_text, ".yaml": open_text, ".md": open_text, ".png": open_text,
}  # fmt: skip


def test_every_output_opened_as_in_a_notebook_is_as_it_was(project: Project, tmp_path: Path) -> None:
    before = contents(project)
    assert {Path(name).suffix for name in before} == set(OPENED)
    for path in outputs(project):
        OPENED[path.suffix](path, str(tmp_path / "cache"))
    map_over(load_dataset(str(project.root / "data/query_json/tokens"), cache_dir=str(tmp_path / "cache"))["train"])
    assert contents(project) == before
    assert "up to date" in project.run("dvc", "status", "dvc.yaml").stdout
