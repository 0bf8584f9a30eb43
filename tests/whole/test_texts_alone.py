"""A recipe whose rows are only text works to the end: each stage in turn, with a base that is made of nothing."""

import importlib
import json
import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from tests.recipe_folder import RECIPE, write_recipe
from tests.small_base import write_small_base
from tests.stages.test_train_cuda import FLAGS
from tests.teaching import flags, settings
from tuneline.files import read_jsonl

WORDS = "the river runs past a mill and an old bridge where boats wait for rain".split()


def text(rng: random.Random) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(30)).capitalize() + "."


def stage(name: str, *switches: str, **options: Any) -> None:
    words = [word for key, value in options.items() for word in (f"--{key.replace('_', '-')}", str(value))]
    result = CliRunner().invoke(importlib.import_module(f"stages.{name}").main, [*words, *switches])
    assert result.exit_code == 0, f"{name}: {result.output}"


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run: extract, curate, trim, split, format, baseline, train, predict, eval."""
    to = tmp_path_factory.mktemp("texts")
    base, rng = write_small_base(to / "base"), random.Random(0)
    lines = "".join(json.dumps({"text": text(rng)}) + "\n" for _ in range(40))
    recipe = write_recipe(to / "texts", {"train.jsonl": lines})
    sections = {"eval": {"measures": "bits"}, "curate": RECIPE["curate"] | {"near-duplicate": 1.0, "same-group": 1.0}}
    sections["curate"]["contamination"] = 1.0
    (recipe / "recipe.yaml").write_text(yaml.safe_dump(RECIPE | sections), encoding="utf-8")
    (recipe / "schema.json").write_text('{"type": "string"}', encoding="utf-8")
    judge = flags(settings(provider="offline"))
    answered = {"batch_size": 4, "max_new_tokens": "auto", "test": to / "split/test.jsonl"}
    answered |= {"state": to / "state", "processes": 1}
    model = {"base": base, "quantization": "none", "preamble": to / "preamble.json", "schema": recipe / "schema.json"}
    stage("extract", recipe=recipe, out=to / "extract", rejects=to / "x", documents=to / "docs", metrics=to / "m",
          state=to / "state", engine="local")  # fmt: skip
    stage("curate", *judge, recipe=recipe, rows=to / "extract", out=to / "curate", drops=to / "x", metrics=to / "m",
          reasons=to / "r", answers=to / "log", engine="local")  # fmt: skip
    stage("trim", rows=to / "curate", recipe=recipe, base=base, out=to / "trim", drops=to / "x", metrics=to / "m",
          preamble=to / "preamble.json", adapter="texts", max_tokens=512, engine="local")  # fmt: skip
    stage("split", rows=to / "trim", recipe=recipe, out=to / "split", metrics=to / "m", held_out=0.3, seed=0)
    stage("format", split=to / "split", preamble=to / "preamble.json", base=base, chat=to / "chat",
          tokens=to / "tokens", metrics=to / "m", max_new_tokens="auto", engine="local")  # fmt: skip
    stage(
        "baseline",
        "--no-constrain",
        backend="cuda",
        precision="float32",
        **model,
        examples=to / "split/shots/2.jsonl",
        shots=2,
        out=to / "baseline.jsonl",
        **answered,
    )
    knobs = FLAGS | {"epochs": 1, "evaluations": 1}
    stage("train_cuda", **knobs | model, tokens=to / "tokens", out=to / "adapter", curves=to / "curves",
          summary=to / "s", state=to / "state")  # fmt: skip
    stage("predict", "--no-constrain", backend="cuda", adapter=to / "adapter", out=to / "answers.jsonl", **answered)
    stage("eval", *judge, recipe=recipe, adapter="texts", train=to / "split/train.jsonl", test=to / "split/test.jsonl",
          baseline=to / "baseline.jsonl", tuned=to / "answers.jsonl", metrics=to / "eval.json",
          report=to / "report.json", confusion=to / "confusion.csv", predictions=to / "predictions.jsonl",
          answers=to / "log", samples=100, seed=0)  # fmt: skip
    return to


def test_the_adapter_foretells_what_it_was_not_shown_better_than_the_base(ran: Path) -> None:
    figures = json.loads((ran / "eval.json").read_text("utf-8"))
    report = json.loads((ran / "report.json").read_text("utf-8"))
    assert report["rows"] == len(read_jsonl(ran / "split/test.jsonl")) > 1
    assert figures["tuned"]["bits_per_byte"] < figures["base"]["bits_per_byte"]
    low, high = report["intervals"]["change"]["bits_per_byte"]
    assert low <= high < 0


def test_all_that_the_pipeline_tracks_of_an_evaluation_is_there(ran: Path) -> None:
    assert (ran / "confusion.csv").read_text("utf-8").splitlines()[0] == "actual,predicted"
    told = read_jsonl(ran / "predictions.jsonl")
    assert [row["text"] for row in told] == [row["text"] for row in read_jsonl(ran / "split/test.jsonl")]
    for row in told:
        assert row["figures"]["tuned"]["bits_per_byte"] == row["tuned"] / row["marks"]["tuned"]["bytes"]
