"""Make the embedded base model from the text in this folder and generated tasks.

In: text/*.md, tasks.py, the help topics of CPython. Out: tokenizer, config, bf16 weights and
training.json, beside this file. About 80 minutes on two cores with bf16 matrix units.

    python models/tiny/make.py --tokens 52_000_000
"""

import json
import math
import os
import random
from pathlib import Path

import click
import tasks

HERE = Path(__file__).parent
CONTEXT = 2048
SHORT_ROW, LONG_ROW = 256, 2048  # tokens in a training row
ROW_TOKENS = 16_384  # tokens in a step
FILL, IGNORED = 1024, -100
LONG_EVERY = 16  # one step in so many has long rows
VOCABULARY = 3072
SPECIALS = ["<|pad|>", "<|im_start|>", "<|im_end|>", "<|endoftext|>"]
# A space is a token of its own and letters, digits and marks never mix: a word has the same tokens
# in a sentence and inside JSON quotes, so that copying it is copying its tokens.
WORDS = r"[\p{L}\p{M}]+|\p{N}|[^\s\p{L}\p{M}\p{N}]+|\s+"
CHAT_TEMPLATE = """\
{%- for message in messages -%}
{{- '<|im_start|>' + message['role'] + '\\n' -}}
{%- if message['role'] == 'assistant' -%}
{%- generation -%}{{- message['content'] + '<|im_end|>' -}}{%- endgeneration -%}
{%- else -%}
{{- message['content'] + '<|im_end|>' -}}
{%- endif -%}
{{- '\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}
"""


