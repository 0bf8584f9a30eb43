"""Speed of the stages as ratios against the plain alternative; docs/benchmarks.md says how and why.

Both sides of a ratio run in turn in one process, on the same rows, so that a slow machine slows
both. Takes some minutes on two cores; nothing is written to the repository.

    python speed/stages.py
    python speed/stages.py --json      # one flat object
    python speed/stages.py --small
"""

import contextlib
import gc
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # before speed/, where this file would hide `stages`
from speed.bench import ROOT, Figures, Speeds, in_turn, make_rows, medians, options_of, run, seconds, small, tell

os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")


def trim_and_format(rows: list[dict], work: Path, pairs: int) -> Speeds:
    """Rows per second: the commands of the two stages, against `encode_batch` of the rendered texts."""
    from tokenizers import Tokenizer

    from tuneline.files import read_jsonl, write_jsonl
    from tuneline.models.base import read_base
    from tuneline.rendering.chat import load_chat
    from tuneline.rendering.preamble import read_preamble

    trim, format = options_of("trim", work), options_of("format", work)
    base = format["base_folder"]
    write_jsonl(trim["rows_path"], rows)
    run("trim", trim)
    kept = read_jsonl(trim["out"])
    valid = round(options_of("split", work)["held_out"] * len(kept))
    for name, part in (("test", kept[:1]), ("valid", kept[:valid]), ("train", kept[valid:])):
        write_jsonl(format["split_folder"] / f"{name}.jsonl", part)
    chat = load_chat(read_base(base), read_preamble(format["preamble_path"]))
    texts = [text for row in kept for text, _ in chat.render(row)]
    del kept

    def ours() -> float:
        return len(rows) / (seconds(lambda: run("trim", trim)) + seconds(lambda: run("format", format)))

    def plain() -> float:
        return len(texts) / seconds(lambda: Tokenizer.from_file(str(base / "tokenizer.json")).encode_batch(texts))

    in_turn(ours, plain, 1)  # imports, and a warm disk
    gc.disable()  # as both stages do when they run by themselves
    try:
        return in_turn(ours, plain, pairs)
    finally:
        gc.enable()


def noop(times: int) -> float | None:
    """Median seconds of a `dvc repro` that finds nothing to do; None where there is something to do."""
    dvc = str(Path(sys.executable).with_name("dvc"))
    if subprocess.run([dvc, "status", "-q"], cwd=ROOT, check=False).returncode:
        click.echo("no-op repro skipped: the pipeline is not up to date here; run `make repro` first", err=True)
        return None
    command = [dvc, "repro", "--quiet"]
    taken = [seconds(lambda: subprocess.run(command, cwd=ROOT, check=True)) for _ in range(times)]
    return round(statistics.median(taken), 2)


@click.command(help=__doc__.split("\n")[0])
@click.option("--json", "as_json", is_flag=True, help="One flat object.")
@click.option("--rows", type=click.IntRange(100), default=20_000, show_default=True, help="For trim and format.")
@click.option("--pairs", type=click.IntRange(1), default=5, show_default=True, help="Measures of each side.")
@small(rows=100, pairs=1)
def main(as_json: bool, rows: int, pairs: int) -> None:
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        ours, plain, ratio = medians(trim_and_format(make_rows(rows), Path(folder), pairs))
    figures: Figures = {
        "rows_per_second": ours,
        "encode_batch_rows_per_second": plain,
        "trim_format_ratio": ratio,
        "noop_seconds": noop(pairs),
    }
    tell(figures, as_json)


if __name__ == "__main__":
    main()
