"""The master schema, TOON, and records that are drawn: they keep to the schema, the rules and what is asked for."""

import functools
import json
import random
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from jsonschema import Draft202012Validator, FormatChecker

from recipes.succession.corpus import people
from recipes.succession.corpus.dimensions import Dimensions, contradictions
from recipes.succession.corpus.draw import LEAVES, blocks, draw_target, unfit
from recipes.succession.records.rules import broken
from recipes.succession.records.schema import Master, flatten, path_of, read_master
from tests.conftest import ROOT
from tests.recipes.succession.making import any_dimensions, record
from tuneline.files import read_jsonl
from tuneline.recipe.toon import VERSION, ToonError, decode, encode

RECIPE = ROOT / "recipes/succession"
MASTER = read_master(RECIPE / "schema.json")
SHARES = yaml.safe_load((RECIPE / "dimensions.yaml").read_text("utf-8"))["shares"]
VALIDATOR = Draft202012Validator(
    json.loads((RECIPE / "schema.json").read_text("utf-8")), format_checker=FormatChecker(formats=["date"])
)
SHIPPED = [row["record"] for row in read_jsonl(RECIPE / "source/gold.jsonl")]


def drawn(seed: int, **wanted: Any) -> tuple[Dimensions, dict[str, Any]]:
    rng = random.Random(seed)
    free = any_dimensions(rng)
    dimensions = Dimensions(**{**vars(free), **wanted})
    return dimensions, draw_target(dimensions, MASTER, rng)


drawn_once = functools.cache(drawn)  # for who changes nothing of it


# The schema and the dimensions


def test_the_schema_is_as_large_as_it_is_said_to_be() -> None:
    branches = {path.split(".")[0].removesuffix("[]") for path in MASTER.leaves}
    assert branches == {
        "contexte",
        "famille",
        "liberalites",
        "assurance_vie",
        "patrimoine",
        "indivision",
        "operations_de_partage",
    }
    assert len(MASTER.leaves) >= 150
    assert {leaf.type for leaf in MASTER.leaves.values()} == {"string", "number", "boolean", "date", "enum"}
    assert all(len(leaf.description) > 10 for leaf in MASTER.leaves.values())
    assert all(leaf.kind != leaf.type for leaf in MASTER.leaves.values() if leaf.type in ("string", "number"))


def test_a_name_says_the_kind_where_the_rules_go_by_names() -> None:
    for leaf in MASTER.leaves.values():
        if leaf.type == "number":
            name = leaf.path.rsplit(".", 1)[-1]
            starts = {"part": ("part", "quote_part"), "age": "age", "annee": "annee", "nombre": "nombre"}
            for kind, start in starts.items():
                assert (leaf.kind == kind) == name.startswith(start), leaf.path


def test_personas_and_topics_are_those_that_can_be_drawn() -> None:
    assert tuple(SHARES["persona"]) == MASTER.leaves["contexte.demandeur.qualite"].values
    assert set(SHARES["topic"]) | {"any"} == {block["topic"] for block in blocks()}
    assert set(LEAVES) == set(SHARES["length"])


