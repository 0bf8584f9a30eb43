"""Like texts are found, templates are no likeness, and no bucket is too full in silence."""

import itertools
import random

import pytest

from tuneline.data.similarity import BUCKET, Index, Texts, jaccard, numbered, shingles

LONG = "the quarterly budget of the northern region was approved by the board in late october"
WORDS = ("budget", "meeting", "Zoé", "report", "last week", "Lyon")
INSTRUCTION = "You are given a passage. Say in one sentence what it is about, and name who wrote it. Passage: "


def index_of(texts: list[str], threshold: float) -> Index:
    index = Index(Texts(texts, threshold), threshold)
    for number in range(len(texts)):
        index.add(number)
    return index


def near(texts: list[str], threshold: float, number: int = 0) -> list[str]:
    return [texts[other] for _, other in index_of(texts, threshold).near(number) if other != number]


def test_the_near_are_found_nearest_first() -> None:
    texts = [LONG, LONG + "s", LONG[:60], "something else"]
    found = index_of(texts, 0.5).near(0)
    assert [number for _, number in found] == [0, 1, 2]
    assert [score for score, _ in found] == [jaccard(shingles(LONG), shingles(text)) for text in texts[:3]]


def test_only_those_that_were_added_and_are_wanted_are_found() -> None:
    index = Index(Texts([LONG, LONG + "s", LONG + "?"], 0.8), 0.8)
    assert index.near(0) == []
    index.add(1)
    index.add(2)
    assert {number for _, number in index.near(0)} == {1, 2}
    assert [number for _, number in index.near(0, lambda number: number > 1)] == [2]


@pytest.mark.parametrize("threshold", [0.7, 0.85, 0.92])
def test_of_near_texts_one_in_a_hundred_is_missed_at_most(threshold: float) -> None:
    texts = sorted({" ".join(words) for words in itertools.product(WORDS, repeat=4)})[::4]
    rng = random.Random(0)
    texts += ["".join(sign for sign in text if rng.random() > 0.02) for text in texts]
    _, texts = numbered(texts)
    index = index_of(texts, threshold)
    wanted = sum((index.texts.similarities(a, range(len(texts))) >= threshold).sum() for a in range(len(texts)))
    found = sum(len(index.near(number)) for number in range(len(texts)))
    assert 0.99 * wanted <= found <= wanted
    assert wanted > len(texts)


def test_a_small_sets_similarity_is_that_of_the_shingles() -> None:
    texts = [LONG, LONG.replace("northern", "eastern"), "", "a", "abc", "Zoé mange", "Zoe mange"]
    found = Texts(texts, 0.5).similarities(0, range(7))
    assert found.tolist() == [jaccard(shingles(LONG), shingles(text)) for text in texts]


def test_the_threshold_is_of_the_similarity_itself_and_not_of_its_estimate() -> None:
    texts = [LONG, LONG.replace("northern", "eastern")]
    similarity = jaccard(*map(shingles, texts))
    assert near(texts, similarity) == texts[1:]
    assert near(texts, similarity + 0.001) == []


def own_parts(count: int, length: int, seed: int = 0) -> list[str]:
    rng = random.Random(seed)
    return ["".join(rng.choices("abcdefgh ijklmnop", k=length)).strip() for _ in range(count)]


@pytest.mark.parametrize("length", [8, 60])
def test_texts_of_one_template_are_not_alike_because_of_it(length: int) -> None:
    _, texts = numbered(INSTRUCTION + part for part in own_parts(60, length))
    assert jaccard(shingles(texts[0]), shingles(texts[1])) > 0.4
    index = index_of(texts, 0.4)
    assert all([other for _, other in index.near(number)] == [number] for number in range(len(texts)))


def test_beside_many_other_texts_a_template_is_one_still() -> None:
    texts = [*(INSTRUCTION + part for part in own_parts(80, 8)), *own_parts(2000, 60, seed=1)]
    assert near(texts, 0.7) == []


def test_a_near_copy_of_the_own_part_is_found_in_a_template() -> None:
    texts = [INSTRUCTION + part for part in own_parts(60, 80)]
    assert near([*texts, texts[0] + "s"], 0.9) == [texts[0] + "s"]


def test_sums_are_not_alike() -> None:
    texts = [
        f"Please calculate the following sum and tell me only the result: {a} + {b}"
        for a in range(30)
        for b in range(30)
    ]
    index = index_of(texts, 0.7)
    assert all(len(index.near(number)) == 1 for number in range(0, 900, 7))


def test_questions_of_the_same_few_phrases_are_not_alike_by_a_rare_name() -> None:
    rng = random.Random(0)
    phrases = ("documents from", "mails by", "photos of"), ("last week", "yesterday", "this year about taxes")
    texts = sorted({" ".join([rng.choice(phrases[0]), f"N{n % 40}", rng.choice(phrases[1])]) for n in range(400)})
    index = index_of(texts, 0.7)
    for number, text in enumerate(texts):
        for _, other in index.near(number):
            assert jaccard(shingles(text), shingles(texts[other])) >= 0.7


def test_where_nothing_is_ones_own_only_equals_are_alike() -> None:
    texts = [*(f"{INSTRUCTION}{part}" for part in own_parts(60, 40)), INSTRUCTION.strip(), INSTRUCTION.strip(": ")]
    index = index_of(texts, 0.5)
    assert [other for _, other in index.near(60)] == [60]


def test_neither_order_nor_hash_seed_changes_a_similarity() -> None:
    texts = [INSTRUCTION + part for part in own_parts(60, 30)]
    texts += [text + "." for text in texts[:5]]
    there, back = Texts(texts, 0.7), Texts(texts[::-1], 0.7)
    assert there.similarities(0, [60, 1]).tolist() == back.similarities(64, [4, 63]).tolist()


def test_what_is_not_compared_is_known() -> None:
    texts = [f"{a} {b}" for a in own_parts(25, 14) for b in own_parts(25, 14, seed=1)]
    index = index_of(texts[:-1], 0.3)
    assert index.counts.max() <= BUCKET
    copies = [LONG + sign * 5 for sign in map(chr, range(0x4E00, 0x4E00 + 400))]
    crowd = index_of(copies, 0.99)
    for number in range(len(copies)):
        assert crowd.near(number, lambda other, number=number: other != number) == []
    assert crowd.cut_short <= set(range(len(copies)))


def test_equal_texts_have_one_number() -> None:
    assert numbered(["a  b", "c", "a\nb "]) == ([0, 1, 0], ["a b", "c"])
