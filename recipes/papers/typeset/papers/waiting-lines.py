"""Utilisation and waiting time: queues with one and several servers, formulas against simulation.

Requests arrive at random (exponential gaps, unless stated otherwise) and are served in order of arrival. The unit of
time is the mean service of one request. Single servers are simulated by the recursion for successive waits, groups of
servers by a heap of the instants at which each of them becomes free.
"""

import heapq
from collections import deque
from collections.abc import Callable
from functools import cache
from math import exp, log

import numpy as np
from matplotlib.axes import Axes

LOADS = (0.5, 0.7, 0.8, 0.9, 0.95)
SERVERS = (1, 4, 16)
VARIABILITIES = (0.0, 1.0, 4.0)
COLOURS = ("black", "C0", "C1")
LINES = ("-", "--", "-.")
MARKERS = ("o", "s", "^")


def services(size: int, variability: float, rng: np.random.Generator) -> np.ndarray:
    """Service times with mean 1 and the given squared coefficient of variation (0, 1 or more)."""
    if variability == 0:
        return np.ones(size)
    if variability == 1:
        return rng.exponential(size=size)
    share = (1 + np.sqrt((variability - 1) / (variability + 1))) / 2
    frequent = rng.random(size) < share
    return rng.exponential(np.where(frequent, 0.5 / share, 0.5 / (1 - share)))


def waits(gaps: np.ndarray, work: np.ndarray) -> np.ndarray:
    """Waiting time of every request at one server that starts empty; gaps[i] separates requests i and i + 1."""
    steps = np.concatenate([[0.0], np.cumsum(work[:-1] - gaps[:-1])])
    return steps - np.minimum.accumulate(steps)


