"""Exchanges, and conversations within others."""

from typing import Any

from tuneline.data.runs import FEW
from tuneline.data.turns import NONE, Conversations, exchanges, packed


def talk(*turns: str) -> dict[str, Any]:
    roles = ("user", "assistant") * len(turns)
    return {"messages": [{"role": role, "content": said} for role, said in zip(roles, turns, strict=False)]}


def within(*rows: dict[str, Any]) -> set[tuple[int, int]]:
    """Pairs of rows of which one holds the other."""
    found = Conversations(map(packed, rows))
    return {
        (a, b)
        for a, one in enumerate(found.numbers)
        for b, other in enumerate(found.numbers)
        if a < b and one != NONE and other in found.related(one)
    }


def test_an_exchange_is_a_question_with_its_answer_folded() -> None:
    assert exchanges(talk("Hi  there", "Hello")) == exchanges(talk("hi there ", "HELLO"))
    assert exchanges(talk("hi", "hello")) != exchanges(talk("hello", "hi"))
    assert len(exchanges(talk("a", "b", "c", "d"))) == 2
    assert exchanges({"text": "hi hello"}) == frozenset()
    system = {"role": "system", "content": "Be kind."}
    assert exchanges({"messages": [system, *talk("a", "b")["messages"]]}) == exchanges(talk("a", "b"))


def test_a_call_and_the_answer_after_it_are_exchanges_of_one_question() -> None:
    call = {"type": "function", "function": {"name": "add", "arguments": {"a": 1}}}
    other = {"type": "function", "function": {"name": "add", "arguments": {"a": 2}}}
    asked = {"role": "user", "content": "one more?"}
    result = {"role": "tool", "content": "2"}
    short = {"messages": [asked, {"role": "assistant", "tool_calls": [call]}]}
    long = {"messages": [*short["messages"], result, {"role": "assistant", "content": "two"}]}
    assert exchanges(short) < exchanges(long)
    assert exchanges(short) != exchanges({"messages": [asked, {"role": "assistant", "tool_calls": [other]}]})


def test_a_conversation_is_within_its_continuation_and_a_turn_within_its_conversation() -> None:
    assert within(
        talk("a", "b"), talk("a", "b", "c", "d"), talk("c", "d"), talk("a", "d"), talk("x", "y", "c", "d")
    ) == {
        (0, 1),
        (1, 2),
        (2, 4),
    }


def test_equal_ones_are_related_and_texts_are_not() -> None:
    assert within(talk("a", "b"), talk("A", "b"), {"text": "a"}, {"text": "b"}) == {(0, 1)}


def test_conversations_that_begin_alike_are_not_within_one_another() -> None:
    rows = [talk("hi", "hello", f"question {number}", "yes") for number in range(400)]
    assert within(*rows, talk("question 7", "yes")) == {(7, 400)}


def test_a_greeting_ties_nothing_together_and_is_counted() -> None:
    few = [talk("hi", "hello", f"question {number}", "yes") for number in range(FEW - 1)]
    assert len(within(talk("hi", "hello"), *few)) == FEW - 1
    many = [talk("hi", "hello", f"question {number}", "yes") for number in range(FEW + 1)]
    assert within(talk("hi", "hello"), *many) == set()
    assert Conversations(map(packed, [talk("hi", "hello"), *many])).small_talk == {0}
