"""Answers and bits by transformers, greedily, on CUDA or on the CPU.

A row that ends leaves the batch, and a waiting one comes in: no step is spent on answers that are whole. What all
prompts begin with is read once. transformers' own continuous batching pages its cache for a GPU.
"""

import math
from collections.abc import Callable
from itertools import takewhile
from typing import Any

import torch
from transformers import GenerationConfig

from tuneline.answering.batch import Batch, allow, keeps_plain_cache, read_opening
from tuneline.answering.prompts import common_ids

REFILL = 4  # a batch is filled up once a quarter of it has left: reading a question alone costs more than a place


def generate(
    model: Any,
    prompts: list[list[int]],
    most: int,
    stop: list[int],
    size: int,
    constrain: Callable[[], Any] | None,
    told: Callable[[int, list[int]], None],
) -> list[list[int]]:
    """The new ids of each prompt, at most `most`, up to the first of `stop`; `size` rows at a time.

    `constrain` makes a matcher for one answer (see constraint.py); None leaves the model free. `told` hears of each row
    that is whole its place and its ids.
    """
    with torch.inference_mode():
        if not keeps_plain_cache(model):
            return _in_whole_batches(model, prompts, most, stop, size, constrain, told)
        # One id of each is left to be read after it: from that comes the first of the answer.
        opening = common_ids(prompts)[: min(map(len, prompts)) - 1] if len(prompts) > 1 else []
        batch = Batch(model, size, read_opening(model, opening) if opening else None)
        answers: list[list[int]] = [[] for _ in prompts]
        waiting = sorted(range(len(prompts)), key=lambda at: (len(prompts[at]), at))  # the longest is taken first
        while waiting or batch.rows:
            if waiting and (not batch.rows or size - len(batch.rows) >= max(1, size // REFILL)):
                coming = [waiting.pop() for _ in range(min(size - len(batch.rows), len(waiting)))]
                matchers = [constrain() if constrain else None for _ in coming]
                batch.join(coming, [prompts[at] for at in coming], matchers)
            else:
                batch.step()
            ended = []
            for at, token in batch.newest():
                if token not in stop:
                    answers[at].append(token)
                if token in stop or len(answers[at]) == most:
                    ended.append(at)
            batch.leave(ended)
            for at in ended:
                told(at, answers[at])
    return answers


def _in_whole_batches(
    model: Any,
    prompts: list[list[int]],
    most: int,
    stop: list[int],
    size: int,
    constrain: Callable[[], Any] | None,
    told: Callable[[int, list[int]], None],
) -> list[list[int]]:
    """`generate` for a model that keeps more of a row than keys and values: a batch ends with its longest answer."""
    answers: list[list[int]] = [[] for _ in prompts]
    order = sorted(range(len(prompts)), key=lambda at: (len(prompts[at]), at))
    for start in range(0, len(order), size):
        places = order[start : start + size]
        matchers = [constrain() if constrain else None for _ in places]
        found = whole_batch(model, [prompts[at] for at in places], most, stop, matchers)
        for at, answer in zip(places, found, strict=True):
            answers[at] = answer
            told(at, answer)
    return answers


@torch.inference_mode()
def whole_batch(
    model: Any, prompts: list[list[int]], most: int, stop: list[int], matchers: list[Any]
) -> list[list[int]]:
    """One batch by transformers' own `generate`: the new ids of each prompt, up to the first of `stop`."""
    config = GenerationConfig(do_sample=False, max_new_tokens=most, eos_token_id=stop, pad_token_id=stop[0])
    width = max(map(len, prompts))
    ids = torch.tensor([[stop[0]] * (width - len(prompt)) + prompt for prompt in prompts], device=model.device)
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts]).to(ids.device)
    held = [_Constrained(matchers, width)] if any(matchers) else None
    out = model.generate(input_ids=ids, attention_mask=mask, generation_config=config, logits_processor=held)
    return [list(takewhile(lambda token: token not in stop, row[width:].tolist())) for row in out]


class _Constrained:
    """A logits processor: each row has its matcher, which forbids what its grammar forbids."""

    def __init__(self, matchers: list[Any], width: int) -> None:
        self.matchers, self.width = matchers, width

    def __call__(self, ids: Any, scores: Any) -> Any:
        for row, matcher in enumerate(self.matchers):
            if matcher and ids.shape[1] > self.width and not matcher.is_stopped():
                matcher.consume_token(int(ids[row, -1]))
        return allow(scores, self.matchers)


def score(model: Any, rows: list[list[int]]) -> list[float]:
    """One batch: the bits of each row, -log2 of the probability of each token given all before it, summed.

    The first token is given, and has none; a row has two or more.
    """
    width = max(map(len, rows)) - 1
    ids = torch.tensor([row[:-1] + [0] * (width + 1 - len(row)) for row in rows], device=model.device)
    mask = torch.tensor([[1] * (len(row) - 1) + [0] * (width + 1 - len(row)) for row in rows], device=model.device)
    with torch.inference_mode():
        logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
        nats = [_nats(row, torch.tensor(ids[1:], device=model.device)) for row, ids in zip(logits, rows, strict=True)]
    return [one / math.log(2) for one in nats]


def _nats(logits: torch.Tensor, wanted: torch.Tensor) -> float:
    """Of one row; what stands after it is padding."""
    losses = torch.nn.functional.cross_entropy(logits[: len(wanted)].float(), wanted, reduction="none")
    return losses.double().sum().item()
