"""Stages and commands in a small copy of the project, run in this process.

For tests of what they write and say. A process for each would be two seconds of imports, ten where a model is loaded.
"""

import contextlib
import importlib
import shlex

from click.testing import CliRunner, Result

from tests.conftest import ENVIRONMENT, INHERITED, Project
from tuneline.cli import main
from tuneline.pipeline import stage_commands


def run_stages(project: Project, *names: str) -> None:
    """Runs them in that order, as dvc.yaml has them; DVC itself looks at nothing and keeps nothing."""
    commands = stage_commands(project.root)
    with contextlib.chdir(project.root):
        for name in names:
            words = shlex.split(commands[name].replace("$DVC_ROOT", str(project.root)))
            done = CliRunner().invoke(importlib.import_module(words[2]).main, words[3:])
            assert done.exit_code == 0, f"{name}: {done.output}{done.exception!r}"


def run_tuneline(project: Project, *words: str, fails: bool = False) -> Result:
    """`tuneline` with these words, as in the project's folder."""
    with contextlib.chdir(project.root):
        done = CliRunner().invoke(main, words, env=ENVIRONMENT | dict.fromkeys(INHERITED))
    assert done.exit_code == int(fails), f"{words}: {done.output}{done.exception!r}"
    return done
