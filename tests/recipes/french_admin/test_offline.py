import json
from pathlib import Path

import pytest

from recipes.french_admin.measures import SHOWN, overall
from recipes.french_admin.offline import answer as judge
from recipes.french_admin.offline import asked_facts, behavior_of, invented, needless_facts
from tuneline.rows import visible

LABELLED = Path(__file__).parents[3] / "recipes/french_admin/judge/labelled.jsonl"


def labelled():
    lines = [json.loads(line) for line in LABELLED.read_text(encoding="utf-8").splitlines()]
    return [{**line["row"]["fields"], "said": line["answer"], **line["labels"]} for line in lines]


def agreement(rows):
    """(share of equal behaviours, micro-F1 of the facts asked for, share of equal inventions)."""
    behaviors = [behavior_of(row["said"]) == row["kind"] for row in rows]
    given = {(place, fact) for place, row in enumerate(rows) for fact in asked_facts(row["said"], row["missing_info"])}
    wanted = {(place, fact) for place, row in enumerate(rows) for fact in row["asked"]}
    claims = [bool(invented(row["said"], row["question"], row["answer"])) == row["hallucination_rate"] for row in rows]
    f1 = 2 * len(given & wanted) / (len(given) + len(wanted))
    return sum(behaviors) / len(rows), f1, sum(claims) / len(rows)


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        ("<thinking>Je pense.</thinking> Bonjour.", "Bonjour."),
        ("Oui.\n<thinking>et encore", "Oui."),
        ("<thinking>a</thinking>Un.<thinking>b</thinking>", "Un."),
        ("Sans rien.", "Sans rien."),
    ],
)
def test_visible_leaves_the_thinking_out(answer, shown):
    assert visible(answer) == shown


@pytest.mark.parametrize(
    ("behavior", "answer"),
    [
        ("direct", "Non."),
        ("direct", "La demande se dépose en mairie. Souhaitez-vous un modèle de lettre ?"),
        ("direct", "Comment faire ? Connectez-vous à votre espace et signalez le changement d'adresse."),
        ("direct", "Indiquez votre numéro fiscal dans la case prévue, puis validez."),
        ("direct", "Je ne peux pas chiffrer l'aide, mais elle se demande en ligne à la CAF avec un bail et un RIB."),
        ("clarification", "Bonjour, j'ai besoin de savoir :\n- votre âge\n- si vous vivez seul"),
        ("clarification", "Je ne peux pas répondre sans connaître votre nationalité. Pouvez-vous me l'indiquer ?"),
        ("clarification", "Tout dépend de votre bail. S'agit-il d'un logement vide ou meublé ?"),
        ("clarification", "Could you tell me how long you have lived in France?"),
        ("hybrid", "Le dossier se dépose en préfecture. Merci de me préciser votre nationalité."),
        ("hybrid", "Vous pouvez faire la demande en ligne dès maintenant, mais quel est votre âge ?"),
        ("refusal", "Je ne suis pas en mesure de répondre. Puis-je vous aider sur un autre point ?"),
        ("refusal", "Veuillez contacter votre préfecture pour plus d'informations."),
        ("refusal", "I don't know, ask someone else."),
        (
            "refusal",
            "Le chat dort sur le canapé pendant que la pluie tombe sur les toits de la vieille ville endormie.",
        ),
        ("refusal", "de la demande de la demande de la demande de la demande de la demande"),
        ("refusal", "<thinking>Quel est votre âge ?"),
        ("refusal", "???"),
    ],
)
def test_behavior_of(behavior, answer):
    assert behavior_of(answer) == behavior


@pytest.mark.parametrize(
    ("answer", "missing", "asked"),
    [
        ("Quel âge avez-vous et vivez-vous seul ?", ["âge", "composition du foyer", "ressources"], 2),
        ("Combien gagnez-vous par mois ?", ["ressources", "montant du loyer"], 1),
        ("Quand votre carte expire-t-elle ?", ["date d'expiration", "titre actuel et motif"], 1),
        ("De quel pays êtes-vous ressortissant ?", ["nationalité", "pays de délivrance"], 1),
        ("Il faut votre avis de loyer et vos revenus.", ["montant du loyer", "ressources"], 0),
        ("What is your income and your age?", ["ressources", "âge"], 2),
    ],
)
def test_asked_facts_are_the_first_of_the_labels(answer, missing, asked):
    assert asked_facts(answer, missing) == missing[:asked]


@pytest.mark.parametrize(
    ("answer", "known", "found"),
    [
        ("Comptez 3 mois et 1 250,50 €.", "", ["3 mois", "1 250,50 €"]),
        ("Comptez 3 mois, ou 12 mois.", "trois mois, au plus un an", []),
        ("Avant le 3 mars 2025.", "le 3 mars", ["3 mars 2025"]),
        ("Appelez le 39 49 ou le 01 23 45 67 89.", "Appelez le 3949", ["01 23 45 67 89"]),
        ("Selon l'article 21-2, voir www.caf.fr/aide.", "", ["article 21-2", "www.caf.fr/aide"]),
        ("Voir service-public.fr.", "https://www.service-public.fr", []),
        ("Avez-vous plus de 25 ans ?", "", []),
        ("Cela prend trois semaines.", "", []),
    ],
)
def test_invented(answer, known, found):
    assert invented(answer, known, "") == invented(answer, "", known) == found


