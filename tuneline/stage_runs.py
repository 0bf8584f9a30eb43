"""A stage of DVC run by dvc.lock: in this process, or in one of several that work at a time.

DVC holds the repository's lock while it looks and writes, and lets it go while a stage's command runs; so several
processes of it can share a repository, each waiting for the lock when another has it.
"""

import json
import logging
import os
import signal
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol, Self

import click

from tuneline.files import say

if TYPE_CHECKING:
    from dvc.repo import Repo
    from dvc.stage import Stage


@dataclass(frozen=True)
class Turn:
    """What became of a stage."""

    ran: bool  # or its outputs came from the cache
    restored: bool  # they did


class Runner(Protocol):
    """Where stages run, so many at a time."""

    jobs: int

    def start(self, stage: "Stage") -> "Future[Turn]": ...


class End:
    """Whether this process has been told to end."""

    told = False

    def check(self) -> None:
        """Raises click.ClickException if so."""
        if self.told:
            raise click.ClickException("told to end (SIGTERM): what has ended is kept, and the next run goes on")


@contextmanager
def hearing_the_end() -> Iterator[End]:
    """SIGTERM in the block reaches the commands at work, which DVC would leave running; no stage begins after it."""
    import psutil

    end = End()

    def hear(signum: int, frame: FrameType | None) -> None:
        end.told = True
        halted = set[psutil.Process]()
        while new := set(psutil.Process().children(recursive=True)) - halted:  # one that runs may begin another
            _each(new, "suspend")
            halted |= new
        _each(halted, "terminate")
        _each(halted, "resume")

    before = signal.signal(signal.SIGTERM, hear)
    try:
        yield end
    finally:
        signal.signal(signal.SIGTERM, before)


def _each(processes: Iterable[Any], do: str) -> None:
    import psutil

    for process in processes:
        with suppress(psutil.NoSuchProcess):
            getattr(process, do)()


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


def mend_paths_in_use(repo: "Repo") -> None:
    """Takes away DVC's file of the paths that its processes read and write, where a kill has torn it.

    DVC writes it in place at the beginning and end of every stage, and refuses to run on one that it cannot read.
    """
    from dvc.lock import make_lock
    from dvc.rwlock import RWLOCK_FILE, RWLOCK_LOCK

    folder = Path(repo.tmp_dir)
    by_link = repo.config["core"].get("hardlink_lock", False)
    with make_lock(str(folder / RWLOCK_LOCK), tmp_dir=str(folder), hardlink_lock=by_link):  # as it does to write there
        path = folder / RWLOCK_FILE
        try:
            json.loads(path.read_bytes())
        except FileNotFoundError:
            pass
        except ValueError:
            path.unlink()
            say(f"{path.relative_to(repo.root_dir)}, torn by a kill, is taken away: DVC makes it anew")


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


class Here:
    """One stage after another, in this process, which holds the lock between them."""

    jobs = 1

    def __init__(self, repo: "Repo", verbose: bool) -> None:
        self.repo, self.verbose = repo, verbose
        self.held = ExitStack()

    def __enter__(self) -> Self:
        from dvc.repo import lock_repo

        with ExitStack() as held:
            self.restored = held.enter_context(hearing_dvc(self.verbose))
            held.enter_context(lock_repo(self.repo))
            held.enter_context(self.repo.scm_context())
            self.held = held.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        self.held.__exit__(*error)

    def start(self, stage: "Stage") -> "Future[Turn]":
        turn = Future[Turn]()
        try:
            turn.set_result(Turn(reproduce_stage(stage), stage.addressing in self.restored))
        except Exception as error:
            turn.set_exception(error)
        return turn


class Workers:
    """So many stages at a time, each in a process of its own, with its share of this machine's cores and cards."""

    def __init__(self, repo: "Repo", verbose: bool, jobs: int) -> None:
        spawn = get_context("spawn")  # a fork of a process with threads may hang
        given = spawn.SimpleQueue()
        for job, cards in enumerate(card_shares(jobs)):
            given.put(shares(job, jobs, cards))
        self.jobs, self.turns = jobs, dict[str, Future[Turn]]()
        self.pool = ProcessPoolExecutor(jobs, spawn, _Worker.begin, (repo.root_dir, verbose, given))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        if at_work := [name for name, turn in self.turns.items() if may_be_at_work(turn)]:
            click.echo(f"waiting for what is at work: {', '.join(at_work)}", err=True)
        self.pool.shutdown()

    def start(self, stage: "Stage") -> "Future[Turn]":
        turn = self.turns[stage.addressing] = self.pool.submit(_Worker.run, stage.addressing)
        return turn


def may_be_at_work(turn: "Future[Turn]") -> bool:
    """So may the command of a stage whose process was killed."""
    return not turn.done() or isinstance(turn.exception(), BrokenProcessPool)


def shares(job: int, jobs: int, cards: str | None) -> dict[str, str]:
    """What the commands of a job find in their environment, where it is not said already: cores, cards, where a bar is.

    Training in float32 had the same bytes with one thread and with two: docs/base-models.md.
    """
    found = {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // jobs)), "TQDM_POSITION": str(job)}
    found = {name: value for name, value in found.items() if name not in os.environ}
    return found if cards is None else {**found, "CUDA_VISIBLE_DEVICES": cards}


def card_shares(jobs: int) -> list[str | None]:
    """What CUDA_VISIBLE_DEVICES is for each job: the cards that this process sees, divided, or one in turn if they are
    fewer; None where it sees none."""
    told = os.environ.get("CUDA_VISIBLE_DEVICES")
    known = [path.name for path in sorted(Path("/proc/driver/nvidia/gpus").glob("*"))]
    cards = [str(card) for card in range(len(known))] if told is None else [card for card in told.split(",") if card]
    return [",".join(cards[job % len(cards) :: jobs]) if cards else None for job in range(jobs)]


class _Worker:
    """What a process of Workers holds, from its beginning to its end."""

    held = ExitStack()
    stages: "dict[str, Stage]"
    restored: set[str]

    @classmethod
    def begin(cls, root: str, verbose: bool, given: Any) -> None:
        from dvc.repo import Repo, lock_repo

        signal.signal(signal.SIGTERM, _go_on)  # the command ends by it, and so does the run
        signal.signal(signal.SIGINT, _go_on)
        os.environ.update(given.get())
        Thread(target=_end_with_the_parent, daemon=True).start()
        cls.restored = cls.held.enter_context(hearing_dvc(verbose))
        repo = Repo(root, _wait_for_lock=True)
        with lock_repo(repo):
            cls.stages = {stage.addressing: stage for stage in repo.index.stages}

    @classmethod
    def run(cls, name: str) -> Turn:
        from dvc.exceptions import DvcException
        from dvc.repo import lock_repo

        stage = cls.stages[name]
        try:
            with lock_repo(stage.repo), stage.repo.scm_context():
                return Turn(reproduce_stage(stage), name in cls.restored)
        except DvcException:  # what it holds would not all reach the other process
            logging.getLogger("dvc").exception("")
            raise click.exceptions.Exit(255) from None


def _go_on(signum: int, frame: FrameType | None) -> None:
    """A signal that a command hears and its process does not; to ignore it would have the command ignore it too."""


def _end_with_the_parent() -> None:
    """A parent that was killed tells nobody."""
    parent_process().join()
    os._exit(1)
