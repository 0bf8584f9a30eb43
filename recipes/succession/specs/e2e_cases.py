"""Énoncés gathered from a project's end-to-end tests, with where each stands, and the files made of them.

Read are `ENONCE.md` files below case folders, prompts inline in TypeScript and Python specs, and the
scenarios of a search bar; coverage.yaml says which files and which strings. A file that cannot be read
is a fault with its line, counted, and the others are read. One text in several places is one case.
"""

import re
import unicodedata
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import click

from tuneline.files import read_jsonl, write_json, write_jsonl
from tuneline.recipe.toon import encode
from tuneline.rows import RESERVED, content_hash

from .coverage import Coverage, Labels, Read, Wording, read_coverage, read_wording, tally
from .inline_prompts import Found, Wanted
from .prompts_python import read_python
from .prompts_typescript import read_typescript

HEADING = re.compile(r"\s*# [^\n]*\n")
FILES = ("e2e_cases.jsonl", "e2e_cases_train.jsonl", "e2e_cases_train_mistral.jsonl", "manifest.json")


@dataclass(frozen=True, order=True)
class Source:
    """A file below the project, and the line on which the text begins, from 1."""

    file: str
    line: int
    kind: str


@dataclass(frozen=True)
class Case:
    id: str
    text: str
    sources: tuple[Source, ...]


@dataclass(frozen=True, order=True)
class Fault:
    file: str
    line: int
    reason: str


@dataclass(frozen=True)
class Gold:
    """A case's record, and its dimensions as a person labelled them."""

    record: dict[str, Any]
    dimensions: Labels


@dataclass
class Gathered:
    """`found` counts texts, a text in two places twice. `elsewhere`: prompts made of no text of their file."""

    cases: list[Case] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    files: dict[str, int] = field(default_factory=dict)  # kind → files
    found: int = 0
    too_short: int = 0
    elsewhere: int = 0


def case_id(text: str) -> str:
    """The same for texts that differ only in case, white space, or the form of apostrophes."""
    return f"CAS-{content_hash(' '.join(text.casefold().replace('’', chr(39)).split()), size=12)}"


def gather(project: Path, read: Read) -> Gathered:
    """The cases of a project, in the order of their first places.

    Raises click.ClickException when there is no such folder, or it has no file of any kind.
    """
    if not project.is_dir():
        raise click.ClickException(f"{project} is no folder; give the project whose tests hold cases")
    paths = _files(project, read)
    if not paths:
        patterns = ", ".join(pattern for one in read.files.values() for pattern in one)
        raise click.ClickException(f"{project} has no file of {patterns}; correct read.files of coverage.yaml")
    wanted = Wanted(tuple(read.names), tuple(read.calls), read.least_words)
    gathered = Gathered(files=dict(Counter(paths.values())))
    places: dict[str, list[tuple[Source, str]]] = {}
    for path, kind in paths.items():
        file = path.relative_to(project).as_posix()
        found = _read(path, kind, project, wanted)
        gathered.elsewhere += found.elsewhere
        gathered.too_short += len(found.short)
        gathered.faults += [Fault(file, line, reason) for line, reason in sorted(found.faults)]
        for line, raw in sorted(found.prompts):
            text = tidy(raw)
            if wrong := _unusable(text):
                gathered.faults.append(Fault(file, line, wrong))
            else:
                places.setdefault(case_id(text), []).append((Source(file, line, kind), text))
    gathered.found = sum(map(len, places.values()))
    gathered.cases = [Case(name, found[0][1], tuple(source for source, _ in found)) for name, found in places.items()]
    return gathered


def _files(project: Path, read: Read) -> dict[Path, str]:
    """path → kind, in the order of the kinds and then of the paths."""
    kinds: dict[Path, str] = {}
    for kind, patterns in read.files.items():
        for path in sorted(path for pattern in patterns for path in project.glob(pattern)):
            if path.is_file() and not set(path.relative_to(project).parts) & set(read.leave_out):
                kinds.setdefault(path, kind)
    return kinds


def _read(path: Path, kind: str, project: Path, wanted: Wanted) -> Found:
    if not path.resolve().is_relative_to(project.resolve()):
        return Found(faults={(1, "a link out of the project")})
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        return Found(faults={(raw.count(b"\n", 0, error.start) + 1, f"no UTF-8: {error.reason}")})
    if kind == "enonce":
        return _read_enonce(text)
    return read_python(text, wanted) if path.suffix == ".py" else read_typescript(text, wanted)


