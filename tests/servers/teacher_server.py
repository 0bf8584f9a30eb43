"""An HTTP server on loopback that speaks the OpenAI and the Gemini protocols, and fails on demand.

As a process: `python tests/teacher_server.py --port 0 --delay 0.05 --faults 0.1 --seed 0 [--kinds a,b] [--log FILE]`
prints its port, then serves until it is killed. In a test: `with serve(faults=0.1) as server: server.openai_url`.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import random
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, TextIO

from aiohttp import web

NO_ANSWER = ("429", "429-after", "500", "reset", "timeout", "nonsense")
BAD_ANSWER = ("malformed", "schema", "cut", "empty", "refusal")
KINDS = (*NO_ANSWER, *BAD_ANSWER)
TIMEOUT = 30.0
POLLS = 2  # a batch is in progress for so many looks at it
STARTS = 2000
SYLLABLES = "ba bri can dou el fa gri hou il jo ka lu mon na or pi qua ré sol té u vin xa yo zé cha pré tri clo".split()
VOCABULARY = ["".join(pair) for pair in itertools.product(SYLLABLES, repeat=2)]
FORMATS = {"date": "2024-05-17", "time": "08:30:00Z", "date-time": "2024-05-17T08:30:00Z"}
NONSENSE = (("text/html", "<html><body>Bad gateway</body></html>"), ("application/json", '{"status": "ok"}'))
ANY_SCHEMA = {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}
STATUS_NAMES = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED"}


# Answers


def words(rng: random.Random, least: int, most: int | None) -> str:
    """A text that no other seed gives, of `least` to `most` characters."""
    text = " ".join((f"réponse {rng.getrandbits(32):08x}", *rng.choices(VOCABULARY, k=8)))
    while len(text) < least:
        text += " " + rng.choice(VOCABULARY)
    return text if most is None else text[:most]


def number(schema: dict, rng: random.Random, whole: bool) -> int | float:
    """A number within the bounds of the schema, and a multiple of what it asks."""
    step = schema.get("multipleOf", 1 if whole else 0.25)
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    low = (0 if high is None else high - 100 * step) if low is None else low
    high = low + 100 * step if high is None else high
    first, last = -(-low // step), high // step
    first += "exclusiveMinimum" in schema and first * step <= schema["exclusiveMinimum"]
    last -= "exclusiveMaximum" in schema and last * step >= schema["exclusiveMaximum"]
    if whole or first <= last:
        value = rng.randint(int(first), int(last)) * step
        return int(value) if whole else value
    return (low + high) / 2


def resolved(schema: Any, root: dict) -> dict:
    """The schema behind references, with its `allOf` merged and the first of its choices taken."""
    if not isinstance(schema, dict):
        return {}
    if "$ref" in schema:
        target: Any = root
        for name in schema["$ref"].removeprefix("#").strip("/").split("/"):
            target = target[name] if name else target
        return resolved(target, root)
    parts = [*schema.get("allOf", ()), *schema.get("anyOf", ())[:1], *schema.get("oneOf", ())[:1]]
    if not parts:
        return schema
    merged = {key: value for key, value in schema.items() if key not in ("allOf", "anyOf", "oneOf")}
    for part in (resolved(part, root) for part in parts):
        for key, value in part.items():
            merged[key] = merged[key] | value if key in merged and isinstance(value, dict) else value
    return merged


def kind_of(schema: dict) -> str:
    """The JSON type that the schema asks for, in lower case as Gemini's own schemas have it in capitals."""
    named = schema.get("type", "object" if "properties" in schema else "array" if "items" in schema else "string")
    return (named if isinstance(named, str) else named[0]).lower()


