"""The forms in which people bring rows → the messages or the text of a row.

Nothing of a record is left out: a key that its form has no place for makes it a refused row, unless recipe.yaml names
it as one that may go. A null is nothing: a key whose value is null is not there; an empty text or list has nothing to
lose.

Where the forms come from: Alpaca and ShareGPT as LLaMA-Factory and axolotl document them, OpenAI's fine-tuning form as
its API reference has it, prompt / completion as TRL does.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from tuneline.files import Row, dump_json, load_json
from tuneline.rows import RESERVED, BadRow

IGNORE = "ignore"  # what `extract.columns` says of a key that may go
ROLES = {
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("user", "human"), "user"),
    **dict.fromkeys(("assistant", "gpt", "model", "chatgpt", "bot"), "assistant"),
    **dict.fromkeys(("tool", "observation", "function_response", "function"), "tool"),
    "function_call": "assistant",  # ShareGPT's: its value is the call
}
ASKED = ("instruction", "prompt", "question", "query", "input", "text")
ANSWERED = ("response", "completion", "answer", "output", "data", "label")
FORMS = (
    '{"messages": […]}, {"conversations": […]}, {"instruction", "input", "output"}, {"prompt", "response"}, '
    '{"prompt", "completion"}, {"question", "answer"}, {"input", "output"}, {"query", "data"}, {"text", "label"} '
    'or {"text"}'
)
ABOUT = ("id", "group", "split")  # what a row may say of itself
SETS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("valid", "validation", "val", "dev", "eval"), "valid"),
    **dict.fromkeys(("test", "testing"), "test"),
}
TOOLS = ("tools", "functions")
KEYS = (
    *dict.fromkeys(
        ("messages", "conversations", *ASKED, *ANSWERED, "history", "system", *TOOLS, "parallel_tool_calls")
    ),
    *ABOUT,
)
WEIGHTS = ("weight", "loss_weight", "loss", "train")  # OpenAI's, LLaMA-Factory's, ms-swift's, axolotl's
THINKING = ("reasoning_content", "reasoning", "thinking")  # vLLM's and Qwen's, OpenRouter's, gpt-oss's
MEDIA = frozenset(f"{kind}{s}" for kind in ("image", "audio", "video") for s in ("", "s"))
PREFERENCE = "preference data, of which one answer is wrong; map the right one by extract.columns, and ignore the rest"


def read_form(record: Any, columns: Mapping[str, str] | None = None) -> Row:
    """`messages` and `tools`, or `text`, of one record in any of the forms, with what it says of itself.

    `columns`: own key → a key of a form, or IGNORE. Raises BadRow with the reason.
    """
    body, left = read_part(record, columns)
    if left:
        keys = ", ".join(map(repr, left))
        raise BadRow(f"nothing would be trained of {keys}; say in extract.columns what it is, or `{IGNORE}`")
    return body


def read_part(record: Any, columns: Mapping[str, str] | None = None) -> tuple[Row, list[str]]:
    """(what can be read of a record, the keys that its form has no place for). Raises BadRow."""
    return _read(record, columns or {}, answered=True)


def read_question(record: Any) -> tuple[Row, list[str]]:
    """(`messages` and `tools` of a record that may do without an answer, the keys that no question has).

    An answer that is there is left out. Raises BadRow with the reason.
    """
    return _read(record, {}, answered=False)


def _read(record: Any, columns: Mapping[str, str], answered: bool) -> tuple[Row, list[str]]:
    record = {"messages": record} if is_messages(record) else record
    if not isinstance(record, dict):
        raise BadRow(f"a row is an object, this is {_kind(record)}; give {FORMS}")
    given = rename(record, columns)
    about = read_about(given)
    reader = _Reader(given, answered, {columns.get(key, key) for key, value in record.items() if value is None})
    body = reader.body()
    check_signs(body)
    return {**body, **about}, holding(reader.left)


def holding(left: Row) -> list[str]:
    """The keys that hold something; an empty column of a table does not."""
    return [key for key, value in left.items() if value is not None and value not in ("", [], {})]


def rename(record: Mapping[str, Any], columns: Mapping[str, str], keep_nulls: bool = False) -> Row:
    """The record under the forms' own keys, without nulls and what may go. Raises BadRow when two keys become one."""
    given: Row = {}
    for key, value in record.items():
        name = columns.get(key, key)
        if name == IGNORE or (value is None and not keep_nulls):
            continue
        if name in given:
            raise BadRow(f"{key!r} becomes {name!r} by extract.columns, and the row has a {name!r} already")
        given[name] = value
    return given


