"""Test rows → what the untuned base answers to them, or the bits of those that are only text; no LoRA knob reruns this.

With --shots, each is answered a second time, after so many training rows: what one would try before tuning.

    python -m stages.baseline --backend cuda --base models/tiny --quantization none \\
        --precision auto --preamble data/query_json/preamble.json --test data/query_json/split/test.jsonl \\
        --schema recipes/query_json/schema.json --examples data/query_json/split/shots/0.jsonl \\
        --out data/query_json/baseline.jsonl --state .tuneline --shots 0 \\
        --batch-size 64 --max-new-tokens 192 --no-constrain --processes 1

With `--processes 4` it starts torch's launcher of four, one a card, each of which answers a share of the rows.
"""

import gc
from pathlib import Path

import click

from tuneline.answering.predictor import Predictor, divided, predict_options, write_answers
from tuneline.files import Clock, read_rows
from tuneline.models.base import read_base
from tuneline.rendering.light import leave_out_scipy
from tuneline.rendering.preamble import read_preamble
from tuneline.running.log import RunLog
from tuneline.running.processes import part


@click.command()
@click.option("--backend", type=click.Choice(["cuda", "mlx"]), required=True)
@click.option("--base", "base_folder", type=click.Path(path_type=Path), required=True)
@click.option("--quantization", type=click.Choice(["none", "4bit"]), required=True)
@click.option("--precision", type=click.Choice(["auto", "float32", "bfloat16"]), required=True, help="As in training.")
@click.option("--preamble", "preamble_path", type=click.Path(path_type=Path), required=True)
@click.option("--test", type=click.Path(path_type=Path), required=True)
@click.option("--schema", type=click.Path(path_type=Path), required=True)
@click.option("--examples", type=click.Path(path_type=Path), required=True, help="Training rows that may be shown.")
@click.option("--out", type=click.Path(path_type=Path), required=True)
@click.option(
    "--state", type=click.Path(path_type=Path), required=True, help="Ignored: the run log, answers of stopped runs."
)
@click.option("--shots", type=click.IntRange(0, 8), required=True, help="Examples before each question; 0: no such.")
@predict_options
def main(
    backend: str,
    base_folder: Path,
    quantization: str,
    precision: str,
    preamble_path: Path,
    test: Path,
    schema: Path,
    examples: Path,
    out: Path,
    state: Path,
    shots: int,
    batch_size: int,
    max_new_tokens: int | str,
    constrain: bool,
    processes: int,
) -> None:
    clock = Clock("baseline", out.parent.name)
    held = schema if constrain else None
    base, preamble = read_base(base_folder), read_preamble(preamble_path)
    if divided(backend, processes, "stages.baseline"):
        return
    with part(), RunLog(state, f"baseline_{backend}", clock.name) as record:
        predictor = Predictor(backend, base, quantization, precision, preamble, schema=held)
        gc.enable()
        rows, before = read_rows(test), read_rows(examples) if shots else []
        record |= write_answers(out, predictor, rows, batch_size, max_new_tokens, clock, state, shots, before)


if __name__ == "__main__":
    leave_out_scipy()
    gc.disable()  # until all is loaded: looking through thousands of modules takes a tenth of the start
    main()
