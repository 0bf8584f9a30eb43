"""The exact test: by another library's binomial test, and of which figures it is."""

import pytest
from scipy.stats import binomtest

from tuneline.measuring.mcnemar import chance, paired_tests
from tuneline.measuring.score import F1, MEAN, Score


@pytest.mark.parametrize(("won", "lost"), [(0, 0), (1, 0), (5, 5), (9, 2), (2, 9), (0, 40), (900, 1100), (0, 3000)])
def test_it_is_the_binomial_test(won: int, lost: int) -> None:
    wanted = binomtest(won, won + lost).pvalue if won + lost else 1.0
    assert chance(won, lost) == pytest.approx(wanted, rel=1e-9)


def test_of_figures_that_are_right_or_wrong_by_row() -> None:
    def scores(right: list, share: list) -> list[Score]:
        return [Score({"right": one, "exact": 1.0, "share": two}) for one, two in zip(right, share, strict=True)]

    figures = {"right": MEAN, "exact": MEAN, "share": MEAN, "f1": F1}
    before = scores([False, False, True, None, False], [0, 0.5, 1, 1, 1])
    found = paired_tests(figures, before, scores([True, True, False, True, None], [1, 1, 1, 1, 1]))
    assert found == {"right": {"won": 2, "lost": 1, "p": 1.0}, "exact": {"won": 0, "lost": 0, "p": 1.0}}
    assert paired_tests(figures, before[3:4], before[3:4]).keys() == {"exact", "share"}, "of no row there is no test"
