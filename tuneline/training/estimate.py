"""What a training run will take of memory, from the shapes of its weights, before any of them is loaded.

The shapes are those of the safetensors files' headers, the rest is in config.json. Every figure is in bytes; a GB is
1e9 of them. What a layer keeps for its gradients was counted on the tensors that autograd saves (torch 2.13,
transformers 5.23, peft 0.21, with autocast), in tests/tuneline/training/test_estimate.py once more.
"""

import json
import os
import re
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

LAYER = re.compile(r"(?:^|\.)layers\.(\d+)\.")
LIBRARIES = {"cuda": 0.6e9, "cpu": 0.9e9, "mlx": 0.4e9}  # Python, torch or mlx; on CUDA its context
TILE = 4096, 32768  # tokens and words whose logits trl makes at once
ROOM = 0.9  # of the device: what auto takes for itself before it computes layers twice


@dataclass(frozen=True)
class Shapes:
    """A base: `weights` by the names of its files, `config` of its language model."""

    weights: dict[str, tuple[int, ...]]
    config: dict[str, Any]

    @cached_property
    def layers(self) -> int:
        return 1 + max((int(found[1]) for found in map(LAYER.search, self.language) if found), default=0)

    @cached_property
    def language(self) -> list[str]:
        return [name for name in self.weights if LAYER.search(name) and not re.search("vision|visual|audio", name)]

    @cached_property
    def linear(self) -> dict[str, tuple[int, int]]:
        """(out, in) of the matrices in the language model's layers."""
        return {name: self.weights[name] for name in self.language if len(self.weights[name]) == 2}

    @property
    def hidden(self) -> int:
        return self.config["hidden_size"]

    @property
    def queries(self) -> int:
        """Width of all heads."""
        heads = self.config["num_attention_heads"]
        return heads * (self.config.get("head_dim") or self.hidden // heads)

    @property
    def inner(self) -> int:
        """Width of the feed-forward part that a token goes through; of experts, those that it is sent to."""
        experts, width = self.config.get("num_experts_per_tok"), self.config.get("moe_intermediate_size")
        return experts * width if experts and width else self.config.get("intermediate_size") or 4 * self.hidden

    @cached_property
    def normed(self) -> int:
        """Values that the norms of one layer take in, for each token."""
        vectors = [name for name in self.language if "norm" in name and LAYER.search(name)[1] == "0"]
        heads = {"q": self.queries, "k": self.queries}
        return sum(heads.get(name.split(".")[-2][0], 0) if re.search(r"\.[qk]_norm\.", name) else self.weights[name][0]
                   for name in vectors if len(self.weights[name]) == 1)  # fmt: skip

    def adapted(self, pattern: str) -> list[tuple[int, int]]:
        """Those that LoRA adapts; all of them where the files' names are not those of the modules."""
        names = [name for name in self.linear if re.fullmatch(pattern, name.removesuffix(".weight"))]
        return [self.linear[name] for name in names or self.linear]


@dataclass(frozen=True)
class Load:
    """What of a run decides on its memory. `device`: cuda, cpu or mlx; `rows` of `tokens` each go in at once,
    on each of `processes` devices, all of which hold all weights, or with `sharded` (FSDP) a part."""

    device: str
    quantization: str
    precision: str
    rows: int
    tokens: int
    rank: int
    pattern: str
    dropout: float = 0.0
    variant: str = "plain"
    optimizer: str = "adamw"
    attention: str = "auto"
    checkpointing: bool = False
    processes: int = 1
    sharded: bool = False

    @property
    def width(self) -> int:
        return 2 if self.precision == "bfloat16" else 4


def read_shapes(folder: Path) -> Shapes | None:
    """From the headers alone; None where the weights are no safetensors or config.json is of another kind."""
    from safetensors import safe_open

    weights = {}
    for path in sorted(folder.glob("model*.safetensors")):
        with safe_open(path, "np") as file:
            weights |= {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    config = json.loads((folder / "config.json").read_text("utf-8"))
    shapes = Shapes(weights, config.get("text_config", config))
    known = {"hidden_size", "num_attention_heads", "vocab_size"} <= set(shapes.config)
    return shapes if known and shapes.linear else None


def memory(shapes: Shapes, load: Load) -> dict[str, float]:
    """Bytes by what needs them."""
    return {
        "weights": held(shapes, load),
        "LoRA": lora(shapes, load) / (load.processes if load.sharded else 1),
        "activations": activations(shapes, load),
        "logits": logits(shapes, load),
        "workspace": workspace(shapes, load),
        "libraries": LIBRARIES[load.device],
    }


def weights(shapes: Shapes, load: Load) -> float:
    """4 bits: half a byte a value, and a scale for 64 of them: of NF4 with double quantization a byte, and four for
    256 of those (arXiv:2305.14314, section 3); of mlx a scale and a bias in the precision. Embeddings, norms and what
    is no matrix keep the precision; the head too, but with mlx.
    """
    small = 0.5 + (2 * load.width / 64 if load.device == "mlx" else 1 / 64 + 4 / (64 * 256))
    whole = r"embed" if load.device == "mlx" else r"embed|lm_head"

    def width(name: str, shape: tuple[int, ...]) -> float:
        return small if load.quantization == "4bit" and len(shape) == 2 and not re.search(whole, name) else load.width

    return sum(count(shape) * width(name, shape) for name, shape in shapes.weights.items())


def held(shapes: Shapes, load: Load) -> float:
    """What of the weights one device holds: of divided ones its part, two layers, one of which comes while the other
    works, and the embeddings and the head as they are."""
    total = weights(shapes, load)
    if not load.sharded:
        return total
    ends = sum(count(shape) for name, shape in shapes.weights.items() if re.search("embed|lm_head", name)) * load.width
    return total / load.processes + 2 * (total - ends) / shapes.layers + ends


def count(shape: tuple[int, ...]) -> int:
    total = 1
    for size in shape:
        total *= size
    return total


def lora(shapes: Shapes, load: Load) -> float:
    """rank × (in + out) values a matrix, with DoRA `out` more; each with its gradient and AdamW's two moments, all
    float32, or the moments in 8 bits (arXiv:2110.02861)."""
    magnitudes = 1 if load.variant == "dora" else 0
    values = sum(load.rank * (out + into) + magnitudes * out for out, into in shapes.adapted(load.pattern))
    return values * (4 + 4 + (2 if "8bit" in load.optimizer else 8))


def activations(shapes: Shapes, load: Load) -> float:
    """Of all layers; with checkpointing what goes into each, and all of one."""
    tokens, one = load.rows * load.tokens, layer(shapes, load)
    into = shapes.hidden * load.width
    return tokens * (shapes.layers * into + one if load.checkpointing else shapes.layers * one)


def layer(shapes: Shapes, load: Load) -> float:
    """Bytes that one layer keeps for the gradients of one token.

    norms      their input in float32; the two outputs that go into matrices
    attention  queries, keys and values for each head, what comes out, and that in the order of the heads
               eager: scores before and after the softmax, float32 and in the precision, for each token before it
    inner      gate, gate after its function, up, their product
    LoRA       the input of rank values; with dropout each matrix keeps an input of its own, and the mask
               without autocast (float32, mlx) an input is float32 already, or is made so once more
    """
    e, h, q = load.width, shapes.hidden, shapes.queries
    adapted = shapes.adapted(load.pattern)
    total = 4 * shapes.normed + 2 * e * h + 5 * e * q + 4 * e * shapes.inner
    if load.attention == "eager":
        total += (4 + 2 * e) * load.tokens * shapes.config["num_attention_heads"]
    inputs = sum(shape[1] for shape in adapted) / shapes.layers
    if load.dropout:
        total += inputs * (e + (1 if load.device == "cuda" else e))
    if load.device == "mlx" and e == 2:
        total += inputs * 4
    return total + 3 * e * load.rank * len(adapted) / shapes.layers


def logits(shapes: Shapes, load: Load) -> float:
    """trl makes them in tiles, in the precision and in float32; mlx all at once, with the gradients of both."""
    tokens, width = load.rows * load.tokens, load.width
    if load.device == "mlx":
        return tokens * shapes.config["vocab_size"] * 2 * (width + 4)
    return min(tokens, TILE[0]) * min(shapes.config["vocab_size"], TILE[1]) * (width + 4)


def workspace(shapes: Shapes, load: Load) -> float:
    """The largest matrix in the precision, as 4 bits are multiplied, its norm and DoRA's product beside it; gradients
    of what one layer's inner part keeps."""
    largest = max(count(shape) for shape in shapes.linear.values())
    wide = largest * load.width if load.quantization == "4bit" else 0
    dora = 2 * 4 * largest if load.variant == "dora" else 0
    return wide + dora + 2 * load.width * load.rows * load.tokens * shapes.inner


def machine_memory() -> int:
    """Bytes of the machine, or of the container that this runs in."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        text = Path(path).read_text("ascii").strip() if Path(path).is_file() else ""
        total = min(total, int(text)) if text.isdigit() else total
    return total


def needs(shapes: Shapes, load: Load) -> float:
    return sum(memory(shapes, load).values())


def in_words(shapes: Shapes, load: Load, room: float) -> str:
    """As "needs about 5.1 GB of 24.0 GB: weights 2.3, …". On a CPU peaks were 1.3 to 2.9 times the sum: the figure is
    the least there."""
    parts = ", ".join(f"{name} {size / 1e9:.1f}" for name, size in memory(shapes, load).items())
    how = "on" if load.checkpointing else "off"
    each = f" in each of {load.processes} processes" if load.processes > 1 else ""
    about = "at least" if load.device == "cpu" else "about"
    return (
        f"needs {about} {needs(shapes, load) / 1e9:.1f} GB of {room / 1e9:.1f} GB: {parts}; "
        f"{load.rows} × {load.tokens} tokens at once{each}, gradient checkpointing {how}"
    )


def choose(shapes: Shapes, load: Load, wanted: str, room: float) -> Load:
    """`wanted`: always, never, or auto: where it would not fit without."""
    off = replace(load, checkpointing=False)
    on = wanted == "always" or (wanted == "auto" and needs(shapes, off) > ROOM * room)
    return replace(load, checkpointing=on)


def ways_to_fit(shapes: Shapes, load: Load, room: float) -> str:
    """The knobs that make it fit, with as little changed as can be; "" where nothing does."""
    on = replace(load, checkpointing=True)
    first = [] if load.checkpointing else ["fit.gradient-checkpointing always"]
    if first and needs(shapes, on) <= room:
        return first[0]
    changes = {"quantization 4bit": replace(on, quantization="4bit")} if load.quantization != "4bit" else {}
    if rows := largest(shapes, on, "rows", load.rows, room):
        changes[f"train.batch-size {rows * load.processes}"] = replace(on, rows=rows)
    if (tokens := largest(shapes, on, "tokens", load.tokens, room)) * 2 >= load.tokens:
        changes[f"trim.max-tokens {tokens}"] = replace(on, tokens=tokens)
    if alone := [name for name, other in changes.items() if needs(shapes, other) <= room]:
        return " and ".join([*first, " or ".join(alone)])
    least = replace(on, quantization="4bit", rows=1)
    tokens = largest(shapes, least, "tokens", load.tokens + 1, room)
    trim = [f"trim.max-tokens {tokens}"] if tokens < load.tokens else []
    return " and ".join([*first, "quantization 4bit", f"train.batch-size {load.processes}", *trim]) if tokens else ""


def largest(shapes: Shapes, load: Load, key: str, below: int, room: float) -> int:
    """The largest value of `key` under `below` that fits, of tokens no fewer than 64; 0 where none does."""
    low, high = (63 if key == "tokens" else 0), below
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if needs(shapes, replace(load, **{key: middle})) <= room else (low, middle)
    return low if low >= (64 if key == "tokens" else 1) else 0
