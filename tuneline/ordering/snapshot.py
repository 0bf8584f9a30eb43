"""The accepted cases as a file that the pipeline reads: the same bytes for the same cases."""

from pathlib import Path
from typing import Any

from tuneline.files import write_jsonl
from tuneline.ordering.shares import Shares
from tuneline.ordering.store import Reader
from tuneline.recipe import toon


def snapshot_rows(reader: Reader) -> list[dict[str, Any]]:
    """Rows {id, case_text, target_toon, dimensions, written_by, toon}, by the number of their instruction."""
    cases = sorted(reader.cases(), key=lambda case: case[1].number)
    return [
        {
            "id": instruction.id,
            "case_text": submission.case_text,
            "target_toon": instruction.target_toon,
            "dimensions": instruction.dimensions,
            "written_by": submission.agent_id,
            "toon": toon.VERSION,
        }
        for submission, instruction in cases
    ]


def write_snapshot(state: Path, out: Path, shares: Shares) -> int:
    """Writes `out`, whole or not at all, and says how many cases it has; a server may be running.

    Raises click.ClickException when there is no state, or it is of a corpus by other dimensions than `shares`.
    """
    reader = Reader(state / "state.sqlite")
    reader.must_be_by(shares.names)
    rows = snapshot_rows(reader)
    reader.close()
    write_jsonl(out, rows)
    return len(rows)