def read_about(given: Row) -> Row:
    """Takes `id`, `group` and `split` out of the record: `id`, `group` and `set` of the row, each only where given."""
    about: Row = {}
    for key in ABOUT:
        value = given.pop(key, None)
        if value is None or value == "":
            continue
        if isinstance(value, bool | dict | list):
            raise BadRow(f"{key!r} is {_kind(value)}, not text")
        about[key] = str(value)
    if "split" in about:
        name = about.pop("split")
        if name.lower() not in SETS:
            raise BadRow(
                f"split {name!r} is none of {', '.join(SETS)}; say in extract.columns what it is, or `{IGNORE}`"
            )
        about["set"] = SETS[name.lower()]
    return about


def check_signs(body: Row) -> None:
    """Raises BadRow for what is no character, or is one that the renderer marks spans with."""
    written = dump_json(body)
    if any(mark in written for mark in RESERVED):
        raise BadRow("holds U+FDD0 or U+FDD1, which are no characters; remove them")
    if any("\ud800" <= sign <= "\udfff" for sign in written):
        raise BadRow("holds half a surrogate pair, which is no character; remove it")


class _Reader:
    """Reads one record by taking its keys, so that what is left at the end has no place. `nulls`: keys of one."""

    def __init__(self, given: Row, answered: bool, nulls: set[str]) -> None:
        self.left, self.answered, self.nulls = dict(given), answered, nulls

    def body(self) -> Row:
        self.refuse_preferences()
        if media := [key for key in holding(self.left) if key in MEDIA]:
            raise BadRow(f"{' and '.join(map(repr, media))}: only text can be trained")
        for key in ("messages", "conversations"):
            if key in self.left:
                return self.conversation(read_messages(self.left.pop(key), key))
        answer = next((key for key in ANSWERED if key in self.left), None)
        asked = next((key for key in ASKED if key in self.left), None)
        if asked == "text" and answer is None and self.answered:
            if (answer := next((key for key in ANSWERED if key in self.nulls), None)) and not self.nulls & set(ASKED):
                raise BadRow(f"{answer!r} is empty")  # not labelled yet: no text to be trained whole
            return {"text": as_text(self.left.pop("text"), "text")}
        if asked is None or (answer is None and self.answered):
            self.refuse_null(ANSWERED if asked else ASKED if answer else ())
            raise BadRow(f"no known form (keys: {', '.join(map(str, self.left)) or 'none'}); give {FORMS}")
        return self.conversation(self.pair(asked, answer))

    def refuse_null(self, lacking: Sequence[str]) -> None:
        """A form of which one half is null is known, where nothing else may be that half."""
        null = next((key for key in lacking if key in self.nulls), None)
        if null and self.left.keys() <= set(KEYS):
            raise BadRow(f"{null!r} is empty")

    def refuse_preferences(self) -> None:
        if found := [key for key in self.left if key.startswith(("chosen", "rejected"))]:
            raise BadRow(f"{' and '.join(map(repr, found))}: {PREFERENCE}")
        label = str(self.left.get("label")).lower()  # a table has it as a text
        answers = {"messages", "conversations", *ANSWERED} - {"label"}
        if label in ("true", "false") and answers & self.left.keys():
            raise BadRow(f"'label' is {label}: {PREFERENCE}")

    def pair(self, asked: str, answer: str | None) -> list[Row]:
        """The turns of a question and its answer, after those of `history`; either may be messages, as TRL has them."""
        turns = self.history()
        question = self.left.pop(asked)
        if is_messages(question):
            turns += read_messages(question, asked)
        else:
            turns.append(
                _turn("user", self.instruction(question) if asked == "instruction" else as_text(question, asked))
            )
        given = self.left.pop(answer) if answer else ""
        if is_messages(given):
            turns += read_messages(given, answer)
        elif self.answered:
            turns.append(_turn("assistant", as_text(given, answer)))
        return turns

    def instruction(self, asked: Any) -> str:
        """Alpaca's two parts of a question, of which one may be empty."""
        more = self.left.pop("input", "")
        if more == "":
            return as_text(asked, "instruction")
        said = as_text(more, "input")
        return said if asked == "" else f"{as_text(asked, 'instruction')}\n\n{said}"

    def history(self) -> list[Row]:
        turns: list[Row] = []
        history = parsed(self.left.pop("history", None), "history") or []
        for pair in history if isinstance(history, list) else [history]:
            if not isinstance(pair, list) or len(pair) != 2:
                raise BadRow("'history' is a list of [question, answer]")
            turns += [_turn("user", as_text(pair[0], "history")), _turn("assistant", as_text(pair[1], "history"))]
        return turns

    def conversation(self, turns: list[Row]) -> Row:
        system = self.left.pop("system", "")
        if system != "":
            if turns[0]["role"] == "system":
                raise BadRow("has a 'system' beside a system message; keep one")
            turns = [_turn("system", as_text(system, "system")), *turns]
        tools = read_tools(_take_one(self.left, *TOOLS, what="a row"))
        at_once = self.left.pop("parallel_tool_calls", True)  # OpenAI's: one call at a time, which the answers show
        if at_once is False and any(len(turn.get("tool_calls", ())) > 1 for turn in turns):
            raise BadRow("'parallel_tool_calls' is false, and an answer has several calls")
        if not self.answered and turns[-1]["role"] == "assistant":
            turns = turns[:-1]
        check_turns(turns, self.answered)
        return {"messages": turns, **({"tools": tools} if tools else {})}


