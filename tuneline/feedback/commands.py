"""`tuneline feedback`: what applications hand in, who judges it, and what comes out."""

import errno
import json
import math
import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tuneline.feedback.store import TASKS

if TYPE_CHECKING:
    from tuneline.feedback.store import Store


class Telling(click.Command):
    """A database that cannot be used (no database, read-only, a full disk) is one line, not a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        from tuneline.feedback.store import database

        try:
            return super().invoke(ctx)
        except sqlite3.Error as error:
            raise click.ClickException(f"{ctx.params.get('database') or database()}: {error}") from None
        except OSError as error:
            if error.errno == errno.EPIPE:  # click's own affair
                raise
            raise click.ClickException(str(error)) from None


class Group(click.Group):
    command_class = Telling


@click.group(cls=Group)
def feedback() -> None:
    """What applications' models made of their inputs: taken in, judged, and gathered to learn from."""


database_option = click.option(
    "--database", type=click.Path(dir_okay=False, path_type=Path),
    help="[default: .tuneline/feedback/feedback.sqlite]",
)  # fmt: skip
out_option = click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="The same as a JSON file.")
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object.")


@feedback.command()
@database_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Another than loopback needs TUNELINE_TOKEN.")
@click.option("--port", type=click.IntRange(0, 65535), default=8770, show_default=True, help="0: a free one.")
@click.option(
    "--served", type=click.Path(file_okay=False, path_type=Path), default=Path("served"), show_default=True,
    help="Where the versions in service lie, for /metrics.",
)  # fmt: skip
def serve(database: Path | None, host: str, port: int, served: Path) -> None:
    """Take samples on --host and --port: POST /samples; GET /health, /metrics.

    With TUNELINE_HMAC_<NAME> in the environment, only those that application <name> has signed with that key.
    """
    from tuneline import http_service
    from tuneline.feedback.server import Settings, create_app
    from tuneline.feedback.signing import read_keys
    from tuneline.feedback.store import database as default

    token = http_service.token_for(host)
    try:
        keys = read_keys()
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    listening = http_service.listen(host, port)
    app = create_app(Settings(database or default(), token, served, keys))
    http_service.run(app, listening, host)


@feedback.command(name="import")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@database_option
@click.option("--task", type=click.Choice(TASKS), help="Of the rows that name none.")
@click.option("--model", default="", help="Of the rows that name none.")
@click.option("--most-refused", type=click.IntRange(0), default=0, show_default=True, help="Rows; over it: exit 1.")
@click.option("--mask", is_flag=True, help="E-mail, phone, bank, card and IP numbers become [EMAIL], [PHONE], …")
@click.option("--region", "regions", multiple=True, help="As FR: of phone numbers without their +33, for --mask.")
def import_(
    files: tuple[Path, ...],
    database: Path | None,
    task: str | None,
    model: str,
    most_refused: int,
    mask: bool,
    regions: tuple[str, ...],
) -> None:
    """Take in the samples of FILES: {"task", "input", "output", "model"?, "meta"?} as JSON Lines, JSON or CSV.

    Or the calls that an application has logged, {"request", "response"} in the form of OpenAI's chat.completions or
    responses.
    """
    from tuneline.feedback.intake import import_file
    from tuneline.feedback.masking import Mask
    from tuneline.feedback.store import Store
    from tuneline.feedback.store import database as default

    if regions and not mask:
        raise click.ClickException("--region is of --mask")
    masking, refused = Mask(regions) if mask else None, 0
    with Store(database or default()) as store:
        for path in files:
            done = import_file(store, path, task, model, masking)
            for line in done.refused:
                click.echo(line, err=True)
            gone = f", {done.forgotten} forgotten and not taken in again" if done.forgotten else ""
            click.echo(f"{path}: {done.new} new, {done.known} known, {len(done.refused)} refused{gone}")
            if done.left_out:
                keys = ", ".join(f"{key} ({count})" for key, count in sorted(done.left_out.items()))
                click.echo(f"{path}: no sample has what these say, left out: {keys}")
            refused += len(done.refused)
    if masking:
        found = ", ".join(f"{count} {kind}" for kind, count in sorted(masking.counts.items()))
        click.echo(f"masked: {found or 'nothing'}")
    if refused > most_refused:
        raise click.ClickException(f"{refused} rows are refused, the others taken in; correct these, import it again")


