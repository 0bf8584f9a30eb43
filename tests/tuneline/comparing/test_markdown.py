"""Whatever a row says, a reader sees it, and a page does nothing with it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from tuneline.comparing.markdown import apart, cell, code, details, fence, line, tag

HOSTILE = (
    "a | b | c",
    "`x` and ``y`` and ```z```",
    "`",
    "ends with `",
    "<img src=x onerror=alert(1)>",
    "</details></summary><script>alert(1)</script>",
    "@octocat #12 [a](javascript:b) ![c](d)",
    "# head\n\n- list\r\n> quote\u2028more",
    "\\| backslash \\",
    "turned \u202e round \u200b unseen \x1b[31m",
    "half a pair \ud83d of surrogates",
    "   ",
    "",
    "*a* _b_ ~~c~~ &lt; &#64;",
)
READER = MarkdownIt("commonmark").enable("table")


def tokens(text: str) -> list[Token]:
    return [inner for token in READER.parse(text) for inner in (token.children or [token])]


def read(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("text", HOSTILE)
def test_a_line_of_code_is_code_alone(text: str) -> None:
    found = [
        token
        for token in tokens(f"before {code(text)} after")
        if token.type not in ("paragraph_open", "paragraph_close")
    ]
    assert [token.type for token in found] == ["text", "code_inline", "text"]
    assert read(found[1].content) == read(line(text, 100))


@pytest.mark.parametrize("text", HOSTILE)
def test_a_cell_leaves_its_table_whole(text: str) -> None:
    found = tokens(f"| one | two |\n|---|---|\n| {cell(text)} | {cell('x')} |\n| {cell(text)} | y |\n")
    assert [token.type for token in found].count("td_open") == 4
    shown = [token.content for token in found if token.type == "code_inline"]
    assert [read(content) for content in shown] == [read(line(text, 100)), "x", read(line(text, 100))]
    assert not [token for token in found if token.type in ("html_inline", "link_open", "image", "em_open")]


@given(st.text(max_size=60))
def test_any_text_is_a_cell(text: str) -> None:
    found = tokens(f"| one | two |\n|---|---|\n| {cell(text)} | x |\n")
    assert [token.type for token in found].count("td_open") == 2
    assert [token.type for token in found].count("code_inline") == 1


@pytest.mark.parametrize("text", HOSTILE)
def test_a_fence_ends_where_it_should(text: str) -> None:
    block = "\n".join(fence([f"+ {text}", "- x"]))
    (found,) = (token for token in READER.parse(f"{block}\n") if token.type == "fence")
    assert found.content.count("\n") == 2
    assert found.content.endswith("- x\n")


@pytest.mark.parametrize("text", HOSTILE)
def test_a_summary_holds_no_markup(text: str) -> None:
    for shown in ("\n".join(details(f"of {tag(text)}", ["inside"])), "\n".join(details(f"of {tag(text)}", []))):
        for token in READER.parse(shown):
            for sign in ("@octocat", "<img", "<script", "</details></summary>", "#12 "):
                assert sign not in token.content
    assert "\n" not in tag(text)


def test_all_is_utf_8() -> None:
    for shown in (cell("\ud83d"), code("\udc80"), tag("\ud83d"), *fence(["+ \ud83d"])):
        assert shown.encode("utf-8")


def test_long_texts_are_cut() -> None:
    assert line("x" * 50, 10) == "xxxxxxxxx…"
    assert max(map(len, fence(["+ " + "x" * 5000]))) == 180


def test_long_texts_are_shown_where_they_part() -> None:
    same = "x" * 100
    assert apart([f"{same}one", f"{same}two"]) == ["…" + "x" * 40 + "one", "…" + "x" * 40 + "two"]
    assert apart(["one", "two"]) == ["one", "two"]
    assert apart(["", f"{same}two", f"{same}one"]) == ["", "…" + "x" * 40 + "two", "…" + "x" * 40 + "one"]
