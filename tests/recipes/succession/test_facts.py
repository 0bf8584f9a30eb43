"""What a case must say: French numbers, the facts that a text says or lacks, what is refused."""

import random
import re

import pytest
from num2words import num2words

from recipes.succession.corpus.checks import check_case, field_dump
from recipes.succession.corpus.dimensions import Dimensions
from recipes.succession.corpus.facts import Reading, facts_of, missing_facts
from recipes.succession.records.schema import flatten, read_master
from recipes.succession.specs.coverage import read_coverage
from recipes.succession.specs.e2e_cases import gather, read_gold
from tests.conftest import ROOT
from tuneline.ordering.checks import Known, Refusal
from tuneline.ordering.shares import read_shares

RECIPE = ROOT / "recipes" / "succession"
MASTER = read_master(RECIPE / "schema.json")
WORDS = read_shares(RECIPE / "dimensions.yaml").words["length"]


def nested(place: str, value):
    """The record whose only leaf is at `place`."""
    record = value
    for step in reversed(re.findall(r"\w+|\[0\]", place)):
        record = [record] if step == "[0]" else {step: record}
    return record


def is_said(place: str, value, text: str) -> bool:
    return not missing_facts(nested(place, value), text, MASTER)


# Numbers in words


def slow_words(number: int) -> str:
    """Another way to the same words: one place at a time, from a table of all below a hundred."""
    table = "zéro un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize".split()
    table += ["dix-sept", "dix-huit", "dix-neuf"]
    for ten, last in (("vingt", 9), ("trente", 9), ("quarante", 9), ("cinquante", 9), ("soixante", 19)):
        table += [ten] + [f"{ten} et {table[n]}" if n in (1, 11) else f"{ten}-{table[n]}" for n in range(1, last + 1)]
    table += ["quatre-vingts"] + [f"quatre-vingt-{table[n]}" for n in range(1, 20)]
    if number < 100:
        return table[number]
    if number < 1_000:
        many = f"{table[number // 100]} " if number >= 200 else ""
        rest = number % 100
        return f"{many}cent {table[rest]}" if rest else f"{many}cent{'s' if many else ''}"
    above = "" if number < 2_000 else slow_words(number // 1_000)
    above = re.sub(r"(cent|vingt)s$", r"\1", above)
    return " ".join(part for part in (above, "mille", slow_words(number % 1_000) if number % 1_000 else "") if part)


def amounts(text: str) -> set[float]:
    return set(Reading(f"{text} euros").amounts)


def test_every_number_to_ten_thousand_is_written_and_read():
    for number in range(10_001):
        said = num2words(number, lang="fr")
        assert said == slow_words(number)
        assert amounts(said) == amounts(said.replace(" ", "-")) == amounts(said.replace("-", " ")) == {number}, said


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (80_000, "quatre-vingt mille"),
        (200_000, "deux cent mille"),
        (281_071, "deux cent quatre-vingt-un mille soixante et onze"),
        (1_000_000, "un million"),
        (2_300_080, "deux millions trois cent mille quatre-vingts"),
        (200_000_000, "deux cents millions"),
        (999_999_999, "neuf cent quatre-vingt-dix-neuf millions neuf cent quatre-vingt-dix-neuf mille neuf cent "
         "quatre-vingt-dix-neuf"),
    ],
)  # fmt: skip
def test_large_numbers(number: int, said: str):
    assert num2words(number, lang="fr") == said
    assert amounts(said) == {number}


def test_words_that_are_no_one_number():
    assert amounts("deux trois") == {2, 3}
    assert amounts("vingt et deux") == {20, 2}
    assert amounts("cent et deux cents") == {100, 200}
    assert amounts("maison") == amounts("des millions d'") == amounts("cents") == set()
    assert amounts("septante huit") == {78}
    assert amounts("quatre vingt onze") == {91}


# Facts that are said, and others that are not

