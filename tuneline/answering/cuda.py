"""Answers and bits by transformers, greedily, on CUDA or on the CPU.

A row that ends leaves the batch, and a waiting one comes in: no step is spent on answers that are whole. transformers'
own continuous batching pages its cache for a GPU; see speed/answer.py for how they compare.
"""

import math
from collections.abc import Callable
from itertools import takewhile
from typing import Any

import torch
from transformers import Cache, DynamicCache, DynamicLayer, GenerationConfig
from transformers.cache_utils import DynamicSlidingWindowLayer

REFILL = 4  # a batch is filled up once a quarter of it has left: reading a question alone costs more than a place
COLUMNS = 128  # tokens by which the buffers grow


def generate(
    model: Any,
    prompts: list[list[int]],
    most: int,
    stop: list[int],
    size: int,
    constrain: Callable[[], Any] | None,
    told: Callable[[int], None],
) -> list[list[int]]:
    """The new ids of each prompt, at most `most`, up to the first of `stop`; `size` rows at a time.

    `constrain` makes a matcher for one answer (see constraint.py); None leaves the model free. `told` hears how many
    rows are whole now.
    """
    with torch.inference_mode():
        if not keeps_plain_cache(model):
            return _in_whole_batches(model, prompts, most, stop, size, constrain, told)
        batch, answers = Batch(model, size), [[] for _ in prompts]
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
            told(len(ended))
    return answers


def keeps_plain_cache(model: Any) -> bool:
    """Whether keys and values of its own are all that each layer keeps of a row, and positions are plain numbers."""
    layers = DynamicCache(config=model.config).layers
    plain = {type(layer) for layer in layers} <= {DynamicLayer, DynamicSlidingWindowLayer}
    own = len(layers) == model.config.get_text_config().num_hidden_layers  # some layers read another's
    return plain and own and not any(hasattr(module, "get_rope_index") for module in model.modules())


