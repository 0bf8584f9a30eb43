"""One rendering: messages → text → token ids with the mask of what is trained.

trim, format, eval and predict all call this, with the base's own tokenizer and chat template. The
mask covers each answer and its end token, nothing else. Templates with `{% generation %}` marks say
where answers stand; in others the answers are marked before rendering. Either way the marks are
two Unicode noncharacters that are taken out again, so that rendering once gives text and spans.
"""

import datetime
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import click
import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.sandbox

from tuneline.base import Base
from tuneline.files import Row
from tuneline.rows import RESERVED

OPEN, CLOSE = RESERVED
IGNORED = -100  # the label that every loss here leaves out
Span = tuple[int, int]  # characters, end excluded


@dataclass(frozen=True)
class Tokens:
    """One row: `ids` and `labels` are as long; a label is its id where it is trained, else IGNORED."""

    ids: list[int]
    labels: list[int]


class _Generation(jinja2.ext.Extension):
    """`{% generation %}…{% endgeneration %}`: marks what the assistant wrote."""

    tags = {"generation"}

    def parse(self, parser: Any) -> jinja2.nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        call = self.call_method("_mark")
        return jinja2.nodes.CallBlock(call, [], [], body).set_lineno(line)

    def _mark(self, caller: Any) -> str:
        return f"{OPEN}{caller()}{CLOSE}"


class Chat:
    """The rendering of one base. `tokenizer` is a fast Hugging Face tokenizer with a chat template."""

    def __init__(self, tokenizer: Any, date: datetime.date) -> None:
        self.tokenizer = tokenizer
        self.backend = tokenizer.backend_tokenizer
        source = tokenizer.get_chat_template()
        # As transformers compiles templates, with a fixed day for those that ask for today's.
        env = jinja2.sandbox.ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, jinja2.ext.loopcontrols]
        )
        env.filters["tojson"] = _to_json
        env.globals["raise_exception"] = _raise
        env.globals["strftime_now"] = date.strftime
        self.template = env.from_string(source)
        self.has_marks = re.search(r"\{%-?\s*generation\s*-?%\}", source) is not None
        self.names = {**tokenizer.special_tokens_map, "date_string": date.strftime("%d %b %Y")}
        specials = sorted(map(str, tokenizer.all_special_tokens), key=len, reverse=True)
        added = [str(token) for token in tokenizer.added_tokens_decoder.values() if token.special]
        ends = "|".join(map(re.escape, dict.fromkeys([*specials, *added])))
        self.end = re.compile(rf"\s*(?:{ends})")
        self.sha256 = hashlib.sha256((self.backend.to_str() + source).encode()).hexdigest()

    @property
    def stop_ids(self) -> list[int]:
        """The tokens that end an answer: the one that the template writes, and the tokenizer's own."""
        row = {"messages": [{"role": "user", "content": "?"}, {"role": "assistant", "content": "!"}]}
        text, spans = self.render(row)
        written = self.backend.encode(text[slice(*spans[-1])], add_special_tokens=False).ids[-1]
        return list(dict.fromkeys([written, self.tokenizer.eos_token_id or written]))

    def prompt(self, messages: Sequence[Row]) -> str:
        """The text after which the model writes its answer to the last message."""
        return self._render(messages, add_generation_prompt=True).replace(OPEN, "").replace(CLOSE, "")

    def render(self, row: Row) -> tuple[str, list[Span]]:
        """The row's text and the spans in it that are trained; a text row is trained whole."""
        if "text" in row:
            text = self.names.get("bos_token", "") + row["text"] + self.names.get("eos_token", "")
            return text, [(0, len(text))]
        messages = row["messages"]
        if not self.has_marks:
            messages = [_marked(m) if m["role"] == "assistant" else m for m in messages]
        head, *rest = self._render(messages, add_generation_prompt=False).split(OPEN)
        text, spans = head, []
        for part in rest:
            answer, _, tail = part.partition(CLOSE)
            start = len(text)
            end = start + len(answer)
            follows = self.end.match(tail)
            if follows and not self._ends(answer):
                end += follows.end()
            text += answer + tail
            spans.append((start, end))
        return text, spans

    def count(self, rows: Sequence[Row], limit: int) -> list[int]:
        """Tokens of each row. A row of at most `limit` bytes is not encoded and counts its bytes:
        with byte-level tokens and byte fall-back alike, a token covers a byte or more."""
        texts = [self.render(row)[0] for row in rows]
        counts = [len(text.encode("utf-8")) for text in texts]
        long = [index for index, size in enumerate(counts) if size > limit]
        encodings = self.backend.encode_batch_fast([texts[index] for index in long], add_special_tokens=False)
        for index, encoding in zip(long, encodings, strict=True):
            counts[index] = len(encoding)
        return counts

    def encode(self, rows: Sequence[Row]) -> list[Tokens]:
        """Ids and labels of each row. Raises click.ClickException when nothing of a row is trained."""
        rendered = [self.render(row) for row in rows]
        encodings = self.backend.encode_batch([text for text, _ in rendered], add_special_tokens=False)
        tokens = []
        for row, (text, spans), encoding in zip(rows, rendered, encodings, strict=True):
            ids = encoding.ids
            labels = [IGNORED] * len(ids)
            for start, end in spans:
                first, last = encoding.char_to_token(start), encoding.char_to_token(end - 1)
                if first is not None and last is not None:
                    labels[first : last + 1] = ids[first : last + 1]
                if "text" not in row and not self._ends(text[start:end]):
                    raise click.ClickException(
                        f"row {row['id']}: the chat template writes no special token after an answer, "
                        "so a model could not learn to stop; correct the template"
                    )
            if all(label == IGNORED for label in labels):
                raise click.ClickException(f"row {row['id']}: no token of it is trained; see the chat template")
            tokens.append(Tokens(ids, labels))
        return tokens

    def _ends(self, text: str) -> bool:
        """Whether the text ends with a special token."""
        return any(match.end() == len(text) for match in self.end.finditer(text))

    def _render(self, messages: Sequence[Row], add_generation_prompt: bool) -> str:
        try:
            return self.template.render(
                messages=messages, tools=None, add_generation_prompt=add_generation_prompt, **self.names
            )
        except jinja2.TemplateError as error:
            raise click.ClickException(f"the chat template refuses a row: {error}") from None


def load_chat(base: Base) -> Chat:
    """The rendering of a base. Raises click.ClickException when it has no usable tokenizer."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(base.source, revision=base.revision)
    except (OSError, ValueError) as error:
        raise click.ClickException(f"{base.folder}: no tokenizer: {' '.join(str(error).split())}") from None
    if not tokenizer.is_fast or not tokenizer.chat_template:
        raise click.ClickException(f"{base.folder}: needs a fast tokenizer with a chat template")
    return Chat(tokenizer, base.date)


def _marked(message: Row) -> Row:
    return {**message, "content": f"{OPEN}{message['content'].strip()}{CLOSE}"}


def _to_json(value: Any, ensure_ascii: bool = False, **options: Any) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, **options)


def _raise(message: str) -> None:
    raise jinja2.TemplateError(message)
