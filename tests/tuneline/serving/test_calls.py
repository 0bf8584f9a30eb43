"""Answers that call tools, and answers of every chat template as they come, token by token."""

import json

import pytest

from tests.tuneline.rendering.test_turns import KINDS, NAMES, OURS, chat_of
from tuneline.rendering.hearing import find_frame
from tuneline.serving.calls import find_calls
from tuneline.serving.speech import Speech

TOOL = {"type": "function", "function": {"name": "weather", "description": "w", "parameters": {"type": "object"}}}
ASKED = {"role": "user", "content": "Quel temps ?"}
JSON = ("llama3_1", "llama3_2", "qwen2_5", "qwen3", "qwen3_instruct_2507", "qwen3_vl", "mistral")
USED = [name for name in (*NAMES, *OURS) if not name.endswith("_training")]


def call(place: str) -> dict:
    arguments = {"place": place, "days": [1, {"a": None}]}
    return {"id": "abcdefghi", "type": "function", "function": {"name": "weather", "arguments": arguments}}


def heard(name: str, message: dict) -> str:
    """The text of an answer as its template writes it."""
    chat = chat_of(name)
    target = chat.writer.turn([ASKED, {"role": "assistant", "content": "", **message}], [TOOL]).target
    return chat.heard(chat.backend.encode(target, add_special_tokens=False).ids)[1]


@pytest.mark.skipif(not NAMES, reason="the templates are TRL's")
def test_calls_in_json_are_read_of_every_template_that_writes_them() -> None:
    found = {name for name in USED if chat_of(name).takes_tools and find_calls(chat_of(name))}
    assert found >= set(JSON)


@pytest.mark.skipif(not NAMES, reason="the templates are TRL's")
@pytest.mark.parametrize("name", JSON)
def test_what_a_template_writes_of_calls_is_read_back(name: str) -> None:
    calls = find_calls(chat_of(name))
    for made in ([call("Lyon")], [call("Lyon"), call("Nîmes {x}")]):
        if len(made) > 1 and name.startswith("llama"):  # which writes one
            continue
        said, read = calls.divided(heard(name, {"tool_calls": made}), {"weather"})
        assert said == ""
        assert [json.loads(one["function"]["arguments"]) for one in read] == [
            one["function"]["arguments"] for one in made
        ]
        assert all(len(one["id"]) == 9 and one["type"] == "function" for one in read)


@pytest.mark.skipif(not NAMES, reason="the templates are TRL's")
def test_what_is_no_call_of_a_known_tool_is_said() -> None:
    calls = find_calls(chat_of("qwen3"))
    written = heard("qwen3", {"tool_calls": [call("Lyon")]})
    assert calls.divided(f"I look.\n{written}\n", {"weather"})[0] == "I look."
    for text in ("Il pleut.", "<tool_call>", "<tool_call>\n{", "<tool_call>\n[1]\n</tool_call>", "", "{}", "   "):
        assert calls.divided(text, {"weather"}) == (text, [])
    assert calls.divided(written, {"other"}) == (written, [])
    bare = find_calls(chat_of("llama3_1"))
    for text in ("", '{"name": "weather"}', '{"name": "weather", "parameters": {}} and', "[]", "Il {pleut}"):
        assert bare.divided(text, {"weather"})[1] == [] or text == "[]"


@pytest.mark.skipif(not NAMES, reason="the templates are TRL's")
@pytest.mark.parametrize("name", USED)
def test_what_comes_token_by_token_is_what_is_heard_at_the_end(name: str) -> None:
    chat, kind = chat_of(name), KINDS[name]
    frame, said = find_frame(chat.writer), "Là-bas 🍕:\n\n{} "
    for thought in ("", "hm é") if kind.thought else ("",):
        before = f"{kind.thought[0]}{thought}{kind.thought[1]}" if thought else kind.bare
        ids = chat.backend.encode(before + said.strip(), add_special_tokens=False).ids
        speech = Speech(chat, frame)
        pieces = [speech.add([token]) for token in ids]
        assert "".join(pieces) + speech.end() == chat.heard(ids)[1]
        assert not any("\ufffd" in piece for piece in pieces)