def test_blocks_name_leaves_of_the_schema() -> None:
    branches = {path.rsplit(".", at)[0] for path in MASTER.leaves for at in range(path.count(".") + 1)}
    known = {path.replace("[]", "") for path in branches}
    for block in blocks():
        for key in (key.partition("~")[0] for key in block if "." in key):
            assert key.replace(".0.", ".") in known, key


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"famille": {"defunt": {"nom": None}}}, ["famille.defunt.nom: is null, not a string"]),
        ({"famille": {"defunt": {"nom": "  "}}}, ["famille.defunt.nom: is an empty string"]),
        ({"famille": {"defunt": {}}}, ["famille.defunt: is empty; leave it out"]),
        ({"famille": {"enfants": []}}, ["famille.enfants: is empty; leave it out"]),
        ({"famille": {"enfants": [{}]}}, ["famille.enfants[0]: is empty; leave it out"]),
        ({"famille": {"enfants": {"nom": "A B"}}}, ["famille.enfants: is an object, not a list"]),
        ({"famille": {"nombre_enfants": True}}, ["famille.nombre_enfants: is True, not a number"]),
        ({"famille": {"nombre_enfants": float("nan")}}, ["famille.nombre_enfants: is nan, not a number"]),
        ({"contexte": {"conflit": "oui"}}, ["contexte.conflit: is 'oui', not true or false"]),
        (
            {"contexte": {"date_consultation": "2021-02-30"}},
            ["contexte.date_consultation: is '2021-02-30', not a day AAAA-MM-JJ"],
        ),
        ({"contexte": {"date_consultation": "20210203"}}, ["contexte.date_consultation: is '20210203', not a day"]),
        ({"indivision": {"bien": "chateau"}}, ["indivision.bien: is 'chateau', not one of maison, appartement"]),
        ({"famile": {"x": 1}, "contexte": 3}, ["famile: is not in the schema", "contexte: is 3, not an object"]),
        ({}, ["the record: is empty; leave it out"]),
        ([1], ["the record: is a list, not an object"]),
    ],
)
def test_each_thing_that_is_wrong_is_said_with_its_place(wrong: Any, says: list[str]) -> None:
    found = MASTER.problems(wrong)
    assert len(found) == len(says)
    assert all(line.startswith(start) for line, start in zip(found, says, strict=True)), found


def test_problems_agree_with_jsonschema() -> None:
    """On records with one value replaced: both find something, or both nothing."""
    rng = random.Random(3)
    values = [None, True, 0, 2.5, "olographe", "2020-02-29", "2021-02-29", "maison", {}, [], {"nom": "A B"}, ["x"]]
    verdicts = Counter()
    for _ in range(400):
        world = json.loads(json.dumps(rng.choice(SHIPPED)))
        place = rng.choice(list(flatten(world)))
        *above, name = place.replace("]", "").replace("[", ".").split(".")
        node: Any = world
        for step in above:
            node = node[int(step) if step.isdigit() else step]
        if rng.random() < 0.3:
            del node[name]
        else:
            node[rng.choice([name, name, "inconnu"])] = rng.choice(values)
        assert bool(MASTER.problems(world)) == (not VALIDATOR.is_valid(world)), place
        verdicts[VALIDATOR.is_valid(world)] += 1
    assert min(verdicts[True], verdicts[False]) > 30


@pytest.mark.parametrize(
    ("leaf", "says"),
    [
        ({"type": "string"}, "a.b: a leaf has a description and is a string, number or boolean"),
        ({"type": "integer", "description": "x"}, "a.b: a leaf has a description"),
        (
            {"$ref": "#/$defs/none", "description": "x"},
            "#/properties/a/properties/b/$ref: '#/$defs/none' leads to nothing in the file",
        ),
    ],
)
def test_a_schema_whose_leaves_are_not_described_is_refused(tmp_path: Path, leaf: dict, says: str) -> None:
    inner = {"type": "object", "properties": {"b": leaf}}
    (tmp_path / "schema.json").write_text(json.dumps({"type": "object", "properties": {"a": inner}}))
    with pytest.raises(click.ClickException) as error:
        read_master(tmp_path / "schema.json")
    assert error.value.message.startswith(f"{tmp_path}/schema.json: {says}")


# TOON


def test_a_record_as_toon_by_hand() -> None:
    case = record(
        famille__defunt__nom="Marcel Perrin",
        famille__defunt__date_deces="2022-07-21",
        famille__enfants=[{"nom": "Léa Perrin", "age": 31}, {"nom": "Hugo Perrin", "age": 28}],
        contexte__conflit=True,
    )
    text = encode(case)
    assert text.splitlines() == [
        "famille:",
        "  defunt:",
        "    nom: Marcel Perrin",
        "    date_deces: 2022-07-21",
        "  enfants[2]{nom,age}:",
        "    Léa Perrin,31",
        "    Hugo Perrin,28",
        "contexte:",
        "  conflit: true",
    ]
    assert decode(text) == case
    assert VERSION == "1.2.0"  # another version may write another text: the data must then be made anew


