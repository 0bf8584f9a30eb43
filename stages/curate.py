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
from pathlib import Path
from typing import Any

import click

from tuneline.documents import has_own_place
from tuneline.files import Row, read_jsonl, whole_file, write_json, write_jsonl
from tuneline.judge_offline import behavior_of, visible
from tuneline.judging import row_request
from tuneline.language import other_language
from tuneline.personas import Persona, body, forbidden_words, parts, read_personas
from tuneline.recipe import Checks, Curate, Judged, read_recipe
from tuneline.rows import answer, question
from tuneline.similarity import Index, signatures
from tuneline.table import show_counts
from tuneline.teacher import Settings, Spend, Teacher, teacher_options
from tuneline.templates import read_prompt


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


def check_row(row: Row, checks: Checks, personas: dict[str, Persona] | None = None) -> tuple[str, str] | None:
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
    if checks.behavior and (wrong := wrong_behavior(text, fields.get("behavior"))):
        return wrong, ""
    return wrong_persona(answer(row), fields.get("persona"), personas) if personas else None


def wrong_persona(text: str, name: str | None, personas: dict[str, Persona]) -> tuple[str, str] | None:
    """Parts that are missing, and words that this reader must not meet."""
    if name not in personas:
        return "no persona", str(name)
    persona = personas[name]
    missing = [label for label, part in zip(persona.labels, parts(text, persona.labels), strict=True) if not part]
    if missing:
        return "missing field", ", ".join(missing)
    if found := forbidden_words(body(text), persona.forbidden):
        return "forbidden word", ", ".join(found)
    return None


def wrong_behavior(text: str, expected: str | None) -> str | None:
    if not expected:
        return "no behavior"
    shown = behavior_of(text)
    if shown == "refusal":
        return "refuses"
    if expected == "clarify" and shown == "direct":
        return "answers instead of asking"
    if expected == "direct" and shown == "clarification":
        return "asks instead of answering"
    return None


def curate(
    rows: list[Row], settings: Curate, personas: dict[str, Persona] | None = None
) -> tuple[list[Row], list[Row]]:
    """(kept, dropped). Source rows come first, so that a generated row never displaces one.

    A source's own test rows all stay, copies too: figures are only comparable on the same rows. Near
    source rows share a `group`, so that no split divides them: a row that is near to two groups
    makes them one, named as the first of them. Rows of several adapters are compared with their own only:
    one text in three voices is no duplicate.
    """
    order = {"test": 0, "valid": 1}
    rows = sorted(rows, key=lambda row: (order.get(row.get("set"), 2), row["origin"] != "source"))
    prints = signatures(question(row) for row in rows)
    held_out = defaultdict[str, Index](lambda: Index(settings.contamination))
    kept_prints = defaultdict[str, Index](lambda: Index(settings.near_duplicate))
    sources, groups = Index(settings.same_group), Groups()
    kept: list[Row] = []
    group_of: dict[str, str] = {}  # by id
    dropped: list[Row] = []
    for row, signature in zip(rows, prints, strict=True):
        is_test = row.get("set") == "test"
        adapter = row.get("adapter", "")
        if row["id"] in group_of and not is_test:
            dropped.append({**row, "reason": "duplicate", "of": row["id"]})
        elif row["origin"] != "source" and (wrong := check_row(row, settings.checks, personas)):
            dropped.append({**row, "reason": wrong[0], "detail": wrong[1]})
        elif not is_test and (near := held_out[adapter].similar(signature)):
            dropped.append({**row, "reason": "contamination", "of": near[0][1], "similarity": round(near[0][0], 4)})
        elif not is_test and (near := kept_prints[adapter].similar(signature)):
            dropped.append({**row, "reason": "near duplicate", "of": near[0][1], "similarity": round(near[0][0], 4)})
        else:
            if "set" in row:
                held_out[adapter].add(row["id"], signature)
            if not is_test:
                kept_prints[adapter].add(row["id"], signature)
                if has_own_place(row):
                    for _, other in sources.similar(signature):
                        groups.unite(group_of[other], row["group"])
                    sources.add(row["id"], signature)
            groups.add(row["group"])
            kept.append(row)
            group_of[row["id"]] = row["group"]
    return [{**row, "group": groups.name(row["group"])} for row in kept], dropped


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
    personas = read_personas(recipe / settings.checks.personas) if settings.checks.personas else None
    kept, dropped = curate(rows, settings, personas)
    figures = {}
    if settings.judge:
        rubric = read_prompt(recipe / settings.judge.rubric)
        with Teacher(Settings(**judge_settings), answers) as judge:
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
