"""What a client may ask, in OpenAI's words: each field is done, or refused; none that would change the answer is passed
over.

The fields are those of its chat completions: https://platform.openai.com/docs/api-reference/chat/create.
"""

import json
from dataclasses import dataclass
from typing import Annotated, Any

import click
from pydantic import BaseModel, ConfigDict, Field

from tuneline.answering.predictor import check_questions
from tuneline.answering.prompts import prompt_ids
from tuneline.files import Row
from tuneline.recipe.forms import read_question
from tuneline.rows import BadRow
from tuneline.serving.calls import Calls
from tuneline.serving.voices import OBJECT, Voice

GREEDY = "answers are greedy, as the adapter was measured"
# What a field may say: that which holds anyway. Null is as if it were not there.
ONLY: dict[str, tuple[tuple[Any, ...], str]] = {
    "n": ((1,), f"one answer is given: {GREEDY}, and another would be the same"),
    "logprobs": ((False,), "none are told"),
    "top_logprobs": ((0,), "none are told"),
    "presence_penalty": ((0,), GREEDY),
    "frequency_penalty": ((0,), GREEDY),
    "logit_bias": (({},), GREEDY),
    "functions": (([],), "this is the older form of `tools`; give those"),
    "function_call": ((), "this is the older form of `tools`; give those"),
    "tool_choice": (("auto",), "the model alone decides whether it calls"),
    "modalities": ((["text"],), "answers are text"),
    "audio": ((), "answers are text"),
    "web_search_options": ((), "the server asks nobody"),
    "reasoning_effort": ((), "how a model thinks is part of its template: template-options in base.yaml"),
    "verbosity": (("medium",), "the adapter answers as it was trained"),
    "store": ((False,), "nothing is kept"),
    "service_tier": (("auto", "default"), "there is one"),
}
# What changes no answer.
Harmless = Annotated[Any, Field(None, description="Of no effect.")]
Most = Annotated[int | None, Field(None, ge=1, description="Tokens of the answer, its end counted.")]


class Refusal(Exception):
    """A request that is not answered; `code` and `param` are OpenAI's."""

    def __init__(self, message: str, param: str | None = None, code: str = "unsupported_value", status: int = 400):
        super().__init__(message)
        self.message, self.param, self.code, self.status = message, param, code, status


