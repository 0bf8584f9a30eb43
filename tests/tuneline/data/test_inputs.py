"""People's files: every form, every encoding, and a reason for each row that cannot be used."""

import bz2
import csv
import datetime
import gzip
import io
import json
import math
import tempfile
from pathlib import Path

import click
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuneline.data.inputs import read_folder, read_records, read_text
from tuneline.data.sources import read_file
from tuneline.recipe.forms import FORMS, read_form
from tuneline.recipe.settings import Extract
from tuneline.rows import BadRow, make_row

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
        ({"text": "only text"}, {"text": "only text"}),
        (
            {"prompt": "ask", "response": "    return 1\n"},
            {"messages": [PAIR[0], {"role": "assistant", "content": "    return 1\n"}]},
        ),
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
    ('{"ask": "x", "say": "y"}', "no known form (keys: ask, say)"),
    ("{}", "no known form (keys: none)"),
    ('{"prompt": "x", "response": ""}', "'response' is empty"),
    ('{"prompt": " \\n", "response": "y"}', "'prompt' is empty"),
    ('{"prompt": "x", "response": null}', "'response' is empty"),
    ('{"instruction": "x", "input": null, "output": null}', "'output' is empty"),
    ('{"question": null, "answer": "y", "id": 7}', "'question' is empty"),
    ('{"prompt": "x", "response": null, "said": "y"}', "no known form (keys: prompt, said)"),
    ('{"prompt": null, "response": null}', "no known form (keys: none)"),
    ('{"text": null}', "no known form (keys: none)"),
    ('{"messages": []}', "'messages' is not a list of messages"),
    ('{"messages": "hello"}', "'messages' is no JSON"),
    (
        '{"messages": [{"role": "judge", "content": "x"}]}',
        "a message needs a role, this has 'judge'; known are system,",
    ),
    ('{"messages": ["x"]}', "a message is an object with a role, this is str"),
    ('{"messages": [{"role": "user"}]}', "a message of the user has no content"),
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
    with pytest.raises(BadRow, match=r'give \{"messages".*\{"prompt", "response"\}.*\{"query", "data"\}.*\{"text"\}'):
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
        (4, f"a row is an object, this is int; give {FORMS}"),
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


def test_lines_of_a_table_that_hold_nothing_are_none(tmp_path: Path) -> None:
    content = "\n;;\nprompt;response;\none;a;\n;;\n ; ;\n\ntwo;b;\n;;\n;\n"
    rows = extract(tmp_path, "a.csv", content)
    assert lines_and_reasons(rows) == [(4, ""), (8, "")]
    for nothing in ("\n\n  \n", ";;\n;;\n", "prompt,response\n,\n"):
        assert extract(tmp_path, "a.csv", nothing) == []


def test_a_quote_that_is_never_closed_does_not_swallow_the_rows_after_it(tmp_path: Path) -> None:
    with pytest.raises(click.ClickException, match=r"a\.csv:3: not CSV from here on: .*; a quote within"):
        extract(tmp_path, "a.csv", 'prompt,response\na,b\nc,"d\ne,f\ng,h\n')


def test_a_csv_field_may_be_a_whole_document(tmp_path: Path) -> None:
    (row,) = extract(tmp_path, "a.csv", f"prompt,response\n{'word ' * 40_000},x\n")
    assert len(row["messages"][0]["content"]) == 200_000


TEXT = st.text(st.characters(exclude_categories=["Cs"]))
CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufeff"))
PAIRS = st.tuples(CELL, CELL).filter(lambda pair: any(map(str.strip, pair)))


@settings(deadline=None)
@given(st.lists(PAIRS, max_size=5))
def test_what_a_csv_writer_writes_is_read_back(pairs: list[tuple[str, str]]) -> None:
    out = io.StringIO(newline="")
    csv.writer(out).writerows([("prompt", "response"), *pairs])
    with tempfile.TemporaryDirectory() as folder:
        read = read_records(write(Path(folder), "a.csv", out.getvalue()))
        assert [(record["prompt"], record["response"]) for _, record in read] == pairs


