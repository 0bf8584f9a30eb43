"""The registry: versions and what is in service as GTO's git tags, and the adapters that are served.

`summaries@v0.2.0` is a version, at its run's commit; `summaries#prod#3` says that the version of its commit is in
service, and the highest number counts. served/summaries/ has each version's adapter, and `current`, a
link that follows the tags: whoever was killed between the two, the next one mends it.
"""

import contextlib
import io
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from tuneline.files import whole_folder
from tuneline.locks import held
from tuneline.models.adapter import read_adapter
from tuneline.retraining.checkout import (
    RUNS,
    fetch_run,
    git,
    identity,
    sweep_locks,
)
from tuneline.retraining.record import RECORD, Assigned, Registered, add_to_record, folder_hash, read_record

STAGE = "prod"
LOCK = Path(".tuneline/registry.lock")
SERVED = Path("served")
CURRENT = "current"
NAME = re.compile(r"[a-z][a-z0-9_-]*")


@dataclass(frozen=True)
class Version:
    """`tagged`: seconds since 1970. `served`: the numbers of the assignments that put it into service."""

    name: str
    version: str
    commit: str
    tagged: int
    served: tuple[int, ...]

    @property
    def order(self) -> tuple[int, ...]:
        return tuple(int(part) for part in self.version[1:].split("."))


def versions(root: Path, name: str) -> list[Version]:
    """The registered versions of an adapter, the oldest first."""
    form = "%(refname:strip=2) %(*objectname)%(objectname) %(creatordate:unix)"
    found: dict[str, tuple[str, int]] = {}
    assigned: dict[str, list[int]] = {}
    # An annotated tag has two ids: that of its commit comes first.
    for line in git(root, "for-each-ref", f"--format={form}", "refs/tags").splitlines():
        tag, ids, when = line.rsplit(" ", 2)
        commit = ids[:40]
        if match := re.fullmatch(rf"{re.escape(name)}@(v\d+\.\d+\.\d+)", tag):
            found[match[1]] = (commit, int(when))
        elif match := re.fullmatch(rf"{re.escape(name)}#{STAGE}#(\d+)", tag):
            assigned.setdefault(commit, []).append(int(match[1]))
    listed = [
        Version(name, version, commit, when, tuple(sorted(assigned.get(commit, ()))))
        for version, (commit, when) in found.items()
    ]
    return sorted(listed, key=lambda version: version.order)


def in_service(listed: list[Version]) -> Version | None:
    """The one that the highest assignment names; None before the first."""
    served = [version for version in listed if version.served]
    return max(served, key=lambda version: version.served[-1], default=None)


def served_version(root: Path, name: str) -> str | None:
    """The version in service by the tags, such as v0.2.0."""
    found = in_service(versions(root, name))
    return found.version if found else None


def names(root: Path) -> list[str]:
    """The adapters that have a version."""
    tags = git(root, "for-each-ref", "--format=%(refname:strip=2)", "refs/tags").splitlines()
    found = {match[1] for tag in tags if (match := re.fullmatch(rf"({NAME.pattern})@v\d+\.\d+\.\d+", tag))}
    return sorted(found)


def figures(root: Path, version: Version) -> dict[str, Any]:
    """What promotion.compare found when the version was made, as its commit has it.

    Raises click.ClickException when the commit has none, as that of a tag made by hand.
    """
    return json.loads(git(root, "show", f"{version.commit}:metrics/{version.name}/comparison.json"))


def promote(root: Path, name: str, checkout: Path, commit: str, run: str, message: str) -> str:
    """Registers a run's commit as the next version and puts it into service; the version.

    May be called again for the same commit, whenever it was killed: nothing is tagged twice, and a version that
    was rolled back since stays so.
    """
    with _alone(root, name):
        reconcile(root, name)
        listed = versions(root, name)
        known = next((version for version in listed if version.commit == commit), None)
        if known is None:
            fetch_run(root, checkout, commit, run)
            version = next_version(listed)
            _register(root, name, f"{RUNS}/{run}", version, message)
            known = next(one for one in versions(root, name) if one.version == version)
        version = known.version
        if not known.served:
            restore(root, name, known)
            _assign(root, name, version, f"{name} {version} into service: run {run}")
        _serve(root, name)
    return version


