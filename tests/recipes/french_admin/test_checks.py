"""A made row does what its behaviour says, and the stage drops it with the reason when it does not."""

from typing import Any

import pytest

from recipes.french_admin.checks import wrong
from stages.curate import curate
from tests.conftest import ROOT
from tuneline.files import Row
from tuneline.recipe.forms import read_form
from tuneline.recipe.own import open_door
from tuneline.recipe.settings import read_recipe
from tuneline.rows import make_row

RECIPE = ROOT / "recipes/french_admin"
ASKS = "Pour vous répondre : quelle est votre nationalité ? Et quelle est la date d'expiration de votre titre ?"
TELLS = "La demande se dépose en ligne sur le site de l'ANEF, entre quatre et deux mois avant l'expiration du titre."
REFUSES = "Je suis désolé, je ne peux pas répondre à cette question."


def made(answer: str, origin: str = "self_instruct", **fields: Any) -> Row:
    asked = "Comment puis-je renouveler mon titre de séjour à la préfecture ?"
    fields = {"behavior": "direct", "reasoning": ["parce que"], **fields}
    return make_row({**read_form({"prompt": asked, "response": answer}), "fields": fields}, "p.md", 1, origin)


@pytest.mark.parametrize(
    ("answer", "fields", "why"),
    [
        (TELLS, {}, None),
        (f"<thinking>\n{ASKS}\n</thinking>\n\n{TELLS}", {}, None),
        (ASKS, {"behavior": "clarify"}, None),
        (f"{TELLS} {ASKS}", {"behavior": "hybrid"}, None),
        (TELLS, {"behavior": "clarify"}, ("answers instead of asking", "")),
        (ASKS, {"behavior": "direct"}, ("asks instead of answering", "")),
        (REFUSES, {}, ("refuses", "")),
        (REFUSES, {"behavior": "clarify"}, ("refuses", "")),
        (TELLS, {"behavior": None}, ("no behavior", "")),
    ],
)
def test_a_made_row_does_what_its_behavior_says(answer: str, fields: dict, why: tuple[str, str] | None) -> None:
    assert wrong(made(answer, **fields)) == why


def test_curate_drops_such_a_row_and_holds_the_source_to_nothing() -> None:
    settings = read_recipe(RECIPE).curate
    assert settings.checks.own
    rows = [made(TELLS, "source", behavior="clarify"), made(f"{ASKS} Merci.")]
    kept, dropped = curate(rows, settings, open_door(RECIPE, "checks").wrong)
    assert [row["origin"] for row in kept] == ["source"]
    assert [drop["reason"] for drop in dropped] == ["asks instead of answering"]
