"""Rows → train, valid and test, by hash of each row's group.

Stable when rows are added, the same for all adapters of a recipe. --held-out of the groups are for
validation and test, half each, at least one; a source's own test rows are the test set, and then
validation has all of it. Rows that a strategy made are for training only, and go when their lineage touches a
validation or test group.

    python -m stages.split --rows data/query_json/trim.jsonl --recipe recipes/query_json \\
        --out data/query_json/split --metrics metrics/query_json/split.json \\
        --held-out 0.15 --seed 0
"""

import hashlib
from pathlib import Path

import click

from tuneline.files import Row, read_jsonl, whole_folder, write_json, write_jsonl
from tuneline.recipe.documents import has_own_place
from tuneline.recipe.settings import Split, read_recipe

SETS = ("train", "valid", "test")


def unit_hash(seed: int, group: str) -> float:
    """The group's place in [0, 1), the same on every machine."""
    digest = hashlib.sha256(f"{seed}/{group}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def place(group: str, settings: Split, valid: float, test: float, seed: int) -> str:
    """The set of a group: the one that names it, else by hash, but a set with named groups has no others."""
    if group in settings.test_groups:
        return "test"
    if group in settings.valid_groups:
        return "valid"
    test = 0.0 if settings.test_groups else test
    valid = 0.0 if settings.valid_groups else valid
    at = unit_hash(seed, group)
    return "test" if at < test else "valid" if at < test + valid else "train"


def split(rows: list[Row], settings: Split, valid: float, test: float, seed: int) -> dict[str, list[Row]]:
    """Rows by set, and under "dropped", with the reason, those that would divide a held-out group.

    Rows that answer about a document stand where its group does, as source rows do. Where the source
    has its own validation rows, their groups are the validation set. Dropped are source
    rows of a group that the source's own test set has, and made rows whose lineage touches a held-out
    group, or a row that an earlier stage dropped: nobody knows where that stood.
    """
    tested = {row["group"] for row in rows if row.get("set") == "test"}
    validated = {row["group"] for row in rows if row.get("set") == "valid"} - tested
    sets: dict[str, list[Row]] = {name: [] for name in (*SETS, "dropped")}
    touched: dict[str, set[str]] = {}  # id → the sets that the row and its ancestors stand in
    for row in rows:
        if has_own_place(row):
            if row["group"] in tested:
                name = "test"
            elif row["group"] in validated:
                name = "valid"
            else:
                shares = (0.0 if validated else valid, 0.0 if tested else test)
                name = place(row["group"], settings, *shares, seed)
            touched[row["id"]] = {name}
            if row["group"] in tested and row.get("set") != "test":
                sets["dropped"].append({**row, "reason": "group in test"})
            else:
                sets[name].append(row)
    for row in rows:
        if not has_own_place(row):
            parents = [touched.get(parent, {"dropped"}) for parent in row.get("lineage", ())]
            touched[row["id"]] = {"train"}.union(*parents)
            if held := sorted(touched[row["id"]] - {"train"}):
                sets["dropped"].append({**row, "reason": f"lineage in {' and '.join(held)}"})
            else:
                sets["train"].append(row)
    return sets


def fill_sets(sets: dict[str, list[Row]], names: list[str], seed: int) -> None:
    """Gives each empty one of the named sets the training group that is first by hash, while training keeps one.

    Only a corpus of a few groups wants this: a set's share of them by hash may be none.
    """
    for name in names:
        groups = sorted({row["group"] for row in sets["train"]}, key=lambda group: (unit_hash(seed, group), group))
        if sets[name] or len(groups) < 2:
            continue
        sets[name] = [row for row in sets["train"] if row["group"] == groups[0]]
        sets["train"] = [row for row in sets["train"] if row["group"] != groups[0]]


@click.command()
@click.option("--rows", "rows_path", type=click.Path(path_type=Path), required=True)
@click.option("--recipe", type=click.Path(path_type=Path), required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True)
@click.option("--metrics", type=click.Path(path_type=Path), required=True)
@click.option("--held-out", type=click.FloatRange(0, 1), required=True, help="Share of the groups.")
@click.option("--seed", type=int, required=True)
def main(rows_path: Path, recipe: Path, out: Path, metrics: Path, held_out: float, seed: int) -> None:
    rows = read_jsonl(rows_path)
    settings = read_recipe(recipe).split
    unknown = sorted({*settings.test_groups, *settings.valid_groups} - {row["group"] for row in rows})
    if unknown:
        raise click.ClickException(
            f"{recipe / 'recipe.yaml'}: split names groups that no row has: {', '.join(unknown)}"
        )
    own_test = any(row.get("set") == "test" for row in rows)
    test = 0.0 if own_test else held_out / 2
    sets = split(rows, settings, held_out - test, test, seed)
    if held_out and not any(row.get("lineage") for row in rows):  # they would stand beside what they grew from
        fill_sets(sets, ["valid", "test"], seed)
    for name in SETS:
        if not sets[name]:
            raise click.ClickException(f"no row for {name}: bring more rows, or change split in params.yaml")
    with whole_folder(out) as part:
        for name, content in sets.items():
            write_jsonl(part / f"{name}.jsonl", content)
    write_json(metrics, {"in": len(rows), **{name: len(content) for name, content in sets.items()}})


if __name__ == "__main__":
    main()
