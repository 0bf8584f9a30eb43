"""Documents: what strategies ask about, and no training rows themselves.

A document: {"id", "group", "origin": "source", "fields", "source"}, without messages or text. A row
that answers about one names it in "document" and stands in its group: where every answer is a
teacher's, a split divides documents, not rows.
"""

from tuneline.files import Row, dump_json
from tuneline.rows import content_hash


def make_document(fields: Row, group: str, source: Row) -> Row:
    return {
        "id": content_hash(dump_json(fields)),
        "group": group,
        "origin": "source",
        "fields": fields,
        "source": source,
    }


def is_document(row: Row) -> bool:
    return "messages" not in row and "text" not in row


def has_own_place(row: Row) -> bool:
    """Whether a split places the row by its own group: not so where rows grew from other rows."""
    return row["origin"] == "source" or "document" in row
