"""The right to be forgotten, outside the database: where a sample's texts may lie, and which versions learned of them.

Run folders, the judge's logged answers and the log of events lose them, and DVC's cache the objects that hold them.
What git has, and what weights have learned, no command here takes away: the commands that would are told.
"""

import hashlib
import json
import re
import shlex
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import click
import yaml

from tuneline.feedback.forgetting import Texts, answers_of, mark, wipe
from tuneline.feedback.gate_settings import SAMPLES, read_gate_settings
from tuneline.feedback.store import KEPT, PROMOTED, TASKS, Run, Store, Stored
from tuneline.locks import held
from tuneline.retraining import registry
from tuneline.retraining.checkout import git
from tuneline.retraining.events import drop_events, log_event
from tuneline.retraining.execute import LOCK
from tuneline.retraining.record import RECORD
from tuneline.retraining.watch import LOGS, RUNS
from tuneline.teaching.log import blank, thin

HASH = re.compile(r"\b[0-9a-f]{32}\b(?:\.dir)?")
HELD = f"recipes/*/source/{SAMPLES}"
TOKENS = (".parquet", ".arrow")  # of the folder that `format` writes, now and before
HEAD_BYTES = 8192  # of a file, that tell whether it is a text


@dataclass
class Forgotten:
    """What a call took away, and what is left. `versions`: those that have learned from the samples."""

    samples: int
    answers: int = 0
    shared: int = 0  # of the answers in the snapshot that DVC shares
    folders: list[Path] = field(default_factory=list)
    objects: list[str] = field(default_factory=list)  # of DVC's cache, by hash
    versions: list[registry.Version] = field(default_factory=list)
    clean: list[registry.Version] = field(default_factory=list)  # of the same adapters, without them
    lost: list[registry.Version] = field(default_factory=list)  # that can no longer be made again
    held: dict[str, tuple[str, list[str]]] = field(default_factory=dict)  # git's commit → path, refs that have it
    here: list[Path] = field(default_factory=list)  # files of the working tree that have a text


def forget(
    root: Path, store: Store, samples: Sequence[Stored], keep_cache: bool, say: Callable[[str], None]
) -> Forgotten:
    """Takes the samples out of all that is told above. May be called again, wherever it was killed."""
    mark(store, samples)
    texts, keys = Texts(samples), answers_of(store)
    done = Forgotten(len(samples))
    with alone(root, store, say):
        done.folders = drop_folders(root, texts)

        def is_about(key: str, text: str) -> bool:
            return key in keys or texts.quoted_in(text)

        done.answers = sum(blank(folder, is_about) for folder in sorted((root / ".tuneline/answers").glob("*/")))
        done.shared = drop_shared(root, is_about, keep_cache)
        if (root / LOGS).is_dir():
            drop_events(root / LOGS, texts.quoted_in)
        learned = [run for run in store.runs() if run.state in (PROMOTED, KEPT) and _has_learned(run, samples)]
        if (root / ".dvc").is_dir() and (root / ".git").exists():
            _forget_versions(root, texts, learned, keep_cache, done)
            log_event(root / LOGS, "samples_forgotten", count=len(samples))
        wipe(store, texts)
    return done


@contextmanager
def alone(root: Path, store: Store, say: Callable[[str], None]) -> Iterator[None]:
    """While no run, no watcher and no judge is at work with the texts."""
    state = root / ".tuneline"
    locks = {store.path.with_suffix(".judge"): "a judge"}
    if state.is_dir():  # in the order in which they are taken there
        names = ("finetune", *(f"watch-{task}" for task in TASKS))
        locks = {**{state / f"{name}.lock": "a run" for name in names}, root / LOCK: "a run", **locks}
    with ExitStack() as stack:
        for path, who in locks.items():
            stack.enter_context(held(path, lambda who=who: say(f"{who} is at work; waiting for its end")))
        yield


def drop_folders(root: Path, texts: Texts) -> list[Path]:
    """Removes the folders of runs whose samples have one of the texts; an open run makes its own again, without."""
    found = []
    for folder in sorted((root / RUNS).glob("*/")):
        if any(texts.held_by(path.read_bytes()) for path in folder.glob(f"*{SAMPLES}*")):
            shutil.rmtree(folder)
            found.append(folder)
    return found


def drop_shared(root: Path, is_about: Callable[[str, str], bool], keep_cache: bool) -> int:
    """Takes answers out of the snapshot that `tuneline answers` shares, and its object out of the cache; how many."""
    count = 0
    for path in sorted((root / "answers").glob("*/*.jsonl")):
        oid = hashlib.md5(path.read_bytes()).hexdigest()
        thinned = thin(path, is_about)
        if thinned and not keep_cache and (root / ".dvc").is_dir():
            _place(cache_of(root), oid).unlink(missing_ok=True)
        count += thinned
    return count


def _has_learned(run: Run, samples: Iterable[Stored]) -> bool:
    return any(one.task == run.task and one.accepted and one.accepted <= run.upto for one in samples)


