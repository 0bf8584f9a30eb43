"""Near duplicates: the curate stage beside datatrove's MinHash and text-dedup's, on the same rows, in the same run.

Texts are of words that are as frequent as in a language; `short` has 8 to 24 of them, `long` 60 to 200. A tenth of the
rows are copies of an earlier one with a word changed, added or left out, or a letter changed. `found`: the share of
these that went; `lost`: how many others went with no copy left in their place. All answers are one, so that curate
compares all questions. It is measured whole, with its other checks and its reports; the others read and write files as
well, each in one process, by their own defaults (they cut at a similarity of about 0.7, to which curate's is set) but
for the words of a shingle: five are too many for a short text, so it is one there.

    python speed/near_duplicates.py                                # curate alone
    python speed/near_duplicates.py --python other/.venv/bin/python   # which has datatrove[processing] or text-dedup
    python speed/near_duplicates.py --small
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import click

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from speed.bench import ROOT, Figures, small, tell
from speed.curate import run_curate, text, words

KINDS = {"short": (8, 24, 1), "long": (60, 200, 5)}  # words of a text, least and most, and of a shingle
COPIES = 0.1
CUT = 0.7  # text-dedup's; datatrove's 14 bands of 8 hashes find half of the pairs at (1 / 14) ** (1 / 8), 0.72
RIVALS = {
    "datatrove": """
import json, sys
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline import dedup
from datatrove.pipeline.dedup.minhash import MinhashConfig
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter

rows, work, words = sys.argv[1], sys.argv[2], int(sys.argv[3])
config = MinhashConfig(n_grams=words)
out = JsonlWriter(f"{work}/left", compression=None)
steps = (
    ([JsonlReader(rows), dedup.MinhashDedupSignature(f"{work}/signatures", config=config)], 1),
    ([dedup.MinhashDedupBuckets(f"{work}/signatures", f"{work}/buckets", config=config)], config.num_buckets),
    ([dedup.MinhashDedupCluster(f"{work}/buckets", f"{work}/removed", config=config)], 1),
    ([JsonlReader(rows), dedup.MinhashDedupFilter(f"{work}/removed"), out], 1),
)
for number, (step, tasks) in enumerate(steps):
    LocalPipelineExecutor(pipeline=step, tasks=tasks, workers=1, logging_dir=f"{work}/log{number}").run()
with open(f"{work}/kept.txt", "w") as out, open(f"{work}/left/00000.jsonl") as kept:
    out.writelines(json.loads(line)["id"] + "\\n" for line in kept)
""",
    "text_dedup": """
import runpy, sys

rows, work, words = sys.argv[1:4]
sys.argv[1:] = ["--path", "json", "--data_files", f"{rows}/rows.jsonl", "--split", "train", "--column", "text"]
sys.argv += ["--cache_dir", f"{work}/cache", "--output", f"{work}/out", "--ngram", words, "--num_proc", "1"]
try:
    runpy.run_module("text_dedup.minhash", run_name="__main__", alter_sys=True)
except SystemExit as end:
    if end.code:
        raise
from datasets import load_from_disk

with open(f"{work}/kept.txt", "w") as out:
    out.writelines(one + "\\n" for one in load_from_disk(f"{work}/out")["id"])
""",
}


class Texts(NamedTuple):
    """`originals`: of a copy its original's number, of all others their own."""

    texts: list[str]
    originals: list[int]


class Ran(NamedTuple):
    """Seconds of the clock and of the processor, the peak in MiB, and the numbers of the rows that were kept."""

    seconds: float
    used: float
    peak: float
    kept: set[int]


def changed(said: str, rng: random.Random, known: list[str]) -> str:
    parts = said.split(" ")
    place = rng.randrange(len(parts))
    kind = rng.randrange(4)
    if kind == 0:
        letter = rng.randrange(len(parts[place]))
        parts[place] = parts[place][:letter] + rng.choice("aeiou") + parts[place][letter + 1 :]
    elif kind == 1:
        parts[place] = rng.choice(known)
    elif kind == 2:
        parts.insert(place, rng.choice(known))
    else:
        del parts[place]
    return " ".join(parts)


