"""One standalone click script a stage; each runs as `python -m stages.<name>`, and ends in a line when a disk fails."""

import sys
from types import TracebackType

import click

from tuneline.disk import in_a_line, of_the_disk


def end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """`sys.excepthook` of a stage: for what is no mistake of the program, a line; else the traceback."""
    if found := of_the_disk(error):
        click.echo(f"Error: {in_a_line(found)}", err=True)
    else:
        sys.__excepthook__(kind, error, trace)


if sys.argv[0] == "-m":  # python -m looks for a stage, which is the program then
    sys.excepthook = end
