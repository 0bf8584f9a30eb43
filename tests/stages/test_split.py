"""split: stable when rows are added, and no held-out group is ever divided."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from stages.split import SETS, balanced, examples, main, missing, split, unit_hash
from tests.ending import end_line
from tests.recipe_folder import write_recipe
from tuneline.files import read_jsonl, write_jsonl
from tuneline.recipe.forms import read_form
from tuneline.recipe.settings import Split
from tuneline.rows import answer, make_row

FREE = Split(valid_groups=[], test_groups=[])


def row(name: str, group: str = "", origin: str = "source", lineage: tuple[str, ...] = (), **extra: str) -> dict:
    return {"id": name, "group": group or name, "origin": origin, "lineage": list(lineage), **extra}


def where(sets: dict[str, list[dict]]) -> dict[str, str]:
    """id → the set it is in; every row is in one."""
    places = {one["id"]: name for name, rows in sets.items() for one in rows}
    assert len(places) == sum(map(len, sets.values()))
    return places


NAMES = st.integers(0, 60).map(str)
MANY = st.lists(NAMES, max_size=25, unique=True).map(lambda names: [row(n, f"g{int(n) % 20}") for n in names])
SINGLE = st.lists(NAMES, max_size=25, unique=True).map(lambda names: [row(n) for n in names])
SHARE = st.floats(0, 0.5)


@settings(deadline=None, max_examples=50)
@given(SINGLE, SINGLE, SHARE, SHARE, st.integers())
def test_a_group_that_is_added_moves_one_over_a_boundary_at_most(
    old: list[dict], new: list[dict], valid: float, test: float, seed: int
) -> None:
    before = where(split(old, FREE, valid, test, seed))
    added = [one for one in new if one["id"] not in before]
    after = where(split([*added, *old], FREE, valid, test, seed))
    for boundary in ({"test"}, {"test", "valid"}):
        moved = [name for name, place in before.items() if (place in boundary) != (after[name] in boundary)]
        few = 0 < test * len(old) < 1 or 0 < valid * len(old) < 1
        assert len(moved) <= len(added) + (few and len(added) > 0)


@settings(deadline=None, max_examples=50)
@given(MANY, SHARE, SHARE, st.integers())
def test_the_order_of_the_rows_moves_none(rows: list[dict], valid: float, test: float, seed: int) -> None:
    assert where(split(rows, FREE, valid, test, seed)) == where(split(rows[::-1], FREE, valid, test, seed))


@settings(deadline=None, max_examples=100)
@given(st.lists(st.integers(1, 30), min_size=3, max_size=80), SHARE, SHARE, st.integers())
def test_shares_hold_within_a_group(sizes: list[int], valid: float, test: float, seed: int) -> None:
    assume(valid + test < 0.95)
    rows = [row(f"{group}/{i}", f"g{group}") for group, size in enumerate(sizes) for i in range(size)]
    sets = split(rows, FREE, valid, test, seed)
    for name, share in (("valid", valid), ("test", test)):
        assert abs(len({one["group"] for one in sets[name]}) - share * len(sizes)) <= 1
        assert abs(len(sets[name]) - share * len(rows)) <= max(sizes)
        assert bool(sets[name]) == bool(share)
    assert sets["train"]


TESTS = st.lists(NAMES, max_size=6, unique=True).map(
    lambda names: [row(f"t{n}", f"g{int(n) % 20}", set="test") for n in names]
)
MADE = st.lists(st.tuples(NAMES, st.lists(NAMES, max_size=2)), max_size=10, unique_by=lambda pair: pair[0]).map(
    lambda pairs: [row(f"m{n}", origin="made", lineage=(*parents, *(f"m{p}" for p in parents))) for n, parents in pairs]
)


@settings(deadline=None, max_examples=50)
@given(MANY, TESTS, MADE, SHARE, SHARE)
def test_no_held_out_group_is_divided_and_none_leaks(
    rows: list[dict], tests: list[dict], made: list[dict], valid: float, test: float
) -> None:
    everything = [*made, *rows, *tests]
    sets = split(everything, FREE, valid, test, seed=0)
    assert len(where(sets)) == len(everything)
    groups = {name: {one["group"] for one in sets[name]} for name in ("train", "valid", "test")}
    assert not groups["train"] & groups["valid"]
    assert not groups["train"] & groups["test"]
    assert not groups["valid"] & groups["test"]
    assert {one["id"] for one in tests} <= {one["id"] for one in sets["test"]}
    if tests:
        assert sets["test"] == tests
    trained = {one["id"] for one in sets["train"]}
    for one in made:
        assert one["id"] not in {held["id"] for held in (*sets["valid"], *sets["test"])}
        if one["id"] in trained:
            assert trained.issuperset(one["lineage"])


@settings(deadline=None, max_examples=50)
@given(MANY, st.integers())
def test_shares_of_0_and_1(rows: list[dict], seed: int) -> None:
    assert split(rows, FREE, 0, 0, seed)["train"] == rows
    assert split(rows, FREE, 0, 1, seed)["test"] == rows
    assert split(rows, FREE, 1, 0, seed)["valid"] == rows


def test_the_hash_is_the_same_on_every_machine_and_even() -> None:
    assert unit_hash(0, "g") == 0x1FAF8466B9E94B44 / 2**64  # printf 0/g | sha256sum
    places = [unit_hash(5, f"g{i}") for i in range(5000)]
    assert 420 < sum(at < 0.1 for at in places) < 580


@settings(deadline=None, max_examples=50)
@given(st.integers(), st.integers())
def test_another_seed_is_another_split(one: int, other: int) -> None:
    assume(one != other)
    rows = [row(str(i)) for i in range(200)]
    assert split(rows, FREE, 0.3, 0.3, one) != split(rows, FREE, 0.3, 0.3, other)


def test_the_sources_own_test_set_is_the_test_set() -> None:
    rows = [row(str(i)) for i in range(50)] + [row("t", set="test")]
    sets = split(rows, FREE, 0.3, 0.3, 0)
    assert [one["id"] for one in sets["test"]] == ["t"]
    assert len(sets["valid"]) > 5


def test_the_sources_own_valid_set_is_the_validation_set() -> None:
    rows = [row(str(i)) for i in range(50)] + [row("v", set="valid"), row("t", set="test")]
    sets = split(rows, FREE, 0.3, 0.3, 0)
    assert [one["id"] for one in sets["valid"]] == ["v"]
    assert [one["id"] for one in sets["test"]] == ["t"]
    assert len(sets["train"]) == 50


def test_a_source_with_a_valid_set_and_no_test_set_has_its_share_of_test() -> None:
    rows = [row(str(i)) for i in range(50)]
    sets = split([*rows, row("v", set="valid")], FREE, 0.3, 0.3, 0)
    assert [one["id"] for one in sets["valid"]] == ["v"]
    assert sets["test"] == split(rows, FREE, 0, 0.3, 0)["test"]
    assert 5 < len(sets["test"]) < 25


def test_no_group_stands_on_both_sides_of_the_sources_own_valid_set() -> None:
    rows = [row("a", "g"), row("b"), row("v", "g", set="valid"), row("w", "h", set="valid"), row("t", "h", set="test")]
    made_rows = [row("m", origin="made", lineage=("a",)), row("n", origin="made", lineage=("b",))]
    sets = split([*rows, *made_rows], FREE, 0.5, 0.5, 0)
    assert where(sets) == {
        "a": "valid", "b": "train", "v": "valid", "w": "dropped", "t": "test", "m": "dropped", "n": "train",
    }  # fmt: skip
    assert {one["id"]: one["reason"] for one in sets["dropped"]} == {"w": "group in test", "m": "lineage in valid"}


def test_a_training_row_of_a_tested_group_is_dropped() -> None:
    sets = split([row("a", "g"), row("b"), row("t", "g", set="test")], FREE, 0, 0.5, 0)
    assert [(one["id"], one["reason"]) for one in sets["dropped"]] == [("a", "group in test")]
    assert [one["id"] for one in sets["train"]] == ["b"]


def test_lineage_that_touches_a_held_out_row_is_dropped_through_any_number_of_steps() -> None:
    named = Split(valid_groups=["v"], test_groups=["t"])
    rows = [
        row("v"),
        row("t"),
        row("a"),
        row("free", origin="made"),
        row("of-a", origin="made", lineage=("a", "free")),
        row("of-v", origin="made", lineage=("a", "v")),
        row("of-both", origin="made", lineage=("t", "v")),
        row("of-of-v", origin="made", lineage=("of-v",)),
        row("of-gone", origin="made", lineage=("a", "an earlier drop")),
    ]
    sets = split(rows, named, 0, 0, 0)
    assert [one["id"] for one in sets["train"]] == ["a", "free", "of-a"]
    assert {one["id"]: one["reason"] for one in sets["dropped"]} == {
        "of-v": "lineage in valid",
        "of-both": "lineage in test and valid",
        "of-of-v": "lineage in valid",
        "of-gone": "lineage in dropped",
    }


def test_named_groups_go_where_they_are_named_and_the_rest_trains() -> None:
    rows = [row(str(i), f"g{i % 10}") for i in range(40)]
    sets = split(rows, Split(valid_groups=["g1"], test_groups=["g2", "g3"]), 0.5, 0.5, 0)
    assert {one["group"] for one in sets["valid"]} == {"g1"}
    assert {one["group"] for one in sets["test"]} == {"g2", "g3"}
    assert len(sets["train"]) == 28


def test_a_set_that_names_no_group_has_its_share() -> None:
    rows = [row(str(i)) for i in range(100)]
    sets = split(rows, Split(valid_groups=[], test_groups=["7"]), 0.3, 0.3, 0)
    assert [one["id"] for one in sets["test"]] == ["7"]
    assert 15 < len(sets["valid"]) < 45


def test_groups_of_one_size_are_not_exchanged_for_ever() -> None:
    """3.9 + 1 - 1 is less than 3.9 where a computer rounds it."""
    assert balanced(["a", "b", "c"], ["d"], {"a": 2, "b": 2, "c": 1, "d": 1}, 1.1053839982392364) == ["a", "d", "c"]


# Labels


def ticket(number: int, label: str, **extra: str) -> dict:
    return make_row(read_form({"prompt": f"ticket {number}", "response": label}), "a", number, **extra)


LABELS = st.lists(st.integers(1, 30), min_size=1, max_size=6)


@settings(deadline=None, max_examples=50)
@given(LABELS, st.floats(0.02, 0.45), st.floats(0.02, 0.45), st.integers())
def test_each_label_has_its_share_and_trains(sizes: list[int], valid: float, test: float, seed: int) -> None:
    rows = [ticket(1000 * kind + i, f"label {kind}") for kind, size in enumerate(sizes) for i in range(size)]
    sets = split(rows, FREE, valid, test, seed, labelled=True)
    for kind, size in enumerate(sizes):
        count = {name: sum(answer(one) == f"label {kind}" for one in sets[name]) for name in SETS}
        assert count["train"] >= 1
        assert count["test"] <= test * size + 1
        assert abs(count["test"] - test * size) <= 1 or count["train"] == 1
        assert abs(count["valid"] - valid * size) <= 1 or count["train"] == 1


def test_labels_of_equal_size_have_equal_shares() -> None:
    rows = [ticket(100 * kind + i, label) for kind, label in enumerate(("bug", "bill", "praise")) for i in range(40)]
    sets = split(rows, FREE, 0.1, 0.1, 0, labelled=True)
    for name in ("valid", "test"):
        assert Counter(map(answer, sets[name])) == {"bug": 4, "bill": 4, "praise": 4}


def test_a_label_without_a_test_row_is_told() -> None:
    rows = [ticket(i, "bug") for i in range(20)] + [ticket(100, "praise")]
    sets = split(rows, FREE, 0.1, 0.1, 0, labelled=True)
    assert list(missing(sets, {"valid": 0.1, "test": 0.1})) == [
        "label praise: one group only, it trains and is not tested"
    ]
    tested = [ticket(200, "bug", set="test"), ticket(201, "blame", set="test")]
    rows += [ticket(101, "praise"), *tested]
    lines = list(missing(split(rows, FREE, 0.1, 0, 0, labelled=True), {"valid": 0.1, "test": 0}))
    assert lines == ["label praise: no test row", "label blame: rows for test, but none to train on"]


def test_a_recipe_of_labels_is_split_by_them(tmp_path: Path) -> None:
    rows = (
        [ticket(i, "bug") for i in range(30)] + [ticket(100 + i, "Praise ") for i in range(10)] + [ticket(200, "odd")]
    )
    result = run(tmp_path, rows, 0.4, eval={"measures": "labels"})
    assert result.exit_code == 0, result.output
    assert result.stderr.startswith("r: label odd: one group only, it trains and is not tested\nsplit ")
    assert end_line(result.stderr).endswith("41 → 41 rows train 25, valid 8, test 8")
    for name in ("valid", "test"):
        assert Counter(map(answer, read_jsonl(tmp_path / f"split/{name}.jsonl"))) == {"bug": 6, "Praise ": 2}


# One question, many answers


def poem(number: int, **extra: str) -> dict:
    asked = {"prompt": "Write a poem.", "response": f"Poem {number} is about the number {number}."}
    return make_row(read_form(asked), "a", number, **extra)


def test_one_instruction_is_divided_by_answer_and_told(tmp_path: Path) -> None:
    rows = [poem(i) for i in range(40)] + [{**poem(3), "id": "again"}]
    result = run(tmp_path, rows, 0.2)
    assert result.exit_code == 0, result.output
    assert "r: 41 of 41 rows are one question with 40 answers: divided by answer" in result.stderr
    sets = {name: read_jsonl(tmp_path / f"split/{name}.jsonl") for name in SETS}
    assert [len({one["group"] for one in sets[name]}) for name in SETS] == [32, 4, 4]
    (place,) = {name for name in SETS for one in sets[name] if answer(one) == answer(rows[3])}
    assert sum(answer(one) == answer(rows[3]) for one in sets[place]) == 2


def test_an_instruction_among_few_others_is_divided_and_among_many_is_not(tmp_path: Path) -> None:
    few = [*map(poem, range(50)), *(ticket(i, "bug") for i in range(4))]
    assert "50 of 54 rows are one question" in run(tmp_path / "few", few, 0.2).stderr
    many = [*map(poem, range(20)), *(ticket(i, "bug") for i in range(40))]
    result = run(tmp_path / "many", many, 0.2)
    assert (result.exit_code, result.stderr.count("\n")) == (0, 1)
    sets = {name: read_jsonl(tmp_path / f"many/split/{name}.jsonl") for name in SETS}
    assert len({name for name in SETS for one in sets[name] if "poem" in one["messages"][0]["content"]}) == 1


def test_a_group_that_the_source_gave_is_never_divided(tmp_path: Path) -> None:
    result = run(tmp_path, [poem(i, group="author") for i in range(40)], 0.2)
    assert result.exit_code == 1
    assert result.output == "Error: no row for valid: bring more rows, or change split in params.yaml\n"


def test_one_question_with_one_answer_is_not_divided(tmp_path: Path) -> None:
    result = run(tmp_path, [{**poem(1), "id": str(i)} for i in range(40)], 0.2)
    assert (result.exit_code, "no row for valid" in result.output) == (1, True)


def test_the_sources_own_test_poems_do_not_forbid_the_others(tmp_path: Path) -> None:
    rows = [*map(poem, range(30)), *(poem(i, set="test") for i in range(30, 36))]
    result = run(tmp_path, rows, 0.2)
    assert result.exit_code == 0, result.output
    assert "r: 1 group with held-out rows is one question with several answers: divided by answer" in result.stderr
    assert json.loads((tmp_path / "m.json").read_text()) == {"in": 36, "train": 24, "valid": 6, "test": 6, "dropped": 0}


# The stage


def run(
    tmp_path: Path, rows: list[dict], held_out: float = 0.6, corpus: list[dict] | None = None, **sections: Any
) -> Result:
    own = ("valid-groups", "test-groups", "held-out")
    names = {name: sections.pop(name) for name in own if name in sections}
    recipe = write_recipe(tmp_path / "r", split=names, **sections)
    write_jsonl(tmp_path / "rows.jsonl", rows)
    words = ["--rows", tmp_path / "rows.jsonl", "--recipe", recipe, "--out", tmp_path / "split"]
    if corpus:
        write_jsonl(tmp_path / "corpus.jsonl", corpus)
        words += ["--rows", tmp_path / "corpus.jsonl"]
    words += ["--metrics", tmp_path / "m.json", "--held-out", held_out, "--seed", 1]
    return CliRunner().invoke(main, list(map(str, words)))


def test_the_stage_writes_each_set_and_counts_them(tmp_path: Path) -> None:
    rows = [row(str(i)) for i in range(40)] + [row("m", origin="made", lineage=("gone",))]
    result = run(tmp_path, rows)
    assert result.exit_code == 0, result.output
    counts = json.loads((tmp_path / "m.json").read_text())
    assert counts.pop("in") == 41 == sum(counts.values())
    assert counts["dropped"] == 1
    for name, count in counts.items():
        assert len(read_jsonl(tmp_path / f"split/{name}.jsonl")) == count


def asking(text: str, said: str = "ok", **extra: Any) -> dict:
    return make_row(read_form({"prompt": text, "response": said}), "a.jsonl", 1, **extra)


def test_rows_to_show_are_of_train_and_stand_still_when_others_come(tmp_path: Path) -> None:
    rows = [asking(f"question {n} of many", f"answer {n}") for n in range(60)]
    assert run(tmp_path, rows).exit_code == 0
    shown, train = (read_jsonl(tmp_path / f"split/{name}.jsonl") for name in ("shots/8", "train"))
    assert [read_jsonl(tmp_path / f"split/shots/{n}.jsonl") for n in (0, 3)] == [[], shown[:3]]
    assert len(shown) == 8 and all(one in train for one in shown)
    assert examples(train[::-1], 1) == shown != examples(train, 2)
    assert sum(one in shown for one in examples([*train, asking("one more")], 1)) >= 7
    assert run(tmp_path / "texts", [row(str(n)) | {"text": f"text {n}"} for n in range(9)]).exit_code == 0
    assert read_jsonl(tmp_path / "texts/split/shots/8.jsonl") == []


def test_of_labels_one_of_each_is_shown_first_and_no_family_twice() -> None:
    spam = [asking(f"mail {n}", "spam") for n in range(50)]
    few = [asking("mail a", " Ham"), asking("mail b", "eggs")]
    shown = examples([*spam, *few], 0)
    assert {answer(one).strip().casefold() for one in shown[:3]} == {"spam", "ham", "eggs"} and len(shown) == 8
    grown = [asking(f"other words {n}", "spam", origin="made", lineage=["seed"]) for n in range(9)]
    assert len(examples(grown, 0)) == 1
    parent = asking("the seed") | {"id": "seed"}
    assert len(examples([*grown, parent], 0)) == 1
    assert len(examples([one | {"group": "one"} for one in spam], 0)) == 1


def test_an_empty_set_stops_the_run_and_writes_nothing(tmp_path: Path) -> None:
    result = run(tmp_path, [row(str(i)) for i in range(40)], held_out=0)
    assert result.exit_code == 1
    assert "Error: no row for valid: bring more rows, or change split in params.yaml" in result.output
    assert not (tmp_path / "split").exists()


def test_half_of_what_is_held_out_is_for_validation(tmp_path: Path) -> None:
    run(tmp_path / "free", [row(str(i)) for i in range(2000)], 0.15)
    counts = json.loads((tmp_path / "free/m.json").read_text())
    assert 120 < counts["valid"] < 180
    assert 120 < counts["test"] < 180
    run(tmp_path / "tested", [row(str(i)) for i in range(2000)] + [row("t", set="test")], 0.15)
    counts = json.loads((tmp_path / "tested/m.json").read_text())
    assert 250 < counts["valid"] < 350
    assert counts["test"] == 1


def test_the_share_of_the_sources_own_holds_before_that_of_the_parameters(tmp_path: Path) -> None:
    run(tmp_path / "own", [row(str(i)) for i in range(2000)], 0.5, **{"held-out": 0.1})
    counts = json.loads((tmp_path / "own/m.json").read_text())
    assert [counts["valid"], counts["test"]] == [100, 100]
    refused = run(tmp_path / "too much", [row(str(i)) for i in range(20)], **{"held-out": 1.5})
    assert refused.exit_code and "held-out" in refused.stderr


def test_a_corpus_of_three_groups_has_all_sets(tmp_path: Path) -> None:
    rows = [row(f"{group}{i}", group) for group in "abc" for i in range(4)]
    assert run(tmp_path, rows, 0.15).exit_code == 0
    sets = {name: {one["group"] for one in read_jsonl(tmp_path / f"split/{name}.jsonl")} for name in SETS}
    assert sorted(map(len, sets.values())) == [1, 1, 1]
    assert set.union(*sets.values()) == set("abc")


def test_rows_about_a_document_stand_where_it_does() -> None:
    rows = [row(f"{group}{i}", group, "eli5", document=group) for group in "abcd" for i in range(3)]
    for one in rows:
        del one["lineage"]
    sets = split(rows, Split(valid_groups=["a"], test_groups=["b"]), 0.1, 0.1, 0)
    assert {name: {one["group"] for one in sets[name]} for name in sets} == {
        "train": {"c", "d"},
        "valid": {"a"},
        "test": {"b"},
        "dropped": set(),
    }


def test_rows_that_one_adapter_has_not_move_none(tmp_path: Path) -> None:
    rows = [row(str(i)) for i in range(40)]
    assert run(tmp_path / "a", rows, 0.3, rows).exit_code == 0
    assert run(tmp_path / "b", rows[7:], 0.3, rows).exit_code == 0
    for name in SETS:
        one, other = (read_jsonl(tmp_path / f"{adapter}/split/{name}.jsonl") for adapter in "ab")
        assert other == [kept for kept in one if kept in rows[7:]]


def test_what_is_dropped_is_shown(tmp_path: Path) -> None:
    rows = [row(str(i)) for i in range(40)]
    assert run(tmp_path / "none", rows).stdout == ""
    shown = run(tmp_path / "one", [*rows, row("m", origin="made", lineage=("gone",))]).stdout
    lines = [line.strip("│ ").split("│") for line in shown.splitlines() if "│" in line]
    assert [[cell.strip() for cell in line] for line in lines] == [
        ["41", "came in"],
        ["-1", "lineage in dropped"],
        ["40", "kept"],
    ]


def test_held_out_rows_that_are_cut_are_told(tmp_path: Path) -> None:
    rows = [row(str(i)) | {"cut": True} for i in range(10)]
    assert "2 of 2 rows for test are cut by trim: they ask less than was asked" in run(tmp_path, rows, 0.4).stderr


def test_a_group_that_no_row_has_is_named(tmp_path: Path) -> None:
    result = run(tmp_path, [row("a")], **{"valid-groups": ["a", "misspelt"]})
    assert result.exit_code == 1
    assert "split names groups that no row has: misspelt" in result.output
