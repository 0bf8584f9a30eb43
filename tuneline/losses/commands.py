"""`tuneline losses`: which kinds of rows an adapter finds hard, and which rows."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from tuneline.files import Row

SETS = ("train", "valid", "test")


@click.command()
@click.argument("adapter")
@click.option("--set", "sets", type=click.Choice(SETS), multiple=True, default=SETS[1:], show_default=True)
@click.option("--most", type=click.IntRange(0), default=5, show_default=True, help="Rows that are shown, of each set.")
def losses(adapter: str, sets: tuple[str, ...], most: int) -> None:
    """The loss of each row under ADAPTER and its base, by the groups of its evaluation, and the hardest rows.

    In nats a trained token; of valid it is the loss by which training chose its step. Of rows that were learned (--set
    train) the hardest are those whose answer is wrong more often than others are. All rows' losses go to
    data/ADAPTER/losses.json, in place of those that it had, and `tuneline report` shows what is shown here.
    """
    from tuneline.files import check_file, check_folder, read_rows, write_json
    from tuneline.losses.measure import measure_losses
    from tuneline.losses.table import FILE, weights_sha256
    from tuneline.models.adapter import WEIGHTS
    from tuneline.pipeline import stage_commands, stage_options

    commands = stage_commands(Path.cwd())
    asked, judged = (stage_options(Path.cwd(), f"{stage}@{adapter}", commands) for stage in ("predict", "eval"))
    folder, split = asked["adapter_folder"], asked["test"].parent
    wanted = [name for name in SETS if name in sets]
    for path in (folder / WEIGHTS, *(split / f"{name}.jsonl" for name in wanted)):
        if not path.exists():
            raise click.ClickException(
                f"{path} is not there; `dvc repro predict@{adapter}` or `tuneline fetch` brings it"
            )
    rows = [(name, line, row) for name in wanted for line, row in enumerate(read_rows(split / f"{name}.jsonl"), 1)]
    if not rows:
        raise click.ClickException(f"no row of {' or '.join(wanted)} in {split}")
    out = split.parent / FILE
    check_folder(out.parent)  # before the minutes that the models take
    check_file(out)
    weights = weights_sha256(folder)  # before they are read: another adapter may come meanwhile
    found = measure_losses(folder, judged["recipe"], rows, asked["batch_size"])
    write_json(out, {"adapter": weights, "rows": found})
    _show_groups(adapter, found)
    _show_hardest(found, {(name, line): row for name, line, row in rows}, most)
    empty = [name for name in wanted if all(row["set"] != name for row in found)]
    click.echo(f"{out}: {len(found):,} rows" + f", none of {', '.join(empty)}" * bool(empty), err=True)


def _show_groups(adapter: str, found: Sequence["Row"]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from tuneline.files import WIDTH
    from tuneline.losses.table import SIDES, by_group, in_order

    table = Table(title=f"{adapter}: nats a trained token", title_justify="left")
    for column in ("set", "group"):
        table.add_column(column, overflow="fold")
    for column in ("rows", "tokens", *SIDES):
        table.add_column(column, justify="right", no_wrap=True)
    lines, more = in_order(by_group(found))
    for (name, group, value), line in lines:
        label = f"{group} {value}" if group else "all"
        shown = f"{line['rows']:,}", f"{line['tokens']:,}", *(f"{line[side]:.3f}" for side in SIDES)
        table.add_row(name, escape(label), *shown, style=None if group else "bold")
    Console(width=WIDTH).print(table)
    for (name, group, _), count in more.items():
        click.echo(f"{count} more values of {group} in {name}: in the file")


def _show_hardest(found: Sequence["Row"], rows: Mapping[tuple[str, int], "Row"], most: int) -> None:
    from tuneline.files import WIDTH
    from tuneline.losses.table import hardest, in_words, per_token

    for name in dict.fromkeys(line["set"] for line in found) if most else ():
        click.echo(f"\n{name}, the hardest rows:")
        for line in hardest(line for line in found if line["set"] == name)[:most]:
            place, said = in_words(rows[name, line["line"]])
            told = f"{per_token(line):6.2f}  {place}  {said}"
            click.echo(told if len(told) <= WIDTH else f"{told[: WIDTH - 1]}…")
