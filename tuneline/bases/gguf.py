"""A GGUF file → a model folder that transformers and mlx-lm load: safetensors in bfloat16, config, tokenizer, template.

The weights keep the file's quantization error: a Q4 file gives a model that starts from 4 bits.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

# `tokenizer.ggml.pre` → how it splits text before merges. transformers reads the field for none and splits as GPT-2
# does: where that is another split, the tokenizer would read digits otherwise than the model was trained to.
GPT2_SPLITS = ("gpt-2", "default")


def join(parts: Sequence[Path], out: Path) -> None:
    """The parts of a file that was cut, in their order."""
    with out.open("wb") as whole:
        for part in parts:
            with part.open("rb") as source:
                shutil.copyfileobj(source, whole)


def convert(gguf: Path, out: Path) -> None:
    """Raises click.ClickException when the file is no GGUF of a class that transformers reads, or its tokenizer
    splits text in a way that is not known here."""
    import torch
    import transformers
    from transformers import AutoModelForCausalLM, AutoTokenizer

    split = pre_tokenizer(gguf)
    transformers.utils.logging.set_verbosity_error()  # it would have float32, for kernels that nothing here runs
    try:
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name, trust_remote_code=False)
        model, found = AutoModelForCausalLM.from_pretrained(
            gguf.parent, gguf_file=gguf.name, dtype=torch.bfloat16, output_loading_info=True, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError, NotImplementedError) as error:
        raise click.ClickException(f"{gguf.name}: {' '.join(str(error).split())}") from None
    if found["missing_keys"] or found["mismatched_keys"]:
        lost = sorted({*map(str, found["missing_keys"]), *map(str, found["mismatched_keys"])})
        raise click.ClickException(f"{gguf.name} lacks {len(lost)} weights of its class, such as {lost[0]}")
    if split is not None:
        tokenizer.backend_tokenizer.pre_tokenizer = split
    for key in ("quantization_config", "_name_or_path"):  # of the file, not of what is written
        if hasattr(model.config, key):
            delattr(model.config, key)
    model.hf_quantizer = None
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)


def pre_tokenizer(gguf: Path) -> Any:
    """The split before merges that the file names; None where transformers takes the right one."""
    from gguf import GGUFReader
    from tokenizers import pre_tokenizers as split

    try:
        fields = GGUFReader(gguf).fields
        kind, name = (
            fields[key].contents() if key in fields else None for key in ("tokenizer.ggml.model", "tokenizer.ggml.pre")
        )
    except (ValueError, OSError) as error:
        raise click.ClickException(f"{gguf.name} is no GGUF file: {' '.join(str(error).split())}") from None
    if kind != "gpt2" or name in GPT2_SPLITS:
        return None
    if name == "smollm":  # as in SmolLM2's own tokenizer.json
        return split.Sequence([split.Digits(individual_digits=True), split.ByteLevel(add_prefix_space=False)])
    raise click.ClickException(f"{gguf.name}: its tokenizer splits text as {name!r}, which is not known here")
