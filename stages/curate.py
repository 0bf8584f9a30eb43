"""Rows → rows without duplicates, what is too near a held-out row, and what the recipe refuses.

Each drop has its reason. Rows that a strategy made pass the recipe's checks, and its judge if it has one.

    python -m stages.curate --recipe recipes/query_json --rows data/query_json/sdg.jsonl \\
        --out data/query_json/curate.jsonl --drops data/query_json/curate.drops.jsonl \\
        --metrics metrics/query_json/curate.json --reasons metrics/query_json/curate.csv \\
        --answers .tuneline/answers --provider offline --model offline --temperature 0 \\
        --max-tokens 1024 --base-url default --concurrency 20 --requests-per-minute 0 \\
        --tokens-per-minute 0 --timeout 120 --attempts 5 --budget-usd 5 --no-batch \\
        --price gpt-5-mini=0.25/2.00
"""

import csv
import re
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from scipy.cluster.hierarchy import DisjointSet

from tuneline.data.language import other_language
from tuneline.data.similarity import Index, signatures
from tuneline.files import Row, read_jsonl, whole_file, write_json, write_jsonl
from tuneline.recipe.documents import has_own_place
from tuneline.recipe.own import open_door
from tuneline.recipe.settings import Checks, Curate, Judged, read_recipe
from tuneline.recipe.texts import read_prompt
from tuneline.rows import answer, question, visible
from tuneline.table import show_counts
from tuneline.teaching.judging import judge_by_rules, row_request
from tuneline.teaching.ledger import Spend
from tuneline.teaching.options import Settings, teacher_options
from tuneline.teaching.teacher import Teacher

Wrong = Callable[[Row], tuple[str, str] | None]


def check_row(row: Row, checks: Checks, wrong: Wrong | None = None) -> tuple[str, str] | None:
    """(reason, detail) when a made row is not what the recipe asks for; None when it is."""
    text = visible(answer(row))
    fields = row.get("fields", {})
    if not text:
        return "empty answer", ""
    for pattern in checks.boilerplate:
        if found := re.search(pattern.pattern, text, re.IGNORECASE):
            return "boilerplate", found[0]
    if empty := [name for name in checks.filled if not fields.get(name)]:
        return f"no {empty[0]}", ""
    for said in (f"{question(row)} {text}", text) if checks.language else ():
        if other := other_language(said, checks.language):
            return "language", other
    return wrong(row) if wrong else None


def curate(rows: list[Row], settings: Curate, wrong: Wrong | None = None) -> tuple[list[Row], list[Row]]:
    """(kept, dropped). `wrong`: what the recipe's own checks say of a made row.

    Source rows come first, so that a generated row never displaces one. A source's own test rows all stay, copies
    too: figures are only comparable on the same rows. Near source rows share a `group`, so that no split divides
    them: a row that is near to two groups makes them one, named as the first of them. Rows of several adapters are
    compared with their own only: one text in three voices is no duplicate.
    """
    order = {"test": 0, "valid": 1}
    rows = sorted(rows, key=lambda row: (order.get(row.get("set"), 2), row["origin"] != "source"))
    prints = signatures(question(row) for row in rows)
    held_out = defaultdict[str, Index](lambda: Index(settings.contamination))
    kept_prints = defaultdict[str, Index](lambda: Index(settings.near_duplicate))
    sources, groups = Index(settings.same_group), DisjointSet()
    kept: list[Row] = []
    group_of: dict[str, str] = {}  # by id
    dropped: list[Row] = []
    for row, signature in zip(rows, prints, strict=True):
        is_test = row.get("set") == "test"
        adapter = row.get("adapter", "")
        if row["id"] in group_of and not is_test:
            dropped.append({**row, "reason": "duplicate", "of": row["id"]})
        elif row["origin"] != "source" and (why := check_row(row, settings.checks, wrong)):
            dropped.append({**row, "reason": why[0], "detail": why[1]})
        elif not is_test and (near := held_out[adapter].similar(signature)):
            dropped.append({**row, "reason": "contamination", "of": near[0][1], "similarity": round(near[0][0], 4)})
        elif not is_test and (near := kept_prints[adapter].similar(signature)):
            dropped.append({**row, "reason": "near duplicate", "of": near[0][1], "similarity": round(near[0][0], 4)})
        else:
            if "set" in row:
                held_out[adapter].add(row["id"], signature)
            groups.add(row["group"])
            if not is_test:
                kept_prints[adapter].add(row["id"], signature)
                if has_own_place(row):
                    for _, other in sources.similar(signature):
                        groups.merge(group_of[other], row["group"])
                    sources.add(row["id"], signature)
            kept.append(row)
            group_of[row["id"]] = row["group"]
    first_of = {groups[group]: group for group in reversed(list(groups))}  # by root; a set is in the order of adding
    return [{**row, "group": first_of[groups[row["group"]]]} for row in kept], dropped


