"""One rendering: messages → text → token ids with the mask of what is trained.

trim, format, eval and predict all call this, with the base's own tokenizer and chat template. The
mask covers each answer and its end token, nothing else. Templates with `{% generation %}` marks say
where answers stand; in others the answers are marked before rendering. Either way the marks are
two Unicode noncharacters that are taken out again, so that rendering once gives text and spans.
"""

import copy
import datetime
import hashlib
import json
import re
from bisect import bisect_right
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain
from operator import itemgetter
from typing import Any, ClassVar, Self

import click
import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.sandbox

from tuneline.files import Row
from tuneline.models.base import Base
from tuneline.rendering.preamble import Preamble
from tuneline.rows import RESERVED

OPEN, CLOSE = RESERVED
NONE = Preamble()
IGNORED = -100  # the label that every loss here leaves out
BATCH = 1000  # rows that the tokenizer is given at a time
Span = tuple[int, int]  # characters, end excluded
Rendered = tuple[str, list[Span]]


@dataclass(frozen=True)
class Tokens:
    """One row: `ids` and `labels` are as long; a label is its id where it is trained, else IGNORED."""

    ids: list[int]
    labels: list[int]


class _Generation(jinja2.ext.Extension):
    """`{% generation %}…{% endgeneration %}`: marks what the assistant wrote."""

    tags: ClassVar = {"generation"}

    def parse(self, parser: Any) -> jinja2.nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        first, last = (jinja2.nodes.Output([jinja2.nodes.TemplateData(mark)]) for mark in (OPEN, CLOSE))
        return jinja2.nodes.Scope([first, *body, last]).set_lineno(line)


