"""Where an export is put: a folder of its own, whole or not at all, apart from what it is made of."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from tuneline.exporting.sums import SUMS, summed
from tuneline.files import whole_folder

SHOWN = 3
RUST = "(os error "  # as safetensors and tokenizers tell what the system says, the latter in a bare Exception


def check_out(out: Path, force: bool) -> None:
    """Raises click.ClickException when the folder holds something that no export has made, or the checkout itself."""
    if out.exists() and not out.is_dir():
        raise click.ClickException(f"{out} is a file; name a folder with --out")
    check_apart(out)
    strange = sorted({path.name for path in out.iterdir()} - _made(out)) if out.is_dir() and not force else []
    if strange:
        told = ", ".join(strange[:SHOWN]) + (f" and {len(strange) - SHOWN} more" if strange[SHOWN:] else "")
        raise click.ClickException(f"{out} holds what no export wrote ({told}): name another folder, or say --force")


def _made(out: Path) -> set[str]:
    """What is in a folder by its own list of hashes."""
    return {SUMS, *(Path(name).parts[0] for name in summed(out))} if (out / SUMS).is_file() else set()


def check_apart(out: Path, *sources: Path) -> None:
    """Raises click.ClickException when the new folder would take the place of one of the sources or of the folder where
    we are, or stand within a source: DVC has its hash."""
    place = out.resolve()
    for held in (Path(), *sources):
        if held.resolve().is_relative_to(place):
            raise click.ClickException(f"{out} is {held.resolve()} or holds it, and would replace it: name another")
    for source in sources:
        if place.is_relative_to(source.resolve()):
            raise click.ClickException(f"{out} lies in {source}, which stays as it is: name a folder elsewhere")


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """`whole_folder`. Raises click.ClickException when the disk is full, or the folder may not be written."""
    try:
        with whole_folder(out) as part:
            yield part
    except Exception as error:
        if not isinstance(error, OSError) and RUST not in str(error):
            raise
        raise click.ClickException(f"{out} is not written: {' '.join(str(error).split())[:300]}") from None
