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


class Groups:
    """Groups that become one when a row belongs to both (union-find); the first one seen names them."""

    def __init__(self) -> None:
        self.parent: dict[str, str] = {}
        self.order: dict[str, int] = {}

    def add(self, group: str) -> None:
        self.parent.setdefault(group, group)
        self.order.setdefault(group, len(self.order))

    def name(self, group: str) -> str:
        while self.parent[group] != group:
            group = self.parent[group]
        return group

    def unite(self, *groups: str) -> None:
        for group in groups:
            self.add(group)
        first, *rest = sorted({self.name(group) for group in groups}, key=self.order.__getitem__)
        for group in rest:
            self.parent[group] = first


def curate(rows: list[Row], settings: Curate) -> tuple[list[Row], list[Row]]:
    """(kept, dropped). Source rows come first, so that a generated row never displaces one.

    A source's own test rows all stay, copies too: figures are only comparable on the same rows. Near
    source rows share a `group`, so that no split divides them: a row that is near to two groups
    makes them one, named as the first of them.
    """
    rows = sorted(rows, key=lambda row: (row.get("set") != "test", row["origin"] != "source"))
    prints = signatures(question(row) for row in rows)
    tests, kept_prints = Index(settings.contamination), Index(settings.near_duplicate)
    sources, groups = Index(settings.same_group), Groups()
    kept: list[Row] = []
    group_of: dict[str, str] = {}  # by id
    dropped: list[Row] = []
    for row, signature in zip(rows, prints, strict=True):
        is_test = row.get("set") == "test"
        if row["id"] in group_of and not is_test:
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
                    for _, other in sources.similar(signature):
                        groups.unite(group_of[other], row["group"])
                    sources.add(row["id"], signature)
            groups.add(row["group"])
            kept.append(row)
            group_of[row["id"]] = row["group"]
    return [{**row, "group": groups.name(row["group"])} for row in kept], dropped


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
