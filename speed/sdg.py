"""Measures the teacher engine against a loopback server and prints a table.

    python speed/sdg.py            # about two minutes, and five of memory
    python speed/sdg.py --json     # one flat object
    python speed/sdg.py --provider gemini
    python speed/sdg.py --small

The ideal is calls × latency ÷ concurrency. `stage_seconds` is the stage's own time, without the
imports that precede it; `process_seconds`, the whole command; `ideal_ratio`, the stage's over the ideal.
"""

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from speed.bench import ROOT, Figures, small, tell
from tests.servers.teacher_server import Server, serve
from tests.teaching import asking, flags, write_asking_recipe

DELAY, CONCURRENCY = 0.05, 50
WORDS = "lettre dossier mairie rue jardin lampe train repas voisin carnet marché pluie école fenêtre route café".split()
# Runs the stage in a process of its own and prints its seconds and how far its memory grew, in MiB.
STAGE = """
import resource, sys, time
import stages.sdg, tuneline.teaching.{provider}_api, tqdm
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.perf_counter()
try:
    stages.sdg.main(sys.argv[1:], standalone_mode=False)
finally:
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print("MEASURED", time.perf_counter() - start, grown)
"""


class Workplace:
    """A folder with a recipe of one call a row, its rows, and an answer log."""

    def __init__(self, folder: Path, rows: int, seed: int = 0) -> None:
        self.folder = folder
        shutil.rmtree(folder, ignore_errors=True)
        write_asking_recipe(folder / "recipe", "Write this anew: ${seed.question}")
        self.write_rows(rows, seed)

    def write_rows(self, count: int, seed: int = 0) -> None:
        with (self.folder / "rows.jsonl").open("w", encoding="utf-8") as out:
            for number in range(count):
                rng = random.Random(f"{seed}/{number}")
                text = f"{number} " + " ".join(rng.choice(WORDS) for _ in range(12))
                messages = [{"role": "user", "content": text}, {"role": "assistant", "content": "oui"}]
                row = {"id": f"{number:016x}", "group": f"{number:016x}", "origin": "source", "messages": messages}
                out.write(json.dumps({**row, "source": {"file": "rows.jsonl", "line": number + 1}}) + "\n")

    def command(self, server: Server, provider: str, **knobs: object) -> list[str]:
        files = {
            "recipe": self.folder / "recipe",
            "rows": self.folder / "rows.jsonl",
            "out": self.folder / "out.jsonl",
            "refused": self.folder / "refused.jsonl",
            "metrics": self.folder / "metrics.json",
            "answers": self.folder / "answers",
        }
        words = [word for name, path in files.items() for word in (f"--{name}", str(path))]
        knobs = {"concurrency": CONCURRENCY, "timeout": 30.0, "attempts": 5, "budget_usd": 1000.0, **knobs}
        words += ["--strategy", "all", *flags(asking(server, provider, **knobs))]
        return [sys.executable, "-c", STAGE.format(provider=provider), *words]

    def run(self, server: Server, provider: str = "openai", check: bool = True, **knobs: object) -> tuple[float, float]:
        """(the stage's seconds, MiB that its memory grew)."""
        command = self.command(server, provider, **knobs)
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=ENVIRONMENT)
        assert not check or done.returncode == 0, done.stderr[-2000:]
        line = next(line for line in done.stdout.splitlines() if line.startswith("MEASURED"))
        _, seconds, grown = line.split()
        return float(seconds), float(grown)

    def calls(self, server: Server, **knobs: object) -> int:
        """Requests that the server had in one run."""
        before = server.stats()["requests"]
        self.run(server, **knobs)
        return server.stats()["requests"] - before


ENVIRONMENT = {**os.environ, "OPENAI_API_KEY": "test-key", "GEMINI_API_KEY": "test-key"}


def measure_speed(folder: Path, provider: str, calls: int) -> Figures:
    with serve(delay=DELAY) as server:
        work = Workplace(folder, calls)
        start = time.perf_counter()
        seconds, _ = work.run(server, provider)
        whole = time.perf_counter() - start
    ideal = calls * DELAY / CONCURRENCY
    return {
        "calls": calls,
        "stage_seconds": round(seconds, 3),
        "process_seconds": round(whole, 3),
        "ideal_seconds": ideal,
        "ideal_ratio": round(seconds / ideal, 2),
    }