@pytest.mark.parametrize("first", ["{", "{,", '{"a": 1}', "{name}", "[", '["a"]'])
@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_a_cell_may_begin_like_json(first: str, delimiter: str, tmp_path: Path) -> None:
    out = io.StringIO(newline="")
    rows = [(first, "yes"), (first, "no")]
    csv.writer(out, delimiter=delimiter).writerows([("prompt", "response"), *rows])
    read = read_records(write(tmp_path, "a.csv", out.getvalue()))
    assert [(record["prompt"], record["response"]) for _, record in read] == rows


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
        ("a.csv", f'text,id\n"{FRENCH}",x\n'),
        ("a.jsonl", f'{{"text": "{FRENCH}"}}\n'),
        ("a.json", f'[{{"text": "{FRENCH}"}}]'),
    ):
        (row,) = extract(tmp_path, name, content.encode(encoding))
        assert row["text"] == FRENCH


def test_a_guess_is_told_and_utf_8_is_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    read_text(write(tmp_path, "a", FRENCH))
    assert capsys.readouterr().err == ""
    read_text(write(tmp_path, "b", FRENCH.encode("latin-1")))
    told = capsys.readouterr().err
    assert "b: no UTF-8, read as cp1252, such as 'Où', 'café', 'Là'; if that is wrong, declare `encoding`" in told


def test_another_alphabet_is_not_taken_for_latin(tmp_path: Path) -> None:
    polish = "Zażółć gęślą jaźń. Dziękuję za wiadomość, spotkanie odbędzie się w środę."
    assert read_text(write(tmp_path, "a", polish.encode("cp1250"))) == polish


SOME = {  # what people write, and the encoding in which their Excel saves it
    "cp1252": [
        "Où est ma commande ? Déjà à l´hôtel – “été” €;Près de la fenêtre, élève",
        "Var är min beställning? Åsa;Vi får kolla på ärendet då",
        "Wo ist meine Bestellung? Größe für „Tür“;Wir prüfen das schön",
        "¿Dónde está el niño? Mañana;Aquí está, señor",
        "Onde está a encomenda? Não chegou;Já estamos a ver as ações, João",
        "Hvar er pöntunin mín? Þetta er ekki rétt;Við skoðum það",
        "my naïve order over there is late;we are looking at it",
    ],
    "cp1250": [
        "Gdzie jest moja paczka? Proszę o pomoc, dziękuję;Sprawdzimy to w środę",
        "Kde je můj účet, prosím vás? Děkuji;Příliš pomalý kůň",
        "Hol van a rendelésem? Kérem, segítsen, őrült hűtő;Megnézzük a rendelést",
        "Unde este comanda mea? O ţară şi o maşină;Verificăm comanda acum",
    ],
    "cp1254": ["Siparişim nerede, numaralı ürün;Şimdi bakıyoruz, değil mi"],
    "cp1257": ["El. paštas neveikia, kodėl šitaip?;Žiūrime į užsakymą čia"],
    "cp850": ["Où est ma commande ? Reçu à l'hôtel;Près de la fenêtre, élève"],
    "cp1251": ["Где мой заказ, почему так долго;Мы проверим заказ сегодня"],
    "cp1253": ["Πού είναι η παραγγελία μου σήμερα;Ελέγχουμε τώρα την παραγγελία"],
    "gb18030": ["订单在哪里？请告诉我，谢谢;我们正在检查订单"],
}


@pytest.mark.parametrize(("encoding", "text"), [(name, text) for name, texts in SOME.items() for text in texts])
def test_letters_come_out_as_they_were_written(tmp_path: Path, encoding: str, text: str) -> None:
    content = f"prompt;response\n{text}\n"
    assert read_text(write(tmp_path, "a.csv", content.encode(encoding))) == content


def test_a_picture_is_no_text(tmp_path: Path) -> None:
    raw = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
    with pytest.raises(click.ClickException, match=r"a\.png: no text whose encoding can be told; take it away, or"):
        read_text(write(tmp_path, "a.png", raw))


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


# Told by content


ROWS = [{"prompt": "où ?", "response": "là"}, {"prompt": "quand ?", "response": "midi"}]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS)


def packed(content: bytes, codec: str) -> bytes:
    if codec == "zstd":
        return pa.Codec(codec).compress(content, asbytes=True)
    return {"gzip": gzip, "bz2": bz2}[codec].compress(content)


