"""The teacher without a key: rules of the recipe, the same answer wherever and whenever it is asked."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from tests.conftest import ROOT
from tests.teaching import PAIR, settings
from tuneline.generating.offline import Offline, seed_entry, unaccented, with_typos
from tuneline.teaching.judging import judge_by_rules
from tuneline.teaching.ledger import Spend
from tuneline.teaching.request import Outcome, Request
from tuneline.teaching.teacher import Teacher

RULES: dict[str, Any] = {
    "lists": {"ville": ["Lyon", "Nantes", "Brest"], "objet": [{"text": "un titre", "value": "titre"}]},
    "templates": [
        {
            "when": {"strategy": ["new", "focus"], "kind": "basic"},
            "row": {"question": "Où à ${ville} ou ${ville.2} ?", "answer": "À ${ville} : ${objet}.", "topic": "t"},
        },
        {"when": {"strategy": "vary"}, "row": {"question": "${seed.unaccented}, ${seed.lower}", "answer": "oui oui"}},
    ],
}
LIST = {"type": "object", "required": ["rows"], "properties": {"rows": {"type": "array", "items": PAIR}}}


def write(recipe: Path, rules: Any, code: str = "") -> Path:
    """A recipe with these rules, and with `code` as its offline.py."""
    (recipe / "sdg").mkdir(parents=True)
    text = rules if isinstance(rules, str) else yaml.safe_dump(rules, allow_unicode=True)
    (recipe / "sdg/offline.yaml").write_text(text, encoding="utf-8")
    if code:
        (recipe / "offline.py").write_text(code, encoding="utf-8")
    return recipe


def request(number: int = 0, schema: dict = PAIR, **facts: Any) -> Request:
    asked = {"strategy": "new", "variables": {"kind": "basic"}, "seeds": [], "count": 1, "items": None}
    return Request((("user", "?"),), schema, {**asked, **facts}, number)


def refused(recipe: Path, asked: Request | None = None) -> str:
    with pytest.raises(click.ClickException) as error:
        Offline(recipe)(asked or request())
    return error.value.message


def test_an_answer_holds_the_keys_of_the_schema_and_no_other(tmp_path: Path) -> None:
    with Teacher(settings(provider="offline"), tmp_path, Offline(write(tmp_path / "r", RULES))) as teacher:
        outcomes = [teacher.follow(request(number)) for number in range(20)]
        assert teacher.name == "offline"
    values = [outcome.value for outcome in outcomes if isinstance(outcome, Outcome)]
    assert {frozenset(value) for value in values} == {frozenset(("question", "answer"))}
    for value in values:
        _, _, one, _, other, _ = value["question"].split()
        assert one != other
        assert value["answer"] == f"À {one} : titre."
    assert len({value["question"] for value in values}) > 3  # the number of a call counts
    assert not list(tmp_path.glob("*/*.jsonl"))


def test_rows_of_one_call_are_different_ones(tmp_path: Path) -> None:
    offline = Offline(write(tmp_path / "r", RULES))
    rows = offline(request(schema=LIST, items="rows", count=6))["rows"]
    assert len({row["question"] for row in rows}) == len(rows) == 6
    assert len(offline(request(schema=LIST, items="rows", count=9))["rows"]) == 6  # there are no more


def test_a_seed_is_varied(tmp_path: Path) -> None:
    asked = request(strategy="vary", variables={}, seeds=[{"question": "Où déposer ?"}])
    assert Offline(write(tmp_path / "r", RULES))(asked)["question"] == "ou deposer ?, où déposer ?"


def test_the_seed_of_hurried_people() -> None:
    import random

    text = "Renouvellement obligatoire avant le 12 décembre 2025 à Clermont ?"
    made = {with_typos(text, random.Random(n)) for n in range(40)}
    assert len(made) > 10
    for one in made:
        words = one.split(" ")
        assert [words[at] for at in (3, 4, 6, 7, 9)] == ["le", "12", "2025", "à", "?"]
        for word, right in zip(words, text.split(" "), strict=True):
            assert abs(len(word) - len(right)) <= 1
            assert word[0] == right[0]
    assert unaccented("élève à Noël, ça") == "eleve a Noel, ca"
    assert seed_entry("", random.Random(0))["typos"] == ""


ASKED = """
from pathlib import Path
from tests.tuneline.generating.test_offline import LIST, request
from tuneline.generating.offline import Offline
offline = Offline(Path({recipe!r}))
print([offline(request(n, LIST, items="rows", count=3)) for n in range(5)])
"""


def test_the_same_in_every_process(tmp_path: Path) -> None:
    recipe = write(tmp_path / "r", RULES)
    said = {
        subprocess.run(
            [sys.executable, "-c", ASKED.format(recipe=str(recipe))],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "2024")
    }
    assert len(said) == 1
    assert "Où à" in said.pop()


def keys_of(recipe: Path) -> tuple[str, ...]:
    with Teacher(settings(provider="offline"), recipe / "answers", Offline(recipe)) as teacher:
        return teacher.outcome(request()).keys


def test_other_rules_are_other_keys(tmp_path: Path) -> None:
    """By what they answer: the answer's text is part of its key, a remark in the rules is not."""
    keys = {}
    for name, city in (("a", "Lyon"), ("b", "Nice"), ("c", "Lyon")):
        keys[name] = keys_of(write(tmp_path / name, {**RULES, "lists": {**RULES["lists"], "ville": [city, "Metz"]}}))
    assert keys["a"] == keys["c"] != keys["b"]
    text = (tmp_path / "a/sdg/offline.yaml").read_text("utf-8")
    assert keys_of(write(tmp_path / "e", f"# of two cities\n{text}")) == keys["a"]


