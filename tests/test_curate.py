"""curate: what is dropped and why, and what never is."""

import itertools
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.curate import curate, main
from tests.recipe_folder import write_recipe
from tuneline.files import read_jsonl, write_jsonl
from tuneline.recipe import Curate
from tuneline.rows import make_row, read_form
from tuneline.similarity import Index, jaccard, shingles, signatures

SETTINGS = Curate(near_duplicate=0.8, same_group=0.5, contamination=0.7)
LONG = "the quarterly budget of the northern region was approved by the board in late october"


def row(asked: str, answer: str = "yes", origin: str = "source", **extra: str) -> dict:
    return make_row(read_form({"prompt": asked, "response": answer}), "a.jsonl", 1, origin, **extra)


def asked(rows: list[dict]) -> list[str]:
    return [one["messages"][0]["content"] for one in rows]


def test_an_exact_copy_goes() -> None:
    kept, dropped = curate([row("one thing"), row("another matter"), row("one thing")], SETTINGS)
    assert asked(kept) == ["one thing", "another matter"]
    assert [(drop["reason"], drop["of"]) for drop in dropped] == [("duplicate", kept[0]["id"])]


def test_a_near_duplicate_goes_and_says_of_what_and_how_near() -> None:
    kept, dropped = curate([row(LONG), row("something else"), row(LONG + "s")], SETTINGS)
    assert asked(kept) == [LONG, "something else"]
    (drop,) = dropped
    assert (drop["reason"], drop["of"]) == ("near duplicate", kept[0]["id"])
    assert drop["similarity"] == round(jaccard(shingles(LONG), shingles(LONG + "s")), 4) >= 0.8


def test_case_and_spaces_do_not_hide_a_near_duplicate() -> None:
    kept, dropped = curate([row(LONG), row(LONG.upper().replace(" ", "  "))], SETTINGS)
    assert (len(kept), dropped[0]["similarity"]) == (1, 1.0)


def test_a_row_too_near_a_test_row_goes_though_it_stands_before_it() -> None:
    kept, dropped = curate([row(LONG), row(LONG + "?", set="test")], SETTINGS)
    assert [one.get("set") for one in kept] == ["test"]
    assert [(drop["reason"], drop["of"]) for drop in dropped] == [("contamination", kept[0]["id"])]


def test_a_copy_of_a_test_row_leaves_the_test_row() -> None:
    kept, dropped = curate([row(LONG), row(LONG, set="test")], SETTINGS)
    assert [one.get("set") for one in kept] == ["test"]
    assert [drop["reason"] for drop in dropped] == ["duplicate"]


def test_near_test_rows_all_stay() -> None:
    kept, dropped = curate([row(LONG, set="test"), row(LONG + "!", set="test")], SETTINGS)
    assert (len(kept), dropped) == (2, [])


def test_a_made_row_never_displaces_a_source_row() -> None:
    kept, dropped = curate([row(LONG + "!", origin="grammar"), row(LONG)], SETTINGS)
    assert [one["origin"] for one in kept] == ["source"]
    assert [drop["reason"] for drop in dropped] == ["near duplicate"]


def test_a_made_row_too_near_a_test_row_goes() -> None:
    _, dropped = curate([row(LONG + "!", origin="grammar"), row(LONG, set="test")], SETTINGS)
    assert [(drop["origin"], drop["reason"]) for drop in dropped] == [("grammar", "contamination")]


# Groups

A = "alpha beta gamma delta epsilon zeta"
B = "theta iota kappa lambda omicron sigma"


def test_near_source_rows_share_a_group() -> None:
    kept, _ = curate([row(A), row(A + " eta"), row(B)], Curate(near_duplicate=0.99, same_group=0.5, contamination=1))
    one, near, other = (one["group"] for one in kept)
    assert one == near != other


def test_a_row_near_to_two_groups_makes_them_one() -> None:
    settings = Curate(near_duplicate=0.99, same_group=0.3, contamination=1)
    assert jaccard(shingles(A), shingles(B)) < 0.3
    before, _ = curate([row(B), row(A)], settings)
    assert len({one["group"] for one in before}) == 2
    kept, _ = curate([row(B), row(A), row(f"{A} {B}")], settings)
    assert {one["group"] for one in kept} == {row(B)["group"]}


def test_a_group_that_the_source_gives_is_joined_whole() -> None:
    settings = Curate(near_duplicate=0.99, same_group=0.5, contamination=1)
    kept, _ = curate([row(A, group="d1"), row(B, group="d2"), row(A + " eta", group="d2")], settings)
    assert [one["group"] for one in kept] == ["d1", "d1", "d1"]


