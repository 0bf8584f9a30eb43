"""Every chat template that people use: an answer is trained after exactly what the model is given when it is asked.

The templates of TRL are read from the package where it is installed; the oracle is transformers' own rendering.
"""

import functools
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
import pytest

from tests.chat_templates import CHATML, DATE, LLAMA_2, MISTRAL, make_tokenizer, tokenizer_for
from tests.tuneline.rendering.test_chat import seams
from tuneline.rendering.chat import Chat

FOUND = find_spec("trl")
FOLDER = Path(FOUND.origin).parent / "chat_templates" if FOUND and FOUND.origin else None
NAMES = sorted(path.stem for path in FOLDER.glob("*.jinja")) if FOLDER else []


@dataclass(frozen=True)
class Kind:
    """`bare`: trained before an answer without thinking. `thought`: trained around thinking, None where refused."""

    end: str
    bare: str = ""
    thought: tuple[str, str] | None = None


CHAT = Kind("<|im_end|>")
SENTENCE = Kind("<｜end▁of▁sentence｜>", "\n</think>\n\n", ("", "\n</think>\n\n"))
OPENED = Kind("<|im_end|>", "\n</think>\n\n", ("", "\n</think>\n\n"))
PARTED = Kind("<end_of_utterance>", " ")
THOUGHT = ("<|channel>thought\n", "\n<channel|>")
KINDS = {
    "cohere": Kind("<|END_OF_TURN_TOKEN|>"),
    "cohere2": Kind("<|END_RESPONSE|><|END_OF_TURN_TOKEN|>"),
    **dict.fromkeys(("deepseek_r1_distill", "deepseekv3"), SENTENCE),
    **dict.fromkeys(("gemma", "gemma3"), Kind("<end_of_turn>")),
    **dict.fromkeys(("gemma4", "gemma4_v2", "gemma4_v3", "gemma4_v4"), Kind("<turn|>")),
    **dict.fromkeys(("gemma4_v5", "diffusion_gemma"), Kind("<turn|>", "", THOUGHT)),
    "glm4moe": Kind("<|user|>", "\n<think></think>\n", ("\n<think>", "</think>\n")),
    "gptoss": Kind(
        "<|return|>",
        "<|channel|>final<|message|>",
        ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
    ),
    **dict.fromkeys(("idefics3", "smolvlm"), PARTED),
    **dict.fromkeys(("lfm2", "lfm2_v2"), CHAT),
    **dict.fromkeys(("lfm2_2_5", "lfm2_2_5_v2", "lfm2_2_5_vl"), Kind("<|im_end|>", "", ("<think>", "</think>"))),
    **dict.fromkeys(("llama3", "llama3_1", "llama3_2"), Kind("<|eot_id|>")),
    "llava_next": Kind("</s>", " "),
    "muse_glimmer": Kind(
        "<|eot|>", " to=user<|message|>", (" to=self<|message|>", "<|eom|><|start|>assistant to=user<|message|>")
    ),
    **dict.fromkeys(("nemotron_3_nano", "nemotron_3_super"), Kind("<|im_end|>", "</think>", ("", "\n</think>\n"))),
    **dict.fromkeys(("nemotron_3_ultra", "nemotron_3_5_lightning"), Kind("<|im_end|>", "</think>", ("", "</think>"))),
    **dict.fromkeys(("phi3", "phi3_5"), Kind("<|end|>")),
    **dict.fromkeys(("qwen2_5", "qwen2_5_vl", "qwen3_instruct_2507", "qwen3_vl", "qwen3_5_nothink"), CHAT),
    "qwen3": Kind("<|im_end|>", "<think>\n\n</think>\n\n", ("<think>\n", "\n</think>\n\n")),
    **dict.fromkeys(("qwen3_5_think", "qwen3_6", "qwen3_8"), OPENED),
    "mistral": Kind("</s>", " "),
    "llama 2": Kind(" </s>", " "),
}
OURS = {"mistral": MISTRAL, "llama 2": LLAMA_2}
SYSTEM = {"role": "system", "content": "Be brief."}
TALK = [
    {"role": "user", "content": "Où est-ce?\nTell me."},
    {"role": "assistant", "content": 'Là-bas: {"a": [1]}'},
    {"role": "user", "content": "and then?"},
    {"role": "assistant", "content": "nothing.\n\nReally 🍕"},
]
PARTS = ("idefics3", "smolvlm", "llava_next")
DAY = "{%- macro strftime_now(form) -%}" + DATE.isoformat() + "{%- endmacro -%}"  # and not the clock's, in transformers
REFUSED = "no thinking of an answer|no place for the answer's thinking"


