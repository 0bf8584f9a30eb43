"""`tuneline papers`: the pinned manifest of a recipe whose papers come from arXiv."""

import os
from pathlib import Path

import click

HERE = Path(__file__).parent


@click.group()
def commands() -> None:
    """The pinned manifest of papers that come from arXiv."""


@commands.command()
@click.option("--service", help="A mirror's address; arXiv itself without it.")
def refresh(service: str | None) -> None:
    """Ask what the query of extract.arxiv means today; write its manifest with licences and PDF hashes.

    Fails, once the manifest is written, when the service did not return each id.
    """
    from tuneline.recipe.settings import read_recipe, read_settings

    from . import arxiv
    from .reader import Settings

    recipe = HERE / "recipe.yaml"
    settings = read_settings(Settings, recipe, "extract", read_recipe(HERE).extract.rest)
    if settings.arxiv is None:
        raise click.ClickException(f"{recipe} has no extract.arxiv: what to ask for, and the manifest")
    path = HERE / "source" / settings.arxiv.manifest
    state = Path(os.environ.get("DVC_ROOT", "."), ".tuneline")
    connection = arxiv.Service(service or arxiv.SERVICE)
    manifest, failed, lost = arxiv.refresh(settings.arxiv, path, state / "arxiv", connection)
    for name, why in failed.items():
        click.echo(f"{name}: {why}; it stays in the manifest without a hash, and extract refuses it", err=True)
    for asked in lost:
        kept = "the older manifest's entry stays" if not arxiv.missing([asked], manifest.papers) else "left out"
        click.echo(f"{asked}: the service did not return it; {kept}", err=True)
    click.echo(f"{path}: {len(manifest.papers)} papers; look at it, commit it, and run `dvc repro`")
    if lost:
        raise click.ClickException(
            f"{len(lost)} of {len(settings.arxiv.ids)} ids not returned: {', '.join(lost)}; "
            f"correct extract.arxiv.ids of {recipe}, or try again later"
        )
