"""A registered version leaves: in the form of another tool, or as one bundle with all that says what it is."""

import io
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from tuneline.exporting.facts import Facts, Read, check_base, find_facts, read_folder
from tuneline.exporting.sums import SUMS, write_sums
from tuneline.files import Row, read_jsonl, whole_file, write_json
from tuneline.models.adapter import read_adapter
from tuneline.models.base import read_base
from tuneline.retraining import registry
from tuneline.retraining.checkout import git
from tuneline.retraining.registry import SERVED, Version


def find_version(root: Path, words: str) -> Version:
    """NAME@v0.1.0, or of NAME the one in service. Raises click.ClickException that lists what there is."""
    name, _, wanted = words.partition("@")
    listed = registry.versions(root, name)
    chosen = next((one for one in listed if one.version == wanted), None) if wanted else registry.in_service(listed)
    if chosen is None:
        known = ", ".join(f"{name}@{one.version}" for one in listed) or "none"
        raise click.ClickException(
            f"{name}{'@' if wanted else ''}{wanted} is no version in the registry; there is {known}"
        )
    return chosen


def version_folder(root: Path, version: Version) -> Path:
    """Its adapter, with the bytes that were registered. Raises click.ClickException where they cannot be had."""
    registry.restore(root, version.name, version)
    return root / SERVED / version.name / version.version


def read_commit(root: Path, version: Version) -> Read:
    def read(path: str) -> str | None:
        try:
            return git(root, "show", f"{version.commit}:{path}")
        except click.ClickException:  # the commit has no such file
            return None

    return read


def version_facts(root: Path, version: Version, folder: Path) -> Facts:
    base = read_base(root / read_adapter(folder).base)
    return find_facts(version.name, folder, base, read_commit(root, version), version.commit)


def check_version(root: Path, version: Version, folder: Path) -> None:
    """Raises click.ClickException where the base here is not the one that it was trained on."""
    base = read_adapter(folder).base.as_posix()
    check_base(f"{version.name} {version.version}", base, read_commit(root, version), read_folder(root))


def version_rows(root: Path, version: Version, most: int) -> tuple[list[Row], str]:
    """(the first test rows that it was measured on, why there are none)."""
    try:
        with TemporaryDirectory() as folder:
            registry.copy_from_dvc(root, version.commit, f"data/{version.name}/split", Path(folder))
            return read_jsonl(Path(folder, "test.jsonl"))[:most], ""
    except Exception as error:  # DVC's own, the system's, or whatever the library of a remote has
        return [], f"its test rows are not in DVC's cache or a remote ({' '.join(str(error).split())[:120]})"


def write_bundle(root: Path, version: Version, out: Path) -> None:
    """A tar of the adapter, its card, where it comes from (release.json) and SHA256SUMS; the same bytes each time."""
    folder = version_folder(root, version)
    facts = version_facts(root, version, folder)
    card = read_commit(root, version)(f"registry/{version.name}/card.md")
    told = {"version": version.version, "base": str(read_adapter(folder).base), **asdict(facts)}
    with _gathered(folder, card, told) as gathered, whole_file(out) as part, tarfile.open(part, "w") as bundle:
        for path in sorted(gathered.rglob("*")):
            if path.is_file():
                _add(bundle, f"{version.name}-{version.version}/{path.relative_to(gathered).as_posix()}", path)


@contextmanager
def _gathered(folder: Path, card: str | None, told: Row) -> Iterator[Path]:
    with TemporaryDirectory() as made:
        to = Path(made)
        for path in _files(folder):
            target = to / "adapter" / path.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
        if card:
            (to / "card.md").write_text(f"{card}\n", encoding="utf-8")
        write_json(to / "release.json", told)
        write_sums(to)
        yield to


def _files(folder: Path) -> Iterable[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and path.name != SUMS)


def _add(bundle: tarfile.TarFile, name: str, path: Path) -> None:
    """Without times, owners and modes of this machine."""
    raw = path.read_bytes()
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(raw), 0o644
    bundle.addfile(entry, io.BytesIO(raw))
