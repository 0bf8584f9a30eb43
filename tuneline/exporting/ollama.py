"""A GGUF file's Modelfile: our rendering in Ollama's template language, the system prompt, the prefix, greedy answers.

A chat template becomes one of Ollama's where it is texts around what is said, the same around every turn of a role. One
that does more is not written falsely: Ollama then completes prompts that are rendered elsewhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import click

from tuneline.exporting.tokenizer import adds_begin
from tuneline.files import Row
from tuneline.models.base import Base
from tuneline.rendering.chat import Chat

SYSTEM, ASKED, SAID, AGAIN = "probesystem", "probeasked", "probesaid", "probeagain"
QUOTES = '"""'
RAW = "{{ .Prompt }}"


@dataclass(frozen=True)
class Frame:
    """`start`: before the first question. `system`: before and after a system prompt, which stands there instead.
    `asked`: after a question, up to the answer; `said`: after an answer, up to the next question."""

    start: str
    system: tuple[str, str]
    asked: str
    said: str

    def write(self, messages: Sequence[Row]) -> str:
        """What Ollama's template makes of the messages."""
        text = self.start
        if messages and messages[0]["role"] == "system":
            text = messages[0]["content"].join(self.system)
        after = {"user": self.asked, "assistant": self.said}
        return text + "".join(m["content"] + after[m["role"]] for m in messages if m["role"] in after)


def find_frame(chat: Chat) -> Frame | None:
    """None where the chat template does more than put texts around what is said."""
    bare = chat.under(type(chat.preamble)())
    alone = _said(user=ASKED)
    under = [{"role": "system", "content": SYSTEM}, *alone]
    long = [*alone, *_said(assistant=SAID), *_said(user=AGAIN)]
    try:
        start, end = bare.prompt(alone).split(ASKED)
        before, between, _ = _cut(bare.prompt(under), SYSTEM, ASKED)
        _, middle, rest, last = _cut(bare.prompt(long), ASKED, SAID, AGAIN)
    except (ValueError, click.ClickException):
        return None
    frame = Frame(start, (before, between), end, rest)
    tried = (alone, under, long, [*under, *long[1:]], [*under, *long[1:], *long[1:]])
    same = middle == last == end and all(frame.write(messages) == bare.prompt(messages) for messages in tried)
    return frame if same else None


def _said(**turn: str) -> list[Row]:
    return [{"role": role, "content": text} for role, text in turn.items()]


def _cut(text: str, *marks: str) -> list[str]:
    """What stands between the marks. Raises ValueError when one is not there once, or not in its place."""
    parts = []
    for mark in marks:
        before, text = text.split(mark)
        parts.append(before)
    return [*parts, text]


def template(frame: Frame, chat: Chat) -> str:
    """In the language of Go's text/template, with Ollama's names. The prefix stands before the last message."""
    begin = chat.tokenizer.bos_token or ""
    taken = begin if begin and adds_begin(chat) else ""  # which the file's tokenizer puts there itself
    before, after = frame.system
    prefix = chat.preamble.prefix
    asked = f"{{{{ if eq (len (slice $.Messages $i)) 1 }}}}{_plain(prefix)}\n\n{{{{ end }}}}" if prefix else ""
    return (
        f"{{{{ if .System }}}}{_plain(before.removeprefix(taken))}{{{{ .System }}}}{_plain(after)}"
        f"{{{{ else }}}}{_plain(frame.start.removeprefix(taken))}{{{{ end }}}}"
        f'{{{{ range $i, $_ := .Messages }}}}{{{{ if eq .Role "user" }}}}{asked}{{{{ .Content }}}}{_plain(frame.asked)}'
        f'{{{{ else if eq .Role "assistant" }}}}{{{{ .Content }}}}{_plain(frame.said)}{{{{ end }}}}{{{{ end }}}}'
    )


def _plain(text: str) -> str:
    return text.replace("{", '{{ "{" }}')


def modelfile(gguf: str, frame: Frame | None, chat: Chat, base: Base, most: int) -> str:
    """Raises click.ClickException when a text of it cannot be quoted there."""
    system = chat.preamble.system if frame else ""
    texts = {"TEMPLATE": template(frame, chat) if frame else RAW, "SYSTEM": system}
    for name, text in texts.items():
        if QUOTES in text:
            raise click.ClickException(f"no Modelfile: {name} holds {QUOTES}, which a Modelfile cannot quote")
    quoted = [f"{name} {QUOTES}{text}{QUOTES}" for name, text in texts.items() if text]
    stops = [chat.tokenizer.convert_ids_to_tokens(token) for token in chat.stop_ids]
    knobs = {"temperature": 0, "top_k": 1, "repeat_penalty": 1, "num_ctx": base.context, "num_predict": most}
    told = [f"PARAMETER {name} {value}" for name, value in knobs.items()]
    return "\n".join([f"FROM ./{gguf}", *quoted, *told, *(f'PARAMETER stop "{stop}"' for stop in stops)]) + "\n"
