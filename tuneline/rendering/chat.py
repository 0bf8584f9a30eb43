"""One rendering: messages → text → token ids with the mask of what is trained.

trim, format, eval and predict all call this, with the base's own tokenizer and chat template. For each answer the ids
before it are those that the model is given when it is asked, and what is trained is what it has to write then, its end
token included. A conversation is one text where that holds for all its answers, else several.
"""

import copy
import datetime
import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from itertools import chain
from typing import Any, Self

import click

from tuneline.files import Row, dump_json
from tuneline.models.base import Base
from tuneline.rendering.habits import CALLED, TOOL
from tuneline.rendering.hearing import Frame, find_frame
from tuneline.rendering.preamble import Preamble
from tuneline.rendering.seams import IGNORED, Coder, Tokens
from tuneline.rendering.template import Refused, Template
from tuneline.rendering.turns import Rendered, Turn, Unfit, Writer, joined
from tuneline.rows import message_text

NONE = Preamble()
BATCH = 1000  # texts that the tokenizer is given at a time
__all__ = ["IGNORED", "Chat", "Rendered", "Tokens", "load_chat"]


class Chat:
    """The rendering of one base. `tokenizer` is a fast Hugging Face tokenizer with a chat template.

    `preamble` stands before every question of the rows and messages that it is given; a row that is only text has none.
    `options` are variables of the template. Raises click.ClickException for a template that cannot be used.
    """

    def __init__(
        self,
        tokenizer: Any,
        date: datetime.date,
        preamble: Preamble = NONE,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.tokenizer, self.preamble = tokenizer, preamble
        self.backend = tokenizer.backend_tokenizer
        self.backend.no_truncation()  # some tokenizer.json files have it on: rows would be cut in silence
        self.backend.no_padding()
        source, self.names = tokenizer.get_chat_template(), tokenizer.special_tokens_map
        added = [str(token) for token in tokenizer.added_tokens_decoder.values() if token.special]
        specials = {*map(str, tokenizer.all_special_tokens), *added} - {""}
        ends = sorted(specials, key=lambda token: (-len(token), token))
        self.writer = Writer(Template(source, date, self.names, options), ends)
        self.coder = Coder(self.backend, self.writer)
        told = dump_json(options) if options else ""
        self.sha256 = hashlib.sha256((self.backend.to_str() + source + told).encode()).hexdigest()

    def under(self, preamble: Preamble) -> Self:
        """The same rendering under another preamble. Raises click.ClickException when that spells a special token."""
        for text in (preamble.system, preamble.prefix):
            if found := self.writer.special.search(text):
                raise click.ClickException(f"the system prompt or the prefix spells out {found[0]}, a special token")
        other = copy.copy(self)
        other.preamble = preamble
        return other

    @cached_property
    def stop_ids(self) -> list[int]:
        """The tokens that end an answer: those that the template writes after one and after a call, and the
        tokenizer's own."""
        asked = {"role": "user", "content": "?"}
        turns = [self._turn({}, [asked, {"role": "assistant", "content": "!"}], None)]
        if self.takes_tools:
            turns.append(self._turn({}, [asked, CALLED], [TOOL]))
        written = [self.backend.encode(turn.target, add_special_tokens=False).ids[-1] for turn in turns]
        own = self.tokenizer.eos_token_id
        return list(dict.fromkeys([*written, *([] if own is None else [own])]))

    def special_in(self, row: Row) -> str | None:
        """The first special token that the row's own text spells out: it would end a turn, or begin one."""
        texts = [row["text"]] if "text" in row else []
        for message in row.get("messages", ()):
            said = self.writer.habits.divided(message) if message["role"] == "assistant" else (message["content"],)
            texts += [*said, message_text({**message, "content": ""})]
        tools = [dump_json(row["tools"])] if "tools" in row else []
        found = next(filter(None, map(self.writer.special.search, [*texts, *tools])), None)
        return found and found[0]

    def check_tools(self, rows: Sequence[Row]) -> None:
        """Raises click.ClickException when the rows have tools, and the template leaves those or their calls out."""
        count = sum("tools" in row or any("tool_calls" in m for m in row.get("messages", ())) for row in rows)
        if count and not self.takes_tools:
            raise click.ClickException(
                f"{count} of {len(rows)} rows have tools, and the base's chat template writes none: choose a base "
                "whose template does, or take `tools`, calls and what tools give out of the rows"
            )

    @property
    def takes_tools(self) -> bool:
        return self.writer.takes_tools

    def prompt(self, messages: Sequence[Row], tools: Sequence[Row] | None = None) -> str:
        """The text after which the model writes its answer to the last message."""
        try:
            return self.writer.prompt(self.preamble.before(messages), tools)
        except Refused as reason:
            raise _refusal(reason, messages) from None

    def heard(self, ids: Sequence[int]) -> tuple[str, str]:
        """(thinking, answer) of what a model wrote, without what the template writes around them."""
        if self._frame is None:
            return "", self.tokenizer.decode(ids, skip_special_tokens=True)
        thinking, said = self._frame.divided(self.tokenizer.decode(ids, skip_special_tokens=False))
        return self.writer.special.sub("", thinking).strip(), self.writer.special.sub("", said)

    @cached_property
    def _frame(self) -> Frame | None:
        return find_frame(self.writer)

    def turns(self, row: Row) -> list[Turn]:
        """Each answer of a row of messages that is trained, after what the model is given when it is asked there."""
        messages, tools = row["messages"], row.get("tools")
        places = [at for at, m in enumerate(messages) if m["role"] == "assistant" and m.get("weight", 1)]
        return [self._turn(row, [*self.preamble.before(messages[:at]), messages[at]], tools) for at in places]

    def answer(self, row: Row) -> Turn:
        """The last answer of a row of messages, whatever its weight."""
        *before, last = row["messages"]
        return self._turn(row, [*self.preamble.before(before), last], row.get("tools"))

    def _turn(self, row: Row, messages: Sequence[Row], tools: Sequence[Row] | None) -> Turn:
        try:
            return self.writer.turn(messages, tools)
        except Refused as reason:
            raise _refusal(reason, row.get("messages", messages)) from None
        except Unfit as reason:
            raise click.ClickException(f"{_name(row)}: {reason}") from None

    def render(self, row: Row) -> list[Rendered]:
        """The row's texts, in each the spans that are trained: one, unless the template writes an earlier turn
        otherwise once more follows. A row of only text is trained whole."""
        if "text" not in row:
            return joined(self.turns(row))
        text = self.names.get("bos_token", "") + row["text"] + self.names.get("eos_token", "")
        return [(text, [(0, len(text))])]

    def count(self, rows: Sequence[Row], limit: int) -> list[int]:
        """Tokens of the longest text of each row. One of at most `limit` bytes is not encoded and counts its bytes:
        with byte-level tokens and byte fall-back alike, a token covers a byte or more."""
        rendered = [self.render(row) for row in rows]
        counts = [max(len(text.encode("utf-8")) for text, _ in texts) for texts in rendered]
        long = [index for index, size in enumerate(counts) if size > limit]
        pieces = self.pieces([rows[index] for index in long], [rendered[index] for index in long])
        for index, row_pieces in zip(long, pieces, strict=True):
            counts[index] = max(len(piece.ids) for piece in row_pieces)
        return counts

    def encode(self, rows: Sequence[Row], rendered: Sequence[list[Rendered]] | None = None) -> list[Tokens]:
        """All pieces of all rows, in their order."""
        return list(chain.from_iterable(self.pieces(rows, rendered)))

    def pieces(self, rows: Sequence[Row], rendered: Sequence[list[Rendered]] | None = None) -> list[list[Tokens]]:
        """Ids and labels of each row. Raises click.ClickException when nothing of a row is trained.

        `rendered` is what `render` gives for each row, where the caller has it already.
        """
        rendered = [self.render(row) for row in rows] if rendered is None else rendered
        texts = [text for row_texts in rendered for text, _ in row_texts]
        encode = partial(self.backend.encode_batch, add_special_tokens=False)
        with ThreadPoolExecutor(1) as pool:  # a batch is labelled here while the next is encoded there
            batches = pool.map(encode, (texts[i : i + BATCH] for i in range(0, len(texts), BATCH)))
            encodings = chain.from_iterable(batches)
            return [self._label(row, row_texts, encodings) for row, row_texts in zip(rows, rendered, strict=True)]

    def _label(self, row: Row, texts: list[Rendered], encodings: Any) -> list[Tokens]:
        if "text" in row:
            ids = next(encodings).ids
            return [Tokens(ids, ids)]
        try:
            return [piece for text, spans in texts for piece in self.coder.label(text, spans, next(encodings))]
        except Unfit as reason:
            raise click.ClickException(f"{_name(row)}: {reason}") from None


def load_chat(base: Base, preamble: Preamble = NONE) -> Chat:
    """The rendering of a base. Raises click.ClickException when it has no usable tokenizer or template."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(base.folder, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise click.ClickException(f"{base.folder}: no tokenizer: {' '.join(str(error).split())}") from None
    if not tokenizer.is_fast:
        raise click.ClickException(f"{base.folder}: needs a fast tokenizer")
    if base.template:
        tokenizer.chat_template = _own_template(base)
    if not tokenizer.chat_template:
        raise click.ClickException(
            f"{base.folder}: its tokenizer has no chat template, as that of a model that was not trained for chat has "
            "none: write one into a file beside base.yaml and name it there (`template: chat.jinja`); "
            "docs/base-models.md has one that suits any tokenizer"
        )
    try:
        chat = Chat(tokenizer, base.date, options=base.template_options)
    except (click.ClickException, ValueError) as error:  # ValueError: several templates, none of them the default
        raise click.ClickException(f"the chat template of {base.folder}: {' '.join(str(error).split())}") from None
    return chat.under(preamble)


def _own_template(base: Base) -> str:
    path = base.folder / base.template
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{base.folder}/base.yaml names the template {base.template}: {error}") from None


def _name(row: Row) -> str:
    return f"row {row['id']}" if "id" in row else "a row"


def _refusal(reason: Refused, messages: Sequence[Row]) -> click.ClickException:
    asked = next((message["content"] for message in messages if message["role"] == "user"), "")
    return click.ClickException(f"the chat template refuses a row: {reason}; it asks {asked[:80]!r}")
