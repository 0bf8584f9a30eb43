"""Measures the feedback server: whether it loses a sample under load, and how fast it answers.

    python speed/feedback.py                # about a minute and a half
    python speed/feedback.py --json         # one flat object
    python speed/feedback.py --only load --seconds 20
    python speed/feedback.py --small

Load: `--rate` samples a second, each a request of its own, for `--seconds` on loopback, sent at their
moments whatever the server does (open loop), every twentieth a second time. A judge (the offline one)
works at the same time, as a process of its own, on the same database. Lost: acknowledged and not in the
database afterwards. Flat out: requests one after the other on 16 connections, of 1 and of 100 samples, without a
judge.
"""

import asyncio
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field, replace
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import aiohttp
import click
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from speed.bench import ROOT, Figures, small, tell
from tuneline.feedback.store import Sample, Store

AGAIN = 20  # every so many-th sample is sent a second time
CONNECTIONS = 16
TEXT = (
    "The footbridge over the Lenne closes on 14 March for six weeks. Inspectors found rust on four of its cables. "
    "Walkers will take the road bridge 400 metres downstream, and a free bus runs every 15 minutes at peak hours. "
    "The work costs 780,000 euros; the town pays a third of it, the county the rest. Cyclists are asked to dismount. "
)
SUMMARY = "The Lenne footbridge closes for six weeks from 14 March because of rust; a free bus and a road bridge serve."


def body_of(number: int) -> dict[str, Any]:
    return {
        "task": "summarization",
        "input": f"{TEXT}Notice {number}.",
        "output": f"{SUMMARY} See notice {number}.",
        "model": "bench",
        "meta": {"number": number},
    }


def key_of(number: int) -> str:
    body = body_of(number)
    return Sample(body["task"], body["input"], body["output"]).key