def check_turns(turns: list[Row], answered: bool) -> None:
    """Raises BadRow where nothing is asked, or nothing is to be learnt."""
    if all(turn["role"] != "user" for turn in turns):
        raise BadRow("no message is the user's: nothing is asked")
    if not answered:
        return
    if turns[-1]["role"] != "assistant":
        raise BadRow("the last message is not the assistant's: there is nothing to learn")
    if all(turn.get("weight") == 0 for turn in turns if turn["role"] == "assistant"):
        raise BadRow("every answer has weight 0: there is nothing to learn")


# Messages


def is_messages(value: Any) -> bool:
    """A list of messages, and no list of other objects: an answer may be that."""
    return isinstance(value, list) and bool(value) and all(map(_is_message, value))


def _is_message(value: Any) -> bool:
    return isinstance(value, dict) and value.get("role") in ROLES and ("content" in value or "tool_calls" in value)


def read_messages(value: Any, key: str) -> list[Row]:
    """Turns of `role` and `content`, or of ShareGPT's `from` and `value`. Raises BadRow."""
    value = parsed(value, key)
    if isinstance(value, dict) and value and all(isinstance(column, list) for column in value.values()):
        columns = list(value.values())  # as Parquet has a list of records: a record of lists
        if len({len(column) for column in columns}) == 1:
            value = [dict(zip(value, row, strict=True)) for row in zip(*columns, strict=True)]
    if not isinstance(value, list) or not value:
        raise BadRow(f"{key!r} is not a list of messages")
    return [_read_message(message) for message in value]


