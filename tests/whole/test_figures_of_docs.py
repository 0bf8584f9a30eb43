"""The tables of README and docs are those of metrics/: a figure that is trained anew is written anew there."""

import importlib.util
import re

from tests.conftest import ROOT

spec = importlib.util.spec_from_file_location("make_figures", ROOT / "docs/make_figures.py")
make_figures = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make_figures)


def test_each_page_has_the_figures_of_metrics() -> None:
    marks = []
    for name in make_figures.PAGES:
        page = (ROOT / name).read_text("utf-8")
        marks += re.findall("<!-- figures: (.*) -->", page)
        assert page == make_figures.written(page, ROOT), f"{name}: run `python docs/make_figures.py`"
    assert sorted(marks) == sorted(make_figures.TABLES)
