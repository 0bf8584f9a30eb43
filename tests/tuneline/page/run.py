"""What a run leaves of an adapter that sorts messages, a few rows each, written by the pipeline's own functions."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from stages.curate import write_reasons
from stages.eval import predicted
from tests.conftest import ROOT
from tuneline.files import Row, write_counts, write_json, write_jsonl
from tuneline.measuring.report import confusion, evaluate, write_confusion
from tuneline.measuring.score import MEAN, Score

FIGURES = {"accuracy": MEAN, "letters": MEAN}
KINDS = ("billing", "hardware", "other")


def sample_rows(count: int = 12) -> list[Row]:
    return [
        {
            "id": f"row-{n}",
            "messages": [
                {"role": "user", "content": f"message {n}: please look into this"},
                {"role": "assistant", "content": KINDS[n % 3]},
            ],
            "fields": {"language": "fr" if n % 4 == 0 else "en", "number": n},
            "origin": "source",
        }
        for n in range(count)
    ]


def answers(rows: Sequence[Row], right: float) -> list[str]:
    """Of which about the share `right` is."""
    return [row["messages"][-1]["content"] if n < right * len(rows) else "other" for n, row in enumerate(rows)]


def score(row: Row, answer: str) -> Score:
    wanted = row["messages"][-1]["content"]
    figures = {"accuracy": answer == wanted, "letters": len(answer)}
    marks = {"reason": f"said {answer}"}
    return Score(figures, pair=(wanted, answer), groups={"language": row["fields"]["language"]}, marks=marks)


def evaluated(root: Path, name: str, rows: list[Row], given: dict[str, list[str]]) -> None:
    """The files of eval."""
    given = {side: given[side] for side in ("base", "shots", "tuned") if side in given}
    sides = {side: [score(*pair) for pair in zip(rows, said, strict=True)] for side, said in given.items()}
    metrics, report = evaluate(SimpleNamespace(FIGURES=FIGURES), sides, name, samples=50, seed=0)
    folder = root / "metrics" / name
    if "shots" in report:
        report["shots"] |= {"examples": 3, "fewer": 1}
    write_json(folder / "eval.json", metrics)
    write_json(folder / "report.json", {"judge": "offline", "judge_spend": spend(0.5), **report})
    write_confusion(folder / "confusion.csv", confusion(sides["tuned"], FIGURES))
    write_jsonl(folder / "predictions.jsonl", predicted(rows, given, sides))


def spend(usd: float) -> dict[str, float]:
    return {"usd": usd, "tokens_in": 1000, "tokens_out": 200}


def run(root: Path, name: str = "mine", rows: list[Row] | None = None, recipe: str = "messages") -> Path:
    """A checkout's metrics/ and data/ after a run of one adapter; `name` and `recipe` may be another's of the same."""
    rows = sample_rows() if rows is None else rows
    params = root / "params.yaml"
    adapters = json.loads(params.read_text("utf-8"))["adapters"] if params.is_file() else {}
    params.parent.mkdir(parents=True, exist_ok=True)
    params.write_text(json.dumps({"adapters": {**adapters, name: {"recipe": recipe}}}), encoding="utf-8")
    shutil.copytree(ROOT / ".dvc" / "plots", root / ".dvc" / "plots", dirs_exist_ok=True)
    evaluated(root, name, rows, {"base": answers(rows, 0.25), "tuned": answers(rows, 1)})
    write_recipe(root, recipe, rows)
    folder, data = root / "metrics" / name, root / "data" / name
    write_counts(folder / "trim.json", 40, 40, [], cut=0)
    write_json(folder / "split.json", {"in": 40, "train": 24, "valid": 4, "test": len(rows), "dropped": 0})
    write_jsonl(data / "split" / "test.jsonl", rows)
    numbers = {"rows": 24, "pieces": 24, "tokens": 960, "trained_tokens": 120, "longest": 63}
    write_json(folder / "format.json", {"train": numbers, "valid": numbers})
    write_json(folder / "training_summary.json", {"rows": 24, "steps": 30, "best_step": 20, "valid_loss": 0.25})
    curve(folder, "train_loss", [2, 1, 0.5])
    curve(folder, "valid_loss", [1.5, 0.25])
    tokens(data / "tokens", [(30 + n, 4 + n % 3) for n in range(24)])
    return root


def write_recipe(root: Path, recipe: str, rows: list[Row]) -> None:
    dropped = [{**rows[n % len(rows)], "reason": "near duplicate", "detail": f"of row {n}"} for n in range(5)]
    dropped += [{"reason": "judged low", "detail": "no answer", **rows[0]}]
    folder, data = root / "metrics" / recipe, root / "data" / recipe
    write_counts(folder / "extract.json", 50, 48, [{"reason": "not JSON"}, {"reason": "not JSON"}])
    strategies = {"augment": {"calls": 9, "rows": 2, "known": 3}}
    write_json(folder / "sdg.json", {"in": 48, "out": 50, "strategies": strategies, "spend": spend(1.25)})
    write_counts(folder / "curate.json", 50, 44, dropped)
    write_reasons(folder / "curate.csv", {"kept": 44, "near duplicate": 5, "judged low": 1})
    write_jsonl(data / "curate.drops.jsonl", dropped)


def curve(folder: Path, name: str, losses: list[float]) -> None:
    (folder / "curves").mkdir(exist_ok=True)
    lines = [f"step\t{name}", *(f"{10 * n}\t{loss}" for n, loss in enumerate(losses, 1))]
    (folder / "curves" / f"{name}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def tokens(folder: Path, sizes: list[tuple[int, int]]) -> None:
    """Of rows of so many tokens (given, trained), in two row groups."""
    folder.mkdir(parents=True)
    labels: list[list[int]] = [[-100] * given + [7] * trained for given, trained in sizes]
    table = pa.table({"labels": pa.array(labels, pa.list_(pa.int32()))})
    pq.write_table(table, folder / "train.parquet", row_group_size=10)


def edit(path: Path, **changes: Any) -> None:
    """Of a JSON file's keys; None takes one away."""
    value = json.loads(path.read_text("utf-8")) | changes
    write_json(path, {key: value for key, value in value.items() if value is not None})
