"""Google's Gemini API."""

import re
import time
from functools import cached_property
from typing import Any

from google import genai
from google.genai import errors, types

from tuneline.answer_log import Answer
from tuneline.batches import FAILED
from tuneline.provider_openai import retry_after
from tuneline.teacher import Hopeless, Request, Settings, Unanswered

REFUSALS = ("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "LANGUAGE")


class GeminiProvider:
    def __init__(self, settings: Settings, secret: str) -> None:
        """Raises Hopeless when there is no key."""
        own_server = settings.base_url != "default"
        if not secret and not own_server:
            raise Hopeless("GEMINI_API_KEY is not set; export it or write it to .env")
        self.settings, self.secret = settings, secret
        self.base_url = settings.base_url if own_server else None
        self.by_schema: dict[int, tuple[dict, genai.Client]] = {}

    def open_client(self, extra_body: dict[str, Any] | None = None) -> genai.Client:
        return genai.Client(
            api_key=self.secret or "none",
            http_options=types.HttpOptions(
                base_url=self.base_url,
                timeout=int(self.settings.timeout * 1000),
                retry_options=types.HttpRetryOptions(attempts=1),
                extra_body=extra_body,
            ),
        )

    @cached_property
    def client(self) -> genai.Client:
        """For batches, whose requests carry their own config."""
        return self.open_client()

    def client_for(self, schema: dict[str, Any]) -> genai.Client:
        """A client that adds the generation config to every body.

        Given as an argument of each call the SDK converts it anew: a third of a call's CPU time.
        """
        if id(schema) not in self.by_schema:
            config = {
                "temperature": self.settings.temperature,
                "maxOutputTokens": self.settings.max_tokens,
                "responseMimeType": "application/json",
                "responseJsonSchema": schema,
            }
            self.by_schema[id(schema)] = (schema, self.open_client({"generationConfig": config}))
        return self.by_schema[id(schema)][1]

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
        }
        if system := "\n\n".join(content for role, content in request.messages if role == "system"):
            config["system_instruction"] = system
        return contents, config

    async def answer(self, request: Request) -> Answer:
        """Raises Unanswered or Hopeless."""
        import aiohttp
        import httpx2

        contents, config = self.parts(request)
        system = {"system_instruction": config["system_instruction"]} if "system_instruction" in config else None
        start = time.monotonic()
        try:
            response = await self.client_for(request.schema).aio.models.generate_content(
                model=self.settings.model, contents=contents, config=system
            )
        except errors.APIError as error:
            raise explain_status(error) from None
        except (httpx2.TimeoutException, TimeoutError):
            raise Unanswered(f"no answer in {self.settings.timeout:g} s") from None
        except (httpx2.TransportError, aiohttp.ClientError, ConnectionError) as error:
            raise Unanswered(f"connection: {error}") from None
        except (ValueError, RecursionError):
            raise Unanswered("the service's answer is no JSON") from None
        return read_response(response, self.settings.model, time.monotonic() - start)

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
            given = item.response
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
        opened = [self.client] if "client" in vars(self) else []
        for client in (*opened, *(client for _, client in self.by_schema.values())):
            await client.aio.aclose()


def _state(job: types.BatchJob) -> str:
    return job.state.name.removeprefix("JOB_STATE_").lower() if job.state else "pending"


def read_response(response: types.GenerateContentResponse, model: str, seconds: float) -> Answer:
    """Raises Unanswered when the body holds neither an answer nor why there is none."""
    candidate = response.candidates[0] if response.candidates else None
    if not (candidate and (candidate.content or candidate.finish_reason)) and not response.prompt_feedback:
        raise Unanswered("the service's answer is no response of Gemini")
    blocked = response.prompt_feedback.block_reason if response.prompt_feedback else None
    finish = candidate.finish_reason.name if candidate and candidate.finish_reason else "STOP"
    parts = (candidate.content.parts if candidate and candidate.content else None) or []
    usage = response.usage_metadata
    return Answer(
        text="".join(part.text or "" for part in parts if not part.thought) or (blocked.name if blocked else ""),
        finish="refusal" if blocked or finish in REFUSALS else "length" if finish == "MAX_TOKENS" else "stop",
        tokens_in=(usage and usage.prompt_token_count) or 0,
        # Thoughts are billed as output.
        tokens_out=((usage and usage.candidates_token_count) or 0) + ((usage and usage.thoughts_token_count) or 0),
        seconds=round(seconds, 3),
        model=response.model_version or model,
    )


def explain_status(error: errors.APIError) -> Unanswered | Hopeless:
    said = " ".join(str(error.message or error).split())[:300]
    if error.code in (408, 409, 429) or error.code >= 500:
        headers = getattr(error.response, "headers", None) or {}
        asked = retry_after(headers)
        if asked is None and (found := re.search(r"'retryDelay': '([\d.]+)s'", str(error.details))):
            asked = float(found[1])
        return Unanswered(f"status {error.code}", asked)
    return Hopeless(f"the service says {error.code}: {said}")
