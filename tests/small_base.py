"""A random Llama of two layers with the embedded base's tokenizer: trains in seconds, knows nothing."""

import json
import shutil
from pathlib import Path

TINY = Path(__file__).parent.parent / "models" / "tiny"


def write_small_base(folder: Path, **changed: object) -> Path:
    """Writes the base to `folder`; `changed` are values of its LlamaConfig."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    shutil.copytree(TINY, folder, ignore=shutil.ignore_patterns("*.safetensors", "*.py", "text", "__pycache__"))
    config = {
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
    torch.manual_seed(0)
    LlamaForCausalLM(LlamaConfig(**config | changed)).save_pretrained(folder)
    return folder
