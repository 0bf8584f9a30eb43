"""The stage that both trainers are: token files → an adapter, its curves, its summary."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from tuneline.files import Clock, check_folder, say, whole_folder
from tuneline.models.adapter import WEIGHTS, Adapter, write_adapter
from tuneline.models.base import read_base
from tuneline.rendering.chat import load_chat
from tuneline.rendering.preamble import read_preamble
from tuneline.rendering.tokens import read_tokens
from tuneline.running.log import RunLog
from tuneline.running.processes import is_part, launched, part, rank, world_size
from tuneline.training.checkpoints import checkpoint_folder, clear_up, in_use, kept
from tuneline.training.curves import write_summary
from tuneline.training.memory import fit_into, running_out
from tuneline.training.reporting import check_installed, reporting
from tuneline.training.run import Fitted, Pace, Run
from tuneline.training.settings import Settings, plan_steps, training_options


def training_command(
    backend: str,
    packages: tuple[str, ...],
    fit: Callable[[Run], Fitted],
    device_memory: Callable[[], tuple[str, int]],
    refusals: Callable[[Settings], Iterable[str]],
    precision: Callable[[str], str],
) -> click.Command:
    """The stage of a backend: token files → an adapter, its curves, its summary.

    `fit`, the device, `refusals`, what of the settings it cannot do, and the precision that it has for a wanted one are
    what backends differ in.
    """

    @click.command()
    @click.option("--tokens", type=click.Path(path_type=Path), required=True)
    @click.option("--base", "base_folder", type=click.Path(path_type=Path), required=True)
    @click.option("--preamble", "preamble_path", type=click.Path(path_type=Path), required=True)
    @click.option("--schema", type=click.Path(path_type=Path), required=True, help="The adapter takes it along.")
    @click.option("--out", type=click.Path(path_type=Path), required=True)
    @click.option("--curves", "curves_folder", type=click.Path(path_type=Path), required=True)
    @click.option("--summary", type=click.Path(path_type=Path), required=True)
    @click.option("--state", type=click.Path(path_type=Path), required=True, help="Ignored: checkpoints, run log.")
    @training_options
    def main(
        tokens: Path,
        base_folder: Path,
        preamble_path: Path,
        schema: Path,
        out: Path,
        curves_folder: Path,
        summary: Path,
        state: Path,
        **flags: Any,
    ) -> None:
        clock = Clock("train", out.name)
        check_folder(out)
        settings, base, preamble = Settings(**flags), read_base(base_folder), read_preamble(preamble_path)
        base.pattern(settings.target)
        if refused := [*refusals(settings), *undivided(settings)]:
            raise click.ClickException("; ".join(refused))
        check_installed(settings.report_to)
        left = lambda: kept(checkpoint_folder(state, out, tokens, base, settings))  # noqa: E731 # reads the base
        if launched(settings.processes, f"stages.train_{backend}", left):
            return
        settings = replace(settings, processes=world_size(), precision=precision(settings.precision))
        with part():
            if flags["precision"] not in ("auto", settings.precision) and rank() == 0:
                say(f"no arithmetic for {flags['precision']} on this device: {settings.precision} is taken instead")
            chat = load_chat(base)
            rows = read_tokens(tokens, chat)
            if empty := [name for name in rows if not len(rows[name])]:
                raise click.ClickException(f"{tokens / empty[0]}.parquet has no row; remove it and run `dvc repro`")
            twice, needed = fit_into(*device_memory(), settings, base, rows)
            checkpoints = checkpoint_folder(state, out, tokens, base, settings)
            run = Run(settings, base, chat, rows, plan_steps(len(rows["train"]), settings), checkpoints, twice)
            with in_use(checkpoints), recorded(run, backend, state, out, needed) as (record, told):
                fitted = fit(told)
                record |= {"device": fitted.device, "memory": needed, "processes": settings.processes}
            if rank():
                return
            adapter = Adapter(
                base=base_folder,
                quantization=settings.quantization,
                precision=settings.precision,
                backend=backend,
                prefix=preamble.prefix,
            )
            with whole_folder(out) as folder:
                fitted.save(folder / WEIGHTS)
                write_adapter(folder, run.lora, adapter, base, preamble.system, schema)
            curves_folder.mkdir(parents=True, exist_ok=True)
            fitted.curves.write(curves_folder)
            written = write_summary(summary, fitted.curves, rows, fitted.trainable, packages)
            clear_up(checkpoints.parent)
            early = " (ended early)" if written["steps"] < run.plan.steps else ""
            best = f"valid loss {written['valid_loss']:.4f} at step {written['best_step']:,}"
            clock.tell(f"{written['rows']:,} rows, {written['steps']:,} steps", best + early)

    return main


def undivided(settings: Settings) -> Iterator[str]:
    """Why a batch cannot be divided among the processes."""
    processes = settings.processes
    if is_part() and processes not in (1, world_size()):
        yield f"train.processes {processes}: the launcher has started {world_size()}; write 1 or {world_size()}"
    elif settings.batch_size % (count := max(processes, world_size())):
        ways = " or ".join(
            str(n) for n in (settings.batch_size // count * count, -(-settings.batch_size // count) * count) if n
        )
        yield f"train.batch-size {settings.batch_size} cannot be divided among {count} processes; write {ways}"


@contextmanager
def recorded(run: Run, backend: str, state: Path, out: Path, needed: str) -> Iterator[tuple[dict[str, Any], Run]]:
    """A record of the run log, and the run with its report and its bar: of rank 0 alone."""
    if rank():
        with running_out(run, needed):
            yield {}, run
        return
    reports = reporting(run.settings.report_to, state / "reports", out.name, asdict(run.settings))
    log, shown = RunLog(state, f"train_{backend}", out.name), Pace(f"train {out.name}", run.plan.steps)
    with log as record, reports as report, running_out(run, needed), shown as pace:

        def tell(step: int, name: str, value: float) -> None:
            report(step, name, value)
            pace.loss(name, value)

        yield record, replace(run, report=tell, step=pace.step)
