"""Any server that speaks OpenAI's chat completions: OpenAI, vLLM, Ollama, llama.cpp."""

import json
import math
import re
import time
from typing import Any

import httpx2
import openai

from tuneline.files import dump_json
from tuneline.teaching.batches import FAILED, LARGEST
from tuneline.teaching.client import Client, Redirected, TooLarge, explain_failure, largest_answer
from tuneline.teaching.log import Answer
from tuneline.teaching.options import Settings
from tuneline.teaching.request import Hopeless, Request, Unanswered

FINISHES = {"length": "length", "content_filter": "refusal"}
HOPELESS_CODES = ("insufficient_quota", "billing_hard_limit_reached")
OPENAI = "https://api.openai.com/v1"  # said, so that OPENAI_BASE_URL does not choose who is asked
LIMITS = {"max_tokens", "max_completion_tokens"}
STRICT = {  # keywords of a schema
    "$defs", "$ref", "additionalProperties", "anyOf", "const", "description", "enum", "exclusiveMaximum",
    "exclusiveMinimum", "format", "items", "maxItems", "maximum", "minItems", "minimum", "multipleOf", "pattern",
    "properties", "required", "title", "type",
}  # fmt: skip


class OpenAIProvider:
    def __init__(self, settings: Settings, secret: str) -> None:
        """Raises Hopeless when OpenAI itself is meant and there is no key."""
        own_server = settings.base_url != "default"
        if not secret and not own_server:
            raise Hopeless("OPENAI_API_KEY is not set; export it or write it to .env")
        self.settings = settings
        self.limit = "max_tokens" if own_server else "max_completion_tokens"
        # Retries are ours: the SDK's own would be neither counted nor within the rate.
        self.client = openai.AsyncOpenAI(
            api_key=secret or "none",
            base_url=settings.base_url if own_server else OPENAI,
            max_retries=0,
            timeout=settings.timeout,
            http_client=Client(largest_answer(settings.max_tokens, LARGEST if settings.batch else 1)),
        )

    def body(self, request: Request) -> dict[str, Any]:
        schema = {"name": "answer", "schema": request.schema, "strict": is_strict(request.schema)}
        body = {
            "model": self.settings.model,
            "messages": [{"role": role, "content": without_halves(content)} for role, content in request.messages],
            "temperature": self.settings.temperature,
            self.limit: self.settings.max_tokens,
            "response_format": {"type": "json_schema", "json_schema": schema},
            **self.settings.extra_body,
        }
        return {name: value for name, value in body.items() if value is not None}

    async def answer(self, request: Request) -> Answer:
        """Raises Unanswered or Hopeless."""
        start = time.monotonic()
        try:
            # `chat.completions.create` would walk the body and the answer by their types: half of a call's CPU time.
            raw = await self.client.post("/chat/completions", body=self.body(request), cast_to=httpx2.Response)
            return read_completion(raw.content, self.settings.model, time.monotonic() - start)
        except openai.APIStatusError as error:
            if error.status_code == 400 and (other := other_limit(self.limit, error.message)):
                self.limit = other
                return await self.answer(request)
            raise explain_status(error) from None
        except (openai.APIConnectionError, httpx2.TransportError, Redirected, TooLarge) as error:  # a time-out is one
            raise explain_failure(error) from None

    async def find_batch(self, name: str) -> str | None:
        async for batch in await self._do(self.client.batches.list(limit=100)):
            if (batch.metadata or {}).get("name") == name and batch.status not in FAILED:
                return batch.id
        return None

    async def submit(self, name: str, asked: dict[str, Request]) -> str:
        lines = (
            {"custom_id": key, "method": "POST", "url": "/v1/chat/completions", "body": self.body(request)}
            for key, request in asked.items()
        )
        content = "".join(dump_json(line) + "\n" for line in lines).encode()
        file = await self._do(self.client.files.create(file=(f"{name}.jsonl", content), purpose="batch"))
        made = self.client.batches.create(
            input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h", metadata={"name": name}
        )
        return (await self._do(made)).id

    async def poll(self, batch: str) -> tuple[str, dict[str, Answer | Unanswered]]:
        state = await self._do(self.client.batches.retrieve(batch))
        if state.status not in ("completed", *FAILED):
            return "waiting", {}
        answers: dict[str, Answer | Unanswered] = {}
        for file in filter(None, (state.output_file_id, state.error_file_id)):
            content = await self._do(self.client.files.content(file))
            for line in content.content.splitlines():  # of bytes: in a text, U+2028 would end a line too
                record = json.loads(line)
                answers[record["custom_id"]] = self._batch_answer(record)
        return state.status if state.status in FAILED else "done", answers

    def _batch_answer(self, record: dict[str, Any]) -> Answer | Unanswered:
        response = record.get("response") or {}
        if response.get("status_code") != 200:
            said = words_of(response.get("body") or record)
            return Unanswered(f"status {response.get('status_code')}{said and f': {said}'}")
        try:
            return read_completion(response["body"], self.settings.model, 0.0)
        except Unanswered as error:
            return error

    async def _do(self, call: Any) -> Any:
        """Awaits a call of the SDK. Raises Hopeless: these calls are few, and another run repeats them."""
        try:
            return await call
        except openai.OpenAIError as error:
            raise Hopeless(f"batch: {' '.join(str(error).split())[:300]}; run it again to go on") from None

    async def close(self) -> None:
        await self.client.close()


