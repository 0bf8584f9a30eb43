"""What an answer may have in tokens: the longest reference with its end, by the template's own rendering."""

import click
import pytest

from tests.chat_templates import HABITS, make_chat
from tuneline.files import Row
from tuneline.rendering.chat import Chat
from tuneline.rendering.lengths import AUTO, Most, answer_tokens, check_room, most_new_tokens, with_room


def row(answer: str, *before: Row, id: str = "r") -> Row:
    return {
        "id": id,
        "messages": [*before, {"role": "user", "content": "Where?"}, {"role": "assistant", "content": answer}],
    }


EARLIER = [
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "a much longer answer that stood before"},
]


@pytest.mark.parametrize("habit", HABITS)
def test_an_answer_is_counted_with_its_end_as_a_model_writes_it(habit: str) -> None:
    chat = make_chat(HABITS[habit])
    texts = ["x", "two words", "Là-bas 🎉\nand here"]
    bare = [len(chat.backend.encode(text, add_special_tokens=False).ids) for text in texts]
    assert answer_tokens(chat, [row(text) for text in texts]) == [count + 1 for count in bare]


@pytest.fixture(scope="module")
def chat() -> Chat:
    return make_chat(HABITS["marked"])


def test_only_the_last_answer_counts_and_a_text_has_none(chat: Chat) -> None:
    assert answer_tokens(chat, [row("x", *EARLIER), {"id": "t", "text": "a long text"}]) == [2, 0]


def test_auto_is_the_longest_and_a_quarter_more(chat: Chat) -> None:
    rows = [row("x"), row("one two three four five six"), row("y")]
    longest = max(answer_tokens(chat, rows))
    assert longest > 6
    assert most_new_tokens(AUTO, chat, rows) == with_room(longest) == -(-longest * 5 // 4)
    assert most_new_tokens(3, chat, rows) == 3
    assert most_new_tokens(AUTO, chat, []) == most_new_tokens(AUTO, chat, [{"id": "t", "text": "x"}]) == 1


def test_a_number_that_is_too_small_names_the_row_and_what_to_write(chat: Chat) -> None:
    rows = [row("x", id="a"), row("one two three four five six", id="b"), row("six five four three two one", id="c")]
    counts = answer_tokens(chat, rows)
    longest = max(counts)
    check_room(longest, chat, rows, "test.jsonl")
    check_room(AUTO, chat, rows, "test.jsonl")
    check_room(1, chat, [], "test.jsonl")
    at = counts.index(longest)  # the first of equals
    with pytest.raises(click.ClickException) as error:
        check_room(longest - 1, chat, rows, "test.jsonl")
    assert error.value.message == (
        f"test.jsonl:{at + 1}: the reference of row {rows[at]['id']} has {longest} tokens with its end, more than "
        f"max-new-tokens {longest - 1} of params.yaml: write {with_room(longest)} there, or auto"
    )


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "Auto", "", "none"])
def test_what_is_neither_a_number_nor_auto(value: str) -> None:
    with pytest.raises(click.BadParameter):
        Most().convert(value, None, None)
    assert (Most().convert("auto", None, None), Most().convert("16", None, None)) == ("auto", 16)
