"""Speed of the server of answers as a ratio against the predictor's own batches; docs/benchmarks.md says how and why.

Clients ask the server one question after the other, all at a time; the predictor is given the same questions at once,
in batches of as many rows. Both answer by the same adapter, in turn, and give the same answers. `serve_ratio` is of
answers a second; `serve_cpu_ratio` of the processor time that each spends, which other work on the machine does not
change. Takes two minutes on two cores; nothing is written to the repository.

    python speed/serve.py --adapter adapters/query_json --test data/query_json/split/test.jsonl
    python speed/serve.py --json      # one flat object with `serve_ratio`
    python speed/serve.py --small

Without `--adapter`, it is adapters/query_json where `make repro` has trained it, else one of random weights.
"""

import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # before speed/, whose stages.py would hide `stages`
from speed.answer import TRAINED, random_adapter
from speed.bench import ROOT, Figures, in_turn, make_rows, medians, seconds, small, tell


@contextlib.contextmanager
def served(adapter: Path, clients: int) -> Iterator[tuple[str, int]]:
    """The address of a server, and the number of its process."""
    command = [sys.executable, "-m", "tuneline.cli", "serve", f"asked={adapter.absolute()}", "--port", "0"]
    command += ["--batch-size", str(clients)]
    environment = {**os.environ, "TUNELINE_TOKEN": ""}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as running:
        try:
            yield running.stdout.readline().split("/v1")[0], running.pid
        finally:
            running.terminate()


def cpu_seconds(process: int) -> float:
    spent = psutil.Process(process).cpu_times()
    return spent.user + spent.system


async def ask_all(url: str, bodies: list[bytes], clients: int) -> list[str]:
    """The answers, in order, to `clients` who ask at a time."""
    import aiohttp

    answers, waiting = [""] * len(bodies), iter(range(len(bodies)))
    connector = aiohttp.TCPConnector(limit=0)
    headers = {"Content-Type": "application/json"}
    async with aiohttp.ClientSession(url, connector=connector, headers=headers) as http:

        async def client() -> None:
            for at in waiting:
                async with http.post("/v1/chat/completions", data=bodies[at]) as answer:
                    found = json.loads(await answer.read())
                answers[at] = found["choices"][0]["message"]["content"]

        await asyncio.gather(*(client() for _ in range(clients)))
    return answers


def serve_figures(adapter: Path, asked: list[dict], clients: int, most: int, pairs: int) -> Figures:
    """Raises ValueError when answers differ."""
    from tuneline.answering.predictor import open_adapter

    conversations = [row["messages"][:-1] for row in asked]
    bodies = [json.dumps({"model": "asked", "messages": said, "max_tokens": most}).encode() for said in conversations]
    said: dict[str, list[str]] = {}
    busy: dict[str, list[float]] = {"ours": [], "plain": []}
    with served(adapter, clients) as (url, process):
        predictor = open_adapter(adapter, constrain=False, root=ROOT)

        def ours() -> None:
            before = cpu_seconds(process)
            said["ours"] = asyncio.run(ask_all(url, bodies, clients))
            busy["ours"].append(cpu_seconds(process) - before)

        def plain() -> None:
            before = cpu_seconds(os.getpid())
            said["plain"] = predictor.answer(conversations, clients, most, "predictor")
            busy["plain"].append(cpu_seconds(os.getpid()) - before)

        ours()
        plain()
        if said["ours"] != said["plain"]:
            raise ValueError("the server's answers differ from the predictor's")
        found = medians(in_turn(lambda: len(asked) / seconds(ours), lambda: len(asked) / seconds(plain), pairs))
    names = ("served_answers_per_second", "predictor_answers_per_second", "serve_ratio")
    spent = {side: statistics.median(seconds) for side, seconds in busy.items()}
    return {**dict(zip(names, found, strict=True)), "serve_cpu_ratio": round(spent["plain"] / spent["ours"], 3)}


@click.command(help=__doc__.split("\n")[0])
@click.option("--json", "as_json", is_flag=True, help="One flat object.")
@click.option("--adapter", type=click.Path(exists=True, path_type=Path), help="Trained by train_cuda.")
@click.option("--test", type=click.Path(exists=True, path_type=Path), help="Rows whose last message is the reference.")
@click.option("--rows", type=click.IntRange(1), default=256, show_default=True, help="At most.")
@click.option("--clients", type=click.IntRange(1), default=32, show_default=True)
@click.option("--max-new-tokens", type=click.IntRange(1), default=192, show_default=True)
@click.option("--pairs", type=click.IntRange(1), default=3, show_default=True, help="Runs of each side.")
@small(rows=4, clients=2, max_new_tokens=4, pairs=1)
def main(
    as_json: bool, adapter: Path | None, test: Path | None, rows: int, clients: int, max_new_tokens: int, pairs: int
) -> None:
    from tuneline.files import read_rows

    with contextlib.redirect_stdout(sys.stderr), tempfile.TemporaryDirectory() as folder:
        if adapter is None and (TRAINED / "adapter.json").is_file():
            adapter, test = TRAINED, test or ROOT / "data/query_json/split/test.jsonl"
        asked = (read_rows(test) if test else make_rows(rows))[:rows]
        chosen = adapter or random_adapter(Path(folder), ROOT / "models/tiny")
        figures = serve_figures(chosen, asked, clients, max_new_tokens, pairs)
    tell({"rows": len(asked), "clients": clients, **figures}, as_json)


if __name__ == "__main__":
    main()
