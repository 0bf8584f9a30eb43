"""The two sides of a comparison: files as git has them at a commit or as they stand, and what DVC has of their data."""

import json
import os
import re
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import click
import yaml

HOOK = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")  # set where a git hook started us
FAST = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # a lock has thousands of lines


def git(root: Path, *words: str) -> bytes | None:
    """What git says; None where it fails."""
    environment = {name: value for name, value in os.environ.items() if name not in HOOK}
    done = subprocess.run(
        ["git", "-C", str(root), *words], env=environment, stdin=subprocess.DEVNULL, capture_output=True
    )
    return done.stdout if done.returncode == 0 else None


def names(listed: bytes | None) -> Iterator[str]:
    """The paths of a list that ends each with a zero byte."""
    return (os.fsdecode(name) for name in (listed or b"").split(b"\0") if name)


@dataclass(frozen=True)
class Side:
    """A commit of the repository at `root`, or what stands there now."""

    root: Path
    commit: str | None = None  # None: the working tree

    @cached_property
    def paths(self) -> frozenset[str]:
        """Files that git has, or would have."""
        if self.commit:
            return frozenset(names(git(self.root, "ls-tree", "-r", "-z", "--name-only", self.commit)))
        listed = names(git(self.root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"))
        return frozenset(path for path in listed if (self.root / path).is_file())

    def read(self, path: str) -> bytes | None:
        """A file's bytes; None where the side has no such file."""
        if path not in self.paths:
            return None
        return git(self.root, "show", f"{self.commit}:./{path}") if self.commit else (self.root / path).read_bytes()

    def text(self, path: str) -> str | None:
        raw = self.read(path)
        return None if raw is None else raw.decode("utf-8", "replace")

    def json(self, path: str) -> Any:
        """What a JSON file holds; None where there is none or it is broken: a report tells what it can."""
        try:
            return json.loads(self.text(path) or "null")
        except ValueError:
            return None

    def yaml(self, path: str) -> Any:
        """`json` for YAML."""
        try:
            return yaml.load(self.text(path) or "", Loader=FAST)
        except yaml.YAMLError:
            return None

    @cached_property
    def pipelines(self) -> list[dict[str, Any]]:
        """The stages of each dvc.yaml, as they are written: a foreach's under `do`."""
        read = [self.yaml(path) for path in sorted(self.paths) if path.split("/")[-1] == "dvc.yaml"]
        return [
            {name: stage.get("do", stage) for name, stage in (found.get("stages") or {}).items()}
            for found in read
            if isinstance(found, dict)
        ]

    def patterns(self, kind: str) -> re.Pattern[str]:
        """What the paths under `deps`, `metrics` … of the stages match, and what lies below them."""
        entries = (entry for stages in self.pipelines for stage in stages.values() for entry in stage.get(kind) or ())
        paths = {str(next(iter(entry)) if isinstance(entry, dict) else entry) for entry in entries}
        return re.compile("|".join(f"(?:{_pattern(path)})" for path in sorted(paths)) or "(?!)")

    @cached_property
    def lock(self) -> dict[str, dict[str, Any]]:
        """Stage → what the locks say of its last run, with `deps` and `outs` as path → hash."""
        read = [self.yaml(path) for path in sorted(self.paths) if path.split("/")[-1] == "dvc.lock"]
        return {
            name: {**stage, **{kind: _hashes(stage.get(kind) or ()) for kind in ("deps", "outs")}}
            for found in read
            if isinstance(found, dict)
            for name, stage in (found.get("stages") or {}).items()
        }

    @cached_property
    def deps(self) -> re.Pattern[str]:
        """What the stages depend on."""
        return self.patterns("deps")

    @cached_property
    def read_last(self) -> frozenset[str]:
        """Files and folders that the stages read when they last ran."""
        return frozenset(path for stage in self.lock.values() for path in stage["deps"])

    @cached_property
    def outs(self) -> dict[str, str]:
        """Path → hash of what the stages wrote."""
        return {path: oid for stage in self.lock.values() for path, oid in stage["outs"].items()}


def _pattern(path: str) -> str:
    """`metrics/${key}/eval.json` → what such paths match."""
    parts = re.split(r"\$\{[^}]*\}", path.strip("/"))
    return "[^/]+".join(map(re.escape, parts)) + r"(?:/.*)?$" if any(parts) else "(?!)"  # ${file} alone says nothing


def _hashes(entries: Iterable[dict[str, Any]]) -> dict[str, str]:
    return {entry["path"]: str(entry.get("md5", "")) for entry in entries}


def open_sides(root: Path, base: str, other: str | None) -> tuple[Side, Side]:
    """(before, now). `other`: None for the working tree.

    Raises click.ClickException where there is no repository, or a name is no commit of it.
    """
    check_repository(root)
    return Side(root, commit_of(root, base)), Side(root, other and commit_of(root, other))


def check_repository(root: Path) -> None:
    if git(root, "rev-parse", "--show-toplevel") is None:
        raise click.ClickException(f"{root} is no git repository; a comparison needs one")


def commit_of(root: Path, name: str) -> str:
    """The commit of anything that git has a name for, or of an experiment of DVC."""
    found = git(root, "rev-parse", "--quiet", "--verify", "--end-of-options", f"{name}^{{commit}}")
    if found is None:
        found = git(root, "for-each-ref", "--format=%(objectname)", "--count=1", f"refs/exps/*/*/{name}")
    if not found and git(root, "rev-parse", "--quiet", "--verify", "HEAD") is None:
        raise click.ClickException(f"{root} has no commit yet, so that nothing differs from one; commit what you have")
    if not found:
        raise click.ClickException(
            f"{name} is no commit of this clone; `git fetch --unshallow` or "
            "`git fetch origin main:refs/remotes/origin/main` may bring it, BASE=<commit> names another"
        )
    return found.decode().strip()


def changed_paths(before: Side, now: Side) -> set[str]:
    """Files that differ, are there no more, or are new."""
    words = ("diff", "--name-only", "-z", "--no-renames", "--no-ext-diff", "--relative")
    found = set(names(git(before.root, *words, str(before.commit), *([now.commit] if now.commit else []), "--")))
    return found if now.commit else found | (now.paths - before.paths)


class Store:
    """What the stages wrote, by its hash: from DVC's cache, or else from the remote, where one is set.

    `missing`: hashes that neither has.
    """

    def __init__(self, root: Path) -> None:
        from dvc.exceptions import DvcException
        from dvc.repo import Repo

        try:
            self.repo = Repo(str(root))
        except DvcException as error:
            raise click.ClickException(f"{root}: {' '.join(str(error).split())}") from None
        self.missing: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.repo.close()

    def read(self, oid: str | None) -> bytes | None:
        if not oid or oid in self.missing:
            return None
        path = Path(self.repo.cache.local.oid_to_path(oid))
        if not path.is_file() and self.repo.config["core"].get("remote"):
            self._pull(oid)
        if path.is_file():
            return path.read_bytes()
        self.missing.add(oid)
        return None

    def rows(self, oid: str | None) -> list[dict[str, Any]] | None:
        """The rows of a JSON Lines file; None where it is not at hand."""
        raw = self.read(oid)
        return None if raw is None else [json.loads(line) for line in raw.splitlines()]

    def _pull(self, oid: str) -> None:
        from dvc_data.hashfile.hash_info import HashInfo

        try:
            self.repo.cloud.pull({HashInfo("md5", oid)})
        except Exception:  # any service's own: what cannot be had is told as missing
            return