def columnar(kind: str) -> bytes:
    table, sink = pa.Table.from_pylist(ROWS), pa.BufferOutputStream()
    if kind == "parquet":
        pq.write_table(table, sink)
    else:
        with {"file": pa.ipc.new_file, "stream": pa.ipc.new_stream}[kind](sink, table.schema) as writer:
            writer.write_table(table)
    return sink.getvalue().to_pybytes()


CONTENTS = {
    "lines": LINES.encode(),
    "array": json.dumps(ROWS).encode(),
    "pretty": "".join(json.dumps(row, indent=2) + "\n" for row in ROWS).encode(),
    "data": json.dumps({"data": ROWS}).encode(),
    "lists": json.dumps({"version": "1.0", "rows": ROWS}, indent=1).encode(),
    **{
        f"csv {delimiter!r}": "".join(
            f"{one}{delimiter}{two}\r\n" for one, two in [("prompt", "response"), *(r.values() for r in ROWS)]
        ).encode()
        for delimiter in (",", ";", "\t", "|")
    },
    "excel": "\ufeffsep=;\r\nprompt;response\r\noù ?;là\r\nquand ?;midi\r\n".encode(),
    "parquet": columnar("parquet"),
    "arrow file": columnar("file"),
    "arrow stream": columnar("stream"),
}


@pytest.mark.parametrize("codec", [None, "gzip", "zstd", "bz2"])
@pytest.mark.parametrize("name", ["rows", "rows.jsonl", "rows.csv", "rows.json"])
@pytest.mark.parametrize("kind", CONTENTS)
def test_a_file_is_told_by_what_it_holds(tmp_path: Path, kind: str, name: str, codec: str | None) -> None:
    content = packed(CONTENTS[kind], codec) if codec else CONTENTS[kind]
    assert [record for _, record in read_records(write(tmp_path, name, content))] == ROWS


def test_what_is_not_read_of_a_file_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    list(read_records(write(tmp_path, "a", CONTENTS["lists"])))
    assert "a: rows are those of rows; not read: version" in capsys.readouterr().err


def test_lists_by_set_say_of_which_they_are(tmp_path: Path) -> None:
    path = write(tmp_path, "a.json", json.dumps({"train": ROWS[:1], "validation": ROWS[1:]}))
    assert [record["split"] for _, record in read_records(path)] == ["train", "validation"]


@pytest.mark.parametrize(
    "record",
    [
        {"query": "ask", "data": [{"a": 1}]},
        {"messages": PAIR},
        {"prompt": [PAIR[0]], "completion": [PAIR[1]]},
        {"a": [{"b": 1}], "c": [{"d": 1}]},
    ],
)
def test_a_file_of_one_row_is_that_row(tmp_path: Path, record: dict) -> None:
    assert [found for _, found in read_records(write(tmp_path, "a", json.dumps(record)))] == [record]


@pytest.mark.parametrize("codec", ["gzip", "zstd"])
def test_a_packed_file_that_is_cut_is_one_line(tmp_path: Path, codec: str) -> None:
    content = packed(LINES.encode() * 50, codec)
    with pytest.raises(click.ClickException, match=rf"a: not {codec} to its end .* is the file cut\?"):
        list(read_records(write(tmp_path, "a", content[:-9])))


@pytest.mark.parametrize("kind", ["parquet", "arrow file"])
def test_columns_that_are_cut_are_one_line(tmp_path: Path, kind: str) -> None:
    with pytest.raises(click.ClickException, match=r"a: no whole Parquet or Arrow .* is the file cut\?"):
        list(read_records(write(tmp_path, "a", CONTENTS[kind][:-20])))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"PK\x03\x04rest", "Excel workbook; unpack it, or save it as CSV"),
        (b"%PDF-1.7", "a PDF"),
        (bytes(99), "no text"),
    ],
)
def test_what_holds_no_rows_is_named(tmp_path: Path, content: bytes, says: str) -> None:
    with pytest.raises(click.ClickException, match=says):
        list(read_records(write(tmp_path, "a.jsonl", content)))


