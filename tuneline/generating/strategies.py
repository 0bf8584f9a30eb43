"""A recipe's strategies that ask a teacher: calls planned from seeds and tables, answers made rows.

A call depends on its number, the strategy's seed and the rows it names, never on other answers: all
calls of a round may be in flight at once, and a golden row that is edited or added touches only the
calls that it is drawn for.
"""

import hashlib
import json
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import click
import yaml

from tuneline.files import Row, dump_json
from tuneline.recipe.documents import is_document
from tuneline.recipe.form import read_fields
from tuneline.recipe.schemas import read_schema
from tuneline.recipe.settings import Asked, Form, Table
from tuneline.recipe.texts import fill, read_prompt
from tuneline.rows import BadRow, answer, asked, content_hash, make_row, question
from tuneline.teaching.ledger import Spend
from tuneline.teaching.request import Request
from tuneline.teaching.teacher import Teacher


class Seeds:
    """The rows of a file that may be shown to a teacher, read where they lie; none of a held-out set."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offsets, places = array("Q"), array("Q")
        offset = 0
        with path.open("rb") as lines:
            for line in lines:
                row = json.loads(line)
                if "set" not in row:
                    self.offsets.append(offset)
                    places.append(_place(row["id"]))
                offset += len(line)
        self.file = path.open("rb")
        # On a ring by the hash of their ids: a point of the ring belongs to the next row.
        self.order = sorted(range(len(places)), key=places.__getitem__)
        self.ring = [places[i] for i in self.order]

    def __len__(self) -> int:
        return len(self.offsets)

    def __getitem__(self, number: int) -> Row:
        self.file.seek(self.offsets[number])
        return json.loads(self.file.readline())

    def sample(self, count: int, salt: str) -> list[Row]:
        """`count` different rows; another row in the file changes few samples."""
        drawn: dict[int, None] = {}
        for point in range(100 * count):
            if len(drawn) == min(count, len(self)):
                break
            at = bisect_left(self.ring, _place(f"{salt}/{point}"))
            drawn.setdefault(self.order[at % len(self.order)])
        return [self[number] for number in drawn]

    def close(self) -> None:
        self.file.close()


def _place(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


@dataclass(frozen=True)
class Call:
    number: int
    request: Request
    seeds: list[Row]
    drawn: dict[str, str]  # placeholder → value


class Drawn:
    """A table of names with shares, drawn so that any number of calls is close to the shares."""

    def __init__(self, folder: Path, table: Table, seed: int) -> None:
        self.path = folder / table.file
        entries = _read_table(self.path)
        if table.only:
            chosen = _read_table(folder / table.only)
            if unknown := sorted(set(chosen) - set(entries)):
                raise click.ClickException(f"{folder / table.only}: {', '.join(unknown)} is not in {self.path}")
            entries = {name: {**entries[name], **entry} for name, entry in chosen.items()}
        self.entries = entries
        # Each name's calls are spread evenly: the n-th call goes to the name that is furthest behind.
        shares = [entry.get("share", 1) for entry in entries.values()]
        if not all(isinstance(share, int | float) and 0 < share < float("inf") for share in shares):
            raise click.ClickException(f"{self.path}: a share is a number above 0")
        self.shares = [share / sum(shares) for share in shares] if shares else []
        self.given = [0] * len(shares)
        self.sequence: list[str] = []
        self.ties = [_place(f"{seed}/{name}") for name in entries]

    def name(self, number: int) -> str:
        names = list(self.entries)
        while len(self.sequence) <= number:
            n = len(self.sequence) + 1
            at = max(range(len(names)), key=lambda i: (round(self.shares[i] * n - self.given[i], 9), self.ties[i]))
            self.given[at] += 1
            self.sequence.append(names[at])
        return self.sequence[number]


def _read_table(path: Path) -> dict[str, dict[str, Any]]:
    try:
        table = yaml.safe_load(path.read_text("utf-8")) or {}
    except FileNotFoundError:
        raise click.ClickException(f"{path} is missing; recipe.yaml names it") from None
    except yaml.YAMLError as error:
        raise click.ClickException(f"{path}: {' '.join(str(error).split())}") from None
    if not isinstance(table, dict) or not all(isinstance(entry, dict | None) for entry in table.values()):
        raise click.ClickException(f"{path}: is not of the form name: {{share: …, other: …}}")
    return {str(name): entry or {} for name, entry in table.items()}


def _is_list(schema: dict[str, Any], key: str) -> bool:
    shape = schema.get("properties", {}).get(key)
    return isinstance(shape, dict) and shape.get("type") == "array" and key in schema.get("required", [])


PLAIN = Form(user="${question}", assistant=["${answer}"])  # where the recipe gives no form


class Strategy:
    """One strategy of a recipe, ready to plan its calls."""

    def __init__(self, settings: Asked, folder: Path, form: Form | None, seeds: Seeds) -> None:
        self.settings, self.folder, self.seeds = settings, folder, seeds
        self.form = settings.form or form or PLAIN
        self.prompt_path = folder / settings.prompt
        self.prompt = read_prompt(self.prompt_path)
        self.prompt_hash = content_hash(self.prompt)
        self.schema = read_schema(folder / settings.answer)
        self.tables = {name: Drawn(folder, table, settings.seed) for name, table in settings.vary.items()}
        if self.schema.get("type") != "object":
            raise click.ClickException(f"{folder / settings.answer}: an answer is an object; its type is another")
        if settings.items and not _is_list(self.schema, settings.items):
            raise click.ClickException(f"{folder / settings.answer}: has no required list {settings.items!r}")
        if (settings.seeds.draw == "each") != (settings.rows == 0):
            raise click.ClickException(f"{settings.name}: rows is 0 where each seed has its call, and only there")

    @cached_property
    def is_idle(self) -> bool:
        """Nothing to do: no seed to grow from, or a table that names nothing."""
        no_seed = self.settings.seeds.draw != "none" and not len(self.seeds)
        return no_seed or any(not table.entries for table in self.tables.values())

    def planned(self) -> int:
        """Calls of the first round; all of them where each seed has its call."""
        if self.is_idle:
            return 0
        if self.settings.seeds.draw == "each":
            return len(self.seeds)
        return -(-self.settings.rows // self.settings.per_call)

    def call(self, number: int) -> Call:
        wanted = self.settings.seeds
        if wanted.draw == "each":
            seeds = [self.seeds[number]]
        elif wanted.draw == "sample":
            seeds = self.seeds.sample(wanted.count, f"{self.settings.seed}/{self.settings.name}/{number}")
        else:
            seeds = []
        fields = [fields_of(row) for row in seeds]
        drawn: dict[str, Any] = {"count": self.settings.per_call, "number": number + 1}
        for name, table in self.tables.items():
            drawn[name] = table.name(number)
            drawn |= {f"{name}.{key}": value for key, value in table.entries[drawn[name]].items()}
        shown = {"seeds": "\n".join(map(dump_json, fields))}
        if len(fields) == 1:
            shown |= {f"seed.{key}": value for key, value in fields[0].items()}
        prompt = fill(self.prompt, {**drawn, **shown}, str(self.prompt_path))
        facts = {
            "strategy": self.settings.name,
            "variables": {name: drawn[name] for name in self.tables},
            "seeds": fields,
            "count": self.settings.per_call,
            "items": self.settings.items,
        }
        # A seed's own call is the same wherever the seed stands; the others differ by their number.
        own = 0 if wanted.draw == "each" else number + 1
        return Call(number, Request((("user", prompt),), self.schema, facts, own), seeds, drawn)

    def rows(self, call: Call, value: Any, made_by: Row) -> Iterator[Row | BadRow]:
        """The rows of an answer, or why one of them cannot be written."""
        inherited = fields_of(call.seeds[0]) if call.seeds else {}
        given = {key: fill(text, call.drawn, f"{self.settings.name}.give") for key, text in self.settings.give.items()}
        kept = {key: inherited[key] for key in self.settings.inherit if key in inherited}
        place = {"adapter": self.settings.adapter} if self.settings.adapter else {}
        if len(call.seeds) == 1 and is_document(call.seeds[0]):
            place |= {"document": call.seeds[0]["id"], "group": call.seeds[0]["group"]}
        else:
            place["lineage"] = [row["id"] for row in call.seeds]
        for item in value[self.settings.items] if self.settings.items else [value]:
            try:
                if not isinstance(item, dict):
                    raise BadRow(f"a row is an object, this is {type(item).__name__}")
                body = read_fields({**kept, **item, **given}, self.form)
            except BadRow as bad:
                yield bad
                continue
            yield make_row(body, self.settings.prompt, call.number + 1, self.settings.name, **place, made_by=made_by)


def fields_of(row: Row) -> dict[str, Any]:
    """A row's fields; question and answer where it has no others."""
    return row.get("fields") or {"question": asked(row), "answer": answer(row)}


