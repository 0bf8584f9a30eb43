"""How dvc.yaml would call a stage: for what runs beside the pipeline and must agree with it."""

import importlib
import os
import shlex
from pathlib import Path
from typing import Any

import click


def stage_commands(root: Path) -> dict[str, str]:
    """Stage → its command as DVC would run it; of one name in several dvc.yaml, that of the root's own.

    Raises click.ClickException when DVC cannot read dvc.yaml.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo(str(root)) as repo:
            named = [found for found in repo.index.stages if getattr(found, "name", None)]
            named.sort(key=lambda found: Path(found.path).parent == Path(repo.root_dir))
            return {found.name: found.cmd for found in named}
    except DvcException as error:
        raise click.ClickException(f"{root}: {' '.join(str(error).split())}") from None


def stage_options(root: Path, stage: str, commands: dict[str, str] | None = None) -> dict[str, Any]:
    """The options with which DVC would run a stage, as its own click command reads them. `commands`: what
    `stage_commands` says, of a caller that has asked already.

    Raises click.ClickException when dvc.yaml has no such stage, or DVC cannot read it with params.yaml.
    """
    commands = stage_commands(root) if commands is None else commands
    if stage not in commands:
        kind = stage.split("@")[0]
        known = ", ".join(sorted(name.split("@")[1] for name in commands if name.startswith(f"{kind}@")))
        raise click.ClickException(f"dvc.yaml has no stage {stage}; there is one for {known}")
    os.environ.setdefault("DVC_ROOT", str(root))
    words = shlex.split(os.path.expandvars(commands[stage]))
    command: click.Command = importlib.import_module(words[2]).main
    return command.make_context(stage, words[3:]).params
