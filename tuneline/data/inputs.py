"""Reading people's files: JSON, tables, Parquet and Arrow, packed or not, told by what they hold and never by a name.

A text is in UTF-8, or else in a known encoding. What cannot be read of a file is named by its line.
"""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import click

from tuneline.data.columnar import read_columns
from tuneline.data.language import other_language
from tuneline.files import STRICT, load_json
from tuneline.recipe.forms import KEYS, SETS

# A value that is left open: the decoder looks at the bytes.
DETECT = "detect"
PACKED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bz2"}
OTHERS = {  # what people bring that holds no rows for us, and the way out
    b"PK\x03\x04": "a zip archive or an Excel workbook; unpack it, or save it as CSV",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook; save it as CSV",
    b"%PDF": "a PDF; a recipe's reader.py reads such",
    b"SQLite format 3": "a SQLite database; export its table as CSV",
    b"\xfd7zXZ": "packed with xz; unpack it",
}
DECLARE = "`encoding` in recipe.yaml (--encoding of `tuneline new`), or save it as UTF-8"
WINDOWS = {  # encoding of Latin letters → languages that need it; all others of those letters are in cp1252
    "cp1250": ("bs", "cs", "hr", "hu", "pl", "ro", "sk", "sl", "sq"),
    "cp1254": ("az", "tr"),
    "cp1257": ("et", "lt", "lv"),
}
ACCENTED = re.compile(rb"(?<![\x80-\xff])[\x80-\xff]{1,2}(?![\x80-\xff])")  # as in Latin letters: one or two together
WITHIN = re.compile("(?<=[^\\W\\d_])[^\\x00-\\x7f\\w´‘’–—…·\\xad](?=[^\\W\\d_])")  # a sign that no word holds
SAMPLE = 100_000  # bytes whose language is told
TOLD_WORDS = 3  # with a letter that is no ASCII, by which a person sees whether a guess is right
BYTE_ORDER = {
    b"\xff\xfe\x00\x00": "utf-32",
    b"\x00\x00\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
ESCAPED = re.compile("[\udc80-\udcff]")  # a byte that is no UTF-8, as `surrogateescape` keeps it
DELIMITERS = (",", ";", "\t", "|")
LOOKED_AT = 50  # lines of a table by which its delimiter is told
LISTS = ("data", "rows")  # names of a list of rows that say nothing of them
PARTED = 0.5  # of those lines, from which on a delimiter parts them
MOST_WORDS = 3  # of a name of a column that is the only one; more are a text
MOST_ROWS = 1000  # by which a header is told from a row
NOT_ROWS = re.compile(r"(dataset_infos?|dataset_dict|state)\.json|(README|LICEN[CS]E)(\.(md|txt|rst))?", re.IGNORECASE)
Records = Iterator[tuple[int, Any]]


class _Broken(Exception):
    """`line: reason`; nothing can be read from there on."""


def read_records(path: Path, encoding: str = DETECT, unwrap: bool = True) -> Records:
    """(line, record) of each record; a record that cannot be read is a ValueError in its place.

    The line is the one on which the record starts; in Parquet and Arrow, the number of the row. `unwrap`: a file that
    is one object may hold the records in a list of its own. Raises
    click.ClickException where the rest of the file cannot be read: nobody knows how many rows are lost there.
    """
    try:
        raw = _unpacked(path)
        columns = read_columns(path, raw)
        yield from columns if columns is not None else _read_text_records(path, raw, encoding, unwrap)
    except _Broken as reason:
        raise click.ClickException(f"{path}:{reason}; correct the file") from None


def read_folder(folder: Path, encoding: str = DETECT, unwrap: bool = True) -> Iterator[tuple[Path, int, Any]]:
    """(file, line, record) of every data file below a folder, such as one of Hugging Face.

    A record is of the set that its file's or folder's name begins with, where one does. Raises click.ClickException
    where there is no data file.
    """
    found = [path for path in sorted(folder.rglob("*")) if _may_have_rows(path, folder)]
    if link := next((path for path in found if path.is_symlink() and not path.is_file()), None):
        raise click.ClickException(f"{link} is a link to {'a folder' if link.is_dir() else 'nothing'}; put files there")
    files = [path for path in found if path.is_file()]
    if not files:
        raise click.ClickException(f"{folder} has no file of rows")
    for path in files:
        split = _split_of(path.relative_to(folder))
        for line, record in read_records(path, encoding, unwrap):
            if split and isinstance(record, dict):
                record = {"split": split, **record}
            yield path, line, record


def _may_have_rows(path: Path, folder: Path) -> bool:
    inside = path.relative_to(folder).parts
    return not any(part.startswith(".") for part in inside) and not NOT_ROWS.fullmatch(path.name)


def _split_of(inside: Path) -> str | None:
    """`test` of test/data-00000-of-00001.arrow, of data/test-00000.parquet, of test.jsonl.gz."""
    for part in reversed(inside.parts):
        found = re.match(r"[a-z]+", part.lower())
        if found and found[0] in SETS:
            return found[0]
    return None


# Bytes


def _unpacked(path: Path) -> bytes:
    raw = path.read_bytes()
    for magic, way_out in OTHERS.items():
        if raw.startswith(magic):
            raise click.ClickException(f"{path} is {way_out}")
    for magic, codec in PACKED.items():
        if raw.startswith(magic):
            return _unpack(path, raw, codec)
    return raw


def _unpack(path: Path, raw: bytes, codec: str) -> bytes:
    import pyarrow as pa

    try:
        with pa.CompressedInputStream(pa.BufferReader(raw), codec) as stream:
            return stream.read()
    except (OSError, pa.ArrowException) as error:
        raise click.ClickException(f"{path}: not {codec} to its end ({error}): is the file cut?") from None


def read_text(path: Path, encoding: str = DETECT) -> str:
    """The file's text without a byte-order mark.

    Raises click.ClickException when the bytes are not in the declared encoding, or none fits.
    """
    return decode(path, _unpacked(path), encoding)


def decode(path: Path, raw: bytes, encoding: str) -> str:
    """A byte that is no UTF-8 in a file that is, is half a surrogate pair in the text: see ESCAPED."""
    if encoding != DETECT:
        try:
            return _unmarked(raw.decode(encoding))
        except (UnicodeDecodeError, LookupError) as error:
            raise click.ClickException(f"{path}: {error}; correct {DECLARE}") from None
    declared = next((name for mark, name in BYTE_ORDER.items() if raw.startswith(mark)), None)
    if declared:
        return decode(path, raw, declared)
    try:
        return _decode_utf8(raw)
    except UnicodeDecodeError:
        pass
    text = raw.decode("utf-8", "surrogateescape")
    if sum(sign > "\x7f" for sign in text) >= 2 * len(ESCAPED.findall(text)):  # more right signs than wrong bytes
        return _unmarked(text)
    found = _detect(raw)
    if found is None:
        raise click.ClickException(f"{path}: no text whose encoding can be told; take it away, or declare {DECLARE}")
    text, name = found
    words = list(dict.fromkeys(re.findall(r"\w*[^\W\x00-\x7f]\w*", text)))[:TOLD_WORDS]
    such = f", such as {', '.join(map(repr, words))}" if words else ""
    click.echo(f"{path}: no UTF-8, read as {name}{such}; if that is wrong, declare {DECLARE}", err=True)
    return _unmarked(text)


def _decode_utf8(raw: bytes) -> str:
    """UTF-8, also where signs beyond U+FFFF are two halves of three bytes each, as in a file of SNIPS."""
    halves = raw.decode("utf-8", "surrogatepass")
    return _unmarked(halves.encode("utf-16-le", "surrogatepass").decode("utf-16-le"))


def _unmarked(text: str) -> str:
    """Without byte-order marks: at its start, and where files that had one were put together."""
    return text.removeprefix("\ufeff").replace("\n\ufeff", "\n")


def _detect(raw: bytes) -> tuple[str, str] | None:
    """(text, encoding)."""
    if latin := _detect_latin(raw):
        return latin
    from charset_normalizer import from_bytes

    best = from_bytes(raw).best()
    return best and (str(best), best.encoding)


def _detect_latin(raw: bytes) -> tuple[str, str] | None:
    """By the language that comes out, since few bytes tell Windows' encodings of Latin letters apart.

    None where other bytes than ASCII stand together as in other alphabets, or would be signs within words.
    """
    accents = ACCENTED.findall(raw)
    others = len(re.findall(rb"[\x80-\xff]", raw))
    if 2 * sum(map(len, accents)) < others:
        return None
    head = raw[:SAMPLE]
    told = ((name, other_language(head.decode(name, "replace"), "en")) for name in WINDOWS)
    name = next((name for name, language in told if language in WINDOWS[name]), "cp1252")
    try:
        text = raw.decode(name)
    except UnicodeDecodeError:
        return None
    return None if 10 * len(WITHIN.findall(text)) > others else (text, name)


def _bad_byte(text: str) -> ValueError | None:
    found = ESCAPED.search(text)
    return ValueError(f"the byte 0x{ord(found[0]) - 0xDC00:02X} is no UTF-8") if found else None


# Texts


def _read_text_records(path: Path, raw: bytes, encoding: str, unwrap: bool) -> Records:
    text = decode(path, raw, encoding)
    start = len(text) - len(text.lstrip())
    head = text[:4096]
    if 4 * head.count("\0") > len(head):
        raise click.ClickException(f"{path} is no text, Parquet or Arrow")
    if text.startswith("[", start) and not _is_array_a_line(text):
        yield from _read_array(text, start)
    elif text.startswith("[", start) or _is_json(text):
        yield from _read_objects(path, text, unwrap)
    else:
        yield from _read_table(path, text)


def _is_array_a_line(text: str) -> bool:
    """Whether each line is an array, such as the messages of a row, and not the whole file."""
    lines = [line for line in text.lstrip().split("\n", 2)[:2] if line.strip()]
    try:
        return len(lines) == 2 and lines[1].lstrip().startswith("[") and isinstance(load_json(lines[0]), list)
    except ValueError:
        return False


def _is_json(text: str) -> bool:
    """Whether its first lines are objects rather than those of a table, where a cell may begin like one."""
    lines = [line for line in text[:100_000].split("\n") if line.strip()][:LOOKED_AT]
    return bool(lines) and (lines[0].lstrip().startswith("{") or 2 * sum(map(_is_object, lines)) >= len(lines))


def _is_object(line: str) -> bool:
    try:
        return isinstance(load_json(line), dict)
    except ValueError:
        return False


def _read_objects(path: Path, text: str, unwrap: bool) -> Records:
    """One object after another: a line each, or each on several lines; a file that is one object may hold the rows."""
    objects = _iterate_objects(text)
    first = next(objects, None)
    second = next(objects, None)
    alone = unwrap and first is not None and second is None and isinstance(first[1], dict)
    if alone and (lists := _lists_of_rows(first[1])):
        yield from _read_lists(path, text, first[1], lists)
        return
    yield from (one for one in (first, second) if one)
    yield from objects


def _iterate_objects(text: str) -> Records:
    at, line = 0, 1
    while at < len(text):
        end = text.find("\n", at)
        end = len(text) if end < 0 else end
        part = text[at:end]
        if not part.strip():
            at, line = end + 1, line + 1
            continue
        value, after = _read_line(text, at, end)
        yield line, value
        line += text.count("\n", at, after) + 1
        at = after + 1


def _read_line(text: str, at: int, end: int) -> tuple[Any, int]:
    """(the value that starts on the line, the end of the last line that it is on)."""
    part = text[at:end]
    if wrong := _bad_byte(part):
        return wrong, end
    try:
        return load_json(part), end
    except ValueError as error:
        reason = ValueError(f"not JSON: {_json_fault(error)}")
    if not part.rstrip().endswith(("{", "[", ",", ":")):  # nothing is open at the line's end
        return reason, end
    start = at + len(part) - len(part.lstrip())
    try:
        value, after = STRICT.raw_decode(text, start)
    except (ValueError, RecursionError):
        return reason, end
    close = text.find("\n", after)
    close = len(text) if close < 0 else close
    if text[after:close].strip():
        return reason, end
    return _bad_byte(text[at:after]) or value, close


def _json_fault(error: ValueError | RecursionError) -> str:
    """Why a text is no JSON, and where on its line."""
    if isinstance(error, RecursionError):
        return "nested too deep"
    if not isinstance(error, json.JSONDecodeError):
        return str(error)
    there = error.doc[error.pos : error.pos + 1]
    return f"{error.msg.removesuffix(' at')} (column {error.colno}: {repr(there) if there else 'the end'})"


def _lists_of_rows(value: dict[str, Any]) -> list[str]:
    """The keys that hold the rows of a file that is one object: `data`, say, or one a set."""
    if any(key in value for key in KEYS if key != "data"):
        return []
    lists = [key for key, rows in value.items() if isinstance(rows, list) and rows and isinstance(rows[0], dict)]
    return lists if len(lists) == 1 or all(key.lower() in SETS for key in lists) else []


def _read_lists(path: Path, text: str, value: dict[str, Any], lists: list[str]) -> Records:
    rest = [key for key in value if key not in lists]
    if rest or any(key.lower() not in (*SETS, *LISTS) for key in lists):  # a name that may mean something
        not_read = f"; not read: {', '.join(rest)}" if rest else ""
        click.echo(f"{path}: rows are those of {', '.join(lists)}{not_read}", err=True)
    at = 0
    for key in lists:
        found = re.compile(re.escape(json.dumps(key)) + r"\s*:\s*\[").search(text, at)
        if not found:  # the key is written with escapes
            raise _Broken(f"1: the list {key!r} cannot be found")
        for line, record in _read_array(text, found.end() - 1, alone=False):
            if key.lower() in SETS and isinstance(record, dict):
                record = {"split": key, **record}
            yield line, record


def _read_array(text: str, start: int, alone: bool = True) -> Records:
    """The elements of the array at `start`, after which there is nothing more where it stands `alone`."""
    at = start + 1
    line, counted = 1, 0
    while True:
        while at < len(text) and text[at] in " \t\r\n,":
            at += 1
        line, counted = line + text.count("\n", counted, at), at
        if at >= len(text):
            raise _Broken(f"{line}: the array is not closed: is the file cut?")
        if text[at] == "]":
            if alone and text[at + 1 :].strip():
                raise _Broken(f"{line}: there is more after the array")
            return
        value, end = _read_element(text, at, line)
        yield line, _bad_byte(text[at:end]) or value
        at = end


def _read_element(text: str, at: int, line: int) -> tuple[Any, int]:
    """(the element, its end); one that is JSON but not as it should be is a ValueError. Raises _Broken."""
    try:
        return STRICT.raw_decode(text, at)
    except (ValueError, RecursionError) as strict:
        try:
            _, end = json.JSONDecoder().raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            line = getattr(error, "lineno", line)
            raise _Broken(f"{line}: not JSON from here on: {_json_fault(error)}") from None
        return ValueError(f"not JSON: {_json_fault(strict)}"), end


# Tables


@dataclass(frozen=True)
class _Dialect:
    """How a table is written."""

    delimiter: str
    quote: str = '"'
    quoting: int = csv.QUOTE_MINIMAL
    spaced: bool = False  # a space may stand before a quote

    def reader(self, text: str) -> Any:
        # Strict, since a quote that is never closed would swallow the rows after it.
        return csv.reader(
            io.StringIO(text, newline=""),
            delimiter=self.delimiter,
            quotechar=self.quote,
            quoting=self.quoting,
            skipinitialspace=self.spaced,
            strict=True,
        )

    def is_whole(self, text: str) -> bool:
        return self.rows(text) is not None

    def rows(self, text: str) -> list[list[str]] | None:
        """Those that are not empty; None where they are not all as wide."""
        try:
            rows = [row for row in self.reader(text) if row]
        except csv.Error:
            return None
        return rows if all(len(row) == len(rows[0]) for row in rows) else None


def _read_table(path: Path, text: str) -> Records:
    """CSV, TSV and their like. The delimiter is Excel's `sep=`, or the one that parts the lines best."""
    first, _, rest = text.partition("\n")
    start = 1
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))
    if declared := re.fullmatch(r'"?sep=(.)"?\s*', first):
        delimiter, text, start = declared[1], rest, 2
    else:
        likely = max(
            (_Dialect(one, quote) for quote in "\"'" for one in DELIMITERS), key=lambda one: _parts_well(text, one)
        )
        _refuse_plain_text(text, likely)
        delimiter = likely.delimiter
    yield from _read_csv(path, text, _dialect(text, delimiter), start)