def make_tokenizer(text: tasks.Text, seed: int):
    """A byte-level BPE over the plain text and a sample of the tasks."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    rng = random.Random(seed)
    sample = [m["content"] for _ in range(6000) for m in tasks.draw(rng, text)]
    written = [p.read_text("utf-8") for p in sorted((HERE / "text").glob("*.md"))]
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=SPECIALS,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    # The own text counts five times: the manual is longer, and narrower.
    bpe.train_from_iterator([*written * 5, *text.documents[len(written) * 3 :], *sample], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        pad_token="<|pad|>",
        eos_token="<|im_end|>",
        additional_special_tokens=["<|im_start|>", "<|endoftext|>"],
        chat_template=CHAT_TEMPLATE,
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
    )


def make_model(seed: int):
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=320,
            intermediate_size=768,
            num_hidden_layers=4,
            num_attention_heads=5,
            num_key_value_heads=5,
            max_position_embeddings=CONTEXT,
            tie_word_embeddings=True,
            pad_token_id=0,
            bos_token_id=None,
            eos_token_id=2,
        )
    )


def encode(messages: tasks.Messages, tokenizer, train_all: bool) -> tuple[list[int], list[bool]]:
    """Token ids of one chat, and which of them are predicted."""
    ids, predicted = [], []
    for message in messages:
        head = f"<|im_start|>{message['role']}\n"
        for part, answer in ((head, False), (f"{message['content']}<|im_end|>", True), ("\n", False)):
            tokens = tokenizer.encode(part).ids
            ids += tokens
            predicted += [train_all or (answer and message["role"] == "assistant")] * len(tokens)
    return ids, predicted


def make_batch(step: int, seed: int, tokenizer, text: tasks.Text):
    """Step's ids, targets and mask, each (rows, tokens). Rows hold whole examples, then plain text."""
    import torch

    rng = random.Random(f"{seed}/{step}")
    is_long = step % LONG_EVERY == LONG_EVERY - 1
    length = LONG_ROW if is_long else SHORT_ROW
    ids = torch.zeros((ROW_TOKENS // length, length + 1), dtype=torch.long)
    mask = torch.zeros(ids.shape, dtype=torch.bool)
    for row in range(len(ids)):
        at, task_set = 0, tasks.LONG if is_long and rng.random() < 0.7 else tasks.SHORT
        while at <= length:
            chat, predicted = encode(tasks.draw(rng, text, task_set), tokenizer, rng.random() < 0.12)
            if at + len(chat) > length + 1:
                if at:
                    break
                continue
            ids[row, at : at + len(chat)] = torch.tensor(chat)
            mask[row, at : at + len(chat)] = torch.tensor(predicted)
            at, task_set = at + len(chat), tasks.SHORT
        plain = tokenizer.encode("<|endoftext|>" + text.passage(rng, 4 * (length + 2 - at))).ids
        plain = plain[: length + 1 - at]
        ids[row, at : at + len(plain)] = torch.tensor(plain, dtype=torch.long)
        mask[row, at : at + len(plain)] = True
    return ids[:, :-1], ids[:, 1:], mask[:, 1:]


def choose(targets, mask):
    """Positions that are predicted and their labels, both filled up to a multiple of FILL: tensors of
    a new size in every step would fragment the heap by gigabytes."""
    import torch

    chosen = mask.flatten().nonzero().squeeze(1)
    missing = -len(chosen) % FILL
    labels = torch.cat([targets.flatten()[chosen], torch.full((missing,), IGNORED)])
    return torch.cat([chosen, torch.zeros(missing, dtype=torch.long)]), labels


def rate_at(step: int, steps: int) -> float:
    """Warm-up, a plateau, and a linear decay over the last fifth, as a share of the peak rate."""
    return min((step + 1) / 100, 1.0, max((steps - step) / (0.2 * steps), 0.01))


def train(model, tokenizer, text: tasks.Text, tokens: int, rate: float, seed: int, state: Path) -> dict:
    """Muon on the matrices of the layers, AdamW on the rest. Goes on from `state` if it is there."""
    import torch
    from torch.nn.functional import cross_entropy
    from tqdm import tqdm

    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "layers" in n]
    others = [p for n, p in model.named_parameters() if not (p.ndim == 2 and "layers" in n)]
    optimizers = [
        torch.optim.Muon(matrices, lr=rate, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=rate, betas=(0.9, 0.95), weight_decay=0.0),
    ]
    steps, start, losses = math.ceil(tokens / ROW_TOKENS), 0, {}
    if state.exists():
        saved = torch.load(state)
        model.load_state_dict(saved["model"])
        for optimizer, content in zip(optimizers, saved["optimizers"], strict=True):
            optimizer.load_state_dict(content)
        start, losses = saved["step"], saved["losses"]
    body = torch.compile(model.model)
    recent: dict[bool, list[float]] = {False: [], True: []}
    for step in (bar := tqdm(range(start, steps), initial=start, total=steps, mininterval=10)):
        ids, targets, mask = make_batch(step, seed, tokenizer, text)
        chosen, labels = choose(targets, mask)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            hidden = body(input_ids=ids, use_cache=False).last_hidden_state
            logits = model.lm_head(hidden.flatten(0, 1)[chosen]).float()
        loss = cross_entropy(logits, labels)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate * rate_at(step, steps)
            optimizer.step()
            optimizer.zero_grad()
        recent[len(ids[0]) == LONG_ROW].append(loss.item())
        if (step + 1) % 100 == 0 or step + 1 == steps:
            shown = {k: round(sum(v) / len(v), 4) for k, v in zip(("short", "long"), recent.values(), strict=True) if v}
            losses[step + 1] = shown
            bar.set_postfix(shown)
            recent = {False: [], True: []}
            saved = {"model": model.state_dict(), "optimizers": [o.state_dict() for o in optimizers]}
            torch.save({**saved, "step": step + 1, "losses": losses}, f"{state}.part")
            os.replace(f"{state}.part", state)
    return {"tokens": steps * ROW_TOKENS, "steps": steps, "peak_rate": rate, "seed": seed, "loss": losses}


@click.command()
@click.option("--tokens", type=int, default=52_000_000, show_default=True, help="Tokens to train on.")
@click.option("--rate", type=float, default=3e-3, show_default=True, help="Peak learning rate.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=HERE, help="Where the model goes.")
@click.option("--state", type=click.Path(path_type=Path), default=HERE / "state.pt", help="Checkpoint.")
def main(tokens: int, rate: float, seed: int, out: Path, state: Path) -> None:
    text = tasks.Text()
    tokenizer = make_tokenizer(text, seed)
    model = make_model(seed)
    report = train(model, tokenizer.backend_tokenizer, text, tokens, rate, seed, state)
    model.bfloat16().save_pretrained(out)
    tokenizer.save_pretrained(out)
    report["parameters"] = sum(p.numel() for p in model.parameters())
    (out / "training.json").write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
