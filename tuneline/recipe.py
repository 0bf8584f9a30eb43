"""What a recipe is: `recipe.yaml`, one section a stage, read by one model that forbids unknown keys."""

from pathlib import Path
from typing import Literal, get_args

import click
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError


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


class Extract(Section):
    """`kind` says how a file is read: `rows` is any input form, `annotated-spans` is the SNIPS form."""

    kind: Literal["rows", "annotated-spans"]
    train: list[str]
    test: list[str]
    encoding: str = "detect"
    max_reject_share: float = Field(ge=0, le=1)


class Grammar(Section):
    """Rows drawn from a grammar file; no teacher."""

    kind: Literal["grammar"]
    name: str
    file: str
    rows: int = Field(ge=1)
    lowercase: float = Field(ge=0, le=1, description="share of rows folded to lower case")
    seed: int


class Sdg(Section):
    strategies: list[Grammar]


class Curate(Section):
    """Similarities are Jaccard over character shingles of the question, 0 to 1."""

    near_duplicate: float = Field(gt=0, le=1, description="from here on the later row is dropped")
    same_group: float = Field(gt=0, le=1, description="from here on two source rows share a group")
    contamination: float = Field(gt=0, le=1, description="from here on a row is too near a test row")


class Split(Section):
    """Named groups go where they are named; a set that names none has its share of the rest, by hash."""

    valid_groups: list[str]
    test_groups: list[str]


class Eval(Section):
    """`measures: json` compares objects; `intent` is the key whose value is the intent."""

    measures: Literal["json"]
    intent: str


class Recipe(Section):
    extract: Extract
    sdg: Sdg
    curate: Curate
    split: Split
    eval: Eval


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
    where = ".".join(map(str, error["loc"])) or "the file"
    if error["type"] != "extra_forbidden":
        return f"{where}: {error['msg'].lower()}"
    model: type[BaseModel] = Recipe
    for part in error["loc"][:-1]:
        if isinstance(part, int):
            continue  # a place in a list: its model is known already
        field = model.model_fields.get(str(part).replace("-", "_"))
        annotation = field.annotation if field else None
        inner = next(iter(get_args(annotation)), annotation)
        if not isinstance(inner, type) or not issubclass(inner, BaseModel):
            return f"{where}: unknown key"
        model = inner
    valid = ", ".join(field.alias or name for name, field in model.model_fields.items())
    return f"{where}: unknown key; valid keys are {valid}"
