"""sdg: what a run with a teacher adds, where each row says it is from, and what stops it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from stages.sdg import main
from tests.ending import end_line
from tests.servers.scripted_server import Scripted, scripted
from tests.servers.teacher_server import serve
from tests.teaching import PAIR, flags, settings, source_rows, write_asking_recipe
from tuneline.files import read_jsonl, write_jsonl
from tuneline.rows import content_hash, make_row
from tuneline.teaching.options import Settings

QUESTIONS = ["comment renouveler ?", "combien de temps ?", "et pour mon fils ?"]
ANEW = '{"question": "une question nouvelle", "answer": "une réponse"}'
FREE = {"seeds": {"draw": "none", "count": 0}}
LIST = {"type": "object", "required": ["rows"], "properties": {"rows": {"type": "array", "items": PAIR}}}


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")


@pytest.fixture
def server() -> Iterator[Scripted]:
    with scripted(ANEW) as running:
        yield running


def at(server: Any, **knobs: Any) -> Settings:
    return settings(base_url=server.openai_url, **knobs)


def run(recipe: Path, rows: Path, chosen: Settings, to: str = "out", strategy: str = "all") -> Result:
    words = ["--recipe", recipe, "--rows", rows, "--answers", recipe / "answers", "--strategy", strategy]
    for option, name in (("out", "rows"), ("refused", "refused"), ("metrics", "metrics")):
        words += [f"--{option}", recipe / to / name]
    return CliRunner().invoke(main, [*map(str, words), *flags(chosen)])


def made(recipe: Path, to: str = "out", name: str = "rows") -> list[dict]:
    rows = read_jsonl(recipe / to / name)
    return [row for row in rows if row["origin"] != "source"] if name == "rows" else rows


def metrics(recipe: Path) -> dict:
    return json.loads((recipe / "out/metrics").read_text())


def succeeds(result: Result) -> None:
    assert result.exit_code == 0, result.output
    assert re.match(r"sdg r \d+ → \d+ rows \d+ made", end_line(result.stderr))


def fails(result: Result) -> str:
    """Its last line; no traceback."""
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit), result.exception
    line = result.output.splitlines()[-1]
    assert line.startswith("Error: ")
    return line


def test_a_row_says_where_it_is_from(tmp_path: Path, server: Scripted) -> None:
    recipe, rows = write_asking_recipe(tmp_path / "r"), source_rows(tmp_path / "rows", QUESTIONS)
    succeeds(run(recipe, rows, at(server)))
    out = read_jsonl(recipe / "out/rows")
    assert out[:3] == read_jsonl(rows)
    logged = {
        json.loads(line)["key"]
        for path in (recipe / "answers").rglob("*.jsonl")
        for line in path.open(encoding="utf-8")
    }
    assert len(logged) == 3
    for number, (row, seed) in enumerate(zip(out[3:], out[:3], strict=True), 1):
        assert row["origin"] == "each"
        assert row["lineage"] == [seed["id"]]
        assert row["source"] == {"file": "sdg/prompt.md", "line": number}
        assert row["made_by"]["model"] == "openai/m"
        assert row["made_by"]["prompt"] == content_hash((recipe / "sdg/prompt.md").read_text())
        assert row["messages"][0]["content"] == "une question nouvelle"
    assert {row["made_by"]["answer"] for row in out[3:]} == logged
    assert {key: metrics(recipe)[key] for key in ("in", "out", "strategies")} == {
        "in": 3, "out": 6, "strategies": {"each": {"calls": 3, "rows": 3}},
    }  # fmt: skip


def test_a_second_run_pays_nothing_and_gives_the_same_bytes(tmp_path: Path) -> None:
    recipe, rows = write_asking_recipe(tmp_path / "r"), source_rows(tmp_path / "rows", QUESTIONS)
    with serve(faults=0.5, kinds=("malformed", "schema", "empty")) as server:
        succeeds(run(recipe, rows, at(server)))
        asked = server.stats()["requests"]
        succeeds(run(recipe, rows, at(server), "again"))
        assert server.stats()["requests"] == asked >= 3
    assert len(made(recipe)) == 3
    for name in ("rows", "refused", "metrics"):
        assert (recipe / "out" / name).read_bytes() == (recipe / "again" / name).read_bytes()


@pytest.mark.parametrize("draw", ["each", "sample"])
def test_no_held_out_question_is_sent(tmp_path: Path, server: Scripted, draw: str) -> None:
    recipe = write_asking_recipe(
        tmp_path / "r", "${seeds}", seeds={"draw": draw, "count": 3}, rows=5 * (draw != "each")
    )
    held_out = [source_rows(tmp_path / name, [f"secret de {name}"], set=name) for name in ("valid", "test")]
    rows = source_rows(tmp_path / "rows", QUESTIONS)
    rows.write_text("".join(path.read_text("utf-8") for path in (held_out[0], rows, held_out[1])), encoding="utf-8")
    succeeds(run(recipe, rows, at(server)))
    sent = "".join(server.prompts)
    assert all(question in sent for question in QUESTIONS)
    assert "secret" not in sent


def test_a_known_question_is_dropped_with_its_nearness(tmp_path: Path) -> None:
    near = '{"question": "Comment renouveler vite ?", "answer": "une réponse"}'
    with scripted(near, ANEW) as server:
        recipe = write_asking_recipe(tmp_path / "r", "anew", **FREE, rows=1, novelty=0.7)
        succeeds(run(recipe, source_rows(tmp_path / "rows", QUESTIONS), at(server)))
    assert [row["messages"][0]["content"] for row in made(recipe)] == ["une question nouvelle"]
    (drop,) = made(recipe, name="refused")
    assert (drop["reason"], drop["detail"], drop["origin"]) == ("known", "ROUGE-L 0.857", "each")
    assert metrics(recipe)["strategies"] == {"each": {"calls": 2, "known": 1, "rows": 1}}


def test_a_question_near_a_held_out_one_is_known_too(tmp_path: Path, server: Scripted) -> None:
    recipe = write_asking_recipe(tmp_path / "r", "anew", **FREE, rows=1, novelty=0.7, **{"give-up": 1})
    rows = source_rows(tmp_path / "rows", ["une question nouvelle ?"], set="test")
    succeeds(run(recipe, rows, at(server)))
    assert made(recipe) == []
    assert [drop["reason"] for drop in made(recipe, name="refused")] == ["known"]


def test_a_strategy_that_finds_nothing_new_gives_up_and_says_so(tmp_path: Path, server: Scripted) -> None:
    recipe = write_asking_recipe(tmp_path / "r", "anew", **FREE, rows=4, novelty=0.7)
    result = run(recipe, source_rows(tmp_path / "rows", QUESTIONS), at(server))
    succeeds(result)
    assert "each: 3 calls in a row gave no new row; it stops at 1 of 4 rows" in result.output
    assert len(made(recipe)) == 1
    assert metrics(recipe)["strategies"] == {"each": {"calls": 4, "known": 3, "rows": 1}}


def test_answers_with_more_rows_than_asked_for_are_no_giving_up(tmp_path: Path) -> None:
    many = {"rows": [{"question": f"question {n}", "answer": "une réponse"} for n in range(7)]}
    with scripted(json.dumps(many)) as server:
        recipe = write_asking_recipe(tmp_path / "r", "anew", **FREE, rows=6, items="rows")
        (recipe / "sdg/answer.json").write_text(json.dumps(LIST))
        result = run(recipe, source_rows(tmp_path / "rows", QUESTIONS), at(server))
    succeeds(result)
    assert [row["messages"][0]["content"] for row in made(recipe)] == [f"question {n}" for n in range(6)]
    assert "gave no new row" not in result.output


def test_answers_that_cannot_be_used_are_kept_with_the_reason(tmp_path: Path) -> None:
    recipe, rows = write_asking_recipe(tmp_path / "r"), source_rows(tmp_path / "rows", QUESTIONS)
    with serve(faults=1.0, kinds="malformed") as server:
        done = run(recipe, rows, at(server, attempts=2, budget_usd=0.1))
    assert fails(done) == f"Error: no answer to each was of use; {recipe}/out/refused has each with its reason"
    assert "each: 3 of 3 answers gave no row: invalid 3 (it is not JSON" in done.output
    assert made(recipe) == []
    refused = made(recipe, name="refused")
    assert [(drop["reason"], drop["call"], len(drop["lineage"])) for drop in refused] == [
        ("invalid", 1, 1), ("invalid", 2, 1), ("invalid", 3, 1),
    ]  # fmt: skip
    assert all(drop["text"].startswith("Bien sûr") and len(drop["answer"]) == 64 for drop in refused)
    assert metrics(recipe)["strategies"] == {"each": {"calls": 6, "invalid": 3, "rows": 0}}


def test_golden_rows_reach_the_teacher_as_they_are_written(tmp_path: Path, server: Scripted) -> None:
    recipe = write_asking_recipe(tmp_path / "r", "${seed.question}")
    rows = source_rows(tmp_path / "rows", ["Où est la STRASSE, la Straße ?\n  Ici"])
    turns = [("user", "Bonjour"), ("assistant", "Oui ?"), ("user", "Où ?"), ("assistant", "Là")]
    several = make_row({"messages": [{"role": role, "content": text} for role, text in turns]}, "t", 2)
    write_jsonl(rows, [*read_jsonl(rows), several])
    succeeds(run(recipe, rows, at(server, concurrency=1)))
    assert server.prompts == [
        "Où est la STRASSE, la Straße ?\n  Ici", "user: Bonjour\n\nassistant: Oui ?\n\nuser: Où ?",
    ]  # fmt: skip


def test_most_answers_refused_are_told(tmp_path: Path) -> None:
    recipe, rows = write_asking_recipe(tmp_path / "r"), source_rows(tmp_path / "rows", QUESTIONS)
    with scripted("no", "no", ANEW) as server:
        done = run(recipe, rows, at(server, attempts=1, concurrency=1))
    succeeds(done)
    assert "each: 2 of 3 answers gave no row: invalid 2 (it is not JSON" in done.output


def test_most_answers_refused_are_told_though_the_others_hold_many_rows(tmp_path: Path) -> None:
    many = json.dumps({"rows": [{"question": f"question {n}", "answer": "une réponse"} for n in range(5)]})
    with scripted("no", "no", "no", many, many) as server:
        recipe = write_asking_recipe(
            tmp_path / "r", "anew", **FREE, rows=10, items="rows", **{"per-call": 2, "give-up": 9}
        )
        (recipe / "sdg/answer.json").write_text(json.dumps(LIST))
        done = run(recipe, source_rows(tmp_path / "rows", QUESTIONS), at(server, attempts=1, concurrency=1))
    succeeds(done)
    assert len(made(recipe)) == 10
    assert "each: 3 of 5 answers gave no row: invalid 3 (it is not JSON" in done.output


def test_one_strategy_runs_alone_and_an_unknown_one_is_refused(tmp_path: Path, server: Scripted) -> None:
    recipe, rows = write_asking_recipe(tmp_path / "r"), source_rows(tmp_path / "rows", QUESTIONS)
    described = yaml.safe_load((recipe / "recipe.yaml").read_text())
    (first,) = described["sdg"]["strategies"]
    described["sdg"]["strategies"].append({**first, **FREE, "name": "free", "rows": 1})
    (recipe / "recipe.yaml").write_text(yaml.safe_dump(described))
    (recipe / "sdg/prompt.md").write_text("anew ${seeds}")
    succeeds(run(recipe, rows, at(server), strategy="free"))
    assert [row["origin"] for row in made(recipe)] == ["free"]
    succeeds(run(recipe, rows, at(server)))
    assert [row["origin"] for row in made(recipe)] == ["each"] * 3 + ["free"]
    assert "recipe.yaml has no strategy 'fre'; it has each, free" in fails(
        run(recipe, rows, at(server), strategy="fre")
    )


def test_without_a_row_to_grow_from_nothing_is_asked(tmp_path: Path, server: Scripted) -> None:
    recipe, rows = write_asking_recipe(tmp_path / "r"), source_rows(tmp_path / "rows", QUESTIONS, set="test")
    result = run(recipe, rows, at(server))
    succeeds(result)
    assert "each: nothing to ask about, no call" in result.output
    assert (server.prompts, (recipe / "out/rows").read_bytes()) == ([], rows.read_bytes())


def test_a_wrong_strategy_costs_nothing_and_writes_nothing(tmp_path: Path, server: Scripted) -> None:
    recipe, rows = write_asking_recipe(tmp_path / "r"), source_rows(tmp_path / "rows", QUESTIONS)
    (recipe / "sdg/prompt.md").write_text("${seed.qestion}")
    assert "sdg/prompt.md: unknown seed.qestion; known are " in fails(run(recipe, rows, at(server)))
    (recipe / "sdg/prompt.md").unlink()
    assert "sdg/prompt.md is missing; recipe.yaml names it" in fails(run(recipe, rows, at(server)))
    assert server.prompts == []
    assert not (recipe / "out").exists() or list((recipe / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("knobs", "says"),
    [
        ({"kind": "techer"}, "sdg.strategies.0: input tag 'techer' found using 'kind' does not match any"),
        (
            {"per-cal": 1},
            "sdg.strategies.0.per-cal: unknown key; valid keys are kind, name, adapter, prompt, answer",
        ),
        ({"seeds": {"draw": "all", "count": 1}}, "sdg.strategies.0.seeds.draw: input should be 'each', 'sample' or"),
        (
            {"seeds": {"draw": "each", "cuont": 1}},
            "sdg.strategies.0.seeds.cuont: unknown key; valid keys are draw, count",
        ),
        ({"vary": {"t": {"fil": "x"}}}, "sdg.strategies.0.vary.t.fil: unknown key; valid keys are file, only"),
        ({"name": "Each One"}, "sdg.strategies.0.name: string should match pattern"),
        ({"novelty": 0}, "sdg.strategies.0.novelty: input should be greater than 0"),
        ({"per-call": 0}, "sdg.strategies.0.per-call: input should be greater than or equal to 1"),
    ],
)
def test_a_typing_error_in_a_strategy_is_named(tmp_path: Path, knobs: dict, says: str) -> None:
    recipe = write_asking_recipe(tmp_path / "r", **knobs)
    assert says in fails(run(recipe, source_rows(tmp_path / "rows", QUESTIONS), settings()))


def test_two_strategies_of_one_name_are_refused(tmp_path: Path) -> None:
    recipe = write_asking_recipe(tmp_path / "r")
    described = yaml.safe_load((recipe / "recipe.yaml").read_text())
    described["sdg"]["strategies"] *= 2
    (recipe / "recipe.yaml").write_text(yaml.safe_dump(described))
    assert "sdg: value error, two strategies are called each" in fails(run(recipe, tmp_path, settings()))