NAME, AMOUNT, DAY = "famille.defunt.nom", "patrimoine.passif", "famille.defunt.date_deces"
YEAR, AGE, PART = "famille.defunt.annee_deces", "famille.defunt.age_au_deces", "famille.conjoint.part_en_propriete"
SAID = [
    (NAME, "Marcel Garnier", "Mon père, Marcel Garnier, est mort."),
    (NAME, "Marcel Garnier", "GARNIER Marcel, décédé"),
    (NAME, "Hélène Lefèvre", "la succession d'helene lefevre"),
    (NAME, "Jean-Pierre Guérin", "M. Jean Pierre GUÉRIN nous a quittés"),
    (NAME, "Léa Garnier", "ses enfants Léa et Hugo Garnier"),
    (NAME, "Léa Garnier", "les Garnier, à savoir Léa, Hugo et Zoé"),
    (NAME, "Œuvrard Cœur", "Oeuvrard Coeur"),
    (NAME, "Agnès de La Tour", "l'épouse d’Agnès de la Tour"),
    (AMOUNT, 12_000, "il reste 12 000 € de dettes"),
    (AMOUNT, 12_000, "il reste 12\u202f000\xa0€"),
    (AMOUNT, 12_000, "12.000 euros"),
    (AMOUNT, 12_000, "12000"),
    (AMOUNT, 12_000, "12k€"),
    (AMOUNT, 12_000, "12 K€ environ"),
    (AMOUNT, 12_000, "douze mille euros"),
    (AMOUNT, 12_000, "12 mille euros"),
    (AMOUNT, 150_000, "150 000 EUR"),
    (AMOUNT, 1_200_000, "1,2 M€"),
    (AMOUNT, 1_200_000, "1,2 million d'euros"),
    (AMOUNT, 1_200_000, "un million deux cent mille euros"),
    (AMOUNT, 1_500_000, "un million et demi"),
    (AMOUNT, 2_000, "une dette de 2000 €"),
    (AMOUNT, 281_071, "Deux-cent-quatre-vingt-un mille soixante-et-onze euros"),
    (AMOUNT, 1_234.5, "1 234,50 €"),
    ("patrimoine.biens[0].loyer_mensuel", 850, "un loyer de 850 par mois"),
    (AMOUNT, 150_000, "en 2021, 150 000 €"),
    (AMOUNT, 12_000, "entre 12 000 et 15 000 €"),
    (DAY, "2021-03-03", "le 3 mars 2021"),
    (DAY, "2021-03-03", "mercredi 3 Mars 2021"),
    (DAY, "2021-03-03", "le 03/03/2021"),
    (DAY, "2021-03-03", "3/3/21"),
    (DAY, "2021-03-03", "03.03.2021"),
    (DAY, "2021-03-03", "2021-03-03"),
    (DAY, "2021-08-01", "le 1er août 2021"),
    (DAY, "2021-08-01", "le premier août 2021, enfin le 1 aout 2021"),
    (DAY, "2021-02-22", "le 22 févr. 2021"),
    (DAY, "2021-03-03", "le trois mars deux mille vingt et un"),
    (DAY, "1998-12-21", "le vingt et un décembre mille neuf cent quatre-vingt-dix-huit"),
    (YEAR, 2019, "il est mort en 2019"),
    (YEAR, 2019, "depuis mars 2019"),
    (YEAR, 2011, "la ferme en 2011, 380 000 € à l'époque"),
    (YEAR, 1998, "en 98"),
    (YEAR, 1998, "en mille neuf cent quatre-vingt-dix-huit"),
    (AGE, 82, "à 82 ans"),
    (AGE, 82, "âgé de quatre-vingt-deux ans"),
    (AGE, 82, "âgés de 82 et 79 ans"),
    (PART, 0.25, "un quart en propriété"),
    (PART, 0.25, "le quart"),
    (PART, 0.25, "1/4"),
    (PART, 0.25, "25 %"),
    (PART, 0.25, "vingt-cinq pour cent"),
    (PART, 0.25, "0,25"),
    (PART, 0.75, "les trois quarts"),
    (PART, 0.75, "75 parts sur 100"),
    (PART, 0.5, "la moitié"),
    (PART, 0.3333, "un tiers"),
    (PART, 0.3333, "33,33 %"),
    (PART, 0.6667, "les deux tiers"),
    (PART, 0.1667, "un sixième"),
    (PART, 1, "la totalité de la succession"),
    ("indivision.duree_occupation_mois", 24, "depuis deux ans"),
    ("indivision.duree_occupation_mois", 18, "depuis 18 mois"),
    ("indivision.duree_occupation_mois", 27, "pendant deux ans et trois mois"),
    ("famille.concubin.duree_vie_commune", 15, "quinze années de vie commune"),
    ("contexte.demandeur.commune", "Saint-Malo", "j'habite à St Malo"),
    ("liberalites.testaments[0].legs[0].association", "Les Amis du Vieux Port", "pour les amis du vieux port"),
    (YEAR, 2021, "morte en 2021, à 70 ans"),
    (AGE, 70, "morte en 2021, à 70 ans"),
    (PART, 0.6667, "pour deux tiers à mon frère"),
    (PART, 0.3333, "et pour un tiers à moi"),
    ("famille.conjoint.regime_matrimonial", "regime_etranger", "restés sous le régime tunisien"),
    (
        "famille.conjoint.regime_matrimonial",
        "separation_de_biens_avec_societe_d_acquets",
        "séparés de biens avec société d'acquêts",
    ),
    # Dates
    (DAY, "2021-03-01", "mort le premier mars 2021"),
    (DAY, "2021-03-01", "mort le 1er mars 2021"),
    (DAY, "2021-03-03", "opéré les 3 et 5 mars 2021"),
    (DAY, "2021-03-05", "opéré les 3 et 5 mars 2021"),
    (DAY, "2021-03-03", "hospitalisé du 3 au 5 mars 2021"),
    (DAY, "2021-03-03", "le 3 mars, en 2021"),
    (DAY, "2020-01-09", "le 9 janvier de l'année 2020"),
    (DAY, "2021-03-03", "mars 2021, le 3"),
    (DAY, "2021-03-03", "2021/03/03"),
    (DAY, "2021-03-03", "décès : 03 03 2021"),
    (DAY, "2021-07-03", "le 3 juill. 2021"),
    (DAY, "2021-03-03", "3 mars '21"),
    (DAY, "2021-03-03", "le 3 mars 21"),
    (DAY, "1999-12-31", "le trente-et-un décembre dix-neuf cent quatre-vingt-dix-neuf"),
    (DAY, "1999-12-31", "le trente et un décembre mil neuf cent quatre-vingt-dix-neuf"),
    (DAY, "2021-03-03", "le trois mars deux mille vingt-et-un"),
    (DAY, "1921-03-03", "née le 3 mars 21"),
    (DAY, "2021-05-08", "08.05.2021"),
    (DAY, "2021-05-08", "8-5-2021"),
    (YEAR, 1999, "en dix-neuf cent quatre-vingt-dix-neuf"),
    (YEAR, 2020, "fin 2020"),
    (YEAR, 2020, "mariés en 2020"),
    # Amounts
    (AMOUNT, 1_200_000, "1,2 M d'euros"),
    (AMOUNT, 1_200_000, "1,2M€"),
    (AMOUNT, 250_000, "de 250-260 k€"),
    (AMOUNT, 260_000, "de 250-260 k€"),
    (AMOUNT, 250_000, "entre 250 et 260 000 €"),
    (AMOUNT, 2_000, "j'ai payé 2000"),
    (AMOUNT, 1_950, "la facture fait 1950"),
    (AMOUNT, 84.5, "il restait 84€50"),
    (AMOUNT, 1_200_000_000, "1,2 Md€"),
    (AMOUNT, 1_200, "douze cents euros"),
    (AMOUNT, 12_000, "12 milles euros"),
    (AMOUNT, 250_000, "250,000 €"),
    (AMOUNT, 250_000, "250.000,00 €"),
    (AMOUNT, 250_000, "250'000 euros"),
    (AMOUNT, 250_000, "€250 000"),
    (AMOUNT, 240_000, "240000 euros a peu près"),
    (AMOUNT, 150_000, "cent cinquante mille euros"),
    (AMOUNT, 1_500_000, "un million et demi d'euros"),
    (AMOUNT, 12_000, "12 K€"),
    (AMOUNT, 120_000, "120 000 € de passif"),
    (AMOUNT, 120_000, "un passif qui, d'après le notaire, atteint 120 000 €"),
    ("patrimoine.actif_brut", 120_000, "L'actif brut est de 120 000 €, le passif de 3 000 €."),
    ("patrimoine.passif", 3_000, "L'actif brut est de 120 000 €, le passif de 3 000 €."),
    ("patrimoine.passif", 3_000, "120 000 € d'actif brut et 3 000 € de passif"),
    ("patrimoine.passif", 3_000, "Pour 3 000 € de dettes, et un actif net de 12 000 €."),
    ("patrimoine.actif_net", -43_400, "l'actif net est négatif : moins 43 400 €"),
    # Names
    (NAME, "Jean-Pierre Martin", "M. J.-P. Martin"),
    (NAME, "Jean-Pierre Martin", "chez JP Martin"),
    (NAME, "Jean Martin", "chez J. Martin"),
    (NAME, "Maître Sauvan", "déposé chez Me Sauvan"),
    (NAME, "Me Sauvan", "déposé chez Maître Sauvan"),
    (NAME, "Odette Durand", "Mme Vve MARTIN née Odette Durand"),
    (NAME, "Jean Martin", "Jean MARTIN"),
    (NAME, "Anne d'Ormesson", "ORMESSON (d') Anne, ou Anne d’Ormesson"),
    (NAME, "Agnès de La Tour", "DE LA TOUR Agnès"),
    (NAME, "Luc Saint-Exupéry", "Luc St-Exupéry"),
    (NAME, "Hugo Garnier", "Léa et Hugo Garnier"),
    (NAME, "Rose Martin", "Mme Rose Martin, qui aimait une rose"),
    (NAME, "Rose Martin", "rose martin est morte hier"),
    (NAME, "Marcel Garnier", "Il ne répond pas. Marcel Garnier est mort."),
    (NAME, "Marcel Garnier", "Je ne sais pas si Marcel Garnier est mort."),
    # Shares
    (PART, 0.5, "à 50/50"),
    (PART, 0.75, "les trois-quarts"),
    (PART, 0.4, "quarante pourcents"),
    (PART, 0.02, "2 centièmes"),
    (PART, 0.7, "70 parts, sur les 100"),
    (PART, 0.6, "60 parts sur 100"),
    (PART, 0.3333, "33,33 %"),
    (PART, 0.3333, "un tiers de la maison"),
    (PART, 0.2, "à parts égales entre mes cinq enfants"),
    (PART, 0.25, "nous sommes quatre, à parts égales"),
    (PART, 1, "il en était seul propriétaire"),
    (PART, 1, "elle lui lègue tous ses biens"),
    (PART, 1, "elle prend tout"),
    (PART, 1, "le seul héritier"),
    # Ages and lengths
    (AGE, 63, "âgée de 63"),
    (AGE, 72, "Mme Petit, 72a"),
    (AGE, 1.5, "un bébé de dix-huit mois"),
    (AGE, 91, "dans sa 92e année"),
    (AGE, 91, "à 91 ans"),
    ("indivision.duree_occupation_mois", 24, "pendant vingt-quatre mois"),
    ("indivision.duree_occupation_mois", 18, "pendant un an et demi"),
    ("famille.concubin.duree_vie_commune", 17, "nous avons vécu 17 ans ensemble"),
    ("famille.concubin.duree_vie_commune", 17, "ensemble depuis dix-sept ans"),
    # Places
    ("contexte.demandeur.commune", "Le Mans", "j'habite au Mans"),
    ("contexte.demandeur.commune", "Le Havre", "j'habite au Havre"),
    ("contexte.demandeur.commune", "Le Havre", "la mairie du Havre"),
    ("contexte.demandeur.commune", "Les Sables-d'Olonne", "aux Sables d'Olonne"),
    ("contexte.demandeur.commune", "Villeneuve-sur-Lot", "à Villeneuve/Lot"),
    ("contexte.demandeur.commune", "Saint-Malo", "St Malo"),
    ("contexte.demandeur.commune", "Tours", "née à Tours en trois tours de cadran"),
    # Numbers of things, and the regime
    ("famille.nombre_enfants", 3, "trois enfants"),
    ("famille.nombre_enfants", 3, "ses 3 filles"),
    ("famille.nombre_enfants", 0, "il n'a jamais eu d'enfant"),
    ("famille.nombre_enfants", 0, "mort sans enfant"),
    ("famille.nombre_enfants", 1, "je suis fils unique"),
    ("famille.nombre_enfants", 1, "il laisse un fils"),
    ("patrimoine.entreprise.nombre_salaries", 32, "trente-deux salariés"),
    ("famille.conjoint.regime_matrimonial", "separation_de_biens", "mariés en séparation de biens"),
    ("famille.conjoint.regime_matrimonial", "communaute_reduite_aux_acquets", "mariés sous le régime légal"),
    ("famille.conjoint.regime_matrimonial", "participation_aux_acquets", "la participation aux acquêts"),
]  # fmt: skip
NOT_SAID = [
    (NAME, "Marcel Garnier", "Mon père, M. Garnier, est mort."),
    (NAME, "Marcel Garnier", "M. Garnier, M. G., est mort."),
    (NAME, "Marcel Garnier", "Marcel est mort."),
    (NAME, "Marcel Garnier", "Marcelle Garnier est morte."),
    (NAME, "Jean-Pierre Guérin", "Jean Guérin et Pierre Guérin"),
    (AMOUNT, 12_000, "il reste 1 200 €"),
    (AMOUNT, 12_000, "il reste 112 000 €"),
    (AMOUNT, 12_000, "il reste douze euros et mille soucis"),
    (AMOUNT, 12_000, "12"),
    (AMOUNT, 2_021, "il est mort en 2021"),
    (AMOUNT, 82, "à 82 ans"),
    (AMOUNT, 150_000, "150 €"),
    (AMOUNT, 31, "le 31 mars 2021"),
    (DAY, "2021-03-03", "en mars 2021"),
    (DAY, "2021-03-03", "le 3 mars"),
    (DAY, "2021-03-03", "le 3 avril 2021"),
    (DAY, "2021-03-04", "04/03/2012"),
    (DAY, "2021-03-03", "le 13 mars 2021"),
    (DAY, "2021-04-03", "2021-03-04"),
    (YEAR, 2019, "en 2018"),
    (YEAR, 2019, "2 019 €"),
    (AGE, 82, "28 ans"),
    (AGE, 82, "82 parts"),
    (PART, 0.25, "un tiers"),
    (PART, 0.25, "25 €"),
    (PART, 0.75, "un quart"),
    (PART, 0.6667, "un tiers"),
    (PART, 1, "un quart"),
    ("indivision.duree_occupation_mois", 24, "depuis 24 ans"),
    ("contexte.demandeur.commune", "Saint-Malo", "j'habite à Saint-Lô"),
    ("contexte.demandeur.commune", "Pau", "Paul et Pauline"),
    ("patrimoine.actif_brut", 120_000, "L'actif brut est de 3 000 €, le passif de 120 000 €."),
    ("patrimoine.passif", 3_000, "L'actif brut est de 3 000 €, le passif de 120 000 €."),
    ("patrimoine.passif", 120_000, "120 000 € d'actif brut et 3 000 € de passif"),
    ("patrimoine.actif_net", 12_000, "Passif : 12 000 €"),
    (NAME, "Jean Martin", "Ce n'est pas Jean Martin qui est mort le 3 mars 2021."),
    (DAY, "2021-03-03", "Ce n'est pas Jean Martin qui est mort le 3 mars 2021."),
    (DAY, "2021-03-03", "pas le 3 mars 2021 mais en avril"),
    (NAME, "Jean Martin", "ni Jean Martin ni personne"),
    (AMOUNT, 120_000, "il n'a ni 120 000 € ni maison"),
    (AMOUNT, 120_000, "et non 120 000 €"),
    ("contexte.demandeur.commune", "Cahors", "je n'habite pas à Cahors"),
    ("famille.nombre_enfants", 3, "mariée en communauté, sans enfant"),
    ("famille.nombre_enfants", 3, "deux enfants"),
    ("famille.nombre_enfants", 0, "deux enfants"),
    ("famille.conjoint.regime_matrimonial", "separation_de_biens", "mariée en communauté, sans enfant"),
    ("famille.conjoint.regime_matrimonial", "communaute_universelle", "mariés sous la séparation de biens"),
    (AMOUNT, 3, "trois enfants"),
    (AMOUNT, 10_000, "10 000 $"),
    (AMOUNT, 45_000, "45 000 francs suisses"),
    (AMOUNT, 2_019, "en 2019"),
    (PART, 0.3333, "un tiers conteste"),
    (PART, 0.25, "un quart de siècle"),
    (PART, 1, "tout va bien"),
    (PART, 1, "elle est seule"),
    (PART, 1, "c'est un cas unique"),
    (PART, 0.5, "à parts égales entre mes cinq enfants"),
    (PART, 0.25, "à parts égales entre mes cinq enfants"),
    (PART, 1, "à 50/50"),
    (AGE, 2, "il y a deux ans"),
    (AGE, 17, "depuis dix-sept ans"),
    (YEAR, 2020, "un solde de 2020"),
    (YEAR, 1921, "le 3 mars 21"),
    (DAY, "1921-03-03", "le 3 mars 21"),
    (NAME, "Rose Martin", "Mme Martin, que Léa aimait, aimait une rose."),
    (NAME, "Pierre Martin", "M. Martin, et la pierre que Léa tailla"),
    ("contexte.demandeur.commune", "Tours", "Mme Petit fit trois tours dans Paris."),
    ("contexte.demandeur.commune", "Vienne", "il faut, dit Mme Petit, que vienne Léa"),
    (NAME, "Jean Martin", "Jean-Marie Martin"),
    (NAME, "Marie Roche", "Marie-Claire et M. Roche"),
    (NAME, "Paul Pierre", "Pierre et Paul"),
]


