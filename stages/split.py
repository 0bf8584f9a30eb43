"""Rows → train, valid and test, by groups in the order of their hashes.

--held-out of the groups, or the recipe's own share, are for validation and test, half each, at least one; a source's
own test rows are the test set, and then validation has all of it. Where answers are labels, each label has its share.
Rows that a strategy made are for training only, and go when their lineage touches a validation or test group.

Stable when rows are added, as far as shares that hold allow: rows of a known group move nothing, and a new group moves
at most one group over each boundary between two sets, the one that is nearest to it by hash (two in sets of so few
groups that one is more than was asked for). The same for all adapters
of a recipe: the second --rows are the recipe's, of which the first are those that fit the adapter's base.

Beside the sets stand a few rows of train, with which baseline shows the base what is wanted (baseline.shots).

    python -m stages.split --rows data/query_json/trim.jsonl --rows data/query_json/curate.jsonl \\
        --recipe recipes/query_json --out data/query_json/split \\
        --metrics metrics/query_json/split.json --held-out 0.15 --seed 0
"""

import gc
import hashlib
import sys
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass
from heapq import nsmallest
from itertools import chain
from pathlib import Path

import click
import numpy as np

from tuneline.bulk.lines import Lines, Picked
from tuneline.files import Clock, Row, say, whole_folder, write_json, write_jsonl
from tuneline.recipe.documents import has_own_place
from tuneline.recipe.settings import Split, read_recipe
from tuneline.rows import answer, content_hash, question
from tuneline.table import show_counts

SETS = ("train", "valid", "test")
SHOTS = 8  # rows that may be examples: as many as baseline.shots may ask for
LOOKED_AT = 1000  # rows, of which these are chosen
DROPPED = frozenset({"dropped"})
ROWS = "The adapter's rows, then the recipe's, by whose groups the sets are made; one file where they are the same."
Tell = Callable[[str], None]
Shares = dict[str, float]  # of the groups, by "valid" and "test"
Groups = dict[str, list["Standing"]]


@dataclass(slots=True)
class Standing:
    """What of a row says where it stands; of many rows, it has to fit into memory."""

    id: str
    group: str
    set: str | None
    own: bool  # whether it has a place of its own
    lineage: tuple[str, ...]
    label: str  # empty where answers are no labels
    asked: str  # hashes of the question and of the answer; empty of a row that is only text
    reply: str
    named: bool  # whether the group is named by the question


def stand(row: Row, labelled: bool = False) -> Standing:
    messages = "messages" in row
    return Standing(
        row["id"],
        sys.intern(row["group"]),
        row.get("set"),
        has_own_place(row),
        tuple(row.get("lineage", ())),
        sys.intern(label(row)) if labelled else "",
        content_hash(" ".join(question(row).split())) if messages else "",
        content_hash(" ".join(answer(row).split()).casefold()) if messages else "",
        messages and row["group"] == content_hash(question(row)),
    )