def _read_message(message: Any) -> Row:
    if not isinstance(message, dict):
        raise BadRow(f"a message is an object with a role, this is {_kind(message)}")
    left = {name: value for name, value in message.items() if value is not None}
    told = _take_one(left, "role", "from")
    role = ROLES.get(told) if isinstance(told, str) else None
    if role is None:
        raise BadRow(f"a message needs a role, this has {told!r}; known are {', '.join(ROLES)}")
    content = _take_one(left, "content", "value")
    turn = _turn(role, "")
    if told == "function_call":
        calls = parsed(content, "function_call")
        turn["tool_calls"], content = (
            [read_call(call) for call in (calls if isinstance(calls, list) else [calls])],
            None,
        )
    elif role == "assistant":
        _read_calls(turn, left)
        content = _read_thinking(turn, left, content)
    elif role == "tool":
        turn |= {name: str(left.pop(name)) for name in ("name", "tool_call_id") if name in left}
    if not _is_trained(left, role):
        turn["weight"] = 0
    if content is not None and not (content == "" and (turn.get("tool_calls") or role == "tool")):
        turn["content"] = as_text(_joined(content), "content")
    elif not turn.get("tool_calls") and role != "tool":
        raise BadRow(f"a message of the {role} has no content")
    if lost := holding(left):
        raise BadRow(
            f"nothing would be trained of {', '.join(map(repr, lost))} in a message of the {role}; take it out"
        )
    return turn


def _is_trained(left: Row, role: str) -> bool:
    """Takes the weight of a message; that of a question may only say what holds anyway. Raises BadRow."""
    key = next((name for name in WEIGHTS if name in left), None)
    if key is None:
        return True
    weight = left[key]
    if weight not in (0, 1) or (isinstance(weight, bool) and key == "weight"):
        raise BadRow(f"{key!r} of a message is {weight!r}: 0 is not trained, 1 is")
    if role == "assistant" or weight == 0:
        del left[key]
    return role != "assistant" or weight == 1


def _read_calls(turn: Row, left: Row) -> None:
    """Takes the calls of an answer."""
    calls = parsed(left.pop("tool_calls", None), "tool_calls")
    if (old := parsed(left.pop("function_call", None), "function_call")) is not None:
        calls = [*(calls or []), old]
    if calls is not None and not isinstance(calls, list):
        raise BadRow("'tool_calls' is not a list of calls")
    if calls:
        turn["tool_calls"] = [read_call(call) for call in calls]


def _read_thinking(turn: Row, left: Row, content: Any) -> Any:
    """Takes what an answer thinks, beside its content or as a part of it; gives what is left of the content.

    A `<think>…</think>` within a text stays there: the rendering gives it to a template that has a place for it.
    """
    parts = content if isinstance(content, list) and all(isinstance(part, dict) for part in content) else []
    thought = [part for part in parts if part.get("type") in THINKING]
    said = [_thought(part) for part in thought] + [left.pop(key) for key in THINKING if key in left]
    said = [text for text in said if text not in ("", [], {})]
    if not all(isinstance(text, str) for text in said):
        raise BadRow("the thinking of an answer is no text")
    within = isinstance(content, str) and content.lstrip().startswith("<think>")
    if len({*said}) + (within and bool(said)) > 1:  # some write the same under two names
        raise BadRow("an answer has two thinkings; keep one")
    if said and said[0].strip():
        turn["reasoning_content"] = said[0]
    return [part for part in parts if part not in thought] or None if thought else content


def _thought(part: Row) -> Any:
    left = {name: value for name, value in part.items() if value is not None}
    found = [left.pop(key) for key in (left.pop("type"), "text", "value") if key in left]
    if len(found) != 1 or holding(left):
        raise BadRow(f"nothing would be trained of {', '.join(map(repr, part))} in a part of thinking; give its text")
    return _joined(found[0])


