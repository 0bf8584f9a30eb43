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
import gc
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
from scipy.cluster.hierarchy import DisjointSet

from tuneline.data.language import other_language
from tuneline.data.leaks import Corpus, Leaks
from tuneline.data.similarity import CHECKED, Index
from tuneline.files import Clock, Row, bar, dump_json, read_rows, say, whole_file, write_json, write_jsonl
from tuneline.recipe.documents import has_own_place
from tuneline.recipe.own import open_door
from tuneline.recipe.settings import Checks, Curate, Judged, read_recipe
from tuneline.recipe.texts import read_prompt
from tuneline.rows import answer, content_hash, question, visible
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


class Kept:
    """The rows of a corpus that were kept so far: what a new one would repeat, and which groups belong together.

    Rows of several adapters are compared with their own, and with those that are every adapter's: one text in three
    voices is no duplicate.
    """

    def __init__(self, corpus: Corpus, settings: Curate) -> None:
        self.corpus, self.settings = corpus, settings
        self.places: list[int] = []
        self.copies: dict[tuple[str, str], str] = {}  # ids, by adapter and content
        self.answers: dict[int, dict[tuple[str, Any], str]] = defaultdict(dict)  # ids of a question's, by answer
        self.first: dict[tuple[str | None, str, int], str] = {}  # ids, by set, adapter and question
        self.near = Index(corpus.texts, settings.near_duplicate)
        self.sources = Index(corpus.texts, settings.same_group)
        self.groups = DisjointSet()
        self.group_of_question: dict[int, str] = {}
        self.group_of_turns: dict[int, str] = {}
        self.instructions = _instructions(corpus)

    def repeated(self, place: int) -> Row | None:
        """Reason and what it repeats, where the row's content was kept already."""
        row = self.corpus.rows[place]
        copy = next((self.copies[key] for key in _keys(row, _content(row)) if key in self.copies), None)
        return {"reason": "duplicate", "of": copy} if copy else None

    def told(self, place: int) -> Row | None:
        """The same for a row that says nearly what a kept one does, or answers its question otherwise."""
        row, number = self.corpus.rows[place], self.corpus.questions[place]
        keys = _keys(row, self._reply(place))
        if near := self.near.near(number, lambda other: any(key in self.answers[other] for key in keys)):
            score, other = near[0]
            of = next(self.answers[other][key] for key in keys if key in self.answers[other])
            return {"reason": "near duplicate", "of": of, "similarity": round(score, 4)}
        if self.settings.answers == "first":
            firsts = (self.first.get((row.get("set"), *key)) for key in _keys(row, number))
            if of := next(filter(None, firsts), None):
                return {"reason": "another answer", "of": of}
        return None

    def add(self, place: int) -> None:
        row, number = self.corpus.rows[place], self.corpus.questions[place]
        adapter = row.get("adapter", "")
        self.places.append(place)
        self.copies.setdefault((adapter, _content(row)), row["id"])
        self.groups.add(row["group"])
        if row.get("set") == "test":
            return
        self.near.add(number)
        self.answers[number].setdefault((adapter, self._reply(place)), row["id"])
        self.first.setdefault((row.get("set"), adapter, number), row["id"])
        if has_own_place(row):
            self._join(place)

    def _reply(self, place: int) -> tuple[bytes, str]:
        """The answer, and the tools among which it was found: with others, it would not be the same."""
        return self.corpus.replies[place], dump_json(self.corpus.rows[place].get("tools", []))

    def _join(self, place: int) -> None:
        """Puts a source row into one group with those near to it, those it holds and those that hold it."""
        group, number = self.corpus.rows[place]["group"], self.corpus.questions[place]
        if number not in self.instructions:
            known, groups = self.group_of_question, self.groups
            for _, other in self.sources.near(number, lambda other: not groups.connected(known[other], group)):
                groups.merge(known[other], group)
            known.setdefault(number, group)
            self.sources.add(number)
        turns = self.corpus.conversations.numbers[place]
        if turns is not None:
            for other in self.corpus.conversations.related[turns]:
                if other in self.group_of_turns:
                    self.groups.merge(self.group_of_turns[other], group)
            self.group_of_turns.setdefault(turns, group)

    def rows(self) -> list[Row]:
        """Each with its group's name: that of the first of those which became one."""
        first_of = {self.groups[group]: group for group in reversed(list(self.groups))}  # by root; in order of adding
        rows = (self.corpus.rows[place] for place in self.places)
        return [{**row, "group": first_of[self.groups[row["group"]]]} for row in rows]