def next_version(listed: list[Version]) -> str:
    """The minor number counts up: v0.1.0, v0.2.0, … `listed`: all that there ever was."""
    if not listed:
        return "v0.1.0"
    major, minor, _ = listed[-1].order
    return f"v{major}.{minor + 1}.0"


def reconcile(root: Path, name: str) -> None:
    """Tags and record say the same: what only tags say is recorded, a tag that is gone is told and made again.

    Raises click.ClickException when a tag says another commit than the record, or a commit is gone too.
    """
    listed = {one.version: one for one in versions(root, name)}
    recorded = [event for event in read_record(root) if event.name == name]
    for event in recorded:
        tagged = listed.get(event.version)
        if tagged and tagged.commit != event.commit:
            raise click.ClickException(
                f"the tag {name}@{event.version} says commit {tagged.commit[:12]}, the record {event.commit[:12]}: "
                f"somebody has moved it; `git tag -f {name}@{event.version} {event.commit}` puts it back"
            )
        if isinstance(event, Registered) and not tagged:
            _tag_again(root, f"{name}@{event.version}", event)
        if isinstance(event, Assigned) and event.number not in (tagged.served if tagged else ()):
            _tag_again(root, f"{name}#{STAGE}#{event.number}", event)
    known = {event.version for event in recorded if isinstance(event, Registered)}
    for one in versions(root, name):
        if one.version not in known:
            add_to_record(root, Registered(name, one.version, one.commit, _recorded_hash(root, one)))
        for number in one.served:
            add_to_record(root, Assigned(name, one.version, one.commit, number))


def _tag_again(root: Path, tag: str, event: Registered | Assigned) -> None:
    author, email = identity(root)
    who = ("-c", f"user.name={author}", "-c", f"user.email={email}")
    try:
        git(root, *who, "tag", "-a", tag, event.commit, "-m", "made again from the registry's record")
    except click.ClickException as error:
        raise click.ClickException(
            f"the tag {tag} is gone, and so is its commit {event.commit[:12]}; fetch it from where the version was "
            f"made, or take its lines out of {RECORD} ({error.message})"
        ) from None
    click.echo(f"the tag {tag} was gone: made again, from {RECORD}", err=True)


def _recorded_hash(root: Path, version: Version) -> str | None:
    """What DVC's files of the commit say that the adapter is; None where they say nothing."""
    from dvc.api import DVCFileSystem

    files = DVCFileSystem(str(root), rev=version.commit)
    try:
        return files.info(f"adapters/{version.name}").get("dvc_info", {}).get("md5")
    except FileNotFoundError:
        return None
    finally:
        files.close()


def is_whole(root: Path, version: Version) -> bool:
    """Whether served/ has the version as it was registered, byte for byte."""
    folder = root / SERVED / version.name / version.version
    if not folder.is_dir():
        return False
    wanted = next(
        (
            event.content
            for event in read_record(root)
            if isinstance(event, Registered) and (event.name, event.version) == (version.name, version.version)
        ),
        None,
    )
    return wanted is None or folder_hash(folder) == wanted


