"""What a chat template does with what a row holds: found by asking it, since no list of models is ever whole."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tuneline.files import Row
from tuneline.rendering.template import Refused, Template
from tuneline.rows import RESERVED

OPEN, CLOSE = RESERVED
THINKING = "reasoning_content"  # the key in rows
KEYS = (THINKING, "thinking", "reasoning")  # of templates: Qwen, GLM, Nemotron, Muse; gpt-oss, LFM; Gemma has both
LEADING = re.compile(r"\s*<think>(.*?)</think>\n*(?=.)", re.DOTALL)
CALL = {"id": "probe1234", "type": "function", "function": {"name": "probe_call", "arguments": {"a": 1}}}
TOOL = {
    "type": "function",
    "function": {"name": "probe_tool", "description": "probe", "parameters": {"type": "object", "properties": {}}},
}
ASKED = {"role": "user", "content": "probe_question"}
SAID = {"role": "assistant", "content": "probe_answer"}
CALLED = {"role": "assistant", "content": "", "tool_calls": [CALL]}
GIVEN = {"role": "tool", "name": "probe_call", "tool_call_id": "probe1234", "content": "probe_result"}


@dataclass(frozen=True)
class Habits:
    """`parts`: content as a list of parts. `folds`: system text stands before the first question.

    `thinking`: the key under which an answer's thinking is written, if any. `inline`: it is written as the text begins
    with it. `closes`: `</think>` is a sign to the template.
    """

    parts: bool = False
    folds: bool = False
    thinking: str | None = None
    inline: bool = False
    closes: bool = False

    def given(self, messages: Sequence[Row], mark_at: int | None = None) -> list[Row]:
        """The messages as the template is to be given them; what an answer says, and message `mark_at`, between marks:
        it cannot trim what stands between them, and shows where it wrote it."""
        last = len(messages) - 1
        given = [
            self._dressed(m, m["role"] == "assistant" or at == mark_at, at == last) for at, m in enumerate(messages)
        ]
        if self.folds and len(given) > 1 and given[0]["role"] == "system" and given[1]["role"] == "user":
            given[:2] = [{**given[1], "content": f"{given[0]['content']}\n\n{given[1]['content']}"}]
        if self.parts:
            given = [{**m, "content": [{"type": "text", "text": m["content"]}]} for m in given]
        return given

    def _dressed(self, message: Row, mark: bool, last: bool) -> Row:
        divides = message["role"] == "assistant" and (last or not self.inline)
        thinking, content = self.divided(message) if divides else ("", message["content"])
        if mark and content:
            content = f"{OPEN}{content}{CLOSE}"
        if content == message["content"] and THINKING not in message:
            return message
        dressed = {name: value for name, value in message.items() if name != THINKING}
        if thinking and self.inline:
            content = f"<think>\n{thinking}\n</think>\n\n{content}"
        elif thinking:
            dressed[self.thinking or THINKING] = thinking
        return {**dressed, "content": content}

    def divided(self, message: Row) -> tuple[str, str]:
        """(thinking, what else an answer says). Thinking in the text stays there where it is text to the template."""
        content = message["content"]
        if THINKING in message or not self.knows_thinking:
            return message.get(THINKING, ""), content
        found = LEADING.match(content)
        return (found[1].strip(), content[found.end() :]) if found else ("", content)

    @property
    def knows_thinking(self) -> bool:
        return self.thinking is not None or self.closes


def find_habits(template: Template) -> Habits:
    parts = not _writes(template, Habits(), [ASKED]) and _writes(template, Habits(parts=True), [ASKED])
    system = [{"role": "system", "content": "probe_system"}, ASKED]
    folds = _writes(template, Habits(parts), [ASKED]) and not _writes(template, Habits(parts), system, "probe_system")
    thought = [ASKED, {**SAID, THINKING: "probe_thought"}]
    keys = (key for key in KEYS if _writes(template, Habits(parts, folds, key), thought, "probe_thought"))
    key, closes = next(keys, None), "</think>" in template.source
    inline = closes and key is None and _writes(template, Habits(parts, folds, None, True), thought, "probe_thought")
    return Habits(parts, folds, key, inline, closes)


def _writes(template: Template, habits: Habits, messages: Sequence[Row], word: str = "probe_question") -> bool:
    asks = messages[-1]["role"] != "assistant"
    try:
        return word in template.write(habits.given(messages), None, asks)
    except Refused:
        return False
