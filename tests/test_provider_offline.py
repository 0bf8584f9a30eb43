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
from tuneline.provider_offline import Offline, seed_entry, unaccented, with_typos
from tuneline.teacher import Outcome, Request, Teacher

RULES: dict[str, Any] = {
    "lists": {"ville": ["Lyon", "Nantes", "Brest"], "objet": [{"text": "un titre", "value": "titre"}]},
    "templates": [
        {
            "when": {"strategy": ["new", "focus"], "kind": "basic"},
            "row": {"question": "Où à {ville} ou {ville.2} ?", "answer": "À {ville} : {objet}.", "topic": "t"},
        },
        {"when": {"strategy": "vary"}, "row": {"question": "{seed.unaccented}, {seed.lower}", "answer": "oui oui"}},
    ],
}
LIST = {"type": "object", "required": ["rows"], "properties": {"rows": {"type": "array", "items": PAIR}}}


def write(path: Path, rules: Any) -> Path:
    path.write_text(rules if isinstance(rules, str) else yaml.safe_dump(rules, allow_unicode=True), encoding="utf-8")
    return path


def request(number: int = 0, schema: dict = PAIR, **facts: Any) -> Request:
    asked = {"strategy": "new", "variables": {"kind": "basic"}, "seeds": [], "count": 1, "items": None}
    return Request((("user", "?"),), schema, {**asked, **facts}, number)


def refused(path: Path, asked: Request | None = None) -> str:
    with pytest.raises(click.ClickException) as error:
        Offline(path).answer(asked or request())
    return error.value.message


def test_an_answer_holds_the_keys_of_the_schema_and_no_other(tmp_path: Path) -> None:
    with Teacher(settings(provider="offline"), tmp_path, write(tmp_path / "o.yaml", RULES)) as teacher:
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
    offline = Offline(write(tmp_path / "o.yaml", RULES))
    rows = offline.draw(request(schema=LIST, items="rows", count=6))["rows"]
    assert len({row["question"] for row in rows}) == len(rows) == 6
    assert len(offline.draw(request(schema=LIST, items="rows", count=9))["rows"]) == 6  # there are no more


def test_a_seed_is_varied(tmp_path: Path) -> None:
    asked = request(strategy="vary", variables={}, seeds=[{"question": "Où déposer ?"}])
    assert Offline(write(tmp_path / "o.yaml", RULES)).draw(asked)["question"] == "ou deposer ?, où déposer ?"


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
from tests.test_provider_offline import LIST, request
from tuneline.provider_offline import Offline
offline = Offline(Path({path!r}))
print(offline.version, [offline.answer(request(n, LIST, items="rows", count=3)).text for n in range(5)])
"""


def test_the_same_in_every_process(tmp_path: Path) -> None:
    path = write(tmp_path / "o.yaml", RULES)
    said = {
        subprocess.run(
            [sys.executable, "-c", ASKED.format(path=str(path))],
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


def test_other_rules_are_other_keys(tmp_path: Path) -> None:
    keys = set()
    for name, city in (("a", "Lyon"), ("b", "Nice"), ("c", "Lyon")):
        path = write(tmp_path / name, {**RULES, "lists": {**RULES["lists"], "ville": [city, "Metz"]}})
        with Teacher(settings(provider="offline"), tmp_path, path) as teacher:
            keys.add(teacher.key(request()))
    assert len(keys) == 2


def test_no_template_for_what_is_asked(tmp_path: Path) -> None:
    path = write(tmp_path / "o.yaml", RULES)
    says = f"{path}: no template for strategy=new, kind=odd; add one, or set another teacher.provider"
    assert refused(path, request(variables={"kind": "odd"})) == says
    assert "no template for strategy=new, kind=basic" in refused(tmp_path / "none.yaml")


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
        (with_template(row={"question": "{vile}"}), "template 1: no list 'vile'"),
        (with_template(row={"question": "{seed.words}"}), "template 1: an entry of 'seed' has no 'words'"),
        (with_template(weight="heavy"), "template 1: a weight is a number above 0"),
        (with_template(weight=0), "template 1: a weight is a number above 0"),
        (with_template(row={"question": "{objet} {objet.2}"}), "list 'objet' has no entry but un titre"),
        (with_template(row={"question": "{seed.lower}", "answer": "a"}), "the template for {'kind': ['basic']"),
        ({**with_template(row={"question": "{a}"}), "lists": {"a": ["x {a}"]}}, "recursion"),
    ],
)
def test_rules_that_are_wrong_are_one_line(tmp_path: Path, rules: Any, says: str) -> None:
    path = write(tmp_path / "o.yaml", rules)
    message = refused(path)
    assert message.startswith(f"{path}: ")
    assert says in message
    assert "\n" not in message


def test_a_judge_needs_no_rules() -> None:
    asked = Request((("user", "?"),), {}, {
        "judge": "row", "question": "Où renouveler ma carte ?", "answer": "", "behavior": "direct", "missing_info": [],
    })  # fmt: skip
    assert '"score":0' in Offline(None).answer(asked).text
