"""Clients retrying against a rate-limited server: exponential backoff without jitter, with equal and with full jitter.

N clients send one request each at the same moment to a server that admits requests from a token bucket and refuses the
rest. A refused client waits according to its policy and tries again until it is admitted. The simulation is driven by
a heap of arrival times; each way of the network takes 5 ms plus an exponential delay with a mean of 5 ms.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

RATE = 100.0  # tokens a second
DEPTH = 20.0  # tokens the bucket can hold
BASE = 0.1  # seconds, first delay
CAP = 10.0  # seconds, longest delay
SEEDS = range(5)
SIZES = (50, 100, 200, 500, 1000, 2000)

Policy = Callable[[float, np.random.Generator], float]
POLICIES: dict[str, Policy] = {
    "none": lambda window, rng: window,
    "equal": lambda window, rng: window * (0.5 + 0.5 * rng.random()),
    "full": lambda window, rng: window * rng.random(),
}
STYLES = {"none": ("k-", "s"), "equal": ("C0--", "o"), "full": ("C1-.", "^")}


@dataclass
class Run:
    """What one simulated recovery left behind."""

    arrivals: np.ndarray  # time of every call at the server
    finished: np.ndarray  # time at which each client was admitted, sorted
    rounds: int  # most calls made by one client

    @property
    def wasted(self) -> float:
        """Refused calls for each client."""
        return len(self.arrivals) / len(self.finished) - 1

    @property
    def peak(self) -> int:
        """Most calls in any tenth of a second after the first second."""
        return int(np.bincount((self.arrivals[self.arrivals >= 1.0] * 10).astype(int), minlength=1).max())


def latency(rng: np.random.Generator) -> float:
    """One way through the network, in seconds."""
    return 0.005 + rng.exponential(0.005)


def simulate(
    policy: str, clients: int, seed: int, cap: float = CAP, spread: float = 0.0, refusal_cost: float = 0.0
) -> Run:
    """Send one request for each client, the first tries spread evenly at random over `spread` seconds."""
    rng = np.random.default_rng(seed)
    delay = POLICIES[policy]
    heap = [(spread * rng.random() + latency(rng), client, 0) for client in range(clients)]
    heapq.heapify(heap)
    tokens, clock = DEPTH, 0.0
    arrivals, finished, rounds = [], [], 0
    while heap:
        now, client, tries = heapq.heappop(heap)
        tokens, clock = min(DEPTH, tokens + RATE * (now - clock)), now
        arrivals.append(now)
        rounds = max(rounds, tries + 1)
        if tokens >= 1.0:
            tokens -= 1.0
            finished.append(now)
            continue
        tokens = max(0.0, tokens - refusal_cost)
        pause = delay(min(cap, BASE * 2**tries), rng)
        heapq.heappush(heap, (now + latency(rng) + pause + latency(rng), client, tries + 1))
    return Run(np.array(arrivals), np.array(finished), rounds)


def repeat(policy: str, clients: int, **options: float) -> list[Run]:
    """The same situation under every seed."""
    return [simulate(policy, clients, seed, **options) for seed in SEEDS]


def mean(values: list[float]) -> float:
    """Arithmetic mean as a plain number."""
    return float(np.mean(values))


def ideal(clients: int) -> float:
    """Earliest possible end: the bucket is full at the start and never overflows afterwards."""
    return max(0.0, (clients - DEPTH) / RATE)


def offered_load(ax: Axes) -> None:
    """Calls reaching the server in each quarter of a second, 500 clients."""
    edges = np.arange(0.0, 30.25, 0.25)
    for policy, (line, _) in STYLES.items():
        counts, _ = np.histogram(simulate(policy, 500, seed=1).arrivals, edges)
        ax.plot(edges[:-1], counts * 4, line, lw=1.0, label=policy)
    ax.axhline(RATE, color="0.5", lw=1.2, ls=":", label="token rate")
    ax.set_yscale("symlog", linthresh=10)
    ax.set_ylim(0, 100_000)
    ax.set_xlabel("time since the restart (s)")
    ax.set_ylabel("calls per second")
    ax.legend(fontsize=7, ncols=2)


def time_to_finish(ax: Axes) -> None:
    """Time until the last client is served, over the number of clients."""
    for policy, (line, marker) in STYLES.items():
        ends = [mean([run.finished[-1] for run in repeat(policy, size)]) for size in SIZES]
        ax.loglog(SIZES, ends, line, marker=marker, ms=4, label=policy)
    ax.loglog(SIZES, [ideal(size) for size in SIZES], color="0.5", ls=":", label="ideal")
    ax.set_xlabel("clients")
    ax.set_ylabel("time to finish (s)")
    ax.legend(fontsize=7)


def report(label: str, runs: list[Run]) -> None:
    """Print the averages of a group of runs."""
    ends = [run.finished[-1] for run in runs]
    median = mean([float(np.median(run.finished)) for run in runs])
    p90 = mean([float(np.quantile(run.finished, 0.9)) for run in runs])
    wasted = [run.wasted for run in runs]
    print(
        f"{label:34s} wasted {mean(wasted):6.2f} [{min(wasted):.2f}-{max(wasted):.2f}]"
        f" median {median:6.2f} p90 {p90:6.2f}"
        f" end {mean(ends):6.1f} [{min(ends):.1f}-{max(ends):.1f}] peak {mean([run.peak for run in runs]):5.0f}"
    )


def report_predictions() -> None:
    """Print what equations (2) and (3) say of the waste."""
    for size in SIZES:
        batch = size / mean([run.rounds for run in repeat("none", size)])
        none, full = size / (2 * batch) - 0.5, np.log2(size / (RATE * BASE))
        print(f"N={size} admitted in a round {batch:.1f}, predicted waste: none {none:.1f}, full {full:.1f}")


def main() -> None:
    """Print every number quoted in the text."""
    report_predictions()
    print(
        f"rate used without jitter, N=500: {500 / mean([run.finished[-1] for run in repeat('none', 500)]) / RATE:.3f}"
    )
    for policy in POLICIES:
        for size in SIZES:
            report(f"{policy} N={size} ideal={ideal(size):.1f}", repeat(policy, size))
    for policy in POLICIES:
        for spread in (1.0, 5.0, 10.0):
            report(f"{policy} N=500 spread={spread}", repeat(policy, 500, spread=spread))
        for cap in (1.0, 3.0, 30.0):
            report(f"{policy} N=500 cap={cap}", repeat(policy, 500, cap=cap))
        for cost in (0.1, 0.2):
            report(f"{policy} N=500 refusal={cost}", repeat(policy, 500, refusal_cost=cost))


if __name__ == "__main__":
    main()
