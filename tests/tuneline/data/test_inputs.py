"""People's files: every form, every encoding, and a reason for each row that cannot be used."""

import csv
import io
import json
import tempfile
from pathlib import Path

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuneline.data.inputs import read_records, read_text
from tuneline.data.sources import read_file
from tuneline.recipe.settings import Extract
from tuneline.rows import BadRow, make_row, read_form

SETTINGS = Extract(kind="rows", train=[], test=[], max_reject_share=0)
PAIR = [{"role": "user", "content": "ask"}, {"role": "assistant", "content": "answer"}]


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def extract(folder: Path, name: str, content: str | bytes) -> list[dict]:
    return list(read_file(write(folder, name, content), name, SETTINGS))


def lines_and_reasons(rows: list[dict]) -> list[tuple[int, str]]:
    return [(row["line"], row["detail"]) if "reason" in row else (row["source"]["line"], "") for row in rows]


# Forms


@pytest.mark.parametrize(
    ("record", "body"),
    [
        ({"prompt": "ask", "response": "answer"}, {"messages": PAIR}),
        ({"input": "ask", "output": "answer"}, {"messages": PAIR}),
        ({"query": "ask", "data": "answer"}, {"messages": PAIR}),
        ({"messages": PAIR}, {"messages": PAIR}),
        ({"messages": PAIR, "kept_by": "Zoé"}, {"messages": PAIR}),
        ({"text": "only text"}, {"text": "only text"}),
        ({"prompt": "ask", "response": " answer\n"}, {"messages": PAIR}),
        (
            {"query": "ask", "data": {"b": "é", "a": [1, None]}},
            {"messages": [PAIR[0], {"role": "assistant", "content": '{"b":"é","a":[1,null]}'}]},
        ),
    ],
)
def test_every_form_becomes_messages_or_text(record: dict, body: dict) -> None:
    assert read_form(record) == body


def test_a_conversation_keeps_its_turns_and_its_system_message() -> None:
    messages = [{"role": "system", "content": "be brief"}, *PAIR, {"role": "user", "content": " again "}, PAIR[1]]
    assert read_form({"messages": messages}) == {"messages": messages}


def test_the_id_is_of_the_content_and_the_group_of_the_question() -> None:
    one, same, other, elsewhere = (
        make_row(read_form({"prompt": asked, "response": answer}), "a.jsonl", line)
        for asked, answer, line in (("Ask", "x", 1), ("Ask", "x", 9), ("ask", "y", 3), ("else", "x", 4))
    )
    assert one["id"] == same["id"] != other["id"]
    assert one["group"] == other["group"] != elsewhere["group"]
    assert (one["origin"], one["source"]) == ("source", {"file": "a.jsonl", "line": 1})


# Bad rows

BAD = [
    ('{"prompt": "cut', "not JSON"),
    ('{"prompt": "x", "response": NaN}', "NaN is no JSON"),
    ("[" * 100_000, "not JSON"),
    ("42", "a row is an object, this is int"),
    ('["a", "b"]', "a row is an object, this is list"),
    ('{"question": "x", "answer": "y"}', "no known form (keys: question, answer)"),
    ("{}", "no known form (keys: none)"),
    ('{"prompt": "x", "response": ""}', "'response' is empty"),
    ('{"prompt": " \\n", "response": "y"}', "'prompt' is empty"),
    ('{"prompt": 5, "response": "y"}', "'prompt' is int, not text"),
    ('{"text": null}', "'text' is NoneType, not text"),
    ('{"messages": []}', "'messages' is not a list of messages"),
    ('{"messages": "hello"}', "'messages' is not a list of messages"),
    ('{"messages": [{"role": "bot", "content": "x"}]}', "a message needs a role: system, user, assistant"),
    ('{"messages": ["x"]}', "a message needs a role: system, user, assistant"),
    ('{"messages": [{"role": "user"}]}', "'content' is NoneType, not text"),
    ('{"messages": [{"role": "user", "content": "x"}]}', "the last message is not the assistant's"),
    ('{"messages": [{"role": "assistant", "content": "x"}]}', "no message is the user's"),
    ('{"text": "a \\ufdd0 b"}', "U+FDD0"),
    ('{"prompt": "x", "response": "\\ufdd1"}', "U+FDD1"),
    ('{"text": "half \\ud83d"}', "half a surrogate pair"),
]


