"""The words of the calendar and of numbers: whole, in order, and right by another's list."""

import calendar

import pytest

from tuneline.language.words import MONTHS, NUMBERS, SCALES, WEEKDAYS, unaccented


def test_the_english_calendar_is_pythons() -> None:
    assert MONTHS["en"] == [name.lower() for name in calendar.month_name[1:]]
    assert WEEKDAYS["en"] == [name.lower() for name in calendar.day_name]


@pytest.mark.parametrize(("words", "count"), [(MONTHS, 12), (WEEKDAYS, 7)])
def test_each_language_has_them_all_and_once(words: dict[str, list[str]], count: int) -> None:
    assert set(words) == {"fr", "en"}
    assert {len(names) for names in words.values()} == {len(set(names)) for names in words.values()} == {count}


@pytest.mark.parametrize(
    ("language", "word", "value"),
    [
        *[("fr", "zéro", 0), ("fr", "une", 1), ("fr", "seize", 16), ("fr", "vingt", 20), ("fr", "soixante", 60)],
        *[("fr", "septante", 70), ("fr", "huitante", 80), ("fr", "nonante", 90), ("fr", "six", 6)],
        *[("en", "zero", 0), ("en", "six", 6), ("en", "nineteen", 19), ("en", "twenty", 20), ("en", "ninety", 90)],
    ],
)
def test_a_number_word_is_its_value(language: str, word: str, value: int) -> None:
    assert NUMBERS[language][word] == value


def test_numbers_stand_below_a_hundred_and_scales_above() -> None:
    assert {language: max(words.values()) for language, words in NUMBERS.items()} == {"fr": 90, "en": 90}
    assert {language: min(words.values()) for language, words in SCALES.items()} == {"fr": 100, "en": 100}
    assert SCALES["fr"]["milliard"] == SCALES["en"]["billion"] == 10**9


def test_a_word_that_two_languages_have_is_one_number() -> None:
    for words in (NUMBERS, SCALES):
        for word in words["fr"].keys() & words["en"].keys():
            assert words["fr"][word] == words["en"][word]


def test_accents_go_and_letters_stay() -> None:
    assert [unaccented(month) for month in MONTHS["fr"]][1::6] == ["fevrier", "aout"]
    assert unaccented("Œuvre à Noël, ça") == "Œuvre a Noel, ca"
