"""One run on a data set of one's own, by a call with four arguments."""

import asyncio
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import click

from tuneline.feedback.gate_settings import read_gate_settings
from tuneline.files import Row, whole_folder, write_jsonl
from tuneline.locks import held
from tuneline.models.adapter import read_adapter
from tuneline.retraining import registry
from tuneline.retraining.checkout import drop_run, find_root, head
from tuneline.retraining.execute import CHECKOUT, SAMPLES
from tuneline.retraining.runner import choose, start
from tuneline.retraining.watch import RUNS, write_order


def finetune_model(
    task_type: str,
    dataset_path: str | os.PathLike,
    base_model: str | os.PathLike,
    output_dir: str | os.PathLike,
    runner: str = "local",
) -> dict[str, Any]:
    """Trains an adapter as a run of `tuneline watch` does, and puts it into `output_dir`; its figures.

    `task_type`: summarization, classification or question-answering. `dataset_path`: JSON Lines of {"input",
    "output"}. `base_model`: a folder of the repository with base.yaml, such as models/tiny. It works in the checkout of
    DVC_ROOT, or of the current folder, from what is committed there. It waits for another run to end; it registers
    nothing and puts nothing into service.

    The figures: base, the version in service if any, and the new one on the same held-out rows; "sides" →
    measure → mean and 95 % interval. Raises click.ClickException when an argument is wrong or the run fails.
    """
    root = find_root()
    adapter = read_gate_settings(root).adapter(task_type)
    out = Path(output_dir).resolve()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        read_adapter(out)  # what is replaced is an adapter, and nothing else
    base = Path(base_model).resolve()
    if not (base / "base.yaml").is_file() or not base.is_relative_to(root):
        raise click.ClickException(f"{base_model}: name a folder of the repository with base.yaml, such as models/tiny")
    rows = read_pairs(Path(dataset_path))
    relative = base.relative_to(root).as_posix()
    commit = head(root)
    identity = hashlib.sha256(repr((commit, relative, rows)).encode()).hexdigest()[:12]
    folder = root / RUNS / f"{task_type}-{identity}"
    with held(root / ".tuneline" / "finetune.lock", waiting=lambda: None):
        write_jsonl(folder / SAMPLES, rows)
        write_order(folder, task_type, adapter, commit, relative, len(rows))
        registry.mend(root, adapter)  # it is compared with
        result = start(root, folder, choose(runner, root)[0])
        with whole_folder(out) as part:
            shutil.copytree(folder / CHECKOUT / "adapters" / adapter, part, dirs_exist_ok=True)
        drop_run(root, folder.name)
        shutil.rmtree(folder)
    return result.figures


async def finetune_model_async(*arguments: Any, **named: Any) -> dict[str, Any]:
    """`finetune_model` on a thread, for callers in an event loop."""
    return await asyncio.to_thread(finetune_model, *arguments, **named)


def read_pairs(path: Path) -> list[Row]:
    """The rows, {"input", "output"} each. Raises click.ClickException that names every bad line."""
    if not path.is_file():
        raise click.ClickException(f"{path} is no file")
    rows, wrong = [], []
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
            except ValueError as error:
                wrong.append(f"{path}:{number}: not JSON ({error})")
                continue
            texts = [row.get(key) for key in ("input", "output")] if isinstance(row, dict) else [None]
            if all(isinstance(text, str) and text.strip() for text in texts):
                rows.append({"input": texts[0], "output": texts[1]})
            else:
                wrong.append(f'{path}:{number}: needs "input" and "output"')
    if wrong or not rows:
        raise click.ClickException("; ".join(wrong) or f"{path} has no rows")
    return rows
