"""Cases written to order: what the server hands out, refuses and keeps with this recipe's law."""

import subprocess
import sys
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner

from recipes.succession.corpus.dimensions import Dimensions
from recipes.succession.corpus.prompts import Prompts
from recipes.succession.records.schema import read_master
from tests.conftest import ENVIRONMENT, ROOT
from tests.servers.instruction_server import Api, serving, settings
from tuneline.files import read_jsonl
from tuneline.ordering.agents import Client, offline_writer, run
from tuneline.ordering.commands import instructions
from tuneline.ordering.order import open_orders
from tuneline.ordering.shares import read_shares
from tuneline.ordering.snapshot import write_snapshot
from tuneline.recipe.toon import VERSION, decode

RECIPE = ROOT / "recipes/succession"
SHARES = read_shares(RECIPE / "dimensions.yaml")


def test_the_command_serves_the_recipes_own_targets_and_checks(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tuneline.ordering.commands", "serve", "--port", "0", "--state", str(tmp_path)]
    environment = {**ENVIRONMENT, "TUNELINE_TOKEN": ""}
    process = subprocess.Popen(
        [*command, "--recipe", str(RECIPE)], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        api = Api(process.stdout.readline().strip().removesuffix("/dashboard"))
        instruction = api.next()
        assert read_master(RECIPE / "schema.json").problems(decode(instruction["target_toon"])) == []
        status, verdict = api.submit("INS-0001", instruction["target_toon"])
        assert status == 422
        assert "field_dump" in {refusal["reason"] for refusal in verdict["refusals"]}
        verdict = api.submit("INS-0001", "I would like to know what happens to the house of my late father.")[1]
        assert {"language", "too_short"} <= {refusal["reason"] for refusal in verdict["refusals"]}
        taken = CliRunner().invoke(
            instructions, ["serve", "--port", api.url.rsplit(":", 1)[1], "--recipe", str(RECIPE)]
        )
        assert taken.exit_code == 1
        assert "give another --port" in taken.output
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def test_offline_writers_write_to_order(tmp_path: Path) -> None:
    """The fields of a row are those of the snapshot in source/."""
    with serving(settings(tmp_path / "state", recipe=RECIPE, total=8)) as api:
        client = Client(api.url, "")
        counts = run(client, offline_writer(RECIPE), 4, 8)
        client.close()
        assert counts["accepted"] == 8
    assert write_snapshot(tmp_path / "state", tmp_path / "cases.jsonl", SHARES) == 8
    rows, kept = read_jsonl(tmp_path / "cases.jsonl"), read_jsonl(RECIPE / "source/cases.jsonl")
    assert [list(row) for row in rows] == [list(kept[0])] * 8
    assert {tuple(row["dimensions"]) for row in rows} == {tuple(kept[0]["dimensions"])} == {SHARES.names}
    assert {row["toon"] for row in rows} == {kept[0]["toon"]} == {VERSION}
    assert tuple(Dimensions.__dataclass_fields__) == SHARES.names


@pytest.mark.parametrize("edit", ["taken", "added"])
def test_other_dimensions_than_a_cases_are_refused(tmp_path: Path, edit: str) -> None:
    read = yaml.safe_load((RECIPE / "dimensions.yaml").read_text("utf-8"))
    if edit == "taken":
        del read["shares"]["noise"]
    else:
        read["shares"]["mood"] = {"calm": 100}
    (tmp_path / "dimensions.yaml").write_text(yaml.safe_dump(read), encoding="utf-8")
    with pytest.raises(click.ClickException, match="a case is by persona, voice, form"):
        open_orders(RECIPE, read_shares(tmp_path / "dimensions.yaml"))


def test_a_value_without_its_words_is_named(tmp_path: Path) -> None:
    for name in ("schema.json", "dimensions.yaml", "corpus/instruction.md", "source/instruction.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((RECIPE / name).read_bytes())
    assert Prompts(tmp_path, SHARES)
    wording = (tmp_path / "source/instruction.yaml").read_text("utf-8")
    (tmp_path / "source/instruction.yaml").write_text(wording.replace("  tiers:", "  tierce:"), encoding="utf-8")
    with pytest.raises(click.ClickException, match="has no wording for persona: tiers"):
        Prompts(tmp_path, SHARES)