def one_server(load: float, variability: float, seed: int, size: int = 1_000_000) -> tuple[np.ndarray, np.ndarray]:
    """Waits and service times at one server after a warm-up of a tenth of the requests."""
    rng = np.random.default_rng(seed)
    work = services(size, variability, rng)
    delays = waits(rng.exponential(1 / load, size), work)
    return delays[size // 10 :], work[size // 10 :]


def shared_queue(load: float, servers: int, seed: int, size: int = 400_000) -> np.ndarray:
    """Response times behind one line for several servers."""
    rng = np.random.default_rng(seed)
    arrivals = np.cumsum(rng.exponential(1 / (load * servers), size)).tolist()
    work = rng.exponential(size=size).tolist()
    free = [0.0] * servers
    responses = []
    for now, need in zip(arrivals, work, strict=True):
        end = max(now, free[0]) + need
        heapq.heapreplace(free, end)
        responses.append(end - now)
    return np.array(responses[size // 10 :])


Chooser = Callable[[int, list[deque], np.random.Generator], int]


def pick_shorter_of_two(_: int, lines: list[deque], rng: np.random.Generator) -> int:
    """Compare two lines taken at random."""
    first, second = int(rng.random() * len(lines)), int(rng.random() * (len(lines) - 1))
    second += second >= first
    return first if len(lines[first]) <= len(lines[second]) else second


CHOOSERS: dict[str, Chooser] = {
    "random line": lambda _, lines, rng: int(rng.random() * len(lines)),
    "lines in turn": lambda number, lines, _: number % len(lines),
    "shorter of two": pick_shorter_of_two,
    "shortest line": lambda _, lines, __: min(range(len(lines)), key=lambda i: len(lines[i])),
}


def separate_lines(load: float, servers: int, choose: Chooser, seed: int, size: int = 400_000) -> np.ndarray:
    """Response times when each server has a line of its own and a request keeps the line it was given."""
    rng = np.random.default_rng(seed)
    arrivals = np.cumsum(rng.exponential(1 / (load * servers), size)).tolist()
    work = rng.exponential(size=size).tolist()
    lines: list[deque] = [deque() for _ in range(servers)]
    last_end = [0.0] * servers
    responses = []
    for number, (now, need) in enumerate(zip(arrivals, work, strict=True)):
        for line in lines:
            while line and line[0] <= now:
                line.popleft()
        chosen = choose(number, lines, rng)
        last_end[chosen] = max(now, last_end[chosen]) + need
        lines[chosen].append(last_end[chosen])
        responses.append(last_end[chosen] - now)
    return np.array(responses[size // 10 :])


def probability_of_waiting(load: float, servers: int) -> float:
    """Erlang's delay formula, by the stable recursion through the loss formula."""
    offered, loss = load * servers, 1.0
    for count in range(1, servers + 1):
        loss = offered * loss / (count + offered * loss)
    return loss / (1 - load * (1 - loss))


def predicted_wait(load: float, servers: int = 1) -> float:
    """Mean wait behind one line, in service times."""
    return probability_of_waiting(load, servers) / (servers * (1 - load))


def predicted_wait_variability(load: float, variability: float) -> float:
    """Mean wait at one server with any distribution of service times."""
    return load / (1 - load) * (1 + variability) / 2


def highest_load(servers: int, wait: float) -> float:
    """Utilisation at which the mean wait reaches the given number of service times."""
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if predicted_wait(middle, servers) < wait else (low, middle)
    return low


def servers_needed(offered: float, wait: float) -> int:
    """Smallest group behind one line that carries the offered work with no more than the given mean wait."""
    servers = int(offered) + 1
    while predicted_wait(offered / servers, servers) > wait:
        servers += 1
    return servers


@cache
def measured_responses(servers: int) -> list[float]:
    """Mean response at every load."""
    return [float(shared_queue(load, servers, seed).mean()) for seed, load in enumerate(LOADS)]


@cache
def measured_waits(variability: float) -> list[float]:
    """Mean wait at one server at every load."""
    return [float(one_server(load, variability, seed)[0].mean()) for seed, load in enumerate(LOADS, 20)]


def bursty_day() -> tuple[float, float, float]:
    """Rate, mean time in system and mean number in system over the middle of a run with an uneven, bursty load."""
    rng = np.random.default_rng(13)
    size = 100_000
    swing = 1 + 0.4 * np.sin(np.arange(size) * 2 * np.pi / 5000)
    gaps = rng.exponential(size=size) * swing / 0.8
    work = services(size, 4.0, rng)
    arrivals = np.concatenate([[0.0], np.cumsum(gaps[:-1])])
    ends = arrivals + waits(gaps, work) + work
    start, stop = arrivals[size // 4], arrivals[3 * size // 4]
    inside = (arrivals >= start) & (arrivals < stop)
    overlap = np.clip(np.minimum(ends, stop) - np.maximum(arrivals, start), 0, None)
    rate = float(inside.sum() / (stop - start))
    return rate, float((ends - arrivals)[inside].mean()), float(overlap.sum() / (stop - start))


def window_spread(load: float, length: int) -> tuple[float, float]:
    """Fifth and ninety-fifth percentile of the mean response over windows, relative to the exact mean."""
    delays, work = one_server(load, 1.0, seed=14, size=4_000_000)
    count = len(delays) // length
    means = (delays + work)[: count * length].reshape(count, length).mean(axis=1) * (1 - load)
    return float(np.quantile(means, 0.05)), float(np.quantile(means, 0.95))


def draw(ax: Axes, labels: list[str], predicted: list[Callable[[float], float]], measured: list[list[float]]) -> None:
    """Draw each formula as a line and its simulation as markers."""
    loads = np.linspace(0.3, 0.96, 100)
    for label, formula, points, colour, line, marker in zip(
        labels, predicted, measured, COLOURS, LINES, MARKERS, strict=True
    ):
        ax.plot(loads, [formula(load) for load in loads], color=colour, ls=line)
        ax.plot(LOADS, points, color=colour, ls="none", marker=marker, ms=4)
        ax.plot([], [], color=colour, ls=line, marker=marker, ms=4, label=label)
    ax.set_xlabel("utilisation of each server")
    ax.legend(fontsize=7)


def response_by_load(ax: Axes) -> None:
    """Mean response over utilisation for one server and for groups behind one line."""
    labels = ["1 server", *(f"{servers} servers" for servers in SERVERS[1:])]
    formulas = [lambda load, servers=servers: 1 + predicted_wait(load, servers) for servers in SERVERS]
    draw(ax, labels, formulas, [measured_responses(servers) for servers in SERVERS])
    ax.set_ylabel("mean response (service times)")


def wait_by_variability(ax: Axes) -> None:
    """Mean wait over utilisation at one server for three variabilities of service."""
    labels = [f"squared variation {variability:g}" for variability in VARIABILITIES]
    formulas = [lambda load, scv=scv: predicted_wait_variability(load, scv) for scv in VARIABILITIES]
    draw(ax, labels, formulas, [measured_waits(variability) for variability in VARIABILITIES])
    ax.set_yscale("log")
    ax.set_ylabel("mean wait (service times)")


def main() -> None:
    """Print every number quoted in the text."""
    print("loads", LOADS)
    for servers in SERVERS:
        print(servers, "servers: predicted", [round(1 + predicted_wait(load, servers), 3) for load in LOADS])
        print(servers, "servers: simulated", [round(value, 3) for value in measured_responses(servers)])
    for variability in VARIABILITIES:
        exact = [round(predicted_wait_variability(load, variability), 3) for load in LOADS]
        print("variability", variability, "predicted", exact)
        print("variability", variability, "simulated", [round(value, 3) for value in measured_waits(variability)])
    for load in (*LOADS, 0.99):
        print("load", load, "99th percentile", round(log(100) / (1 - load), 1), "median", round(log(2) / (1 - load), 2))
    print("one of twenty calls among the slowest hundredth", round(1 - 0.99**20, 3))
    print("responses over ten service times", {load: round(exp(-10 * (1 - load)), 4) for load in (0.5, 0.9)})
    target = predicted_wait_variability(0.9, 1.0)
    matching = target / (target + 2.5)  # load at which a variability of 4 waits no longer than the target
    print("matching load", round(matching, 3), "capacity ratio", round(0.9 / matching, 3))

    print("dollars a month for 31 cores at 3 cents an hour", round(31 * 0.03 * 24 * 30))
    delays, work = one_server(0.9, 1.0, seed=12)
    print("simulated 99th percentile at 0.9", round(float(np.quantile(delays + work, 0.99)), 1))
    print("waiting at 0.9", {count: round(probability_of_waiting(0.9, count), 3) for count in (1, 4, 16, 64)})
    for wait in (0.1, 1.0):
        print("highest load for a wait of", wait, {c: round(highest_load(c, wait), 3) for c in (1, 2, 4, 16, 64)})
        print("servers for 32 units of work", servers_needed(32, wait))
    print("rate, time, number, product", (day := bursty_day()), day[0] * day[1])
    for load in (0.5, 0.8, 0.9, 0.95):
        print(
            "window spread", load, [tuple(round(x, 2) for x in window_spread(load, n)) for n in (1000, 10_000, 100_000)]
        )
    for name, choose in CHOOSERS.items():
        responses = separate_lines(0.9, 4, choose, seed=15)
        print(name, round(float(responses.mean()), 2), round(float(np.quantile(responses, 0.99)), 1))
    together = shared_queue(0.9, 4, seed=15)
    print("one server four times as fast, load 0.9", round(1 / (4 * (1 - 0.9)), 2))
    print("one line", round(float(together.mean()), 2), round(float(np.quantile(together, 0.99)), 1))


if __name__ == "__main__":
    main()
