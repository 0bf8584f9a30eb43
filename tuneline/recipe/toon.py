"""Records as TOON text and back, by the official library.

Typed as JSON is: dates are strings in a record and stay strings. What is encoded has been read back
and compared, so that no record is kept as a text that means another.
"""

from importlib.metadata import version
from typing import Any

from toon_format import ToonDecodeError, dumps, loads

VERSION = version("toon-format")  # encoded text changes between versions: recorded beside the data


class ToonError(ValueError):
    """Text that is no TOON record, or a record that TOON cannot hold. `line` counts from 1; 0 where there is none."""

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(f"line {line}: {message}" if line else message)
        self.line = line


def encode(record: dict[str, Any]) -> str:
    """The record as TOON, without a newline at the end; `decode` gives back the same, checked here.

    Raises ToonError when it would not: a value that is not JSON, a number that TOON cannot hold.
    """
    try:
        text = dumps(record)
    except (TypeError, ValueError, RecursionError) as error:
        raise ToonError(str(error)) from None
    if not _same(decode(text), record):
        raise ToonError("reads back as another record")
    return text


def decode(text: str) -> dict[str, Any]:
    """Strict. Raises ToonError, with the line, when `text` is no TOON or holds no object."""
    try:
        record = loads(text)
    except ToonDecodeError as error:
        raise ToonError(error.msg, error.line or 0) from None
    except (ValueError, RecursionError) as error:
        raise ToonError(str(error)) from None
    if not isinstance(record, dict):
        raise ToonError(f"a record is an object, this is {type(record).__name__}")
    return record


def _same(one: Any, other: Any) -> bool:
    """Equal, and true is not 1."""
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and one == other
