"""Sources → rows with an id, a group and where they come from.

In: the files that the recipe names, in any input form, external sources, or what its reader.py reads.
Out: extract.jsonl, the refused rows beside it, their counts; what a reader makes for people too.

    python -m stages.extract --recipe recipes/query_json --out data/query_json/extract.jsonl \\
        --rejects data/query_json/extract.rejects.jsonl --documents data/query_json/documents \\
        --metrics metrics/query_json/extract.json --state .tuneline
"""

from pathlib import Path

import click

from tuneline.data.sources import read_files
from tuneline.files import whole_folder, write_counts, write_jsonl
from tuneline.recipe.own import Extracted, open_door
from tuneline.recipe.settings import OwnExtract, read_recipe, read_settings


def extract(recipe: Path, documents: Path, state: Path) -> Extracted:
    """By the recipe's reader.py where it has one, else the rows of the files that it names."""
    settings = read_recipe(recipe).extract
    if not isinstance(settings, OwnExtract):
        return read_files(recipe, settings, state)
    reader = open_door(recipe, "reader")
    rest = read_settings(reader.Settings, recipe / "recipe.yaml", "extract", settings.rest)
    return reader.read(recipe, rest, documents, state)


@click.command()
@click.option("--recipe", type=click.Path(path_type=Path), required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True)
@click.option("--rejects", type=click.Path(path_type=Path), required=True)
@click.option("--documents", type=click.Path(path_type=Path), required=True, help="Markdown, figures, fetched PDFs.")
@click.option("--metrics", type=click.Path(path_type=Path), required=True)
@click.option("--state", type=click.Path(path_type=Path), required=True, help="Ignored folder for downloads.")
def main(recipe: Path, out: Path, rejects: Path, documents: Path, metrics: Path, state: Path) -> None:
    source = recipe / "source"
    with whole_folder(documents) as part:
        found = extract(recipe, part, state)
    rows, refused = found.rows, found.refused
    write_jsonl(rejects, refused)
    for row in refused[:10]:
        where = f"{source / row['file']}:{row['line']}" if "line" in row else row["file"]
        click.echo(f"refused {where}: {row['detail']}", err=True)
    if not rows:
        raise click.ClickException(f"{source}: no usable row; see {rejects}")
    read, what = found.read or (len(rows) + len(refused), "rows")
    most = read_recipe(recipe).extract.max_reject_share
    if len(refused) > most * read:
        raise click.ClickException(
            f"{len(refused)} of {read} {what} refused, more than max-reject-share "
            f"{most:g} of {recipe / 'recipe.yaml'}; see {rejects}"
        )
    write_jsonl(out, rows)
    write_counts(metrics, read, read - len(refused), refused, **found.counts)


if __name__ == "__main__":
    main()
