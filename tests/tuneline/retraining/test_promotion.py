"""What a version needs to win: an effect, no broken row, and what its base knew."""

import shutil
from pathlib import Path

import click
import numpy as np
import pytest

from tests.conftest import ROOT
from tests.small_base import write_class_base
from tuneline.feedback.gate_settings import read_gate_settings
from tuneline.files import write_json, write_jsonl
from tuneline.measuring.references import token_f1
from tuneline.retraining import promotion
from tuneline.retraining.promotion import card, compare, decide, detectable
from tuneline.retraining.retention import broken, read_questions, retention, score_sides, told_broken

NAME = "summaries"
GATE = read_gate_settings(ROOT)


def test_a_least_effect_is_what_the_whole_interval_is_above() -> None:
    old = np.linspace(0.1, 0.6, 40)
    new = old + 0.05 + np.tile([0.01, -0.01], 20)
    assert decide(new, old, 200, 0).wins and decide(new, old, 200, 0, 0.03).wins
    refused = decide(new, old, 200, 0, 0.05)
    assert not refused.wins and refused.reason.startswith("not better by 0.05 beyond the interval: +0.0500 [")


def test_the_power_is_what_four_of_five_runs_show() -> None:
    rng = np.random.default_rng(0)
    rows, spread = 60, 0.2
    shows = detectable(rng.normal(0, spread, 100_000)[:rows] * 0 + np.tile([spread, -spread], rows // 2))
    drawn = rng.normal(shows, spread, (300, rows))
    won = np.mean([decide(one, np.zeros(rows), 200, 0).wins for one in drawn])
    assert 0.7 < won < 0.9
    decision = decide([0.2, 0.4], [0.1, 0.1], 100, 0, 0.01)
    assert f"on 2 rows, which show {0.01 + decision.detectable:.4f} at 80 %" in decision.reason
    one = decide([0.2], [0.1], 100, 0)
    assert one.detectable is None and one.reason.endswith("on 1 rows")


def marked(*marks: object) -> list[dict]:
    return [{"id": str(at), "fields": {} if mark is None else {"must": mark}} for at, mark in enumerate(marks)]


def test_a_row_that_must_hold_is_broken_below_what_was_or_what_is_asked() -> None:
    rows = marked(None, True, True, False, 0.5, 0.5, True, 1)
    new = [0.0, 0.9, 0.4, 0.0, 0.5, 0.4, None, 1]
    old = [1.0, 0.9, 0.5, 1.0, 1.0, 0.0, 0.1, 0]
    found = broken(rows, new, old)
    assert found == {"rows": 6, "broken": {"2": "0.400 for 0.500", "5": "0.400 for 0.500", "6": "none for 0.100"}}
    assert told_broken(found) == (
        "breaks 3 of 6 rows marked must: 2 (0.400 for 0.500), 5 (0.400 for 0.500), 6 (none for 0.100)"
    )
    assert (
        told_broken(broken(rows, old, old))
        == "breaks 2 of 6 rows marked must: 5 (0.000 for 0.500), 7 (0.000 for 1.000)"
    )
    assert broken([{"id": "x"}], [0.1], [0.2]) == {"rows": 0, "broken": {}}
    for mark in ("yes", [True], {}):
        with pytest.raises(click.ClickException, match=r"row 0: must: .* is neither true nor the least figure"):
            broken(marked(mark), [0.1], [0.2])


@pytest.fixture
def run(tmp_path: Path) -> dict:
    """The options of an eval stage, of 20 rows on which the new version is better by far."""
    figures = [{"base": {"rouge_l": 0.1}, "tuned": {"rouge_l": 0.5 + at / 100}} for at in range(20)]
    write_jsonl(tmp_path / "predictions.jsonl", ({"id": str(at), "figures": one} for at, one in enumerate(figures)))
    write_jsonl(tmp_path / "test.jsonl", marked(*[True] * 19, 0.6))
    (tmp_path / "report.json").write_text("{}")
    paths = {name: Path(f"{name}.jsonl") for name in ("predictions", "test")}
    return {**paths, "report": Path("report.json"), "recipe": Path("recipe"), "samples": 100, "seed": 0}


def test_what_would_win_is_refused_for_a_broken_row_or_for_what_it_forgets(
    run: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = compare(tmp_path, NAME, None, GATE, run)
    assert found["wins"] and found["must"] == {"rows": 20, "broken": {}} and found["retention"] is None
    assert not compare(tmp_path, NAME, None, GATE.model_copy(update={"least_effect": 0.6}), run)["wins"]
    write_jsonl(tmp_path / "test.jsonl", marked(*[True] * 19, 0.8))
    refused = compare(tmp_path, NAME, None, GATE, run)
    assert not refused["wins"] and refused["reason"].endswith("; breaks 1 of 20 rows marked must: 19 (0.690 for 0.800)")
    order = {"name": "r", "task": "summarization", "adapter": NAME, "commit": "", "samples": 1, "sha256": ""}
    assert "1 of them broken" in card(order, {"previous": None, **refused}, {"base": "b"})
    write_jsonl(tmp_path / "test.jsonl", marked(*[False] * 20))
    for kept, said in ((True, "keeps what its base knows"), (False, "loses more than gate.retention-margin")):
        asked = {"rows": 9, "measure": "token_f1", "difference": {"mean": 0.0, "interval": [0, 0]}, "margin": 0.05}
        monkeypatch.setattr(promotion, "retention", lambda *_, kept=kept, asked=asked: {**asked, "kept": kept})
        found = compare(tmp_path, NAME, None, GATE, run)
        assert found["wins"] is kept and said in found["reason"]


def test_questions_are_rows_of_any_form(tmp_path: Path) -> None:
    path = tmp_path / "retention.jsonl"
    messages = [{"role": "user", "content": "And?"}, {"role": "assistant", "content": "So."}]
    write_jsonl(path, [{"input": "Who?", "output": "I", "references": ["I", "me"]}, {"messages": messages}])
    assert [len(row["messages"]) for row in read_questions(path)] == [2, 2]
    for wrong, said in (
        ('{"input": "a"}', "1: "),
        ("{", "1: "),
        ("[7]", "1: "),
        ('{"text": "only"}', "1: is only text"),
        ('{"input": "a", "output": "b", "references": "b"}', "1: names references"),
        ("", " has no rows"),
    ):
        path.write_text(wrong)
        with pytest.raises(click.ClickException, match=f"retention.jsonl:?{said}"):
            list(read_questions(path))


def test_base_and_version_are_asked_general_questions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A version that changes nothing keeps all, one that changes much loses what its base says."""
    import torch
    from dvc.repo import Repo
    from peft import LoraConfig, get_peft_model

    from tuneline.answering.predictor import Predictor
    from tuneline.backends.cuda import load_model
    from tuneline.models.base import read_base
    from tuneline.rendering.preamble import Preamble

    monkeypatch.delenv("DVC_ROOT", raising=False)
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy2(ROOT / name, tmp_path)
    Repo.init(str(tmp_path), no_scm=True).close()
    config = (ROOT / ".dvc/config").read_text("utf-8")  # how dvc.yaml's dicts become flags
    (tmp_path / ".dvc/config").write_text(config.replace("[core]\n", "[core]\n    no_scm = true\n"))
    base = read_base(write_class_base(tmp_path / "models/small", "llama", initializer_range=0.3))
    asked = [f"what is {word}" for word in ("rain", "a bridge", "bread", "the sea")]
    predictor = Predictor("cuda", base, "none", "float32", Preamble())
    said = predictor.answer([[{"role": "user", "content": text}] for text in asked], 4, 12, "")
    assert all(token_f1(answer, [answer]) == 1 for answer in said)
    source = tmp_path / "recipes" / NAME / "source"
    write_jsonl(
        source / "retention.jsonl",
        ({"input": text, "output": answer} for text, answer in zip(asked, said, strict=True)),
    )
    folder = tmp_path / "adapters" / NAME
    for changes, kept in ((False, True), (True, False)):
        torch.manual_seed(1)
        config = LoraConfig(r=2, target_modules=base.pattern("linear"), init_lora_weights=not changes)
        get_peft_model(load_model(base, "none"), config).save_pretrained(folder)
        about = {
            "base": "models/small",
            "quantization": "none",
            "backend": "cuda",
            "prefix": "",
            "precision": "float32",
        }
        write_json(folder / "adapter.json", about)
        found = retention(tmp_path, NAME, Path("recipes", NAME), 0.05, 100, 0)
        assert found["kept"] is kept and found["rows"] == 4
        assert (found["difference"]["mean"] == 0) is kept and found["sides"]["base"] > 0.2
    assert [side for side, _ in score_sides(tmp_path, NAME, list(read_questions(source / "retention.jsonl")))] == [
        "base",
        "new",
    ]
    assert retention(tmp_path, NAME, Path("recipes/none"), 0.05, 100, 0) is None