def curate(
    rows: list[Row], settings: Curate, wrong: Wrong | None = None, tell: Callable[[str], None] = lambda line: None
) -> tuple[list[Row], list[Row]]:
    """(kept, dropped). `wrong`: what the recipe's own checks say of a made row. `tell` is given what was not compared.

    Source rows come first, so that a generated row never displaces one. A source's own test rows all stay, copies
    too: figures are only comparable on the same rows. A duplicate has the question and the answer of another row, a
    near duplicate nearly its question and its answer; rows with one question and several answers all stay, unless
    the recipe says `answers: first`. Source rows that are near, or hold one another's turns, share a `group`, so that
    no split divides them: a row that is near to two groups makes them one, named as the first of them.
    """
    order = {"test": 0, "valid": 1}
    rows = sorted(rows, key=lambda row: (order.get(row.get("set"), 2), row["origin"] != "source"))
    corpus = Corpus(rows, min(settings.near_duplicate, settings.same_group, settings.contamination))
    leaks, kept = Leaks(corpus, settings.contamination), Kept(corpus, settings)
    dropped: list[Row] = []
    for place, row in enumerate(bar("curate, rows", rows)):
        is_test = row.get("set") == "test"
        if not is_test and (copy := kept.repeated(place)):
            dropped.append({**row, **copy})
        elif row["origin"] != "source" and (why := check_row(row, settings.checks, wrong)):
            dropped.append({**row, "reason": why[0], "detail": why[1]})
        elif place in leaks.found:
            dropped.append({**row, "reason": "contamination", **leaks.found[place]})
        elif not is_test and (repeated := kept.told(place)):
            dropped.append({**row, **repeated})
        else:
            kept.add(place)
    for line in _not_compared(leaks, kept):
        tell(line)
    return kept.rows(), dropped


def _not_compared(leaks: Leaks, kept: Kept) -> Iterator[str]:
    cut_short = {
        "held-out rows": leaks.cut_short,
        "kept rows": len(kept.near.cut_short),
        "the groups' rows": len(kept.sources.cut_short),
    }
    for what, questions in cut_short.items():
        if questions:
            yield f"{questions} questions look like very many others: only {CHECKED} of {what} were compared"
    if talks := len(kept.corpus.conversations.small_talk):
        yield f"{talks} conversations of turns that many begin with, such as greetings: not looked for in others"


def _instructions(corpus: Corpus) -> set[int]:
    """Numbers of the questions that source rows of many groups ask: what these have in common is no reason to join."""
    groups: dict[int, set[str]] = defaultdict(set)
    for row, number in zip(corpus.rows, corpus.questions, strict=True):
        if has_own_place(row):
            groups[number].add(row["group"])
    return {number for number, names in groups.items() if len(names) > corpus.texts.commons.few}


def _keys(row: Row, what: Any) -> list[tuple[str, Any]]:
    """`what`, as of the row's adapter and of every adapter's."""
    return [(adapter, what) for adapter in dict.fromkeys((row.get("adapter", ""), ""))]


def _content(row: Row) -> str:
    return content_hash(question(row), answer(row), dump_json(row.get("tools", [])), size=32)


def several_answers(rows: list[Row]) -> int:
    """How many rows have a question to which another row of the same adapter and set has another answer."""
    answers: dict[tuple[str, str, str], Counter[str]] = defaultdict(Counter)
    for row in rows:
        if "text" not in row:
            answers[row.get("adapter", ""), row.get("set", ""), content_hash(question(row))][answer(row)] += 1
    return sum(found.total() for found in answers.values() if len(found) > 1)


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
    clock = Clock("curate", recipe.name)
    rows = read_rows(rows_path)
    settings = read_recipe(recipe).curate
    wrong = open_door(recipe, "checks").wrong if settings.checks.own else None
    kept, dropped = curate(rows, settings, wrong, tell=lambda line: say(f"{recipe.name}: {line}"))
    figures: dict[str, Any] = {}
    if settings.judge:
        rubric = read_prompt(recipe / settings.judge.rubric)
        with Teacher(Settings(**judge_settings), answers, judge_by_rules(recipe)) as judge:
            kept, low, spend = judge_rows(kept, settings.judge, rubric, judge)
            figures = {"judge": judge.name, "spend": spend.metrics()}
        dropped += low
    write_jsonl(drops, dropped)
    if not kept:
        raise click.ClickException(f"no row of {len(rows)} is kept; {drops} has each with its reason")
    write_jsonl(out, kept)
    counts = dict(sorted(Counter(row["reason"] for row in dropped).items()))
    write_reasons(reasons, {"kept": len(kept), **counts})
    several = {"several_answers": count} if (count := several_answers(kept)) else {}
    write_json(metrics, {"in": len(rows), "out": len(kept), **several, "dropped": counts, **figures})
    of_these = {"one question, several answers": count} if count else {}
    show_counts(f"{recipe.name}: curate", len(rows), len(kept), dropped, of_these)
    usd = figures["spend"]["usd"] if figures else 0
    judged = f", judged for ${usd:.4f}" if usd else ""
    clock.tell(f"{len(rows):,} → {len(kept):,} rows", f"{100 * len(kept) / max(1, len(rows)):.1f} % kept{judged}")


if __name__ == "__main__":
    gc.disable()  # many rows and no cycles: looking for some takes time
    main()
