"""JSON Schemas of a recipe."""

import json
from pathlib import Path
from typing import Any

import click
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError


def read_schema(path: Path) -> dict[str, Any]:
    """Raises click.ClickException when the file is not there or no JSON Schema."""
    try:
        schema = json.loads(path.read_text("utf-8"))
        Draft202012Validator.check_schema(schema)
    except FileNotFoundError:
        raise click.ClickException(f"{path} is missing; recipe.yaml names it") from None
    except (ValueError, SchemaError) as error:
        raise click.ClickException(f"{path}: {str(error).splitlines()[0]}") from None
    if not isinstance(schema, dict):
        raise click.ClickException(f"{path}: a schema here is an object, this is {type(schema).__name__}")
    return schema