def read_completion(body: bytes | dict, model: str, seconds: float) -> Answer:
    """Raises Unanswered when the body is no completion."""
    try:
        value = body if isinstance(body, dict) else json.loads(body)
        if "choices" not in value and (said := words_of(value)):  # status 200, and an error inside
            raise Unanswered(f"the service says {said}")
        choice = value["choices"][0]
        message = choice["message"]
        usage = value.get("usage") or {}
        refused = message.get("refusal")
        text = refused or message.get("content") or ""
        if not isinstance(text, str):
            raise TypeError
        return Answer(
            text=text,
            finish="refusal" if refused else FINISHES.get(choice.get("finish_reason"), "stop"),
            tokens_in=int(usage.get("prompt_tokens") or 0),
            tokens_out=int(usage.get("completion_tokens") or 0),
            seconds=round(seconds, 3),
            model=str(value.get("model") or model),
        )
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        raise Unanswered("the service's answer is no chat completion", sent=True) from None


def words_of(body: Any) -> str:
    """What a service says of an error, in its own words, in the forms that are in use; empty where it says nothing."""
    found = body.get("error", body) if isinstance(body, dict) else None
    if isinstance(found, dict):
        found = found.get("message") or found.get("detail")
    return " ".join(found.split())[:300] if isinstance(found, str) else ""


def other_limit(limit: str, said: str) -> str | None:
    """The name that a server takes for the most tokens of an answer, where its refusal names it."""
    (other,) = LIMITS - {limit}
    return other if re.search(rf"\b{other}\b", said) and re.search(rf"\b{limit}\b", said) else None


def without_halves(text: str) -> str:
    """The text with halves of surrogate pairs, which no request can carry, as question marks."""
    return text.encode("utf-8", "replace").decode("utf-8")


def explain_status(error: openai.APIStatusError) -> Unanswered | Hopeless:
    status = error.status_code
    said = words_of(error.body) or " ".join(str(error.message).split())[:300]
    if (status == 429 and error.code not in HOPELESS_CODES) or status in (408, 409) or status >= 500:
        return Unanswered(f"status {status}: {said}", retry_after(error.response.headers))
    return Hopeless(f"the service says {status}: {said}")


def retry_after(headers: Any) -> float | None:
    """Seconds that a Retry-After header asks for, in either of its forms (RFC 9110, 10.2.3)."""
    from email.utils import parsedate_to_datetime

    value = headers.get("retry-after")
    if not value:
        return None
    try:
        return max(0.0, float(value)) if math.isfinite(float(value)) else None
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def is_strict(schema: Any, root: bool = True) -> bool:
    """Whether OpenAI's strict mode takes it [1]: an object of known keywords, every object closed and every property
    of it required.

    [1] https://platform.openai.com/docs/guides/structured-outputs, "Supported schemas".
    """
    if not isinstance(schema, dict) or not schema.keys() <= STRICT or (root and schema.get("type") != "object"):
        return False
    properties = schema.get("properties", {})
    if schema.get("type") == "object" and (
        schema.get("additionalProperties") is not False or set(schema.get("required", ())) != set(properties)
    ):
        return False
    inner = [*properties.values(), *schema.get("$defs", {}).values(), *schema.get("anyOf", [])]
    inner += [schema["items"]] if "items" in schema else []
    return all(is_strict(one, root=False) for one in inner)
