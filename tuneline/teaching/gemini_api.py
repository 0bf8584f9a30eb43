"""Google's Gemini API."""

import json
import re
import time
from typing import Any

from google import genai
from google.genai import errors, types

from tuneline.teaching.batches import FAILED, LARGEST
from tuneline.teaching.client import Client, Redirected, TooLarge, explain_failure, largest_answer
from tuneline.teaching.log import Answer
from tuneline.teaching.openai_api import retry_after, words_of
from tuneline.teaching.options import Settings
from tuneline.teaching.request import Hopeless, Request, Unanswered

GEMINI = "https://generativelanguage.googleapis.com"  # said, so that no variable chooses who is asked
REFUSALS = ("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "LANGUAGE")


class GeminiProvider:
    def __init__(self, settings: Settings, secret: str) -> None:
        """Raises Hopeless when there is no key."""
        own_server = settings.base_url != "default"
        if not secret and not own_server:
            raise Hopeless("GEMINI_API_KEY is not set; export it or write it to .env")
        self.settings = settings
        most = largest_answer(settings.max_tokens, LARGEST if settings.batch else 1)
        self.http = Client(most, timeout=settings.timeout)
        self.client = genai.Client(
            api_key=secret or "none",
            vertexai=False,
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
        import httpx2

        path = f"models/{self.settings.model.removeprefix('models/')}:generateContent"
        start = time.monotonic()
        try:
            # The client's own request, as the SDK's models.generate_content makes it: that one's conversions of
            # body and answer take four times the CPU time of all the rest of a call.
            response = await self.client.aio._api_client.async_request("post", path, self.body(request))
            said = json.loads(response.body)
        except errors.APIError as error:
            raise explain_status(error) from None
        except (httpx2.TransportError, ConnectionError, Redirected, TooLarge) as error:
            raise explain_failure(error) from None
        except (ValueError, RecursionError):
            raise Unanswered("the service's answer is no JSON", sent=True) from None
        return read_response(said, self.settings.model, time.monotonic() - start)

    async def find_batch(self, name: str) -> str | None:
        async for job in await self._do(self.client.aio.batches.list()):
            if job.display_name == name and _state(job) not in FAILED:
                return job.name
        return None

    async def submit(self, name: str, asked: dict[str, Request]) -> str:
        source = []
        for key, request in asked.items():
            contents, config = self.parts(request)
            source.append(types.InlinedRequest(contents=contents, config=config, metadata={"key": key}))
        made = self.client.aio.batches.create(model=self.settings.model, src=source, config={"display_name": name})
        return (await self._do(made)).name

    async def poll(self, batch: str) -> tuple[str, dict[str, Answer | Unanswered]]:
        job = await self._do(self.client.aio.batches.get(name=batch))
        state = _state(job)
        if state not in ("succeeded", "partially_succeeded", *FAILED):
            return "waiting", {}
        answers: dict[str, Answer | Unanswered] = {}
        for item in (job.dest and job.dest.inlined_responses) or []:
            key = (item.metadata or {}).get("key", "")
            given = item.response and item.response.model_dump(mode="json", by_alias=True, exclude_none=True)
            try:
                answers[key] = read_response(given, self.settings.model, 0.0) if given else Unanswered(str(item.error))
            except Unanswered as error:
                answers[key] = error
        return state if state in FAILED else "done", answers

    async def _do(self, call: Any) -> Any:
        """Awaits a call of the SDK. Raises Hopeless: these calls are few, and another run repeats them."""
        import aiohttp
        import httpx2

        try:
            return await call
        except (errors.APIError, httpx2.HTTPError, aiohttp.ClientError, OSError, ValueError) as error:
            raise Hopeless(f"batch: {' '.join(str(error).split())[:300]}; run it again to go on") from None

    async def close(self) -> None:
        await self.client.aio.aclose()
        await self.http.aclose()


def _state(job: types.BatchJob) -> str:
    return job.state.name.removeprefix("JOB_STATE_").lower() if job.state else "pending"


def read_response(body: Any, model: str, seconds: float) -> Answer:
    """The answer in a response's JSON. Raises Unanswered when it holds neither an answer nor why there is none."""
    try:
        return _read(body, model, seconds)
    except (AttributeError, LookupError, TypeError):
        raise Unanswered("the service's answer is no response of Gemini", sent=True) from None


def _read(said: dict[str, Any], model: str, seconds: float) -> Answer:
    if "candidates" not in said and (words := words_of(said)):
        raise Unanswered(f"the service says {words}")
    candidate = (said.get("candidates") or [{}])[0]
    blocked = (said.get("promptFeedback") or {}).get("blockReason")
    if not (candidate.get("content") or candidate.get("finishReason")) and "promptFeedback" not in said:
        raise LookupError
    finish = candidate.get("finishReason") or "STOP"
    parts = (candidate.get("content") or {}).get("parts") or []
    usage = said.get("usageMetadata") or {}
    return Answer(
        text="".join(part.get("text") or "" for part in parts if not part.get("thought")) or blocked or "",
        finish="refusal" if blocked or finish in REFUSALS else "length" if finish == "MAX_TOKENS" else "stop",
        tokens_in=usage.get("promptTokenCount") or 0,
        # Thoughts are billed as output.
        tokens_out=(usage.get("candidatesTokenCount") or 0) + (usage.get("thoughtsTokenCount") or 0),
        seconds=round(seconds, 3),
        model=said.get("modelVersion") or model,
    )


def explain_status(error: errors.APIError) -> Unanswered | Hopeless:
    said = " ".join(str(error.message or error).split())[:300]
    if error.code in (408, 409, 429) or error.code >= 500:
        headers = getattr(error.response, "headers", None) or {}
        asked = retry_after(headers)
        if asked is None and (found := re.search(r"'retryDelay': '([\d.]+)s'", str(error.details))):
            asked = float(found[1])
        return Unanswered(f"status {error.code}: {said}", asked)
    return Hopeless(f"the service says {error.code}: {said}")