def make(kind: str, count: int) -> Texts:
    """Copies have an original that is none, and differ from it by one word."""
    rng = random.Random(kind)
    known = words(rng)
    least, most, _ = KINDS[kind]
    made, originals, own = [], [], []
    for number in range(count):
        if own and rng.random() < COPIES:
            originals.append(rng.choice(own))
            made.append(changed(made[originals[-1]], rng, known))
        else:
            own.append(number)
            originals.append(number)
            made.append(text(rng, known, rng.randint(least, most)))
    return Texts(made, originals)


def curated(folder: Path, texts: list[str]) -> Ran:
    from tuneline.files import read_jsonl, write_jsonl
    from tuneline.rows import make_row

    folder.mkdir()
    turns = ([{"role": "user", "content": one}, {"role": "assistant", "content": "yes"}] for one in texts)
    rows = [make_row({"messages": said}, "rows", number) for number, said in enumerate(turns)]
    write_jsonl(folder / "rows", rows)
    measured = run_curate(folder, **{"near-duplicate": CUT})
    numbers = {row["id"]: number for number, row in enumerate(rows)}
    return Ran(*measured, {numbers[row["id"]] for row in read_jsonl(folder / "out")})


def has(python: str, module: str) -> bool:
    return not subprocess.run([python, "-c", f"import {module}"], capture_output=True).returncode


def rival(name: str, python: str, folder: Path, texts: Iterable[str], shingle: int) -> Ran:
    """Raises click.ClickException with the end of what it said when it fails."""
    rows = folder / "rows"
    rows.mkdir(parents=True)
    with (rows / "rows.jsonl").open("w", encoding="utf-8") as out:
        out.writelines(json.dumps({"text": one, "id": str(number)}) + "\n" for number, one in enumerate(texts))
    command = [python, "-c", RIVALS[name], str(rows), str(folder), str(shingle)]
    began = time.perf_counter()
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said, cwd=ROOT)
        _, code, used = os.wait4(process.pid, 0)  # with what its own processes used
    seconds = time.perf_counter() - began
    process.returncode = code
    if code:
        raise click.ClickException(f"{name}: {(folder / 'said').read_text('utf-8')[-2000:]}")
    kept = set(map(int, (folder / "kept.txt").read_text("utf-8").split()))
    return Ran(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, kept)


def figures_of(ran: Ran, originals: list[int]) -> Figures:
    """Of an original and its copies, one may stay, whichever it is."""
    copies = sum(number != original for number, original in enumerate(originals))
    left = len({originals[number] for number in ran.kept})
    return {
        "seconds": round(ran.seconds, 1),
        "cpu_seconds": round(ran.used, 1),
        "peak_mb": round(ran.peak),
        "found": round(1 - (len(ran.kept) - left) / max(1, copies), 4),
        "lost": len(set(originals)) - left,
    }


def sides(kind: str, python: str, folder: Path, texts: list[str]) -> Iterator[tuple[str, Ran]]:
    yield "curate", curated(folder / "curate", texts)
    for name in RIVALS:
        if has(python, name):
            yield name, rival(name, python, folder / name, texts, KINDS[kind][2])
        else:
            click.echo(f"{name}: not in {python}, left out", err=True)


@click.command(help=__doc__.split("\n")[0])
@click.option("--json", "as_json", is_flag=True, help="One flat object.")
@click.option("--rows", type=click.IntRange(20), default=50_000, show_default=True)
@click.option("--python", default=sys.executable, help="The Python that has the others.  [default: this one]")
@small(rows=100)
def main(as_json: bool, rows: int, python: str) -> None:
    figures: Figures = {}
    for kind in KINDS:
        made = make(kind, rows)
        with tempfile.TemporaryDirectory() as folder:
            for name, ran in sides(kind, python, Path(folder), made.texts):
                found = figures_of(ran, made.originals)
                figures |= {f"{kind}_{name}_{figure}": value for figure, value in found.items()}
                click.echo(
                    f"{kind:6} {name:11} " + "  ".join(f"{key} {value}" for key, value in found.items()), err=True
                )
    tell(figures, as_json)


if __name__ == "__main__":
    main()
