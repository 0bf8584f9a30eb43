"""The other backend, and models that keep more than keys and values: what the server says is what predict says."""

import importlib
import json
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.servers.answer_server import serving, write_adapters
from tests.servers.instruction_server import Api
from tuneline.answering.predictor import open_adapter
from tuneline.serving.voices import Voices

QUESTIONS = ["a", "what is it?", "é 🎉 " * 9, "one two three"]
MOST = 10


def ask(api: Api, model: str, text: str) -> str:
    body = {"model": model, "messages": [{"role": "user", "content": text}], "max_tokens": MOST}
    request = urllib.request.Request(
        f"{api.url}/v1/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)["choices"][0]["message"]["content"]


def ask_all(api: Api, asked: list[tuple[str, str]]) -> list[str]:
    """All at a time."""
    with ThreadPoolExecutor(len(asked)) as pool:
        return list(pool.map(lambda one: ask(api, *one), asked))


def test_mlx_serves_what_it_predicts(tmp_path: Path) -> None:
    folders = write_adapters(tmp_path, backend="mlx")
    conversations = [[{"role": "user", "content": text}] for text in QUESTIONS]
    wanted = {
        name: open_adapter(folder, False, tmp_path).answer(conversations, 4, MOST, "")
        for name, folder in folders.items()
    }
    assert wanted["json"] != wanted["text"]
    asked = [(name, text) for text in QUESTIONS for name in (*folders, "small")]
    with serving(Voices(folders, tmp_path), batch_size=3) as api:
        first, again = ask_all(api, asked), ask_all(api, asked)
    assert first == again
    for name in folders:
        assert [said for (model, _), said in zip(asked, first, strict=True) if model == name] == wanted[name]
    base = [said for (model, _), said in zip(asked, first, strict=True) if model == "small"]
    assert base not in wanted.values()


def test_turns_leave_no_rounding_error_in_the_base(tmp_path: Path) -> None:
    import torch

    from tuneline.backends.cuda import load_model
    from tuneline.models.base import read_base
    from tuneline.serving.cuda import Adapters

    folders = list(write_adapters(tmp_path).values())
    model = load_model(read_base(tmp_path / "models/small"), "none")
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    adapters = Adapters(model, folders)
    for _ in range(9):
        for folder in (*folders, None, folders[0]):
            adapters.use(folder)
    adapters.use(None)
    after = {name.replace("base_layer.", ""): weight for name, weight in model.state_dict().items()}
    assert all(torch.equal(after[name], weight) for name, weight in before.items())


def test_a_model_of_whole_batches_is_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = write_adapters(tmp_path)
    voices = Voices(folders, tmp_path)
    asked = [(name, text) for text in QUESTIONS for name in folders]
    with serving(voices, batch_size=3) as api:
        wanted = ask_all(api, asked)
    monkeypatch.setattr(importlib.import_module("tuneline.serving.cuda"), "keeps_plain_cache", lambda _: False)
    with serving(voices, batch_size=3) as api:
        assert ask_all(api, asked) == wanted