@pytest.mark.parametrize(("place", "value", "text"), SAID)
def test_said(place: str, value, text: str):
    assert is_said(place, value, text)


@pytest.mark.parametrize(("place", "value", "text"), NOT_SAID)
def test_not_said(place: str, value, text: str):
    assert not is_said(place, value, text)


def test_a_first_name_before_another_surname_is_somebody_else():
    record = {"famille": {"enfants": [{"nom": "Léa Morel"}, {"nom": "Hugo Garnier"}]}}
    assert not missing_facts(record, "Léa Morel et Hugo Garnier", MASTER)
    lacking = missing_facts(record, "Léa Garnier et Hugo Morel", MASTER)
    assert [fact.value for fact in lacking] == ["Léa Morel", "Hugo Garnier"]


def test_what_is_looked_for_and_how_it_is_named():
    record = {
        "contexte": {"conflit": True, "demandeur": {"qualite": "enfant", "nom": "Léa Morel"}},
        "famille": {"nombre_enfants": 2, "defunt": {"profession": "comptable", "age_au_deces": 82}},
        "patrimoine": {"passif": 12000, "actif_net": 1234.5},
        "indivision": {"indivisaires": [{"nom": "Léa Morel", "quote_part": 0.3333}]},
    }
    assert [str(fact) for fact in facts_of(record, MASTER)] == [
        "contexte.demandeur.nom: Léa Morel",
        "famille.nombre_enfants: 2",
        "famille.defunt.age_au_deces: 82 ans",
        "patrimoine.passif: 12 000 €",
        "patrimoine.actif_net: 1 234,50 €",
        "indivision.indivisaires[0].nom: Léa Morel",
        "indivision.indivisaires[0].quote_part: 33,33 %",
    ]


