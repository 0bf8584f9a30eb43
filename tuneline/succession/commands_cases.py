"""`tuneline instructions cases`: the corpus that a project's end-to-end tests hold."""

from pathlib import Path

import click


@click.command()
@click.argument("project", type=click.Path(path_type=Path))
@click.option(
    "--recipe",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default="recipes/succession",
    show_default=True,
    help="Its coverage.yaml says what to read; its source/gold.jsonl has records of known cases.",
)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="A folder.")
def cases(project: Path, recipe: Path, out: Path) -> None:
    """Gather the énoncés of PROJECT's end-to-end tests into --out, with a manifest of what they cover."""
    from tuneline.succession.coverage import read_coverage
    from tuneline.succession.e2e_cases import gather, read_gold, write_cases

    gathered = gather(project, read_coverage(recipe / "source" / "coverage.yaml").read)
    for fault in gathered.faults:
        click.echo(f"refused {project / fault.file}:{fault.line}: {fault.reason}", err=True)
    if not gathered.cases:
        raise click.ClickException(f"{project}: no case found; see read.names and read.calls of coverage.yaml")
    gold_path = recipe / "source" / "gold.jsonl"
    gold = read_gold(gold_path) if gold_path.is_file() else {}
    told = write_cases(out, gathered, recipe / "source", gold)
    kinds = ", ".join(f"{count} {kind}" for kind, count in told["by_kind"].items())
    click.echo(
        f"{out}: {told['cases']} cases ({kinds}), {told['merged']} merged, {told['with_a_record']} with a record, "
        f"{len(told['faults'])} refused"
    )
