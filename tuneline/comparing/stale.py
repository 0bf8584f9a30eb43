"""Do metrics and locks belong to the code, data and params of this commit?

It needs no data. Code and params are hashed as they stand; what a stage wrote is known by the hash in its lock, and
must be what the next stage's lock says that it read. `dvc status` calls data "deleted" that is not there; this does
not.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dvc.output import Output
    from dvc.repo import Repo
    from dvc.stage import Stage

COMMAND = "its command"
UNKNOWN = "?"  # what a part of a folder should hold: nobody knows where its list is not at hand


@dataclass(frozen=True)
class Stale:
    """changed: what a stage reads that is not as its lock has it. faults: what of its own files is wrong, in words."""

    stage: str
    changed: list[str]
    faults: list[str]

    def __str__(self) -> str:
        told = [f"{', '.join(self.changed)} changed"] * bool(self.changed) + self.faults
        return f"{self.stage}: {'; '.join(told)}; run `dvc repro {self.stage}` and commit what it writes"


@dataclass(frozen=True)
class Status:
    """stale: stages whose figures are of other code, data or params; after: those that read what these write, and
    run if that comes out otherwise.

    never: stages that have never run, and have written nothing. unknown: paths that could not be looked at, each once.
    """

    stale: list[Stale]
    after: list[str]
    never: list[str]
    unknown: list[str]


def status(repo: "Repo") -> Status:
    """Raises dvc.exceptions.DvcException when a dvc.yaml cannot be read."""
    logging.getLogger("dvc").setLevel(logging.ERROR)
    stages = [stage for stage in repo.index.stages if not stage.is_data_source]
    present = Present({out.fs_path: out for stage in repo.index.stages for out in stage.outs})
    found = Status([], [], [], [])
    with repo.lock:
        for stage in stages:
            _look(stage, present, found)
    found.after.extend(_after(stages, {stale.stage for stale in found.stale}))
    return found


def _look(stage: "Stage", present: "Present", found: Status) -> None:
    faults, changed = list(_faults(stage)), []
    if any(out.hash_info for out in stage.outs):
        changed = [COMMAND] * stage.changed_stage() + list(_changed_deps(stage, present, found))
    elif not faults:
        found.never.append(_name(stage))
    if faults or changed:
        found.stale.append(Stale(_name(stage), changed, faults))


def _name(stage: "Stage") -> str:
    """As DVC calls it in the repository's root, wherever this runs."""
    name = getattr(stage, "name", None)
    return name if name and stage.path_in_repo == "dvc.yaml" else ":".join(filter(None, (stage.path_in_repo, name)))


def _path(entry: Any) -> str:
    """A dependency's or an output's, from the repository's root."""
    path = Path(entry.fs_path)
    return (path.relative_to(entry.repo.root_dir) if path.is_relative_to(entry.repo.root_dir) else path).as_posix()


def _faults(stage: "Stage") -> Iterator[str]:
    """Files of git that are not what the stage wrote."""
    for out in stage.outs:
        if out.use_cache:
            continue
        if not out.hash_info:
            if out.exists:
                yield f"{_path(out)} is there, and no lock names it"
        elif not out.exists:
            yield f"{_path(out)} is not there"
        elif out.changed_checksum():
            yield f"{_path(out)} is not what it wrote"


def _changed_deps(stage: "Stage", present: "Present", found: Status) -> Iterator[str]:
    from dvc.dependency.param import ParamsDependency

    for dep in stage.deps:
        if isinstance(dep, ParamsDependency):
            for names in dep.status().values():
                yield f"{_path(dep)} ({names if isinstance(names, str) else ', '.join(names)})"
            continue
        there = present.hash_of(dep)
        if there == UNKNOWN:
            if (path := _path(dep)) not in found.unknown:
                found.unknown.append(path)
        elif not dep.hash_info or there != dep.hash_info.value:
            yield _path(dep)


class Present:
    """The hash of what stands in a dependency's place: what a stage wrote there, by its lock, or the files of git.

    `outs`: path → output of a stage, or of a .dvc file.
    """

    def __init__(self, outs: "dict[str, Output]") -> None:
        self._outs = outs
        self._above = {str(parent) for path in outs for parent in Path(path).parents}
        self._known: dict[str, str | None] = {}

    def hash_of(self, dep: Any) -> str | None:
        """None where nothing is there, UNKNOWN where that cannot be told."""
        if dep.fs_path not in self._known:
            self._known[dep.fs_path] = self._find(dep)
        return self._known[dep.fs_path]

    def _find(self, dep: Any) -> str | None:
        if dep.fs_path in self._outs:
            return self._outs[dep.fs_path].hash_info.value
        for parent in map(str, Path(dep.fs_path).parents):
            if parent in self._outs:
                return _within(self._outs[parent], dep.fs_path)
        if not dep.exists:
            return None
        return _of_both(dep, self._outs) if dep.fs_path in self._above else dep.get_hash().value


def _within(out: "Output", path: str) -> str | None:
    """The hash of a file of a folder that a stage wrote."""
    tree = out.get_obj()
    if tree is None:
        return UNKNOWN
    found = tree.get(out.fs.relparts(path, out.fs_path)) if out.hash_info.isdir else None
    return found[1].value if found else UNKNOWN


def _of_both(dep: Any, outs: "dict[str, Output]") -> str | None:
    """The hash of a folder that holds files of git and of DVC; of what DVC has not brought, by what DVC says it is."""
    from dvc_data.hashfile.build import build

    _, _, tree = build(dep.cache, dep.fs_path, dep.fs, dep.hash_name, ignore=dep.dvcignore, dry_run=True)
    for path, out in outs.items():
        if not Path(path).is_relative_to(dep.fs_path) or out.exists or not out.hash_info:
            continue
        place, inside = dep.fs.relparts(path, dep.fs_path), out.get_obj() if out.hash_info.isdir else None
        if out.hash_info.isdir and inside is None:
            return UNKNOWN
        for key, meta, oid in inside if out.hash_info.isdir else [((), out.meta, out.hash_info)]:
            tree.add((*place, *key), meta, oid)
    tree.digest()
    return tree.hash_info.value


def _is_constant(stage: "Stage") -> bool:
    """`meta: {constant: true}` in dvc.yaml: it looks at what it reads, and writes the same text or fails."""
    return bool((stage.meta or {}).get("constant"))


def _after(stages: "list[Stage]", stale: set[str]) -> list[str]:
    """The stages that read what stale ones write, and so on. A stage of constant text has none after it."""
    writer = {out.fs_path: _name(stage) for stage in stages if not _is_constant(stage) for out in stage.outs}
    reads: dict[str, set[str]] = {}
    for stage in stages:
        places = {place for dep in stage.deps for place in (dep.fs_path, *map(str, Path(dep.fs_path).parents))}
        reads[_name(stage)] = {writer[place] for place in places if place in writer}
    reached = set(stale)
    while new := {name for name, read in reads.items() if name not in reached and read & reached}:
        reached |= new
    return [name for name in reads if name in reached - stale]
