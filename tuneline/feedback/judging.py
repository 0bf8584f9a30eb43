"""The worker that has new samples judged, beside the intake and never in its way.

A sample whose judgement cannot be had stays new and is tried again later; a failure is no score. Paid
answers are in the answer log first: a worker that is killed pays none of them twice. Calls that were
under way then are missing from the tallies.
"""

import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import click

from tuneline.feedback.gate_settings import gated_recipe, read_gate_settings
from tuneline.feedback.store import (
    ACCEPTED,
    DIMENSIONS,
    NO_CAPS,
    REJECTED,
    TASKS,
    Caps,
    Judgement,
    Store,
    Stored,
    Tally,
)
from tuneline.locks import held
from tuneline.measuring import task_judge
from tuneline.pipeline import stage_options
from tuneline.recipe.texts import read_prompt
from tuneline.teaching.judging import judge_by_rules
from tuneline.teaching.options import Settings, teacher_settings
from tuneline.teaching.request import Hopeless, Outcome, Request, Stopped
from tuneline.teaching.teacher import Teacher

BATCH, BATCH_OF_BATCHES = 100, 5000  # samples that are paid before the first is written

# Of one request: it is too long, or says what the service does not take. The key and the model have other numbers.
REFUSED = re.compile(r"the service says (400|413|422)\b")

# What is tallied of calls; metrics.py reads them.
CALLS, SECONDS, SPEND = "judge_calls_total", "judge_latency_seconds", "judge_spend_usd_total"
BOUNDS = (0.001, 0.01, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)  # seconds of a call


@dataclass
class Judging:
    """`settings.budget_usd` holds for all that is done with this object; `spent`: USD so far."""

    settings: Settings
    answers: Path  # the folder of the answer log
    recipe: Path  # whose judge it is
    rubrics: dict[str, str]  # of each task
    min_score: float
    caps: Caps = NO_CAPS
    window: int = task_judge.WINDOW  # characters of a source that one request may hold
    spent: float = field(default=0.0, compare=False)


@dataclass
class Counts:
    """What one call of `judge_new` did. `why`: of the last failure. `busy`: another process is judging.

    `stopped`: no call can be made, by want of a key or of budget.
    """

    accepted: int = 0
    rejected: int = 0
    failed: int = 0
    capped: Counter[str] = field(default_factory=Counter)  # of the rejected: which cap, how many
    why: str = ""
    busy: bool = False
    stopped: bool = False

    def __str__(self) -> str:
        if self.busy:
            return "another judge is at it"
        because = f", to be tried again: {self.why}" if self.failed else ""
        over = "".join(f"; {count} over {cap}" for cap, count in sorted(self.capped.items()))
        return f"{self.accepted} accepted, {self.rejected} rejected, {self.failed} failed{because}{over}"


def read_judging(root: Path) -> Judging:
    """The judge of the checkout's params.yaml, its rubrics, and the gate.

    Raises click.ClickException when one of them cannot be read.
    """
    gate, recipe = read_gate_settings(root), gated_recipe(root)
    options = stage_options(root, f"eval@{next(iter(gate.adapters.values()))}")
    rubrics = {name: read_prompt(recipe / f"judge/{name}.md") for name in TASKS}
    return Judging(teacher_settings(options), Path(options["answers"]), recipe, rubrics, gate.min_score, gate.caps)


def under_gate(judging: Judging, root: Path) -> Judging:
    """The same under the gate as params.yaml has it now, or that of another recipe where gate.adapters names one.

    Raises click.ClickException as read_judging.
    """
    if gated_recipe(root) != judging.recipe:
        return replace(read_judging(root), spent=judging.spent)
    gate = read_gate_settings(root)
    return replace(judging, min_score=gate.min_score, caps=gate.caps)


def judge_new(store: Store, judging: Judging, clock: Callable[[], float] = time.time) -> Counts:
    """Has all judged that is new and due when it is called, the oldest first, then returns.

    One judge works on a database at a time: what a second one would pay is paid already. It stops early
    when none of a batch could be judged or no call can be made. Raises click.ClickException for a rubric that
    cannot be filled.
    """
    counts = Counts()
    size = BATCH_OF_BATCHES if judging.settings.batch else BATCH
    with held(store.path.with_suffix(".judge")) as alone:
        if alone is None:
            counts.busy = True
            return counts
        now, upto = clock(), store.newest()  # samples may come faster than they are judged
        due = store.to_judge(size, now, upto)
        if not due:
            return counts  # no log is read
        with Teacher(judging.settings, judging.answers, judge_by_rules(judging.recipe)) as teacher:
            teacher.spent = judging.spent
            while due:
                done = counts.accepted + counts.rejected
                for task in sorted({sample.task for sample in due}):
                    _judge(store, teacher, judging, [one for one in due if one.task == task], counts, clock)
                    judging.spent = teacher.spent
                if counts.stopped or counts.accepted + counts.rejected == done:
                    break
                due = store.to_judge(size, now, upto)
    return counts


