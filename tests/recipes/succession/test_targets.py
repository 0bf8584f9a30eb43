"""The master schema, TOON, and 10,000 targets that keep to the schema and all the rules."""

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
from recipes.succession.corpus.targets import (
    TOPICS,
    WITH,
    Dimensions,
    contradictions,
    draw_target,
    leaf_range,
    on_topic,
    unfit,
)
from recipes.succession.corpus.world import draw_world
from recipes.succession.records.rules import broken
from recipes.succession.records.schema import Master, flatten, path_of, read_master
from tests.conftest import ROOT
from tests.recipes.succession.making import record
from tuneline.recipe.toon import VERSION, ToonError, decode, encode

RECIPE = ROOT / "recipes/succession"
MASTER = read_master(RECIPE / "schema.json")
ASKED = yaml.safe_load((RECIPE / "dimensions.yaml").read_text("utf-8"))
SHARES = ASKED["shares"]
VALIDATOR = Draft202012Validator(
    json.loads((RECIPE / "schema.json").read_text("utf-8")), format_checker=FormatChecker(formats=["date"])
)
FREE = ("persona", "voice", "form", "length", "noise", "amounts", "dates", "complexity")


def any_dimensions(rng: random.Random) -> Dimensions:
    """Every value as likely as any other, so that rare combinations are met too."""
    drawn = {name: rng.choice(list(SHARES[name])) for name in FREE}
    if drawn["amounts"] == "montants_et_dates" and drawn["dates"] == "aucune":
        drawn["dates"] = "exactes"
    mode = rng.choice(list(SHARES["hard_negative_mode"])) if drawn["complexity"] == "hard_negative" else None
    first, second = rng.sample(list(SHARES["topic"]), 2)
    always = drawn["complexity"] in ASKED["second"]["second_topic"]["always"]["complexity"]
    topics = (first, second if always or rng.random() < 0.5 else None)
    return Dimensions(**drawn, hard_negative_mode=mode, topic=topics[0], second_topic=topics[1])


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


def test_shares_sum_to_a_hundred_and_personas_are_the_schemas() -> None:
    for name in (*FREE, "hard_negative_mode", "topic"):
        assert sum(SHARES[name].values()) == 100
    assert tuple(SHARES["persona"]) == MASTER.leaves["contexte.demandeur.qualite"].values
    assert set(SHARES["topic"]) == set(TOPICS)
    assert set(ASKED["words"]["length"]) == set(SHARES["length"])


def test_paths_in_the_tables_are_the_schemas() -> None:
    paths = {path.split("=")[0] for groups in TOPICS.values() for group in groups for path in group}
    paths |= {*WITH, *(path for others in WITH.values() for path in others)}
    assert paths <= set(MASTER.leaves)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"famille": {"defunt": {"nom": None}}}, ["famille.defunt.nom: is null, not a string"]),
        ({"famille": {"defunt": {"nom": "  "}}}, ["famille.defunt.nom: is an empty string"]),
        ({"famille": {"defunt": {}}}, ["famille.defunt: is empty; leave it out"]),
        ({"famille": {"enfants": []}}, ["famille.enfants: is empty; leave it out"]),
        ({"famille": {"enfants": [{"age": 3}]}}, ["famille.enfants[0]: has no nom"]),
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
    """On worlds with one value replaced: both find something, or both nothing."""
    rng = random.Random(3)
    values = [None, True, 0, 2.5, "olographe", "2020-02-29", "2021-02-29", "maison", {}, [], {"nom": "A B"}, ["x"]]
    verdicts = Counter()
    for _ in range(400):
        world = draw_world(rng.choice(list(SHARES["persona"])), rng.sample(list(TOPICS), 2), rng)
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
    assert min(verdicts[True], verdicts[False]) > 50


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


# Worlds and targets


def test_worlds_are_coherent_with_any_of_their_leaves() -> None:
    """Taking leaves out breaks no rule, those that excuse apart."""
    excuses = ("decede", "renoncant", "option", "loi_applicable", "loi_choisie")
    for seed in range(400):
        rng = random.Random(seed)
        world = draw_world(rng.choice(list(SHARES["persona"])), rng.sample(list(TOPICS), 2), rng)
        assert broken(world) == {}
        assert MASTER.problems(world) == []
        for place in rng.sample(list(flatten(world)), 30):
            *above, name = place.replace("]", "").replace("[", ".").split(".")
            node: Any = world
            for step in above:
                node = node[int(step) if step.isdigit() else step]
            if name not in excuses:
                del node[name]
        assert broken(world) == {}


def test_names_tell_the_sex_and_are_not_given_twice() -> None:
    women, men = ({name for pool in pools.values() for name in pool} for pools in (people.WOMEN, people.MEN))
    assert not women & men
    assert not (women | men) & set(people.SURNAMES)
    assert (people.sex_of("Léa Morel"), people.sex_of("Jean-Louis Petit"), people.sex_of("X Y")) == ("f", "m", None)
    drawn = people.People(random.Random(0))
    names = [drawn.name() for _ in range(60)]
    assert len({name.split(" ")[0] for name in names}) == 60


