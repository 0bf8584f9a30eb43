"""How near a text is to its references: ROUGE-1, 2 and L, exact match, token F1, each 0 to 1; and its length.

ROUGE (Lin 2004) is that of rouge-score, with words of our own: its tokenizer drops every letter outside a to z,
so that `été` would be `t`. For plain English the two give the same words, and the same figures. Words are not
stemmed: Porter's stemmer is for English, and the published figures of SciTLDR were taken without it.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from functools import cache
from typing import Any

from tuneline.files import Row
from tuneline.rows import answer as answer_of

ROUGE = {"rouge_1": "rouge1", "rouge_2": "rouge2", "rouge_l": "rougeL"}  # our names → the library's
WORD = re.compile(r"[^\W_]+")


def words(text: str) -> list[str]:
    """Runs of letters and digits of any script, in lower case; an accent may be a sign of its own."""
    return WORD.findall(unicodedata.normalize("NFC", text.lower()))


def references(row: Row) -> list[str]:
    """All answers that are right: those that the row's fields name, else its own."""
    return row.get("fields", {}).get("references") or [answer_of(row)]


def unanswered(row: Row) -> str | None:
    """Why a row has no reference that an answer could be compared with."""
    if "text" in row:
        return "is only text, which answers nothing: `measures: bits` of recipe.yaml measures such rows"
    named = row.get("fields", {}).get("references")
    if named and not (isinstance(named, list) and all(isinstance(one, str) for one in named)):
        return "names references that are no list of texts"
    return None if answer_of(row).strip() else "has an empty answer"


def compare(names: Iterable[str], answer: str, right: list[str]) -> dict[str, float | None]:
    """The figures of these names, to six decimals, so that equal answers have equal ones after a round trip."""
    names = list(names)
    found = rouge(answer, right) if set(ROUGE) & set(names) else {}
    found |= {name: figure(answer, right) for name, figure in OTHERS.items() if name in names}
    return {name: found[name] if found[name] is None else round(found[name], 6) for name in names}


class Words:
    """`words` in the form that RougeScorer takes."""

    tokenize = staticmethod(words)


@cache
def _scorer() -> Any:
    from rouge_score.rouge_scorer import RougeScorer  # a second to import

    return RougeScorer(list(ROUGE.values()), tokenizer=Words())


def rouge(answer: str, references: list[str]) -> dict[str, float]:
    """F1 of ROUGE-1, 2 and L against the reference whose ROUGE-1 is best, the first of equals.

    One reference gives all three figures, as SciTLDR's own evaluation has it (allenai/scitldr,
    scripts/cal-rouge.py). ROUGE-L is over the whole text. Raises ValueError where there is no reference.
    """
    scored = [_scorer().score(reference, answer) for reference in references]
    best = max(scored, key=lambda score: score["rouge1"].fmeasure)
    return {name: float(best[theirs].fmeasure) for name, theirs in ROUGE.items()}


def exact_match(answer: str, references: list[str]) -> float:
    """1 when the answer has the words of a reference in their order: case, signs and spaces do not count.

    Where neither has a word, the signs do: `+` is no `-`, and an empty answer is neither.
    """
    return float(any(_same(answer, reference) for reference in references))


def _same(answer: str, reference: str) -> bool:
    given, wanted = words(answer), words(reference)
    return given == wanted if given or wanted else answer.split() == reference.split()


def token_f1(answer: str, references: list[str]) -> float:
    """F1 of the words that answer and reference share, each as often as both have it; the best reference counts.

    As for SQuAD (Rajpurkar et al. 2016), but articles are words like others: theirs are English only.
    """
    return max(_overlap(words(answer), words(reference)) for reference in references)


def _overlap(given: list[str], wanted: list[str]) -> float:
    if not given or not wanted:
        return float(given == wanted)
    return 2 * (Counter(given) & Counter(wanted)).total() / (len(given) + len(wanted))


def length_ratio(answer: str, references: list[str]) -> float | None:
    """Words of the answer ÷ words of the first reference; None where that has none."""
    wanted = len(words(references[0]))
    return len(words(answer)) / wanted if wanted else None


OTHERS = {"token_f1": token_f1, "exact_match": exact_match, "length_ratio": length_ratio}
