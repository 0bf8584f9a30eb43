"""What a row's answers cost: on a small random base, held against torch's own cross-entropy, and in a small project."""

import json
import math
import re
import shutil
from pathlib import Path

import click
import pytest

from tests.conftest import ROOT, Project
from tests.in_process import run_tuneline
from tests.small_adapter import write_small_adapter
from tests.small_base import write_small_base
from tuneline.answering.predictor import open_adapter
from tuneline.files import Row, read_rows
from tuneline.losses.measure import groups_of, measure_losses, open_base, trained_spans
from tuneline.losses.table import FILE, VALUES, by_group, hardest, in_order, in_words, per_token
from tuneline.measuring.kinds import open_measures
from tuneline.measuring.label_answers import LabelMeasures
from tuneline.models.adapter import WEIGHTS
from tuneline.rendering.chat import IGNORED, Tokens


def said(*texts: str) -> list[Row]:
    return [{"role": ("user", "assistant")[at % 2], "content": text} for at, text in enumerate(texts)]


ROWS = [
    {"id": "a", "messages": said("invoices of may", '{"type":"list"}')},
    {"id": "b", "messages": said("hello", "Hello!", "how many tickets?", '{"type":"count"}')},
    {"id": "c", "text": "A text alone, of some words."},
    {"id": "d", "messages": said("where is it " * 40, '{"type":"search","filter_query":"it"}')},
]


@pytest.mark.parametrize(
    ("trained", "spans"),
    [
        ([0, 0, 1, 1, 0], [(4, 2)]),
        ([0, 1, 0, 1, 1], [(2, 1), (5, 3)]),
        ([1, 1, 1], [(3, 1)]),  # a text alone
        ([1], []),
        ([0, 0], []),
    ],
)
def test_what_is_trained_is_found(trained: list[int], spans: list[tuple[int, int]]) -> None:
    ids = list(range(5, 5 + len(trained)))
    found = trained_spans(Tokens(ids, [one if yes else IGNORED for one, yes in zip(ids, trained, strict=True)]))
    assert [(len(span.ids), span.given) for span in found] == spans


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("adapter")
    return write_small_adapter(root / "small", write_small_base(root / "base"), prefix="Explain:")


def by_torch(folder: Path, base: bool) -> list[float]:
    """The labels' cross-entropy, a row at a time."""
    import torch

    predictor = open_base(folder) if base else open_adapter(folder, constrain=False)
    sums = []
    for pieces in predictor.chat.pieces(ROWS):
        losses = []
        for piece in pieces:
            with torch.inference_mode():
                logits = predictor.model(torch.tensor([piece.ids])).logits[0, :-1].double()
            wanted = torch.tensor(piece.labels[1:])
            losses.append(torch.nn.functional.cross_entropy(logits, wanted, reduction="sum", ignore_index=IGNORED))
        sums.append(sum(losses).item())
    return sums


def test_it_is_the_cross_entropy_of_what_is_trained(adapter: Path) -> None:
    rows = [("valid", line, row) for line, row in enumerate(ROWS, 1)]
    found = measure_losses(adapter, ROOT / "recipes/query_json", rows, size=3)
    assert [row["base"] for row in found] == pytest.approx(by_torch(adapter, base=True), abs=2e-3)
    assert [row["tuned"] for row in found] == pytest.approx(by_torch(adapter, base=False), abs=2e-3)
    assert all(abs(row["base"] - row["tuned"]) > 0.1 for row in found)
    assert [row["groups"] for row in found] == [{"intent": "list"}, {"intent": "count"}, {}, {"intent": "search"}]


