"""Words that a line's end divided and a PDF reader joined: whether they had a hyphen of their own.

A reader makes `formation` of `forma-` and `tion`, rightly, and `taskoriented` of `task-` and `oriented`.
No dictionary is asked: the words that stand undivided in the same document say which one it is.
"""

import re
from collections.abc import Iterable

WORD = re.compile(r"[^\W\d_]+(?:[-’'][^\W\d_]+)*")
LINE_END = re.compile(r"([^\W\d_][\w’'-]*)[-\u2010\u00ad]\n([^\W\d_][\w’']*)")
LAST_HALF = re.compile(r"([^\W\d_][\w’'-]*)[-\u2010\u00ad]$")
# Halves of words that are written as one, though both halves are words.
FIRST = frozenset("over under with there here where some any every how what when them your fore back after".split())
LAST = frozenset("over ever fore self selves thing one body where times".split())


def divided_words(lines: str) -> tuple[list[tuple[str, str]], list[str]]:
    """(before, after) of each word that a line's end divides, and the words that stand undivided, folded."""
    breaks = sorted({match.groups() for match in LINE_END.finditer(lines)})
    return breaks, sorted({found.casefold() for found in WORD.findall(LINE_END.sub(" ", lines))})


class Hyphens:
    """The divided words of one document, and what its other words say of them; made of divided_words."""

    def __init__(self, breaks: Iterable[tuple[str, str]], words: Iterable[str]) -> None:
        self.halves = {f"{before}{after}".casefold(): (before, after) for before, after in breaks}
        self.words = set(words)
        self.compounds = {compound for word in self.words for compound in _compounds(word)}

    def join(self, before: str, after: str) -> str:
        """Two parts of a paragraph as one; a word that stands divided between them is one for restore to mend."""
        first, last = LAST_HALF.search(before), WORD.match(after)
        if not first or not last:
            return f"{before} {after}"
        self.halves[f"{first[1]}{last[0]}".casefold()] = (first[1], last[0])
        return f"{before[:-1]}{after}"

    def restore(self, text: str) -> str:
        """The text with the hyphens that belong to words."""
        if not self.halves:
            return text
        divided = "|".join(sorted(map(re.escape, self.halves), key=len, reverse=True))

        def mended(match: re.Match[str]) -> str:
            word, size = match[0], len(self.halves[match[0].casefold()][0])
            if self._is_one(word.casefold(), text[match.end() : match.end() + 2]):
                return word
            return f"{word[:size]}-{word[size:]}"

        return re.sub(rf"(?<![^\W\d_])(?:{divided})(?![^\W\d_])", mended, text, flags=re.IGNORECASE)

    def _is_one(self, word: str, follows: str) -> bool:
        before, after = (half.casefold() for half in self.halves[word])
        if word in self.words:
            return True
        if f"{before}-{after}" in self.compounds or (follows[:1] == "-" and follows[1:].isalpha()):
            return False
        if before in FIRST or after in LAST or any(other.startswith(word) for other in self.words):
            return True
        return not (before.split("-")[-1] in self.words and after in self.words)


def _compounds(word: str) -> Iterable[str]:
    """A compound and the compounds in it: out-of-scope has out-of and of-scope."""
    parts = word.split("-")
    for start in range(len(parts)):
        for end in range(start + 2, len(parts) + 1):
            yield "-".join(parts[start:end])