def unit_hash(seed: int, group: str) -> float:
    """The group's place in [0, 1), the same on every machine."""
    digest = hashlib.sha256(f"{seed}/{group}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def wanted(count: int, shares: Shares) -> dict[str, int]:
    """How many of so many groups each set has: as near to its share as can be, at least one where it has a share.

    Training keeps one, unless it has no share itself.
    """
    valid, test = shares["valid"] * count, shares["test"] * count
    # Rounded as one, so that an added group moves one over the end of both at most; not where test has one too many.
    both = int(valid + (test if test >= 0.5 else 0) + 0.5)
    sizes = {"valid": both - int(test + 0.5), "test": int(test + 0.5)}
    sizes = {name: max(1, sizes[name]) if share else 0 for name, share in shares.items()}
    most = count - 1 if sum(shares.values()) < 1 else count
    while sum(sizes.values()) > max(0, most):
        sizes[max(sizes, key=lambda name: (sizes[name], name == "test"))] -= 1
    return sizes


def balanced(chosen: list[str], rest: list[str], sizes: dict[str, int], target: float) -> list[str]:
    """The chosen groups, some exchanged for others if their rows are further from the target than the largest group.

    Exchanged are those at the boundary first. Only groups of very different sizes want this.
    """
    chosen, rest = list(chosen), list(rest)
    outs, ins = (np.array([sizes[group] for group in some], np.int64) for some in (chosen, rest))
    off, largest = outs.sum() - target, max(sizes.values(), default=0)
    while abs(off) > largest and (pair := _exchange(outs, ins, off)):
        out, into = pair
        off += ins[into] - outs[out]
        chosen[out], rest[into] = rest[into], chosen[out]
        outs[out], ins[into] = ins[into], outs[out]
    return chosen


def _exchange(outs: np.ndarray, ins: np.ndarray, off: float) -> tuple[int, int] | None:
    """The places of the last one to go out, and of the first one for it, that leave less off; what is of one size does
    so alike."""
    _, last = np.unique(outs[::-1], return_index=True)
    for out in (len(outs) - 1 - np.sort(last)).tolist():
        better = np.abs(off + (ins - outs[out])) < abs(off)  # of one size: 0, with nothing rounded
        if better.any():
            return out, int(better.argmax())
    return None


def by_label(total: int, share: float, groups: dict[str, list[str]], labels: Counter[str], seed: int) -> list[str]:
    """`total` groups, of each label its share: whole ones first, then by the largest remainder (Hamilton's method).

    `groups`: those that are free, by label; each label keeps one. `labels`: how many groups each had at first.
    """
    room = {label: len(groups.get(label, ())) - 1 for label in labels}
    sizes = {label: max(0, min(room[label], int(share * count + 1e-9))) for label, count in labels.items()}
    more = total - sum(sizes.values())
    for label in sorted(labels, key=lambda label: (sizes[label] - share * labels[label], unit_hash(seed, label))):
        if more > 0 and sizes[label] < room[label]:
            sizes[label] += 1
            more -= 1
    return [group for label, size in sizes.items() for group in groups.get(label, ())[:size]]


def place_groups(groups: Groups, shares: Shares, seed: int, labelled: bool) -> dict[str, str]:
    """The set of each group: test has the first ones by hash, validation the next, as many as `wanted` says."""
    order = sorted(groups, key=lambda group: (unit_hash(seed, group), group))
    sizes = {group: len(rows) for group, rows in groups.items()}
    label_of = _labels_of(groups) if labelled else {}
    labels = Counter(label_of.values())
    places: dict[str, str] = {}
    for name, count in sorted(wanted(len(order), shares).items()):  # test before valid
        rest = [group for group in order if group not in places]
        if labelled:
            free = defaultdict(list)
            for group in rest:
                free[label_of[group]].append(group)
            chosen = by_label(count, shares[name], free, labels, seed) if count else []
        else:
            chosen = balanced(rest[:count], rest[count:], sizes, shares[name] * sum(sizes.values()))
        places |= dict.fromkeys(chosen, name)
    return {group: places.get(group, "train") for group in order}


def _labels_of(groups: Groups) -> dict[str, str]:
    """A group's label; of several, the one that fewest groups have."""
    found = {group: {row.label for row in rows} for group, rows in groups.items()}
    times = Counter(name for names in found.values() for name in names)
    return {group: min(names, key=lambda name: (times[name], name)) for group, names in found.items()}


def label(row: Row) -> str:
    """Case and outer white space do not count, as in the measures of labels."""
    return answer(row).strip().casefold()


# Groups that are one only because all their rows ask the same


def divided(rows: Iterable[Standing], settings: Split, held_out: float, tell: Tell) -> set[str]:
    """Groups to divide by answer, as one question is asked in them again and again: an instruction.

    Divided is a group with rows of the source's own held-out sets, which answer the question in several ways, and
    rows to train on; and where so much is one group that the sets cannot be had, that group. Never one that the
    source gave.
    """
    groups = _grouped(rows)
    mixed = {
        group
        for group, members in groups.items()
        if _is_instruction(members)
        and len({row.set for row in members}) > 1
        and len({row.reply for row in members if row.set}) > 1
    }
    if mixed:
        are = "1 group with held-out rows is" if len(mixed) == 1 else f"{len(mixed)} groups with held-out rows are each"
        tell(f"{are} one question with several answers: divided by answer")
    named = {*settings.valid_groups, *settings.test_groups}
    free = {g: m for g, m in groups.items() if g not in named and not any(row.set for row in m)}
    sizes = {group: len(members) for group, members in free.items()}
    total = sum(sizes.values())
    for group in sorted(free, key=lambda group: (-sizes[group], group)):
        enough = len(free) > 2 and total - sizes[group] >= held_out * total
        if not held_out or enough:
            break
        if _is_instruction(free[group]):
            many = len({row.reply for row in free[group]})
            tell(f"{sizes[group]} of {total} rows are one question with {many} answers: divided by answer")
            mixed.add(group)
    return mixed


def regrouped(rows: Iterable[Standing], groups: Set[str]) -> None:
    """Rows of the groups stand in a group of their own with those that answer alike."""
    for row in rows:
        if row.group in groups:
            row.group = sys.intern(f"{row.group}-{row.reply[:8]}")


def _is_instruction(rows: list[Standing]) -> bool:
    """Whether the group is named by a question, most of its rows ask one, and they answer it in several ways."""
    if not all(row.asked for row in rows):
        return False
    asked = Counter(row.asked for row in rows)
    named = any(row.named for row in rows)
    return named and 2 * max(asked.values()) > len(rows) > 1 and len({row.reply for row in rows}) > 1


def _grouped(rows: Iterable[Standing]) -> Groups:
    """Rows that have a place of their own, by group."""
    groups = defaultdict(list)
    for row in rows:
        if row.own:
            groups[row.group].append(row)
    return groups


def split(
    rows: Sequence[Row],
    settings: Split,
    valid: float,
    test: float,
    seed: int,
    labelled: bool = False,
    corpus: Sequence[Standing] = (),
    divide: Set[str] = frozenset(),
) -> dict[str, Picked]:
    """Rows by set, and under "dropped", with the reason, those that would divide a held-out group.

    Rows that answer about a document stand where its group does, as source rows do. Where the source
    has its own validation rows, their groups are the validation set. Dropped are source
    rows of a group that the source's own test set has, and made rows whose lineage touches a held-out
    group, or a row that an earlier stage dropped: nobody knows where that stood. `corpus`: the rows by whose groups
    the sets are made, if there are others than these. `divide`: the groups that `divided` found.
    """
    seen = [stand(row, labelled) for row in rows]
    reasons: dict[int, str] = {}  # of what is dropped, by place
    regrouped(corpus, divide)
    regrouped(seen, divide)
    tested = {row.group for row in chain(corpus, seen) if row.set == "test"}
    validated = {row.group for row in chain(corpus, seen) if row.set == "valid"} - tested
    places = dict.fromkeys(settings.valid_groups, "valid") | dict.fromkeys(settings.test_groups, "test")
    places |= dict.fromkeys(validated, "valid") | dict.fromkeys(tested, "test")
    shares = {
        "valid": 0.0 if validated or settings.valid_groups else valid,
        "test": 0.0 if tested or settings.test_groups else test,
    }
    groups = _grouped(seen) | _grouped(corpus)
    free = {group: members for group, members in groups.items() if group not in places}
    places |= place_groups(free, shares, seed, labelled)
    chosen: dict[str, array] = {name: array("q") for name in (*SETS, "dropped")}
    touched: dict[str, frozenset[str]] = {}  # id → the sets that the row and its ancestors stand in
    alone = {name: frozenset({name}) for name in SETS}
    for at, row in enumerate(seen):
        if row.own:
            name = places[row.group]
            touched[row.id] = alone[name]
            if row.group in tested and row.set != "test":
                chosen["dropped"].append(at)
                reasons[at] = "group in test"
            else:
                chosen[name].append(at)
    for at, row in enumerate(seen):
        if not row.own:
            parents = [touched.get(parent, DROPPED) for parent in row.lineage]
            touched[row.id] = among = alone["train"].union(*parents)
            if held := sorted(among - alone["train"]):
                chosen["dropped"].append(at)
                reasons[at] = f"lineage in {' and '.join(held)}"
            else:
                chosen["train"].append(at)

    def more(at: int) -> Row:
        changed = {"group": seen[at].group} if divide else {}
        return {**changed, "reason": reasons[at]} if at in reasons else changed

    return {name: Picked(rows, chosen[name], more) for name in chosen}


def examples(train: Iterable[Row], seed: int, most: int = SHOTS) -> list[Row]:
    """Rows of train to show a model before it is asked: among the first ones by the hash of their question.

    Those come first whose answer none before them has, so that of labels one of each is shown. No two are of one group,
    nor grown from one row. A row that is only text answers nothing.
    """
    asked = (row for row in train if "messages" in row)
    first = nsmallest(LOOKED_AT, asked, key=lambda row: (unit_hash(seed, question(row)), row["id"]))
    chosen: list[Row] = []
    kin: set[str] = set()  # groups and lineages
    said: set[str] = set()
    for new_answers in (True, False):
        for row in first:
            family, reply = {f"group {row['group']}", row["id"], *row.get("lineage", ())}, stand(row).reply
            if len(chosen) < most and not family & kin and not (new_answers and reply in said):
                chosen.append(row)
                kin |= family
                said.add(reply)
    return chosen


def missing(sets: dict[str, Picked], shares: Shares) -> Iterable[str]:
    """What could not be done as asked, where answers are labels."""
    standings = {name: [stand(row, labelled=True) for row in rows] for name, rows in sets.items()}
    labels = {name: {row.label for row in standings[name]} for name in SETS}
    groups = {name: {row.group for row in standings[name] if row.own} for name in SETS}
    times = Counter(
        label_of for rows in standings.values() for label_of in {row.group: row.label for row in rows}.values()
    )
    if alone := sorted(name for name in labels["train"] - labels["test"] if times[name] == 1):
        yield f"{_listed(alone)}: one group only, it trains and is not tested"
    if absent := sorted(name for name in labels["train"] - labels["test"] if times[name] > 1):
        yield f"{_listed(absent)}: no test row"
    for name in ("valid", "test"):
        if unseen := sorted(labels[name] - labels["train"]):
            yield f"{_listed(unseen)}: rows for {name}, but none to train on"
        count = shares[name] * sum(map(len, groups.values()))
        if shares[name] and abs(len(groups[name]) - count) > 1:
            yield f"{name} has {len(groups[name])} groups where {count:.1f} were asked for: of each label, one trains"


def _listed(labels: list[str], most: int = 5) -> str:
    shown = ", ".join(text if len(text) < 40 else f"{text[:40]}…" for text in labels[:most])
    return f"label{'s' * (len(labels) > 1)} {shown}{f' and {len(labels) - most} more' * (len(labels) > most)}"


@click.command()
@click.option("--rows", "paths", type=click.Path(path_type=Path), multiple=True, required=True, help=ROWS)
@click.option("--recipe", type=click.Path(path_type=Path), required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True)
@click.option("--metrics", type=click.Path(path_type=Path), required=True)
@click.option("--held-out", type=click.FloatRange(0, 1), required=True, help="Share of the groups.")
@click.option("--seed", type=int, required=True)
def main(paths: tuple[Path, ...], recipe: Path, out: Path, metrics: Path, held_out: float, seed: int) -> None:
    clock = Clock("split", out.parent.name)
    read = read_recipe(recipe)
    settings, labelled = read.split, read.eval.measures == "labels"
    rows, corpus = Lines(paths[0]), [stand(row, labelled) for row in Lines(paths[-1])]
    held_out = held_out if settings.held_out is None else settings.held_out
    unknown = sorted({*settings.test_groups, *settings.valid_groups} - {row.group for row in corpus})
    if unknown:
        raise click.ClickException(
            f"{recipe / 'recipe.yaml'}: split names groups that no row has: {', '.join(unknown)}"
        )

    def tell(line: str) -> None:
        say(f"{recipe.name}: {line}")

    test = 0.0 if any(row.set == "test" for row in corpus) else held_out / 2
    divide = divided(corpus, settings, held_out, tell)
    sets = split(rows, settings, held_out - test, test, seed, labelled, corpus, divide)
    for name in SETS:
        if not sets[name]:
            raise click.ClickException(f"no row for {name}: bring more rows, or change split in params.yaml")
    for name in ("valid", "test"):
        if cut := sum("cut" in row for row in sets[name]):
            tell(f"{cut} of {len(sets[name])} rows for {name} are cut by trim: they ask less than was asked")
    if labelled:
        for line in missing(sets, {"valid": held_out - test, "test": test}):
            tell(line)
    with whole_folder(out) as part:
        for name, content in sets.items():
            write_jsonl(part / f"{name}.jsonl", content)
        shown = examples(sets["train"], seed)
        for count in range(SHOTS + 1):  # a file each, so that baseline runs again for those that it shows alone
            write_jsonl(part / "shots" / f"{count}.jsonl", shown[:count])
    write_json(metrics, {"in": len(rows), **{name: len(content) for name, content in sets.items()}})
    kept = len(rows) - len(sets["dropped"])
    show_counts(f"{recipe.name}: split", len(rows), kept, sets["dropped"])
    clock.tell(f"{len(rows):,} → {kept:,} rows", ", ".join(f"{name} {len(sets[name]):,}" for name in SETS))


if __name__ == "__main__":
    gc.disable()  # many rows and no cycles: looking for some takes time
    main()
