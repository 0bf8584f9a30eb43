"""McNemar's exact test (McNemar 1947): are rows that one side alone has right more than chance would give it?"""

from collections.abc import Mapping, Sequence
from math import comb

from tuneline.files import Row
from tuneline.measuring.score import MEAN, Score


def paired_tests(figures: Mapping[str, str], before: Sequence[Score], after: Sequence[Score]) -> dict[str, Row]:
    """Of each figure that is right or wrong by row: rows won and lost from `before` to `after`, and p."""
    tests = {}
    for name in (name for name, how in figures.items() if how == MEAN):
        pairs = [(one.figures[name], other.figures[name]) for one, other in zip(before, after, strict=True)]
        known = [pair for pair in pairs if None not in pair]
        if known and all(value in (0, 1) for pair in known for value in pair):
            won, lost = (sum(pair == one for pair in known) for one in ((0, 1), (1, 0)))
            tests[name] = {"won": won, "lost": lost, "p": float(f"{chance(won, lost):.4g}")}
    return tests


def chance(won: int, lost: int) -> float:
    """The two-sided probability of so uneven a division, or a more uneven one, of rows that go either way alike."""
    rows = won + lost
    tail = sum(comb(rows, few) for few in range(min(won, lost) + 1))
    return min(1.0, 2 * tail / 2**rows)