@pytest.mark.parametrize(("bad", "reason"), BAD)
def test_a_bad_row_gives_file_line_and_reason_and_its_neighbours_pass(tmp_path: Path, bad: str, reason: str) -> None:
    rows = extract(tmp_path, "mine.jsonl", f'{{"text": "before"}}\n\n{bad}\n{{"text": "after"}}\n')
    assert [row.get("text") for row in rows] == ["before", None, "after"]
    refused = rows[1]
    assert (refused["reason"], refused["file"], refused["line"]) == ("unreadable", "mine.jsonl", 3)
    assert reason in refused["detail"]


def test_the_reason_lists_the_forms() -> None:
    with pytest.raises(BadRow, match=r'give \{"prompt", "response"\}, \{"messages".*\{"text"\}.*\{"query", "data"\}'):
        read_form({"x": 1})


# JSON Lines, one object, an array


def test_lines_count_blank_lines_and_do_without_a_last_newline(tmp_path: Path) -> None:
    rows = extract(tmp_path, "a.jsonl", '\r\n{"text": "a"}\r\n \n{"text": "b\\u2028c"}')
    assert [row["text"] for row in rows] == ["a", "b\u2028c"]
    assert lines_and_reasons(rows) == [(2, ""), (4, "")]


def test_an_object_may_stand_on_several_lines(tmp_path: Path) -> None:
    path = write(tmp_path, "a.json", '\n{\n  "text":\n  "a"\n}\n')
    assert list(read_records(path)) == [(2, {"text": "a"})]


def test_an_array_gives_the_line_on_which_each_element_starts(tmp_path: Path) -> None:
    content = '\n[{"text": "a"},\n {"text":\n  "b"}, 7,\n\n {"text": "c"}\n]\n'
    assert lines_and_reasons(extract(tmp_path, "a.json", content)) == [
        (2, ""),
        (3, ""),
        (4, 'a row is an object, this is int; give {"prompt", "response"}, {"messages": […]}, {"text"}, '
         '{"input", "output"} or {"query", "data"}'),
        (6, ""),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[{"text": "a"},\n{"text": "b"}\n', r"a\.json:3: the array is not closed"),
        ('[{"text": "a"},\n{"text": "b\n', r"a\.json:2: not JSON from here on"),
        ('[{"text": "a"}]\n{"text": "b"}\n', r"a\.json:1: there is more after the array"),
    ],
)
def test_a_broken_array_stops_the_run_with_its_line(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(click.ClickException, match=message):
        extract(tmp_path, "a.json", content)


def test_an_empty_array_and_an_empty_file_have_no_rows(tmp_path: Path) -> None:
    assert [extract(tmp_path, name, text) for name, text in (("a", "[]"), ("b", ""), ("c.csv", ""))] == [[], [], []]


# CSV


@pytest.mark.parametrize(
    ("content", "asked", "answer"),
    [
        ("prompt,response\nl'un; l'autre,it's\n", "l'un; l'autre", "it's"),
        ("prompt; response\n'a', 'b';c'est, ça\n", "'a', 'b'", "c'est, ça"),
        ('response\tprompt\n5" pipe\t"one, ""two"""\n', 'one, "two"', '5" pipe'),
    ],
)
def test_csv_by_the_delimiter_of_its_header(tmp_path: Path, content: str, asked: str, answer: str) -> None:
    (row,) = extract(tmp_path, "a.CSV", content)
    assert [message["content"] for message in row["messages"]] == [asked, answer]


def test_csv_lines_are_right_after_long_fields_and_blank_lines(tmp_path: Path) -> None:
    content = 'prompt,response\n"one\ntwo",a\n\nthree,b\nfour\nfive,c,d\n"six ""q""",e\n'
    rows = extract(tmp_path, "a.csv", content)
    assert lines_and_reasons(rows) == [
        (2, ""),
        (5, ""),
        (6, "1 columns, the header has 2"),
        (7, "3 columns, the header has 2"),
        (8, ""),
    ]
    assert rows[0]["messages"][0]["content"] == "one\ntwo"
    assert rows[-1]["messages"][0]["content"] == 'six "q"'


def test_a_quote_that_is_never_closed_does_not_swallow_the_rows_after_it(tmp_path: Path) -> None:
    with pytest.raises(click.ClickException, match=r"a\.csv:3: not CSV from here on"):
        extract(tmp_path, "a.csv", 'prompt,response\na,b\nc,"d\ne,f\ng,h\n')


def test_a_csv_field_may_be_a_whole_document(tmp_path: Path) -> None:
    (row,) = extract(tmp_path, "a.csv", f"text,note\n{'word ' * 40_000},x\n")
    assert len(row["text"]) == 200_000


TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@settings(deadline=None)
@given(st.lists(st.tuples(TEXT, TEXT), max_size=5))
def test_what_a_csv_writer_writes_is_read_back(pairs: list[tuple[str, str]]) -> None:
    out = io.StringIO(newline="")
    csv.writer(out).writerows([("prompt", "response"), *pairs])
    with tempfile.TemporaryDirectory() as folder:
        read = read_records(write(Path(folder), "a.csv", out.getvalue()))
        assert [(record["prompt"], record["response"]) for _, record in read] == pairs


@settings(deadline=None)
@given(st.lists(st.dictionaries(TEXT, TEXT), max_size=5), st.sampled_from([None, 2]))
def test_what_a_json_writer_writes_is_read_back(records: list[dict], indent: int | None) -> None:
    array = json.dumps(records, indent=indent, ensure_ascii=False)
    lines = "".join(json.dumps(record) + "\n" for record in records)
    with tempfile.TemporaryDirectory() as folder:
        for content in (array, lines):
            read = read_records(write(Path(folder), "a.json", content))
            assert [record for _, record in read] == records


# Encodings

FRENCH = "Où est le café de la gare ? Là-bas, près du théâtre."


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "cp1252", "utf-16"])
def test_the_encoding_is_told_from_the_bytes(tmp_path: Path, encoding: str) -> None:
    for name, content in (
        ("a.csv", f'text,note\n"{FRENCH}",x\n'),
        ("a.jsonl", f'{{"text": "{FRENCH}"}}\n'),
        ("a.json", f'[{{"text": "{FRENCH}"}}]'),
    ):
        (row,) = extract(tmp_path, name, content.encode(encoding))
        assert row["text"] == FRENCH


