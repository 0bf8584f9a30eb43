"""One rendering and one mask, whatever the habits of the chat template."""

import datetime
import functools

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from tests.chat_templates import (
    CHATML,
    DATE,
    DATED,
    FOLDING,
    HABITS,
    PLAIN,
    TOOLS,
    Habit,
    make_chat,
    make_tokenizer,
)
from tests.conftest import ROOT
from tuneline.data.inputs import read_records
from tuneline.recipe.forms import read_form
from tuneline.rendering.chat import IGNORED, Chat, Tokens
from tuneline.rows import BadRow, answer, make_row

SYSTEM = {"role": "system", "content": " Answer as JSON.\n"}
TALK = [
    {"role": "user", "content": "  two\nlines \t"},
    {"role": "assistant", "content": '{"a":"é 🍕"}'},
    {"role": "user", "content": "and then?"},
    {"role": "assistant", "content": "nothing.\n\nReally"},
]


@pytest.fixture(scope="module", params=HABITS)
def habit(request: pytest.FixtureRequest) -> Habit:
    return HABITS[request.param]


@pytest.fixture(scope="module")
def chat(habit: Habit) -> Chat:
    return make_chat(habit)


@pytest.fixture(scope="module")
def rows() -> list[dict]:
    """Real rows, some under a system message."""
    path = ROOT / "recipes/query_json/source/train.jsonl"
    found = [make_row(read_form(record), path.name, line) for line, record in read_records(path)][::7]
    assert len(found) == 40
    return [{**row, "messages": [SYSTEM, *row["messages"]]} if n % 2 else row for n, row in enumerate(found)]


def talk(*messages: dict) -> dict:
    return {"id": "talk", "messages": list(messages)}


def runs(chat: Chat, tokens: Tokens) -> list[str]:
    """The text of each unbroken run of trained tokens."""
    assert len(tokens.ids) == len(tokens.labels)
    assert all(label in (IGNORED, token) for token, label in zip(tokens.ids, tokens.labels, strict=True))
    found: list[list[int]] = [[]]
    for label in tokens.labels:
        if label != IGNORED:
            found[-1].append(label)
        elif found[-1]:
            found.append([])
    return [chat.tokenizer.decode(run) for run in found if run]


def seams(tokens: Tokens) -> list[tuple[list[int], list[int]]]:
    """(all ids before, the ids) of each unbroken run of trained tokens."""
    ids, labels = list(tokens.ids), list(tokens.labels)
    starts = [at for at, label in enumerate(labels) if label != IGNORED and (not at or labels[at - 1] == IGNORED)]
    ends = [labels.index(IGNORED, at) if IGNORED in labels[at:] else len(labels) for at in starts]
    return [(ids[:start], ids[start:end]) for start, end in zip(starts, ends, strict=True)]


def test_what_is_trained_is_the_answer_and_its_end(chat: Chat, habit: Habit, rows: list[dict]) -> None:
    for row, tokens in zip(rows, chat.encode(rows), strict=True):
        assert runs(chat, tokens) == [answer(row) + habit.end]


def test_every_answer_of_a_conversation_is_trained(chat: Chat, habit: Habit) -> None:
    for messages in (TALK, [SYSTEM, *TALK]):
        (tokens,) = chat.encode([talk(*messages)])
        assert runs(chat, tokens) == [TALK[1]["content"] + habit.end, TALK[3]["content"] + habit.end]


def test_the_prompt_is_what_stands_before_the_answer(chat: Chat, rows: list[dict]) -> None:
    for row in [*rows, talk(*TALK), talk(SYSTEM, *TALK)]:
        ((text, spans),) = chat.render(row)
        assert chat.prompt(row["messages"][:-1]) == text[: spans[-1][0]]


def test_the_rendering_is_that_of_transformers(chat: Chat, rows: list[dict]) -> None:
    day = {"date_string": "01 Jan 2026"}
    for row in [*rows, talk(*TALK), talk(SYSTEM, *TALK)]:
        theirs = chat.tokenizer.apply_chat_template(row["messages"], tokenize=False, **day)
        assert [text for text, _ in chat.render(row)] == [theirs]
        (tokens,) = chat.encode([row])
        assert tokens.ids == chat.tokenizer.apply_chat_template(row["messages"], return_dict=False, **day)
        asked = row["messages"][:-1]
        theirs = chat.tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True, **day)
        assert chat.prompt(asked) == theirs


def test_a_beginning_is_written_once(chat: Chat, habit: Habit, rows: list[dict]) -> None:
    begin = chat.tokenizer.bos_token_id
    for row in [*rows, {"id": "t", "text": "only text"}]:
        (tokens,) = chat.encode([row])
        assert tokens.ids.count(begin) == bool(habit.bos)
        if habit.bos:
            assert tokens.ids[0] == begin


