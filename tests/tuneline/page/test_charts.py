"""Charts: the specs are those of `dvc plots`, whatever the names are the SVG is one, and its colours the page's."""

import csv
import json
import re
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from tests.conftest import ROOT
from tests.tuneline.page.run import run
from tuneline.page.charts import BINS, NAMES, OTHERS, THEMES, Chart, bins, charts, fewer, short
from tuneline.page.reading import System, find_systems

HOSTILE = (
    '<img src=x onerror="alert(1)">',
    "</svg><script>alert(1)</script>",
    "مرحبا",
    "😀",
    "\x00\ufff9\ud800",
    "",
    "n" * 500,
)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Chart]:
    root = run(tmp_path_factory.mktemp("run"))
    return charts(find_systems(root)[0], root)


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_what_there_is_is_drawn(drawn: dict[str, Chart]) -> None:
    assert list(drawn) == ["measures", "by-language", "confusion", "loss", "question-tokens", "answer-tokens"]
    assert "accuracy" in texts(drawn["measures"].svg) and "letters" not in texts(drawn["measures"].svg)
    assert {"train", "valid", "step", "loss"} <= set(texts(drawn["loss"].svg))
    assert "train from 2.000 to 0.500, valid from 1.500 to 0.250" in drawn["loss"].told
    assert "median 42, longest 53" in texts(drawn["question-tokens"].svg)


def test_its_colours_are_the_pages(drawn: dict[str, Chart]) -> None:
    for chart in drawn.values():
        colours = set(re.findall(r' (?:fill|stroke)="([^"]+)"', chart.svg))
        assert colours <= {"none", "transparent", *(f"var(--{name})" for name in THEMES["light"])}, chart.name
        assert chart.svg.startswith("<svg ") and f'aria-label="{chart.told}"' in chart.svg
        assert not re.search(r"href|\bid=|url\(|<style|<a\b", chart.svg)
        for theme, colours in THEMES.items():
            alone = chart.file(theme)
            assert "var(" not in alone and colours["paper"] in alone
            ElementTree.fromstring(alone)


def test_the_heat_map_has_a_diagonal(tmp_path: Path) -> None:
    pairs = [("b", "b"), ("b", "a"), ("a", "(none)"), ("a", "a"), ("a", "a"), ("z", "b")]
    system = System("mine", "mine", confusion=pairs)
    svg = charts(system, ROOT)["confusion"].svg
    names = [name for name in texts(svg) if not name.isdigit()]
    assert names == ["a", "b", "z", "(none)", "predicted", "a", "b", "z", "(none)", "actual"]
    assert svg.count('stroke="var(--one)"') >= 4, "a box for each kind, also for one that nothing was taken for"
    assert sorted(name for name in texts(svg) if name.isdigit()) == ["1", "1", "1", "1", "2"]
    fields = [("family", "missed"), ("family", "right"), ("estate", "missed")]
    svg = charts(System("mine", "mine", confusion=fields), ROOT)["confusion"].svg
    assert texts(svg).count("family") == texts(svg).count("missed") == 1, "axes that share nothing stay apart"


def test_names_may_be_anything(tmp_path: Path) -> None:
    pairs = [(name, other) for name in HOSTILE for other in HOSTILE[:2]]
    svg = charts(System("mine", "mine", confusion=pairs), ROOT)["confusion"].svg
    assert any("مرحبا" in text for text in texts(svg)) and "<script" not in svg and "<img" not in svg
    many = [(f"kind {n}", f"kind {n}") for n in range(3 * NAMES)]
    assert len(set(fewer(many))) == NAMES + 1 and (OTHERS, OTHERS) in fewer(many)
    assert fewer([]) == [] and short("a\tb\x07") == "a b" and len(short("n" * 500)) == 40


def test_one_point_is_drawn() -> None:
    curves = {"valid": [(30, 0.5)], "train": [(10, float("nan")), (20, float("inf"))]}
    svg = charts(System("mine", "mine", curves=curves), ROOT)["loss"].svg
    assert svg.count('fill="var(--one)"') >= 1 and "train" not in texts(svg)


@pytest.mark.parametrize("values", [[0], [5, 5, 5], list(range(1000)), [1, 10**6], [3, 27, 4]])
def test_bins_hold_all_rows(values: list[int]) -> None:
    found = bins(values)
    assert len(found) <= BINS and sum(one["rows"] for one in found) == len(values)
    assert found[0]["from"] <= min(values) and max(values) < found[-1]["until"]
    assert all(one["until"] == other["from"] for one, other in pairwise(found))


def test_dvc_draws_the_same_files_by_the_same_axes() -> None:
    """DVC looks for a template in .dvc/plots before its own, and takes `linear` where a plot names none."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text("utf-8"))["stages"]
    plots = [plot for stage in stages.values() for plot in (stage.get("do", stage)).get("plots", [])]
    told = {Path(path).name: how for plot in plots for path, how in plot.items()}
    confusion = told["confusion.csv"]
    assert [confusion[key] for key in ("template", "x", "y")] == ["confusion", "actual", "predicted"]
    for side in ("train", "valid"):
        curve = told[f"{side}_loss.tsv"]
        assert (curve.get("template", "linear"), curve["x"], curve["y"]) == ("linear", "step", f"{side}_loss")


def test_dvc_fills_these_templates(tmp_path: Path) -> None:
    """Two revisions side by side, as `dvc plots diff` has them."""
    from dvc_render.vega import VegaRenderer
    from vl_convert import vegalite_to_svg

    run(tmp_path)
    lines = (tmp_path / "metrics/mine/confusion.csv").read_text("utf-8").splitlines()
    rows = [{**row, "rev": revision} for revision in ("main", "workspace") for row in csv.DictReader(lines)]
    axes = {"x": "actual", "y": "predicted", "title": "mine"}
    renderer = VegaRenderer(rows, "mine", template="confusion", template_dir=str(ROOT / ".dvc/plots"), **axes)
    spec = renderer.get_filled_template()
    assert "DVC_METRIC" not in json.dumps(spec)
    svg = vegalite_to_svg(spec)
    assert texts(svg).count("main") == texts(svg).count("workspace") == 1
