"""Measures of rows that are only text: how well a model foretells them."""

from collections.abc import Sequence
from typing import Any

from tuneline.files import Row
from tuneline.measuring.score import WEIGHTED, Score
from tuneline.measuring.text_answers import groups_of


class BitsMeasures:
    """`bits_per_byte`: over all rows, -log2 of the probability of their tokens, each given all before it, ÷ their
    bytes in UTF-8. Less is better; it does not depend on how a tokenizer divides a text.
    """

    FIGURES = {"bits_per_byte": WEIGHTED}  # noqa: RUF012

    def unreadable(self, row: Row) -> str | None:
        if "messages" in row:
            return (
                "asks and answers, and `measures: bits` of recipe.yaml is of rows that are only text; "
                "write text, labels or json there"
            )
        return None if row["text"].strip() else "is an empty text"

    def score(self, row: Row, answer: float, outcomes: Sequence[Any] = ()) -> Score:
        """`answer`: the bits of the row's text, as predict has them of such a row."""
        size = len(row["text"].encode("utf-8", "surrogatepass"))
        return Score({"bits_per_byte": answer / size}, groups=groups_of(row), marks={"bytes": size}, weight=size)
