"""Any server that speaks OpenAI's chat completions: OpenAI, vLLM, Ollama, llama.cpp."""

import json
import math
import re
import time
from contextlib import suppress
from typing import Any

import httpx2
import openai

from tuneline.files import dump_json
from tuneline.teaching.batches import FAILED, MOST_BYTES, Polled
from tuneline.teaching.client import (
    Client,
    Redirected,
    TooLarge,
    explain_failure,
    largest_answer,
    lines,
    words_in,
    words_of,
)
from tuneline.teaching.log import Answer
from tuneline.teaching.options import Settings
from tuneline.teaching.request import Hopeless, Request, Unanswered, tokens

FINISHES = {"length": "length", "content_filter": "refusal"}
HOPELESS_CODES = ("insufficient_quota", "billing_hard_limit_reached")
OPENAI = "https://api.openai.com/v1"  # said, so that OPENAI_BASE_URL does not choose who is asked
LIMITS = {"max_tokens", "max_completion_tokens"}
STRICT = {  # keywords of a schema
    "$defs", "$ref", "additionalProperties", "anyOf", "const", "description", "enum", "exclusiveMaximum",
    "exclusiveMinimum", "format", "items", "maxItems", "maximum", "minItems", "minimum", "multipleOf", "pattern",
    "properties", "required", "title", "type",
}  # fmt: skip
FORMATS = {"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"}


class OpenAIProvider:
    faults = (openai.OpenAIError, httpx2.TransportError, httpx2.InvalidURL, Redirected, TooLarge)

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
            default_headers={
                "Authorization": f"Bearer {secret or 'none'}"
            },  # else OPENAI_CUSTOM_HEADERS may have another
            max_retries=0,
            timeout=settings.timeout,
            http_client=Client(largest_answer(settings.max_tokens)),
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
            return read_completion(await self._post(request), self.settings.model, time.monotonic() - start)
        except self.faults as error:
            raise self.explain(error) from None

    async def _post(self, request: Request) -> bytes:
        """The answer's body; asked a second time where the server names another limit."""
        limit = self.limit
        for last in (False, True):
            try:
                # `chat.completions.create` would walk body and answer by their types: half of a call's CPU time.
                answer = await self.client.post("/chat/completions", body=self.body(request), cast_to=httpx2.Response)
                return answer.content
            except openai.APIStatusError as error:
                other = error.status_code in (400, 422) and other_limit(limit, error.response.text)
                if last or not other:
                    raise
                self.limit = other
        raise AssertionError("the loop returns or raises")

    def explain(self, error: Exception) -> Unanswered | Hopeless:
        """What one of the `faults` means."""
        return explain_status(error) if isinstance(error, openai.APIStatusError) else explain_failure(error)

    async def find_batch(self, name: str) -> str | None:
        async for batch in self.client.batches.list(limit=100):
            if (batch.metadata or {}).get("name") == name and batch.status not in FAILED:
                return batch.id
        return None

    async def submit(self, name: str, asked: dict[str, Request]) -> str:
        lines = (
            {"custom_id": key, "method": "POST", "url": "/v1/chat/completions", "body": self.body(request)}
            for key, request in asked.items()
        )
        content = "".join(dump_json(line) + "\n" for line in lines).encode()
        file = await self.client.files.create(file=(f"{name}.jsonl", content), purpose="batch")
        made = await self.client.batches.create(
            input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h", metadata={"name": name}
        )
        return made.id

    async def poll(self, batch: str) -> Polled:
        state = await self.client.batches.retrieve(batch)
        if not state.status:
            raise LookupError
        if state.status not in ("completed", *FAILED):
            return Polled("waiting")
        answers: dict[str, Answer | Unanswered] = {}
        held = 0
        for file in filter(None, (state.output_file_id, state.error_file_id)):
            async with self.client.files.with_streaming_response.content(file) as content:
                # Lines of bytes: in a text, U+2028 would end one too.
                async for line in lines(content.iter_bytes(), largest_answer(self.settings.max_tokens)):
                    if (held := held + len(line)) > MOST_BYTES:
                        raise TooLarge(f"the batch's answers are larger than {MOST_BYTES / 2**20:.0f} MB")
                    with suppress(ValueError, LookupError, TypeError, AttributeError):  # of no known question
                        record = json.loads(line)
                        answers[record["custom_id"]] = self._batch_answer(record)
        said = words_of([error.message for error in (state.errors and state.errors.data) or []])
        return Polled(state.status if state.status in FAILED else "done", answers, said)

    def _batch_answer(self, record: dict[str, Any]) -> Answer | Unanswered:
        response = record.get("response") or {}
        if response.get("status_code") != 200:
            said = words_of(response.get("body") or record)
            return Unanswered(": ".join(filter(None, (f"status {response.get('status_code')}", said))))
        try:
            return read_completion(response.get("body"), self.settings.model, 0.0)
        except Unanswered as error:
            return error

    async def close(self) -> None:
        await self.client.close()


def read_completion(body: Any, model: str, seconds: float) -> Answer:
    """`body`: its bytes, or their JSON. Raises Unanswered when it is no completion."""
    try:
        value = json.loads(body) if isinstance(body, bytes) else body
        choice = (value.get("choices") or [{}])[0]
        if said := words_of({"error": choice.get("error")}) or ("" if choice else words_of(value)):
            raise Unanswered(f"the service says {said}")  # with status 200
        message = choice["message"]
        usage = value.get("usage")
        usage = usage if isinstance(usage, dict) else {}
        refused = message.get("refusal")
        text = refused or message.get("content") or ""
        if not isinstance(text, str):
            raise TypeError
        return Answer(
            text=text,
            finish="refusal" if refused else FINISHES.get(choice.get("finish_reason"), "stop"),
            tokens_in=tokens(usage.get("prompt_tokens")),
            tokens_out=tokens(usage.get("completion_tokens")),
            seconds=round(seconds, 3),
            model=str(value.get("model") or model),
        )
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        raise Unanswered("the service's answer is no chat completion", sent=True) from None


def other_limit(limit: str, said: str) -> str | None:
    """The name that a server takes for the most tokens of an answer, where its refusal names it."""
    (other,) = LIMITS - {limit}
    return other if re.search(rf"\b{other}\b", said) and re.search(rf"\b{limit}\b", said) else None


def without_halves(text: str) -> str:
    """The text with halves of surrogate pairs, which no request can carry, as question marks."""
    return text.encode("utf-8", "replace").decode("utf-8")


def explain_status(error: openai.APIStatusError) -> Unanswered | Hopeless:
    status = error.status_code
    said = words_in(error.response.content)
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
    properties, types = schema.get("properties", {}), schema.get("type", ())
    is_object = "object" in ([types] if isinstance(types, str) else types) or bool(properties)
    if is_object and (
        schema.get("additionalProperties") is not False or set(schema.get("required", ())) != set(properties)
    ):
        return False
    if schema.get("format", "date") not in FORMATS:
        return False
    inner = [*properties.values(), *schema.get("$defs", {}).values(), *schema.get("anyOf", [])]
    inner += [schema["items"]] if "items" in schema else []
    return all(is_strict(one, root=False) for one in inner)