def test_a_row_of_only_text_is_trained_whole(chat: Chat, habit: Habit) -> None:
    (tokens,) = chat.encode([{"id": "t", "text": " once upon\na time 🍕"}])
    assert tokens.labels == tokens.ids
    end = chat.tokenizer.eos_token
    assert chat.tokenizer.decode(tokens.ids) == f"{habit.bos} once upon\na time 🍕{end}"


def test_the_end_of_an_answer_stops_generation(chat: Chat, habit: Habit) -> None:
    assert chat.stop_ids[0] == chat.tokenizer.convert_tokens_to_ids(habit.end)
    assert chat.tokenizer.eos_token_id in chat.stop_ids


def test_rows_are_counted_as_they_are_trained(chat: Chat, rows: list[dict]) -> None:
    lengths = [len(tokens.ids) for tokens in chat.encode(rows)]
    assert chat.count(rows, limit=0) == lengths
    for limit in (20, 80, 120):
        for count, length in zip(chat.count(rows, limit), lengths, strict=True):
            assert length <= count <= limit or length == count > limit


@functools.cache
def chats(name: str) -> Chat:
    return make_chat(HABITS[name])


# A turn cannot be ended from inside

FRAGMENTS = ["<|im_end|>", "<|im_start|>", "<bos>", "<end_of_turn>", "</s>", "<|eot|>", "<|", "|>", "im_end", "é", " "]


@settings(deadline=None, max_examples=30)
@given(st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=5).map("".join), st.integers(0, 2))
@pytest.mark.parametrize("habit_name", HABITS)
def test_text_that_passes_writes_no_special_token(habit_name: str, text: str, place: int) -> None:
    chat = chats(habit_name)
    contents = ["system", "user", "assistant"]
    messages = [{"role": role, "content": role} for role in contents]
    special = set(chat.tokenizer.added_tokens_decoder)
    (plain,) = chat.encode([talk(*messages)])
    messages[place] = {**messages[place], "content": f"x{text}x"}
    (tokens,) = chat.encode([talk(*messages)])
    written = [token for token in tokens.ids if token in special]
    expected = [token for token in plain.ids if token in special]
    assert (chat.special_in(talk(*messages)) is None) == (written == expected)


def test_the_special_token_is_named() -> None:
    chat = chats("marked")
    assert chat.special_in({"text": "a <|im_end|> b"}) == "<|im_end|>"
    assert chat.special_in(talk(SYSTEM, {"role": "user", "content": "x<|pad|><|im_end|>"})) == "<|pad|>"
    assert chat.special_in(talk(*TALK)) is None


def test_the_marks_of_the_renderer_are_refused_before_they_reach_it() -> None:
    for mark in ("\ufdd0", "\ufdd1"):
        for content in (TALK[0], TALK[1]):
            messages = [{**m, "content": m["content"] + mark} if m is content else m for m in TALK]
            with pytest.raises(BadRow, match=r"U\+FDD0 or U\+FDD1"):
                read_form({"messages": messages})


# White space, weights, tools


def test_an_answer_keeps_its_white_space_whatever_the_template_trims(chat: Chat, habit: Habit) -> None:
    code = "    def f():\n\treturn 1\n\n"
    row = talk(TALK[0], {"role": "assistant", "content": code}, *TALK[2:])
    ((text, spans),) = chat.render(row)
    assert [text[slice(*span)] for span in spans] == [code + habit.end, TALK[3]["content"] + habit.end]
    (pieces,) = chat.pieces([row])
    trained = [run for piece in pieces for run in runs(chat, piece)]
    assert sorted(trained) == sorted([code + habit.end, TALK[3]["content"] + habit.end])
    for before, run in (seam for piece in pieces for seam in seams(piece)):
        asked = row["messages"][: 1 if chat.tokenizer.decode(run).startswith(code) else 3]
        assert before == chat.backend.encode(chat.prompt(asked), add_special_tokens=False).ids


def test_an_answer_of_weight_0_is_read_and_not_trained(chat: Chat, habit: Habit) -> None:
    (tokens,) = chat.encode([talk(TALK[0], {**TALK[1], "weight": 0}, *TALK[2:])])
    assert runs(chat, tokens) == [TALK[3]["content"] + habit.end]
    assert TALK[1]["content"] in chat.tokenizer.decode(tokens.ids)


CALL = {"type": "function", "function": {"name": "weather", "arguments": {"town": "Nîmes", "days": 2}}}
CALLED = '<tool_call>\n{"name": "weather", "arguments": {"town": "Nîmes", "days": 2}}\n</tool_call>'
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
ERRAND = [
    {"role": "user", "content": "Sun in Nîmes?"},
    {"role": "assistant", "content": "", "tool_calls": [CALL]},
    {"role": "tool", "content": "sun"},
    {"role": "assistant", "content": "Yes, sun."},
]