@functools.cache
def chat_of(name: str) -> Chat:
    return Chat(tokenizer_for(OURS[name] if name in OURS else (FOLDER / f"{name}.jinja").read_text("utf-8")), DATE)


def prompt_ids(chat: Chat, name: str, messages: list[dict], **variables: Any) -> list[int]:
    """What transformers gives a model that is asked to answer the last message."""
    if name.startswith("gemma") and name.removesuffix("_training") == "gemma" and messages[0]["role"] == "system":
        first = f"{messages[0]['content']}\n\n{messages[1]['content']}"
        messages = [{"role": "user", "content": first}, *messages[2:]]  # which takes no system message
    if name.startswith(PARTS):
        messages = [{**m, "content": [{"type": "text", "text": m["content"]}]} for m in messages]
    variables |= {"date_string": DATE.strftime("%d %b %Y"), "chat_template": DAY + chat.writer.template.source}
    return chat.tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False, **variables)


def check(chat: Chat, name: str, kind: Kind, messages: list[dict], **variables: Any) -> int:
    """Each answer once, after exactly its prompt, and nothing else; how many pieces it took."""
    (pieces,) = chat.pieces([{"id": "talk", "messages": messages}])
    found = [seam for piece in pieces for seam in seams(piece)]
    expected = []
    for at, message in enumerate(messages):
        if message["role"] == "assistant":
            thinking = message.get("reasoning_content")
            before = f"{kind.thought[0]}{thinking}{kind.thought[1]}" if thinking else kind.bare
            prompt = prompt_ids(chat, name, messages[:at], **variables)
            expected.append((prompt, f"{before}{message['content']}{kind.end}"))
    assert sorted((ids, chat.tokenizer.decode(run)) for ids, run in found) == sorted(expected)
    return len(pieces)


@pytest.mark.skipif(not NAMES, reason="the templates are TRL's")
def test_every_template_of_trl_is_in_the_table() -> None:
    assert {name.removesuffix("_training") for name in NAMES} == KINDS.keys() - OURS.keys()
    assert (sum(not name.endswith("_training") for name in NAMES), len(NAMES)) == (41, 72)


@pytest.mark.parametrize("name", [*NAMES, *OURS])
def test_each_answer_is_trained_after_what_the_model_is_given_there(name: str) -> None:
    chat, kind = chat_of(name), KINDS[name.removesuffix("_training")]
    for messages in (TALK[:2], [SYSTEM, *TALK[:2]], TALK, [SYSTEM, *TALK]):
        pieces = check(chat, name, kind, messages)
        assert pieces <= 2
    assert check(chat, name, kind, TALK[:2]) == 1
    assert chat.stop_ids[0] == chat.tokenizer.encode(kind.end, add_special_tokens=False)[-1]
    (tokens,) = chat.encode([{"id": "one", "messages": TALK[:2]}])
    written = [label for label in tokens.labels if label >= 0]
    assert chat.heard(written) == ("", TALK[1]["content"] + kind.end[: kind.end.index("<")])


@pytest.mark.parametrize("name", [*NAMES, *OURS])
def test_thinking_stands_where_the_template_has_it_or_is_refused(name: str) -> None:
    chat, kind = chat_of(name), KINDS[name.removesuffix("_training")]
    thoughtful = [{**m, "reasoning_content": f"hm {at}\nso"} if at % 2 else m for at, m in enumerate(TALK)]
    if kind.thought is None:
        with pytest.raises(click.ClickException, match=REFUSED):
            chat.render({"id": "talk", "messages": thoughtful[:2]})
        thoughtful[1]["weight"] = 0
        with pytest.raises(click.ClickException, match=REFUSED):
            chat.render({"id": "talk", "messages": thoughtful})
        return
    for messages in (thoughtful[:2], [SYSTEM, *thoughtful], [*TALK[:2], *thoughtful[2:]]):
        check(chat, name, kind, messages)
    within = {**TALK[1], "content": f"<think>\nhm 1\nso\n</think>\n\n{TALK[1]['content']}"}
    assert chat.render({"messages": [TALK[0], within]}) == chat.render({"messages": thoughtful[:2]})
    (tokens,) = chat.encode([{"id": "one", "messages": thoughtful[:2]}])
    assert chat.heard([label for label in tokens.labels if label >= 0]) == ("hm 1\nso", TALK[1]["content"])


