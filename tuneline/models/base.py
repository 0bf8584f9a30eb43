"""A base model is a folder: its weights, or the id and revision of those on the Hub."""

import datetime
from pathlib import Path
from typing import Any

import click
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError


class Base(BaseModel):
    """`base.yaml`. `target` names patterns of the modules that LoRA may adapt: a full match of the
    module's path, so that bare names cannot land in a vision tower."""

    model_config = ConfigDict(extra="forbid")

    folder: Path
    id: str | None = None
    revision: str | None = Field(None, pattern="^[0-9a-f]{40}$")
    context: int = Field(gt=0, description="tokens")
    target: dict[str, str]
    date: datetime.date = Field(description="the day that a chat template is told is today")
    template: str | None = Field(
        None, pattern=r"^[^/\\]+$", description="a file beside this one, not the tokenizer's own"
    )
    template_options: dict[str, Any] | None = Field(None, alias="template-options", description="variables of it")

    @property
    def source(self) -> str:
        """What `from_pretrained` and mlx_lm take."""
        return self.id or str(self.folder)

    def pattern(self, name: str) -> str:
        """Raises click.ClickException that lists the known names."""
        if name not in self.target:
            known = ", ".join(self.target)
            raise click.ClickException(f"lora.target {name!r} is not in {self.folder}/base.yaml; it has {known}")
        return self.target[name]


def read_base(folder: Path) -> Base:
    """Raises click.ClickException when base.yaml is missing or malformed."""
    path = folder / "base.yaml"
    try:
        base = Base(folder=folder, **yaml.safe_load(path.read_text("utf-8")))
    except FileNotFoundError:
        raise click.ClickException(f"{path} is missing: a base is a folder with one; see models/tiny") from None
    except (yaml.YAMLError, ValidationError, TypeError) as error:
        raise click.ClickException(f"{path}: {' '.join(str(error).split())}") from None
    if bool(base.id) != bool(base.revision):
        raise click.ClickException(f"{path}: id and revision go together; pin the commit of the Hub")
    return base
