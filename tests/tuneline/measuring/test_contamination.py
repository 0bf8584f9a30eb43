"""Test rows in training rows: whatever kind they are, all of them, by what curate would have taken out."""

from typing import Any

import pytest

from stages.curate import curate
from tests.recipe_folder import RECIPE
from tuneline.measuring.contamination import contaminated
from tuneline.recipe.forms import read_form
from tuneline.recipe.settings import Curate
from tuneline.rows import make_row

LONG = "the ferry to the northern islands does not leave on Sundays in the winter months of the year"
TALK = [
    {"role": "user", "content": "is the harbour office open on the second of May"},
    {"role": "assistant", "content": "it is open from nine to four on that day"},
]


def asked(prompt: str, response: str = "yes", **extra: Any) -> dict:
    return make_row(read_form({"prompt": prompt, "response": response}), "a", 1, **extra)


def said(*messages: dict) -> dict:
    return make_row({"messages": list(messages)}, "a", 1)


LONGER = said(*TALK, {"role": "user", "content": "and on the third"}, {"role": "assistant", "content": "closed"})
TEXT = make_row({"text": f"{LONG}. {LONG}."}, "a", 1)
CASES = {
    "word for word": ([asked(LONG)], [asked(LONG)], 1),
    "case and another answer": ([asked(LONG)], [asked(LONG.upper(), "no")], 1),
    "nearly": ([asked(LONG)], [asked(f"{LONG} too")], 1),
    "one training row, several test rows": ([asked(f"{LONG} {n}") for n in range(3)], [asked(LONG)], 3),
    "something else": ([asked(LONG)], [asked("how many mails came in today")], 0),
    "an instruction, with another answer": ([asked(LONG, a) for a in "ab"], [asked(LONG, "quite another one")], 0),
    "an instruction, with its answer": ([asked(LONG, f"{a} {LONG}") for a in "ab"], [asked(LONG, f"b {LONG}")], 1),
    "within a longer conversation": ([said(*TALK)], [LONGER], 1),
    "a text": ([TEXT], [TEXT | {"id": "other"}], 1),
}


@pytest.mark.parametrize("case", CASES)
def test_what_curate_would_take_out_is_counted(case: str) -> None:
    test, train, count = CASES[case]
    found = contaminated(train, test, 0.85)
    assert len(found) == count and set(found) <= {row["id"] for row in test}
    assert all(how["in"] == train[0]["id"] for how in found.values())
    settings = Curate.model_validate(RECIPE["curate"] | {"contamination": 0.85})
    _, dropped = curate([*({**row, "set": "test"} for row in test), *train], settings)
    assert bool(found) == any(row["reason"] in ("contamination", "duplicate") for row in dropped)
