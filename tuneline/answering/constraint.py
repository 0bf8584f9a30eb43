"""Answers held to a JSON Schema while they are written, by llguidance."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click


class Grammars:
    """Makes grammars for one tokenizer; `vocabulary`: tokens that the model has a logit for."""

    def __init__(self, tokenizer: Any, vocabulary: int) -> None:
        from llguidance.hf import from_tokenizer

        self.known = from_tokenizer(tokenizer, n_vocab=vocabulary)

    def of_schema(self, schema: str) -> Callable[[], Any]:
        """A maker of matchers, one an answer, for compact JSON that obeys the schema.

        Raises ValueError when the schema is none, or uses what cannot be held to.
        """
        from llguidance import LLMatcher

        grammar = LLMatcher.grammar_from_json_schema(
            schema, overrides={"whitespace_flexible": False, "item_separator": ",", "key_separator": ":"}
        )
        problem = LLMatcher.validate_grammar(grammar, self.known)
        if problem:
            raise ValueError(" ".join(problem.split()))
        return lambda: LLMatcher(self.known, grammar)


def schema_constraint(schema: Path, tokenizer: Any, vocabulary: int) -> Callable[[], Any]:
    """Raises click.ClickException when the schema uses what cannot be held to."""
    try:
        return Grammars(tokenizer, vocabulary).of_schema(schema.read_text("utf-8"))
    except ValueError as error:
        raise click.ClickException(f"{schema}: {error}") from None
