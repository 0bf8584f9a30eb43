"""Rows → rows without duplicates, near duplicates and what is too near a test row; each drop has a reason.

    python -m stages.curate --recipe recipes/query_json --rows data/query_json/sdg.jsonl \\
        --out data/query_json/curate.jsonl --drops data/query_json/curate.drops.jsonl \\
        --metrics metrics/query_json/curate.json
"""

from pathlib import Path

import click

from tuneline.files import Row, read_jsonl, write_counts, write_jsonl
from tuneline.recipe import Curate, read_recipe
from tuneline.rows import question
from tuneline.similarity import Index, signatures


def curate(rows: list[Row], settings: Curate) -> tuple[list[Row], list[Row]]:
    """(kept, dropped). Source rows come first, so that a generated row never displaces one.

    Test rows are never dropped for what the training side holds; only exact copies among
    themselves are. Near source rows share a `group`, so that no split divides them.
    """
    rows = sorted(rows, key=lambda row: (row.get("set") != "test", row["origin"] != "source"))
    prints = signatures(question(row) for row in rows)
    tests, kept_prints = Index(settings.contamination), Index(settings.near_duplicate)
    sources = Index(settings.same_group)
    kept: dict[str, Row] = {}
    dropped: list[Row] = []
    for row, signature in zip(rows, prints, strict=True):
        is_test = row.get("set") == "test"
        if row["id"] in kept:
            dropped.append({**row, "reason": "duplicate", "of": row["id"]})
        elif not is_test and (near := tests.similar(signature)):
            dropped.append({**row, "reason": "contamination", "of": near[0][1], "similarity": round(near[0][0], 4)})
        elif not is_test and (near := kept_prints.similar(signature)):
            dropped.append({**row, "reason": "near duplicate", "of": near[0][1], "similarity": round(near[0][0], 4)})
        else:
            if is_test:
                tests.add(row["id"], signature)
            else:
                kept_prints.add(row["id"], signature)
                if row["origin"] == "source":
                    if near := sources.similar(signature):
                        row = {**row, "group": kept[near[0][1]]["group"]}
                    sources.add(row["id"], signature)
            kept[row["id"]] = row
    return list(kept.values()), dropped


@click.command()
@click.option("--recipe", type=click.Path(path_type=Path), required=True)
@click.option("--rows", "rows_path", type=click.Path(path_type=Path), required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True)
@click.option("--drops", type=click.Path(path_type=Path), required=True)
@click.option("--metrics", type=click.Path(path_type=Path), required=True)
def main(recipe: Path, rows_path: Path, out: Path, drops: Path, metrics: Path) -> None:
    rows = read_jsonl(rows_path)
    kept, dropped = curate(rows, read_recipe(recipe).curate)
    write_jsonl(drops, dropped)
    write_jsonl(out, kept)
    write_counts(metrics, len(rows), len(kept), dropped)


if __name__ == "__main__":
    main()
