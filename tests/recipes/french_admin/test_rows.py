"""The recipe's own rows and rules: French, balanced, sourced, and no held-out question given away."""

import json
import os
import random
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import jsonschema
import pytest
import yaml

from tests.conftest import ROOT
from tests.teaching import flags, settings
from tuneline.data.language import other_language
from tuneline.data.similarity import jaccard, shingles
from tuneline.files import read_jsonl
from tuneline.generating.grammar import Draw
from tuneline.generating.offline import Offline, seed_entry
from tuneline.recipe.settings import Asked, read_recipe

RECIPE = ROOT / "recipes/french_admin"
NAMES = ("golden", "valid", "test")
TOPICS = yaml.safe_load((RECIPE / "sdg/topics.yaml").read_text("utf-8"))
KINDS = yaml.safe_load((RECIPE / "sdg/kinds.yaml").read_text("utf-8"))
BEHAVIOR = {"basic": "direct", "needs_clarifying": "clarify", "complex": "hybrid"}
TEACHER = Offline(RECIPE)
LISTS, TEMPLATES = TEACHER.lists, TEACHER.templates
MONEY = re.compile(r"€|\beuros?\b|\bcentimes?\b", re.IGNORECASE)


def source(name: str) -> list[dict]:
    return read_jsonl(RECIPE / f"source/{name}.jsonl")


ROWS = [row for name in NAMES for row in source(name)]


def run_stage(stage: str, folder: Path, *words: str | Path, **environment: str) -> None:
    subprocess.run(
        [sys.executable, "-m", f"stages.{stage}", "--recipe", RECIPE, "--metrics", folder / f"{stage}.json", *words],
        cwd=ROOT,
        env={**os.environ, **environment},
        check=True,
        capture_output=True,
    )


def generate(folder: Path, hash_seed: str) -> Path:
    """sdg's rows by the offline teacher."""
    paths = ("--out", folder / "extract", "--rejects", folder / "rejects", "--state", folder / "state")
    paths += ("--documents", folder / "documents")
    run_stage("extract", folder, *paths)
    out = folder / "sdg"
    words = ["--rows", folder / "extract", "--out", out, "--refused", folder / "refused", "--answers", folder / "log"]
    chosen = settings(provider="offline", model="offline")
    run_stage("sdg", folder, *words, "--strategy", "all", *flags(chosen), PYTHONHASHSEED=hash_seed)
    return folder


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(tmp_path_factory.mktemp("french_admin"), "1")


def draws(rules: dict, times: int) -> list[dict]:
    """Some rows of one template."""
    rng = random.Random(0)
    seeds = [seed_entry(row["question"], rng) for row in source("golden")]
    return [Draw({**LISTS, "seed": seeds}, rng).data(rules["row"]) for _ in range(times)]


def test_there_are_enough_rows_over_all_topics() -> None:
    assert len(source("golden")) >= 80
    assert len(source("test")) >= 60
    assert len(TOPICS) >= 12
    for name in NAMES:
        assert {row["topic"] for row in source(name)} == set(TOPICS)
    assert min(Counter(row["topic"] for row in source("golden")).values()) >= 4


@pytest.mark.parametrize("name", NAMES)
def test_behaviours_are_balanced(name: str) -> None:
    counts = Counter(row["behavior"] for row in source(name))
    assert set(counts) == set(BEHAVIOR.values())
    assert all(0.25 <= count / counts.total() <= 0.45 for count in counts.values()), counts


def test_every_row_obeys_the_schema_and_is_french() -> None:
    validator = jsonschema.Draft202012Validator(json.loads((RECIPE / "source/row.schema.json").read_text("utf-8")))
    for row in ROWS:
        validator.validate(row)
        assert row["source"].strip()
        assert row["reasoning"]
        assert other_language(f"{row['question']} {row['answer']}", "fr") is None, row["question"]


def test_an_amount_has_the_day_from_which_it_holds() -> None:
    undated = [row["answer"] for row in ROWS if MONEY.search(row["answer"]) and "valid_from" not in row]
    assert undated == []
    assert not MONEY.search("la zone eurodollar")
    assert MONEY.search("25 €")


