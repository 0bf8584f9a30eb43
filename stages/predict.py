"""Adapter and test rows → what the adapter answers to them, or the bits of those that are only text.

    python -m stages.predict --backend cuda --adapter adapters/query_json \\
        --test data/query_json/split/test.jsonl --out data/query_json/answers.jsonl \\
        --batch-size 64 --max-new-tokens 192 --no-constrain
"""

import gc
from pathlib import Path

import click

from tuneline.answering.predictor import open_adapter, predict_options, write_answers
from tuneline.files import Clock, read_rows
from tuneline.models.adapter import read_adapter
from tuneline.rendering.light import leave_out_scipy


@click.command()
@click.option("--backend", type=click.Choice(["cuda", "mlx"]), required=True)
@click.option("--adapter", "adapter_folder", type=click.Path(path_type=Path), required=True)
@click.option("--test", type=click.Path(path_type=Path), required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True)
@predict_options
def main(
    backend: str,
    adapter_folder: Path,
    test: Path,
    out: Path,
    batch_size: int,
    max_new_tokens: int | str,
    constrain: bool,
) -> None:
    clock = Clock("predict", out.parent.name)
    trained_by = read_adapter(adapter_folder).backend
    if trained_by != backend:
        raise click.ClickException(f"{adapter_folder} was trained by {trained_by}, not {backend}; run `dvc repro`")
    predictor = open_adapter(adapter_folder, constrain)
    gc.enable()
    write_answers(out, predictor, read_rows(test), batch_size, max_new_tokens, clock)


if __name__ == "__main__":
    leave_out_scipy()
    gc.disable()  # until all is loaded: looking through thousands of modules takes a tenth of the start
    main()
