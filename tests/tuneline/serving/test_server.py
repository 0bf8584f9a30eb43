"""The server of answers, asked by OpenAI's own client and by bytes: it answers as predict does, or says why not."""

import asyncio
import contextlib
import json
import math
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import jsonschema
import openai
import pytest
from click.testing import CliRunner

from tests.chat_templates import TOOLS
from tests.conftest import ENVIRONMENT
from tests.servers.answer_server import SCHEMA, copy_adapter, serving, write_adapters
from tests.servers.instruction_server import Api
from tests.teaching import pay, settings
from tuneline.answering.predictor import Predictor, open_adapter
from tuneline.answering.prompts import prompt_ids
from tuneline.cli import main
from tuneline.models.base import read_base
from tuneline.rendering.preamble import Preamble
from tuneline.serving.engine import Engine, Job
from tuneline.serving.voices import Voices, named_folders
from tuneline.teaching.request import Request

QUESTIONS = [f"{'very ' * (n % 7)}long {n} é 🎉?" for n in range(32)]
MOST = 12
CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("served")
    write_adapters(root)
    return root


@pytest.fixture(scope="module")
def folders(root: Path) -> dict[str, Path]:
    return {name: root / "adapters" / name for name in ("json", "text")}


@pytest.fixture(scope="module")
def voices(root: Path, folders: dict[str, Path]) -> Voices:
    return Voices(folders, root)


@pytest.fixture(scope="module")
def wanted(root: Path, folders: dict[str, Path]) -> dict[str, list[str]]:
    """What predict answers, by model."""
    asked = [[said(text)] for text in QUESTIONS]
    found = {name: open_adapter(folder, False, root).answer(asked, 32, MOST, "") for name, folder in folders.items()}
    base = Predictor("cuda", read_base(root / "models/small"), "none", "float32", Preamble())
    found["small"] = base.answer(asked, 32, MOST, "")
    assert len({answer for answers in found.values() for answer in answers}) > 60
    return found


@pytest.fixture(scope="module")
def api(voices: Voices) -> Iterator[Api]:
    with serving(voices, batch_size=8, max_new_tokens=MOST) as running:
        yield running


@pytest.fixture(scope="module")
def client(api: Api) -> openai.OpenAI:
    return client_of(api)


def client_of(api: Api, key: str = "any") -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{api.url}/v1", api_key=key, max_retries=0, timeout=60)


def said(text: str, role: str = "user") -> dict[str, Any]:
    return {"role": role, "content": text}


def asked(text: str = "one?", **more: Any) -> dict[str, Any]:
    return {"model": "json", "messages": [said(text)], **more}


def streamed(client: openai.OpenAI, **more: Any) -> tuple[str, str, Any]:
    """(text, finish reason, usage)"""
    text, finish, usage = "", "", None
    for chunk in client.chat.completions.create(**asked(**more), stream=True, stream_options={"include_usage": True}):
        usage = chunk.usage or usage
        for choice in chunk.choices:
            text += choice.delta.content or ""
            finish = choice.finish_reason or finish
    return text, finish, usage


# ---------------------------------------------------------------- answers


def test_clients_at_once_get_what_predict_gives_each(api: Api, wanted: dict[str, list[str]]) -> None:
    """Of all models, streamed or not, some held to a schema beside those that are free."""

    async def ask(client: openai.AsyncOpenAI, number: int, model: str) -> tuple[str, int, str]:
        body = {"model": model, "messages": [said(QUESTIONS[number])]}
        if number % 2:
            answer = await client.chat.completions.create(**body)
            return model, number, answer.choices[0].message.content
        pieces = await client.chat.completions.create(**body, stream=True)
        return model, number, "".join([chunk.choices[0].delta.content or "" async for chunk in pieces])

    async def ask_all() -> list[Any]:
        async with openai.AsyncOpenAI(base_url=f"{api.url}/v1", api_key="any", max_retries=0) as client:
            free = [ask(client, number, model) for number in range(32) for model in wanted]
            held = [client.chat.completions.create(**asked(response_format=JSON)) for _ in range(8)]
            return await asyncio.gather(*free, *held)

    found = asyncio.run(ask_all())
    assert [(model, number, text) for model, number, text in found[:96]] == [
        (model, number, wanted[model][number]) for number in range(32) for model in wanted
    ]
    for answer in found[96:]:
        jsonschema.validate(json.loads(answer.choices[0].message.content), SCHEMA)


