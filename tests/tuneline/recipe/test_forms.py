"""Every form in which people bring rows, and that nothing of a row is left out in silence."""

from typing import Any

import pytest

from tuneline.files import load_json
from tuneline.recipe.forms import KEYS, read_form, read_question
from tuneline.rows import BadRow, answer, make_row, question

ASK, YES = {"role": "user", "content": "ask"}, {"role": "assistant", "content": "yes"}
SYSTEM = {"role": "system", "content": "be brief"}
FUNCTION = {"name": "weather", "description": "of a town", "parameters": {"type": "object", "properties": {}}}
TOOL = {"type": "function", "function": FUNCTION}
CALL = {"type": "function", "function": {"name": "weather", "arguments": {"town": "Lyon"}}}
CALLING = {"role": "assistant", "content": "", "tool_calls": [CALL]}
GIVEN = {"role": "tool", "content": "sun"}


@pytest.mark.parametrize(
    ("record", "messages"),
    [
        # Alpaca
        ({"instruction": "ask", "input": "", "output": "yes"}, [ASK, YES]),
        ({"instruction": "ask", "output": "yes"}, [ASK, YES]),
        ({"instruction": "Sum up.", "input": "A text.", "output": "yes"},
         [{"role": "user", "content": "Sum up.\n\nA text."}, YES]),
        ({"instruction": "ask", "input": None, "output": "yes", "system": "be brief", "history": [["one", "two"]]},
         [SYSTEM, {"role": "user", "content": "one"}, {"role": "assistant", "content": "two"}, ASK, YES]),
        ({"instruction": "ask", "input": "", "output": "yes", "system": "", "history": []}, [ASK, YES]),
        ({"instruction": "", "input": "ask", "output": "yes"}, [ASK, YES]),
        ({"messages": [ASK, YES], "images": [], "notes": "", "score": None}, [ASK, YES]),  # nothing is in them
        # ShareGPT
        ({"conversations": [{"from": "human", "value": "ask"}, {"from": "gpt", "value": "yes"}]}, [ASK, YES]),
        ({"conversations": [{"from": "human", "value": "ask"}, {"from": "gpt", "value": "yes"}], "system": "be brief"},
         [SYSTEM, ASK, YES]),
        ({"conversations": {"from": ["human", "gpt"], "value": ["ask", "yes"]}}, [ASK, YES]),  # Parquet's
        ({"conversations": '[{"from": "user", "value": "ask"}, {"from": "gpt", "value": "yes"}]'}, [ASK, YES]),  # CSV's
        # pairs
        *(({asked: "ask", answered: "yes"}, [ASK, YES]) for asked, answered in (
            ("prompt", "completion"), ("prompt", "response"), ("question", "answer"), ("input", "output"),
            ("query", "data"), ("query", "response"), ("text", "label"))),
        ({"prompt": "ask", "response": "yes", "system": "be brief"}, [SYSTEM, ASK, YES]),
        ({"question": "ask", "answer": 4}, [ASK, {"role": "assistant", "content": "4"}]),
        ({"text": "ask", "label": True}, [ASK, {"role": "assistant", "content": "true"}]),
        ({"prompt": "ask", "response": "yes", "notes": None}, [ASK, YES]),
        # TRL
        ({"prompt": [SYSTEM, ASK], "completion": [YES]}, [SYSTEM, ASK, YES]),
        # an answer that is a list of objects, and no messages
        ({"prompt": "ask", "response": [{"role": "CEO", "type": "person"}]},
         [ASK, {"role": "assistant", "content": '[{"role":"CEO","type":"person"}]'}]),
        # OpenAI
        ({"messages": [{"role": "developer", "content": "be brief"}, ASK, YES]}, [SYSTEM, ASK, YES]),
        ({"messages": [ASK, {**YES, "weight": 0, "refusal": None}, ASK, {**YES, "weight": 1}]},
         [ASK, {**YES, "weight": 0}, ASK, YES]),
        ([ASK, YES], [ASK, YES]),
        ({"messages": [{**ASK, "weight": 0}, YES]}, [ASK, YES]),
        # thinking: under any of its names, as a part, or twice the same; within the text it stays there
        *(({"messages": [ASK, {**YES, **given}]}, [ASK, {**YES, "reasoning_content": "hm"}]) for given in (
            {"reasoning_content": "hm"}, {"reasoning": "hm"}, {"thinking": "hm"}, {"reasoning": "hm", "thinking": "hm"},
            {"content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "yes"}]},
            {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
                         {"type": "text", "text": "yes"}]},
            {"content": [{"type": "reasoning", "value": "hm"}, {"type": "text", "value": "yes"}]})),
        ({"messages": [ASK, {**YES, "thinking": "", "reasoning": None}]}, [ASK, YES]),
        ({"messages": [ASK, {**YES, "content": "<think>hm</think>yes"}]},
         [ASK, {**YES, "content": "<think>hm</think>yes"}]),
        # LLaMA-Factory's newer form, ms-swift's and axolotl's weights
        ({"messages": [{**ASK, "content": [{"type": "text", "value": "ask"}], "loss_weight": 0.0},
                       {**YES, "content": [{"type": "text", "value": "yes"}], "loss_weight": 1.0}]}, [ASK, YES]),
        ({"messages": [ASK, {**YES, "loss": False}, ASK, {**YES, "loss": True}]},
         [ASK, {**YES, "weight": 0}, ASK, YES]),
        ({"messages": [ASK, {**YES, "train": False}, ASK, YES]}, [ASK, {**YES, "weight": 0}, ASK, YES]),
        ({"messages": [{**ASK, "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "sk"}]}, YES]},
         [ASK, YES]),
    ],
)  # fmt: skip
def test_forms_that_people_bring(record: Any, messages: list[dict]) -> None:
    assert read_form(record) == {"messages": messages}


@pytest.mark.parametrize("arguments", [{"town": "Lyon"}, '{"town": "Lyon"}'])
@pytest.mark.parametrize("tools", [[TOOL], [FUNCTION], '[{"name": "weather", "description": "of a town", '
                                   '"parameters": {"type": "object", "properties": {}}}]'])  # fmt: skip
def test_tools_and_their_calls_are_as_templates_expect_them(arguments: Any, tools: Any) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": arguments}}
    messages = [ASK, {"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "call_1", "content": "sun"}, YES]  # fmt: skip
    row = read_form({"messages": messages, "tools": tools})
    assert row["tools"] == [TOOL]
    assert row["messages"] == [
        ASK,
        {"role": "assistant", "content": "", "tool_calls": [{"id": "call_1", **CALL}]},
        {"role": "tool", "tool_call_id": "call_1", "content": "sun"},
        YES,
    ]
    sharegpt = [
        {"from": "human", "value": "ask"},
        {"from": "function_call", "value": '{"name": "weather", "arguments": {"town": "Lyon"}}'},
        {"from": "observation", "value": "sun"},
        {"from": "gpt", "value": "yes"},
    ]
    assert read_form({"conversations": sharegpt, "tools": tools})["messages"] == [ASK, CALLING, GIVEN, YES]
    assert read_form({"messages": messages, "tools": tools, "parallel_tool_calls": False}) == row
    assert read_form({"messages": messages, "tools": [{"type": "function", **FUNCTION}]}) == row
    old = {"role": "assistant", "function_call": {"name": "weather", "arguments": arguments}}
    assert read_form({"messages": [ASK, old], "functions": [FUNCTION]}) == {"messages": [ASK, CALLING], "tools": [TOOL]}
    two = {"from": "function_call", "value": '[{"name": "weather", "arguments": {"town": "Lyon"}}, {"name": "now"}]'}
    calls = read_form({"conversations": [sharegpt[0], two], "tools": tools})["messages"][1]["tool_calls"]
    assert calls == [CALL, {"type": "function", "function": {"name": "now", "arguments": {}}}]


@pytest.mark.parametrize("arguments", [None, "", "{}", {}, "null"])
def test_a_call_may_be_without_arguments(arguments: Any) -> None:
    row = read_form(
        {"messages": [ASK, {"role": "assistant", "function_call": {"name": "now", "arguments": arguments}}]}
    )
    assert row["messages"][1]["tool_calls"] == [{"type": "function", "function": {"name": "now", "arguments": {}}}]


def test_a_row_that_ends_with_a_call_asks_and_answers() -> None:
    row = make_row(read_form({"messages": [SYSTEM, ASK, CALLING, GIVEN, CALLING], "tools": [TOOL]}), "a", 1)
    assert question(row) == (
        'be brief ask [{"type":"function","function":{"name":"weather","arguments":{"town":"lyon"}}}] sun'
    )
    assert answer(row) == '[{"type":"function","function":{"name":"weather","arguments":{"town":"Lyon"}}}]'


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"prompt": "ask", "response": "yes", "notes": "x"}, "nothing would be trained of 'notes'; say in extract"),
        ({"text": "ask", "label": "yes", "score": 1}, "nothing would be trained of 'score'"),
        ({"messages": [ASK, YES], "notes": 0}, "nothing would be trained of 'notes'"),
        ({"text": "ask", "system": "be brief"}, "nothing would be trained of 'system'"),
        ({"prompt": "ask", "response": "yes", "tool_calls": [CALL]}, "nothing would be trained of 'tool_calls'"),
        ({"instruction": "ask", "output": "yes", "context": "x"}, "nothing would be trained of 'context'"),
        ({"messages": [{**ASK, "name": "Ada"}, YES]}, "nothing would be trained of 'name' in a message of the user"),
        ({"messages": [{**ASK, "reasoning_content": "x"}, YES]}, "'reasoning_content' in a message of the user"),
        ({"messages": [ASK, {**YES, "thinking": "x", "reasoning": "y"}]}, "two thinkings; keep one"),
        ({"messages": [ASK, {**YES, "content": "<think>x</think>yes", "thinking": "x"}]}, "two thinkings; keep one"),
        ({"messages": [ASK, {**YES, "thinking": ["x"]}]}, "the thinking of an answer is no text"),
        ({"messages": [ASK, {**YES, "content": [{"type": "thinking", "thinking": "x", "signature": "y"}]}]},
         "'type', 'thinking', 'signature' in a part of thinking; give its text"),
        ({"messages": [ASK, {**YES, "content": [{"type": "thinking", "thinking": "x"}]}]}, "assistant has no content"),
        ({"messages": [{**ASK, "weight": 1}, YES]}, "nothing would be trained of 'weight' in a message of the user"),
        ({"messages": [{**ASK, "loss": True}, YES]}, "nothing would be trained of 'loss' in a message of the user"),
        ({"messages": [ASK, {**YES, "weight": True}]}, "'weight' of a message is True"),
        ({"messages": [ASK, {**YES, "loss": 0.5}]}, "'loss' of a message is 0.5"),
        ({"prompt": "ask", "chosen": "yes", "rejected": "no"}, "'chosen' and 'rejected': preference data"),
        ({"chosen": [ASK, YES], "rejected": [ASK, YES]}, "preference data"),
        ({"prompt": "ask", "completion": "yes", "label": False}, "'label' is false: preference data"),
        ({"messages": [ASK, YES], "label": True}, "'label' is true: preference data"),
        ({"conversations": [ASK, YES], "label": "False"}, "'label' is false: preference data"),
        ({"chosen_messages": [ASK, YES], "rejected_messages": [ASK, YES]}, "'rejected_messages': preference data"),
        ({"messages": [ASK, YES], "images": ["a.png"]}, "'images': only text can be trained"),
        ({"prompt": "ask", "response": "yes", "audio": {"path": "a.wav"}}, "'audio': only text can be trained"),
        ({"messages": [ASK, {**YES, "weight": 0}]}, "every answer has weight 0: there is nothing to learn"),
        ({"messages": [ASK, {**YES, "weight": 0.5}]}, "'weight' of a message is 0.5"),
        ({"messages": [SYSTEM, ASK, YES], "system": "be long"}, "a 'system' beside a system message"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}, YES]},
         "a part of the kind 'image_url': only text can be trained"),
        ({"messages": [{**ASK, "content": [{"type": "text", "text": "a", "cache_control": {"type": "x"}}]}, YES]},
         "nothing would be trained of 'cache_control' in a part"),
        ({"instruction": "ask", "history": [["one"]], "output": "yes"}, "'history' is a list of [question, answer]"),
        ({"messages": [ASK, {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{a}"}}]}]},
         "'arguments' is no JSON"),
        ({"messages": [ASK, {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": 0}}]}]},
         "the arguments of f are no JSON object"),
        ({"messages": [ASK, YES], "tools": [TOOL], "functions": [FUNCTION]}, "a row has 'tools' and 'functions'"),
        ({"messages": [ASK, YES], "tools": [{"type": "function"}]}, "a tool needs a name"),
        ({"messages": [ASK, YES], "tools": [{**TOOL, "cost": 1}]}, "nothing would be trained of 'cost' beside weather"),
        ({"messages": [ASK, YES], "tools": [{"type": "custom", "name": "x"}]}, "a tool of the kind 'custom' beside x"),
        ({"messages": [ASK, {**CALLING, "tool_calls": [{**CALL, "index": 1}]}]}, "trained of 'index' beside weather"),
        ({"messages": [ASK, {**CALLING, "tool_calls": [CALL, CALL]}], "tools": [TOOL], "parallel_tool_calls": False},
         "'parallel_tool_calls' is false, and an answer has several calls"),
        ({"messages": [{"from": "human", "role": "user", "content": "a"}, YES]}, "a message has 'role' and 'from'"),
        ({"text": "ask", "label": ""}, "'label' is empty"),
        ({"prompt": "ask", "response": "yes", "split": "holdout"}, "split 'holdout' is none of train, "),
        ({"prompt": "ask", "response": "yes", "group": ["a"]}, "'group' is list, not text"),
        ({"prompt": "ask", "response": "\n\t "}, "'response' is empty"),
    ],
)  # fmt: skip
def test_what_cannot_be_carried_is_named(record: dict, reason: str) -> None:
    with pytest.raises(BadRow) as error:
        read_form(record)
    assert reason in str(error.value)


def test_columns_of_ones_own() -> None:
    record = {"Frage": "ask", "Antwort": "yes", "ticket": 7, "customer": "c1", "notes": "x", "fold": "dev"}
    columns = {
        "Frage": "prompt", "Antwort": "response", "ticket": "id", "customer": "group", "notes": "ignore",
        "fold": "split",
    }  # fmt: skip
    assert read_form(record, columns) == {"messages": [ASK, YES], "id": "7", "group": "c1", "set": "valid"}
    with pytest.raises(BadRow, match=r"'Antwort' becomes 'response' by extract\.columns, and the row has a 'response'"):
        read_form({"response": "no", **record}, columns)


def test_white_space_and_digits_of_answers_stay() -> None:
    code = "    def f():\n\treturn 1\n\n"
    assert answer(read_form({"prompt": " ask ", "response": code})) == code
    record = load_json('{"query": "ask", "data": {"price": 1.10, "rate": 1e3, "n": [0.50, -0.0, 12]}}')
    assert answer(read_form(record)) == '{"price":1.10,"rate":1e3,"n":[0.50,-0.0,12]}'


@pytest.mark.parametrize(
    ("record", "messages", "left"),
    [
        ({"query": "ask"}, [ASK], []),
        ({"text": "ask"}, [ASK], []),
        ({"instruction": "Sum up.", "input": "A text."}, [{"role": "user", "content": "Sum up.\n\nA text."}], []),
        ({"prompt": "ask", "response": "no"}, [ASK], []),
        ({"prompt": "ask", "response": ""}, [ASK], []),
        ({"messages": [SYSTEM, ASK, YES]}, [SYSTEM, ASK], []),
        ({"messages": [SYSTEM, ASK]}, [SYSTEM, ASK], []),
        ({"conversations": [{"from": "human", "value": "ask"}]}, [ASK], []),
        ({"prompt": "ask", "notes": "x"}, [ASK], ["notes"]),
    ],
)
def test_a_question_needs_no_answer(record: dict, messages: list[dict], left: list[str]) -> None:
    assert read_question(record) == ({"messages": messages}, left)


@pytest.mark.parametrize("record", [{"messages": [YES]}, {"prompt": None}, {"messages": None}, {}, [], {"prompt": " "}])
def test_what_asks_nothing_is_refused(record: Any) -> None:
    with pytest.raises(BadRow):
        read_question(record)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("value", [None, 1, True, "x", [], [1], {}, {"a": 1}, [{}], [None], [[]], "[", "null"])
def test_no_value_of_a_key_is_a_traceback(key: str, value: Any) -> None:
    for record in (
        {key: value},
        {"prompt": "ask", "response": "yes", key: value},
        {"messages": [ASK, YES], key: value},
    ):
        try:
            row = read_form(record)
        except BadRow:
            continue
        assert {"messages", "text"} & row.keys()
