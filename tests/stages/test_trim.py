"""trim: what is cut, what is dropped, and that an answer is never touched."""

import json
import shutil
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from stages.trim import CUT, main, name_in_recipe, recipe_preamble, trim
from tests.chat_templates import HABITS, make_chat
from tests.conftest import ROOT
from tests.ending import end_line
from tests.recipe_folder import write_recipe
from tuneline.files import read_jsonl, write_jsonl
from tuneline.recipe.forms import read_form
from tuneline.recipe.settings import Trim, read_recipe
from tuneline.rendering.chat import Chat
from tuneline.rendering.preamble import Preamble, read_preamble
from tuneline.rows import make_row

SENTENCES = [
    "The first sentence is here.",
    'He said "stop!"',
    "Was it «\u00a0enough\u00a0»? Yes…",
    "A line without an end",
    "Version 1.5 came out (at last.)",
]
DOCUMENT = f"{SENTENCES[0]} {SENTENCES[1]} {SENTENCES[2]}\n{SENTENCES[3]}\n\n{SENTENCES[4]} And a tail that goes on"
TAIL = "And a tail that goes on"
# What may be left before the mark, from its ends of sentence and of line; the last sentence stays after it.
LEFT = [
    SENTENCES[0],
    f"{SENTENCES[0]} {SENTENCES[1]}",
    f"{SENTENCES[0]} {SENTENCES[1]} Was it «\u00a0enough\u00a0»?",
    DOCUMENT[: DOCUMENT.index("\nA line")],
    DOCUMENT[: DOCUMENT.index("\n\nVersion")],
]
CUTTING, DROPPING = Trim(over_long="cut"), Trim(over_long="drop")


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
    assert trim(rows, chat, size(chat, rows[0]), CUTTING) == (rows, [])


def test_a_row_is_cut_at_the_last_sentence_end_that_fits_and_says_so(chat: Chat) -> None:
    whole = row(DOCUMENT)
    seen = set()
    for limit in range(size(chat, whole)):
        kept, dropped = trim([whole], chat, limit, CUTTING)
        fitting = [left for left in LEFT if size(chat, row(left + CUT + TAIL)) <= limit]
        if not fitting:
            assert (kept, dropped) == ([], [{**whole, "reason": "over-long", "tokens": size(chat, whole)}])
            continue
        (one,) = kept
        assert one["messages"][0] == {"role": "user", "content": fitting[-1] + CUT + TAIL}
        assert one == {**whole, "messages": [one["messages"][0], whole["messages"][1]], "cut": True}
        assert size(chat, one) <= limit
        seen.add(fitting[-1])
    assert seen == set(LEFT)


def test_nothing_is_left_but_a_sign_of_cutting_in_no_row(chat: Chat) -> None:
    kept, dropped = trim([row("\n\n" + "word " * 100)], chat, 40, CUTTING)
    assert (kept, [drop["reason"] for drop in dropped]) == ([], ["over-long"])


