"""Questions written to order by topic, behaviour and register, with a server on loopback and offline writers."""

import itertools
import json
import random
from pathlib import Path

import click
import pytest
import yaml

from tests.conftest import ROOT
from tests.servers.instruction_server import serving, settings
from tuneline.files import read_jsonl
from tuneline.ordering.agents import Client, offline_writer, run
from tuneline.ordering.checks import Known, check
from tuneline.ordering.order import open_orders
from tuneline.ordering.shares import read_shares
from tuneline.ordering.snapshot import write_snapshot
from tuneline.recipe.toon import decode

RECIPE = ROOT / "recipes/french_admin"
SHARES = read_shares(RECIPE / "dimensions.yaml")
ORDERS = 40


def test_offline_writers_fill_the_orders_by_their_shares(tmp_path: Path) -> None:
    with serving(settings(tmp_path / "state", recipe=RECIPE, total=ORDERS)) as api:
        client = Client(api.url, "")
        counts = run(client, offline_writer(RECIPE), 3, None)
        client.close()
        assert api.ask("/next-instruction")[1]["error"] == "complete"
    assert counts["accepted"] == ORDERS
    coverage = json.loads((tmp_path / "state/summary.json").read_bytes())["coverage"]
    assert set(coverage) == {"topic", "behavior", "register"}
    for values in coverage.values():
        for value, of in values.items():
            assert abs(of["cases"] - ORDERS * of["target"] / 100) < 1.5, value
    assert write_snapshot(tmp_path / "state", tmp_path / "cases.jsonl", SHARES) == ORDERS
    rows = read_jsonl(tmp_path / "cases.jsonl")
    assert len({row["case_text"] for row in rows}) == ORDERS
    drawn = [(row["dimensions"]["topic"], row["dimensions"]["behavior"]) for row in rows]
    assert [tuple(decode(row["target_toon"]).values()) for row in rows] == drawn
    openings = {"soutenu": {"Madame"}, "familier": {"Salut", "Coucou"}, "courant": {"Bonjour", "Bonsoir"}}
    assert all(row["case_text"].partition(",")[0] in openings[row["dimensions"]["register"]] for row in rows)


def test_what_is_no_such_question_is_refused(tmp_path: Path) -> None:
    english = "Hey, may I ask for help with the rent of my flat in Lyon ?"
    long = "Puis-je demander une aide pour mon loyer, et à qui faut-il que je m'adresse ? " * 10
    with serving(settings(tmp_path, recipe=RECIPE)) as api:
        instruction = api.next()
        reasons = {}
        for text in (
            "Hé, je vis à Lyon.",
            f"Dites-moi. {long}",
            english,
        ):
            status, verdict = api.submit(instruction["instruction_id"], text)
            assert status == 422
            reasons[text[:3]] = [one["reason"] for one in verdict["refusals"]]
    assert reasons == {
        "Hé,": ["register", "no_question", "too_short"],
        "Dit": ["register", "too_long"],
        "Hey": ["register", "language"],
    }


def test_every_combination_has_its_prompt_and_a_text_that_fits() -> None:
    orders, rng = open_orders(RECIPE, SHARES), random.Random(1)
    topics = yaml.safe_load((RECIPE / "sdg/topics.yaml").read_text("utf-8"))
    assert list(SHARES.values["topic"]) == list(topics)
    for values in itertools.product(*SHARES.values.values()):
        combination = dict(zip(SHARES.names, values, strict=True))
        order = orders.draw(combination, rng)
        text = orders.write(order, rng)
        found = check(text, orders.faults(order, text), SHARES.limits(combination), SHARES.language, Known())
        assert found == [], text
        assert topics[combination["topic"]]["label"] in order.prompt
        assert combination["register"] in order.prompt


@pytest.mark.parametrize("dimension", ["topic", "mood"])
def test_what_is_no_topic_or_dimension_is_named(tmp_path: Path, dimension: str) -> None:
    read = yaml.safe_load((RECIPE / "dimensions.yaml").read_text("utf-8"))
    read["shares"][dimension] = {"retraite": 100}
    (tmp_path / "dimensions.yaml").write_text(yaml.safe_dump(read), encoding="utf-8")
    with pytest.raises(click.ClickException, match=f"{dimension}: retraite"):
        open_orders(RECIPE, read_shares(tmp_path / "dimensions.yaml"))
