"""Texts and their trained spans → token ids and labels, equal at each seam to what a prompt is given as.

A tokenizer may join the end of a prompt with the start of its answer, or divide the prompt otherwise once the answer is
there. Both are seen by comparing ids, and mended by encoding the two apart.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import Any

from tuneline.rendering.turns import Span, Unfit, Writer

IGNORED = -100  # the label that every loss here leaves out
WINDOW = 64  # characters in which a special token is looked for first


@dataclass(frozen=True)
class Tokens:
    """`ids` and `labels` are as long; a label is its id where it is trained, else IGNORED."""

    ids: list[int]
    labels: list[int]


class Coder:
    def __init__(self, backend: Any, writer: Writer) -> None:
        self.backend, self.writer = backend, writer
        self.ids_of = lru_cache(1000)(self._ids_of)  # what stands before an answer is nearly always the same

    def _ids_of(self, text: str) -> list[int]:
        return self.backend.encode(text, add_special_tokens=False).ids

    def label(self, text: str, spans: Sequence[Span], encoding: Any) -> list[Tokens]:
        """One of the whole text, and one of each answer whose prompt it does not show as it is given. Raises Unfit."""
        places = [_tokens_of(encoding, *span) for span in spans]
        same = [
            self._is_prompt(text, start, encoding, first) for (start, _), (first, _) in zip(spans, places, strict=True)
        ]
        if all(same):
            return [_labelled(encoding.ids, places)]
        whole = [place for place, ok in zip(places, same, strict=True) if ok]
        apart = [
            self._apart(text, span, len(text) if span == spans[-1] else span[1])
            for span, ok in zip(spans, same, strict=True)
            if not ok
        ]
        return [_labelled(encoding.ids[: whole[-1][1] + 1], whole), *apart] if whole else apart

    def _is_prompt(self, text: str, start: int, encoding: Any, first: int) -> bool:
        """Whether the ids before an answer are those of its prompt. A special token parts what is before from what is
        after it for any tokenizer, so that it is enough to look at what follows the last one."""
        at = self._last_special(text, start)
        window = text[at:start]
        return encoding.ids[encoding.char_to_token(at) or 0 : first] == self.ids_of(window)

    def _last_special(self, text: str, end: int) -> int:
        size = WINDOW
        while True:
            begin = max(0, end - size)
            found = [match.start() for match in self.writer.special.finditer(text, begin, end)]
            if found or not begin:
                return found[-1] if found else 0
            size *= 4

    def _apart(self, text: str, span: Span, stop: int) -> Tokens:
        start, end = span
        at = self._last_special(text, start)
        special = self.writer.special.match(text, at)
        before = special[0] if special else ""  # so that the answer is not read as the beginning of a text
        answer = self.backend.encode(before + text[start:stop], add_special_tokens=False)
        skipped = len(self.ids_of(before))
        ids = [*self._ids_of(text[:start]), *answer.ids[skipped:]]
        whole = self._ids_of(text[:stop])
        decode = self.backend.decode
        if decode(ids, skip_special_tokens=False) != decode(whole, skip_special_tokens=False):
            raise Unfit(
                "the tokenizer joins the end of the generation prompt with the start of the answer, and cannot read "
                "the two apart; name a `template` in base.yaml whose generation prompt ends in no white space"
            )
        last = answer.char_to_token(len(before) + end - start - 1) - skipped
        first = len(ids) - (len(answer.ids) - skipped)
        return _labelled(ids, [(first, first + last)])


def _labelled(ids: list[int], places: Sequence[Span]) -> Tokens:
    labels = [IGNORED] * len(ids)
    for first, last in places:
        labels[first : last + 1] = ids[first : last + 1]
    return Tokens(ids, labels)


def _tokens_of(encoding: Any, start: int, end: int) -> Span:
    """(first token, last token) of some characters."""
    first, last = encoding.char_to_token(start), encoding.char_to_token(end - 1)
    if first is None:  # a space may be in no token; all offsets take longer
        first = bisect_right(encoding.offsets, start, key=itemgetter(1))
    return first, last
