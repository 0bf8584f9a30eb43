"""Long runs that many texts share, and the shingles that stand in them."""

import random

from tuneline.data.runs import FEW, LONG, LONGER, Commons
from tuneline.data.similarity import shingles

TEMPLATE = "please translate the following sentence into plain words: "


def levels(commons: Commons, text: str) -> list[int]:
    return next(commons.cut([text])).levels.tolist()


def test_shingles_are_counted_once_a_text() -> None:
    texts = ["the cat sat on the mat", "aaaaaaaa", "", "a", "Zoé « 東京 »", "a" * 300_000]
    sizes = [len(shingles(text)) for text in texts]
    assert [
        size for one in Commons(texts).cut(texts) for size in [*one.ends[:1], *(one.ends[1:] - one.ends[:-1])]
    ] == sizes


def test_what_few_texts_share_is_no_template() -> None:
    few = Commons([f"{TEMPLATE}{number:03}" for number in range(FEW)])
    assert set(levels(few, f"{TEMPLATE}001")) == {0}


def test_what_all_share_is_at_the_top_and_what_is_ones_own_at_the_bottom() -> None:
    rng = random.Random(0)
    texts = [TEMPLATE + "".join(rng.choices("abcdefghij", k=20)) for _ in range(100)]
    commons = Commons(texts)
    found = levels(commons, texts[0])
    assert 18 <= found.count(0) <= 21  # those with a sign of the own part or the end, some by chance in others, too
    assert found.count(commons.top) == len(found) - 21


def test_a_slip_in_a_template_is_all_that_is_ones_own_there() -> None:
    texts = [f"{TEMPLATE}{word}" for word in ("cat", "dog", *(str(number) * 9 for number in range(100)))]
    commons = Commons(texts)
    slip = levels(commons, TEMPLATE.replace("sentence", "sentenqe"))
    assert sum(level < commons.top for level in slip) <= 4 + 2


def test_a_common_word_is_no_template() -> None:
    texts = [f"{number * 7919} the {number * 104729} that {number}" for number in range(100)]
    assert len(" that ") < LONG
    assert set(levels(Commons(texts), texts[5])) == {0}


def test_what_a_tenth_share_is_a_template_only_where_it_is_long() -> None:
    others = [f"{number * 7919} {number * 104729}" for number in range(900)]
    asked = Commons([*(f"how do i reset it {number}" for number in range(80)), *others])
    assert set(levels(asked, "how do i reset it 5")) == {0}
    told = Commons([*(f"{TEMPLATE}{number}" for number in range(80)), *others])
    assert len(TEMPLATE) > LONGER
    assert max(levels(told, f"{TEMPLATE}5")) > 0


def test_a_text_that_says_a_thing_often_makes_no_template_of_it() -> None:
    texts = ["what a lovely day it is today " * 500, *(str(number) for number in range(50))]
    assert set(levels(Commons(texts), texts[0])) == {0}
