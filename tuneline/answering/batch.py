"""Rows that are answered together by a model of transformers: they come, and leave when their answers end."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from transformers import Cache, DynamicCache, DynamicLayer
from transformers.cache_utils import DynamicSlidingWindowLayer

COLUMNS = 128  # tokens by which the buffers grow


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


@dataclass(frozen=True)
class Opening:
    """What prompts of a model begin with. `layers`: keys, values, (1, heads, tokens, width)."""

    ids: list[int]
    layers: list[tuple[torch.Tensor, torch.Tensor]]

    def begins(self, prompt: list[int]) -> bool:
        """Whether the prompt is this and more."""
        return len(prompt) > len(self.ids) and prompt[: len(self.ids)] == self.ids


@torch.inference_mode()
def read_opening(model: Any, ids: list[int]) -> Opening:
    cache = DynamicCache()
    model(input_ids=torch.tensor([ids], device=model.device), past_key_values=cache, use_cache=True, logits_to_keep=1)
    return Opening(ids, [(layer.keys, layer.values) for layer in cache.layers])


class Batch:
    """The rows that are being answered. `rows`: what the caller knows them by, by their places.

    A row has a matcher (see constraint.py), or None: then it is free. Of each prompt only what comes after `opening` is
    read, where it begins with that.
    """

    def __init__(self, model: Any, size: int, opening: Opening | None = None) -> None:
        self.model, self.opening = model, opening
        self.window = getattr(model.config.get_text_config(), "sliding_window", None) or math.inf
        self.rooms = [Room(size) for _ in range(model.config.get_text_config().num_hidden_layers)]
        self.rows: list[Any] = []
        self.lengths: list[int] = []  # tokens in the cache
        self.tokens: list[int] = []  # the newest of each row, not in the cache yet
        self.matchers: list[Any] = []

    @torch.inference_mode()
    def join(self, rows: list[Any], prompts: list[list[int]], matchers: list[Any]) -> None:
        first = len(self.rows)
        logits, cache = self._read(prompts)
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
        lengths = self._tensor(self.lengths)[:, None]
        mask = _mask(max(self.lengths), lengths)
        ids = self._tensor([[token] for token in self.tokens])
        logits = self._forward(ids, mask, lengths - 1, Cache(layers=self.rooms))
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

    def _read(self, prompts: list[list[int]]) -> tuple[torch.Tensor, DynamicCache]:
        """The logits after each prompt, and the keys and values of all, filled up at their beginning."""
        cache, width = DynamicCache(), max(map(len, prompts))
        ids = self._tensor([[0] * (width - len(prompt)) + prompt for prompt in prompts])
        lengths = self._tensor([[len(prompt)] for prompt in prompts])
        gaps, at = width - lengths, torch.arange(width, device=ids.device)
        positions = (at - gaps).clamp(min=0)
        # A window over columns would reach less far, with those of the gap in it.
        if width > self.window or not self.opening or not all(map(self.opening.begins, prompts)):
            return self._forward(ids, _mask(width, lengths), positions, cache), cache
        begun = len(self.opening.ids)
        for layer, states in enumerate(self.opening.layers):
            cache.update(*(one.expand(len(prompts), -1, -1, -1) for one in states), layer)
        seen = ((at < begun) | (at >= gaps + begun)).long()  # now the gap is after the opening
        logits = self._forward(ids[:, begun:], seen, positions[:, begun:], cache)
        order = torch.where(at < gaps + begun, positions, at)[:, None, :, None]
        for layer in cache.layers:
            layer.keys = layer.keys.gather(2, order.expand_as(layer.keys))
            layer.values = layer.values.gather(2, order.expand_as(layer.values))
        return logits, cache

    def _forward(self, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, cache: Cache) -> torch.Tensor:
        """The logits after the last token of each row, (rows, vocabulary)."""
        out = self.model(
            input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True,
            logits_to_keep=1,
        )  # fmt: skip
        return out.logits[:, -1]

    def _tensor(self, values: list) -> torch.Tensor:
        return torch.tensor(values, device=self.model.device)


def _mask(width: int, lengths: torch.Tensor) -> torch.Tensor:
    """Of rows that are filled up at their beginning. `lengths`: (rows, 1)."""
    return (torch.arange(width, device=lengths.device) >= width - lengths).long()


def _choose(logits: torch.Tensor, matchers: list[Any]) -> list[int]:
    if any(matchers):
        logits = allow(logits.float(), matchers)
    return logits.argmax(-1).tolist()


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
