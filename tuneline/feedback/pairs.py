"""What applications log of their calls, in OpenAI's form: {"request", "response"} → a sample, or a reason why not.

Of chat.completions and of responses. Either may stand in an envelope, as a batch or a proxy writes it: {"body": …}.
"""

from typing import Any

from tuneline.feedback.store import APPLICATION

MOST_SYSTEM = 6000  # signs of the system prompt that meta keeps; of meta as JSON 16,384 may be
PAIR = ("request", "response")
OWN = (*PAIR, "task", "model", "meta", APPLICATION)  # of a line; what else it has is left out, and told
STREAMED = "is a part of a streamed answer ({}); log the whole answer, as the client has it at the end"
TEXTS = ("text", "input_text", "output_text")  # kinds of a part that is text


def is_pair(record: Any) -> bool:
    """Also of half a pair: it is refused as what it is."""
    return isinstance(record, dict) and (
        any(key in record for key in PAIR) or "choices" in record or record.get("object") in ("response", *CHUNKS)
    )


CHUNKS = ("chat.completion.chunk", "chat.completion", "text_completion")


def read_pair(record: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """(fields of a sample, keys that are left out). Raises ValueError with the reason why it is none."""
    if not all(key in record for key in PAIR):
        _refuse_stream(record)
        raise ValueError("is one half of a pair; a line has both, as request and response")
    request, response = (_body(record[key], key) for key in PAIR)
    _refuse_stream(response)
    if response.get("error"):
        raise ValueError(f"the service answered an error: {str(response['error'])[:100]}")
    if "output" in response or response.get("object") == "response":
        system, asked = _of_responses(request)
        said = _said_by_responses(response)
    elif "choices" in response and "messages" in request:
        system, asked = _of_messages(request["messages"], "messages")
        said = _said_by_chat(response)
    else:
        raise ValueError("is neither of chat.completions (messages, choices) nor of responses (input, output)")
    meta = dict(record["meta"]) if isinstance(record.get("meta"), dict) else {}
    tags = request.get("metadata") if isinstance(request.get("metadata"), dict) else {}
    more = {"id": response.get("id"), "system": system[:MOST_SYSTEM]}
    more[APPLICATION] = record.get(APPLICATION) or tags.get(APPLICATION)
    meta |= {key: value for key, value in more.items() if isinstance(value, str) and value}
    found = {"input": asked, "output": said, "meta": meta}
    found |= {key: record[key] for key in ("task",) if key in record}
    model = record.get("model") or response.get("model") or request.get("model")
    return found | ({"model": model} if model else {}), [key for key in record if key not in OWN]


def _body(value: Any, name: str) -> dict[str, Any]:
    if isinstance(value, dict) and isinstance(value.get("body"), dict):
        status = value.get("status_code", 200)
        if status != 200:
            raise ValueError(f"the service answered {status}")
        return value["body"]
    if name == "response" and (isinstance(value, list) or (isinstance(value, str) and "data:" in value)):
        raise ValueError(STREAMED.format("a list of events"))
    if not isinstance(value, dict):
        raise ValueError(f"{name} is no object")
    return value


def _refuse_stream(response: dict[str, Any]) -> None:
    kind = next((response[key] for key in ("object", "type") if isinstance(response.get(key), str)), "")
    if kind.endswith(".chunk") or kind.startswith("response."):
        raise ValueError(STREAMED.format(kind))
    choices = response.get("choices")
    if isinstance(choices, list) and any(isinstance(one, dict) and "delta" in one for one in choices):
        raise ValueError(STREAMED.format("choices with a delta"))
    if kind == "text_completion":
        raise ValueError("is of the completions API (text_completion), which has no question and answer")


# ---------------------------------------------------------------- what was asked


def _of_responses(request: dict[str, Any]) -> tuple[str, str]:
    if request.get("previous_response_id") or request.get("conversation"):
        raise ValueError("goes on from an earlier answer, which is not in the line")
    given, instructions = request.get("input"), request.get("instructions") or ""
    if isinstance(given, str):
        return _text(instructions, "instructions"), given
    system, asked = _of_messages(given, "input")
    return "\n\n".join(filter(None, (_text(instructions, "instructions"), system))), asked


def _of_messages(messages: Any, name: str) -> tuple[str, str]:
    """(system prompt, question) of a conversation of one turn."""
    if not isinstance(messages, list) or not messages or not all(isinstance(one, dict) for one in messages):
        raise ValueError(f"{name} is no list of messages")
    roles = [str(one.get("role")) for one in messages]
    before = [role for role in roles[:-1] if role not in ("system", "developer")]
    if before or roles[-1] != "user":
        raise ValueError(f"{name} are {', '.join(roles)[:80]}; a sample is one question and its answer")
    texts = [_text(one.get("content"), f"{name}.content") for one in messages]
    return "\n\n".join(texts[:-1]), texts[-1]


def _text(content: Any, name: str) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list) or not all(isinstance(part, dict) for part in content):
        raise ValueError(f"{name} is no text")
    if others := sorted({str(part.get("type")) for part in content} - set(TEXTS)):
        raise ValueError(f"{name} has {', '.join(others)[:80]}, and only text can be learned from")
    return "\n".join(str(part.get("text", "")) for part in content)


# ---------------------------------------------------------------- what was said


def _said_by_chat(response: dict[str, Any]) -> str:
    choices = response["choices"]
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
        raise ValueError(f"has {len(choices) if isinstance(choices, list) else 'no list of'} choices; a sample has one")
    choice = choices[0]
    message = choice.get("message")
    if not isinstance(message, dict):
        raise ValueError("the choice has no message")
    if choice.get("finish_reason") in ("length", "content_filter"):
        raise ValueError(f"the answer is not whole: finish_reason is {choice['finish_reason']}")
    if message.get("tool_calls") or message.get("function_call"):
        raise ValueError("the answer calls a tool")
    if message.get("refusal"):
        raise ValueError("the model refused to answer")
    return _text(message.get("content"), "message.content")


def _said_by_responses(response: dict[str, Any]) -> str:
    status, output = response.get("status", "completed"), response.get("output")
    if status != "completed":
        raise ValueError(f"the answer is not whole: status is {status}")
    if not isinstance(output, list) or not all(isinstance(one, dict) for one in output):
        raise ValueError("output is no list")
    if others := sorted({str(one.get("type")) for one in output} - {"message", "reasoning"}):
        raise ValueError(f"the answer has {', '.join(others)[:80]}")
    said = [one.get("content") for one in output if one.get("type") == "message"]
    parts = [part for one in said if isinstance(one, list) for part in one]
    if any(isinstance(part, dict) and part.get("type") == "refusal" for part in parts):
        raise ValueError("the model refused to answer")
    return _text(parts, "output.content")