@pytest.mark.parametrize("name", [name for name in (*NAMES, *OURS) if KINDS[name.removesuffix("_training")] in (
    CHAT, *(kind for kind in KINDS.values() if kind.thought is None)) and "nothink" not in name])  # fmt: skip
def test_thinking_in_the_text_stays_there_where_the_template_has_no_other_place(name: str) -> None:
    """Which is the way out that the refusal names."""
    said = {**TALK[1], "content": "<think>\nhm\n</think>\n\nThere."}
    check(chat_of(name), name, KINDS[name.removesuffix("_training")], [TALK[0], said])


@pytest.mark.skipif(not NAMES, reason="the templates are TRL's")
def test_the_option_that_a_refusal_names_is_the_way_out() -> None:
    source = (FOLDER / "qwen3_5_nothink.jinja").read_text("utf-8")
    thoughtful = [TALK[0], {**TALK[1], "reasoning_content": "hm"}]
    with pytest.raises(click.ClickException, match="`enable_thinking: true`"):
        chat_of("qwen3_5_nothink").render({"id": "talk", "messages": thoughtful})
    chat = Chat(tokenizer_for(source), DATE, options={"enable_thinking": True})
    check(chat, "", OPENED, thoughtful, enable_thinking=True)


@pytest.mark.skipif(not NAMES, reason="the templates are TRL's")
@pytest.mark.parametrize(("name", "bare"), [("qwen3", ""), ("qwen3_6", ""), ("nemotron_3_nano", ""), ("glm4moe", "\n")])
def test_without_thinking_the_prompt_has_the_empty_block(name: str, bare: str) -> None:
    source, plain = (FOLDER / f"{name}.jinja").read_text("utf-8"), KINDS[name]
    chat = Chat(tokenizer_for(source), DATE, options={"enable_thinking": False})
    check(chat, "", Kind(plain.end, bare), TALK, enable_thinking=False)
    assert chat.sha256 != chat_of(name).sha256


# The habits of SmolLM3: thinking is the beginning of the text, and a prompt without has an empty block.
EMPTY = "('' if enable_thinking | default(true) else '<think>\\n\\n</think>\\n')"
IN_TEXT = CHATML.replace(
    "message['content'] +", f"({EMPTY} if message.role == 'assistant' else '') + message['content'].lstrip('\\n') +"
).replace("assistant\\n' -}}{%", f"assistant\\n' + {EMPTY} -}}}}{{%")
# The habits of DeepSeek V3.1: the prompt opens a block, or has closed it; an answer stands after its end.
ENDED = """
{{- bos_token }}
{%- for m in messages %}
    {%- if m.role == 'assistant' %}
        {{- '<｜Assistant｜></think>' + m.content.split('</think>', 1)[-1] + '<｜end▁of▁sentence｜>' }}
    {%- elif m.role == 'user' %}{{- '<｜User｜>' + m.content }}{%- else %}{{- m.content }}{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<｜Assistant｜>' + ('<think>' if thinking else '</think>') }}{%- endif %}
"""


@pytest.mark.parametrize(
    ("source", "options", "kind"),
    [
        (IN_TEXT, {}, Kind("<|im_end|>", "", ("<think>\n", "\n</think>\n\n"))),
        (IN_TEXT, {"enable_thinking": False}, Kind("<|im_end|>")),
        (ENDED, {"thinking": True}, Kind("<｜end▁of▁sentence｜>", "</think>", ("", "</think>"))),
        (ENDED, {}, Kind("<｜end▁of▁sentence｜>")),
    ],
)
def test_other_ways_to_think(source: str, options: dict, kind: Kind) -> None:
    chat = Chat(tokenizer_for(source), DATE, options=options)
    for messages in (TALK[:2], [SYSTEM, *TALK]):
        check(chat, "", kind, messages, **options)
    thoughtful = [{**m, "reasoning_content": f"hm {at}"} if at % 2 else m for at, m in enumerate(TALK)]
    within = {**TALK[1], "content": f"<think>\nhm 1\n</think>\n\n{TALK[1]['content']}"}
    if kind.thought:
        check(chat, "", kind, thoughtful, **options)
        assert chat.render({"messages": [TALK[0], within]}) == chat.render({"messages": thoughtful[:2]})
    else:
        for messages in (thoughtful[:2], [TALK[0], within]):
            with pytest.raises(click.ClickException, match="no place for the answer's thinking"):
                chat.render({"id": "talk", "messages": messages})


# Calls

