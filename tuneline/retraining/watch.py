"""A watcher's round: has new samples judged, and when enough are accepted sees one run to its end.

A round may be killed at any moment: the run stays open in the database until its outcome is recorded with one
transaction, and the next round, whoever's, goes on with it.
"""

import hashlib
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click

from tuneline.feedback.gate_settings import GateSettings, check_gate, read_gate_settings, recipe_of
from tuneline.feedback.store import FAILED, KEPT, PROMOTED, Run, Store, database
from tuneline.files import whole_file
from tuneline.locks import held
from tuneline.retraining import registry
from tuneline.retraining.checkout import fetch_run, git, head, is_edited
from tuneline.retraining.events import log_event
from tuneline.retraining.execute import CHECKOUT, LOCK, ORDER, RESULT, SAMPLES, Order, Result, read_result
from tuneline.retraining.runner import start

RUNS = Path(".tuneline/runs")
LOGS = Path("logs")
MEND_AGAIN = 600  # seconds after which a version that cannot be restored is looked for again
EDITED = "params.yaml has edits that are not committed; a run starts from the commit"

_not_mended: dict[tuple[Path, str], float] = {}  # when


def watch_round(root: Path, task: str, runner: str, judge: Callable[[Store], str], say: Callable[[str], None]) -> bool:
    """One round; False when a run failed in it. `judge` has new samples judged and says what came of it; `runner` is
    `docker` or `local`.

    Raises click.ClickException when params.yaml cannot be read or can start no run, or the samples cannot be judged
    at all.
    """
    gate = read_gate_settings(root)
    adapter = gate.adapter(task)
    with Store(database(root)) as store:
        if said := judge(store):
            say(said)
        with held(root / ".tuneline" / f"watch-{task}.lock") as alone:
            if alone is None:
                say("another watcher is at it")
                return True
            mend(root, adapter, say)
            run = due_run(root, store, task, gate, say)
            return run is None or carry_out(root, store, run, gate, runner, say)


def mend(root: Path, adapter: str, say: Callable[[str], None]) -> None:
    """registry.mend, which only warns: tags may come from elsewhere, without what is served."""
    if time.monotonic() < _not_mended.get((root, adapter), -MEND_AGAIN) + MEND_AGAIN:
        return
    try:
        registry.mend(root, adapter)
    except click.ClickException as error:
        _not_mended[root, adapter] = time.monotonic()
        say(f"Warning: {error.message}")


def due_run(root: Path, store: Store, task: str, gate: GateSettings, say: Callable[[str], None]) -> Run | None:
    """The run to carry out now: the open one, or a new one when the gate has let enough samples through.

    After a run that failed for good, the same samples and the same commit would only fail again.
    Raises click.ClickException when what is committed can train no run.
    """
    run = store.last_run(task)
    failed = run is not None and run.attempts > 0 and run.state not in (PROMOTED, KEPT)
    if failed and run.state == FAILED and head(root) == run.base_commit:
        more = gate.min_new_samples - store.accepted_after(task, run.upto)
        if more > 0:
            why = f"run {run.number} failed {run.attempts} times ({run.reason})"
            say(f"{why}; the next one waits for {more} more samples or another commit")
            return None
    since = max(0.0, time.time() - run.finished) if failed else 0.0  # a clock that has gone back waits no longer
    if failed and (wait := 60 * gate.retry_minutes - since) > 0:
        say(f"run {run.number} failed ({run.reason}); {when_again(wait / 60)}")
        return None
    if run := store.current_run(task):
        return run
    check_commit(root, task, gate)
    if run := store.open_run(task, head(root), gate.min_new_samples):
        log_event(root / LOGS, "run_opened", task=task, run=run.number, after=run.after, upto=run.upto)
        return run
    new = store.accepted_after(task, store.watermark(task))
    say(f"{new} of {gate.min_new_samples} new accepted samples for {task}")
    return None


def when_again(minutes: float) -> str:
    at_once = "; to try at once, set gate.retry-minutes of params.yaml to 0"
    return f"tried again in {minutes:.0f} minutes{at_once}" if minutes else "tried again at once"


def check_commit(root: Path, task: str, gate: GateSettings) -> None:
    """gate_settings.check_gate of what HEAD has, since a run starts from there; the adapter is named by `gate`.

    Raises click.ClickException.
    """
    head(root)
    with tempfile.TemporaryDirectory() as name:
        folder, adapter = Path(name), gate.adapter(task)
        try:
            (folder / "params.yaml").write_text(git(root, "show", "HEAD:./params.yaml"), encoding="utf-8")
            recipe, packed = recipe_of(folder, task, adapter), folder / "recipe.zip"
            git(root, "archive", f"--output={packed}", "HEAD", str(recipe))  # whole: its measures may be its own
            shutil.unpack_archive(packed, folder)
            check_gate(folder, task, adapter)
        except click.ClickException as error:
            hint = f"; {EDITED}" if is_edited(root, "params.yaml") else ""
            raise click.ClickException(f"as committed, {error.message.replace(f'{folder}/', '')}{hint}") from None


