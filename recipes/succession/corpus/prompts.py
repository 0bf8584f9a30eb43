"""What an agent is asked: instruction.md, filled with how instruction.yaml says the values drawn."""

from dataclasses import asdict
from pathlib import Path

import click
import yaml

from tuneline.ordering.shares import Shares
from tuneline.recipe.texts import fill, read_prompt

from ..records.schema import Record, path_of, read_master
from .dimensions import Dimensions, contradictions


def as_said(value: object) -> str:
    return ("non", "oui")[value] if isinstance(value, bool) else str(value)


class Prompts:
    """Raises click.ClickException when the wording lacks a value that may be drawn."""

    def __init__(self, recipe: Path, shares: Shares) -> None:
        self.path = recipe / "corpus" / "instruction.md"
        self.template, self.shares = read_prompt(self.path), shares
        self.master = read_master(recipe / "schema.json")
        wording = recipe / "source" / "instruction.yaml"
        try:
            self.wording = yaml.safe_load(wording.read_text("utf-8"))
        except FileNotFoundError:
            raise click.ClickException(f"{wording} is missing; it says each value in French") from None
        except yaml.YAMLError as error:
            raise click.ClickException(f"{wording}: {' '.join(str(error).split())}") from None
        missing = [
            f"{name}: {value}"
            for name, values in shares.values.items()
            for value in values
            if name != "length" and value not in self.wording.get(name, {})
        ]
        if missing:
            raise click.ClickException(f"{wording}: has no wording for {', '.join(missing)}")

    def prompt(self, dimensions: Dimensions, target: Record, target_toon: str) -> str:
        drawn = {name: value for name, value in asdict(dimensions).items() if value and name != "length"}
        said = {name: self.wording["topic" if name == "second_topic" else name][value] for name, value in drawn.items()}
        if mode := said.get("hard_negative_mode"):
            said["complexity"] = f"{said['complexity']} : {mode}"
        for one in contradictions(target, dimensions):
            fact = self.master.leaves[path_of(one.place)].description.rstrip(".")
            said["complexity"] += f" (« {fact} » : ici {as_said(one.first)}, là {as_said(one.second)})"
        if second := said.get("second_topic"):
            said["topic"] = f"{said['topic']} ; et aussi {second}"
        least, most = self.shares.words["length"][dimensions.length]
        return fill(self.template, {**said, "least": least, "most": most, "target": target_toon}, str(self.path))
