"""Answers and bits by mlx-lm, greedily, on Apple silicon or on the CPU under Linux."""

import math
from collections.abc import Callable
from typing import Any


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
    from mlx_lm.generate import BatchGenerator

    order = sorted(range(len(prompts)), key=lambda at: (-len(prompts[at]), at))
    generator = BatchGenerator(
        model, stop_tokens=[[token] for token in stop], prefill_batch_size=size, completion_batch_size=size
    )
    processors = [[Constrained(constrain())] for _ in prompts] if constrain else None
    numbers = generator.insert([prompts[at] for at in order], [most] * len(order), logits_processors=processors)
    rows, answers = dict(zip(numbers, order, strict=True)), [[] for _ in prompts]
    while responses := generator.next_generated():
        for response in responses:
            at = rows[response.uid]
            if response.finish_reason != "stop":
                answers[at].append(response.token)
            if response.finish_reason:
                told(at, answers[at])
    generator.close()
    return answers


def score(model: Any, rows: list[list[int]]) -> list[float]:
    """One batch: the bits of each row, -log2 of the probability of each token given all before it, summed.

    The first token is given, and has none; a row has two or more.
    """
    import mlx.core as mx

    width = max(map(len, rows)) - 1
    logits = model(mx.array([row[:-1] + [0] * (width + 1 - len(row)) for row in rows]))
    return [_nats(row, mx.array(ids[1:])) / math.log(2) for row, ids in zip(logits, rows, strict=True)]


def _nats(logits: Any, wanted: Any) -> float:
    """Of one row; what stands after it is padding."""
    import mlx.core as mx
    import mlx.nn as nn
    import numpy as np

    losses = nn.losses.cross_entropy(logits[: wanted.size].astype(mx.float32), wanted, reduction="none")
    return float(np.array(losses).astype(np.float64).sum())


class Constrained:
    """A logits processor of one row: its matcher forbids what the grammar forbids."""

    def __init__(self, matcher: Any) -> None:
        self.matcher, self.started = matcher, False

    def __call__(self, ids: Any, scores: Any) -> Any:
        import llguidance.numpy as bits
        import mlx.core as mx
        import numpy as np

        if self.started and not self.matcher.is_stopped():
            self.matcher.consume_token(ids[-1].item())
        self.started = True
        mask = bits.allocate_token_bitmask(1, scores.shape[-1])
        bits.fill_next_token_bitmask(self.matcher, mask)  # the end token alone once the answer is whole
        allowed = np.unpackbits(mask.view(np.uint8), bitorder="little")[: scores.shape[-1]]
        return mx.where(mx.array(allowed.astype(bool)), scores, -mx.inf)