def _take_one(left: Row, first: str, second: str, what: str = "a message") -> Any:
    """The value of the one of two keys that is there; both is one too many."""
    if first in left and second in left:
        raise BadRow(f"{what} has {first!r} and {second!r}; keep one")
    return left.pop(first, left.pop(second, None))


def _turn(role: str, content: str) -> Row:
    return {"role": role, "content": content}


# Tools


def read_tools(value: Any) -> list[Row]:
    """Functions as chat templates expect them: {"type": "function", "function": {"name", …}}. Raises BadRow."""
    value = parsed(value, "tools")
    if value is None or value == "":
        return []
    if not isinstance(value, list):
        raise BadRow("'tools' is not a list of functions")
    tools = []
    for tool in value:
        function = _function(tool)
        if function is None:
            raise BadRow("a tool needs a name: {'type': 'function', 'function': {'name', 'description', 'parameters'}}")
        tools.append({"type": "function", "function": function})
    return tools


def _function(value: Any) -> Row | None:
    """The function of a tool or of a call, in an object of its own or not; None where it has no name.

    Raises BadRow for what stands beside it and would be lost.
    """
    if not isinstance(value, dict):
        return None
    function = value.get("function", {key: inner for key, inner in value.items() if key not in ("type", "id")})
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        return None
    kind = value.get("type", "function")
    beside = [key for key in holding(value) if key not in ("type", "id", "function")] if "function" in value else []
    if kind != "function" or beside:
        lost = ", ".join(map(repr, beside)) or f"a tool of the kind {kind!r}"
        raise BadRow(f"nothing would be trained of {lost} beside {function['name']}; take it out")
    return function


def read_call(call: Any) -> Row:
    """{"type": "function", "function": {"name", "arguments"}}, its arguments an object. Raises BadRow."""
    function = _function(call)
    if function is None:
        raise BadRow("a call of a tool needs a name and arguments")
    arguments = parsed(function.get("arguments"), "arguments")
    arguments = {} if arguments is None else arguments
    if not isinstance(arguments, dict):
        raise BadRow(f"the arguments of {function['name']} are no JSON object")
    if more := [key for key in function if key not in ("name", "arguments")]:
        raise BadRow(f"nothing would be trained of {', '.join(map(repr, more))} in a call; take it out")
    named = {"id": str(call["id"])} if call.get("id") is not None else {}
    return {**named, "type": "function", "function": {"name": function["name"], "arguments": arguments}}


# Values


def parsed(value: Any, key: str) -> Any:
    """A list or an object that may stand as JSON in a text, as columns of a table have it. Raises BadRow."""
    if not isinstance(value, str):
        return value
    if not value.strip():
        return None
    try:
        return load_json(value)
    except ValueError as error:
        raise BadRow(f"{key!r} is no JSON: {error}") from None


def as_text(value: Any, key: str) -> str:
    """A value as it is trained: text as it is written, numbers by their digits, lists and objects as JSON.

    Raises BadRow for nothing.
    """
    text = value if isinstance(value, str) else dump_json(value)
    if value is None or not text.strip():
        raise BadRow(f"{key!r} is empty")
    return text


def _joined(content: Any) -> Any:
    """A message's content, its parts joined where it has some. Raises BadRow for a part that is no text."""
    if isinstance(content, list) and content and all(isinstance(part, dict) for part in content):
        return "".join(map(_part, content))
    return content


def _part(part: Row) -> str:
    left = {name: value for name, value in part.items() if value is not None}
    kind, text = left.pop("type", None), left.pop("text", left.pop("value", None))
    if kind != "text" or not isinstance(text, str):
        raise BadRow(f"holds a part of the kind {kind!r}: only text can be trained")
    if lost := holding(left):
        raise BadRow(f"nothing would be trained of {', '.join(map(repr, lost))} in a part; take it out")
    return text


def _kind(value: Any) -> str:
    return "null" if value is None else type(value).__name__
