"""Rows → rows without duplicates, what is too near a held-out row, and what the recipe refuses.

Each drop has its reason. Rows that a strategy made pass the recipe's checks, and its judge if it has one.

    python -m stages.curate --recipe recipes/query_json --rows data/query_json/sdg.jsonl \\
        --out data/query_json/curate.jsonl --drops data/query_json/curate.drops.jsonl \\
        --metrics metrics/query_json/curate.json --reasons metrics/query_json/curate.csv \\
        --answers .tuneline/answers --provider offline --model offline --temperature 0 \\
        --max-tokens 1024 --base-url default --concurrency 20 --requests-per-minute 0 \\
        --tokens-per-minute 0 --timeout 120 --attempts 5 --budget-usd 5 --no-batch \\
        --price gpt-5-mini=0.25/2.00 --engine local
"""

import csv
import gc
import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache, partial
from itertools import chain
from pathlib import Path
from typing import Any

import click
import numpy as np
from scipy.cluster.hierarchy import DisjointSet

from tuneline.bulk.engines import engine_option, open_engine
from tuneline.bulk.lines import Lines, Mapped, Picked
from tuneline.data.corpus import Corpus, digest, numbers_of
from tuneline.data.language import other_language
from tuneline.data.leaks import Leaks
from tuneline.data.similarity import CHECKED, Index
from tuneline.data.turns import NONE
from tuneline.files import Clock, Row, bar, say, whole_file, write_json, write_jsonl
from tuneline.recipe.own import open_door
from tuneline.recipe.settings import Checks, Curate, Judged, read_recipe
from tuneline.recipe.texts import read_prompt
from tuneline.rows import answer, question, visible
from tuneline.table import show_counts
from tuneline.teaching.judging import judge_by_rules, row_request
from tuneline.teaching.ledger import Spend
from tuneline.teaching.options import Settings, teacher_options
from tuneline.teaching.request import usual_reasons
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


class OwnChecks:
    """What the recipe's own checks say of a row; another process opens them anew."""

    def __init__(self, recipe: Path) -> None:
        self.recipe, self.wrong = recipe, open_door(recipe, "checks").wrong

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.recipe,)

    def __call__(self, row: Row) -> tuple[str, str] | None:
        return self.wrong(row)


class Groups:
    """Which groups belong together; only those that are not alone take room. A group is a number."""

    def __init__(self, count: int) -> None:
        self.joined = DisjointSet()
        self.first = np.full(count, -1)  # place of a group's first row

    def add(self, group: int, place: int) -> None:
        if self.first[group] < 0:
            self.first[group] = place

    def join(self, one: int, other: int) -> None:
        self.joined.add(one)
        self.joined.add(other)
        self.joined.merge(one, other)

    def together(self, one: int, other: int) -> bool:
        joined = self.joined
        return one == other or (one in joined and other in joined and joined.connected(one, other))

    def firsts(self) -> dict[int, int]:
        """The place of the first row of all that belong together, by group; only of those that were joined."""
        return {group: min(self.first[one] for one in some) for some in self.joined.subsets() for group in some}