def measure_reruns(folder: Path, provider: str, count: int) -> Figures:
    """Calls of a second run after each edit; `count` rows, and a fiftieth of them appended."""
    with serve() as server:
        work = Workplace(folder, count)
        work.run(server, provider)
        rows = folder / "rows.jsonl"
        lines = rows.read_text("utf-8").splitlines(keepends=True)
        figures = {"unchanged_calls": work.calls(server, provider=provider)}
        figures["other_knobs_calls"] = work.calls(server, provider=provider, concurrency=7, budget_usd=3.0)
        half = count // 2
        lines[half] = lines[half].replace(f'"content": "{half} ', f'"content": "{half} changed ')
        rows.write_text("".join(lines), encoding="utf-8")
        figures["edit_one_calls"] = work.calls(server, provider=provider)
        more = count // 50
        work.write_rows(count + more)
        appended = rows.read_text("utf-8").splitlines(keepends=True)
        rows.write_text("".join(lines + appended[count:]), encoding="utf-8")
        figures["append_calls"] = work.calls(server, provider=provider)
        rows.write_text("".join(lines), encoding="utf-8")
        (folder / "recipe/sdg/prompt.md").write_text("Put it otherwise: ${seed.question}", encoding="utf-8")
        figures["edit_prompt_calls"] = work.calls(server, provider=provider)
    return figures


def measure_kill(folder: Path, provider: str, count: int) -> Figures:
    """Calls beyond one a row when a run is killed half-way and run again; those in flight cannot be saved."""
    with serve(delay=DELAY) as server:
        work = Workplace(folder, count)
        process = subprocess.Popen(
            work.command(server, provider),
            cwd=ROOT,
            env=ENVIRONMENT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while server.stats()["requests"] < count // 2:
            time.sleep(0.01)
        process.kill()
        process.wait()
        logged = [json.loads(line)["key"] for line in _logged_lines(folder)]
        at_kill = server.stats()["requests"]
        work.run(server, provider)
        after = server.stats()["requests"] - at_kill
        keys = [json.loads(line)["key"] for line in _logged_lines(folder)]
    assert len(keys) == len(set(keys)) == count
    return {"kill_repeated_calls": after - (count - len(logged))}


def _logged_lines(folder: Path) -> list[str]:
    texts = [path.read_text("utf-8") for path in (folder / "answers").rglob("*.jsonl")]
    return [line for text in texts for line in text.split("\n")[:-1]]


def measure_faults(folder: Path, provider: str, count: int) -> Figures:
    with serve(faults=0.3, kinds="429,429-after,500,reset,malformed,schema,cut,empty,refusal,nonsense") as server:
        work = Workplace(folder, count)
        for _ in range(5):  # a row whose calls failed is asked again by the next run
            work.run(server, provider, check=False, attempts=4)
            if (folder / "metrics.json").exists():
                break
    made = [json.loads(line) for line in (folder / "out.jsonl").read_text("utf-8").splitlines()][count:]
    refused = [json.loads(line) for line in (folder / "refused.jsonl").read_text("utf-8").splitlines()]
    seen = {row["lineage"][0] for row in made} | {row["lineage"][0] for row in refused if row["reason"]}
    return {"fault_rows_lost": count - len(seen), "fault_rows_refused": len(refused)}


def measure_memory(folder: Path, provider: str, rows: int) -> Figures:
    with serve() as server:
        work = Workplace(folder, rows)
        _, grown = work.run(server, provider)
    return {"memory_rows": rows, "memory_growth_mb": round(grown, 1)}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One flat object.")
@click.option("--provider", type=click.Choice(["openai", "gemini"]), default="openai", show_default=True)
@click.option("--calls", type=click.IntRange(1), default=2000, show_default=True, help="Of speed.")
@click.option("--rows", type=click.IntRange(50), default=500, show_default=True, help="Of reruns, kill and faults.")
@click.option("--memory-rows", type=int, default=200_000, show_default=True, help="About 5 minutes for 200,000.")
@click.option("--only", type=click.Choice(["speed", "reruns", "kill", "faults", "memory"]))
@small(calls=50, rows=50, memory_rows=50)
def main(as_json: bool, provider: str, calls: int, rows: int, memory_rows: int, only: str | None) -> None:
    parts = {
        "speed": lambda folder: measure_speed(folder, provider, calls),
        "reruns": lambda folder: measure_reruns(folder, provider, rows),
        "kill": lambda folder: measure_kill(folder, provider, rows),
        "faults": lambda folder: measure_faults(folder, provider, rows),
        "memory": lambda folder: measure_memory(folder, provider, memory_rows),
    }
    figures: Figures = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, part in parts.items():
            if only in (None, name):
                figures |= part(Path(folder) / name)
                if not as_json:
                    click.echo(f"{name} done", err=True)
    tell(figures, as_json)


if __name__ == "__main__":
    main()
