"""`tuneline watch`: runs when enough samples are accepted. `tuneline models`: the versions of an adapter."""

import os
import sys
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tuneline.exporting.commands import export_options, write_and_tell
from tuneline.feedback.commands import Telling, database_option, opened
from tuneline.files import printable
from tuneline.recipe.tasks import TASKS
from tuneline.retraining.checkout import find_root

if TYPE_CHECKING:
    from tuneline.feedback.store import Stored

PORT = 9109


@click.command()
@click.option("--once", is_flag=True, help="One round, for cron.")
@click.option("--task", type=click.Choice(TASKS), default=TASKS[0], show_default=True)
@click.option(
    "--runner", type=click.Choice(["auto", "local", "docker"]), default="auto", show_default=True,
    help="auto: in a container where an engine answers.",
)  # fmt: skip
@click.option("--interval", type=click.FloatRange(0.1), default=10, show_default=True, help="Seconds between rounds.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=PORT, show_default=True,
    help="Of /metrics on loopback, while it loops; 0: none.",
)  # fmt: skip
@click.option("--textfile", type=click.Path(dir_okay=False, path_type=Path), help="Metrics as a file, each round.")
def watch(once: bool, task: str, runner: str, interval: float, port: int, textfile: Path | None) -> None:
    """Have new samples judged, and start a run when gate.min-new-samples have been accepted since the last.

    Any number of watchers may run: one at a time works. A run that was killed is gone on with. One that failed is
    tried again after gate.retry-minutes, gate.attempts times; then the next one waits for gate.min-new-samples more,
    or for another commit.
    """
    from tuneline.feedback.judging import judge_new, read_judging, under_gate
    from tuneline.feedback.metrics import StateCollector
    from tuneline.feedback.store import Store, database
    from tuneline.retraining.events import log_event
    from tuneline.retraining.runner import choose
    from tuneline.retraining.watch import watch_round

    root = find_root()
    judging = read_judging(root)
    chosen, why = choose(runner, root)
    if runner == "auto":
        click.echo(f"runs by --runner {chosen}: {why}")
    collector = StateCollector(database(root), root / "served")
    if port and not once:
        try:
            click.echo(f"http://127.0.0.1:{collector.serve(port)}/metrics")
        except click.ClickException as error:
            click.echo(f"no /metrics from this watcher: {error.message}", err=True)

    def judge(store: Store) -> str:
        nonlocal judging
        judging = under_gate(judging, root)  # each round: its knobs may be turned while we watch
        counts = judge_new(store, judging)
        quiet = not (counts.accepted or counts.rejected or counts.failed or counts.busy)
        return "" if quiet else f"judged: {counts}"

    last = ""

    def say(line: str) -> None:
        nonlocal last
        if line != last:  # a loop says the same again every few seconds
            click.echo(line)
        last = line

    while True:
        well, wrong = False, ""
        try:
            well = watch_round(root, task, chosen, judge, say)
        except click.ClickException as error:
            wrong = error.message
        except Exception as error:  # a full disk, a busy database, a broken repository: the next round may do
            wrong = _in_a_line(error)
            if f"Error: {wrong}" != last:
                log_event(root / "logs", "round_failed", task=task, why=wrong, trace=traceback.format_exc()[-900:])
        if textfile:
            try:
                collector.write_textfile(textfile)
            except Exception as error:  # a full disk: the runs go on
                said = error.message if isinstance(error, click.ClickException) else _in_a_line(error)
                click.echo(f"Error: {said}", err=True)
        if once and wrong:
            raise click.ClickException(wrong)
        if once:
            sys.exit(0 if well else 1)
        if wrong:
            say(f"Error: {wrong}")
        time.sleep(interval)


def _in_a_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


@click.command(cls=Telling)
@click.option("--id", "ids", multiple=True, help="Of a sample, as the server gave it; its first 12 digits will do.")
@click.option("--match", "text", help="All samples with this in input, output, model or meta, whatever its case.")
@click.option("--task", type=click.Choice(TASKS), help="Of --match  [default: all]")
@click.option("--yes", is_flag=True, help="Ask nothing.")
@click.option("--keep-cache", is_flag=True, help="Leave DVC's cache alone, so that versions can be made again.")
@database_option
def forget(
    ids: tuple[str, ...], text: str | None, task: str | None, yes: bool, keep_cache: bool, database: Path | None
) -> None:
    """Take samples out for good: of the database, of all runs to come, of what earlier ones left here.

    Their inputs go wherever they are: with every sample that has the same one. It says which versions have learned from
    them, and what git has of them. Killed in the middle, it is completed by the next call.
    """
    from tuneline.feedback import forgetting
    from tuneline.feedback.store import FORGETTING
    from tuneline.retraining.forgetting import forget as forget_samples
    from tuneline.retraining.forgetting import told

    if not ids and not (text and text.strip()):
        raise click.ClickException("name what is to be forgotten: --id ID, or --match TEXT")
    root = Path(os.environ.get("DVC_ROOT", ".")).resolve()
    with opened(database) as store:
        found = forgetting.find(store, ids, text, task)
        if not found and forgetting.is_forgotten(store, ids):
            click.echo("forgotten already")
            return
        if not found:
            raise click.ClickException("no sample is that one; nothing is forgotten")
        show_samples(found)
        if begun := sum(one.state == FORGETTING for one in found):
            click.echo(f"{begun} of them an earlier call has begun to forget")
        if not yes:
            click.confirm(f"Forget {len(found)} samples for good?", abort=True)
        done = forget_samples(root, store, found, keep_cache, click.echo)
    for line in told(root, done, keep_cache):
        click.echo(line)