def test_labels_of_a_hugging_face_file_are_names_and_what_json_cannot_hold_is_refused(tmp_path: Path) -> None:
    features = {"label": {"names": ["no", "yes"], "_type": "ClassLabel"}, "text": {"dtype": "string", "_type": "Value"}}
    table = pa.table({"text": ["a", "b", "c"], "label": [1, 0, -1], "day": [datetime.date(2026, 1, 2)] * 3})
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, tmp_path / "a")
    assert [record["label"] for _, record in read_records(tmp_path / "a")] == ["yes", "no", None]
    assert next(read_records(tmp_path / "a"))[1]["day"] == "2026-01-02"
    pq.write_table(pa.table({"text": ["a"] * 3, "x": [b"\xff", None, b""]}), tmp_path / "b")
    bytes_, none, empty = (str(found) for _, found in read_records(tmp_path / "b"))
    assert bytes_ == empty == "'x' holds bytes, which cannot be trained"
    assert none == "{'text': 'a', 'x': None}"
    pq.write_table(pa.table({"text": ["a"], "x": [math.nan]}), tmp_path / "c")
    assert str(next(read_records(tmp_path / "c"))[1]) == "'x' is nan, which is no JSON"


# A few bad bytes, a key twice


def test_a_stray_byte_refuses_its_line_and_changes_no_other(tmp_path: Path) -> None:
    raw = LINES.replace("\\u00f9", "ù").replace("\\u00e0", "à").encode() * 3
    lines = raw.splitlines(keepends=True)
    lines[2] = lines[2].replace(b"l\xc3\xa0", b"l\xe0")
    found = list(read_records(write(tmp_path, "a", b"".join(lines))))
    assert str(found[2][1]) == "the byte 0xE0 is no UTF-8"
    assert [record for line, record in found if line != 3] == [ROWS[0], ROWS[1], ROWS[1], ROWS[0], ROWS[1]]
    array = b"[" + b",\n".join(line.strip() for line in lines) + b"]"
    assert [type(record) for _, record in read_records(write(tmp_path, "b", array))].count(ValueError) == 1
    table = "prompt,response\noù,là\n".encode() + b"o\xf9,x\n" + "déjà,fait\n".encode()
    found = list(read_records(write(tmp_path, "c", table)))
    assert [(line, isinstance(record, ValueError)) for line, record in found] == [(2, False), (3, True), (4, False)]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ('{"text": "a", "text": "b"}', "the key 'text' stands twice"),
        ('{"query": "a", "data": {"n": 1, "n": 2}}', "the key 'n' stands twice"),
        ('{"query": "a", "data": 1e400}', "1e400 is too large a number"),
        ('{"query": "a", "data": -Infinity}', "-Infinity is no JSON"),
    ],
)
def test_what_json_leaves_open_is_refused_in_lines_and_in_arrays(tmp_path: Path, bad: str, reason: str) -> None:
    good = '{"text": "good"}'
    for name, content in (("a", f"{good}\n{bad}\n{good}\n"), ("b", f"[{good},\n{bad},\n{good}]")):
        rows = extract(tmp_path, name, content)
        assert [row.get("text") for row in rows] == ["good", None, "good"]
        assert reason in rows[1]["detail"]
        assert rows[1]["line"] == 2


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ('{"text": "a"},', "not JSON: Extra data (column 14: ',')"),
        ('{"text": "a",}', "not JSON: Expecting property name enclosed in double quotes (column 14: '}')"),
        ('{"text": "a"', "not JSON: Expecting ',' delimiter (column 13: the end)"),
        ("// mine", "not JSON: Expecting value (column 1: '/')"),
        ('{"text": "a\tb"}', "not JSON: Invalid control character (column 12: '\\t')"),
    ],
)
def test_what_is_no_json_is_told_by_sign_and_column(tmp_path: Path, bad: str, reason: str) -> None:
    good = '{"text": "good"}'
    assert lines_and_reasons(extract(tmp_path, "a", f"{good}\n{bad}\n{good}\n")) == [(1, ""), (2, reason), (3, "")]


def test_an_array_that_breaks_is_told_by_the_line_of_its_fault(tmp_path: Path) -> None:
    with pytest.raises(click.ClickException, match=r"a:3: not JSON from here on: Expecting value \(column 11: 'o'\)"):
        extract(tmp_path, "a", '[\n{"text": "a",\n "label": oops},\n{"text": "b"}]')