JSON = {"type": "json_schema", "json_schema": {"name": "a", "strict": True, "schema": SCHEMA}}


def test_what_is_streamed_is_what_comes_at_once(client: openai.OpenAI, voices: Voices) -> None:
    for more in ({}, {"response_format": JSON}, {"max_tokens": 3}, {"model": "text"}, {"model": "small"}):
        whole = client.chat.completions.create(**asked(**more))
        text, finish, usage = streamed(client, **more)
        assert (text, finish, usage) == (
            whole.choices[0].message.content,
            whole.choices[0].finish_reason,
            whole.usage,
        )
        chat = voices.named[whole.model].chat
        assert usage.prompt_tokens == len(chat.backend.encode(chat.prompt([said("one?")])).ids)
        assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
        held = "response_format" in more
        assert finish == ("stop" if held else "length")
        assert held or usage.completion_tokens == more.get("max_tokens", MOST)


@pytest.mark.parametrize("model", ["json", "text", "small"])
def test_json_object_is_the_adapters_own_schema_where_it_has_one(model: str, client: openai.OpenAI) -> None:
    more = {"response_format": {"type": "json_object"}, "max_tokens": 200}
    answer = client.chat.completions.create(**asked(**{"model": model, **more})).choices[0]
    if model == "json":
        jsonschema.validate(json.loads(answer.message.content), SCHEMA)
    else:
        assert answer.message.content.startswith("{")


def test_an_answer_ends_before_a_stop_string(client: openai.OpenAI, wanted: dict[str, list[str]]) -> None:
    text, whole = QUESTIONS[3], wanted["json"][3]
    for stop in (whole[4:7], [whole[6:9], "not there"], whole[:2]):
        first = min(at for one in ([stop] if isinstance(stop, str) else stop) if (at := whole.find(one)) >= 0)
        answer = client.chat.completions.create(**asked(text, stop=stop)).choices[0]
        assert (answer.message.content, answer.finish_reason) == (whole[:first], "stop")
        assert streamed(client, text=text, stop=stop)[:2] == (whole[:first], "stop")


def test_a_conversation_is_asked_as_predict_asks_it(client: openai.OpenAI, root: Path, folders: dict) -> None:
    turns = [said("a?"), said("b", "assistant"), said([{"type": "text", "text": "c"}, {"type": "text", "text": "?"}])]
    own = [said("Be brief.", "developer"), *turns]
    predictor = open_adapter(folders["text"], False, root)
    plain = [said("a?"), said("b", "assistant"), said("c?")]
    expected = predictor.answer([plain, [said("Be brief.", "system"), *plain]], 2, MOST, "")
    answers = [client.chat.completions.create(model="text", messages=messages) for messages in (turns, own)]
    assert [answer.choices[0].message.content for answer in answers] == expected
    assert expected[0] != expected[1]
    assert answers[0].model_extra == {}
    assert ["not under the one" in note for note in answers[1].model_extra["notes"]] == [True]
    same = [said("Answer — shortly.", "system"), *turns]
    again = client.chat.completions.create(model="text", messages=same)
    assert (again.choices[0].message.content, again.model_extra) == (expected[0], {})


def test_another_temperature_is_greedy_and_says_so(client: openai.OpenAI) -> None:
    same = {"n": 1, "logprobs": False, "presence_penalty": 0.0, "frequency_penalty": 0, "top_logprobs": 0}
    plain = client.chat.completions.create(**asked(temperature=0, top_p=1, seed=3, user="me", **same))
    warm = client.chat.completions.create(**asked(temperature=1.5))
    assert warm.choices[0].message.content == plain.choices[0].message.content
    assert plain.model_extra == {}
    assert "greedy" in warm.model_extra["notes"][0]
    first, *_ = client.chat.completions.create(**asked(top_p=0.5), stream=True)
    assert "greedy" in first.model_extra["notes"][0]


