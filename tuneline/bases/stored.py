"""Weights that a repository has in fewer bits already: which setting trains on them, and which nothing does."""

import json
from pathlib import Path

import click

FOUR_BITS, MLX = "bitsandbytes in 4 bits", "mlx"
WANTED = {FOUR_BITS: "quantization: 4bit", MLX: "train.backend: mlx"}  # with which an adapter is trained on them


def stored_as(folder: Path) -> str | None:
    """Who quantized the weights of a model's folder, by its config.json; None where nobody has.

    Raises click.ClickException for a config.json that is no JSON object, FileNotFoundError where there is none.
    """
    path = folder / "config.json"
    try:
        config = json.loads(path.read_bytes())
    except ValueError as error:
        raise click.ClickException(f"{path}: {error}") from None
    if not isinstance(config, dict):
        raise click.ClickException(f"{path} is no JSON object")
    parts = [part for part in (config, config.get("text_config")) if isinstance(part, dict)]
    told = next((part["quantization_config"] for part in parts if part.get("quantization_config")), None)
    if not isinstance(told, dict):
        return MLX if config.get("quantization") else None
    if told.get("load_in_4bit"):
        return FOUR_BITS
    return str(told.get("quant_method") or MLX)  # mlx-lm writes its own there too, and names no method


def what_it_wants(stored: str | None) -> list[str]:
    """A line on weights that are stored quantized, where there is something to say."""
    return [f"its weights are stored by {stored}: an adapter on it wants {WANTED[stored]}"] if stored in WANTED else []


def stored_fault(stored: str | None, backend: str, quantization: str) -> str | None:
    """Why an adapter of these settings cannot be trained on such weights, and what can; None where it can."""
    if stored is None or (stored, backend) == (MLX, "mlx"):
        return None
    if (stored, backend) == (FOUR_BITS, "cuda"):
        return None if quantization == "4bit" else f"its weights are stored by {stored}: write {WANTED[stored]}"
    return (
        f"its weights are stored quantized ({stored}), and {backend} trains no adapter on these: take the repository "
        "that has them in bfloat16; quantization: 4bit loads it in 4 bits"
    )