@pytest.mark.parametrize("text", ["12", "true", "null", "2021-03-03", "a: b", "- x", " x", "", 'l\'été, "dit" \\n\n'])
def test_strings_stay_strings(text: str) -> None:
    assert decode(encode({"a": text, "b": [{"c": text}]})) == {"a": text, "b": [{"c": text}]}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), (1, 2), {1: "x"}, object(), "\ud800", date(2020, 1, 1)])
def test_what_would_read_back_as_another_record_is_not_encoded(value: Any) -> None:
    with pytest.raises(ToonError):
        encode({"a": value})


@pytest.mark.parametrize(
    ("text", "line"),
    [("a: 1\nb[2]: 1", 2), ("a: 1\na: 2", 2), ("a: 1\n\tb: 2", 2), ('a: "x', 1), ("- x", 0), ("[2]: 1,2", 0)],
)
def test_text_that_is_no_record_is_refused_with_its_line(text: str, line: int) -> None:
    with pytest.raises(ToonError) as error:
        decode(text)
    assert error.value.line == line
    assert str(error.value).startswith(f"line {line}: ") == bool(line)


# Drawn records


def test_names_tell_the_sex_and_are_not_given_twice() -> None:
    women, men = ({name for pool in pools.values() for name in pool} for pools in (people.WOMEN, people.MEN))
    assert not women & men
    assert not (women | men) & set(people.SURNAMES)
    assert (people.sex_of("Léa Morel"), people.sex_of("Jean-Louis Petit"), people.sex_of("X Y")) == ("f", "m", None)
    drawn = people.People(random.Random(0))
    names = [drawn.name() for _ in range(60)]
    assert len({name.split(" ")[0] for name in names}) == 60


@pytest.mark.parametrize(("first", "count"), [(0, 100), pytest.param(100, 3_000, marks=pytest.mark.soak)])
def test_drawn_records_keep_to_everything(first: int, count: int) -> None:
    fits = Counter()
    for seed in range(first, first + count):
        dimensions, target = drawn_once(seed)
        assert broken(target) == {}, seed
        assert decode(encode(target)) == target, seed
        assert VALIDATOR.is_valid(target), seed
        if dimensions.hard_negative_mode == "hors_perimetre":
            assert list(target["contexte"]) == ["domaine"]
            continue
        kinds = Counter(MASTER.leaves[path_of(place)].kind for place in flatten(target))
        amounts = {"sans_montant": kinds["montant"] == 0, "un_montant": kinds["montant"] <= 1}
        assert amounts.get(dimensions.amounts, True), seed
        assert dimensions.dates == "exactes" or not kinds["date"], seed
        assert dimensions.dates != "aucune" or not kinds["annee"], seed
        fits[not unfit(target, dimensions, MASTER)] += 1
    assert fits[True] > 0.75 * sum(fits.values())  # the others tell fewer amounts, or more facts, than were asked for


def test_each_topic_brings_its_own_branch() -> None:
    branches = {
        "assurance_vie": "assurance_vie.contrats",
        "entreprise_dutreil": "patrimoine.entreprise",
        "testament_legs": "liberalites.testament",
    }
    for topic, branch in branches.items():
        for seed in range(8):
            _, target = drawn(seed, topic=topic, second_topic=None, complexity="simple", hard_negative_mode=None)
            assert any(place.startswith(branch) for place in flatten(target)), (topic, seed)


def test_records_follow_the_convention_of_the_hand_made_ones() -> None:
    """source/README.md: what is told only where it is so, and who asks is in the family."""
    for seed in range(100):
        dimensions, target = drawn_once(seed)
        context = target["contexte"]
        if "domaine" in context:
            continue
        assert context["demandeur"]["qualite"] == dimensions.persona
        assert context.get("conflit") in (None, True)
        assert dimensions.form != "message_conflictuel" or context["conflit"]
        assert context.get("succession_ouverte") in (None, False)
        assert dimensions.persona != "notaire" or dimensions.is_alive or context["notaire_saisi"]
        named = context["demandeur"].get("nom")
        if dimensions.persona == "fratrie" and named:
            assert named in {one.get("nom") for one in target["famille"]["fratrie"]}


