"""`tuneline diff`: what a change did, for whoever reviews it."""

from pathlib import Path
from textwrap import fill

import click


@click.command()
@click.argument("base", envvar="BASE", default="origin/main")
@click.argument("other", required=False)
@click.option("--check", is_flag=True, help="Only whether metrics and locks belong to what stands here; else exit 1.")
def diff(base: str, other: str | None, check: bool) -> None:
    """What differs from BASE (origin/main, or $BASE) in what stands here, or in the commit OTHER, as Markdown.

    Figures with the interval of their change, rows, test rows won and lost, knobs, prompts, and what would run again.
    Nothing is trained and no model is loaded; data comes from DVC's cache or remote, and is told where it is missing.
    """
    from dvc.exceptions import DvcException

    try:
        if check:
            check_status()
        else:
            report(base, other)
    except DvcException as error:
        raise click.ClickException(" ".join(str(error).split())) from None


def report(base: str, other: str | None) -> None:
    from tuneline.comparing.gathering import gather
    from tuneline.comparing.markdown import code
    from tuneline.comparing.report import write_report
    from tuneline.comparing.sides import open_sides

    root = Path.cwd()
    before, now = open_sides(root, base, other)
    click.echo(write_report(gather(root, before, now), f"{code(base)} ({before.commit[:7]})"), nl=False)


def check_status() -> None:
    from tuneline.comparing.sides import Store
    from tuneline.comparing.stale import status
    from tuneline.files import WIDTH

    with Store(Path.cwd()) as store:
        found = status(store.repo)
    for stale in found.stale:
        click.echo(str(stale))
    if found.stale:
        some = f"{len(found.stale)} stages are" if len(found.stale) > 1 else "1 stage is"
        raise click.ClickException(f"{some} not of what stands here; figures that follow are stale")
    click.echo("metrics and locks belong to what stands here")
    for what, names in (("never run", found.never), ("not at hand to look at", found.unknown)):
        if names:
            told = f"{what}: {', '.join(names)}"
            click.echo(fill(told, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False))


@click.command()
def experiments() -> None:
    """What `dvc exp run` tried since HEAD: the knobs and figures that differ; what is noise, in grey.

    What waits in a queue or failed is told by `dvc queue status`.
    """
    from tuneline.comparing.experiments import show_experiments, tried
    from tuneline.comparing.sides import Store, commit_of

    root = Path.cwd()
    with Store(root) as store:
        head = commit_of(root, "HEAD")
        found = tried(root, store)
    if found:
        show_experiments(found, head[:7])
    else:
        click.echo("nothing was tried since HEAD; `dvc exp run -S lora.rank=16` tries something")


@click.command()
@click.argument("adapter")
@click.option("--seeds", type=click.IntRange(2), default=3, show_default=True, help="Trainings; each takes a full one.")
def noise(adapter: str, seeds: int) -> None:
    """Train ADAPTER with several seeds and write how far its figures move by that alone.

    `tuneline diff` and `tuneline experiments` take a smaller change for noise from then on. Commit the file.
    """
    from tuneline.comparing.noise import measure_noise
    from tuneline.comparing.pairing import TUNED

    told = measure_noise(Path.cwd(), adapter, seeds)
    for name, values in told[TUNED].items():
        click.echo(f"{name:20} {' '.join(f'{value:8.4f}' for value in values)}   ± {told['floor'][name]:.4f}")
