"""Test rows → what the untuned base answers to them; no LoRA knob reruns this.

    python -m stages.baseline --backend cuda --base models/tiny --quantization none \\
        --test data/query_json/chat/test.jsonl --schema recipes/query_json/schema.json \\
        --out data/query_json/baseline.jsonl --batch-size 64 --max-new-tokens 192 --no-constrain
"""

from pathlib import Path

import click

from tuneline.base import read_base
from tuneline.files import read_jsonl, write_jsonl
from tuneline.predictor import Predictor, predict_options


@click.command()
@click.option("--backend", type=click.Choice(["cuda", "mlx"]), required=True)
@click.option("--base", "base_folder", type=click.Path(path_type=Path), required=True)
@click.option("--quantization", type=click.Choice(["none", "4bit"]), required=True)
@click.option("--test", type=click.Path(path_type=Path), required=True)
@click.option("--schema", type=click.Path(path_type=Path), required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True)
@predict_options
def main(
    backend: str,
    base_folder: Path,
    quantization: str,
    test: Path,
    schema: Path,
    out: Path,
    batch_size: int,
    max_new_tokens: int,
    constrain: bool,
) -> None:
    rows = read_jsonl(test)
    predictor = Predictor(backend, read_base(base_folder), quantization, schema=schema if constrain else None)
    asked = [row["messages"][:-1] for row in rows]
    answers = predictor.answer(asked, batch_size, max_new_tokens, "base")
    write_jsonl(out, ({"id": row["id"], "answer": text} for row, text in zip(rows, answers, strict=True)))


if __name__ == "__main__":
    main()