def answered(answer, expected, missing=(), useless=(), law=()):
    """The verdict, and the score that the measures make of it."""
    facts = {
        "judge": "answer",
        "question": "Comment demander l'aide ?",
        "answer": answer,
        "expected": expected,
        "missing_info": list(missing),
        "useless": list(useless),
        "law": list(law),
        "reference": "La demande se fait en ligne sur le site de la CAF, avec le bail et un RIB.",
    }
    verdict = judge(facts)
    return verdict | {"score": overall(verdict, SHOWN[expected])}


TOLD = "Faites la demande en ligne sur le site de la CAF avec votre bail."


def test_an_answer_has_all_points_for_what_was_expected():
    assert answered(TOLD, "direct") == {
        "behavior": "direct",
        "asked": [],
        "needless": [],
        "hallucination": False,
        "law": 10,
        "completeness": 10,
        "reason": "The answer does what was expected.",
        "score": 10,
    }
    assert answered(f"{TOLD} Quel est votre âge ?", "hybrid", ["âge"])["score"] == 10
    assert answered("Quel est votre âge ?", "clarify", ["âge"])["score"] == 10


def test_law_completeness_and_behaviour_lose_points_apart():
    invents = answered(f"{TOLD} Vous aurez 300 €.", "direct")
    assert (invents["hallucination"], invents["law"], invents["completeness"], invents["score"]) == (True, 5, 10, 8)
    half = answered("Quel est votre âge ?", "clarify", ["âge", "ressources"])
    assert (half["law"], half["completeness"], half["score"]) == (10, 5, 8.5)
    asks_too = answered(f"{TOLD} Quel est votre âge ?", "clarify", ["âge"])
    assert (asks_too["law"], asks_too["completeness"], asks_too["score"]) == (10, 10, 8.5)  # a hybrid: half the conduct
    assert answered(TOLD, "clarify", ["âge"])["score"] == 0
    assert answered("Je ne sais pas.", "direct")["score"] == 0
    assert answered("", "direct")["score"] == 0


def test_what_the_dated_law_says_is_no_invention():
    extra = f"{TOLD} Depuis le 1er juillet 2026, il faut une bourse."
    assert answered(extra, "direct")["hallucination"]
    dated = answered(extra, "direct", law=["une bourse est exigée depuis le 1er juillet 2026"])
    assert (dated["hallucination"], dated["score"]) == (False, 10)


def test_what_is_asked_for_nothing_costs_conduct():
    asks = "Quel est votre âge ? Et quelle est votre nationalité ?"
    over = answered(f"{TOLD} {asks}", "hybrid", ["âge"], ["nationalité"])
    assert over["needless"] == ["nationalité"]
    assert over["score"] == pytest.approx(9.4)
    assert needless_facts("Quel âge avez-vous ?", ["âge"], ["ressources"]) == []
    assert needless_facts(TOLD, [], ["montant du loyer", "ressources"]) == []


@pytest.mark.parametrize(
    ("answer", "behavior", "missing", "score"),
    [
        ("La demande se fait en ligne à la CAF.", "direct", [], 10),
        ("La demande se fait en ligne. Quel est votre âge ?", "direct", [], 4),
        ("Quel est votre âge ?", "direct", [], 2),
        ("La demande se fait en ligne à la CAF.", "clarify", ["âge"], 2),
        ("Quel est votre âge ?", "clarify", ["âge"], 10),
        ("Quel est votre âge ?", "clarify", ["âge", "ressources"], 7),
        ("Aimez-vous le bleu ?", "clarify", ["âge"], 4),
        ("En ligne.", "direct", [], 2),
        ("Je ne peux pas vous répondre.", "direct", [], 1),
        ("oui oui oui oui oui oui", "direct", [], 0),
    ],
)
def test_a_training_row(answer, behavior, missing, score):
    facts = {"judge": "row", "question": "?", "answer": answer, "behavior": behavior, "missing_info": missing}
    assert judge(facts)["score"] == score


def test_another_judge_is_refused():
    with pytest.raises(ValueError, match="'answer' or 'row'"):
        judge({"judge": "jury"})


def test_agreement_with_hand_labels_that_the_rules_were_not_made_on():
    behavior, facts, claims = agreement(labelled())
    assert behavior >= 0.75
    assert facts >= 0.65
    assert claims >= 0.9


@pytest.mark.parametrize(
    "answer",
    [
        '{"act":"none","what":"ma carte Vitale hier dans le bus"}',
        "J'ai perdu ma carte Vitale hier dans le bus",
    ],
)
def test_structure_and_an_echo_of_the_question_are_no_help(answer: str) -> None:
    facts = {
        "judge": "answer",
        "question": "J'ai perdu ma carte Vitale hier dans le bus. Comment la refaire ?",
        "answer": answer,
        "expected": "direct",
        "missing_info": [],
        "useless": [],
        "law": [],
        "reference": "Déclarez la perte de la carte Vitale sur votre compte ameli ; une autre vous est envoyée.",
    }
    verdict = judge(facts)
    assert (verdict["behavior"], verdict["law"], verdict["completeness"]) == ("refusal", 0, 0)
