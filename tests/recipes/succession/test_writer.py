"""The offline writer: every leaf is said, in each voice, and its words follow from what it says."""

import dataclasses
import random
import re
from typing import Any

import pytest

from recipes.succession.corpus.checks import check_case
from recipes.succession.corpus.dimensions import Dimensions
from recipes.succession.corpus.draw import draw_target
from recipes.succession.corpus.frames import read_frame
from recipes.succession.corpus.noise import add_noise, keep
from recipes.succession.corpus.voice import CannotWrite
from recipes.succession.corpus.writer import write_case
from recipes.succession.records.schema import Leaf, Record, flatten, path_of, read_master
from tests.conftest import ROOT
from tests.recipes.succession.making import any_dimensions
from tuneline.ordering.checks import Known, count_words
from tuneline.ordering.shares import read_shares

RECIPE = ROOT / "recipes" / "succession"
MASTER = read_master(RECIPE / "schema.json")
SHARES = read_shares(RECIPE / "dimensions.yaml")
PLAIN = Dimensions(
    "enfant", "troisieme_personne", "recit_libre", "moyen", "propre", "plusieurs_montants", "exactes", "simple", None,
    "ordre_heritiers", None,
)  # fmt: skip
VOICES = {
    "je": {"voice": "premiere_personne"},
    "il": {"voice": "troisieme_personne"},
    "note": {"voice": "note_dossier", "form": "note_professionnelle"},
}
VALUES = {
    "nom": "Léa Garnier", "denomination": "Banque du Lac", "lieu": "Angers", "libelle": "comptable", "montant": 12_000,
    "part": 0.25, "annee": 2011, "age": 61, "duree": 14, "nombre": 3, "date": "2012-05-01", "boolean": True,
}  # fmt: skip
# What makes an item or a fact that is never told alone.
WITH: dict[str, Any] = {
    "lien": "enfant", "lien_donataire": "enfant", "droit": "usufruit",
}  # fmt: skip


def write(seed: int) -> tuple[Dimensions, Record, str]:
    rng = random.Random(seed)
    dimensions = any_dimensions(rng)
    target = draw_target(dimensions, MASTER, rng)
    return dimensions, target, write_case(target, dimensions, MASTER, random.Random(seed))


@pytest.fixture(scope="module")
def cases() -> list[tuple[Dimensions, Record, str]]:
    return [write(seed) for seed in range(70)]


def test_drawn_targets_are_written_and_accepted(cases):
    known, short = Known(), 0
    for dimensions, target, text in cases:
        found = [one.reason for one in check_case(text, target, dimensions, MASTER, known, SHARES.words["length"])]
        assert set(found) <= {"near_duplicate", "duplicate", "too_short", "too_long"}, (text, found)
        short += bool({"too_short", "too_long"} & set(found))
        known.add(text)
    assert short <= 0.05 * len(cases)  # of the rarest combinations


def test_texts_are_clean(cases):
    for dimensions, _, text in cases:
        assert not re.search(r"[{}<>|\ue000\ue001]", text), text
        if dimensions.noise == "propre":
            assert not re.search(r"\.\.| [,.]|,\.|;\.|  |, ?:|\b(le|la|de|que|et|à) \1\b", text), text
            assert not re.search(r"\b(?:de|que) (?=[AEÉIOU]|Yv)|\bde les? |\bà les? |\bmoi (?:est|a)\b", text), text


def test_a_texts_length_follows_from_what_it_says(cases):
    shares = [count_words(text) / len(flatten(target)) for of, target, text in cases if of.hard_negative_mode is None]
    assert 4 < sum(shares) / len(shares) < 10
    assert max(shares) < 20


def test_the_same_state_gives_the_same_text():
    assert write(7)[2] == write(7)[2]


# Every leaf has its words, and another value has others


def alone(leaf: Leaf, value: Any) -> Record:
    """A record with one leaf."""
    record: Record = {}
    node = record
    *above, name = leaf.path.split(".")
    for step in above:
        key = step.removesuffix("[]")
        node[key] = [{}] if step.endswith("[]") else {}
        node = node[key][0] if step.endswith("[]") else node[key]
    node[name] = value
    return record


def values_of(leaf: Leaf) -> list[Any]:
    if leaf.type == "boolean":
        return [True, False]
    return list(leaf.values) or [VALUES[leaf.kind]]


