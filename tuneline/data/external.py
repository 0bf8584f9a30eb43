"""External sources: public files, named by address, hash and licence, and never committed."""

import os
import sys
from pathlib import Path

import click
import yaml
from pydantic import ValidationError

from tuneline.recipe.settings import External

MIRROR = "TUNELINE_MIRROR"


def read_external(path: Path) -> External:
    """The declared files of `external.yaml`. Raises click.ClickException when it is malformed."""
    try:
        return External.model_validate(yaml.safe_load(path.read_text("utf-8")))
    except (yaml.YAMLError, ValidationError) as error:
        raise click.ClickException(f"{path}: {' '.join(str(error).split())}") from None


def fetch_external(declared: External, cache: Path) -> dict[str, Path]:
    """Name → verified local file: from the mirror folder if there is one, else downloaded once to `cache`.

    Raises click.ClickException when a file is unreachable or its hash differs.
    """
    import pooch

    mirror = os.environ.get(MIRROR)
    paths = {}
    for name, file in declared.files.items():
        if mirror:
            path = Path(mirror) / file.mirror
            if not path.is_file():
                raise click.ClickException(f"{path} is missing; correct or unset {MIRROR}")
            if pooch.file_hash(str(path)) != file.sha256:
                raise click.ClickException(f"{path}: its SHA-256 is not the declared one")
        else:
            try:
                path = Path(
                    pooch.retrieve(
                        file.url,
                        f"sha256:{file.sha256}",
                        f"{file.sha256[:8]}-{name}",
                        cache,
                        progressbar=sys.stderr.isatty(),
                    )
                )
            except (OSError, ValueError) as error:
                raise click.ClickException(
                    f"{file.url}: {' '.join(str(error).split())}; set {MIRROR} to a folder that has {file.mirror}"
                ) from None
        paths[name] = path
    return paths