def test_the_models_are_the_adapters_and_their_base(client: openai.OpenAI, api: Api) -> None:
    assert [model.id for model in client.models.list()] == ["json", "text", "small"]
    assert client.models.retrieve("text").owned_by == "tuneline"
    with pytest.raises(openai.NotFoundError, match="there are json, text, small") as told:
        client.chat.completions.create(**asked(model="gpt-4o"))
    assert (told.value.code, told.value.param) == ("model_not_found", "model")
    status, health, _ = api.ask("/health")
    assert (status, health) == (200, {"status": "ok", "models": ["json", "text", "small"], "rows": 0, "waiting": 0})


def test_this_projects_teacher_may_be_an_adapter(api: Api, tmp_path: Path) -> None:
    requests = [Request(messages=(("user", text),), schema=SCHEMA) for text in QUESTIONS[:4]]
    chosen = settings(provider="openai", base_url=f"{api.url}/v1", model="json", price=("json=0/0",))
    outcomes, teacher = pay(chosen, tmp_path / "log", requests)
    assert [outcome.reason for outcome in outcomes] == [None] * 4
    for outcome in outcomes:
        jsonschema.validate(outcome.value, SCHEMA)
    assert teacher.calls == 4


def test_calls_of_tools_come_as_the_client_wants_them(tmp_path: Path) -> None:
    """A model of random weights calls where it is held to: under a template that writes calls as bare JSON."""
    folders = write_adapters(tmp_path)
    template = TOOLS.replace("<tool_call>\\n", "").replace("\\n</tool_call>", "")
    (tmp_path / "models/small/chat_template.jinja").write_text(template, encoding="utf-8")
    place = {"type": "object", "properties": {"a": {"enum": ["é", "b"]}}, "required": ["a"]}
    called = {"name": {"const": "f"}, "arguments": {**place, "additionalProperties": False}}
    schema = {"type": "object", "properties": called, "required": [*called], "additionalProperties": False}
    form = {"type": "json_schema", "json_schema": {"name": "call", "schema": schema}}
    with serving(Voices(folders, tmp_path), max_new_tokens=60) as api:
        client = client_of(api)
        first = client.chat.completions.create(**asked(tools=[TOOL], response_format=form)).choices[0]
        assert (first.finish_reason, first.message.content) == ("tool_calls", None)
        (call,) = first.message.tool_calls
        assert (call.type, call.function.name) == ("function", "f")
        jsonschema.validate(json.loads(call.function.arguments), place)
        *_, before, last = client.chat.completions.create(**asked(tools=[TOOL], response_format=form), stream=True)
        assert before.choices[0].delta.tool_calls[0].function.model_dump() == call.function.model_dump()
        assert last.choices[0].finish_reason == "tool_calls"
        given = {"role": "tool", "tool_call_id": call.id, "content": "sun"}
        again = {"messages": [said("one?"), first.message.model_dump(), given], "tools": [TOOL]}
        answer = client.chat.completions.create(**asked(**again)).choices[0]
        assert answer.message.tool_calls is None
        with pytest.raises(openai.BadRequestError, match="the model alone"):
            client.chat.completions.create(**asked(tools=[TOOL], parallel_tool_calls=False))


# ---------------------------------------------------------------- what is not done


IMAGE = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]
NO_CONTENT = (5, 0, False, {"a": 1}, [], ["x"], [3], [{"text": "x"}], [{"type": "text", "text": None}], None, "", " ")
NO_VALUE = [("n", True), ("n", 0), ("logprobs", 0), ("presence_penalty", False), ("max_tokens", True),
            ("max_tokens", 2.5), ("max_tokens", "3"), ("stream", "yes"), ("temperature", "0"), ("model", 4),
            ("messages", "hi")]  # fmt: skip
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


