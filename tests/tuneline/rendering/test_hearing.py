"""What a model wrote is parted as the template writes it; test_turns.py has the answers of every template."""

import pytest

from tests.chat_templates import CHATML, DATE, make_tokenizer
from tuneline.rendering.chat import Chat
from tuneline.rendering.hearing import Frame

QWEN = Frame("<think>\n\n</think>\n\n", "<think>\n", "\n</think>\n\n")
OPENED = Frame("\n</think>\n\n", "", "\n</think>\n\n")
SPACED = Frame(" ")


@pytest.mark.parametrize(
    ("frame", "written", "parted"),
    [
        (QWEN, "<think>\n\n</think>\n\n yes", ("", " yes")),
        (QWEN, "<think>\nhm\n</think>\n\nyes </think>", ("\nhm", "yes </think>")),
        (QWEN, "<think>hm</think>yes", ("hm", "yes")),  # not as it was trained, and yet plain
        (QWEN, "yes", ("", "yes")),
        (QWEN, "<think>\nhm and no end", ("\nhm and no end", "")),
        (OPENED, "hm\n</think>\n\nyes", ("hm", "yes")),
        (OPENED, "hm and no end", ("hm and no end", "")),
        (SPACED, " yes", ("", "yes")),
        (SPACED, "  yes", ("", " yes")),
    ],
)
def test_thinking_and_answer_are_parted(frame: Frame, written: str, parted: tuple[str, str]) -> None:
    assert frame.divided(written) == parted


def test_a_template_that_puts_nothing_around_an_answer_leaves_it_as_it_is() -> None:
    chat = Chat(make_tokenizer(CHATML), DATE)
    for text in ("yes", " yes\n", "<think>hm</think>yes"):
        assert chat.heard(chat.backend.encode(text + "<|im_end|>").ids) == ("", text)
