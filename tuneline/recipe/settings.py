"""What a recipe is: `recipe.yaml`, one section a stage, read by one model that forbids unknown keys."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

import click
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from tuneline.recipe.forms import IGNORE, KEYS
from tuneline.recipe.tasks import Task


class Section(BaseModel):
    model_config = ConfigDict(
        extra="forbid", alias_generator=lambda name: name.replace("_", "-"), populate_by_name=True
    )


class ExternalFile(Section):
    """A public file: where it is, what its bytes hash to, where a mirror folder keeps it."""

    url: str
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    mirror: str


class External(Section):
    licence: str
    citation: str
    files: dict[str, ExternalFile]


class Form(Section):
    """How a record's fields become a question and an answer: texts with ${fields}.

    The answer's parts stand with an empty line between them; one whose fields are all empty is left out.
    """

    user: str
    assistant: list[str] = Field(min_length=1)


class Files(Section):
    """The files of source/ that hold the rows, by the set that they are of.

    With a `form`, a record's own fields are kept, checked by the JSON Schema of `fields` in source/. `columns`: a
    record's own key → the form's key that it is, or `ignore` for one that may go.
    """

    train: list[str]
    valid: list[str] = []
    test: list[str]
    form: Form | None = None
    fields: str | None = None
    encoding: str = "detect"
    columns: dict[str, str] = {}

    @model_validator(mode="after")
    def _fields_have_a_form(self) -> Self:
        if self.fields and not self.form:
            raise ValueError("fields are only checked where there is a form; add one, or take fields out")
        unknown = sorted(set(self.columns.values()) - {*KEYS, IGNORE})
        if unknown and not self.form:
            raise ValueError(f"columns: {', '.join(unknown)} is no form's key; known are {', '.join(KEYS)}, {IGNORE}")
        return self


class Extract(Files):
    """Rows in any input form."""

    kind: Literal["rows"]
    max_reject_share: float = Field(ge=0, le=1)


class OwnExtract(Section):
    """Read by the recipe's reader.py; what else the section holds is checked by that reader's Settings."""

    model_config = ConfigDict(extra="allow")

    kind: Literal["own"]
    max_reject_share: float = Field(ge=0, le=1)

    @property
    def rest(self) -> dict[str, Any]:
        return self.model_extra or {}


class Grammar(Section):
    """Rows drawn from a grammar file; no teacher."""

    kind: Literal["grammar"]
    name: str
    file: str
    rows: int = Field(ge=1)
    lowercase: float = Field(ge=0, le=1, description="share of rows folded to lower case")
    seed: int


class Seeds(Section):
    """`each`: one call a seed; `sample`: so many seeds a call, which change little when rows are added."""

    draw: Literal["each", "sample", "none"]
    count: int = Field(ge=0)


class Table(Section):
    """A YAML file {name: {share?, …}}: a call draws a name, `only` those that another such file names."""

    file: str
    only: str | None = None


class Asked(Section):
    """Rows from a teacher: a prompt and what fills it, the answer's schema, how the answer becomes rows."""

    kind: Literal["teacher"]
    name: str = Field(pattern="^[a-z][a-z0-9_]*$")
    adapter: str | None = Field(default=None, description="whose training rows these are; null: every adapter's")
    prompt: str
    answer: str = Field(description="JSON Schema of an answer")
    form: Form | None = Field(default=None, description="of this strategy's rows; null: the one of sdg")
    items: str | None = Field(description="the answer's list of rows; null when the answer is one row")
    seeds: Seeds
    vary: dict[str, Table]
    per_call: int = Field(ge=1)
    rows: int = Field(ge=0, description="rows wanted; 0 where each seed has its call")
    inherit: list[str] = Field(description="fields that a row has from its seed")
    give: dict[str, str] = Field(description="fields that a row is given; may name what was drawn")
    novelty: float = Field(gt=0, le=1, description="ROUGE-L from which a question is known already; 1: not compared")
    give_up: int = Field(ge=1, description="calls in a row without a new row")
    seed: int


class Sdg(Section):
    form: Form | None = None
    strategies: list[Annotated[Grammar | Asked, Field(discriminator="kind")]]

    @model_validator(mode="after")
    def _each_has_its_name(self) -> Self:
        names = [strategy.name for strategy in self.strategies]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two strategies are called {', '.join(twice)}")
        return self


class Checks(Section):
    """What a row made by a strategy must be; without a check nothing is asked of it."""

    language: str | None = Field(default=None, description="of question and answer, as ISO 639-1")
    boilerplate: list[re.Pattern[str]] = Field(default=[], description="patterns that no answer may hold")
    filled: list[str] = Field(default=[], description="fields that may not be empty")
    own: bool = Field(default=False, description="the recipe's checks.py finds nothing wrong with it")


class Judged(Section):
    """Every row of a strategy is scored 0 to 10 by the judge of params.yaml, under a rubric."""

    rubric: str
    threshold: int = Field(ge=0, le=10, description="a row under it is dropped")


class Curate(Section):
    """Similarities are of the questions, 0 to 1: Jaccard over character shingles, templates aside."""

    near_duplicate: float = Field(gt=0, le=1, description="from here on, of rows with one answer, the later is dropped")
    same_group: float = Field(gt=0, le=1, description="from here on two source rows share a group")
    contamination: float = Field(gt=0, le=1, description="from here on a row is too near a held-out row")
    answers: Literal["all", "first"] = Field(default="all", description="to one question: all are kept, or the first")
    checks: Checks = Checks()
    judge: Judged | None = None