def test_a_question_gives_way_from_the_end_that_the_recipe_says_and_keeps_its_first_and_last_sentence(
    chat: Chat,
) -> None:
    text = " ".join(f"Sentence {number} says a thing." for number in range(30)) + " What follows from it?"
    whole = row(f"Read this. {text}")
    for cut_from in ("start", "end"):
        (one,), _ = trim([whole], chat, size(chat, whole) // 2, Trim(over_long="cut", cut_from=cut_from))
        asked = one["messages"][0]["content"]
        assert asked.startswith("Read this.")
        assert asked.endswith("What follows from it?")
        kept = [number for number in range(30) if f"Sentence {number} says" in asked]
        assert kept == (list(range(len(kept))) if cut_from == "end" else list(range(30))[-len(kept) :])
        assert 0 < len(kept) < 30
        assert size(chat, one) <= size(chat, whole) // 2


@pytest.mark.parametrize("place", [0, 2])
def test_the_longest_question_is_the_one_that_is_cut(chat: Chat, place: int) -> None:
    turns = [{"role": "user", "content": "One. Two. Three."}, {"role": "assistant", "content": "Four. Five."}] * 2
    turns[place] = {"role": "user", "content": DOCUMENT}
    whole = make_row(read_form({"messages": turns}), "a.jsonl", 1)
    (one,), _ = trim([whole], chat, size(chat, whole) - 10, CUTTING)
    assert CUT in one["messages"][place]["content"]
    for at in {0, 1, 2, 3} - {place}:
        assert one["messages"][at] == turns[at]


def test_an_answer_that_is_too_long_alone_is_dropped(chat: Chat) -> None:
    kept, dropped = trim([row("One. Two.", "long. " * 100)], chat, 60, CUTTING)
    assert (kept, [drop["reason"] for drop in dropped]) == ([], ["over-long"])


def test_dropping_cuts_nothing(chat: Chat) -> None:
    rows = [row(DOCUMENT), row("short")]
    kept, dropped = trim(rows, chat, size(chat, rows[0]) - 1, DROPPING)
    assert kept == rows[1:]
    assert dropped == [{**rows[0], "reason": "over-long", "tokens": size(chat, rows[0])}]


def test_only_text_is_never_cut(chat: Chat) -> None:
    text = make_row(read_form({"text": DOCUMENT}), "a.jsonl", 1)
    assert trim([text], chat.under(Preamble("be brief")), size(chat, text), CUTTING) == ([text], [])
    _, (dropped,) = trim([text], chat, size(chat, text) - 1, CUTTING)
    assert dropped["reason"] == "over-long"


# The system prompt


def test_the_system_prompt_is_counted_before_rows_that_have_none(chat: Chat) -> None:
    own = {"role": "system", "content": "my own"}
    rows = [row("ask"), row("ask", "yes", own), make_row(read_form({"text": "text"}), "a.jsonl", 1)]
    brief = chat.under(Preamble("be brief"))
    assert trim(rows, brief, 200, DROPPING) == (rows, [])  # rows travel bare
    limit = size(chat, rows[0])
    assert trim(rows[:1], chat, limit, DROPPING) == (rows[:1], [])
    assert trim(rows[:1], brief, limit, DROPPING)[0] == []
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
    kept, (dropped,) = trim([row("before"), one, row("after <|im_end >")], chat, 200, CUTTING)
    assert [one["messages"][0]["content"] for one in kept] == ["before", "after <|im_end >"]
    assert dropped == {**one, "reason": "special token in the text", "token": dropped["token"]}
    assert dropped["token"] in json.dumps(one)


# The stage


def test_the_prefix_stands_before_the_question_and_is_never_cut(chat: Chat) -> None:
    explain, whole = chat.under(Preamble(prefix="Explain this:")), row(DOCUMENT)
    assert size(explain, whole) == size(chat, row(f"Explain this:\n\n{DOCUMENT}"))
    assert trim([whole], explain, 2000, CUTTING) == ([whole], [])
    (cut,), _ = trim([whole], explain, size(explain, whole) - 10, CUTTING)
    asked = cut["messages"][0]["content"]
    assert asked.startswith(DOCUMENT[:20])
    assert asked.endswith(CUT + TAIL)
    assert size(explain, cut) <= size(explain, whole) - 10 < size(explain, whole)
    kept, dropped = trim([row("word " * 200)], explain, 60, CUTTING)
    assert not kept
    assert dropped[0]["reason"] == "over-long"


def test_rows_of_another_adapter_stay_out(tmp_path: Path) -> None:
    rows = [row("ask"), row("again") | {"adapter": "mine"}, row("more") | {"adapter": "other"}]
    assert run(tmp_path, rows).exit_code == 0
    assert [one["id"] for one in read_jsonl(tmp_path / "out")] == [one["id"] for one in rows[:2]]
    result = run(tmp_path, rows[2:])
    assert result.exit_code == 1
    assert "has no row for mine" in result.output


def test_an_adapter_on_another_base_has_the_rows_and_the_prefix_of_its_kind(tmp_path: Path) -> None:
    rows = [row("ask"), row("again") | {"adapter": "mine"}, row("more") | {"adapter": "other"}]
    for adapter, kept in (("mine_tiny", rows[:2]), ("other_tiny", rows[::2]), ("mine_smollm2", rows[:1])):
        assert run(tmp_path, rows, adapter=adapter).exit_code == 0
        assert [one["id"] for one in read_jsonl(tmp_path / "out")] == [one["id"] for one in kept]
        prefix = {"mine_tiny": "Sum up:", "other_tiny": "Explain:"}.get(adapter, "")
        assert read_preamble(tmp_path / "preamble") == Preamble("Be brief.", prefix)


def test_the_recipes_own_name_goes_before_that_of_another_base(tmp_path: Path) -> None:
    base, plain = Path("data/bases/tiny"), read_recipe(write_recipe(tmp_path / "plain"))
    rows = [{}, {"adapter": "mine"}]
    assert name_in_recipe(plain, rows, "mine_tiny", base) == "mine"
    assert name_in_recipe(plain, rows, "mine_other", base) == "mine_other"
    assert name_in_recipe(plain, [*rows, {"adapter": "mine_tiny"}], "mine_tiny", base) == "mine_tiny"
    own = read_recipe(write_recipe(tmp_path / "prefix", prefix={"mine_tiny": "Sum up:"}))
    assert name_in_recipe(own, rows, "mine_tiny", base) == "mine_tiny"


def run(tmp_path: Path, rows: list[dict], max_tokens: int = 70, adapter: str = "mine") -> Result:
    shutil.rmtree(tmp_path / "r", ignore_errors=True)
    prefix = {"mine": " Sum up: ", "other": "Explain:"}
    recipe = write_recipe(tmp_path / "r", prefix=prefix, trim={"over-long": "cut"})
    (recipe / "system.md").write_text("Be brief.\n\n")
    write_jsonl(tmp_path / "rows", rows)
    words = ["--recipe", recipe, "--base", ROOT / "models/tiny", "--max-tokens", max_tokens, "--adapter", adapter]
    words += ["--engine", "local"]
    for name in ("rows", "out", "drops", "metrics", "preamble"):
        words += [f"--{name}", tmp_path / name]
    return CliRunner().invoke(main, list(map(str, words)))


def test_the_stage_counts_each_reason_and_keeps_the_drops(tmp_path: Path) -> None:
    rows = [row("ask"), row(DOCUMENT) | {"set": "test"}, row("x" * 500), row("<|im_end|>")]
    result = run(tmp_path, rows)
    assert result.exit_code == 0, result.output
    assert end_line(result.stderr) == "trim mine 4 → 2 rows 1 cut, 2 dropped"
    kept = read_jsonl(tmp_path / "out")
    assert [one["id"] for one in kept] == [one["id"] for one in rows[:2]]
    assert kept[0] == rows[0]  # bare: what stands before it is the preamble's
    assert CUT in kept[1]["messages"][0]["content"]
    assert read_preamble(tmp_path / "preamble") == Preamble("Be brief.", "Sum up:")
    assert [drop["id"] for drop in read_jsonl(tmp_path / "drops")] == [one["id"] for one in rows[2:]]
    assert json.loads((tmp_path / "metrics").read_text()) == {
        "in": 4,
        "out": 2,
        "cut": 1,
        "dropped": {"over-long": 1, "special token in the text": 1},
    }
    for line in ("-1 │ over-long", "2 │ kept", "(1) │ of these: cut to trim", "(1) │ of these: cut, and held out"):
        assert line in result.output


def test_the_prefix_is_that_of_the_adapter(tmp_path: Path) -> None:
    folder = write_recipe(tmp_path / "r", prefix={"other": "Explain:"})
    (folder / "system.md").write_text("\nBe brief.\n\n")
    recipe = read_recipe(folder)
    assert recipe_preamble(folder, recipe, "other") == Preamble("Be brief.", "Explain:")
    assert recipe_preamble(folder, recipe, "mine") == Preamble("Be brief.", "")


def test_tools_that_the_template_would_leave_out_stop_the_run(tmp_path: Path) -> None:
    tool = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
    result = run(tmp_path, [row("ask"), row("weather?") | {"tools": [tool]}])
    assert result.exit_code == 1
    assert "Error: 1 of 2 rows have tools, and the base's chat template writes none: choose a base" in result.output


def test_more_tokens_than_the_base_has_room_for_are_refused(tmp_path: Path) -> None:
    result = run(tmp_path, [row("ask")], max_tokens=2049)
    assert result.exit_code == 1
    assert "Error: trim.max-tokens 2049 is over the 2048 of" in result.output


def test_a_row_that_the_template_refuses_stops_the_run(chat: Chat) -> None:
    folding = make_chat(HABITS["folding"])
    twice = row("again", "yes", {"role": "user", "content": "ask"})
    assert trim([twice], chat, 200, CUTTING) == ([twice], [])
    with pytest.raises(click.ClickException, match="must alternate"):
        trim([twice], folding, 200, CUTTING)
