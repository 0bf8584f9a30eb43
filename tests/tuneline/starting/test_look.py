"""What a file of rows holds: labels, measures, a schema, what its columns may be."""

from typing import Any

import pytest

from tuneline.files import dump_json
from tuneline.recipe.forms import IGNORE, read_form
from tuneline.rows import make_row
from tuneline.starting.look import (
    choose_measures,
    describe_columns,
    duplicates,
    labels_of,
    languages,
    schema_of,
    suggest_columns,
)


def rows(*pairs: tuple[str, Any]) -> list[dict]:
    return [make_row(read_form({"prompt": asked, "response": answer}), "a.jsonl", n) for n, (asked, answer) in
            enumerate(pairs)]  # fmt: skip


@pytest.mark.parametrize(
    ("answers", "labels"),
    [
        (["a", "b", "a", "a"], ["a", "b"]),
        ([" a", "a ", "b", "b"], ["a", "b"]),
        (["a", "a", "a"], []),  # one answer tells nothing apart
        (["a", "b"], []),  # nothing comes again
        (["a", "b", "c"] * 2, []),  # too many for so few
        (["a\nb", "c"] * 3, []),
        (["x" * 65, "c"] * 3, []),
        ([str(n % 10) for n in range(100)], [str(n) for n in range(10)]),
        ([str(n % 30) for n in range(900)], []),  # numbers that are counted
        ([f"intent {n % 77}" for n in range(770)], [f"intent {n}" for n in range(77)]),
    ],
)
def test_labels_are_few_and_short_and_come_again(answers: list[str], labels: list[str]) -> None:
    assert labels_of(answers) == labels


def test_measures_fit_the_answers() -> None:
    texts = [make_row(read_form({"text": "One."}), "a", 1)]
    assert choose_measures(texts).section == {"measures": "bits"}
    labelled = rows(*((f"q{n}", "ab"[n % 2]) for n in range(10)))
    assert choose_measures(labelled).section == {"measures": "labels"}
    assert "2 labels" in choose_measures(labelled).why
    objects = rows(*((f"q{n}", {"app": "xy"[n % 2], "n": n}) for n in range(10)))
    assert choose_measures(objects).section == {"measures": "json", "intent": "app"}
    assert choose_measures(rows(("a", "one"), ("b", "two"))).section == {"measures": "text"}


def test_a_schema_has_the_keys_and_kinds_that_are_there() -> None:
    answers = [{"app": "x", "n": 1, "on": True, "tags": []}, {"app": "y", "n": None, "on": False, "tags": [], "at": {}}]
    schema = schema_of([dump_json(answer) for answer in answers])
    assert schema["properties"] == {
        "app": {"type": "string"},
        "n": {"type": ["null", "number"]},
        "on": {"type": "boolean"},
        "tags": {"type": "array"},
        "at": {"type": "object"},
    }
    assert schema["required"] == ["app", "n", "on", "tags"]
    assert schema_of(["{}", "text"])["type"] == schema_of([])["type"] == "string"


def test_languages_are_those_of_the_questions() -> None:
    english, german = "Where is the invoice for my last order?", "Wo ist die Rechnung für meine letzte Bestellung?"
    assert languages(rows((english, "a"), (english, "b"), (english, "c"), (german, "d"))) == {"en": 0.75, "de": 0.25}


def test_duplicates_are_rows_again_and_questions_with_several_answers() -> None:
    assert duplicates(rows(("q", "a"), ("q", "a"), ("q", "b"), ("r", "a"))) == (1, 1)


# Columns


def table(rows: int = 40, **columns: Any) -> list[dict]:
    return [{key.replace("_", " "): value(n) for key, value in columns.items()} for n in range(rows)]


def few(n: int) -> str:
    return "ab"[n % 2]


def long(n: int) -> str:
    return f"A long text about the matter with the number {n}."


def short(n: int) -> str:
    return f"Matter {n}"


@pytest.mark.parametrize(
    ("records", "columns"),
    [
        (table(Ticket_ID=str, Subject=short, Body=long, Agent=few, Category=few),
         {"Ticket ID": "id", "Subject": IGNORE, "Body": "prompt", "Agent": IGNORE, "Category": "label"}),
        (table(Text=long, Label=few), {"Text": "text", "Label": "label"}),  # by their names
        (table(text=long, category=few), {"category": "label"}),
        (table(label=few, review=long), {"review": "prompt"}),
        (table(context=short, completion=long), {"context": "prompt"}),
        (table(toy_output=long, toy_input=short), {"toy input": "prompt", "toy output": "response"}),
        (table(instruction=short, context=long, response=long, category=few),
         {"context": "input", "category": IGNORE}),
        (table(instruction=short, input=few, output=long, text=long), {"text": IGNORE}),  # the Hub's Alpaca
        (table(prompt=short, chosen=long, rejected=few), {"chosen": "response", "rejected": IGNORE}),
        (table(Review=long), {"Review": "text"}),
        ([{"column 1": str(n), "tweet": long(n), "class": few(n)} for n in range(40)],
         {"column 1": "id", "tweet": "prompt", "class": "label"}),
        ([{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "topic": short(n),
           "source": {"n": n}} for n in range(3)], {"topic": IGNORE, "source": IGNORE}),
        ([{"text": long(n), "label": few(n), "note": "x" if n == 7 else ""} for n in range(40)], {}),  # one row's loss
    ],
)  # fmt: skip
def test_columns_are_suggested_that_work(records: list[dict], columns: dict[str, str]) -> None:
    told = suggest_columns(records)
    assert told == columns
    refused = [record for record in records if record.get("note")]
    assert all(read_form(record, told) for record in records if record not in refused)


def test_what_is_told_is_not_guessed_again() -> None:
    told = suggest_columns(table(Subject=short, Body=long, Category=few), {"Subject": "prompt"})
    assert told == {"Subject": "prompt", "Category": "label", "Body": IGNORE}


def test_each_column_is_described_on_one_line() -> None:
    lines = describe_columns([{"body": "x\ny" * 100, "n": 1}, {"body": None, "n": 2}])
    assert lines[0].startswith("  body: 1 values in 1 rows, such as 'x yx y")
    assert lines[1] == "  n: 2 values in 2 rows, such as '1'"
    many = describe_columns([{f"{n}" * 50: "long " * 50 for n in range(30)}])
    assert many[-1] == "  and 10 more"
    assert all(len(line) <= 100 for line in (*lines, *many))
