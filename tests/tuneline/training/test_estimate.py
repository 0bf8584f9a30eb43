"""What a run needs, from shapes alone: against figures of real models, and what is said of what does not fit."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.small_base import write_class_base, write_small_base
from tuneline.models.base import read_base
from tuneline.training.estimate import Load, Shapes, choose, in_words, layer, memory, needs, read_shapes, ways_to_fit

PATTERN = r".*layers\.\d+\.(self_attn\.(q|k|v|o)|mlp\.(gate|up|down))_proj"
GIB = 2**30


def shapes_of(
    hidden: int, inner: int, queries: int, keys: int, layers: int, words: int, tied: bool, norms: int = 2
) -> Shapes:
    """The shapes of a Llama-like model with 32 heads; with more than two norms a layer, of queries and keys too."""
    weights = {"model.embed_tokens.weight": (words, hidden)} | ({} if tied else {"lm_head.weight": (words, hidden)})
    for number in range(layers):
        of_layer = {
            "self_attn.q_proj": (queries, hidden), "self_attn.k_proj": (keys, hidden),
            "self_attn.v_proj": (keys, hidden), "self_attn.o_proj": (hidden, queries), "mlp.gate_proj": (inner, hidden),
            "mlp.up_proj": (inner, hidden), "mlp.down_proj": (hidden, inner),
            **{f"norm_{place}": (hidden,) for place in range(norms)},
            **({"self_attn.q_norm": (128,), "self_attn.k_norm": (128,)} if norms > 2 else {}),
        }  # fmt: skip
        weights |= {f"model.layers.{number}.{name}.weight": shape for name, shape in of_layer.items()}
    config = {"hidden_size": hidden, "intermediate_size": inner, "num_attention_heads": 32, "vocab_size": words}
    return Shapes(weights, config | {"head_dim": queries // 32})


GEMMA = shapes_of(5376, 21504, 4096, 2048, 62, 262208, tied=True, norms=4)
LLAMA = shapes_of(4096, 14336, 4096, 1024, 32, 128256, tied=False)
MINISTRAL = shapes_of(3072, 9216, 4096, 1024, 26, 131072, tied=True)


def load(tokens: int, **changed: object) -> Load:
    return replace(Load("cuda", "4bit", "bfloat16", 1, tokens, 16, PATTERN, dropout=0.05), **changed)


@pytest.mark.parametrize(
    ("shapes", "tokens", "without", "with_it"),
    [(GEMMA, 512, 33.5, 19.8), (LLAMA, 2048, 24.2, 6.7), (MINISTRAL, 2048, 13.9, 3.6)],
    ids=["gemma-3-27b", "llama-8b", "ministral-3b"],
)
def test_known_figures(shapes: Shapes, tokens: int, without: float, with_it: float) -> None:
    """GiB that tensors take, NF4, batch 1, rank 16, computed by others; CUDA's own context is beside them."""
    for checkpointing, figure in ((False, without), (True, with_it)):
        parts = memory(shapes, load(tokens, checkpointing=checkpointing))
        assert (sum(parts.values()) - parts["libraries"]) / GIB == pytest.approx(figure, rel=0.15)


def test_auto_computes_layers_twice_where_it_would_not_fit_without() -> None:
    assert choose(GEMMA, load(512), "auto", 24 * 10**9).checkpointing
    assert not choose(GEMMA, load(512), "auto", 80 * 10**9).checkpointing
    assert not choose(GEMMA, load(512), "never", 24 * 10**9).checkpointing
    assert choose(GEMMA, load(512), "always", 80 * 10**9).checkpointing


def test_each_way_to_fit_fits() -> None:
    room = 24 * 10**9
    assert ways_to_fit(GEMMA, load(512), room) == "fit.gradient-checkpointing always"
    whole = load(2048, quantization="none", rows=12, checkpointing=True)
    ways = ways_to_fit(LLAMA, whole, room).split(" or ")
    assert [way.rpartition(" ")[0] for way in ways] == ["quantization", "train.batch-size"]
    rows = int(ways[1].rpartition(" ")[2])
    assert needs(LLAMA, replace(whole, rows=rows)) <= room < needs(LLAMA, replace(whole, rows=rows + 1))
    far = load(200_000, quantization="none", rows=8)
    words, _, tokens = ways_to_fit(LLAMA, far, room).rpartition(" ")
    assert words == "fit.gradient-checkpointing always and quantization 4bit and train.batch-size 1 and trim.max-tokens"
    least = replace(far, quantization="4bit", rows=1, checkpointing=True, tokens=int(tokens))
    assert needs(LLAMA, least) <= room < needs(LLAMA, replace(least, tokens=least.tokens + 1))
    assert ways_to_fit(GEMMA, load(512), 10**9) == ""


@pytest.mark.parametrize("kind", ["llama", "gemma3", "mistral3", "phi3"])
def test_shapes_are_read_from_headers(kind: str, tmp_path: Path) -> None:
    base = read_base(write_class_base(tmp_path / "base", kind))
    shapes = read_shapes(base.folder)
    assert shapes.layers == 2
    assert len(shapes.adapted(base.pattern("linear"))) == 2 * (4 if kind == "phi3" else 7)
    assert not [name for name in shapes.linear if "vision" in name]


def test_a_layer_keeps_what_autograd_saves(tmp_path: Path) -> None:
    import torch
    from peft import LoraConfig, get_peft_model

    from tuneline.backends.cuda import load_model

    size = {"hidden_size": 256, "intermediate_size": 1024, "num_attention_heads": 8, "max_position_embeddings": 1024}
    saved = []
    for layers in (1, 3):
        base = read_base(write_small_base(tmp_path / str(layers), num_hidden_layers=layers, **size))
        config = LoraConfig(r=8, target_modules=base.pattern("linear"))
        model = get_peft_model(load_model(base, "none", "bfloat16"), config).train()
        known = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
        kept: dict[int, torch.Tensor] = {}

        def keep(tensor: torch.Tensor, known: set = known, kept: dict = kept) -> torch.Tensor:
            if tensor.untyped_storage().data_ptr() not in known:
                kept[tensor.untyped_storage().data_ptr()] = tensor
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x), torch.autocast("cpu", torch.bfloat16):
            out = model.base_model.model.model(torch.arange(500)[None] + 5).last_hidden_state
        saved.append(sum(tensor.untyped_storage().nbytes() for tensor in kept.values()))
        del out
    wanted = Load("cpu", "none", "bfloat16", 1, 500, 8, base.pattern("linear"))
    assert layer(read_shapes(base.folder), wanted) * 500 == pytest.approx((saved[1] - saved[0]) / 2, rel=0.15)


def test_several_processes_are_told_and_batches_are_theirs_together() -> None:
    each = load(2048, rows=2, processes=4)
    assert needs(LLAMA, each) == needs(LLAMA, load(2048, rows=2))
    assert "2 × 2048 tokens at once in each of 4 processes" in in_words(LLAMA, each, 1)
    assert "train.batch-size 4" in ways_to_fit(LLAMA, each, needs(LLAMA, load(2048, checkpointing=True)))


def test_divided_weights_are_a_part_two_layers_and_the_ends() -> None:
    whole, parts = (memory(LLAMA, load(512, quantization="none", processes=8, sharded=flag)) for flag in (False, True))
    layer_bytes, ends = 0.436e9, 2 * 128256 * 4096 * 2
    assert parts["weights"] == pytest.approx(whole["weights"] / 8 + 2 * layer_bytes + ends, rel=0.01)
    assert parts["LoRA"] == whole["LoRA"] / 8
    assert parts["activations"] == whole["activations"]
