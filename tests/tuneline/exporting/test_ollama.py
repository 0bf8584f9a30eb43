"""A Modelfile's template, read as Go's text/template reads the few things that it is made of."""

import re
from pathlib import Path

import click
import pytest

from tests.chat_templates import HABITS, MISTRAL, make_chat, tokenizer_for
from tuneline.exporting.ollama import RAW, find_frame, modelfile, template
from tuneline.files import Row
from tuneline.models.base import Base
from tuneline.rendering.chat import Chat
from tuneline.rendering.preamble import Preamble

BASE = Base(folder=Path("b"), context=64, target={}, date="2026-01-01")
TALKS = [
    [("user", "a {{ b")],
    [("user", "one"), ("assistant", "{two}"), ("user", "three")],
]
PARTS = re.compile(r"\{\{ (.*?) \}\}", re.DOTALL)


def read_go(source: str, system: str, messages: list[Row]) -> str:
    """What Ollama makes of a template of ours: if, else, end, range, and the names that ours are made of."""
    words = PARTS.split(source)  # texts, and between them what stands in braces
    text, _ = _block(words, 0, system, messages, None, True)
    return text


def _block(words: list[str], at: int, system: str, messages: list[Row], this: int | None, shown: bool) -> tuple:
    out, taken, skipping = "", shown, not shown
    while True:
        if not skipping:
            out += words[at]
        if at + 1 == len(words):
            return out, at
        word, at = words[at + 1], at + 2
        if word == "end":
            return out, at
        if word.startswith("else"):
            holds = word == "else" or _holds(word.removeprefix("else if "), system, messages, this)
            skipping = taken or not holds
            taken = taken or holds
        elif word.startswith("if"):
            holds = not skipping and _holds(word.removeprefix("if "), system, messages, this)
            inner, at = _if(words, at, system, messages, this, holds, skipping)
            out += inner
        elif word.startswith("range"):
            end = at
            for place in range(len(messages)):
                inner, end = _block(words, at, system, messages, place, True)
                out += inner
            at = end
        elif not skipping:
            out += {".System": system, ".Content": this is not None and messages[this]["content"]}.get(word) or (
                word.strip('"')
            )


def _if(
    words: list[str], at: int, system: str, messages: list[Row], this: int | None, holds: bool, dead: bool
) -> tuple:
    if dead:  # nothing of it is shown, whatever its else says
        return "", _block(words, at, system, messages, this, False)[1]
    return _block(words, at, system, messages, this, holds)


def _holds(condition: str, system: str, messages: list[Row], this: int | None) -> bool:
    if condition == ".System":
        return bool(system)
    if condition == "eq (len (slice $.Messages $i)) 1":
        return this == len(messages) - 1
    role = re.fullmatch(r'eq \.Role "(\w+)"', condition)
    return messages[this]["role"] == role[1]


def messages(talk: list[tuple[str, str]]) -> list[Row]:
    return [{"role": role, "content": text} for role, text in talk]


@pytest.mark.parametrize("talk", TALKS)
@pytest.mark.parametrize("preamble", [Preamble(), Preamble("Be {{brief}}.", ""), Preamble("Be brief.", "Say {it}:")])
@pytest.mark.parametrize("name", HABITS)
def test_ollama_writes_what_the_chat_template_writes(name: str, preamble: Preamble, talk: list) -> None:
    chat = make_chat(HABITS[name]).under(preamble)
    frame = find_frame(chat)
    assert frame
    written = read_go(template(frame, chat), preamble.system, messages(talk))
    assert written == chat.prompt(messages(talk))


def test_a_template_that_does_more_is_not_written_falsely() -> None:
    chat = Chat(tokenizer_for(MISTRAL), BASE.date).under(Preamble("Be brief."))
    assert find_frame(chat) is None
    text = modelfile("a.gguf", None, chat, BASE, 9)
    assert f'TEMPLATE """{RAW}"""' in text and "SYSTEM" not in text


def test_the_knobs_of_a_modelfile() -> None:
    chat = make_chat(HABITS["plain"]).under(Preamble("Be brief."))
    lines = modelfile("a.gguf", find_frame(chat), chat, BASE, 9).splitlines()
    told = {"temperature 0", "repeat_penalty 1", "num_ctx 64", "num_predict 9", 'stop "</s>"'}
    assert {f"PARAMETER {one}" for one in told} <= set(lines)
    assert lines[0] == "FROM ./a.gguf" and 'SYSTEM """Be brief."""' in lines


def read_modelfile(text: str) -> dict[str, str]:
    """What Ollama reads: a command, a blank, and a value that ends with its line, if that closes its quotes."""
    found, lines = {}, iter(text.splitlines(keepends=True))
    for line in lines:
        name, _, value = line.partition(" ")
        while unquoted(value) is None:
            value += next(lines)
        found[name] = unquoted(value)
    return found


def unquoted(value: str) -> str | None:
    """None where a quote is open."""
    value = value.strip()
    for quote in ('"""', '"'):
        if value.startswith(quote):
            closed = len(value) >= 2 * len(quote) and value.endswith(quote)
            return value[len(quote) : -len(quote)] if closed else None
    return value


@pytest.mark.parametrize(
    "system",
    [
        'Say "yes"',
        '"Yes" or "no"',
        '""',
        '"',
        '""\nfirst\n\n  and "last"',
        "one\nSYSTEM two\n# FROM three\nPARAMETER stop x",
        "{{ .System }} {{ if }} {x} }}",
        "a \\ b \\n 'c' `d` $e %f é 🎉\t",
    ],
)
def test_a_system_prompt_is_read_as_it_was_written(system: str) -> None:
    chat = make_chat(HABITS["chatml"]).under(Preamble(system, system.replace("\n", " ")))
    found = read_modelfile(modelfile("a b.gguf", find_frame(chat), chat, BASE, 9))
    assert found["FROM"] == "./a b.gguf" and found["SYSTEM"] == system
    talk = messages(TALKS[1])
    assert read_go(found["TEMPLATE"], found["SYSTEM"], talk) == chat.prompt(talk)


@pytest.mark.parametrize(("system", "prefix"), [('Write """ twice.', ""), ("x", 'Write """ twice.')])
def test_what_cannot_be_quoted_is_refused(system: str, prefix: str) -> None:
    chat = make_chat(HABITS["plain"]).under(Preamble(system, prefix))
    with pytest.raises(click.ClickException, match="TEMPLATE" if prefix else "SYSTEM"):
        modelfile("a.gguf", find_frame(chat), chat, BASE, 9)
