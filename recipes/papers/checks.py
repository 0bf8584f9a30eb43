"""A row that a strategy made keeps what its reader's rule must have: no part missing, no forbidden word."""

from tuneline.files import Row
from tuneline.rows import answer

from .personas import body, forbidden_words, parts, read_rules


def wrong(row: Row) -> tuple[str, str] | None:
    name, text = row.get("fields", {}).get("persona"), answer(row)
    persona = read_rules().get(name)
    if persona is None:
        return "no persona", str(name)
    missing = [label for label, part in zip(persona.labels, parts(text, persona.labels), strict=True) if not part]
    if missing:
        return "missing field", ", ".join(missing)
    if found := forbidden_words(body(text), persona.forbidden):
        return "forbidden word", ", ".join(found)
    return None
