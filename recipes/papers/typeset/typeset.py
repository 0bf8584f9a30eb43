"""Sources of papers → PDFs as a publisher would print them, the same bytes on every run.

In: papers/<slug>.md, and papers/<slug>.py with a function for each of its figures.
Out: <slug>.pdf for each, two columns on A4.

    python recipes/papers/typeset/typeset.py --paper bloom-filters --out recipes/papers/source
"""

from pathlib import Path

import click
from layout import write_pdf
from markup import register_fonts
from source import read_paper

HERE = Path(__file__).parent


@click.command()
@click.option("--paper", "slugs", multiple=True, help="Slug of a paper; all of them where none is named.")
@click.option("--papers", type=click.Path(path_type=Path), default=HERE / "papers", help="Where the sources are.")
@click.option("--out", type=click.Path(path_type=Path), default=HERE.parent / "source", help="Folder of the PDFs.")
def main(slugs: tuple[str, ...], papers: Path, out: Path) -> None:
    slugs = slugs or tuple(sorted(path.stem for path in papers.glob("*.md")))
    if missing := [slug for slug in slugs if not (papers / f"{slug}.md").exists()]:
        raise click.ClickException(f"{papers} has no {', '.join(missing)}; --paper is a name of a .md without .md")
    register_fonts()
    out.mkdir(parents=True, exist_ok=True)
    for slug in slugs:
        write_pdf(read_paper(papers / f"{slug}.md"), out / f"{slug}.pdf")
        click.echo(out / f"{slug}.pdf")


if __name__ == "__main__":
    main()
