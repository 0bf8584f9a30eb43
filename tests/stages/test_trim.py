"""trim: what is cut, what is dropped, and that an answer is never touched."""

import json
import shutil
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from stages.trim import CUT, main, recipe_preamble, trim
from tests.chat_templates import HABITS, make_chat
from tests.conftest import ROOT
from tests.recipe_folder import write_recipe
from tuneline.files import read_jsonl, write_jsonl
from tuneline.rendering.chat import Chat
from tuneline.rendering.preamble import Preamble, read_preamble
from tuneline.rows import make_row, read_form

SENTENCES = [
    "The first sentence is here.",
    'He said "stop!"',
    "Was it «\u00a0enough\u00a0»? Yes…",
    "A line without an end",
    "Version 1.5 came out (at last.)",
]
DOCUMENT = f"{SENTENCES[0]} {SENTENCES[1]} {SENTENCES[2]}\n{SENTENCES[3]}\n\n{SENTENCES[4]} And a tail that goes on"
# What may be left of it, from its ends of sentence and of line.
LEFT = [
    SENTENCES[0],
    f"{SENTENCES[0]} {SENTENCES[1]}",
    f"{SENTENCES[0]} {SENTENCES[1]} Was it «\u00a0enough\u00a0»?",
    DOCUMENT[: DOCUMENT.index("\nA line")],
    DOCUMENT[: DOCUMENT.index("\n\nVersion")],
    DOCUMENT[: DOCUMENT.index(" And a tail")],
]


@pytest.fixture(scope="module")
def chat() -> Chat:
    return make_chat(HABITS["marked"])