def _dialect(text: str, delimiter: str) -> _Dialect:
    """CSV's own, unless only another way to quote gives every row the header's columns."""
    usual, bare, single = _Dialect(delimiter), _Dialect(delimiter, quoting=csv.QUOTE_NONE), _Dialect(delimiter, "'")
    spaced = _Dialect(delimiter, spaced=True)
    rows = usual.rows(text)
    if rows is not None and not all(any(cell.startswith(' "') for cell in row) for row in rows[1:]):
        return usual
    if spaced.is_whole(text):
        return spaced
    if rows is not None:
        return usual
    if bare.is_whole(text):  # where tabs part, a quote may be a quote; elsewhere it is one that is never closed
        return bare if delimiter == "\t" else usual
    return single if single.is_whole(text) else usual


def _parts_well(text: str, dialect: _Dialect) -> tuple[float, int]:
    """(share of the first lines that are parted as the header is, its columns); nothing for one column."""
    head = "\n".join(text[:200_000].split("\n", LOOKED_AT)[:LOOKED_AT])
    widths = []
    try:
        for fields in dialect.reader(head):
            widths += [len(fields)] if fields else []
    except csv.Error:
        pass  # the head may end within quotes
    if not widths or widths[0] < 2:
        return 0.0, 0
    return widths.count(widths[0]) / len(widths), widths[0]


