"""A LoRA adapter that nobody trained: random weights on a small random base, with all that training would write."""

import shutil
from pathlib import Path

from tests.conftest import ROOT
from tuneline.files import write_jsonl
from tuneline.models.adapter import WEIGHTS, Adapter, lora_config, write_adapter
from tuneline.models.base import read_base

SYSTEM = "Answer as a harbour master would."


def write_small_adapter(
    folder: Path, base: Path, quantization: str = "none", prefix: str = "", size: float = 0.3, variant: str = "plain"
) -> Path:
    """`base`: as adapter.json shall name it. `size`: the standard deviation of what B holds."""
    import torch
    from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
    from safetensors.torch import save_file

    from tuneline.backends.cuda import load_model

    folder.mkdir(parents=True)
    read = read_base(base)
    config = lora_config(read, 4, 2.0, 0.0, "linear", variant)
    torch.manual_seed(1)
    model = get_peft_model(load_model(read, "none", device="cpu"), LoraConfig(**config))
    found = get_peft_model_state_dict(model, save_embedding_layers=False)  # else it would look for the base on the Hub
    weights = {name: weight.contiguous() for name, weight in found.items()}
    for name, weight in weights.items():
        if "lora_B" in name:
            weight.normal_(0, size)
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
    told = Adapter(base=base, quantization=quantization, precision="float32", backend="cuda", prefix=prefix)
    write_adapter(folder, config, told, read, SYSTEM, ROOT / "recipes/query_json/schema.json")
    shutil.copymode(folder / "system.md", folder / WEIGHTS)
    return folder


def write_test_rows(path: Path, count: int = 4) -> None:
    said = [
        [
            {"role": "user", "content": f'où est le quai {n}, 12½ m²? "ici"\n\tl\'été…'},
            {"role": "assistant", "content": f"au port, quai n° {n}"},
        ]
        for n in range(count)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_jsonl(path, ({"id": str(number), "messages": messages} for number, messages in enumerate(said)))
