"""Where sentences end: the one splitter, of English and French."""

import re
from itertools import pairwise

MARK = r"[.!?…]((?:\s?[\"'’”»)\]])*)"  # and what closes with it
END = re.compile(rf"{MARK}(?=\s)")
ENDED = re.compile(rf"{MARK}$")
BEGINNING = re.compile(r"\s+[\"“«(]?\s?[A-ZÀ-ÖØ-ÞŒ0-9]")
ABBREVIATION = re.compile(r"(?:^|[\s(«“\"])(?:M|MM|Mme|Mlle|Mr|Mrs|Ms|Dr|Pr|Prof|St|Ste|No|no|n°|art|p|vs|cf)\.$")
INITIAL = re.compile(r"(?:^|[\s(«“\"])[A-Z]\.$")
LONGEST = 10  # characters that tell an abbreviation; a text may be full of marks


def ends(text: str, printed: bool = True, initials: bool = True) -> list[int]:
    """The places behind the sentences of a text, each before a blank: what ends with the text has none.

    A sentence of a printed text begins with a capital or a figure; of what people type, any way, unless the mark is
    a bracket's or a quotation's: « (études, famille…) ou ». `initials`: a capital alone is a name's; in mathematics
    it is a variable, and ends a sentence. The end of a line without a mark is none.
    """
    found = []
    for mark in END.finditer(text):
        until = text[max(0, mark.start() - LONGEST) : mark.end()]
        begins = BEGINNING.match(text, mark.end()) or not (printed or mark[1])
        if begins and not ABBREVIATION.search(until) and not (initials and INITIAL.search(until)):
            found.append(mark.end())
    return found


def sentences(text: str, printed: bool = True, initials: bool = True) -> list[str]:
    """The text's sentences and lines, as written, without empty ones."""
    found: list[str] = []
    for line in text.splitlines():
        places = [0, *ends(line, printed, initials), len(line)]
        found += [line[start:end].strip() for start, end in pairwise(places)]
    return [sentence for sentence in found if sentence]


def is_ended(text: str) -> bool:
    """Whether the text ends with a sentence's end."""
    return bool(ENDED.search(text))
