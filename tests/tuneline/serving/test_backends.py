"""The other backend, and models that keep more than keys and values: what the server says is what predict says."""

import importlib
import json
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.servers.answer_server import serving, write_adapters
from tests.servers.instruction_server import Api
from tuneline.answering.predictor import open_adapter
from tuneline.answering.prompts import prompt_ids
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


@pytest.mark.parametrize("kind", ["llama", "gemma3"])
def test_what_prompts_begin_with_is_read_once(tmp_path: Path, kind: str) -> None:
    """And an answer is as if it were read each time; of a prompt that begins otherwise, or is longer than the window
    of a layer, it is."""
    from tuneline.answering.batch import Batch

    folders = write_adapters(tmp_path, kind=kind)
    voices = Voices(folders, tmp_path)
    model, prompts = voices.adapters.model, {}
    for name in folders:
        prompts[name] = [
            prompt_ids(voices.named[name].chat, [{"role": "user", "content": text}], {}) for text in QUESTIONS
        ]
    widths: list[int] = []
    model.register_forward_pre_hook(lambda _, __, given: widths.append(given["input_ids"].shape[1]), with_kwargs=True)

    def said(batch: Any, *groups: list[list[int]]) -> list[list[int]]:
        """The first tokens of each, of groups that join one after another."""
        found: dict[int, list[int]] = {}
        for group in groups:
            batch.join([*range(len(found), len(found) + len(group))], group, [None] * len(group))
            for _ in range(6):
                for row, token in batch.newest():
                    found.setdefault(row, []).append(token)
                batch.step()
        return [*found.values()]

    for name, asked in prompts.items():
        voices.use(name)
        wanted = said(Batch(model, 8), asked[:2], asked[2:], asked[:3])
        batch, opening = voices.open_batch(8), len(voices.openings[name].ids)
        assert opening > 4
        widths.clear()
        assert said(batch, asked[:2], asked[2:], asked[:3]) == wanted
        read = [width for width in widths if width > 1]
        longest = [max(map(len, group)) for group in (asked[:2], asked[2:], asked[:3])]
        assert read == [one - (opening if kind == "llama" else 0) for one in longest]  # gemma3 has windows of 16
        other = [[*asked[0][:2], *asked[0]], asked[1]]
        assert said(voices.open_batch(8), other) == said(Batch(model, 8), other)
    assert voices.openings["json"].ids != voices.openings["text"].ids


def test_a_model_of_whole_batches_is_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = write_adapters(tmp_path)
    asked = [(name, text) for text in QUESTIONS for name in folders]
    with serving(Voices(folders, tmp_path), batch_size=3) as api:
        wanted = ask_all(api, asked)
    monkeypatch.setattr(importlib.import_module("tuneline.serving.cuda"), "keeps_plain_cache", lambda _: False)
    with serving(Voices(folders, tmp_path), batch_size=3) as api:
        assert ask_all(api, asked) == wanted
