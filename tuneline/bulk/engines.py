"""Where the work on many rows is done: in this process, or by Ray [1] in as many as its cluster has.

Either is a `map` over parts, with the same results in the same order, whatever the number of workers: what a stage
writes is the same bytes. A part that was at work on a machine that is lost is worked on again by another.

Ray is an extra, and is imported only here. It starts on this machine, or joins the cluster of RAY_ADDRESS; each machine
has the checkout, and what is read and written, at the same path, and the same packages.
[1] Moritz et al., "Ray: A Distributed Framework for Emerging AI Applications", OSDI 2018; its part Ray Data.
"""

import importlib.util
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import click

from tuneline.bulk.lines import Mapped

ENGINES = ("local", "ray")


def engine_option(command: Callable) -> Callable:
    words = "Where the work on rows is done; ray: in as many processes as its cluster has."
    return click.option("--engine", type=click.Choice(ENGINES), required=True, help=words)(command)


@contextmanager
def open_engine(name: str) -> Iterator[Mapped]:
    """As `map`. Raises click.ClickException where Ray is asked for and not installed, or its cluster is not there."""
    if name == "local":
        yield map
        return
    if importlib.util.find_spec("ray") is None:
        raise click.ClickException("engine: Ray is not installed; `pip install 'tuneline[ray]'`, or write local")
    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"  # a warning about a later release
    os.environ["RAY_ENABLE_AUTO_CONNECT"] = "0"  # what is let go of late would start Ray anew
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody is told of it
    import ray

    try:
        ray.init(include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    except (ConnectionError, ValueError) as error:
        raise click.ClickException(f"engine: no Ray cluster ({' '.join(str(error).split())})") from None
    try:
        yield _mapped
    finally:
        ray.shutdown()


def _mapped(work: Callable[[Any], Any], parts: Iterable[Any]) -> Iterator[Any]:
    """A task a part; a function that is costly to make is made once in each process."""
    import ray
    from ray import cloudpickle
    from ray.data import DataContext, from_items

    logging.getLogger("ray.data").setLevel(logging.ERROR)  # the stage has a bar of its own
    context = DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    given = [{"part": cloudpickle.dumps(part)} for part in parts]
    if not given:
        return
    reference = ray.put(work)
    done = from_items(given, override_num_blocks=len(given)).map(partial(_work, Path.cwd(), [reference]))
    with closing(iter(done.iter_rows())) as rows:
        for row in rows:
            made = cloudpickle.loads(row["made"])
            if isinstance(made, click.ClickException):
                raise made
            yield made


def _work(folder: Path, reference: list[Any], row: dict[str, bytes]) -> dict[str, bytes]:
    """In a worker. What a user did wrong is told by the stage, as the first of its parts has it."""
    from ray import cloudpickle

    try:
        made = _opened(folder, reference[0])(cloudpickle.loads(row["part"]))
    except click.ClickException as error:
        made = error
    return {"made": cloudpickle.dumps(made)}


@lru_cache(1)
def _opened(folder: Path, reference: Any) -> Callable[[Any], Any]:
    import ray

    os.chdir(folder)  # whose paths the work has
    os.environ["RAYON_NUM_THREADS"] = "1"  # of a tokenizer: each core has a worker of its own
    os.environ["TRANSFORMERS_NO_ADVISORY_WARNINGS"] = "1"
    sys.modules.setdefault("torch", None)  # type: ignore[arg-type] # transformers would take seconds to import it
    return ray.get(reference)
