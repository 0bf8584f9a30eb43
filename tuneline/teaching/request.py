"""What is asked and what comes back: the types that the log, the providers and the teacher share."""

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import jsonschema

from tuneline.files import dump_json
from tuneline.teaching.log import Answer

BYTES_A_TOKEN = 4  # a rough mean for English and French text


@dataclass(frozen=True)
class Request:
    """One structured question. `facts`: what it was written from; only the offline provider reads it.

    `number` tells apart questions that are asked in the same words, to have several answers.
    """

    messages: tuple[tuple[str, str], ...]  # (role, content)
    schema: dict[str, Any] = field(hash=False)
    facts: dict[str, Any] = field(hash=False, default_factory=dict)
    number: int = 0

    def again(self, answer: str, fault: str) -> "Request":
        """The same question with what was wrong with the last answer: another key, a new answer."""
        *before, (role, content) = self.messages
        shown = f"\n\nYour last answer was:\n\n{answer}" if answer else ""
        more = f"{content}{shown}\n\nThat answer cannot be used: {fault}. Answer again."
        return replace(self, messages=(*before, (role, more)))


@dataclass(frozen=True)
class Outcome:
    """What became of a request: a value that obeys the schema, or the reason why there is none."""

    value: Any
    reason: str | None  # None, or: invalid, cut, empty, refusal
    detail: str
    keys: tuple[str, ...]  # of the answers it took, in their order
    text: str


def usual_reasons(refused: Iterable[tuple[str, str]]) -> str:
    """The commonest of them, each with its first detail; `refused`: (reason, detail)."""
    told = list(refused)
    first = dict(reversed(told))
    counted = Counter(reason for reason, _ in told).most_common(3)
    return "; ".join(f"{reason} {times} ({first[reason][:100]})" for reason, times in counted)


class Unanswered(Exception):
    """Worth another attempt: a time-out, a reset, 429 or 5xx. `after`: seconds that the service asks for. `sent`: the
    service may have worked on it, and bill it.
    """

    def __init__(self, reason: str, after: float | None = None, sent: bool = False) -> None:
        super().__init__(reason)
        self.after, self.sent = after, sent


class Hopeless(Exception):
    """No attempt can help: a wrong key, an unknown model, a malformed request."""


class Stopped(Exception):
    """The budget is spent."""


Missing = tuple[str, Request]  # the key that the log lacks, and what to ask for it
Unsettled = tuple[Request, Missing]  # a request as it was made, and what its outcome lacks


class Provider(Protocol):
    async def answer(self, request: Request) -> Answer:
        """Raises Unanswered or Hopeless."""
        ...

    async def close(self) -> None: ...


def fault_in(answer: Answer, validator: jsonschema.Draft202012Validator) -> tuple[Any, str | None, str]:
    """(value, reason, detail); the reason is None when the value obeys the schema."""
    if answer.finish == "refusal":
        return None, "refusal", " ".join(answer.text.split())[:200] or "the model declined"
    if answer.finish == "length":
        return None, "cut", f"it was cut after {answer.tokens_out} tokens; be shorter"
    if not answer.text.strip():
        return None, "empty", "it was empty"
    try:
        values = read_values(answer.text)
        wrong = [_wrong(value, validator) for value in values]
    except (ValueError, RecursionError) as error:
        return None, "invalid", f"it is not JSON: {error}"
    right = [value for value, fault in zip(values, wrong, strict=True) if fault is None]
    if len(right) == 1:
        return right[0], None, ""
    return None, "invalid", f"it holds {len(right)} values that would do" if right else wrong[-1]


def _wrong(value: Any, validator: jsonschema.Draft202012Validator) -> str | None:
    error = min(validator.iter_errors(value), key=lambda error: error.json_path, default=None)
    return error and f"{error.json_path} {error.message[:200]}"


def read_values(text: str) -> list[Any]:
    """The text's JSON: all of it, or what stands in it as models write it: after their thoughts, in a fence, in a
    sentence. Each value once. Raises ValueError where there is none.
    """
    said = text.rpartition("</think>")[2].partition("<think>")[0].strip()  # a thought without an end is none either
    for whole in (text.strip(), said):
        with suppress(ValueError):
            return [DECODER.decode(whole)]
    found = _fenced(said) or list(_inside(said))
    if not found:
        DECODER.decode(said)  # which says why
    return [value for at, value in enumerate(found) if value not in found[:at]]


def _fenced(text: str) -> list[Any]:
    """The values of ``` blocks that are JSON."""
    found = []
    for block in re.findall(r"^\s*```\w*[ \t]*\n(.*?)^\s*```", text, flags=re.DOTALL | re.MULTILINE):
        with suppress(ValueError):
            found.append(DECODER.decode(block.strip()))
    return found


def _inside(text: str) -> Iterator[Any]:
    """Objects and lists that stand in a text, from left to right; what is no JSON is passed over."""
    at = 0
    for _ in range(MOST_BRACKETS):
        opening = re.compile(r"[\[{]").search(text, at)
        if opening is None:
            return
        try:
            value, at = DECODER.raw_decode(text, opening.start())
            yield value
        except ValueError:
            at = opening.end()


def _finite(figures: str) -> float:
    if not math.isfinite(number := float(figures)):
        raise ValueError(f"{figures} is no number of JSON")
    return number


DECODER = json.JSONDecoder(parse_constant=_finite, parse_float=_finite)
MOST_BRACKETS = 1000  # at which JSON is looked for in a text: an answer of brackets alone would take for ever


def tokens(reported: Any) -> int:
    """A count as a service reports it; 0 where it is none, below zero or beyond all reason."""
    try:
        count = int(reported or 0)
    except (TypeError, ValueError, OverflowError):
        return 0
    return count if 0 <= count <= MOST_TOKENS else 0


MOST_TOKENS = 10**9  # of a question or an answer


def with_usage(answer: Answer, request: Request | None) -> Answer:
    """The answer, with an estimate of the tokens that the service does not report: they are not free for that."""
    long = len(answer.text.encode("utf-8", "surrogatepass"))
    return replace(
        answer,
        tokens_in=answer.tokens_in or likely_tokens(request),
        tokens_out=answer.tokens_out or long // BYTES_A_TOKEN,
    )


def likely_tokens(request: Request | None) -> int:
    """Of a question; 0 where it is not known."""
    return most_tokens(request) // BYTES_A_TOKEN if request else 0


def most_tokens(request: Request) -> int:
    """A bound on the tokens of a request: a token of a byte-level vocabulary has at least one byte."""
    written = sum(len(content.encode("utf-8", "surrogatepass")) for _, content in request.messages)
    return written + len(dump_json(request.schema)) + 64