def test_an_answer_by_rules_is_never_logged_and_needs_no_payment(tmp_path: Path) -> None:
    recipe = write(tmp_path / "r", RULES)
    with Teacher(settings(provider="offline"), tmp_path / "answers", Offline(recipe)) as teacher:
        teacher.pay([request(n) for n in range(5)], "test", 5)
        spend = Spend(teacher)
        spend.add(teacher.outcome(request()).keys)
        assert (teacher.calls, teacher.spent, len(teacher.log)) == (0, 0.0, 0)
        assert spend.metrics() == {"usd": 0.0, "tokens_in": 0, "tokens_out": 0}
    assert not list((tmp_path / "answers").rglob("*.jsonl"))


def test_what_nothing_answers_offline_is_one_line(tmp_path: Path) -> None:
    with Teacher(settings(provider="offline"), tmp_path) as teacher, pytest.raises(click.ClickException) as error:
        teacher.outcome(request())
    assert error.value.message == "nothing here answers offline; set another provider in params.yaml"


def test_no_template_for_what_is_asked(tmp_path: Path) -> None:
    recipe = write(tmp_path / "r", RULES)
    path = recipe / "sdg/offline.yaml"
    says = f"{path}: no template for strategy=new, kind=odd; add one, or set another teacher.provider"
    assert refused(recipe, request(variables={"kind": "odd"})) == says
    assert "no template for strategy=new, kind=basic" in refused(tmp_path / "none")


def with_template(**changes: Any) -> dict:
    return {**RULES, "templates": [{**RULES["templates"][0], **changes}]}


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ("lists: [", "while parsing"),
        ("a text", "needs two sections, lists and templates (a list)"),
        ({"lists": {}}, "needs two sections"),
        ({"lists": {}, "templates": {}}, "needs two sections"),
        ({**RULES, "lists": ["Lyon"]}, "lists is not of the form {name: [entry, …]}"),
        ({**RULES, "lists": {"ville": None}}, "lists is not of the form"),
        ({**RULES, "lists": {"ville": [1], "objet": ["o"]}}, "list 'ville': 1 is no text"),
        ({**RULES, "templates": [{"when": {}}]}, "template 1 needs when and row, and may have a weight"),
        ({**RULES, "templates": ["text"]}, "template 1 needs when and row"),
        (with_template(when="new"), "template 1: when and row are mappings"),
        (with_template(row=["x"]), "template 1: when and row are mappings"),
        (with_template(row={"question": "${vile}"}), "template 1: no list 'vile'"),
        (with_template(row={"question": "${seed.words}"}), "template 1: an entry of 'seed' has no 'words'"),
        (with_template(weight="heavy"), "template 1: a weight is a number above 0"),
        (with_template(weight=0), "template 1: a weight is a number above 0"),
        (with_template(row={"question": "${objet} ${objet.2}"}), "list 'objet' has no entry but un titre"),
        (with_template(row={"question": "${seed.lower}", "answer": "a"}), "the template for {'kind': ['basic']"),
        ({**with_template(row={"question": "${a}"}), "lists": {"a": ["x ${a}"]}}, "recursion"),
    ],
)
def test_rules_that_are_wrong_are_one_line(tmp_path: Path, rules: Any, says: str) -> None:
    recipe = write(tmp_path / "r", rules)
    message = refused(recipe)
    assert message.startswith(f"{recipe / 'sdg/offline.yaml'}: ")
    assert says in message
    assert "\n" not in message


JUDGE = """
def answer(facts):
    return {"reason": "it is empty", "score": 10 * bool(facts["answer"])}
"""
SEED = """
def seed(fields):
    return {"text": fields.get("city", ""), "city": fields.get("city", "").upper()}


def answer(facts):
    return {}
"""


def test_a_judge_needs_no_rules_of_a_teacher(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    (tmp_path / "r/offline.py").write_text(JUDGE, encoding="utf-8")
    asked = Request((("user", "?"),), {}, {"judge": "row", "question": "Où renouveler ma carte ?", "answer": ""})
    assert judge_by_rules(tmp_path / "r")(asked) == {"reason": "it is empty", "score": 0}


def test_a_judge_without_rules_is_told_when_it_is_asked(tmp_path: Path) -> None:
    rules = judge_by_rules(tmp_path / "r")  # a judge at a service needs none
    with pytest.raises(
        click.ClickException, match=r"r has no offline\.py to judge by; set judge\.provider in params\.yaml"
    ):
        rules(request())


def test_the_recipe_says_what_a_seed_may_name(tmp_path: Path) -> None:
    template = {"when": {"strategy": "vary"}, "row": {"question": "Où à ${seed.city} ?", "answer": "Là-bas."}}
    recipe = write(tmp_path / "r", {"lists": {}, "templates": [template]}, SEED)
    asked = request(strategy="vary", variables={}, seeds=[{"city": "Lyon"}])
    assert Offline(recipe)(asked)["question"] == "Où à LYON ?"
    wrong = {"lists": {}, "templates": [{**template, "row": {"question": "${seed.lower}"}}]}
    assert "template 1: an entry of 'seed' has no 'lower'" in refused(write(tmp_path / "w", wrong, SEED), asked)
