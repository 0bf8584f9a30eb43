"""Questions written to order: by topic, by what the answer will have to do, by register."""

import random
from functools import cache
from pathlib import Path

import click
import yaml

from tuneline.generating.grammar import Draw
from tuneline.generating.offline import read_rules, seed_entry
from tuneline.ordering.order import Order
from tuneline.ordering.shares import Shares
from tuneline.recipe.toon import encode

HERE = Path(__file__).parent
TOPICS = yaml.safe_load((HERE / "sdg" / "topics.yaml").read_text("utf-8"))
BEHAVIORS = {  # what the question says of its topic's facts
    "direct": "La question est précise et donne tous les faits qu'il faut pour y répondre.",
    "clarify": "Il manque à la question au moins un de ces faits, sans lequel aucune réponse n'est juste.",
    "hybrid": "Une partie de la question a une réponse certaine ; le reste dépend d'un fait qu'elle ne dit pas.",
}
OPENINGS = {"courant": ("Bonjour,", "Bonsoir,"), "familier": ("Salut,", "Coucou,"), "soutenu": ("Madame, Monsieur,",)}
PROMPT = """Écrivez en français la question d'un usager de l'administration, et elle seule. Sujet : {label}.
Faits dont une réponse peut dépendre : {facts}. {behavior}
Registre {register} : la question commence par « {opening} »."""
KINDS = ("droit", "montant", "pieces", "delai")  # of what is asked


def facts(topic: dict) -> list[str]:
    """All facts of a topic that some kind of question cannot do without, each once."""
    return list(dict.fromkeys(fact for kind in KINDS for fact in topic[kind]))


rules = cache(lambda: read_rules(HERE / "sdg" / "offline.yaml", seed_entry("", random.Random(0))))


def check(shares: Shares) -> None:
    known = {"topic": TOPICS, "behavior": BEHAVIORS, "register": OPENINGS}
    asked = [(name, value) for name, of in shares.values.items() for value in of]
    unknown = [f"{name}: {value}" for name, value in asked if value not in known.get(name, ())]
    if unknown or {*shares.names} != {*known}:
        raise click.ClickException(f"a question is by {', '.join(known)}, and by no {', '.join(unknown) or 'other'}")


def draw(dimensions: dict[str, str | None], rng: random.Random) -> Order:
    topic, behavior, register = (dimensions[name] for name in ("topic", "behavior", "register"))
    told = {"behavior": BEHAVIORS[behavior], "register": register, "opening": " » ou « ".join(OPENINGS[register])}
    prompt = PROMPT.format(label=TOPICS[topic]["label"], facts=", ".join(facts(TOPICS[topic])), **told)
    return Order(dimensions, target := {"topic": topic, "behavior": behavior}, encode(target), prompt)


def faults(order: Order, text: str) -> list[tuple[str, str]]:
    openings = OPENINGS[order.dimensions["register"]]
    wrong = [] if text.startswith(openings) else [("register", f"it is to begin with {' or '.join(openings)}")]
    return wrong if "?" in text else [*wrong, ("no_question", "it asks nothing: there is no question mark")]


def write(order: Order, rng: random.Random) -> str | None:
    """A template of the offline teacher, opened as the register wants; those in a chat's spelling are `familier`."""
    (lists, templates), register = rules(), order.dimensions["register"]
    about = [one["row"] for one in templates if order.target["topic"] in one["when"].get("topic", ())]
    fits = [row["question"] for row in about if row["behavior"] == order.target["behavior"]]
    fits = [one for one in fits if ("${salut}" in one) == (register == "familier")] or fits
    return Draw({**lists, **dict.fromkeys(("ouverture", "salut"), OPENINGS[register])}, rng).query(rng.choice(fits))
