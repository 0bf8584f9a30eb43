"""Random models of two layers with the embedded base's tokenizer: they train in seconds and know nothing."""

import json
import shutil
from pathlib import Path
from typing import Any

TINY = Path(__file__).parent.parent / "models" / "tiny"
SIZE = {
    "vocab_size": json.loads((TINY / "config.json").read_text("utf-8"))["vocab_size"],
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 512,
    "tie_word_embeddings": True,
    "eos_token_id": 2,
    "pad_token_id": 0,
    "bos_token_id": None,
}
VISION = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 28,
    "patch_size": 14,
}
TOWERS = ("gemma3", "mistral3")  # classes with a language model beside other modules
CLASSES = ("llama", "mistral", "mistral3", "qwen2", "qwen3", "gemma3_text", "gemma3", "phi3", "smollm3")


def write_small_base(folder: Path, **changed: object) -> Path:
    """Writes the base to `folder`, a Llama; `changed` are values of its LlamaConfig."""
    return write_class_base(folder, "llama", **changed)


def write_class_base(folder: Path, kind: str, **changed: object) -> Path:
    """A base of one of CLASSES; `changed` are values of its (text) configuration."""
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

    leave_out = shutil.ignore_patterns("*.safetensors", "*.py", "text", "__pycache__")
    shutil.copytree(TINY, folder, ignore=leave_out)
    torch.manual_seed(0)
    auto = AutoModelForImageTextToText if kind in TOWERS else AutoModelForCausalLM
    auto.from_config(class_config(kind, SIZE | changed)).save_pretrained(folder)
    write_target(folder, kind)
    return folder


def class_config(kind: str, size: dict[str, Any]) -> Any:
    from transformers import AutoConfig

    if kind not in TOWERS:
        more = {"num_key_value_heads": 1} if kind != "llama" else {}
        return AutoConfig.for_model(kind, **more, **head(kind), **size)
    text = {"model_type": {"gemma3": "gemma3_text", "mistral3": "ministral3"}[kind], **size, **head(kind)}
    vision = {"model_type": {"gemma3": "siglip_vision_model", "mistral3": "pixtral"}[kind], **VISION}
    more = {"image_token_index": 3, "spatial_merge_size": 2}
    if kind == "gemma3":
        more = {"mm_tokens_per_image": 4, "vocab_size": size["vocab_size"]}  # mlx-lm looks for it there
    return AutoConfig.for_model(
        kind, text_config=text | {"num_key_value_heads": 1}, vision_config=vision, tie_word_embeddings=True, **more
    )


def head(kind: str) -> dict[str, int]:
    if kind.startswith("gemma3"):  # every second layer sees the last tokens alone
        return {"head_dim": 32, "sliding_window": 16, "sliding_window_pattern": 2}
    return {} if kind in ("llama", "phi3", "smollm3") else {"head_dim": 32}


def write_target(folder: Path, kind: str) -> None:
    """One pattern for both backends."""
    layers = r".*language_model\.(model\.)?layers\.\d+\." if kind in TOWERS else r"model\.layers\.\d+\."
    modules = (
        r"(self_attn\.(qkv|o)|mlp\.(gate_up|down))_proj"
        if kind == "phi3"
        else (r"(self_attn\.(q|k|v|o)|mlp\.(gate|up|down))_proj")
    )
    path = folder / "base.yaml"
    head, _, _ = path.read_text("utf-8").partition("target:")
    path.write_text(
        f"{head}target:\n  linear: {layers}{modules}\n  attention: {layers}self_attn\\.(q|k|v|o|qkv)_proj\n", "utf-8"
    )