def test_a_column_twice_stops_the_run(tmp_path: Path) -> None:
    with pytest.raises(click.ClickException, match=r"a\.csv:1: the column 'text' stands twice; correct the file"):
        extract(tmp_path, "a.csv", "text,label,text\na,b,c\n")


def test_a_column_twice_in_parquet_stops_the_run(tmp_path: Path) -> None:
    table = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["text", "text"])
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(click.ClickException, match=r"a\.parquet: the column 'text' stands twice; correct the file"):
        list(read_records(tmp_path / "a.parquet"))


def test_files_that_were_put_together_keep_no_byte_order_mark(tmp_path: Path) -> None:
    mark, table = "\ufeff", "prompt,response\na,b\n"
    rows = extract(tmp_path, "a.csv", f"{mark}{table}{mark}{table}{mark}c,d\n")
    assert lines_and_reasons(rows) == [(2, ""), (3, "the header stands here again"), (4, ""), (5, "")]
    assert rows[-1]["messages"][0]["content"] == "c"
    lines = f'{mark}{{"text": "a"}}\n{mark}{{"text": "b{mark}"}}\n'
    assert [row["text"] for row in extract(tmp_path, "a.jsonl", lines)] == ["a", f"b{mark}"]


def test_a_quote_in_a_tsv_may_be_a_quote(tmp_path: Path) -> None:
    content = 'text\tlabel\n"open\tyes\n"quoted"\tno\n'
    assert [record["text"] for _, record in read_records(write(tmp_path, "a.tsv", content))] == ['"open', '"quoted"']


# Tables as people have them


def records(folder: Path, content: str | bytes) -> list[dict]:
    return [record for _, record in read_records(write(folder, "a.csv", content))]


def test_a_table_without_a_header_loses_no_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert records(tmp_path, "ham\tGo there\nspam\tYou won\nham\tOk\nham\tNo\n") == [
        {"column 1": label, "column 2": text}
        for label, text in (("ham", "Go there"), ("spam", "You won"), ("ham", "Ok"), ("ham", "No"))
    ]
    assert "a.csv: line 1 is a row and no header: the columns are column 1, column 2" in capsys.readouterr().err
    both = "a text\tOTHER\tOTHER\nanother\tOTHER\tOTHER\nthird\tOFFENSE\tABUSE\nfourth\tOTHER\tOTHER\n"
    assert len(records(tmp_path, both)) == 4


def test_what_a_form_knows_is_a_header_whatever_stands_below_it(tmp_path: Path) -> None:
    content = "text,label\na,label\nb,label\ntext,label\nc,x\n"
    rows = extract(tmp_path, "a.csv", content)
    assert lines_and_reasons(rows) == [(2, ""), (3, ""), (4, "the header stands here again"), (5, "")]
    named = records(tmp_path, "Betreff;Ziel\na;x\nBetreff;Ziel\nBetreff;Ziel\n")
    assert named[0] == {"Betreff": "a", "Ziel": "x"}
    assert [str(one) for one in named[1:]] == 2 * ["the header stands here again"]


def test_a_column_without_a_name_is_told_by_its_number(tmp_path: Path) -> None:
    rows = extract(tmp_path, "a.csv", "label,text,,\nspam,won,,\nham,one,two,\nham,one,,three\n")
    assert [row.get("detail", "")[:42] for row in rows] == [
        "", "nothing would be trained of 'column 3'; sa", "nothing would be trained of 'column 4'; sa"
    ]  # fmt: skip
    assert records(tmp_path, ",text\n0,a\n1,b\n")[1] == {"column 1": "1", "text": "b"}


def test_single_quotes_quote_where_only_they_part_the_rows(tmp_path: Path) -> None:
    content = "text;label\n'one; \"two\"; it''s';a\n'three; four';b\n"
    assert records(tmp_path, content) == [
        {"text": 'one; "two"; it\'s', "label": "a"},
        {"text": "three; four", "label": "b"},
    ]
    assert records(tmp_path, "text;label\n'one';a\n")[0]["text"] == "'one'"


