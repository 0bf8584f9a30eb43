"""Succession cases → rows: those of a project's tests with their gold records, and those written to order."""

from pathlib import Path

from pydantic import Field

from tuneline.files import Row, read_jsonl
from tuneline.recipe.form import read_fields
from tuneline.recipe.own import Extracted
from tuneline.recipe.settings import Form, Section
from tuneline.rows import BadRow, content_hash, make_row

from .specs.coverage import read_coverage
from .specs.e2e_cases import FILES, gather, read_gold, write_cases


class Settings(Section):
    """Cases gathered from a project's tests, which are test rows, and a snapshot of written ones."""

    project: str = Field(description="a folder in source/")
    gold: str = Field(description="records of the project's cases, a file in source/")
    written: str = Field(description="a snapshot of the instruction server, a file in source/")
    written_test: float = Field(ge=0, le=1, description="share of the written cases that are test rows too")
    form: Form


def read(recipe: Path, settings: Settings, out: Path, state: Path) -> Extracted:
    """The project's cases are test rows; the files made of them are put into `out`.

    Of the written cases a share by hash is for testing too. Raises click.ClickException when a file is not
    there or not of its form.
    """
    source = recipe / "source"
    gathered = gather(source / settings.project, read_coverage(source / "coverage.yaml").read)
    refused = [
        {"reason": "unreadable", "detail": fault.reason, "file": f"{settings.project}/{fault.file}", "line": fault.line}
        for fault in gathered.faults
    ]
    write_cases(out, gathered, source, read_gold(source / settings.gold))
    rows: list[Row] = []
    for name, origin in ((FILES[0], "project"), (settings.written, "written")):
        path = out / name if origin == "project" else source / name
        for line, case in enumerate(read_jsonl(path), 1):
            try:
                row = case_row(case, settings, name, line, origin)
            except BadRow as bad:
                refused.append({"reason": "unusable", "detail": str(bad), "file": name, "line": line})
                continue
            is_test = origin == "project" or _unit(case["id"]) < settings.written_test
            rows.append({**row, "set": "test"} if is_test else row)
    of_project = sum(row["fields"]["from"] == "project" for row in rows)
    counts = {"project": of_project, "written": len(rows) - of_project, "merged": gathered.found - len(gathered.cases)}
    return Extracted(rows, refused, counts)


def case_row(case: Row, settings: Settings, file: str, line: int, origin: str) -> Row:
    """Raises BadRow when the case has no record yet, or lacks its text."""
    if not isinstance(case.get("case_text"), str) or not isinstance(case.get("dimensions"), dict):
        raise BadRow("needs case_text and dimensions")
    if not case.get("target_toon"):
        raise BadRow("has no record; add one to the gold file")
    fields = {
        "case_text": case["case_text"],
        "target_toon": case["target_toon"],
        "complexity": case["dimensions"].get("complexity") or "",
        "from": origin,
    }
    row = make_row(read_fields(fields, settings.form), file, line)
    return {**row, "group": case["id"]}


def _unit(text: str) -> float:
    return int(content_hash(text), 16) / 16**16
