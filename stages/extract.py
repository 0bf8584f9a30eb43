"""Sources → rows with an id, a group and where they come from.

In: the files that the recipe names, in any input form, or external sources.
Out: extract.jsonl, the refused rows beside it, and their counts.

    python -m stages.extract --recipe recipes/query_json --out data/query_json/extract.jsonl \\
        --rejects data/query_json/extract.rejects.jsonl --metrics metrics/query_json/extract.json \\
        --state .tuneline
"""

from collections.abc import Iterator
from pathlib import Path

import click
from jsonschema import Draft202012Validator

from tuneline.annotated_spans import read_annotated
from tuneline.external import fetch_external, read_external
from tuneline.files import Row, write_counts, write_jsonl
from tuneline.form import read_fields
from tuneline.inputs import read_records
from tuneline.recipe import Extract, read_recipe
from tuneline.rows import BadRow, make_row, read_form
from tuneline.schemas import read_schema


def extract_file(path: Path, name: str, settings: Extract, check: Draft202012Validator | None = None) -> Iterator[Row]:
    """The rows of one file; a refused one is `{"reason", "detail", "file", "line"}`."""
    for line, record in read_records(path, settings.encoding):
        annotated = settings.kind == "annotated-spans" and not isinstance(record, ValueError)
        for one in read_annotated(record) if annotated else [record]:
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


@click.command()
@click.option("--recipe", type=click.Path(path_type=Path), required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True)
@click.option("--rejects", type=click.Path(path_type=Path), required=True)
@click.option("--metrics", type=click.Path(path_type=Path), required=True)
@click.option("--state", type=click.Path(path_type=Path), required=True, help="Ignored folder for downloads.")
def main(recipe: Path, out: Path, rejects: Path, metrics: Path, state: Path) -> None:
    settings = read_recipe(recipe).extract
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
    write_jsonl(rejects, refused)
    for row in refused[:10]:
        click.echo(f"refused {recipe / 'source' / row['file']}:{row['line']}: {row['detail']}", err=True)
    read = len(rows) + len(refused)
    if not rows:
        raise click.ClickException(f"{recipe / 'source'}: no usable row; see {rejects}")
    if len(refused) > settings.max_reject_share * read:
        raise click.ClickException(
            f"{len(refused)} of {read} rows refused, more than max-reject-share "
            f"{settings.max_reject_share:g} of {recipe / 'recipe.yaml'}; see {rejects}"
        )
    write_jsonl(out, rows)
    write_counts(metrics, read, len(rows), refused)


if __name__ == "__main__":
    main()