def test_where_nobody_has_died_nothing_tells_of_a_death() -> None:
    for seed in range(30):
        _, target = drawn(seed, complexity="hard_negative", hard_negative_mode="pas_de_deces_clair", second_topic=None)
        places = {path_of(place) for place in flatten(target)}
        assert not {"famille.defunt.date_deces", "famille.defunt.annee_deces", "famille.defunt.age_au_deces"} & places
        assert not any(place.startswith("operations_de_partage.options") for place in places)


def test_where_facts_are_missing_the_key_ones_are() -> None:
    for seed in range(30):
        _, target = drawn(seed, complexity="hard_negative", hard_negative_mode="infos_incompletes", second_topic=None)
        assert not {"date_deces", "annee_deces", "etat_civil"} & set(target.get("famille", {}).get("defunt", {}))
        assert "nombre_enfants" not in target.get("famille", {})


def test_what_is_told_in_two_ways_is_left_out_and_either_way_fits() -> None:
    places = Counter()
    for seed in range(40):
        dimensions, target = drawn(seed, complexity="hard_negative", hard_negative_mode="faits_contradictoires")
        found = contradictions(target, dimensions)
        assert found == contradictions(target, dimensions)
        assert 1 <= len(found) <= 2
        for one in found:
            places[one.place] += 1
            leaf = MASTER.leaves[path_of(one.place)]
            assert one.first != one.second
            assert leaf.problem(one.first) is leaf.problem(one.second) is None
            assert one.place not in flatten(target)
            assert leaf.kind != "date" or dimensions.dates == "exactes"
            assert leaf.kind != "montant" or dimensions.amounts in ("plusieurs_montants", "montants_et_dates")
            for value in (one.first, one.second):
                told = json.loads(json.dumps(target))
                *above, name = one.place.replace("]", "").replace("[", ".").split(".")
                node: Any = told
                for step in above:
                    node = node[int(step) if step.isdigit() else step]
                node[name] = value
                assert broken(told) == {}, (seed, one)
    assert len(places) >= 5


def test_only_contradictory_cases_contradict() -> None:
    dimensions, target = drawn(5, complexity="simple", hard_negative_mode=None)
    assert contradictions(target, dimensions) == []


def test_the_same_seed_is_the_same_target_and_another_is_another() -> None:
    assert drawn(17) == drawn(17)
    assert len({encode(drawn(seed)[1]) for seed in range(40)}) > 37


def test_signatures_tell_combinations_apart() -> None:
    one, other = drawn(1)[0], drawn(2)[0]
    assert one.signature() == Dimensions(**vars(one)).signature() != other.signature()


def test_a_target_that_does_not_fit_is_told_why() -> None:
    dimensions, target = drawn(
        1, topic="assurance_vie", second_topic=None, complexity="simple", hard_negative_mode=None, length="moyen"
    )
    assert unfit(target, dimensions, MASTER) == []
    spoilt = {**target, "patrimoine": {"biens": []}, "famille": {"nombre_enfants": -1}}
    said = "\n".join(unfit(spoilt, dimensions, MASTER))
    assert "patrimoine.biens: is empty" in said
    assert "nombres_positifs" in said


def test_shipped_records_reach_nearly_every_leaf() -> None:
    """What no record tells no adapter learns."""
    by_hand = {path_of(place) for record in SHIPPED for place in flatten(record)}
    written = [decode(row["target_toon"]) for row in read_jsonl(RECIPE / "source/cases.jsonl")]
    told = {path_of(place) for record in written for place in flatten(record)}
    assert by_hand == set(MASTER.leaves)
    assert len(told) > 0.93 * len(MASTER.leaves), sorted(set(MASTER.leaves) - told)


def test_a_master_is_read_once_for_all(tmp_path: Path) -> None:
    with pytest.raises(click.ClickException, match="is missing"):
        read_master(tmp_path / "schema.json")
    assert isinstance(MASTER, Master)
