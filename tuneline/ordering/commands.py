"""`tuneline instructions`: the server that hands out what to write, writers for it, and its snapshot."""

import contextlib
import gc
import os
import sys
from pathlib import Path
from typing import Any

import click

RECIPES = Path("recipes")
STATE = Path(".tuneline/instructions")
GATHERED = "e2e_cases.jsonl"  # of the documents that extract made for the recipe
TOKEN = "TUNELINE_TOKEN"


@click.group()
def instructions() -> None:
    """A corpus of cases written to order: what to write next, and what was written."""


def only_recipe() -> Path:
    """Raises click.ClickException when there is none that writes to order, or are several."""
    found = sorted(path.parent for path in RECIPES.glob("*/orders.py"))
    if len(found) != 1:
        raise click.ClickException(f"which recipe? --recipe {' or '.join(map(str, found)) or 'names its folder'}")
    return found[0]


recipe_option = click.option(
    "--recipe", type=click.Path(exists=True, file_okay=False, path_type=Path), default=only_recipe,
    show_default="the only one with an orders.py",
)  # fmt: skip
state_option = click.option(
    "--state", type=click.Path(file_okay=False, path_type=Path), default=STATE, show_default=True,
    help="The folder of the database and the exports.",
)  # fmt: skip


@instructions.command()
@recipe_option
@state_option
@click.option("--host", default="127.0.0.1", show_default=True, help=f"Another than loopback needs {TOKEN}.")
@click.option("--port", type=click.IntRange(0, 65535), default=8765, show_default=True, help="0: a free one.")
@click.option("--total", type=click.IntRange(1), default=5000, show_default=True, help="Cases, with the seed cases.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--seed-cases", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help=f"Rows of cases; without it what extract gathered, if it did: data/<recipe>/documents/{GATHERED}.",
)  # fmt: skip
@click.option(
    "--expire-after", type=click.FloatRange(1), default=1800, show_default=True, help="Seconds with an agent."
)
@click.option(
    "--recent",
    type=click.IntRange(0),
    default=200,
    show_default=True,
    help="Combinations not repeated, a quarter of all at most.",
)
@click.option(
    "--most-out", type=click.IntRange(1), default=20, show_default=True, help="Instructions with one agent at a time."
)
def serve(host: str, port: int, recipe: Path, state: Path, **knobs: Any) -> None:
    """Hand out instructions and take cases, on --host and --port; the dashboard is at /dashboard."""
    from tuneline import http_service
    from tuneline.ordering.server import Settings, create_app

    gathered = Path("data", recipe.name, "documents", GATHERED)
    if knobs["seed_cases"] is None and gathered.is_file():
        knobs["seed_cases"] = gathered
    token = http_service.token_for(host)
    listening = http_service.listen(host, port)
    app = create_app(Settings(recipe=recipe, state=state, token=token, **knobs))
    gc.collect()
    gc.freeze()  # else a full collection looks through all that was imported, 50 ms at a time
    sys.setswitchinterval(0.0005)  # the thread that writes the exports is not to hold up an answer for 5 ms
    http_service.run(app, listening, host, "/dashboard")


@instructions.command()
@recipe_option
@click.option("--url", default="http://127.0.0.1:8765", show_default=True)
@click.option("--n", "writers", type=click.IntRange(1, 256), default=4, show_default=True, help="Writers at a time.")
@click.option("--cases", type=click.IntRange(1), help="Accepted cases after which they stop; else all that are wanted.")
@click.option(
    "--teacher",
    type=click.Choice(["offline", "params"]),
    default="offline",
    show_default=True,
    help="Who writes: the rules of the recipe, or the teacher of params.yaml.",
)
def agents(recipe: Path, url: str, writers: int, cases: int | None, teacher: str) -> None:
    """Write cases to the instructions of the server at --url."""
    from tuneline.ordering.agents import Client, offline_writer, run, teacher_writer

    client = Client(url, os.environ.get(TOKEN, "").strip())
    with contextlib.ExitStack() as stack:
        stack.callback(client.close)
        if teacher == "offline":
            write = offline_writer(recipe)
        else:
            write = teacher_writer(stack.enter_context(_teacher_of_params(recipe)))
        counts = run(client, write, writers, cases)
    for name, count in sorted(counts.items()):
        click.echo(f"{name}: {count}")


def _teacher_of_params(recipe: Path) -> Any:
    from tuneline.pipeline import stage_options
    from tuneline.teaching.options import teacher_settings
    from tuneline.teaching.teacher import Teacher

    options = stage_options(Path.cwd(), f"sdg@{recipe.name}")
    settings = teacher_settings(options)
    if settings.provider == "offline":
        raise click.ClickException(
            "teacher.provider of params.yaml is offline; set openai or gemini, or --teacher offline"
        )
    return Teacher(settings, options["answers"])


@instructions.command()
@recipe_option
@state_option
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path),
    help="JSON Lines; without it source/cases.jsonl of the recipe.",
)  # fmt: skip
def snapshot(recipe: Path, state: Path, out: Path | None) -> None:
    """Write the accepted cases to --out, which the pipeline may read; commit it or `dvc add` it."""
    from tuneline.ordering.shares import read_shares
    from tuneline.ordering.snapshot import write_snapshot

    out = out or recipe / "source" / "cases.jsonl"
    click.echo(f"{out}: {write_snapshot(state, out, read_shares(recipe / 'dimensions.yaml'))} cases")


if __name__ == "__main__":
    instructions()
