"""An export for mlx-lm, asked by mlx-lm alone."""

from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from tuneline.exporting.parity import LIKELIEST, Answer, Asked
from tuneline.files import Row, bar


class Mlx:
    """`base`: the model's folder; `adapter`: that of adapters.safetensors."""

    def __init__(self, base: Path, adapter: Path, stop: Sequence[int]) -> None:
        import mlx.core as mx
        import mlx_lm

        self.model, self.tokenizer = mlx_lm.load(str(base), adapter_path=str(adapter))
        self.model.set_dtype(mx.float32)
        self.stop, self.tool = set(stop), f"mlx-lm {metadata.version('mlx-lm')}"

    def prompt(self, messages: Sequence[Row], tools: Sequence[Row] | None) -> str:
        return self.tokenizer.apply_chat_template(messages, tools, add_generation_prompt=True, tokenize=False)

    def answer(self, asked: Sequence[Asked], most: int, ours: Sequence[Answer]) -> list[Answer]:
        both = zip(bar("mlx-lm", asked), ours, strict=True)
        return [Answer(self._text(one, most), [], self._likeliest(one.ids, our.ids)) for one, our in both]

    def _text(self, one: Asked, most: int) -> str:
        import mlx.core as mx
        from mlx_lm.generate import generate_step

        ids: list[int] = []
        for token, _ in generate_step(mx.array(one.ids), self.model, max_tokens=most):
            if int(token) in self.stop:
                break
            ids.append(int(token))
        return self.tokenizer.decode(ids, skip_special_tokens=True)

    def _likeliest(self, prompt: list[int], answer: list[int]) -> list[dict[int, float]]:
        import mlx.core as mx
        import numpy as np

        logits = self.model(mx.array([prompt + answer]))[0, len(prompt) - 1 :]
        rows: Any = np.array(logits - mx.logsumexp(logits, axis=-1, keepdims=True))
        return [{int(at): float(row[at]) for at in np.argsort(row)[-LIKELIEST:]} for row in rows]
