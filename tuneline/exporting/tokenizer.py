"""The base's tokenizer for other tools: its chat template writes without us what ours writes."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

from tuneline.models.base import Base
from tuneline.rendering.chat import Chat

OWN_MODEL = "tokenizer.model"  # of sentencepiece, which some tools read instead of tokenizer.json
NOW = re.compile(r"""strftime_now\(\s*(['"])(.*?)\1\s*\)""")


def write_tokenizer(chat: Chat, base: Base, out: Path) -> None:
    chat.tokenizer.chat_template = portable_template(chat, base)
    chat.tokenizer.save_pretrained(out)
    if (base.folder / OWN_MODEL).is_file():
        shutil.copyfile(base.folder / OWN_MODEL, out / OWN_MODEL)


def portable_template(chat: Chat, base: Base) -> str:
    """The template with base.yaml's options and day in it: other tools know neither."""
    source = NOW.sub(lambda found: json.dumps(base.date.strftime(found[2])), chat.tokenizer.get_chat_template())
    told: dict[str, Any] = dict(base.template_options or {})
    if "date_string" in source:
        told = {"date_string": base.date.strftime("%d %b %Y"), **told}
    return "".join(f"{{%- set {name} = {_literal(value)} -%}}" for name, value in told.items()) + source


def _literal(value: Any) -> str:
    """As Jinja writes it: JSON, but for null."""
    return "none" if value is None else json.dumps(value)


def adds_begin(chat: Chat) -> bool:
    """Whether the tokenizer itself puts its begin token before a text, and not the template alone."""
    first = chat.tokenizer("a")["input_ids"][:1]
    return bool(first) and first[0] == chat.tokenizer.bos_token_id