class StreamOptions(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    include_usage: bool | None = None
    include_obfuscation: Harmless


def _only(name: str) -> Any:
    values, why = ONLY[name]
    told = " or ".join(json.dumps(value) for value in values) or "null"
    return Field(None, description=f"Nothing but {told}: {why}.")


class Asked(BaseModel):
    """A chat completion as OpenAI has it."""

    model_config = ConfigDict(extra="forbid", strict=True)  # no "yes" for true, no true for 1
    model: str = Field(description="One of /v1/models.")
    messages: list[dict[str, Any]] = Field(
        min_length=1, description="The last is the user's or a tool's. Without a system message, the adapter's own."
    )
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Most
    max_completion_tokens: Most
    stop: str | Annotated[list[str], Field(max_length=16)] | None = Field(None, description="Texts that end an answer.")
    temperature: float | None = Field(None, ge=0, le=2, description="0; with another, the answer notes that it is 0.")
    top_p: float | None = Field(None, gt=0, le=1, description="1; with another, the answer notes that it is 1.")
    response_format: dict[str, Any] | None = Field(
        None, description="json_schema holds the answer to a schema; json_object to the adapter's own, if it has one."
    )
    tools: list[dict[str, Any]] | None = None
    parallel_tool_calls: bool | None = None
    seed: Harmless
    user: Harmless
    metadata: Harmless
    prediction: Harmless
    safety_identifier: Harmless
    prompt_cache_key: Harmless
    prompt_cache_retention: Harmless
    n: Any = _only("n")
    logprobs: Any = _only("logprobs")
    top_logprobs: Any = _only("top_logprobs")
    presence_penalty: Any = _only("presence_penalty")
    frequency_penalty: Any = _only("frequency_penalty")
    logit_bias: Any = _only("logit_bias")
    functions: Any = _only("functions")
    function_call: Any = _only("function_call")
    tool_choice: Any = _only("tool_choice")
    modalities: Any = _only("modalities")
    audio: Any = _only("audio")
    web_search_options: Any = _only("web_search_options")
    reasoning_effort: Any = _only("reasoning_effort")
    verbosity: Any = _only("verbosity")
    store: Any = _only("store")
    service_tier: Any = _only("service_tier")


@dataclass(frozen=True)
class Question:
    """`schema`: what the answer is held to, as JSON. `tools`: names of those that it may call. `notes`: what is done
    otherwise than a client may think.
    """

    prompt: list[int]
    most: int
    stops: tuple[str, ...]
    schema: str | None
    tools: frozenset[str]
    notes: tuple[str, ...]


def read(asked: Asked, voice: Voice, context: int, most: int, calls: Calls | None) -> Question:
    """`context`: tokens of the base. `most`: tokens of an answer where nothing is said. Raises Refusal."""
    for name, (values, why) in ONLY.items():
        value = getattr(asked, name)
        if value is not None and not any(value == one and type(value) in _alike(one) for one in values):
            raise Refusal(f"{name} {json.dumps(value)[:80]} is not done here: {why}", name)
    if asked.stream_options and not asked.stream:
        raise Refusal("stream_options without stream", "stream_options", "invalid")
    stops = (asked.stop,) if isinstance(asked.stop, str) else tuple(asked.stop or ())
    if "" in stops:
        raise Refusal("an empty text would end every answer", "stop", "invalid")
    row = _row(asked)
    tools = frozenset(tool["function"]["name"] for tool in row.get("tools", ()))
    if tools and calls is None and voice.chat.takes_tools:
        raise Refusal("the base's chat template writes calls otherwise than as JSON, which is not read here", "tools")
    if tools and asked.parallel_tool_calls is False:
        raise Refusal("the model alone decides how much it calls", "parallel_tool_calls")
    prompt = _prompt(row, voice)
    room = context - len(prompt)
    if room < 1:
        raise Refusal(
            f"the messages have {len(prompt):,} tokens with what stands around them, and the context is {context:,} "
            "with the answer; shorten them",
            "messages",
            "context_length_exceeded",
        )
    most, notes = min(_most(asked) or most, room), tuple(_notes(asked, voice))
    return Question(prompt, most, stops, _schema(asked, voice), tools, notes)


def _alike(value: Any) -> tuple[type, ...]:
    """1.0 is 1 to a client, and true is not."""
    return (int, float) if type(value) is int else (type(value),)


def _row(asked: Asked) -> Row:
    for message in asked.messages:
        _check_content(message.get("content"))
    try:
        row, _ = read_question({"messages": asked.messages, "tools": asked.tools})
    except BadRow as reason:
        raise Refusal(str(reason), "messages", "invalid") from None
    if len(row["messages"]) < len(asked.messages):
        raise Refusal("the last message is the assistant's: an answer is begun by the model alone", "messages")
    return {**row, "where": "the request"}


def _check_content(content: Any) -> None:
    """A row of a file may hold an object where a text is meant; a request means none by it."""
    parts = content if isinstance(content, list) else [{"type": "text", "text": "" if content is None else content}]
    for part in parts or [None]:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind not in (None, "text"):
            raise Refusal(f"content holds a part of the type {json.dumps(kind)[:80]}: only text is read", "messages")
        if kind is None or not isinstance(part.get("text"), str):
            told = '{"type": "text", "text": "…"}'
            raise Refusal(f"content is a text, or a list of parts such as {told}", "messages", "invalid")


def _prompt(row: Row, voice: Voice) -> list[int]:
    try:
        check_questions(voice.chat, [row])
        return prompt_ids(voice.chat, row["messages"], row)
    except click.ClickException as error:
        raise Refusal(error.message, "messages", "invalid") from None


def _most(asked: Asked) -> int | None:
    given = {asked.max_tokens, asked.max_completion_tokens} - {None}
    if len(given) > 1:
        raise Refusal("max_tokens and max_completion_tokens differ; give one", "max_tokens", "invalid")
    return next(iter(given), None)


def _schema(asked: Asked, voice: Voice) -> str | None:
    form = asked.response_format or {"type": "text"}
    kind: Any = form.get("type")
    if kind == "text":
        return None
    if kind == "json_object":
        return voice.schema
    described = form.get("json_schema")
    if kind != "json_schema" or not isinstance(described, dict):
        raise Refusal(
            'it is {"type": "text"}, {"type": "json_object"} or {"type": "json_schema", "json_schema": {"schema": …}}',
            "response_format",
            "invalid",
        )
    schema = described.get("schema", json.loads(OBJECT))
    try:
        return json.dumps(schema, allow_nan=False)
    except (ValueError, RecursionError) as error:
        raise Refusal(f"the schema is none: {error}", "response_format", "invalid") from None


def _notes(asked: Asked, voice: Voice) -> list[str]:
    notes = []
    if asked.temperature or asked.top_p not in (None, 1):
        notes.append(f"{GREEDY}: temperature and top_p are as if they were 0 and 1")
    own, first = voice.chat.preamble.system, asked.messages[0]
    if own and first.get("role") in ("system", "developer") and _text(first) != own:
        notes.append(
            "asked under the request's system message, and not under the one that the adapter was trained with"
        )
    return notes


def _text(message: Row) -> str:
    content = message.get("content")
    return "".join(part.get("text", "") for part in content) if isinstance(content, list) else content
