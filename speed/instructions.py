"""Measures the instruction server: its balance against the smallest-ratio rule, and its answers under load.

    python speed/instructions.py            # about two minutes
    python speed/instructions.py --json     # one flat object
    python speed/instructions.py --only balance
    python speed/instructions.py --small

Balance: 1,237 cases are to be written to a seed corpus of 150 that is skewed, 50 agents have an
instruction each, a fifth of the instructions expires. The figure is the mean over all values of all
dimensions of the absolute deviation from the target share, in points, topics by mentions. The rule it is
compared with takes in each dimension the value with the smallest count ÷ share: `ratio` counts what was
handed out, as a server without expiry does; `ratio_told` is told what has expired and counts second
topics.

Load: 50 agents at a time take 5,000 instructions and hand in 5,000 cases on loopback. The server is a
process of its own with the recipe's targets and checks; the texts are written beside it by the offline
writer. An agent takes 0 to 2 seconds for a text, a model takes longer. `flat_out`: 1,000 cases with
agents that take no time at all, so that all 50 always wait for the server: its throughput.
"""

import asyncio
import contextlib
import json
import multiprocessing
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from speed.bench import ROOT, small, tell
from tuneline.ordering.balance import Balance, Counts
from tuneline.ordering.shares import Shares, holds, read_shares

RECIPE = ROOT / "recipes/succession"
Combination = dict[str, str | None]


@dataclass(frozen=True)
class Conditions:
    cases: int = 1237
    seed_cases: int = 150
    agents: int = 50
    expired: float = 0.2
    recent: int = 200


def skewed_cases(shares: Shares, count: int, rng: random.Random) -> list[Combination]:
    """A seed corpus as one finds them: some values far too often, others hardly."""
    weights = {
        name: {value: share * rng.choice((0.2, 1, 3)) for value, share in values.items()}
        for name, values in shares.values.items()
    }
    return [
        where_it_applies(shares, {name: rng.choices([*w], [*w.values()])[0] for name, w in weights.items()})
        for _ in range(count)
    ]


def where_it_applies(shares: Shares, case: Combination) -> Combination:
    """The case without the dimensions that only others have."""
    return {name: None if name in shares.only and not holds(shares.only[name], case) else case[name] for name in case}


def smallest_ratio(counts: Counts, rng: random.Random) -> Combination:
    """In each dimension the value with the smallest count ÷ share; a second topic by chance, the next in ratio."""
    shares = counts.shares

    def ranked(name: str) -> list[str]:
        values = shares.values[name]
        return sorted(values, key=lambda value: counts.values[name][value] / values[value])

    drawn = where_it_applies(shares, {name: ranked(name)[0] for name in shares.plain})
    for name, second in shares.second.items():
        first, next_one, *_ = ranked(second.of)
        has_second = holds(second.always, drawn) or rng.random() < second.share
        drawn |= {second.of: first, name: next_one if has_second else None}
    return drawn


def simulate(shares: Shares, rule: str, seed: int, conditions: Conditions) -> Counts:
    """The finished corpus, under `rule`: balance, ratio or ratio_told."""
    rng = random.Random(f"{seed}/agents")
    seeds = skewed_cases(shares, conditions.seed_cases, random.Random(f"{seed}/seeds"))
    corpus, known = Counts(shares), Counts(shares)
    for case in seeds:
        corpus.add(case)
        known.add(case)
    balance = Balance(shares, seed)
    recent: deque[str] = deque(maxlen=conditions.recent)
    out: list[Combination] = []
    accepted = number = 0
    while accepted < conditions.cases:
        while len(out) < conditions.agents and accepted + len(out) < conditions.cases:
            number += 1
            if rule == "balance":
                drawn = balance.next(known, recent, conditions.cases - accepted - len(out), number)
                recent.append(shares.signature(drawn))
            else:
                drawn = smallest_ratio(known, rng)
            known.add(drawn if rule != "ratio" else {**drawn, **dict.fromkeys(shares.second)})
            out.append(drawn)
        done = out.pop(rng.randrange(len(out)))
        if rng.random() >= conditions.expired:
            accepted += 1
            corpus.add(done)
        elif rule != "ratio":
            known.add(done, -1)
            if rule == "balance":
                with contextlib.suppress(ValueError):
                    recent.remove(shares.signature(done))
    return corpus


def measure_balance(conditions: Conditions = Conditions(), runs: int = 5) -> dict[str, float]:
    shares = read_shares(RECIPE / "dimensions.yaml")
    figures: dict[str, float] = {}
    for rule in ("balance", "ratio_told", "ratio"):
        corpora = [simulate(shares, rule, seed, conditions) for seed in range(runs)]
        worst = [max(abs(p) for of in c.deviations().values() for p in of.values()) for c in corpora]
        figures[f"{rule}_mean_deviation"] = round(sum(c.mean_deviation() for c in corpora) / runs, 4)
        figures[f"{rule}_worst_deviation"] = round(max(worst), 4)
    return figures


def start_writer() -> None:
    """Reads what the offline writer needs, once in each process of the pool."""
    global WRITE
    from tuneline.ordering.agents import Task, offline_writer

    write = offline_writer(RECIPE)
    WRITE = lambda instruction, faults: write([Task("", instruction, faults)])[0]  # noqa: E731


