"""An export for mlx-lm, asked by mlx-lm alone."""

from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from tuneline.exporting.parity import BATCH, LIKELIEST, Answer, Asked, Likeliest
from tuneline.files import Row, bar


class Mlx:
    """`base`: the model's folder; `adapter`: that of adapters.safetensors."""

    def __init__(self, base: Path, adapter: Path) -> None:
        import mlx.core as mx
        import mlx_lm

        self.model, self.tokenizer = mlx_lm.load(str(base), adapter_path=str(adapter))
        self.model.set_dtype(mx.float32)
        self.tool = f"mlx-lm {metadata.version('mlx-lm')}"

    def prompt(self, messages: Sequence[Row], tools: Sequence[Row] | None) -> str:
        return self.tokenizer.apply_chat_template(messages, tools, add_generation_prompt=True, tokenize=False)

    def answer(self, asked: Sequence[Asked], most: int, ours: Sequence[Answer]) -> list[Answer]:
        texts = self._texts(asked, most)
        both = zip(texts, asked, ours, strict=True)
        return [Answer(text, [], likeliest(self.model, one.ids, our.ids)) for text, one, our in both]

    def _texts(self, asked: Sequence[Asked], most: int) -> list[str]:
        from mlx_lm.generate import batch_generate

        texts: list[str] = []
        sizes = {"prefill_batch_size": BATCH, "completion_batch_size": BATCH}
        with bar("exported", total=len(asked)) as done:
            for start in range(0, len(asked), BATCH):
                prompts = [one.ids for one in asked[start : start + BATCH]]
                made = batch_generate(
                    self.model, self.tokenizer, prompts, max_tokens=most, return_token_ids=True, **sizes
                )
                texts += [self.tokenizer.decode(ids, skip_special_tokens=True) for ids in made.token_ids]
                done.update(len(prompts))
        return texts


def likeliest(model: Any, prompt: list[int], answer: list[int]) -> Likeliest:
    """By one pass of a model of mlx-lm over the prompt and the answer after it."""
    import mlx.core as mx
    import numpy as np

    logits = model(mx.array([prompt + answer]))[0, len(prompt) - 1 :].astype(mx.float32)
    rows: Any = np.array(logits - mx.logsumexp(logits, axis=-1, keepdims=True))
    return [{int(at): float(row[at]) for at in np.argsort(row)[-LIKELIEST:]} for row in rows]