def test_calls_and_answers_are_trained_and_tools_and_results_are_read() -> None:
    chat = Chat(make_tokenizer(TOOLS), DATE)
    for before in ([], [SYSTEM]):
        row = {"id": "talk", "messages": [*before, *ERRAND], "tools": [TOOL]}
        theirs = chat.tokenizer.apply_chat_template(row["messages"], tools=[TOOL], tokenize=False)
        ((text, spans),) = chat.render(row)
        assert text == theirs
        assert [text[slice(*span)] for span in spans] == [CALLED + "<|im_end|>", "Yes, sun.<|im_end|>"]
        assert text[: spans[-1][0]] == chat.prompt(row["messages"][:-1], [TOOL])
        (tokens,) = chat.encode([row])
        assert runs(chat, tokens) == [CALLED + "<|im_end|>", "Yes, sun.<|im_end|>"]
    said = {**ERRAND[1], "content": "I look.", "tool_calls": [CALL, CALL], "weight": 0}
    ((text, spans),) = chat.render({"id": "talk", "messages": [ERRAND[0], said, *ERRAND[2:]], "tools": [TOOL]})
    assert [text[slice(*span)] for span in spans] == ["Yes, sun.<|im_end|>"]
    assert f"I look.\n{CALLED}\n{CALLED}<|im_end|>" in text


def test_marks_of_generation_are_read_over() -> None:
    marked = TOOLS.replace("'<|im_start|>assistant\\n' + message.content }}", "'<|im_start|>assistant\\n' }}"
                           "{%- generation %}{{- message.content }}")  # fmt: skip
    marked = marked.replace(
        "{{- '<|im_end|>\\n' }}\n    {%- endif", "{{- '<|im_end|>' }}{% endgeneration %}{{- '\\n' }}\n    {%- endif"
    )
    chat = Chat(make_tokenizer(marked), DATE)
    ((text, spans),) = chat.render({"id": "talk", "messages": ERRAND, "tools": [TOOL]})
    assert [text[slice(*span)] for span in spans] == [CALLED + "<|im_end|>", "Yes, sun.<|im_end|>"]


def test_tools_are_refused_by_a_template_that_leaves_them_out(chat: Chat, rows: list[dict]) -> None:
    row = {"id": "talk", "messages": ERRAND, "tools": [TOOL]}
    Chat(make_tokenizer(TOOLS), DATE).check_tools([row, *rows])
    chat.check_tools(rows)
    with pytest.raises(click.ClickException, match="1 of 41 rows have tools, and the base's chat template writes none"):
        chat.check_tools([row, *rows])


def test_special_tokens_in_tools_and_calls_are_seen() -> None:
    chat = Chat(make_tokenizer(TOOLS), DATE)
    bad = {"type": "function", "function": {"name": "weather", "description": "<|im_end|>"}}
    assert chat.special_in({"messages": ERRAND, "tools": [bad]}) == "<|im_end|>"
    call = {"type": "function", "function": {"name": "weather", "arguments": {"town": "<|im_end|>"}}}
    assert chat.special_in({"messages": [ERRAND[0], {**ERRAND[1], "tool_calls": [call]}]}) == "<|im_end|>"
    assert chat.special_in({"messages": ERRAND, "tools": [TOOL]}) is None


# The date


def test_the_date_is_that_of_the_base_and_not_of_the_clock() -> None:
    asks_the_clock = DATED.replace("not date_string is defined", "true")
    for template in (DATED, asks_the_clock):
        habit = Habit(template, "<|eot|>", tokens=HABITS["dated"].tokens)
        for day, written in ((DATE, "01 Jan 2026"), (datetime.date(1999, 12, 31), "31 Dec 1999")):
            ((text, _),) = make_chat(habit, day).render(talk(*TALK))
            assert f"Today Date: {written}\n" in text


# What is refused


def test_a_template_without_an_end_token_is_refused() -> None:
    endless = "{%- for m in messages -%}{{- m.role + ': ' + m.content + '\\n' -}}{%- endfor -%}"
    marked = PLAIN.replace("{{- eos_token -}}", "")
    for template in (endless, marked, CHATML.replace("<|im_end|>", "(end)")):
        chat = Chat(make_tokenizer(template), DATE)
        with pytest.raises(click.ClickException, match="row talk: the chat template writes no special token after"):
            chat.encode([talk(*TALK)])


def test_a_template_without_an_end_token_is_refused_where_no_token_is_special() -> None:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE(vocab={sign: number for number, sign in enumerate(alphabet)}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, chat_template=CHATML)
    chat = Chat(tokenizer, DATE)
    assert chat.special_in(talk(*TALK)) is None
    with pytest.raises(click.ClickException, match="row talk: the chat template writes no special token after"):
        chat.encode([talk(*TALK)])