def test_a_space_may_stand_before_a_quote(tmp_path: Path) -> None:
    pairs = [{"prompt": "one, two", "response": "a"}, {"prompt": "three", "response": "b, c"}]
    for header in ("prompt, response", '"prompt", "response"'):
        assert records(tmp_path, f'{header}\n"one, two", "a"\n"three", "b, c"\n') == pairs
        assert records(tmp_path, f'{header}\n"one", "a"\n')[0]["response"] == "a"
    assert records(tmp_path, 'prompt,response\none, "a"\ntwo,b\n')[0]["response"] == ' "a"'


@pytest.mark.parametrize(
    "content",
    [
        "A first line of a text, which goes on\nand on\nand has, here and there, commas\nand ends\n",
        "Kannst du mir helfen?\nWas ist das?\n",
        "= A heading =\n\nBut, as it is, a text.\n\nWith lines\nof any length, and words\n",
    ],
)
def test_a_plain_text_is_no_table(tmp_path: Path, content: str) -> None:
    with pytest.raises(click.ClickException, match=r'a\.csv:1: neither JSON nor a table .* each {"text": "…"}'):
        records(tmp_path, content)


def test_one_column_may_have_a_name(tmp_path: Path) -> None:
    assert records(tmp_path, "text\nOne, two\n")[0].args == ("2 columns, the header has 1",)
    assert records(tmp_path, "Review\nGood\nBad\n") == [{"Review": "Good"}, {"Review": "Bad"}]


def test_each_line_may_be_the_messages_of_a_row(tmp_path: Path) -> None:
    line = json.dumps(PAIR)
    for content in (f"{line}\n{line}\n", f"[{line},\n{line}]", f"[\n{line},\n{line}\n]"):
        assert [row["messages"] for row in extract(tmp_path, "a.jsonl", content)] == [PAIR, PAIR]
    (row,) = extract(tmp_path, "a.jsonl", f"[{line}]\n")
    assert row["messages"] == PAIR


@pytest.mark.parametrize(
    "text",
    ["Die Tür geht nicht zu, Größe prüfen;Technik", "It costs £900 or 5 €, call now;spam", "J’ai été à l’accueil;neg"],
)
def test_a_few_accents_among_latin_letters_are_cp1252(tmp_path: Path, text: str) -> None:
    content = f"text;label\n{text}\nok;other\n"
    assert read_text(write(tmp_path, "a.csv", content.encode("cp1252"))) == content


def test_a_file_that_is_one_object_is_whole_for_a_reader_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, "a.json", '{"Stop": [{"text": "a"}, {"text": "b"}]}')
    assert list(read_records(path, unwrap=False)) == [(1, {"Stop": [{"text": "a"}, {"text": "b"}]})]
    assert capsys.readouterr().err == ""
    assert [record for _, record in read_records(path)] == [{"text": "a"}, {"text": "b"}]
    assert capsys.readouterr().err == f"{path}: rows are those of Stop\n"


# Folders


def test_only_what_is_known_to_hold_no_rows_is_left_out_of_a_folder(tmp_path: Path) -> None:
    for name in ("state.jsonl", "licences.csv", "License plates.jsonl", "readme_rows.jsonl", "state.csv"):
        write(tmp_path, name, LINES)
    for name in ("README.md", "LICENSE", "state.json", "dataset_info.json", ".rows.jsonl"):
        write(tmp_path, name, "no rows")
    read = {path.name for path, _, _ in read_folder(tmp_path)}
    assert read == {"state.jsonl", "licences.csv", "License plates.jsonl", "readme_rows.jsonl", "state.csv"}


@pytest.mark.parametrize(("target", "says"), [("nowhere", "nothing"), ("more", "a folder")])
def test_a_link_of_which_no_row_would_be_read_is_told(tmp_path: Path, target: str, says: str) -> None:
    (tmp_path / "more").mkdir()
    write(tmp_path / "more", "b.jsonl", LINES)
    (tmp_path / "rows").mkdir()
    write(tmp_path / "rows", "a.jsonl", LINES)
    (tmp_path / "rows/c.jsonl").symlink_to(tmp_path / "more/b.jsonl")
    assert len(list(read_folder(tmp_path / "rows"))) == 4
    (tmp_path / "rows/x").symlink_to(tmp_path / target)
    with pytest.raises(click.ClickException, match=f"rows/x is a link to {says}; put files there"):
        list(read_folder(tmp_path / "rows"))
