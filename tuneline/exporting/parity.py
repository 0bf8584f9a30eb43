"""Does an export answer as the adapter does here? Test rows are asked on both sides, greedily and in float32.

An answer is equal when its text is, to the letter. Beside that, at each place of our answer, as far as the other side
can be led along it, the log-probabilities of the likeliest tokens are compared.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tuneline.answering.predictor import Predictor
from tuneline.files import Row, bar
from tuneline.models.base import Base
from tuneline.rendering.chat import Chat

LIKELIEST = 10  # tokens compared at each place
BATCH = 16  # rows
Likeliest = list[dict[int, float]]  # a place of the answer → token → natural logarithm of its probability


@dataclass(frozen=True)
class Asked:
    """One row as it is asked here: the prompt's text and ids."""

    row: Row
    text: str
    ids: list[int]


@dataclass(frozen=True)
class Answer:
    """`ids`: of ours, without its end. `likeliest`: at each of its places, the end's among them."""

    text: str
    ids: list[int]
    likeliest: Likeliest


class Side(Protocol):
    """Who is asked. `tool`: its name and version."""

    tool: str

    def answer(self, asked: Sequence[Asked], most: int, ours: Sequence[Answer]) -> list[Answer]:
        """The places are those of our answer, as far as this side can be led along it."""

    def prompt(self, messages: Sequence[Row], tools: Sequence[Row] | None) -> str:
        """As the side itself writes it, by the chat template that it was given."""


@dataclass(frozen=True)
class Parity:
    """`equal` and `prompts`: of `rows`, how many answers and prompts are the same. `difference`: the largest of a
    log-probability; None where no place could be compared."""

    against: str
    tool: str
    rows: int
    equal: int
    prompts: int
    difference: float | None

    @property
    def share(self) -> float:
        return self.equal / self.rows


def ask_rows(chat: Chat, rows: Sequence[Row]) -> list[Asked]:
    texts = [chat.prompt(row["messages"][:-1], row.get("tools")) for row in rows]
    return [
        Asked(row, text, chat.backend.encode(text, add_special_tokens=False).ids)
        for row, text in zip(rows, texts, strict=True)
    ]


def compare(against: str, chat: Chat, asked: Sequence[Asked], ours: Sequence[Answer], other: Side, most: int) -> Parity:
    theirs = other.answer(asked, most, ours)
    differences = [
        abs(mine[token] - place[token])
        for our, their in zip(ours, theirs, strict=True)
        for mine, place in zip(our.likeliest, their.likeliest, strict=False)
        for token in mine.keys() & place.keys()
    ]
    given = [chat.preamble.before(one.row["messages"][:-1]) for one in asked]
    prompts = [other.prompt(said, one.row.get("tools")) for said, one in zip(given, asked, strict=True)]
    return Parity(
        against,
        other.tool,
        len(asked),
        sum(our.text == their.text for our, their in zip(ours, theirs, strict=True)),
        sum(one.text == text for one, text in zip(asked, prompts, strict=True)),
        round(max(differences), 6) if differences else None,
    )


def answer_here(
    predictor: Predictor, likeliest: Callable[[Any, list[int], list[int]], Likeliest], asked: Sequence[Asked], most: int
) -> list[Answer]:
    """As `tuneline predict` answers on a CPU. `likeliest`: of the predictor's backend."""
    chat, model = predictor.chat, predictor.model
    with bar("ours", total=len(asked)) as done:
        answers = predictor.writer.generate(
            model, [one.ids for one in asked], most, chat.stop_ids, BATCH, None, lambda *_: done.update()
        )  # fmt: skip
    told = chat.tokenizer.batch_decode(answers, skip_special_tokens=True)
    return [
        Answer(text, ids, likeliest(model, one.ids, ids)) for one, text, ids in zip(asked, told, answers, strict=True)
    ]


def likeliest(model: Any, prompt: list[int], answer: list[int]) -> Likeliest:
    """By one pass of a model of transformers over the prompt and the answer after it."""
    import torch

    with torch.inference_mode():
        ids = torch.tensor([prompt + answer], device=model.device)
        kept = model(input_ids=ids, use_cache=False, logits_to_keep=len(answer) + 1).logits[0].float()
        found = torch.log_softmax(kept, -1).topk(min(LIKELIEST, kept.shape[-1]))
    rows = zip(found.indices.tolist(), found.values.tolist(), strict=True)
    return [dict(zip(tokens, values, strict=True)) for tokens, values in rows]


class Transformers:
    """A model folder, or a PEFT folder, by transformers and peft alone."""

    def __init__(self, folder: Path, base: Base, adapter: bool) -> None:
        import peft
        import torch
        import transformers
        from transformers import AutoTokenizer, GenerationConfig

        from tuneline.backends.cuda import model_class

        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.tokenizer.padding_side = "left"
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        where = {"dtype": torch.float32, "device_map": {"": "cuda:0" if torch.cuda.is_available() else "cpu"}}
        if adapter:
            loaded = model_class(base).from_pretrained(base.folder, **where)
            self.model = peft.PeftModel.from_pretrained(loaded, str(folder))
        else:
            self.model = model_class(base).from_pretrained(folder, **where)
        self.model.generation_config = GenerationConfig.from_pretrained(folder)  # as the card says
        self.model.eval()
        name = f"peft {peft.__version__} on " if adapter else ""
        self.tool = f"{name}transformers {transformers.__version__}"

    def prompt(self, messages: Sequence[Row], tools: Sequence[Row] | None) -> str:
        return self.tokenizer.apply_chat_template(messages, tools, add_generation_prompt=True, tokenize=False)

    def answer(self, asked: Sequence[Asked], most: int, ours: Sequence[Answer]) -> list[Answer]:
        order = sorted(range(len(asked)), key=lambda at: len(asked[at].ids))
        texts: dict[int, str] = {}
        with bar("exported", total=len(asked)) as done:
            for start in range(0, len(order), BATCH):
                places = order[start : start + BATCH]
                found = self._generate([asked[at].text for at in places], most)
                texts |= dict(zip(places, found, strict=True))
                done.update(len(places))
        return [
            Answer(texts[at], [], likeliest(self.model, one.ids, our.ids))
            for at, (one, our) in enumerate(zip(asked, ours, strict=True))
        ]

    def _generate(self, texts: list[str], most: int) -> list[str]:
        import torch

        given = self.tokenizer(texts, padding=True, add_special_tokens=False, return_tensors="pt")
        given = {key: given[key].to(self.model.device) for key in ("input_ids", "attention_mask")}
        self.model.generation_config.max_new_tokens = most
        with torch.inference_mode():
            made = self.model.generate(**given)
        return self.tokenizer.batch_decode(made[:, given["input_ids"].shape[1] :], skip_special_tokens=True)
