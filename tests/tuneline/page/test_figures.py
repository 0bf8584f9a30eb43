"""What the tables say: which change is one, what groups are worth, what it cost."""

import json
from pathlib import Path

import pytest

from tests.tuneline.page.run import edit, run
from tuneline.page.figures import VALUES, costs, example, fates, group_tables, main_figure, measures, reading, total
from tuneline.page.reading import System, find_systems


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> System:
    return find_systems(run(tmp_path_factory.mktemp("run")))[0]


@pytest.mark.parametrize(
    ("base", "tuned", "change", "word"),
    [
        (0.5, 0.7, (0.1, 0.3), "higher"),
        (0.7, 0.5, (-0.3, -0.1), "lower"),
        (0.5, 0.52, (-0.1, 0.14), "within noise"),
        (0.5, 0.7, (0.0, 0.3), "within noise"),
        (0.0, 0.0, (0.0, 0.0), "same"),
        (0.5, 0.5, None, "same"),
        (0.5, 0.7, None, "no interval"),
        (None, 0.7, None, "no figure"),
    ],
)
def test_a_change_is_one_when_its_interval_leaves_out_zero(base, tuned, change, word: str) -> None:
    assert reading(base, tuned, change) == word


def test_measures_have_their_intervals(system: System) -> None:
    accuracy, length = measures(system)
    assert (accuracy.name, accuracy.reads, accuracy.told) == ("accuracy", "higher", True)
    assert accuracy.tuned == 1 and accuracy.change_edges and accuracy.is_share
    assert length.base_edges and not length.is_share, "a number above 1 does not stand on an axis of shares"


def test_groups_are_compared_by_the_main_figure(system: System, tmp_path: Path) -> None:
    (table,) = group_tables(system)
    assert (table.name, table.main, table.others, table.more) == ("language", "accuracy", ["letters"], 0)
    assert [(line.name, line.rows) for line, _ in table.lines] == [("en", 9), ("fr", 3)], "the commonest first"
    assert table.lines[0][0].reads in ("higher", "intervals overlap")
    path = run(tmp_path) / "metrics" / "mine" / "report.json"
    lines = {f"value {n}": {"rows": n, "letters": 0.5, "letters_interval": [0.4, 0.6]} for n in range(VALUES + 5)}
    base = {name: {**line, "letters": 0.1, "letters_interval": [0, 0.2]} for name, line in lines.items()}
    numbers = {"base": {"words": 0.5}, "tuned": {"words": None, "more": 1}}
    edit(path, main="letters", per_language=None, per_topic={"base": base, "tuned": lines}, per_check=numbers)
    (other,) = find_systems(tmp_path)
    assert main_figure(other) == "letters"
    topics, checks = group_tables(other)
    assert topics.more == 5 and topics.lines[0][0].name == f"value {VALUES + 4}"
    assert {line.reads for line, _ in topics.lines} == {"higher"}
    assert [(line.base, line.tuned, line.reads) for line, _ in checks.lines] == [
        (0.5, None, "no figure"),
        (None, 1, "no figure"),
    ]


def test_rows_on_their_way(system: System) -> None:
    assert [(fate.stage, fate.rows_in, fate.out, fate.dropped) for fate in fates(system)] == [
        ("extract", 50, 48, 2),
        ("sdg", 48, 50, 3),
        ("curate", 50, 44, 6),
        ("trim", 40, 40, 0),
        ("split", 40, 40, 0),
    ]


def test_an_example_is_what_was_dropped_and_why() -> None:
    messages = [{"role": "user", "content": "Where?"}, {"role": "assistant", "content": "there " * 100}]
    assert example({"detail": "too far", "messages": messages}).startswith("too far · where? → there there")
    assert len(example({"messages": messages})) == 241
    assert example({"reason": "not JSON", "file": "a.jsonl", "line": 3}) == "a.jsonl:3"
    assert example({"text": "Said"}) == "said → Said"


def test_a_recipe_is_paid_once(tmp_path: Path) -> None:
    run(tmp_path, "one")
    run(tmp_path, "two")
    systems = find_systems(tmp_path)
    assert [(cost.owner, cost.stage) for cost in costs(systems[0])] == [
        ("recipe messages", "sdg"),
        ("adapter one", "eval"),
    ]
    assert total(systems).model_dump() == {"usd": 2.25, "tokens_in": 3000, "tokens_out": 600}
    assert json.loads((tmp_path / "metrics/one/report.json").read_text("utf-8"))["judge"] == "offline"