WORDS = ("budget", "meeting", "Zoé", "report", "last week", "Lyon")
QUERY = st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(" ".join)
ROWS = st.lists(
    st.builds(
        lambda asked, answer, where: row(asked, answer, **where),
        QUERY,
        st.sampled_from(["a", "b"]),
        st.sampled_from([{}, {"set": "test"}, {"origin": "grammar"}]),
    ),
    max_size=12,
)


@settings(deadline=None, max_examples=20)
@given(ROWS)
def test_no_row_is_lost_and_none_is_kept_wrongly(rows: list[dict]) -> None:
    kept, dropped = curate(rows, SETTINGS)
    assert len(kept) + len(dropped) == len(rows)
    assert all(drop["reason"] for drop in dropped)
    tests = [one["id"] for one in kept if one.get("set") == "test"]
    assert tests == [one["id"] for one in rows if one.get("set") == "test"]  # copies too
    # Whatever is kept beside the made rows is kept without them, in the same groups.
    without, _ = curate([one for one in rows if one["origin"] == "source"], SETTINGS)
    assert [one for one in kept if one["origin"] == "source"] == without
    # No two near source rows in two groups, as far as the index finds them.
    index = Index(SETTINGS.same_group)
    groups = {one["id"]: one["group"] for one in kept if one["origin"] == "source" and one.get("set") != "test"}
    sources = [one for one in kept if one["id"] in groups]
    for one, signature in zip(sources, signatures(map(folded, sources)), strict=True):
        assert {groups[other] for _, other in index.similar(signature)} <= {one["group"]}
        index.add(one["id"], signature)


def folded(one: dict) -> str:
    return one["messages"][0]["content"].casefold()


def test_the_index_finds_the_near_nearest_first() -> None:
    texts = [LONG, LONG + "s", LONG[:60], B]
    index = Index(0.5)
    for name, signature in zip("abcd", prints := signatures(texts), strict=True):
        index.add(name, signature)
    found = index.similar(prints[0])
    assert [name for _, name in found] == ["a", "b", "c"]
    assert [score for score, _ in found] == [jaccard(shingles(LONG), shingles(text)) for text in texts[:3]]


@pytest.mark.parametrize("threshold", [0.7, 0.85, 0.92])
def test_of_near_texts_one_in_a_hundred_is_missed_at_most(threshold: float) -> None:
    texts = sorted({" ".join(words) for words in itertools.product(WORDS, repeat=4)})[::4]
    index, prints = Index(threshold), signatures(texts)
    for text, signature in zip(texts, prints, strict=True):
        index.add(text, signature)
    found = sum(len(index.similar(signature)) for signature in prints)
    near = sum(jaccard(a.shingles, b.shingles) >= threshold for a in prints for b in prints)
    assert 0.99 * near <= found <= near
    assert near > len(texts)


def test_the_threshold_is_of_the_similarity_itself_and_not_of_its_estimate() -> None:
    near, asked = signatures([LONG, LONG.replace("northern", "eastern")])
    similarity = jaccard(near.shingles, asked.shingles)
    for threshold, found in ((similarity, ["a"]), (similarity + 0.001, [])):
        index = Index(threshold)
        index.add("a", near)
        assert [name for _, name in index.similar(asked)] == found


def test_shingles_and_jaccard_by_hand() -> None:
    assert shingles(" ab \n c ") == {"^ab ", "ab c", "b c$"}
    assert shingles("") == {"^$"}
    assert jaccard(frozenset("abc"), frozenset("bcd")) == 0.5


def test_the_stage_counts_each_reason_and_keeps_the_drops(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path / "r")
    rows = [row(LONG, set="test"), row(LONG + "!"), row(B), row(B), row(B + "s", origin="grammar")]
    write_jsonl(tmp_path / "in.jsonl", rows)
    words = ["--recipe", str(recipe), "--rows", str(tmp_path / "in.jsonl")]
    for name in ("out", "drops", "metrics"):
        words += [f"--{name}", str(tmp_path / name)]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    assert asked(read_jsonl(tmp_path / "out")) == [LONG, B]
    assert len(read_jsonl(tmp_path / "drops")) == 3
    assert json.loads((tmp_path / "metrics").read_text()) == {
        "in": 5,
        "out": 2,
        "dropped": {"contamination": 1, "duplicate": 1, "near duplicate": 1},
    }
