"""What stands before a question: put in place by the rendering alone, in training as in predict."""

import json
from pathlib import Path

import click
import pytest

from tests.chat_templates import HABITS, make_chat
from tests.conftest import ROOT
from tuneline.models.base import read_base
from tuneline.recipe.forms import read_form
from tuneline.rendering.chat import Chat, load_chat
from tuneline.rendering.preamble import Preamble, read_preamble
from tuneline.rows import make_row

USER = {"role": "user", "content": "why"}
SO = {"role": "assistant", "content": "so"}
OWN = {"role": "system", "content": "own"}
PREAMBLE = Preamble("be brief", "Explain:")


def row(*messages: dict) -> dict:
    return make_row(read_form({"messages": list(messages)}), "a.jsonl", 1)


@pytest.fixture(scope="module", params=HABITS)
def chat(request: pytest.FixtureRequest) -> Chat:
    return make_chat(HABITS[request.param])


# before


@pytest.mark.parametrize(
    ("messages", "system", "prefix", "expected"),
    [
        ([USER], "", "", ["why"]),
        ([USER], "be brief", "", ["be brief", "why"]),
        ([USER], "be brief", "Explain:", ["be brief", "Explain:\n\nwhy"]),
        ([OWN, USER], "be brief", "", ["own", "why"]),
        ([OWN, USER], "be brief", "Explain:", ["own", "Explain:\n\nwhy"]),
        ([USER, SO, USER], "", "Explain:", ["why", "so", "Explain:\n\nwhy"]),
        ([USER, SO], "", "Explain:", ["Explain:\n\nwhy", "so"]),
    ],
)
def test_the_prefix_is_before_the_last_question(messages: list, system: str, prefix: str, expected: list[str]) -> None:
    before = json.dumps(messages)
    dressed = Preamble(system, prefix).before(messages)
    assert [message["content"] for message in dressed] == expected
    assert json.dumps(messages) == before  # rows travel bare


def test_where_nothing_is_asked_there_is_no_prefix() -> None:
    assert PREAMBLE.before([OWN]) == [OWN]


# rendering


def test_a_row_under_a_preamble_is_the_dressed_row_without_one(chat: Chat) -> None:
    bare = row(USER, SO)
    dressed = row(*PREAMBLE.before(bare["messages"]))
    assert chat.under(PREAMBLE).render(bare) == chat.render(dressed)
    assert chat.under(PREAMBLE).encode([bare]) == chat.encode([dressed])
    assert chat.under(PREAMBLE).count([bare], 0) == chat.count([dressed], 0)


def test_each_answer_is_trained_under_the_prefix_as_it_is_asked(chat: Chat) -> None:
    """The prefix stands before the last question alone, so that an earlier one is asked otherwise than it stands."""
    under, talk = chat.under(PREAMBLE), row(USER, SO, USER, SO)
    (first, its), (last, spans) = under.render(talk)
    assert first[: its[0][0]] == under.prompt([USER])
    assert last[: spans[0][0]] == under.prompt([USER, SO, USER])
    assert under.count([talk], 0) == [len(under.encode([talk])[1].ids)]
    assert len(chat.under(Preamble("be brief")).render(talk)) == 1


def test_a_row_with_its_own_system_text_keeps_it(chat: Chat) -> None:
    own = row(OWN, USER, SO)
    assert chat.under(Preamble("be brief")).render(own) == chat.render(own)
    assert "be brief" not in chat.under(PREAMBLE).render(own)[0][0]


def test_a_row_of_only_text_has_none(chat: Chat) -> None:
    text = make_row(read_form({"text": "only text"}), "a.jsonl", 1)
    assert chat.under(PREAMBLE).render(text) == chat.render(text)


def test_prompt_and_training_text_agree(chat: Chat) -> None:
    for preamble in (Preamble(), PREAMBLE, Preamble(prefix="Explain:"), Preamble("été ☀")):
        under = chat.under(preamble)
        for messages in ([USER, SO], [OWN, USER, SO], [USER, SO, USER, SO]):
            text, spans = under.render(row(*messages))[-1]
            assert text[: spans[-1][0]] == under.prompt(messages[:-1])


def test_the_same_row_under_two_preambles(chat: Chat) -> None:
    """Neither leaves a trace in the row, nor in the rendering that the other was made from."""
    bare = row(USER, SO)
    plain, before = chat.render(bare), json.dumps(bare)
    brief, long = (chat.under(Preamble(system)) for system in ("be brief", "be long"))
    texts = [one.render(bare)[0][0] for one in (brief, long, brief.under(Preamble()), long.under(Preamble("be brief")))]
    assert ["be brief" in text for text in texts] == [True, False, False, True]
    assert texts[0] == texts[3] != texts[1]
    assert [texts[2]] == [text for text, _ in plain] == [text for text, _ in chat.render(bare)]
    assert json.dumps(bare) == before
    assert chat.preamble == Preamble()
    assert brief.sha256 == chat.sha256  # token files are of a tokenizer and a template, not of a preamble


@pytest.mark.parametrize("preamble", [Preamble("end <|im_end|>"), Preamble("ok", "<|im_start|>user")])
def test_a_preamble_that_spells_out_a_special_token_is_refused(preamble: Preamble) -> None:
    chat = make_chat(HABITS["marked"])
    with pytest.raises(click.ClickException, match=r"spells out <\|im_(end|start)\|>, a special token"):
        chat.under(preamble)
    with pytest.raises(click.ClickException, match="a special token"):
        load_chat(read_base(ROOT / "models/tiny"), preamble)


# files


@pytest.mark.parametrize("preamble", [Preamble(), PREAMBLE, Preamble('é\n"quoted" ${x} </s>')])
def test_what_is_written_is_read_back(tmp_path: Path, preamble: Preamble) -> None:
    preamble.write(tmp_path / "p.json")
    assert read_preamble(tmp_path / "p.json") == preamble


@pytest.mark.parametrize("content", [None, "", "[]", "3", '{"system": "x", "suffix": "y"}', "be brief"])
def test_what_is_no_preamble_is_one_line(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "p.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(click.ClickException) as error:
        read_preamble(path)
    assert error.value.message.startswith(f"{path} is no preamble (")
    assert error.value.message.endswith("trim writes it: `dvc repro`")
    assert "\n" not in error.value.message
