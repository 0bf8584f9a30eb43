"""Sources → rows with an id, a group and where they come from.

In: the files that the recipe names, in any input form, external sources, or what its reader.py reads.
Out: extract.jsonl, the refused rows beside it, their counts; what a reader makes for people too.

    python -m stages.extract --recipe recipes/query_json --out data/query_json/extract.jsonl \\
        --rejects data/query_json/extract.rejects.jsonl --documents data/query_json/documents \\
        --metrics metrics/query_json/extract.json --state .tuneline --engine local
"""

from pathlib import Path

import click

from tuneline.bulk.engines import engine_option, open_engine
from tuneline.bulk.lines import Mapped
from tuneline.data.sources import kinds_of, read_files
from tuneline.files import Clock, Row, whole_folder, write_counts, write_jsonl
from tuneline.measuring.kinds import reader_of
from tuneline.recipe.own import Extracted, open_door
from tuneline.recipe.settings import OwnExtract, read_recipe, read_settings
from tuneline.table import show_counts

SHOWN = 10  # kinds of refusals on the terminal; the file has all


def extract(recipe: Path, documents: Path, state: Path, mapped: Mapped = map) -> Extracted:
    """By the recipe's reader.py where it has one, in this process, else the rows of the files that it names."""
    settings = read_recipe(recipe).extract
    if not isinstance(settings, OwnExtract):
        return read_files(recipe, settings, state, mapped=mapped)
    reader = open_door(recipe, "reader")
    rest = read_settings(reader.Settings, recipe / "recipe.yaml", "extract", settings.rest)
    return reader.read(recipe, rest, documents, state)


def measurable(recipe: Path, found: Extracted) -> tuple[list[Row], list[Row]]:
    """(rows, refused): a row whose answer the recipe's measures could not read is refused before anything is paid."""
    unreadable, rows, refused = reader_of(recipe), [], list(found.refused)
    for row in found.rows:
        if reason := unreadable(row):
            refused.append({"reason": "unmeasurable", "detail": f"the row {reason}", **row["source"]})
        else:
            rows.append(row)
    return rows, refused


def tell_refused(source: Path, refused: list[Row]) -> None:
    """A line for each kind of refusal: where the first is, why, and how many are like it."""
    kinds = kinds_of(refused)
    for count, row in kinds[:SHOWN]:
        where = f"{source / row['file']}:{row['line']}" if "line" in row else row["file"]
        more = f" (and {count - 1} more like it)" if count > 1 else ""
        click.echo(f"refused {where}: {row['detail']}{more}", err=True)
    if len(kinds) > SHOWN:
        click.echo(f"and {len(kinds) - SHOWN} other kinds of refusals", err=True)


@click.command()
@click.option("--recipe", type=click.Path(path_type=Path), required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True)
@click.option("--rejects", type=click.Path(path_type=Path), required=True)
@click.option("--documents", type=click.Path(path_type=Path), required=True, help="Markdown, figures, fetched PDFs.")
@click.option("--metrics", type=click.Path(path_type=Path), required=True)
@click.option("--state", type=click.Path(path_type=Path), required=True, help="Ignored folder for downloads.")
@engine_option
def main(recipe: Path, out: Path, rejects: Path, documents: Path, metrics: Path, state: Path, engine: str) -> None:
    clock = Clock("extract", recipe.name)
    source, settings = recipe / "source", read_recipe(recipe).extract
    own = isinstance(settings, OwnExtract)
    with open_engine("local" if own else engine) as mapped, whole_folder(documents) as part:
        found = extract(recipe, part, state, mapped)
    rows, refused = measurable(recipe, found)
    write_jsonl(rejects, refused)
    tell_refused(source, refused)
    if not rows:
        raise click.ClickException(f"{source}: no usable row; see {rejects}")
    read, what = found.read or (len(rows) + len(refused), "rows")
    if len(refused) > settings.max_reject_share * read:
        raise click.ClickException(
            f"{len(refused)} of {read} {what} refused, more than max-reject-share "
            f"{settings.max_reject_share:g} of {recipe / 'recipe.yaml'}; see {rejects}"
        )
    write_jsonl(out, rows)
    write_counts(metrics, read, read - len(refused), refused, **found.counts)
    show_counts(f"{recipe.name}: extract, {what}", read, read - len(refused), refused)
    came = f"{read:,}" if what == "rows" else f"{read:,} {what}"
    clock.tell(f"{came} → {len(rows):,} rows", f"{len(refused):,} refused")


if __name__ == "__main__":
    main()
