"""One rendering: messages → text → token ids with the mask of what is trained.

trim, format, eval and predict all call this, with the base's own tokenizer and chat template. The
mask covers each answer and its end token, nothing else. Templates with `{% generation %}` marks say
where answers stand; in others the answers are marked before rendering. Either way the marks are
two Unicode noncharacters that are taken out again, so that rendering once gives text and spans.
"""

import copy
import datetime
import hashlib
import re
from bisect import bisect_right
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, chain, pairwise
from operator import itemgetter
from typing import Any, ClassVar, Self

import click
import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.sandbox
import simplejson

from tuneline.files import Row, dump_json
from tuneline.models.base import Base
from tuneline.rendering.preamble import Preamble
from tuneline.rows import RESERVED, message_text

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
        texts = [row["text"]] if "text" in row else [message_text(message) for message in row["messages"]]
        tools = [dump_json(row["tools"])] if "tools" in row else []
        found = next(filter(None, map(self.special.search, [*texts, *tools])), None)
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
        """Whether a tool, its call and what it gives all come out of the template."""
        function = {"name": "probe_tool", "description": "probe", "parameters": {"type": "object", "properties": {}}}
        call = {"id": "probe1234", "type": "function", "function": {"name": "probe_call", "arguments": {"a": 1}}}
        asked = {"role": "user", "content": "?"}
        called = {"role": "assistant", "content": "", "tool_calls": [call]}
        given = {"role": "tool", "name": "probe_call", "tool_call_id": "probe1234", "content": "probe_result"}
        try:
            text = self._render([asked, called, given], [{"type": "function", "function": function}], True)
        except click.ClickException:
            return False
        return all(word in text for word in ("probe_tool", "probe_call", "probe_result"))

    def prompt(self, messages: Sequence[Row], tools: Sequence[Row] | None = None) -> str:
        """The text after which the model writes its answer to the last message."""
        return self._prompt(self._marked(self.preamble.before(messages)), tools)

    def _prompt(self, messages: Sequence[Row], tools: Sequence[Row] | None) -> str:
        return self._plain(messages, tools, add_generation_prompt=True)

    def _plain(self, messages: Sequence[Row], tools: Sequence[Row] | None, add_generation_prompt: bool = False) -> str:
        return self._render(messages, tools, add_generation_prompt).replace(OPEN, "").replace(CLOSE, "")

    def _marked(self, messages: Sequence[Row]) -> Sequence[Row]:
        """Answers between marks, where the template has none of its own: it cannot trim what stands between them."""
        if self.has_marks:
            return messages
        return [_marked(m) if m["role"] == "assistant" and m["content"] else m for m in messages]

    def render(self, row: Row) -> Rendered:
        """The row's text and the spans in it that are trained; a text row is trained whole."""
        if "text" in row:
            text = self.names.get("bos_token", "") + row["text"] + self.names.get("eos_token", "")
            return text, [(0, len(text))]
        messages, tools = self._marked(self.preamble.before(row["messages"])), row.get("tools")
        weights = [m.get("weight", 1) for m in messages if m["role"] == "assistant"]
        if not self.has_marks and any("tool_calls" in m for m in messages):
            text, spans = self._by_turns(row, messages, tools)
        else:
            text, spans = self._between_marks(row, self._render(messages, tools, add_generation_prompt=False))
        if 0 not in weights:
            return text, spans
        if len(weights) != len(spans):
            raise click.ClickException(
                f"{_name(row)} has answers of weight 0, and the chat template does not write each answer once; "
                "correct the template"
            )
        return text, [span for span, weight in zip(spans, weights, strict=True) if weight]

    def _by_turns(self, row: Row, messages: Sequence[Row], tools: Sequence[Row] | None) -> Rendered:
        """Where the template writes calls, no mark can stand: a span is from what asks for an answer to its end."""
        text, spans = self._plain(messages, tools), []
        for at, message in enumerate(messages):
            if message["role"] != "assistant":
                continue
            before, upto = self._prompt(messages[:at], tools), self._plain(messages[: at + 1], tools)
            ends = [found.end() for found in self.special.finditer(upto, len(before))]
            end = ends[-1] if ends else len(upto)
            if not text.startswith(before) or not text.startswith(upto[:end]):
                raise click.ClickException(
                    f"{_name(row)}: the chat template writes a turn otherwise once more follows, so that it cannot "
                    "be told what of it is trained; put {% generation %} marks into it"
                )
            spans.append((len(before), end))
        return text, spans

    def _between_marks(self, row: Row, written: str) -> Rendered:
        head, *rest = written.split(OPEN)
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
        rendered = [self.render(row) for row in rows]
        counts = [len(text.encode("utf-8")) for text, _ in rendered]
        long = [index for index, size in enumerate(counts) if size > limit]
        encodings = self.backend.encode_batch_fast([rendered[index][0] for index in long], add_special_tokens=False)
        for index, encoding in zip(long, encodings, strict=True):
            parts = self._parts(*rendered[index], encoding.ids)
            counts[index] = sum(map(len, parts)) if parts else len(encoding)
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
        if "text" in row:
            return Tokens(encoding.ids, encoding.ids)
        if not all(text.endswith(self.ends, start, end) for start, end in spans):
            raise click.ClickException(
                f"{_name(row)}: the chat template writes no special token after an answer, "
                "so a model could not learn to stop; correct the template"
            )
        if parts := self._parts(text, spans, encoding.ids):
            ids = [token for part in parts for token in part.ids]
            ends = list(accumulate(map(len, parts)))
            trained = [
                (begin, begin + part.char_to_token(end - start - 1))
                for begin, part, (start, end) in zip(ends, parts[1:], spans, strict=False)
            ]
        else:
            ids, trained = encoding.ids, [_tokens_of(encoding, *span) for span in spans]
        labels = [IGNORED] * len(ids)
        for first, last in trained:
            labels[first : last + 1] = ids[first : last + 1]
        if labels.count(IGNORED) == len(labels):
            raise click.ClickException(f"{_name(row)}: no token of it is trained; see the chat template")
        return Tokens(ids, labels)

    def _parts(self, text: str, spans: Sequence[Span], whole: list[int]) -> list[Any] | None:
        """The encoding up to the first answer, then from each on, where an answer starts with white space.

        A token would hold the end of what asks for it as well, which no model is given to go on from. None where there
        is none such, and for tokenizers that read a part otherwise than a whole.
        """
        starts = [start for start, _ in spans]
        if not any(text[start].isspace() for start in starts):
            return None
        bounds = pairwise([0, *starts, len(text)])
        parts = [self.backend.encode(text[start:end], add_special_tokens=False) for start, end in bounds]
        ids = [token for part in parts for token in part.ids]
        same = self.backend.decode(ids, skip_special_tokens=False) == self.backend.decode(
            whole, skip_special_tokens=False
        )
        return parts if same else None

    def _render(self, messages: Sequence[Row], tools: Sequence[Row] | None, add_generation_prompt: bool) -> str:
        names = {
            **self.names,
            "messages": messages,
            "tools": tools,
            "documents": None,
            "add_generation_prompt": add_generation_prompt,
        }
        try:  # what Template.render does, less its copy of the globals, half of the time
            return "".join(self.template.root_render_func(self.template.new_context(names, shared=True)))
        except (jinja2.TemplateError, TypeError, ValueError, LookupError, AttributeError) as error:
            asked = next((message["content"] for message in messages if message["role"] == "user"), "")
            raise click.ClickException(f"the chat template refuses a row: {error}; it asks {asked[:80]!r}") from None


