"""Measures of TOON answers: what parses, what is valid and coherent, and which leaves are right."""

import click
import numpy as np
import pytest

from recipes.succession.measures import FIGURES, HARD, score
from tuneline.measuring.report import by_group, confusion, worst
from tuneline.measuring.score import Score, summarize
from tuneline.recipe.toon import encode

RECORD = {
    "famille": {
        "defunt": {"nom": "Jean Morel", "date_deces": "2022-05-04"},
        "enfants": [{"nom": "Léa"}, {"nom": "Paul"}],
    }
}
TOON = encode(RECORD)


def changed(**leaves: object) -> str:
    family = {**RECORD["famille"], **leaves}
    return encode({"famille": {key: value for key, value in family.items() if value is not None}})


def row(reference: str, complexity: str = "simple") -> dict:
    messages = [{"role": "user", "content": "…"}, {"role": "assistant", "content": reference}]
    return {"messages": messages, "fields": {"complexity": complexity, "from": "writer"}}


def read(answer: str, complexity: str = "simple") -> Score:
    return score(row(TOON, complexity), answer)


def test_the_reference_itself_is_right_in_all() -> None:
    r = read(TOON)
    assert [r.figures[name] for name in ("parses", "schema_valid", "coherent", "exact_match")] == [True] * 4
    assert r.marks == {"exact": True}
    assert r.figures["hard_left_out"] is None  # no hard negative
    assert read(TOON, HARD).figures["hard_left_out"] is True
    assert r.groups == {"complexity": "simple", "origin": "writer"}
    assert (r.right.total(), r.missed.total(), r.invented.total()) == (4, 0, 0)


def test_the_order_of_a_list_is_no_leaf_but_makes_it_another_text() -> None:
    r = read(changed(enfants=[{"nom": "Paul"}, {"nom": "Léa"}]))
    assert r.right.total() == 4
    assert not r.figures["exact_match"]


@pytest.mark.parametrize("answer", ["", "famille:\n  defunt", "[", "famille: {", "enfants[2]{nom}:\n  Léa"])
def test_what_does_not_parse_has_no_leaf(answer: str) -> None:
    r = read(answer)
    assert not r.figures["schema_valid"]
    assert not r.figures["coherent"]
    assert r.right.total() == 0
    assert r.missed.total() == 4


def test_an_unknown_path_is_invalid_and_a_broken_rule_incoherent() -> None:
    unknown = read(encode({"famille": {**RECORD["famille"], "chien": "Rex"}}))
    assert tuple(unknown.figures[name] for name in ("parses", "schema_valid", "coherent")) == (True, False, False)
    unborn = read(changed(defunt={"nom": "Jean Morel", "date_naissance": "2023-01-01", "date_deces": "2022-05-04"}))
    assert (unborn.figures["schema_valid"], unborn.figures["coherent"]) == (True, False)
    assert unborn.figures["without_alert"] is None


def test_an_alert_is_told_and_makes_nothing_incoherent() -> None:
    assert read(TOON).figures["without_alert"] is True
    namesake = read(changed(enfants=[{"nom": "Jean Morel"}]))
    assert (namesake.figures["coherent"], namesake.figures["without_alert"]) == (True, False)


def test_missed_and_invented_are_told_apart() -> None:
    r = read(changed(defunt={"nom": "Jean Moreau"}, nombre_enfants=2), HARD)
    assert dict(r.missed) == {
        ("famille.defunt.nom", '"Jean Morel"'): 1,
        ("famille.defunt.date_deces", '"2022-05-04"'): 1,
    }
    assert dict(r.invented) == {("famille.defunt.nom", '"Jean Moreau"'): 1, ("famille.nombre_enfants", "2"): 1}
    assert r.figures["hard_left_out"] is False
    assert confusion([r], FIGURES).count(("famille", "invented")) == 2
    assert confusion([r], FIGURES).count(("famille", "right")) == 2
    assert worst([r, r]) == [
        {"kind": "field", "expected": "famille.defunt.date_deces", "given": "missed", "times": 2},
        {"kind": "field", "expected": "famille.defunt.nom", "given": "another value", "times": 2},
        {"kind": "field", "expected": "famille.nombre_enfants", "given": "invented", "times": 2},
    ]


def test_the_measures_are_micro_and_hard_negatives_stand_apart() -> None:
    rows = [read(TOON), read("", HARD), read(changed(nombre_enfants=2), HARD), read(changed(enfants=None), HARD)]
    figures = summarize(rows, FIGURES)
    assert figures["parses"] == 0.75
    assert figures["exact_match"] == 0.25
    assert figures["field_precision"] == pytest.approx(10 / 11)
    assert figures["field_recall"] == pytest.approx(10 / 16)
    assert figures["field_f1"] == pytest.approx(20 / 27)
    assert figures["hard_left_out"] == pytest.approx(1 / 3)
    drawn = summarize(rows, FIGURES, np.array([[0, 0, 0, 0], [0, 1, 2, 3]]))
    assert np.isnan(drawn["hard_left_out"][0])
    assert drawn["field_f1"].tolist() == pytest.approx([1, 20 / 27])
    table = by_group(rows, FIGURES, "complexity", 20, 0)["simple"]
    assert (table["rows"], table["hard_left_out"], table["field_f1_interval"]) == (1, None, [1.0, 1.0])


@pytest.mark.parametrize(
    ("reference", "said"), [("[", "no TOON record"), ("chien: Rex", "no record of the schema: chien")]
)
def test_a_reference_that_is_no_record_is_named(reference: str, said: str) -> None:
    with pytest.raises(click.ClickException, match=said):
        score(row(reference), TOON)