class Kept:
    """The rows of a corpus that were kept so far: what a new one would repeat, and which groups belong together.

    Rows of several adapters are compared with their own, and with those that are every adapter's: one text in three
    voices is no duplicate.
    """

    def __init__(self, corpus: Corpus, settings: Curate) -> None:
        self.corpus, self.settings = corpus, settings
        self.places = array("q")
        self.copies: dict[int, int] = {}  # places, by adapter and content
        self.answers: dict[tuple[int, int], int] = {}  # by question, adapter and answer
        self.first: dict[tuple[str, int], int] = {}  # by set, adapter and question
        self.near = Index(corpus.texts, settings.near_duplicate)
        self.sources = Index(corpus.texts, settings.same_group)
        self.groups = Groups(max(corpus.groups, default=0) + 1)
        self.group_of_question = np.full(len(corpus.texts.texts), -1)
        self.group_of_turns: dict[int, int] = {}
        self.instructions = _instructions(corpus)

    def repeated(self, place: int) -> Row | None:
        """Reason and what it repeats, where the row's content was kept already."""
        keys = self.corpus.keys(place, self.corpus.contents[place])
        copy = next((self.copies[key] for key in keys if key in self.copies), None)
        return None if copy is None else {"reason": "duplicate", "of": self.corpus.id(copy)}

    def told(self, place: int) -> Row | None:
        """The same for a row that says nearly what a kept one does, or answers its question otherwise."""
        number, answers = self.corpus.questions[place], self.answers
        keys = self.corpus.keys(place, self.corpus.said[place])
        if near := self.near.near(number, lambda other: any((other, key) in answers for key in keys)):
            score, other = near[0]
            of = next(answers[other, key] for key in keys if (other, key) in answers)
            return {"reason": "near duplicate", "of": self.corpus.id(of), "similarity": round(score, 4)}
        if self.settings.answers == "first":
            firsts = (self.first.get((self.corpus.sets[place], key)) for key in self.corpus.keys(place, number))
            if (of := next((one for one in firsts if one is not None), None)) is not None:
                return {"reason": "another answer", "of": self.corpus.id(of)}
        return None

    def add(self, place: int) -> None:
        corpus, number = self.corpus, self.corpus.questions[place]
        self.places.append(place)
        self.copies.setdefault(corpus.keys(place, corpus.contents[place])[0], place)
        self.groups.add(corpus.groups[place], place)
        if corpus.sets[place] == "test":
            return
        self.near.add(number)
        self.answers.setdefault((number, corpus.keys(place, corpus.said[place])[0]), place)
        if self.settings.answers == "first":
            self.first.setdefault((corpus.sets[place], corpus.keys(place, number)[0]), place)
        if corpus.own[place]:
            self._join(place)

    def _join(self, place: int) -> None:
        """Puts a source row into one group with those near to it, those it holds and those that hold it."""
        group, number = self.corpus.groups[place], self.corpus.questions[place]
        if number not in self.instructions:
            known, groups = self.group_of_question, self.groups
            for _, other in self.sources.near(number, lambda other: not groups.together(int(known[other]), group)):
                groups.join(int(known[other]), group)
            if known[number] < 0:
                known[number] = group
            self.sources.add(number)
        turns = self.corpus.conversations.numbers[place]
        if turns != NONE:
            for other in self.corpus.conversations.related(turns):
                if other in self.group_of_turns:
                    self.groups.join(self.group_of_turns[other], group)
            self.group_of_turns.setdefault(turns, group)

    def rows(self) -> Picked:
        """Each with its group's name: that of the first of those which became one."""
        corpus, firsts = self.corpus, self.groups.firsts()
        name = lru_cache(1 << 10)(lambda first: corpus.rows[first]["group"])

        def more(place: int) -> Row:
            first = firsts.get(corpus.groups[place])
            return {} if first is None else {"group": name(first)}

        return Picked(corpus.rows, self.places, more)


def curate(
    rows: Sequence[Row],
    settings: Curate,
    wrong: Wrong | None = None,
    tell: Callable[[str], None] = lambda line: None,
    mapped: Mapped = map,
) -> tuple[Picked, Picked]:
    """(kept, dropped). `wrong`: what the recipe's own checks say of a made row. `tell` is given what was not compared.

    Source rows come first, so that a generated row never displaces one. A source's own test rows all stay, copies
    too: figures are only comparable on the same rows. A duplicate has the question and the answer of another row, a
    near duplicate nearly its question and its answer; rows with one question and several answers all stay, unless
    the settings say otherwise. Source rows that are near, or hold one another's turns, share a `group`, so that no
    split divides them: a row that is near to two groups makes them one, named as the first of them. `mapped`: as `map`,
    for what needs one row at a time.
    """
    check = partial(check_row, checks=settings.checks, wrong=wrong)
    least = min(settings.near_duplicate, settings.same_group, settings.contamination)
    corpus = Corpus(rows, least, check, mapped)
    leaks, kept = Leaks(corpus, settings.contamination), Kept(corpus, settings)
    dropped: dict[int, Row] = {}  # why, by place
    for place in bar("curate, rows", range(len(rows))):
        is_test = corpus.sets[place] == "test"
        if not is_test and (copy := kept.repeated(place)):
            dropped[place] = copy
        elif why := corpus.wrong.get(place):
            dropped[place] = {"reason": why[0], "detail": why[1]}
        elif place in leaks.found:
            dropped[place] = {"reason": "contamination", **leaks.found[place]}
        elif not is_test and (repeated := kept.told(place)):
            dropped[place] = repeated
        else:
            kept.add(place)
    for line in _not_compared(leaks, kept):
        tell(line)
    return kept.rows(), Picked(corpus.rows, dropped, dropped.__getitem__)


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
    own = np.array(corpus.own, bool)
    numbers, _ = _pairs(np.array(corpus.questions)[own], np.array(corpus.groups)[own])
    return set(np.flatnonzero(np.bincount(numbers) > corpus.texts.commons.few).tolist())


