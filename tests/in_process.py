"""Stages of a small copy of the project, run in this process: for tests of what stages write, not of what DVC does."""

import contextlib
import importlib
import shlex

from click.testing import CliRunner

from tests.conftest import Project
from tuneline.pipeline import stage_commands


def run_stages(project: Project, *names: str) -> None:
    """Runs them in that order as dvc.yaml has them; of a process each, two seconds are imports and DVC's own."""
    commands = stage_commands(project.root)
    with contextlib.chdir(project.root):
        for name in names:
            words = shlex.split(commands[name].replace("$DVC_ROOT", str(project.root)))
            done = CliRunner().invoke(importlib.import_module(words[2]).main, words[3:])
            assert done.exit_code == 0, f"{name}: {done.output}{done.exception!r}"