def test_what_is_missing_is_of_the_topic() -> None:
    wrong = [(row["question"], row["missing_info"]) for row in ROWS if not facts_fit(row, row["topic"])]
    assert wrong == []


def facts_fit(row: dict, topic: str) -> bool:
    missing = row["missing_info"]
    known = set(missing) <= set(TOPICS[topic]["facts"]) and len(set(missing)) == len(missing)
    return known and bool(missing) == (row["behavior"] != "direct")


def test_no_question_stands_twice() -> None:
    assert [question for question, times in Counter(row["question"] for row in ROWS).items() if times > 1] == []


# The offline teacher's rules


def test_each_topic_and_kind_has_a_template_and_each_template_a_topic() -> None:
    assert set(KINDS) == set(BEHAVIOR)
    strategies = {s.name for s in read_recipe(RECIPE).sdg.strategies if isinstance(s, Asked)}
    covered = set()
    for template in TEMPLATES:
        when = template["when"]
        assert set(when) <= {"strategy", "topic", "kind"}
        assert set(when["strategy"]) <= strategies
        assert set(when.get("topic", [])) <= set(TOPICS)
        assert set(when.get("kind", [])) <= set(KINDS)
        for strategy in when["strategy"]:
            covered |= {(strategy, t, k) for t in when.get("topic", [None]) for k in when.get("kind", [None])}
    wanted = {(s, t, k) for s in ("self_instruct", "focus") for t in TOPICS for k in KINDS}
    wanted |= {("clarify", t, None) for t in TOPICS} | {("augment", None, None)}
    assert wanted - covered == set()


def test_a_template_shows_what_it_is_drawn_for() -> None:
    wrong = []
    for template in TEMPLATES:
        when = template["when"]
        if "topic" not in when:
            continue
        for row in draws(template, 3):
            behaviors = {BEHAVIOR[kind] for kind in when.get("kind", ["needs_clarifying"])}
            if row["behavior"] not in behaviors or not all(facts_fit(row, topic) for topic in when["topic"]):
                wrong.append(row)
            if MONEY.search(row["answer"]):
                wrong.append(row)
    assert wrong == []


def test_no_held_out_question_is_near_a_golden_row_or_a_draw(generated: Path) -> None:
    shown = {row["messages"][0]["content"] for row in read_jsonl(generated / "sdg") if "set" not in row}
    shown |= {row["question"] for template in TEMPLATES for row in draws(template, 4)}
    assert len(shown) > 800
    limit = read_recipe(RECIPE).curate.contamination
    others = [(text, shingles(text.casefold())) for text in shown]
    for name in ("valid", "test"):
        for row in source(name):
            own = shingles(row["question"].casefold())
            near = max(others, key=lambda other: jaccard(own, other[1]))
            assert jaccard(own, near[1]) < limit, (row["question"], near[0])


def test_no_test_question_is_near_a_valid_one() -> None:
    limit = read_recipe(RECIPE).curate.contamination
    tests = [shingles(row["question"].casefold()) for row in source("test")]
    for row in source("valid"):
        assert all(jaccard(shingles(row["question"].casefold()), other) < limit for other in tests)


def test_the_same_bytes_in_every_process(generated: Path, tmp_path: Path) -> None:
    other = generate(tmp_path, "2")
    for name in ("sdg", "refused", "sdg.json"):
        assert (generated / name).read_bytes() == (other / name).read_bytes()


def test_each_strategy_gives_what_the_recipe_wants(generated: Path) -> None:
    wanted = {s.name: s.rows or len(source("golden")) * s.per_call for s in read_recipe(RECIPE).sdg.strategies}
    wanted["focus"] *= bool(yaml.safe_load((RECIPE / "sdg/focus.yaml").read_text("utf-8")))
    rows = read_jsonl(generated / "sdg")
    golden = {row["id"] for row in rows if row["origin"] == "source" and "set" not in row}
    made = [row for row in rows if row["origin"] != "source"]
    assert Counter(row["origin"] for row in made) == Counter({name: n for name, n in wanted.items() if n})
    for row in made:
        assert row["made_by"]["model"] == "offline"
        assert row["lineage"]
        assert golden.issuperset(row["lineage"])