def write_text(instruction: dict[str, Any], faults: list[str]) -> str | None:
    return WRITE(instruction, faults)


class Load:
    """Agents that take up to twice `pause` seconds for a text; what each request took, in seconds."""

    def __init__(self, url: str, pool: ProcessPoolExecutor, agents: int, pause: float) -> None:
        self.url, self.pool, self.agents, self.pause = url, pool, agents, pause
        self.rng = random.Random(0)
        self.seconds: dict[str, list[float]] = {"next-instruction": [], "submit-case": []}
        self.given: list[str] = []
        self.accepted = self.refused = self.errors = 0

    async def run(self) -> None:
        import aiohttp

        timeout = aiohttp.ClientTimeout(total=60)
        async with aiohttp.ClientSession(self.url, timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as http:
            self.http = http
            await asyncio.gather(*(self.work(f"agent-{number:02d}") for number in range(self.agents)))

    async def post(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        start = time.perf_counter()
        async with self.http.post(f"/{path}", json=body) as answer:
            raw = await answer.read()
        self.seconds[path].append(time.perf_counter() - start)
        return answer.status, json.loads(raw)

    async def work(self, agent_id: str) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self.rng.uniform(0, 2 * self.pause))
            status, given = await self.post("next-instruction", {"agent_id": agent_id})
            if status == 409:
                return
            if status != 200:
                self.errors += 1
                continue
            self.given.append(given["instruction_id"])
            faults: list[str] = []
            while len(faults) < 3 and (text := await loop.run_in_executor(self.pool, write_text, given, faults)):
                body = {"instruction_id": given["instruction_id"], "agent_id": agent_id, "case_text": text}
                status, verdict = await self.post("submit-case", body)
                if status == 200 and verdict["accepted"]:
                    self.accepted += 1
                    break
                self.refused += status == 422
                self.errors += status != 422
                faults.append(str(verdict))


def measure_load(name: str, cases: int, agents: int, pause: float) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        return {f"{name}_{key}": value for key, value in load_figures(Path(folder), cases, agents, pause).items()}


def load_figures(folder: Path, cases: int, agents: int, pause: float) -> dict[str, float]:
    port, seeds = free_port(), folder / "seeds.jsonl"
    seeds.touch()  # none, whatever the pipeline has gathered in this checkout
    command = [sys.executable, "-m", "tuneline.ordering.commands", "serve", "--recipe", str(RECIPE), "--state"]
    command += [str(folder / "state"), "--port", str(port), "--total", str(cases), "--seed-cases", str(seeds)]
    server = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env={**os.environ, "TUNELINE_TOKEN": ""}
    )
    try:
        server.stdout.readline()
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, mp_context=context, initializer=start_writer) as pool:
            pool.submit(time.sleep, 0).result()
            load = Load(f"http://127.0.0.1:{port}", pool, agents, pause)
            start = time.perf_counter()
            asyncio.run(load.run())
            seconds = time.perf_counter() - start
        busy = psutil.Process(server.pid).cpu_times()
    finally:
        server.terminate()
        server.wait()
    summary = json.loads((folder / "state/summary.json").read_text("utf-8"))
    off = [abs(of["share"] - of["target"]) for values in summary["coverage"].values() for of in values.values()]
    figures: dict[str, float] = {
        "agents": agents,
        "accepted": load.accepted,
        "refused": load.refused,
        "errors": load.errors,
        "handed_out_twice": len(load.given) - len(set(load.given)),
        "seconds": round(seconds, 1),
        "cases_per_second": round(load.accepted / seconds, 1),
        "server_cpu_ms_per_case": round(1000 * (busy.user + busy.system) / load.accepted, 2),
        "worst_deviation": round(max(off), 3),
    }
    for path, taken in load.seconds.items():
        taken.sort()
        for percent in (50, 99):
            figures[f"{path.split('-')[0]}_p{percent}_ms"] = round(1000 * taken[len(taken) * percent // 100], 1)
    return figures


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One flat object.")
@click.option("--cases", type=int, default=5000, show_default=True, help="Of the load.")
@click.option("--agents", type=int, default=50, show_default=True, help="Of the load.")
@click.option("--pause", type=float, default=1.0, show_default=True, help="Mean seconds of an agent for a text.")
@click.option("--runs", type=int, default=5, show_default=True, help="Of the balance, a rule.")
@click.option("--only", type=click.Choice(["balance", "load", "flat_out"]))
@small(cases=12, agents=3, pause=0.01, runs=1)
def main(as_json: bool, cases: int, agents: int, pause: float, runs: int, only: str | None) -> None:
    parts = {
        "balance": lambda: measure_balance(runs=runs),
        "load": lambda: measure_load("load", cases, agents, pause),
        "flat_out": lambda: measure_load("flat_out", min(cases, 1000), agents, 0.0),
    }
    figures: dict[str, float] = {}
    for name, part in parts.items():
        if only in (None, name):
            figures |= part()
    tell(figures, as_json)


if __name__ == "__main__":
    main()