def carry_out(root: Path, store: Store, run: Run, gate: GateSettings, runner: str, say: Callable[[str], None]) -> bool:
    """Sees an open run to its end, or counts a failed attempt: then False."""
    if is_edited(root, "params.yaml"):
        say(EDITED)
    name, started = run_name(run), time.time()
    try:
        order, folder = prepare(root, store, run, gate.adapter(run.task))
        new = store.accepted_after(run.task, run.after) - store.accepted_after(run.task, run.upto)
        say(f"run {name} on {order.samples} samples, {new} of them new; log: {folder / 'log.txt'}")
        log_event(root / LOGS, "run_started", task=run.task, run=run.number, runner=runner, samples=order.samples)
        result = start_against_served(root, folder, order, runner, say)
        version, previous = conclude(root, folder, order, result), result.previous
    except click.ClickException as error:
        failed = store.fail_run(run.number, error.message, gate.attempts, time.time() - started)
        log_event(root / LOGS, "run_failed", task=run.task, run=run.number, attempt=failed.attempts, why=error.message)
        then = "" if failed.state == FAILED else f"; {when_again(gate.retry_minutes)}"
        say(f"run {name}: attempt {failed.attempts} of {gate.attempts} failed: {error.message}{then}")
        return False
    state = PROMOTED if version else KEPT
    done = (result.commit, result.reason, result.figures, result.seconds, result.spend_usd)
    store.finish_run(run.number, state, version, *done)
    log_event(
        root / LOGS, f"run_{state}", task=run.task, run=run.number, version=version, previous=previous,
        commit=result.commit, why=result.reason, seconds=result.seconds, usd=result.spend_usd,
    )  # fmt: skip
    what = f"promoted to {order.adapter} {version}" if version else f"kept back, {previous or 'the base'} stays"
    say(f"run {name}: {what}; {result.reason}; {result.seconds:.0f} s")
    return True


def run_name(run: Run) -> str:
    return f"{run.task}-{run.number:04d}"


def prepare(root: Path, store: Store, run: Run, adapter: str) -> tuple[Order, Path]:
    """The folder of a run, with its order and its samples: the same samples, however often.

    After a failed attempt the next one starts from what is committed by now, which may have mended it.
    """
    from tuneline.feedback.snapshot import write_snapshot

    folder = root / RUNS / run_name(run)
    count = write_snapshot(store, run.task, folder / SAMPLES, run.upto)
    commit = head(root) if run.attempts else run.base_commit
    return write_order(folder, run.task, adapter, commit, None, count), folder


def write_order(folder: Path, task: str, adapter: str, commit: str, base: str | None, samples: int) -> Order:
    """The order of the samples that lie in a run's folder."""
    digest = hashlib.sha256((folder / SAMPLES).read_bytes()).hexdigest()
    order = Order(
        name=folder.name, task=task, adapter=adapter, commit=commit, base=base, samples=samples, sha256=digest
    )
    with whole_file(folder / ORDER) as part:
        part.write_text(order.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return order


def start_against_served(root: Path, folder: Path, order: Order, runner: str, say: Callable[[str], None]) -> Result:
    """The result of a run, compared with what is in service now.

    Raises RunFailed when there is none, and click.ClickException when what is in service cannot be compared with.
    """
    while True:
        if (result := read_result(folder)) is None:
            registry.mend(root, order.adapter)
            with held(root / LOCK) as free:  # the run itself waits, in its log
                if free is None:
                    say("another run, or a stage of a killed one, is still at work; waiting for its end")
            result = start(root, folder, runner)
        registered = any(one.commit == result.commit for one in registry.versions(root, order.adapter))
        if registered or result.previous == registry.served_version(root, order.adapter):
            return result
        # Somebody rolled back meanwhile: what it was compared with is not what it would replace.
        (folder / RESULT).unlink()


def conclude(root: Path, folder: Path, order: Order, result: Result) -> str | None:
    """Registers a winner and puts it into service; the version, or None where it stays back."""
    checkout, version = folder / CHECKOUT, None
    if result.wins:
        parent = result.previous or "the base"
        message = f"{order.adapter} of {order.samples} samples, parent {parent}: {result.reason}"
        version = registry.promote(root, order.adapter, checkout, result.commit, order.name, message)
    else:
        fetch_run(root, checkout, result.commit, order.name)
    shutil.rmtree(checkout, ignore_errors=True)
    return version