def invented(schema: Any, rng: random.Random, root: dict) -> Any:
    """A value that obeys the schema (patterns apart)."""
    schema = resolved(schema, root)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return rng.choice(schema["enum"])
    kind = kind_of(schema)
    if kind == "object":
        return {key: invented(value, rng, root) for key, value in schema.get("properties", {}).items()}
    if kind == "array":
        count = min(int(schema.get("minItems", 2)), int(schema.get("maxItems", sys.maxsize)))
        return [invented(schema.get("items", {}), rng, root) for _ in range(count)]
    if kind in ("integer", "number"):
        return number(schema, rng, kind == "integer")
    if kind == "boolean":
        return rng.random() < 0.5
    if kind == "null":
        return None
    if schema.get("format") in FORMATS:
        return FORMATS[schema["format"]]
    most = schema.get("maxLength")
    return words(rng, int(schema.get("minLength", 0)), None if most is None else int(most))


def disobedient(value: Any, schema: dict) -> Any:
    """The value without a key that the schema requires, or a value of another type."""
    required = resolved(schema, schema).get("required")
    if isinstance(value, dict) and required:
        return {key: item for key, item in value.items() if key != required[0]}
    return {"wrong": True} if not isinstance(value, dict) else ["wrong"]


@dataclass(slots=True)
class Ask:
    """What a request asks, whatever its protocol."""

    model: str
    prompt: str
    schema: dict
    characters: int

    def name(self) -> bytes:
        return sha256(self.prompt.encode("utf-8", "surrogatepass")).digest()

    def text(self, fault: str | None) -> str:
        """The answer to the prompt, spoilt as the fault wants it."""
        if fault == "malformed":
            return "Bien sûr, voici ce que vous avez demandé : {"
        if fault in ("empty", "refusal"):
            return ""
        value = invented(self.schema, random.Random(int.from_bytes(self.name())), self.schema)
        if fault == "schema":
            value = disobedient(value, self.schema)
        text = json.dumps(value, ensure_ascii=False)
        return text[: len(text) // 2] if fault == "cut" else text


# The protocols


class OpenAI:
    """The wire format of OpenAI's chat completions."""

    @staticmethod
    def ask(body: dict, model: str = "") -> Ask:
        texts = [(message["role"], joined(message.get("content"))) for message in body["messages"]]
        schema = (body.get("response_format") or {}).get("json_schema", {}).get("schema") or ANY_SCHEMA
        return asked(body["model"], texts, schema)

    @staticmethod
    def completion(ask: Ask, fault: str | None) -> dict:
        text = ask.text(fault)
        message = {"role": "assistant", "content": text, "refusal": None}
        if fault == "refusal":
            message |= {"content": None, "refusal": "Je ne peux pas répondre à cela."}
        counts = (ask.characters // 4, len(text) // 4)
        return {
            "id": f"chatcmpl-{ask.name().hex()[:24]}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": ask.model,
            "choices": [{"index": 0, "message": message, "finish_reason": "length" if fault == "cut" else "stop"}],
            "usage": {"prompt_tokens": counts[0], "completion_tokens": counts[1], "total_tokens": sum(counts)},
        }

    @staticmethod
    def error(status: int, message: str) -> dict:
        return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": str(status)}}


class Gemini:
    """The wire format of Gemini's generateContent, as google-genai writes it."""

    @staticmethod
    def ask(body: dict, model: str = "") -> Ask:
        texts = [(content.get("role", "user"), joined(content.get("parts"))) for content in body["contents"]]
        if system := body.get("systemInstruction"):
            texts.insert(0, ("system", joined(system.get("parts"))))
        config = body.get("generationConfig") or {}
        schema = config.get("responseJsonSchema") or config.get("responseSchema") or body.get("responseJsonSchema")
        return asked(model, texts, schema or ANY_SCHEMA)

    @staticmethod
    def completion(ask: Ask, fault: str | None) -> dict:
        text = ask.text(fault)
        reason = {"cut": "MAX_TOKENS", "refusal": "SAFETY"}.get(fault or "", "STOP")
        content = {"role": "model"} | ({"parts": [{"text": text}]} if text else {})
        candidate = {"index": 0, "finishReason": reason} | ({} if fault == "refusal" else {"content": content})
        counts = (ask.characters // 4, len(text) // 4)
        return {
            "candidates": [candidate],
            "usageMetadata": {
                "promptTokenCount": counts[0],
                "candidatesTokenCount": counts[1],
                "totalTokenCount": sum(counts),
            },
            "modelVersion": ask.model,
            "responseId": ask.name().hex()[:24],
        }

    @staticmethod
    def error(status: int, message: str) -> dict:
        return {"error": {"code": status, "message": message, "status": STATUS_NAMES.get(status, "INTERNAL")}}


Protocol = type[OpenAI] | type[Gemini]


def joined(content: Any) -> str:
    """The text of a message: a string, or the parts that have some."""
    if isinstance(content, str):
        return content
    return "".join(part.get("text") or "" for part in content or ())


def asked(model: str, texts: list[tuple[str, str]], schema: dict) -> Ask:
    prompt = next((text for role, text in reversed(texts) if role == "user"), texts[-1][1])
    return Ask(model, prompt, schema, sum(len(text) for _, text in texts))


def key_of(request: web.Request) -> str:
    return request.headers.get("x-goog-api-key") or request.headers.get("Authorization", "").removeprefix("Bearer ")


def protocol_of(request: web.Request) -> Protocol:
    return Gemini if "x-goog-api-key" in request.headers else OpenAI


def reply(body: Any, status: int = 200, **headers: str) -> web.Response:
    text = json.dumps(body, ensure_ascii=False)
    return web.Response(text=text, status=status, content_type="application/json", headers=headers)


# The server


@dataclass
class Teacher:
    """What the server was told to do, and what it has seen."""

    delay: float = 0.0
    faults: float = 0.0
    seed: int = 0
    kinds: tuple[str, ...] = KINDS
    log: TextIO | None = None
    files: dict[str, tuple[dict, bytes]] = field(default_factory=dict)
    batches: dict[str, dict] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.in_flight = 0
        self.forget()

    def forget(self) -> None:
        """Starts the counts again; files and batches stay."""
        self.requests = self.answered = self.most_in_flight = self.made = self.batched = 0
        self.seen: Counter[str] = Counter()
        self.asked: Counter[bytes] = Counter()
        self.keys: dict[str, None] = {}
        self.starts: list[float] = []

    def stats(self) -> dict:
        return {
            "requests": self.requests,
            "answered": self.answered,
            "most_in_flight": self.most_in_flight,
            "faults": dict(self.seen),
            "keys_seen": list(self.keys),
            "by_prompt": len(self.asked),
            "batches": self.made,
            "batch_requests": self.batched,
            "starts": self.starts,
        }

    def fault(self, ask: Ask) -> tuple[str | None, int]:
        """The fault that this asking of the prompt gets, if any, and how often the prompt was asked before."""
        name = ask.name()
        times = self.asked[name]
        self.asked[name] += 1
        draw = sha256(f"{self.seed} {times} ".encode() + name).digest()
        if not self.kinds or int.from_bytes(draw[:8]) >= self.faults * 2**64:
            return None, times
        kind = self.kinds[int.from_bytes(draw[8:16]) % len(self.kinds)]
        self.seen[kind] += 1
        return kind, times

    def note(self, **what: Any) -> None:
        if self.log:
            self.log.write(json.dumps(what, ensure_ascii=False) + "\n")

    async def serve(self, request: web.Request, protocol: Protocol) -> web.Response:
        """Answers one request for a completion, and counts it."""
        arrived = time.monotonic()
        self.requests += 1
        if len(self.starts) < STARTS:
            self.starts.append(arrived)
        self.keys.setdefault(key_of(request))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            return await self.respond(request, protocol, arrived)
        finally:
            self.in_flight -= 1

    async def respond(self, request: web.Request, protocol: Protocol, arrived: float) -> web.Response:
        try:
            ask = protocol.ask(json.loads(await request.read()), request.match_info.get("model", ""))
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            return reply(protocol.error(400, f"not a request: {error!r}"), 400)
        if status := fixed_status(ask.model):
            return reply(protocol.error(status, f"API key not valid: {key_of(request)}"), status)
        fault, times = self.fault(ask)
        self.note(at=arrived, model=ask.model, prompt=ask.prompt, times=times, fault=fault)
        body = None if fault in NO_ANSWER and fault != "timeout" else protocol.completion(ask, fault)
        await asyncio.sleep(max(arrived + self.delay - time.monotonic(), 0))
        if fault == "timeout":
            await asyncio.sleep(TIMEOUT)
        if body is not None:
            self.answered += fault is None
            return reply(body)
        return failure(request, protocol, fault or "", times)

    async def chat(self, request: web.Request) -> web.Response:
        return await self.serve(request, OpenAI)

    async def generate(self, request: web.Request) -> web.Response:
        return await self.serve(request, Gemini)

    async def upload(self, request: web.Request) -> web.Response:
        form = await request.post()
        sent = form["file"]
        assert isinstance(sent, web.FileField)
        return reply(self.keep(sent.file.read(), sent.filename, str(form["purpose"])))

    def keep(self, content: bytes, name: str, purpose: str) -> dict:
        """Stores a file as OpenAI does; its description."""
        file = {
            "id": f"file-{len(self.files):06d}",
            "object": "file",
            "bytes": len(content),
            "created_at": int(time.time()),
            "filename": name,
            "purpose": purpose,
            "status": "processed",
        }
        self.files[file["id"]] = (file, content)
        return file

    async def file(self, request: web.Request) -> web.Response:
        found = self.files.get(request.match_info["id"])
        return reply(found[0]) if found else reply(OpenAI.error(404, "no such file"), 404)

    async def content(self, request: web.Request) -> web.Response:
        found = self.files.get(request.match_info["id"])
        return web.Response(body=found[1]) if found else reply(OpenAI.error(404, "no such file"), 404)

    def outcome(self, protocol: Protocol, body: dict, model: str = "") -> tuple[int, dict]:
        """The status and the body that a request of a batch comes to; a fault that gives no answer is a status 500."""
        self.batched += 1
        ask = protocol.ask(body, model)
        if status := fixed_status(ask.model):
            return status, protocol.error(status, "the request failed")
        fault, times = self.fault(ask)
        self.note(at=time.monotonic(), model=ask.model, prompt=ask.prompt, times=times, fault=fault, batch=True)
        if fault in NO_ANSWER:
            return 500, protocol.error(500, "server error")
        return 200, protocol.completion(ask, fault)

    def new_batch(self, request: web.Request, name: str, shown: dict, **more: Any) -> dict:
        self.made += 1
        self.keys.setdefault(key_of(request))
        self.batches[name] = {"polls": 0, "shown": shown, **more}
        return shown

    async def openai_create(self, request: web.Request) -> web.Response:
        wanted = json.loads(await request.read())
        if wanted["input_file_id"] not in self.files:
            return reply(OpenAI.error(400, "no such input file"), 400)
        lines = [json.loads(line) for line in self.files[wanted["input_file_id"]][1].splitlines() if line.strip()]
        name = f"batch_{len(self.batches):06d}"
        shown = {
            "id": name,
            "object": "batch",
            "status": "validating",
            "created_at": int(time.time()),
            "metadata": wanted.get("metadata"),
            "request_counts": {"total": 0, "completed": 0, "failed": 0},
            "output_file_id": None,
            "error_file_id": None,
            **{key: wanted[key] for key in ("input_file_id", "endpoint", "completion_window")},
        }
        return reply(self.new_batch(request, name, shown, protocol=OpenAI, lines=lines))

    def openai_finish(self, batch: dict) -> None:
        """Writes the answers, in another order than the requests as OpenAI may, and the failures apart."""
        files: dict[bool, list[str]] = {True: [], False: []}
        for index, line in reversed(list(enumerate(batch["lines"]))):
            status, body = self.outcome(OpenAI, line["body"])
            response = {"status_code": status, "request_id": f"req_{index}", "body": body}
            row = {"id": f"batch_req_{index}", "custom_id": line["custom_id"], "response": response, "error": None}
            files[status == 200].append(json.dumps(row, ensure_ascii=False) + "\n")
        shown = batch["shown"]
        shown |= {"status": "completed", "completed_at": int(time.time())}
        shown["request_counts"] = {
            "total": len(batch["lines"]),
            "completed": len(files[True]),
            "failed": len(files[False]),
        }
        for good, key in ((True, "output"), (False, "error")):
            if files[good]:
                file = self.keep("".join(files[good]).encode(), f"{shown['id']}_{key}.jsonl", "batch_output")
                shown[f"{key}_file_id"] = file["id"]

    async def gemini_create(self, request: web.Request) -> web.Response:
        wanted = json.loads(await request.read())["batch"]
        lines = wanted["inputConfig"]["requests"]["requests"]
        name = f"batches/b{len(self.batches):06d}"
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        model = request.match_info["model"]
        metadata = {
            "name": name,
            "displayName": wanted.get("displayName"),
            "model": f"models/{model}",
            "state": "BATCH_STATE_PENDING",
            "createTime": now,
            "updateTime": now,
            "batchStats": {"requestCount": str(len(lines)), "pendingRequestCount": str(len(lines))},
        }
        shown = {"name": name, "metadata": metadata}
        return reply(self.new_batch(request, name, shown, protocol=Gemini, lines=lines, model=model))

    def gemini_finish(self, batch: dict) -> None:
        """Puts the answers into the batch, each with the metadata of its request."""
        rows = []
        for line in batch["lines"]:
            status, body = self.outcome(Gemini, line["request"], batch["model"])
            failed = {"error": {"code": 13, "message": body["error"]["message"]}} if status != 200 else {}
            rows.append((failed or {"response": body}) | {"metadata": line.get("metadata")})
        output = {"inlinedResponses": {"inlinedResponses": rows}}
        ended = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        batch["shown"]["metadata"] |= {
            "state": "BATCH_STATE_SUCCEEDED",
            "endTime": ended,
            "updateTime": ended,
            "output": output,
        }
        batch["shown"] |= {"done": True, "response": output}

    async def poll(self, request: web.Request) -> web.Response:
        """One look at a batch: both protocols may use this path."""
        protocol = protocol_of(request)
        name = ("batches/" if protocol is Gemini else "") + request.match_info["id"]
        batch = self.batches.get(name)
        if batch is None:
            return reply(protocol.error(404, "no such batch"), 404)
        batch["polls"] += 1
        if batch["polls"] == POLLS + 1:
            (self.gemini_finish if protocol is Gemini else self.openai_finish)(batch)
        elif batch["polls"] <= POLLS and protocol is Gemini:
            batch["shown"]["metadata"]["state"] = "BATCH_STATE_RUNNING"
        elif batch["polls"] <= POLLS:
            batch["shown"]["status"] = "in_progress"
        return reply(batch["shown"])

    async def listing(self, request: web.Request) -> web.Response:
        """All batches of a protocol, the newest first."""
        protocol = protocol_of(request)
        shown = [batch["shown"] for batch in reversed(self.batches.values()) if batch["protocol"] is protocol]
        if protocol is Gemini:
            return reply({"operations": shown} if shown else {})
        return reply({"object": "list", "data": shown, "has_more": False})

    async def show(self, request: web.Request) -> web.Response:
        return reply(self.stats())

    async def reset(self, request: web.Request) -> web.Response:
        self.forget()
        return reply({})


def fixed_status(model: str) -> int:
    """The status that a model called `status-401` answers with; 0 for any other."""
    name, _, status = model.rpartition("/")[2].partition("-")
    return int(status) if name == "status" and status.isdecimal() else 0


def failure(request: web.Request, protocol: Protocol, fault: str, times: int) -> web.Response:
    """What a fault gives instead of a completion."""
    if fault == "reset":
        if request.transport:
            request.transport.abort()
        return web.Response()
    if fault == "nonsense":
        kind, text = NONSENSE[times % len(NONSENSE)]
        return web.Response(text=text, content_type=kind)
    status = int(fault[:3])
    headers = {"Retry-After": "0"} if fault == "429-after" else {}
    return reply(protocol.error(status, "too many requests" if status == 429 else "server error"), status, **headers)


def application(teacher: Teacher) -> web.Application:
    app = web.Application(client_max_size=2**30)
    app.router.add_post("/v1/chat/completions", teacher.chat)
    for version in ("v1", "v1beta"):
        app.router.add_post(f"/{version}/models/{{model}}:generateContent", teacher.generate)
        app.router.add_post(f"/{version}/models/{{model}}:batchGenerateContent", teacher.gemini_create)
        app.router.add_get(f"/{version}/batches", teacher.listing)
        app.router.add_get(f"/{version}/batches/{{id}}", teacher.poll)
    app.router.add_post("/v1/files", teacher.upload)
    app.router.add_get("/v1/files/{id}", teacher.file)
    app.router.add_get("/v1/files/{id}/content", teacher.content)
    app.router.add_post("/v1/batches", teacher.openai_create)
    app.router.add_get("/stats", teacher.show)
    app.router.add_post("/reset", teacher.reset)
    return app


async def run(teacher: Teacher, port: int) -> None:
    """Serves until killed; the port is the first line of the output."""
    runner = web.AppRunner(application(teacher), access_log=None, handler_cancellation=True, keepalive_timeout=600)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, backlog=4096)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


def kinds_of(text: str) -> tuple[str, ...]:
    kinds = tuple(filter(None, text.split(",")))
    if unknown := set(kinds) - set(KINDS):
        raise argparse.ArgumentTypeError(f"no such fault: {', '.join(sorted(unknown))}")
    return kinds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--delay", type=float, default=0.0)
    parser.add_argument("--faults", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", type=kinds_of, default=KINDS)
    parser.add_argument("--log", type=Path)
    given = parser.parse_args()
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(given.log.open("a", encoding="utf-8", buffering=1)) if given.log else None
        stack.enter_context(contextlib.suppress(KeyboardInterrupt))
        asyncio.run(run(Teacher(given.delay, given.faults, given.seed, given.kinds, log), given.port))


# For the tests


@dataclass
class Server:
    """A server in a process of its own."""

    process: subprocess.Popen[str]
    port: int

    @property
    def openai_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def gemini_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def fetch(self, path: str, data: bytes | None = None) -> dict:
        with urllib.request.urlopen(f"{self.gemini_url}{path}", data, timeout=30) as response:
            return json.load(response)

    def stats(self) -> dict:
        return self.fetch("/stats")

    def reset(self) -> None:
        """Starts the counts again, those that decide the faults too; files and batches stay."""
        self.fetch("/reset", b"")


@contextlib.contextmanager
def serve(
    delay: float = 0.0, faults: float = 0.0, seed: int = 0, kinds: Iterable[str] | None = None, port: int = 0
) -> Iterator[Server]:
    """A server that lives as long as the block."""
    command = [sys.executable, str(Path(__file__).resolve()), "--port", str(port), "--delay", str(delay)]
    command += ["--faults", str(faults), "--seed", str(seed)]
    if kinds is not None:
        command += ["--kinds", ",".join([kinds] if isinstance(kinds, str) else kinds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            if not line:
                raise RuntimeError(f"no server: exit status {process.wait()}")
            yield Server(process, int(line))
        finally:
            process.kill()


if __name__ == "__main__":
    main()
