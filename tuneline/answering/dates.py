"""Symbolic time ranges against a given day."""

import calendar
import datetime
import json

from tuneline.files import dump_json

Day = datetime.date
WEEKDAYS = [name.lower() for name in calendar.day_name]
MONTHS = [name.lower() for name in calendar.month_name]
SHIFTS = {"last": -1, "this": 0, "next": 1}


def resolve(name: str, today: Day, direction: str | None = None) -> tuple[Day, Day]:
    """(first day, last day), both included. Weeks begin on Monday.

    A month or weekday alone is the latest one that has begun, or the coming one when `direction`
    is "future". Raises KeyError for an unknown name.
    """
    if name in ("today", "yesterday", "tomorrow"):
        day = today + datetime.timedelta({"today": 0, "yesterday": -1, "tomorrow": 1}[name])
        return day, day
    if name in WEEKDAYS:
        away = (WEEKDAYS.index(name) - today.weekday()) % 7
        day = today + datetime.timedelta(away if direction == "future" else away - 7 if away else 0)
        return day, day
    if name in MONTHS[1:]:
        month = MONTHS.index(name)
        if direction == "future":
            return _month(today.year + (month < today.month), month)
        return _month(today.year - (month > today.month), month)
    which, _, unit = name.partition("_")
    if unit.endswith("_days"):
        return today - datetime.timedelta(int(unit.removesuffix("_days")) - 1), today
    shift = SHIFTS[which]
    if unit == "week":
        monday = today + datetime.timedelta(7 * shift - today.weekday())
        return monday, monday + datetime.timedelta(6)
    if unit == "month":
        return _months(today.year * 12 + today.month - 1 + shift, 1)
    if unit == "quarter":
        return _months((today.year * 4 + (today.month - 1) // 3 + shift) * 3, 3)
    if unit == "year":
        return _months((today.year + shift) * 12, 12)
    raise KeyError(name)


def _month(year: int, month: int) -> tuple[Day, Day]:
    return _months(year * 12 + month - 1, 1)


def _months(first: int, count: int) -> tuple[Day, Day]:
    """`count` months from the month number `first`, where month 0 is January of the year 0."""
    year, month = divmod(first + count - 1, 12)
    end = Day(year, month + 1, calendar.monthrange(year, month + 1)[1])
    return Day(first // 12, first % 12 + 1, 1), end


def with_dates(answer: str, today: datetime.date) -> str:
    """The answer with `filters.time.range` replaced by its first and last day; any other answer as it is."""
    try:
        value = json.loads(answer)
        time = value["filters"]["time"]
        start, end = resolve(time["range"], today, value.get("temporal_direction"))
    except (ValueError, KeyError, TypeError):
        return answer
    value["filters"]["time"] = {"start": start.isoformat(), "end": end.isoformat()}
    return dump_json(value)
