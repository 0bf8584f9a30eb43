"""Personas: readers for whom one text is written in several ways, and the rule that each answer must keep.

rules: {name: {labels, must, words, grade, patterns, rubric}}, a file of the recipe's judge/ folder.
An answer is parts, each under its label: `**Analogy:** …`, an empty line, `**Explanation:** …`.
"""

import re
from collections import Counter
from functools import cache
from pathlib import Path

import click
import yaml
from pydantic import Field, TypeAdapter, ValidationError

from tuneline.recipe.settings import Section

WORD = re.compile(r"[^\W\d_]+(?:[-’'][^\W\d_]+)*")
RECIPE = Path(__file__).parent
RULES = RECIPE / "judge" / "personas.yaml"
LOOP = 5  # words in a row that stand three times: nobody writes so


class Range(Section):
    least: float
    most: float

    def holds(self, value: float) -> bool:
        return self.least <= value <= self.most


class Persona(Section):
    """What an answer for this reader is; each line is one check of its rule."""

    labels: list[str] = Field(min_length=1, description="the answer's parts, in their order")
    forbidden: list[str] = Field(description="words that no form of may stand in an answer, by their beginnings")
    words: Range = Field(description="words of the whole answer")
    first_part: Range = Field(description="words of the first part")
    grade: Range = Field(description="school years that reading it takes, by Coleman and Liau")
    needs: dict[str, list[str]] = Field(description="check → words or phrases, of which one must stand in the answer")
    rubric: str


def read_personas(path: Path) -> dict[str, Persona]:
    """Raises click.ClickException that names every wrong key."""
    try:
        return TypeAdapter(dict[str, Persona]).validate_python(yaml.safe_load(path.read_text("utf-8")))
    except FileNotFoundError:
        raise click.ClickException(f"{path} is missing; recipe.yaml names it") from None
    except yaml.YAMLError as error:
        raise click.ClickException(f"{path}: {' '.join(str(error).split())}") from None
    except ValidationError as errors:
        wrong = [f"{'.'.join(map(str, e['loc']))}: {e['msg'].lower()}" for e in errors.errors()]
        raise click.ClickException(f"{path}: " + "; ".join(wrong)) from None


@cache
def read_rules() -> dict[str, Persona]:
    """The recipe's own."""
    return read_personas(RULES)


def parts(answer: str, labels: list[str]) -> list[str]:
    """The text under each label, in their order; "" where one is missing, empty or out of order."""
    found, at = [], 0
    marks = [re.compile(rf"\*\*{re.escape(label)}:\*\*") for label in labels]
    for mark in marks:
        start = mark.search(answer, at)
        if not start:
            found.append("")
            continue
        ends = [other.start() for m in marks if (other := m.search(answer, start.end()))]
        at = start.end()
        found.append(answer[at : min(ends, default=len(answer))].strip())
    return found


def body(answer: str) -> str:
    """The answer without its labels."""
    return " ".join(re.sub(r"\*\*[^*\n]{1,30}:\*\*", " ", answer).split())


def forbidden_words(answer: str, words: list[str]) -> list[str]:
    if not words:
        return []
    pattern = rf"\b(?:{'|'.join(map(re.escape, words))})\w*"
    return sorted({found.casefold() for found in re.findall(pattern, answer, re.IGNORECASE)})


def reading_grade(text: str) -> float:
    """Years at a US school: Coleman and Liau, "A computer readability formula", 1975. 0 to 30; 0 for no word.

    Of textstat's formulas it is one that wants no download: letters and sentences, no syllables.
    """
    import textstat

    if not WORD.search(text):
        return 0.0
    return min(max(textstat.coleman_liau_index(text), 0.0), 30.0)


def is_loop(text: str) -> bool:
    words = [word.casefold() for word in WORD.findall(text)]
    runs = Counter(tuple(words[at : at + LOOP]) for at in range(len(words) - LOOP + 1))
    return any(times > 2 for times in runs.values())


def check_answer(answer: str, persona: Persona) -> dict[str, bool]:
    """Each check of the persona's rule and whether it holds. Nothing holds of an answer without words."""
    text = body(answer)
    count = len(WORD.findall(text))
    said = parts(answer, persona.labels)
    folded = f" {' '.join(WORD.findall(text.casefold()))} "
    checks = {
        "fields": all(said),
        "forbidden": not forbidden_words(text, persona.forbidden),
        "words": persona.words.holds(count),
        "first part": persona.first_part.holds(len(WORD.findall(said[0]))),
        "grade": persona.grade.holds(reading_grade(text)),
        "no loop": not is_loop(text),
        **{name: any(f" {word.casefold()} " in folded for word in words) for name, words in persona.needs.items()},
    }
    return {name: holds and count > 0 for name, holds in checks.items()}


def grounding(answer: str, source: str) -> float:
    """Share of the answer's longer words that stand in the source, 0 to 1."""
    known = {_stem(word) for word in WORD.findall(source)}
    said = [_stem(word) for word in WORD.findall(body(answer)) if len(word) > 4]
    return sum(word in known for word in said) / len(said) if said else 0.0


def _stem(word: str) -> str:
    return word.casefold()[:5]
