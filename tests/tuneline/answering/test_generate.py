"""Answers of both backends: what plain greedy generation gives, however rows share batches."""

import importlib
from pathlib import Path
from typing import Any

import pytest

from tests.small_base import CLASSES, write_class_base
from tuneline.answering.cuda import _in_whole_batches, keeps_plain_cache
from tuneline.models.base import read_base

# Of unequal length, the longest in the middle: rows enter a batch that is shorter than they are, or longer.
PROMPTS = [[(7 * at + n) % 2000 + 4 for n in range(length)] for at, length in enumerate((3, 9, 1, 40, 2, 17, 5, 31, 4))]
STOP = [2]


def nobody(at: int, answer: list[int]) -> None:
    """Hears of rows that are whole."""


@pytest.fixture(scope="module", params=CLASSES)
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights so large that a small change of a position or a mask changes the answer."""
    return write_class_base(tmp_path_factory.mktemp("base") / request.param, request.param, initializer_range=0.3)


def alone(model: Any, prompt: list[int], most: int, stop: list[int]) -> list[int]:
    """Without any cache: each token from all before it."""
    import torch

    ids = list(prompt)
    with torch.inference_mode():
        for _ in range(most):
            token = int(model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].argmax())
            if token in stop:
                break
            ids.append(token)
    return ids[len(prompt) :]


@pytest.mark.parametrize("opening", [[], [5, 9, 6, 8]])
def test_rows_that_share_a_batch_get_the_answers_that_each_gets_alone(opening: list[int], base: Path) -> None:
    """What all begin with is read once, and makes no difference to an answer."""
    from tuneline.answering.cuda import generate
    from tuneline.backends.cuda import load_model

    model = load_model(read_base(base), "none", "float32")
    assert keeps_plain_cache(model)
    prompts, read = [opening + prompt for prompt in PROMPTS], []
    free = [alone(model, prompt, 12, []) for prompt in prompts]
    stop = sorted({free[1][4], free[4][0], free[6][9]})  # so that rows end early, one at once
    wanted = [alone(model, prompt, 12, stop) for prompt in prompts]
    assert len({len(answer) for answer in wanted}) > 1
    for size in (1, 3, 4, 64):
        told: dict[int, list[int]] = {}
        assert generate(model, prompts, 12, stop, size, None, told.__setitem__) == wanted
        assert told == dict(enumerate(wanted))
    with model.register_forward_pre_hook(
        lambda _, __, given: read.append(given["input_ids"].shape[1]), with_kwargs=True
    ):
        generate(model, prompts[:3], 1, stop, 3, None, nobody)
    windows = getattr(model.config.get_text_config(), "sliding_window", None) or 99
    assert read == [width for width in (len(opening), 9) if width] if windows > 13 else [len(opening), 13]


def test_a_long_run_outgrows_its_buffers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More columns than the buffers begin with, and rows that come in late."""
    from tuneline.answering import batch
    from tuneline.answering.cuda import generate
    from tuneline.backends.cuda import load_model

    monkeypatch.setattr(batch, "COLUMNS", 5)
    model = load_model(read_base(write_class_base(tmp_path / "base", "llama", initializer_range=0.3)), "none")
    wanted = [alone(model, prompt, 30, STOP) for prompt in PROMPTS]
    for size in (2, 5):
        assert generate(model, PROMPTS, 30, STOP, size, None, nobody) == wanted


def test_a_model_that_keeps_more_of_a_row_is_asked_in_whole_batches(base: Path) -> None:
    from tuneline.backends.cuda import load_model

    model = load_model(read_base(base), "none", "float32")
    told: dict[int, list[int]] = {}
    wanted = [alone(model, prompt, 6, STOP) for prompt in PROMPTS]
    assert _in_whole_batches(model, PROMPTS, 6, STOP, 4, None, told.__setitem__) == wanted
    assert told == dict(enumerate(wanted))


def test_mlx_answers_as_each_gets_alone(base: Path) -> None:
    generate = importlib.import_module("tuneline.answering.mlx").generate
    load = importlib.import_module("tuneline.backends.mlx").load_model
    model = load(read_base(base), "none", "float32")
    one = [generate(model, [prompt], 12, STOP, 1, None, nobody)[0] for prompt in PROMPTS]
    told: dict[int, list[int]] = {}
    assert generate(model, PROMPTS, 12, STOP, 3, None, told.__setitem__) == one
    assert told == dict(enumerate(one))


def test_adapters_of_one_base_leave_nothing_of_themselves_behind(tmp_path: Path) -> None:
    """They are added into the weights and taken out again: after another one, the first answers as before."""
    import torch
    from peft import LoraConfig, get_peft_model

    from tuneline.answering.cuda import generate
    from tuneline.backends.cuda import load_adapter, load_model, merges, switch_adapter

    base = read_base(write_class_base(tmp_path / "base", "llama", initializer_range=0.3))
    for name in ("one", "two"):
        config = LoraConfig(r=2, target_modules=base.pattern("linear"), init_lora_weights=False)
        torch.manual_seed({"one": 1, "two": 2}[name])
        get_peft_model(load_model(base, "none"), config).save_pretrained(tmp_path / name)

    def said(model: Any) -> list[list[int]]:
        return generate(model, PROMPTS, 12, STOP, 4, None, nobody)

    plain = said(load_model(base, "none"))
    alone = {name: said(load_adapter(load_model(base, "none"), tmp_path / name)) for name in ("one", "two")}
    assert plain != alone["one"] != alone["two"] != plain
    model = load_adapter(load_model(base, "none"), tmp_path / "one")
    assert merges(model)
    for name in ("two", "one", "two", "two", "one"):
        model = switch_adapter(model, tmp_path / name)
        assert said(model) == alone[name], name
    half = load_adapter(load_model(base, "none", "bfloat16"), tmp_path / "one")
    assert not merges(half)