def _pairs(ones: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each pair of numbers once."""
    count = others.max(initial=0) + 1
    return np.divmod(np.unique(ones * count + others), count)


def several_answers(rows: Iterable[Row]) -> int:
    """How many rows have a question to which another row of the same adapter and set has another answer."""
    questions, answers = bytearray(), bytearray()
    for row in rows:
        if "text" not in row:
            questions += digest(row.get("adapter", ""), row.get("set", ""), question(row))
            answers += digest(answer(row))
    asked = numbers_of(questions)
    numbers, _ = _pairs(asked, numbers_of(answers))
    return int((np.bincount(numbers) > 1)[asked].sum())


def judge_rows(
    rows: Sequence[Row], settings: Judged, rubric: str, judge: Teacher
) -> tuple[list[Row], list[Row], Spend]:
    """(kept, dropped, spend): made rows with what the judge says of them, those under the threshold out.

    A row whose judgement cannot be had is dropped as unjudged, which is no score. Most of them are told.
    """
    requests = {row["id"]: row_request(row, rubric) for row in rows if row["origin"] != "source"}
    judge.pay(requests.values(), "judge", len(requests))
    kept, dropped, spend = [], [], Spend(judge)
    unjudged: list[tuple[str, str]] = []
    for row in rows:
        if row["origin"] == "source":
            kept.append(row)
            continue
        outcome = judge.outcome(requests[row["id"]])
        spend.add(outcome.keys)
        if outcome.reason:
            unjudged.append((outcome.reason, outcome.detail))
            dropped.append({**row, "reason": "unjudged", "detail": f"{outcome.reason}: {outcome.detail}"})
            continue
        judged = {**row, "judged": {**outcome.value, "by": judge.name}}
        if outcome.value["score"] < settings.threshold:
            dropped.append({**judged, "reason": "judged low", "detail": outcome.value["reason"]})
        else:
            kept.append(judged)
    if 2 * len(unjudged) > len(requests):
        say(f"judge: {len(unjudged)} of {len(requests)} rows have no judgement: {usual_reasons(unjudged)}")
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
@engine_option
@teacher_options
def main(
    recipe: Path,
    rows_path: Path,
    out: Path,
    drops: Path,
    metrics: Path,
    reasons: Path,
    answers: Path,
    engine: str,
    **judge_settings: Any,
) -> None:
    clock = Clock("curate", recipe.name)
    rows = Lines(rows_path)
    settings = read_recipe(recipe).curate
    wrong = OwnChecks(recipe) if settings.checks.own else None
    with open_engine(engine) as mapped:
        kept, dropped = curate(rows, settings, wrong, lambda line: say(f"{recipe.name}: {line}"), mapped)
    low: list[Row] = []
    figures: dict[str, Any] = {}
    if settings.judge:
        rubric = read_prompt(recipe / settings.judge.rubric)
        with Teacher(Settings(**judge_settings), answers, judge_by_rules(recipe)) as judge:
            kept, low, spend = judge_rows(kept, settings.judge, rubric, judge)
            figures = {"judge": judge.name, "spend": spend.metrics()}
    write_jsonl(drops, chain(dropped, low))
    if low and all(row["reason"] == "unjudged" for row in low) and not any("judged" in row for row in kept):
        raise click.ClickException(f"not one of {len(low)} rows could be judged; {drops} has each with its reason")
    if not kept:
        raise click.ClickException(f"no row of {len(rows)} is kept; {drops} has each with its reason")
    write_jsonl(out, kept)
    dropped_for = [{"reason": row["reason"]} for row in chain(dropped, low)]
    counts = dict(sorted(Counter(row["reason"] for row in dropped_for).items()))
    write_reasons(reasons, {"kept": len(kept), **counts})
    several = {"several_answers": count} if (count := several_answers(kept)) else {}
    write_json(metrics, {"in": len(rows), "out": len(kept), **several, "dropped": counts, **figures})
    of_these = {"one question, several answers": count} if count else {}
    show_counts(f"{recipe.name}: curate", len(rows), len(kept), dropped_for, of_these)
    usd = figures["spend"]["usd"] if figures else 0
    judged = f", judged for ${usd:.4f}" if usd else ""
    clock.tell(f"{len(rows):,} → {len(kept):,} rows", f"{100 * len(kept) / max(1, len(rows)):.1f} % kept{judged}")


if __name__ == "__main__":
    gc.disable()  # many rows and no cycles: looking for some takes time
    main()
