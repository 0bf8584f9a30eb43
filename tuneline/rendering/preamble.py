"""What stands before a question: the system prompt, and a prefix in the user's turn.

Rows travel bare. The rendering alone puts a preamble in place, in training as in predict, so that the same row may
be asked under another one.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from tuneline.files import Row, write_json


@dataclass(frozen=True)
class Preamble:
    """Either may be empty. As a file: `{"system", "prefix"}`."""

    system: str = ""
    prefix: str = ""

    def before(self, messages: Sequence[Row]) -> list[Row]:
        """The messages under the system prompt, unless they have their own, the last question after the prefix."""
        last = max((i for i, m in enumerate(messages) if m["role"] == "user"), default=None)
        dressed = list(messages)
        if self.prefix and last is not None:
            dressed[last] = {"role": "user", "content": f"{self.prefix}\n\n{dressed[last]['content']}"}
        if self.system and (not dressed or dressed[0]["role"] != "system"):
            dressed.insert(0, {"role": "system", "content": self.system})
        return dressed

    def write(self, path: Path) -> None:
        write_json(path, asdict(self))


def read_preamble(path: Path) -> Preamble:
    """Raises click.ClickException when the file is not there or of another form."""
    try:
        return Preamble(**json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise click.ClickException(f"{path} is no preamble ({error}); trim writes it: `dvc repro`") from None
