"""What is said of an answer while it comes: no half of a character, of a stop string, or of what a template writes."""

import pytest

from tests.conftest import ROOT
from tuneline.models.base import read_base
from tuneline.rendering.chat import Chat, load_chat
from tuneline.rendering.hearing import Frame
from tuneline.serving.speech import Speech

TEXTS = ["é", "Aïcha 🎉🎊 dit « déjà »", "日本語 und ﷽ e\u0301", "a \ufffd b", "x\n\n  y ", "", "👩‍👩‍👧"]


@pytest.fixture(scope="module")
def chat() -> Chat:
    return load_chat(read_base(ROOT / "models/tiny"))


def pieces(speech: Speech, ids: list[int], size: int = 1) -> list[str]:
    said = [speech.add(ids[at : at + size]) for at in range(0, len(ids), size)]
    return [*said, speech.end()]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("size", [1, 3])
def test_a_character_comes_whole(text: str, size: int, chat: Chat) -> None:
    ids = chat.backend.encode(text, add_special_tokens=False).ids
    said = pieces(Speech(chat, None), ids, size)
    assert "".join(said) == text
    assert "\ufffd" in text or not any("\ufffd" in piece for piece in said)
    if size == 1 and len(ids) > 9:
        assert sum(map(bool, said)) > 3  # and soon


def test_an_answer_that_is_cut_within_a_character_is_as_predict_has_it(chat: Chat) -> None:
    ids = chat.backend.encode("ok 🎉", add_special_tokens=False).ids[:-1]
    said = pieces(Speech(chat, None), ids)
    assert not any("\ufffd" in piece for piece in said[:-1])
    assert "".join(said) == chat.heard(ids)[1]


@pytest.mark.parametrize(
    ("stops", "wanted"),
    [(["END"], "one "), (["ne", "one"], ""), (["NOT"], "one END two"), (["two!", "tw"], "one END "), (["o\n"], None)],
)
@pytest.mark.parametrize("size", [1, 2, 99])
def test_a_stop_string_ends_an_answer_and_is_no_part_of_it(
    stops: list[str], wanted: str | None, size: int, chat: Chat
) -> None:
    speech = Speech(chat, None, stops)
    ids = chat.backend.encode("one END two", add_special_tokens=False).ids
    said = ""
    for at in range(0, len(ids), size):
        said += speech.add(ids[at : at + size])
        if speech.stopped:
            break
    assert said + speech.end() == ("one END two" if wanted is None else wanted)


@pytest.mark.parametrize(
    ("frame", "written", "wanted"),
    [
        (Frame("", "<think>\n", "\n</think>\n\n"), "<think>\nhm é\n</think>\n\nsaid é", "said é"),
        (Frame("", "", "</think>\n\n"), "hm\n</think>\n\nsaid", "said"),
        (Frame("<think>\n\n</think>\n\n", "<think>\n", "\n</think>\n\n"), "<think>\n\n</think>\n\nsaid", "said"),
        (Frame("final:"), "final:said", "said"),
        (Frame("", "<think>\n", "\n</think>\n\n"), "plain", "plain"),
        (Frame("", "<think>\n", "\n</think>\n\n"), "<think>\nnever closed", ""),
    ],
)
def test_thinking_and_what_a_template_writes_around_it_is_not_said(
    frame: Frame, written: str, wanted: str, chat: Chat
) -> None:
    framed = load_chat(read_base(ROOT / "models/tiny"))
    framed.__dict__["_frame"] = frame  # as a base with such a template has it
    said = pieces(Speech(framed, frame), chat.backend.encode(written, add_special_tokens=False).ids)
    assert "".join(said) == framed.heard(chat.backend.encode(written, add_special_tokens=False).ids)[1] == wanted