TOOL = {
    "type": "function",
    "function": {"name": "weather", "description": "of a town", "parameters": {"type": "object", "properties": {}}},
}
CALL = {"id": "abcdefghi", "type": "function", "function": {"name": "weather", "arguments": {"town": "Nîmes"}}}
ERRAND = [
    {"role": "user", "content": "Sun?"},
    {"role": "assistant", "content": "", "tool_calls": [CALL]},
    {"role": "tool", "name": "weather", "tool_call_id": "abcdefghi", "content": "sun"},
    {"role": "assistant", "content": "Yes, sun."},
]


@pytest.mark.parametrize("name", [*NAMES, *OURS])
def test_calls_are_trained_to_what_ends_them_or_refused(name: str) -> None:
    chat, kind = chat_of(name), KINDS[name.removesuffix("_training")]
    row = {"id": "talk", "messages": ERRAND, "tools": [TOOL]}
    if not chat.takes_tools:
        with pytest.raises(click.ClickException, match="the base's chat template writes none"):
            chat.check_tools([row])
        return
    (pieces,) = chat.pieces([row])
    (calling, called), (asking, answered) = sorted((seam for p in pieces for seam in seams(p)), key=lambda s: len(s[0]))
    assert calling == prompt_ids(chat, name, ERRAND[:1], tools=[TOOL])
    assert asking == prompt_ids(chat, name, ERRAND[:3], tools=[TOOL])
    assert called[-1] in chat.stop_ids
    assert "Nîmes" in chat.tokenizer.decode(called)
    assert chat.tokenizer.decode(answered).endswith(f"Yes, sun.{kind.end}")


@pytest.mark.skipif(not NAMES, reason="the templates are TRL's")
def test_gpt_oss_answers_after_its_thinking_between_calls() -> None:
    """Its template leaves that thinking out as soon as the last answer is there, and has it in the prompt."""
    chat = chat_of("gptoss")
    errand = [ERRAND[0], {**ERRAND[1], "reasoning_content": "look"}, ERRAND[2], ERRAND[3]]
    ((text, spans),) = chat.render({"id": "talk", "messages": errand, "tools": [TOOL]})
    assert text[: spans[-1][0]] == chat.prompt(errand[:3], [TOOL])
    assert text.count("<|channel|>analysis<|message|>look<|end|>") == 1
    assert text[slice(*spans[-1])] == "<|channel|>final<|message|>Yes, sun.<|return|>"


@pytest.mark.skipif(not NAMES, reason="the templates are TRL's")
def test_text_beside_a_call_that_would_be_lost_is_refused() -> None:
    both = [ERRAND[0], {**ERRAND[1], "content": "I look."}]
    with pytest.raises(click.ClickException, match="leaves out what the answer says beside its calls"):
        chat_of("llama3_1").render({"id": "talk", "messages": both, "tools": [TOOL]})
    ((text, spans),) = chat_of("qwen2_5").render({"id": "talk", "messages": both, "tools": [TOOL]})
    assert text[slice(*spans[0])].startswith("I look.\n<tool_call>")


# What is refused


def refusal(template: str, *messages: dict) -> str:
    with pytest.raises(click.ClickException) as error:
        Chat(make_tokenizer(template), DATE).render({"id": "talk", "messages": list(messages)})
    assert "\n" not in error.value.message
    return error.value.message


def test_a_turn_that_begins_as_an_answer_does_ends_none() -> None:
    endless = CHATML.replace("<|im_end|>", "")
    assert "writes no special token after an answer" in refusal(endless, *TALK[:2])


def test_a_prompt_that_is_not_what_the_template_writes_there() -> None:
    other = CHATML.replace("assistant\\n' -}}{%", "helper\\n' -}}{%")
    assert "the chat template's generation prompt differs" in refusal(other, *TALK[:2])


def test_an_answer_before_the_first_question() -> None:
    greeting = {"role": "assistant", "content": "Hello."}
    chat = Chat(make_tokenizer(CHATML), DATE)
    ((text, spans),) = chat.render({"messages": [greeting, *TALK[:2]]})
    assert text[slice(*spans[0])] == "Hello.<|im_end|>"
    needs = "{{- messages[0]['role'].upper()[:0] -}}" + CHATML
    assert "give that answer `weight: 0`" in refusal(needs, greeting, *TALK[:2])
    ((_, spans),) = Chat(make_tokenizer(needs), DATE).render({"messages": [{**greeting, "weight": 0}, *TALK[:2]]})
    assert len(spans) == 1
