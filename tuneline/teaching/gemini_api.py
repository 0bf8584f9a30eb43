"""Google's Gemini API."""

import json
import re
import time
from contextlib import suppress
from typing import Any

import aiohttp
import httpx2
from google import genai
from google.genai import errors, types
from google.genai.client import DebugConfig

from tuneline.teaching.batches import FAILED, MOST_BYTES, Polled
from tuneline.teaching.client import (
    Client,
    Redirected,
    TooLarge,
    explain_failure,
    largest_answer,
    short,
    words_in,
    words_of,
)
from tuneline.teaching.log import Answer
from tuneline.teaching.openai_api import retry_after
from tuneline.teaching.options import Settings
from tuneline.teaching.request import Hopeless, Request, Unanswered, tokens

GEMINI = "https://generativelanguage.googleapis.com"  # said, so that no variable chooses who is asked
REFUSALS = ("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "LANGUAGE")


class GeminiProvider:
    faults = (
        errors.APIError,
        httpx2.TransportError,
        httpx2.InvalidURL,
        aiohttp.ClientError,
        OSError,
        Redirected,
        TooLarge,
    )

    def __init__(self, settings: Settings, secret: str) -> None:
        """Raises Hopeless when there is no key."""
        own_server = settings.base_url != "default"
        if not secret and not own_server:
            raise Hopeless("GEMINI_API_KEY is not set; export it or write it to .env")
        self.settings = settings
        most = MOST_BYTES if settings.batch else largest_answer(settings.max_tokens)
        self.http = Client(most, timeout=settings.timeout)
        self.client = genai.Client(
            api_key=secret or "none",
            vertexai=False,
            debug_config=DebugConfig(client_mode=None),  # else a variable has it answer from a file
            http_options=types.HttpOptions(
                base_url=settings.base_url if own_server else GEMINI,
                timeout=int(settings.timeout * 1000),
                retry_options=types.HttpRetryOptions(attempts=1),
                httpx_async_client=self.http,
            ),
        )

    def body(self, request: Request) -> dict[str, Any]:
        """generateContent's, in its JSON."""
        contents, config = self.parts(request)
        settings = {
            "temperature": self.settings.temperature,
            "maxOutputTokens": self.settings.max_tokens,
            "responseMimeType": "application/json",
            "responseJsonSchema": request.schema,
            **self.settings.extra_body,
        }
        body: dict[str, Any] = {
            "contents": contents,
            "generationConfig": {name: value for name, value in settings.items() if value is not None},
        }
        if "system_instruction" in config:
            body["systemInstruction"] = {"parts": [{"text": config["system_instruction"]}]}
        return body

    def parts(self, request: Request) -> tuple[list[dict], dict[str, Any]]:
        """(contents, config) for the SDK."""
        contents = [
            {"role": "model" if role == "assistant" else "user", "parts": [{"text": content}]}
            for role, content in request.messages
            if role != "system"
        ]
        config: dict[str, Any] = {
            "temperature": self.settings.temperature,
            "max_output_tokens": self.settings.max_tokens,
            "response_mime_type": "application/json",
            "response_json_schema": request.schema,
            **self.settings.extra_body,
        }
        if system := "\n\n".join(content for role, content in request.messages if role == "system"):
            config["system_instruction"] = system
        return contents, config

    async def answer(self, request: Request) -> Answer:
        """Raises Unanswered or Hopeless."""
        path = f"models/{self.settings.model.removeprefix('models/')}:generateContent"
        start = time.monotonic()
        try:
            # The client's own request, as the SDK's models.generate_content makes it: that one's conversions of
            # body and answer take four times the CPU time of all the rest of a call.
            response = await self.client.aio._api_client.async_request("post", path, self.body(request))
            said = json.loads(response.body)
        except self.faults as error:
            raise self.explain(error) from None
        except (ValueError, RecursionError):
            raise Unanswered("the service's answer is no JSON", sent=True) from None
        return read_response(said, self.settings.model, time.monotonic() - start)

    def explain(self, error: Exception) -> Unanswered | Hopeless:
        """What one of the `faults` means."""
        return explain_status(error) if isinstance(error, errors.APIError) else explain_failure(error)

    async def find_batch(self, name: str) -> str | None:
        async for job in await self.client.aio.batches.list():
            if job.display_name == name and _plain(job.state.name) not in FAILED:
                return job.name
        return None

    async def submit(self, name: str, asked: dict[str, Request]) -> str:
        source = []
        for key, request in asked.items():
            contents, config = self.parts(request)
            try:
                source.append(types.InlinedRequest(contents=contents, config=config, metadata={"key": key}))
            except ValueError as error:
                raise Hopeless(f"batch: body: {short(str(error))}") from None
        made = self.client.aio.batches.create(model=self.settings.model, src=source, config={"display_name": name})
        return (await made).name

    async def poll(self, batch: str) -> Polled:
        # As it comes: the SDK leaves out why a batch failed, and refuses all of it for one answer of another form.
        response = await self.client.aio._api_client.async_request("get", batch, {})
        job = json.loads(response.body)
        state = _plain(job["metadata"]["state"])
        if state not in ("succeeded", "partially_succeeded", *FAILED):
            return Polled("waiting")
        output = job["metadata"].get("output") or job.get("response") or {}
        answers: dict[str, Answer | Unanswered] = {}
        for item in (output.get("inlinedResponses") or {}).get("inlinedResponses") or []:
            with suppress(AttributeError, LookupError, TypeError):  # of no known question
                answers[item["metadata"]["key"]] = self._batch_answer(item)
        return Polled(state if state in FAILED else "done", answers, words_of(job.get("error")))

    def _batch_answer(self, item: dict[str, Any]) -> Answer | Unanswered:
        if not item.get("response"):
            return Unanswered(words_of(item.get("error")) or "it has no answer")
        try:
            return read_response(item["response"], self.settings.model, 0.0)
        except Unanswered as error:
            return error

    async def close(self) -> None:
        await self.client.aio.aclose()
        await self.http.aclose()


def _plain(state: str) -> str:
    return state.removeprefix("JOB_STATE_").removeprefix("BATCH_STATE_").lower()


def read_response(body: Any, model: str, seconds: float) -> Answer:
    """The answer in a response's JSON. Raises Unanswered when it holds neither an answer nor why there is none."""
    try:
        return _read(body, model, seconds)
    except (AttributeError, LookupError, TypeError, RecursionError):
        raise Unanswered("the service's answer is no response of Gemini", sent=True) from None


def _read(said: Any, model: str, seconds: float) -> Answer:
    if (isinstance(said, list) or not said.get("candidates")) and (words := words_of(said)):
        raise Unanswered(f"the service says {words}")
    candidate = (said.get("candidates") or [{}])[0]
    blocked = (said.get("promptFeedback") or {}).get("blockReason")
    if not (candidate.get("content") or candidate.get("finishReason")) and "promptFeedback" not in said:
        raise LookupError
    finish = candidate.get("finishReason") or "STOP"
    parts = (candidate.get("content") or {}).get("parts") or []
    usage = said.get("usageMetadata")
    usage = usage if isinstance(usage, dict) else {}
    return Answer(
        text="".join(part.get("text") or "" for part in parts if not part.get("thought")) or str(blocked or ""),
        finish="refusal" if blocked or finish in REFUSALS else "length" if finish == "MAX_TOKENS" else "stop",
        tokens_in=tokens(usage.get("promptTokenCount")),
        # Thoughts are billed as output.
        tokens_out=tokens(usage.get("candidatesTokenCount")) + tokens(usage.get("thoughtsTokenCount")),
        seconds=round(seconds, 3),
        model=str(said.get("modelVersion") or model),
    )


def explain_status(error: errors.APIError) -> Unanswered | Hopeless:
    said = words_in(error.response.content)
    if error.code in (408, 409, 429) or error.code >= 500:
        asked = retry_after(error.response.headers)
        if asked is None and (found := re.search(r"'retryDelay': '(\d+(?:\.\d+)?)s'", str(error.details))):
            asked = float(found[1])
        return Unanswered(f"status {error.code}: {said}", asked)
    return Hopeless(f"the service says {error.code}: {said}")