class Trim(Section):
    """What becomes of a row that is longer than trim.max-tokens. `cut_from`: the end of a question that gives way."""

    over_long: Literal["drop", "cut"]
    cut_from: Literal["start", "end"] = "end"


class Split(Section):
    """Named groups go where they are named; a set that names none has its share of the rest, by hash."""

    valid_groups: list[str]
    test_groups: list[str]
    held_out: float | None = Field(
        default=None, ge=0, le=1, description="share of the groups, of these sources; none: that of params.yaml"
    )


class JsonEval(Section):
    """Answers are objects, compared with the reference; `intent` is the key whose value is the intent."""

    measures: Literal["json"]
    intent: str


def fold_label(text: str) -> str:
    """What of a label is compared."""
    return text.strip().casefold()


class LabelEval(Section):
    """Answers are labels: those of the references and of `labels`. Case and outer white space do not count."""

    measures: Literal["labels"]
    labels: list[str] = Field(default=[], description="all that a reference may be; none: whatever the references are")

    @field_validator("labels", mode="before")
    @classmethod
    def _are_texts(cls, labels: Any) -> Any:
        """YAML reads a bare `yes` as a truth, and 1 as a number: both are meant as they stand in the rows."""
        unquoted = [one for one in labels if not isinstance(one, str)] if isinstance(labels, list) else []
        if unquoted:
            raise ValueError(f"quote {', '.join(map(repr, unquoted))}: a label is a text")
        return labels

    @field_validator("labels")
    @classmethod
    def _are_several(cls, labels: list[str]) -> list[str]:
        known = [fold_label(one) for one in labels]
        if "" in known or len(set(known)) < len(known):
            raise ValueError("a label is empty or there twice; case and outer white space do not count")
        return labels


class Believed(Section):
    """`least_kappa`: label → how well the judge must agree with judge/labelled.jsonl for its figures to count."""

    least_kappa: dict[str, Annotated[float, Field(gt=-1, le=1)]] = {}


class TextEval(Believed):
    """Answers are texts, compared with the reference, and scored 0 to 10 by a judge where a rubric is named."""

    measures: Literal["text"]
    rubric: str | None = Field(default=None, description="a file of judge/; null: not judged")


class BitsEval(Section):
    """Rows are texts that nobody asks for: measured is how well they are foretold."""

    measures: Literal["bits"]


class TaskEval(Believed):
    """Answers are texts, compared with one or several references, and judged under a rubric where it names one."""

    measures: Literal["task"]
    task: Task
    rubric: str | None = Field(description="a file of judge/; null: not judged")
    good: float = Field(default=0.8, ge=0, le=1, description="an answer with this overall or a higher one is good")


class OwnEval(Believed):
    """Answers are measured by the recipe's measures.py."""

    measures: Literal["own"]


class Recipe(Section):
    """`prefix`: adapter → what stands before each question."""

    extract: Annotated[Extract | OwnExtract, Field(discriminator="kind")]
    prefix: dict[str, str]
    sdg: Sdg
    curate: Curate
    trim: Trim
    split: Split
    eval: Annotated[JsonEval | LabelEval | TextEval | BitsEval | TaskEval | OwnEval, Field(discriminator="measures")]


def read_recipe(folder: Path) -> Recipe:
    """The checked recipe of a folder.

    Raises click.ClickException that names every wrong key, and the valid ones for an unknown key.
    """
    path = folder / "recipe.yaml"
    try:
        return Recipe.model_validate(yaml.safe_load(path.read_text("utf-8")))
    except FileNotFoundError:
        raise click.ClickException(f"{path} is missing; recipes/query_json has one to copy") from None
    except yaml.YAMLError as error:
        raise click.ClickException(f"{path}: {' '.join(str(error).split())}") from None
    except ValidationError as errors:
        raise click.ClickException(f"{path}: " + "; ".join(map(_explain, errors.errors()))) from None


def read_settings(model: type[Section], path: Path, section: str, values: Any) -> Any:
    """A section of a recipe's file by a model; `section` is "" where it is the whole file.

    Raises click.ClickException that names every wrong key.
    """
    try:
        return model.model_validate(values)
    except ValidationError as errors:
        told = (_explain(error, model) for error in errors.errors())
        raise click.ClickException(f"{path}: " + "; ".join(f"{section}.{one}" for one in told)) from None


def _explain(error: dict, model: type[BaseModel] | None = None) -> str:
    models: list[type[BaseModel]] = [model or Recipe]
    path: list[str] = []
    for at, part in enumerate(error["loc"], 1):
        if len(models) > 1 and not isinstance(part, int):
            models = [model for model in models if _is_kind(model, part)]
            continue  # the part is the kind that was chosen, and no key
        path.append(str(part))
        if at == len(error["loc"]) and error["type"] == "extra_forbidden":
            break
        field = models[0].model_fields.get(str(part).replace("-", "_")) if len(models) == 1 else None
        models = list(_models_in(field.annotation)) if field else models  # else a place in a list or a table
    where = ".".join(path) or "the file"
    if error["type"] != "extra_forbidden":
        return f"{where}: {error['msg'].lower()}"
    valid = ", ".join(field.alias or name for model in models for name, field in model.model_fields.items())
    return f"{where}: unknown key; valid keys are {valid}"


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that a field's type names, in lists, choices and tables too."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)


def _is_kind(model: type[BaseModel], kind: str) -> bool:
    return any(kind in get_args(field.annotation) for field in model.model_fields.values())