def _judge(
    store: Store, teacher: Teacher, judging: Judging, due: list[Stored], counts: Counts, clock: Callable[[], float]
) -> None:
    """Samples of one task."""
    task = due[0].task
    asked: list[tuple[Stored, list[Request]]] = []
    for one in due:
        over = store.over_cap(one.number, judging.caps)
        if why := store.is_known(one.number) or over:  # no call for it
            done = store.reject(one.number, why, clock())
            counts.rejected += done
            counts.capped.update([over] if done and why == over else [])
            continue
        try:
            requests = task_judge.requests(task, one.input, one.output, judging.rubrics[task], judging.window)
            if not teacher.offline:
                requests = [_next(teacher, request, one.attempts) for request in requests]
            asked.append((one, requests))
        except click.ClickException:  # the rubric's
            raise
        except Exception as error:  # a bug that one text brings out keeps no other from being judged
            _failed(store, counts, one, _bug(error), clock, _count(task, "unusable", 1))
    why, refused, stopped = "", False, False
    if not teacher.offline:
        why, refused, stopped = _pay(store, teacher, task, [request for _, requests in asked for request in requests])
    if refused and len(asked) > 1:  # whose request it is shows when each is asked alone
        for one, _ in asked:
            if not counts.stopped:
                _judge(store, teacher, judging, [one], counts, clock)
        return
    counts.stopped |= stopped
    for one, requests in asked:
        start = time.perf_counter()
        unpaid, keys = False, []
        try:
            found = [teacher.follow(request) for request in requests]
            outcomes = [outcome if isinstance(outcome, Outcome) else None for outcome in found]
            unpaid = None in outcomes
            keys = [key for outcome in outcomes if outcome and not teacher.offline for key in outcome.keys]
            said = task_judge.read(requests, outcomes)
        except Exception as error:  # as above
            said = _bug(error)
        seconds = (time.perf_counter() - start) / len(requests)
        calls = _answered(task, seconds) * len(requests) if teacher.offline else []
        if isinstance(said, str):
            if unpaid and stopped:  # not the sample's failure: it stays due
                counts.failed, counts.why = counts.failed + 1, why
                continue
            calls += [] if unpaid else _count(task, "unusable", 1)
            _failed(store, counts, one, why if unpaid and why else said, clock, calls, keys)
            continue
        scores = {name: float(said.scores[name]) for name in DIMENSIONS}
        judgement = Judgement(scores, said.reason, teacher.name, said.parts)
        state = store.judged(one.number, judgement, judging.min_score, clock(), calls, keys, judging.caps)
        if state == REJECTED and (reason := store.sample(one.key).reason).startswith("gate."):
            counts.capped[reason] += 1
        counts.accepted += state == ACCEPTED
        counts.rejected += state == REJECTED


def _failed(
    store: Store,
    counts: Counts,
    one: Stored,
    why: str,
    clock: Callable[[], float],
    calls: list[Tally],
    answers: Sequence[str] = (),
) -> None:
    counts.failed, counts.why = counts.failed + 1, why
    store.judge_failed(one.number, why, clock(), calls, answers)


def _bug(error: Exception) -> str:
    return f"the judge broke: {type(error).__name__}: {str(error)[:200]}"


def _pay(store: Store, teacher: Teacher, task: str, requests: list[Request]) -> tuple[str, bool, bool]:
    """Has the log hold what can be had; tallies the calls.

    (why the rest cannot, whether for what one request says, whether for what no request can help).
    """
    before, spent, why = len(teacher.log), teacher.spent, ""
    refused = stopped = False
    teacher.failures.clear()
    try:
        teacher.pay(requests, f"judge {task}", len(requests))
    except click.ClickException as error:
        why, of = error.message, error.__context__
        refused = isinstance(of, Hopeless) and bool(REFUSED.match(str(of)))
        stopped = isinstance(of, Hopeless | Stopped | OSError) and not refused
    finally:
        failed = len(teacher.failures) or int(bool(why))
        with store.transaction():
            for key in list(teacher.log.places)[before:]:
                answer = teacher.log.get(key.hex())
                store.add_tallies(_answered(task, answer.seconds))
            if failed:
                store.add_tallies(_count(task, "failed", failed))
            store.add_tallies([(SPEND, {}, teacher.spent - spent)])
    return why, refused, stopped


def _next(teacher: Teacher, request: Request, failed: int) -> Request:
    """The request or the first of its repetitions that has a usable answer or none yet.

    An answer that cannot be used stands in the log for good: a later try asks the same under another number.
    """
    for number in range(failed + 1):
        repeated = replace(request, number=number)
        found = teacher.follow(repeated)
        if not isinstance(found, Outcome) or found.reason is None:
            break
    return repeated


def _answered(task: str, seconds: float) -> list[Tally]:
    """Of a call that got an answer. A bucket counts its own calls alone."""
    bound = next((bound for bound in BOUNDS if seconds <= bound), "+Inf")
    bucket = (f"{SECONDS}_bucket", {"le": str(bound)}, 1.0)
    return [*_count(task, "answered", 1), bucket, (f"{SECONDS}_sum", {}, seconds)]


def _count(task: str, outcome: str, count: int) -> list[Tally]:
    """`outcome`: answered, failed (a call given up) or unusable (a sample whose answers give no judgement)."""
    return [(CALLS, {"task": task, "outcome": outcome}, float(count))]
