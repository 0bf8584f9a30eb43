"""The pipeline from rows to table, one adapter after another: the first result is there in minutes.

DVC runs the stages, by dvc.lock, as `dvc repro` does. What is different is the order (`dvc repro` takes it as the graph
comes), and what is said: a line a stage, which stages say themselves.
"""

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tuneline.table import show_crosses, show_tables

if TYPE_CHECKING:
    from dvc.repo import Repo
    from dvc.stage import Stage

EVAL = "eval@"  # the last stage of an adapter, and the adapter's name


def reproduce(first: bool, verbose: bool) -> None:
    """Runs what a change touches, adapter by adapter, and shows the table of each; `first`: of the first one alone.

    `verbose`: all that DVC says, the commands too. Raises click.ClickException for a stage that fails.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo, lock_repo

    if not verbose:
        quiet_dvc()
    try:
        with Repo() as repo, lock_repo(repo), repo.scm_context():
            Pass(repo, first).run()
    except DvcException:
        logging.getLogger("dvc").exception("")  # as DVC's own command tells it
        raise click.exceptions.Exit(255) from None


def quiet_dvc() -> None:
    """What DVC has to warn of is said, and what it takes from its cache; not what stages say in a line of their own."""
    logging.getLogger("dvc").setLevel(logging.WARNING)
    logging.getLogger("dvc.stage.cache").setLevel(logging.INFO)
    # A file of refused or dropped rows is empty where all is well.
    logging.getLogger("dvc.output").addFilter(lambda record: record.msg != "'%s' is empty.")


class Pass:
    """One time through the stages of dvc.yaml and what they need of other files."""

    def __init__(self, repo: "Repo", first: bool) -> None:
        from dvc.repo.reproduce import get_active_graph

        self.graph = get_active_graph(repo.index.graph)  # without what a frozen stage needs
        own = [stage for stage in repo.index.stages if stage.path_in_repo == "dvc.yaml"]
        ends = [stage for stage in own if stage.name.startswith(EVAL)]  # in the order of params.yaml
        metrics = Path(repo.root_dir, "metrics")
        self.adapters = {end: metrics / end.name.removeprefix(EVAL) for end in ends[: first or None]}
        self.others = [] if first else own  # those that no evaluation wants are among them
        self.ran: dict[Stage, bool] = {}  # of each that has had its turn
        self.restored = set[str]()  # those whose outputs came from the cache: they have said nothing
        logging.getLogger("dvc.stage.cache").addFilter(self.hear)

    def hear(self, record: logging.LogRecord) -> bool:
        if str(record.msg).startswith("Stage '%s' is cached"):
            self.restored.add(record.args[0])
        return True

    def run(self) -> None:
        for end, metrics in self.adapters.items():
            self.run_up_to(end)
            if not self.ran[end] or end.addressing in self.restored:  # else it has shown its table itself
                show_tables([metrics])
            sys.stdout.flush()  # before what the next stages say
        for stage in self.others:
            self.run_up_to(stage)
        show_crosses(self.adapters.values())
        if unchanged := len(self.ran) - sum(self.ran.values()):
            click.echo(f"{unchanged} of {len(self.ran)} stages unchanged", err=True)

    def run_up_to(self, end: "Stage") -> None:
        """The stage, and before it those that it needs, if they have not had their turn."""
        from networkx import dfs_postorder_nodes

        for stage in dfs_postorder_nodes(self.graph, end):
            if stage not in self.ran:
                self.ran[stage] = reproduce_stage(stage)


def reproduce_stage(stage: "Stage") -> bool:
    """Whether it had to run, or its outputs to come from the cache. Raises click.ClickException where it fails."""
    from dvc.stage.exceptions import StageCmdFailedError

    if stage.frozen:
        click.echo(f"{stage.addressing} is frozen: what it needs is not looked at", err=True)
    try:
        if ran := stage.reproduce():
            stage.dump(update_pipeline=False)
    except StageCmdFailedError as error:
        ended = str(error).rpartition(", ")[2]  # the command stands before it
        raise click.ClickException(f"{stage.addressing} failed ({ended}): the reason stands above") from None
    return bool(ran)
