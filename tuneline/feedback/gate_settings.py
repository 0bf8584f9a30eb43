"""`gate` of params.yaml: from which score a sample counts, and how many start a run."""

from pathlib import Path
from typing import Any

import click
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from tuneline.feedback.store import Caps
from tuneline.recipe.tasks import TASKS

SAMPLES = "samples.jsonl"  # in source/: the accepted samples that a run learns from


def _hyphened(name: str) -> str:
    return name.replace("_", "-")


class GateSettings(BaseModel):
    """An unknown key fails, and so does what is out of its range."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=_hyphened, populate_by_name=True)

    min_score: float = Field(ge=0, le=1, description="Overall, from which a sample is accepted.")
    min_new_samples: int = Field(ge=1, description="Accepted since the watermark that start a run.")
    most_per_source: int = Field(0, ge=0, description="Accepted of one application for a run; 0: any number.")
    most_per_model: int = Field(0, ge=0, description="Accepted of one model for a run; 0: any number.")
    measure: str = Field(min_length=1, description="Of the held-out rows, by which a version wins.")
    least_effect: float = Field(0, ge=0, description="Of the measure, by which it must win at least.")
    retention_margin: float = Field(0.05, ge=0, description="Of token F1 on general questions, that it may lose.")
    adapters: dict[str, str] = Field(min_length=1, description="The adapter that a run of a task trains.")
    attempts: int = Field(ge=1, description="Of a run that fails.")
    retry_minutes: float = Field(ge=0, description="After a failed run.")

    @field_validator("adapters")
    @classmethod
    def _tasks(cls, adapters: dict[str, str]) -> dict[str, str]:
        if unknown := sorted(adapters.keys() - set(TASKS)):
            raise ValueError(f"{', '.join(unknown)}: a task is one of {', '.join(TASKS)}")
        return adapters

    @property
    def caps(self) -> Caps:
        return Caps(self.most_per_source, self.most_per_model)

    def adapter(self, task: str) -> str:
        """The adapter that a run of the task trains.

        Raises click.ClickException when params.yaml names none.
        """
        if task not in self.adapters:
            raise click.ClickException(f"params.yaml: gate.adapters names no adapter for {task}")
        return self.adapters[task]


def read_gate_settings(root: Path) -> GateSettings:
    """From `gate` of params.yaml in a checkout.

    Raises click.ClickException when the file or the section is not there, or says what it may not.
    """
    path = root / "params.yaml"
    found = _read_params(path)
    if not isinstance(found.get("gate"), dict):
        raise click.ClickException(f"{path} has no section gate")
    try:
        return GateSettings(**found["gate"])
    except ValidationError as error:
        said = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        known = ", ".join(_hyphened(name) for name in GateSettings.model_fields)
        raise click.ClickException(f"{path}: gate: {said}; the keys are {known}") from None


def recipe_of(root: Path, task: str, adapter: str) -> Path:
    """The recipe's folder, relative to `root`, of the adapter that gate.adapters names for a task.

    Raises click.ClickException when params.yaml has no such adapter or does not run its recipe.
    """
    path = root / "params.yaml"
    params = _read_params(path)
    adapters = params.get("adapters")
    known = sorted(adapters) if isinstance(adapters, dict) else []
    if adapter not in known:
        said = f"there is no {adapter} in adapters, which has {', '.join(known) or 'none'}"
        raise click.ClickException(f"{path}: gate.adapters.{task}: {said}")
    recipe = adapters[adapter].get("recipe") if isinstance(adapters[adapter], dict) else None
    if recipe not in (params.get("recipes") or []):
        raise click.ClickException(f"{path}: adapters.{adapter}.recipe: {recipe} is not in recipes")
    return Path("recipes", recipe)


def gated_recipe(root: Path) -> Path:
    """The recipe's folder of the first adapter that gate.adapters names: whose judge and whose texts they are."""
    task, adapter = next(iter(read_gate_settings(root).adapters.items()))
    return root / recipe_of(root, task, adapter)


def check_gate(root: Path, task: str, adapter: str) -> None:
    """Can a run of the task train that adapter, and be decided by gate.measure?

    Raises click.ClickException that names the key of params.yaml when it cannot.
    """
    from tuneline.measuring.kinds import open_measures
    from tuneline.measuring.score import MEAN
    from tuneline.recipe.settings import Extract, TaskEval, read_recipe

    path = root / "params.yaml"
    gate, folder = read_gate_settings(root), recipe_of(root, task, adapter)
    recipe = read_recipe(root / folder)
    where = f"{path}: gate.adapters.{task}: {adapter}: {folder}/recipe.yaml"
    if isinstance(recipe.eval, TaskEval) and recipe.eval.task != task:
        raise click.ClickException(f"{where} needs eval.task: {task}")
    if not isinstance(recipe.extract, Extract) or SAMPLES not in recipe.extract.train:
        raise click.ClickException(f"{where} needs {SAMPLES}, the accepted samples, in extract.train")
    known = [name for name, how in open_measures(root / folder).FIGURES.items() if how == MEAN]
    if gate.measure not in known:
        raise click.ClickException(f"{path}: gate.measure: {gate.measure} is none of {', '.join(known)}")


def _read_params(path: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise click.ClickException(f"{path}: {' '.join(str(error).split())}") from None
    return found if isinstance(found, dict) else {}
