"""Adapter and test rows → what the adapter answers to them, or the bits of those that are only text.

    python -m stages.predict --backend cuda --adapter adapters/query_json \\
        --test data/query_json/split/test.jsonl --out data/query_json/answers.jsonl --state .tuneline \\
        --batch-size 64 --max-new-tokens 192 --no-constrain --processes 1

With `--processes 4` it starts torch's launcher of four, one a card, each of which answers a share of the rows.
"""

import gc
from pathlib import Path

import click

from tuneline.answering.predictor import divided, open_adapter, predict_options, write_answers
from tuneline.files import Clock, read_rows
from tuneline.models.adapter import read_adapter
from tuneline.rendering.light import leave_out_scipy
from tuneline.running.log import RunLog
from tuneline.running.processes import part


@click.command()
@click.option("--backend", type=click.Choice(["cuda", "mlx"]), required=True)
@click.option("--adapter", "adapter_folder", type=click.Path(path_type=Path), required=True)
@click.option("--test", type=click.Path(path_type=Path), required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True)
@click.option(
    "--state", type=click.Path(path_type=Path), required=True, help="Ignored: the run log, answers of stopped runs."
)
@predict_options
def main(
    backend: str,
    adapter_folder: Path,
    test: Path,
    out: Path,
    state: Path,
    batch_size: int,
    max_new_tokens: int | str,
    constrain: bool,
    processes: int,
) -> None:
    clock = Clock("predict", out.parent.name)
    trained_by = read_adapter(adapter_folder).backend
    if trained_by != backend:
        raise click.ClickException(f"{adapter_folder} was trained by {trained_by}, not {backend}; run `dvc repro`")
    if divided(backend, processes, "stages.predict"):
        return
    with part(), RunLog(state, f"predict_{backend}", clock.name) as record:
        predictor = open_adapter(adapter_folder, constrain)
        gc.enable()
        record |= write_answers(out, predictor, read_rows(test), batch_size, max_new_tokens, clock, state)


if __name__ == "__main__":
    leave_out_scipy()
    gc.disable()  # until all is loaded: looking through thousands of modules takes a tenth of the start
    main()