def _refuse_plain_text(text: str, dialect: _Dialect) -> None:
    """Raises _Broken for lines that nothing parts alike, unless the first names what a form knows."""
    line = text.lstrip().partition("\n")[0]
    names = {name.strip(" \r\"'") for name in line.split(dialect.delimiter)}
    if names & set(KEYS) or not line.strip():
        return
    share, _ = _parts_well(text, dialect)
    if share < PARTED if share else len(line.split()) > MOST_WORDS:
        raise _Broken(
            "1: neither JSON nor a table that , ; | or tabs part alike; "
            'a plain text goes in as lines of JSON, each {"text": "…"}'
        )


def _read_csv(path: Path, text: str, dialect: _Dialect, start: int) -> Records:
    reader = dialect.reader(text)
    before = start - 1
    try:
        first: list[str] = []
        for fields in reader:
            if _holds(fields):
                first = [name.strip() for name in fields]
                break
            start = before + reader.line_num + 1
        if _is_header(text, dialect, first):
            header = _names(first, start)
            start = before + reader.line_num + 1
        else:
            header = _names([""] * len(first), start)
            click.echo(f"{path}: line {start} is a row and no header: the columns are {', '.join(header)}", err=True)
            reader, first, start = dialect.reader(text), [], before + 1
        for fields in reader:
            if wrong := _bad_byte("".join(fields)):
                yield start, wrong
            elif not _holds(fields):
                pass  # such are the lines that Excel leaves below a table
            elif len(fields) != len(header):
                yield start, ValueError(f"{len(fields)} columns, the header has {len(header)}")
            elif [field.strip() for field in fields] == first:
                yield start, ValueError("the header stands here again")
            else:
                yield start, dict(zip(header, fields, strict=True))
            start = before + reader.line_num + 1
    except csv.Error as error:
        raise _Broken(
            f'{start}: not CSV from here on: {error}; a quote within quotes is written twice, as in "a 5"" disk"'
        ) from None


def _holds(fields: list[str]) -> bool:
    """Whether a line of a table holds anything."""
    return any(map(str.strip, fields))


def _names(header: list[str], start: int) -> list[str]:
    """The columns' names; one that has none is told by its number. Raises _Broken where one stands twice."""
    names = [name or f"column {number}" for number, name in enumerate(header, 1)]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise _Broken(f"{start}: the column {twice!r} stands twice")
    return names


def _is_header(text: str, dialect: _Dialect, first: list[str]) -> bool:
    """Whether the first line names columns: no, where what stands there comes again and again in its own column."""
    if set(first) & set(KEYS):
        return True
    again: Counter[int] = Counter()
    try:
        for fields in islice(dialect.reader(text), 1, MOST_ROWS):
            pairs = enumerate(zip(first, map(str.strip, fields), strict=False))
            same = [at for at, (name, field) in pairs if name and name == field]
            again.update(same if len(same) < len(first) else [])  # the whole header may stand there again
    except csv.Error:
        pass  # told where the rows are read
    return all(count < 2 for count in again.values())
