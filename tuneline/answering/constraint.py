"""Answers held to a JSON Schema while they are written, by llguidance."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click


def schema_constraint(schema: Path, tokenizer: Any, vocabulary: int) -> Callable[[], Any]:
    """A maker of matchers, one an answer, for compact JSON that obeys the schema.

    Raises click.ClickException when the schema uses what cannot be held to.
    """
    from llguidance import LLMatcher
    from llguidance.hf import from_tokenizer

    known = from_tokenizer(tokenizer, n_vocab=vocabulary)
    grammar = LLMatcher.grammar_from_json_schema(
        schema.read_text("utf-8"), overrides={"whitespace_flexible": False, "item_separator": ",", "key_separator": ":"}
    )
    problem = LLMatcher.validate_grammar(grammar, known)
    if problem:
        raise click.ClickException(f"{schema}: {' '.join(problem.split())}")
    return lambda: LLMatcher(known, grammar)
