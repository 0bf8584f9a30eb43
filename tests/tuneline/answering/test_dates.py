"""Symbolic ranges against a day: a Wednesday, 2026-02-18."""

import datetime
import json

import pytest

from tests.conftest import ROOT
from tuneline.answering.dates import resolve, with_dates

TODAY = datetime.date(2026, 2, 18)
SCHEMA = ROOT / "recipes" / "query_json" / "schema.json"


@pytest.mark.parametrize(
    ("name", "direction", "start", "end"),
    [
        ("today", None, "2026-02-18", "2026-02-18"),
        ("yesterday", None, "2026-02-17", "2026-02-17"),
        ("tomorrow", None, "2026-02-19", "2026-02-19"),
        ("this_week", None, "2026-02-16", "2026-02-22"),
        ("last_week", None, "2026-02-09", "2026-02-15"),
        ("next_month", None, "2026-03-01", "2026-03-31"),
        ("last_month", None, "2026-01-01", "2026-01-31"),
        ("last_quarter", None, "2025-10-01", "2025-12-31"),
        ("this_quarter", None, "2026-01-01", "2026-03-31"),
        ("next_year", None, "2027-01-01", "2027-12-31"),
        ("last_7_days", None, "2026-02-12", "2026-02-18"),
        ("monday", "past", "2026-02-16", "2026-02-16"),
        ("wednesday", "past", "2026-02-18", "2026-02-18"),
        ("friday", "past", "2026-02-13", "2026-02-13"),
        ("friday", "future", "2026-02-20", "2026-02-20"),
        ("march", "past", "2025-03-01", "2025-03-31"),
        ("march", "future", "2026-03-01", "2026-03-31"),
        ("february", None, "2026-02-01", "2026-02-28"),
        ("january", "future", "2027-01-01", "2027-01-31"),
    ],
)
def test_resolve(name: str, direction: str | None, start: str, end: str) -> None:
    assert [day.isoformat() for day in resolve(name, TODAY, direction)] == [start, end]


def test_every_range_of_the_schema_resolves() -> None:
    time = json.loads(SCHEMA.read_text("utf-8"))["properties"]["filters"]["properties"]["time"]
    for name in time["anyOf"][0]["properties"]["range"]["enum"]:
        start, end = resolve(name, TODAY)
        assert start <= end, name


def test_an_unknown_range_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        resolve("whenever", TODAY)


def test_with_dates_changes_the_range_alone() -> None:
    answer = '{"type":"list","filters":{"apps":["jira"],"time":{"range":"yesterday"}}}'
    assert with_dates(answer, TODAY) == (
        '{"type":"list","filters":{"apps":["jira"],"time":{"start":"2026-02-17","end":"2026-02-17"}}}'
    )
    for other in ("not json", "[1]", '{"type":"list"}', '{"filters":{"time":{"start":"2026-01-01"}}}'):
        assert with_dates(other, TODAY) == other