def _read_enonce(text: str) -> Found:
    """The whole file is the text, but for a heading in its first line."""
    heading = HEADING.match(text)
    body = text[heading.end() :] if heading else text
    if not body.strip():
        return Found(faults={(1, "is empty")})
    begins = len(text) - len(body.lstrip())
    return Found(prompts={(text.count("\n", 0, begins) + 1, body)})


def tidy(text: str) -> str:
    """Composed letters, \\n as line ends, no white space at the ends of lines."""
    lines = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n")).split("\n")
    return "\n".join(line.rstrip() for line in lines).strip()


def _unusable(text: str) -> str | None:
    for sign in text:
        if (unicodedata.category(sign) in ("Cc", "Cs") and sign not in "\n\t") or sign in RESERVED:
            return f"a control sign U+{ord(sign):04X} in the text"
    return None


def read_gold(path: Path) -> dict[str, Gold]:
    """case id → its record. Lines {"case_id", "record", "dimensions"}.

    Raises click.ClickException that names the lines that are not of this form, or say a case twice.
    """
    gold: dict[str, Gold] = {}
    wrong = []
    for number, row in enumerate(read_jsonl(path), 1):
        match row:
            case {"case_id": str(name), "record": dict(record), "dimensions": dict(dimensions)} if name not in gold:
                gold[name] = Gold(record, dimensions)
            case _:
                wrong.append(str(number))
    if wrong:
        raise click.ClickException(
            f"{path}: line {', '.join(wrong[:10])}: needs case_id, record and dimensions, each case once"
        )
    return gold


def case_rows(cases: list[Case], coverage: Coverage, gold: dict[str, Gold]) -> list[dict[str, Any]]:
    """Rows {id, case_text, target_toon?, dimensions, labelled_by, sources}; a hand label goes before a rule."""
    rows = []
    for case in cases:
        known = gold.get(case.id)
        dimensions = coverage.label(case.text) | (known.dimensions if known else {})
        row: dict[str, Any] = {"id": case.id, "case_text": case.text}
        if known:
            row["target_toon"] = encode(known.record)
        row |= {"dimensions": dict(sorted(dimensions.items())), "labelled_by": "hand" if known else "rules"}
        rows.append({**row, "sources": [asdict(source) for source in case.sources]})
    return rows


def training_row(row: dict[str, Any], coverage: Coverage, wording: Wording, where: str) -> dict[str, Any]:
    """A row that teaches to write such a case: what is asked, and the case."""
    asked = coverage.ask(row["dimensions"], len(row["case_text"].split()), wording, where)
    messages = [
        {"role": "system", "content": coverage.system.strip()},
        {"role": "user", "content": asked},
        {"role": "assistant", "content": row["case_text"]},
    ]
    return {"id": row["id"], "dimensions": row["dimensions"], "messages": messages}


def manifest(gathered: Gathered, rows: list[dict[str, Any]], gold: dict[str, Gold]) -> dict[str, Any]:
    """What was read, what it covers by dimension and topic, and what could not be read."""
    kinds = Counter(row["sources"][0]["kind"] for row in rows)
    return {
        "cases": len(rows),
        "texts_found": gathered.found,
        "merged": gathered.found - len(rows),
        "by_kind": dict(sorted(kinds.items())),
        "files": dict(sorted(gathered.files.items())),
        "prompts_made_elsewhere": gathered.elsewhere,
        "too_short": gathered.too_short,
        "words": sum(len(row["case_text"].split()) for row in rows),
        "with_a_record": sum("target_toon" in row for row in rows),
        "records_without_a_case": sorted(set(gold) - {row["id"] for row in rows}),
        "coverage": tally(row["dimensions"] for row in rows),
        "faults": [asdict(fault) for fault in gathered.faults],
    }


def write_cases(out: Path, gathered: Gathered, source: Path, gold: dict[str, Gold]) -> dict[str, Any]:
    """Writes FILES into the folder `out` by coverage.yaml and instruction.yaml of `source`; returns the manifest.

    Raises click.ClickException when these two do not fit each other.
    """
    where = source / "coverage.yaml"
    coverage, wording = read_coverage(where), read_wording(source / "instruction.yaml")
    rows = case_rows(gathered.cases, coverage, gold)
    training = [training_row(row, coverage, wording, str(where)) for row in rows]
    told = manifest(gathered, rows, gold)
    write_jsonl(out / FILES[0], rows)
    write_jsonl(out / FILES[1], training)
    write_jsonl(out / FILES[2], ({"messages": row["messages"]} for row in training))
    write_json(out / FILES[3], told)
    return told