def test_a_list_shares_its_unit():
    assert Reading("Ils ont 12, 15 et 19 ans.").ages == {12, 15, 19}
    assert Reading("Il y en a 12. Elle a 19 ans.").ages == {19}


# Checks

DIMENSIONS = Dimensions(
    "enfant", "premiere_personne", "question_directe", "court", "propre", "un_montant", "exactes", "simple", None,
    "dettes_passif", None,
)  # fmt: skip
TARGET = {
    "contexte": {"demandeur": {"nom": "Léa Garnier", "qualite": "enfant"}},
    "famille": {"defunt": {"nom": "Marcel Garnier", "date_deces": "2021-03-03"}},
    "patrimoine": {"dettes": [{"nature": "impots", "montant": 12000}]},
}
TEXT = (
    "Je m'appelle Léa Garnier. Mon père, Marcel Garnier, est mort le 3 mars 2021. Le fisc nous réclame encore 12 000 € "
    "d'impôts qu'il n'avait pas payés. Est-ce que je dois les payer moi-même ?"
)


def refusals(text: str, known: Known | None = None) -> list[Refusal]:
    return check_case(text, TARGET, DIMENSIONS, MASTER, known or Known(), WORDS)


def reasons(text: str) -> list[str]:
    return [refusal.reason for refusal in refusals(text)]


