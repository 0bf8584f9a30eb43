"""A row that a strategy made does what its behaviour says: a clarify row asks, a direct one answers."""

from tuneline.files import Row
from tuneline.rows import answer, visible

from .offline import behavior_of


def wrong(row: Row) -> tuple[str, str] | None:
    expected = row.get("fields", {}).get("behavior")
    if not expected:
        return "no behavior", ""
    shown = behavior_of(visible(answer(row)))
    if shown == "refusal":
        return "refuses", ""
    if expected == "clarify" and shown == "direct":
        return "answers instead of asking", ""
    if expected == "direct" and shown == "clarification":
        return "asks instead of answering", ""
    return None
