"""The SNIPS form: `{intent: [{"data": [{"text", "entity"?}, …]}]}`, one object a file.

A request is the concatenation of its texts; a part with an entity is a slot value.
"""

from collections.abc import Iterator
from typing import Any

from tuneline.rows import BadRow


def read_annotated(record: Any) -> Iterator[dict]:
    """`{"query", "data"}` of each request; data is the intent and each slot's values, in order.

    Raises BadRow when the object has another form.
    """
    if not isinstance(record, dict) or not all(isinstance(requests, list) for requests in record.values()):
        raise BadRow('not of the form {intent: [{"data": [{"text", "entity"?}]}]}')
    for intent, requests in record.items():
        for request in requests:
            try:
                parts = request["data"]
                query = "".join(part["text"] for part in parts)
                slots: dict[str, list[str]] = {}
                for part in parts:
                    if "entity" in part:
                        slots.setdefault(part["entity"], []).append(part["text"].strip())
            except (KeyError, TypeError, AttributeError) as error:
                raise BadRow(f"a request of {intent} is malformed: {error!r}") from None
            yield {"query": query.strip(), "data": {"intent": intent, "slots": slots}}
