"""The next combination brings the corpus nearest to its shares, and obeys what excludes what."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import click
import pytest
import yaml
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from speed.instructions import Conditions, simulate
from tests.conftest import ROOT
from tuneline.ordering.balance import CALM, Balance, Counts
from tuneline.ordering.shares import Combination, Second, Shares, holds, read_shares

PATH = ROOT / "recipes/succession/dimensions.yaml"  # it asks for all that can be asked for
SHARES = read_shares(PATH)
FREE = replace(SHARES, never=())  # nothing excludes anything
HARD, MODE = "hard_negative", "hard_negative_mode"
SECOND = SHARES.second["second_topic"]


def skewed_counts(shares: Shares, numbers: dict[str, list[int]]) -> Counts:
    counts = Counts(shares)
    for name, values in shares.values.items():
        counts.values[name].update(dict(zip(values, numbers[name], strict=True)))
    return counts


def squares(counts: Counts, name: str, value: str) -> float:
    """The sum of the squared deviations from the target counts, once the dimension has one more of a value."""
    after = counts.values[name] + Counter([value])
    total = sum(after.values())
    return sum((after[v] - share * total) ** 2 for v, share in counts.shares.values[name].items())


SKEWED = st.fixed_dictionaries(
    {name: st.lists(st.integers(0, 40), min_size=len(v), max_size=len(v)) for name, v in SHARES.values.items()}
).map(lambda numbers: skewed_counts(FREE, numbers))


@given(SKEWED, st.integers(0, 10**6))
@hypothesis_settings(deadline=None, max_examples=60)
def test_no_other_value_leaves_smaller_squared_deviations(counts: Counts, number: int) -> None:
    drawn = Balance(FREE, 1).next(counts, [], 1, number)
    for name in FREE.plain:
        if drawn[name] is not None:
            best = min(squares(counts, name, value) for value in FREE.values[name])
            assert squares(counts, name, drawn[name]) == pytest.approx(best)


@given(SKEWED)
@hypothesis_settings(deadline=None, max_examples=40)
def test_both_topics_are_those_that_lack_most_mentions(counts: Counts) -> None:
    drawn = Balance(FREE, 1).next(counts, [], 1, 1)
    lacking = counts.deficits("topic", FREE.values["topic"], 2 if drawn["second_topic"] else 1)
    chosen = [topic for topic in (drawn["topic"], drawn["second_topic"]) if topic]
    assert sorted(lacking[t] for t in chosen) == pytest.approx(sorted(lacking.values())[-len(chosen) :])


def draw_many(shares: Shares, count: int, seed: int = 0, remaining: int = 10_000) -> list[Combination]:
    balance, counts, recent, drawn = Balance(shares, seed), Counts(shares), [], []
    for number in range(count):
        drawn.append(balance.next(counts, recent[-200:], remaining, number))
        recent.append(shares.signature(drawn[-1]))
        counts.add(drawn[-1])
    return drawn


def test_what_excludes_what_and_what_goes_together() -> None:
    drawn = draw_many(SHARES, 1000)
    assert SHARES.never
    for one in drawn:
        assert SHARES.allows(one)
        assert (one["complexity"] == HARD) == (one[MODE] is not None)
        assert one["second_topic"] != one["topic"]
        assert one["second_topic"] or one["complexity"] not in SECOND.always["complexity"]
    rest = [one for one in drawn if not holds(SECOND.always, one)]
    assert sum(one["second_topic"] is not None for one in rest) / len(rest) == pytest.approx(0.55, abs=0.01)


def test_no_combination_repeats_a_recent_one() -> None:
    signatures = [SHARES.signature(one) for one in draw_many(SHARES, 800)]
    assert all(signature not in signatures[max(0, at - 200) : at] for at, signature in enumerate(signatures))


def test_near_the_end_too_and_where_all_are_recent_one_is_repeated() -> None:
    counts = Counts(SHARES)
    first = Balance(SHARES, 0).next(counts, [], 1, 7)
    assert Balance(SHARES, 0).next(counts, {SHARES.signature(first)}, 1, 7) != first
    lone = {name: {next(iter(values)): 1.0} for name, values in SHARES.values.items()}
    lone["topic"] = {"a": 0.5, "b": 0.5}
    small = Shares(lone, SHARES.only, {"second_topic": Second.model_validate({"of": "topic", "else": 1})})
    every = {small.signature(one) for one in draw_many(small, 20)}
    assert small.signature(Balance(small, 0).next(Counts(small), every, 1, 1)) in every


def test_the_same_seed_and_state_draw_the_same() -> None:
    assert draw_many(SHARES, 50, seed=3) == draw_many(SHARES, 50, seed=3)
    assert draw_many(SHARES, 50, seed=3) != draw_many(SHARES, 50, seed=4)


def test_dimensions_do_not_march_in_step() -> None:
    """Two free dimensions are independent: Pearson's χ² per degree of freedom is near 1."""
    drawn = draw_many(FREE, 1500)
    for one, other in (("noise", "amounts"), ("voice", "dates"), ("length", "noise"), ("persona", "form")):
        pairs = Counter((d[one], d[other]) for d in drawn)
        rows, columns = (Counter(d[name] for d in drawn) for name in (one, other))
        wanted = {(r, c): rows[r] * columns[c] / len(drawn) for r in rows for c in columns}
        chi = sum((pairs[cell] - expected) ** 2 / expected for cell, expected in wanted.items())
        assert chi / ((len(rows) - 1) * (len(columns) - 1)) < 5