def show_samples(samples: "list[Stored]", most: int = 20) -> None:
    for one in samples[:most]:
        place = f" {one.accepted}" if one.accepted else ""
        said = printable(" ".join(one.input[:60].split()))
        click.echo(f"{one.key[:12]} {one.task} {one.state}{place}: {said}")
    if len(samples) > most:
        click.echo(f"and {len(samples) - most} more")


@click.group()
def models() -> None:
    """The versions that runs have registered: what they are, and which is in service."""


@models.command("list")
def list_models() -> None:
    """Every version of every adapter, the newest last."""
    from tuneline.retraining import registry

    root = find_root()
    listed = {name: registry.versions(root, name) for name in registry.names(root)}
    if not listed:
        raise click.ClickException("no version is registered yet; `tuneline watch` registers a run that wins")
    show_versions(root, listed)


@models.command()
@click.argument("name")
def show(name: str) -> None:
    """The card of NAME, or of NAME@v0.1.0; without a version, of the one in service."""
    from tuneline.retraining.checkout import git
    from tuneline.retraining.releasing import find_version

    root = find_root()
    chosen = find_version(root, name)
    click.echo(git(root, "show", f"{chosen.commit}:registry/{chosen.name}/card.md"))


@models.command()
@click.argument("name")
@click.option("--to", help="Such as v0.1.0; the version before the one in service without it.")
def rollback(name: str, to: str | None) -> None:
    """Put an older version of NAME into service, or any with --to."""
    _into_service(name, to)


def _into_service(name: str, to: str | None) -> None:
    from tuneline.retraining import registry
    from tuneline.retraining.events import log_event

    root = find_root()
    before, after = registry.rollback(root, name, to)
    log_event(root / "logs", "rolled_back", adapter=name, previous=before, version=after)
    click.echo(f"{name}: {after} is in service, {before} was")


@models.command()
@click.argument("name")
def promote(name: str) -> None:
    """Put NAME@v0.2.0 into service: any version, whatever runs have decided."""
    adapter, _, version = name.partition("@")
    if not version:
        raise click.ClickException(f"which version of {adapter}? Such as {adapter}@v0.1.0; `tuneline models list`")
    _into_service(adapter, version)


@models.command()
@click.argument("name")
@export_options
def export(
    name: str, form: str, out: Path, dtype: str, outtype: str, rows: int, least_equal: float | None, force: bool
) -> None:
    """Write NAME, or NAME@v0.1.0, in the form of another tool; without a version, the one in service.

    It is compared on the test rows that it was measured on.
    """
    from tuneline.exporting.export import Wish, open_source
    from tuneline.exporting.places import check_out
    from tuneline.retraining import releasing

    check_out(out, force)
    root = find_root()
    version = releasing.find_version(root, name)
    folder = releasing.version_folder(root, version)
    releasing.check_version(root, version, folder)
    facts = releasing.version_facts(root, version, folder)
    found, missing = releasing.version_rows(root, version, rows) if rows else ([], "")
    wish = Wish(form, dtype, outtype, rows, least_equal)
    write_and_tell(open_source(folder, root, facts, found, missing), wish, out, force)


@models.command()
@click.argument("name")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="A .tar file.")
def release(name: str, out: Path) -> None:
    """One file of NAME, or NAME@v0.1.0: the adapter, its card, its commit, data hashes, licences and SHA256SUMS."""
    from tuneline.retraining.releasing import find_version, write_bundle

    root = find_root()
    version = find_version(root, name)
    write_bundle(root, version, out)
    click.echo(f"{out}: {version.name} {version.version}, {out.stat().st_size / 1e6:.1f} MB")


def show_versions(root: Path, listed: dict[str, list]) -> None:
    """Prints a table of at most 100 columns: versions, their day, measure and difference, what is in service."""
    from rich.console import Console
    from rich.table import Table

    from tuneline.retraining.registry import figures, in_service
    from tuneline.table import WIDTH

    table = Table(title="versions", title_justify="left")
    for column in ("version", "day", "parent", "measure", "mean", "difference to the parent", "shows", ""):
        table.add_column(column)
    for name, found in listed.items():
        now = in_service(found)
        for one in found:
            day = datetime.fromtimestamp(one.tagged, UTC).date().isoformat()
            state = "in service" if one is now else ""
            try:
                said = figures(root, one)
                mean = said["sides"]["new"][said["measure"]]["mean"]
                low, high = said["difference"]["interval"]
                change = f"{said['difference']['mean']:+.3f} \\[{low:+.3f}, {high:+.3f}]"
                shows = said.get("detectable")  # versions from before it was told have none
                shown = "–" if shows is None else f"{shows:.3f}"
                known = (said["previous"] or "base", said["measure"], f"{mean:.3f}", change, shown)
            except (click.ClickException, ValueError, KeyError, TypeError):  # a tag that no run has made
                known = ("–",) * 5
            table.add_row(f"{name}@{one.version}", day, *known, state)
    console = Console(width=WIDTH)
    console.print(table)
    console.print(
        "means over the held-out rows; in brackets the central 95 % of a bootstrap of the differences by row;"
    )
    console.print("shows: the difference that so many rows show in 80 of 100 runs")
