"""What makes a string of a spec a prompt, and what a reader of specs finds: shared by the readers of each language."""

from dataclasses import dataclass, field
from fnmatch import fnmatchcase


class Unread(ValueError):
    """An expression whose text cannot be told from its file alone; the message says why."""


LONGEST = 100_000  # characters of one prompt; constants made of constants may grow without end


def bounded(parts: list[str]) -> str:
    """The parts as one text. Raises Unread when that is longer than LONGEST."""
    if sum(map(len, parts)) > LONGEST:
        raise Unread(f"longer than {LONGEST:,} characters")
    return "".join(parts)


@dataclass(frozen=True)
class Wanted:
    """`names`: patterns of variables, keys and keywords that hold prompts, whatever the case.

    `calls`: functions and methods whose last argument is one. Texts of fewer than `least_words` are none.
    """

    names: tuple[str, ...]
    calls: tuple[str, ...]
    least_words: int

    def is_name(self, name: str) -> bool:
        return any(fnmatchcase(name.casefold(), pattern.casefold()) for pattern in self.names)

    def is_long_enough(self, text: str) -> bool:
        return len(text.split()) >= self.least_words


@dataclass
class Found:
    """What one file holds. `elsewhere` counts prompts that are made of no text of this file."""

    prompts: set[tuple[int, str]] = field(default_factory=set)  # (line from 1, text)
    faults: set[tuple[int, str]] = field(default_factory=set)  # (line from 1, why it cannot be read)
    short: set[tuple[int, str]] = field(default_factory=set)
    elsewhere: int = 0

    def add(self, line: int, text: str, wanted: Wanted) -> None:
        (self.prompts if wanted.is_long_enough(text) else self.short).add((line, text))