def test_a_good_case_passes():
    assert refusals(TEXT) == []


def test_each_missing_fact_is_named():
    text = TEXT.replace("12 000 €", "beaucoup").replace("3 mars", "mois de mars")
    assert refusals(text) == [
        Refusal("missing", "famille.defunt.date_deces: 2021-03-03"),
        Refusal("missing", "patrimoine.dettes[0].montant: 12 000 €"),
    ]


def test_length():
    assert reasons("Léa Garnier, Marcel Garnier, 3 mars 2021.") == ["missing", "too_short"]
    assert reasons(TEXT + " Je ne sais pas quoi faire et je suis inquiète." * 20) == ["too_long"]
    assert "of 8 to 120 words" in refusals("")[-1].detail


def test_another_language():
    english = (
        "My name is Léa Garnier. My father, Marcel Garnier, died on 03/03/2021. The tax office still claims 12 000 € "
        "from us, which he had never paid while he was alive. Do I have to pay this debt myself or not?"
    )
    assert reasons(english) == ["language"]


DUMPS = [
    TEXT + " date_deces 2021-03-03",
    TEXT + ' {"nom": "Marcel Garnier"}',
    TEXT + "\ndettes[1]{nature,montant}:\n  impots,12000",
    TEXT + "\nnom: Marcel Garnier\nqualite: enfant\nmontant: 12000",
    "- Nom : Léa Garnier\n- Défunt : Marcel Garnier\n- Décès : le 3 mars 2021\n- Dettes : 12 000 € d'impôts\n"
    "- Question : est-ce que je dois les payer moi-même, et comment faire pour ne pas les payer ?",
    TEXT + " La qualité est beau_enfant.",
]
WHOLE_DUMPS = [
    "Léa Garnier, enfant, Marcel Garnier, décédé 3 mars 2021, dette impôts 12 000 €, succession "
    "ouverte, conflit, Rennes, "
    "notaire saisi, deux enfants, divorcé, testament olographe, maison Rennes, livret",
    "demandeur = Léa Garnier\nqualité = enfant\ndéfunt = Marcel Garnier\ndécès = 3 mars 2021\ndettes = 12 000 €",
    "Demandeur : Léa Garnier ; défunt : Marcel Garnier ; décès : 3 mars 2021 ; dettes : 12 000 € "
    "d'impôts ; question : ?",
    "Nom du demandeur : Léa Garnier, nom du défunt : Marcel Garnier, décès : 3 mars 2021, dettes : "
    "12 000 €, payées : non",
    "| champ | valeur |\n|---|---|\n| demandeur | Léa Garnier |\n| défunt | Marcel Garnier |\n| dettes | 12 000 € |",
    "demandeur → Léa Garnier\ndéfunt → Marcel Garnier\ndécès → 3 mars 2021\nimpôts → 12 000 €",
    "demandeur -> Léa Garnier ; défunt -> Marcel Garnier ; décès -> 3 mars 2021 ; impôts -> 12 000 €",
    "succession Marcel Garnier Léa Garnier enfant décès 3 mars 2021 dettes impôts 12 000 euros fisc "
    "réclamation paiement "
    "personnel question héritiers passif notaire",
    '"nom" : "Marcel Garnier",\n"montant" : 12000',
    "<nom>Marcel Garnier</nom> est mort le 3 mars 2021.",
]
HONEST = [
    "Notaire : bonjour Madame, que puis-je pour vous ?\nCliente : mon père est mort.\nNotaire : quand ?\n"
    "Cliente : le 3 mars 2021.",
    "De : Léa Garnier\nÀ : Maître Sauvan\nDate : 4 mai 2021\nObjet : succession de mon père\n\n" + TEXT,
    "Date : 4 mai 2021\nObjet : dettes de mon père\n\n" + TEXT,
    "Défunt : Marcel Garnier, mort le 3 mars 2021.\nPassif : 3 000 €.\nLa cliente est sa fille "
    "unique, et demande si elle "
    "doit payer les impôts de son père, qu'elle n'a pas connus.",
    TEXT + " Je joins le fichier acte_deces.pdf.",
    TEXT + ' La clause dit "bénéficiaire" : "mon épouse".',
    "<b>Maître</b>, " + TEXT,
    "Il laisse : une maison à Rennes ; un livret de 9 000 € ; une vieille voiture ; et des dettes, "
    "qu'on ignore encore.",
    "Ses héritiers : Léa, qui vit à Rennes, Hugo, qui est à Brest, et moi. Ses dettes : des impôts, "
    "un crédit, un loyer.",
    "Voici ce que je sais :\n- il est mort le 3 mars 2021 ;\n- il avait deux enfants ;\n- le fisc réclame 12 000 €.",
    "concubin décédé sans testament, maison achetée à deux, il a deux enfants de son premier "
    "mariage, je deviens quoi ?",
]