@feedback.command()
@database_option
@click.option("--watch", is_flag=True, help="Go on until stopped.")
@click.option("--interval", type=click.FloatRange(0.1), default=10.0, show_default=True, help="Seconds, of --watch.")
def judge(database: Path | None, watch: bool, interval: float) -> None:
    """Have the judge of params.yaml score what is new; budget-usd is that of the whole command."""
    from tuneline.feedback.judging import judge_new, read_judging

    judging = read_judging(Path.cwd())
    with opened(database) as store:
        while True:
            counts = judge_new(store, judging)
            if not watch:
                click.echo(f"{counts}{_waiting(store)}")
                if counts.failed:
                    raise click.ClickException("what failed stays new and is tried again later")
                return
            if counts.accepted or counts.rejected or counts.failed:
                click.echo(f"{counts}{_waiting(store)}")
            time.sleep(interval)


@feedback.command()
@click.option("--count", type=click.IntRange(1), default=300, show_default=True)
@click.option("--offset", type=click.IntRange(0), default=0, show_default=True, help="Samples sent before.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--to", help="The server's address; without it straight into the database.")
@click.option(
    "--source", type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder with traffic_en.jsonl and traffic_fr.jsonl  [default: source/ of the recipe that the gate feeds]",
)  # fmt: skip
@database_option
def replay(count: int, offset: int, seed: int, to: str | None, source: Path | None, database: Path | None) -> None:
    """Send what an application would: texts with good, middling and bad summaries, meta.truth saying which."""
    from tuneline.feedback.gate_settings import gated_recipe
    from tuneline.feedback.recording import NotRecorded, record_all
    from tuneline.feedback.replay import SHARES, read_texts
    from tuneline.feedback.replay import replay as drawn
    from tuneline.feedback.store import database as default

    samples = list(drawn(read_texts(source or gated_recipe(Path()) / "source"), count, offset, seed))
    try:
        new = record_all(samples, (database or default()) if to is None else to)
    except (NotRecorded, ValueError) as error:
        raise click.ClickException(str(error)) from None
    kinds = [sample.meta["truth"] for sample in samples]
    shown = ", ".join(f"{kinds.count(kind)} {kind}" for kind in SHARES if kind in kinds)
    click.echo(f"{sum(new)} new, {len(new) - sum(new)} known; {shown}")


@feedback.command()
@database_option
@click.option("--task", type=click.Choice(TASKS), help="[default: all]")
@json_option
@out_option
def gate(database: Path | None, task: str | None, as_json: bool, out: Path | None) -> None:
    """The gate's precision and recall against the truth of replayed samples."""
    from tuneline.feedback.gate import measure, show
    from tuneline.files import write_json

    with opened(database) as store:
        measured = measure(store, task)
    if not measured["samples"]:
        raise click.ClickException("no judged sample has meta.truth; replay some, and have them judged")
    if out:
        write_json(out, measured)
    if as_json:
        click.echo(json.dumps(measured))
    else:
        show(measured)


@feedback.command()
@click.option("--task", type=click.Choice(TASKS), default=TASKS[0], show_default=True)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True)
@click.option("--upto", type=click.IntRange(1), help="The first so many accepted ones; without it all.")
@database_option
def snapshot(task: str, out: Path, upto: int | None, database: Path | None) -> None:
    """Write the accepted samples to --out as JSON Lines, in the order of acceptance."""
    from tuneline.feedback.snapshot import write_snapshot

    with opened(database) as store:
        click.echo(f"{out}: {write_snapshot(store, task, out, upto)} samples")


@feedback.command()
@database_option
@json_option
def status(database: Path | None, as_json: bool) -> None:
    """How many samples there are of each task, and how far the next run is."""
    with opened(database) as store:
        found = {task: _state_of(store, task) for task in TASKS}
    if as_json:
        click.echo(json.dumps(found))
        return
    for task, of in found.items():
        run = of["last_run"]
        why = f": {run['reason']}" if run and run["reason"] else ""
        told = f"; run {run['number']} {run['state']}{why}" if run else ""
        click.echo(
            f"{task}: {of['new']} to judge, {of['accepted']} accepted, {of['rejected']} rejected; "
            f"{of['since']} since the last version{told}"
        )


def _waiting(store: "Store") -> str:
    """How many wait to be tried again, and when the next one is: "; 30 wait, the next in 1 min"."""
    count, seconds = store.waiting()
    return f"; {count} wait, the next in {math.ceil(seconds / 60)} min" if count else ""


def _state_of(store: "Store", task: str) -> dict[str, Any]:
    run = store.last_run(task)
    told = {"number": run.number, "state": run.state, "version": run.version, "reason": run.reason} if run else None
    mark = store.watermark(task)
    return {**store.counts(task), "watermark": mark, "since": store.accepted_after(task, mark), "last_run": told}


def opened(path: Path | None) -> "Store":
    """The database that is there. Raises click.ClickException when nothing has been taken in yet."""
    from tuneline.feedback.store import Store, database

    place = path or database()
    if not place.is_file():
        raise click.ClickException(f"{place} is not there; `tuneline feedback serve`, import or replay makes it")
    return Store(place)


if __name__ == "__main__":
    feedback()