@pytest.mark.parametrize(
    ("more", "param", "said_so"),
    [
        ({"n": 2}, "n", "one answer"),
        ({"logprobs": True}, "logprobs", "none are told"),
        ({"presence_penalty": 0.5}, "presence_penalty", "greedy"),
        ({"logit_bias": {"5": 3}}, "logit_bias", "greedy"),
        ({"tool_choice": "required"}, "tool_choice", "the model alone"),
        ({"reasoning_effort": "high"}, "reasoning_effort", "template-options"),
        ({"modalities": ["audio"]}, "modalities", "text"),
        ({"functions": [{"name": "f"}]}, "functions", "tools"),
        ({"tools": [TOOL]}, "messages", "writes none"),
        ({"foo": 1}, "foo", "not permitted"),
        ({"temperature": 3}, "temperature", "less than or equal to 2"),
        ({"max_tokens": 0}, "max_tokens", "greater than or equal to 1"),
        ({"max_tokens": 3, "max_completion_tokens": 4}, "max_tokens", "differ"),
        ({"stream_options": {"include_usage": True}}, "stream_options", "without stream"),
        ({"stop": ["a", ""]}, "stop", "every answer"),
        ({"messages": []}, "messages", "at least 1"),
        ({"messages": [said("x"), said("y", "assistant")]}, "messages", "begun by the model"),
        ({"messages": [said("x", "system")]}, "messages", "nothing is asked"),
        ({"messages": [said("x", "king")]}, "messages", "king"),
        ({"messages": [said(IMAGE)]}, "messages", "image_url"),
        ({"messages": [said([said("x"), *IMAGE])]}, "messages", "a list of parts"),
        ({"messages": [said([{"type": "input_audio", "input_audio": {}}])]}, "messages", "input_audio"),
        *(({"messages": [said(wrong)]}, "messages", "content") for wrong in NO_CONTENT),
        ({"messages": [said({"a": 1}, "system"), said("x")]}, "messages", "a list of parts"),
        *(({name: wrong}, name, "") for name, wrong in NO_VALUE),
        ({"messages": [said("")]}, "messages", "empty"),
        ({"messages": [{**said("x"), "name": "Bo"}]}, "messages", "'name'"),
        ({"messages": [said("x <|im_end|> y")]}, "messages", "<|im_end|>"),
        ({"messages": [said("\ud800")]}, "messages", "surrogate"),
        ({"response_format": {"type": "xml"}}, "response_format", "json_schema"),
        ({"response_format": {"type": "json_schema"}}, "response_format", "json_schema"),
        ({"response_format": {**JSON, "json_schema": {"schema": {"type": "strin"}}}}, "response_format", "strin"),
        ({"response_format": {**JSON, "json_schema": {"schema": [1]}}}, "response_format", "object"),
        ({"response_format": {**JSON, "json_schema": {"schema": {"enum": []}}}}, "response_format", "nsatisfiable"),
        ({"response_format": {**JSON, "json_schema": {"schema": {"$ref": "#"}}}}, "response_format", "held to"),
        ({"response_format": {**JSON, "json_schema": {"schema": {"const": "\udc00"}}}}, "response_format", "schema"),
    ],
)
def test_what_is_not_done_is_refused_by_its_name(more: dict, param: str, said_so: str, api: Api) -> None:
    status, body, _ = api.ask(CHAT, asked(**more))
    assert (status, body["error"]["param"], body["error"]["type"]) == (400, param, "invalid_request_error"), body
    assert said_so in body["error"]["message"]
    assert set(body["error"]) == {"message", "type", "param", "code"}


def test_a_context_that_is_too_long_is_told_in_tokens(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match=r"2,0\d\d tokens .* context is 2,048|[3-9],\d{3} tokens") as told:
        client.chat.completions.create(**asked("word " * 3000))
    assert told.value.code == "context_length_exceeded"


