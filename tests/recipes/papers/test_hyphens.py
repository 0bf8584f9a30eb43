"""Divided words: joined where they are one word, with their hyphen where it is their own."""

import pytest

from recipes.papers.hyphens import Hyphens, divided_words

REST = "The task-oriented forms of a state-of-the-art system and a user. One query, or a short one: the data, more."


def read(lines: str) -> str:
    """What a reader makes of lines, its divided words joined, and what the document then says."""
    joined = lines.replace("-\n", "").replace("\n", " ")
    return Hyphens(*divided_words(f"{lines}\n{REST}")).restore(joined)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("the infor-\nmation is", "the information is"),
        ("a task-\noriented agent", "a task-oriented agent"),
        ("A Task-\nOriented agent", "A Task-Oriented agent"),
        ("the state-of-\nthe-art one", "the state-of-the-art one"),
        ("a bag-\nof-words model", "a bag-of-words model"),
        ("each user-\nsystem pair", "each user-system pair"),
        ("so many sys-\ntems fail", "so many systems fail"),
        ("a sys-\ntem-supported class", "a system-supported class"),
        ("More-\nover, it", "Moreover, it"),
        ("l’infor-\nmation", "l’information"),
    ],
)
def test_a_divided_word_is_mended(lines: str, expected: str) -> None:
    assert read(lines) == expected


def test_emphasis_is_no_part_of_a_word() -> None:
    assert Hyphens([("short", "query")], ["query", "short"]).restore("_shortquery_ sets") == "_short-query_ sets"


def test_what_no_line_divides_stays() -> None:
    assert Hyphens([], []).restore("useruser taskoriented") == "useruser taskoriented"


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("a user is seen as task-", "oriented, though", "a user is seen as task-oriented, though"),
        ("this infor-", "mation", "this information"),
        ("it ends", "here", "it ends here"),
        ("in 2019-", "2020", "in 2019- 2020"),
    ],
)
def test_a_word_divided_by_a_column_is_mended(before: str, after: str, expected: str) -> None:
    hyphens = Hyphens(*divided_words(REST))
    assert hyphens.restore(hyphens.join(before, after)) == expected