@dataclass
class Sent:
    seconds: list[float] = field(default_factory=list)  # of each answer
    acknowledged: set[int] = field(default_factory=set)
    new: int = 0
    known: int = 0
    errors: int = 0

    def percentile(self, percent: int) -> float:
        """Milliseconds."""
        taken = sorted(self.seconds)
        return round(1000 * taken[min(len(taken) - 1, len(taken) * percent // 100)], 1) if taken else 0.0


async def post(http: aiohttp.ClientSession, numbers: list[int], sent: Sent) -> None:
    bodies = [body_of(number) for number in numbers]
    start = time.perf_counter()
    try:
        async with http.post("/samples", json=bodies if len(bodies) > 1 else bodies[0]) as answer:
            said = await answer.json()
            if answer.status != 200:
                sent.errors += 1
                return
    except (aiohttp.ClientError, TimeoutError):
        sent.errors += 1
        return
    sent.seconds.append(time.perf_counter() - start)
    sent.acknowledged.update(numbers)
    sent.new += said["new"]
    sent.known += said["known"]


async def at_a_rate(url: str, rate: float, seconds: float) -> Sent:
    """Open loop: a sample's moment does not wait for the answers before it."""
    sent, started = Sent(), []
    async with session(url) as http:
        first = time.perf_counter()
        for number in range(round(rate * seconds)):
            wait = first + number / rate - time.perf_counter()
            if wait > 0:
                await asyncio.sleep(wait)
            for _ in range(2 if number % AGAIN == 0 else 1):
                started.append(asyncio.create_task(post(http, [number], sent)))
        await asyncio.gather(*started)
    return sent


async def flat_out(url: str, seconds: float, size: int) -> tuple[Sent, float]:
    """(what was sent, seconds it took): each connection sends its next request when it has its answer."""
    sent, start = Sent(), time.perf_counter()
    numbers = iter(range(10**9, 2 * 10**9))

    async def one(http: aiohttp.ClientSession) -> None:
        while time.perf_counter() - start < seconds:
            await post(http, [next(numbers) for _ in range(size)], sent)

    async with session(url) as http:
        await asyncio.gather(*(one(http) for _ in range(CONNECTIONS)))
    return sent, time.perf_counter() - start


def session(url: str) -> aiohttp.ClientSession:
    timeout = aiohttp.ClientTimeout(total=60)
    return aiohttp.ClientSession(url, timeout=timeout, connector=aiohttp.TCPConnector(limit=0))


def judge_on(database: Path, ready: Event, stop: Event) -> None:
    """Judges what is new until it is stopped, by params.yaml but for the provider."""
    from tuneline.feedback.judging import judge_new, read_judging

    judging = read_judging(ROOT)
    free = replace(judging.settings, provider="offline", model="offline")
    judging = replace(judging, settings=free, answers=database.parent / "answers")
    with Store(database) as store:
        ready.set()
        while not stop.is_set():
            judge_new(store, judging)
            stop.wait(0.1)


class Server:
    """`tuneline feedback serve` on a free port; a context manager."""

    def __init__(self, folder: Path) -> None:
        self.database = folder / "feedback.sqlite"
        command = [sys.executable, "-m", "tuneline.feedback.commands", "serve", "--port", "0"]
        command += ["--database", str(self.database), "--served", str(folder / "served")]
        environment = {**os.environ, "TUNELINE_TOKEN": ""}
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=environment)
        self.url = self.process.stdout.readline().strip()

    def cpu_seconds(self) -> float:
        busy = psutil.Process(self.process.pid).cpu_times()
        return busy.user + busy.system

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()


def measure_load(folder: Path, rate: float, seconds: float) -> dict[str, float]:
    context = multiprocessing.get_context("spawn")
    ready, stop = context.Event(), context.Event()
    with Server(folder) as server:
        judge = context.Process(target=judge_on, args=(server.database, ready, stop))
        judge.start()
        ready.wait(60)
        idle = server.cpu_seconds()
        sent = asyncio.run(at_a_rate(server.url, rate, seconds))
        busy = server.cpu_seconds() - idle
        stop.set()
        judge.join()
    with Store(server.database) as store:
        kept = [sample.key for sample in store.samples()]
        counts = store.counts("summarization")
    wanted = round(rate * seconds)
    return {
        "rate": rate,
        "seconds": seconds,
        "samples": wanted,
        "acknowledged": len(sent.acknowledged),
        "answered_new": sent.new,
        "answered_known": sent.known,
        "errors": sent.errors,
        "kept": len(kept),
        "kept_twice": len(kept) - len(set(kept)),
        "lost": len({key_of(number) for number in sent.acknowledged} - set(kept)),
        "judged_meanwhile": counts["accepted"] + counts["rejected"],
        "p50_ms": sent.percentile(50),
        "p99_ms": sent.percentile(99),
        "max_ms": sent.percentile(100),
        "server_cpu_ms_per_request": round(1000 * busy / max(len(sent.seconds), 1), 2),
    }


def measure_flat_out(folder: Path, seconds: float, size: int) -> dict[str, float]:
    with Server(folder) as server:
        sent, seconds = asyncio.run(flat_out(server.url, seconds, size))
    return {
        "samples_per_second": round(sent.new / seconds, 1),
        "errors": sent.errors,
        "p50_ms": sent.percentile(50),
        "p99_ms": sent.percentile(99),
    }


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One flat object.")
@click.option("--rate", type=float, default=200.0, show_default=True, help="Samples a second, of the load.")
@click.option("--seconds", type=float, default=60.0, show_default=True, help="Of the load.")
@click.option("--flat-out", type=float, default=10.0, show_default=True, help="Seconds of each size, flat out.")
@click.option("--only", type=click.Choice(["load", "flat_out", "flat_out_100"]))
@small(rate=20.0, seconds=1.0, flat_out=0.3)
def main(as_json: bool, rate: float, seconds: float, flat_out: float, only: str | None) -> None:
    parts = {
        "load": lambda folder: measure_load(folder, rate, seconds),
        "flat_out": lambda folder: measure_flat_out(folder, flat_out, 1),
        "flat_out_100": lambda folder: measure_flat_out(folder, flat_out, 100),
    }
    figures: Figures = {}
    for name, part in parts.items():
        if only in (None, name):
            with tempfile.TemporaryDirectory() as folder:
                figures |= {f"{name}_{key}": value for key, value in part(Path(folder)).items()}
    tell(figures, as_json)


if __name__ == "__main__":
    main()
