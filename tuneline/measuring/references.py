"""How near a text is to its references: ROUGE-1, 2 and L, exact match, token F1; each 0 to 1.

ROUGE (Lin 2004) is that of rouge-score, with words of our own: its tokenizer drops every letter outside a to z,
so that `été` would be `t`. For plain English the two give the same words, and the same figures. Words are not
stemmed: Porter's stemmer is for English, and the published figures of SciTLDR were taken without it.
"""

import re
import unicodedata
from collections import Counter
from functools import cache
from typing import Any

ROUGE = {"rouge_1": "rouge1", "rouge_2": "rouge2", "rouge_l": "rougeL"}  # our names → the library's
WORD = re.compile(r"[^\W_]+")


def words(text: str) -> list[str]:
    """Runs of letters and digits of any script, in lower case; an accent may be a sign of its own."""
    return WORD.findall(unicodedata.normalize("NFC", text.lower()))


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
    """1 when the answer has the words of a reference in their order: case, signs and spaces do not count."""
    return float(any(words(answer) == words(reference) for reference in references))


def token_f1(answer: str, references: list[str]) -> float:
    """F1 of the words that answer and reference share, each as often as both have it; the best reference counts.

    As for SQuAD (Rajpurkar et al. 2016), but articles are words like others: theirs are English only.
    """
    return max(_overlap(words(answer), words(reference)) for reference in references)


def _overlap(given: list[str], wanted: list[str]) -> float:
    if not given or not wanted:
        return float(given == wanted)
    return 2 * (Counter(given) & Counter(wanted)).total() / (len(given) + len(wanted))
