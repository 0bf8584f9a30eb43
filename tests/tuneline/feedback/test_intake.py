"""What applications log already: calls in OpenAI's form, taken in as samples, personal details masked."""

import json
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from tuneline.cli import main
from tuneline.feedback.masking import Mask
from tuneline.feedback.pairs import read_pair
from tuneline.feedback.store import Store

ASKED = [{"role": "system", "content": "Summarize."}, {"role": "user", "content": "A long text."}]
CHAT = {
    "request": {"model": "gpt", "messages": ASKED},
    "response": {
        "id": "c-1",
        "object": "chat.completion",
        "model": "gpt-5-mini",
        "choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": "A text."}}],
    },
}
RESPONSES = {
    "request": {"instructions": "Summarize.", "input": "A long text.", "metadata": {"application": "shop"}},
    "response": {
        "id": "r-1",
        "object": "response",
        "status": "completed",
        "model": "gpt-5-mini",
        "error": None,
        "output": [
            {"type": "reasoning", "summary": []},
            {"type": "message", "content": [{"type": "output_text", "text": "A text."}]},
        ],
    },
}


def changed(of: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy with another value at a place, such as response.choices.0.message."""
    made = json.loads(json.dumps(of))
    *way, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    at = made
    for step in way:
        at = at[step]
    at[last] = value
    return made


def take(tmp_path: Path, *lines: Any, words: tuple[str, ...] = ("--task", "summarization")) -> Result:
    path = tmp_path / "calls.jsonl"
    path.write_text("".join((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in lines), "utf-8")
    return CliRunner().invoke(main, ["feedback", "import", str(path), "--database", str(tmp_path / "f.sqlite"), *words])


def taken(tmp_path: Path) -> list[Any]:
    with Store(tmp_path / "f.sqlite") as store:
        return list(store.samples())


PARTS = [{"type": "input_text", "text": "A long text."}]


@pytest.mark.parametrize(
    ("line", "meta"),
    [
        (CHAT, {"id": "c-1", "system": "Summarize."}),
        (RESPONSES, {"id": "r-1", "system": "Summarize.", "application": "shop"}),
        (changed(CHAT, "application", "desk"), {"id": "c-1", "system": "Summarize.", "application": "desk"}),
        (changed(CHAT, "meta", {"language": "en"}), {"language": "en", "id": "c-1", "system": "Summarize."}),
        (changed(CHAT, "request.messages", ASKED[1:]), {"id": "c-1"}),
        (
            changed(CHAT, "request.messages.1.content", [{"type": "text", "text": "A long text."}]),
            {"id": "c-1", "system": "Summarize."},
        ),
        (changed(RESPONSES, "request", {"input": [{"role": "user", "content": PARTS}]}), {"id": "r-1"}),
        (
            {"request": {"body": CHAT["request"]}, "response": {"status_code": 200, "body": CHAT["response"]}},
            {"id": "c-1", "system": "Summarize."},
        ),
    ],
)  # fmt: skip
def test_a_call_is_a_sample(line: dict[str, Any], meta: dict[str, str], tmp_path: Path) -> None:
    done = take(tmp_path, line)
    assert done.exit_code == 0, done.output
    (one,) = taken(tmp_path)
    assert (one.input, one.output, one.model, one.meta) == ("A long text.", "A text.", "gpt-5-mini", meta)


MESSAGE = "response.choices.0.message"


CHUNK = {"object": "chat.completion.chunk", "choices": [{"delta": {}}]}
EVENT = {"type": "response.output_text.delta", "delta": "A"}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ({"request": CHAT["request"], "response": CHUNK}, "a streamed answer (chat.completion.chunk)"),
        (CHUNK, "a streamed answer (chat.completion.chunk)"),
        (changed(CHAT, "response.choices.0", {"delta": {"content": "A"}}), "a streamed answer (choices with a delta)"),
        (changed(CHAT, "response", [CHUNK]), "a streamed answer (a list of events)"),
        (changed(CHAT, "response", "data: {}"), "a streamed answer (a list of events)"),
        (changed(RESPONSES, "response", EVENT), "a streamed answer (response.output_text.delta)"),
        (CHAT["response"], "is one half of a pair"),
        ({"request": CHAT["request"]}, "is one half of a pair"),
        (changed(CHAT, "response", {"error": {"message": "quota"}}), "the service answered an error: {'message'"),
        (changed(CHAT, "response", {"status_code": 429, "body": {}}), "the service answered 429"),
        (changed(CHAT, "response.object", "text_completion"), "text_completion"),
        (changed(CHAT, "response", {"text": "A text."}), "is neither of chat.completions"),
        (changed(CHAT, "response.choices", []), "has 0 choices"),
        (changed(CHAT, "response.choices", CHAT["response"]["choices"] * 2), "has 2 choices"),
        (changed(CHAT, "response.choices.0.finish_reason", "length"), "is not whole: finish_reason is length"),
        (changed(CHAT, f"{MESSAGE}.tool_calls", [{}]), "the answer calls a tool"),
        (changed(CHAT, f"{MESSAGE}.refusal", "I cannot."), "the model refused to answer"),
        (changed(CHAT, f"{MESSAGE}.content", None), "message.content is no text"),
        (changed(CHAT, f"{MESSAGE}.content", " "), "output: it is empty"),
        (changed(CHAT, MESSAGE, None), "the choice has no message"),
        (changed(CHAT, "request.messages", ASKED + ASKED[1:]), "messages are system, user, user; a sample is one"),
        (changed(CHAT, "request.messages.1.content", [{"type": "image_url"}]), "messages.content has image_url"),
        (changed(CHAT, "request.messages", [7]), "messages is no list of messages"),
        (changed(CHAT, "request", 7), "request is no object"),
        (changed(RESPONSES, "request.previous_response_id", "r-0"), "goes on from an earlier answer"),
        (changed(RESPONSES, "response.status", "incomplete"), "the answer is not whole: status is incomplete"),
        (changed(RESPONSES, "response.output.0.type", "function_call"), "the answer has function_call"),
        (changed(RESPONSES, "response.output", 7), "output is no list"),
        (changed(RESPONSES, "response.output.1.content", [{"type": "refusal"}]), "the model refused to answer"),
        (changed(RESPONSES, "response.output.1.content", [7]), "output.content is no text"),
    ],
)  # fmt: skip
def test_what_is_no_whole_call_is_refused_by_name(line: Any, said: str, tmp_path: Path) -> None:
    done = take(tmp_path, line, CHAT)
    assert done.exit_code == 1 and "calls.jsonl:1: " in done.stderr and said in done.stderr, done.stderr
    assert "Traceback" not in done.stderr and len(taken(tmp_path)) == 1


def test_no_call_ends_the_import(tmp_path: Path) -> None:
    """Anything in place of anything: a reason, never another error."""

    def places(of: Any, way: str = "") -> list[str]:
        inner = of.items() if isinstance(of, dict) else enumerate(of) if isinstance(of, list) else ()
        return [way] * bool(way) + [one for key, value in inner for one in places(value, f"{way}.{key}".lstrip("."))]

    for whole in (CHAT, RESPONSES):
        for place in places(whole):
            for value in (None, 7, "x", [], [None], {}, {"x": 1}, True):
                try:
                    read_pair(changed(whole, place, value))
                except ValueError:
                    continue


def test_what_a_sample_has_no_place_for_is_told(tmp_path: Path) -> None:
    done = take(tmp_path, CHAT | {"latency": 1.5, "user": "u"}, RESPONSES | {"latency": 2})
    assert "no sample has what these say, left out: latency (2), user (1)" in done.stdout
    assert "1 new, 1 known, 0 refused" in done.stdout  # they say the same


# ---------------------------------------------------------------- masks

TEXT = (
    "Zoë (zoe.q+news@mail.example.co.uk, +33 6 12 34 56 78 or 06 12 34 56 78) paid 1,234,567 euros on 2024-10-04 by "
    "card 4111 1111 1111 1111 and from FR76 3000 6000 0112 3456 7890 189 EUR, order 1234567890, from 192.168.1.4."
)


@pytest.fixture
def masks() -> Any:
    pytest.importorskip("phonenumbers")
    pytest.importorskip("stdnum")


def test_personal_details_are_masked_and_counted(masks: Any, tmp_path: Path) -> None:
    line = {"task": "summarization", "input": TEXT, "output": "To a@b.example", "meta": {"by": ["+33612345678", 7]}}
    done = take(tmp_path, line, words=("--mask", "--region", "FR"))
    assert done.exit_code == 0, done.output
    assert done.stdout.endswith("masked: 1 CARD, 2 EMAIL, 1 IBAN, 1 IP, 3 PHONE\n")
    (one,) = taken(tmp_path)
    assert one.input == (
        "Zoë ([EMAIL], [PHONE] or [PHONE]) paid 1,234,567 euros on 2024-10-04 by card [CARD] and from [IBAN] EUR, "
        "order 1234567890, from [IP]."
    )
    assert (one.output, one.meta) == ("To [EMAIL]", {"by": ["[PHONE]", 7]})


@pytest.mark.parametrize(
    "text",
    [
        "On 4 October 2021 the 12 members met at 10:30, room 3.14.2; see section 4.1.2.1000",
        "4111 1111 1111 1112 is no card, FR76 3000 6000 0112 3456 7890 188 no IBAN, a@b no address",
        "std::vector and 12:34:56 and ISBN 978-3-16-148410-0, version 1.2.3.4567",
        "GB82 is short; the sum 2 000 000 000 is large; @everyone, look",
    ],
)
def test_what_only_looks_like_it_stays(text: str, masks: Any) -> None:
    mask = Mask(["FR"])
    assert mask.text(text) == text and not mask.counts


def test_without_a_region_only_numbers_with_their_country_are_known(masks: Any) -> None:
    assert Mask().text("06 12 34 56 78, +33 6 12 34 56 78") == "06 12 34 56 78, [PHONE]"
    with pytest.raises(click.ClickException, match="--region XX: a country has two letters"):
        Mask(["xx"])


def test_a_region_wants_a_mask(tmp_path: Path) -> None:
    done = take(tmp_path, CHAT, words=("--region", "FR"))
    assert (done.exit_code, done.stderr) == (1, "Error: --region is of --mask\n")