def rollback(root: Path, name: str, to: str | None) -> tuple[str, str]:
    """(version that leaves service, version that comes): `to`, or the one before it.

    Raises click.ClickException when there is no such version, or it is in service.
    """
    with _alone(root, name):
        reconcile(root, name)
        listed = versions(root, name)
        now = in_service(listed)
        if now is None:
            raise click.ClickException(f"no version of {name} is in service; there is nothing to roll back")
        if to is None:
            older = [version for version in listed if version.order < now.order]
            if not older:
                raise click.ClickException(f"{name} {now.version} is the first version; there is none before it")
            to = older[-1].version
        elif to not in {version.version for version in listed}:
            known = ", ".join(version.version for version in listed)
            raise click.ClickException(f"{name} has no version {to}; it has {known}")
        if to != now.version:
            restore(root, name, next(version for version in listed if version.version == to))
            _assign(root, name, to, f"{name} {to} into service: rolled back from {now.version}")
        _serve(root, name)
        if to == now.version:
            raise click.ClickException(f"{name} {to} is in service already")
    return now.version, to


def mend(root: Path, name: str) -> None:
    """Makes tags what the record says, and `current` what the tags say, with the very bytes that were registered.

    Raises click.ClickException when the adapter of the version in service cannot be had.
    """
    with _alone(root, name):
        reconcile(root, name)
        if in_service(versions(root, name)):
            _serve(root, name)


def _serve(root: Path, name: str) -> None:
    now = in_service(versions(root, name))
    folder = root / SERVED / name
    restore(root, name, now)
    if _current(folder) == now.version:
        return
    link = folder / f".{CURRENT}.part"
    link.unlink(missing_ok=True)
    link.symlink_to(now.version, target_is_directory=True)
    link.replace(folder / CURRENT)
    descriptor = os.open(folder, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def _current(folder: Path) -> str | None:
    link = folder / CURRENT
    return link.readlink().name if link.is_symlink() else None


def restore(root: Path, name: str, version: Version) -> None:
    """The adapter of a version into served/, out of DVC's cache or remote, unless it is there as it was registered.

    Raises click.ClickException when neither has it.
    """
    if is_whole(root, version):
        return
    folder = root / SERVED / name / version.version
    if folder.exists():
        click.echo(f"{folder} is not what was registered as {version.version}: taken anew", err=True)
    try:
        with whole_folder(folder) as part:
            copy_from_dvc(root, version.commit, f"adapters/{name}", part)
            read_adapter(part)
    except click.ClickException:
        raise
    except Exception as error:  # DVC's own, the system's, or whatever the library of a remote has
        why = " ".join(str(error).split())
        raise click.ClickException(
            f"{name} {version.version}: its adapter cannot be had from DVC's cache or a remote; set the remote that "
            f"has it with `dvc remote add`, or copy {folder} from where it was made (DVC: {why})"
        ) from None


def copy_from_dvc(root: Path, commit: str, path: str, to: Path) -> None:
    """A folder as a commit has it, out of the cache of `root` or else its remote; nothing is checked out."""
    from dvc.api import DVCFileSystem
    from dvc.repo import Repo

    with Repo(str(root)) as main:  # today's remotes: the commit may be older than they are
        config = {section: main.config[section] for section in ("core", "remote")}
    files = DVCFileSystem(str(root), rev=commit, config=config)
    try:
        files.get(f"{path}/", str(to), recursive=True)  # "/": into `to`, not into a folder of its name there
    finally:
        files.close()


def _register(root: Path, name: str, ref: str, version: str, message: str) -> None:
    import gto.api

    author, email = identity(root)
    with _quiet():
        gto.api.register(
            str(root), name, ref, version=version, message=message, author=author, author_email=email
        )  # fmt: skip
    reconcile(root, name)


def _assign(root: Path, name: str, version: str, message: str) -> None:
    import gto.api

    author, email = identity(root)
    with _quiet():  # force: it may have been in service before
        gto.api.assign(
            str(root), name, STAGE, version=version, message=message, force=True, author=author, author_email=email
        )
    reconcile(root, name)


@contextmanager
def _quiet() -> Iterator[None]:
    with contextlib.redirect_stdout(io.StringIO()):
        yield


@contextmanager
def _alone(root: Path, name: str) -> Iterator[None]:
    with held(root / LOCK, waiting=lambda: None):
        sweep_locks(root, f"tags/{name}[@#]*")
        yield
