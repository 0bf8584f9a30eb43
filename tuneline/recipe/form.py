"""Records with fields of their own → rows, in the words of the recipe's form."""

from typing import Any

import click
from jsonschema import Draft202012Validator

from tuneline.files import Row
from tuneline.recipe.settings import Form
from tuneline.recipe.texts import fill, fill_parts
from tuneline.rows import BadRow, read_form


def read_fields(record: Any, form: Form, check: Draft202012Validator | None = None) -> Row:
    """`messages` and `fields` of a record whose fields the recipe's form puts into words.

    Raises BadRow with the reason, also when the record does not pass `check`.
    """
    if not isinstance(record, dict):
        raise BadRow(f"a row is an object, this is {type(record).__name__}")
    wrong = sorted(check.iter_errors(record), key=lambda e: e.json_path) if check else []
    if wrong:
        raise BadRow("; ".join(f"{error.json_path} {error.message[:120]}" for error in wrong[:3]))
    try:
        pair = {
            "input": fill(form.user, record, "form.user"),
            "output": fill_parts(form.assistant, record, "form.assistant"),
        }
    except click.ClickException as error:
        raise BadRow(error.message) from None
    return {**read_form(pair), "fields": record}
