"""transformers and peft: loads a base and an adapter. CUDA, or the CPU."""

import logging
import os
import sys
from pathlib import Path
from typing import Any

import click
from safetensors import SafetensorError, safe_open

from tuneline.models.adapter import WEIGHTS, fitting
from tuneline.models.base import Base
from tuneline.running.processes import local_size, world_size

# Read when torch loads. On a CPU that has other work too, threads that wait by spinning without an
# end made a training step ten times slower (two cores, one of them busy); a short spin costs nothing.
os.environ.setdefault("GOMP_SPINCOUNT", "20000")
# Also read then: processes of one training that share a machine divide its cores.
if (sharing := int(os.environ.get("LOCAL_WORLD_SIZE", 1))) > 1:
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // sharing)))
# Nothing here is compiled. bitsandbytes, which peft imports, would load torch's compiler for its kernels of the CPU:
# 3 s of each start, and a C++ compiler wanted later.
os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
# It also looks on the Hub for a kernel that it can do without, and warns that it found none.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)


ATTENTION = {"auto": None, "eager": "eager", "sdpa": "sdpa", "flash": "flash_attention_2"}  # by transformers' names


def load_model(
    base: Base, quantization: str, precision: str = "float32", attention: str = "auto", device: str | None = None
) -> Any:
    """The base on `device`, if none is named on this process's own. 4bit is NF4, its scales in 8 bits, with bfloat16
    arithmetic where the device has it, on CUDA and on the CPU.

    Raises click.ClickException when the class is unknown, or a weight is missing, left over or of another shape:
    the layer would be a random one.
    """
    import torch
    from transformers import BitsAndBytesConfig, GenerationConfig

    quiet_libraries()
    config = None
    if quantization == "4bit":
        config = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=getattr(torch, computed_precision("bfloat16")),
        )
    device = device or (f"cuda:{local_rank()}" if torch.cuda.is_available() else "cpu")
    if not torch.cuda.is_available():
        keep_freed_memory()
    try:
        model, found = model_class(base).from_pretrained(
            base.folder,
            dtype=getattr(torch, precision),
            quantization_config=config,
            device_map={"": device},
            attn_implementation=ATTENTION[attention],
            trust_remote_code=False,
            ignore_mismatched_sizes=True,  # told below, with the other faults
            output_loading_info=True,
        )
    except (OSError, ValueError, ImportError, SafetensorError) as error:
        raise click.ClickException(f"{base.folder}: {' '.join(str(error).split())}") from None
    _check_loaded(base, found)
    model.generation_config = GenerationConfig()  # the base's own may repeat less, or draw: greedy is greedy
    return model.eval()


def keep_freed_memory() -> None:
    """Has glibc keep the memory that a step frees for the next one, rather than give it back to the kernel.

    Tensors of more than 32 MB, of which a step on a CPU makes hundreds, would each be mapped anew, and every page of
    them zeroed: a third of the time of Gemma 3 270M's training, an eighth of SmolLM2-135M's, a fifth of its answers'.
    The bytes are the same, and the peak of memory 3 % higher in training, 17 % in answering. mallopt(3) says what the
    two settings mean; a C library that has none of it is left alone.
    """
    import ctypes

    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if hasattr(libc, "mallopt"):
        libc.mallopt(-4, 0)  # M_MMAP_MAX: no block of its own for a large tensor
        libc.mallopt(-1, -1)  # M_TRIM_THRESHOLD: the end of the heap is never given back


def computed_precision(wanted: str) -> str:
    """What the device trains in: `auto` is bfloat16 on a card, float32 on a CPU, where a sum of bfloat16 depends on the
    number of threads. bfloat16 is float32 on a device that has no arithmetic for it.

    A CPU without, such as one with AVX2 alone, has torch take number by number: 1 to 17 GFLOP/s on two cores of an AMD
    EPYC, where float32 has 118. A card without takes a way through float32.
    """
    import torch

    card = torch.cuda.is_available()
    if wanted == "float32" or (wanted == "auto" and not card):
        return "float32"
    mkldnn = torch.backends.mkldnn.is_available() and torch.ops.mkldnn
    able = torch.cuda.is_bf16_supported(False) if card else mkldnn and mkldnn._is_mkldnn_bf16_supported()
    return "bfloat16" if able else "float32"