@pytest.mark.parametrize("path", MASTER.leaves)
def test_every_value_of_every_leaf_has_its_words(path: str):
    leaf = MASTER.leaves[path]
    told = ("contexte.demandeur.qualite", "contexte.succession_ouverte", "contexte.domaine", "contexte.etape")
    if path in told:
        return  # who asks and whether somebody died are told by the whole text
    for voice, of in VOICES.items():
        texts = set()
        for value in values_of(leaf):
            record = alone(leaf, value)
            record.setdefault("contexte", {}).setdefault("demandeur", {}).setdefault("qualite", "enfant")
            texts.add(write_case(record, dataclasses.replace(PLAIN, **of), MASTER, random.Random(3)))
        assert len(texts) == len(values_of(leaf)), (voice, texts)


@pytest.mark.parametrize("role", ["conjoint", "partenaire_pacs", "concubin"])
def test_a_survivor_who_speaks(role: str):
    for path in (path for path in MASTER.leaves if path.startswith(f"famille.{role}.")):
        for value in values_of(MASTER.leaves[path]):
            record = alone(MASTER.leaves[path], value)
            record["contexte"] = {"demandeur": {"nom": "Léa Garnier", "qualite": role}}
            spoken = dataclasses.replace(PLAIN, persona=role, voice="premiere_personne")
            text = write_case(record, spoken, MASTER, random.Random(4))
            assert re.search(r"\b(je|j'|mon|ma|nous|moi)", text, re.IGNORECASE)


def test_what_no_frame_says_is_an_error():
    with pytest.raises(CannotWrite, match="nothing says"):
        write_case({"famille": {"concubin": {"couleur": "rouge"}}}, PLAIN, MASTER, random.Random(1))


# Frames and noise


def test_frames():
    frame = read_frame("existe=true forme=olographe date @je | il y a un testament du {date} | Testament du {date}.")
    assert frame.leaves == {"existe": "true", "forme": "olographe", "date": None}
    told = {"existe": True, "forme": "olographe", "date": "2020-01-01"}
    assert frame.fits(told, frozenset({"je", "mort"}))
    assert not frame.fits(told, frozenset({"il"}))
    assert not frame.fits({**told, "existe": False}, frozenset({"je"}))
    assert frame.note == "Testament du {date}."
    with pytest.raises(ValueError, match="is no"):
        read_frame("@je | rien")


@pytest.mark.parametrize("noise", SHARES.values["noise"])
def test_noise_spares_what_is_kept(noise: str):
    text = f"Nous étions à {keep('Évreux')} quand la succession de {keep('Hélène Lefèvre')} a été ouverte. " * 20
    written = add_noise(text, noise, random.Random(2))
    assert written.count("Évreux") == written.count("Hélène Lefèvre") == 20
    is_faulty = noise not in ("propre", "ambigu")
    assert (written != re.sub("[\ue000\ue001]", "", text)) == is_faulty


def test_a_word_after_a_hyphen_keeps_its_letters():
    written = add_noise("Que peut-on faire ? Comment tient-on compte ? " * 50, "tres_brouillon", random.Random(3))
    assert written.lower().count("-on ") == 100


@pytest.mark.parametrize(("count", "said"), [(1, "élevé"), (3, "élevés")])
def test_a_participle_agrees_with_several(count: int, said: str):
    children = (
        [{"nombre": count, "eleve_par_le_defunt": True}]
        if count > 1
        else [{"nom": "Luc Petit", "eleve_par_le_defunt": True}]
    )
    record = {"famille": {"defunt": {"nom": "Guy Tessier", "annee_deces": 2020}, "beaux_enfants": children}}
    texts = [write_case(record, PLAIN, MASTER, random.Random(seed)) for seed in range(20)]
    assert any(re.search(rf"\b{said}\b", text) for text in texts)
    assert not any(re.search(r"\bélevés?\b", text) and not re.search(rf"\b{said}\b", text) for text in texts)


def test_distractors_are_no_facts_of_the_record(cases):
    """Some amounts of a text are another estate's, which is what a reader must tell apart."""
    others = 0
    for _, target, text in cases:
        told = {value for place, value in flatten(target).items() if MASTER.leaves[path_of(place)].kind == "montant"}
        said = {float(re.sub(r"[\s.]", "", one)) for one in re.findall(r"(\d[\d.\s]*)\s?(?:€|euros)", text)}
        others += bool(said - told)
    assert 0.15 * len(cases) < others < 0.8 * len(cases)
