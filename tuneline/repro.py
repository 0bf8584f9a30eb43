"""The pipeline from rows to table, one adapter after another: the first result is there in minutes.

DVC runs the stages, by dvc.lock, as `dvc repro` does. What is different is the order (`dvc repro` takes it as the graph
comes), how many of them run at a time, and what is said: a line a stage, which stages say themselves.
"""

import logging
import sys
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tuneline.files import say
from tuneline.stage_runs import End, Here, Runner, Turn, Workers, hearing_the_end, mend_paths_in_use
from tuneline.table import show_crosses, show_tables

if TYPE_CHECKING:
    from dvc.repo import Repo
    from dvc.stage import Stage

EVAL = "eval@"  # the last stage of an adapter, and the adapter's name
BASE = "base@"  # what fetches a base, and the name of its folder in models/


def reproduce(first: bool, verbose: bool, jobs: int = 1, adapters: tuple[str, ...] = ()) -> None:
    """Runs what a change touches, adapter by adapter, and shows the table of each.

    `adapters`: these alone, of benchmarks/ too, and for a folder such as benchmarks all of its, but for those whose
    base has terms that nobody has accepted, which are said; none: all of params.yaml, and then what else is there.
    `first`: of those of params.yaml the first one alone. `verbose`: all that DVC says, the commands too. `jobs`: so
    many stages at a time, of those that do not need one another. Raises click.ClickException for an adapter that is
    not there, and for a stage that fails, when the others that are at work have ended.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo, lock_repo

    try:
        with hearing_the_end() as end, Repo() as repo:
            mend_paths_in_use(repo)
            with lock_repo(repo):
                turns = Turns(repo, first, adapters)
            with Here(repo, verbose) if jobs == 1 else Workers(repo, verbose, jobs) as runner:
                turns.take(runner, end)
    except BrokenProcessPool:
        killed = f"a process was killed, perhaps for memory: {jobs} stages at a time want it together"
        raise click.ClickException(f"{killed}; what has ended is kept, and the next run goes on") from None
    except DvcException:
        logging.getLogger("dvc").exception("")  # as DVC's own command tells it
        raise click.exceptions.Exit(255) from None


class Turns:
    """The stages that are asked for and what they need, in the order in which they are wanted."""

    def __init__(self, repo: "Repo", first: bool, adapters: tuple[str, ...]) -> None:
        from dvc.repo.reproduce import get_active_graph
        from networkx import dfs_postorder_nodes

        self.graph = get_active_graph(repo.index.graph)  # without what a frozen stage needs
        own = [stage for stage in repo.index.stages if stage.path_in_repo == "dvc.yaml"]
        ends = [stage for stage in repo.index.stages if getattr(stage, "name", "").startswith(EVAL)]
        named, folders = defaultdict(list), defaultdict(list)
        for end in ends:
            named[end.name.removeprefix(EVAL)].append(end)
            folders[Path(end.path_in_repo).parent.as_posix()].append(end)  # in the order of its params.yaml
        if missing := [name for name in adapters if name not in named and name not in folders]:
            raise click.ClickException(f"there is no adapter {missing[0]!r}; there are {', '.join(named)}")
        asked = [end for name in adapters for end in named.get(name) or self._agreed_to(folders[name])]
        ends = asked if adapters else folders["."][: first or None]
        self.adapters = {end: Path(repo.root_dir, "metrics", end.name.removeprefix(EVAL)) for end in ends}
        wanted = [*ends, *([] if first or adapters else own)]  # those that no evaluation wants are among the last
        self.order = list(dict.fromkeys(stage for end in wanted for stage in dfs_postorder_nodes(self.graph, end)))

    def _agreed_to(self, ends: "list[Stage]") -> "Iterator[Stage]":
        """Without those whose base is not there yet and has terms that nobody has accepted; which are said."""
        from networkx import descendants

        from tuneline.bases.fetching import check_terms
        from tuneline.models.base import read_base_yaml

        for end in ends:
            needs = [need for need in descendants(self.graph, end) if getattr(need, "name", "").startswith(BASE)]
            try:
                for need in needs:
                    if not all(out.exists for out in need.outs):
                        check_terms(read_base_yaml(Path(need.wdir, "models", need.name.removeprefix(BASE))))
            except click.ClickException as error:
                say(f"{end.name.removeprefix(EVAL)} is left out: {error.message}")
            else:
                yield end

    def take(self, runner: Runner, end: End) -> None:
        """Each stage when those that it needs have had their turn, and the table of an adapter when it is there.

        Raises the error of one that fails; the runner sees to those at work.
        """
        waiting = list(self.order)
        at_work: dict[Future[Turn], Stage] = {}
        had: dict[Stage, Turn] = {}
        while waiting or at_work:
            while len(at_work) < runner.jobs and (stage := self._next(waiting, had)):
                end.check()
                waiting.remove(stage)
                at_work[runner.start(stage)] = stage
            for future in wait(at_work, return_when=FIRST_COMPLETED).done:
                stage = at_work.pop(future)
                had[stage] = future.result()
                self._show(stage, had[stage])
        show_crosses(self.adapters.values())
        if unchanged := sum(not turn.ran for turn in had.values()):
            click.echo(f"{unchanged} of {len(had)} stages unchanged", err=True)

    def _next(self, waiting: "list[Stage]", had: "dict[Stage, Turn]") -> "Stage | None":
        """The first whose needs have had their turn."""
        return next((stage for stage in waiting if all(need in had for need in self.graph.successors(stage))), None)

    def _show(self, stage: "Stage", turn: Turn) -> None:
        if stage in self.adapters and (not turn.ran or turn.restored):  # else it has shown its table itself
            show_tables([self.adapters[stage]])
        sys.stdout.flush()  # before what the next stages say