class Room(DynamicLayer):
    """A layer's keys and values, (rows, heads, columns, width), in buffers that rows enter and leave in place.

    Rows end in the same column. A layer with a sliding window keeps every column too; the model's mask hides them.
    """

    def __init__(self, rows: int) -> None:
        super().__init__()
        self.most, self.rows, self.first, self.end = rows, 0, 0, 0
        self.buffers: list[torch.Tensor] = []

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any) -> Any:
        """Of all rows, in the next columns."""
        self.reserve(key_states, value_states, key_states.shape[-2])
        end = self.end + key_states.shape[-2]
        for buffer, states in zip(self.buffers, (key_states, value_states), strict=True):
            buffer[: self.rows, :, self.end : end] = states
        self.end, self.is_initialized = end, True
        return tuple(buffer[: self.rows, :, self.first : end] for buffer in self.buffers)

    def reserve(self, keys: torch.Tensor, values: torch.Tensor, more: int) -> None:
        """Buffers with as many columns after the end; what no row uses any more goes."""
        if self.buffers and self.end + more <= self.buffers[0].shape[2]:
            return
        used = self.end - self.first
        for at, states in enumerate((keys, values)):
            made = states.new_zeros((self.most, states.shape[1], used + more + COLUMNS, states.shape[3]))
            if used:
                made[: self.rows, :, :used] = self.buffers[at][: self.rows, :, self.first : self.end]
            self.buffers[at : at + 1] = [made]
        self.first, self.end = 0, used

    def enter(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        """Rows of their own columns, put to the end of those that are there."""
        width, count = keys.shape[-2], len(keys)
        if not self.rows:
            self.first = self.end = 0
        if lacking := width - (self.end - self.first):
            self.shift(keys, values, max(0, lacking))
        for buffer, states in zip(self.buffers, (keys, values), strict=True):
            buffer[self.rows : self.rows + count, :, self.first : self.end - width] = 0
            buffer[self.rows : self.rows + count, :, self.end - width : self.end] = states
        self.rows += count

    def shift(self, keys: torch.Tensor, values: torch.Tensor, columns: int) -> None:
        """As many columns more before those that are there."""
        if columns <= self.first:
            self.first -= columns
            for buffer in self.buffers:
                buffer[: self.rows, :, self.first : self.first + columns] = 0
            return
        self.reserve(keys, values, columns)
        for buffer in self.buffers:
            kept = buffer[: self.rows, :, self.first : self.end].clone()
            buffer[: self.rows, :, self.first : self.first + columns] = 0
            buffer[: self.rows, :, self.first + columns : self.end + columns] = kept
        self.end += columns

    def drop(self, place: int) -> None:
        """The last row takes the place of one that has ended."""
        self.rows -= 1
        for buffer in self.buffers:
            buffer[place] = buffer[self.rows]

    def get_seq_length(self) -> int:
        return self.end - self.first


class Batch:
    """The rows that are being answered. `rows`: what the caller knows them by, by their places.

    A row has a matcher (see constraint.py), or None: then it is free.
    """

    def __init__(self, model: Any, size: int) -> None:
        self.model = model
        self.rooms = [Room(size) for _ in range(model.config.get_text_config().num_hidden_layers)]
        self.rows: list[Any] = []
        self.lengths: list[int] = []  # tokens in the cache
        self.tokens: list[int] = []  # the newest of each row, not in the cache yet
        self.matchers: list[Any] = []

    @torch.inference_mode()
    def join(self, rows: list[Any], prompts: list[list[int]], matchers: list[Any]) -> None:
        width, first = max(map(len, prompts)), len(self.rows)
        ids = self._tensor([[0] * (width - len(prompt)) + prompt for prompt in prompts])
        cache = DynamicCache()
        positions = self._tensor([_positions(width, len(prompt)) for prompt in prompts])
        mask = self._mask(width, [len(prompt) for prompt in prompts])
        logits = self._forward(ids, mask, positions, cache)
        for room, layer in zip(self.rooms, cache.layers, strict=True):
            room.enter(layer.keys, layer.values)
        self.rows += rows
        self.lengths += map(len, prompts)
        self.matchers += matchers
        self.tokens += _choose(logits, matchers)
        self.fresh = range(first, len(self.rows))

    @torch.inference_mode()
    def step(self) -> None:
        """One token of every row."""
        for room in self.rooms:
            room.first = room.end - max(self.lengths)
        self.lengths = [length + 1 for length in self.lengths]
        mask = self._mask(max(self.lengths), self.lengths)
        positions = self._tensor([[length - 1] for length in self.lengths])
        ids = self._tensor([[token] for token in self.tokens])
        logits = self._forward(ids, mask, positions, Cache(layers=self.rooms))
        for matcher, token in zip(self.matchers, self.tokens, strict=True):
            if matcher and not matcher.is_stopped():
                matcher.consume_token(token)
        self.tokens = _choose(logits, self.matchers)
        self.fresh = range(len(self.rows))

    def newest(self) -> list[tuple[Any, int]]:
        """(row, token) of what the last step or join chose."""
        return [(self.rows[place], self.tokens[place]) for place in self.fresh]

    @torch.inference_mode()
    def leave(self, rows: list[Any]) -> None:
        for row in rows:
            place = self.rows.index(row)
            for room in self.rooms:
                room.drop(place)
            for kept in (self.rows, self.lengths, self.tokens, self.matchers):
                kept[place] = kept[-1]
                kept.pop()

    def _forward(self, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, cache: Cache) -> torch.Tensor:
        """The logits after the last token of each row, (rows, vocabulary)."""
        out = self.model(
            input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True,
            logits_to_keep=1,
        )  # fmt: skip
        return out.logits[:, -1]

    def _mask(self, width: int, lengths: list[int]) -> torch.Tensor:
        return self._tensor([[0] * (width - length) + [1] * length for length in lengths])

    def _tensor(self, values: list[list[int]]) -> torch.Tensor:
        return torch.tensor(values, device=self.model.device)


def _choose(logits: torch.Tensor, matchers: list[Any]) -> list[int]:
    if any(matchers):
        logits = allow(logits.float(), matchers)
    return logits.argmax(-1).tolist()


def _positions(width: int, length: int) -> list[int]:
    return [0] * (width - length) + list(range(length))


def _in_whole_batches(
    model: Any,
    prompts: list[list[int]],
    most: int,
    stop: list[int],
    size: int,
    constrain: Callable[[], Any] | None,
    told: Callable[[int], None],
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
        told(len(places))
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


def allow(scores: torch.Tensor, matchers: list[Any]) -> torch.Tensor:
    """The scores, (rows, vocabulary), in place: those of tokens that a row's matcher forbids become -inf."""
    import llguidance.torch as bits

    masks = bits.allocate_token_bitmask(len(matchers), scores.shape[-1])
    for row, matcher in enumerate(matchers):
        if matcher:  # a row without one may say anything: all its bits are set
            bits.fill_next_token_bitmask(matcher, masks, row)  # the end token alone once the answer is whole
    # It would compile its kernel: that wants a C++ compiler, and an environment whose path has no space.
    with torch.compiler.set_stance("force_eager"):
        bits.apply_token_bitmask_inplace(scores, masks.to(scores.device))
    return scores


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
