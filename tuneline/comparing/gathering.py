"""All that differs between two sides, before a word of it is written."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from tuneline.comparing.figures import Figure, moved_figures
from tuneline.comparing.flips import Flips, flips
from tuneline.comparing.knobs import KNOBS, PROMPT, Knob, prompt_lines, spend, turned_knobs
from tuneline.comparing.rows import RecipeRows, changed_rows, source_of
from tuneline.comparing.sides import Side, Store, changed_paths
from tuneline.comparing.stale import Status, status


@dataclass(frozen=True)
class Difference:
    """code: files that a stage reads and that are neither knobs, prompts nor rows. ran: stages that have run again.

    spend: (before, now), as file → USD. missing: what neither DVC's cache nor a remote has.
    status: None where no working tree is looked at.
    """

    knobs: list[Knob]
    figures: list[Figure]
    rows: list[RecipeRows]
    flips: list[Flips]
    prompts: Mapping[str, list[str]]
    code: list[str]
    ran: list[str]
    spend: tuple[Mapping[str, float], Mapping[str, float]]
    missing: bool = False
    status: Status | None = None
    stages: int = field(default=0, compare=False)  # that have ever run

    def __bool__(self) -> bool:
        """Does a person have to be told anything?"""
        return bool(
            self.knobs or self.figures or self.rows or self.flips or self.prompts or self.code or self.ran
            or (self.status and self.status.stale)
        )  # fmt: skip


def gather(root: Path, before: Side, now: Side) -> Difference:
    """Raises click.ClickException where `root` is no repository of DVC, dvc.exceptions.DvcException where DVC cannot
    read its stages."""
    changed = changed_paths(before, now)
    with Store(root) as store:
        figures = moved_figures(before, now, changed, store)
        return Difference(
            knobs=turned_knobs(before, now, changed),
            figures=figures,
            rows=changed_rows(before, now, changed, store),
            flips=flips(before, now, store),
            prompts=prompt_lines(before, now, changed),
            code=code_of(before, now, changed),
            ran=[name for name, stage in now.lock.items() if stage != before.lock.get(name)],
            spend=(spend(before), spend(now)),
            missing=bool(store.missing),
            status=None if now.commit else status(store.repo),
            stages=len(now.lock),
        )


def code_of(before: Side, now: Side, changed: set[str]) -> list[str]:
    told = (KNOBS.fullmatch, PROMPT.fullmatch, source_of)
    return sorted(path for path in changed if not any(way(path) for way in told) and _is_read(path, before, now))


def _is_read(path: str, *sides: Side) -> bool:
    """Does a stage depend on it, by its dvc.yaml or by its last run, or is it a pipeline's own text?"""
    places = {path, *map(str, PurePosixPath(path).parents)}
    return path.split("/")[-1] == "dvc.yaml" or any(side.deps.match(path) or places & side.read_last for side in sides)
