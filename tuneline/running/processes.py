"""A stage in several processes: torch's launcher of them on this machine, and what each knows of itself.

A stage that torchrun or accelerate launch has started, on one machine or on several, is one of theirs. The process of
rank 0 alone speaks and writes.
"""

import contextlib
import logging
import os
import re
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

OURS = "tuneline"  # the launcher's name for a run that `launch` has started
ENVIRONMENT = {"RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR"}  # what launchers tell their processes
LOST = re.compile("gloo|NCCL|DistBackendError|DistNetworkError|DistStoreError|closed by peer|reset by peer", re.I)
LONGEST = timedelta(days=7)  # that one process may be done before another; torch would end it after half an hour
PATIENCE = 10  # seconds that a process waits for the launcher's word of another one that has ended


def is_part() -> bool:
    """Whether a launcher has started this process."""
    return os.environ.keys() >= ENVIRONMENT


def world_size() -> int:
    return int(os.environ["WORLD_SIZE"]) if is_part() else 1


def local_size() -> int:
    """Processes on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", world_size())) if is_part() else 1


def rank() -> int:
    return int(os.environ["RANK"]) if is_part() else 0


def is_sharded() -> bool:
    """Whether accelerate launch was told to divide the weights too (FSDP). Among CPUs it does not."""
    return is_part() and os.environ.get("ACCELERATE_USE_FSDP", "").lower() == "true"


def launched(count: int, module: str, kept: Callable[[], str]) -> bool:
    """Whether `count` others have done the work of the stage that runs, by its own command line; see `launch`.

    Not of one that a launcher has started itself.
    """
    if count == 1 or is_part():
        return False
    launch(count, module, own_words(), kept)
    return True


def own_words() -> list[str]:
    """The command line of the stage that runs, after its name."""
    context = click.get_current_context()
    given = [(option, context.params[option.name]) for option in context.command.params]
    flags = [(option.opts if value else option.secondary_opts)[:1] for option, value in given if option.is_flag]
    return sum(flags, [word for option, value in given if not option.is_flag for word in (option.opts[0], str(value))])


def launch(count: int, module: str, words: list[str], kept: Callable[[], str]) -> None:
    """`python -m module words` in `count` processes, over the loopback; returns when all have ended well.

    When one fails, or this process is told to end, all end. Raises click.ClickException with the reason and, where
    the process could not tell one, what `kept` says.
    """
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException, Std
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    with tempfile.TemporaryDirectory() as logs, undisturbed():
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=count,
            run_id=OURS,
            rdzv_backend="c10d",
            rdzv_endpoint="127.0.0.1:0",  # any free port
            local_addr="127.0.0.1",
            max_restarts=0,
            monitor_interval=0.1,
            shutdown_timeout=PATIENCE,
            signals_to_handle="SIGTERM,SIGHUP,SIGQUIT",  # an interrupt is Python's own
            logs_specs=DefaultLogsSpecs(logs, redirects=dict.fromkeys(range(1, count), Std.ALL)),
        )
        try:
            elastic_launch(config, sys.executable)("-m", module, *words)
        except ChildFailedError as error:
            raise click.ClickException(reason(error, Path(logs), kept)) from None
        except SignalException as error:
            raise click.ClickException(f"ended by {error.sigval.name}; {kept()}") from None


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """The launcher says in many lines what is told in one, and leaves its handlers of signals behind."""
    main = threading.current_thread() is threading.main_thread()
    before = {kind: signal.getsignal(kind) for kind in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)}
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
        for kind, handler in before.items() if main else ():
            signal.signal(kind, handler)


def reason(error: Any, logs: Path, kept: Callable[[], str]) -> str:
    """What the first process that failed has told, or how it ended."""
    first, failure = error.get_first_failure()
    if isinstance(failure.message, dict):  # as `part` records it
        return failure.message["message"].partition(": ")[2]
    how = f"was ended by {failure.signal_name()}" if failure.exitcode < 0 else f"failed with {failure.exitcode}"
    said = [line for path in logs.rglob(f"{first}/stderr.log") for line in path.read_text("utf-8").splitlines()]
    last = next((f" ({line.strip()[:300]})" for line in reversed(said) if line.strip()), "")
    return f"process {first} {how}{last}, and the others with it; {kept()}"


def gathered(mine: list[Any]) -> list[Any]:
    """Each process has every so-manieth of a list, from its rank on; each gets the whole."""
    if world_size() == 1:
        return mine
    from torch import distributed

    if not distributed.is_initialized():
        distributed.init_process_group("gloo", timeout=LONGEST)
    parts: list[Any] = [None] * world_size()
    distributed.all_gather_object(parts, mine)
    whole: list[Any] = [None] * sum(map(len, parts))
    for at, part in enumerate(parts):
        whole[at :: world_size()] = part
    return whole


@contextlib.contextmanager
def part() -> Iterator[None]:
    """Around the work of a process that a launcher may have started: it ends with that, and rank 0 alone speaks.

    What our own launcher will tell is not said here: click.ClickException becomes SystemExit. Where another process
    has ended, the launcher has its reason, and is waited for.
    """
    if not is_part():
        yield
        return
    prepare()
    try:
        with Path(os.devnull).open("w") as nowhere, contextlib.ExitStack() as silence:
            if rank():
                silence.enter_context(contextlib.redirect_stdout(nowhere))
                silence.enter_context(contextlib.redirect_stderr(nowhere))
            yield
    except click.ClickException as error:
        tell(error)
        raise
    except RuntimeError as error:
        if not LOST.search(f"{type(error).__name__} {error}"):
            raise
        time.sleep(PATIENCE)
        raise click.ClickException("another process has ended") from None
    leave()


def prepare() -> None:
    if "TORCHELASTIC_RUN_ID" in os.environ:
        threading.Thread(target=end_with, args=[os.getppid()], daemon=True).start()
    if is_ours() and sys.platform == "linux":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")


def is_ours() -> bool:
    return os.environ.get("TORCHELASTIC_RUN_ID") == OURS


def end_with(parent: int) -> None:
    """A launcher that is killed cannot end its processes."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def tell(error: click.ClickException) -> None:
    from torch.distributed.elastic.multiprocessing.errors import ErrorHandler

    ErrorHandler().record_exception(error)
    if is_ours():
        sys.exit(1)


def leave() -> None:
    distributed = sys.modules.get("torch.distributed")
    if distributed and distributed.is_initialized():
        distributed.destroy_process_group()