def _forget_versions(root: Path, texts: Texts, learned: Sequence[Run], keep_cache: bool, done: Forgotten) -> None:
    listed = listed_versions(root)
    known = {(adapter_of(root, run.task), run.version) for run in learned}
    done.versions = [one for one in listed if (one.name, one.version) in known]
    names = {one.name for one in done.versions}
    done.clean = [one for one in listed if one.name in names and one not in done.versions]
    done.held = held_by_git(root, texts)
    done.here = [path for path in _data_of(root) if _is_text(path) and texts.held_by(path.read_bytes())]
    if not keep_cache:
        done.objects = drop_objects(root, texts)
    done.lost = [one for one in done.versions if not can_be_made(root, one)]


def listed_versions(root: Path) -> list[registry.Version]:
    return [version for name in registry.names(root) for version in registry.versions(root, name)]


def adapter_of(root: Path, task: str) -> str | None:
    try:
        return read_gate_settings(root).adapters.get(task)
    except click.ClickException:
        return None


def _data_of(root: Path) -> list[Path]:
    """What stages and people have in the working tree."""
    return [path for path in (*root.glob(HELD), *root.glob("data/**/*")) if path.is_file()]


# ---------------------------------------------------------------- DVC's cache


def cache_of(root: Path) -> Path:
    from dvc.repo import Repo

    with Repo(str(root)) as repo:
        return Path(repo.cache.local.path)


def _oid(path: Path) -> str:
    return f"{path.parent.name}{path.name}"


def _place(cache: Path, oid: str) -> Path:
    return cache / oid[:2] / oid[2:]


def drop_objects(root: Path, texts: Texts) -> list[str]:
    """Removes the objects of DVC's cache that have one of the texts, as rows or as token ids; their hashes.

    Token ids cannot be read here: those of commits that list such rows go, and those that no commit lists. They go
    first, so that a second call after a kill still knows which they are.
    """
    cache = cache_of(root)
    every = [path for path in cache.glob("??/*") if path.is_file()]
    rows = {_oid(path) for path in every if _is_text(path) and texts.held_by(path.read_bytes())}
    folders = {_oid(path): _listing(path) for path in every if path.suffix == ".dir"}
    safe: set[str] = set()
    for commit in {"HEAD", *git(root, "rev-parse", "--all").splitlines()}:
        listed = set(listed_by(root, commit))
        whole = listed | {oid for one in listed for oid in folders.get(one, {}).values()}
        if not whole & rows:
            safe |= whole
    tokens = {
        oid
        for name, listing in folders.items()
        if name not in safe
        for path, oid in listing.items()
        if path.endswith(TOKENS) and oid not in safe
    }
    gone = [oid for oid in (*sorted(tokens), *sorted(rows)) if _place(cache, oid).exists()]
    for oid in gone:
        _place(cache, oid).unlink()
    return gone


def can_be_made(root: Path, version: registry.Version) -> bool:
    """Whether the cache has all the data that its commit says it was made of."""
    if not git(root, "ls-tree", "--name-only", version.commit, "--", "dvc.lock"):
        return True  # it says nothing; a tag made by hand
    cache, text = cache_of(root), git(root, "show", f"{version.commit}:dvc.lock")
    stages = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))["stages"]
    outs = [out for name, stage in stages.items() if name.endswith(f"@{version.name}") for out in stage.get("outs", ())]
    for oid in (out["md5"] for out in outs if out["path"].startswith("data/")):
        place = _place(cache, oid)
        inside = _listing(place).values() if place.exists() and oid.endswith(".dir") else ()
        if not all(_place(cache, one).exists() for one in (oid, *inside)):
            return False
    return True


def _is_text(path: Path) -> bool:
    if path.suffix == ".dir":
        return False
    with path.open("rb") as file:
        return b"\0" not in file.read(HEAD_BYTES)


def _listing(path: Path) -> dict[str, str]:
    """Path → hash of the files of a folder, as DVC lists them."""
    return {one["relpath"]: one["md5"] for one in json.loads(path.read_text("utf-8"))}


def listed_by(root: Path, commit: str) -> list[str]:
    """The hashes that a commit's dvc.lock and its samples' .dvc file name."""
    try:
        names = git(root, "ls-tree", "-r", "--name-only", commit, "--", "dvc.lock", "recipes").splitlines()
    except click.ClickException:  # a ref may name what is no commit
        return []
    wanted = [name for name in names if name == "dvc.lock" or name.endswith(f"/source/{SAMPLES}.dvc")]
    return [oid for name in wanted for oid in HASH.findall(git(root, "show", f"{commit}:{name}"))]


# ---------------------------------------------------------------- git


