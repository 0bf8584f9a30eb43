"""Documents and rows of one adapter: asked about, grouped and compared as such."""

import json
from pathlib import Path
from typing import Any

import pytest

from stages.curate import curate
from stages.sdg import main as sdg
from tests.servers.scripted_server import scripted
from tests.stages.test_curate import LONG, row
from tests.stages.test_sdg import CliRunner, at
from tests.teaching import flags, write_asking_recipe
from tuneline.files import read_jsonl, write_jsonl
from tuneline.recipe.documents import has_own_place, is_document, make_document
from tuneline.recipe.settings import Curate

FORM = {"user": "${text}", "assistant": ["**Q:** ${question}", "**A:** ${answer}"]}
SECTIONS = [{"paper": paper, "text": f"{paper} counts {LONG}"} for paper in ("one", "two", "two b")]


def documents(path: Path) -> list[dict]:
    rows = [make_document(fields, fields["paper"][:3], {"file": "x.pdf"}) for fields in SECTIONS]
    write_jsonl(path, rows)
    return rows


def test_a_row_about_a_document_stands_in_its_group_and_trains_its_adapter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    about = {"inherit": ["paper", "text"], "form": FORM, "adapter": "mine"}
    recipe = write_asking_recipe(tmp_path / "r", "Ask about: ${seed.text}", **about)
    asked = documents(tmp_path / "rows")
    with scripted('{"question": "is it so", "answer": "it is so"}') as server:
        words: list[Any] = ["--recipe", recipe, "--rows", tmp_path / "rows", "--answers", tmp_path / "log"]
        for name in ("out", "refused", "metrics"):
            words += [f"--{name}", tmp_path / name]
        done = CliRunner().invoke(sdg, [*map(str, words), "--strategy", "all", *flags(at(server))])
    assert done.exit_code == 0, done.output
    rows = read_jsonl(tmp_path / "out")
    assert [one["document"] for one in rows] == [one["id"] for one in asked]  # and no document among them
    assert [one["group"] for one in rows] == ["one", "two", "two"]
    assert {one["adapter"] for one in rows} == {"mine"}
    assert not any("lineage" in one for one in rows)
    assert rows[0]["messages"][0]["content"] == SECTIONS[0]["text"]
    assert rows[0]["messages"][1]["content"] == "**Q:** is it so\n\n**A:** it is so"
    counts = json.loads((tmp_path / "metrics").read_text())
    assert (counts["in"], counts["documents"], counts["out"]) == (3, 3, 3)
    assert set(server.prompts) == {f"Ask about: {fields['text']}" for fields in SECTIONS}  # in any order


def test_a_document_is_no_row_and_rows_about_it_have_their_own_place() -> None:
    document = make_document({"text": "x"}, "g", {})
    assert is_document(document)
    assert not is_document(row("asked"))
    assert has_own_place({"origin": "eli5", "document": "d"})
    assert not has_own_place({"origin": "augment", "lineage": []})


def about(text: str, adapter: str, group: str, answer: str = "**Analogy:** a\n\n**Explanation:** b") -> dict:
    made = row(text, answer, origin=adapter, adapter=adapter, document="d", group=group)
    return {**made, "fields": {"persona": "eli5"}}


def test_one_text_in_two_voices_is_no_duplicate() -> None:
    settings = Curate(near_duplicate=0.8, same_group=0.5, contamination=0.7)
    kept, dropped = curate([about(LONG, "eli5", "g"), about(LONG, "executive", "g", "other")], settings)
    assert len(kept) == 2
    kept, dropped = curate([about(LONG, "eli5", "g"), about(LONG + "s", "eli5", "h")], settings)
    assert [one["reason"] for one in dropped] == ["near duplicate"]


def test_sections_of_two_papers_that_are_near_put_the_papers_into_one_group() -> None:
    settings = Curate(near_duplicate=0.99, same_group=0.5, contamination=1)
    kept, _ = curate([about(LONG, "eli5", "a"), about(LONG + " again", "eli5", "b")], settings)
    assert [one["group"] for one in kept] == ["a", "a"]
