"""What a recipe is: `recipe.yaml`, one section a stage, read by one model that forbids unknown keys."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

import click
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

Task = Literal["summarization", "classification", "question-answering"]


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


class Extract(Section):
    """`kind` says how a file is read: `rows` is any input form, `annotated-spans` is the SNIPS form, `multi-target`
    the SciTLDR form.

    With a `form`, a record's own fields are kept, checked by the JSON Schema of `fields` in source/.
    """

    kind: Literal["rows", "annotated-spans", "multi-target"]
    train: list[str]
    valid: list[str] = []
    test: list[str]
    form: Form | None = None
    fields: str | None = None
    encoding: str = "detect"
    max_reject_share: float = Field(ge=0, le=1)

    @model_validator(mode="after")
    def _fields_have_a_form(self) -> Self:
        if self.fields and not self.form:
            raise ValueError("fields are only checked where there is a form; add one, or take fields out")
        return self


class Arxiv(Section):
    """What `tuneline papers refresh` resolves to the pinned manifest: newest papers of categories, and ids."""

    manifest: str = Field(description="in source/; extract downloads what it names and nothing else")
    categories: list[str]
    each: int = Field(ge=0, description="newest papers of each category")
    ids: list[str]


class PapersExtract(Section):
    """PDFs of source/, and those of a manifest of arXiv, → a document a section, for strategies to ask about."""

    kind: Literal["papers"]
    files: list[str] = Field(description="patterns of PDFs in source/")
    arxiv: Arxiv | None
    leave_out: list[re.Pattern[str]] = Field(description="headings whose sections are left out, whatever the case")
    least_characters: int = Field(ge=1, description="a shorter section is left out")
    max_reject_share: float = Field(ge=0, le=1, description="of the papers")

    @model_validator(mode="after")
    def _has_a_source(self) -> Self:
        if not self.files and not self.arxiv:
            raise ValueError("name PDFs in files, or a query in arxiv")
        return self


class CasesExtract(Section):
    """Succession cases: gathered from a project's tests, which are test rows, and a snapshot of written ones."""

    kind: Literal["cases"]
    project: str = Field(description="a folder in source/")
    gold: str = Field(description="records of the project's cases, a file in source/")
    written: str = Field(description="a snapshot of the instruction server, a file in source/")
    written_test: float = Field(ge=0, le=1, description="share of the written cases that are test rows too")
    form: Form
    max_reject_share: float = Field(ge=0, le=1)


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
    behavior: bool = Field(default=False, description="an answer does what its row's behavior says")
    personas: str | None = Field(default=None, description="rules by persona, a file of judge/; what must hold holds")


class Judged(Section):
    """Every row of a strategy is scored 0 to 10 by the judge of params.yaml, under a rubric."""

    rubric: str
    threshold: int = Field(ge=0, le=10, description="a row under it is dropped")


class Curate(Section):
    """Similarities are Jaccard over character shingles of the question, 0 to 1."""

    near_duplicate: float = Field(gt=0, le=1, description="from here on the later row is dropped")
    same_group: float = Field(gt=0, le=1, description="from here on two source rows share a group")
    contamination: float = Field(gt=0, le=1, description="from here on a row is too near a held-out row")
    checks: Checks = Checks()
    judge: Judged | None = None


class Split(Section):
    """Named groups go where they are named; a set that names none has its share of the rest, by hash."""

    valid_groups: list[str]
    test_groups: list[str]


class JsonEval(Section):
    """Answers are objects, compared with the reference; `intent` is the key whose value is the intent."""

    measures: Literal["json"]
    intent: str


class JudgeEval(Section):
    """Answers are texts, judged under a rubric by the judge of params.yaml."""

    measures: Literal["judge"]
    rubric: str
    good: int = Field(ge=0, le=10, description="an answer with this score or a higher one is good")


class PersonaEval(Section):
    """Answers are texts for a reader, held to the rules of every persona and judged for their own."""

    measures: Literal["personas"]
    rules: str = Field(description="rules and rubric by persona, a file of judge/")
    good: int = Field(ge=0, le=10, description="an answer with this score or a higher one is good")


class ToonEval(Section):
    """Answers are sparse TOON records of the recipe's schema.json, compared with the reference by path and value."""

    measures: Literal["toon"]


class TaskEval(Section):
    """Answers are texts, compared with one or several references, and judged under a rubric where it names one."""

    measures: Literal["task"]
    task: Task
    rubric: str | None = Field(description="a file of judge/; null: not judged")
    good: float = Field(default=0.8, ge=0, le=1, description="an answer with this overall or a higher one is good")


class Recipe(Section):
    extract: Annotated[Extract | PapersExtract | CasesExtract, Field(discriminator="kind")]
    sdg: Sdg
    curate: Curate
    split: Split
    eval: Annotated[JsonEval | JudgeEval | PersonaEval | ToonEval | TaskEval, Field(discriminator="measures")]


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


def _explain(error: dict) -> str:
    models: list[type[BaseModel]] = [Recipe]
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
