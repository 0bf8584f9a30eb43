"""What a case covers, told from its words by the rules of coverage.yaml: who writes, how, about what.

Patterns are matched against the text in lower case, without accents, with straight apostrophes and
single spaces. Rules as simple as these err; a case that is labelled by hand needs none.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import click
import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from tuneline.recipe.texts import fill_parts

Labels = dict[str, str | None]
Wording = dict[str, dict[str, str]]
Kind = Literal["enonce", "search_bar", "typescript", "python"]


def _is_pattern(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"no regular expression: {error}") from None
    return pattern


Pattern = Annotated[str, AfterValidator(_is_pattern)]


class Section(BaseModel):
    model_config = ConfigDict(
        extra="forbid", alias_generator=lambda name: name.replace("_", "-"), populate_by_name=True
    )


class Read(Section):
    """Which files hold cases, and which strings of a spec are prompts."""

    files: dict[Kind, list[str]] = Field(description="kind → patterns; a file is of the first kind that names it")
    leave_out: list[str] = Field(description="folders that are not looked into")
    names: list[str] = Field(description="patterns of variables, keys and keywords that hold prompts")
    calls: list[str] = Field(description="functions and methods whose last argument is a prompt")
    least_words: int = Field(ge=1, description="a text of fewer words is no prompt")


class Value(Section):
    """Scored by how many patterns of `any` are found, 1 when it has none; out when one of `none` is found."""

    any: list[Pattern] = []
    none: list[Pattern] = []

    @model_validator(mode="before")
    @classmethod
    def _a_list_is_any(cls, value: Any) -> Any:
        return {"any": value} if isinstance(value, list) else value


class Counted(Section):
    """What is counted in a text: amounts of money, days, and years, months or ages."""

    amount: Pattern
    day: Pattern
    about: Pattern


class Coverage(Section):
    """coverage.yaml. Of equal scores the first value wins.

    `length` and `complexity` are bounds: of the words; of the amounts, days and topics together.
    """

    read: Read
    system: str
    instruction: list[str] = Field(description="what is asked of who writes such a case; parts with ${dimension}")
    rules: dict[str, dict[str, Value]]
    length: dict[str, int | None]
    complexity: dict[str, int | None]
    counted: Counted

    def label(self, text: str) -> Labels:
        """Dimension → value of one text; None where a dimension does not apply to it."""
        said = fold(text)
        found: Labels = {}
        for dimension, values in self.rules.items():
            ranked = _ranked(values, said)
            found[dimension] = ranked[0] if ranked else None
            if dimension == "topic":
                found["second_topic"] = ranked[1] if len(ranked) > 1 else None
        amounts, days = (len(re.findall(pattern, said)) for pattern in (self.counted.amount, self.counted.day))
        found["amounts"] = ("sans_montant", "un_montant")[amounts] if amounts < 2 else "plusieurs_montants"
        if amounts > 1 and days > 1:
            found["amounts"] = "montants_et_dates"
        about = re.search(self.counted.about, said)
        found["dates"] = "exactes" if days else "approximatives" if about else "aucune"
        found["length"] = _below(self.length, len(said.split()))
        topics = sum(found[name] is not None for name in ("topic", "second_topic"))
        hard = found["hard_negative_mode"] is not None
        found["complexity"] = "hard_negative" if hard else _below(self.complexity, amounts + days + topics)
        return found

    def ask(self, dimensions: Labels, words: int, wording: Wording, where: str) -> str:
        """What is asked of who writes a case of these dimensions and about so many words, to the nearest ten.

        Raises click.ClickException when `wording` has no words for a value.
        """
        said = {}
        for name, value in dimensions.items():
            values = wording.get("topic" if name == "second_topic" else name, {})
            if value is not None and name != "length" and value not in values:
                raise click.ClickException(f"{where}: no wording for {name}: {value}")
            said[name] = values.get(value)
        return fill_parts(self.instruction, {**said, "words": max(10, round(words, -1))}, where)


def fold(text: str) -> str:
    """Lower case, no accents, straight apostrophes, single spaces: `L’Été` is `l'ete`."""
    plain = unicodedata.normalize("NFKD", text.casefold().replace("’", "'").replace("œ", "oe"))
    return " ".join("".join(sign for sign in plain if not unicodedata.combining(sign)).split())


def _ranked(values: dict[str, Value], said: str) -> list[str]:
    """The values that are found, best first."""
    scores = {}
    for name, value in values.items():
        if not any(re.search(pattern, said) for pattern in value.none):
            scores[name] = sum(bool(re.search(pattern, said)) for pattern in value.any) if value.any else 1
    return sorted((name for name, score in scores.items() if score), key=lambda name: -scores[name])


def _below(bounds: dict[str, int | None], number: int) -> str:
    return next(name for name, bound in bounds.items() if bound is None or number < bound)


def tally(labels: Iterable[Labels]) -> dict[str, dict[str, int]]:
    """Dimension → value → cases; `topic_mentions` counts a second topic like a first."""
    counts: dict[str, Counter[str]] = {}
    for one in labels:
        for name, value in one.items():
            for heading in (name, *(["topic_mentions"] if name in ("topic", "second_topic") else [])):
                if value is not None:
                    counts.setdefault(heading, Counter())[value] += 1
    return {name: dict(sorted(values.items())) for name, values in sorted(counts.items())}


def read_coverage(path: Path) -> Coverage:
    """Raises click.ClickException that names everything that is wrong with the file."""
    try:
        coverage = Coverage.model_validate(yaml.safe_load(path.read_text("utf-8")))
    except FileNotFoundError:
        raise click.ClickException(f"{path} is missing; it says which files hold cases, and what they cover") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{path}: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        wrong = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
        raise click.ClickException(f"{path}: {'; '.join(wrong)}") from None
    for name, bounds in (("length", coverage.length), ("complexity", coverage.complexity)):
        if not bounds or list(bounds.values())[-1] is not None:
            raise click.ClickException(f"{path}: {name}: the last value has no bound")
    if missing := sorted({"topic", "hard_negative_mode"} - set(coverage.rules)):
        raise click.ClickException(f"{path}: rules: has no {', '.join(missing)}")
    return coverage


def read_wording(path: Path) -> Wording:
    """instruction.yaml: dimension → value → how it is said. Raises click.ClickException when it is not of this form."""
    try:
        wording = yaml.safe_load(path.read_text("utf-8"))
    except FileNotFoundError:
        raise click.ClickException(f"{path} is missing; it says each value in French") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{path}: {' '.join(str(error).split())}") from None
    if not isinstance(wording, dict) or not all(isinstance(values, dict) for values in wording.values()):
        raise click.ClickException(f"{path}: is not of the form dimension: {{value: words}}")
    return wording
