"""Speed of answers as a ratio against plain `generate`; docs/benchmarks.md says how and why.

Both sides ask one adapter in turn in one process, the same questions, and give the same answers. Takes a minute on two
cores; nothing is written to the repository.

    python speed/answer.py --adapter adapters/query_json --test data/query_json/split/test.jsonl
    python speed/answer.py --json      # one flat object with `answer_ratio`
    python speed/answer.py --small

Without `--adapter`, it is adapters/query_json where `make repro` has trained it, else one of random weights, whose
answers rarely end: what ours gains least from.
"""

import contextlib
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # before speed/, whose stages.py would hide `stages`
from speed.bench import ROOT, Figures, in_turn, make_rows, medians, seconds, small, tell

TRAINED = ROOT / "adapters/query_json"


def random_adapter(folder: Path, base: Path) -> Path:
    """As train_cuda writes one, rank 16."""
    import torch

    from tuneline.backends.cuda import load_model, quiet_libraries
    from tuneline.files import write_json
    from tuneline.models.base import read_base

    quiet_libraries()
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    known = read_base(base)
    config = LoraConfig(r=16, lora_alpha=32, target_modules=known.pattern("linear"), init_lora_weights=False)
    get_peft_model(load_model(known, "none"), config).save_pretrained(folder)
    write_json(folder / "adapter.json", {"base": str(base), "quantization": "none", "backend": "cuda", "prefix": ""})
    (folder / "system.md").write_text("", encoding="utf-8")
    return folder


def plain_answers(model: Any, tokenizer: Any, prompts: list[list[int]], most: int, stop: list[int], size: int) -> list:
    """What one writes with transformers' own documentation at hand, sorted by length: batches, padded on the left."""
    import torch

    answers: list[list[int]] = [[] for _ in prompts]
    order = sorted(range(len(prompts)), key=lambda at: len(prompts[at]))
    for start in range(0, len(order), size):
        places = order[start : start + size]
        batch = tokenizer.pad({"input_ids": [prompts[at] for at in places]}, padding_side="left", return_tensors="pt")
        with torch.inference_mode():
            out = model.generate(
                **batch.to(model.device), do_sample=False, max_new_tokens=most, eos_token_id=stop,
                pad_token_id=tokenizer.pad_token_id,
            )  # fmt: skip
        for at, row in zip(places, out[:, batch["input_ids"].shape[1] :].tolist(), strict=True):
            answers[at] = row[: next((i for i, token in enumerate(row) if token in stop), len(row))]
    return answers


def measure(adapter: Path, asked: list[dict], size: int, most: int, pairs: int) -> tuple[float, float, float]:
    """Answers per second of ours and of the plain side, and their ratio. Raises ValueError when answers differ."""
    from tuneline.answering.cuda import generate
    from tuneline.answering.predictor import open_adapter
    from tuneline.backends.cuda import load_model, quiet_libraries
    from tuneline.models.adapter import read_adapter
    from tuneline.models.base import read_base

    quiet_libraries()
    from peft import PeftModel

    predictor = open_adapter(adapter, constrain=False, root=ROOT)
    chat, known = predictor.chat, read_adapter(adapter)
    texts = [chat.prompt(row["messages"][:-1], row.get("tools")) for row in asked]
    prompts = [chat.backend.encode(text, add_special_tokens=False).ids for text in texts]
    bare = load_model(
        read_base(ROOT / known.base), known.quantization, str(predictor.model.dtype).removeprefix("torch.")
    )
    bare = PeftModel.from_pretrained(bare, str(adapter)).eval()
    said: dict[str, list] = {}

    def ours() -> None:
        said["ours"] = generate(predictor.model, prompts, most, chat.stop_ids, size, None, lambda *_: None)

    def plain() -> None:
        said["plain"] = plain_answers(bare, chat.tokenizer, prompts, most, chat.stop_ids, size)

    ours()
    plain()
    differ = sum(one != other for one, other in zip(said["ours"], said["plain"], strict=True))
    if differ > len(prompts) // 100:
        raise ValueError(f"{differ} of {len(prompts)} answers differ")
    return medians(in_turn(lambda: len(prompts) / seconds(ours), lambda: len(prompts) / seconds(plain), pairs))


def answer_figures(adapter: Path | None, test: Path | None, rows: int, size: int, most: int, pairs: int) -> Figures:
    from tuneline.files import read_rows

    if adapter is None and (TRAINED / "adapter.json").is_file():
        adapter, test = TRAINED, test or ROOT / "data/query_json/split/test.jsonl"
    asked = (read_rows(test) if test else make_rows(rows))[:rows]
    with tempfile.TemporaryDirectory() as folder:
        found = measure(adapter or random_adapter(Path(folder), ROOT / "models/tiny"), asked, size, most, pairs)
    return dict(zip(("answers_per_second", "plain_answers_per_second", "answer_ratio"), found, strict=True))


@click.command(help=__doc__.split("\n")[0])
@click.option("--json", "as_json", is_flag=True, help="One flat object.")
@click.option("--adapter", type=click.Path(exists=True, path_type=Path), help="Trained by train_cuda.")
@click.option("--test", type=click.Path(exists=True, path_type=Path), help="Rows whose last message is the reference.")
@click.option("--rows", type=click.IntRange(1), default=256, show_default=True, help="At most.")
@click.option("--batch-size", type=click.IntRange(1), default=64, show_default=True)
@click.option("--max-new-tokens", type=click.IntRange(1), default=192, show_default=True)
@click.option("--pairs", type=click.IntRange(1), default=3, show_default=True, help="Runs of each side.")
@small(rows=4, batch_size=2, max_new_tokens=4, pairs=1)
def main(
    as_json: bool, adapter: Path | None, test: Path | None, rows: int, batch_size: int, max_new_tokens: int, pairs: int
) -> None:
    with contextlib.redirect_stdout(sys.stderr):
        figures = answer_figures(adapter, test, rows, batch_size, max_new_tokens, pairs)
    tell({"rows": rows, "pairs": pairs, **figures}, as_json)


if __name__ == "__main__":
    main()
