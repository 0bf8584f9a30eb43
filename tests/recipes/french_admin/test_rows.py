"""The recipe's own rows and rules: French, balanced, sourced, and no held-out question given away."""

import json
import os
import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
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


ASKS = ("droit", "montant", "pieces", "delai")  # the kinds of question


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
    paths += ("--documents", folder / "documents", "--engine", "local")
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
    assert len(source("test")) >= 120
    assert len(TOPICS) >= 12
    for name in NAMES:
        assert {row["topic"] for row in source(name)} == set(TOPICS)
    assert min(Counter(row["topic"] for row in source("golden")).values()) >= 4


@pytest.mark.parametrize("name", NAMES)
def test_behaviours_are_balanced(name: str) -> None:
    counts = Counter(row["behavior"] for row in source(name))
    assert set(counts) <= set(BEHAVIOR.values())
    assert name == "valid" or set(counts) == set(BEHAVIOR.values())
    least = {"direct": 0.3, "hybrid": 0.3, "clarify": 0.05}  # a certain rule is given: few rows only ask
    assert all(least[name] <= count / counts.total() <= 0.7 for name, count in counts.items()), counts


def test_every_row_obeys_the_schema_and_is_french() -> None:
    validator = jsonschema.Draft202012Validator(json.loads((RECIPE / "source/row.schema.json").read_text("utf-8")))
    for row in ROWS:
        validator.validate(row)
        assert all(claim.strip() for claim in row["source"])
        assert row["reasoning"]
        assert other_language(f"{row['question']} {row['answer']}", "fr") is None, row["question"]


def test_an_amount_has_the_day_from_which_it_holds() -> None:
    undated = [row["answer"] for row in ROWS if MONEY.search(row["answer"]) and "valid_from" not in row]
    assert undated == []
    assert not MONEY.search("la zone eurodollar")
    assert MONEY.search("25 €")


def test_a_row_is_dated_in_order() -> None:
    for row in ROWS:
        days = [row.get("valid_from", "2000-01-01"), row.get("valid_until", "2100-01-01")]
        assert days == sorted(days), row["question"]
        assert row.get("valid_from", "") <= row["checked_on"], row["question"]


def test_amounts_forms_and_delays_to_contest_are_there() -> None:
    form = re.compile(r"\bcerfa \d{5}\b|\bS\d{4}\b|\b20(42|44|47)\b|\b846 A\b")
    contest = re.compile(r"deux mois|un mois|45 jours")
    wanted = [
        row
        for row in ROWS
        if MONEY.search(row["answer"])
        or form.search(row["answer"])
        or (re.search(r"contest|recours", row["answer"]) and contest.search(row["answer"]))
    ]
    assert len(wanted) >= 30


def test_no_test_row_shares_a_rule_unless_it_is_marked_near() -> None:
    """The same (topic, rule, behaviour) in a training file and in a test row is near transfer, and reported apart."""
    shown = {(row["topic"], row["rule"]) for name in ("golden", "valid") for row in source(name)}
    wrong = [
        (row["topic"], row["rule"], row["behavior"], row["transfer"])
        for row in source("test")
        if ((row["topic"], row["rule"]) in shown) != (row["transfer"] == "near")
    ]
    assert wrong == []
    far = Counter((row["topic"], row["rule"]) for row in source("test") if row["transfer"] == "far")
    assert len(far) >= 100  # rules that no training row has
    assert [rule for rule, times in far.items() if times > 1] == []
    for name in ("golden", "valid"):
        assert all("transfer" not in row for row in source(name))


def test_the_same_rule_asks_for_the_same_behaviour_where_the_same_is_missing() -> None:
    """Two rows of one rule that lack the same facts have one label: golden and test do not contradict each other."""
    labels: dict[tuple, set] = {}
    for row in ROWS:
        labels.setdefault((row["topic"], row["rule"], *sorted(row["missing_info"])), set()).add(row["behavior"])
    assert [key for key, behaviors in labels.items() if len(behaviors) > 1] == []


def test_questions_are_as_people_write_them() -> None:
    lengths = sorted(len(row["question"].split()) for row in source("test"))
    assert lengths[0] <= 8
    assert lengths[-1] >= 100
    assert sum(length >= 40 for length in lengths) >= 15


def test_what_is_missing_is_of_the_topic() -> None:
    wrong = [(row["question"], row["missing_info"]) for row in ROWS if not facts_fit(row, row["topic"], row["asks"])]
    assert wrong == []


def test_each_topic_has_its_facts_by_kind_of_question_and_its_dated_rules() -> None:
    for topic, entry in TOPICS.items():
        assert set(entry) == {"label", "rules", *ASKS}, topic
        assert len(entry["rules"]) >= 4, topic
        assert entry["droit"], topic


def facts_fit(row: dict, topic: str, asks: Sequence[str] = ASKS) -> bool:
    """Whether what is missing is indispensable to one of the kinds of question that the row asks."""
    missing = row["missing_info"]
    facts = {fact for kind in asks for fact in TOPICS[topic][kind]}
    known = set(missing) <= facts and len(set(missing)) == len(missing)
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


def test_what_is_said_of_a_row_does_not_reach_the_model(generated: Path) -> None:
    """Question, reasoning and answer, and nothing of the rule, the sources or the dates."""
    for row in read_jsonl(generated / "sdg"):
        said = {message["content"] for message in row["messages"]}
        fields = row["fields"]
        assert said == {fields["question"], visible_answer(fields)}


def visible_answer(fields: dict) -> str:
    thinking = "\n".join(f"- {thought}" for thought in fields["reasoning"])
    return f"<thinking>\n{thinking}\n</thinking>\n\n{fields['answer']}"


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
