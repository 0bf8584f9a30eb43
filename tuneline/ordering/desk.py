"""The desk that hands out instructions and takes cases: all decisions, no HTTP.

One thread calls it. What it knows beside the database (how often each value is there, which combinations
are recent, which texts are known) is made from the database on start.
"""

import contextlib
import heapq
import math
import random
import sqlite3
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from tuneline.ordering.balance import Balance, Counts
from tuneline.ordering.checks import MISSING, Known, Refusal, check, read_language
from tuneline.ordering.seed_cases import SeedCase
from tuneline.ordering.shares import Shares
from tuneline.ordering.store import ACCEPTED, EXPIRED, OUT, Instruction, Store, Submission
from tuneline.recipe.own import Orders

UNKNOWN, USED, TOO_LATE = "unknown", "used", "expired"  # the desk's reasons; the others are the text's
REPEATED = 4  # a combination may come again after a quarter of all: else their number would undo the shares


class NothingToDo(Exception):
    """`retry_after`: seconds until an instruction may come back from an agent; None when the corpus is complete."""

    def __init__(self, retry_after: int | None) -> None:
        super().__init__("complete" if retry_after is None else "all out")
        self.retry_after = retry_after


class TooMany(Exception):
    """The agent has as many instructions as it may. `retry_after`: seconds until the first of them expires."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("too many")
        self.retry_after = retry_after


class Desk:
    """`to_write`: cases that are to be accepted; `expire_after`: seconds that an agent may keep an instruction.

    Raises click.ClickException when the state is of a corpus with other dimensions.
    """

    def __init__(
        self,
        store: Store,
        shares: Shares,
        orders: Orders,
        seeds: list[SeedCase],
        *,
        total: int,
        seed: int,
        expire_after: float,
        recent: int,
        most_out: int = 20,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.store, self.shares, self.orders, self.known = store, shares, orders, Known(shares.near_duplicate)
        read_language(shares.language)
        store.must_be_by(shares.names)
        self.to_write = max(0, total - len(seeds))
        self.seed, self.expire_after, self.most_out, self.clock = seed, expire_after, most_out, clock
        self.balance, self.counts = Balance(shares, seed), Counts(shares)
        for case in seeds:
            self.counts.add(case.dimensions)
            self.known.add(case.case_text)
        for dimensions in store.combinations():
            self.counts.add(dimensions)
        self.accepted = store.statuses()[ACCEPTED]
        self.out = {one.id: one for one in store.instructions(status=OUT)}
        self.due = [(one.expires, one.id) for one in self.out.values()]  # a heap; some are no longer out
        heapq.heapify(self.due)
        for case in store.submissions(accepted=True):
            self.known.add(case.case_text)
        last = [one for one in store.instructions(last=recent) if one.status != EXPIRED]
        recent = min(recent, shares.most // REPEATED)
        self.recent = deque((shares.signature(one.dimensions) for one in reversed(last)), maxlen=recent)
        self.number = store.next_number()

    def next(self, agent_id: str) -> Instruction:
        """Raises NothingToDo when all that is to be written is accepted or out with agents, TooMany when too much is
        with this one: an agent that asks and never writes would leave nothing for the others.
        """
        self.expire()
        held = [one.expires for one in self.out.values() if one.agent_id == agent_id]
        if len(held) >= self.most_out:
            raise TooMany(max(1, math.ceil(min(held) - self.clock())))
        remaining = self.to_write - self.accepted - len(self.out)
        if remaining <= 0:
            raise NothingToDo(self._retry_after())
        dimensions = self.balance.next(self.counts, self.recent, remaining, self.number)
        order = self.orders.draw(dimensions, random.Random(f"{self.seed}/{self.number}/target"))
        facts, now = (order.target, order.target_toon, order.prompt), self.clock()
        new = Instruction(self.number, agent_id, dimensions, *facts, now, now + self.expire_after)
        self.store.issue(new)
        self.counts.add(dimensions)
        self.recent.append(self.shares.signature(dimensions))
        self.number += 1
        self.out[new.id] = new
        heapq.heappush(self.due, (new.expires, new.id))
        return new

    def _retry_after(self) -> int | None:
        first = min((one.expires for one in self.out.values()), default=None)
        return None if first is None else max(1, math.ceil(first - self.clock()))

    def expire(self) -> int:
        """Takes back what agents have kept too long; how many."""
        now, late = self.clock(), []
        self._lend_anew(now)
        while self.due and self.due[0][0] <= now:
            _, instruction_id = heapq.heappop(self.due)
            if instruction_id in self.out:
                late.append(self.out[instruction_id])
        try:
            if late:
                self.store.expire([one.number for one in late])
        except sqlite3.Error:
            for one in late:
                heapq.heappush(self.due, (one.expires, one.id))
            raise
        for one in late:
            del self.out[one.id]
            self.counts.add(one.dimensions, -1)
            with contextlib.suppress(ValueError):  # its combination is wanted again, and no case has it
                self.recent.remove(self.shares.signature(one.dimensions))
        return len(late)

    def _lend_anew(self, now: float) -> None:
        """Where the clock has gone back: what was lent after now is lent from now, else it would be out for years."""
        early = [one for one in self.out.values() if one.issued > now]
        for one in early:
            self.out[one.id] = replace(one, issued=now, expires=now + self.expire_after)
        if early:
            self.due = [(one.expires, one.id) for one in self.out.values()]
            heapq.heapify(self.due)

    def submit(self, instruction_id: str, agent_id: str, case_text: str) -> Submission:
        """What became of a text. The one that was accepted, sent again by its agent, is accepted again: a retry."""
        self.expire()
        instruction = self.out.get(instruction_id) or self.store.instruction(instruction_id)
        if instruction and instruction.status == ACCEPTED:
            before = self.store.accepted(instruction_id)
            if (before.agent_id, before.case_text) == (agent_id, case_text):
                return before
        refusals = [{"reason": r.reason, "detail": r.detail} for r in self._refusals(instruction, case_text)]
        missing = [refusal["detail"] for refusal in refusals if refusal["reason"] == MISSING]
        new = Submission(0, instruction_id, agent_id, case_text, self.clock(), not refusals, refusals, missing)
        self.store.submit(new)
        if new.accepted:
            self.known.add(case_text)
            self.accepted += 1
            del self.out[instruction_id]
        return new

    def _refusals(self, instruction: Instruction | None, case_text: str) -> list[Refusal]:
        if instruction is None:
            return [Refusal(UNKNOWN, "no instruction with this id was handed out")]
        if instruction.status == ACCEPTED:
            return [Refusal(USED, "a case was accepted for this instruction; ask for the next one")]
        if instruction.status == EXPIRED:
            return [Refusal(TOO_LATE, "the instruction was out for too long; ask for the next one")]
        faults, limits = self.orders.faults(instruction.order, case_text), self.shares.limits(instruction.dimensions)
        return check(case_text, faults, limits, self.shares.language, self.known)