def load_chat(base: Base, preamble: Preamble = NONE) -> Chat:
    """The rendering of a base. Raises click.ClickException when it has no usable tokenizer."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(base.folder, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise click.ClickException(f"{base.folder}: no tokenizer: {' '.join(str(error).split())}") from None
    if not tokenizer.is_fast or not tokenizer.chat_template:
        raise click.ClickException(f"{base.folder}: needs a fast tokenizer with a chat template")
    return Chat(tokenizer, base.date).under(preamble)


def _name(row: Row) -> str:
    return f"row {row['id']}" if "id" in row else "a row"


def _tokens_of(encoding: Any, start: int, end: int) -> Span:
    """(first token, last token) of some characters."""
    first, last = encoding.char_to_token(start), encoding.char_to_token(end - 1)
    if first is None:  # a space may be in no token; all offsets take longer
        first = bisect_right(encoding.offsets, start, key=itemgetter(1))
    return first, last


def _marked(message: Row) -> Row:
    return {**message, "content": f"{OPEN}{message['content']}{CLOSE}"}


def _to_json(value: Any, ensure_ascii: bool = False, **options: Any) -> str:
    return simplejson.dumps(value, ensure_ascii=ensure_ascii, use_decimal=True, **options)


def _raise(message: str) -> None:
    raise jinja2.TemplateError(message)