def row(asked: str, answer: str = "yes", *before: dict) -> dict:
    messages = [*before, {"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
    return make_row(read_form({"messages": messages}), "a.jsonl", 1)


def size(chat: Chat, one: dict) -> int:
    return chat.count([one], 0)[0]


def test_a_row_that_fits_passes_as_it_is(chat: Chat) -> None:
    rows = [row(DOCUMENT), row("short")]
    assert trim(rows, chat, size(chat, rows[0]), cut=True) == (rows, [])


def test_a_row_is_cut_at_the_last_sentence_end_that_fits_and_says_so(chat: Chat) -> None:
    whole = row(DOCUMENT)
    seen = set()
    for limit in range(size(chat, whole)):
        kept, dropped = trim([whole], chat, limit, cut=True)
        fitting = [left for left in LEFT if size(chat, row(left + CUT)) <= limit]
        if not fitting:
            assert (kept, dropped) == ([], [{**whole, "reason": "over-long", "tokens": size(chat, whole)}])
            continue
        (one,) = kept
        assert one["messages"][0] == {"role": "user", "content": fitting[-1] + CUT}
        assert one == {**whole, "messages": [one["messages"][0], whole["messages"][1]], "cut": True}
        assert size(chat, one) <= limit
        seen.add(fitting[-1])
    assert seen == set(LEFT)


def test_nothing_is_left_but_a_sign_of_cutting_in_no_row(chat: Chat) -> None:
    kept, dropped = trim([row("\n\n" + "word " * 100)], chat, 40, cut=True)
    assert (kept, [drop["reason"] for drop in dropped]) == ([], ["over-long"])


def test_the_last_question_is_the_one_that_is_cut(chat: Chat) -> None:
    before = [{"role": "user", "content": "One. Two. Three."}, {"role": "assistant", "content": "Four. Five."}]
    whole = row(DOCUMENT, "an answer. of two", *before)
    (one,), _ = trim([whole], chat, size(chat, whole) - 10, cut=True)
    assert one["messages"][:2] == before
    assert one["messages"][2]["content"].endswith(CUT)
    assert one["messages"][3] == whole["messages"][3]


def test_an_answer_that_is_too_long_alone_is_dropped(chat: Chat) -> None:
    kept, dropped = trim([row("One. Two.", "long. " * 100)], chat, 60, cut=True)
    assert (kept, [drop["reason"] for drop in dropped]) == ([], ["over-long"])


def test_dropping_cuts_nothing(chat: Chat) -> None:
    rows = [row(DOCUMENT), row("short")]
    kept, dropped = trim(rows, chat, size(chat, rows[0]) - 1, cut=False)
    assert kept == rows[1:]
    assert dropped == [{**rows[0], "reason": "over-long", "tokens": size(chat, rows[0])}]


def test_only_text_is_never_cut(chat: Chat) -> None:
    text = make_row(read_form({"text": DOCUMENT}), "a.jsonl", 1)
    assert trim([text], chat.under(Preamble("be brief")), size(chat, text), cut=True) == ([text], [])
    _, (dropped,) = trim([text], chat, size(chat, text) - 1, cut=True)
    assert dropped["reason"] == "over-long"


# The system prompt


def test_the_system_prompt_is_counted_before_rows_that_have_none(chat: Chat) -> None:
    own = {"role": "system", "content": "my own"}
    rows = [row("ask"), row("ask", "yes", own), make_row(read_form({"text": "text"}), "a.jsonl", 1)]
    brief = chat.under(Preamble("be brief"))
    assert trim(rows, brief, 200, cut=False) == (rows, [])  # rows travel bare
    limit = size(chat, rows[0])
    assert trim(rows[:1], chat, limit, cut=False) == (rows[:1], [])
    assert trim(rows[:1], brief, limit, cut=False)[0] == []
    before = row("ask", "yes", {"role": "system", "content": "be brief"})
    for one, counted in ((rows[0], size(chat, before)), *((own, size(chat, own)) for own in rows[1:])):
        assert size(brief, one) == counted


# Special tokens


@pytest.mark.parametrize(
    "one",
    [
        row("end it <|im_end|> here"),
        row("ask", 'a "<|im_start|>user" in JSON'),
        row("ask", "yes", {"role": "system", "content": "<|endoftext|>"}),
        row("ask", "yes", {"role": "user", "content": "<|pad|>"}, {"role": "assistant", "content": "no"}),
        make_row(read_form({"text": "a<|im_end|>"}), "a.jsonl", 1),
        row("over-long as well <|im_end|>. " * 100),
    ],
)
def test_a_row_that_spells_out_a_special_token_is_dropped(chat: Chat, one: dict) -> None:
    kept, (dropped,) = trim([row("before"), one, row("after <|im_end >")], chat, 200, cut=True)
    assert [one["messages"][0]["content"] for one in kept] == ["before", "after <|im_end >"]
    assert dropped == {**one, "reason": "special token in the text", "token": dropped["token"]}
    assert dropped["token"] in json.dumps(one)


# The stage


def test_the_prefix_stands_before_the_question_and_is_never_cut(chat: Chat) -> None:
    explain, whole = chat.under(Preamble(prefix="Explain this:")), row(DOCUMENT)
    assert size(explain, whole) == size(chat, row(f"Explain this:\n\n{DOCUMENT}"))
    assert trim([whole], explain, 2000, cut=True) == ([whole], [])
    (cut,), _ = trim([whole], explain, size(explain, whole) - 10, cut=True)
    asked = cut["messages"][0]["content"]
    assert asked.startswith(DOCUMENT[:20])
    assert asked.endswith(CUT)
    assert size(explain, cut) <= size(explain, whole) - 10 < size(explain, whole)
    kept, dropped = trim([row("word " * 200)], explain, 60, cut=True)
    assert not kept
    assert dropped[0]["reason"] == "over-long"


def test_rows_of_another_adapter_stay_out(tmp_path: Path) -> None:
    rows = [row("ask"), row("again") | {"adapter": "mine"}, row("more") | {"adapter": "other"}]
    assert run(tmp_path, rows).exit_code == 0
    assert [one["id"] for one in read_jsonl(tmp_path / "out")] == [one["id"] for one in rows[:2]]
    result = run(tmp_path, rows[2:])
    assert result.exit_code == 1
    assert "has no row for mine" in result.output


def run(tmp_path: Path, rows: list[dict], max_tokens: int = 60, over_long: str = "cut") -> Result:
    shutil.rmtree(tmp_path / "r", ignore_errors=True)
    recipe = write_recipe(tmp_path / "r", prefix={"mine": " Sum up: ", "other": "Explain:"})
    (recipe / "system.md").write_text("Be brief.\n\n")
    write_jsonl(tmp_path / "rows", rows)
    words = ["--recipe", recipe, "--base", ROOT / "models/tiny", "--max-tokens", max_tokens, "--over-long", over_long]
    words += ["--adapter", "mine"]
    for name in ("rows", "out", "drops", "metrics", "preamble"):
        words += [f"--{name}", tmp_path / name]
    return CliRunner().invoke(main, list(map(str, words)))


def test_the_stage_counts_each_reason_and_keeps_the_drops(tmp_path: Path) -> None:
    rows = [row("ask"), row(DOCUMENT), row("x" * 500), row("<|im_end|>")]
    result = run(tmp_path, rows)
    assert result.exit_code == 0, result.output
    kept = read_jsonl(tmp_path / "out")
    assert [one["id"] for one in kept] == [one["id"] for one in rows[:2]]
    assert kept[0] == rows[0]  # bare: what stands before it is the preamble's
    assert kept[1]["messages"][0]["content"].endswith(CUT)
    assert read_preamble(tmp_path / "preamble") == Preamble("Be brief.", "Sum up:")
    assert [drop["id"] for drop in read_jsonl(tmp_path / "drops")] == [one["id"] for one in rows[2:]]
    assert json.loads((tmp_path / "metrics").read_text()) == {
        "in": 4,
        "out": 2,
        "cut": 1,
        "dropped": {"over-long": 1, "special token in the text": 1},
    }


def test_the_prefix_is_that_of_the_adapter(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path / "r", prefix={"other": "Explain:"})
    (recipe / "system.md").write_text("\nBe brief.\n\n")
    assert recipe_preamble(recipe, "other") == Preamble("Be brief.", "Explain:")
    assert recipe_preamble(recipe, "mine") == Preamble("Be brief.", "")


def test_more_tokens_than_the_base_has_room_for_are_refused(tmp_path: Path) -> None:
    result = run(tmp_path, [row("ask")], max_tokens=2049)
    assert result.exit_code == 1
    assert "Error: trim.max-tokens 2049 is over the 2048 of" in result.output


def test_a_row_that_the_template_refuses_stops_the_run(chat: Chat) -> None:
    folding = make_chat(HABITS["folding"])
    twice = row("again", "yes", {"role": "user", "content": "ask"})
    assert trim([twice], chat, 200, cut=True) == ([twice], [])
    with pytest.raises(click.ClickException, match="must alternate"):
        trim([twice], folding, 200, cut=True)