def test_a_loss_that_is_no_number_is_an_error(adapter: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    broken = shutil.copytree(adapter, tmp_path / "broken")
    weights = load_file(broken / WEIGHTS)
    weights[next(name for name in weights if "lora_B" in name)][:] = math.nan
    save_file(weights, broken / WEIGHTS, metadata={"format": "pt"})
    with pytest.raises(click.ClickException, match="broken: the loss of 2 of 2 rows is no number"):
        measure_losses(broken, ROOT / "recipes/query_json", [("test", at, ROWS[at - 1]) for at in (1, 2)], size=3)


def test_labels_are_groups() -> None:
    rows = [{"id": str(at), "messages": said("which?", label)} for at, label in enumerate(("Spam ", "ham", "spam"))]
    measures = LabelMeasures([], rows)
    assert [groups_of(measures, row) for row in rows] == [{"label": "Spam"}, {"label": "ham"}, {"label": "Spam"}]


def line(part: str, nats: float, tokens: int = 10, **groups: str) -> Row:
    return {"id": "x", "set": part, "line": 1, "tokens": tokens, "base": 2 * nats, "tuned": nats, "groups": groups}


def test_groups_are_weighed_by_tokens() -> None:
    found = by_group([line("valid", 9, 30, kind="x"), line("valid", 1, 10, kind="y"), line("test", 5, 10)])
    assert found["valid", "", ""] == {"rows": 2, "tokens": 40, "base": 0.5, "tuned": 0.25}
    assert found["valid", "kind", "y"]["tuned"] == 0.1 and found["test", "", ""]["tuned"] == 0.5
    assert [key for key, _ in in_order(found)[0]] == [
        ("valid", "", ""),
        ("valid", "kind", "x"),
        ("valid", "kind", "y"),
        ("test", "", ""),
    ]


def test_of_many_values_the_commonest_have_a_line() -> None:
    rows = [line("test", 1, value=str(number)) for number in range(VALUES + 5) for _ in range(1 + number % 7)]
    lines, more = in_order(by_group(rows))
    assert len(lines) == 1 + VALUES and more == {("test", "value", ""): 5}
    assert min(found["rows"] for _, found in lines) > 1


def test_a_row_of_one_token_is_no_division_by_zero() -> None:
    assert per_token(line("test", 0, tokens=0)) == 0
    assert by_group([line("test", 0, tokens=0)])["test", "", ""]["tuned"] == 0


def test_rows_are_told_by_their_place() -> None:
    assert in_words({**ROWS[0], "source": {"file": "t.jsonl", "line": 3}}) == (
        "t.jsonl:3",
        'invoices of may → {"type":"list"}',
    )
    assert in_words({**ROWS[2], "text": "\x1b[2Jcleared\n"}) == ("c", "␛[2Jcleared")
    assert in_words(ROWS[2]) == ("c", "A text alone, of some words.")
    assert [row["tuned"] for row in hardest([line("test", 1), line("test", 3)])] == [3, 1]


def test_of_a_run_it_is_the_loss_that_training_took(ran_project: Project, tmp_path: Path) -> None:
    project = Project(shutil.copytree(ran_project.root, tmp_path / "copy", symlinks=True))
    told = run_tuneline(project, "losses", "query_json", "--most", "2").stdout
    summary = json.loads((project.root / "metrics/query_json/training_summary.json").read_text("utf-8"))
    losses = json.loads((project.root / "data/query_json" / FILE).read_text("utf-8"))
    assert by_group(losses["rows"])["valid", "", ""]["tuned"] == pytest.approx(summary["valid_loss"], abs=2e-4)
    for name in ("valid", "test"):
        rows = read_rows(project.root / f"data/query_json/split/{name}.jsonl")
        mine = [row for row in losses["rows"] if row["set"] == name]
        assert [row["id"] for row in mine] == [row["id"] for row in rows]
        assert f"{name}, the hardest rows:" in told
    judged = read_rows(project.root / "data/french_admin/curate.jsonl")[0]
    groups = groups_of(open_measures(project.root / "recipes/french_admin"), judged)
    assert {"topic", "behavior"} <= set(groups), "without a judge"
    assert max(map(len, told.splitlines())) <= 100
    assert len(re.findall(r"^ +\d+\.\d\d  \S+\.jsonl:\d+  ", told, re.MULTILINE)) == 4
    page = tmp_path / "page.html"
    run_tuneline(project, "report", "query_json", "--out", str(page))
    assert "Loss by row" in page.read_text("utf-8")
    project.edit("data/query_json/split/test.jsonl", '"id":"', '"id":"0')
    run_tuneline(project, "report", "query_json", "--out", str(page))
    assert "Loss by row" not in page.read_text("utf-8")
    assert "losses.json is of another adapter or of other rows" in page.read_text("utf-8")


def test_what_cannot_be_is_told_before_a_model_is_loaded(ran_project: Project, tmp_path: Path) -> None:
    project = Project(shutil.copytree(ran_project.root, tmp_path / "copy", symlinks=True))
    split, out = project.root / "data/query_json/split", project.root / "data/query_json" / FILE
    weights = project.root / "adapters/query_json" / WEIGHTS

    def fails(*words: str) -> str:
        return run_tuneline(project, "losses", "query_json", *words, fails=True).output

    out.mkdir()
    told = fails()
    assert f"{FILE}: Is a directory" in told and "losses of base" not in told
    out.rmdir()
    whole = (split / "valid.jsonl").read_bytes()
    (split / "valid.jsonl").write_text("")
    assert "no row of valid in data/query_json/split" in fails("--set", "valid").replace(str(project.root), "")
    assert ", none of valid" in run_tuneline(project, "losses", "query_json").stderr
    out.write_text('{"adapter": "x"}')
    report = run_tuneline(project, "report", "query_json", "--out", str(tmp_path / "page.html"), fails=True).output
    assert f"{FILE}: rows: Field required; `tuneline losses query_json` makes it anew" in report
    (split / "valid.jsonl").write_bytes(whole)
    weights.rename(tmp_path / WEIGHTS)
    assert f"{WEIGHTS} is not there; `dvc repro predict@query_json` or `tuneline fetch` brings it" in fails()
    (tmp_path / WEIGHTS).rename(weights)
    (split / "valid.jsonl").unlink()
    assert "valid.jsonl is not there; `dvc repro predict@query_json` or `tuneline fetch` brings it" in fails()