class Known:
    """Questions that are there already, and how near a new one is to them by ROUGE-L [1].

    [1] Lin, "ROUGE: A Package for Automatic Evaluation of Summaries", 2004: F1 of the longest common
    subsequence of words.
    """

    def __init__(self) -> None:
        self.words: dict[str, str] = {}  # word → a sign of its own: comparing texts of signs is fast
        self.questions: list[str] = []

    def encode(self, text: str) -> str:
        # From U+10000 on, past the surrogates: 1,114,112 - 65,536 words.
        return "".join(self.words.setdefault(word, chr(0x10000 + len(self.words))) for word in text.casefold().split())

    def nearest(self, text: str, cutoff: float) -> float:
        """The highest ROUGE-L from `cutoff` on, else 0."""
        from rapidfuzz.distance import Indel
        from rapidfuzz.process import extractOne

        found = extractOne(self.encode(text), self.questions, scorer=Indel.normalized_similarity, score_cutoff=cutoff)
        return found[1] if found else 0.0

    def add(self, text: str) -> None:
        self.questions.append(self.encode(text))


class Generation:
    """Runs one strategy: pays for its calls, then reads rows from the log, until it has enough or gives up."""

    def __init__(self, strategy: Strategy, teacher: Teacher, known: Known) -> None:
        self.strategy, self.teacher, self.known = strategy, teacher, known
        self.counts: dict[str, int] = {"calls": 0, "rows": 0}
        self.spend = Spend(teacher)
        self.refused: list[Row] = []
        self.answers = self.useless = 0  # and those of them that hold nothing of which a row can be made
        self.gave_up = False

    def __iter__(self) -> Iterator[Row]:
        settings, strategy = self.strategy.settings, self.strategy
        start, count, fruitless = 0, strategy.planned(), 0
        while count:
            calls = range(start, start + count)
            self.teacher.pay((strategy.call(n).request for n in calls), settings.name, count)
            for number in calls:
                before = self.counts["rows"]
                yield from self._collect(strategy.call(number))
                fruitless = 0 if self.counts["rows"] > before else fruitless + 1
                if self.counts["rows"] < settings.rows and fruitless >= settings.give_up:
                    self.gave_up = True
                    return
            missing = settings.rows - self.counts["rows"]
            start, count = start + count, max(0, -(-missing // settings.per_call))

    def _collect(self, call: Call) -> Iterator[Row]:
        settings = self.strategy.settings
        outcome = self.teacher.outcome(call.request)
        self.counts["calls"] += len(outcome.keys)
        self.spend.add(outcome.keys)
        self.answers += 1
        if outcome.reason:
            self.useless += 1
            self._refuse(call, outcome.reason, outcome.detail, outcome.text, outcome.keys[-1])
            return
        made_by = {"prompt": self.strategy.prompt_hash, "answer": outcome.keys[-1], "model": self.teacher.name}
        rows = list(self.strategy.rows(call, outcome.value, made_by))
        self.useless += bool(rows) and all(isinstance(row, BadRow) for row in rows)
        for row in rows:
            if isinstance(row, BadRow):
                self._refuse(call, "unusable", str(row), outcome.text, outcome.keys[-1])
                continue
            if settings.rows and self.counts["rows"] == settings.rows:
                return
            new = question(row)
            if settings.novelty < 1 and (near := self.known.nearest(new, settings.novelty)):
                self.counts["known"] = self.counts.get("known", 0) + 1
                self.refused.append({**row, "reason": "known", "detail": f"ROUGE-L {near:.3f}"})
                continue
            if settings.novelty < 1:
                self.known.add(new)
            self.counts["rows"] += 1
            yield row

    def _refuse(self, call: Call, reason: str, detail: str, text: str, key: str) -> None:
        self.counts[reason] = self.counts.get(reason, 0) + 1
        self.refused.append(
            {
                "origin": self.strategy.settings.name,
                "call": call.number + 1,
                "lineage": [row["id"] for row in call.seeds],
                "reason": reason,
                "detail": detail,
                "answer": key,
                "text": text,
            }
        )
