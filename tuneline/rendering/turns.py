"""One answer of a conversation as it is trained: what the model is given, and what it has to write.

What it is given is what it will be given when it is asked: the conversation up to there, with the template's generation
prompt. What it has to write is what the template puts after that once the answer is there, to the end token.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from tuneline.files import Row
from tuneline.rendering.habits import CALLED, CLOSE, GIVEN, OPEN, TOOL, find_habits
from tuneline.rendering.template import Refused, Template

Span = tuple[int, int]  # characters, end excluded
Rendered = tuple[str, list[Span]]  # a text, and what of it is trained
OPENED = re.compile(r"<think>(\s*)\Z")
ENDED = re.compile(r"</think>\s*\Z")
SEEN = 64  # characters of an answer's end that show where it stands
ENDLESS = (
    "the chat template writes no special token after an answer, so a model could not learn to stop; correct the "
    "template, or name one in base.yaml (`template`) that writes eos_token there"
)
NOTHING = "no token of it is trained: the chat template leaves the answer out; correct the template"
UNASKED = (
    "an answer stands before the first question, where the chat template cannot ask for one; give that answer "
    "`weight: 0`, or take it out"
)
BESIDE = (
    "the chat template leaves out what the answer says beside its calls; keep one of the two, or name a `template` in "
    "base.yaml that writes both"
)
REWRITES = (
    "the chat template rewrites its answers, so that what was said is not what would be trained; take out of the "
    "answer what the template reads as a sign (such as </think>), or name a `template` in base.yaml that reads none"
)
DIFFERS = (
    "the chat template's generation prompt differs from what precedes the answer in training; correct the template, "
    "or its `template-options` in base.yaml"
)
THOUGHTLESS = (
    "the chat template writes no thinking of an answer, which would be lost; write it at the beginning of the answer's "
    "text (<think>…</think>), take it out of the row, or name a `template` in base.yaml that writes reasoning_content"
)
CLOSED = (
    "the chat template has no place for the answer's thinking here, which would be lost; set what it asks for in "
    "`template-options` of base.yaml (often `enable_thinking: true`), or take the thinking out of the row"
)


class Unfit(Exception):
    """An answer cannot be trained under this template; says why, and what to do."""


@dataclass(frozen=True)
class Turn:
    """`tail` is what the template writes after the end, which nobody has to learn."""

    prompt: str
    target: str
    tail: str


@dataclass(frozen=True)
class _Written:
    """A text of which the answer is the last. `content` is the place of its text, where that is whole."""

    text: str
    content: Span | None


class Writer:
    """`ends`: all special tokens of the tokenizer, the longest first."""

    def __init__(self, template: Template, ends: Sequence[str]) -> None:
        self.template, self.habits = template, find_habits(template)
        known = "|".join(map(re.escape, ends)) or "(?!)"  # which matches nothing
        self.special = re.compile(known)
        self.end, self.whole_end = re.compile(rf"\s*(?:{known})"), re.compile(rf"\s*(?:{known})+")

    def prompt(self, messages: Sequence[Row], tools: Sequence[Row] | None = None) -> str:
        """The text after which the model writes its answer to the last message. Raises Refused."""
        return plain(self.template.write(self.habits.given(messages), tools, True))

    def turn(self, messages: Sequence[Row], tools: Sequence[Row] | None = None) -> Turn:
        """The last message as it is trained after the others. Raises Refused, and Unfit."""
        thinking, said = self.habits.divided(messages[-1])
        given = self.habits.given(messages)
        written = read_marks(self.template.write(given, tools))
        prompt = self._asked(given[:-1], tools)
        begun = self._begin(prompt, written.text, thinking)
        if begun is None:
            tail, written = self._tails(messages, tools)
            begun = self._begin(tail, written.text, thinking)
        if begun is None:
            raise Unfit(self._lost if thinking else DIFFERS)
        lead, start = begun
        place = _place(written, start, said, "tool_calls" in messages[-1])
        before = lead + written.text[start : place[0] if said else None]
        if thinking and (ENDED.search(prompt) or thinking.strip() not in before):
            raise Unfit(self._lost)
        more, end = self._end(messages, tools, written.text, place)
        if more and more.strip() in self.special.findall(prompt)[-1:]:
            raise Unfit(ENDLESS)  # it begins an answer too, and ends none
        return Turn(prompt, lead + written.text[start:end] + more, "" if more else written.text[end:])

    @property
    def _lost(self) -> str:
        return CLOSED if self.habits.knows_thinking else THOUGHTLESS

    def _asked(self, given: list[Row], tools: Sequence[Row] | None) -> str:
        try:
            return plain(self.template.write(given, tools, True))
        except Refused:
            if any(message["role"] == "user" for message in given):
                raise
            raise Unfit(UNASKED) from None

    def _begin(self, given: str, written: str, thinking: str) -> tuple[str, int] | None:
        """(what the answer begins with that is not written, where in `written` it goes on).

        A prompt that opens a think block is gone on from, though the template writes no block where the thinking is
        over (DeepSeek), or writes an empty one otherwise (Nemotron).
        """
        if written.startswith(given):
            return "", len(given)
        opened = OPENED.search(given)
        if opened is None or not self.habits.closes or not written.startswith(given[: opened.start()]):
            return None
        start, space = opened.start(), opened[1]
        if written.startswith("<think>", start):
            return "", start + len("<think>")
        if written.startswith("</think>", start):
            return f"{thinking}{space if thinking else ''}", start
        return f"{thinking}{space}</think>{2 * space}", start

    def _tails(self, messages: Sequence[Row], tools: Sequence[Row] | None) -> tuple[str, _Written]:
        """What stands after the last question, in the prompt and in the text: some templates write otherwise what is
        before it as soon as an answer is there (Mistral's system text, gpt-oss's thinking between calls)."""
        last = len(messages) - 2
        given = self.habits.given(messages[:-1], last), self.habits.given(messages, last)
        prompt = self.template.write(given[0], tools, True)
        written = self.template.write(given[1], tools)
        after = 2 if self.habits.divided(messages[-1])[1] else 1
        return plain(prompt.rpartition(CLOSE)[2]), read_marks(CLOSE.join(written.split(CLOSE)[-after:]))

    def _end(self, messages: Sequence[Row], tools: Sequence[Row] | None, text: str, place: Span) -> tuple[str, int]:
        """(an end token that is not written, where the answer ends). Raises Unfit where there is none."""
        calls, (begin, said) = messages[-1].get("tool_calls"), place
        if calls:
            ends = [found.end() for found in self.special.finditer(text, said)]
            if ends and not text[ends[-1] :].strip():
                return "", ends[-1]
        elif found := self.whole_end.match(text, said):
            return "", found.end()
        last = text[said if calls else begin :]
        if (calls or not text[said:].strip()) and (token := self._next_token(messages, tools, last)):
            return token, len(text)
        raise Unfit(ENDLESS)

    def _next_token(self, messages: Sequence[Row], tools: Sequence[Row] | None, answer: str) -> str | None:
        """What begins the next turn, where that is what ends an answer (GLM): the model writes it, and is stopped."""
        follows = {"role": "user", "content": "?"}
        if calls := messages[-1].get("tool_calls"):
            called = {"name": calls[-1]["function"]["name"], "tool_call_id": calls[-1].get("id", "")}
            follows = {"role": "tool", "content": "?", **called}
        text = plain(self.template.write(self.habits.given([*messages, follows]), tools))
        seen = answer[-SEEN:]
        at = text.rfind(seen)
        found = self.end.match(text, at + len(seen)) if at >= 0 else None
        return found[0] if found else None

    @cached_property
    def takes_tools(self) -> bool:
        """Whether a tool, its call and what it gives all come out of the template."""
        try:
            text = self.prompt([{"role": "user", "content": "?"}, CALLED, GIVEN], [TOOL])
        except Refused:
            return False
        return all(word in text for word in ("probe_tool", "probe_call", "probe_result"))


def joined(turns: Iterable[Turn]) -> list[Rendered]:
    """The turns of a conversation in as few texts as show each answer after exactly its prompt."""
    texts: list[Rendered] = []
    for turn in turns:
        start = len(turn.prompt)
        span = start, start + len(turn.target)
        text, spans = turn.prompt + turn.target + turn.tail, [span]
        if texts and turn.prompt.startswith(texts[-1][0][: texts[-1][1][-1][1]]):
            spans = [*texts.pop()[1], span]
        texts.append((text, spans))
    return texts


def _place(written: _Written, start: int, said: str, calls: bool) -> Span:
    """Where the answer's own text stands; nothing, at its start, where it only calls. Raises Unfit."""
    if not written.text[start:].strip():
        raise Unfit(NOTHING)
    if not said:
        return start, start
    if written.content is None or written.content[0] < start:
        raise Unfit(BESIDE if calls and said.strip() not in written.text[start:] else REWRITES)
    return written.content


def plain(text: str) -> str:
    return text.replace(OPEN, "").replace(CLOSE, "")


def read_marks(text: str) -> _Written:
    start, end = text.rfind(OPEN), text.rfind(CLOSE)
    before = text.count(OPEN, 0, start) + text.count(CLOSE, 0, start)
    whole = 0 <= start < end
    return _Written(plain(text), (start - before, end - before - 1) if whole else None)