def test_a_guess_is_told_and_utf_8_is_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    read_text(write(tmp_path, "a", FRENCH))
    assert capsys.readouterr().err == ""
    read_text(write(tmp_path, "b", FRENCH.encode("latin-1")))
    assert "b: no UTF-8, read as cp1252; if that is wrong, declare `encoding`" in capsys.readouterr().err


def test_another_alphabet_is_not_taken_for_latin(tmp_path: Path) -> None:
    polish = "Zażółć gęślą jaźń. Dziękuję za wiadomość, spotkanie odbędzie się w środę."
    assert read_text(write(tmp_path, "a", polish.encode("cp1250"))) == polish


def test_a_pair_of_surrogates_in_utf_8_is_one_sign(tmp_path: Path) -> None:
    raw = (
        "Niños 🍕".encode("utf-16-le").decode("utf-16-le").encode().replace("🍕".encode(), b"\xed\xa0\xbc\xed\xbd\x95")
    )
    assert read_text(write(tmp_path, "a", raw)) == "Niños 🍕"


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
def test_a_declared_encoding_is_the_one_that_is_used(tmp_path: Path, encoding: str) -> None:
    path = write(tmp_path, "a", "\u00e9\u00a9")  # UTF-8 that is Latin-1 as well
    assert read_text(path, encoding) == {"latin-1": "Ã©Â©", "utf-8": "é©"}[encoding]


@pytest.mark.parametrize("encoding", ["ascii", "utf-8", "no-such-encoding"])
def test_bytes_outside_the_declared_encoding_are_refused(tmp_path: Path, encoding: str) -> None:
    path = write(tmp_path, "a", FRENCH.encode("latin-1"))
    with pytest.raises(click.ClickException, match=r"correct `encoding` in recipe\.yaml"):
        read_text(path, encoding)
