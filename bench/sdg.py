"""Measures the teacher engine against a loopback server and prints a table.

    python bench/sdg.py            # about two minutes
    python bench/sdg.py --json     # one flat object
    python bench/sdg.py --provider gemini

The ideal is calls × latency ÷ concurrency. `stage_seconds_2000` is the stage's own time, without the
imports that precede it; `process_seconds_2000`, the whole command.
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
import yaml

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
from tests.teacher_server import Server, serve  # noqa: E402
from tests.teaching import PAIR, STRATEGY  # noqa: E402

CALLS, DELAY, CONCURRENCY = 2000, 0.05, 50
WORDS = "lettre dossier mairie rue jardin lampe train repas voisin carnet marché pluie école fenêtre route café".split()
# Runs the stage in a process of its own and prints its seconds and how far its memory grew, in MiB.
STAGE = """
import resource, sys, time
import stages.sdg, tuneline.provider_{provider}, tuneline.provider_offline, tqdm
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.perf_counter()
try:
    stages.sdg.main(sys.argv[1:], standalone_mode=False)
finally:
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print("MEASURED", time.perf_counter() - start, grown)
"""
RECIPE = {
    "extract": {"kind": "rows", "train": ["rows.jsonl"], "test": [], "max-reject-share": 0},
    "sdg": {
        "form": {"user": "${question}", "assistant": ["${answer}"]},
        "strategies": [
            STRATEGY,
        ],
    },
    "curate": {"near-duplicate": 1, "same-group": 1, "contamination": 1},
    "split": {"valid-groups": [], "test-groups": []},
    "eval": {"measures": "json", "intent": "type"},
}


class Workplace:
    """A folder with a recipe of one call a row, its rows, and an answer log."""

    def __init__(self, folder: Path, rows: int, seed: int = 0) -> None:
        self.folder = folder
        shutil.rmtree(folder, ignore_errors=True)
        recipe = folder / "recipe"
        (recipe / "sdg").mkdir(parents=True)
        (recipe / "recipe.yaml").write_text(yaml.safe_dump(RECIPE), encoding="utf-8")
        (recipe / "sdg/prompt.md").write_text("Write this anew: ${seed.question}", encoding="utf-8")
        (recipe / "sdg/answer.json").write_text(json.dumps(PAIR), encoding="utf-8")
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
        url = server.openai_url if provider == "openai" else server.gemini_url
        flags: dict[str, object] = {
            "recipe": self.folder / "recipe",
            "rows": self.folder / "rows.jsonl",
            "out": self.folder / "out.jsonl",
            "refused": self.folder / "refused.jsonl",
            "metrics": self.folder / "metrics.json",
            "answers": self.folder / "answers",
            "strategy": "all",
            "provider": provider,
            "model": "m",
            "temperature": 0,
            "max-tokens": 256,
            "base-url": url,
            "concurrency": CONCURRENCY,
            "requests-per-minute": 0,
            "tokens-per-minute": 0,
            "timeout": 30,
            "attempts": 5,
            "budget-usd": 1000,
            "price": "m=1/1",
            **{key.replace("_", "-"): value for key, value in knobs.items()},
        }
        words = [word for key, value in flags.items() for word in (f"--{key}", str(value))]
        return [sys.executable, "-c", STAGE.format(provider=provider), *words, "--no-batch"]

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


def measure_speed(folder: Path, provider: str) -> dict[str, float]:
    with serve(delay=DELAY) as server:
        work = Workplace(folder, CALLS)
        start = time.perf_counter()
        seconds, _ = work.run(server, provider)
        whole = time.perf_counter() - start
    return {
        "stage_seconds_2000": round(seconds, 3),
        "process_seconds_2000": round(whole, 3),
        "ideal_seconds": CALLS * DELAY / CONCURRENCY,
    }


def measure_reruns(folder: Path, provider: str) -> dict[str, int]:
    with serve() as server:
        work = Workplace(folder, 500)
        work.run(server, provider)
        rows = folder / "rows.jsonl"
        lines = rows.read_text("utf-8").splitlines(keepends=True)
        figures = {"unchanged_calls": work.calls(server, provider=provider)}
        figures["other_knobs_calls"] = work.calls(server, provider=provider, concurrency=7, budget_usd=3)
        lines[250] = lines[250].replace('"content": "250 ', '"content": "250 changed ')
        rows.write_text("".join(lines), encoding="utf-8")
        figures["edit_one_calls"] = work.calls(server, provider=provider)
        work.write_rows(510)
        appended = rows.read_text("utf-8").splitlines(keepends=True)
        rows.write_text("".join(lines + appended[500:]), encoding="utf-8")
        figures["append_ten_calls"] = work.calls(server, provider=provider)
        rows.write_text("".join(lines), encoding="utf-8")
        (folder / "recipe/sdg/prompt.md").write_text("Put it otherwise: ${seed.question}", encoding="utf-8")
        figures["edit_prompt_calls"] = work.calls(server, provider=provider)
    return figures


def measure_kill(folder: Path, provider: str) -> dict[str, int]:
    """Calls beyond one a row when a run is killed half-way and run again; those in flight cannot be saved."""
    with serve(delay=DELAY) as server:
        work = Workplace(folder, 500)
        process = subprocess.Popen(
            work.command(server, provider),
            cwd=ROOT,
            env=ENVIRONMENT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while server.stats()["requests"] < 250:
            time.sleep(0.01)
        process.kill()
        process.wait()
        logged = [json.loads(line)["key"] for line in _logged_lines(folder)]
        at_kill = server.stats()["requests"]
        work.run(server, provider)
        after = server.stats()["requests"] - at_kill
        keys = [json.loads(line)["key"] for line in _logged_lines(folder)]
    assert len(keys) == len(set(keys)) == 500
    return {"kill_repeated_calls": after - (500 - len(logged))}


def _logged_lines(folder: Path) -> list[str]:
    texts = [path.read_text("utf-8") for path in (folder / "answers").rglob("*.jsonl")]
    return [line for text in texts for line in text.split("\n")[:-1]]


def measure_faults(folder: Path, provider: str) -> dict[str, int]:
    with serve(faults=0.3, kinds="429,429-after,500,reset,malformed,schema,cut,empty,refusal,nonsense") as server:
        work = Workplace(folder, 500)
        for _ in range(5):  # a row whose calls failed is asked again by the next run
            work.run(server, provider, check=False, attempts=4)
            if (folder / "metrics.json").exists():
                break
    made = [json.loads(line) for line in (folder / "out.jsonl").read_text("utf-8").splitlines()][500:]
    refused = [json.loads(line) for line in (folder / "refused.jsonl").read_text("utf-8").splitlines()]
    seen = {row["lineage"][0] for row in made} | {row["lineage"][0] for row in refused if row["reason"]}
    return {"fault_rows_lost": 500 - len(seen), "fault_rows_refused": len(refused)}


def measure_memory(folder: Path, provider: str, rows: int) -> dict[str, float]:
    with serve() as server:
        work = Workplace(folder, rows)
        _, grown = work.run(server, provider)
    return {"memory_rows": rows, "memory_growth_mb": round(grown, 1)}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One flat object.")
@click.option("--provider", type=click.Choice(["openai", "gemini"]), default="openai", show_default=True)
@click.option("--memory-rows", type=int, default=200_000, show_default=True, help="About 5 minutes for 200,000.")
@click.option("--only", help="speed, reruns, kill, faults or memory.")
def main(as_json: bool, provider: str, memory_rows: int, only: str | None) -> None:
    parts = {
        "speed": lambda folder: measure_speed(folder, provider),
        "reruns": lambda folder: measure_reruns(folder, provider),
        "kill": lambda folder: measure_kill(folder, provider),
        "faults": lambda folder: measure_faults(folder, provider),
        "memory": lambda folder: measure_memory(folder, provider, memory_rows),
    }
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, part in parts.items():
            if only in (None, name):
                figures |= part(Path(folder) / name)
                if not as_json:
                    click.echo(f"{name} done", err=True)
    if as_json:
        click.echo(json.dumps(figures))
        return
    for name, value in figures.items():
        click.echo(f"{name:24} {value:>10}")


if __name__ == "__main__":
    main()
