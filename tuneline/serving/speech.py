"""Token ids as they come → the text that is sure by now: no half of a character, no half of a stop string."""

from collections.abc import Sequence

from tuneline.rendering.chat import Chat
from tuneline.rendering.hearing import Frame

HALF = "\ufffd"  # what the bytes of a character that is not whole yet decode to


class Speech:
    """What a model says in one answer. `frame`: what the template writes around it (see find_frame). `stops`: texts
    that end the answer, and are no part of it.

    However the text is taken, in pieces or at once, it is what `Chat.heard` makes of all ids.
    """

    def __init__(self, chat: Chat, frame: Frame | None, stops: Sequence[str] = ()) -> None:
        self.chat, self.frame, self.stops = chat, frame, stops
        self.ids: list[int] = []
        self.said = ""  # all that has been given out
        self.begin = self.read = 0  # of the window of ids that is decoded, and of what of it is in `whole`
        self.whole = ""  # characters that no later token changes
        self.stopped = False

    def add(self, ids: Sequence[int]) -> str:
        """What can be said now that could not before."""
        self.ids += ids
        return self._give(self._sure(), at_end=False)

    def end(self, ids: Sequence[int] = ()) -> str:
        """The rest, with the last ids."""
        self.ids += ids
        return "" if self.stopped else self._give(self.chat.heard(self.ids)[1], at_end=True)

    def _give(self, text: str, at_end: bool) -> str:
        found = [at for at in (text.find(stop) for stop in self.stops) if at >= 0]
        if found:
            text, self.stopped = text[: min(found)], True
        elif not at_end:
            text = text[: len(text) - _begun(text, self.stops)]
        new = text[len(self.said) :] if text.startswith(self.said) else ""
        self.said += new
        return new

    def _sure(self) -> str:
        if self.frame:
            return self._framed(self.frame)
        decode = self.chat.tokenizer.decode
        before = decode(self.ids[self.begin : self.read], skip_special_tokens=True)
        now = decode(self.ids[self.begin :], skip_special_tokens=True)
        if len(now) > len(before) and not now.endswith(HALF):
            self.whole += now[len(before) :]
            self.begin, self.read = self.read, len(self.ids)
        return self.whole

    def _framed(self, frame: Frame) -> str:
        """An answer that stands after thinking, or after what the template writes before each."""
        text = self.chat.tokenizer.decode(self.ids, skip_special_tokens=False)
        begun = frame.bare.startswith(text) or (frame.before.strip() or HALF).startswith(text.strip())
        said = "" if begun else self.chat.heard(self.ids)[1].rstrip(HALF)
        return said if said.strip() else ""  # blanks alone may be those after the thinking


def _begun(text: str, stops: Sequence[str]) -> int:
    """Characters at the end of the text with which a stop string begins."""
    return max((n for stop in stops for n in range(1, len(stop)) if text.endswith(stop[:n])), default=0)
