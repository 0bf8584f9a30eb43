"""The pipeline from rows to table, one adapter after another: the first result is there in minutes.

DVC runs the stages, by dvc.lock, as `dvc repro` does. What is different is the order (`dvc repro` takes it as the graph
comes), and what is said: a line a stage, which stages say themselves.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
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

    try:
        with hearing_dvc(verbose) as restored, Repo() as repo, lock_repo(repo), repo.scm_context():
            Pass(repo, first, restored).run()
    except DvcException:
        logging.getLogger("dvc").exception("")  # as DVC's own command tells it
        raise click.exceptions.Exit(255) from None


@contextmanager
def hearing_dvc(verbose: bool) -> Iterator[set[str]]:
    """Yields the stages whose outputs DVC takes from its cache in the block: these say nothing of themselves.

    Unless it is `verbose`, DVC says what it has to warn of, and not what stages say in a line of their own.
    """
    restored = set[str]()

    def hear(record: logging.LogRecord) -> bool:
        if not str(record.msg).startswith("Stage '%s' is cached"):
            return True
        (stage,) = record.args
        restored.add(stage)
        if not verbose:
            kind, _, name = stage.partition("@")
            click.echo(f"{kind:8} {name:13} from the cache: it has run before on just this", err=True)
        return verbose

    def is_news(record: logging.LogRecord) -> bool:
        """A file of refused or dropped rows is empty where all is well."""
        return verbose or record.msg != "'%s' is empty."

    dvc, cache, outputs = (logging.getLogger(name) for name in ("dvc", "dvc.stage.cache", "dvc.output"))
    level = dvc.level
    dvc.setLevel(level if verbose else logging.WARNING)
    cache.setLevel(logging.INFO)
    cache.addFilter(hear)
    outputs.addFilter(is_news)
    try:
        yield restored
    finally:
        dvc.setLevel(level)
        cache.setLevel(logging.NOTSET)
        cache.removeFilter(hear)
        outputs.removeFilter(is_news)


class Pass:
    """One time through the stages of dvc.yaml and what they need of other files."""

    def __init__(self, repo: "Repo", first: bool, restored: set[str]) -> None:
        from dvc.repo.reproduce import get_active_graph

        self.graph = get_active_graph(repo.index.graph)  # without what a frozen stage needs
        own = [stage for stage in repo.index.stages if stage.path_in_repo == "dvc.yaml"]
        ends = [stage for stage in own if stage.name.startswith(EVAL)]  # in the order of params.yaml
        metrics = Path(repo.root_dir, "metrics")
        self.adapters = {end: metrics / end.name.removeprefix(EVAL) for end in ends[: first or None]}
        self.others = [] if first else own  # those that no evaluation wants are among them
        self.ran: dict[Stage, bool] = {}  # of each that has had its turn
        self.restored = restored

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
    """Whether it had to run, or its outputs to come from the cache.

    Raises click.ClickException where its command fails, dvc's ReproductionError where DVC does.
    """
    from dvc.exceptions import ReproductionError
    from dvc.stage.exceptions import StageCmdFailedError

    if stage.frozen:
        click.echo(f"{stage.addressing} is frozen: what it needs is not looked at", err=True)
    try:
        if ran := stage.reproduce():
            stage.dump(update_pipeline=False)
    except StageCmdFailedError as error:
        ended = str(error).rpartition(", ")[2]  # the command stands before it
        raise click.ClickException(f"{stage.addressing} failed ({ended}): the reason stands above") from None
    except Exception as error:  # of any kind, as in DVC's own loop
        raise ReproductionError(f"failed to reproduce '{stage.addressing}'") from error
    return bool(ran)