def held_by_git(root: Path, texts: Texts) -> dict[str, tuple[str, list[str]]]:
    """Commit → (path, refs that lead to it), of those that brought one of the texts in."""
    found = {}
    for line in git(root, "log", "--all", "--format=%x00%H", "--name-only", "--", f":(glob){HELD}").split("\0")[1:]:
        commit, *paths = line.split()
        for path in paths:
            if path in git(root, "ls-tree", "--name-only", commit, "--", path) and texts.held_by(
                git(root, "show", f"{commit}:{path}").encode("utf-8", "surrogateescape")
            ):
                refs = git(root, "for-each-ref", "--contains", commit, "--format=%(refname)").splitlines()
                found[commit] = (path, refs)
    return found


def rewriting(root: Path, done: Forgotten) -> list[str]:
    """The commands that take the texts out of git: the path leaves the commits that have them, tags and all follow."""
    if not done.held:
        return []
    refs = sorted({ref for _, found in done.held.values() for ref in found})
    paths = sorted({path for path, _ in done.held.values()})
    blobs = sorted({git(root, "rev-parse", f"{commit}:{path}") for commit, (path, _) in done.held.items()})
    named = " ".join(map(shlex.quote, paths))
    drop = f"git ls-files -s {named} | grep -qE '{'|'.join(blobs)}' && git rm -q --cached {named} || :"
    words = ["git", "filter-branch", "-f", "--index-filter", drop, "--tag-name-filter", "cat", "--"]
    words += [*refs, *_below(root, done.held)]
    lines = [f"FILTER_BRANCH_SQUELCH_WARNING=1 {shlex.join(words)}"]
    lines += ["git for-each-ref --format='delete %(refname)' refs/original | git update-ref --stdin"]
    for one in listed_versions(root):
        tag = f"{one.name}@{one.version}"
        if f"refs/tags/{tag}" in refs:  # its commit is another one then, and the record knows it by its commit
            lines.append(f'perl -pi -e "s/{one.commit}/$(git rev-parse {shlex.quote(tag)}^{{commit}})/" {RECORD}')
    lines.append("git reflog expire --expire=now --all && git gc --quiet --prune=now")
    for remote in git(root, "remote").splitlines():
        pushed = [ref for ref in refs if ref.startswith(("refs/tags/", "refs/heads/"))]
        lines.append(f"git push --force {shlex.join([remote, *pushed])}  # if they were pushed")
    return lines


def _below(root: Path, commits: Iterable[str]) -> list[str]:
    """Where the rewriting may end: parents of the commits that have none of them below."""
    commits, found = list(commits), set()
    for commit in commits:
        for parent in git(root, "rev-parse", f"{commit}^@").split():
            below = set(git(root, "rev-list", parent).split())
            if not below & set(commits):
                found.add(f"^{parent}")
    return sorted(found)


# ---------------------------------------------------------------- what is told


def told(root: Path, done: Forgotten, keep_cache: bool) -> Iterator[str]:
    """What a call has done, what it could not, and the commands that would."""
    parts = f"{len(done.folders)} run folders, {done.answers} logged answers, {len(done.objects)} objects of the cache"
    yield f"{done.samples} samples are forgotten, and with them {parts}"
    if done.shared:
        yield f"answers/, which DVC shares, has {done.shared} answers less; for the others too:"
        yield "    dvc add answers && dvc push answers.dvc && git commit -m 'answers' answers.dvc"
    for path in done.here:
        yield f"{path.relative_to(root)} in your working tree has a text too; it is yours to remove"
    for version in done.versions:
        yield from _of_version(version, done, root)
    if done.versions:
        yield "  weights cannot unlearn; a version without the samples comes of the next run. For one at the next"
        yield "  accepted sample set gate.min-new-samples of params.yaml to 1, commit it, and: tuneline watch --once"
    if lost := [f"{one.name} {one.version}" for one in done.lost]:
        yield f"can no longer be made again from their data, though they serve: {', '.join(lost)}"
    elif keep_cache and done.versions:
        yield "DVC's cache was kept, and has the texts"
    if remotes := _remotes(root) if done.objects else []:
        yield f"what was pushed to {', '.join(remotes)} is still there: files/md5 with the first two digits as folder"
        yield from (f"    {oid[:2]}/{oid[2:]}" for oid in done.objects)
    if commands := rewriting(root, done):
        yield f"git has the texts in {', '.join(commit[:12] for commit in done.held)}; to take them out of the history"
        yield from (f"    {line}" for line in commands)


def _of_version(version: registry.Version, done: Forgotten, root: Path) -> Iterator[str]:
    now = registry.served_version(root, version.name) == version.version
    yield f"{version.name} {version.version} has learned from them{' and is in service' if now else ''}"
    older = [one for one in done.clean if one.name == version.name]
    yield f"  its weights: served/{version.name}/{version.version}, and its adapter in the cache"
    if now and older:
        yield f"  out of service: tuneline models rollback {version.name} --to {older[-1].version}"
    elif now:
        yield "  there is no version without them to roll back to"


def _remotes(root: Path) -> list[str]:
    from dvc.repo import Repo

    with Repo(str(root)) as repo:
        return sorted(repo.config["remote"])