@pytest.mark.parametrize(
    ("first", "count"),
    [(0, 2_000), *(pytest.param(at, 2_000, marks=pytest.mark.soak) for at in range(2_000, 10_000, 2_000))],
)
def test_ten_thousand_targets_keep_to_everything(first: int, count: int) -> None:
    for seed in range(first, first + count):
        dimensions, target = drawn_once(seed)
        leaves = flatten(target)
        kinds = Counter(MASTER.leaves[path_of(place)].kind for place in leaves)
        mode = dimensions.hard_negative_mode
        assert broken(target) == {}, seed
        assert decode(encode(target)) == target, seed
        if seed % 8 == 0:
            assert VALIDATOR.is_valid(target), seed
        low, high = leaf_range(dimensions)
        assert low <= len(leaves) <= high, seed
        if mode == "hors_perimetre":
            assert set(target) == {"contexte"}
            assert target["contexte"]["domaine"] != "succession"
            continue
        assert all(on_topic(target, topic) for topic in dimensions.topics), seed
        expected = {"sans_montant": kinds["montant"] == 0, "un_montant": kinds["montant"] == 1}
        assert expected.get(dimensions.amounts, kinds["montant"] >= 2), seed
        told = {
            "aucune": not kinds["date"] + kinds["annee"],
            "approximatives": not kinds["date"] and kinds["annee"] + kinds["age"] + kinds["duree"] > 0,
            "exactes": kinds["date"] > 0,
        }
        assert told[dimensions.dates], seed


def test_each_topic_brings_its_own_branch() -> None:
    """By hand, apart from the module's table."""
    branches = {
        "assurance_vie": "assurance_vie.contrats",
        "donations_reduction": "liberalites.donations",
        "entreprise_dutreil": "patrimoine.entreprise",
        "dettes_passif": "patrimoine.dettes",
        "demembrement_usufruit": "patrimoine.demembrement",
    }
    for topic, branch in branches.items():
        for seed in range(60):
            _, target = drawn(seed, topic=topic, second_topic=None, complexity="simple", hard_negative_mode=None)
            assert any(place.startswith(branch) for place in flatten(target)), (topic, seed)


def test_who_asks_is_who_the_persona_says() -> None:
    lists = {
        "enfant": "enfants",
        "petit_enfant": "petits_enfants",
        "beau_enfant": "beaux_enfants",
        "fratrie": "fratrie",
    }
    met = Counter()
    for persona in SHARES["persona"]:
        for seed in range(40):
            _, target = drawn(seed, persona=persona, complexity="intermediaire", hard_negative_mode=None)
            asks = target["contexte"]["demandeur"]
            assert asks["qualite"] == persona
            if persona in lists and "nom" in asks:
                assert asks["nom"] in [one["nom"] for one in target["famille"][lists[persona]]]
                met[persona] += 1
            if persona in ("conjoint", "partenaire_pacs", "concubin") and "nom" in asks:
                assert target["famille"][persona]["nom"] == asks["nom"]
                met[persona] += 1
    assert min(met.values()) > 5
    assert len(met) == 7


def test_where_there_is_no_clear_death_nothing_tells_of_one() -> None:
    for seed in range(200):
        _, target = drawn(seed, complexity="hard_negative", hard_negative_mode="pas_de_deces_clair", second_topic=None)
        places = set(map(path_of, flatten(target)))
        assert "defunt" not in target.get("famille", {})
        assert not any("deces" in place.rsplit(".", 1)[-1] and "annee_deces" not in place for place in places), places
        assert not any(place.startswith("operations_de_partage.options") for place in places)


def test_where_facts_are_missing_the_key_ones_are() -> None:
    for seed in range(200):
        _, target = drawn(seed, complexity="hard_negative", hard_negative_mode="infos_incompletes", second_topic=None)
        assert not {"date_deces", "annee_deces", "situation"} & set(target.get("famille", {}).get("defunt", {}))
        assert "nombre_enfants" not in target.get("famille", {})


def test_what_is_told_in_two_ways_is_left_out_and_either_way_fits() -> None:
    places = Counter()
    for seed in range(300):
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
    assert len(places) >= 10


def test_only_contradictory_cases_contradict() -> None:
    dimensions, target = drawn(5, complexity="simple", hard_negative_mode=None)
    assert contradictions(target, dimensions) == []


def test_the_same_seed_is_the_same_target_and_another_is_another() -> None:
    assert drawn(17) == drawn(17)
    assert len({encode(drawn(seed)[1]) for seed in range(300)}) > 295


def test_signatures_tell_combinations_apart() -> None:
    one, other = drawn(1)[0], drawn(2)[0]
    assert one.signature() == Dimensions(**vars(one)).signature() != other.signature()


def test_a_target_that_does_not_fit_is_told_why() -> None:
    dimensions, target = drawn(
        1, topic="assurance_vie", second_topic=None, complexity="simple", hard_negative_mode=None
    )
    assert unfit(target, dimensions, MASTER) == []
    spoilt = {**target, "patrimoine": {"biens": []}, "famille": {"nombre_enfants": -1}}
    del spoilt["assurance_vie"]
    said = "\n".join(unfit(spoilt, dimensions, MASTER))
    assert "patrimoine.biens: is empty" in said
    assert "nombres_positifs" in said
    assert "not about assurance_vie" in said


def test_targets_reach_nearly_every_leaf() -> None:
    """What no target tells no adapter learns."""
    told = {path_of(place) for seed in range(2_000) for place in flatten(drawn_once(seed)[1])}
    assert len(told) > 0.93 * len(MASTER.leaves), sorted(set(MASTER.leaves) - told)


def test_a_master_is_read_once_for_all(tmp_path: Path) -> None:
    with pytest.raises(click.ClickException, match="is missing"):
        read_master(tmp_path / "schema.json")
    assert isinstance(MASTER, Master)
    assert MASTER.identities["famille.enfants[]"] == ("nom",)