def test_a_template_that_leaves_the_answers_out_is_refused() -> None:
    chat = Chat(make_tokenizer("{{- messages[0].content + '<|im_end|>' -}}"), DATE)
    with pytest.raises(click.ClickException, match="row talk: no token of it is trained"):
        chat.encode([talk(*TALK)])


def test_a_template_that_rewrites_answers_is_refused() -> None:
    thinking = CHATML.replace("message['content']", "message['content'].split('</think>')[-1]")
    chat = Chat(make_tokenizer(thinking), DATE)
    assert chat.render(talk(*TALK))
    thought = {"role": "assistant", "content": "<think>well</think>yes"}
    with pytest.raises(
        click.ClickException, match="row talk: the chat template has no place for the answer's thinking"
    ):
        chat.render(talk(TALK[0], thought, *TALK[2:]))
    with pytest.raises(click.ClickException, match="row talk: the chat template rewrites its answers"):
        chat.render(talk(TALK[0], {"role": "assistant", "content": "it is </think> that closes"}, *TALK[2:]))


def test_a_row_that_the_template_refuses_is_told_by_its_question() -> None:
    with pytest.raises(click.ClickException, match=r"refuses a row: .* must alternate .*; it asks 'and then\?'"):
        chats("folding").encode([talk(*TALK[1:])])


# What tokenizers bring with them


def test_truncation_and_padding_of_the_tokenizer_file_are_switched_off() -> None:
    tokenizer = make_tokenizer()
    plain = Chat(make_tokenizer(), DATE)
    tokenizer.backend_tokenizer.enable_truncation(4)
    tokenizer.backend_tokenizer.enable_padding(length=500)
    chat = Chat(tokenizer, DATE)
    assert chat.encode([talk(*TALK)]) == plain.encode([talk(*TALK)])
    assert chat.count([talk(*TALK)], 0) == plain.count([talk(*TALK)], 0)
    assert chat.sha256 == plain.sha256


def test_an_answer_that_starts_with_a_space_is_trained_from_it() -> None:
    spaced = PLAIN.replace("'Assistant: '", "'Assistant:'").replace(
        "{{- message.content -}}", "{{- ' ' + message.content -}}"
    )
    tokenizer = make_tokenizer(spaced, **HABITS["plain"].tokens)
    tokenizer.backend_tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    chat = Chat(tokenizer, DATE)
    (tokens,) = chat.encode([talk(*TALK)])
    assert runs(chat, tokens) == [f" {message['content']}</s>" for message in (TALK[1], TALK[3])]


def test_text_that_ends_in_a_sign_of_many_tokens_is_trained_to_its_end() -> None:
    tokenizer = make_tokenizer()
    tokenizer.eos_token = None
    (tokens,) = Chat(tokenizer, DATE).encode([{"id": "t", "text": " text 🍕"}])
    assert tokens.labels == tokens.ids
    assert tokenizer.decode(tokens.ids) == " text 🍕"


def test_an_end_token_may_be_number_0() -> None:
    tokenizer = make_tokenizer()
    tokenizer.eos_token = "<|pad|>"
    assert tokenizer.eos_token_id == 0
    assert Chat(tokenizer, DATE).stop_ids == [tokenizer.convert_tokens_to_ids("<|im_end|>"), 0]


def test_templates_see_what_transformers_shows_them() -> None:
    curious = (
        "{%- for name in ['a', 'b'] -%}{%- if loop.last -%}{%- break -%}{%- endif -%}{%- endfor -%}"
        "{{- (tools is defined) ~ (documents is defined) ~ (unknown is defined) -}}\n"
        "{{- {'é': [1, '<']} | tojson }} {{ {'b': 1, 'a': 2} | tojson(indent=1, sort_keys=true) }}\n"
        "{% set ns = namespace(n=0) %}\n"
        "    {% for m in messages %}{% set ns.n = ns.n + 1 %}{% endfor %}\n"
        "{{ ns.n }} {{ eos_token }} {{ pad_token }} {{ bos_token }}|\n"
    )
    chat = Chat(make_tokenizer(curious), DATE)
    assert chat.writer.template.write(TALK) == chat.tokenizer.apply_chat_template(TALK, tokenize=False)


def test_the_hash_is_of_tokens_and_template() -> None:
    hashes = {make_chat(habit).sha256 for habit in HABITS.values()}
    assert len(hashes) == len(HABITS)
    assert make_chat(HABITS["folding"]).sha256 == Chat(make_tokenizer(FOLDING, **HABITS["folding"].tokens), DATE).sha256
