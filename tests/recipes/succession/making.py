"""Records for tests, written as their leaves."""

import random
from typing import Any

from recipes.succession.corpus.dimensions import Dimensions
from tests.conftest import ROOT
from tuneline.ordering.shares import read_shares

SHARES = read_shares(ROOT / "recipes/succession/dimensions.yaml")


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


def any_dimensions(rng: random.Random) -> Dimensions:
    """Every value as likely as any other, so that rare combinations are met too."""
    while True:
        drawn: dict[str, Any] = {name: rng.choice(list(of)) for name, of in SHARES.values.items()}
        if drawn["complexity"] != "hard_negative":
            drawn["hard_negative_mode"] = None
        if SHARES.allows(drawn):
            break
    always = drawn["complexity"] in ("complexe", "hard_negative")
    others = [topic for topic in SHARES.values["topic"] if topic != drawn["topic"]]
    return Dimensions(**drawn, second_topic=rng.choice(others) if always or rng.random() < 0.5 else None)
