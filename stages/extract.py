"""Sources → rows with an id, a group and where they come from.

In: the files that the recipe names, in any input form, external sources, or papers as PDFs.
Out: extract.jsonl, the refused rows beside it, their counts; of papers, Markdown and figures too.

    python -m stages.extract --recipe recipes/query_json --out data/query_json/extract.jsonl \\
        --rejects data/query_json/extract.rejects.jsonl --documents data/query_json/documents \\
        --metrics metrics/query_json/extract.json --state .tuneline
"""

from collections.abc import Iterator
from pathlib import Path

import click
from jsonschema import Draft202012Validator

from tuneline.annotated_spans import read_annotated
from tuneline.arxiv_manifest import Service
from tuneline.external import fetch_external, read_external
from tuneline.files import Row, whole_folder, write_counts, write_jsonl
from tuneline.form import read_fields
from tuneline.inputs import read_records
from tuneline.multi_target import read_multi_target
from tuneline.papers import cores, read_papers
from tuneline.recipe import CasesExtract, Extract, PapersExtract, read_recipe
from tuneline.rows import BadRow, make_row, read_form
from tuneline.schemas import read_schema
from tuneline.succession.extraction import read_cases

# What a record is made of; a record of any other kind is a row.
READERS = {"annotated-spans": read_annotated, "multi-target": read_multi_target}


def extract_file(path: Path, name: str, settings: Extract, check: Draft202012Validator | None = None) -> Iterator[Row]:
    """The rows of one file; a refused one is `{"reason", "detail", "file", "line"}`."""
    for line, record in read_records(path, settings.encoding):
        reader = None if isinstance(record, ValueError) else READERS.get(settings.kind)
        for one in reader(record) if reader else [record]:
            try:
                if isinstance(one, ValueError):
                    raise BadRow(str(one))
                body = read_fields(one, settings.form, check) if settings.form else read_form(one)
                yield make_row(body, name, line)
            except BadRow as reason:
                yield {"reason": "unreadable", "detail": str(reason), "file": name, "line": line}


def local_files(folder: Path, state: Path) -> dict[str, Path]:
    """Name → file of what the recipe may read: its own source folder, and declared external files."""
    files = {path.name: path for path in sorted(folder.glob("*")) if path.is_file()}
    if "external.yaml" in files:
        files |= fetch_external(read_external(files["external.yaml"]), state / "external")
    return files


def read_rows(recipe: Path, settings: Extract, state: Path) -> tuple[list[Row], list[Row]]:
    """(rows, refused) of the files that the recipe names. Raises click.ClickException when one is not there."""
    files = local_files(recipe / "source", state)
    names = (*settings.train, *settings.valid, *settings.test)
    missing = [name for name in names if name not in files]
    if missing:
        raise click.ClickException(f"{recipe / 'source'} has no {', '.join(missing)}; correct recipe.yaml or add it")
    check = Draft202012Validator(read_schema(recipe / "source" / settings.fields)) if settings.fields else None
    held_out = {**{key: {"set": "valid"} for key in settings.valid}, **{key: {"set": "test"} for key in settings.test}}
    rows, refused = [], []
    for name in names:
        for row in extract_file(files[name], name, settings, check):
            if "reason" in row:
                refused.append(row)
            else:
                rows.append({**row, **held_out.get(name, {})})
    return rows, refused


@click.command()
@click.option("--recipe", type=click.Path(path_type=Path), required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True)
@click.option("--rejects", type=click.Path(path_type=Path), required=True)
@click.option("--documents", type=click.Path(path_type=Path), required=True, help="Markdown, figures, fetched PDFs.")
@click.option("--metrics", type=click.Path(path_type=Path), required=True)
@click.option("--state", type=click.Path(path_type=Path), required=True, help="Ignored folder for downloads.")
def main(recipe: Path, out: Path, rejects: Path, documents: Path, metrics: Path, state: Path) -> None:
    settings = read_recipe(recipe).extract
    source = recipe / "source"
    with whole_folder(documents) as part:
        counts: dict[str, int] = {}
        if isinstance(settings, PapersExtract):
            rows, refused, counts = read_papers(source, settings, state, part, Service(), cores())
        elif isinstance(settings, CasesExtract):
            rows, refused, counts = read_cases(source, settings, part)
        else:
            rows, refused = read_rows(recipe, settings, state)
    write_jsonl(rejects, refused)
    for row in refused[:10]:
        where = f"{source / row['file']}:{row['line']}" if "line" in row else row["file"]
        click.echo(f"refused {where}: {row['detail']}", err=True)
    if not rows:
        raise click.ClickException(f"{source}: no usable row; see {rejects}")
    papers = counts.pop("papers", None)
    read, what = (len(rows) + len(refused), "rows") if papers is None else (papers, "papers")
    if len(refused) > settings.max_reject_share * read:
        raise click.ClickException(
            f"{len(refused)} of {read} {what} refused, more than max-reject-share "
            f"{settings.max_reject_share:g} of {recipe / 'recipe.yaml'}; see {rejects}"
        )
    write_jsonl(out, rows)
    write_counts(metrics, read, read - len(refused), refused, **counts)


if __name__ == "__main__":
    main()