class Chat:
    """The rendering of one base. `tokenizer` is a fast Hugging Face tokenizer with a chat template.

    `preamble` stands before every question of the rows and messages that it is given; a row that is only text has none.
    """

    def __init__(self, tokenizer: Any, date: datetime.date, preamble: Preamble = NONE) -> None:
        self.tokenizer, self.preamble = tokenizer, preamble
        self.backend = tokenizer.backend_tokenizer
        self.backend.no_truncation()  # some tokenizer.json files have it on: rows would be cut in silence
        self.backend.no_padding()
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
        date_string = date.strftime("%d %b %Y")
        self.names = {**self.template.globals, **tokenizer.special_tokens_map, "date_string": date_string}
        added = [str(token) for token in tokenizer.added_tokens_decoder.values() if token.special]
        specials = {*map(str, tokenizer.all_special_tokens), *added} - {""}
        self.ends = tuple(sorted(specials, key=lambda token: (-len(token), token)))
        known = "|".join(map(re.escape, self.ends)) or "(?!)"  # which matches nothing
        self.special, self.end = re.compile(known), re.compile(rf"\s*(?:{known})")
        self.sha256 = hashlib.sha256((self.backend.to_str() + source).encode()).hexdigest()

    def under(self, preamble: Preamble) -> Self:
        """The same rendering under another preamble. Raises click.ClickException when that spells a special token."""
        for text in (preamble.system, preamble.prefix):
            if found := self.special.search(text):
                raise click.ClickException(f"the system prompt or the prefix spells out {found[0]}, a special token")
        other = copy.copy(self)
        other.preamble = preamble
        return other

    @property
    def stop_ids(self) -> list[int]:
        """The tokens that end an answer: the one that the template writes, and the tokenizer's own."""
        row = {"messages": [{"role": "user", "content": "?"}, {"role": "assistant", "content": "!"}]}
        text, spans = self.render(row)
        written = self.backend.encode(text[slice(*spans[-1])], add_special_tokens=False).ids[-1]
        own = self.tokenizer.eos_token_id
        return list(dict.fromkeys([written, written if own is None else own]))

    def special_in(self, row: Row) -> str | None:
        """The first special token that the row's own text spells out: it would end a turn, or begin one."""
        texts = [row["text"]] if "text" in row else [message["content"] for message in row["messages"]]
        found = next(filter(None, map(self.special.search, texts)), None)
        return found and found[0]

    def prompt(self, messages: Sequence[Row]) -> str:
        """The text after which the model writes its answer to the last message."""
        messages = self.preamble.before(messages)
        return self._render(messages, add_generation_prompt=True).replace(OPEN, "").replace(CLOSE, "")

    def render(self, row: Row) -> Rendered:
        """The row's text and the spans in it that are trained; a text row is trained whole."""
        if "text" in row:
            text = self.names.get("bos_token", "") + row["text"] + self.names.get("eos_token", "")
            return text, [(0, len(text))]
        messages = self.preamble.before(row["messages"])
        if not self.has_marks:
            messages = [_marked(m) if m["role"] == "assistant" else m for m in messages]
        head, *rest = self._render(messages, add_generation_prompt=False).split(OPEN)
        if CLOSE in head or any(part.count(CLOSE) != 1 for part in rest):
            raise click.ClickException(
                f"{_name(row)}: the chat template rewrites its answers; put {{% generation %}} marks into it"
            )
        text, spans = head, []
        for part in rest:
            answer, _, tail = part.partition(CLOSE)
            start = len(text)
            end = start + len(answer)
            follows = None if answer.endswith(self.ends) else self.end.match(tail)
            if follows:
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

    def encode(self, rows: Sequence[Row], rendered: Sequence[Rendered] | None = None) -> list[Tokens]:
        """Ids and labels of each row. Raises click.ClickException when nothing of a row is trained.

        `rendered` is what `render` gives for each row, where the caller has it already.
        """
        rendered = [self.render(row) for row in rows] if rendered is None else rendered
        texts = [text for text, _ in rendered]
        encode = partial(self.backend.encode_batch, add_special_tokens=False)
        with ThreadPoolExecutor(1) as pool:  # a batch is labelled here while the next is encoded there
            encodings = pool.map(encode, (texts[i : i + BATCH] for i in range(0, len(texts), BATCH)))
            return list(map(self._label, rows, rendered, chain.from_iterable(encodings)))

    def _label(self, row: Row, rendered: Rendered, encoding: Any) -> Tokens:
        text, spans = rendered
        ids = encoding.ids
        labels = ids if "text" in row else [IGNORED] * len(ids)
        for start, end in spans if "messages" in row else ():
            if not text.endswith(self.ends, start, end):
                raise click.ClickException(
                    f"{_name(row)}: the chat template writes no special token after an answer, "
                    "so a model could not learn to stop; correct the template"
                )
            first, last = encoding.char_to_token(start), encoding.char_to_token(end - 1)
            if first is None:  # a space may be in no token; all offsets take longer
                first = bisect_right(encoding.offsets, start, key=itemgetter(1))
            labels[first : last + 1] = ids[first : last + 1]
        if labels.count(IGNORED) == len(labels):
            raise click.ClickException(f"{_name(row)}: no token of it is trained; see the chat template")
        return Tokens(ids, labels)

    def _render(self, messages: Sequence[Row], add_generation_prompt: bool) -> str:
        names = {
            **self.names,
            "messages": messages,
            "tools": None,
            "documents": None,
            "add_generation_prompt": add_generation_prompt,
        }
        try:  # what Template.render does, less its copy of the globals, half of the time
            return "".join(self.template.root_render_func(self.template.new_context(names, shared=True)))
        except jinja2.TemplateError as error:
            asked = next((message["content"] for message in messages if message["role"] == "user"), "")
            raise click.ClickException(f"the chat template refuses a row: {error}; it asks {asked[:80]!r}") from None


def load_chat(base: Base, preamble: Preamble = NONE) -> Chat:
    """The rendering of a base. Raises click.ClickException when it has no usable tokenizer."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(base.source, revision=base.revision)
    except (OSError, ValueError) as error:
        raise click.ClickException(f"{base.folder}: no tokenizer: {' '.join(str(error).split())}") from None
    if not tokenizer.is_fast or not tokenizer.chat_template:
        raise click.ClickException(f"{base.folder}: needs a fast tokenizer with a chat template")
    return Chat(tokenizer, base.date).under(preamble)


def _name(row: Row) -> str:
    return f"row {row['id']}" if "id" in row else "a row"


def _marked(message: Row) -> Row:
    return {**message, "content": f"{OPEN}{message['content'].strip()}{CLOSE}"}


def _to_json(value: Any, ensure_ascii: bool = False, **options: Any) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, **options)


def _raise(message: str) -> None:
    raise jinja2.TemplateError(message)
