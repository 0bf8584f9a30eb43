"""How a tokenizer splits text, by llama.cpp's names."""

import json
from pathlib import Path

import pytest

from tests.small_base import TINY
from tuneline.exporting.gguf import reason, split_name

BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
DIGITS = {"type": "Digits", "individual_digits": True}


def tokenizer(folder: Path, split: dict | None, **model: object) -> Path:
    """That of models/tiny with another split."""
    told = json.loads((TINY / "tokenizer.json").read_text("utf-8"))
    told["pre_tokenizer"] = split
    told["model"] |= model
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(told), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("split", "name"),
    [
        (BYTES, "gpt-2"),
        ({"type": "Sequence", "pretokenizers": [DIGITS, BYTES]}, "smollm"),
        ({"type": "Sequence", "pretokenizers": [DIGITS, BYTES | {"use_regex": False}]}, None),
    ],
)
def test_a_split_that_is_known_has_its_name(split: dict, name: str | None, tmp_path: Path) -> None:
    merges = [["Ġ", "a"], ["a", "."]]  # crosses no border of the last one but that between a letter and a mark
    found = split_name(tokenizer(tmp_path, split, merges=merges, vocab={"Ġ": 0, "a": 1, ".": 2, "Ġa": 3, "a.": 4}))
    assert found == (name or "superbpe")


def test_the_embedded_base_divides_by_its_merges_alone() -> None:
    assert split_name(TINY / "tokenizer.json") == "superbpe"


def test_a_merge_across_a_border_has_no_name(tmp_path: Path) -> None:
    told = json.loads((TINY / "tokenizer.json").read_text("utf-8"))
    vocab = told["model"]["vocab"] | {"a.": len(told["model"]["vocab"])}
    changed = tokenizer(tmp_path, told["pre_tokenizer"], vocab=vocab, merges=[*told["model"]["merges"], ["a", "."]])
    assert split_name(changed) is None


def test_digits_that_stay_together_have_no_name(tmp_path: Path) -> None:
    together = {"type": "Split", "pattern": {"Regex": r"\p{L}+|\p{N}+|\s+"}, "behavior": "Isolated", "invert": False}
    assert (
        split_name(tokenizer(tmp_path, {"type": "Sequence", "pretokenizers": [together, BYTES | {"use_regex": False}]}))
        is None
    )


FULL = "OSError: 196608 requested and 54088 written"
BAR = "Writing:   0%|          | 0.00/1.12M [00:00<?, ?byte/s]"
REFUSED = "ERROR:hf-to-gguf:Model OPTForCausalLM is not supported"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (f"Traceback\n{FULL}\n{BAR}\n", "the disk is full"),
        (f"{BAR}\nOSError: [Errno 28] No space left on device\n", "the disk is full"),
        (f"INFO:a\n{REFUSED}\n\n{BAR}", "the converter says: Model OPTForCausalLM is not supported"),
        ("NotImplementedError: BPE pre-tokenizer was not recognized - update", "export it as merged"),
        ("", "the converter says: nothing"),
    ],
)
def test_what_the_converter_says_when_it_fails_is_a_line(said: str, told: str) -> None:
    assert told in reason(said) and "\n" not in reason(said) and "Writing" not in reason(said)
