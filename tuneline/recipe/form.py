"""Records with fields of their own → rows, in the words of the recipe's form."""

import json
from typing import Any

import click
from jsonschema import Draft202012Validator

from tuneline.files import Row, dump_json
from tuneline.recipe.forms import ABOUT, read_form
from tuneline.recipe.settings import Form
from tuneline.recipe.texts import Template, fill, fill_parts
from tuneline.rows import BadRow


def read_fields(record: Any, form: Form, check: Draft202012Validator | None = None) -> Row:
    """`messages` and `fields` of a record whose fields the recipe's form puts into words.

    Raises BadRow with the reason, also when the record does not pass `check`.
    """
    if not isinstance(record, dict):
        raise BadRow(f"a row is an object, this is {type(record).__name__}")
    plain = json.loads(dump_json(record)) if check else record  # a schema knows no numbers but JSON's
    wrong = sorted(check.iter_errors(plain), key=lambda e: e.json_path) if check else []
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


def known_fields(form: Form, check: Draft202012Validator | None) -> set[str]:
    """What a record may hold: what the form names, what its schema names, and what a row says of itself."""
    named = {name.split(".")[0] for text in (form.user, *form.assistant) for name in Template(text).get_identifiers()}
    return {*named, *ABOUT, *(check.schema.get("properties", {}) if check else ())}