def answering_precision(trained: str) -> str:
    """That of training on a GPU. On a CPU float32: there bfloat16 wins little, and an answer would depend on the rows
    that share its batch (of 155 answers of an adapter of models/tiny, 7 did)."""
    import torch

    return computed_precision(trained) if torch.cuda.is_available() else "float32"


def local_rank() -> int:
    """Which of this machine's processes this is, as torchrun tells it."""
    return int(os.environ.get("LOCAL_RANK", 0))


def refused_processes(knob: str, count: int) -> str | None:
    """Why this machine has no room for so many: with cards, each wants one."""
    import torch

    here, cards = max(local_size(), count // world_size()), torch.cuda.device_count()
    if 0 < cards < here:
        return f"{knob}: {here} processes want as many cards, and this machine has {cards}; write {cards}"
    return None


def model_class(base: Base) -> Any:
    """The class of transformers that loads the base, a model that sees pictures too; no code of the base's is run.

    Raises click.ClickException for one that transformers has no class for.
    """
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText

    try:
        config = AutoConfig.from_pretrained(base.folder, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise click.ClickException(f"{base.folder}: {' '.join(str(error).split())}") from None
    for auto in (AutoModelForCausalLM, AutoModelForImageTextToText):
        if type(config) in auto._model_mapping:
            return auto
    raise click.ClickException(f"{base.folder}: transformers has no language model of {type(config).__name__}")


def _check_loaded(base: Base, found: dict[str, Any]) -> None:
    kinds = {"missing": "are missing", "unexpected": "have no place", "mismatched": "are of another shape"}
    faults = []
    for kind, words in kinds.items():
        names = sorted(key if isinstance(key, str) else key[0] for key in found[f"{kind}_keys"])
        if names:
            faults.append(f"{len(names)} {words}, such as {names[0]}")
    if faults:
        raise click.ClickException(
            f"{base.folder}: of the weights, {'; '.join(faults)}; config.json and the weights are not of one model"
        )


def vocabulary(model: Any) -> int:
    """Tokens that the model has a logit for."""
    return model.config.get_text_config().vocab_size


def quiet_libraries() -> None:
    """Only errors: what these libraries warn of here is their own future, and nobody's to mend."""
    import warnings

    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    warnings.filterwarnings("ignore", category=FutureWarning)


def load_adapter(model: Any, folder: Path) -> Any:
    """Raises click.ClickException when the adapter is of another base."""
    from peft import PeftModel

    with fitting(folder):
        loaded = PeftModel.from_pretrained(model, str(folder))
        _check_places(loaded, folder, "default")
    if merges(loaded):
        loaded.merge_adapter()
    return loaded.eval()


def switch_adapter(model: Any, folder: Path) -> Any:
    """Another adapter on the loaded base, in place; a base with an adapter is given.

    Raises click.ClickException when the adapter is of another base.
    """
    name = folder.resolve().as_posix().replace(".", "_")  # of a module, which takes no dot
    if merges(model):
        model.unmerge_adapter()
    if name not in model.peft_config:
        with fitting(folder):
            model.load_adapter(str(folder), adapter_name=name)
            _check_places(model, folder, name)
    model.set_adapter(name)
    if merges(model):
        model.merge_adapter()
    return model.eval()


def merges(model: Any) -> bool:
    """Whether the adapter is added into the weights to answer, a quarter faster: bfloat16 and 4 bits would round it."""
    import torch

    return model.dtype == torch.float32 and not hasattr(model.config, "quantization_config")


def _check_places(model: Any, folder: Path, name: str) -> None:
    """peft leaves a layer without weights as it was, and weights without a layer out; both say nothing."""
    from peft import get_peft_model_state_dict

    with safe_open(folder / WEIGHTS, "pt") as file:
        stored = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118 # no mapping
    places = get_peft_model_state_dict(model, adapter_name=name)
    wrong = dict(stored.items() ^ {key: tuple(tensor.shape) for key, tensor in places.items()}.items())
    if wrong:
        raise ValueError(f"{len(wrong)} LoRA weights are missing, left over or of another shape, such as {min(wrong)}")
