"""Where a prompt ends and its answer begins: the ids before are those that the prompt has by itself."""

import itertools

import click
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from tests.chat_templates import CHATML, DATE, make_tokenizer
from tests.tuneline.rendering.test_chat import seams
from tuneline.rendering.chat import Chat

TALK = [
    {"role": "user", "content": "ask"},
    {"role": "assistant", "content": "one"},
    {"role": "user", "content": "more"},
    {"role": "assistant", "content": "two"},
]


def byte_level(*merges: tuple[str, str], template: str = CHATML, use_regex: bool = True) -> Chat:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [*alphabet, *map("".join, merges)]
    backend = Tokenizer(models.BPE(vocab={word: at for at, word in enumerate(words)}, merges=list(merges)))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=use_regex)
    backend.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, chat_template=template, eos_token="<|im_end|>")
    tokenizer.add_special_tokens({"extra_special_tokens": ["<|im_start|>"]})
    return Chat(tokenizer, DATE)


def check(chat: Chat, messages: list[dict]) -> int:
    """Each answer after the ids of its prompt; the number of pieces."""
    (pieces,) = chat.pieces([{"id": "talk", "messages": messages}])
    found = {chat.tokenizer.decode(run): before for piece in pieces for before, run in seams(piece)}
    answers = [at for at, message in enumerate(messages) if message["role"] == "assistant"]
    assert len(found) == len(answers) == sum(len(seams(piece)) for piece in pieces)
    for at in answers:
        prompt = chat.backend.encode(chat.prompt(messages[:at]), add_special_tokens=False).ids
        assert found[messages[at]["content"] + "<|im_end|>"] == prompt
    assert chat.count([{"messages": messages}], 0) == [max(len(piece.ids) for piece in pieces)]
    return len(pieces)


def test_a_token_that_holds_the_end_of_the_prompt_and_the_start_of_the_answer() -> None:
    """Ċ is the line feed that ends the prompt."""
    joins = byte_level(("Ċ", "o"), use_regex=False)
    assert check(joins, TALK) == 2  # "two" is shown as it is, "one" is not
    assert check(joins, TALK[:2]) == 1
    assert check(byte_level(("Ċ", "x"), use_regex=False), TALK) == 1
    assert check(byte_level(("Ċ", "o"), ("Ċ", "t"), use_regex=False), TALK) == 2


def test_a_prompt_that_is_divided_otherwise_by_itself() -> None:
    """GPT-2's split gives the last of several white spaces to what follows: two line feeds alone are one token, and two
    where an answer follows, though the answer begins with a token of its own."""
    twice = CHATML.replace("assistant\\n' -}}{%", "assistant\\n\\n' -}}{%").replace(
        "message['role'] + '\\n'", "message['role'] + ('\\n\\n' if message['role'] == 'assistant' else '\\n')"
    )
    chat = byte_level(("Ċ", "Ċ"), template=twice)
    whole = chat.backend.encode(chat.render({"messages": TALK[:2]})[0][0], add_special_tokens=False)
    prompt = chat.backend.encode(chat.prompt(TALK[:1]), add_special_tokens=False)
    assert whole.ids[: len(prompt.ids)] != prompt.ids
    assert check(chat, TALK) == 2
    assert check(byte_level(template=twice), TALK) == 1


@pytest.mark.parametrize("starts", itertools.product([" ", "\n", "\t  ", "é", ""], repeat=2))
def test_answers_that_begin_with_anything(starts: tuple[str, str]) -> None:
    chat = Chat(make_tokenizer(CHATML), DATE)
    first, second = ({**m, "content": start + m["content"]} for m, start in zip(TALK[1::2], starts, strict=True))
    assert check(chat, [TALK[0], first, TALK[2], second]) <= 2


def test_a_long_question_hides_no_special_token() -> None:
    chat = Chat(make_tokenizer(CHATML.replace("assistant\\n", "assistant " + "x y " * 300 + "\\n").replace(
        "message['role'] + '\\n'",
        "message['role'] + (' ' + 'x y ' * 300 if message['role'] == 'assistant' else '') + '\\n'",
    )), DATE)  # fmt: skip
    assert check(chat, TALK) == 1


def test_a_tokenizer_that_cannot_read_the_two_apart_is_refused() -> None:
    """It puts a space before whatever it reads: an answer read alone would begin with one that nobody wrote."""
    tight = CHATML.replace("assistant\\n' -}}{%", "assistant:' -}}{%").replace(
        "'\\n' + message['content']", "':' + message['content']"
    )
    letters = sorted({*"▁:abcdefghijklmnopqrstuvwxyz<|>_\n"})
    vocab = {word: at for at, word in enumerate([*letters, ":o"])}
    backend = Tokenizer(models.BPE(vocab=vocab, merges=[(":", "o")]))
    backend.pre_tokenizer, backend.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, chat_template=tight, eos_token="<|im_end|>")
    tokenizer.add_special_tokens({"extra_special_tokens": ["<|im_start|>"]})
    chat = Chat(tokenizer, DATE)
    with pytest.raises(click.ClickException, match="row talk: the tokenizer joins the end of the generation prompt"):
        chat.encode([{"id": "talk", "messages": TALK[:2]}])
    assert check(chat, TALK[2:]) == 1
