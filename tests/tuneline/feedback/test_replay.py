"""The replayed traffic: what is drawn, how it goes on, and whether its bad outputs are bad in the way it says."""

import json
from collections import Counter
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from tests.conftest import ROOT
from tests.teaching import settings
from tests.tuneline.feedback.test_feedback import RUBRICS, serving
from tuneline.cli import main
from tuneline.feedback import gate
from tuneline.feedback.judging import Judging, judge_new
from tuneline.feedback.replay import (
    GOOD,
    INVENTED,
    LEAD,
    OTHER,
    SHARES,
    TRUNCATED,
    Text,
    read_texts,
    replay,
    substitute,
)
from tuneline.feedback.store import Store

SOURCE = ROOT / "recipes/summaries/source"
TEXTS = read_texts(SOURCE)
MOST = sum(text.variants for text in TEXTS)


def text(number: int, **other: object) -> Text:
    known = {"id": f"t{number}", "language": "en", "topic": "x", "vary": {"Ann Lee": ("Bo Ray",)}}
    return Text(
        **{**known, "input": f"Ann Lee sold {number} pots. It rained.", "output": f"Ann Lee sold {number}.", **other}
    )


def test_the_same_seed_gives_the_same_samples_and_goes_on() -> None:
    first = list(replay(TEXTS, 300))
    assert first == list(replay(TEXTS, 300))
    assert list(replay(TEXTS, 600))[:300] == first
    assert list(replay(TEXTS, 600))[300:] == list(replay(TEXTS, 300, 300))
    assert list(replay(TEXTS, 300, seed=1)) != first


def test_no_sample_is_equal_to_another() -> None:
    drawn = list(replay(TEXTS, MOST))
    assert len({one.input for one in drawn}) == len({one.key for one in drawn}) == MOST >= 600
    assert not [one for one in drawn if one.faults()]
    first = [one.meta["text"] for one in drawn[: len(TEXTS)]]
    assert sorted(first) == sorted(text.id for text in TEXTS)  # all texts, before any comes again


def test_too_many_are_refused() -> None:
    few = [text(1), text(2), text(3)]
    assert len(list(replay(few, 4, 2))) == 4
    for count, offset in ((7, 0), (1, 6)):
        with pytest.raises(click.ClickException, match="the 3 texts give 6 samples, not 7"):
            list(replay(few, count, offset))


def test_the_kinds_have_their_shares() -> None:
    drawn = [one.meta["truth"] for one in replay(TEXTS, 600)]
    assert Counter(drawn)[GOOD] == 600 * 9 // 20
    assert all(Counter(drawn)[kind] == 30 * count for kind, count in SHARES.items())
    assert drawn[:20] != drawn[20:40]
    languages = Counter(one.meta["language"] for one in replay(TEXTS, 300))
    assert abs(languages["en"] - languages["fr"]) < 30


def test_a_bad_output_is_bad_in_the_way_it_says() -> None:
    known = {one.id: one for one in TEXTS}
    for one in replay(TEXTS, 1000):
        of, kind = known[one.meta["text"]], one.meta["truth"]
        chosen = of.choices(one.meta["variant"])
        good = substitute(of.output, chosen)
        assert one.input == substitute(of.input, chosen)
        assert (one.output == good) == (kind == GOOD)
        if kind == TRUNCATED:
            assert good.startswith(one.output)
            assert one.output[-1] not in ".!?"
        elif kind == OTHER:
            assert [t for t in TEXTS if t.id != of.id and t.language == of.language and t.output == one.output]
        elif kind == LEAD:
            assert one.input.startswith(one.output)
        elif kind == INVENTED:
            new = set(one.output.split()) - set(good.split())
            assert new
            assert any(word not in one.input for word in new)


def test_strings_are_replaced_whole_at_once_the_longest_first() -> None:
    chosen = {"Ann": "Bo", "Ann Lee": "Cy Ray", "Bo": "Ann", "12": "15"}
    assert substitute("Ann Lee, Ann and Bo saw Annie on 12 May, 1200 m.", chosen) == (
        "Cy Ray, Bo and Ann saw Annie on 15 May, 1200 m."
    )


def test_texts_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    good = {"id": "a", "language": "en", "topic": "x", "input": "Ann sold.", "output": "Ann.", "vary": {"Ann": ["Bo"]}}
    rows = [
        good,
        good,
        {**good, "id": "b", "vary": {"An": ["Bo"]}},
        {**good, "id": "c", "vary": {"Ann": ["Ann"]}},
        {**good, "id": "d", "output": ""},
        {**good, "id": "e", "language": "la"},
        {**good, "id": "f", "vary": ["Ann"]},
    ]
    path = tmp_path / "traffic_en.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with pytest.raises(click.ClickException, match=r"traffic_fr\.jsonl is not there"):
        read_texts(tmp_path)
    (tmp_path / "traffic_fr.jsonl").write_text("", encoding="utf-8")
    with pytest.raises(click.ClickException) as raised:
        read_texts(tmp_path)
    said = raised.value.message.split("; ")
    assert [one.split(": ")[0] for one in said[:-1]] == [f"{path}:{line}" for line in (3, 4, 5, 6, 7)]
    assert said[-1].endswith("two texts are called a")


def test_the_command_sends_to_a_server_or_a_database(tmp_path: Path) -> None:
    command = ["feedback", "replay", "--count", "40", "--source", str(SOURCE)]
    with serving(tmp_path) as api:
        done = CliRunner().invoke(main, [*command, "--to", api.url])
        assert done.output == "40 new, 0 known; 18 good, 6 other, 6 invented, 4 truncated, 4 lead, 2 vague\n"
    database = ["--database", str(tmp_path / "feedback.sqlite")]
    assert "0 new, 40 known" in CliRunner().invoke(main, [*command, *database]).output
    assert "40 new, 0 known" in CliRunner().invoke(main, [*command, *database, "--offset", "40"]).output
    done = CliRunner().invoke(main, [*command, "--to", "http://127.0.0.1:1"])
    assert (done.exit_code, "no answer" in done.output) == (1, True)


def test_the_gate_tells_the_replayed_outputs_apart(tmp_path: Path) -> None:
    with Store(tmp_path / "feedback.sqlite") as store:
        store.add(replay(TEXTS, 300))
        judge_new(store, Judging(settings(provider="offline"), tmp_path / "answers", SOURCE.parent, RUBRICS, 0.8))
        measured = gate.measure(store)
    assert (measured["samples"], measured["waiting"]) == (300, 0)
    assert measured["recall"]["low"] > 0.8
    assert measured["precision"]["low"] > 0.7
    for kind in (OTHER, INVENTED, TRUNCATED):
        assert measured["accepted_by_kind"][kind]["value"] < 0.2
