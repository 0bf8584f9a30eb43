"""Rows → rows and those that the recipe's strategies add; with none, the rows pass.

    python -m stages.sdg --recipe recipes/query_json --rows data/query_json/extract.jsonl \\
        --out data/query_json/sdg.jsonl --metrics metrics/query_json/sdg.json
"""

import random
from pathlib import Path

import click

from tuneline.files import read_jsonl, write_json, write_jsonl
from tuneline.grammar import draw_rows
from tuneline.recipe import read_recipe
from tuneline.rows import make_row, read_form


@click.command()
@click.option("--recipe", type=click.Path(path_type=Path), required=True)
@click.option("--rows", "rows_path", type=click.Path(path_type=Path), required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True)
@click.option("--metrics", type=click.Path(path_type=Path), required=True)
def main(recipe: Path, rows_path: Path, out: Path, metrics: Path) -> None:
    rows = read_jsonl(rows_path)
    counts = {"in": len(rows)}
    for strategy in read_recipe(recipe).sdg.strategies:
        rng = random.Random(strategy.seed)
        made = draw_rows(recipe / strategy.file, strategy.rows, strategy.lowercase, rng)
        rows += [
            make_row(read_form(record), strategy.file, number, origin=strategy.name)
            for number, record in enumerate(made, 1)
        ]
        counts[strategy.name] = len(made)
    write_jsonl(out, rows)
    write_json(metrics, {**counts, "out": len(rows)})


if __name__ == "__main__":
    main()
