"""The tables of README and docs are those of metrics/, in what is committed: a run on another processor moves both."""

import importlib.util
import re
import subprocess
import tarfile
from io import BytesIO
from pathlib import Path

from tests.conftest import ROOT

spec = importlib.util.spec_from_file_location("make_figures", ROOT / "docs/make_figures.py")
make_figures = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make_figures)


def test_each_page_has_the_figures_of_metrics(tmp_path: Path) -> None:
    command = ["git", "archive", "HEAD", "metrics", *make_figures.PAGES]
    committed = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
    with tarfile.open(fileobj=BytesIO(committed)) as archive:
        archive.extractall(tmp_path, filter="data")
    marks = []
    for name in make_figures.PAGES:
        page = (tmp_path / name).read_text("utf-8")
        marks += re.findall("<!-- figures: (.*) -->", page)
        assert page == make_figures.written(page, tmp_path), f"{name}: run `python docs/make_figures.py`"
    assert sorted(marks) == sorted(make_figures.TABLES)