def test_an_answer_never_outgrows_the_context(voices: Voices) -> None:
    """A client's limit is a limit, and no wish."""
    with serving(voices, timeout=60) as api:
        room = voices.context - 60
        text = "a b " * (room // 4)
        answer = client_of(api).chat.completions.create(**asked(text, max_tokens=10**6))
        assert answer.usage.total_tokens == voices.context
        assert answer.choices[0].finish_reason == "length"


@pytest.mark.parametrize(
    ("path", "sent", "status", "code"),
    [
        (CHAT, b"{", 400, "invalid"),
        (CHAT, b"[" * 100_000, 400, "invalid"),
        (CHAT, b"x" * 300_000, 413, "request_too_large"),
        ("/v1/completions", {"model": "json", "prompt": "x"}, 404, "not_found"),
        ("/v1/models/gpt-4o", None, 404, "model_not_found"),
        ("/v1/models", {}, 405, "method_not_allowed"),
    ],
)
def test_every_fault_has_openais_form(path: str, sent: Any, status: int, code: str, api: Api) -> None:
    found, body, _ = api.ask(path, sent)
    assert (found, body["error"]["code"], body["error"]["type"]) == (status, code, "invalid_request_error")


def test_other_sites_and_other_names_are_refused_in_openais_form(api: Api) -> None:
    for headers, status in (({"Host": "evil.example"}, 400), ({"Origin": "https://evil.example"}, 403)):
        found, body, _ = api.ask("/v1/models", **headers)
        assert (found, body["error"]["type"]) == (status, "invalid_request_error")


def test_a_token_is_asked_of_every_client(voices: Voices) -> None:
    with serving(voices, token="a-secret", max_new_tokens=2) as api:
        with pytest.raises(openai.AuthenticationError) as told:
            client_of(api, "another").chat.completions.create(**asked())
        assert told.value.code == "invalid_api_key"
        assert client_of(api, "a-secret").chat.completions.create(**asked()).usage.completion_tokens == 2
        open_to_all = Api(api.url)
        assert [open_to_all.ask(path)[0] for path in ("/health", "/metrics", "/v1/models")] == [200, 200, 401]
        assert open_to_all.ask("/health", Host="answers.example")[0] == 200


# ---------------------------------------------------------------- many at a time


def long_stream(client: openai.OpenAI) -> Any:
    """An answer that has begun, and will take a while."""
    stream = client.chat.completions.create(**asked(max_tokens=1900), stream=True)
    for chunk in stream:
        if chunk.choices[0].delta.content:
            return stream
    raise AssertionError("it has ended")


def metric(api: Api, name: str) -> float:
    lines = [line for line in api.ask("/metrics")[1].splitlines() if line.startswith(name)]
    return sum(float(line.split()[-1]) for line in lines)


def test_clients_that_go_free_their_places(voices: Voices) -> None:
    body = json.dumps(asked(max_tokens=1900)).encode()
    request = b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    with serving(voices, batch_size=2) as api:
        stream = long_stream(client_of(api))
        host, port = api.url.removeprefix("http://").split(":")
        whole = socket.create_connection((host, int(port)))
        whole.sendall(request % (CHAT.encode(), len(body)) + body)
        while api.ask("/health")[1]["rows"] < 2:
            pass
        stream.close()
        whole.close()
        answer = client_of(api).chat.completions.create(**asked(max_tokens=2))
        assert answer.usage.completion_tokens == 2
        while api.ask("/health")[1]["rows"]:
            pass
        assert metric(api, 'serve_requests_total{model="json",outcome="gone"}') == 2
        assert metric(api, "serve_answer_tokens_total") < 1900


def test_beyond_the_queue_a_client_is_told_to_come_again(voices: Voices) -> None:
    with serving(voices, batch_size=1, waiting=1, max_new_tokens=2) as api:
        client = client_of(api)
        stream = long_stream(client)
        waiting: list[Any] = []
        thread = threading.Thread(target=lambda: waiting.append(client.chat.completions.create(**asked())))
        thread.start()
        while not api.ask("/health")[1]["waiting"]:
            time.sleep(0.02)
        with pytest.raises(openai.RateLimitError) as told:
            client.chat.completions.create(**asked())
        assert told.value.response.headers["retry-after"] == "1"
        assert told.value.code == "too_many"
        stream.close()
        thread.join()
        assert waiting[0].usage.completion_tokens == 2


def test_a_request_has_its_time(voices: Voices) -> None:
    with serving(voices, timeout=0.3) as api:
        with pytest.raises(openai.APIStatusError) as told:
            client_of(api).chat.completions.create(**asked(max_tokens=1900))
        assert (told.value.status_code, told.value.code) == (408, "timeout")
        with pytest.raises(openai.APIError, match="time"):  # in the midst of a stream
            for _ in client_of(api).chat.completions.create(**asked(max_tokens=1900), stream=True):
                pass
        while True:  # a busy machine may not answer in that time either
            with contextlib.suppress(openai.APIStatusError):
                assert client_of(api).chat.completions.create(**asked(max_tokens=1)).usage.completion_tokens == 1
                break


def test_a_model_with_many_questions_does_not_starve_another(voices: Voices, monkeypatch: pytest.MonkeyPatch) -> None:
    """All have asked before the engine looks: the turns depend on no clock."""
    monkeypatch.setattr("tuneline.serving.engine.TURN", 0.0)
    engine = Engine(voices, size=2, most_waiting=32)
    prompt = prompt_ids(voices.chat, [said("one?")], {})
    ended: list[str] = []

    async def end(job: Job) -> None:
        while (await job.news.get())[1] is None:
            pass
        ended.append(job.voice)

    async def ask_all() -> None:
        jobs = [Job(voice, prompt, most=4, until=math.inf) for voice in ("json",) * 24 + ("text",)]
        engine.start()
        with engine.wake:
            for job in jobs:
                engine.ask(job)
        await asyncio.gather(*map(end, jobs))
        engine.close()

    asyncio.run(ask_all())
    assert ended == ["json"] * 2 + ["text"] + ["json"] * 22


def test_a_batch_that_fails_is_told_and_the_next_is_answered(
    voices: Voices, monkeypatch: pytest.MonkeyPatch, wanted: dict[str, list[str]]
) -> None:
    with serving(voices, max_new_tokens=MOST) as api:
        with monkeypatch.context() as broken:
            broken.setattr(Voices, "open_batch", lambda *_: 1 / 0)
            status, body, _ = api.ask(CHAT, asked())
        assert (status, body["error"]["type"]) == (500, "server_error")
        assert "ZeroDivisionError" in body["error"]["message"]
        assert api.ask(CHAT, asked(QUESTIONS[0]))[1]["choices"][0]["message"]["content"] == wanted["json"][0]


def test_the_server_keeps_what_its_openapi_document_says(voices: Voices, tmp_path: Path) -> None:
    """schemathesis: no 5xx, no undocumented status, content type or body; what the schema forbids is refused."""
    expected = "[checks]\npositive_data_acceptance.expected-statuses = [200, 400, 404]\n"
    (tmp_path / "schemathesis.toml").write_text(expected, encoding="utf-8")
    command = [str(Path(sys.executable).parent / "schemathesis"), "run", "--checks", "all", "--seed", "1"]
    command += ["--max-examples", "5", "--phases", "coverage,fuzzing", "--suppress-health-check", "all"]
    command += ["--warnings", "off", "--header", "Authorization: Bearer a-secret"]
    with serving(voices, token="a-secret", max_new_tokens=2) as api:
        done = subprocess.run(
            [*command, f"{api.url}/openapi.json"], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True
        )
    assert done.returncode == 0, done.stdout[-6000:]
    assert "Tested: 5" in done.stdout


# ---------------------------------------------------------------- which models


def test_folders_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(click.ClickException, match="no adapter is named"):
        named_folders(())
    for name in ("two", "one"):
        (tmp_path / "adapters" / name).mkdir(parents=True)
        (tmp_path / "adapters" / name / "adapter.json").touch()
    assert named_folders(()) == {"one": Path("adapters/one"), "two": Path("adapters/two")}
    assert named_folders(("b=served/x/current", "a/b/c/")) == {"b": Path("served/x/current"), "c": Path("a/b/c")}
    with pytest.raises(click.ClickException, match="a/c and b/c are both c; name one of them: NAME=b/c"):
        named_folders(("a/c", "b/c"))


def test_what_cannot_be_served_together_is_one_line(
    root: Path, folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    other = copy_adapter(folders["json"], tmp_path / "other", quantization="4bit")
    torn, lost = (copy_adapter(folders["json"], tmp_path / name) for name in ("torn", "lost"))
    (torn / "schema.json").write_text("{", encoding="utf-8")
    (lost / "system.md").unlink()
    for words, told in (
        ([str(folders["json"]), str(other)], "are not of one base"),
        ([f"small={folders['json']}"], "the base has the name small too"),
        ([str(tmp_path / "none")], "is no trained adapter"),
        ([str(torn)], "schema.json is no JSON"),
        ([str(lost)], "system.md"),
        ([str(folders["json"]), "--host", "0.0.0.0"], "TUNELINE_TOKEN"),
    ):
        done = CliRunner(env={"TUNELINE_TOKEN": ""}).invoke(main, ["serve", "--port", "0", *words])
        assert (done.exit_code, done.output.count("\n")) == (1, 1), done.output
        assert told in done.output
