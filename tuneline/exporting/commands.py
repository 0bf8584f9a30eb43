"""`tuneline export`."""

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tuneline.exporting.gguf import OUTTYPES
from tuneline.exporting.merging import DTYPES

if TYPE_CHECKING:
    from tuneline.exporting.export import Source, Wish
    from tuneline.files import Row

ROWS = 50


def export_options(command: click.Command) -> click.Command:
    """The flags of every command that exports, for click."""
    options = [
        click.option("--to", "form", type=click.Choice(["merged", "gguf", "ollama", "mlx", "peft"]), required=True,
                     help="The form."),
        click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="A folder."),
        click.option("--dtype", type=click.Choice(["auto", *DTYPES]), default="auto", show_default=True,
                     help="Of merged weights; auto: the base's own where it answers alike, else float32."),
        click.option("--outtype", type=click.Choice(OUTTYPES), default=OUTTYPES[0], show_default=True,
                     help="Of a GGUF file."),
        click.option("--rows", type=click.IntRange(0), default=ROWS, show_default=True, help="Test rows to compare."),
        click.option("--least-equal", type=click.FloatRange(0, 1),
                     help="Share of equal answers, below which nothing is written.  [default: 0.98; none for GGUF]"),
        click.option("--force", is_flag=True, help="Replace what --out holds, whatever it is."),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


@click.command()
@click.argument("adapter")
@export_options
@click.option("--test", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="The test rows.")
def export(
    adapter: str,
    form: str,
    out: Path,
    dtype: str,
    outtype: str,
    rows: int,
    least_equal: float | None,
    force: bool,
    test: Path | None,
) -> None:
    """Write ADAPTER, a folder or a name of adapters/, in the form of another tool, with a card and hashes.

    Rows of its test set are asked on both sides, and what does not answer alike is refused.
    """
    from tuneline.exporting.export import Wish, open_source, read_source
    from tuneline.exporting.facts import find_facts, read_folder
    from tuneline.exporting.places import check_out
    from tuneline.files import read_jsonl

    root = Path()
    folder = find_adapter(adapter)
    check_out(out, force)
    _, base = read_source(folder, root)
    facts = find_facts(folder.resolve().name, folder, base, read_folder(root))
    own = root / f"data/{facts.name}/split/test.jsonl"
    found = read_test(test, rows) if test else read_jsonl(own)[:rows] if rows and own.is_file() else []
    missing = f"{own} is not there; `dvc pull {own}` brings it, --test names another"
    source = open_source(folder, root, facts, found, missing)
    write_and_tell(source, Wish(form, dtype, outtype, rows, least_equal), out, force)


def read_test(path: Path, most: int) -> list["Row"]:
    """The first rows of a file in any form in which they come; `most`: 0 reads none.

    Raises click.ClickException that names the line, and where there is no row.
    """
    from tuneline.given import each_line
    from tuneline.recipe.forms import read_part
    from tuneline.rows import BadRow

    rows = []
    for number, record in islice(each_line(path), most):
        try:
            rows.append(read_part(record)[0])
        except BadRow as reason:
            raise click.ClickException(f"{path}:{number}: no test row: {reason}") from None
    if most and not rows:
        raise click.ClickException(f"{path} has no row to compare by; --rows 0 compares none")
    return rows


def write_and_tell(source: "Source", wish: "Wish", out: Path, force: bool) -> None:
    """The export, and how far it answers as the adapter does. Raises click.ClickException as `export` does."""
    from tuneline.exporting.export import export as write

    parity = write(source, wish, out, force)
    click.echo(f"{out}: {source.facts.name} as {wish.form}")
    for one in parity:
        most = "none compared" if one.difference is None else f"{one.difference:.4g}"
        click.echo(f"  {one.equal} of {one.rows} answers equal to {one.against}; log-probabilities within {most}")
        click.echo(f"  by {one.tool}; {one.prompts} of {one.rows} prompts as they were trained")


def find_adapter(name: str) -> Path:
    """A folder, or one of adapters/ by its name. Raises click.ClickException that lists those."""
    for folder in (Path(name), Path("adapters", name)):
        if (folder / "adapter.json").is_file():
            return folder
    known = ", ".join(sorted(path.parent.name for path in Path("adapters").glob("*/adapter.json"))) or "none"
    raise click.ClickException(f"{name} is no adapter's folder, and none of adapters/ ({known})")