@pytest.mark.parametrize("text", DUMPS)
def test_dumps_of_fields(text: str):
    assert reasons(text) == ["field_dump"]


@pytest.mark.parametrize("text", WHOLE_DUMPS)
def test_texts_of_nothing_but_fields(text: str):
    assert field_dump(text, MASTER)


@pytest.mark.parametrize("text", HONEST)
def test_heads_of_mails_dialogues_lists_and_search_words_are_no_dumps(text: str):
    assert field_dump(text, MASTER) is None


def test_what_only_looks_like_a_dump():
    assert reasons("Objet : succession de mon père\n\n" + TEXT + "\n\nPS : merci d'avance") == []
    assert reasons("\n".join(f"Point {n} : {half}" for n, half in enumerate(TEXT.split(". ")))) == []
    assert reasons(TEXT + "\nÀ noter : ma mère est déjà décédée.") == []


def test_near_duplicates():
    known = Known()
    known.add(TEXT)
    assert [r.reason for r in refusals(TEXT.replace("encore", "toujours"), known)] == ["near_duplicate"]
    other = (
        "Maître, Marcel Garnier nous a quittés le 03/03/2021. Étant sa fille (Léa Garnier), je viens d'apprendre "
        "par un courrier des impôts qu'il restait devoir douze mille euros. Puis-je refuser, et que risque-t-on ?"
    )
    assert refusals(other, known) == []
    assert known.nearest(TEXT)[0] == 1.0
    assert known.nearest("rien de commun avec tout cela") is None


def test_what_people_wrote_of_hand_made_records_says_every_fact():
    read = read_coverage(RECIPE / "source/coverage.yaml").read
    gold = read_gold(RECIPE / "source" / "gold.jsonl")
    cases = [case for case in gather(RECIPE / "source" / "project", read).cases if case.id in gold]
    assert len(cases) > 30
    for case in cases:
        assert missing_facts(gold[case.id].record, case.text, MASTER) == []
        assert field_dump(case.text, MASTER) is None


def test_hostile_texts_are_only_refused():
    rng = random.Random(5)
    for text in ("\x00" * 50, "1 " * 2_000, "cent " * 2_000, "12/" * 2_000, "🙂" * 500, "\ud800 x", "²½Ⅷ" * 300):
        assert refusals(text)
    for _ in range(50):
        assert refusals("".join(chr(rng.randrange(0x20, 0x2FFF)) for _ in range(300)))
    assert len(flatten(TARGET)) == 6