def test_counts_take_back_what_they_added_and_pass_over_what_they_do_not_know() -> None:
    counts = Counts(SHARES)
    (drawn,) = draw_many(SHARES, 1)
    counts.add(drawn)
    counts.add({"persona": "enfant", "voice": "unheard of", "topic": None})
    assert counts.values["persona"].total() == 2
    assert counts.values["voice"].total() == 1
    counts.add(drawn, -1)
    persona = SHARES.values["persona"]
    assert counts.deviations() == {"persona": {v: 100 * ((v == "enfant") - share) for v, share in persona.items()}}


@pytest.mark.parametrize("cases", [611, 1237])
def test_nearer_to_the_shares_than_the_smallest_ratio(cases: int) -> None:
    """A skewed seed corpus, second topics, a fifth expired, a number that is not round."""
    conditions = Conditions(cases=cases, seed_cases=60)
    ours, told, ratio = (simulate(SHARES, rule, 1, conditions) for rule in ("balance", "ratio_told", "ratio"))
    assert ours.mean_deviation() < ratio.mean_deviation() / 5
    assert ours.mean_deviation() <= told.mean_deviation() + 0.005
    assert max(abs(points) for values in ours.deviations().values() for points in values.values()) < 1.5


def test_the_last_cases_close_every_gap() -> None:
    """Of 800 cases every share is a whole number, and is met."""
    counts = simulate(SHARES, "balance", 2, Conditions(cases=CALM * 8, seed_cases=0, expired=0.2))
    for name in set(SHARES.plain) - {MODE}:
        assert {v: counts.values[name][v] / 8 for v in SHARES.values[name]} == pytest.approx(
            {v: 100 * share for v, share in SHARES.values[name].items()}
        )


def edit(tmp_path: Path, shares: dict[str, object] | None = None, **sections: object) -> Path:
    """dimensions.yaml with other sections, and other dimensions in its shares."""
    path = tmp_path / "dimensions.yaml"
    read = yaml.safe_load(PATH.read_text("utf-8"))
    read = {**read, "shares": {**read["shares"], **(shares or {})}, **sections}
    path.write_text(yaml.safe_dump({k: v for k, v in read.items() if v is not None}), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"shares": {"noise": {"propre": 60, "ambigu": 30}}}, "noise sum to 90"),
        ({"shares": {"noise": {"propre": -1, "ambigu": 101}}}, "shares.noise.propre: input should be greater than 0"),
        ({"shares": {"noise": [1, 2]}}, "shares.noise: input should be a valid dictionary"),
        ({"mood": {"calm": 100}}, "mood: unknown key; valid keys are shares, only"),
        ({"never": [{"noise": "clean", "voice": "note_dossier"}]}, "noise: clean"),
        ({"never": [{"topic": "pacs_concubinage"}]}, "never names topic: pacs_concubinage"),
        ({"only": {"mood": {"noise": ["propre"]}}}, "only names mood"),
        ({"only": {"voice": {"noise": ["clean"]}}}, "only.voice names noise: clean"),
        ({"second": {"topic": {"of": "noise", "else": 1}}}, "second.topic is not the one second value"),
        ({"second": {"other": {"of": "mood", "else": 1}}}, "second.other is not the one second value"),
        (
            {"second": {"other": {"of": "noise", "else": 1}}, "shares": {"noise": {"propre": 100}}},
            "which has one value",
        ),
        ({"words": {"length": {"court": [1, 2]}}}, "words.length is not of the values"),
        ({"words": {"mood": {}}}, "words.mood is not of the values"),
    ],
)
def test_faults_of_the_shares_are_named(tmp_path: Path, sections: dict, said: str) -> None:
    with pytest.raises(click.ClickException, match=said):
        read_shares(edit(tmp_path, **sections))


def test_shares_alone_will_do(tmp_path: Path) -> None:
    path = tmp_path / "dimensions.yaml"
    path.write_text("shares: {mood: {calm: 75, cross: 25}}", encoding="utf-8")
    shares = read_shares(path)
    assert Counter(one["mood"] for one in draw_many(shares, 8, remaining=1)) == {
        "calm": 6,
        "cross": 2,
    }  # all are recent
    assert shares.limits({"mood": "calm"}) is None
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(click.ClickException, match="shares: field required"):
        read_shares(path)


def test_what_leaves_no_combination_is_said(tmp_path: Path) -> None:
    never = [{"length": length} for length in SHARES.values["length"]]
    with pytest.raises(click.ClickException, match="no combination of length"):
        read_shares(edit(tmp_path, never=never))


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(click.ClickException, match="missing"):
        read_shares(tmp_path / "none.yaml")
