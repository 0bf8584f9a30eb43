"""Examples before a question: rows of any kind, under templates of any habit."""

from typing import Any

import pytest

from tests.chat_templates import CHATML, DATE, FOLDING, LLAMA_2, MISTRAL, TOOLS, tokenizer_for
from tuneline.answering.examples import fitting, shown
from tuneline.rendering.chat import Chat
from tuneline.rendering.preamble import Preamble

PREAMBLE = Preamble("be brief", "now:")


def turn(role: str, content: str, **more: Any) -> dict:
    return {"role": role, "content": content, **more}


def row(*turns: dict, answer: str = "fine", **more: Any) -> dict:
    return {"messages": [*turns, turn("assistant", answer)], **more}


FUNCTION = {"name": "clock", "description": "the time", "parameters": {"type": "object", "properties": {}}}
CALL = {"id": "abcdefghi", "type": "function", "function": {"name": "clock", "arguments": {}}}
PLAIN = row(turn("user", "hello"))
OWN = row(turn("system", "count mails"), turn("user", "how many"), answer="2")
TALK = row(turn("user", "one?"), turn("assistant", "1"), turn("user", "two?"), answer="2")
CALLED = row(
    turn("user", "what time"),
    turn("assistant", "", tool_calls=[CALL]),
    turn("tool", "seven", name="clock", tool_call_id="abcdefghi"),
    answer="it is seven",
    tools=[{"type": "function", "function": FUNCTION}],
)
BEGUN = row(turn("assistant", "welcome", weight=0), turn("user", "hi"))


def test_a_conversation_after_examples_by_hand() -> None:
    """One system message, at the beginning; each question under the prefix, the last one by the rendering."""
    assert shown(OWN["messages"][:-1], [TALK, OWN], PREAMBLE) == [
        turn("system", "count mails"),
        *(turn("user", "one?"), turn("assistant", "1"), turn("user", "now:\n\ntwo?"), turn("assistant", "2")),
        *(turn("user", "now:\n\nhow many"), turn("assistant", "2"), turn("user", "how many")),
    ]
    assert shown(PLAIN["messages"][:-1], [OWN], PREAMBLE) == [
        *(turn("user", "now:\n\ncount mails\n\nhow many"), turn("assistant", "2"), turn("user", "hello")),
    ]
    assert shown(PLAIN["messages"][:-1], [], PREAMBLE) == [turn("user", "hello")]


@pytest.mark.parametrize("source", [CHATML, MISTRAL, TOOLS, LLAMA_2, FOLDING], ids=["chatml", *"mtlf"])
def test_whatever_the_rows_are_all_that_a_template_takes_stand_there(source: str) -> None:
    chat = Chat(tokenizer_for(source), DATE, PREAMBLE)
    for asked in (PLAIN, OWN, TALK, CALLED):
        if asked is CALLED and not chat.takes_tools:
            continue
        for one in (PLAIN, OWN, TALK, CALLED, BEGUN):
            conversation, count = fitting(chat, asked, [PLAIN, one, TALK], 2000)
            text = chat.prompt(conversation, asked.get("tools"))
            assert text.count("hello") == 1 + (one is PLAIN) + (asked is PLAIN)
            assert count == 3 or one in (CALLED, BEGUN), (asked, one)
            assert text.rindex("two?") > text.index("hello")


def test_each_that_has_room_is_there_in_its_order() -> None:
    chat = Chat(tokenizer_for(CHATML), DATE, PREAMBLE)
    long = row(turn("user", "word " * 300))
    conversation, count = fitting(chat, PLAIN, [long, TALK, long, OWN], 200)
    assert count == 2 and conversation == shown(PLAIN["messages"][:-1], [TALK, OWN], PREAMBLE)
    assert fitting(chat, PLAIN, [TALK], 1) == ([turn("user", "hello")], 0)
