"""`tuneline succession`: the corpus that a project's end-to-end tests hold."""

from pathlib import Path

import click

HERE = Path(__file__).parent


@click.group()
def commands() -> None:
    """Cases of French successions."""


@commands.command()
@click.argument("project", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="A folder.")
def cases(project: Path, out: Path) -> None:
    """Gather the énoncés of PROJECT's end-to-end tests into --out, with a manifest of what they cover."""
    from .specs.coverage import read_coverage
    from .specs.e2e_cases import gather, read_gold, write_cases

    gathered = gather(project, read_coverage(HERE / "source" / "coverage.yaml").read)
    for fault in gathered.faults:
        click.echo(f"refused {project / fault.file}:{fault.line}: {fault.reason}", err=True)
    if not gathered.cases:
        raise click.ClickException(f"{project}: no case found; see read.names and read.calls of coverage.yaml")
    gold_path = HERE / "source" / "gold.jsonl"
    gold = read_gold(gold_path) if gold_path.is_file() else {}
    told = write_cases(out, gathered, HERE / "source", gold)
    kinds = ", ".join(f"{count} {kind}" for kind, count in told["by_kind"].items())
    click.echo(
        f"{out}: {told['cases']} cases ({kinds}), {told['merged']} merged, {told['with_a_record']} with a record, "
        f"{len(told['faults'])} refused"
    )