def judge_rows(rows: list[Row], settings: Judged, rubric: str, judge: Teacher) -> tuple[list[Row], list[Row], Spend]:
    """(kept, dropped, spend): made rows with what the judge says of them, those under the threshold out.

    A row whose judgement cannot be had is dropped as unjudged, which is no score.
    """
    requests = {row["id"]: row_request(row, rubric) for row in rows if row["origin"] != "source"}
    judge.pay(requests.values(), "judge", len(requests))
    kept, dropped, spend = [], [], Spend(judge)
    for row in rows:
        if row["origin"] == "source":
            kept.append(row)
            continue
        outcome = judge.outcome(requests[row["id"]])
        spend.add(outcome.keys)
        if outcome.reason:
            dropped.append({**row, "reason": "unjudged", "detail": f"{outcome.reason}: {outcome.detail}"})
            continue
        judged = {**row, "judged": {**outcome.value, "by": judge.name}}
        if outcome.value["score"] < settings.threshold:
            dropped.append({**judged, "reason": "judged low", "detail": outcome.value["reason"]})
        else:
            kept.append(judged)
    return kept, dropped, spend


def write_reasons(path: Path, counts: dict[str, int]) -> None:
    """A bar a reason, for `dvc plots`."""
    with whole_file(path) as part, part.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(("what", "rows"))
        writer.writerows(counts.items())


@click.command()
@click.option("--recipe", type=click.Path(path_type=Path), required=True)
@click.option("--rows", "rows_path", type=click.Path(path_type=Path), required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True)
@click.option("--drops", type=click.Path(path_type=Path), required=True)
@click.option("--metrics", type=click.Path(path_type=Path), required=True)
@click.option("--reasons", type=click.Path(path_type=Path), required=True)
@click.option("--answers", type=click.Path(path_type=Path), required=True, help="The log of paid answers.")
@teacher_options
def main(
    recipe: Path,
    rows_path: Path,
    out: Path,
    drops: Path,
    metrics: Path,
    reasons: Path,
    answers: Path,
    **judge_settings: Any,
) -> None:
    rows = read_jsonl(rows_path)
    settings = read_recipe(recipe).curate
    wrong = open_door(recipe, "checks").wrong if settings.checks.own else None
    kept, dropped = curate(rows, settings, wrong)
    figures = {}
    if settings.judge:
        rubric = read_prompt(recipe / settings.judge.rubric)
        with Teacher(Settings(**judge_settings), answers, judge_by_rules(recipe)) as judge:
            kept, low, spend = judge_rows(kept, settings.judge, rubric, judge)
            figures = {"judge": judge.name, "spend": spend.metrics()}
        dropped += low
    write_jsonl(drops, dropped)
    write_jsonl(out, kept)
    counts = dict(sorted(Counter(row["reason"] for row in dropped).items()))
    write_reasons(reasons, {"kept": len(kept), **counts})
    write_json(metrics, {"in": len(rows), "out": len(kept), "dropped": counts, **figures})
    show_counts(f"{recipe.name}: curate", len(rows), len(kept), dropped)


if __name__ == "__main__":
    main()
