"""Records for tests, written as their leaves."""

from typing import Any


def record(**leaves: Any) -> dict[str, Any]:
    """`famille__defunt__nom="…"` → nested; lists are given whole."""
    found: dict[str, Any] = {}
    for path, value in leaves.items():
        *above, name = path.split("__")
        node = found
        for step in above:
            node = node.setdefault(step, {})
        node[name] = value
    return found
