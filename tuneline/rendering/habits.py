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

    `thinking`: the key under which an answer's thinking is written, if any. `closes`: `</think>` is a sign to it.
    """

    parts: bool = False
    folds: bool = False
    thinking: str | None = None
    closes: bool = False

    def given(self, messages: Sequence[Row], mark_at: int | None = None) -> list[Row]:
        """The messages as the template is to be given them; what an answer says, and message `mark_at`, between marks:
        it cannot trim what stands between them, and shows where it wrote it."""
        given = [self._dressed(m, m["role"] == "assistant" or at == mark_at) for at, m in enumerate(messages)]
        if self.folds and len(given) > 1 and given[0]["role"] == "system" and given[1]["role"] == "user":
            given[:2] = [{**given[1], "content": f"{given[0]['content']}\n\n{given[1]['content']}"}]
        if self.parts:
            given = [{**m, "content": [{"type": "text", "text": m["content"]}]} for m in given]
        return given

    def _dressed(self, message: Row, mark: bool) -> Row:
        if message["role"] == "assistant":
            thinking, content = self.divided(message)
            message = {name: value for name, value in message.items() if name != THINKING}
            message["content"] = content
            if thinking:
                message[self.thinking or THINKING] = thinking
        if mark and message["content"]:
            message = {**message, "content": f"{OPEN}{message['content']}{CLOSE}"}
        return message

    def divided(self, answer: Row) -> tuple[str, str]:
        """(thinking, what else it says). Thinking within the text stays there where it is but text to the template."""
        content = answer["content"]
        if THINKING in answer or not (self.thinking or self.closes):
            return answer.get(THINKING, ""), content
        found = LEADING.match(content)
        if not found:
            return "", content
        thinking = found[1].strip()
        return thinking, content[found.end() :]


def find_habits(template: Template) -> Habits:
    parts = not _writes(template, Habits(), [ASKED]) and _writes(template, Habits(parts=True), [ASKED])
    system = [{"role": "system", "content": "probe_system"}, ASKED]
    folds = _writes(template, Habits(parts), [ASKED]) and not _writes(template, Habits(parts), system, "probe_system")
    thought = [ASKED, {**SAID, THINKING: "probe_thought"}]
    keys = (key for key in KEYS if _writes(template, Habits(parts, folds, key), thought, "probe_thought"))
    return Habits(parts, folds, next(keys, None), "</think>" in template.source)


def _writes(template: Template, habits: Habits, messages: Sequence[Row], word: str = "probe_question") -> bool:
    asks = messages[-1]["role"] != "assistant"
    try:
        return word in template.write(habits.given(messages), None, asks)
    except Refused:
        return False
