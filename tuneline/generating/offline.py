"""The teacher that needs no key: rules and templates of the recipe, the same answer to the same request.

It is for trying the pipeline, and its rows say that they are its. What it knows is the recipe's
`sdg/offline.yaml`: lists as in a grammar, and templates {when, row, weight?}; a template is used where
all that its `when` names is what the strategy asks for, or a field of its one seed; one that names such a
field comes before those that do not. `${seed.question}` and the other placeholders of `seed_entry` are of
the golden row that is varied; where the recipe's offline.py has a `seed`, they are what that makes of the seed.
"""

import json
import random
from pathlib import Path
from typing import Any

import click
import yaml

from tuneline.generating import grammar
from tuneline.generating.grammar import Draw
from tuneline.language.words import unaccented
from tuneline.recipe.own import has_door, open_door
from tuneline.teaching.request import Request

DRAWS = 50  # tries to find a row that the same call does not hold yet


class Offline:
    """A recipe's."""

    def __init__(self, recipe: Path) -> None:
        """Raises click.ClickException that names what is wrong with the recipe's rules."""
        self.path = recipe / "sdg" / "offline.yaml"
        self.seed = getattr(open_door(recipe, "offline"), "seed", None) if has_door(recipe, "offline") else None
        blank = self.seed({}) if self.seed else seed_entry("", random.Random(0))
        self.lists, self.templates = read_rules(self.path, blank) if self.path.is_file() else ({}, [])

    def __call__(self, request: Request) -> Any:
        """The value that answers. Raises click.ClickException when no template fits what the strategy asks for."""
        facts, schema = request.facts, request.schema
        asked = {"strategy": facts["strategy"], **facts["variables"]}
        known = {**(facts["seeds"][0] if len(facts["seeds"]) == 1 else {}), **asked}
        fitting = [t for t in self.templates if all(known.get(key) in values for key, values in t["when"].items())]
        fitting = [t for t in fitting if set(t["when"]) - set(asked)] or fitting  # what names the seed comes first
        if not fitting:
            wanted = ", ".join(f"{key}={value}" for key, value in asked.items())
            raise click.ClickException(
                f"{self.path}: no template for {wanted}; add one, or set another teacher.provider"
            )
        rng = random.Random(json.dumps([facts, request.number], sort_keys=True, ensure_ascii=False))
        lists = {
            **self.lists,
            "seed": [self.seed(seed) if self.seed else seed_entry(seed["question"], rng) for seed in facts["seeds"]],
        }
        item = schema["properties"][facts["items"]]["items"] if facts["items"] else schema
        rows: dict[str, Any] = {}
        for _ in range(DRAWS * facts["count"]):
            if len(rows) == facts["count"]:
                break
            (template,) = rng.choices(fitting, [t["weight"] for t in fitting])
            try:
                row = Draw(lists, rng).data(template["row"])
            except (LookupError, RecursionError) as error:
                raise click.ClickException(f"{self.path}: {error}; the template for {template['when']}") from None
            row = {key: value for key, value in row.items() if key in item.get("properties", row)}
            rows.setdefault(json.dumps(row, sort_keys=True), row)
        return {facts["items"]: list(rows.values())} if facts["items"] else next(iter(rows.values()))


def seed_entry(question: str, rng: random.Random) -> dict[str, str]:
    """What ${seed.…} may name: the question as it is and as hurried people write it."""
    lower = question[:1].lower() + question[1:]
    return {
        "text": question,
        "value": question,
        "question": question,
        "lower": lower,
        "unaccented": unaccented(question.lower()),
        "typos": with_typos(lower, rng),
    }


def with_typos(text: str, rng: random.Random) -> str:
    """One word in six loses a letter, doubles one or has two swapped; short words and figures stay."""
    words = text.split(" ")
    for at, word in enumerate(words):
        if len(word) > 4 and word.isalpha() and rng.random() < 1 / 6:
            place = rng.randrange(1, len(word) - 2)
            kind = rng.randrange(3)
            if kind == 0:
                words[at] = word[:place] + word[place + 1 :]
            elif kind == 1:
                words[at] = word[:place] + word[place] + word[place:]
            else:
                words[at] = word[:place] + word[place + 1] + word[place] + word[place + 2 :]
    return " ".join(words)


def read_rules(path: Path, blank: dict[str, str]) -> tuple[dict[str, list], list[dict[str, Any]]]:
    """(lists, templates), each `when` as lists of values. `blank`: what a seed has, for its names.

    Raises click.ClickException that names what is wrong.
    """
    try:
        rules = yaml.load(path.read_text("utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise click.ClickException(f"{path}: {' '.join(str(error).split())}") from None
    if not isinstance(rules, dict) or set(rules) != {"lists", "templates"} or not isinstance(rules["templates"], list):
        raise click.ClickException(f"{path}: needs two sections, lists and templates (a list)")
    lists, wrong, templates = rules["lists"] or {}, [], []
    if not isinstance(lists, dict) or not all(isinstance(entries, list) for entries in lists.values()):
        raise click.ClickException(f"{path}: lists is not of the form {{name: [entry, …]}}")
    seed = {"seed": [blank]}
    for name, entries in lists.items():
        wrong += grammar.check_list(name, entries, lists)
    for number, template in enumerate(rules["templates"], 1):
        if not isinstance(template, dict) or not {"when", "row"} <= set(template) <= {"when", "row", "weight"}:
            wrong.append(f"template {number} needs when and row, and may have a weight")
            continue
        if not isinstance(template["when"], dict) or not isinstance(template["row"], dict):
            wrong.append(f"template {number}: when and row are mappings")
            continue
        wrong += [
            f"template {number}: {problem}" for problem in grammar.check_texts(template["row"], {**lists, **seed})
        ]
        when = {key: value if isinstance(value, list) else [value] for key, value in template["when"].items()}
        weight = template.get("weight", 1)
        if not isinstance(weight, int | float) or not 0 < weight < float("inf"):
            wrong.append(f"template {number}: a weight is a number above 0")
        templates.append({"when": when, "row": template["row"], "weight": weight})
    if wrong:
        raise click.ClickException(f"{path}: " + "; ".join(wrong[:10]))
    return lists, templates
